"""Periods as ztfperiodic finds them: recovery on EROS-1 and simulated curves, aliases on Catalina and ZTF curves, and light curves a second beside peers.

The truth of EROS-1 is period_raw / div_period, both of its table: div_period is a person's note and never an input; nothing is learned here, so there is no test part.
Intervals are bootstrapped over stars.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from systems_parts import Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.alignment.representations import folded_statistics
from astrofuse_lab.alignment.representations.common import Epochs
from astrofuse_lab.alignment.representations.period_search import RELATIONS, TERRESTRIAL, Search, aliased, found, relation
from astrofuse_lab.alignment.representations.periods import grid, together

METHODS = ("nested", "conditional_entropy", "aov", "lomb_scargle")
SHAPES = ("sinusoid", "sawtooth", "two unlike eclipses")
EACH, QUICK_EACH = 200, 40
SHORTEST, LONGEST = 0.2, 1000.0


def measure(quick: bool) -> Iterator[Number]:
    """All numbers."""
    each = QUICK_EACH if quick else EACH
    yield from recovery(each)
    yield from simulated(each)
    yield from aliases(each)
    yield from speeds(10 if quick else 100)


def recovery(each: int) -> Iterator[Number]:
    """EROS-1, class by class."""
    samples = af.load_samples("eros1-variables", progress=False)
    label, rng = np.asarray(samples.column("label").data), np.random.default_rng(0)
    raw, divide = (np.ma.filled(samples.column(name).astype(float), np.nan) for name in ("period_raw", "div_period"))
    for one in np.unique(label):
        pick = np.sort(rng.permutation(np.flatnonzero((label == one) & (raw > 0) & (divide > 0)))[:each])
        got = together(samples.take(pick).arrays("light_curve"))
        yield from compared(got, raw[pick] / divide[pick], f"eros1-variables, {one}, both bands", f"{one}")


def compared(got: Epochs, truth: Any, data: str, of: str) -> Iterator[Number]:
    """Shares of recovered periods by each method, beside those of Lomb-Scargle on the same curves."""
    length = lengths(got)
    said = {method: relation(found(got, Search(method, SHORTEST, LONGEST))[0], truth, length) for method in METHODS}
    theirs = said["lomb_scargle"] == "same"
    share = lambda _, right: float(right.mean())  # noqa: E731
    for method in METHODS:
        right = said[method] == "same"
        rest = ", ".join(f"{name} {(said[method] == name).mean():.2f}" for name in RELATIONS[1:])
        beside: dict[str, Any] = {}
        if method != "lomb_scargle":
            beside = {"reference_name": "lomb_scargle", "reference": float(theirs.mean()), "difference": paired(share, right, right, theirs)}
        yield Number(f"periods recovered, {of}, {method}", float(right.mean()), *interval(share, right, right), n=len(right), data=data, note=rest, **beside)


def lengths(got: Epochs) -> Any:
    """Days from first to last epoch of each curve."""
    return np.array([got.time[e - 1] - got.time[b] if e > b else np.nan for b, e in zip(got.offsets[:-1], got.offsets[1:], strict=True)])


def simulated(each: int) -> Iterator[Number]:
    """Nightly curves of 150 epochs in 900 days, three shapes, periods of 0.3 to 30 days."""
    rng = np.random.default_rng(1)
    for shape in range(len(SHAPES)):
        truth = 10 ** rng.uniform(np.log10(0.3), np.log10(30), each)
        parts = [drawn(rng, period, shape) for period in truth]
        got = Epochs(*(np.concatenate([part[k] for part in parts]) for k in range(3)), np.arange(each + 1) * len(parts[0][0]))
        yield from compared(got, truth, "simulated, 150 nightly epochs in 900 d, S/N 10", f"simulated {SHAPES[shape]}")


def drawn(rng: np.random.Generator, period: float, shape: int, n: int = 150) -> tuple[Any, Any, Any]:
    """Times within hours of one another each night, and magnitudes of amplitude 0.3 with errors of 0.03."""
    moment = np.sort(rng.choice(900, n, replace=False) + rng.normal(0.4, 0.1, n))
    phase = (moment / period + rng.uniform()) % 1
    if shape == 2:
        made = 0.3 * np.exp(-(((phase - 0.5) / 0.05) ** 2)) + 0.15 * sum(np.exp(-(((phase - at) / 0.05) ** 2)) for at in (0, 1))
    else:
        made = 0.3 * phase if shape else 0.15 * np.sin(2 * np.pi * phase)
    error = np.full(n, 0.03)
    return moment, 15 + made + error * rng.normal(size=n), error


def aliases(each: int) -> Iterator[Number]:
    """How often periods are ones that nights make, where no truth is known."""
    for name, fewest in (("crts-variables", 50), ("ztf-sources", 50)):
        samples = af.load_samples(name, progress=False)
        enough = np.flatnonzero(np.ma.filled(samples.column("epochs"), 0) >= fewest)
        pick = np.sort(np.random.default_rng(2).permutation(enough)[: 3 * each])
        got = together(samples.take(pick).arrays("light_curve"))
        length = lengths(got)
        random = 1 / np.random.default_rng(3).uniform(1 / LONGEST, 1 / SHORTEST, 20_000)
        chance = float(aliased(random, float(np.median(length))).mean())
        for method in ("nested", "lomb_scargle"):
            for what, masked in (("", ()), (", terrestrial frequencies masked", TERRESTRIAL)):
                begin = time.perf_counter()
                period, _ = found(got, Search(method, SHORTEST, LONGEST, fewest=fewest, masked=masked))
                rate = len(pick) / (time.perf_counter() - begin)
                near = aliased(period, length)[np.isfinite(period)]
                share = lambda _, one: float(one.mean())  # noqa: E731
                yield Number(
                    f"periods that nights make, {method}{what}", float(near.mean()), *interval(share, near, near), n=len(near), data=f"{name}, {fewest} epochs or more", reference_name="by chance",
                    reference=chance, note=f"no truth is known; {rate:.0f} light curves/s",
                )  # fmt: skip


def speeds(n: int) -> Iterator[Number]:
    """Light curves a second on one core; and the entropy beside its formula as it is written."""
    rng = np.random.default_rng(4)
    parts = [drawn(rng, 0.7, 1) for _ in range(n)]
    got = Epochs(*(np.concatenate([part[k] for part in parts]) for k in range(3)), np.arange(n + 1) * 150)
    low, step, count = grid(parts[0][0], SHORTEST, LONGEST)
    frequency = low + step * np.arange(count)
    folded_statistics.entropy(parts[0][0], parts[0][1], frequency[:10])  # compiled before the clock starts
    data = f"simulated, 150 epochs, {count} frequencies"
    ours, made = timed(lambda: np.array([folded_statistics.entropy(t - t[0], v, frequency) for t, v, _ in parts]))
    some = frequency[:: max(1, count // 60)]
    seconds, literal = timed(lambda: literal_entropy(parts[0][0] - parts[0][0][0], parts[0][1], some))
    error = float(np.abs(made[0, :: max(1, count // 60)] - literal).max())
    yield Number("conditional entropy, largest difference from the literal loop", error, n=len(some), data=data, note="nats; 1e-6 is asked for")
    theirs = len(some) / count / seconds
    yield Number("light curves/s, conditional entropy", n / ours, n=n, data=data, reference_name="literal loop (60 frequencies, scaled)", reference=theirs, note=f"ratio {n / ours / theirs:.0f}")
    for method in ("lomb_scargle", "nested"):
        found(got._replace(offsets=got.offsets[:2]), Search(method, SHORTEST, LONGEST, turns=0.0))
        ours, _ = timed(lambda method=method: found(got, Search(method, SHORTEST, LONGEST, turns=0.0)))
        peers = {"nifty-ls": nifty, "astropy LombScargle, fast": astropy} if method == "lomb_scargle" else {}
        for name, peer in (peers or {"": None}).items():
            theirs = n / timed(lambda peer=peer: [peer(*part, frequency) for part in parts])[0] if peer else None
            note = f"ratio {n / ours / theirs:.2f}, one core" if theirs else "one core; published about 1 s a light curve on other hardware and far more frequencies"
            yield Number(f"light curves/s, {method}", n / ours, n=n, data=data, reference_name=name, reference=theirs, note=note)


def timed(work: Any) -> tuple[float, Any]:
    """Seconds of the faster of two runs, and what came of it."""
    took = []
    for _ in range(2):
        begin = time.perf_counter()
        made = work()
        took.append(time.perf_counter() - begin)
    return min(took), made


def nifty(moment: Any, value: Any, error: Any, frequency: Any) -> float:
    """nifty-ls as its documentation has it."""
    import nifty_ls

    made = nifty_ls.lombscargle(moment, value, error, fmin=frequency[0], fmax=frequency[-1], Nf=len(frequency)).power
    return float(frequency[np.argmax(made)])


def astropy(moment: Any, value: Any, error: Any, frequency: Any) -> float:
    """astropy's fast method."""
    from astropy.timeseries import LombScargle

    return float(frequency[np.argmax(LombScargle(moment, value, error).power(frequency, method="fast", assume_regular_frequency=True))])


def literal_entropy(moment: Any, value: Any, frequency: Any, phases: int = 20, levels: int = 10) -> Any:
    """Graham et al. 2013, eq. 3, cell by cell."""
    level = np.minimum((value - value.min()) / np.ptp(value) * levels, levels - 1).astype(int)
    out = []
    for one in frequency:
        counts = [[0] * levels for _ in range(phases)]
        for t, m in zip(moment, level, strict=True):
            counts[min(int((t * one) % 1 * phases), phases - 1)][m] += 1
        total = 0.0
        for column in counts:
            for count in column:
                if count:
                    total += count / len(moment) * np.log(sum(column) / count)
        out.append(total)
    return np.array(out)
