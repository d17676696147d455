"""One reader for one-dimensional spectra in the layouts that archives publish: FITS tables and images, VOTable, ASCII. Pure.

Layouts and their documentation

- table with columns of wavelength, flux and error, one row a pixel or one row with arrays: ESO science data product standard
  (https://archive.eso.org/cms/eso-data/help/1dspectra.html; ``TUCDn = em.wl;obs.atmos`` is air), IVOA Spectrum 1.1 (utypes
  ``Data.SpectralAxis.Value`` ...; https://www.ivoa.net/documents/SpectrumDM/), SDSS ``spec`` files
  (https://data.sdss.org/datamodel/files/BOSS_SPECTRO_REDUX/RUN2D/spectra/lite/PLATE4/spec.html), LAMOST since DR8;
- image with a wavelength solution: FITS paper III (Greisen et al. 2006, A&A 446, 747: ``WAVE``, ``AWAV``, ``-LOG``), IRAF
  (``CRVAL1``, ``CDELT1``, ``DC-FLAG = 1`` for log10), SDSS and LAMOST (``COEFF0``, ``COEFF1``: log10, vacuum;
  https://www.lamost.org/dr7/v1.2/doc/data-production-description, rows flux, inverse variance, wavelength or (DR1) the flux without
  continuum, andmask, ormask);
- columns of text, with or without names and units, and ECSV.

Wavelengths are taken as vacuum unless the file says air. Errors of pixels with a quality flag other than 0 are not used. Where a file has
no errors, one value is estimated from the flux itself (see `spectrum_units.noise_of`). A flux that is no flux density keeps its unit.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from astrofuse_lab.modalities import Spectrum
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys import formats
from astrofuse_lab.surveys.spectrum_units import LARGEST, Array, Pixels, spectrum_of

NAMES: dict[str, tuple[str, ...]] = {
    "wave": (
        "wave", "wavelength", "lambda", "lam", "wl", "wlen", "wav", "awav", "loglam", "log_lam", "loglambda", "log_wave", "spectral_axis", "spectral",
        "wavelengths", "wave_air", "wave_vac", "lambda_air", "lambda_vac", "wavelength_air", "wavelength_vac", "frequency", "freq", "energy", "wavenumber",
    ),
    "flux": (
        "flux", "flux_density", "fluxdensity", "flam", "f_lambda", "flux_lambda", "fnu", "f_nu", "coadd_flux", "spec", "spectrum", "flux_reduced", "norm_flux",
        "normflux", "flux_norm", "intensity", "value", "counts", "data",
    ),
    "sigma": (
        "err", "error", "sigma", "flux_err", "flux_error", "fluxerr", "fluxerror", "e_flux", "err_flux", "eflux", "flux_unc", "unc", "uncertainty", "uncertainties",
        "errs", "noise", "std", "stdev", "stddev", "flux_sigma", "err_reduced", "flux_uncertainty", "flam_error",
    ),
    "ivar": ("ivar", "invvar", "inverse_variance", "flux_ivar", "coadd_ivar", "inv_var"),
    "variance": ("var", "variance", "flux_var"),
    "quality": ("and_mask", "andmask", "qual", "quality", "mask", "dq", "flags", "flag", "coadd_and_mask"),
    "wdisp": ("wdisp",),
}  # fmt: skip
"""Column and extension names, lower case, the likelier first."""


class Column(NamedTuple):
    """One column of a table, or one plane of an image."""

    name: str
    values: Array
    unit: str = ""
    ucd: str = ""
    utype: str = ""


def read_spectrum(content: bytes, survey: str, target: str | None, provenance: Provenance, media_type: str = "", *, flux_unit: str = "") -> Spectrum:
    """The spectrum in a file.

    Parameters
    ----------
    content : bytes
        FITS, VOTable, ECSV or columns of text; gzip, bzip2 and xz are unpacked.
    survey, target : str
        Named in errors.
    provenance : Provenance
        Given on with the spectrum.
    media_type : str
        What the server said; the bytes themselves decide, since servers are often wrong.
    flux_unit : str, optional
        Of a file that does not say it, from the archive's documentation.

    Returns
    -------
    Spectrum
        Vacuum wavelengths in ångström, ascending; flux in 1e-17 erg / s / cm2 / Angstrom where the file gives a flux density, else in ``unit``.

    Raises
    ------
    ArchiveError
        If the bytes are no spectrum in a layout known here, are cut short, or give no wavelengths.
    """
    content = formats.unpacked(content, survey, target)
    kind = _kind(content, media_type)
    with formats.reading(survey, kind, target):
        pixels = READERS[kind](content, survey, target)
        pixels = pixels if pixels.flux_unit.strip() else pixels._replace(flux_unit=flux_unit)
        return spectrum_of(pixels, survey, target, provenance)


def _kind(content: bytes, media_type: str) -> str:
    head = content[:4096].lstrip()
    if content.startswith(b"SIMPLE  ="):
        return "FITS spectrum"
    if b"<VOTABLE" in head or ("votable" in media_type and head.startswith(b"<")):
        return "VOTable spectrum"
    return "ECSV spectrum" if head.startswith(b"# %ECSV") else "ASCII spectrum"


# FITS -------------------------------------------------------------------------------------------


def _fits(content: bytes, survey: str, target: str | None) -> Pixels:
    """The first table that has wavelengths and a flux, else the first image that is a spectrum."""
    units = formats.fits_hdus(content, survey, target)
    general = units[0].header
    for unit in units[1:]:
        if unit.header.get("XTENSION", "").strip() in ("BINTABLE", "TABLE") and unit.header.get("TFIELDS", 0) and not unit.header.get("ZIMAGE"):
            found = of_columns(fits_columns(unit), {**general, **unit.header})
            if found is not None:
                return found
    planes = [unit for unit in units if getattr(unit, "is_image", False) and unit.header.get("NAXIS", 0) > 0]
    if not planes:
        raise ValueError(f"none of its {len(units)} units is a table with wavelength and flux, or an image")
    return _image(planes, general)


def fits_columns(unit: Any) -> list[Column]:
    """The numeric columns of a table unit; a table of one row of arrays gives those arrays."""
    table, header = unit.data, unit.header
    made = []
    for number, field in enumerate(unit.columns, 1):
        if not re.match(r"^\d*[LBIJKED]|^\d*[PQ][LBIJKED]|^[FEDI]\d", str(field.format).strip()):
            continue
        values = _flat(table.field(field.name))
        if values is not None:
            described = (header.get(f"TUCD{number}", ""), header.get(f"TUTYP{number}", ""))
            made.append(Column(field.name, values, field.unit or "", *(str(d) for d in described)))
    return made


def _flat(cells: Any) -> Array | None:
    """A column as one array: its values row by row, or the array in its only row."""
    if len(cells) == 1:
        cells = cells[0]
    cells = np.ma.asarray(cells)
    if cells.dtype.kind not in "biuf" or cells.size > LARGEST:
        return None
    cells = cells.squeeze() if cells.ndim > 1 else cells
    return np.ma.filled(cells.astype(np.float64), np.nan) if cells.ndim == 1 else None


def _image(planes: Sequence[Any], general: Mapping[str, Any]) -> Pixels:
    """Flux of the first image, its error, quality and wavelengths in planes of known order or in further units by name."""
    header = {**general, **planes[0].header}
    data = np.asarray(planes[0].data, dtype=np.float64)
    columns = [Column("flux", data, str(header.get("BUNIT", "")))]
    if data.ndim == 2 and "COEFF0" in header and 3 <= len(data) <= 8:
        lamost = "LAMOST" in str(header.get("TELESCOP", "")).upper()
        order = ("flux", "ivar", "row 3", "andmask") if lamost else ("flux", "continuum_subtracted", "err", "mask")
        columns = [Column(name, plane, str(header.get("BUNIT", "")) if name == "flux" else "") for name, plane in zip(order, data, strict=False)]
    elif data.squeeze().ndim != 1:
        bands = data.shape[0] if data.ndim == 3 and data.shape[1] == 1 else 0
        if not bands:
            raise ValueError(f"an image of {' x '.join(map(str, data.shape[::-1]))} pixels is no one-dimensional spectrum")
        columns = [Column("flux", data[0, 0], str(header.get("BUNIT", "")))]  # IRAF: the first band is the extracted spectrum
        columns += [Column("sigma", data[i, 0]) for i in range(1, bands) if "sigma" in str(header.get(f"BANDID{i + 1}", "")).lower()]
    else:
        columns = [Column("flux", data.squeeze(), str(header.get("BUNIT", "")))]
    size = len(columns[0].values)
    for plane in planes[1:]:
        name = str(plane.header.get("EXTNAME", "")).strip().lower()
        known = {n for group, ns in NAMES.items() if group != "flux" for n in ns}
        shape = [int(plane.header[f"NAXIS{i}"]) for i in range(1, int(plane.header["NAXIS"]) + 1)]
        if name in known and shape and shape[0] == size and all(n == 1 for n in shape[1:]):
            columns.append(Column(name, np.asarray(plane.data, dtype=np.float64).ravel(), str(plane.header.get("BUNIT", ""))))
    if not any(c.name in NAMES["wave"] for c in columns):
        columns.append(_solution(header, size))
    found = of_columns(columns, header)
    if found is None:
        raise ValueError("its image has no wavelengths")
    return found


def _solution(header: Mapping[str, Any], size: int) -> Column:
    """Wavelengths from the header's keywords."""
    pixel = np.arange(size, dtype=np.float64)
    if "COEFF0" in header and "COEFF1" in header:
        return Column("loglam", float(header["COEFF0"]) + float(header["COEFF1"]) * pixel, "Angstrom")
    step = header.get("CDELT1", header.get("CD1_1"))
    if "CRVAL1" not in header or step is None:
        raise ValueError("its header has no CRVAL1 with CDELT1 or CD1_1, nor COEFF0 and COEFF1: no wavelengths")
    if "CD1_1" in header:
        step = header["CD1_1"]  # IRAF keeps an idle CDELT1 = 1 beside it
    start, kind = float(header["CRVAL1"]), str(header.get("CTYPE1", "")).upper().strip()
    values = start + float(step) * (pixel + 1 - float(header.get("CRPIX1", 1.0)))
    unit = str(header.get("CUNIT1", "")) or next(iter(re.findall(r"units=\s*(\w+)", " ".join(str(header.get(k, "")) for k in ("WAT1_001", "WAT1_002")))), "")
    name = "awav" if kind.startswith("AWAV") else "wave"
    if kind.endswith("-LOG") and start > 20:  # FITS paper III, equation 5: natural, and CRVAL1 is a wavelength
        return Column(name, start * np.exp((values - start) / start), unit)
    if str(header.get("DC-FLAG", 0)).strip() == "1" or ("LOG" in kind and start < 20):
        return Column("loglam" if name == "wave" else "log_awav", values, "" if unit.lower().startswith("log") else unit)
    return Column({"FREQ": "frequency", "ENER": "energy", "WAVN": "wavenumber"}.get(kind[:4], name), values, unit)


