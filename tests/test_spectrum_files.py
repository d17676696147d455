"""The reader of spectrum files, against files written here in the documented layouts, and damaged ones."""

import io
import zlib

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import SPECTRUM_UNIT
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys.spectrum_files import read_spectrum
from astrofuse_lab.surveys.spectrum_units import noise_of, unit_of, vacuum

N = 50
WAVE = np.linspace(4000.0, 4490.0, N)
FLUX = np.linspace(1.0, 3.0, N)


def read(content, **more):
    return read_spectrum(content, "test/spectrum", "the target", Provenance("test/spectrum"), **more)


def written(*units):
    file = io.BytesIO()
    fits.HDUList(list(units)).writeto(file)
    return file.getvalue()


def table(columns, row=True, **keys):
    """A binary table: one row of arrays, or a row a pixel."""
    made = [fits.Column(n, f"{N}D" if row else "D", unit=unit, array=np.array([v]) if row else v) for n, unit, v in columns]
    unit = fits.BinTableHDU.from_columns(made)
    for key, value in keys.items():
        unit.header[key] = value
    return unit


def image(data, **keys):
    unit = fits.PrimaryHDU(np.asarray(data, dtype=np.float32))
    for key, value in keys.items():
        unit.header[key.replace("_1", "_1") if key != "DC_FLAG" else "DC-FLAG"] = value
    return written(unit)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("erg/s/cm^2/Ang", 1e17), ("1E-17 erg/cm^2/s/Ang", 1.0), ("10**(-16)erg.cm**(-2).s**(-1).angstrom**(-1)", 10.0),
        ("erg cm**(-2) s**(-1) angstrom**(-1)", 1e17), ("10^-17 ergs/s/cm2/A", 1.0), ("W.m**-2.nm**-1", 1e19), ("10**-17 erg/(s cm2 Angstrom)", 1.0),
        ("erg s-1 cm-2 A-1", 1e17), ("10-17 erg s-1 cm-2 Å-1", 1.0), ("W m-2 um-1", 1e16),
    ],
)  # fmt: skip
def test_flux_units_as_archives_write_them(text, value):
    assert unit_of(text).to(u.Unit(SPECTRUM_UNIT)) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "adu per tick", "10**(999999999999)", "m**99999999", "1" * 90, "x" * 5000])
def test_what_is_no_unit_is_none_at_once(text):
    assert unit_of(text) is None


def test_air_to_vacuum_at_lines_with_both_wavelengths():
    # NIST: H alpha 6562.80 in air is 6564.61 in vacuum, [O III] 5006.843 is 5008.240
    assert vacuum(np.array([6562.80, 5006.843, 1215.67])) == pytest.approx([6564.61, 5008.240, 1215.67], abs=0.005)


def test_the_eso_standard():
    keys = {"TUCD1": "em.wl;obs.atmos", "TUTYP1": "Spectrum.Data.SpectralAxis.Value", "TUTYP2": "eso:Data.FluxAxis.Value", "TUTYP3": "spec:Data.FluxAxis.Value"}
    bad = np.zeros(N)
    bad[7] = 4
    unit = table(
        [("WAVE", "nm", WAVE / 10), ("FLUX_REDUCED", "adu", FLUX * 1000), ("FLUX", "10**(-16)erg.cm**(-2).s**(-1).angstrom**(-1)", FLUX),
         ("ERR_REDUCED", "adu", FLUX), ("ERR", "10**(-16)erg.cm**(-2).s**(-1).angstrom**(-1)", FLUX / 10), ("QUAL", "", bad)], **keys,
    )  # fmt: skip
    primary = fits.PrimaryHDU()
    primary.header["SPEC_RES"], primary.header["MJD-OBS"] = 40000.0, 55000.5
    spectrum = read(written(primary, unit))
    assert spectrum.wavelength == pytest.approx(vacuum(WAVE)) and spectrum.flux == pytest.approx(10 * FLUX, rel=1e-6)
    assert spectrum.ivar[0] == pytest.approx(1.0) and spectrum.unit == SPECTRUM_UNIT  # the error in the flux's own unit, not the first one
    assert list(np.flatnonzero(~spectrum.mask)) == [7] and spectrum.ivar[7] == 0
    assert spectrum.time == 55000.5 and spectrum.lsf_sigma[0] == pytest.approx(spectrum.wavelength[0] / 40000 / 2.35482)


