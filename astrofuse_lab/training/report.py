"""A comparison as a table and a sentence."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.training.metrics import LOWER_IS_BETTER, METRICS, interval, resampled, value, vote

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.training.comparison import Arena, Entrant


def make_table(arena: "Arena", entrants: "list[Entrant]", measure: tuple[str, Any], codes: NDArray[np.int64], one_vote: bool, trees: str) -> "Table":
    """The table that `compare` returns."""
    from astropy.table import Table

    name, metric = measure
    sign = -1 if name in LOWER_IS_BETTER else 1
    values, drawn = {}, {}
    for one in entrants:
        values[one.name], drawn[one.name] = _measured(arena, one.predicted, metric, codes, one_vote)
    fused = entrants[0].name
    rows = []
    for one in entrants:
        low, high = interval(drawn[one.name])
        better, (better_low, better_high) = sign * (values[fused] - values[one.name]), interval(sign * (drawn[fused] - drawn[one.name]))
        if one.name == fused:
            better = better_low = better_high = np.nan
        rows.append({
            "model": one.name, "modalities": " + ".join(one.modalities), "metric": name, "value": values[one.name], "low": low, "high": high,
            "difference": better, "difference_low": better_low, "difference_high": better_high, "parameters": one.parameters, "seconds": one.seconds,
        })  # fmt: skip
    table = Table(rows=rows)
    for column in ("value", "low", "high", "difference", "difference_low", "difference_high"):
        table[column].info.format = "%.3f"
    table["seconds"].info.format = "%.1f"
    test = arena.tested()
    table.meta.update(
        verdict=verdict(table), trees=f"{trees} of scikit-learn on summary features", recipe=arena.recipe.name, target=arena.problem.target,
        classes=list(arena.problem.classes), test_samples=len(test), test_groups=len(np.unique(codes[test])), splits=len(arena.splits),
        seeds=len(entrants[0].predicted), one_vote=one_vote, simulated=arena.samples.simulated, ids=arena.samples.object_ids[test].tolist(),
        truth=arena.truth[test], predictions={one.name: [p[test] for p in one.predicted] for one in entrants},
    )  # fmt: skip
    table.meta["all_metrics"] = _all_metrics(arena, entrants, codes, one_vote)
    if arena.subsets:
        table.meta["subsets"] = _subsets(arena, measure, codes, one_vote)
    return table


def _tested(arena: "Arena", predicted: NDArray[Any], codes: NDArray[np.int64], one_vote: bool) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Truth, prediction and group of what was tested."""
    test = arena.tested()
    rows = arena.truth[test], predicted[test], codes[test]
    return vote(*rows) if one_vote else rows


def _measured(arena: "Arena", predicted: list[NDArray[Any]], metric: Any, codes: NDArray[np.int64], one_vote: bool) -> tuple[float, NDArray[Any]]:
    """The mean over seeds of a metric, and the same in each resample; the resamples are the same for every row."""
    each = [_tested(arena, one, codes, one_vote) for one in predicted]
    drawn = [resampled(metric, *rows, arena.resamples) for rows in each]
    return float(np.mean([value(metric, *rows[:2]) for rows in each])), np.mean(drawn, axis=0)


def _all_metrics(arena: "Arena", entrants: "list[Entrant]", codes: NDArray[np.int64], one_vote: bool) -> "Table":
    """Every metric of every row, without intervals."""
    from astropy.table import Table

    rows = []
    for one in entrants:
        each = [_tested(arena, predicted, codes, one_vote)[:2] for predicted in one.predicted]
        rows.append({"model": one.name, **{n: float(np.mean([value(m, *pair) for pair in each])) for n, m in METRICS[arena.problem.task].items()}})
    return Table(rows=rows)


def _subsets(arena: "Arena", measure: tuple[str, Any], codes: NDArray[np.int64], one_vote: bool) -> "Table":
    """The fused model on every subset of its modalities."""
    from astropy.table import Table

    name, metric = measure
    rows = []
    for subset, made in arena.subsets.items():
        mean, drawn = _measured(arena, made, metric, codes, one_vote)
        low, high = interval(drawn)
        rows.append({"modalities": subset, "metric": name, "value": mean, "low": low, "high": high})
    table = Table(rows=rows)
    for column in ("value", "low", "high"):
        table[column].info.format = "%.3f"
    return table


def verdict(table: "Table") -> str:
    """What the table shows, in words: fused against the best single modality and against the trees."""
    metric, rows = str(table["metric"][0]).replace("_", " "), {str(r["model"]): r for r in table}
    fused = rows.pop("fused")
    told = [f"Fused reaches {metric} {fused['value']:.3f} [{fused['low']:.3f}, {fused['high']:.3f}]"]
    singles = [r for name, r in rows.items() if "+" not in str(r["modalities"]) and r["modalities"] and ":" not in name and name != "trees"]
    if singles:
        best = min(singles, key=lambda r: float(r["difference"]))
        told.append(_sentence(best, f"the best single modality, {best['model']}"))
    told.append(_sentence(rows["trees"], "the trees"))
    return ", ".join(told) + "."


def _sentence(row: Any, name: str) -> str:
    span = f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
    if row["difference_low"] > 0:
        return f"better than {name} ({span})"
    if row["difference_high"] < 0:
        return f"worse than {name} ({span})"
    return f"no different from {name} as far as these samples can tell ({span})"
