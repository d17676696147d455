"""Clocks: forms and scales of time, and the light's way from a telescope to the barycentre of the solar system.

A clock is named by its scale, ``UTC``, ``TAI``, ``TT``, ``TDB``, ``TCB`` or ``TCG``, at the telescope; with ``BJD_`` in front the times are
those at which the light passed the barycentre (Kepler, TESS and Gaia give these). UTC and ``BJD_TDB`` differ by up to 8.4 minutes more than their scales do.

Source: Eastman, Siverd & Gaudi 2010, PASP 122, 935 (arXiv:1005.4415), equations 1 to 3; scales by astropy (ERFA, IAU SOFA), Earth's place by ERFA's
``epv00`` (within 13 km of JPL DE405, 0.05 ms of light).
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import AlignmentError

Numbers = NDArray[np.float64]
BARYCENTRE = "BJD_"
SCALES = ("UTC", "TAI", "TT", "TDB", "TCB", "TCG")
MJD_ZERO = 2400000.5
AU_METRES, AU_DAYS = 149597870700.0, 149597870700.0 / 299792458.0 / 86400.0
ZEROS = {"mjd": 2400000.5, "jd": 0.0, "rjd": 2400000.0, "bkjd": 2454833.0, "btjd": 2457000.0, "gaia": 2455197.5}
"""Julian date of day zero of each form of time. Kepler's, TESS's and Gaia's are used with barycentric times."""
OBSERVATORIES: dict[str, tuple[float, float, float]] = {
    "apache_point": (-105.8203, 32.7803, 2788.0),
    "cerro_pachon": (-70.7494, -30.2446, 2663.0),
    "cerro_tololo": (-70.8065, -30.1691, 2207.0),
    "haleakala": (-156.2561, 20.7083, 3055.0),
    "kitt_peak": (-111.5998, 31.9633, 2120.0),
    "la_palma": (-17.8792, 28.7606, 2327.0),
    "la_silla": (-70.7300, -29.2567, 2347.0),
    "las_campanas": (-70.7026, -29.0083, 2282.0),
    "mauna_kea": (-155.4719, 19.8261, 4215.0),
    "mount_lemmon": (-110.7893, 32.4420, 2790.0),
    "palomar": (-116.8650, 33.3563, 1712.0),
    "paranal": (-70.4045, -24.6272, 2635.0),
    "siding_spring": (149.0661, -31.2734, 1165.0),
}
"""Longitude (east, deg), latitude (deg) and height (m): to a few hundred metres, a microsecond of light."""


def to_mjd(time: Any, form: str) -> Numbers:
    """Days of some form as MJD, on the same clock.

    Parameters
    ----------
    time : array
        Days; where a form's numbers are large, as Julian dates are, float64 holds them to 40 microseconds.
    form : str
        One of `ZEROS`.
    """
    return np.asarray(np.asarray(time, dtype=np.float64) + (_zero(form) - ZEROS["mjd"]))


def from_mjd(time: Any, form: str) -> Numbers:
    """The inverse of `to_mjd`."""
    return np.asarray(np.asarray(time, dtype=np.float64) - (_zero(form) - ZEROS["mjd"]))


def _zero(form: str) -> float:
    if form not in ZEROS:
        raise AlignmentError(f"time is given as {form!r}; known are {', '.join(ZEROS)}.")
    return ZEROS[form]


def converted(time: Any, clock: str, wanted: str) -> Numbers:
    """MJD of one clock as MJD of another, at the same place.

    Parameters
    ----------
    time : array
        MJD; NaN stays NaN.
    clock, wanted : str
        As in this module's text.

    Raises
    ------
    AlignmentError
        For a clock that does not exist, or if one is barycentric and the other not: `barycentric` makes it so.
    """
    from astropy.time import Time
    from erfa import ErfaWarning

    mjd = np.asarray(time, dtype=np.float64)
    (scale, far), (into, wanted_far) = _parsed(clock), _parsed(wanted)
    if far != wanted_far:
        raise AlignmentError(
            f"time is in {clock!r} and {wanted!r} is wanted: one is of the telescope, the other of the barycentre, up to 8 minutes apart. "
            "The step 'barycentric' brings the telescope's there: steps={'light_curve': ['barycentric']}."
        )
    if scale == into:
        return mjd.copy()
    fine = np.isfinite(mjd)
    out = np.full(mjd.shape, np.nan)
    if fine.any():
        with warnings.catch_warnings():  # "dubious year": before 1960 UTC is a convention, and leap seconds to come are not known
            warnings.simplefilter("ignore", ErfaWarning)
            out[fine] = getattr(Time(mjd[fine], format="mjd", scale=scale), into).mjd
    return out


def _parsed(clock: str) -> tuple[str, bool]:
    """Scale in small letters, and whether the times are the barycentre's."""
    name = clock.upper()
    scale = name.removeprefix(BARYCENTRE)
    if scale not in SCALES:
        raise AlignmentError(f"time is in {clock!r}, a clock that is not known; known are {', '.join(SCALES)}, and each with {BARYCENTRE} in front.")
    return scale.lower(), name.startswith(BARYCENTRE)


