"""The Milky Way's dust: the law of Fitzpatrick 1999 (PASP 111, 63), which Schlafly & Finkbeiner 2011 (ApJ 737, 103) recommend. Pure.

Ultraviolet: the curve of Fitzpatrick & Massa 1990 with the coefficients of his table 3 for the wanted R; optical and infrared:
a cubic spline through the anchors of his tables 3 and 4.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import Floats

RANGE = (1000.0, 35_000.0)
"""ångström in which the law is used; beyond, extinction is not known here."""


def fitzpatrick(wavelength: Floats, r_v: float = 3.1) -> NDArray[np.float64]:
    """A(lambda) / E(B - V), mag, of wavelengths in ångström; NaN outside `RANGE`.

    Raises
    ------
    AlignmentError
        If `r_v` is not between 2 and 6.
    """
    if not 2 <= r_v <= 6:
        raise AlignmentError(f"r_v={r_v}: Fitzpatrick's law is for 2 to 6, 3.1 on average.")
    wave = np.asarray(wavelength, dtype=np.float64)
    x = 1e4 / np.where((wave >= RANGE[0]) & (wave <= RANGE[1]), wave, np.nan)
    anchors = np.array([0.0, *(1e4 / np.array([26500.0, 12200.0, 6000.0, 5470.0, 4670.0, 4110.0, 2700.0, 2600.0]))])
    infrared = np.array([0.0, 0.265, 0.829]) * r_v / 3.1
    optical = [-0.426 + 1.0044 * r_v, -0.050 + 1.0016 * r_v, 0.701 + 1.0016 * r_v, 1.208 + 1.0032 * r_v - 0.00033 * r_v**2]
    values = np.concatenate([infrared, optical, _ultraviolet(anchors[-2:], r_v) + r_v])
    spline = CubicSpline(anchors, values, bc_type="natural")
    return np.asarray(np.where(x >= 1e4 / 2700.0, _ultraviolet(x, r_v) + r_v, spline(x)))


def _ultraviolet(x: NDArray[np.float64], r_v: float) -> NDArray[np.float64]:
    """E(lambda - V) / E(B - V) of inverse micrometres."""
    slope = -0.824 + 4.717 / r_v
    bump = x**2 / ((x**2 - 4.596**2) ** 2 + (x * 0.99) ** 2)
    far = np.clip(x - 5.9, 0.0, None)
    return np.asarray(2.030 - 3.007 * slope + slope * x + 3.23 * bump + 0.41 * (0.5392 * far**2 + 0.05644 * far**3))


def brighter(wavelength: Floats, ebv: float, r_v: float = 3.1) -> NDArray[np.float64]:
    """By what to multiply a flux to take dust of E(B - V) = `ebv` mag away; NaN outside `RANGE`.

    Raises
    ------
    AlignmentError
        If `ebv` is no number between 0 and 20.
    """
    if not 0 <= ebv <= 20:
        raise AlignmentError(f"ebv={ebv} mag: a number from 0 to 20 is expected.")
    return np.asarray(10 ** (0.4 * ebv * fitzpatrick(wavelength, r_v)))