# VOTable and text ---------------------------------------------------------------------------------


def _votable(content: bytes, survey: str, target: str | None) -> Pixels:
    table = formats.votable(content, survey, target=target)
    return _of_table(table)


def _ecsv(content: bytes, survey: str, target: str | None) -> Pixels:
    from astropy.table import Table

    return _of_table(Table.read(content.decode("utf-8-sig").splitlines(), format="ascii.ecsv"))


def _of_table(table: Any) -> Pixels:
    columns = []
    for name in table.colnames:
        cells = table[name]
        values = _flat(np.ma.asarray(cells)) if np.ma.asarray(cells).dtype.kind != "O" else _ragged(cells)
        if values is not None:
            meta = cells.info.meta or {}
            columns.append(Column(name, values, str(cells.unit or ""), str(meta.get("ucd") or ""), str(meta.get("utype") or "")))
    found = of_columns(columns, {k: v for k, v in table.meta.items() if isinstance(v, str | int | float)})
    if found is None:
        raise ValueError(f"no columns of wavelength and flux among {', '.join(map(str, table.colnames[:12]))}")
    return found


def _ragged(cells: Any) -> Array | None:
    """The array in the only row of a column of arrays of any length."""
    if len(cells) != 1:
        return None
    values = np.ma.asarray(cells[0])
    return np.ma.filled(values.astype(np.float64), np.nan) if values.dtype.kind in "biuf" and values.ndim == 1 and values.size <= LARGEST else None


