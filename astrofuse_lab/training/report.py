"""A comparison as a table and a sentence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.training.metrics import METRICS, goodness, interval, resampled, value, vote
from astrofuse_lab.training.trees import SAYS

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.training.comparison import Arena
    from astrofuse_lab.training.entrants import Entrant

SCORES = ("value", "low", "high")
DIFFERENCES = ("difference", "difference_low", "difference_high")
BASELINES = {"trees": "the trees", "boosting": "gradient boosting", "linear": "the linear model"}
"""Baselines on all modalities, and how a sentence calls them."""


def make_table(
    arena: "Arena", rivals: "list[Entrant]", plain: "list[Entrant]", measure: tuple[str, Any], codes: NDArray[np.int64], one_vote: bool
) -> "Table":
    """The table that `compare` returns."""
    from astropy.table import Table

    rows = [*rivals, *plain]
    name, metric = measure
    values, drawn = {}, {}
    for one in rows:
        values[one.name], drawn[one.name] = _measured(arena, one.predicted, metric, codes, one_vote)
    first = rows[0].name
    table = Table(rows=[
        {
            "model": one.name, "modalities": " + ".join(one.modalities), "metric": name,
            **dict(zip(SCORES, (values[one.name], *interval(drawn[one.name])), strict=True)),
            **dict(zip(DIFFERENCES, _gap(name, values, drawn, first, one.name) if one.name != first else (np.nan,) * 3, strict=True)),
            "parameters": one.parameters, "seconds": one.seconds, "milliseconds": float(np.mean(one.milliseconds)) if one.milliseconds else np.nan,
        }
        for one in rows
    ])  # fmt: skip
    formatted(table, (*SCORES, *DIFFERENCES, "milliseconds"))
    table["seconds"].info.format = "%.1f"
    table["milliseconds"].unit = "ms"
    test = arena.tested()
    kinds = [one.kind for one in plain if one.name == "trees" or one.name in BASELINES]
    told = [verdict(table)]
    operators = _operators(name, values, drawn, rivals)
    if operators is not None:
        table.meta["operators"] = operators
        told.append(_side_by_side(operators))
    table.meta.update(
        verdict=" ".join(t for t in told if t), trees=f"{', '.join(SAYS[k] for k in kinds)} on summary features",
        recipe=rivals[0].recipe.name if rivals[0].recipe else "", target=arena.problem.target,
        classes=list(arena.problem.classes), test_samples=len(test), test_groups=len(np.unique(codes[test])), splits=len(arena.splits),
        seeds=len(rows[0].predicted), one_vote=one_vote, simulated=arena.samples.simulated, ids=arena.samples.object_ids[test].tolist(),
        truth=arena.truth[test], predictions={one.name: [p[test] for p in one.predicted] for one in rows},
    )  # fmt: skip
    table.meta["all_metrics"] = _all_metrics(arena, rows, codes, one_vote)
    if arena.subsets:
        table.meta["subsets"] = _subsets(arena, measure, codes, one_vote)
    return table


def formatted(table: "Table", columns: Sequence[str]) -> "Table":
    """Some columns with three digits."""
    for column in columns:
        table[column].info.format = "%.3f"
    return table


def _gap(metric: str, values: dict[str, float], drawn: dict[str, NDArray[Any]], one: str, other: str) -> tuple[float, float, float]:
    """How much better one row is than another, paired: value and interval."""
    low, high = interval(goodness(metric, drawn[one]) - goodness(metric, drawn[other]))
    return float(goodness(metric, values[one]) - goodness(metric, values[other])), low, high


def _operators(metric: str, values: dict[str, float], drawn: dict[str, NDArray[Any]], rivals: "list[Entrant]") -> "Table | None":
    """Each fused model against the best single modality; None where there is but one modality."""
    from astropy.table import Table

    fused, singles = [one for one in rivals if one.name.split(":")[0] == "fused"], [one for one in rivals if one.modalities == (one.name,)]
    if not singles:
        return None
    best = max(singles, key=lambda one: float(goodness(metric, values[one.name])))
    rows = [
        {
            "model": one.name, **dict(zip(SCORES, (values[one.name], *interval(drawn[one.name])), strict=True)), "single": best.name,
            **dict(zip(DIFFERENCES, _gap(metric, values, drawn, one.name, best.name), strict=True)),
            "parameters": one.parameters, "seconds": one.seconds, "milliseconds": float(np.mean(one.milliseconds)),
        }
        for one in fused
    ]  # fmt: skip
    return formatted(Table(rows=rows), (*SCORES, *DIFFERENCES, "milliseconds"))


def _side_by_side(operators: "Table") -> str:
    """Of several fused models, which are better and which worse than the best single modality."""
    if len(operators) < 2:
        return ""
    names = [str(n).partition(": ")[2] for n in operators["model"]]
    better = [n for n, low in zip(names, operators["difference_low"], strict=True) if low > 0]
    worse = [n for n, high in zip(names, operators["difference_high"], strict=True) if high < 0]
    said = f"Of {len(names)} fused models {len(better)} are better than the best single modality, {operators['single'][0]}"
    said += f" ({', '.join(better)})" if better else ""
    return said + (f", and {len(worse)} worse ({', '.join(worse)})." if worse else ".")


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
    return formatted(Table(rows=rows), SCORES)


# ---- in words --------------------------------------------------------------------------------------------------------


def verdict(table: "Table") -> str:
    """What the table shows, in words: the first fused model against the best single modality, ablations, and the baselines."""
    metric, rows = str(table["metric"][0]).replace("_", " "), {str(r["model"]): r for r in table}
    first = str(table["model"][0])
    fused = rows.pop(first)
    called = "Fused" if first == "fused" else f"Fused ({first.partition(': ')[2]})"
    told = [f"{called} reaches {metric} {fused['value']:.3f} [{fused['low']:.3f}, {fused['high']:.3f}]"]
    singles = [r for name, r in rows.items() if name == str(r["modalities"])]
    advice = ""
    if singles:
        best = min(singles, key=lambda r: float(r["difference"]))
        told.append(_sentence(best, f"the best single modality, {best['model']}"))
        if best["difference_high"] < 0:
            advice = f" Fusing made it worse: {best['model']} alone is the better model here."
    told += [_sentence(rows[name], called) for name, called in BASELINES.items() if name in rows]
    left = [r for name, r in rows.items() if name.startswith(("without ", "plain "))]
    idle = [str(r["model"]) for r in left if not r["difference_low"] > 0]
    if left:
        advice += f" Of {len(left)} ablations, {len(left) - len(idle)} cost something" + (f"; no loss was seen from these: {', '.join(idle)}." if idle else ".")
    return ", ".join(told) + "." + advice


def _sentence(row: Any, name: str) -> str:
    span = f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
    if row["difference_low"] > 0:
        return f"better than {name} ({span})"
    if row["difference_high"] < 0:
        return f"worse than {name} ({span})"
    return f"no different from {name} as far as these samples can tell ({span})"
