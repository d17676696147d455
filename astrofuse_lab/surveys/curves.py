"""Light curves from arrays of epochs: units, order and masks. Shared by the surveys of light curves; pure.

Source: AB magnitudes, Oke & Gunn 1983, ApJ 266, 713 (zero at 3631 Jy).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.modalities import LightCurve
from astrofuse_lab.positions import separation_arcsec
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys.formats import plain
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Target

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
AB_ZERO = 3631.0  # Jy
JD_TO_MJD = 2400000.5
LARGEST = 1e37  # float32 holds no more
POGSON = 0.4 * math.log(10)


class Epochs(NamedTuple):
    """What was measured, in the order in which it came.

    Attributes
    ----------
    time : array, (epoch,)
        MJD; NaN where there is none, which drops the epoch.
    flux, error : array, (epoch,)
        Where `limit` is true, `error` is the one-sigma depth.
    band : array of str, (epoch,)
    good : bool array, (epoch,)
        What the archive's flags say; values that are no numbers are masked besides.
    limit : bool array, (epoch,), optional
    """

    time: Array
    flux: Array
    error: Array
    band: NDArray[np.str_]
    good: Bools
    limit: Bools | None = None


def wanted(ask: Ask, target: Target, bands: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """What `made` needs to know of what was asked, as JSON values for ``Raw.extra``."""
    span = target.time or ask.time
    return {"span": None if span is None else list(span), "wanted": list(bands), "limit": ask.limit, **more}


def made(epochs: Epochs, extra: Mapping[str, object], provenance: Provenance, *, clock: str = "UTC", unit: str = "uJy") -> LightCurve | None:
    """A light curve in order of time, within what `wanted` noted; the first ``limit`` epochs where one was given.

    Returns
    -------
    LightCurve or None
        None where no epoch is left.

    Raises
    ------
    ValueError
        If the arrays are of unequal length, or what was noted makes no sense; be inside `formats.reading`.
    """
    lengths = {len(values) for values in epochs if values is not None}
    if len(lengths) != 1:
        raise ValueError(f"columns of unequal length ({', '.join(map(str, sorted(lengths)))})")
    keep = np.isfinite(epochs.time)
    span: Any = extra.get("span")
    bands: Any = extra.get("wanted")
    if span is not None:
        keep &= (epochs.time >= float(span[0])) & (epochs.time <= float(span[1]))
    if bands:
        keep &= np.isin(epochs.band, list(bands))
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(epochs.time[rows], kind="stable")]
    limit: Any = extra.get("limit")
    if limit is not None:
        rows = rows[: max(0, int(limit))]
    if not len(rows):
        return None
    flux, error = epochs.flux[rows], epochs.error[rows]
    real = np.isfinite(flux) & (np.abs(flux) < LARGEST), np.isfinite(error) & (error > 0) & (error < LARGEST)
    return LightCurve(
        epochs.time[rows], np.where(real[0], flux, 0.0).astype(np.float32), np.where(real[1], error, 0.0).astype(np.float32),
        epochs.band[rows].astype(np.str_), epochs.good[rows] & real[0] & real[1], None if epochs.limit is None else epochs.limit[rows],
        clock, unit, provenance,
    )  # fmt: skip


def flux_of(magnitude: Array, error: Array, zero: "float | Array" = AB_ZERO) -> tuple[Array, Array]:
    """Microjansky of magnitudes and their errors; `zero` is the flux density of magnitude zero, Jy. NaN stays NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        flux = zero * 1e6 * 10 ** (-0.4 * magnitude)
        return flux, flux * error * POGSON


def numbers(values: Sequence[Any]) -> Array:
    """Numbers, NaN where there is none; ValueError or TypeError for what is no number."""
    return np.array([math.nan if v is None or v == "" else float(v) for v in map(plain, values)], dtype=np.float64)


def words(values: Sequence[Any]) -> list[str]:
    """Texts without blanks at the ends, empty where there is none."""
    return [str(plain(v) if plain(v) is not None else "").strip() for v in values]


def distance(ra: Array, dec: Array, at: Sequence[float]) -> Array:
    """arcsec from a position (ra, dec; deg) to each of others."""
    with np.errstate(invalid="ignore"):
        return separation_arcsec(at[0], at[1], ra, dec)
