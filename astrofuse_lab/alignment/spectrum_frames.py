"""Spectra in another frame: at rest, at another velocity, seen from the Sun or the barycentre. Pure.

A shift moves every wavelength by one factor, ``new = old / (1 + z)``. Flux is conserved: a density per wavelength is multiplied
by (1 + z), one per frequency divided by it, so that the integral over each pixel stays what was measured (Hogg 1999,
astro-ph/9905116, equations 22 to 24, without the luminosity distance); a number without a unit, such as a spectrum divided by its
continuum, is left as it is. Inverse variance goes with the square.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import Spectrum

LIGHT = 299_792.458
"""km/s."""
PLACES: dict[str, tuple[float, float, float]] = {
    "apo": (-105.82, 32.78, 2798.0), "cerro pachon": (-70.7367, -30.2407, 2750.0), "ctio": (-70.815, -30.1653, 2215.0), "keck": (-155.4783, 19.8283, 4160.0),
    "kpno": (-111.6, 31.9633, 2120.0), "la palma": (-17.88, 28.7583, 2327.0), "la silla": (-70.73, -29.2567, 2347.0), "las campanas": (-70.7017, -29.0033, 2282.0),
    "mauna kea": (-155.4681, 19.8208, 4215.0), "palomar": (-116.863, 33.356, 1706.0), "paranal": (-70.405, -24.6274, 2669.0), "siding spring": (149.0612, -31.2734, 1149.0),
    "xinglong": (117.575, 40.3933, 950.0),
}  # fmt: skip
"""Longitude and latitude, deg, and height, m, of observatories, after astropy's list of sites: an error of 1 km is 0.1 m/s."""


@lru_cache(maxsize=64)
def power(unit: str) -> int:
    """The power of (1 + z) that conserves flux: 1 per wavelength (and for counts, a pixel being no unit here), -1 per frequency, 0 for plain numbers."""
    from astropy.units import Unit

    try:
        known = Unit(unit)
    except (ValueError, TypeError):
        return 1
    if known.is_equivalent(Unit("Jy")):
        return -1
    return 0 if known.is_equivalent(Unit("")) else 1


def shifted(spectrum: Spectrum, z: float, conserve: bool = True) -> Spectrum:
    """The spectrum with its wavelengths divided by 1 + z.

    Parameters
    ----------
    spectrum : Spectrum
    z : float
        Redshift to take out; a negative one moves to the red.
    conserve : bool
        Scale the flux density so that its integral stays; False keeps the numbers.

    Raises
    ------
    AlignmentError
        If z is no number above -1.
    """
    if not (np.isfinite(z) and z > -1):
        raise AlignmentError(f"z={z} is no redshift: a number above -1 is expected.")
    by = (1.0 + z) ** power(spectrum.unit) if conserve else 1.0
    return replace(
        spectrum, wavelength=np.asarray(spectrum.wavelength, dtype=np.float64) / (1.0 + z), flux=spectrum.flux * by, ivar=spectrum.ivar / by**2,
        lsf_sigma=None if spectrum.lsf_sigma is None else spectrum.lsf_sigma / (1.0 + z),
    )  # fmt: skip


def redshift_of(velocity: float) -> float:
    """The redshift of a radial velocity in km/s, positive away from us, by special relativity.

    Raises
    ------
    AlignmentError
        If it is not below the speed of light.
    """
    beta = velocity / LIGHT
    if not abs(beta) < 1:
        raise AlignmentError(f"velocity={velocity} km/s is not below the speed of light.")
    return float(np.sqrt((1 + beta) / (1 - beta)) - 1)


def place(where: Any) -> tuple[float, float, float]:
    """Longitude, latitude (deg) and height (m) from a name in `PLACES` or these three numbers.

    Raises
    ------
    AlignmentError
        If it is neither.
    """
    if isinstance(where, str):
        found = PLACES.get(where.strip().lower())
        if found is None:
            raise AlignmentError(f"place {where!r} is not known here; give [longitude in deg, latitude in deg, height in m], or one of {', '.join(PLACES)}.")
        return found
    try:
        lon, lat, height = (float(v) for v in where)
    except (TypeError, ValueError) as error:
        raise AlignmentError(f"place={where!r} is no name, nor [longitude in deg, latitude in deg, height in m].") from error
    if not (-360 <= lon <= 360 and -90 <= lat <= 90 and abs(height) < 1e5):
        raise AlignmentError(f"place={where!r} is not on the Earth: [longitude in deg, latitude in deg, height in m].")
    return lon, lat, height


def solar_velocity(ra: float, dec: float, mjd: float, where: Any, kind: str = "barycentric") -> float:
    """The velocity, km/s, of a place on the Earth towards a source, relative to the solar system's barycentre or the Sun.

    With astropy (Wright & Eastman 2014, arXiv:1409.4774, to about 3 m/s with its built-in ephemeris).

    Parameters
    ----------
    ra, dec : float
        deg, ICRS.
    mjd : float
        UTC, middle of the exposure.
    where : str or sequence of float
        See `place`.
    kind : str
        ``barycentric`` or ``heliocentric``.

    Raises
    ------
    AlignmentError
        If a number is missing or `kind` is neither.
    """
    if kind not in ("barycentric", "heliocentric"):
        raise AlignmentError(f"kind={kind!r}: barycentric or heliocentric is expected.")
    for name, value in (("ra", ra), ("dec", dec), ("time", mjd)):
        if value is None or not np.isfinite(value):
            raise AlignmentError(f"{name} is missing: the motion of the Earth towards the object is not known without it.")
    from astropy import units as u
    from astropy.coordinates import EarthLocation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    lon, lat, height = place(where)
    at = EarthLocation.from_geodetic(lon * u.deg, lat * u.deg, height * u.m)
    # no table is fetched; a date beyond those at hand costs far less than the 3 m/s above
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        velocity = SkyCoord(ra * u.deg, dec * u.deg).radial_velocity_correction(kind, obstime=Time(mjd, format="mjd", scale="utc"), location=at)
        return float(velocity.to_value(u.km / u.s))


def towards_sun(spectrum: Spectrum, velocity: float) -> Spectrum:
    """The spectrum as it would be seen without the observer's `velocity` (km/s, towards the source): wavelengths times 1 + v/c."""
    return shifted(spectrum, 1.0 / (1.0 + velocity / LIGHT) - 1.0)
