"""The twin of each plot: what is said and tabled of it are the numbers it was made of, in Python and in the page."""

from importlib import resources

import numpy as np
import pytest
from astropy.table import Table
from browser import chromium
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.plot_twin_page import rows_of

hv = pytest.importorskip("holoviews")


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(40)


@pytest.fixture(scope="module")
def sample(samples):
    has = np.all([samples.present(m) for m in ("image", "spectrum", "light_curve")], axis=0)
    return samples[int(np.flatnonzero(has)[0])]


@pytest.fixture(scope="module")
def run():
    return af.train("late_fusion", make_toy_samples(60), target="label", modalities=["table"], epochs=2, progress=False)


def only(plot):
    (found,) = af.plot.tables(plot).values()
    return found


def scores(**columns):
    table = Table({"model": ["fused", "image", "chance"], "metric": ["accuracy"] * 3, "value": [0.9, 0.8, 0.3], "low": [0.85, 0.7, 0.2], "high": [0.95, 0.9, 0.4], **columns})
    table.meta["simulated"] = True
    return table


# ---- numbers ---------------------------------------------------------------------------------------------------------


def test_a_spectrum_is_tabled_pixel_by_pixel_with_its_band(sample):
    one = sample["spectrum"]
    plot = af.plot.spectrum(sample)
    found = only(plot)
    assert found.colnames == ["observed vacuum wavelength (Å)", "flux density (10⁻¹⁷ erg s⁻¹ cm⁻² Å⁻¹)", "from", "to"]
    np.testing.assert_allclose(found["observed vacuum wavelength (Å)"], one.wavelength)
    flux = np.asarray(found[found.colnames[1]])
    assert np.array_equal(np.isnan(flux), ~one.mask)
    np.testing.assert_allclose(flux[one.mask], one.flux[one.mask])
    np.testing.assert_allclose((found["to"] - found["from"])[one.mask], 2 / np.sqrt(one.ivar[one.mask]), rtol=1e-5)
    top = int(np.argmax(np.where(one.mask, one.flux, -np.inf)))
    said = af.plot.words(plot)
    assert said.startswith(f"{sample.object_id} · z = ") and f"highest {one.flux[top]:.4g} ({one.wavelength[top]:.4g} Å)" in said
    assert f"{one.mask.sum()} values, {(~one.mask).sum()} masked" in said


def test_a_light_curve_names_its_bands_and_dates(sample):
    one = sample["light_curve"]
    found = only(af.plot.light_curve(sample))
    good = one.mask & ~one.limit & (one.band == "g")
    rows = found[found["series"] == "g"]
    np.testing.assert_allclose(np.sort(rows["time, MJD (UTC)"]), np.sort(one.time[good]))
    np.testing.assert_allclose((rows["to"] - rows["from"]) / 2, one.flux_err[good], rtol=1e-5)
    assert f"g: {good.sum()} values" in af.plot.words(af.plot.light_curve(sample))


def test_an_image_says_where_it_is_brightest():
    from astrofuse_lab.modalities import Image

    flux = np.zeros((1, 9, 9))
    flux[0, 8, 1] = 100.0  # last row is north, first column is east
    mask = np.ones(flux.shape, dtype=bool)
    mask[0, 0] = False
    said = af.plot.words(af.plot.image(Image(flux, mask, ("r",), {}, 0.5, unit="uJy")))
    assert "r brightest 100 at 2 arcsec north and 1.5 east of the middle" in said and "11 % masked" in said


def test_confusion_and_coverage_are_counted(run, samples):
    tested = make_toy_samples(60, seed=5)
    found = only(af.plot.confusion(run, tested))
    assert found["samples"].sum() == 60
    right = found["samples"][found["true"] == found["predicted"]].sum()
    assert f"{right} of 60 are right" in af.plot.words(af.plot.confusion(run, tested))
    covered = only(af.plot.coverage(samples))
    whole = np.all([samples.present(m) for m in samples.modalities], axis=0).sum()
    assert covered["objects"].sum() == 40 and f"{whole} of 40 objects have all 5 modalities" in covered.meta["words"]
    both = covered[(covered["image"] == "no") & (covered["spectrum"] == "yes")]["objects"].sum()
    assert both == (~samples.present("image") & samples.present("spectrum")).sum()


