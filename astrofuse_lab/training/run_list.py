"""``af.list_runs``: the runs below a folder beside each other."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrofuse_lab.errors import AstroFuseError, StorageError
from astrofuse_lab.training.metrics import goodness
from astrofuse_lab.training.run_folder import CHECKPOINTS, _read_json

if TYPE_CHECKING:
    from astropy.table import Table

COLUMNS: dict[str, type] = {
    "name": str, "recipe": str, "target": str, "modalities": str, "part": str, "metric": str, "value": float, "low": float, "high": float, "n": int,
    "seed": int, "seconds": float, "parameters": int, "joules": float, "state": str, "samples": str, "path": str,
}  # fmt: skip
"""Columns of the table, in order."""
DEEPEST = 8


def list_runs(folder: str | Path = ".", metric: str | None = None, part: str | None = None) -> "Table":
    """The runs in and below a folder, the best first.

    Reads the ``run.json`` of each, no weights; a folder that cannot be read is passed over and named in ``meta["skipped"]``. Runs of
    different targets, samples or splits stand in one table, but their figures are not to be compared: `target` and `samples` tell.

    Parameters
    ----------
    folder : path
    metric : str, optional
        As in ``run.metrics``. None: the first that each run measured.
    part : {"test", "validation"}, optional
        None: the test part where a run has one, else the validation part, which chose when to stop and so flatters.

    Returns
    -------
    Table
        One row a run: name (of its folder), recipe, target, modalities, part, metric, value with its 95 % interval low and high, n
        samples, seed, seconds, parameters, joules (NaN where not measured), state (finished, stopped, unfinished), samples, path.
        Unfinished ones have no figures.

    Raises
    ------
    StorageError
        If there is no such folder.
    """
    from astropy.table import Table

    root = Path(folder).expanduser()
    if not root.is_dir():
        raise StorageError(f"{root} is no folder. Give one that holds run folders, as af.train(..., out=...) and run.save(...) make them.")
    rows, skipped = [], []
    for place in _folders(root):
        try:
            rows.append(_row(place, root, metric, part))
        except (AstroFuseError, KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
            skipped.append(f"{place}: {error if isinstance(error, AstroFuseError) else repr(error)}")
    rows.sort(key=_rank)
    table = Table({name: [row[name] for row in rows] for name in COLUMNS}, dtype=list(COLUMNS.values())) if rows else Table(names=list(COLUMNS), dtype=list(COLUMNS.values()))
    table.meta["folder"], table.meta["skipped"] = str(root), skipped
    if len({row["target"] for row in rows}) > 1 or len({row["samples"] for row in rows}) > 1:
        table.meta["note"] = "These runs predict different columns or were made of different samples: their figures are not to be compared."
    return table


def _folders(root: Path) -> Iterator[Path]:
    """Folders that hold a run or an unfinished training; what lies in a run folder (its stages) is part of that run."""
    for at, below, files in os.walk(root, onerror=None, followlinks=False):
        place = Path(at)
        if "run.json" in files or "training.json" in files:
            yield place
            below.clear()
        elif len(place.relative_to(root).parts) >= DEEPEST:
            below.clear()
        else:
            below[:] = sorted(name for name in below if not name.startswith("."))


def _row(place: Path, root: Path, metric: str | None, part: str | None) -> dict[str, Any]:
    name = str(place.relative_to(root)) if place != root else place.resolve().name
    if not (place / "run.json").is_file():
        return {**_nothing(), **_unfinished(place), "name": name, "path": str(place)}
    data = _read_json(place / "run.json", "")
    record, problem = data["record"], data["problem"]
    chosen = _chosen(record["metrics"], metric, part)
    cost = record.get("cost") or {}
    targets = problem.get("targets") or [problem["target"]]
    figures = {key: math.nan if chosen.get(key) is None else float(chosen[key]) for key in ("value", "low", "high")}
    return {
        "name": name, "recipe": str(data["recipe"]["name"]), "target": ", ".join(map(str, targets)), "modalities": ", ".join(map(str, data["modalities"])),
        "part": str(chosen.get("part", "")), "metric": str(chosen.get("metric", "")), **figures, "n": int(chosen.get("n", 0)), "seed": int(record["seed"]),
        "seconds": float(record["seconds"]), "parameters": int(record["parameters"]), "joules": math.nan if cost.get("joules") is None else float(cost["joules"]),
        "state": str(record["state"]), "samples": str(record["samples"]["card"]["name"]), "path": str(place),
    }  # fmt: skip


def _chosen(metrics: list[Mapping[str, Any]], metric: str | None, part: str | None) -> Mapping[str, Any]:
    """The row of a run's metrics that is shown; nothing where it has none such."""
    for side in ("test", "validation") if part is None else (part,):
        for row in metrics:
            if row["part"] == side and metric in (None, row["metric"]) and row["value"] is not None:
                return row
    return {}


def _nothing() -> dict[str, Any]:
    empty: dict[type, Any] = {str: "", float: math.nan, int: 0}
    return {name: empty[kind] for name, kind in COLUMNS.items()}


def _unfinished(place: Path) -> dict[str, Any]:
    """What a training that is not finished tells of itself."""
    import json

    told = json.loads((place / "training.json").read_text())["fingerprint"]
    target = told["target"]
    return {
        "recipe": str(told["recipe"]["name"]), "target": ", ".join(target) if isinstance(target, list) else str(target or ""), "modalities": ", ".join(told["modalities"]),
        "seed": int(told["seed"]), "state": "unfinished" if (place / CHECKPOINTS).is_dir() else "begun",
    }  # fmt: skip


def _rank(row: Mapping[str, Any]) -> tuple[bool, float, str]:
    value = row["value"]
    return math.isnan(value), -float(goodness(row["metric"], value)), row["name"]
