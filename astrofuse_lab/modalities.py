"""The kinds of data an object can have, as plain arrays with fixed units.

Inner units: deg (ICRS), MJD, microjansky, ångström in vacuum, arcsec per pixel.
Spectra stay in f_lambda (1e-17 erg / s / cm2 / Angstrom), as archives send them.
In every mask, True means the value is real; what is missing is masked, never a number.
Field names follow the Multimodal Universe; ``lambda``, a Python keyword, is ``wavelength`` here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.provenance import Provenance

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

SPECTRUM_UNIT = "1e-17 erg / (s cm2 Angstrom)"
KINDS = ("image", "spectrum", "light_curve", "series", "table", "text")
"""The modality kinds that sample sets hold, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Image:
    """Pixels on the sky, one plane a band.

    Attributes
    ----------
    flux : array, (band, y, x)
        Microjansky per pixel, unless `unit` says otherwise.
    mask : bool array, (band, y, x)
        True where the pixel was observed and is good.
    bands : tuple of str
    wcs : mapping
        The FITS keywords of the celestial WCS (CTYPE1, CRVAL1, ...).
    scale : float
        arcsec per pixel.
    ivar : array, (band, y, x), optional
        Inverse variance of `flux`.
    psf_fwhm : tuple of float, optional
        arcsec, one a band.
    time : float, optional
        MJD of the observation.
    """

    flux: Floats
    mask: Bools
    bands: tuple[str, ...]
    wcs: Mapping[str, float | int | str]
    scale: float
    ivar: Floats | None = None
    psf_fwhm: tuple[float, ...] | None = None
    time: float | None = None
    unit: str = "uJy"
    provenance: Provenance = Provenance("unknown")


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Flux density against vacuum wavelength.

    Attributes
    ----------
    wavelength, flux, ivar : array, (pixel,)
        Ångström in vacuum, observed frame; `unit`; inverse variance of `flux`.
    mask : bool array, (pixel,)
        True where the pixel is good.
    lsf_sigma : array, (pixel,), optional
        Width of the line-spread function, ångström.
    """

    wavelength: Floats
    flux: Floats
    ivar: Floats
    mask: Bools
    lsf_sigma: Floats | None = None
    time: float | None = None
    unit: str = SPECTRUM_UNIT
    provenance: Provenance = Provenance("unknown")


@dataclass(frozen=True, slots=True)
class LightCurve:
    """Brightness against time, in any number of bands, at irregular epochs.

    Attributes
    ----------
    time : array, (epoch,)
        MJD on the clock `clock`, ascending: UTC, TAI, TT, TDB ... of the telescope, or BJD_TDB, BJD_TCB of the barycentre.
    flux, flux_err : array, (epoch,)
        Microjansky (or `unit`) and its one-sigma error.
    band : array of str, (epoch,)
    mask : bool array, (epoch,)
        True where the epoch is good.
    limit : bool array, (epoch,), optional
        True where nothing was detected and `flux_err` is the one-sigma depth.
    """

    time: Floats
    flux: Floats
    flux_err: Floats
    band: NDArray[np.str_]
    mask: Bools
    limit: Bools | None = None
    clock: str = "UTC"
    unit: str = "uJy"
    provenance: Provenance = Provenance("unknown")


@dataclass(frozen=True, slots=True)
class Series:
    """Channels on one regular axis that all objects share: light curves folded by period, periodograms, monitor channels before an event.

    Attributes
    ----------
    axis : array, (sample,)
        Where the samples lie, in `axis_unit`.
    values : array, (channel, sample)
    mask : bool array, (channel, sample)
        True where the sample is good.
    channels : tuple of str
    axis_name, axis_unit : str
        What the axis is, e.g. ``phase``.
    """

    axis: Floats
    values: Floats
    mask: Bools
    channels: tuple[str, ...]
    axis_name: str = "sample"
    axis_unit: str = ""
    unit: str = ""
    provenance: Provenance = Provenance("unknown")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One catalogue row: values under their source names, None where missing.

    ``roles`` may say of a column that it is no input: ``target``, ``group``, ``id`` or ``other``.
    """

    values: Mapping[str, float | int | str | bool | None]
    units: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance = Provenance("unknown")


@dataclass(frozen=True, slots=True)
class Text:
    """What somebody wrote about the object: a report, a circular, a note."""

    text: str
    provenance: Provenance = Provenance("unknown")


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """Regularly sampled channels: strain of gravitational-wave detectors, solar X-ray flux.

    Attributes
    ----------
    start : float
        MJD (UTC) of the first sample.
    step : float
        Seconds from one sample to the next.
    values : array, (channel, sample)
    mask : bool array, (channel, sample)
        True where the sample is good.
    channels : tuple of str
    """

    start: float
    step: float
    values: Floats
    mask: Bools
    channels: tuple[str, ...]
    unit: str = ""
    provenance: Provenance = Provenance("unknown")


@dataclass(frozen=True, slots=True)
class SkyMap:
    """Probability on the sky, HEALPix cells of any mix of orders (multi-order maps).

    Attributes
    ----------
    uniq : int array, (cell,)
        NUNIQ numbers, nested, ICRS (https://www.ivoa.net/documents/MOC/).
    density : array, (cell,)
        Probability per steradian; integrates to one.
    distance_mean, distance_std : array, (cell,), optional
        Mpc, of the conditional distance in each cell; NaN where there is none.
    time : float, optional
        MJD of the event.
    """

    uniq: NDArray[np.int64]
    density: Floats
    distance_mean: Floats | None = None
    distance_std: Floats | None = None
    time: float | None = None
    provenance: Provenance = Provenance("unknown")


Modality = Image | Spectrum | LightCurve | Series | TableRow | Text | TimeSeries | SkyMap

KIND_OF: dict[type, str] = {
    Image: "image", Spectrum: "spectrum", LightCurve: "light_curve", Series: "series", TableRow: "table", Text: "text",
    TimeSeries: "time_series", SkyMap: "sky_map",
}  # fmt: skip
