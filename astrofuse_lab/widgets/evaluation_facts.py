"""What a run got right and wrong, as `EvaluationWidget` draws it: counts, curves, bins and outliers, and which samples lie where.

A sample's place on a curve is a vertex, in a bin its number, in a matrix two classes: one byte each, so that a click finds its samples.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.training import metrics as M
from astrofuse_lab.training import metrics_classes
from astrofuse_lab.widgets.plot_runs import wilson
from astrofuse_lab.widgets.wire import array, plain

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

Array = NDArray[Any]
NONE = 255
"""The byte of a sample that lies nowhere."""
VERTICES = 255
BINS = 10
RESAMPLES = 200
OUTLIER = 0.15
"""|dz| / (1 + z) from which a redshift is an outlier; other numbers: five NMAD from the median error (as `af.plot.residuals`)."""
SHOWN = {
    "classification": ("accuracy", "balanced_accuracy", "roc_auc", "calibration_error"), "multi_label": ("macro_f1", "subset_accuracy", "roc_auc", "hamming_loss"),
    "regression": ("bias", "nmad", "outlier_fraction", "rmse", "r2"), "redshift": ("redshift_bias", "redshift_nmad", "redshift_outliers", "redshift_rmse"),
}  # fmt: skip


@dataclass(frozen=True)
class Contender:
    """One model's word on samples whose truth is known.

    Attributes
    ----------
    name : str
    task : str
    rows : int array, (sample,)
        Positions in the widget's samples.
    truth, predicted, groups : array, (sample, ...)
        As `astrofuse_lab.training.evaluation_groups.Tested`.
    classes, targets : tuple of str
    redshift : tuple of bool
        Which targets are redshifts.
    pit : array, (sample,), or None
        Share of the predicted distribution below the truth.
    """

    name: str
    task: str
    rows: NDArray[np.int64]
    truth: Array
    predicted: Array
    groups: Array
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    redshift: tuple[bool, ...] = ()
    pit: Array | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What may be looked at alone: classes, labels or targets."""
        return self.classes if self.task == "classification" else self.targets


def contender_of(name: str, run: "Run", samples: "SampleSet", rows: NDArray[np.int64], group: str | None = None) -> Contender | None:
    """What a run says of some samples; None where none of them has both a truth and a modality of the run."""
    from astrofuse_lab.samples.split import group_codes_as
    from astrofuse_lab.training.evaluation import REDSHIFTS

    truth, known = run.problem.encode(samples)
    predicted, seen = run.outputs(samples, rows)
    use = known[rows] & seen
    if not use.any():
        return None
    rows = rows[use]
    made = Contender(name, run.task, rows, truth[rows], predicted[use], group_codes_as(run.split, samples, group)[rows], tuple(map(str, run.classes)), tuple(run.targets))
    shifts = tuple(bool(REDSHIFTS.search(t)) and bool((values > -1).all()) for t, values in zip(run.targets, _columns(made.truth), strict=True)) if run.targets else ()
    return replace(made, redshift=shifts, pit=_pit(run, samples, rows, made.truth))


def _columns(values: Array) -> Iterator[Array]:
    """Each target's known values."""
    for one in values.reshape(len(values), -1).T:
        yield one[np.isfinite(one)]


def _pit(run: "Run", samples: "SampleSet", rows: NDArray[np.int64], truth: Array) -> Array | None:
    from astrofuse_lab.errors import RunError

    if run.task != "regression":
        return None
    try:
        return np.asarray(run.distribution(samples.take(rows)).cdf(truth[:, None]))[:, 0]
    except RunError:  # a single number, no distribution
        return None


# ---- classes ---------------------------------------------------------------------------------------------------------


def curve(positive: NDArray[np.bool_], score: Array) -> dict[str, Any] | None:
    """ROC and precision-recall of one class at up to `VERTICES` thresholds, evenly along the ROC curve; None without both kinds of samples.

    Returns
    -------
    dict
        ``x``, ``y`` false and true positive rate; ``recall``, ``precision``; ``threshold``, the score from which on a sample is taken; ``at``: the
        vertex from which on each sample is taken.
    """
    if not positive.any() or positive.all():
        return None
    order = np.argsort(-score, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]  # equal scores are one step
    up, down = np.cumsum(positive[order])[last], np.cumsum(~positive[order])[last]
    rate, found = down / down[-1], up / up[-1]
    keep = np.arange(len(last))
    if len(last) > VERTICES:
        keep = np.unique(np.searchsorted(rate + found, np.linspace(0, 2, VERTICES), side="left").clip(0, len(last) - 1))
        keep[-1] = len(last) - 1
    steps = last[keep]
    place = np.empty(len(score), dtype=np.int64)
    place[order] = np.searchsorted(steps, np.arange(len(score)))
    numbers = {"x": rate[keep], "y": found[keep], "precision": (up / (up + down))[keep], "threshold": score[order][steps]}
    return {**{name: array(values) for name, values in numbers.items()}, "at": array(place, "uint8")}


