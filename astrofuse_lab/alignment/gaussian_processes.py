"""Gaussian processes through light curves: many objects and all their bands at once, exactly.

The kernel is Matérn's over time and wavelength, ``amplitude^2 M(r)``, ``r^2 = (dt / length)^2 + (dl / band_length)^2``, as Boone 2019,
AJ 158, 257 (arXiv:1907.04690) has it with nu = 3/2 and 6000 Å. Amplitude and length of each object maximise its marginal likelihood
(Rasmussen & Williams 2006, equations 2.30 and 5.9), by Fisher scoring with a damping of each object's own, from the best of a grid.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import AlignmentError

Numbers = NDArray[np.float64]
Bools = NDArray[np.bool_]
BAND_LENGTH = 6000.0
CELLS = 4_000_000
"""Elements of a stack of covariance matrices: 32 MB each, and some ten of them are held."""
GRID = (0.02, 0.05, 0.12, 0.3, 0.7)
"""First lengths, as shares of the span of the epochs."""
STEPS = 60
APART = 1e8
"""Squared distance of bands that share nothing: a correlation of exactly zero."""
CLOSE = 1e-9
"""Relative change of the likelihood below which its maximum is reached."""
FAR = 50.0
"""Bounds of the length in units of the span, and its inverse in units of the shortest gap."""


class Processes(NamedTuple):
    """Fitted processes of many objects.

    Attributes
    ----------
    time, flux, error, wavelength : array, (object, epoch)
        What they go through; `flux` with `level` taken out.
    mask : bool array, (object, epoch)
    level : array, (object, epoch)
        The mean that was taken out of each epoch.
    amplitude, length : array, (object,)
        In the unit of the flux, and days.
    likelihood : array, (object,)
        Logarithm of the marginal likelihood; NaN for an object without a good epoch.
    nu, band_length : float
    """

    time: Numbers
    flux: Numbers
    error: Numbers
    wavelength: Numbers
    mask: Bools
    level: Numbers
    amplitude: Numbers
    length: Numbers
    likelihood: Numbers
    nu: float
    band_length: float


def matern(r: Tensor, nu: float) -> Tensor:
    """Matérn's correlation at a scaled distance (Rasmussen & Williams 2006, equation 4.17)."""
    if nu == 0.5:
        return torch.exp(-r)
    root = math.sqrt(2 * nu) * r
    return (1 + root) * torch.exp(-root) if nu == 1.5 else (1 + root + root**2 / 3) * torch.exp(-root)


def _by_log_length(r: Tensor, in_time: Tensor, nu: float) -> Tensor:
    """Derivative of the correlation by the logarithm of the length; `in_time` is (dt / length)^2."""
    if nu == 0.5:
        return torch.where(r > 0, in_time / torch.where(r > 0, r, 1.0), 0.0) * torch.exp(-r)
    root = math.sqrt(2 * nu) * r
    return 3 * in_time * torch.exp(-root) if nu == 1.5 else 5 / 3 * in_time * (1 + root) * torch.exp(-root)


def _squares(a: Tensor, b: Tensor, x: Tensor, y: Tensor, band_length: float) -> tuple[Tensor, Tensor]:
    """Squared distances in time and in units of the band length: (object, row, column)."""
    between = ((x[:, :, None] - y[:, None, :]) / band_length) ** 2 if band_length > 0 else torch.where(x[:, :, None] == y[:, None, :], 0.0, APART)
    return (a[:, :, None] - b[:, None, :]) ** 2, between


