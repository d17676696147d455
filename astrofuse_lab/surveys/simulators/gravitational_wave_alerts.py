"""Alerts of compact mergers, simulated: a small BAYESTAR.

What happens to one target
    A merger, or a chance coincidence of noise (a glitch), is seen by two or three of LIGO Hanford, LIGO Livingston and Virgo; from the complex signal-to-noise ratios and
    arrival times alone a map, a distance in each cell, and two Bayes factors are computed, as the alert system does.
Populations
    Neutron stars 1 to 2.5 solar masses, uniform; black holes of NSBH 3 to 30, of BBH 5 to 80, ``m^-2.35`` with a tenth around 34 +- 4 (in the manner of Abbott et al. 2023, PRX 13,
    011048), companions of BBH ``q^1.1`` from 3 on; no spins. Rate constant per comoving volume and source time (flat, H0 67.7, Omega_m 0.31), orientations and positions without preference.
Detectors
    Places and arms of the LIGO and Virgo observatories; the noise curve is the analytic fit of Ajith 2011 (PRD 84, 084037, equation 4.7) for all, scaled to each one's range
    for 1.4 + 1.4 solar masses and the share of time it observes: O3 (Abbott et al. 2021, PRX 11, 021053: 108, 135, 45 Mpc; 71, 76, 76 %) and O4 (about 152, 165, 52 Mpc;
    67, 69, 60 %). Signals end at the light ring, a stand-in for merger and ringdown.
Selection
    At least two observing detectors, of which two above 4, and a network above 8.
Map and distance
    Likelihood of Singer & Price 2016 (PRD 93, 024013, equation 18): each detector's template is weighed by its overlap at the arrival times that a direction implies (a Gaussian of the
    effective bandwidth, widened by the width of a cell), phase and time are profiled, inclination and polarisation are summed over a grid, distance has prior r^2 and is integrated in
    closed form; signal-to-noise ratios are scaled by 0.83, as BAYESTAR does since O2. Per cell, mean and standard deviation of the distance give the ansatz of Singer et al. 2016
    (ApJL 829, L15, `astrofuse_lab.credible_regions`). Cells that the times exclude have probability 0 and no distance (inf, 1, 0).
Bayes factors
    log_bsn: signal against noise, the logarithm of that evidence. log_bci: coherent against incoherent (Veitch & Vecchio 2010, PRD 81, 062003), less the evidence of each detector
    on its own; the mean over orientations of the cube of the response is 2.2648^-3.
Glitches
    The loudest detector has ``rho^-4`` above 5.5, another passes 4 with an exponential tail, both times within the light travel time and 5 ms; phases and templates are random.
Left out
    Spins, precession, higher modes, calibration errors, noise that is not Gaussian but for the glitches, correlated errors of time and phase, one-detector alerts.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from astrofuse_lab import credible_regions
from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.surveys.simulators.simulator import Fields, Simulator
from astrofuse_lab.surveys.survey import Raw

Numbers = NDArray[np.float64]
NSIDE, CELLS = 32, 12288
DETECTORS = ("H1", "L1", "V1")
KINDS = ("Glitch", "BBH", "NSBH", "BNS")
RUNS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "O3": ((108.0, 135.0, 45.0), (0.71, 0.76, 0.76)), "O4": ((152.0, 165.0, 52.0), (0.67, 0.69, 0.60)),
}  # fmt: skip
"""Ranges (Mpc) and duty cycles."""
SITES = np.array([
    (0.81079526383, -2.08405676917, 142.554, 5.65487724844, 4.08408092164),
    (0.53342313506, -1.58430937078, -6.574, 4.40317772346, 2.83238139666),
    (0.76151183984, 0.18333805213, 51.884, 0.33916285222, 5.05155183261),
])  # fmt: skip
"""Latitude, longitude (rad), height (m), azimuths of both arms (rad, clockwise from north): LALDetectors.h, from LIGO-T980044 and VIR-085A-02."""
LIGHT = 299792458.0
REACH = 2.2648
"""Horizon over range of one detector (Finn & Chernoff 1993, PRD 47, 2198)."""
SCALE = 0.83
SINGLE, NETWORK = 4.0, 8.0
LOWEST = 20.0
WINDOW = 0.05
"""Seconds around the event in which its time is equally likely."""
DEEPEST = 18.0
"""Cells whose likelihood cannot come within this of the best are left out."""
MOST = 3000
CANDIDATES = 2000


class Network(NamedTuple):
    """Places (s of light travel), response tensors and BNS horizons (Mpc) of the three detectors."""

    places: Numbers
    tensors: Numbers
    horizons: Numbers


class Triggers(NamedTuple):
    """What the search hands over: complex signal-to-noise ratios and times (s), by detector; horizons (Mpc) and bandwidths (rad / s) of the template."""

    snr: NDArray[np.complex128]
    time: Numbers
    on: NDArray[np.bool_]
    horizons: Numbers
    bandwidth: float


@cache
def network(run: str) -> Network:
    """The detectors during a run."""
    lat, lon, height, *arms = SITES.T
    a, f = 6378137.0, 1 / 298.257223563
    n = a / np.sqrt(1 - f * (2 - f) * np.sin(lat) ** 2)
    place = np.stack([(n + height) * np.cos(lat) * np.cos(lon), (n + height) * np.cos(lat) * np.sin(lon), (n * (1 - f) ** 2 + height) * np.sin(lat)], axis=1)
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=1)
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros(3)], axis=1)
    x, y = (np.cos(arm)[:, None] * north + np.sin(arm)[:, None] * east for arm in arms)
    tensors = 0.5 * (x[:, :, None] * x[:, None, :] - y[:, :, None] * y[:, None, :])
    return Network(place / LIGHT, tensors, REACH * np.array(RUNS[run][0]))


def patterns(directions: Numbers, tensors: Numbers) -> NDArray[np.complex128]:
    """Antenna patterns F+ + i Fx of each detector for polarisation angle 0 (..., detector), for unit vectors (..., 3) towards sources in the frame of the Earth."""
    pole = np.maximum(np.hypot(directions[..., 0], directions[..., 1]), 1e-12)
    east = np.stack([-directions[..., 1] / pole, directions[..., 0] / pole, np.zeros_like(pole)], axis=-1)
    north = np.cross(directions, east)
    right, up = np.einsum("...i,dij->...dj", east, tensors), np.einsum("...i,dij->...dj", north, tensors)
    plus = np.einsum("...dj,...j->...d", right, east) - np.einsum("...dj,...j->...d", up, north)
    return np.asarray(plus + 2j * np.einsum("...dj,...j->...d", right, north))


@cache
def cells() -> Numbers:
    """Unit vectors (cell, 3) of the nested HEALPix grid, equatorial."""
    from astropy_healpix import HEALPix

    lon, lat = (one.to_value("rad") for one in HEALPix(nside=NSIDE, order="nested").healpix_to_lonlat(np.arange(CELLS)))
    return vectors(lon, lat)


def vectors(lon: Any, lat: Any) -> Numbers:
    """Unit vectors of angles in rad."""
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


@cache
def _noise() -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Frequencies, and running integrals of f^(-7/3 + k) / S(f) from `LOWEST`, k = 0, 1, 2."""
    f = np.geomspace(LOWEST, 4096.0, 4000)
    x = f / 245.4
    spectrum = 0.0152 * x**-4 + 0.2935 * x**2.25 + 2.7951 * x**1.5 - 6.5080 * x**0.75 + 17.7622
    sums = []
    for k in range(3):
        y = f ** (k - 7 / 3) / spectrum
        sums.append(np.concatenate([[0.0], np.cumsum(0.5 * (y[1:] + y[:-1]) * np.diff(f))]))
    return f, sums[0], sums[1], sums[2]


