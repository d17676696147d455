"""Full counts and all real-data checks, part by part: what `make prove` runs.

Each part writes ``benchmarks/results/prove-<part>.json`` with commit, date, machine and outcome. A part that already has a
passing result for this commit is not run again, unless it skipped real data that are there now. The last line names every
real-data check that was skipped.
"""

import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reporting import RESULTS, ROOT, commit, machine

MIRROR = os.environ.get("ASTROFUSE_MIRROR", str(ROOT.parent / "shared" / "data"))
PYTEST = [sys.executable, "-m", "pytest", "-q", "-rs", "-m", "not remote", "--hypothesis-profile=default"]
PARTS = {
    "fast": [*PYTEST[:-1], "not remote and not slow and not browser and not real", "tests"],
    "slow": [*PYTEST[:-1], "slow and not remote", "tests"],
    "real": [*PYTEST[:-1], "real and not remote", "tests"],
    "browser": [*PYTEST[:-1], "browser", "tests"],
    "notebooks": [sys.executable, "-m", "pytest", "-q", "-rs", "--nbmake", "--nbmake-timeout=900", "notebooks"],
    "course": [sys.executable, "benchmarks/notebooks.py"],
    "import-time": [sys.executable, "benchmarks/import_time.py"],
    "practice-sky": [sys.executable, "benchmarks/practice_sky.py"],
    "fetching": [sys.executable, "benchmarks/fetching.py"],
    "aligning": [sys.executable, "benchmarks/align.py"],
    "crts-trees": [sys.executable, "benchmarks/crts_trees.py"],
    "training": [sys.executable, "benchmarks/train.py"],
    "fusing": [sys.executable, "benchmarks/fuse.py"],
    "fusion-levels": [sys.executable, "benchmarks/fusion_levels.py"],
    "explaining": [sys.executable, "benchmarks/explain.py"],
    "explaining-modalities": [sys.executable, "benchmarks/explain_modalities.py"],
    "embedding": [sys.executable, "benchmarks/embed.py"],
    "real-sets": [sys.executable, "benchmarks/real_sets.py"],
    "systems": [sys.executable, "benchmarks/systems.py"],
    "lime-shap": [sys.executable, "benchmarks/lime_shap.py"],
    "planted": [sys.executable, "benchmarks/planted.py"],
    "map": [sys.executable, "benchmarks/map.py"],
    "ztf-alerts": [sys.executable, "benchmarks/ztf_alerts.py"],
    "classroom-load": [sys.executable, "benchmarks/classroom_load.py"],
    "binder": [sys.executable, ".ci/check-binder.py", "--json", "benchmarks/results/binder-memory.json"],
}


def there() -> bool:
    """Whether the mirror of real data is there."""
    return os.path.isdir(os.path.join(MIRROR, "ztf_alerts"))


def run(part: str, command: list[str]) -> dict[str, Any]:
    """Run one part, show its output as it comes, and keep what was skipped."""
    begin, measured = time.time(), commit()  # of what is run, whatever is committed meanwhile
    env = {**os.environ, "ASTROFUSE_PROVE": "1", **({"ASTROFUSE_MIRROR": MIRROR} if there() else {})}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout or ():
        print(line, end="", flush=True)
        lines.append(line.rstrip())
    code = process.wait()
    skipped = [line for line in lines if re.match(r"skipped\b", line, re.IGNORECASE)]
    if part == "notebooks" and not there():
        skipped.append(f"skipped: real data: notebook 02 ran on the practice sky, there is no ztf_alerts in {MIRROR}")
    return {
        "part": part, "commit": measured, "date": datetime.now(UTC).date().isoformat(), "machine": machine(),
        "passed": code == 0, "seconds": round(time.time() - begin), "skipped": skipped, "last_lines": lines[-30:],
    }  # fmt: skip


def real_data(outcome: dict[str, Any]) -> list[str]:
    """The real-data checks that a part skipped."""
    return [line for line in outcome["skipped"] if "real data" in line]


def done_before(file: Path) -> dict[str, Any] | None:
    """The outcome of an earlier run that need not be repeated: of this very commit, passed, and with all the data there are now."""
    try:
        old: dict[str, Any] = json.loads(file.read_text())
        same = old["passed"] and old["commit"] == commit() and "+changes" not in old["commit"]
        return old if same and not (there() and real_data(old)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # there is none, or it was cut short: run again


def main(wanted: list[str]) -> int:
    unknown = sorted(set(wanted) - set(PARTS))
    if unknown:
        print(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
        return 2
    RESULTS.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for part in wanted or PARTS:
        file = RESULTS / f"prove-{part}.json"
        old = done_before(file)
        if old is not None:
            print(f"{part}: passed before at {old['commit']}; remove {file.relative_to(ROOT)} to run it again")
            outcomes.append(old)
            continue
        print(f"==== {part}", flush=True)
        outcome = run(part, PARTS[part])
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(outcome, indent=1) + "\n")
        partial.replace(file)
        outcomes.append(outcome)
    failed = [o["part"] for o in outcomes if not o["passed"]]
    skipped = [f"{o['part']}: {line}" for o in outcomes for line in real_data(o)]
    others = [f"{o['part']}: {line}" for o in outcomes for line in o["skipped"] if "real data" not in line]
    if others:
        print("skipped for other reasons: " + "; ".join(others))
    print(f"{len(outcomes) - len(failed)} parts passed, {len(failed)} failed{': ' + ', '.join(map(str, failed)) if failed else ''}")
    print("real-data checks skipped: " + ("; ".join(skipped) if skipped else "none"))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
