"""How every benchmark reports: one JSON object a line beside a peer timed in the same run, and dated tables in ``results/``."""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
MEASURED = ("astrofuse_lab", "benchmarks/*.py", "tests", "notebooks", "widgets", "binder", ".ci", "Makefile", "pyproject.toml", "constraints.txt")
"""What a result is a result of."""


def machine() -> str:
    """What the figures were measured on."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def commit() -> str:
    """The commit at hand, marked where the code differs from it."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "status", "--porcelain", "--", *MEASURED], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


@dataclass(frozen=True)
class Line:
    """One claim beside its peer.

    Attributes
    ----------
    work, peer : str
        What was done, and by what else.
    equal : bool
        Whether both gave the same, to `tolerance`; where answers cannot be compared, whether the claim's condition holds.
    error, tolerance : float
        Largest difference found, and allowed.
    seconds, peer_seconds : float
        Median time of each, of interleaved pairs.
    goal : float, optional
        The `ratio` aimed at.
    ratio : float
        The peer's time over ours: higher is better.
    """

    work: str
    peer: str
    equal: bool
    error: float
    tolerance: float
    seconds: float
    peer_seconds: float
    goal: float | None = None
    machine: str = field(default_factory=machine)

    @property
    def ratio(self) -> float:
        """The peer's time over ours."""
        return self.peer_seconds / self.seconds if self.seconds > 0 else math.inf

    def to_json(self) -> dict[str, Any]:
        """The fields in their usual order, numbers to four figures, NaN and infinity as null."""
        values = {**asdict(self), "ratio": self.ratio}
        order = ("work", "peer", "equal", "error", "tolerance", "seconds", "peer_seconds", "ratio", "goal", "machine")
        return {name: _plain(values[name]) for name in order}

    def print(self) -> None:
        """One JSON object on one line."""
        print(json.dumps(self.to_json(), allow_nan=False), flush=True)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value


def interleaved(ours: Callable[[], object], peer: Callable[[], object], pairs: int = 5) -> tuple[float, float]:
    """Median seconds of both, run in turns so that a busy machine slows both alike; one untimed pair first."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(pairs + 1):
        for kept, work in zip(times, (ours, peer), strict=True):
            begin = time.perf_counter()
            work()
            if turn:
                kept.append(time.perf_counter() - begin)
    return statistics.median(times[0]), statistics.median(times[1])


def save_results(name: str, data: Mapping[str, Any]) -> Path:
    """Write ``results/<name>.json`` with commit, date and machine, all or nothing."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {"name": name, "commit": commit(), "date": datetime.now(UTC).date().isoformat(), "machine": machine(), **data}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1, allow_nan=False, default=_plain) + "\n")
    os.replace(partial, path)
    return path


def report(name: str, about: str | None, lines: Callable[[bool], Iterator[Line]]) -> int:
    """The command of a benchmark that is a stream of lines: ``--quick`` and ``--json``; a full run is kept in ``results/<name>.json``.

    Returns
    -------
    int
        0 if every line is equal to its peer and reaches its goal.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repeats")
    parser.add_argument("--json", action="store_true", help="JSON lines alone")
    args = parser.parse_args()
    kept, passed = [], True
    for line in lines(args.quick):
        if args.json:
            line.print()
        else:
            equal = "equal" if line.equal else "NOT EQUAL"
            print(f"{line.work}\n  beside {line.peer}: {line.seconds:.4g} s, {line.peer_seconds:.4g} s, {line.ratio:.3g}x; {equal} ({line.error:.2g})", flush=True)
        passed &= line.equal and (line.goal is None or line.ratio >= line.goal)
        kept.append(line.to_json())
    if not args.quick:
        import torch

        save_results(name, {"threads": torch.get_num_threads(), "torch": torch.__version__, "lines": kept})
    return 0 if passed else 1
