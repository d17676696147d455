"""Light curves from tables with a row an epoch, whatever the columns are called and whatever their units. Pure.

Sources: AB magnitudes, Oke & Gunn 1983, ApJ 266, 713 (zero at 3631 Jy); VOTable 1.4 (https://www.ivoa.net/documents/VOTable/20191021/), section 3.4, for the
origin of time in TIMESYS; UCD1+ for what a column is.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.modalities import LightCurve
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys.formats import plain
from astrofuse_lab.surveys.spectrum_units import unit_of
from astrofuse_lab.surveys.vo_columns import Described, by_name, by_ucd

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[np.float64]
AB_ZERO = 3631.0  # Jy
JD_ZERO = 2400000.5
FIELDS = ("time", "flux", "flux_err", "mag", "mag_err", "band", "good", "flag", "limit")
"""What a light curve is made of: ``good`` is true for good epochs, ``flag`` zero; ``limit`` is true where nothing was detected."""
# field: UCDs, names in use
USUAL: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "time": (("time.epoch", "time.obs", "time"), ("mjd", "time", "obs_time", "jd", "hjd", "bjd", "obsmjd", "epoch", "midpointmjdtai")),
    "flux": (("phot.flux",), ("flux", "psfflux", "forcediffimflux", "flux_ujy")),
    "mag": (("phot.mag",), ("mag", "magnitude", "magpsf")),
    "flux_err": (("stat.error;phot.flux",), ("flux_err", "flux_error", "e_flux", "fluxerr", "dflux", "sigma_flux", "psffluxerr")),
    "mag_err": (("stat.error;phot.mag",), ("mag_err", "mag_error", "e_mag", "magerr", "sigmag", "sigmapsf", "dmag")),
    "band": (("meta.id;instr.filter", "instr.bandpass", "instr.filter"), ("band", "filter", "filtercode", "passband", "fid", "bandname")),
    "good": ((), ("good",)),
    "flag": ((), ()),
    "limit": ((), ()),
}
TIMESYS = re.compile(rb"<(?:\w+:)?TIMESYS\b[^>]*>")


def fields_of(columns: Sequence[Described]) -> dict[str, str]:
    """Which column is which field, as far as UCDs and the usual names tell; of flux and magnitude the flux."""
    found = {}
    for field, (ucds, names) in USUAL.items():
        without = () if field.endswith("_err") else ("stat.error",)
        column = by_ucd(columns, ucds, without=without) or by_name(columns, names)
        if column is not None:
            found[field] = column.name
    for field in ("mag", "mag_err") if "flux" in found else ("flux_err",):
        found.pop(field, None)
    return found


def light_curve(
    table: "Table", fields: Mapping[str, tuple[str, str]], provenance: Provenance, *, zero_point: float | Mapping[str, float] = AB_ZERO,
    time_zero: float | None = None, span: tuple[float, float] | None = None, bands: Sequence[str] | None = None, clock: str = "UTC",
) -> LightCurve | None:
    """The rows of one object.

    Parameters
    ----------
    table : Table
    fields : mapping of str to (str, str)
        Field (`FIELDS`) to column and unit; empty unit: as the table says.
    zero_point : float or mapping of str to float
        Jy of magnitude zero, for all bands or each; AB unless said otherwise.
    time_zero : float, optional
        MJD of time zero; None: MJD, or JD where the numbers are those of one.
    span : tuple of float, optional
        First and last MJD wanted.
    bands : sequence of str, optional
        Those wanted; None: all.

    Returns
    -------
    LightCurve or None
        Microjansky, or the table's unit where that is no flux density. None where no epoch is left.

    Raises
    ------
    ValueError
        If time or brightness is lacking, or a unit is none; be inside `formats.reading`.
    """
    if "time" not in fields or not {"flux", "mag"} & set(fields):
        raise ValueError(f"it is not clear which columns are the time and the flux or mag among {', '.join(table.colnames[:12])}: say so with columns={{'time': ..., 'flux': ...}}")
    time = mjd(*_column(table, fields["time"]), time_zero)
    band = np.array([str(plain(v) or "") for v in table[fields["band"][0]]]) if "band" in fields else np.full(len(table), "")
    flux, error, unit = _brightness(table, fields, band, zero_point)
    keep = np.isfinite(time)
    if span is not None:
        keep &= (time >= span[0]) & (time <= span[1])
    if bands is not None:
        keep &= np.isin(band, list(bands))
    order = np.flatnonzero(keep)
    order = order[np.argsort(time[order], kind="stable")]
    if not len(order):
        return None
    good = np.isfinite(flux) & np.isfinite(error) & (error > 0) & (np.abs(flux) < 1e37) & (error < 1e37)
    if "good" in fields:
        good &= truth(table[fields["good"][0]])
    if "flag" in fields:
        good &= np.asarray(np.ma.filled(np.ma.asarray(table[fields["flag"][0]]), 1)) == 0
    limit = truth(table[fields["limit"][0]])[order] if "limit" in fields else None
    kept = np.isfinite(flux) & (np.abs(flux) < 1e37), np.isfinite(error) & (error < 1e37)
    return LightCurve(
        time[order], np.where(kept[0], flux, 0.0).astype(np.float32)[order], np.where(kept[1], error, 0.0).astype(np.float32)[order],
        band[order].astype(np.str_), good[order], limit, clock, unit, provenance,
    )  # fmt: skip


def mjd(values: Array, unit: str, zero: float | None = None) -> Array:
    """MJD of times in any unit: days (MJD, or JD by their size), seconds, or Julian years."""
    from astropy import units as u
    from astropy.time import Time

    if values.dtype.kind in "SUO":
        given = [str(v).strip() for v in values]
        return np.array([float(Time(v, format="isot" if "T" in v else "iso", scale="utc").mjd) if v and v != "None" else math.nan for v in given])
    said = unit_of(unit) if unit else u.d
    if said is None or not said.is_equivalent(u.d):
        raise ValueError(f"{unit!r} is no unit of time")
    days = values * said.to(u.d)
    if zero is not None:
        return np.asarray(days + zero)
    if said in (u.yr, u.Unit("a")):
        return np.asarray((values - 2000.0) * 365.25 + 51544.5)
    if said not in (u.d,):
        raise ValueError(f"times in {unit} count from somewhere: say from which MJD with time_zero=")
    finite = days[np.isfinite(days)]
    return np.asarray(days - JD_ZERO if len(finite) and finite.min() > 2e6 else days)


def origin_of(content: bytes) -> tuple[float | None, str]:
    """MJD of time zero and the time scale, where a VOTable has a TIMESYS that says so; (None, ``UTC``) otherwise."""
    found = TIMESYS.findall(content[:200_000])
    if len(found) != 1:
        return None, "UTC"
    said = dict(re.findall(r"(\w+)\s*=\s*[\"']([^\"']*)[\"']", found[0].decode("utf-8", "replace")))
    origin, clock = said.get("timeorigin", ""), said.get("timescale", "UTC") or "UTC"
    if origin in ("JD-origin", "MJD-origin"):
        return (-JD_ZERO if origin == "JD-origin" else 0.0), clock
    try:
        return float(origin) - JD_ZERO, clock
    except ValueError:
        return None, clock


def microjansky(unit: str) -> tuple[float, str]:
    """What fluxes in `unit` must be multiplied by, and the unit they then have: uJy, or the unit itself where it is no flux density in frequency."""
    from astropy import units as u

    if unit.strip().lower().rstrip("s") in ("nanomaggie", "nanomaggy", "nmgy", "nanomaggys"):
        return 3.631, "uJy"
    said = unit_of(unit)
    if said is not None and said.is_equivalent(u.Jy):
        return float(said.to(u.uJy)), "uJy"
    return 1.0, (unit.strip() or "relative")


def _brightness(table: "Table", fields: Mapping[str, tuple[str, str]], band: NDArray[Any], zero_point: float | Mapping[str, float]) -> tuple[Array, Array, str]:
    """Flux, error and unit. Without an error column the scatter from epoch to epoch stands for the error."""
    if "flux" in fields:
        values, said = _column(table, fields["flux"])
        factor, unit = microjansky(said)
        error, own = _column(table, fields["flux_err"]) if "flux_err" in fields else (_scatter(values, band), said)
        return values * factor, error * microjansky(own or said)[0], unit
    mag, _ = _column(table, fields["mag"])
    error, own = _column(table, fields["mag_err"]) if "mag_err" in fields else (_scatter(mag, band), "")
    if isinstance(zero_point, Mapping):
        lacking = sorted({str(b) for b in band} - set(zero_point))
        if lacking:
            raise ValueError(f"zero_point has no band {', '.join(lacking)}")
        zero = np.array([zero_point[str(b)] for b in band], dtype=float)
    else:
        zero = np.full(len(mag), float(zero_point))
    error = error * (1e-3 if own.lower() in ("mmag", "millimag") else 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        flux = zero * 1e6 * 10 ** (-0.4 * mag)
        return flux, flux * error * (0.4 * math.log(10)), "uJy"


def _scatter(values: Array, band: NDArray[Any]) -> Array:
    """Of neighbouring rows in each band: median of the absolute differences, as a one-sigma error; NaN for a lone epoch."""
    made = np.full(len(values), np.nan)
    for name in np.unique(band):
        own = band == name
        steps = np.abs(np.diff(values[own]))
        steps = steps[np.isfinite(steps)]
        if len(steps):
            made[own] = 1.482602 * float(np.median(steps)) / math.sqrt(2)
    return made


def _column(table: "Table", field: tuple[str, str]) -> tuple[Any, str]:
    """Values (NaN where there are none; texts as they are) and unit."""
    name, unit = field
    cells = np.ma.asarray(table[name])
    said = unit or str(table[name].unit or "")
    if cells.dtype.kind in "SUO":
        try:
            return np.array([math.nan if plain(v) is None else float(plain(v)) for v in table[name]]), said
        except (TypeError, ValueError):
            return np.array([str(plain(v) or "") for v in table[name]]), said
    return np.ma.filled(cells.astype(np.float64), np.nan), said


def truth(column: Any) -> NDArray[np.bool_]:
    """Truth values however they are written; what is missing is false."""
    return np.array([str(plain(v)).strip().lower() in ("true", "t", "1", "1.0", "yes", "y") for v in column], dtype=bool)