def _ascii(content: bytes, survey: str, target: str | None) -> Pixels:
    """Columns of numbers, by name where a heading names them, else wavelength, flux and error in this order."""
    text = content.decode("utf-8-sig")
    heading: list[str] = []
    rows: list[list[float]] = []
    for line in text.splitlines():
        bare = line.strip().lstrip("#;!%|\\").strip().rstrip(",;|")
        cells = [cell for cell in re.split(r"[,;|]\s*|\s+", bare) if cell]
        if not cells or (line.lstrip()[:1] in "#;!%|\\" and rows):
            continue
        try:
            numbers = [float(cell) for cell in cells]
        except ValueError:
            if rows:
                raise ValueError(f"line {bare[:40]!r} after {len(rows)} rows is no row of numbers") from None
            heading = cells
            continue
        if line.lstrip()[:1] in "#;!%|\\":
            continue
        if rows and len(numbers) != len(rows[0]):
            raise ValueError(f"row {len(rows) + 1} has {len(numbers)} columns, the first {len(rows[0])}")
        rows.append(numbers)
    table = np.array(rows, dtype=np.float64)
    if table.ndim != 2 or len(table) < 2 or table.shape[1] < 2:
        raise ValueError("it has no two columns of numbers")
    split = [re.match(r"^(.*?)[\[(](.*)[\])]$", word) for word in heading]
    named = [Column(m[1] if m else w, table[:, i], m[2] if m else "") for i, (w, m) in enumerate(zip(heading, split, strict=True)) if i < table.shape[1]]
    found = of_columns(named, {}) if len(heading) == table.shape[1] else None
    return found or Pixels(table[:, 0], table[:, 1], sigma=table[:, 2] if table.shape[1] > 2 else None)


