"""Magnitudes and fluxes: zero points, asinh magnitudes, upper limits that stay upper limits.

Sources: Pogson's scale with AB zero at 3631 Jy (Oke & Gunn 1983, ApJ 266, 713); asinh magnitudes of Lupton, Gunn & Szalay 1999, AJ 118, 1406
(arXiv:astro-ph/9903081), equation 3, with the softenings of SDSS (https://www.sdss4.org/dr17/algorithms/magnitudes/).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment import bands as _bands
from astrofuse_lab.errors import AlignmentError

Numbers = NDArray[np.float64]
AB_ZERO = 3631.0
"""Jansky at magnitude zero."""
POGSON = 2.5 / np.log(10)
SOFTENING = {"u": 1.4e-10, "g": 0.9e-10, "r": 1.2e-10, "i": 1.8e-10, "z": 7.4e-10}
"""Of asinh magnitudes, in units of the flux of magnitude zero."""
Zero = str | float | Sequence[Any]
"""``"AB"``, ``"Vega"``, jansky at magnitude zero, or pairs of band and jansky."""


class Brightness(NamedTuple):
    """Fluxes or magnitudes with what became of them: arrays of one shape."""

    value: Numbers
    error: Numbers
    mask: NDArray[np.bool_]
    limit: NDArray[np.bool_]


def zero_points(zero: Zero, band: NDArray[np.str_]) -> Numbers:
    """Microjansky at magnitude zero, of each epoch.

    Raises
    ------
    AlignmentError
        Naming a band of which the zero point is not known, or a zero point that is none.
    """
    if isinstance(zero, str) and zero.upper() == "AB":
        return np.full(np.shape(band), AB_ZERO * 1e6)
    if isinstance(zero, str) and zero.upper() == "VEGA":
        known = _bands.VEGA_ZERO
    elif isinstance(zero, Sequence) and not isinstance(zero, str):
        known = {str(pair[0]): float(pair[1]) for pair in zero}
    else:
        try:
            known = dict.fromkeys(map(_bands.plain, np.unique(band)), float(zero))
        except ValueError:
            raise AlignmentError(f"zero={zero!r}: 'AB', 'Vega', jansky at magnitude zero, or pairs [band, jansky].") from None
    names, place = np.unique(band, return_inverse=True)
    values = np.array([known.get(str(n), known.get(_bands.plain(n), np.nan)) for n in names], dtype=np.float64)
    if not (values > 0).all():
        raise AlignmentError(f"band {str(names[~(values > 0)][0])!r} has no zero point in zero={zero!r}; it gives {', '.join(known)}.")
    return np.asarray(values[place.reshape(np.shape(band))] * 1e6)


def flux_of(mag: Any, error: Any, zero: Any, limit: Any | None = None, mask: Any | None = None) -> Brightness:
    """Magnitudes as fluxes.

    Parameters
    ----------
    mag, error : array
        Of a limit, `mag` is the limit at n sigma and `error` is ``POGSON / n``, as `magnitude_of` gives it.
    zero : float or array
        Microjansky at magnitude zero.
    limit, mask : bool array, optional

    Returns
    -------
    Brightness
        Microjansky. Of a limit, flux zero and its one-sigma depth as error. What is no number is masked.
    """
    m, e, z = (np.asarray(v, dtype=np.float64) for v in (mag, error, zero))
    limits = np.zeros(m.shape, dtype=bool) if limit is None else np.asarray(limit, dtype=bool)
    fine = np.isfinite(m) & np.isfinite(e) & (np.abs(m) < 90) & (e > 0)  # 99 and -99 are what catalogues write where there is nothing
    m, e = np.where(fine, m, 0.0), np.where(fine, e, 1.0)
    flux = z * 10 ** (-0.4 * m)
    given = fine if mask is None else fine & np.asarray(mask, dtype=bool)
    return Brightness(np.where(limits | ~fine, 0.0, flux), np.where(fine, flux * e / POGSON, 0.0), given, limits)


def magnitude_of(flux: Any, error: Any, zero: Any, limit: Any | None = None, mask: Any | None = None, sigma: float = 3.0) -> Brightness:
    """Fluxes as magnitudes; the inverse of `flux_of`.

    Parameters
    ----------
    flux, error : array
        Microjansky.
    zero : float or array
        Microjansky at magnitude zero.
    limit, mask : bool array, optional
    sigma : float
        What is fainter than this many errors, and every limit, becomes the upper limit at so many errors: a flux around
        zero or below has no magnitude, yet it says how faint the object was.

    Returns
    -------
    Brightness
        Magnitudes. Of a limit, the error is ``POGSON / sigma``.
    """
    f, e, z = (np.asarray(v, dtype=np.float64) for v in (flux, error, zero))
    if not sigma > 0:
        raise AlignmentError(f"sigma={sigma}: a limit lies a positive number of errors above zero.")
    fine = np.isfinite(f) & np.isfinite(e) & (e > 0)
    f, e = np.where(fine, f, 1.0), np.where(fine, e, 1.0)
    limits = (f < sigma * e) & fine
    if limit is not None:
        limits |= np.asarray(limit, dtype=bool)
    bright = np.where(limits, sigma * e, f)
    given = fine if mask is None else fine & np.asarray(mask, dtype=bool)
    return Brightness(-2.5 * np.log10(bright / z), POGSON * np.where(limits, 1 / sigma, e / bright), given, limits)


def asinh_magnitude_of(flux: Any, error: Any, zero: Any, softening: Any) -> tuple[Numbers, Numbers]:
    """Fluxes as asinh magnitudes, which exist for fluxes of any sign.

    Parameters
    ----------
    flux, error : array
        Microjansky.
    zero : float or array
        Microjansky at magnitude zero.
    softening : float or array
        In units of `zero`; see `softenings`.
    """
    f, e, z, b = (np.asarray(v, dtype=np.float64) for v in (flux, error, zero, softening))
    x = f / z / (2 * b)
    return -POGSON * (np.arcsinh(x) + np.log(b)), POGSON * (e / z) / (2 * b) / np.sqrt(1 + x**2)


def asinh_flux_of(mag: Any, error: Any, zero: Any, softening: Any) -> tuple[Numbers, Numbers]:
    """The inverse of `asinh_magnitude_of`."""
    m, e, z, b = (np.asarray(v, dtype=np.float64) for v in (mag, error, zero, softening))
    x = -m / POGSON - np.log(b)
    return np.sinh(x) * 2 * b * z, e / POGSON * z * 2 * b * np.cosh(x)


def softenings(band: NDArray[np.str_], softening: float | None = None) -> Numbers:
    """SDSS's softening of each epoch's band, or one for all; AlignmentError for a band that SDSS has not."""
    if softening is not None:
        if not softening > 0:
            raise AlignmentError(f"softening={softening}: a positive share of the flux of magnitude zero, e.g. 1e-10.")
        return np.full(np.shape(band), float(softening))
    names, place = np.unique(band, return_inverse=True)
    unknown = [str(n) for n in names if _bands.plain(n) not in SOFTENING]
    if unknown:
        raise AlignmentError(f"band {unknown[0]!r} has no softening of its own (SDSS has {', '.join(SOFTENING)}); give softening=, e.g. 1e-10.")
    return np.asarray(np.array([SOFTENING[_bands.plain(n)] for n in names], dtype=np.float64)[place.reshape(np.shape(band))])
