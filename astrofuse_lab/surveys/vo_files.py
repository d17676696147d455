"""Images and light curves in files of any layout. Pure.

Sources: FITS 4.0, section 4.3 (BUNIT) and 8 (WCS); extension names of uncertainties and masks as in use (HST: ERR, DQ; Legacy Surveys: IVAR, INVVAR).
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Image, LightCurve
from astrofuse_lab.surveys import formats, pixels
from astrofuse_lab.surveys.photometry import fields_of, light_curve, microjansky, origin_of
from astrofuse_lab.surveys.survey import Raw, provenance_of
from astrofuse_lab.surveys.vo_columns import described

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.surveys.vo_products import VoProducts

LARGEST_SIDE = 8000  # pixels
FILTERS = ("FILTER", "BAND", "FILTNAM", "FILTER1", "INSFLNAM", "FILTNAME", "FILTERID")
UNCERTAIN = {"ivar": ("IVAR", "INVVAR"), "sigma": ("ERR", "ERROR", "UNCERT", "SIGMA", "STDDEV"), "variance": ("VAR", "VARIANCE")}
MASKS = ("MASK", "DQ", "FLAGS", "BADPIX")


def read_image(survey: "VoProducts", raw: Raw, files: Sequence[bytes]) -> Image | None:
    """The cutout about the target, a plane a file, on the grid of the first; None where none has a pixel there."""
    target = raw.target_ids[0]
    names: Any = raw.extra["bands"]
    wanted: Any = raw.extra.get("wanted")
    ra, dec, size = (float(raw.extra[key]) for key in ("ra", "dec", "size"))  # type: ignore[arg-type]
    planes, bands, units, times = [], [], [], []
    for name, content in zip(names, files, strict=True):
        units_in = pixels.opened(content, survey.name, name, target)
        with formats.reading(survey.name, f"image (band {name})", target):
            whole, unit, header = _plane(units_in)
            label = name if survey.band_wavelengths or not re.fullmatch(r"unknown|\d+nm", name) else filter_of(header) or name
            if wanted is not None and label not in wanted:
                continue
            side = max(2, round(size / pixels.scale_of(whole.wcs)))
            if side > LARGEST_SIDE:
                raise ArchiveError(survey.name, f"size {size:g} arcsec is {side} pixels; at most {LARGEST_SIDE}. Give a smaller size.", target)
            part = pixels.cut(whole, ra, dec, side)
        if part is not None and np.isfinite(part.values).any():
            planes.append(part)
            bands.append(label)
            units.append(unit)
            times.append(_time(header))
    if not planes:
        return None
    if len(set(units)) > 1:
        raise ArchiveError(survey.name, f"the bands come in different units ({', '.join(sorted(set(units)))}). Ask for those of one unit with bands=.", target)
    with formats.reading(survey.name, "image", target):
        return pixels.image(survey, raw, planes, bands, unit=units[0], time=times[0] if len(set(times)) == 1 else None)


def _plane(units: Any) -> tuple[pixels.Plane, str, Mapping[str, Any]]:
    """The first picture of a file in uJy per pixel where its unit allows, with its uncertainty and mask, and its header."""
    science = next((u for u in units if u.is_image and u.header.get("NAXIS", 0) >= 2 and str(u.header.get("EXTNAME", "")).upper() in ("SCI", "SCIENCE")), None)
    science = science or next((u for u in units if u.is_image and u.header.get("NAXIS", 0) >= 2), None)
    if science is None:
        raise ValueError(f"none of its {len(units)} units is a picture")
    header = {**dict(units[0].header), **dict(science.header)}
    said = re.sub(r"\s*(?:/|per )\s*(?:pix(?:el)?s?)$", "", str(header.get("BUNIT", "")).strip(), flags=re.IGNORECASE)
    wcs = pixels.wcs_keys(science.header)
    wcs = wcs if "CTYPE1" in wcs else pixels.wcs_keys(units[0].header)
    factor, unit = _unit(said, header, wcs)
    whole = pixels.plane(science, factor)._replace(wcs=wcs)
    values, ivar = whole.values, None
    for other in units:
        name = str(other.header.get("EXTNAME", "")).upper()
        if other is science or not other.is_image or other.header.get("NAXIS", 0) != 2 or np.shape(other.data) != values.shape:
            continue
        data = np.asarray(other.data, dtype=np.float64)
        if name in MASKS:
            values = np.where(data != 0, np.nan, values)
        kind = next((kind for kind, words in UNCERTAIN.items() if name in words), None)
        if kind is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                own = {"ivar": data, "sigma": 1 / data**2, "variance": 1 / data}[kind] / factor**2
            ivar = np.where(np.isfinite(own) & (own > 0), own, 0.0)
    return pixels.Plane(values, whole.wcs, ivar), unit, header


def _unit(said: str, header: Mapping[str, Any], wcs: pixels.Wcs) -> tuple[float, str]:
    """What pixels in this unit are multiplied by, and the unit they then have; flux per beam becomes flux per pixel where the header says how large the beam is."""
    own = pixels.beamless(said)
    if own:
        factor, unit = microjansky(own)
        area = pixels.beam_area(header)
        if unit != "uJy" or area is None:
            return 1.0, f"{own} / beam"
        return factor * (pixels.scale_of(wcs) / 3600) ** 2 / area, unit
    factor, unit = microjansky(said) if said else (1.0, "adu")
    return factor, "adu" if unit.lower() in ("count", "counts", "adu", "dn") else unit


def filter_of(header: Mapping[str, Any]) -> str:
    """The filter that a FITS header names; empty where it names none."""
    return next((str(header[key]).strip() for key in FILTERS if str(header.get(key, "")).strip()), "")


def _time(header: Mapping[str, Any]) -> float | None:
    """MJD of the exposure."""
    from astropy.time import Time

    for key in ("MJD-OBS", "MJD_OBS", "MJD"):
        if isinstance(header.get(key), int | float):
            return float(header[key])
    said = str(header.get("DATE-OBS", "")).strip()
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*)?Z?", said):
        return float(Time(said.rstrip("Z"), format="isot", scale="utc").mjd)
    return None


def read_light_curve(survey: "VoProducts", raw: Raw, content: bytes) -> LightCurve | None:
    """The light curve in a VOTable, a FITS table or columns of text."""
    target = raw.target_ids[0]
    content = formats.unpacked(content, survey.name, target)
    table = read_table(content, survey.name, target)
    columns: Mapping[str, tuple[str, str]] = survey.columns or {name: (column, "") for name, column in fields_of(described(table)).items()}
    zero, clock = origin_of(content)
    span: Any = raw.extra.get("span")
    bands: Any = raw.extra.get("wanted")
    with formats.reading(survey.name, "light curve", target):
        return light_curve(
            table, columns, provenance_of(survey, raw), zero_point=survey.zero_point, time_zero=survey.time_zero if survey.time_zero is not None else zero,
            span=span, bands=bands, clock=clock,
        )  # fmt: skip


def read_table(content: bytes, survey: str, target: str) -> "Table":
    """The first table of a VOTable, a FITS file, an ECSV or a CSV."""
    from astropy.io import fits
    from astropy.table import Table

    if content.startswith(b"SIMPLE  ="):
        units = formats.fits_hdus(content, survey, target)
        with formats.reading(survey, "FITS table", target):
            unit = next((u for u in units if isinstance(u, fits.BinTableHDU) and not u.header.get("ZIMAGE")), None)
            if unit is None:
                raise ValueError(f"none of its {len(units)} units is a table")
            return Table.read(unit)
    if b"<VOTABLE" in content[:4096]:
        return formats.votable(content, survey, target=target)
    if content.startswith(b"# %ECSV"):
        with formats.reading(survey, "ECSV table", target):
            return Table.read(content.decode("utf-8-sig").splitlines(), format="ascii.ecsv")  # astropy 8 takes no StringIO
    rows = formats.csv_table(content, survey, target=target)
    return Table({name: [row[name] or "" for row in rows] for name in (rows[0] if rows else ())}, dtype=None)
