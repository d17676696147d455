"""Plots of what was learnt: learning curve, confusion, calibration, comparison, embedding."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.widgets.colours import CLASS_COLOURS, MODALITY_COLOURS, class_colour
from astrofuse_lab.widgets.plot_theme import FAINT, INK
from astrofuse_lab.widgets.plot_twin import Told
from astrofuse_lab.widgets.plotting import ACCENT, PLAIN, STYLE, backend, labelled, titled

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.explain.embedding import Embedding
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run


# ---- learning curve ------------------------------------------------------------------------------------------------


def learning_curve(run: "Run", *, width: int = 380, height: int = 280) -> Any:
    """Loss and metric by epoch; the epoch whose weights were kept is marked.

    Parameters
    ----------
    run : Run

    Returns
    -------
    holoviews.Layout
    """
    history = run.history
    if len(history) == 0:
        raise InputError("this run has no finished epoch yet; there is no curve to draw.")
    hv = backend()
    epoch = np.asarray(history["epoch"])
    x = hv.Dimension("epoch", label="epoch")
    kept = epoch[np.asarray(history["best"], dtype=bool)][-1:]
    rule = hv.VLines(kept).opts(color=FAINT, line_dash="dashed", line_width=1)
    loss = [
        hv.Curve((epoch, history[column]), x, hv.Dimension("loss", label="loss"), label=label).opts(color=colour, line_width=2)
        for column, label, colour in (("train_loss", "training", FAINT), ("validation_loss", "validation", ACCENT))
    ]
    metric = str(history.meta.get("metric", "metric")).replace("_", " ")
    score = hv.Curve((epoch, history["metric"]), x, hv.Dimension("metric", label=f"{metric} (validation)")).opts(color=ACCENT, line_width=2)
    points = hv.Scatter((epoch, history["metric"]), x, hv.Dimension("metric", label=f"{metric} (validation)")).opts(color=ACCENT, size=4)
    common = {"width": width, "height": height, "xlim": (0.5, float(epoch[-1]) + 0.5), "hooks": [PLAIN], **STYLE}
    left = hv.Overlay([*loss, rule]).opts(title=titled(run.recipe.name, simulated=run.simulated), legend_position="top_right", **common)
    best = f"kept: epoch {int(kept[0])} of {len(epoch)}" if len(kept) else f"{len(epoch)} epochs"
    return hv.Layout([left, hv.Overlay([score, points, rule]).opts(title=best, show_legend=False, **common)]).cols(2).opts(shared_axes=False)


# ---- confusion -----------------------------------------------------------------------------------------------------


def _known(run: "Run", samples: "SampleSet") -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Truth, prediction (codes and probabilities, or values) and groups of the samples that have both."""
    truth, known = run.problem.encode(samples)
    predicted, seen = run.outputs(samples)
    use = known & seen
    if not use.any():
        raise InputError(f"none of these {len(samples)} samples has both a known {run.target!r} and a modality of the run.")
    named = [name for name, role in samples.roles.items() if role == "group"]
    groups = np.asarray(samples.column(named[0]).filled("") if named else samples.object_ids).astype(str)
    return truth[use], predicted[use], groups[use]


def _said(score: tuple[float, float, float], name: str, n: int) -> str:
    """A metric with its company: interval and sample size."""
    return f"{name.replace('_', ' ')} {score[0]:.3f} [{score[1]:.3f}, {score[2]:.3f}], n = {n}"


