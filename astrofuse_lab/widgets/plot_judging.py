"""Plots of what af.evaluate measured: ROC and precision curves, purity and completeness, residuals, PIT."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.widgets.colours import class_colour
from astrofuse_lab.widgets.plot_scores import BAD, Line, banded
from astrofuse_lab.widgets.plot_theme import FAINT
from astrofuse_lab.widgets.plotting import ACCENT, PLAIN, STYLE, backend, labelled, titled

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[Any]
RESAMPLES = 200
OUTLIER = 0.15


def _tested(table: Any, tasks: tuple[str, ...], what: str) -> dict[str, dict[str, Any]]:
    """What was measured, by run; InputError where it is of another task."""
    meta = getattr(table, "meta", {})
    if "tested" not in meta:
        raise InputError(f"{what} takes a table of af.evaluate(run, samples).")
    if meta["task"] not in tasks:
        raise InputError(f"{what} is for {' and '.join(t.replace('_', ' ') for t in tasks)}; these runs learn {meta['task'].replace('_', ' ')}.")
    return dict(meta["tested"])


def _curves(table: "Table", label: str | None, what: str) -> list[tuple[str, Array, Array]]:
    """Name, positive (sample,), score (sample,): each run for one class, or of one run each class; of two classes the second."""
    tested = _tested(table, ("classification",), what)
    classes = [str(c) for c in table.meta["classes"]]
    if label is not None and str(label) not in classes:
        raise UnknownNameError("class", label, classes)
    if label is None and len(classes) == 2:
        label = classes[1]
    if label is not None:
        i = classes.index(str(label))
        return [(name, one["truth"] == i, one["predicted"][:, i]) for name, one in tested.items()]
    one = next(iter(tested.values()))
    return [(c, one["truth"] == i, one["predicted"][:, i]) for i, c in enumerate(classes)]


def roc(table: "Table", label: str | None = None, *, width: int = 400, height: int = 340) -> Any:
    """ROC curves, and precision against recall beside them.

    Parameters
    ----------
    table : Table
        Of ``af.evaluate``.
    label : str, optional
        One class against the rest, a curve a run; None: the second of two classes, or every class of the first run.

    Returns
    -------
    holoviews.Layout
    """
    hv = backend()
    left, right = [], []
    rate, found = hv.Dimension("rate", label="false positive rate", range=(0, 1)), hv.Dimension("found", label="true positive rate", range=(0, 1))
    recall, precision = hv.Dimension("recall", label="completeness (recall)", range=(0, 1)), hv.Dimension("precision", label="purity (precision)", range=(0, 1))
    for i, (name, positive, score) in enumerate(_curves(table, label, "roc")):
        order = np.argsort(-score, kind="stable")
        last = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]  # equal scores are one step
        up, down = np.cumsum(positive[order])[last], np.cumsum(~positive[order])[last]
        if not up[-1] or not down[-1]:
            continue
        left.append(hv.Curve((np.r_[0, down / down[-1]], np.r_[0, up / up[-1]]), rate, found, label=name).opts(color=class_colour(i), line_width=2))
        right.append(hv.Curve((up / up[-1], up / (up + down)), recall, precision, label=name).opts(color=class_colour(i), line_width=2, interpolation="steps-pre"))
    if not left:
        raise InputError("roc: no class here has both members and others among the samples.")
    left.insert(0, hv.Curve(([0, 1], [0, 1]), rate, found).opts(color=FAINT, line_dash="dashed", line_width=1))
    simulated, common = bool(table.meta["simulated"]), {"width": width, "height": height, "hooks": [PLAIN], **STYLE}
    shown = titled("ROC" if label is None else f"ROC of {label}", simulated=simulated)
    return hv.Layout([
        hv.Overlay(left).opts(title=shown, legend_position="bottom_right", **common), hv.Overlay(right).opts(title="precision and recall", show_legend=False, **common),
    ]).cols(2).opts(shared_axes=False)  # fmt: skip


def purity_completeness(table: "Table", label: str | None = None, *, width: int = 520, height: int = 340) -> Any:
    """Purity and completeness of a class against the probability from which on a sample is taken, with 95 % bands over groups.

    Parameters
    ----------
    table : Table
        Of ``af.evaluate``; of several runs the first is shown.
    label : str, optional
        The class; None: the second of two, else the first.

    Returns
    -------
    holoviews.Overlay
    """
    from astrofuse_lab.training import metrics_classes
    from astrofuse_lab.training.metrics import group_weights, interval

    one = next(iter(_tested(table, ("classification",), "purity_completeness").values()))
    classes = [str(c) for c in table.meta["classes"]]
    label = str(label) if label is not None else classes[1] if len(classes) == 2 else classes[0]
    if label not in classes:
        raise UnknownNameError("class", label, classes)
    i, thresholds = classes.index(label), np.linspace(0.0, 0.98, 50)
    p = one["predicted"][:, [i]]
    truth = np.where(one["truth"] == i, 0, -1)  # of one class only: the others are none
    whole, weights = np.ones((1, len(p))), np.concatenate(list(group_weights(one["groups"], RESAMPLES)))
    lines: list[Line] = []
    for name, measure, colour in (("purity", metrics_classes.purity_each, ACCENT), ("completeness", metrics_classes.completeness_each, BAD)):
        value = np.array([measure(truth, p, whole, t)[0, 0] for t in thresholds])
        low, high = np.array([interval(measure(truth, p, weights, t)[:, 0]) for t in thresholds]).T
        lines.append((name, thresholds, value, low, high, colour))
    return banded(lines, f"taken from this probability of {label} on", "share", titled(label, simulated=bool(table.meta["simulated"])), width, height)


def residuals(table: "Table", target: str | None = None, cut: float = OUTLIER, *, width: int = 400, height: int = 340) -> Any:
    """Prediction against truth, and the error against the truth; outliers in another colour.

    Errors of a redshift are in units of 1 + z, outliers those beyond `cut`; of other numbers, beyond 5 NMAD from the median.

    Parameters
    ----------
    table : Table
        Of ``af.evaluate``; of several runs the first is shown.
    target : str, optional
        Of several; None: the first.
    cut : float

    Returns
    -------
    holoviews.Layout
    """
    from astrofuse_lab.training.evaluation import REDSHIFTS

    one = next(iter(_tested(table, ("regression", "multi_regression"), "residuals").values()))
    targets = list(table.meta["targets"])
    target = targets[0] if target is None else target
    if target not in targets:
        raise UnknownNameError("target", target, targets)
    truth, said = (np.asarray(one[n]).reshape(len(one["truth"]), -1)[:, targets.index(target)] for n in ("truth", "predicted"))
    known = np.isfinite(truth) & np.isfinite(said)
    truth, said = truth[known], said[known]
    redshift = bool(REDSHIFTS.search(target)) and bool((truth > -1).all())
    error = (said - truth) / (1 + truth) if redshift else said - truth
    middle = 0.0 if redshift else float(np.median(error))
    reach = cut if redshift else 5 * 1.4826 * float(np.median(np.abs(error - middle)))
    far = np.abs(error - middle) > reach
    hv, unit = backend(), str(table.meta.get("unit", "")) if len(targets) == 1 else ""
    x = hv.Dimension("truth", label=labelled(f"true {target}", unit))
    y, z = hv.Dimension("said", label=labelled(f"predicted {target}", unit)), hv.Dimension("error", label="Δz / (1 + z)" if redshift else labelled("predicted less true", unit))
    ends = np.array([min(truth.min(), said.min()), max(truth.max(), said.max())])
    edge = reach * (1 + ends) if redshift else np.full(2, reach)
    style = {"color": FAINT, "line_width": 1}
    left = [hv.Curve((ends, ends + k * edge + middle), x, y).opts(line_dash="solid" if k == 0 else "dashed", **style) for k in (-1, 0, 1)]
    right = [hv.Curve((ends, np.full(2, middle + k * reach)), x, z).opts(line_dash="solid" if k == 0 else "dashed", **style) for k in (-1, 0, 1)]
    for label, some, colour in (("samples", ~far, ACCENT), ("outliers", far, BAD)):
        left.append(hv.Scatter((truth[some], said[some]), x, y, label=label).opts(color=colour, size=5, alpha=0.6))
        right.append(hv.Scatter((truth[some], error[some]), x, z, label=label).opts(color=colour, size=5, alpha=0.6))
    common = {"width": width, "height": height, "hooks": [PLAIN], **STYLE}
    title = titled(f"{int(far.sum())} of {len(far)} are outliers", simulated=bool(table.meta["simulated"]))
    return hv.Layout([
        hv.Overlay(left).opts(title=title, legend_position="top_left", **common), hv.Overlay(right).opts(title=titled(f"beyond {reach:.3g}"), show_legend=False, **common),
    ]).cols(2).opts(shared_axes=False)  # fmt: skip


def pit(table: "Table", bins: int = 10, *, width: int = 460, height: int = 320) -> Any:
    """Where in its predicted distribution each truth lies: even where the widths are right, a valley where they are too narrow, a hill where too wide.

    Parameters
    ----------
    table : Table
        Of ``af.evaluate``, of a run whose head gives distributions; of several runs the first is shown.
    bins : int
        The band holds 95 % of the bins of an even distribution.

    Returns
    -------
    holoviews.Overlay
    """
    from scipy.stats import binom

    one = next(iter(_tested(table, ("regression",), "pit").values()))
    if "pit" not in one:
        raise InputError("this run gives a single number, no distribution. Train with recipe.change(head=Part('quantiles')) or head=Part('mixture_density').")
    if bins < 2:
        raise InputError(f"bins={bins}: at least 2; 10 is usual.")
    hv = backend()
    counts, edges = np.histogram(one["pit"], bins=bins, range=(0, 1))
    n = len(one["pit"])
    low, high = binom.ppf([0.025, 0.975], n, 1 / bins)
    x, y = hv.Dimension("pit", label="share of the predicted distribution below the truth"), hv.Dimension("count", label="samples")
    bars = hv.Histogram((edges, counts), kdims=[x], vdims=[y]).opts(color=ACCENT, alpha=0.7, line_color="#ffffff")
    band = hv.HSpans(([low], [high])).opts(color=FAINT, alpha=0.25, line_alpha=0)
    even = hv.HLines([n / bins]).opts(color=FAINT, line_dash="dashed", line_width=1)
    distance = [float(r["value"]) for r in table if r["metric"] == "pit_distance"][:1]
    title = titled(f"PIT, n = {n}", f"distance from even {distance[0]:.3f}" if distance else "", simulated=bool(table.meta["simulated"]))
    return hv.Overlay([bars, band, even]).opts(title=title, width=width, height=height, xlim=(0, 1), ylim=(0, 1.15 * max(float(counts.max()), high)), show_legend=False, hooks=[PLAIN], **STYLE)
