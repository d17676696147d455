"""What was known when: light curves cut at a day, windows around events, and which moment of one series is nearest to one of another."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import LightCurve

Numbers = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Pairs(NamedTuple):
    """The nearest moment of another series.

    Attributes
    ----------
    nearest : int array, (moment,)
        Index into the other series; -1 where none is within the tolerance.
    gap : array, (moment,)
        Days from this moment to the nearest of its owner, negative where that lies before; NaN where the owner has none.
        It is told beyond the tolerance, too.
    """

    nearest: NDArray[np.int64]
    gap: Numbers


def chosen(curve: LightCurve, keep: NDArray[Any]) -> LightCurve:
    """Some epochs of a light curve: a boolean each, or their places."""
    limit = None if curve.limit is None else curve.limit[keep]
    return replace(
        curve, time=curve.time[keep], flux=curve.flux[keep], flux_err=curve.flux_err[keep], band=curve.band[keep], mask=curve.mask[keep], limit=limit
    )


def ordered(curve: LightCurve) -> LightCurve:
    """The same epochs in order of time; those whose time is no number are left out.

    Raises
    ------
    AlignmentError
        If the fields differ in length.
    """
    n = len(curve.time)
    for name in ("flux", "flux_err", "band", "mask", "limit"):
        array = getattr(curve, name)
        if array is not None and np.shape(array) != (n,):
            raise AlignmentError(f"{name} has shape {np.shape(array)}, time has {n} epochs.")
    time = np.asarray(curve.time, dtype=np.float64)
    order = np.argsort(time, kind="stable")
    order = order[np.isfinite(time[order])]
    return curve if np.array_equal(order, np.arange(n)) else chosen(curve, order)


def usable(curve: LightCurve) -> Bools:
    """Epochs that are good, finite and have a positive error."""
    time, flux, error = (np.asarray(v, dtype=np.float64) for v in (curve.time, curve.flux, curve.flux_err))
    return np.asarray(curve.mask & np.isfinite(time) & np.isfinite(flux) & np.isfinite(error) & (error > 0))


def detections(curve: LightCurve, sigma: float = 5.0) -> Bools:
    """Usable epochs that are no limits and stand this many errors above zero."""
    found = usable(curve) & (np.nan_to_num(curve.flux) >= sigma * np.nan_to_num(curve.flux_err))
    return np.asarray(found if curve.limit is None else found & ~curve.limit)


def first_detection(curve: LightCurve, sigma: float = 5.0, count: int = 1) -> float:
    """MJD of the detection that makes it `count` of them, as alert streams ask for one or two.

    Raises
    ------
    AlignmentError
        If there are not so many.
    """
    times = np.sort(np.asarray(curve.time, dtype=np.float64)[detections(curve, sigma)])
    if len(times) < count:
        raise AlignmentError(f"flux has {len(times)} detections of {sigma:g} sigma and more; a trigger needs {count}.")
    return float(times[count - 1])


def known_by(curve: LightCurve, day: float, since: float | None = None, *, sigma: float = 5.0, count: int = 1, before: float | None = None) -> LightCurve:
    """What was known by a day after the trigger.

    Nothing later has a part in it: not even the trigger, which is found by looking forward in time.

    Parameters
    ----------
    curve : LightCurve
        In any order of time.
    day : float
        Days after the trigger; an epoch at that very time is known.
    since : float, optional
        MJD of the trigger. None: of the first detection (`first_detection`).
    sigma, count
        As of `first_detection`.
    before : float, optional
        Days before the trigger that are kept. None: all.

    Raises
    ------
    AlignmentError
        If there was no trigger, or nothing usable was known.
    """
    trigger = first_detection(curve, sigma, count) if since is None else float(since)
    if not np.isfinite(trigger):
        raise AlignmentError("the time of the trigger is missing, so what was known by a day after it is not defined.")
    return window(curve, trigger, -np.inf if before is None else -abs(before), day)


def window(curve: LightCurve, event: float, begin: float, end: float) -> LightCurve:
    """The epochs between two days counted from an event, both included.

    Raises
    ------
    AlignmentError
        If the event has no time, the window no width, or no usable epoch lies in it.
    """
    if not np.isfinite(event):
        raise AlignmentError("the time of the event is missing.")
    if not begin < end:
        raise AlignmentError(f"window from {begin:g} to {end:g} days: it must begin before it ends.")
    curve = ordered(curve)
    inside = (curve.time >= event + begin) & (curve.time <= event + end)
    part = chosen(curve, inside)
    if not usable(part).any():
        raise AlignmentError(f"flux has no usable epoch from {begin:g} to {end:g} days after MJD {event:.3f}.")
    return part


def looks_ahead(treat: Callable[[LightCurve], LightCurve], curve: LightCurve, last: float, seed: int = 0, rounds: int = 3) -> bool:
    """Whether anything that a treatment gives depends on what came after `last`.

    The treatment is run on what there was up to `last`, on the whole light curve, and on others that are the same up to
    `last` and afterwards hold any brightness at all; the answers must be equal to the bit.

    Parameters
    ----------
    treat : callable
        From light curve to light curve; an AlignmentError counts as an answer.
    curve : LightCurve
    last : float
        MJD.
    seed, rounds : int
        Of the random later parts.
    """
    curve = ordered(curve)
    early = curve.time <= last
    rng = np.random.default_rng([seed, 8])

    def answer(one: LightCurve) -> tuple[Any, ...]:
        try:
            got = treat(one)
        except AlignmentError as error:
            return (str(error),)
        return tuple(None if v is None else (v.shape, v.tobytes()) for v in (got.time, got.flux, got.flux_err, got.band.astype(np.str_), got.mask, got.limit))

    expected = answer(chosen(curve, early))
    size = float(np.nanmax(np.abs(curve.flux), initial=1.0)) * 100
    for _ in range(rounds):
        flux = np.where(early, curve.flux, rng.normal(0, size, len(early)))
        error = np.where(early, curve.flux_err, rng.uniform(1e-3, 1, len(early)) * size)
        mask = np.where(early, curve.mask, rng.random(len(early)) < 0.7)
        if answer(replace(curve, flux=flux.astype(curve.flux.dtype), flux_err=error.astype(curve.flux_err.dtype), mask=mask)) != expected:
            return True
    return answer(curve) != expected


def nearest(times: Any, owner: Any, when: Any, whose: Any, tolerance: float = np.inf, mask: Any | None = None) -> Pairs:
    """The nearest moment of the same owner in another series.

    Parameters
    ----------
    times, owner : array, (epoch,)
        The other series: moments and to whom they belong, in any order.
    when, whose : array, (moment,)
        The moments asked about; NaN has no nearest.
    tolerance : float
        Days. Of two equally near moments the earlier counts.
    mask : bool array, (epoch,), optional
        Which of the other series may be taken.
    """
    t, o, a, w = np.asarray(times, dtype=np.float64), np.asarray(owner, dtype=np.int64), np.asarray(when, dtype=np.float64), np.asarray(whose, dtype=np.int64)
    fine = np.isfinite(t) if mask is None else np.isfinite(t) & np.asarray(mask, dtype=bool)
    kept = np.flatnonzero(fine)
    kept = kept[np.lexsort((t[kept], o[kept]))]
    index, gap = np.full(len(a), -1, dtype=np.int64), np.full(len(a), np.nan)
    if not len(kept) or not len(a):
        return Pairs(index, gap)
    # position among (owner, time) pairs: exact, where one line of both would round
    both = np.lexsort((np.concatenate([np.ones(len(a)), np.zeros(len(kept))]), np.concatenate([a, t[kept]]), np.concatenate([w, o[kept]])))
    place = np.empty(len(both), dtype=np.int64)
    place[both] = np.cumsum(both >= len(a))
    after = place[: len(a)]  # so many epochs lie at or before the moment
    for candidate in (after - 1, after):
        there = np.clip(candidate, 0, len(kept) - 1)
        mine = (candidate >= 0) & (candidate < len(kept)) & (o[kept[there]] == w) & np.isfinite(a)
        away = np.where(mine, t[kept[there]] - a, np.nan)
        better = mine & ~(np.abs(gap) <= np.abs(away))
        gap[better], index[better] = away[better], kept[there][better]
    index[~(np.abs(gap) <= tolerance)] = -1
    return Pairs(index, gap)