def reach_of(mass1: Any, mass2: Any) -> tuple[Numbers, Numbers]:
    """How many times further than 1.4 + 1.4 solar masses a merger of detector-frame masses is seen, and its bandwidth (rad / s)."""
    def power(m1: Any, m2: Any) -> tuple[Numbers, Numbers]:
        total = np.asarray(m1, np.float64) + m2
        f, *sums = _noise()
        zero, one, two = (np.interp(np.minimum(12441.0 / total, f[-1]), f, s) for s in sums)
        chirp = (np.asarray(m1, np.float64) * m2) ** 0.6 / total**0.2
        zero = np.maximum(zero, 1e-12)
        return chirp ** (5 / 6) * np.sqrt(zero), 2 * np.pi * np.sqrt(np.maximum(two / zero - (one / zero) ** 2, 1.0))

    ours, width = power(mass1, mass2)
    return ours / power(1.4, 1.4)[0], width


@cache
def _universe() -> tuple[Numbers, Numbers, Numbers]:
    """Redshifts, luminosity distances (Mpc), and the running number of mergers to each."""
    z = np.linspace(0.0, 4.0, 8001)
    inverse = 1 / np.sqrt(0.31 * (1 + z) ** 3 + 0.69)
    comoving = LIGHT / 1e3 / 67.7 * np.concatenate([[0.0], np.cumsum(0.5 * (inverse[1:] + inverse[:-1]) * np.diff(z))])
    rate = comoving**2 * inverse / (1 + z)
    return z, comoving * (1 + z), np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(z))])


