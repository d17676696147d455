"""Which objects have which modalities, as an UpSet plot."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.widgets.colours import MODALITY_COLOURS
from astrofuse_lab.widgets.plot_theme import FAINT, INK, WEAK
from astrofuse_lab.widgets.plot_twin import Told
from astrofuse_lab.widgets.plotting import ACCENT, PLAIN, STYLE, backend, titled

ROW, REST = 26, 44
"""Screen pixels of a modality's row, and of what surrounds the rows."""


def coverage(samples: SampleSet, *, most: int = 20, width: int = 560) -> Any:
    """An UpSet plot (Lex et al. 2014, doi:10.1109/TVCG.2014.2346248): a bar a combination of modalities, below it a dot for each that it has, joined by a line.

    Parameters
    ----------
    samples : SampleSet
    most : int
        Combinations shown, the commonest first; the title tells of the rest.
    width : int
        Screen pixels.

    Returns
    -------
    holoviews.Layout
        Bars above dots; on the left each modality's own number of objects. Colours follow the theme of the page.

    Raises
    ------
    InputError
        For what is no sample set, or has nothing to show.
    """
    if not isinstance(samples, SampleSet):
        raise InputError(f"a coverage plot takes samples, not {type(samples).__name__}.")
    names = list(samples.modalities)
    if not names or len(samples) == 0:
        raise InputError("these samples have no modality, or there are none; there is nothing to cover.")
    if isinstance(most, bool) or not isinstance(most, int | np.integer) or most < 1:
        raise InputError(f"most={most!r}: a whole number of combinations, 1 or more.")
    hv = backend()
    combinations, counts = np.unique(np.stack([samples.present(name) for name in names], axis=1), axis=0, return_counts=True)
    order = np.lexsort((-combinations.sum(axis=1), -counts))[:most]
    combinations, shown = combinations[order], counts[order]
    place = np.arange(len(order))
    x, y = hv.Dimension("combination"), hv.Dimension("objects", label="objects")
    bars = hv.Rectangles((place - 0.35, np.zeros(len(place)), place + 0.35, shown)).redim(y0="objects").opts(color=ACCENT, line_alpha=0)
    numbers = hv.Labels((place, shown + 0.02 * shown.max(), [str(n) for n in shown]), [x, y], "text").opts(text_baseline="bottom", text_font_size="8pt", text_color=INK)
    left = "" if len(counts) == len(order) else f"{len(counts) - len(order)} rarer combinations not shown"
    title = titled(f"{len(samples)} objects", left, simulated=samples.simulated)
    common = {"width": width, "xaxis": None, "hooks": [PLAIN], "xlim": (-0.7, len(order) - 0.3), **STYLE}
    told = [PLAIN, _told(combinations, shown, names, samples)]
    top = hv.Overlay([bars, numbers]).opts(title=title, height=220, ylim=(0, 1.15 * float(shown.max())), ylabel="objects", **{**common, "hooks": told})
    return hv.Layout([top, _matrix(hv, combinations, names, samples, common)]).cols(1).opts(shared_axes=False)


def _told(combinations: NDArray[np.bool_], counts: NDArray[Any], names: list[str], samples: SampleSet) -> Told:
    """Which combination how many objects have; the dots below the bars say no more."""
    said = [" + ".join(n.replace("_", " ") for n, there in zip(names, one, strict=True) if there) or "nothing" for one in combinations]
    each = ", ".join(f"{int(samples.present(n).sum())} have {n.replace('_', ' ')}" for n in names)
    whole = int(counts[combinations.all(axis=1)].sum())
    words = f"{whole} of {len(samples)} objects have all {len(names)} modalities; {each}. The commonest combination is {said[0]}, with {counts[0]} objects."
    return Told(words, {"modalities": said, "objects": counts, **{n: ["yes" if v else "no" for v in combinations[:, i]] for i, n in enumerate(names)}})


def _matrix(hv: Any, combinations: NDArray[np.bool_], names: list[str], samples: SampleSet, common: dict[str, Any]) -> Any:
    """The dots below the bars, and the lines that join those of one combination."""
    x, y = hv.Dimension("combination"), hv.Dimension("modality")
    row = {name: len(names) - 1 - i for i, name in enumerate(names)}
    everywhere = [(c, row[n]) for c in range(len(combinations)) for n in names]
    joined = [(c, len(names) - 1 - ends[-1], c, len(names) - 1 - ends[0]) for c, one in enumerate(combinations) if len(ends := np.flatnonzero(one)) > 1]
    dots: list[Any] = [hv.Points(everywhere, [x, y]).opts(color=WEAK, size=11), hv.Segments(joined, [x, y, "x1", "y1"]).opts(color=FAINT, line_width=2.5)]
    for i, name in enumerate(names):
        has = [(c, row[name]) for c in range(len(combinations)) if combinations[c, i]]
        dots.append(hv.Points(has, [x, y]).opts(color=MODALITY_COLOURS.get(samples.spec(name).kind, FAINT), size=11))
    ticks = [(row[n], f"{n.replace('_', ' ')}  {int(samples.present(n).sum())}") for n in names]
    return hv.Overlay(dots).opts(height=REST + ROW * len(names), yticks=ticks, ylabel="", ylim=(-0.7, len(names) - 0.3), show_legend=False, **{**common, "show_grid": False, "toolbar": None, "hooks": [PLAIN, Told("", {})]})
