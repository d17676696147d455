"""What the plots share: the backend loaded from this machine, the house style, one modality picked from a sample."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import KIND_OF
from astrofuse_lab.samples.sample_set import Sample
from astrofuse_lab.widgets.plot_theme import GRID, HATCHING, follow_theme
from astrofuse_lab.widgets.plot_twin import carry_twin

if TYPE_CHECKING:
    from bokeh.plotting import figure

M = TypeVar("M")
ACCENT = "#0072B2"
NARROWEST = 240  # px: below this the labels of an axis run into one another
TOOLS = ("pan", "wheel_zoom", "box_zoom", "save", "reset")
STYLE: dict[str, Any] = {"toolbar": "above", "default_tools": [], "tools": list(TOOLS), "active_tools": ["box_zoom"], "fontsize": {"title": "10pt"}, "show_grid": True, "gridstyle": {"grid_line_color": GRID}}


def backend() -> Any:
    """HoloViews with its Bokeh backend; in a notebook BokehJS is put into the page once, so that no network is needed."""
    import holoviews as hv

    if "bokeh" in hv.Store.loaded_backends() and (hv.extension._loaded or not in_notebook()):
        return hv
    if in_notebook():
        hv.extension("bokeh", inline=True, logo=False)
        keep_style_sheets_inline()
    else:
        import holoviews.plotting.bokeh

        hv.Store.set_current_backend("bokeh")
    return hv


def keep_style_sheets_inline() -> None:
    """Have Panel put its style sheets into what HoloViews shows: HoloViews' own way of showing leaves them to a CDN."""
    from panel.viewable import Viewable

    if _inline_style_sheets not in Viewable._preprocessing_hooks:
        Viewable._preprocessing_hooks.append(_inline_style_sheets)


def _inline_style_sheets(_viewable: Any, root: Any) -> None:
    from bokeh.models import UIElement
    from panel.io.notebook import patch_inline_stylesheets

    for model in root.select({"type": UIElement}):
        patch_inline_stylesheets(model)


def in_notebook() -> bool:
    """True in a process whose output goes to a notebook."""
    import sys

    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def pick(thing: Any, kind: type[M], name: str | None = None) -> tuple[M, str]:
    """A modality and a title, from a Sample or from the modality itself.

    Raises
    ------
    InputError
        If there is no such modality, with what there is.
    """
    word = KIND_OF[kind]
    if isinstance(thing, kind):
        return thing, ""
    if not isinstance(thing, Sample):
        raise InputError(f"a {word} plot takes a sample, samples[0], or its {kind.__name__}, not {type(thing).__name__}.")
    if name is not None and name not in thing.modalities:
        raise InputError(f"{thing.object_id} has no modality {name!r}; it has {', '.join(thing.modalities)}.")
    found = [thing.modalities[name]] if name is not None else [one for one in thing.modalities.values() if isinstance(one, kind)]
    if not found or not isinstance(found[0], kind):
        has = [n for n, one in thing.modalities.items() if one is not None]
        raise InputError(f"{thing.object_id} has no {name or word}; it has {', '.join(has) or 'nothing'}.")
    return found[0], thing.object_id


def titled(*parts: str, simulated: bool = False) -> str:
    """A title of the parts that are not empty; simulated data say so."""
    return " · ".join([p for p in parts if p] + (["practice sky"] if simulated else []))


def hook(change: Callable[["figure"], object]) -> Callable[[Any, Any], None]:
    """A HoloViews hook that changes the Bokeh figure."""

    def apply(plot: Any, _element: Any) -> None:
        change(plot.state)

    return apply


def _plain(figure: "figure") -> None:
    from bokeh.models import ColorBar

    for axis in figure.axis:
        axis.axis_label_text_font_style = "normal"
    for bar in figure.select({"type": ColorBar}):
        bar.title_text_font_style = "normal"
    follow_theme(figure)


def fit(figure: "figure") -> None:
    """Have a figure give way where the page is narrower than it; not where the user made it responsive in a way of their own."""
    if figure.width and figure.sizing_mode in (None, "fixed"):
        figure.update(sizing_mode="stretch_width", max_width=figure.width, min_width=min(NARROWEST, figure.width))


def PLAIN(plot: Any, element: Any) -> None:
    """Axis labels upright, as journals print them, colours of the page, and the plot in words; side by side no wider than the page."""
    _plain(plot.state)
    carry_twin(plot, element)
    if plot.subplot:  # alone it would share a notebook's line with the space on its left and right
        fit(plot.state)


def stretches(bad: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def hatch(spans: Iterable[tuple[float, float]]) -> Callable[[Any, Any], None]:
    """Hatch stretches of the x axis: nothing was measured there."""
    spans = list(spans)

    def draw(figure: "figure") -> None:
        from bokeh.models import BoxAnnotation

        for left, right in spans:
            figure.add_layout(BoxAnnotation(left=left, right=right, fill_alpha=0, line_alpha=0, hatch_pattern="/", hatch_color=HATCHING, hatch_weight=0.6, level="underlay", name="masked"))

    return hook(draw)


def pretty_unit(unit: str) -> str:
    """A unit as a label has it."""
    return {"uJy": "µJy", "1e-17 erg / (s cm2 Angstrom)": "10⁻¹⁷ erg s⁻¹ cm⁻² Å⁻¹", "Angstrom": "Å", "arcsec": "arcsec"}.get(unit, unit)


def labelled(what: str, unit: str = "") -> str:
    """``what (unit)``."""
    return f"{what} ({pretty_unit(unit)})" if unit else what