def confusion(run: "Run", samples: "SampleSet", *, width: int = 520, height: int = 400) -> Any:
    """How often each class was taken for which: share of the true class, with counts.

    Parameters
    ----------
    run : Run
    samples : SampleSet
        Usually those the run was not trained on.

    Returns
    -------
    holoviews.Overlay
    """
    if run.task != "classification":
        raise InputError(f"{run.target!r} has no classes, and confusion is between classes. af.plot.calibration(run, samples) shows predictions against the truth.")
    from astrofuse_lab.training.metrics import evaluate

    truth, predicted, groups = _known(run, samples)
    hv = backend()
    names = [str(c) for c in run.classes]
    counts = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(counts, (truth, predicted.argmax(1)), 1)
    total = counts.sum(1, keepdims=True)
    share = np.where(total > 0, counts / np.maximum(total, 1), np.nan)
    cells = [(names[j], names[i], share[i, j], int(counts[i, j])) for i in range(len(names)) for j in range(len(names))]
    x, y = hv.Dimension("predicted", values=names), hv.Dimension("true", values=names[::-1])
    heat = hv.HeatMap(cells, [x, y], [hv.Dimension("share", label="share of true class", range=(0, 1)), "count"]).sort()
    heat = heat.opts(cmap="cividis", clim=(0, 1), colorbar=True, tools=["hover"], clipping_colors={"NaN": "#f4f4f4"}, xrotation=40)
    numbers = [
        hv.Labels([(p, t, str(n)) for p, t, v, n in cells if n and (v > 0.55) == bright], [x, y], "n").opts(text_color=ink, text_font_size="9pt")
        for bright, ink in ((False, "#ffffff"), (True, "#111111"))
    ]
    score = _said(evaluate("classification", truth, predicted, groups)["balanced_accuracy"], "balanced_accuracy", len(truth))
    return hv.Overlay([heat, *numbers]).opts(title=titled(score, simulated=samples.simulated), width=width, height=height, fontsize={"title": "9pt"}, toolbar="above", hooks=[PLAIN, _told_confusion(names, counts)])


def _told_confusion(names: list[str], counts: NDArray[Any]) -> Told:
    """How many were right, and which classes are taken for which most often."""
    true, said = np.divmod(np.arange(counts.size), len(names))
    flat = counts.ravel()
    wrong = [i for i in np.argsort(-np.where(true == said, -1, flat), kind="stable")[:3] if true[i] != said[i] and flat[i]]
    most = ", ".join(f"{names[true[i]]} for {names[said[i]]} {flat[i]} times of {counts[true[i]].sum()}" for i in wrong)
    words = f"{int(np.trace(counts))} of {int(counts.sum())} are right{f'; most often mistaken: {most}' if most else ''}."
    return Told(words, {"true": [names[i] for i in true], "predicted": [names[i] for i in said], "samples": flat, "of the true class": counts.sum(1)[true]})


# ---- calibration ---------------------------------------------------------------------------------------------------


def calibration(run: "Run", samples: "SampleSet", *, bins: int = 10, width: int = 460, height: int = 400) -> Any:
    """Whether a probability of 0.8 is right 8 times of 10; for numbers, prediction against truth.

    Parameters
    ----------
    run : Run
    samples : SampleSet
        Usually those the run was not trained on.
    bins : int
        Equal bins of the highest probability; Wilson 95 % intervals (Brown et al. 2001, doi:10.1214/ss/1009213286).

    Returns
    -------
    holoviews.Overlay
    """
    if bins < 1:
        raise InputError(f"bins={bins}: at least 1; 10 is usual.")
    from astrofuse_lab.training.metrics import evaluate

    truth, predicted, groups = _known(run, samples)
    hv = backend()
    scores = evaluate(run.task, truth, predicted, groups)
    name = "calibration_error" if run.task == "classification" else "nmad"
    layers = _reliability(hv, truth, predicted, bins) if run.task == "classification" else _against_truth(hv, run, samples, truth, predicted)
    title = titled(_said(scores[name], name, len(truth)), simulated=samples.simulated)
    return hv.Overlay(layers).opts(title=title, width=width, height=height, legend_position="top_left", hooks=[PLAIN], **STYLE)


def wilson(right: NDArray[Any], n: NDArray[Any], z: float = 1.959964) -> tuple[NDArray[Any], NDArray[Any]]:
    """Wilson score interval of a share."""
    share = right / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def _reliability(hv: Any, truth: NDArray[Any], predicted: NDArray[Any], bins: int) -> list[Any]:
    confidence, right = predicted.max(1), predicted.argmax(1) == truth
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    n = np.bincount(which, minlength=bins)
    some = n > 0
    mean = np.bincount(which, confidence, bins)[some] / n[some]
    hits = np.bincount(which, right, bins)[some]
    low, high = wilson(hits, n[some])
    share = hits / n[some]
    x, y = hv.Dimension("confidence", label="highest probability", range=(0, 1)), hv.Dimension("accuracy", label="share that is right", range=(0, 1))
    edges = np.linspace(0, 1, bins + 1)
    return [
        hv.Curve(([0, 1], [0, 1]), x, y, label="perfect").opts(color=FAINT, line_dash="dashed", line_width=1),
        hv.ErrorBars((mean, share, share - low, high - share), x, [y, "below", "above"]).opts(color=ACCENT, lower_head=None, upper_head=None),
        hv.Curve((mean, share), x, y, label="measured").opts(color=ACCENT, line_width=1.5),
        hv.Scatter((mean, share), x, y).opts(color=ACCENT, size=7),
        hv.Rectangles((edges[:-1], np.zeros(bins), edges[1:], 0.25 * n / n.max())).opts(color="#9a9a9a", alpha=0.35, line_color="#ffffff"),  # how many samples
    ]