def _power_law(rng: Generator, low: float, high: float, slope: float, n: int) -> Numbers:
    u = rng.random(n)
    return np.asarray((low ** (slope + 1) + u * (high ** (slope + 1) - low ** (slope + 1))) ** (1 / (slope + 1)))


def masses(rng: Generator, kind: str, n: int) -> tuple[Numbers, Numbers]:
    """Source-frame masses of n mergers, the larger first, in solar masses."""
    if kind == "BNS":
        pair = rng.uniform(1.0, 2.5, (2, n))
        return pair.max(axis=0), pair.min(axis=0)
    if kind == "NSBH":
        return _power_law(rng, 3.0, 30.0, -2.35, n), rng.uniform(1.0, 2.5, n)
    large = np.where(rng.random(n) < 0.1, np.clip(rng.normal(34, 4, n), 10, 60), _power_law(rng, 5.0, 80.0, -2.35, n))
    return large, np.maximum(3.0, large * rng.random(n) ** (1 / 2.1))


class GravitationalWaveAlerts(Simulator):
    """Alerts of mergers and glitches; see the module."""

    stream = "gravitational-wave-alerts"
    options: ClassVar[Mapping[str, float | int | str | bool]] = {"run": "O4", "kind": "any"}
    citation = "AstroFuse Lab (simulated); method: Singer & Price 2016, PRD 93, 024013; Singer et al. 2016, ApJL 829, L15"

    def draw(self, rng: Generator, options: Mapping[str, Any]) -> Fields:
        """One alert.

        Returns
        -------
        mapping
            ``prob``, ``distmu``, ``distsigma``, ``distnorm`` (12288,), nested HEALPix nside 32, equatorial; ``distmean``, ``diststd`` (Mpc), ``area90`` (deg2), ``vol90`` (Mpc3),
            ``logbsn``, ``logbci``, ``detectors`` (3,) observing, ``snr`` (3,), ``kind``, ``run``; truth ``mass1``, ``mass2`` (solar masses, source frame), ``distance`` (luminosity,
            Mpc), ``redshift``, ``ra``, ``dec`` (deg), NaN for glitches.
        """
        run, kind = str(options["run"]), str(options["kind"])
        if run not in RUNS or kind not in ("any", *KINDS):
            raise InputError(f"options run={run!r}, kind={kind!r} of {self.name}: run is one of {', '.join(RUNS)}, kind of any, {', '.join(KINDS)}.")
        kind = KINDS[rng.integers(len(KINDS))] if kind == "any" else kind
        there = network(run)
        turned = rng.uniform(0, 2 * np.pi)  # sidereal time: equatorial x to the frame of the Earth
        truth: Fields
        triggers, truth = _glitch(rng, there, RUNS[run][1]) if kind == "Glitch" else _merger(rng, kind, there, RUNS[run][1], turned)
        return {**localised(triggers, there, turned), **truth, "kind": np.array(kind), "run": np.array(run), "snr": np.abs(triggers.snr), "detectors": triggers.on}


def _observing(rng: Generator, duty: tuple[float, ...], n: int) -> NDArray[np.bool_]:
    return np.asarray(rng.random((n, 3)) < np.array(duty))