READERS: dict[str, Callable[[bytes, str, str | None], Pixels]] = {
    "FITS spectrum": _fits, "VOTable spectrum": _votable, "ECSV spectrum": _ecsv, "ASCII spectrum": _ascii,
}  # fmt: skip


# Which column is what -----------------------------------------------------------------------------


def of_columns(columns: Iterable[Column], header: Mapping[str, Any]) -> Pixels | None:
    """Wavelength, flux, error and quality among a table's columns; None where wavelength or flux is lacking.

    The data model's utypes go before UCDs, and these before names. An error counts only if its unit is the flux's.
    """
    columns = list(columns)
    wave = _first(columns, "spectralaxis.value", ("em.wl", "em.freq", "em.energy", "em.wavenumber"), NAMES["wave"])
    flux = _first([c for c in columns if c is not wave], "fluxaxis.value", ("phot.flux", "phot.fluence", "spect"), NAMES["flux"])
    if wave is None or flux is None:
        return None
    fits = [c for c in columns if c is not wave and c is not flux and len(c.values) == len(flux.values)]
    same = [c for c in fits if "" in (c.unit, flux.unit) or c.unit.lower() == flux.unit.lower()]
    sigma = _first(same, "fluxaxis.accuracy.staterror", ("stat.error",), NAMES["sigma"])
    ivar, variance = (_first(fits, None, (), NAMES[name]) for name in ("ivar", "variance"))
    quality, wdisp = (_first(fits, None, (), NAMES[name]) for name in ("quality", "wdisp"))
    log = wave.name.lower() in ("loglam", "log_lam", "loglambda", "log_wave", "log_awav")
    spread = None if sigma is None else sigma.values
    if spread is None and ivar is None and variance is not None:
        with np.errstate(invalid="ignore"):
            spread = np.sqrt(variance.values)
    lsf = None
    if wdisp is not None and log and len(wave.values) > 1:
        # SDSS: wdisp is the sigma in pixels of constant width in log10 of the wavelength
        lsf = wdisp.values * np.gradient(wave.values) * np.log(10) * 10.0 ** np.clip(wave.values, 0, 10)
    return Pixels(
        wave.values, flux.values, wave.unit, flux.unit, spread, None if ivar is None else ivar.values,
        None if quality is None else quality.values == 0, lsf, _in_air(wave, header), log, _number(header.get("SPEC_RES")), _time(header),
    )  # fmt: skip


def _first(columns: Sequence[Column], utype: str | None, ucds: tuple[str, ...], names: tuple[str, ...]) -> Column | None:
    if utype:
        typed = [c for c in columns if c.utype.lower().endswith(utype)]
        for c in sorted(typed, key=lambda c: c.utype.lower().startswith("eso")):  # eso: marks further flux columns beside the main one
            return c
    for ucd in ucds:
        for c in columns:
            if c.ucd.lower().startswith(ucd) and (ucd.startswith("stat") or "stat.error" not in c.ucd.lower()):
                return c
    for name in names:
        for c in columns:
            if c.name.strip().lower().replace("-", "_").replace(" ", "_") == name:
                return c
    return None




def _in_air(wave: Column, header: Mapping[str, Any]) -> bool:
    """Whether the file says that its wavelengths are those in air."""
    if wave.ucd.lower().startswith("em."):
        return "obs.atmos" in wave.ucd.lower()
    name = wave.name.lower()
    if "air" in name or "awav" in name:
        return True
    if "VACUUM" in header:
        return str(header["VACUUM"]).strip().lower() in ("0", "f", "false", "no")
    return str(header.get("AIRORVAC", "")).strip().lower() == "air" or str(header.get("CTYPE1", "")).upper().startswith("AWAV")


def _number(value: Any) -> float | None:
    try:
        made = float(value)
    except (TypeError, ValueError):
        return None
    return made if np.isfinite(made) else None


def _time(header: Mapping[str, Any]) -> float | None:
    """MJD of the observation: its middle (ESO's TMID), else its start."""
    for name in ("TMID", "MJD-OBS", "MJD_OBS", "MJD"):
        value = _number(header.get(name))
        if value is not None and 10_000 < value < 200_000:
            return value
    return None
