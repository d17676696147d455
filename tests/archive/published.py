"""Objects of the practice sky as archives publish them: tables, images, spectra and light curves in several layouts and units, with a
resource descriptor for DaCHS (https://docs.g-vo.org/DaCHS/ref.html)."""

import csv
import io
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

import astrofuse_lab as af
from astrofuse_lab.modalities import Spectrum
from astrofuse_lab.targets import Target

SIZE = 67 * 0.262  # arcsec: the practice sky's own cutouts
BANDS = {"g": (4.0e-7, 5.5e-7), "r": (5.6e-7, 7.0e-7), "z": (8.5e-7, 1.0e-6)}  # m
IMAGE_UNITS = (("uJy", 1.0), ("nanomaggy", 3.631), ("mJy", 1e3), ("Jy/pixel", 1e6))
SPECTRA = ("vacuum_table.fits", "loglam_table.fits", "log_image.fits", "nm.vot", "air_mjy.vot", "plain.txt", "microns.ecsv")
UNITS = {"ra": "deg", "dec": "deg"}
UCDS = {"object_id": "meta.id;meta.main", "ra": "pos.eq.ra;meta.main", "dec": "pos.eq.dec;meta.main", "label": "src.class", "redshift": "src.redshift"}


def practice(n: int) -> tuple[af.Targets, af.Found]:
    """So many objects: at the pole, across right ascension zero, and elsewhere; what the practice sky has of each."""
    numbers = [*range(4), *(137_000 + 9_973 * i for i in range(n - 4))]
    targets = af.Targets.from_names([f"practice-{i}" for i in numbers])
    kinds = ("table", "image", "spectrum", "light_curve")
    return targets, af.fetch(targets, [f"practice/{kind}" for kind in kinds], size=SIZE, progress=False)


def write(folder: Path, targets: af.Targets, found: af.Found) -> None:
    """Data and descriptor."""
    for name in ("images", "linked", "spectra", "curves"):
        (folder / "data" / name).mkdir(parents=True)
    for kind in ("images", "spectra", "curves"):
        listed = []
        for number, target in enumerate(targets):
            listed += globals()[f"write_{kind}"](folder / "data" / kind, number, target, found)
        if kind != "images":
            write_csv(folder / "data" / f"{kind}.csv", listed)
    main, hours, photometry, magnitudes = tables(targets, found)
    columns = ""
    for name, rows in (("main", main), ("hours", hours), ("photometry", photometry), ("magnitudes", magnitudes)):
        write_csv(folder / "data" / f"{name}.csv", rows)
        columns += table_descriptor(name, rows, LAYOUTS[name], main_units(targets, found) if name == "main" else {})
    (folder / "q.rd").write_text(DESCRIPTOR.replace("@TABLES@", columns))


# tables --------------------------------------------------------------------------------------------

LAYOUTS: dict[str, dict[str, tuple[str, str]]] = {
    # column: unit, UCD
    "main": {name: (UNITS.get(name, ""), ucd) for name, ucd in UCDS.items()},
    "hours": {"name": ("", "meta.id;meta.main"), "ra_h": ("h", "pos.eq.ra;meta.main"), "de": ("deg", "pos.eq.dec;meta.main"), "f_g": ("mJy", "phot.flux;em.opt.B")},
    "photometry": {
        "object_id": ("", "meta.id;meta.main"), "ra": ("deg", "pos.eq.ra;meta.main"), "dec": ("deg", "pos.eq.dec;meta.main"), "mjd": ("d", "time.epoch"),
        "band": ("", "meta.id;instr.filter"), "flux": ("uJy", "phot.flux"), "flux_err": ("uJy", "stat.error;phot.flux"), "good": ("", "meta.code.qual"),
    },
    "magnitudes": {"alpha": ("deg", ""), "delta": ("deg", ""), "jd": ("d", ""), "filtername": ("", ""), "mag": ("mag", "phot.mag"), "emag": ("mag", "stat.error;phot.mag")},
}  # fmt: skip


def tables(targets: af.Targets, found: af.Found) -> tuple[list[dict], ...]:
    main, hours, photometry, magnitudes = [], [], [], []
    for target in targets:
        row, curve = found.get("practice/table", target.object_id), found.get("practice/light_curve", target.object_id)
        if row is not None:
            main.append({"object_id": target.object_id, "ra": target.ra, "dec": target.dec, **{("field_group" if k == "group" else k): v for k, v in row.values.items()}})
            mag = row.values["mag_g"]
            hours.append({"name": target.object_id, "ra_h": target.ra / 15, "de": target.dec, "f_g": None if mag is None else 3631e3 * 10 ** (-0.4 * mag)})
        if curve is None:
            continue
        for i in range(len(curve.time)):
            common = {"object_id": target.object_id, "ra": target.ra, "dec": target.dec}
            flux, error = float(curve.flux[i]), float(curve.flux_err[i])
            photometry.append({**common, "mjd": float(curve.time[i]), "band": str(curve.band[i]), "flux": flux, "flux_err": error, "good": bool(curve.mask[i])})
            if flux > 0 and curve.mask[i]:
                magnitudes.append({
                    "alpha": target.ra, "delta": target.dec, "jd": float(curve.time[i]) + 2400000.5, "filtername": str(curve.band[i]),
                    "mag": -2.5 * np.log10(flux / 3631e6), "emag": error / flux / (0.4 * np.log(10)),
                })  # fmt: skip
    return main, hours, photometry, magnitudes


