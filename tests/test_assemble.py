"""Products of many surveys to one set."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.alignment import tables
from astrofuse_lab.errors import AlignmentError, ArchiveError, InputError
from astrofuse_lab.modalities import Image, LightCurve, Spectrum, TableRow, Text
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.targets import Target, Targets

PIXELS, WAVES = af.PixelGrid(8, 0.5), af.LogGrid(4000, 5000, 1e-3)


@dataclass
class Shelf:
    """Products by survey and id, as `Found` gives them."""

    targets: Targets
    products: dict = field(default_factory=dict)

    @property
    def surveys(self):
        return tuple(self.products)

    def get(self, survey, object_id):
        product = self.products[survey].get(object_id)
        if isinstance(product, Exception):
            raise product
        return product


def origin(survey, simulated=False):
    return Provenance(survey, release="1", citation=f"cite {survey}", licence="CC0-1.0", simulated=simulated)


def shelf(n=3, **products):
    targets = Targets(Target(f"t{i}", 10.0 + i, 5.0) for i in range(n))
    return Shelf(targets, {name.replace("__", "/"): {f"t{i}": p for i, p in enumerate(rows) if p is not None} for name, rows in products.items()})


def image(row=0, survey="sky/image", bands=("g", "r"), unit="uJy", value=1.0, size=12, ivar=True, **more):
    flux = np.full((len(bands), size, size), value)
    wcs = af.PixelGrid(size, 0.5).wcs(10.0 + row, 5.0)
    made = Image(flux, np.ones(flux.shape, bool), bands, wcs, 0.5, np.ones(flux.shape) if ivar else None, (1.0,) * len(bands), 59000.0 + row, unit, origin(survey))
    return replace(made, **more)


def spectrum(survey="sky/spectrum", n=500, **more):
    wave = np.geomspace(3900, 5200, n)
    return replace(Spectrum(wave, np.full(n, 2.0), np.ones(n), np.ones(n, bool), provenance=origin(survey)), **more)


def curve(survey="sky/light_curve", band="g", n=4, **more):
    return replace(LightCurve(59000.0 + np.arange(n), np.full(n, 3.0), np.ones(n), np.array([band] * n), np.ones(n, bool), provenance=origin(survey)), **more)


def row(survey="sky/table", **values):
    return TableRow(values, {"mag": "mag"}, {"label": "target"}, origin(survey))


def align(found, **more):
    return af.align(found, PIXELS, WAVES, progress=False, **more)


# ---- the whole path -----------------------------------------------------------------------------------------------


def test_fetch_then_align_the_practice_sky(capsys):
    targets = af.Targets.from_region((150.0, 2.2), 1800, n=12)
    names = ["practice/image", "practice/spectrum", "practice/light_curve", "practice/table", "practice/text"]
    found = af.fetch(targets, names, radius=3, size=20, options={"missing": 0.2}, progress=False)
    samples = af.align(found, af.PixelGrid(64, 0.262), af.LogGrid(3800, 9200, 1e-3))
    assert "SampleSet" in capsys.readouterr().err
    assert list(samples.modalities) == ["image", "spectrum", "light_curve", "table", "text"]
    assert list(samples.object_ids) == [t for t in targets.ids if t in set(samples.object_ids)]
    assert samples.simulated and samples.spec("image").channels == ("g", "r", "z")
    for name in ("image", "spectrum", "light_curve", "text"):
        there = np.array([found.get(f"practice/{name}", str(i)) is not None for i in samples.object_ids])
        np.testing.assert_array_equal(samples.present(name), there)
    assert samples.column("label").count() == len(samples)
    raw = found.get("practice/spectrum", str(samples.object_ids[samples.present("spectrum")][0]))
    got = samples[str(samples.object_ids[samples.present("spectrum")][0])]["spectrum"]
    inside = (raw.wavelength > 4500) & (raw.wavelength < 8500) & raw.mask
    here = (got.wavelength > 4500) & (got.wavelength < 8500) & got.mask
    assert np.median(got.flux[here]) == pytest.approx(float(np.median(raw.flux[inside])), rel=0.1, abs=3 * float(np.median(raw.ivar[inside])) ** -0.5)


def test_images_are_what_reproject_makes_of_what_was_fetched():
    from astropy.io.fits import Header
    from astropy.wcs import WCS
    from reproject import reproject_exact

    targets = af.Targets.from_region((150.0, 2.2), 1800, n=4)
    found = af.fetch(targets, ["practice/image"], size=20, options={"missing": 0.0}, progress=False)
    grid = af.PixelGrid(40, 0.4)
    samples = af.align(found, grid, progress=False)
    for sample, target in zip(samples, targets, strict=True):
        raw, got = found.get("practice/image", sample.object_id), sample["image"]
        for band in range(3):
            plane = np.where(raw.mask[band], raw.flux[band], np.nan).astype(float)
            want, _ = reproject_exact((plane, WCS(Header(dict(raw.wcs)))), WCS(Header(grid.wcs(target.ra, target.dec))), shape_out=(40, 40))
            here = got.mask[band]
            assert here.mean() > 0.9
            np.testing.assert_allclose(got.flux[band][here], want[here] * (0.4 / raw.scale) ** 2, atol=1e-4 * np.nanmax(want), rtol=1e-4)


# ---- many surveys -------------------------------------------------------------------------------------------------


def test_images_of_two_surveys_are_bands_of_one():
    one = [image(i, "legacy/image", ("g", "r", "z"), value=4.0) for i in range(3)]
    two = [None, image(1, "dss/image", ("g",), value=8.0), None]
    samples = align(shelf(legacy__image=one, dss__image=two))
    assert samples.spec("image").channels == ("legacy/image:g", "r", "z", "dss/image:g")
    got = samples.arrays("image")
    assert got["mask"][:, :3].all() and got["mask"][:, 3].any(axis=(1, 2)).tolist() == [False, True, False]
    np.testing.assert_allclose(got["flux"][1, 3], 8.0, rtol=1e-5)
    np.testing.assert_allclose(got["psf_fwhm"][1], 1.0)
    assert np.isnan(got["psf_fwhm"][0, 3])
    assert samples.spec("image").provenance.survey == "legacy/image, dss/image"


def test_band_order_is_the_surveys_own_whatever_comes_first():
    rows = [image(0, "practice/image", ("z",)), image(1, "practice/image", ("r", "g"))]
    assert align(shelf(2, practice__image=rows)).spec("image").channels == ("g", "r", "z")


def test_shapes_units_and_missing_ivar():
    rows = [image(0), image(1, size=20), image(2, unit="mJy", value=0.001, ivar=False)]
    samples = align(shelf(sky__image=rows))
    got = samples.arrays("image")
    np.testing.assert_allclose(got["flux"][got["mask"]], 1.0, rtol=1e-5)
    assert "ivar" not in got and samples.spec("image").unit == "uJy"


def test_images_in_counts_stand_beside_those_in_flux():
    one, two = [image(i) for i in range(2)], [image(i, "hips/dss2", ("red",), unit="adu", value=7.0) for i in range(2)]
    three = [image(i, "hips/2mass", ("K",), unit="adu", value=9.0) for i in range(2)]
    samples = align(shelf(2, sky__image=one, hips__dss2=two, hips__2mass=three))
    assert list(samples.modalities) == ["image", "image_hips_dss2"]
    assert samples.spec("image_hips_dss2").channels == ("red", "K") and samples.spec("image_hips_dss2").unit == "adu"
    np.testing.assert_allclose(samples.arrays("image_hips_dss2")["flux"][:, 1], 9.0, rtol=1e-5)


def test_spectra_of_two_surveys_stay_apart():
    samples = align(shelf(sdss__spectrum=[spectrum("sdss/spectrum"), None, None], desi__spectrum=[None, spectrum("desi/spectrum", unit="1e-16 erg / (s cm2 Angstrom)"), None], x__text=[None, None, Text("seen")]))
    assert list(samples.modalities) == ["spectrum_desi", "spectrum_sdss", "text"]
    assert samples.present("spectrum_sdss").tolist() == [True, False, False]
    np.testing.assert_allclose(samples.arrays("spectrum_desi", [1])["flux"], 20.0, rtol=1e-5)


def test_light_curves_of_two_surveys_are_merged():
    ztf = [curve("ztf/light_curve"), None, curve("ztf/light_curve", "r")]
    atlas = [curve("atlas/light_curve", "o", n=2), curve("atlas/light_curve", "g", unit="mJy", clock="TDB"), None]
    samples = align(shelf(ztf__light_curve=ztf, atlas__light_curve=atlas))
    assert samples.spec("light_curve").channels == ("ztf/light_curve:g", "r", "o", "atlas/light_curve:g")
    first = samples[0]["light_curve"]
    assert len(first.time) == 6 and (np.diff(first.time) >= 0).all()
    second = samples[1]["light_curve"]
    np.testing.assert_allclose(second.flux, 3000.0)
    # TDB is ahead of UTC by 69.184 s in 2020
    np.testing.assert_allclose((59000.0 + np.arange(4) - second.time) * 86400, 69.184, atol=0.01)


def test_the_time_of_a_spectrum_is_kept():
    samples = align(shelf(2, sdss__spectrum=[replace(spectrum("sdss/spectrum"), time=58123.5), spectrum("sdss/spectrum")]))
    assert samples.column("sdss_time").tolist() == [58123.5, None] and samples.units["sdss_time"] == "d" and samples.roles["sdss_time"] == "other"


def test_the_time_grid_chooses_bands_and_epochs():
    samples = align(shelf(1, ztf__light_curve=[curve(n=10)]), light_curve=af.TimeGrid(start=59002, stop=59005, bands=("r", "g")))
    assert samples.spec("light_curve").channels == ("r", "g")
    assert samples[0]["light_curve"].time.tolist() == [59002, 59003, 59004, 59005]


def test_columns_side_by_side():
    gaia = [row("gaia/table", mag=15.0, ra=10.0, dec=5.0 + 1 / 3600, source_id=4), None, row("gaia/table", mag=16.0, ra=12.0, dec=5.0, source_id=5)]
    other = [row("wise/table", mag=9, label="star", good=True, name="x"), row("wise/table", mag=-999, label="galaxy", good=False), None]
    samples = align(shelf(gaia__table=gaia, wise__table=other))
    assert samples.inputs == ("mag", "wise_mag", "good")
    assert samples.units["mag"] == samples.units["wise_mag"] == "mag"
    assert samples.roles["label"] == "target" and samples.roles["source_id"] == "id" and samples.roles["gaia_ra"] == samples.roles["ra"] == "other"
    assert samples.column("wise_mag").mask.tolist() == [False, True, True]
    assert samples.column("gaia_separation")[0] == pytest.approx(1.0, abs=1e-6)
    assert samples.roles["gaia_separation"] == "other"


def test_texts_of_one_object_are_joined():
    samples = align(shelf(2, a__text=[Text("first"), None], b__text=[Text("zweiter ä"), Text("only")]))
    assert [s["text"].text for s in samples] == ["first\nzweiter ä", "only"]


def test_grids_default_to_the_first_product():
    samples = af.align(shelf(1, sky__image=[image(size=20)], sky__spectrum=[spectrum()]), progress=False)
    assert samples.spec("image").shape == (2, 20, 20) and samples.spec("image").scale == 0.5
    assert samples.spec("spectrum").shape == (500,)
    np.testing.assert_allclose(samples.arrays("image")["flux"], 1.0, rtol=1e-5)


# ---- card, missing, broken ----------------------------------------------------------------------------------------


def test_the_card_cites_and_says_what_is_simulated():
    real = align(shelf(1, sky__image=[image()]))
    assert "cite sky/image" in real.card.citation and real.card.licence == "CC0-1.0" and not real.simulated
    mixed = align(shelf(1, sky__image=[image()], practice__text=[Text("x", origin("practice/text", True))]))
    assert mixed.simulated


def test_targets_with_nothing_are_left_out_and_named():
    samples = align(shelf(4, sky__image=[image(0), None, image(2), None], sky__text=[None, None, Text("a"), None]))
    assert list(samples.object_ids) == ["t0", "t2"]
    assert "t1, t3" in samples.card.notes[0] and "2 of 4" in samples.card.notes[0]
    assert samples.present("text").tolist() == [False, True]
    assert samples.column("time").tolist() == [59000.0, 59002.0]


BAD = {
    "flux": image(1, flux=np.ones((3, 12, 12))),
    "wcs": image(1, wcs={}),
    "CTYPE": image(1, wcs={**af.PixelGrid(12, 0.5).wcs(11, 5), "CTYPE1": "RA---NOP"}),
    "BMAJ": image(1, unit="Jy / beam"),
    "unit": spectrum(unit="mag"),
    "ivar": spectrum(ivar=np.zeros(500)),
    "lambda": spectrum(wavelength=np.full(500, np.nan)),
    "flux_err": curve(flux_err=np.zeros(4)),
    "band": curve(band=np.array([])),
    "time": curve(clock="lunar"),
    "text": Text("  "),
    "column 'x'": row(x=[1, 2]),
    "cut short": ArchiveError("sky/x", "the file is cut short", "t1"),
    "int": 7,
}


@pytest.mark.parametrize("words", BAD)
def test_one_bad_product_is_a_note_and_the_others_go_on(words):
    good = {"Spectrum": spectrum, "LightCurve": curve, "Text": lambda: Text("fine"), "TableRow": lambda: row(mag=1.0)}.get(type(BAD[words]).__name__)
    rows = [good() if good else image(0), BAD[words], good() if good else image(2)]
    if isinstance(rows[1], LightCurve) and words == "band":
        rows[1] = replace(rows[1], band=np.array(["g"]))
    samples = align(shelf(sky__x=rows, sky__text=[Text("there")] * 3))
    assert len(samples) == 3
    other = next(m for m in samples.modalities if m != "text" or words == "text")
    assert samples.present(other).tolist() == [True, words == "text", True]
    if words != "text":
        note = next(n for n in samples.card.notes if "sky/x, t1" in n)
        assert words in note


def test_notes_are_not_endless():
    rows = [image(i, wcs={}) for i in range(49)] + [image(49)]
    samples = align(shelf(50, sky__image=rows))
    assert len(samples) == 1 and len(samples.card.notes) <= 23 and any("29 products more" in n for n in samples.card.notes)


def test_nothing_left_is_an_error():
    with pytest.raises(AlignmentError, match="nothing is left"):
        align(shelf(2, sky__image=[image(0, wcs={}), None]))
    with pytest.raises(AlignmentError, match="nothing is left"):
        align(shelf(2))
    with pytest.raises(AlignmentError, match="nothing is left"):
        align(Shelf(Targets([]), {"sky/image": {}}))


def test_a_grid_that_is_none():
    with pytest.raises(InputError, match="PixelGrid"):
        af.align(shelf(1, sky__image=[image()]), image=64)


# ---- tables -------------------------------------------------------------------------------------------------------


def test_units_of_a_column_are_made_one():
    rows = [TableRow({"d": 1.0}, {"d": "arcmin"}), TableRow({"d": 60.0}, {"d": "arcsec"}), TableRow({"d": 3.0}, {"d": "Jy"}), None]
    got = tables.stack(rows)
    assert got.values["d"] == [1.0, pytest.approx(1.0), None, None] and got.units["d"] == "arcmin"
    assert "'d'" in got.notes[0]


def test_one_type_a_column():
    def column(*values):
        got = tables.stack([TableRow({"x": v}) for v in values])
        return got.values["x"], got.roles["x"]

    assert column(1, 2.5, None) == ([1.0, 2.5, None], "input")
    assert column(True, False) == ([True, False], "input")
    assert column(True, 2) == ([1.0, 2.0], "input")
    assert column("a", 3) == (["a", "3"], "other")
    assert column(np.float32(1.5), np.ma.masked) == ([1.5, None], "input")
    assert column(float("nan"), float("inf"), -99.0, -9999) == ([None] * 4, "other")
    assert column("", "null", "ok") == ([None, None, "ok"], "other")
    assert column(2**70, 1) == ([str(2**70), "1"], "other")
