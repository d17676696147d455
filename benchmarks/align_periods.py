"""Period search of 1,000 light curves of 200 epochs, 50,000 frequencies each, beside nifty-ls and astropy's LombScargle in loops.

All get the same frequencies. Compared is where the highest peak lies: ours, which is refined between samples, must round to the peer's
sample. Astropy is timed on some curves and scaled, which its line says. We use nifty-ls, the faster one: what is ours is to use all cores.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from reporting import Line, interleaved

N, EPOCHS, SPAN = 1_000, 200, 2_000.0
SHORTEST, LONGEST = 0.2, 500.0
GOAL = 1.0


def curves(n: int) -> tuple[Any, Any, Any]:
    """Sinusoids with a harmonic, as (curve, epoch)."""
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, SPAN, (n, EPOCHS)), axis=1)
    phase = 2 * np.pi * time / 10 ** rng.uniform(-0.5, 2.5, (n, 1))
    error = rng.uniform(0.02, 0.08, (n, EPOCHS))
    return time, 17 + 0.3 * np.sin(phase) + 0.1 * np.sin(2 * phase + 1) + error * rng.normal(size=(n, EPOCHS)), error


def ours(time: Any, value: Any, error: Any, kept: dict[str, Any]) -> None:
    """All curves end to end."""
    from astrofuse_lab.alignment.representations.common import Epochs
    from astrofuse_lab.alignment.representations.periods import search

    got = Epochs(time.ravel(), value.ravel(), error.ravel(), np.arange(len(time) + 1) * EPOCHS)
    kept["ours"] = 1 / search(got, SHORTEST, LONGEST)[0]


def nifty(time: Any, value: Any, error: Any, kept: dict[str, Any]) -> None:
    """nifty-ls as its documentation has it, curve by curve."""
    import nifty_ls

    from astrofuse_lab.alignment.representations.periods import grid

    found = []
    for t, v, e in zip(time, value, error, strict=True):
        low, step, count = grid(t, SHORTEST, LONGEST)
        power = nifty_ls.lombscargle(t, v, e, fmin=low, fmax=low + step * (count - 1), Nf=count).power
        found.append(low + step * np.argmax(power))
    kept["nifty-ls"] = np.array(found)


def astropy(time: Any, value: Any, error: Any, kept: dict[str, Any]) -> None:
    """astropy's fast method, curve by curve."""
    from astropy.timeseries import LombScargle

    from astrofuse_lab.alignment.representations.periods import grid

    found = []
    for t, v, e in zip(time, value, error, strict=True):
        low, step, count = grid(t, SHORTEST, LONGEST)
        frequency = low + step * np.arange(count)
        found.append(frequency[np.argmax(LombScargle(t, v, e).power(frequency, method="fast", assume_regular_frequency=True))])
    kept["astropy"] = np.array(found)


def lines(quick: bool) -> Iterator[Line]:
    """One line a peer."""
    n, pairs = (100, 1) if quick else (N, 3)
    given = curves(n)
    for name, peer, some in (("nifty-ls", nifty, n), ("astropy", astropy, 5 if quick else 50)):
        kept: dict[str, Any] = {}
        seconds, theirs = interleaved(partial(ours, *given, kept), partial(peer, *(v[:some] for v in given), kept), pairs)
        step = 1 / (np.ptp(given[0][:some], axis=1) * 5)
        off = np.abs(kept["ours"][:some] - kept[name]) / step
        # astropy's own interpolation moves powers by 1e-4: between aliases of one height it may choose another
        same = float((off <= 0.51).mean())
        yield Line(
            work=f"period search of {N} light curves of {EPOCHS} epochs, {SHORTEST} to {LONGEST:g} d ({n} timed; same peak in {100 * same:.2f} %)",
            peer=f"{name}, in a loop ({some} timed and scaled)" if some < n else f"{name}, in a loop", equal=same >= 0.99, error=1 - same, tolerance=0.01,
            seconds=seconds * (N / n), peer_seconds=theirs * (N / some), goal=GOAL,
        )  # fmt: skip