def reliability(said: Array, right: NDArray[np.bool_], known: NDArray[np.bool_]) -> dict[str, Any]:
    """Bins of what was said against how often it was so, with Wilson 95 % intervals, and each sample's bin."""
    which = np.minimum((said * BINS).astype(int), BINS - 1)
    rows = []
    for b in range(BINS):
        inside = known & (which == b)
        n = int(inside.sum())
        if n:
            hits = int(right[inside].sum())
            low, high = wilson(np.array([hits]), np.array([n]))
            rows.append({"bin": b, "said": float(said[inside].mean()), "share": hits / n, "low": float(low[0]), "high": float(high[0]), "n": n})
    return {"bins": rows, "at": array(np.where(known, which, NONE), "uint8")}


def classes_payload(it: Contender) -> dict[str, Any]:
    """Confusion, reliability (of the likeliest class first, then of each) and curves of a classification."""
    k, top = len(it.classes), it.predicted.argmax(1)
    count = np.zeros((k, k), dtype=np.int64)
    np.add.at(count, (it.truth, top), 1)
    all_known = np.ones(len(top), dtype=bool)
    sure = [reliability(it.predicted.max(1), top == it.truth, all_known), *(reliability(it.predicted[:, c], it.truth == c, all_known) for c in range(k))]
    areas = _areas(metrics_classes.roc_auc_each, it), _areas(metrics_classes.pr_auc_each, it)
    curves = [_with_areas(curve(it.truth == c, it.predicted[:, c]), c, areas, int((it.truth == c).sum())) for c in range(k)]
    kind = "uint8" if k < NONE else "int32"
    return {"truth": array(it.truth, kind), "said": array(top, kind), "confusion": count.tolist(), "reliability": sure, "curves": curves}


def labels_payload(it: Contender) -> dict[str, Any]:
    """The same of several labels a sample: a matrix of two by two, bins and curves for each."""
    out: dict[str, Any] = {"truth": [], "said": [], "confusion": [], "reliability": [], "curves": []}
    areas = _areas(metrics_classes.label_roc_auc_each, it), _areas(metrics_classes.label_pr_auc_each, it)
    for i in range(len(it.targets)):
        known, score = np.isfinite(it.truth[:, i]), it.predicted[:, i]
        bears, said = it.truth[:, i] > 0.5, score >= 0.5
        count = np.zeros((2, 2), dtype=np.int64)
        np.add.at(count, (bears[known].astype(int), said[known].astype(int)), 1)
        made = curve(bears[known], score[known])
        if made is not None:
            place = np.full(len(score), NONE, dtype=np.uint8)
            place[known] = np.frombuffer(made["at"]["data"], dtype=np.uint8)
            made["at"] = array(place, "uint8")
        out["truth"].append(array(np.where(known, bears, NONE), "uint8"))
        out["said"].append(array(said, "uint8"))
        out["confusion"].append(count.tolist())
        out["reliability"].append(reliability(score, bears, known))
        out["curves"].append(_with_areas(made, i, areas, int(bears[known].sum())))
    return out


def _areas(each: M.Metric, it: Contender) -> tuple[Array, Array]:
    """Areas by class, and their resamples."""
    whole = each(it.truth, it.predicted, np.ones((1, len(it.rows))))[0]
    return whole, np.concatenate([each(it.truth, it.predicted, w) for w in M.group_weights(it.groups, RESAMPLES)])


def _with_areas(made: dict[str, Any] | None, i: int, areas: tuple[tuple[Array, Array], tuple[Array, Array]], members: int) -> dict[str, Any]:
    told = {name: [plain(float(v)) for v in (whole[i], *M.interval(drawn[:, i]))] for name, (whole, drawn) in zip(("roc", "pr"), areas, strict=True)}
    return {**(made or {}), **told, "members": members, "drawn": made is not None}


# ---- numbers ---------------------------------------------------------------------------------------------------------


def numbers_payload(it: Contender) -> dict[str, Any]:
    """Prediction against truth of each target: lines, outliers, and what the errors measure."""
    truth, said = it.truth.reshape(len(it.rows), -1), it.predicted.reshape(len(it.rows), -1)
    targets = []
    for i, name in enumerate(it.targets):
        known = np.isfinite(truth[:, i]) & np.isfinite(said[:, i])
        shift = bool(it.redshift and it.redshift[i])
        t, p = np.where(known, truth[:, i], 0.0), np.where(known, said[:, i], 0.0)
        error = np.where(known, (p - t) / (1 + t) if shift else p - t, np.nan)
        middle = 0.0 if shift or not known.any() else float(np.nanmedian(error))
        reach = OUTLIER if shift else 5 * 1.4826 * float(np.nanmedian(np.abs(error - middle))) if known.any() else 0.0
        far = known & (np.abs(np.where(known, error, 0.0) - middle) > reach)
        targets.append({
            "name": name, "redshift": shift, "truth": array(np.where(known, t, np.nan)), "said": array(np.where(known, p, np.nan)), "error": array(error),
            "far": array(far, "uint8"), "middle": middle, "reach": reach, "n": int(known.sum()), "metrics": measured(it, "redshift" if shift else "regression", i),
        })  # fmt: skip
    return {"targets": targets, "pit": None if it.pit is None else pit_payload(it.pit)}