def test_the_sdss_table():
    loglam = 3.6 + 1e-4 * np.arange(N)
    ivar = np.r_[0.0, np.full(N - 1, 4.0)]
    unit = table([("flux", None, FLUX), ("loglam", None, loglam), ("ivar", None, ivar), ("and_mask", None, (np.arange(N) == 3) * 8.0), ("wdisp", None, np.ones(N))], row=False)
    spectrum = read(written(fits.PrimaryHDU(), unit))
    assert spectrum.wavelength == pytest.approx(10**loglam) and spectrum.unit == "relative"  # no unit in the file: the SDSS client knows it
    assert list(np.flatnonzero(~spectrum.mask)) == [0, 3]
    assert spectrum.lsf_sigma[10] == pytest.approx(spectrum.wavelength[11] - spectrum.wavelength[10], rel=1e-3)  # one pixel wide


def test_images_with_all_kinds_of_wavelength_solutions():
    logs = 3.6 + 1e-4 * np.arange(N)
    cases = {
        "IRAF": image(FLUX, CRVAL1=4000.0, CD1_1=10.0, CDELT1=1.0, WAT1_001="wtype=linear label=Wavelength units=angstroms"),
        "metres": image(FLUX, CRVAL1=4.09e-7, CDELT1=1e-9, CRPIX1=10.0, CUNIT1="m", CTYPE1="WAVE"),
        "no unit": image(FLUX[None], CRVAL1=4000.0, CDELT1=10.0),
    }
    for name, content in cases.items():
        assert read(content).wavelength == pytest.approx(WAVE), name
    air = image(FLUX, CRVAL1=4000.0, CDELT1=10.0, CUNIT1="Angstrom", CTYPE1="AWAV")
    assert read(air).wavelength == pytest.approx(vacuum(WAVE))
    for content in (image(FLUX, CRVAL1=3.6, CDELT1=1e-4, DC_FLAG=1), image(FLUX, COEFF0=3.6, COEFF1=1e-4), image(FLUX, CRVAL1=3.6, CDELT1=1e-4, CTYPE1="LOG-LINEAR")):
        assert read(content).wavelength == pytest.approx(10**logs)
    natural = image(FLUX, CRVAL1=4000.0, CDELT1=1.0, CTYPE1="WAVE-LOG", CUNIT1="Angstrom")
    assert read(natural).wavelength == pytest.approx(4000 * np.exp(np.arange(N) / 4000))


def test_lamost_image_and_sdss_image_rows():
    rows = np.array([FLUX, np.full(N, 4.0), WAVE, np.arange(N) == 5, np.zeros(N)])
    lamost = read(image(rows, COEFF0=3.6, COEFF1=1e-4, TELESCOP="LAMOST", VACUUM=True))
    assert lamost.wavelength == pytest.approx(10 ** (3.6 + 1e-4 * np.arange(N))) and lamost.ivar[0]  # row 3 is no wavelength in DR1
    assert lamost.ivar[0] == 4 and not lamost.mask[5] and lamost.mask.sum() == N - 1
    old = read(image(np.array([FLUX, FLUX, np.full(N, 0.5), np.zeros(N), FLUX]), COEFF0=3.6, COEFF1=1e-4, TELESCOP="SDSS 2.5-M", BUNIT="1.0E-17 erg/cm/s/Ang"))
    assert old.ivar == pytest.approx(4.0) and old.wavelength[0] == pytest.approx(10**3.6)


def test_further_image_units_are_known_by_name():
    parts = [fits.PrimaryHDU(FLUX)] + [fits.ImageHDU(v, name=n) for n, v in (("WAVELENGTH", WAVE), ("IVAR", np.full(N, 2.0)), ("SKY", FLUX))]
    assert read(written(*parts)).ivar == pytest.approx(2.0) and read(written(*parts)).wavelength == pytest.approx(WAVE)


def test_votable_by_utype_frequencies_ascend_in_wavelength():
    made = Table({"a": (u.Quantity(WAVE, u.AA).to(u.THz, u.spectral())), "b": FLUX * u.mJy, "c": FLUX / 10 * u.mJy})
    made["a"].info.meta = {"ucd": "em.freq", "utype": "spec:Data.SpectralAxis.Value"}
    made["b"].info.meta = {"utype": "spec:Data.FluxAxis.Value"}
    made["c"].info.meta = {"utype": "spec:Data.FluxAxis.Accuracy.StatError"}
    file = io.BytesIO()
    made.write(file, format="votable")
    spectrum = read(file.getvalue(), media_type="application/x-votable+xml")
    assert spectrum.wavelength == pytest.approx(WAVE) and spectrum.unit == SPECTRUM_UNIT
    assert spectrum.flux[0] == pytest.approx((1 * u.mJy).to_value(SPECTRUM_UNIT, u.spectral_density(4000 * u.AA)), rel=1e-6)
    assert spectrum.ivar[0] * spectrum.flux[0] ** 2 == pytest.approx(100, rel=1e-5)


