"""DMDT images of 10,000 light curves of 200 epochs on the edges of Mahabal et al. 2017, beside light-curve's DmDt on all cores.

light-curve is under the GPL: installed by who runs this (pip install light-curve), imported nowhere else. Its edges are given "as is". Its
answer is compared count by count.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from reporting import Line, interleaved

N, EPOCHS = 10_000, 200
GOAL = 1.0


def curves(n: int) -> tuple[Any, Any]:
    """Times over 2,000 days and variable magnitudes, (curve, epoch) each."""
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 2000, (n, EPOCHS)), axis=1)
    phase = time / 10 ** rng.uniform(-0.5, 2.5, (n, 1))
    return time, 17 + 10 ** rng.uniform(-1, 0, (n, 1)) * np.sin(2 * np.pi * phase) + rng.normal(0, 0.05, (n, EPOCHS))


def ours(time: Any, magnitude: Any, edges: Any, kept: dict[str, Any]) -> None:
    """All curves end to end."""
    from astrofuse_lab.alignment.representations.dmdt import counts

    kept["ours"] = counts(time.ravel(), magnitude.ravel(), np.arange(len(time) + 1) * EPOCHS, *edges)


def peer(made: Any, given: list[Any], kept: dict[str, Any]) -> None:
    """The same curves as a list, which is what it takes."""
    kept["peer"] = made.points_many(given, sorted=True)


def lines(quick: bool) -> Iterator[Line]:
    """One line."""
    from astrofuse_lab.alignment.representations.dmdt import EDGES

    try:
        from light_curve import DmDt
    except ImportError as error:
        raise SystemExit("align_dmdt: the peer is not installed. Type: pip install light-curve") from error
    n, pairs = (2_000, 1) if quick else (N, 5)
    time, magnitude = curves(n)
    edges = np.array(EDGES["crts"].dm), np.array(EDGES["crts"].dt)
    made, kept = DmDt(dt=edges[1], dm=edges[0], dt_type="asis", dm_type="asis", norm=[], n_jobs=-1), {}
    given = [(time[i], magnitude[i]) for i in range(n)]
    seconds, theirs = interleaved(partial(ours, time, magnitude, edges, kept), partial(peer, made, given, kept), pairs)
    error = float(np.abs(kept["ours"] - np.asarray(kept["peer"]).transpose(0, 2, 1)).max())
    yield Line(
        work=f"DMDT, 22 x 24, of {N} light curves of {EPOCHS} epochs ({n} timed)", peer="light-curve DmDt.points_many, all cores", equal=error == 0, error=error,
        tolerance=0.0, seconds=seconds * (N / n), peer_seconds=theirs * (N / n), goal=GOAL,
    )  # fmt: skip