def _merger(rng: Generator, kind: str, there: Network, duty: tuple[float, ...], turned: float) -> tuple[Triggers, Fields]:
    """The first of many candidates that passes the selection."""
    table, luminosity, count = _universe()
    while True:
        on = _observing(rng, duty, CANDIDATES)
        m1, m2 = masses(rng, kind, CANDIDATES)
        far = REACH * 165 * reach_of(m1, m2)[0] * (1.7 if kind == "BNS" else 2.4)  # beyond what any is seen at; a redshift makes signals louder
        z = np.interp(rng.random(CANDIDATES) * np.interp(far, luminosity, count), count, table)
        r = np.interp(z, table, luminosity)
        gain, width = reach_of(m1 * (1 + z), m2 * (1 + z))
        lon, sine, cosine, psi = rng.uniform(0, 2 * np.pi, CANDIDATES), rng.uniform(-1, 1, CANDIDATES), rng.uniform(-1, 1, CANDIDATES), rng.uniform(0, np.pi, CANDIDATES)
        direction = vectors(lon - turned, np.arcsin(sine))
        amplitude = response(patterns(direction, there.tensors), cosine[:, None], psi[:, None]) * (8 * gain[:, None] * there.horizons / r[:, None])
        signal = amplitude * np.exp(1j * rng.uniform(0, 2 * np.pi, CANDIDATES))[:, None]
        seen = np.where(on, signal + rng.normal(size=(CANDIDATES, 3)) + 1j * rng.normal(size=(CANDIDATES, 3)), 0)
        loud = np.abs(seen)
        good = np.flatnonzero(((loud > SINGLE).sum(axis=1) >= 2) & (np.sqrt((loud**2).sum(axis=1)) > NETWORK) & ((np.abs(signal) * on > 2).sum(axis=1) >= 2))
        if len(good):
            i = int(good[0])
            error = rng.normal(size=3) / (width[i] * np.maximum(loud[i], 1.0))
            time = -(there.places @ direction[i]) + error
            truth = {"mass1": m1[i], "mass2": m2[i], "distance": r[i], "redshift": z[i], "ra": np.degrees(lon[i]), "dec": np.degrees(np.arcsin(sine[i]))}
            return Triggers(seen[i], time, on[i], gain[i] * there.horizons, float(width[i])), {name: np.array(value) for name, value in truth.items()}


def _glitch(rng: Generator, there: Network, duty: tuple[float, ...]) -> tuple[Triggers, Fields]:
    while True:
        on = _observing(rng, duty, 1)[0]
        if on.sum() < 2:
            continue
        first, second = rng.permutation(np.flatnonzero(on))[:2]
        loud = np.hypot(*rng.normal(size=(2, 3))) * on  # others hold noise alone
        loud[first] = 5.5 * (1 - rng.random()) ** (-1 / 3)
        loud[second] = min(SINGLE + rng.exponential(0.8), loud[first])
        if np.sqrt((loud**2).sum()) <= NETWORK:
            continue
        travel = float(np.linalg.norm(there.places[first] - there.places[second]))
        time = rng.uniform(-0.5, 0.5, 3) * 0.02
        time[second] = time[first] + rng.uniform(-1, 1) * (travel + 0.005)
        total, ratio = 2.4 * 50 ** rng.random(), rng.uniform(0.3, 1.0)
        gain, width = reach_of(total / (1 + ratio), total * ratio / (1 + ratio))
        truth = dict.fromkeys(("mass1", "mass2", "distance", "redshift", "ra", "dec"), np.array(np.nan))
        return Triggers(loud * np.exp(1j * rng.uniform(0, 2 * np.pi, 3)), time, on, float(gain) * there.horizons, float(width)), truth


def response(pattern: Any, cosine: Any, psi: Any) -> NDArray[np.complex128]:
    """Complex response to a merger of this inclination and polarisation, 1 where it is overhead and face on: F+ (1 + c^2) / 2 + i Fx c."""
    turned = pattern * np.exp(-2j * psi)
    return np.asarray(turned.real * 0.5 * (1 + cosine**2) + 1j * turned.imag * cosine)


