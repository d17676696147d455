"""Opening the door: ``import astrofuse_lab`` in a fresh interpreter, beside ``import astropy.table``.

The claim: under 0.2 s, and none of the heavy libraries is imported by it.

    python benchmarks/import_time.py [--quick] [--json]
"""

import argparse
import json
import statistics
import subprocess
import sys

from reporting import ROOT, Line, save_results

LIMIT = 0.2
PEER = "astropy.table"
HEAVY = ("torch", "panel", "holoviews", "umap", "astroquery", "astropy", "scipy", "pandas")
CODE = """
import json, sys, time
before = set(sys.modules)
begin = time.perf_counter()
import {module}
seconds = time.perf_counter() - begin
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""


def imported(module: str) -> tuple[float, list[str]]:
    """Seconds that one import takes in a new interpreter, and the modules it brings."""
    done = subprocess.run([sys.executable, "-c", CODE.format(module=module)], capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"import {module} failed: {done.stderr.strip().splitlines()[-1]}")
    seconds, modules = json.loads(done.stdout.splitlines()[-1])
    return seconds, modules


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", action="store_true", help="JSON lines alone")
    args = parser.parse_args()
    pairs = [(imported("astrofuse_lab"), imported(PEER)) for _ in range(5 if args.quick else 15)][1:]  # the first one fills the disk cache
    ours, peer = (statistics.median(pair[i][0] for pair in pairs) for i in range(2))
    modules = pairs[0][0][1]
    heavy = sorted({name.split(".")[0] for name in modules} & set(HEAVY))
    good = ours < LIMIT and not heavy
    line = Line(
        work=f"import astrofuse_lab: under {LIMIT} s, none of {', '.join(HEAVY)}", peer=f"import {PEER}", equal=good,
        error=float(len(heavy)), tolerance=0.0, seconds=ours, peer_seconds=peer, goal=1.0,
    )  # fmt: skip
    line.print()
    if not args.json:
        print(f"{len(modules)} modules: {', '.join(modules)}")
    if not args.quick:
        save_results("import_time", {"lines": [line.to_json()], "limit_seconds": LIMIT, "heavy": heavy, "modules": modules})
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