def test_forests_comparisons_and_bands_are_read():
    table = scores(modalities=["image + table", "image", ""], difference=[np.nan, 0.1, 0.6], difference_low=[np.nan, 0.02, 0.5], difference_high=[np.nan, 0.2, 0.7])
    assert list(only(af.plot.comparison(table))["row"]) == ["fused", "image", "chance"]
    assert "image 0.800 [0.700, 0.900]" in af.plot.words(af.plot.comparison(table))
    assert "image 0.100 [0.020, 0.200]; chance 0.600 [0.500, 0.700]" in af.plot.words(af.plot.forest(table))
    curve = Table({"labels": [10, 20, 40], "model": ["fused"] * 3, "metric": ["accuracy"] * 3, "value": [0.5, 0.6, 0.8], "low": [0.4, 0.5, 0.7], "high": [0.6, 0.7, 0.9]})
    found = only(af.plot.label_curve(curve))
    np.testing.assert_allclose(found["accuracy"], curve["value"])
    np.testing.assert_allclose(found["from"], curve["low"])


def test_a_layout_has_a_twin_for_each_panel_and_any_other_plot_has_one(run):
    loss, metric = af.plot.tables(af.plot.learning_curve(run)).values()
    np.testing.assert_allclose(loss["loss"][loss["series"] == "training"], run.history["train_loss"])
    np.testing.assert_allclose(metric["balanced accuracy (validation)"], run.history["metric"])
    own = hv.Scatter(([1, 2, 3], [4.0, 9.0, 1.0]), "night", "seeing", label="mine")
    assert af.plot.words(own) == "mine. mine: 3 values, seeing lowest 1 (night 3), highest 9 (2)."
    assert only(own * hv.HLine(2)).colnames == ["night", "seeing"]
    with pytest.raises(InputError, match="of a HoloViews plot"):
        af.plot.words(3)


def test_long_tables_are_thinned_with_their_ends_kept():
    rows, count = rows_of({"x": np.arange(5000.0), "name": np.arange(5000).astype(str)})
    assert count == 5000 and len(rows) == 200 and rows[0] == ["0", "0"] and rows[-1] == ["4999", "4999"]
    assert rows_of({}) == ([], 0)


# ---- in a page -------------------------------------------------------------------------------------------------------

HOSTILE = "</script><img src=x onerror=\"window.hacked=1\">"


def fulfilled(html):
    return lambda route: route.fulfill(body=html, content_type="text/html")


@pytest.mark.browser
def test_the_page_has_names_words_and_tables_and_axe_finds_nothing_serious(sample, run):
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    axe = pytest.importorskip("axe_playwright_python", reason="browser: the package axe-playwright-python is not installed")
    hostile = af.plot.spectrum(sample["spectrum"]).opts(title=HOSTILE)
    pages = {"layout": hv.render(af.plot.learning_curve(run), backend="bokeh"), "one": hv.render(hostile, backend="bokeh")}
    with chromium(1024, 900) as browser:
        page = browser.page()
        for name, drawn in pages.items():
            page.route("**/static/extensions/**", lambda route: route.fulfill(body="", content_type="text/javascript"))  # what Panel would serve beside it
            page.route(f"http://localhost/{name}.html", fulfilled(file_html(drawn, INLINE, title=name)))
            page.goto(f"http://localhost/{name}.html")
            twins = page.locator("details.astrofuse-twin")
            twins.first.wait_for()
            assert twins.count() == (2 if name == "layout" else 1)
            for summary in twins.locator("summary").all():
                summary.focus()
                page.keyboard.press("Enter")
            figure = page.get_by_role("figure").first
            assert ("loss lowest" if name == "layout" else "flux density") in figure.get_attribute("aria-label")
            table = page.get_by_role("region", name="Table of").first.get_by_role("table")
            table.wait_for()
            assert table.get_by_role("columnheader").count() in (3, 4)
            assert table.get_by_role("row").count() == (5 if name == "layout" else 97)
            page.evaluate((resources.files(axe) / "axe.min.js").read_text())
            found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html.slice(0, 200))]))")
            assert [one for one in found if one[0] in ("serious", "critical")] == []
            assert page.evaluate("() => window.hacked") is None
            browser.shot(page, f"plot-twin-{name}", full=True)
        assert browser.errors == [] and browser.foreign == []
