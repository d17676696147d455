"""A benchmark's leaderboard: one file of JSON lines in a folder that anyone may append a checked entry to.

::

    <folder>/<benchmark>.jsonl              one entry a line; only ever appended to
    <folder>/<benchmark>/<digest>.csv       the predictions behind it, so that anyone can score them again

A line says what was measured; `leaderboard` measures the predictions again and marks a line whose numbers are others.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.storage import storage_errors, write_bytes
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.benchmark_results import Result
from astrofuse_lab.training.report import SCORES, formatted

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.training.benchmarks import Benchmark
    from astrofuse_lab.training.run import Run

LARGEST = 64 * 1024**2
"""Bytes of a leaderboard or of predictions; more is no such file."""
SAME = 1e-6
"""By how much a score measured again may differ."""


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes
    ----------
    benchmark, digest, kind, name : str
        As of `Result`.
    scores : mapping of str to sequence
        value, low, high; None where undefined.
    predictions : str
        sha256 of the predictions' file.
    date : str
        UTC.
    note : str
    about : mapping
    checked : sequence of str
    """

    benchmark: str
    digest: str
    kind: str
    name: str
    scores: Mapping[str, Any]
    predictions: str
    date: str
    note: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    checked: tuple[str, ...] = ()


def enter(benchmark: "Benchmark", given: "Run | Table | Result", folder: str | Path, name: str = "", note: str = "") -> Entry:
    """Check a run, or predictions, and append one line.

    Parameters
    ----------
    benchmark : Benchmark
    given : Run, Table or Result
        A Result is scored again from its predictions.
    folder : path
        Of the leaderboards; made where it does not exist.
    name, note : str
        The name is unique on the board.

    Raises
    ------
    InputError
        As of `Benchmark.score`; for a name or predictions that are there already; for a Result of another benchmark.
    StorageError
        If the folder cannot be written.
    """
    if isinstance(given, Result):
        if (given.benchmark, given.digest) != (benchmark.name, benchmark.digest):
            raise InputError(f"this result is of {given.benchmark!r}, digest {given.digest}; {benchmark.name!r} has digest {benchmark.digest}.")
        again = benchmark.score(given.predictions, name or given.name)
        result = Result(benchmark.name, again.digest, given.kind, again.name, again.scores, again.predictions, given.about, given.checked)
    else:
        result = benchmark.score(given, name)
    content = _csv(result.predictions)
    digest = hashlib.sha256(content).hexdigest()
    board = board_of(benchmark, folder)
    for other in entries(benchmark, folder):
        if other.name == result.name or other.predictions == digest:
            what = "the name" if other.name == result.name else "the same predictions, as"
            raise InputError(f"{board} has {what} {other.name!r} already. Give another name=; an entry is never replaced.")
    scores = {metric: [float(v) if np.isfinite(v) else None for v in three] for metric, three in result.scores.items()}
    made = Entry(
        benchmark.name, result.digest, result.kind, result.name, scores, digest, datetime.now(UTC).isoformat(timespec="seconds"), note, dict(result.about), result.checked,
    )  # fmt: skip
    write_bytes(board.with_suffix("") / f"{digest[:16]}.csv", content)
    line = (json.dumps(asdict(made), allow_nan=False) + "\n").encode()
    with storage_errors(board):
        # one write at the end of the file: two people who enter at once both come in whole
        handle = os.open(board, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)
    return made


def board_of(benchmark: "Benchmark", folder: str | Path) -> Path:
    """The file of a benchmark's leaderboard."""
    return Path(folder).expanduser() / f"{benchmark.name.replace('/', '_')}.jsonl"


def entries(benchmark: "Benchmark", folder: str | Path) -> list[Entry]:
    """The lines of a leaderboard, in order; a folder without one has none.

    Raises
    ------
    StorageError
        If the file is no leaderboard.
    """
    board = board_of(benchmark, folder)
    if not board.is_file():
        return []
    if board.stat().st_size > LARGEST:
        raise StorageError(f"{board} has {board.stat().st_size} bytes, more than any leaderboard. It is damaged or hostile.")
    out = []
    for number, line in enumerate(board.read_text(errors="replace").splitlines(), 1):
        try:
            data = json.loads(line)
            one = Entry(**{**data, "checked": tuple(map(str, data.get("checked", ())))})
            if not all(isinstance(v, str) for v in (one.benchmark, one.digest, one.kind, one.name, one.predictions)) or one.benchmark != benchmark.name:
                raise TypeError("another benchmark's")
            {metric: tuple(None if v is None else float(v) for v in three) for metric, three in one.scores.items()}
            int(one.predictions, 16)  # it becomes part of a path
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise StorageError(f"{board}, line {number}, is no entry of {benchmark.name!r} ({error}). Take the line out, or restore the file from a copy.") from error
        out.append(one)
    return out


