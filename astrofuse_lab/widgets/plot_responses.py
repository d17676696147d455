"""Plots of what a model does with its inputs: responses to a scaled input, and what each modality is worth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.colours import CLASS_COLOURS, MODALITY_COLOURS, class_colour
from astrofuse_lab.widgets.plot_scores import Line, banded, intervals, need, numbers
from astrofuse_lab.widgets.plot_theme import FAINT
from astrofuse_lab.widgets.plotting import ACCENT, PLAIN, STYLE, backend, labelled, titled

if TYPE_CHECKING:
    from astrofuse_lab.explain.coalitions import Contributions
    from astrofuse_lab.explain.responses import Response

Array = NDArray[Any]
EACH = len(CLASS_COLOURS) - 1
"""So many samples have a line of their own; of more, each class has one."""
TICKS = (0.25, 0.5, 1.0, 2.0, 4.0)


def response(found: "Response | Sequence[Response]", *, scores: bool = False, width: int = 640, height: int = 340) -> Any:
    """How a prediction answers while an input is scaled from a quarter to four times, with the band of an ensemble's members.

    Parameters
    ----------
    found : Response or sequence of Response
        Of ``af.explain.respond``: a line for each sample, or, of more than seven, for each target, the mean of its samples. Several
        responses are several inputs, each a line that is the mean over all samples.
    scores : bool
        Draw the score (log-odds) and not the probability.

    Returns
    -------
    holoviews.Overlay
    """
    several = not hasattr(found, "factors")
    responses: list[Response] = list(found) if several else [found]  # type: ignore[arg-type, list-item]
    if not responses or not all(hasattr(one, "factors") for one in responses):
        raise InputError("this is no response: draw what af.explain.respond(run, samples, modality='image') gives, or several of these.")
    first = responses[0]
    if len({one.score_name for one in responses}) > 1 or len({len(one.object_ids) for one in responses}) > 1:
        raise InputError("responses of different samples or scores cannot share an axis; draw them side by side: af.plot.response(a) + af.plot.response(b).")
    lines = [_mean(one.name, one, np.arange(len(one.object_ids)), i, scores) for i, one in enumerate(responses)] if several else _lines(first, scores)
    name = _axis(first, scores)
    across = "factor" if several else f"{first.name.replace('_', ' ')}, times"
    title = titled("scaled inputs" if several else f"response to {first.name.replace('_', ' ')}", f"{len(first.scores)} members" if len(first.scores) > 1 else "", simulated=first.simulated)
    drawn = banded(lines, across, name, title, width, height, log=True)
    ticks = [(t, f"{t:g}") for t in TICKS if first.factors[0] <= t <= first.factors[-1]] or [(float(t), f"{t:g}") for t in first.factors]
    here = backend().VLines([1.0]).opts(color=FAINT, line_dash="dashed", line_width=1)
    return (drawn * here).opts(
        title=title, width=width, height=height, xlim=(first.factors[0] / 1.08, first.factors[-1] * 1.08), xticks=ticks, xlabel=across, ylabel=name.replace("_", " "), logx=True, legend_position="right", hooks=[PLAIN], **STYLE
    )


def _axis(found: "Response", scores: bool) -> str:
    if scores:
        return found.score_name
    targets = set(map(str, found.target))
    if found.task in ("classification", "multi_label"):
        return f"probability of {targets.pop()}" if len(targets) == 1 else "probability of the class"
    return labelled(targets.pop() if len(targets) == 1 else "prediction", found.unit)


def _mean(name: str, found: "Response", which: Array, colour: int, scores: bool) -> Line:
    """Mean over samples of what members say on average, with the standard deviation of the members' own means."""
    said = (found.scores if scores else found.likely)[:, :, which]
    known = np.isfinite(said)
    each = np.where(known, said, 0.0).sum(2) / np.where(known.sum(2) > 0, known.sum(2), np.nan)
    value, spread = each.mean(0), each.std(0)
    return name, found.factors, value, value - spread, value + spread, MODALITY_COLOURS.get(name, class_colour(colour))


def _lines(found: "Response", scores: bool) -> list[Line]:
    if len(found.object_ids) <= EACH:
        return [_mean(f"{one} ({target})", found, np.array([i]), i, scores) for i, (one, target) in enumerate(zip(found.object_ids, found.target, strict=True))]
    targets = np.array([str(t) for t in found.target])
    names = list(dict.fromkeys(targets))
    return [_mean(f"{name} (n = {(targets == name).sum()})", found, np.flatnonzero(targets == name), i, scores) for i, name in enumerate(names)]


def contributions(found: "Contributions", *, width: int = 580) -> Any:
    """What each modality adds to the metric, with 95 % intervals; of samples without labels, the mean absolute Shapley value of their scores.

    Parameters
    ----------
    found : Contributions
        Of ``af.explain.contributions``.

    Returns
    -------
    holoviews.Overlay
    """
    if not hasattr(found, "total") or not hasattr(found, "shapley"):
        raise InputError("these are no contributions: draw what af.explain.contributions(run, samples) gives.")
    table = found.total
    need(table, ("modality", "mean_abs_shapley", "metric_shapley", "low", "high"), "af.explain.contributions")
    value, low, high = numbers(table, "metric_shapley", "low", "high")
    label = f"share of {str(table.meta.get('metric', '')).replace('_', ' ')}"
    if not np.isfinite(value).any():
        (value,) = numbers(table, "mean_abs_shapley")
        spread = numbers(table, "spread")[0] if "spread" in table.colnames else np.zeros(len(value))
        low, high, label = value - spread, value + spread, f"mean |Shapley value| of {found.score_name.replace('_', ' ')}"
    colours = [MODALITY_COLOURS.get(str(name), ACCENT) for name in table["modality"]]
    names = [f"{row['modality']} (n = {row['present']})" for row in table]
    return intervals(names, value, low, high, colours, label, titled("what each modality is worth"), line=0.0, width=width)