def main_units(targets: af.Targets, found: af.Found) -> dict[str, str]:
    return dict(next(p for p in (found.get("practice/table", t.object_id) for t in targets) if p is not None).units)


def write_csv(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)


def table_descriptor(name: str, rows: list[dict], layout: dict[str, tuple[str, str]], units: dict[str, str]) -> str:
    """A table and its import; columns of text, truth values or double precision."""
    columns = ""
    for column in dict.fromkeys(key for row in rows for key in row):
        kinds = {type(row[column]) for row in rows if row.get(column) is not None}
        kind = "text" if str in kinds else "boolean" if kinds == {bool} else "double precision"
        unit, ucd = layout.get(column, (units.get(column, ""), ""))
        columns += f'<column name="{column}" type="{kind}" unit="{unit.replace("mas / yr", "mas/yr")}" ucd="{ucd}" description="as it is"/>\n'
    ra, dec = {"main": ("ra", "dec"), "photometry": ("ra", "dec"), "magnitudes": ("alpha", "delta")}.get(name, ("", ""))
    index = f'<FEED source="//scs#splitPosIndex" long="{ra}" lat="{dec}"/>' if ra and name != "main" else '<mixin>//scs#q3cindex</mixin>' if ra else ""
    return (
        f'<table id="{name}" onDisk="True" adql="True">{index}{columns}</table>'
        f'<data id="import_{name}"><sources>data/{name}.csv</sources><csvGrammar/><make table="{name}"><rowmaker idmaps="*"/></make></data>\n'
    )


# images --------------------------------------------------------------------------------------------


def write_images(folder: Path, number: int, target: Target, found: af.Found) -> list[dict]:
    """A FITS file a band; the unit changes from object to object."""
    image = found.get("practice/image", target.object_id)
    if image is None:
        return []
    unit, factor = IMAGE_UNITS[number % len(IMAGE_UNITS)]
    for plane, band in enumerate(image.bands):
        header = fits.Header({key: value for key, value in image.wcs.items() if key != "WCSAXES"})
        header.update({"BUNIT": unit, "FILTER": band, "OBJECT": target.object_id, "MJD-OBS": 59000.0 + number, "LOWAVE": BANDS[band][0], "HIWAVE": BANDS[band][1]})
        mask = image.mask[plane]
        values = np.where(mask, image.flux[plane].astype(np.float64) / factor, np.nan)
        ivar = np.where(mask, image.ivar[plane].astype(np.float64) * factor**2, 0.0)
        units = [fits.PrimaryHDU(values, header), fits.ImageHDU(ivar, name="IVAR")]
        place = folder if number % 2 else folder.parent / "linked"
        fits.HDUList(units).writeto(place / f"{target.object_id}-{band}.fits")
    return []


# spectra -------------------------------------------------------------------------------------------


def write_spectra(folder: Path, number: int, target: Target, found: af.Found) -> list[dict]:
    """A file; the layout changes from object to object."""
    spectrum = found.get("practice/spectrum", target.object_id)
    if spectrum is None:
        return []
    layout = SPECTRA[number % len(SPECTRA)]
    name = f"{target.object_id}-{layout.rpartition('.')[0]}.{layout.rpartition('.')[2]}"
    mime = {"fits": "application/fits", "vot": "application/x-votable+xml", "txt": "text/plain", "ecsv": "text/plain"}[layout.rpartition(".")[2]]
    (folder / name).write_bytes(spectrum_file(spectrum, layout))
    return [{"file": f"spectra/{name}", "mime": mime, "target": target.object_id, "ra": target.ra, "dec": target.dec,
             "low": spectrum.wavelength[0] * 1e-10, "high": spectrum.wavelength[-1] * 1e-10, "n": len(spectrum.wavelength)}]  # fmt: skip