def _against_truth(hv: Any, run: "Run", samples: "SampleSet", truth: NDArray[Any], predicted: NDArray[Any]) -> list[Any]:
    unit = samples.units.get(run.target, "")
    x, y = hv.Dimension("truth", label=labelled(f"true {run.target}", unit)), hv.Dimension("prediction", label=labelled(f"predicted {run.target}", unit))
    ends = [float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))]
    return [
        hv.Curve((ends, ends), x, y, label="perfect").opts(color=FAINT, line_dash="dashed", line_width=1),
        hv.Scatter((truth, predicted), x, y, label="samples").opts(color=ACCENT, size=5, alpha=0.6),
    ]


# ---- comparison ----------------------------------------------------------------------------------------------------


def comparison(table: "Table", metric: str | None = None, *, width: int = 580) -> Any:
    """The table of ``af.compare`` as bars with intervals; chance is a dashed line.

    Parameters
    ----------
    table : Table
    metric : str, optional
        Which of the table's metrics; None: the first.

    Returns
    -------
    holoviews.Overlay
    """
    missing = {"model", "metric", "value", "low", "high"} - set(getattr(table, "colnames", ()))
    if missing:
        raise InputError(f"this is not a table of af.compare: it has no column {', '.join(sorted(missing))}.")
    metrics = list(dict.fromkeys(str(m) for m in table["metric"]))
    metric = metric or metrics[0]
    if metric not in metrics:
        raise UnknownNameError("metric of this table", metric, metrics)
    hv = backend()
    rows = [row for row in table if str(row["metric"]) == metric][::-1]
    value, low, high = (np.array([float(np.ma.filled(row[c], np.nan)) for row in rows]) for c in ("value", "low", "high"))
    names, place = [str(row["model"]) for row in rows], np.arange(len(rows))
    label = metric.replace("_", " ")
    x, y = hv.Dimension("value", label=label), hv.Dimension("model", label=" ")
    bars = hv.Rectangles([(min(v, 0), i - 0.32, max(v, 0), i + 0.32, _bar_colour(n)) for i, (v, n) in enumerate(zip(value, names, strict=True))], vdims="colour")
    bars = bars.redim(x0="value").opts(color="colour", line_alpha=0)
    whiskers = hv.Segments((low, place, high, place)).opts(color="#000000", line_width=2)
    told = [f"{v:.3f} [{a:.3f}, {b:.3f}]" for v, a, b in zip(value, low, high, strict=True)]
    end = float(np.nanmax(np.concatenate([high, value, [0.0]]))) or 1.0
    numbers = hv.Labels((np.fmax(high, value) + 0.015 * end, place, told), [x, y], "said").opts(text_align="left", text_font_size="9pt", text_color=INK)
    layers = [bars, whiskers, numbers]
    chance = [v for v, n in zip(value, names, strict=True) if n == "chance" and np.isfinite(v)]
    if chance:
        layers.insert(0, hv.VLines(chance).opts(color=FAINT, line_dash="dashed", line_width=1))
    bounded = {"xticks": [0, 0.2, 0.4, 0.6, 0.8, 1]} if np.nanmin(low) >= 0 and 0.5 < end <= 1 else {}
    start = min(0.0, 1.1 * float(np.nanmin(np.concatenate([low, value, [0.0]]))))
    ticks = [(i, n.replace("_", " ")) for i, n in enumerate(names)]
    title = titled(f"{label}, 95 % intervals", simulated=bool(table.meta.get("simulated", False)))
    return hv.Overlay(layers).opts(
        title=title, width=width, height=90 + 34 * len(rows), yticks=ticks, ylabel="", xlabel=label, xlim=(start, 1.32 * end), ylim=(-0.6, len(rows) - 0.4),
        show_legend=False, hooks=[PLAIN], **bounded, **STYLE,
    )  # fmt: skip


def _bar_colour(model: str) -> str:
    """A modality's own colour; the fused model dark; baselines grey."""
    return MODALITY_COLOURS.get(model) or (INK if model.startswith("fused") else "#b4b4b4")


# ---- embedding -----------------------------------------------------------------------------------------------------