def pit_payload(pit: Array) -> dict[str, Any]:
    """A histogram of where in its predicted distribution each truth lies, with the 95 % band of an even one (binomial)."""
    from scipy.stats import binom

    which = np.minimum((pit * BINS).astype(int), BINS - 1)
    low, high = binom.ppf([0.025, 0.975], len(pit), 1 / BINS)
    return {"counts": np.bincount(which, minlength=BINS).tolist(), "at": array(which, "uint8"), "low": float(low), "high": float(high), "even": len(pit) / BINS}


def one_target(it: Contender, i: int) -> Contender:
    """Only one of several targets or labels, and the samples whose truth in it is known."""
    if it.truth.ndim == 1:
        return it
    known = np.isfinite(it.truth[:, i]) & np.isfinite(it.predicted[:, i])
    task = "regression" if it.task == "multi_regression" else it.task
    column: Any = i if task == "regression" else [i]
    truth, said = it.truth[known][:, column], it.predicted[known][:, column]
    return replace(it, task=task, rows=it.rows[known], truth=truth, predicted=said, groups=it.groups[known], targets=(it.targets[i],), redshift=it.redshift[i : i + 1])


# ---- what is measured ------------------------------------------------------------------------------------------------


def measures_of(it: Contender, kind: str = "") -> Mapping[str, M.Metric]:
    """Metrics that the widget shows, by name."""
    known = {**M.METRICS["regression" if it.task == "multi_regression" else it.task], **M.REDSHIFT}
    kind = kind or ("redshift" if it.redshift and it.redshift[0] else "regression" if it.task == "multi_regression" else it.task)
    return {name: known[name] for name in SHOWN[kind]}


def measured(it: Contender, kind: str = "", target: int | None = None) -> list[list[Any]]:
    """Name, value and 95 % interval over groups of each metric that is shown."""
    one = it if target is None else one_target(it, target)
    if not len(one.rows):
        return []
    made = M.evaluate(one.task, one.truth, one.predicted, one.groups, RESAMPLES, metrics=measures_of(one, kind))
    return [[name, *(plain(v) for v in values)] for name, values in made.items()]


def binned(it: Contender, values: Array, edges: Array, measure: str) -> dict[str, Any]:
    """A metric in bins of a number: value, 95 % interval, how many; and each sample's bin.

    Parameters
    ----------
    it : Contender
    values : array, (sample,)
        NaN where unknown.
    edges : array, (bin + 1,)
        Ascending.
    measure : str
        ``error_rate``: share that is wrong, with Wilson's interval; else a metric of the task, with a bootstrap over groups.
    """
    count = len(edges) - 1
    which = np.where(np.isfinite(values), np.clip(np.searchsorted(edges, values, side="right") - 1, 0, count - 1), NONE)
    which = np.where((values < edges[0]) | (values > edges[-1]), NONE, which)
    inside = [which == b for b in range(count)]
    told = _wrong(it, inside) if measure == "error_rate" else _bootstrapped(it, inside, measures_of(it)[measure])
    rows = [{"low_edge": float(edges[b]), "high_edge": float(edges[b + 1]), "value": plain(v), "low": plain(low), "high": plain(high), "n": int(inside[b].sum())} for b, (v, low, high) in enumerate(told)]
    return {"bins": rows, "at": array(which, "uint8"), "unknown": int((which == NONE).sum())}


def _wrong(it: Contender, inside: Sequence[NDArray[np.bool_]]) -> Iterator[tuple[float, float, float]]:
    wrong = wrong_of(it)
    for part in inside:
        n = int(part.sum())
        share = float(wrong[part].mean()) if n else float("nan")
        low, high = wilson(np.array([share * n]), np.array([n])) if n else (np.array([np.nan]),) * 2
        yield share, float(low[0]), float(high[0])


def wrong_of(it: Contender) -> NDArray[np.bool_]:
    """Which samples a classifier has wrong; of labels, any that is known."""
    if it.task == "classification":
        return np.asarray(it.predicted.argmax(1) != it.truth)
    return np.asarray((((it.predicted >= 0.5) != (it.truth > 0.5)) & np.isfinite(it.truth)).any(1))


def _bootstrapped(it: Contender, inside: Sequence[NDArray[np.bool_]], metric: M.Metric) -> Iterator[tuple[float, float, float]]:
    for part in inside:
        if not part.any():
            yield float("nan"), float("nan"), float("nan")
            continue
        truth, said = it.truth[part], it.predicted[part]
        yield (M.value(metric, truth, said), *M.interval(M.resampled(metric, truth, said, it.groups[part], RESAMPLES)))


def even_edges(values: Array, count: int) -> Array:
    """Edges of bins with equally many known values, fewer where values are equal; empty where none is known."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(0)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, count + 1)))
    return edges if len(edges) > 1 else np.array([edges[0], edges[0] + max(abs(edges[0]) * 1e-6, 1e-12)])


