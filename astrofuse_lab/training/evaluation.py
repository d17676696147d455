"""`evaluate`: everything that is measured of a trained run, with intervals, and who it serves badly."""

import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import group_codes, group_codes_as
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.early_times import known_by
from astrofuse_lab.training.evaluation_groups import By, Tested, badly_served, by_subgroup
from astrofuse_lab.training.metrics_distributions import Mixture, Quantiles, pit
from astrofuse_lab.training.metrics_numbers import each_target
from astrofuse_lab.training.metrics_retrieval import ranks
from astrofuse_lab.training.report import SCORES, formatted
from astrofuse_lab.training.run import Run
from astrofuse_lab.training.subsets import masked_outputs, subset_names

if TYPE_CHECKING:
    from astropy.table import Table

PARTS = ("test", "validation", "train", "all")
REDSHIFTS = re.compile(r"(^|_)(z|zspec|z_?spec|redshift|photo_?z)($|_)", re.IGNORECASE)
"""Names of columns that hold redshifts."""
BINS = 10
TRIES = 3


def evaluate(
    runs: Run | Sequence[Run] | Mapping[str, Run], samples: SampleSet, part: str | Sequence[str] = "test", *, metrics: Sequence[str] | None = None,
    by: By | Sequence[By] = (), subsets: bool = False, early: Sequence[float] = (), group: str | None = None, resamples: int = 1000, seed: int = 0,
) -> "Table":  # fmt: skip
    """Measure trained runs on samples.

    Parameters
    ----------
    runs : Run, sequence of Run, or mapping of name to Run
        Of one task.
    samples : SampleSet
        Aligned as those the runs were trained on.
    part : {"test", "validation", "train", "all"} or sequence of ids
        Which samples; the named parts are those of the first run's split.
    metrics : sequence of str, optional
        ``"purity@0.9"`` gives a metric its option. None: all of the task; of a redshift also the errors in units of 1 + z.
    by : str, tuple, or a list of them
        Subgroups to look at: ``"class"``, ``"available"``, ``"sky"``, ``("snr", "spectrum")``, a column such as ``"survey"``, or
        ``("magnitude", 4)``; see `astrofuse_lab.training.evaluation_groups.subgroups`.
    subsets : bool
        Also with every subset of the modalities, the others masked.
    early : sequence of float
        Also with light curves cut off so many days after their first detection (5 sigma).
    group : str, optional
        Column over whose values the bootstrap runs. None: the split's, else the column with role ``group``, else each object.
    resamples : int
    seed : int

    Returns
    -------
    Table
        run, metric, value, low, high (95 %), n, groups. In ``meta``: ``verdict`` in words; tables ``by_class`` (each class or label),
        ``calibration``, ``available`` (by the modalities a sample has), ``cost`` (of predicting a sample), and, where asked for,
        ``subgroups``, ``subsets`` and ``early``; ``tested``, truth and predictions by run. `af.plot` draws them. Without a target: how well each modality's vector
        finds another's of the same object.

    Raises
    ------
    InputError
        For an empty part, an unknown metric, or runs of several tasks.
    RunError
        If the samples lack a modality of a run or hold it in another layout.
    """
    named = _named(runs)
    first = next(iter(named.values()))
    if len({run.task for run in named.values()}) > 1:
        raise InputError(f"runs of several tasks ({', '.join(sorted({r.task for r in named.values()}))}) have no metric in common; evaluate them apart.")
    chosen = _positions(first, samples, part)
    if first.task == "self_supervised":
        return _retrieval(named, samples.take(chosen), group, resamples, seed)
    measures = _measures(first, metrics)
    divided = [by] if isinstance(by, str) or (isinstance(by, tuple) and by) else list(by)
    tables: dict[str, list[Any]] = {name: [] for name in ("metrics", "by_class", "calibration", "available", "subgroups", "subsets", "early", "cost")}
    tested, spread, main = {}, {}, next(iter(measures))
    one_metric = (main, measures[main], resamples, seed)
    for name, run in named.items():
        tested[name] = it = _tested(run, samples, chosen, group)
        spread[name] = _spread(run, it)
        tables["metrics"].append((name, _scores(it, spread[name], measures, resamples, seed)))
        tables["by_class"].append((name, _classes(run, it, resamples, seed)))
        tables["calibration"].append((name, _calibration(it)))
        tables["available"].append((name, by_subgroup(it, "available", *one_metric)))
        tables["cost"].append((name, _cost(run, it.samples)))
        tables["subgroups"] += [(name, by_subgroup(it, one, *one_metric)) for one in divided]
        tables["subsets"] += [(name, _subsets(run, it, one_metric))] if subsets else []
        tables["early"] += [(name, _early(run, it, one_metric, sorted(early)))] if len(early) else []
    table = formatted(_stacked(tables["metrics"]), SCORES)
    table.meta.update({what: formatted(_stacked(made), [c for c in SCORES if c in made[0][1].colnames]) for what, made in tables.items() if what != "metrics" and any(len(t) for _, t in made)})
    served = {name: [t for n, t in tables["subgroups"] if n == name] for name in named}
    table.meta.update(
        target=first.target, task=first.task, classes=list(first.classes), part=part if isinstance(part, str) else "given ids", simulated=samples.simulated,
        tested={name: _kept(it, spread[name]) for name, it in tested.items()}, targets=list(first.targets), unit=samples.units.get(first.target, ""),
        verdict=" ".join(_sentence(name, table, main, tested[name], badly_served(served[name]), len(named) > 1) for name in named),
    )  # fmt: skip
    return table


