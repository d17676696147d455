"""Named treatments of one light curve; see `steps`.

An option that is a number of the object, such as a time or a period, is given as a number or as the name of a column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment import bands, clocks, detrending, extinction, gaussian_processes, light_curves, magnitudes, moments, outliers
from astrofuse_lab.alignment.steps import Step, measured
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import LightCurve

About = Mapping[str, Any]
Told = float | str | None
"""A number, or the column that holds it."""
MOST_MOMENTS = 100_000


def told(about: About, value: Any, option: str) -> float:
    """The number that an option means for this object; AlignmentError where it is missing."""
    number = about.get(value) if isinstance(value, str) else value
    if isinstance(value, str) and value not in about:
        raise AlignmentError(f"{option}={value!r}: there is no such column; there are {', '.join(map(str, about))}.")
    try:
        out = float(number)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        out = np.nan
    if not np.isfinite(out):
        raise AlignmentError(f"{option}={value!r} is {number!r} here, which is no number.")
    return out


def _series(curve: LightCurve) -> NDArray[np.int64]:
    return outliers.series_of(np.zeros(len(curve.time), dtype=np.int64), curve.band)


def _detected(curve: LightCurve) -> NDArray[np.bool_]:
    """What may be judged or fitted: usable, and no limit."""
    good = moments.usable(curve)
    return good if curve.limit is None else good & ~curve.limit


# ---- clocks ----------------------------------------------------------------------------------------------------------


def from_days(curve: LightCurve, about: About, form: str = "jd") -> LightCurve:
    """Times in another form of day than MJD."""
    return replace(curve, time=clocks.to_mjd(curve.time, form))


def on_clock(curve: LightCurve, about: About, clock: str = "TDB") -> LightCurve:
    """Another scale of time, at the same place."""
    return replace(curve, time=clocks.converted(curve.time, curve.clock, clock), clock=clock)


def barycentric(curve: LightCurve, about: About, observatory: str | Sequence[float] | None = None) -> LightCurve:
    """Times at the barycentre, TDB."""
    when = clocks.barycentric(curve.time, told(about, "ra", "position"), told(about, "dec", "position"), curve.clock, observatory)
    return moments.ordered(replace(curve, time=when, clock="BJD_TDB"))


def rest_frame(curve: LightCurve, about: About, redshift: Told = "redshift", since: Told = None) -> LightCurve:
    """Days as the source counts them, from `since` (None: the first epoch)."""
    z = told(about, redshift, "redshift")
    if not z > -1:
        raise AlignmentError(f"redshift={z}: above -1.")
    curve = moments.ordered(curve)
    zero = float(curve.time[0]) if since is None else told(about, since, "since")
    return replace(curve, time=zero + (curve.time - zero) / (1 + z))


# ---- brightness ------------------------------------------------------------------------------------------------------


def _microjansky(curve: LightCurve) -> float:
    from astropy.units import Unit

    try:
        return float(Unit(curve.unit).to(Unit("uJy")))
    except (ValueError, TypeError) as error:
        raise AlignmentError(f"unit {curve.unit!r} cannot be converted to microjansky, so it has no magnitude.") from error


def _as(curve: LightCurve, got: magnitudes.Brightness, unit: str) -> LightCurve:
    limit = got.limit if curve.limit is not None or got.limit.any() else None
    return replace(curve, flux=got.value, flux_err=got.error, mask=got.mask, limit=limit, unit=unit)


def from_magnitudes(curve: LightCurve, about: About, zero: magnitudes.Zero = "AB") -> LightCurve:
    """Magnitudes as microjansky; limits stay limits."""
    if not curve.unit.startswith("mag"):
        raise AlignmentError(f"unit is {curve.unit!r}, which is no magnitude.")
    return _as(curve, magnitudes.flux_of(curve.flux, curve.flux_err, magnitudes.zero_points(zero, curve.band), curve.limit, curve.mask), "uJy")


def to_magnitudes(curve: LightCurve, about: About, zero: magnitudes.Zero = "AB", sigma: float = 3.0) -> LightCurve:
    """Fluxes as magnitudes; what is fainter than `sigma` errors becomes a limit."""
    by = _microjansky(curve)
    points = magnitudes.zero_points(zero, curve.band)
    return _as(curve, magnitudes.magnitude_of(np.asarray(curve.flux) * by, np.asarray(curve.flux_err) * by, points, curve.limit, curve.mask, sigma), "mag")


def asinh_magnitudes(curve: LightCurve, about: About, zero: magnitudes.Zero = "AB", softening: float | None = None) -> LightCurve:
    """Fluxes as asinh magnitudes, which negative fluxes have, too."""
    by = _microjansky(curve)
    soft, points = magnitudes.softenings(curve.band, softening), magnitudes.zero_points(zero, curve.band)
    value, error = magnitudes.asinh_magnitude_of(np.asarray(curve.flux) * by, np.asarray(curve.flux_err) * by, points, soft)
    return replace(curve, flux=value, flux_err=error, unit="asinh mag")


def deredden(curve: LightCurve, about: About, ebv: Told = "ebv_mw", r_v: float = 3.1) -> LightCurve:
    """The Milky Way's dust taken away; a limit's depth grows with it."""
    if "mag" in curve.unit:
        raise AlignmentError(f"unit is {curve.unit!r}; dust is taken from fluxes, so do it before to_magnitudes.")
    names, place = np.unique(curve.band, return_inverse=True)
    by = extinction.brighter(bands.wavelengths(names), told(about, ebv, "ebv"), r_v)
    by = np.where(np.isfinite(by), by, 1.0)[place.ravel()]  # beyond 3.5 micrometres dust takes less than 0.2 E(B - V)
    return replace(curve, flux=curve.flux * by, flux_err=curve.flux_err * by)


# ---- cleaning --------------------------------------------------------------------------------------------------------


def sigma_clipped(curve: LightCurve, about: About, low: float = 3.0, high: float = 3.0, iterations: int | None = 5, width: str = "mad") -> LightCurve:
    """Outliers of each band masked; limits are not judged."""
    judged = _detected(curve)
    keep = outliers.sigma_clip(curve.flux, _series(curve), judged, low=low, high=high, iterations=iterations, width=width)
    return replace(curve, mask=np.asarray(curve.mask & (keep | ~judged)))


def median_clipped(curve: LightCurve, about: About, window: float = 10.0, sigma: float = 5.0) -> LightCurve:
    """What is far from the running median of its band masked; limits are not judged."""
    judged = _detected(curve)
    keep = outliers.far_from_neighbours(curve.time, curve.flux, curve.flux_err, _series(curve), judged, width=window, sigma=sigma)
    return replace(curve, mask=np.asarray(curve.mask & (keep | ~judged)))


def detrended(
    curve: LightCurve, about: About, method: str = "biweight", window: float = 1.0, degree: int = 2, how: str = "divide",
    period: Told = None, middle: Told = None, duration: Told = None,
) -> LightCurve:  # fmt: skip
    """The slow part of each band divided or taken out, unseen where a transit is."""
    if how not in ("divide", "subtract"):
        raise AlignmentError(f"how={how!r}: 'divide' or 'subtract'.")
    transit = None
    if middle is not None:
        span = told(about, duration, "duration")
        transit = detrending.in_transit(curve.time, np.nan if period is None else told(about, period, "period"), told(about, middle, "middle"), span)
    trend = detrending.trend(
        curve.time, curve.flux, curve.flux_err, _series(curve), _detected(curve), method=method, window=window, degree=degree, transit=transit
    )
    known = np.isfinite(trend) & ((trend > 0) | (how == "subtract"))
    trend = np.where(known, trend, 1.0)
    if not (known & curve.mask).any():
        raise AlignmentError("flux has no epoch at which the trend is known; give a wider window or a lower degree.")
    mask = np.asarray(curve.mask & known)
    if how == "subtract":
        return replace(curve, flux=np.where(known, curve.flux - trend, 0.0), mask=mask)
    return replace(curve, flux=np.where(known, curve.flux / trend, 0.0), flux_err=curve.flux_err / trend, mask=mask, unit="relative")


# ---- time ------------------------------------------------------------------------------------------------------------


def nightly(curve: LightCurve, about: About, observatory: str | Sequence[float] | None = None) -> LightCurve:
    """One mean a band and night of the telescope."""
    place = clocks.observatory(observatory)
    return light_curves.nightly(curve, place[0] if place else 0.0)


def gaussian_process(
    curve: LightCurve, about: About, step: float = 1.0, reach: float | None = None, nu: float = 1.5, band_length: float = 6000.0, level: str = "zero"
) -> LightCurve:
    """Every band at the same moments, multiples of `step` days."""
    good = moments.usable(curve)
    if not step > 0 or not good.any():
        raise AlignmentError(f"step={step}: days, more than zero." if not step > 0 else "flux has no usable epoch.")
    names = np.unique(curve.band[good])
    place = bands.wavelengths(names) if band_length > 0 else np.arange(len(names), dtype=np.float64)
    index = np.searchsorted(names, curve.band[good])
    time, flux, error = (np.asarray(v, dtype=np.float64)[good][None] for v in (curve.time, curve.flux, curve.flux_err))
    got = gaussian_processes.fit(time, flux, error, place[index][None], np.ones((1, len(index)), dtype=bool), nu=nu, band_length=band_length, level=level)
    far = max(float(got.length[0]), step) if reach is None else float(reach)
    far = min(far, float(np.ptp(time)) + step)
    first, last = np.ceil((time.min() - far) / step), np.floor((time.max() + far) / step)
    if last - first > MOST_MOMENTS:
        raise AlignmentError(f"step={step} makes {last - first:.0f} moments of one light curve; give a larger one.")
    at = np.arange(first, last + 1) * step
    mean, variance, mask = (v[0].T.ravel() for v in gaussian_processes.predict(got, at, place, far))
    if not mask.any():
        raise AlignmentError(f"no multiple of step={step} days lies within {far:g} days of an epoch; give a smaller step.")
    return replace(
        curve, time=np.repeat(at, len(names))[mask], flux=mean[mask], flux_err=np.sqrt(variance[mask]), band=np.tile(names, len(at))[mask],
        mask=np.ones(int(mask.sum()), dtype=bool), limit=None,
    )  # fmt: skip


def known_by(
    curve: LightCurve, about: About, day: float = 30.0, since: Told = None, sigma: float = 5.0, count: int = 1, before: float | None = None
) -> LightCurve:
    """What was known by a day after the trigger; the trigger is kept as a column."""
    trigger = moments.first_detection(curve, sigma, count) if since is None else told(about, since, "since")
    got = moments.known_by(curve, day, trigger, before=before)
    measured(about, "light_curve_trigger", trigger, "d")
    return got


def window(curve: LightCurve, about: About, event: Told = "time", begin: float = -30.0, end: float = 100.0) -> LightCurve:
    """The epochs around an event; how far the nearest usable one lies from it is kept as a column."""
    when = told(about, event, "event")
    got = moments.window(curve, when, begin, end)
    one = np.zeros(1, dtype=np.int64)
    gap = moments.nearest(got.time, np.zeros(len(got.time), dtype=np.int64), np.array([when]), one, mask=moments.usable(got)).gap
    measured(about, "light_curve_gap", float(gap[0]), "d")
    return got


STEPS: dict[str, Step] = {
    "from_days": Step(from_days, {"form": "jd"}, f"Days of another form ({', '.join(clocks.ZEROS)}) as MJD"),
    "clock": Step(on_clock, {"clock": "TDB"}, "Another scale of time at the same place (UTC, TAI, TT, TDB, TCB, TCG), by ERFA"),
    "barycentric": Step(barycentric, {"observatory": None}, "Times at the barycentre, TDB, from the object's position (Eastman et al. 2010)"),
    "rest_frame": Step(rest_frame, {"redshift": "redshift", "since": None}, "Days as the source counts them"),
    "from_magnitudes": Step(from_magnitudes, {"zero": "AB"}, "Magnitudes (AB, Vega or stated zero points) as microjansky; limits stay limits"),
    "to_magnitudes": Step(to_magnitudes, {"zero": "AB", "sigma": 3.0}, "Fluxes as magnitudes; what is fainter than sigma errors becomes a limit"),
    "asinh_magnitudes": Step(asinh_magnitudes, {"zero": "AB", "softening": None}, "Asinh magnitudes (Lupton et al. 1999)"),
    "deredden": Step(deredden, {"ebv": "ebv_mw", "r_v": 3.1}, "The Milky Way's dust taken away, band by band (Fitzpatrick 1999)"),
    "sigma_clipped": Step(sigma_clipped, {"low": 3.0, "high": 3.0, "iterations": 5, "width": "mad"}, "Outliers of each band masked"),
    "median_clipped": Step(median_clipped, {"window": 10.0, "sigma": 5.0}, "What is far from the running median of its band masked"),
    "detrended": Step(
        detrended, {"method": "biweight", "window": 1.0, "degree": 2, "how": "divide", "period": None, "middle": None, "duration": None},
        "Slow changes of each band taken out, transits unseen (Hippke et al. 2019)",
    ),
    "nightly": Step(nightly, {"observatory": None}, "One inverse-variance mean a band and night"),
    "gaussian_process": Step(
        gaussian_process, {"step": 1.0, "reach": None, "nu": 1.5, "band_length": 6000.0, "level": "zero"},
        "Every band at the same moments, by a Gaussian process over time and wavelength (Boone 2019)",
    ),
    "known_by": Step(known_by, {"day": 30.0, "since": None, "sigma": 5.0, "count": 1, "before": None}, "What was known by a day after the trigger"),
    "window": Step(window, {"event": "time", "begin": -30.0, "end": 100.0}, "The epochs around an event"),
}  # fmt: skip
