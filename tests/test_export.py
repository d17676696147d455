"""The page without a kernel: small, complete, silent on the network, interactive, and safe against hostile text."""

import base64
import gzip
import json
import struct

import numpy as np
import pytest
from astropy.table import Table
from browser import chromium
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.base import STATIC, Selection
from astrofuse_lab.widgets.export import coarse, packed, spread, table_payload
from astrofuse_lab.widgets.stills import values_of
from astrofuse_lab.widgets.wire import array

built = pytest.mark.skipif(not (STATIC / "host.js").exists(), reason="browser: the front end is not built; run: make front-end")
HOSTILE = "</script><img src=x onerror=\"window.hacked=1\">"


def unpack(text):
    content = gzip.decompress(base64.b64decode(text))
    length = struct.unpack("<I", content[:4])[0]
    return json.loads(content[4 : 4 + length]), content[4 + length :]


def test_packed_keeps_values_and_shares_equal_buffers():
    header, rest = unpack(packed({"a": b"\x01\x02", "b": [{"c": b"\x01\x02"}, 3.5, "ü </script>"], "d": b""}))
    assert header == {"a": {"$buffer": [0, 2]}, "b": [{"c": {"$buffer": [0, 2]}}, 3.5, "ü </script>"], "d": {"$buffer": [2, 0]}}
    assert rest == b"\x01\x02"
    with pytest.raises(ValueError, match="JSON"):
        packed({"a": float("nan")})


def test_coarse_rounds_to_a_tenth_of_a_percent_and_leaves_the_rest():
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32) * np.float32(10.0) ** np.arange(-20, 20).repeat(25)
    values[:4] = np.nan, np.inf, -np.inf, 0
    values[4] = np.finfo(np.float32).max
    got = np.frombuffer(coarse({"x": [array(values)]})["x"][0]["data"], dtype="<f4")
    np.testing.assert_allclose(got, values, rtol=1e-3)
    assert np.array_equal(np.isnan(got), np.isnan(values))
    double = array(values, "float64")
    assert coarse(double) == double


def test_spread_takes_each_class_in_turn():
    assert spread(["a", "a", "a", "b", "b", "c"], 4, first=[2]) == [2, 0, 3, 5]
    assert spread(["a", "a"], 9) == [0, 1]
    assert spread([], 3) == []


def test_tables_leave_unknown_cells_empty():
    table = Table({"model": ["fused", "image"], "value": np.ma.MaskedArray([0.5, 1.0], [False, True]), "low": [np.nan, 0.25], "n": [1234, 5]})
    assert table_payload(table, "x")["rows"] == [["fused", "0.500", "", "1,234"], ["image", "", "0.250", "5"]]


@pytest.fixture(scope="module")
def bench():
    import pyarrow as pa

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.samples.specification import Card

    run = af.train("joint_attention", make_toy_samples(90), target="label", epochs=2, progress=False)
    toy = make_toy_samples(80, seed=3)
    # a set whose texts attack the page
    columns = toy._columns.set_column(toy._columns.column_names.index("host"), "host", pa.array([HOSTILE] * 80))
    card = Card("toy", f"Toy {HOSTILE}", simulated=True, citation=f"Nobody {HOSTILE}", licence="CC0")
    samples = SampleSet(columns, toy._data, {k: v for k, v in toy.roles.items() if k != "object_id"}, toy.units, card)
    rows = [("fused", 0.91, 0.89, 0.93), ("image", 0.8, 0.77, 0.83), ("chance", 0.33, 0.33, 0.33)]
    comparison = Table(rows=rows, names=("model", "value", "low", "high"))
    comparison["metric"] = "balanced_accuracy"
    comparison.meta["verdict"] = f"fused is better {HOSTILE}"
    bench = af.workbench(run, samples, comparison=comparison, umap=False)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def page_path(bench, tmp_path_factory):
    return bench.save(tmp_path_factory.mktemp("page") / "explorer.html", stored=12)


@built
def test_page_is_small_and_names_no_address(page_path):
    text = page_path.read_text()
    assert page_path.stat().st_size < 1_000_000
    assert "http://" not in text.replace("http://www.w3.org/", "") and "https://" not in text
    assert HOSTILE not in text


@built
def test_empty_workbench_says_that_there_is_nothing_to_save(tmp_path):
    empty = af.workbench()
    with pytest.raises(InputError, match="no samples yet"):
        empty.save(tmp_path / "page.html")
    empty.close()
    assert not (tmp_path / "page.html").exists()


def lasso(page, left, top, right, bottom):
    """Drag around a part of the map, in shares of its canvas."""
    box = page.locator(".view.embedding canvas").first.bounding_box()
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


