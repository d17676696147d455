"""Targets from a region of the sky: the objects that a survey has in it. `fetching` binds it to `Targets`."""

import importlib
from typing import Any

from astrofuse_lab.errors import InputError, TargetError, UnknownNameError
from astrofuse_lab.surveys import SURVEYS
from astrofuse_lab.targets import Target, Targets

REGIONS = {
    "practice": "astrofuse_lab.surveys.practice.catalogue:objects_in",
    "gaia": "astrofuse_lab.surveys.gaia:objects_in",
}


def from_region(center: Any, radius: Any, n: int = 100, survey: str = "practice/table") -> Targets:
    """The objects that a survey has in a circle on the sky.

    Parameters
    ----------
    center : SkyCoord, str or pair
        A SkyCoord; ``"150.1 2.2"`` in deg or ``"10:00:24 +02:12:00"`` in hours and deg; or (ra, dec) in deg.
    radius : Quantity or float
        A plain number is arcsec, as everywhere.
    n : int
        At most so many.
    survey : str
        A survey of the practice sky, or ``"gaia/table"``.

    Raises
    ------
    TargetError
        If the centre is no position, or no object lies in the circle.
    InputError
        If the survey cannot search regions, or `radius` or `n` cannot be used.
    """
    provider = survey.partition("/")[0]
    if provider not in REGIONS or survey not in SURVEYS:
        raise UnknownNameError("survey that can search a region", survey, [f"{name}/table" for name in REGIONS])
    try:
        degrees = float(radius.to_value("deg") if hasattr(radius, "to_value") else float(radius) / 3600)
    except (TypeError, ValueError) as error:
        raise InputError(f"radius={radius!r} is no angle ({error}). Type e.g. radius=0.5 * u.deg, or a plain number of arcsec.") from None
    if not 0 < degrees <= 180:
        raise InputError(f"radius={radius!r} is not an angle between 0 and 180 deg.")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InputError(f"n={n!r} is not a number of objects, at least 1.")
    ra, dec = _center(center)
    module, _, name = REGIONS[provider].partition(":")
    targets = getattr(importlib.import_module(module), name)(ra, dec, degrees, n)
    if not len(targets):
        raise TargetError(f"{survey} has no object within {degrees * 3600:g} arcsec of RA {ra:.5f}, Dec {dec:.5f} deg. Give a larger radius.")
    assert isinstance(targets, Targets)
    return targets


def _center(center: Any) -> tuple[float, float]:
    """ICRS degrees from whatever names a position; TargetError if it is none."""
    if hasattr(center, "icrs"):
        if not getattr(center, "isscalar", True):
            raise TargetError(f"center holds {len(center)} positions; a region has one. Type center[0].")
        return float(center.icrs.ra.deg), float(center.icrs.dec.deg)
    try:
        ra, dec = _pair(center)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"center={center!r} is no position ({error}). Type (150.1, 2.2), '150.1 2.2' or '10:00:24 +02:12:00'; "
            "for a name: center = Targets.from_names(['M 31'])[0], then (center.ra, center.dec)."
        ) from None
    Targets([Target("center", ra, dec)])
    return ra, dec


def _pair(center: Any) -> tuple[float, float]:
    if not isinstance(center, str):
        ra, dec = (float(v.to_value("deg") if hasattr(v, "to_value") else v) for v in center)
        return ra, dec
    parts = center.replace(",", " ").split()
    if len(parts) == 2:
        try:
            return float(parts[0]), float(parts[1])
        except ValueError:
            pass  # sexagesimal
    from astropy.coordinates import SkyCoord

    coord = SkyCoord(center, unit=("hourangle", "deg"))
    return float(coord.ra.deg), float(coord.dec.deg)