def spectrum_file(spectrum: Spectrum, layout: str) -> bytes:
    wave, flux = spectrum.wavelength, spectrum.flux.astype(np.float64)
    ivar = np.where(spectrum.mask, spectrum.ivar, 0.0).astype(np.float64)
    with np.errstate(divide="ignore"):
        sigma = np.where(ivar > 0, 1 / np.sqrt(ivar), np.nan)
    per_mjy = 1e-17 * wave**2 / 2.99792458e18 / 1e-26  # 1e-17 erg/s/cm2/Å to mJy at each wavelength
    columns: dict[str, tuple[np.ndarray, str]]
    if layout == "vacuum_table.fits":
        columns = {"WAVE": (wave, "Angstrom"), "FLUX": (flux, "1e-17 erg/(s cm2 Angstrom)"), "IVAR": (ivar, "")}
    elif layout == "loglam_table.fits":
        columns = {"flux": (flux, ""), "loglam": (np.log10(wave), ""), "ivar": (ivar, ""), "and_mask": (np.where(ivar > 0, 0, 4).astype(np.int32), "")}
    elif layout == "nm.vot":
        columns = {"spectral": (wave / 10, "nm"), "flux": (flux * 1e-17, "erg/(s cm2 Angstrom)"), "flux_error": (sigma * 1e-17, "erg/(s cm2 Angstrom)")}
    elif layout == "air_mjy.vot":
        columns = {"wave_air": (in_air(wave), "Angstrom"), "flux": (flux * per_mjy, "mJy"), "err": (sigma * per_mjy, "mJy")}
    elif layout == "microns.ecsv":
        columns = {"wavelength": (wave / 1e4, "um"), "flux": (flux * 1e-16, "W/(m2 um)"), "flux_err": (sigma * 1e-16, "W/(m2 um)")}
    if layout.endswith("_table.fits"):
        unit = fits.BinTableHDU.from_columns([
            fits.Column(name, "J" if values.dtype == np.int32 else "D", unit or None, array=values) for name, (values, unit) in columns.items()
        ])  # fmt: skip
        if layout.startswith("loglam"):
            unit.columns["flux"].unit = "1E-17 erg/cm^2/s/Ang"
        return fits_bytes([fits.PrimaryHDU(), unit])
    if layout == "log_image.fits":
        header = fits.Header({"CRPIX1": 1, "CRVAL1": np.log10(wave[0]), "CDELT1": (np.log10(wave[-1]) - np.log10(wave[0])) / (len(wave) - 1), "DC-FLAG": 1,
                              "CTYPE1": "LINEAR", "BUNIT": "1e-17 erg/s/cm2/Angstrom"})  # fmt: skip
        return fits_bytes([fits.PrimaryHDU(flux, header), fits.ImageHDU(ivar, name="IVAR")])
    if layout == "plain.txt":
        lines = [f"{w!r} {f!r} {s!r}" for w, f, s in zip(wave.tolist(), (flux * 1e-17).tolist(), (sigma * 1e-17).tolist(), strict=True)]
        return ("# wavelength[Angstrom] flux[erg/s/cm2/Angstrom] error[erg/s/cm2/Angstrom]\n" + "\n".join(lines) + "\n").encode()
    table = Table({name: values for name, (values, _) in columns.items()})
    for name, (_, unit) in columns.items():
        table[name].unit = unit
    if layout.endswith(".ecsv"):
        text = io.StringIO()
        table.write(text, format="ascii.ecsv")
        return text.getvalue().encode()
    file = io.BytesIO()
    table.write(file, format="votable")
    return file.getvalue()


def fits_bytes(units: list) -> bytes:
    file = io.BytesIO()
    fits.HDUList(units).writeto(file)
    return file.getvalue()


def in_air(vacuum: np.ndarray) -> np.ndarray:
    """Donald Morton 2000, ApJS 130, 403, equation 8: the direction that the library does not compute."""
    square = (1e4 / vacuum) ** 2
    return vacuum / (1 + 8.34254e-5 + 2.406147e-2 / (130 - square) + 1.5998e-4 / (38.9 - square))


# light curves --------------------------------------------------------------------------------------


def write_curves(folder: Path, number: int, target: Target, found: af.Found) -> list[dict]:
    """A VOTable in JD and magnitudes, one with TIMESYS and mJy, or a CSV."""
    curve = found.get("practice/light_curve", target.object_id)
    if curve is None:
        return []
    keep = curve.mask & (curve.flux > 0)
    time, flux, error, band = curve.time[keep], curve.flux[keep].astype(float), curve.flux_err[keep].astype(float), curve.band[keep]
    if not len(time):
        return []
    kind = number % 3
    if kind == 0:
        table = Table({"jd": time + 2400000.5, "mag": -2.5 * np.log10(flux / 3631e6), "mag_err": error / flux / (0.4 * np.log(10)), "filter": band.astype(str)})
    else:
        table = Table({"obs_time": time - 50000.0 if kind == 1 else time, "flux": flux / 1e3 if kind == 1 else flux, "flux_error": error / 1e3 if kind == 1 else error, "band": band.astype(str)})
        table["flux"].unit = table["flux_error"].unit = "mJy" if kind == 1 else "uJy"
        table["obs_time"].unit = "d"
    file = io.BytesIO()
    if kind == 2:
        text = io.StringIO()
        table.write(text, format="ascii.csv")
        name, mime, content = f"{target.object_id}.csv", "text/csv", text.getvalue().encode()
    else:
        table.write(file, format="votable")
        content = file.getvalue()
        if kind == 1:
            content = content.replace(b"<RESOURCE", b'<TIMESYS ID="ts" timeorigin="2450000.5" timescale="UTC" refposition="TOPOCENTER"/><RESOURCE', 1)
        name, mime = f"{target.object_id}.vot", "application/x-votable+xml"
    (folder / name).write_bytes(content)
    return [{"file": f"curves/{name}", "mime": mime, "target": target.object_id, "ra": target.ra, "dec": target.dec, "low": 4e-7, "high": 1e-6, "n": len(time)}]


DESCRIPTOR = (Path(__file__).parent / "practice.rd").read_text()