def _named(runs: Run | Sequence[Run] | Mapping[str, Run]) -> dict[str, Run]:
    """Each run by a name of its own: its recipe's, and its seed where that is not enough."""
    if isinstance(runs, Mapping):
        given = {str(name): run for name, run in runs.items()}
    else:
        several = [runs] if isinstance(runs, Run) else list(runs)
        names = [run.recipe.name for run in several]
        if len(set(names)) < len(names):
            names = [f"{run.recipe.name}, {' + '.join(run.modalities)}, seed {run.seed}" for run in several]
        if len(set(names)) < len(names):
            names = [f"{i}: {name}" for i, name in enumerate(names)]
        given = dict(zip(names, several, strict=True))
    if not given or not all(isinstance(run, Run) for run in given.values()):
        raise InputError("evaluate takes runs, af.evaluate(run, samples); af.train(...) makes one and af.Run.open(folder) opens one.")
    return given


def _positions(run: Run, samples: SampleSet, part: str | Sequence[str]) -> NDArray[np.int64]:
    if not isinstance(part, str):
        chosen = samples.positions(part)
    elif part not in PARTS:
        raise InputError(f"part={part!r}: choose one of {', '.join(PARTS)}, or give a list of ids.")
    else:
        chosen = np.arange(len(samples)) if part == "all" else samples.positions(getattr(run.split, part))
    if not len(chosen):
        raise InputError(f"part={part!r}: this run has no such part. Give ids of samples that it was not trained on, or train with split=samples.split().")
    return chosen


def _measures(run: Run, metrics: Sequence[str] | None) -> dict[str, M.Metric]:
    """Metrics by name, those of single targets or labels included."""
    if metrics is not None:
        if isinstance(metrics, str) or not len(metrics):
            raise InputError(f"metrics={metrics!r}: a list of names, e.g. ['{next(iter(M.METRICS[run.task]))}'].")
        return dict(M.metric_named(run.task, name) for name in metrics)
    out = dict(M.METRICS[run.task])
    if run.task == "regression" and REDSHIFTS.search(run.target):
        out |= M.REDSHIFT
    if run.task == "multi_regression":
        for name, metric in M.METRICS["regression"].items():
            out |= {f"{name}[{target}]": partial(_column, metric, i) for i, target in enumerate(run.targets)}
    return out


def _column(metric: M.Metric, i: int, truth: Any, predicted: Any, weights: Any) -> Any:
    return each_target(metric, truth[:, [i]], predicted[:, [i]], weights)[:, 0]


def _tested(run: Run, samples: SampleSet, chosen: NDArray[np.int64], group: str | None) -> Tested:
    """Truth and prediction of the samples that have both."""
    truth, known = run.problem.encode(samples)
    predicted, seen = run.outputs(samples, chosen)
    use = known[chosen] & seen
    if not use.any():
        raise InputError(f"none of these {len(chosen)} samples has both a known {run.target!r} and a modality of the run ({', '.join(run.modalities)}).")
    codes, rows = group_codes_as(run.split, samples, group), chosen[use]
    return Tested(samples.take(rows), run.task, truth[rows], predicted[use], codes[rows], run.classes, run.modalities)