def observatory(where: str | Sequence[float] | None) -> tuple[float, float, float] | None:
    """Longitude, latitude and height of a place: a name of `OBSERVATORIES`, three numbers, or None for the centre of the Earth."""
    if where is None or where == "geocentre":
        return None
    if isinstance(where, str):
        if where not in OBSERVATORIES:
            raise AlignmentError(f"observatory={where!r} is not known; known are {', '.join(OBSERVATORIES)}, 'geocentre', or [longitude, latitude, metres].")
        return OBSERVATORIES[where]
    numbers = tuple(float(v) for v in where)
    if len(numbers) != 3 or not np.isfinite(numbers).all() or abs(numbers[1]) > 90:
        raise AlignmentError(f"observatory={where!r}: longitude and latitude in deg, and height in metres.")
    return numbers[0], numbers[1], numbers[2]


def light_travel(time: Any, ra: Any, dec: Any, clock: str = "UTC", where: str | Sequence[float] | None = None) -> Numbers:
    """What to add to times at a telescope for the times at which the same wave front passes the barycentre.

    Parameters
    ----------
    time : array, (epoch,)
        MJD of a telescope's clock.
    ra, dec : float or array, (epoch,)
        Deg (ICRS), of a source beyond the solar system.
    clock : str
    where : str or sequence of float, optional
        As `observatory`; None: the centre of the Earth, at most 21 ms off.

    Returns
    -------
    array, (epoch,)
        Days, between -0.0058 and 0.0058.
    """
    scale, far = _parsed(clock)
    mjd, lon, lat = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (time, ra, dec)))
    if far:
        raise AlignmentError(f"time is in {clock!r}: it is of the barycentre already.")
    if not (np.isfinite(lon).all() and np.isfinite(lat).all() and (np.abs(lat) <= 90).all()):
        raise AlignmentError("ra, dec: a barycentric time needs a position in deg, and it is missing or outside the sphere.")
    place, out = observatory(where), np.full(mjd.shape, np.nan)
    fine = np.isfinite(mjd)
    if fine.any():
        a, d = np.radians(lon[fine]), np.radians(lat[fine])
        towards = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)
        out[fine] = (_telescope(mjd[fine], scale.upper(), place) * towards).sum(axis=-1) * AU_DAYS
    return out


def _telescope(mjd: Numbers, scale: str, place: tuple[float, float, float] | None) -> Numbers:
    """Where a telescope is, from the barycentre: (epoch, 3), ICRS axes, astronomical units.

    As ``astropy.time.Time.light_travel_time`` has it, without its overhead and without what moves a telescope by less than a
    kilometre, 3 microseconds of light: nutation, UT1 - UTC, the motion of the pole. Nothing is asked of the network.
    """
    import erfa

    tt = converted(mjd, scale, "TT")
    earth = erfa.epv00(MJD_ZERO, tt)[1]["p"]
    if place is None:
        return np.asarray(earth)
    utc = converted(mjd, scale, "UTC")
    turned = erfa.gmst06(MJD_ZERO, utc, MJD_ZERO, tt)
    on_earth = erfa.pvtob(np.radians(place[0]), np.radians(place[1]), place[2], 0.0, 0.0, 0.0, turned)["p"]
    of_date = np.swapaxes(erfa.pmat06(MJD_ZERO, tt), -1, -2)
    return np.asarray(earth + (of_date @ on_earth[..., None])[..., 0] / AU_METRES)


def barycentric(time: Any, ra: Any, dec: Any, clock: str = "UTC", where: str | Sequence[float] | None = None) -> Numbers:
    """MJD at a telescope as MJD at the barycentre on the scale TDB (``BJD_TDB - 2400000.5``).

    Parameters as of `light_travel`. Light curves already there come back as they are, on the scale TDB.
    """
    if _parsed(clock)[1]:
        return converted(time, clock, "BJD_TDB")
    return np.asarray(converted(time, clock, "TDB") + light_travel(time, ra, dec, clock, where))


def matched(time: Any, clock: str, wanted: str, ra: float, dec: float) -> Numbers:
    """MJD of any clock as MJD of any other, the telescope's or the barycentre's.

    Where one is the telescope's, it is taken to stand at the centre of the Earth: at most 21 ms off. A position that is
    missing is no matter unless the light's way has to be known.
    """
    (scale, far), (into, wanted_far) = _parsed(clock), _parsed(wanted)
    if far == wanted_far:
        return converted(time, clock, wanted)
    if wanted_far:
        return converted(barycentric(time, ra, dec, clock), "TDB", into.upper())
    there = converted(time, scale.upper(), "TDB")
    here = there
    for _ in range(3):  # the way changes by a ten thousandth of the time: 0.05 s, 5 microseconds, nothing
        here = there - light_travel(here, ra, dec, "TDB")
    return converted(here, "TDB", into.upper())