@pytest.mark.parametrize(
    "head", ["", "# wavelength[A] flux[erg/s/cm2/A] err[erg/s/cm2/A]\n", "wave,flux,err\n", "; made by hand, in 1999, for all\n"], ids=["bare", "units", "named", "comment"]
)
def test_columns_of_text(head):
    gap = "," if head.startswith("wave") else "  "
    body = "\n".join(gap.join(f"{v:.8g}" for v in row) for row in zip(WAVE[::-1], FLUX[::-1], FLUX / 10, strict=True))
    spectrum = read((head + body).encode(), media_type="text/plain")
    by = 1e17 if "erg" in head else 1.0
    assert spectrum.wavelength == pytest.approx(WAVE) and spectrum.flux == pytest.approx(FLUX * by, rel=1e-6)
    assert spectrum.unit == (SPECTRUM_UNIT if by > 1 else "relative") and spectrum.mask.all()


def test_ecsv_and_packed_files():
    file = io.StringIO()
    Table({"wave": WAVE / 1e4 * u.um, "flux": FLUX, "flux_error": FLUX / 5}).write(file, format="ascii.ecsv")
    assert read(file.getvalue().encode()).wavelength == pytest.approx(WAVE)
    packer = zlib.compressobj(wbits=31)
    assert read(packer.compress(file.getvalue().encode()) + packer.flush()).flux == pytest.approx(FLUX)


def test_noise_is_taken_from_the_flux_where_there_are_no_errors():
    noisy = 100 + np.random.default_rng(1).normal(0, 2.0, 4000)
    assert noise_of(noisy, np.ones(4000, dtype=bool)) == pytest.approx(2.0, rel=0.1)
    spectrum = read("\n".join(f"{4000 + i} {f}" for i, f in enumerate(noisy)).encode())
    assert spectrum.mask.all() and 1 / np.sqrt(spectrum.ivar[0]) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no two columns"), (b"SIMPLE  =" + b" " * 3000, "FITS"), (b"<VOTABLE><RESOURCE>", "VOTable"), (b"1 2\n3 4\n", "no ångström"),
        (b"5000 1\n5001\n", "row 2 has 1 columns"), (b"5000 1\nIgnore 1\n", "no row of numbers"), (b"# %ECSV 1.0\n# ---\n# {}\n", "ECSV"),
        (image(np.ones((30, 40))), "40 x 30 pixels is no one-dimensional spectrum"), (image(FLUX), "no CRVAL1"), (image(FLUX, CRVAL1=1.0, CDELT1=1.0), "unit of its wavelengths"),
        (image(FLUX, CRVAL1=4000.0, CDELT1=0.0), "1 pixels with a wavelength"), (image(FLUX, CRVAL1=4000.0, CDELT1=1.0)[:2900], "claims"),
        (written(fits.PrimaryHDU(), table([("a", "", FLUX)])), "none of its 2 units"),
    ],
)  # fmt: skip
def test_what_is_no_spectrum_is_an_archive_error(content, words):
    with pytest.raises(ArchiveError, match=words) as caught:
        read(content)
    assert caught.value.target == "the target" and caught.value.survey == "test/spectrum"


def test_mutated_files_are_an_archive_error_or_a_spectrum():
    """Seeded damage to each layout: never another exception."""
    random = np.random.default_rng(7)
    file = io.BytesIO()
    Table({"wave": WAVE * u.AA, "flux": FLUX * u.mJy, "err": FLUX}).write(file, format="votable")
    good = [written(fits.PrimaryHDU(), table([("WAVE", "nm", WAVE / 10), ("FLUX", "adu", FLUX), ("ERR", "adu", FLUX)])), image(FLUX, CRVAL1=4000.0, CDELT1=1.0), file.getvalue()]
    survived = 0
    for content in good:
        for _ in range(60):
            damaged = bytearray(content)
            for place in random.integers(0, len(content), random.integers(1, 12)):
                damaged[place] = random.integers(32, 127)
            if random.random() < 0.2:
                damaged = damaged[: random.integers(1, len(content))]
            try:
                spectrum = read(bytes(damaged))
            except ArchiveError:
                continue
            survived += 1
            assert len(spectrum.wavelength) == len(spectrum.flux) >= 2 and np.isfinite(spectrum.flux).all() and np.isfinite(spectrum.ivar).all()
    assert survived > 20
