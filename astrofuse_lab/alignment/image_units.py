"""Pixels in microjansky, from nanomaggies, magnitude zero points, jansky, brightness per solid angle and per beam."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from astrofuse_lab.alignment.images import per_solid_angle
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import Image
from astrofuse_lab.surveys.pixels import beam_area, beamless

MAGGY = 3631e6  # uJy: AB magnitude zero, Oke & Gunn 1983, ApJ 266, 713
MAGGIES = {"nanomagg": 1e-9 * MAGGY, "nmgy": 1e-9 * MAGGY, "maggy": MAGGY, "maggies": MAGGY, "mgy": MAGGY}
AB_MICRO = 23.9  # AB magnitude of one microjansky
ZERO_KEYS = ("MAGZPT", "MAGZERO", "MAGZP", "MAGZ", "PHOTZP", "ZEROPNT", "ZPTMAG", "ZP", "MAG_ZP")
"""Header keywords that hold the AB magnitude of one count (or count per second, as the pixels are)."""
COUNTS = re.compile(r"(dn|adu|counts?|ct|e-?|electrons?|photons?|)(\s*(/|per)\s*(s|sec|seconds?)|\s*s-1)?", re.IGNORECASE)


def factors(image: Image, zero_point: Any = None, beam: Any = None) -> list[float]:
    """Microjansky per pixel of one of the image's units, for each band.

    Parameters
    ----------
    image : Image
    zero_point : float or sequence of float, optional
        AB magnitude of a pixel value of one, for all bands or each; None: from the header (`ZERO_KEYS`). Needed where the unit is
        counts, or there is none.
    beam : float or (float, float), optional
        FWHM of the beam, arcsec; None: from BMAJ and BMIN of the header, else `psf_fwhm`. Used per beam only.

    Raises
    ------
    AlignmentError
        If the unit is no flux and no zero point is known, or the beam is unknown; it says what to type.
    """
    n, unit = len(image.bands), image.unit.strip()
    name = next((value for word, value in MAGGIES.items() if unit.lower().startswith(word)), None)
    if name is not None and unit.lower().rstrip("s").rstrip("yie").isalpha():
        return [name] * n
    if COUNTS.fullmatch(unit):
        return [10 ** ((AB_MICRO - zero) / 2.5) for zero in _zero_points(image, zero_point)]
    from astropy import units as u

    pixel = image.scale**2 * u.arcsec**2
    without = beamless(unit)
    if not image.scale > 0 and (without or per_solid_angle(unit)):
        raise AlignmentError(f"unit {unit!r} needs the size of a pixel, and scale is {image.scale}.")
    try:
        if without:
            return [float((u.Unit(without) * (pixel / one).to(u.dimensionless_unscaled)).to_value(u.uJy)) for one in _beams(image, beam)]
        if per_solid_angle(unit):
            return [float((u.Unit(unit) * pixel).to_value(u.uJy))] * n
        return [float(u.Unit(unit).to(u.uJy))] * n
    except (ValueError, TypeError) as error:
        raise AlignmentError(f"unit {unit!r} is no flux density ({error}). Give zero_point=, the AB magnitude of a pixel value of one, if it counts something.") from error


def _zero_points(image: Image, given: Any) -> list[float]:
    if given is None:
        given = next((image.wcs[key] for key in ZERO_KEYS if isinstance(image.wcs.get(key), int | float)), None)
        if given is None:
            raise AlignmentError(
                f"unit {image.unit!r} has no flux without a zero point, and the header has none of {', '.join(ZERO_KEYS)}. "
                "Give zero_point=, the AB magnitude of a pixel value of one: a number, one a band, or the name of a column."
            )
    zeros = [float(v) for v in given] if isinstance(given, Sequence | np.ndarray) else [float(given)] * len(image.bands)
    if len(zeros) != len(image.bands) or not all(map(math.isfinite, zeros)):
        raise AlignmentError(f"zero_point={given!r}: one finite magnitude, or one for each of the bands {', '.join(image.bands)}, is expected.")
    return zeros


def _beams(image: Image, given: Any) -> list[Any]:
    """Solid angle of the beam for each band, as quantities."""
    from astropy import units as u

    if given is None:
        area = beam_area(image.wcs)
        if area is not None:
            return [area * u.deg**2] * len(image.bands)
        if image.psf_fwhm is None:
            raise AlignmentError(f"unit {image.unit!r} needs the beam, and there is neither BMAJ and BMIN in wcs nor psf_fwhm. Give beam=, its FWHM in arcsec, or two of them.")
        axes = [(width, width) for width in image.psf_fwhm]
    else:
        pair = (float(given), float(given)) if isinstance(given, int | float) else tuple(float(v) for v in given)
        axes = [(pair[0], pair[-1])] * len(image.bands)
    if not all(math.isfinite(a * b) and a > 0 and b > 0 for a, b in axes):
        raise AlignmentError(f"the beam of {axes} arcsec has no solid angle.")
    return [math.pi * a * b / (4 * math.log(2)) * u.arcsec**2 for a, b in axes]


def column_or(given: Any, about: Mapping[str, Any], what: str) -> Any:
    """What an option says, or, of a name, what that column holds.

    Raises
    ------
    AlignmentError
        If the object has no such number; it names the column.
    """
    if not isinstance(given, str):
        return given
    value = about.get(given)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise AlignmentError(f"column {given!r} holds {value!r}, where {what} is expected.")
    return float(value)