# ---- tables ----------------------------------------------------------------------------------------------------------


def _stacked(named: list[tuple[str, "Table"]]) -> "Table":
    """Tables below one another, each with its run's name in front."""
    from astropy.table import Table, vstack

    parts = []
    for name, table in named:
        part = Table(table, copy=True)
        part.add_column([name] * len(part), name="run", index=0)
        parts.append(part)
    return vstack(parts, metadata_conflicts="silent")


def _scores(it: Tested, spread: Mixture | Quantiles | None, measures: Mapping[str, M.Metric], resamples: int, seed: int) -> "Table":
    from astropy.table import Table

    made = M.evaluate(it.task, it.truth, it.predicted, it.groups, resamples, seed, measures)
    if spread is not None:
        made |= M.evaluate("distribution", it.truth, spread, it.groups, resamples, seed)
    n, groups = len(it.truth), len(np.unique(it.groups))
    return Table(rows=[{"metric": name, "value": v, "low": low, "high": high, "n": n, "groups": groups} for name, (v, low, high) in made.items()])


def _kept(it: Tested, spread: Mixture | Quantiles | None) -> dict[str, Any]:
    """What was measured, to draw or to measure again; of predicted distributions, where in them the truth lies."""
    kept = {"ids": it.samples.object_ids, "truth": it.truth, "predicted": it.predicted, "groups": it.groups}
    return kept if spread is None else {**kept, "pit": pit(it.truth, spread)}


def _spread(run: Run, it: Tested) -> Mixture | Quantiles | None:
    """The predicted distributions, of a head that gives them."""
    from astrofuse_lab.training.distributions import of_extras

    made = of_extras(run.extras(it.samples), run.problem) if run.task == "regression" else None
    if made is None:
        return None
    if made.kind == "mixture":
        return Mixture(*made.parts)
    levels, places = made.parts  # the outermost, 0 and 1, are where straight lines end
    inside = (levels[0] > 0) & (levels[0] < 1)
    return Quantiles(levels[0][inside], places[:, inside])


def _classes(run: Run, it: Tested, resamples: int, seed: int) -> "Table":
    """One row a class or label and metric."""
    from astropy.table import Table

    names = list(map(str, run.classes)) if run.task == "classification" else list(run.targets)
    rows = []
    for metric, each in M.EACH.get(run.task, {}).items():
        whole = each(it.truth, it.predicted, np.ones((1, len(it.truth))))[0]
        drawn = np.concatenate([each(it.truth, it.predicted, w) for w in M.group_weights(it.groups, resamples, seed)])
        for i, name in enumerate(names):
            count = int((it.truth == i).sum()) if run.task == "classification" else int(np.nansum(it.truth[:, i]))
            rows.append({"class": name, "metric": metric, "value": whole[i], **dict(zip(("low", "high"), M.interval(drawn[:, i]), strict=True)), "n": count})
    return Table(rows=rows) if rows else Table()


def _calibration(it: Tested, bins: int = BINS) -> "Table":
    """Confidence and share that is right, by bin of confidence; of numbers, an empty table."""
    from astropy.table import Table

    if it.task == "classification":
        confidence, right = it.predicted.max(1), it.predicted.argmax(1) == it.truth
    elif it.task == "multi_label":
        known = np.isfinite(it.truth)
        confidence, right = it.predicted[known], it.truth[known] > 0.5
    else:
        return Table()
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = [
        {"confidence_low": b / bins, "confidence_high": (b + 1) / bins, "confidence": confidence[which == b].mean(), "right": right[which == b].mean(), "n": int((which == b).sum())}
        for b in range(bins) if (which == b).any()
    ]  # fmt: skip
    return Table(rows=rows)


def _subsets(run: Run, it: Tested, one: tuple[str, M.Metric, int, int]) -> "Table":
    """The run on every subset of its modalities; with n, how many of the samples have any of them."""
    from astropy.table import Table

    name, metric, resamples, seed = one
    rows = []
    for subset, kept in subset_names(run.modalities).items():
        predicted = masked_outputs(run, it.samples, np.arange(len(it.samples)), kept)
        drawn = M.resampled(metric, it.truth, predicted, it.groups, resamples, seed)
        there = int(np.any([it.samples.present(m) for m in kept], axis=0).sum())
        rows.append({"modalities": subset, "metric": name, **_score(metric, it.truth, predicted, drawn), "n": there})
    return Table(rows=rows)


