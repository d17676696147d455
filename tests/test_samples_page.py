"""The samples view in Chromium: thousands of rows, colours and masks, folding, raw beside aligned, labels and notes, coverage and quality."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples
from test_views import LOOKS as LOOKS
from test_views import Stage as Stage
from test_views import key
from test_views import pytestmark as pytestmark
from test_views import stage as stage

import astrofuse_lab as af
from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.widgets.wire import compass, sample_payload, sky_grid

EVIL = "<img src=x onerror=window.hit=1>"


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples()


def filters(host, name, text):
    host.page.get_by_label(f"Filter {name}", exact=True).fill(text)
    host.pump(0.2)


def test_thousands_of_rows_are_filtered_and_sorted_by_column(stage):
    n, rng = 8000, np.random.default_rng(1)
    period = rng.uniform(0.1, 9, n)
    columns = pa.table({
        "object_id": [f"v{i:05d}" for i in range(n)], "kind": np.array(["RR Lyr", "eclipsing", EVIL])[rng.integers(0, 3, n)],
        "period": pa.array(period, mask=rng.random(n) < 0.1), "mag": rng.normal(18, 1, n), **{f"more_{k}": rng.random(n) for k in range(6)},
    })  # fmt: skip
    widget = af.SamplesWidget(af.SampleSet(columns, {}, {"kind": "target", "period": "input", "mag": "input"}, {"period": "d"}))
    host = stage.show(widget)
    host.settle()
    rows = host.page.locator(".af-grid-space .af-grid-row")
    assert rows.count() < 60 and f"{n} of {n} shown" in host.text()
    filters(host, "period", "0.5..0.75")
    known = columns["period"].is_valid().to_numpy()
    wanted = known & (period >= 0.5) & (period <= 0.75)
    assert f"{wanted.sum()} of {n} shown" in host.text()
    filters(host, "kind", "rr lyr")
    wanted &= np.asarray(columns["kind"]) == "RR Lyr"
    assert f"{wanted.sum()} of {n} shown" in host.text()
    host.page.get_by_role("columnheader", name="mag").click()
    host.page.get_by_role("columnheader", name="mag").click()
    host.pump(0.2)
    brightest = f"v{np.flatnonzero(wanted)[np.argmax(columns['mag'].to_numpy()[wanted])]:05d}"
    assert rows.first.inner_text().startswith(brightest)
    key(host, "ArrowRight")
    host.settle()
    assert widget.selection.focus == brightest
    stage.shot(host, "samples-many")
    filters(host, "period", "so")
    assert host.page.get_by_label("Filter period").get_attribute("aria-invalid") == "true"
    filters(host, "period", "-")
    assert f"{(~known & (np.asarray(columns['kind']) == 'RR Lyr')).sum()} of {n} shown" in host.text()
    key(host, "Escape")
    host.pump(0.2)
    assert f"{n} of {n} shown" in host.text()
    key(host, "/")
    host.page.keyboard.type('kind="rr lyr" more_5>0.9')
    host.pump(0.2)
    both = (np.asarray(columns["kind"]) == "RR Lyr") & (columns["more_5"].to_numpy() > 0.9)
    assert f"{both.sum()} of {n} shown" in host.text()
    host.page.get_by_text("columns", exact=True).click()
    host.page.locator("input[data-name=column-mag]").uncheck()
    host.page.locator("input[data-name=column-more_5]").check()
    host.pump(0.2)
    assert host.page.get_by_role("columnheader", name="more_5").count() == 1 and host.page.get_by_role("columnheader", name="mag").count() == 0
    stage.shot(host, "samples-columns")
    assert host.page.evaluate("() => window.hit") is None


def test_labels_and_notes_are_kept_with_the_set(stage, samples, tmp_path):
    kept = af.SampleSet.open(samples.save(tmp_path / "set"))
    widget = af.SamplesWidget(kept)
    host = stage.show(widget)
    host.settle()
    assert "kept with the set" in host.text()
    key(host, "2")
    host.settle()
    assert kept.annotations.get("toy-0000").label == "quasar"
    host.until(lambda: host.page.get_by_role("columnheader", name="my_label").count() == 1 and "1 with your label or note" in host.text())
    key(host, "n")
    host.page.keyboard.type(f"looks odd {EVIL}")
    host.page.keyboard.press("Enter")
    host.settle()
    host.page.get_by_label("New label, press Enter").fill("bad image")
    host.page.get_by_label("go on after labelling").check()
    host.page.get_by_label("New label, press Enter").press("Enter")
    host.settle()
    assert kept.annotations.get("toy-0000")[:2] == ("bad image", f"looks odd {EVIL}") and widget.selection.focus == "toy-0001"
    key(host, "4")  # the new label has the next key
    host.settle()
    assert kept.annotations.get("toy-0001").label == "bad image" and widget.selection.focus == "toy-0002"
    stage.shot(host, "samples-labels")
    key(host, "ArrowLeft")
    host.settle()
    key(host, "0")
    host.settle()
    assert "toy-0001" not in set(kept.annotations)

    kept.annotate(["toy-0005", "toy-0007"], label="from a cell")  # several at once, from Python
    host.settle()
    assert "3 with your label or note" in host.text() and "from a cell" in host.text()
    filters(host, "my_label", "=from a cell")
    assert "2 of 60 shown" in host.text()
    host.page.get_by_role("button", name="Select shown").click()
    host.settle()
    host.page.get_by_label("Label the 2 selected").select_option(label="galaxy")
    host.settle()
    said = json.loads((kept.path / "annotations.json").read_text())["objects"]
    assert {i: one["label"] for i, one in said.items()} == {"toy-0000": "bad image", "toy-0005": "galaxy", "toy-0007": "galaxy"}
    assert af.SampleSet.open(kept.path).annotations.get("toy-0000").note == f"looks odd {EVIL}"
    assert host.page.evaluate("() => window.hit") is None


def test_labels_that_cannot_be_read_or_kept_are_told_of(stage, samples, tmp_path):
    kept = af.SampleSet.open(samples.save(tmp_path / "set"))
    (kept.path / "annotations.json").write_text("{")
    host = stage.show(af.SamplesWidget(kept))
    host.settle()
    assert "Your labels and notes cannot be read" in host.text() and "is damaged" in host.text() and "toy-0001" in host.text()
    stage.shot(host, "samples-labels-damaged")
    (kept.path / "annotations.json").unlink()
    host.page.get_by_role("button", name="Try again").click()
    host.settle()
    assert host.page.get_by_label("Your note").is_enabled()
    (kept.path / "annotations.json").mkdir()  # now it cannot be written
    key(host, "1")
    host.until(lambda: host.widget.error)
    assert "annotations.json" in host.widget.error


def pixels(host):
    return host.page.evaluate("() => { const c = document.querySelector('.af-image canvas'); return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; }")


def test_bands_mask_and_period(stage, samples):
    period = np.where(np.arange(60) % 7 == 0, np.nan, 6.2832)
    timed = samples.with_data({n: samples.data_of(n) for n in samples.modalities if n != "table"}, columns={"period": (period, "d")})
    at = next(i for i in range(1, 60) if i % 7 and timed.present("image")[i] and timed.present("light_curve")[i])
    widget = af.SamplesWidget(timed)
    host = stage.show(widget)
    widget.focus = at
    host.settle()
    first = pixels(host)
    host.page.get_by_label("green of the composite").select_option(label="g")
    host.pump(0.2)
    second = pixels(host)
    assert first != second and "r + g + g" in host.text()
    host.page.get_by_label("Bands shown").select_option("g")
    host.pump(0.2)
    grey = np.array(pixels(host)).reshape(-1, 4)
    assert (grey[:, 0] == grey[:, 2]).all() and host.page.get_by_label("green of the composite").count() == 0
    marks = host.page.locator(".af-mask-marks")
    assert marks.count() == 1 and "masked" in host.text()
    key(host, "m")
    host.pump(0.2)
    assert marks.count() == 0 and not host.page.locator("input[data-mask]").first.is_checked()
    key(host, "m")
    host.page.get_by_label("Take the period from").select_option("period")
    host.pump(0.2)
    assert "phase at a period of 6.2832 d" in host.page.inner_html("#view")
    host.page.get_by_label("Half the period").click()
    host.pump(0.2)
    assert "phase at a period of 3.1416 d" in host.page.inner_html("#view")
    stage.shot(host, "samples-bands-fold")
    host.page.get_by_label("Take the period from").select_option("period")
    widget.focus = 7  # of this object no period is known
    host.settle()
    assert "phase at a period" not in host.page.inner_html("#view")


def test_raw_beside_aligned(stage, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path))
    names = ["practice/image", "practice/spectrum", "practice/light_curve", "practice/table"]
    found = af.fetch(af.Targets.from_region((150.0, 2.2), 1800, n=4), names, radius=3, size=20, options={"missing": 0.0}, progress=False)
    made = af.align(found, af.PixelGrid(64, 0.262), af.LogGrid(3800, 9200, 1e-3), progress=False)
    host = stage.show(af.SamplesWidget(made))
    host.settle()
    key(host, "r")
    host.settle()
    for kind in ("image", "spectrum", "light_curve"):
        pair = host.page.locator(f".af-slot[data-kind={kind}]")
        assert pair.count() == 2 and "as sent" in pair.nth(1).inner_text()
    assert host.page.locator(".af-slot[data-kind=table]").count() == 1
    stage.shot(host, "samples-raw")

    def broken(survey, object_id):
        if survey == "practice/image":
            raise ArchiveError(survey, f"{EVIL} cannot be opened")
        return found.get(survey, object_id)

    made.raw = SimpleNamespace(surveys=names, get=broken)
    host = stage.show(af.SamplesWidget(made))
    host.settle()
    key(host, "r")
    host.settle()
    assert f"cannot be read: practice/image: {EVIL}" in host.text() and host.page.evaluate("() => window.hit") is None
    made.raw = None
    key(host, "ArrowRight")
    host.settle()
    assert "What archives sent is not kept with this set" in host.text()
    stage.shot(host, "samples-raw-none")


def test_coverage_and_quality(stage, samples):
    widget = af.SamplesWidget(samples)
    host = stage.show(widget)
    host.settle()
    host.page.get_by_role("tab", name="Coverage").click()
    host.pump(0.3)
    table = samples.coverage()
    bars = host.page.locator(".af-upset-bar")
    assert bars.count() == min(24, len(table)) and f": {table['count'][0]} of 60 samples" in bars.first.get_attribute("aria-label")
    bars.first.click()
    host.settle()
    assert len(widget.selection.ids) == table["count"][0]
    chosen = samples.select(widget.selection.ids)
    assert all(chosen.present(m).all() == bool(table[m][0]) for m in samples.modalities)
    stage.shot(host, "samples-coverage")
    host.page.get_by_role("tab", name="Quality").click()
    host.until(lambda: "Looking for duplicates" in host.text() or "No two objects are the same" in host.text())  # which is soon done
    host.until(lambda: "Signal to noise" in host.text())
    assert "quasar" in host.text() and "brightest pixel by its error" in host.text()
    stage.shot(host, "samples-quality")
    key(host, "?")
    assert "raw beside aligned" in host.text()


def test_a_kind_without_a_drawing_is_shown_plainly(stage, samples, monkeypatch):
    from astrofuse_lab.widgets import samples as module

    class Cube:
        provenance = samples.spec("image").provenance

    def with_cube(some, position):
        payload = sample_payload(some, position)
        from astrofuse_lab.widgets.wire import pack

        return {**payload, "modalities": [*payload["modalities"], {"name": "ifu", "kind": "cube", "present": True, **pack(Cube())}]}

    monkeypatch.setattr(module, "sample_payload", with_cube)
    host = stage.show(af.SamplesWidget(samples))
    host.settle()
    assert "cube (Cube): this view has no drawing for it" in host.text() and "toy-0000" in host.text()


def test_the_compass_follows_the_wcs():
    from astropy.wcs import WCS

    from astrofuse_lab.alignment.grids import PixelGrid

    for angle in (0.0, 30.0, 200.0):
        header = PixelGrid(32, 0.5, angle).wcs(150.0, 20.0)
        x, y = WCS(header).all_world2pix([[150.0, 20.0], [150.0, 20.001], [150.001, 20.0]], 0).T
        got = np.array(compass(header)).reshape(2, 2)
        for k in (0, 1):
            step = np.array([x[k + 1] - x[0], y[k + 1] - y[0]])
            np.testing.assert_allclose(got[k], step / np.hypot(*step), atol=1e-3)
    assert compass({}) is None and compass({"CTYPE1": "GLON-TAN", "CDELT1": 1.0}) is None


@pytest.mark.parametrize("place", [(150.0, 20.0), (0.001, -30.0), (77.0, 89.9995)])
def test_a_pointer_between_the_places_of_the_sky_grid_is_where_the_wcs_has_it(place):
    from astropy.wcs import WCS
    from scipy.interpolate import RegularGridInterpolator

    from astrofuse_lab.alignment.grids import PixelGrid

    header = PixelGrid(64, 0.5, 30.0).wcs(*place)
    grid = sky_grid(header, (64, 48))
    between = RegularGridInterpolator((np.linspace(-0.5, 63.5, len(grid)), np.linspace(-0.5, 47.5, len(grid))), grid)
    x, y = np.random.default_rng(0).uniform(0, 47, (2, 40))
    ra, dec = np.radians(WCS(header).wcs_pix2world(x, y, 0))
    wanted = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], -1)
    got = between(np.stack([y, x], 1))
    got /= np.linalg.norm(got, axis=1, keepdims=True)
    assert np.degrees(np.linalg.norm(got - wanted, axis=1)).max() * 3600 < 1e-4 * 0.5  # a ten-thousandth of a pixel
    assert sky_grid({}, (4, 4)) is None and sky_grid({"CTYPE1": "HPLN-TAN"}, (4, 4)) is None
