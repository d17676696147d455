"""Credible areas and volumes of probabilities on the sky: HEALPix cells, and in each cell a conditional distribution of distance.

The distance in a cell is BAYESTAR's ansatz (Singer et al. 2016, ApJL 829, L15, arXiv:1603.07333, equation 2): ``p(r | cell) = norm r^2 N(r; mu, sigma)``
for r >= 0, with a normal density N. A cell of solid angle W and probability P so has the density ``P norm N(r; mu, sigma) / W`` per volume.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from astrofuse_lab.errors import InputError

Numbers = NDArray[np.float64]
SKY = 4 * np.pi * np.degrees(1.0) ** 2
"""Square degrees of the whole sky."""
FAR = -3.0
"""Below this mu / sigma the closed forms cancel to nothing, and integrals are done with nodes."""
_NODES, _WEIGHTS = np.polynomial.laguerre.laggauss(32)
_PLACES, _SHARES = np.polynomial.legendre.leggauss(32)


class Conditional(NamedTuple):
    """The ansatz of cells: `mu`, `sigma` in Mpc, `norm` in Mpc^-2; cells without a distance have (inf, 1, 0), as BAYESTAR writes them."""

    mu: Numbers
    sigma: Numbers
    norm: Numbers


def area(probability: ArrayLike, share: float = 0.9) -> Numbers:
    """The smallest area that holds a share of the probability.

    Cells are taken from the densest on; of the last one only the part that is needed.

    Parameters
    ----------
    probability : array, (..., cell)
        Of all cells of a HEALPix grid, in any order; each map sums to one.
    share : float

    Returns
    -------
    array, (...)
        Square degrees.

    Raises
    ------
    InputError
        If a map is no probability, or the share is not between 0 and 1.
    """
    maps = _probabilities(probability, share)
    ordered = -np.sort(-maps, axis=-1)
    held = np.cumsum(ordered, axis=-1)
    whole = np.sum(held < share * (1 - 1e-12), axis=-1)  # cells that are needed entirely
    last = np.minimum(whole, maps.shape[-1] - 1)[..., None]
    before = np.take_along_axis(held, last, -1) - np.take_along_axis(ordered, last, -1)
    part = (share - before) / np.maximum(np.take_along_axis(ordered, last, -1), 1e-300)
    return np.asarray((last + np.clip(part, 0, 1))[..., 0] * SKY / maps.shape[-1])


def finer(probability: ArrayLike, times: int = 4) -> Numbers:
    """A nested map on cells that many times narrower, each cell's own probability kept: what a map that was made coarse has lost of its shape, as far as neighbours tell.

    Within a cell the logarithm of the probability is bilinear between its neighbours' centres, since that of a Gaussian is nearly so, where the probability itself is not:
    `area` of a coarse map alone is too large by the width of its cells.

    Parameters
    ----------
    probability : array, (..., cell)
        Of all cells of a nested HEALPix grid.
    times : int
        A power of two.

    Returns
    -------
    array, (..., cell times^2)

    Raises
    ------
    InputError
        If a map is no probability, its cells make no grid, or `times` is no power of two.
    """
    from astropy_healpix import HEALPix

    maps = _probabilities(probability, 0.5)
    side = round((maps.shape[-1] / 12) ** 0.5)
    if 12 * side**2 != maps.shape[-1] or side & (side - 1) or times < 1 or times & (times - 1):
        raise InputError(f"{maps.shape[-1]} cells and times={times!r}: a nested grid has 12 times 4^k cells, and times is a power of two, e.g. 4.")
    count = maps.shape[-1] * times**2
    near, weight = HEALPix(side, "nested").bilinear_interpolation_weights(*HEALPix(side * times, "nested").healpix_to_lonlat(np.arange(count)))
    out = np.empty((*maps.shape[:-1], count))
    for place in np.ndindex(maps.shape[:-1]):
        one = maps[place]
        logarithm = np.log(np.maximum(one, one.max() * 1e-12))
        shape = np.exp((logarithm[near] * weight).sum(axis=0)).reshape(len(one), -1)
        out[place] = (shape / shape.sum(axis=1, keepdims=True) * one[:, None]).ravel()
    return out


def volume(probability: ArrayLike, mu: ArrayLike, sigma: ArrayLike, norm: ArrayLike, share: float = 0.9) -> Numbers:
    """The smallest volume that holds a share of the probability: where the density per volume is above one value.

    In each cell that is one interval of distance, whose probability and volume have closed forms; the value is the root of one equation. No voxels are needed, so nothing depends on their size.
    Volumes are Euclidean, in Mpc^3 of luminosity distance, as those of public alerts.

    Parameters
    ----------
    probability, mu, sigma, norm : array, (..., cell)
        A map, and the conditional distance of each cell in Mpc and Mpc^-2. `norm` says which cells have a distance (it is above 0); its value follows from mu and sigma.
    share : float

    Returns
    -------
    array, (...)
        Mpc^3; infinite where cells with a distance hold less than the share.

    Raises
    ------
    InputError
        If a map is no probability, shapes differ, or the share is not between 0 and 1.
    """
    maps = _probabilities(probability, share)
    given = [np.asarray(one, np.float64) for one in (mu, sigma, norm)]
    if any(one.shape != maps.shape for one in given):
        raise InputError(f"the map has shape {maps.shape}, mu, sigma and norm {[one.shape for one in given]}; they are arrays over the same cells.")
    flat = [one.reshape(-1, maps.shape[-1]) for one in (maps, *given)]
    found = [_volume(p, m, s, n, share) for p, m, s, n in zip(*flat, strict=True)]
    return np.array(found).reshape(maps.shape[:-1])


def _volume(probability: Numbers, mu: Numbers, sigma: Numbers, norm: Numbers, share: float) -> float:
    use = known(mu, sigma, norm) & (probability > 0)
    p, mu, sigma = probability[use], mu[use], sigma[use]
    if p.sum() < share:
        return float("inf")
    log_norm = _log_norm(mu, sigma)
    peak = np.log(p) + log_norm - np.log(sigma)  # up to what all cells share
    top = peak - 0.5 * np.where(mu < 0, mu / sigma, 0.0) ** 2
    high, fall = float(top.max()), 1.0
    while _held(p, mu, sigma, *_interval(peak, mu, sigma, high - fall)) < share and fall < 2000:
        fall *= 2
    level = brentq(lambda one: _held(p, mu, sigma, *_interval(peak, mu, sigma, one)) - share, high - fall, high, xtol=1e-10)
    near, far = _interval(peak, mu, sigma, level)
    return float(np.sum(far**3 - near**3) / 3 * 4 * np.pi / len(probability))


def _interval(peak: Numbers, mu: Numbers, sigma: Numbers, level: float) -> tuple[Numbers, Numbers]:
    """Where the density is above exp(level): from and to, in Mpc; equal where nowhere."""
    reach = sigma * np.sqrt(2 * np.maximum(peak - level, 0.0))
    return np.maximum(mu - reach, 0.0), np.maximum(mu + reach, 0.0)


def _held(p: Numbers, mu: Numbers, sigma: Numbers, near: Numbers, far: Numbers) -> float:
    return float(np.sum(p * within(near, far, mu, sigma)))


def within(near: ArrayLike, far: ArrayLike, mu: ArrayLike, sigma: ArrayLike) -> Numbers:
    """Probability of the ansatz between two distances (Mpc); the integral of ``r^2 N`` is ``(mu^2 + sigma^2) Phi - sigma (r + mu) phi``."""
    near, far, mu, sigma = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (near, far, mu, sigma)))
    out = np.empty(mu.shape)
    plain = mu / sigma >= FAR
    z = (mu / sigma)[plain]
    below, above = (_primitive(one[plain] / sigma[plain], z) for one in (near, far))
    out[plain] = (above - below) / _moments(z)[2]
    if not plain.all():
        s, z = sigma[~plain], (mu / sigma)[~plain]
        a, b = near[~plain] / s, np.minimum(far[~plain] / s, 60 / np.abs(z))  # beyond, nothing is left of exp(z u)
        u = a[:, None] + 0.5 * (_PLACES + 1) * np.maximum(b - a, 0.0)[:, None]
        integral = 0.5 * np.maximum(b - a, 0.0) * np.sum(_SHARES * u**2 * np.exp(z[:, None] * u - 0.5 * u**2), axis=1)
        out[~plain] = integral / _scaled(z, 2)
    return np.clip(out, 0.0, 1.0)


def _primitive(u: Numbers, z: Numbers) -> Numbers:
    x = u - z
    return np.asarray((z**2 + 1) * ndtr(x) - (u + z) * np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi))


def _moments(z: Numbers) -> list[Numbers]:
    """Integrals over u >= 0 of ``u^m phi(u - z)``, m = 0 to 4, by their recurrence."""
    made = [ndtr(z)]
    made.append(z * made[0] + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))
    for m in (2, 3, 4):
        made.append(z * made[-1] + (m - 1) * made[-2])
    return made


def _scaled(z: Numbers, m: int) -> Numbers:
    """Integrals over u >= 0 of ``u^m exp(z u - u^2 / 2)`` for z far below zero (Gauss-Laguerre)."""
    a = np.abs(z)[:, None]
    return np.asarray(np.sum(_WEIGHTS * _NODES**m * np.exp(-0.5 * (_NODES / a) ** 2), axis=1) / a[:, 0] ** (m + 1))


def _log_norm(mu: Numbers, sigma: Numbers) -> Numbers:
    z = mu / sigma
    out = np.empty(z.shape)
    plain = z >= FAR
    out[plain] = -np.log(_moments(z[plain])[2])
    out[~plain] = 0.5 * z[~plain] ** 2 + 0.5 * np.log(2 * np.pi) - np.log(_scaled(z[~plain], 2)) if not plain.all() else 0.0
    return np.asarray(out - 2 * np.log(sigma))


def known(mu: ArrayLike, sigma: ArrayLike, norm: ArrayLike) -> NDArray[np.bool_]:
    """Which cells have a distance."""
    mu, sigma, norm = (np.asarray(one, np.float64) for one in (mu, sigma, norm))
    return np.asarray(np.isfinite(mu) & np.isfinite(sigma) & (sigma > 0) & (norm > 0))


def moments(mu: ArrayLike, sigma: ArrayLike) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation (Mpc) of the ansatz in each cell, of any shape."""
    mu, sigma = np.broadcast_arrays(np.asarray(mu, np.float64), np.asarray(sigma, np.float64))
    z = (mu / sigma).ravel()
    mean, square = np.empty(z.shape), np.empty(z.shape)
    plain = z >= FAR
    _, _, two, three, four = _moments(z[plain])
    mean[plain], square[plain] = three / two, four / two
    if not plain.all():
        two, three, four = (_scaled(z[~plain], m) for m in (2, 3, 4))
        mean[~plain], square[~plain] = three / two, four / two
    return mean.reshape(mu.shape) * sigma, np.sqrt(np.maximum(square - mean**2, 0.0)).reshape(mu.shape) * sigma


