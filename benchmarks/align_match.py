"""Cross-match of 10^6 x 10^6 sources over the whole sky within 1 arcsec: beside astropy, and beside LSDB on the same machine.

The second list is the first, shuffled and scattered by 0.3 arcsec; a tenth of it lies elsewhere. LSDB runs in a process of its
own, of the interpreter named by ASTROFUSE_LSDB where it is not installed beside this project (it brings 20 packages); its
catalogues are partitioned, with a margin, before the clock starts, and Dask
uses threads on all cores, as it does when left alone: nothing is copied between processes.
"""

import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from reporting import Line, interleaved

N, QUICK = 1_000_000, 1_000_000
RADIUS, SCATTER = 1.0, 0.3
LSDB = '''
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import lsdb, numpy as np, pandas as pd
made = []
for name in "ab":
    ra, dec = np.load(sys.argv[1] + "/" + name + ".npy")
    made.append(lsdb.from_dataframe(pd.DataFrame({"ra": ra, "dec": dec, "row": np.arange(len(ra))}), margin_threshold=10.0))
print(json.dumps({"version": lsdb.__version__}), flush=True)
for line in sys.stdin:
    begin = time.perf_counter()
    found = made[0].crossmatch(made[1], radius_arcsec=1.0, n_neighbors=1, suffixes=("_a", "_b"), suffix_method="all_columns", log_changes=False).compute(progress_bar=False)
    seconds = time.perf_counter() - begin
    np.save(sys.argv[1] + "/found.npy", np.stack([found["row_a"].to_numpy(np.int64), found["row_b"].to_numpy(np.int64)]))
    print(json.dumps({"seconds": seconds}), flush=True)
'''


def sources(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two lists of positions, (2, n) each, deg."""
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    away = rng.normal(0, SCATTER / 3600, (2, n))
    lon, lat = ra + away[0] / np.cos(np.radians(dec)), np.clip(dec + away[1], -90, 90)
    other = rng.random(n) < 0.1
    lon[other] = rng.uniform(0, 360, other.sum())
    mixed = rng.permutation(n)
    return np.stack([ra, dec]), np.stack([lon % 360, lat])[:, mixed]


def compared(row: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """How many left rows have another partner, or one where there is none."""
    other = np.full(len(row), -1)
    other[left] = right
    return float(np.sum(row != other))


def lines(quick: bool) -> Iterator[Line]:
    """Both rows."""
    from astropy.coordinates import SkyCoord

    from astrofuse_lab.alignment import match

    one, two = sources(QUICK if quick else N)
    said: dict[str, Any] = {}

    def ours() -> None:
        said["ours"] = match.nearest(*one, *two, RADIUS)

    def astropy() -> None:
        said["astropy"] = SkyCoord(*one, unit="deg").match_to_catalog_sky(SkyCoord(*two, unit="deg"))[:2]

    seconds, peer = interleaved(ours, astropy, pairs=2 if quick else 5)
    row, angle = said["astropy"]
    left = np.flatnonzero(angle.arcsec <= RADIUS)
    error = compared(said["ours"].row, left, np.asarray(row)[left])
    work = f"cross-match {one.shape[1]:,} x {two.shape[1]:,} sources within 1 arcsec"
    yield Line(work, "astropy match_to_catalog_sky", error == 0, error, 0.0, seconds, peer, goal=3.0)
    yield beside_lsdb(work, one, two, ours, said, 2 if quick else 5)


def beside_lsdb(work: str, one: np.ndarray, two: np.ndarray, ours: Callable[[], None], said: dict[str, Any], pairs: int) -> Line:
    """The row of LSDB; where it is not installed, a row that is not equal."""
    python = os.environ.get("ASTROFUSE_LSDB") or (sys.executable if importlib.util.find_spec("lsdb") else "")
    if not python:
        return Line(work, "LSDB (not installed: pip install lsdb, or set ASTROFUSE_LSDB to a Python that has it)", False, math.nan, 0.0, math.nan, math.nan, goal=1.0)
    times: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/a.npy", one)
        np.save(f"{folder}/b.npy", two)
        with subprocess.Popen([python, "-c", LSDB, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdin is not None and child.stdout is not None
            version = json.loads(child.stdout.readline())["version"]
            for turn in range(pairs + 1):
                begin = time.perf_counter()
                ours()
                took = time.perf_counter() - begin
                child.stdin.write("go\n")
                child.stdin.flush()
                told = json.loads(child.stdout.readline())["seconds"]
                if turn:
                    times[0].append(took)
                    times[1].append(told)
            child.stdin.close()
        error = compared(said["ours"].row, *np.load(Path(folder) / "found.npy"))
    return Line(work, f"LSDB {version} crossmatch, partitioned beforehand", error == 0, error, 0.0, statistics.median(times[0]), statistics.median(times[1]), goal=1.0)