def embedding(embedding: "Embedding", space: str = "fused", color: str | Sequence[Any] | NDArray[Any] | None = None, *, width: int = 520, height: int = 440) -> Any:
    """The map of one space, a colour a class, or a colour scale for numbers. Click a class in the legend to mute it.

    Parameters
    ----------
    embedding : Embedding
    space : str
        ``fused`` or a modality.
    color : str or sequence, optional
        A column of the embedding's labels, or one value a sample; None: the first label (the target, where it is known).

    Returns
    -------
    holoviews.Overlay
    """
    if space not in embedding.coordinates:
        raise UnknownNameError("space", space, embedding.coordinates)
    name, values = _colours(embedding, color)
    hv = backend()
    axis = embedding.method.upper()
    x, y = hv.Dimension("x", label=f"{axis} 1"), hv.Dimension("y", label=f"{axis} 2")
    there = embedding.present[space]
    xy, values = embedding.coordinates[space][there], values[there]
    if values.dtype.kind == "f":
        points = hv.Points((xy[:, 0], xy[:, 1], np.ma.filled(values, np.nan)), [x, y], hv.Dimension("c", label=name or "value"))
        layers = [points.opts(color="c", cmap="viridis", colorbar=True, size=5, alpha=0.8)]
    else:
        layers = [_one_class(hv, xy[np.ma.filled(values == c, False)], x, y, str(c), class_colour(i)) for i, c in enumerate(_classes(values))]
        unknown = np.ma.getmaskarray(values)
        layers += [_one_class(hv, xy[unknown], x, y, "unknown", CLASS_COLOURS[-1])] if unknown.any() else []
    title = titled(space, f"{int(there.sum())} of {len(there)} samples", f"colour: {name}" if name else "")
    return hv.Overlay(layers).opts(title=title, width=width, height=height, legend_position="right", hooks=[PLAIN, _told_map(xy, values, name)], **STYLE)


def _told_map(xy: NDArray[Any], values: Any, name: str) -> Told:
    """Where each class lies on a map and how far it reaches; places in shares of the map."""
    if values.dtype.kind == "f":
        return Told(f"{len(xy)} points, coloured by {name or 'a number'}.", {"x": xy[:, 0], "y": xy[:, 1], name or "value": np.ma.filled(values, np.nan)})
    unit = (xy - xy.min(0)) / np.where(np.ptp(xy, axis=0) > 0, np.ptp(xy, axis=0), 1) if len(xy) else xy
    rows = [(str(c), int(own.sum()), *unit[own].mean(0).round(2).tolist(), float(unit[own].std(0).mean().round(2))) for c in _classes(values) if (own := np.ma.filled(values == c, False)).any()]
    words = "; ".join(f"{c}: {n} points around {x:.0%} from the left and {y:.0%} from below" for c, n, x, y, _ in rows)
    heads = (name or "class", "points", "from the left", "from below", "spread")
    return Told(f"{words}." if words else "No point has a class.", {head: [row[k] for row in rows] for k, head in enumerate(heads)})


def _colours(embedding: "Embedding", color: Any) -> tuple[str, Any]:
    """Name and masked values of what colours the points; numbers with many values as floats, all else as text."""
    if color is None or isinstance(color, str):
        if color is not None and color not in embedding.labels:
            raise UnknownNameError("label of this embedding", color, embedding.labels)
        name = color or next(iter(embedding.labels), "")
        values = embedding.labels[name] if name else np.zeros(len(embedding.object_ids), dtype=bool)
    else:
        name, values = "", color
    values = np.ma.asarray(values)
    if len(values) != len(embedding.object_ids):
        raise InputError(f"color has {len(values)} values for {len(embedding.object_ids)} samples.")
    if values.dtype.kind in "fiu" and len(np.unique(values.compressed())) > len(CLASS_COLOURS):
        return name, values.astype(float)
    return name, np.ma.MaskedArray(np.asarray(values.data).astype(str), np.ma.getmaskarray(values))


def _classes(values: Any) -> list[str]:
    return np.unique(values.compressed()).tolist() if np.ma.isMaskedArray(values) else np.unique(values).tolist()


def _one_class(hv: Any, xy: NDArray[Any], x: Any, y: Any, label: str, colour: str) -> Any:
    return hv.Points((xy[:, 0], xy[:, 1]), [x, y], label=label).opts(color=colour, size=5, alpha=0.75, muted_alpha=0.05)