def from_moments(mean: ArrayLike, std: ArrayLike) -> Conditional:
    """The ansatz with these means and standard deviations (Mpc), `moments` turned round.

    Raises
    ------
    InputError
        Where the mean is not above sqrt(3) standard deviations, which no mu and sigma give (then ``r^2 exp(-r / scale)`` is the limit).
    """
    mean, std = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(std, np.float64))
    ratio = (mean / std).ravel()
    if not (ratio > np.sqrt(3) * (1 + 1e-6)).all():
        raise InputError(f"a mean of {ratio.min():.4g} standard deviations: of r^2 times a normal density, the mean is above sqrt(3) of them.")
    places, ratios, slopes = _ratios()
    z = np.interp(ratio, ratios, places)
    for _ in range(3):  # the table is within a thousandth
        m, s = moments(z, 1.0)
        z = z - (m / s - ratio) / np.interp(z, places, slopes)
    z = z.reshape(mean.shape)
    sigma = std / moments(z, 1.0)[1]
    with np.errstate(over="ignore"):
        return Conditional(z * sigma, sigma, np.exp(_log_norm((z * sigma).ravel(), sigma.ravel()).reshape(mean.shape)))


@cache
def _ratios() -> tuple[Numbers, Numbers, Numbers]:
    """mu / sigma, the mean over the standard deviation that it gives, and the slope between them."""
    z = np.concatenate([-np.geomspace(3e3, 3, 800), np.linspace(-3, 12, 1501)[1:], np.geomspace(12, 1e5, 800)[1:]])
    mean, std = moments(z, 1.0)
    return z, mean / std, np.gradient(mean / std, z)