class _Stack:
    """Objects of like size, and what their likelihood is made of."""

    def __init__(self, time: Tensor, flux: Tensor, error: Tensor, place: Tensor, mask: Tensor, nu: float, band_length: float) -> None:
        self.nu, self.mask = nu, mask
        self.both = mask[:, :, None] & mask[:, None, :]
        self.in_time, self.between = _squares(time, time, place, place, band_length)
        self.flux = torch.where(mask, flux, 0.0)
        # a masked epoch is one of unit variance that nothing depends on and whose flux is zero: it adds a constant, taken off below
        self.noise = torch.where(mask, error**2, 1.0)
        self.count = mask.sum(1).to(flux.dtype)

    def some(self, keep: Tensor) -> "_Stack":
        """Some of the objects."""
        part = object.__new__(_Stack)
        part.nu = self.nu
        part.mask, part.both, part.in_time, part.between, part.flux, part.noise, part.count = (
            v[keep] for v in (self.mask, self.both, self.in_time, self.between, self.flux, self.noise, self.count)
        )
        return part

    def correlation(self, log_length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scaled = self.in_time * torch.exp(-2 * log_length)[:, None, None]
        r = torch.sqrt(scaled + self.between)
        return torch.where(self.both, matern(r, self.nu), 0.0), r, scaled

    def likelihood(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logarithm of the likelihood, with the factor of the covariance and the weights; minus infinity where it has none."""
        signal, *_ = self.correlation(theta[:, 1])
        factor, failed = torch.linalg.cholesky_ex(torch.exp(theta[:, 0])[:, None, None] * signal + torch.diag_embed(self.noise))
        weights = torch.cholesky_solve(self.flux[..., None], factor)[..., 0]
        value = -0.5 * (self.flux * weights).sum(1) - factor.diagonal(dim1=1, dim2=2).log().sum(1) - 0.5 * self.count * math.log(2 * math.pi)
        return torch.where((failed == 0) & torch.isfinite(value), value, -torch.inf), factor, weights

    def slope(self, theta: Tensor, factor: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient and Fisher information of the logarithms of variance and length: (object, 2) and (object, 2, 2)."""
        signal, r, scaled = self.correlation(theta[:, 1])
        variance = torch.exp(theta[:, 0])[:, None, None]
        bent = torch.where(self.both, variance * _by_log_length(r, scaled, self.nu), 0.0)
        inverse = torch.cholesky_inverse(factor)
        change = (variance * signal, bent)
        solved = [inverse @ c for c in change]
        gradient = [
            0.5 * ((weights[:, None, :] @ c @ weights[..., None])[:, 0, 0] - s.diagonal(dim1=1, dim2=2).sum(1)) for c, s in zip(change, solved, strict=True)
        ]
        information = [0.5 * (a * b.transpose(1, 2)).sum((1, 2)) for a in solved for b in solved]
        return torch.stack(gradient, 1), torch.stack(information, 1).unflatten(1, (2, 2))


def _bounds(stack: _Stack) -> tuple[Tensor, Tensor, Tensor]:
    """Lowest and highest of both parameters, and the span of each object."""
    time = torch.where(stack.both, stack.in_time, 0.0).flatten(1)
    span = time.amax(1).sqrt().clamp_min(1e-3)
    gap = torch.where(time > 0, time, torch.inf).amin(1).sqrt()
    gap = torch.where(torch.isfinite(gap), gap, span)
    power = ((stack.flux**2).sum(1) / stack.count.clamp_min(1)).clamp_min(1e-30)
    low = torch.stack([(power * 1e-6).log(), (gap / FAR).log()], 1)
    return low, torch.stack([(power * 1e6).log(), (span * FAR).log()], 1), span


def _started(stack: _Stack) -> tuple[Tensor, Tensor, Tensor]:
    """The best of a grid of lengths, and the bounds."""
    low, high, span = _bounds(stack)
    power = (low[:, 0] + 6 * math.log(10)).exp()
    noise = torch.where(stack.mask, stack.noise, 0.0).sum(1) / stack.count.clamp_min(1)
    theta, best = torch.empty_like(low), torch.full((len(low),), -torch.inf, dtype=low.dtype)
    for share in GRID:
        trial = torch.stack([torch.maximum(power - noise, 0.1 * power).log(), (span * share).log()], 1).clamp(low, high)
        value = stack.likelihood(trial)[0]
        theta = torch.where((value > best)[:, None] | ~torch.isfinite(best)[:, None], trial, theta)
        best = torch.maximum(best, value)
    return theta, low, high


def _maximised(stack: _Stack) -> tuple[Tensor, Tensor]:
    """Logarithms of variance and length at the highest likelihood, and the likelihood; who has arrived is left out of the next step."""
    theta, low, high = _started(stack)
    best, factor, weights = stack.likelihood(theta)
    result, value_of, rows, damping = theta.clone(), best.clone(), torch.arange(len(theta)), torch.full_like(best, 1e-3)
    for _ in range(STEPS):
        gradient, information = stack.slope(theta, factor, weights)
        pushed = ((theta <= low) & (gradient < 0)) | ((theta >= high) & (gradient > 0))  # held by a bound
        gradient = torch.where(pushed, 0.0, gradient)
        information = torch.where(pushed[:, :, None] | pushed[:, None, :], 0.0, information) + torch.diag_embed(pushed.to(theta.dtype))
        scale = information.diagonal(dim1=1, dim2=2).clamp_min(1e-12)
        step = torch.linalg.solve(information + torch.diag_embed(damping[:, None] * scale + 1e-12), gradient[..., None])[..., 0].clamp(-2, 2)
        trial = (theta + step).clamp(low, high)
        step = trial - theta
        foreseen = (gradient * step).sum(1) - 0.5 * (step[:, None, :] @ information @ step[..., None])[:, 0, 0]
        value, *found = stack.likelihood(trial)
        better, gain = value >= best, (value - best) / foreseen.clamp_min(1e-300)
        tiny = CLOSE * (1 + best.abs())
        there = (better & (value - best < tiny) & (foreseen < 10 * tiny)) | (foreseen.abs() < 0.1 * tiny) | (damping > 1e8) | ~torch.isfinite(best)
        theta, best = torch.where(better[:, None], trial, theta), torch.where(better, value, best)
        factor, weights = torch.where(better[:, None, None], found[0], factor), torch.where(better[:, None], found[1], weights)
        # the information is the curvature on average only: where a step brought less than foreseen, the next is shortened
        damping = (damping * torch.where(~better, 8.0, torch.where(gain > 0.7, 0.2, torch.where(gain > 0.3, 1.0, 4.0)))).clamp_min(1e-9)
        result[rows], value_of[rows] = theta, best
        if bool(there.all()):
            break
        if bool(there.any()):
            left = ~there
            stack = stack.some(left)
            rows, theta, best, factor, weights, damping, low, high = (v[left] for v in (rows, theta, best, factor, weights, damping, low, high))
    return result, value_of


def fit(
    time: Any, flux: Any, error: Any, wavelength: Any, mask: Any, *, nu: float = 1.5, band_length: float = BAND_LENGTH, level: str = "zero",
    amplitude: Any | None = None, length: Any | None = None,
) -> Processes:  # fmt: skip
    """Fit one process to each object.

    Parameters
    ----------
    time, flux, error, wavelength : array, (object, epoch)
        Days, any unit, the same unit, ångström.
    mask : bool array, (object, epoch)
        Epochs that are used; errors there are positive.
    nu : {0.5, 1.5, 2.5}
        How smooth.
    band_length : float
        Ångström over which bands resemble each other; 0: each band by itself, with amplitude and length in common.
    level : {"zero", "mean"}
        What the flux returns to: nothing, as a transient's does; or the inverse-variance mean of each band.
    amplitude, length : array, (object,), optional
        Both given: they are taken, not fitted.

    Raises
    ------
    AlignmentError
        If an option, or the shape of a field, is not as said, or a used error is not positive.
    """
    t, f, e, w = (np.asarray(v, dtype=np.float64) for v in (time, flux, error, wavelength))
    good = np.asarray(mask, dtype=bool)
    if nu not in (0.5, 1.5, 2.5) or level not in ("zero", "mean") or not band_length >= 0:
        raise AlignmentError(f"nu={nu}, level={level!r}, band_length={band_length}: nu is 0.5, 1.5 or 2.5, level 'zero' or 'mean', band_length ångström or 0.")
    for name, array in (("flux", f), ("error", e), ("wavelength", w), ("mask", good)):
        if array.shape != t.shape or t.ndim != 2:
            raise AlignmentError(f"{name} has shape {array.shape}, time {t.shape}; (object, epoch) is expected.")
    if not (np.isfinite(t[good]).all() and np.isfinite(f[good]).all() and np.isfinite(w[good]).all() and (e[good] > 0).all() and np.isfinite(e[good]).all()):
        raise AlignmentError("a used epoch has a time, flux or wavelength that is no number, or a flux_err that is not positive; mask it.")
    mean = _levels(f, e, w, good) if level == "mean" else np.zeros_like(f)
    f = np.where(good, f - mean, 0.0)
    zero = np.where(good.any(1), np.where(good, t, np.inf).min(1, initial=np.inf), 0.0)[:, None]
    size = np.sqrt(np.where(good, f**2, 0.0).sum(1) / np.maximum(good.sum(1), 1))[:, None]
    size = np.where(size > 0, size, np.where(good, e, 0.0).max(1, initial=0.0)[:, None])
    size = np.where(size > 0, size, 1.0)  # in units of which the numbers are about one
    theta, value = np.zeros((len(t), 2)), np.full(len(t), np.nan)
    given = amplitude is not None and length is not None
    if given:
        theta = np.stack([2 * np.log(np.asarray(amplitude, dtype=np.float64) / size[:, 0]), np.log(np.asarray(length, dtype=np.float64))], 1)
    for rows, n in _blocks(good):
        place = np.argsort(~good[rows], axis=1, kind="stable")[:, :n]
        take = lambda v: torch.from_numpy(np.take_along_axis(v[rows], place, 1))  # noqa: B023, E731
        stack = _Stack(
            take(np.where(good, t - zero, 0.0)), take(f / size), take(np.where(good, e, 1.0) / size), take(np.where(good, w, 0.0)), take(good), nu, band_length
        )
        found = (torch.from_numpy(theta[rows]), stack.likelihood(torch.from_numpy(theta[rows]))[0]) if given else _maximised(stack)
        theta[rows] = found[0].numpy()
        value[rows] = found[1].numpy() - good[rows].sum(1) * np.log(size[rows, 0])
    return Processes(t, f, e, w, good, mean, np.exp(theta[:, 0] / 2) * size[:, 0], np.exp(theta[:, 1]), value, nu, band_length)


def _levels(flux: Numbers, error: Numbers, wavelength: Numbers, good: Bools) -> Numbers:
    """Inverse-variance mean of each object's band, at its epochs."""
    _, code = np.unique(wavelength, return_inverse=True)
    n = int(code.max(initial=0)) + 1
    series = (np.arange(len(flux))[:, None] * n + code.reshape(flux.shape)).ravel()
    weight = np.where(good, 1 / np.where(good, error, 1.0) ** 2, 0.0).ravel()
    total = np.bincount(series, weights=weight, minlength=len(flux) * n)
    mean = np.bincount(series, weights=weight * np.where(good, flux, 0.0).ravel(), minlength=len(flux) * n) / np.where(total > 0, total, 1.0)
    return np.asarray(mean[series].reshape(flux.shape))


def _blocks(good: Bools) -> list[tuple[NDArray[np.int64], int]]:
    """Objects of like size together, so that little is computed on padding: rows, and their longest."""
    sizes = good.sum(1)
    order = np.argsort(sizes, kind="stable")
    order = order[sizes[order] > 0]
    blocks: list[tuple[NDArray[np.int64], int]] = []
    end = len(order)
    while end > 0:
        n = int(sizes[order[end - 1]])
        begin = max(0, end - max(1, CELLS // n**2))
        begin = max(begin, int(np.searchsorted(sizes[order], 0.7 * n)))
        blocks.append((order[begin:end], n))
        end = begin
    return blocks


def predict(processes: Processes, at: Any, wavelength: Any, reach: float | None = None) -> tuple[Numbers, Numbers, Bools]:
    """Mean and variance at other times and bands.

    Parameters
    ----------
    processes : Processes
    at : array, (moment,) or (object, moment)
        MJD.
    wavelength : array, (band,)
        Ångström.
    reach : float, optional
        Days from the nearest epoch within which an answer counts. None: the length of each object's own process.

    Returns
    -------
    mean, variance : array, (object, band, moment)
    mask : bool array, (object, band, moment)
        False beyond the reach of the epochs, and in bands in which the object has none. Where bands share nothing
        (``band_length`` 0), only epochs of the band itself reach.
    """
    p = processes
    bands = np.asarray(wavelength, dtype=np.float64)
    moments = np.broadcast_to(np.asarray(at, dtype=np.float64), (len(p.time), np.shape(at)[-1]))
    shape = (len(p.time), len(bands), moments.shape[1])
    mean, variance, mask = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
    own = p.mask[:, None, :] & (p.wavelength[:, None, :] == bands[:, None])  # (object, band, epoch)
    source = own if p.band_length == 0 else np.broadcast_to(p.mask[:, None, :], own.shape) & own.any(2, keepdims=True)
    back = np.where(own.any(2), np.where(own, p.level[:, None, :], 0.0).sum(2) / np.maximum(own.sum(2), 1), 0.0)
    far = p.length if reach is None else np.full(len(p.time), float(reach))
    for i in np.flatnonzero(p.mask.any(1)):
        made = _read_off(p, i, np.tile(moments[i], len(bands)), np.repeat(bands, shape[2]))
        mean[i], variance[i] = (v.reshape(shape[1:]) for v in made)
        mean[i] += back[i][:, None]
        away = np.abs(moments[i][None, :, None] - p.time[i][None, None, :])
        mask[i] = np.where(source[i][:, None, :], away, np.inf).min(2) <= far[i]
    return mean, variance, mask & np.isfinite(moments)[:, None, :]


def predict_at(processes: Processes, at: Any, wavelength: Any) -> tuple[Numbers, Numbers]:
    """Mean and variance at a time and wavelength each, without the level that was taken out: arrays of (object, moment)."""
    moments, place = (np.asarray(v, dtype=np.float64) for v in (at, wavelength))
    mean, variance = np.zeros(moments.shape), np.zeros(moments.shape)
    for i in np.flatnonzero(processes.mask.any(1)):
        mean[i], variance[i] = _read_off(processes, i, moments[i], place[i])
    return mean, variance


def _read_off(p: Processes, i: Any, at: Numbers, wavelength: Numbers) -> tuple[Numbers, Numbers]:
    """One object's process at moments (Rasmussen & Williams 2006, equations 2.25 and 2.26)."""
    good = p.mask[i]
    t, w, f, e = (torch.from_numpy(v[i][good])[None] for v in (p.time, p.wavelength, p.flux, p.error))
    stack = _Stack(t, f, e, w, torch.ones_like(t, dtype=torch.bool), p.nu, p.band_length)
    theta = torch.tensor([[2 * math.log(p.amplitude[i]), math.log(p.length[i])]], dtype=torch.float64)
    _, factor, weights = stack.likelihood(theta)
    in_time, between = _squares(torch.from_numpy(at)[None], t, torch.from_numpy(wavelength)[None], w, p.band_length)
    cross = p.amplitude[i] ** 2 * matern(torch.sqrt(in_time / p.length[i] ** 2 + between), p.nu)
    solved = torch.linalg.solve_triangular(factor, cross.transpose(1, 2), upper=False)
    return (cross @ weights[..., None])[0, :, 0].numpy(), (p.amplitude[i] ** 2 - (solved**2).sum(1)[0]).clamp_min(0).numpy()
