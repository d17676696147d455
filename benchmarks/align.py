"""Aligning beside the tools that do it one object at a time: every ``align_*.py`` of this folder has rows to add.

    python benchmarks/align.py [--quick] [--json] [part ...]

A part is the end of a file's name: ``images`` runs ``align_images.py``. Without parts all are run and, unless ``--quick`` is
given, the lines are kept in ``results/align.json``.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path
from typing import Any

from reporting import Line, save_results

PARTS = sorted(p.stem.removeprefix("align_") for p in Path(__file__).parent.glob("align_*.py"))


def shown(line: Line, plain: bool) -> None:
    """JSON, or one line for a person."""
    if plain:
        line.print()
        return
    wanted = "" if line.goal is None else f", goal {line.goal:g}x"
    says = "equal" if line.equal else "NOT EQUAL"
    print(f"{line.work}\n  beside {line.peer}: {line.seconds:.3g} s, {line.peer_seconds:.3g} s, {line.ratio:.3g}x{wanted}; {says} ({line.error:.2g} of {line.tolerance:g})", flush=True)


def main(arguments: list[str]) -> int:
    """0 if every line is equal to its peer and reaches its goal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="at most 5 minutes on 2 cores")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, nothing else")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.parts) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    kept: list[dict[str, Any]] = []
    passed = True
    for part in given.parts or PARTS:
        for line in importlib.import_module(f"align_{part}").lines(given.quick):
            shown(line, given.json)
            passed &= line.equal and (line.goal is None or line.ratio >= line.goal)
            kept.append(line.to_json())
    if not given.quick and not given.parts:
        save_results("align", {"threads": os.environ.get("OMP_NUM_THREADS", "all"), "lines": kept})
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
