"""The common grids that products are brought to. Quantities at the door, plain numbers inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Floats


def _plain(what: str, value: Any, unit: str) -> float:
    """A number in `unit`, from an astropy Quantity or a number already in it; of a Time, its MJD (UTC)."""
    if hasattr(value, "utc") and hasattr(value, "mjd"):
        value = value.utc.mjd
    reason: Exception | None = None
    try:
        # twelve digits: 380 nm and 3800 Angstrom make the same grid
        number = float(f"{float(value.to_value(unit)):.12g}") if hasattr(value, "to_value") else float(value)
    except (TypeError, ValueError) as error:  # astropy's UnitConversionError is a TypeError
        number, reason = np.nan, error
    if not np.isfinite(number):
        raise InputError(f"{what}={value!r} is no finite number in {unit or 'dex'}, nor a quantity that can be converted to it.") from reason
    return number


@dataclass(frozen=True, init=False)
class PixelGrid:
    """A square TAN grid centred on each target, north up and east left unless it is turned.

    Parameters
    ----------
    size : int
        Pixels on a side.
    scale : Quantity or float
        Angle per pixel; a plain number is arcsec.
    angle : Quantity or float
        Position angle of the y axis, north through east; a plain number is deg. Kept within 0 to 360.
    """

    size: int
    scale: float
    angle: float = 0.0

    def __init__(self, size: int, scale: Any, angle: Any = 0.0) -> None:
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise InputError(f"PixelGrid: size is a number of pixels, at least 1, not {size!r}.")
        object.__setattr__(self, "size", int(size))
        object.__setattr__(self, "scale", _plain("PixelGrid: scale", scale, "arcsec"))
        if not 0 < self.scale < 3.6e5:
            raise InputError(f"PixelGrid: scale {self.scale} arcsec per pixel is not positive. Type e.g. PixelGrid(64, 0.262 * u.arcsec).")
        object.__setattr__(self, "angle", _plain("PixelGrid: angle", angle, "deg") % 360.0)

    def __repr__(self) -> str:
        return f"PixelGrid(size={self.size}, scale={self.scale!r}" + (f", angle={self.angle!r})" if self.angle else ")")

    def wcs(self, ra: float, dec: float) -> dict[str, float | int | str]:
        """FITS keywords of this grid centred on a position in deg."""
        centre, step = (self.size + 1) / 2, self.scale / 3600
        cos, sin = float(np.cos(np.radians(self.angle))), float(np.sin(np.radians(self.angle)))
        turned = {"PC1_1": cos, "PC1_2": -sin, "PC2_1": sin, "PC2_2": cos} if self.angle else {}
        return {
            "WCSAXES": 2, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
            "CRVAL1": float(ra), "CRVAL2": float(dec), "CRPIX1": centre, "CRPIX2": centre,
            "CDELT1": -step, "CDELT2": step, "RADESYS": "ICRS", **turned,
        }  # fmt: skip


@dataclass(frozen=True, init=False)
class LogGrid:
    """Vacuum wavelengths spaced evenly in log10.

    Parameters
    ----------
    start, stop : Quantity or float
        First wavelength and upper bound; plain numbers are ångström.
    step : float
        Step in log10(wavelength); SDSS pixels are 1e-4.
    """

    start: float
    stop: float
    step: float

    def __init__(self, start: Any, stop: Any, step: float) -> None:
        for name, value in (("start", start), ("stop", stop), ("step", step)):
            object.__setattr__(self, name, _plain(f"LogGrid: {name}", value, "Angstrom" if name != "step" else ""))
        if not (0 < self.start < self.stop and self.step > 0):
            raise InputError(f"LogGrid({self.start}, {self.stop}, {self.step}): start below stop, and a positive step, e.g. LogGrid(3800, 9200, 1e-3).")
        if len(self) > 200_000:
            raise InputError(f"LogGrid has {len(self)} pixels; is step={self.step} in log10(wavelength)? SDSS uses 1e-4.")

    def __len__(self) -> int:
        return int(np.floor(np.log10(self.stop / self.start) / self.step + 1e-9)) + 1

    def at(self, pixel: Floats) -> NDArray[np.float64]:
        """Wavelengths, ångström, of pixel numbers; the centre of the first pixel is 0."""
        return np.asarray(self.start * 10 ** (self.step * pixel), dtype=np.float64)

    def pixel(self, wavelength: Floats) -> NDArray[np.float64]:
        """Pixel numbers, with fractions, of wavelengths in ångström: the inverse of `at`."""
        return np.asarray(np.log10(wavelength / self.start) / self.step, dtype=np.float64)

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """Pixel centres, ångström."""
        return self.at(np.arange(len(self), dtype=np.float64))

    @property
    def edges(self) -> NDArray[np.float64]:
        """Pixel borders, ångström, one more than pixels."""
        return self.at(np.arange(len(self) + 1) - 0.5)


@dataclass(frozen=True, init=False)
class LinearGrid:
    """Vacuum wavelengths spaced evenly.

    Parameters
    ----------
    start, stop : Quantity or float
        First wavelength and upper bound; plain numbers are ångström.
    step : Quantity or float
        Width of a pixel; a plain number is ångström.
    """

    start: float
    stop: float
    step: float

    def __init__(self, start: Any, stop: Any, step: Any) -> None:
        for name, value in (("start", start), ("stop", stop), ("step", step)):
            object.__setattr__(self, name, _plain(f"LinearGrid: {name}", value, "Angstrom"))
        if not (0 < self.start < self.stop and self.step > 0):
            raise InputError(f"LinearGrid({self.start}, {self.stop}, {self.step}): start below stop, and a positive step, e.g. LinearGrid(3800, 9200, 2.0).")
        if self.step >= 2 * self.start:
            raise InputError(f"LinearGrid: half of step={self.step} Angstrom reaches below zero from start={self.start}.")
        if len(self) > 200_000:
            raise InputError(f"LinearGrid has {len(self)} pixels, more than 200,000; step={self.step} is in Angstrom.")

    def __len__(self) -> int:
        return int(np.floor((self.stop - self.start) / self.step + 1e-9)) + 1

    def at(self, pixel: Floats) -> NDArray[np.float64]:
        """Wavelengths, ångström, of pixel numbers; the centre of the first pixel is 0."""
        return np.asarray(self.start + self.step * pixel, dtype=np.float64)

    def pixel(self, wavelength: Floats) -> NDArray[np.float64]:
        """Pixel numbers, with fractions, of wavelengths in ångström: the inverse of `at`."""
        return np.asarray((wavelength - self.start) / self.step, dtype=np.float64)

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """Pixel centres, ångström."""
        return self.at(np.arange(len(self), dtype=np.float64))

    @property
    def edges(self) -> NDArray[np.float64]:
        """Pixel borders, ångström, one more than pixels."""
        return self.at(np.arange(len(self) + 1) - 0.5)


WavelengthGrid = LogGrid | LinearGrid
"""Either axis of spectra; both have `wavelength`, `edges`, `at` and `pixel`."""


@dataclass(frozen=True, init=False)
class TimeGrid:
    """Which epochs are kept, and whether they are binned.

    Parameters
    ----------
    start, stop : Time, Quantity or float, optional
        First and last MJD, on the clock of the light curves (a Time counts by its UTC); None: no bound.
    step : Quantity or float, optional
        Bin width; a plain number is days (inverse-variance mean per band and bin). None: the observed epochs are kept, as tokens.
    bands : str or sequence of str, optional
        None: all bands found, in order of first appearance.
    """

    start: float | None
    stop: float | None
    step: float | None
    bands: tuple[str, ...] | None

    def __init__(self, start: Any = None, stop: Any = None, step: Any = None, bands: str | Sequence[str] | None = None) -> None:
        for name, value in (("start", start), ("stop", stop), ("step", step)):
            object.__setattr__(self, name, None if value is None else _plain(f"TimeGrid: {name}", value, "d"))
        object.__setattr__(self, "bands", None if bands is None else (bands,) if isinstance(bands, str) else tuple(bands))
        if self.start is not None and self.stop is not None and not self.start < self.stop:
            raise InputError(f"TimeGrid: start {self.start} is not before stop {self.stop} (MJD).")
        if self.step is not None and not self.step > 0:
            raise InputError(f"TimeGrid: step {self.step} days is not positive; None keeps the observed epochs.")