def distance(probability: ArrayLike, mu: ArrayLike, sigma: ArrayLike, norm: ArrayLike) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation (Mpc) of the distance over the whole sky, of the cells that have one; NaN where none has.

    Parameters
    ----------
    probability, mu, sigma, norm : array, (..., cell)

    Returns
    -------
    pair of arrays, (...)
    """
    p = np.asarray(probability, np.float64)
    use = known(mu, sigma, norm) & (p > 0)
    weight = np.where(use, p, 0.0)
    mean, std = np.zeros(p.shape), np.zeros(p.shape)
    mean[use], std[use] = moments(np.asarray(mu, np.float64)[use], np.asarray(sigma, np.float64)[use])
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weight.sum(axis=-1)
        first, second = (weight * mean).sum(axis=-1) / total, (weight * (mean**2 + std**2)).sum(axis=-1) / total
    return first, np.sqrt(np.maximum(second - first**2, 0.0))


def _probabilities(probability: ArrayLike, share: float) -> Numbers:
    maps = np.asarray(probability, np.float64)
    if not 0 < share < 1:
        raise InputError(f"share={share!r}; a number between 0 and 1, e.g. 0.9.")
    if maps.ndim < 1 or not np.isfinite(maps).all() or (maps < 0).any() or not np.allclose(maps.sum(axis=-1), 1, atol=1e-3):
        raise InputError(f"maps of shape {maps.shape} are no probabilities: each is finite, nowhere below zero, and sums to one over its last axis.")
    return maps