def leaderboard(benchmark: "Benchmark", folder: str | Path | None, baselines: bool, recheck: bool) -> "Table":
    """The entries of a folder and the baselines as they come out now, the best first.

    Parameters
    ----------
    benchmark : Benchmark
    folder : path or None
        None: the baselines alone.
    baselines : bool
    recheck : bool
        Measure the entries' predictions again.

    Returns
    -------
    Table
        name, kind, metric, value, low, high, further metrics, checked (``same``: measured again with the same outcome; ``differs``;
        ``no predictions``; ``other samples``: of another digest, so that it cannot be compared; ``not checked``), date, note.
    """
    from astropy.table import Table

    rows = [_row(benchmark, one, _state(benchmark, one, Path(folder), recheck)) for one in (entries(benchmark, folder) if folder is not None else [])]  # type: ignore[arg-type]
    for result in benchmark.baselines() if baselines else []:
        made = Entry(benchmark.name, result.digest, result.kind, result.name, result.scores, "", "")
        rows.append(_row(benchmark, made, "same"))
    if not rows:
        raise InputError(f"{folder} has no entry of {benchmark.name!r} yet; benchmark.enter(run, folder) makes one, baselines=True shows what there is to beat.")
    first = benchmark.metrics[0]
    rows.sort(key=lambda row: (row["checked"] in ("other samples", "differs"), -np.nan_to_num(M.goodness(first, row["value"]), nan=-np.inf)))
    table = formatted(Table(rows=rows), [*SCORES, *benchmark.metrics[1:]])
    table.meta.update(benchmark=benchmark.name, digest=benchmark.digest, title=benchmark.entry.title, simulated=benchmark.samples().simulated, notes=list(benchmark.entry.notes))
    return table


def _row(benchmark: "Benchmark", one: Entry, state: str) -> dict[str, Any]:
    def number(metric: str, i: int) -> float:
        value = (one.scores.get(metric) or (None,) * 3)[i]
        return float("nan") if value is None else float(value)

    first = benchmark.metrics[0]
    return {
        "name": one.name, "kind": one.kind, "metric": first, **{what: number(first, i) for i, what in enumerate(SCORES)},
        **{metric: number(metric, 0) for metric in benchmark.metrics[1:]}, "checked": state, "date": one.date, "note": one.note,
    }  # fmt: skip


def _state(benchmark: "Benchmark", one: Entry, folder: Path, recheck: bool) -> str:
    if one.digest != benchmark.digest:
        return "other samples"
    if not recheck:
        return "not checked"
    file = board_of(benchmark, folder).with_suffix("") / f"{one.predictions[:16]}.csv"
    if not file.is_file() or file.stat().st_size > LARGEST:
        return "no predictions"
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != one.predictions:
        return "differs"
    try:
        again = benchmark.score(read_predictions(content.decode()), one.name, resamples=2)
    except (InputError, ValueError):
        return "differs"
    told = {metric: one.scores[metric][0] for metric in benchmark.metrics if metric in one.scores}
    same = all(abs(again.scores[m][0] - v) < SAME if v is not None else np.isnan(again.scores[m][0]) for m, v in told.items())
    return "same" if same and benchmark.metrics[0] in told else "differs"


def _csv(table: "Table") -> bytes:
    """Predictions as text that reads back to the same numbers."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.colnames)
    for row in table:
        writer.writerow([repr(float(v)) if name != "object_id" else str(v) for name, v in zip(table.colnames, row, strict=True)])
    return out.getvalue().encode()


def read_predictions(text: str) -> "Table":
    """Such text as a table; numbers that are none raise ValueError."""
    from astropy.table import Table

    rows = list(csv.reader(io.StringIO(text)))
    header, body = rows[0], rows[1:]
    if any(len(row) != len(header) for row in body) or "object_id" not in header:
        raise ValueError("rows of different length, or no object_id")
    columns = dict(zip(header, zip(*body, strict=True), strict=True)) if body else dict.fromkeys(header, ())
    return Table({name: np.array(values, dtype=str if name == "object_id" else float) for name, values in columns.items()})
