"""What each of the lecture's systems reaches here, on the rows at hand, beside its reference recomputed on the same rows and the published value.

One module a system in ``benchmarks/systems/``, with ``measure(quick)``, a generator of `Number`s. A full run writes
``astrofuse_lab/recipes/measured/<key>.json`` with commit, date and machine, which ``af.list_systems()`` shows; ``--quick`` writes nothing unless
``--keep`` is given, and then says that it was quick.

    python benchmarks/systems.py [KEY ...] [--quick] [--keep] [--json]
"""

import argparse
import importlib
import json
import math
import os
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

from reporting import Line, commit, machine
from systems_parts import Number

from astrofuse_lab.recipes.catalogue import KEYS
from astrofuse_lab.recipes.systems import MEASURED


def measured(key: str, quick: bool, show: Any) -> dict[str, Any]:
    """All numbers of a system, with where and when."""
    begin, numbers = time.perf_counter(), []
    for number in importlib.import_module(f"systems.{key}").measure(quick):
        assert isinstance(number, Number)
        show(number)
        numbers.append(number.to_json())
    return {
        "key": key, "commit": commit(), "date": datetime.now(UTC).date().isoformat(), "machine": machine(), "quick": quick,
        "seconds": round(time.perf_counter() - begin, 1), "numbers": numbers,
    }  # fmt: skip


def keep(key: str, data: dict[str, Any]) -> None:
    """Write them, all or nothing."""
    MEASURED.mkdir(exist_ok=True)
    part = MEASURED / f"{key}.partial"
    part.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n")
    os.replace(part, MEASURED / f"{key}.json")


def show(key: str, as_json: bool, number: Number) -> None:
    """One number, as a line of text or as JSON."""
    if as_json:
        Line(f"{key}: {number}", number.reference_name, not number.below, math.nan, math.nan, math.nan, math.nan).print()
    else:
        print(f"{key}: {number}", flush=True)


def main() -> int:
    """The command; 1 if a number is below its reference's interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", nargs="*", metavar="KEY", help="default: all")
    parser.add_argument("--quick", action="store_true", help="few objects, epochs and seeds")
    parser.add_argument("--keep", action="store_true", help="write a quick run's numbers too")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    unknown = sorted(set(args.keys) - set(KEYS))
    if unknown:
        parser.error(f"no system {unknown[0]!r}; there are {', '.join(KEYS)}")
    failed = 0
    for key in args.keys or KEYS:
        data = measured(key, args.quick, partial(show, key, args.json))
        failed += sum(bool(one["below"]) for one in data["numbers"])
        if args.keep or not args.quick:
            keep(key, data)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