@built
@pytest.mark.browser
def test_page_works_without_kernel_and_network(page_path, bench):
    with chromium(1600, 1000) as browser:
        page = browser.page()
        page.goto(page_path.as_uri())
        page.wait_for_selector("body[data-ready]")
        embedding, attribution, attention = (page.locator(f".view.{name}") for name in ("embedding", "attribution", "attention"))
        attribution.get_by_text("Worth of each modality").wait_for()
        browser.shot(page, "export-light", full=True)
        lasso(page, 0.01, 0.01, 0.99, 0.99)
        embedding.get_by_role("heading", name="80 selected").wait_for()
        lasso(page, 0.01, 0.01, 0.5, 0.99)
        embedding.locator("text=/^[1-7]?[0-9] selected$/").wait_for()
        # a sample that is stored: all views follow
        stored = spread([str(v) for v in bench.samples.column("label")], 12)[1]
        object_id = str(bench.samples.object_ids[stored])
        attribution.get_by_placeholder("go to id").fill(object_id)
        attribution.get_by_placeholder("go to id").press("Enter")
        embedding.locator(f"text={object_id}").first.wait_for()
        attention.locator(f"text={object_id}").first.wait_for()
        attribution.get_by_text("exact Shapley values").wait_for()
        # only what is stored is offered: there is one map, PCA, and one explanation a sample
        assert page.get_by_role("button", name="UMAP").count() == 0 and page.get_by_role("button", name="PCA").count() == 0
        assert attribution.get_by_role("combobox", name="Method").count() == 0 and attribution.get_by_role("combobox", name="Class to explain").count() == 0
        attribution.get_by_text("by integrated gradients").wait_for()
        # one that is not: it says so
        missing = str(bench.samples.object_ids[next(i for i in range(79, 0, -1) if i not in spread([str(v) for v in bench.samples.column("label")], 12))])
        attribution.get_by_placeholder("go to id").fill(missing)
        attribution.get_by_placeholder("go to id").press("Enter")
        attribution.get_by_text("was not stored").first.wait_for()
        browser.shot(page, "export-lasso")
        text = page.inner_text("body")
        assert "practice sky" in text and "0.910" in text and HOSTILE in text and "12 of 80 samples are stored" in text
        assert page.evaluate("() => window.hacked") is None
        assert browser.requests == [page_path.as_uri()]
        assert browser.errors == [] and browser.foreign == []


@built
def test_a_page_of_100_000_points_stays_below_5_mb_and_says_what_it_leaves_out(tmp_path):
    rng = np.random.default_rng(0)
    n = 100_000
    label = rng.integers(0, 6, n)
    planes = {space: rng.normal(label[:, None], 0.7, (n, 2)) for space in ("fused", "image", "spectrum")}
    columns = {"label": np.array(list("abcdef"))[label], "mjd": rng.uniform(59000, 60000, n), "flux": rng.lognormal(2, 2, n), "count": rng.integers(0, 900, n), **{f"x{k}": rng.normal(size=n) for k in range(12)}}
    widget = af.EmbeddingWidget.from_arrays(planes, columns, ids=[f"id-{i:06d}" for i in range(n)])
    page = widget.save(tmp_path / "map.html")
    assert 2_000_000 < page.stat().st_size < 5_000_000
    text = page.read_text()
    header, rest = unpack(text.split('id="astrofuse-page">')[1].split("<")[0])
    state = header["views"][0]["state"]
    assert any("Left out to keep the page small" in note and "x11" in note for note in header["notes"])
    assert "data:image/png;base64," in text and "Map of 100000 samples in the space fused" in text
    kept = {c["name"]: c for c in state["columns"]}
    assert {"object_id", "label", "mjd", "flux", "count"} <= set(kept) and state["maps"]["given"][0]["space"] == "fused"

    def column(name):
        stored = kept[name]["values"]
        at, size = stored["data"]["$buffer"]
        return values_of({**stored, "data": rest[at : at + size]}).ravel()

    assert np.array_equal(column("count"), columns["count"])
    assert np.abs(column("mjd") - columns["mjd"]).max() < 0.01
    np.testing.assert_allclose(column("flux"), columns["flux"], rtol=1e-3)
    plane = state["maps"]["given"][0]["xy"]
    at, size = plane["data"]["$buffer"]
    assert np.abs(values_of({**plane, "data": rest[at : at + size]}) - planes["fused"]).max() < 1e-3
    widget.close()


@built
@pytest.mark.browser
def test_views_of_different_samples_are_linked_by_id_in_a_page(tmp_path):
    samples = make_toy_samples(30)
    selection = Selection()
    whole, part = af.SamplesWidget(samples, selection), af.SamplesWidget(samples.take([7, 3, 5]), selection)
    alone = af.SamplesWidget(samples.take([1, 2]))
    page_path = whole.save(tmp_path / "linked.html", beside=[part, alone], stored=4, title="Two lists")
    with chromium(1280, 900) as browser:
        page = browser.page()
        page.goto(page_path.as_uri())
        page.wait_for_selector("body[data-ready]")
        views = page.locator(".view.samples")
        views.nth(1).get_by_role("button", name="Select shown").click()
        views.nth(0).get_by_text("30 of 30 shown, 3 selected").wait_for()
        views.nth(2).get_by_text("2 of 2 shown, 0 selected").wait_for()
        views.nth(0).get_by_role("button", name="Clear selection").click()
        views.nth(1).get_by_text("3 of 3 shown, 0 selected").wait_for()
        assert page.title() == "Two lists" and browser.requests == [page_path.as_uri()] and browser.errors == []
    for widget in (whole, part, alone):
        widget.close()