@cache
def _orientations() -> tuple[Numbers, NDArray[np.complex128], Numbers]:
    """Of 10 inclinations x 8 polarisation angles: what power is in F+^2, F+ Fx, Fx^2, what a match is in F+ and Fx (`response`, conjugated), and the weights."""
    x, w = np.polynomial.legendre.leggauss(10)
    c, twice = np.repeat(x, 8), np.tile((np.arange(8) + 0.5) * np.pi / 8, 10)
    face, edge = 0.5 * (1 + c**2), c
    cos, sin = np.cos(twice), np.sin(twice)
    squares = np.stack([(face * cos) ** 2 + (edge * sin) ** 2, 2 * (face**2 - edge**2) * cos * sin, (face * sin) ** 2 + (edge * cos) ** 2])
    return squares, np.stack([face * cos + 1j * edge * sin, face * sin - 1j * edge * cos]), np.repeat(w / 2, 8) / 8


def localised(seen: Triggers, there: Network, turned: float) -> Fields:
    """Map, distances and Bayes factors of triggers, by coherent likelihood; ``turned`` is the sidereal time (rad)."""
    on = np.flatnonzero(seen.on)
    direction = cells() @ np.array([[np.cos(turned), -np.sin(turned), 0], [np.sin(turned), np.cos(turned), 0], [0, 0, 1]])
    z, reach = SCALE * seen.snr[on], SCALE * 8 * seen.horizons[on]
    delay = -(direction @ there.places[on].T)
    overlap = _overlap(seen.time[on] - delay, np.abs(z), seen.bandwidth)
    bound = 0.5 * ((np.abs(z) * overlap) ** 2).sum(axis=-1)
    keep = np.flatnonzero(bound > bound.max() - DEEPEST)
    keep = keep[np.argsort(-bound[keep])[:MOST]]
    squares, products, weight = _orientations()
    pattern = patterns(direction[keep], there.tensors[on])
    plus, cross = pattern.real * reach, pattern.imag * reach
    power = np.stack([(plus**2).sum(axis=1), (plus * cross).sum(axis=1), (cross**2).sum(axis=1)], axis=1) @ squares
    heard = z * overlap[keep]
    match = np.abs(np.stack([(plus * heard).sum(axis=1), (cross * heard).sum(axis=1)], axis=1) @ products)
    r = power / match
    likelihood = 0.5 * match**2 / power
    limit = 4 * seen.horizons[on].max()
    log = likelihood + np.log(weight) + 4 * np.log(r) - 0.5 * np.log(power) - 0.5 * np.log(2 * likelihood) + np.where(r < limit, 0.0, -50.0)
    best = log.max()
    each = np.exp(log - best)
    cell = each.sum(axis=1)
    some = cell > 0  # elsewhere the best orientation lies more than a float's range below
    keep, cell, each, r, likelihood = keep[some], cell[some], each[some], r[some], likelihood[some]
    mean = (each * r).sum(axis=1) / cell
    square = (each * r**2 * (1 + 0.5 / likelihood)).sum(axis=1) / cell
    std = np.sqrt(np.maximum(square - mean**2, (0.02 * mean) ** 2))
    evidence = best + np.log(cell.sum() / CELLS) + _before(seen, float((np.abs(z) ** 2).sum()), limit)
    alone = [_alone(seen, float(one), float(h), limit) for one, h in zip(np.abs(z), reach, strict=True)]
    return {**_layers(keep, cell / cell.sum(), mean, np.minimum(std, mean / 1.75)), "logbsn": np.array(evidence), "logbci": np.array(evidence - sum(alone))}


def _overlap(left: Numbers, loud: Numbers, bandwidth: float) -> Numbers:
    """How much of each detector's peak is left (cell, detector) where its time, less the delay, is not the common one: the better of their mean and the loudest's own."""
    half = 0.032 / np.sqrt(12) * 0.01  # s: times differ by this within a cell, for a baseline of 10 ms
    width = np.sqrt(bandwidth**-2 + (loud * half) ** 2)
    common = np.stack([(left * loud**2).sum(axis=-1) / (loud**2).sum(), left[:, int(loud.argmax())]])
    each = np.exp(-0.5 * ((left - common[..., None]) / width) ** 2)
    return np.asarray(np.where((((each * loud) ** 2).sum(axis=-1)[0] >= ((each * loud) ** 2).sum(axis=-1)[1])[:, None], each[0], each[1]))


def _before(seen: Triggers, square: float, limit: float) -> float:
    """The logarithm of what the integrals over distance, phase and time bring beside the likelihood: priors 3 r^2 / limit^3, 1 / (2 pi), 1 / `WINDOW`."""
    return float(np.log(3 / limit**3) + np.log(2 * np.pi / (seen.bandwidth * np.sqrt(square) * WINDOW)) - 0.5 * np.log(2 * np.pi))


