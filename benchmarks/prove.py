"""Full counts and all real-data checks, part by part: what `make prove` runs.

Each part writes ``benchmarks/results/prove-<part>.json`` with commit, date, machine and outcome. A part that already has a
passing result for this commit is not run again. The last line names every real-data check that was skipped.
"""

import json
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
PYTEST = [sys.executable, "-m", "pytest", "-q", "-rs", "-m", "not remote"]
PARTS = {
    "fast": [*PYTEST[:-1], "not remote and not slow and not browser and not real", "tests"],
    "slow": [*PYTEST[:-1], "slow and not remote", "tests"],
    "real": [*PYTEST[:-1], "real and not remote", "tests"],
    "browser": [*PYTEST[:-1], "browser", "tests"],
    "notebooks": [sys.executable, "-m", "pytest", "-q", "-rs", "--nbmake", "--nbmake-timeout=900", "notebooks"],
    "import-time": [sys.executable, "benchmarks/import_time.py"],
    "practice-sky": [sys.executable, "benchmarks/practice_sky.py"],
    "ztf-alerts": [sys.executable, "benchmarks/ztf_alerts.py"],
    "binder": [sys.executable, ".ci/check-binder.py", "--json", "benchmarks/results/binder-memory.json"],
}


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "status", "--porcelain", "--", "astrofuse_lab", "tests", "widgets"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def run(part: str, command: list[str]) -> dict[str, object]:
    """Run one part, show its output as it comes, and keep what was skipped."""
    begin = time.time()
    env = {**os.environ, "ASTROFUSE_PROVE": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout or ():
        print(line, end="", flush=True)
        lines.append(line.rstrip())
    code = process.wait()
    skipped = [line for line in lines if line.startswith("SKIPPED") or re.match(r"skipped:", line, re.IGNORECASE)]
    return {
        "part": part, "commit": commit(), "date": datetime.now(UTC).date().isoformat(), "machine": machine(),
        "passed": code == 0, "seconds": round(time.time() - begin), "skipped": skipped, "last_lines": lines[-30:],
    }  # fmt: skip


def main(wanted: list[str]) -> int:
    RESULTS.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for part in wanted or PARTS:
        file = RESULTS / f"prove-{part}.json"
        if file.exists():
            old = json.loads(file.read_text())
            if old["passed"] and old["commit"] == commit() and "+changes" not in old["commit"]:
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
    skipped = [line for o in outcomes for line in o["skipped"]]
    print(f"{len(outcomes) - len(failed)} parts passed, {len(failed)} failed{': ' + ', '.join(map(str, failed)) if failed else ''}")
    print("real-data checks skipped: " + ("; ".join(skipped) if skipped else "none"))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