def _early(run: Run, it: Tested, one: tuple[str, M.Metric, int, int], days: Sequence[float]) -> "Table":
    """The run on light curves as they were known by each day after the first detection."""
    from astropy.table import Table

    name, metric, resamples, seed = one
    rows = []
    for day in days:
        then, epochs = known_by(it.samples, run.modalities, float(day))
        predicted, seen = run.outputs(then)
        row = {"day": float(day), "metric": name, "value": np.nan, "low": np.nan, "high": np.nan, "n": int(seen.sum()), "epochs": float(np.median(epochs[seen])) if seen.any() else 0.0}
        if seen.any():
            drawn = M.resampled(metric, it.truth[seen], predicted[seen], it.groups[seen], resamples, seed)
            row |= _score(metric, it.truth[seen], predicted[seen], drawn)
        rows.append(row)
    return Table(rows=rows)


def _score(metric: M.Metric, truth: Any, predicted: Any, drawn: Any) -> dict[str, float]:
    return dict(zip(SCORES, (M.value(metric, truth, predicted), *M.interval(drawn)), strict=True))


def _cost(run: Run, samples: SampleSet) -> "Table":
    """What a prediction costs: milliseconds alone and in a batch, megabytes of weights, parameters, arithmetic."""
    from astropy.table import Table

    from astrofuse_lab.training.cost import COUNTED, flops_of

    some = np.arange(min(256, len(samples)))

    def milliseconds(rows: NDArray[np.int64]) -> float:
        run.outputs(samples, rows)
        spent = []
        for _ in range(TRIES):
            begin = time.perf_counter()
            run.outputs(samples, rows)
            spent.append(1e3 * (time.perf_counter() - begin) / len(rows))
        return float(np.median(spent))

    flops = flops_of(run.model, run.batch(samples, some[:COUNTED]).to(run.device))
    weights = sum(t.numel() * t.element_size() for t in run.model.state_dict().values())
    row = {
        "milliseconds": milliseconds(some), "milliseconds_alone": milliseconds(some[:1]), "weights_megabytes": weights / 1e6,
        "parameters": run.parameters, "megaflops": np.nan if flops is None else flops / 1e6, "device": str(run.device),
    }  # fmt: skip
    return Table(rows=[row])


def _retrieval(named: Mapping[str, Run], samples: SampleSet, group: str | None, resamples: int, seed: int) -> "Table":
    """How well each modality's vector finds another's of the same object, among all objects that have both."""
    from astropy.table import Table

    tables, told = [], []
    for name, run in named.items():
        vectors, rows = run.embed(samples), []
        for a, b in permutations([m for m in run.modalities if m in vectors.colnames], 2):
            both = samples.present(a) & samples.present(b)
            if both.sum() < 2:
                continue
            count, rank = ranks(np.asarray(vectors[a])[both], np.asarray(vectors[b])[both])
            codes = group_codes(samples, group)[both]
            made = M.evaluate("retrieval", count, rank, codes, resamples, seed)
            rows += [
                {"query": a, "found": b, "metric": metric, "value": v, "low": low, "high": high, "n": int(both.sum()), "groups": len(np.unique(codes))}
                for metric, (v, low, high) in made.items()
            ]
            told.append(f"{name}: {a} finds its {b} first in {100 * made['top'][0]:.0f} % of {int(both.sum())}, by chance in {100 / both.sum():.1f} %")
        if not rows:
            raise InputError(f"run {name!r} has learned without a target from {', '.join(run.modalities)}: nothing can be retrieved by another modality.")
        tables.append((name, Table(rows=rows)))
    out = formatted(_stacked(tables), SCORES)
    out.meta.update(verdict="; ".join(told) + ".", task="retrieval", simulated=samples.simulated)
    return out


def _sentence(name: str, table: "Table", metric: str, it: Tested, served: str, several: bool) -> str:
    row = next(r for r in table if r["run"] == name and r["metric"] == metric)
    said = f"{metric.replace('_', ' ')} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}] on {len(it.truth)} samples."
    return " ".join([f"{name}: {said}" if several else said[0].upper() + said[1:], *([served] if served else [])])