def _alone(seen: Triggers, loud: float, reach: float, limit: float) -> float:
    """The same evidence of one detector on its own, over all directions and orientations; never below that of no signal at all, 0, by more than its prior share."""
    loud = max(loud, 1.0)
    distance = np.log(reach**3 / loud**4) - np.log(REACH**3)  # r^4 / sqrt(power), r = reach f / loud, and the mean of f^3
    return float(max(0.5 * loud**2 + distance - np.log(loud) + _before(seen, loud**2, limit), 0.0))


def _layers(keep: NDArray[np.int64], probability: Numbers, mean: Numbers, std: Numbers) -> Fields:
    """The map's four layers, and the numbers an alert tells of them."""
    prob, mu, sigma, norm = np.zeros(CELLS), np.full(CELLS, np.inf), np.ones(CELLS), np.zeros(CELLS)
    prob[keep] = probability
    mu[keep], sigma[keep], norm[keep] = credible_regions.from_moments(mean, std)
    distmean, diststd = credible_regions.distance(prob, mu, sigma, norm)
    made = {"prob": prob, "distmu": mu, "distsigma": sigma, "distnorm": norm, "distmean": distmean, "diststd": diststd}
    return {**made, "area90": credible_regions.area(prob), "vol90": credible_regions.volume(prob, mu, sigma, norm)}


class GravitationalWaveAlertTable(GravitationalWaveAlerts):
    """The nine numbers of an alert (Raza et al. 2025, arXiv:2502.00297), and the truth as targets."""

    name = "practice/gw_alerts"
    gives = TableRow

    def keeps(self, fields: Fields) -> Fields:
        """Numbers only."""
        return {name: array for name, array in fields.items() if np.size(array) < CELLS}

    def product(self, fields: Fields, raw: Raw) -> Modality | None:
        """A row."""
        values: dict[str, Any] = {column: fields[name][()] for column, name in COLUMNS.items()}
        for i, detector in enumerate(DETECTORS):
            values |= {detector: bool(fields["detectors"][i]), f"snr_{detector}": float(fields["snr"][i])}
        pair = np.array([fields["mass1"], fields["mass2"]], np.float64)
        if np.isfinite(pair).all():
            chirp = pair.prod() ** 0.6 / pair.sum() ** 0.2
            values |= {"has_mass_gap": bool(((pair >= GAP[0]) & (pair <= GAP[1])).any()), "has_ns": bool(pair.min() < HEAVIEST), "chirp_mass": float(chirp)}
        else:
            values |= {"has_mass_gap": None, "has_ns": None, "chirp_mass": None}
        roles = dict.fromkeys(("classification", "has_mass_gap", "has_ns", "chirp_mass", *TRUTH), "target") | dict.fromkeys((*INPUTS, *DETECTORS), "input")
        return self.row(values, raw, UNITS, roles)


GAP, HEAVIEST = (2.0, 5.0), 3.0
"""Solar masses: the lower mass gap (Raza et al. 2026, arXiv:2605.00391), and where neutron stars end at the latest."""
TRUTH = ("mass1", "mass2", "distance", "redshift", "ra", "dec")
INPUTS = ("map_vol90_mpc3", "map_area90_deg2", "distmean_mpc", "diststd_mpc", "log_bsn", "log_bci")
COLUMNS = {
    "classification": "kind", "run": "run", "map_vol90_mpc3": "vol90", "map_area90_deg2": "area90", "distmean_mpc": "distmean", "diststd_mpc": "diststd", "log_bsn": "logbsn", "log_bci": "logbci",
    **{name: name for name in TRUTH},
}  # fmt: skip
"""Columns, named as those of "gw-alerts", and what they are of a draw."""
UNITS = {"map_vol90_mpc3": "Mpc3", "map_area90_deg2": "deg2", "distmean_mpc": "Mpc", "diststd_mpc": "Mpc", "mass1": "M_sun", "mass2": "M_sun", "chirp_mass": "M_sun", "distance": "Mpc", "ra": "deg", "dec": "deg"}
TABLE = GravitationalWaveAlertTable()
