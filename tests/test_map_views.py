"""The map in Chromium: a million points, a context that is lost, two maps, ranges, search, thumbnails, the keyboard, faults, and nothing left behind."""

import threading

import numpy as np
import pytest
from browser import chromium
from conftest import make_toy_samples
from test_views import Stage

import astrofuse_lab as af
from astrofuse_lab.widgets.base import STATIC

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (STATIC / "embedding.js").is_file(), reason="browser: the views are not built; run make front-end"),
]
MAP = "canvas.af-map"
SHARED = 'globalThis[Symbol.for("astrofuse-lab.points.1")]'


@pytest.fixture
def dark():
    with chromium(width=1440, height=1000, dark=True) as browser:
        made = Stage(browser, True, 1440)
        yield made
        made.end()


@pytest.fixture
def light():
    with chromium(width=1280, height=900) as browser:
        made = Stage(browser, False, 1280)
        yield made
        made.end()


def clouds(n, seed=0, missing=0):
    """Six groups of points, their names, and a number that runs across them."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 6, n)
    centres = np.array([[0, 0], [6, 1], [3, 5], [-4, 4], [-5, -3], [4, -5]], dtype=float)
    xy = (centres[group] + rng.normal(size=(n, 2))).astype(np.float32)
    if missing:
        xy[::missing] = np.nan
    return xy, {"kind": np.array(["AGN", "galaxy", "nova", "quasar", "star", "SN Ia"])[group], "x": xy[:, 0].astype(float)}


def drawn(host, mode=""):
    """Wait until the map shows points, as it says itself."""
    host.until(lambda: mode in (host.page.evaluate(f"() => document.querySelector('{MAP}')?.dataset.drawn || '-'")), 120)


def ink(host, which=0):
    """How much of a map's canvas is not empty."""
    return host.page.evaluate(
        f"""(k) => {{ const c = document.querySelectorAll('{MAP}')[k]; const o = new OffscreenCanvas(c.width, c.height); const p = o.getContext("2d"); p.drawImage(c, 0, 0);
        const d = p.getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 20; return n / (c.width * c.height); }}""", which)  # fmt: skip


def lasso(host, corners, which=0):
    """Drag around corners given in shares of the canvas, on whole pixels; gives these pixels."""
    box = host.page.locator(MAP).nth(which).bounding_box()
    places = [(round(box["x"] + x * box["width"]), round(box["y"] + y * box["height"])) for x, y in corners]
    host.page.mouse.move(*places[0])
    host.page.mouse.down()
    for place in places[1:]:
        host.page.mouse.move(*place)
    host.page.mouse.up()
    return np.array(places) - [box["x"], box["y"]], (box["width"], box["height"])


def fitted(xy, pixels, size):
    """Pixels of a map that shows everything, in its own coordinates: the whole box, 5 % free at each side."""
    low, high = np.nanmin(xy, 0), np.nanmax(xy, 0)
    scale = 0.9 * min(size[0] / (high[0] - low[0]), size[1] / (high[1] - low[1]))
    return (pixels - np.array(size) / 2) / scale * [1, -1] + (low + high) / 2


def within(polygon, xy):
    """The crossing rule, literally (Shimrat 1962, doi:10.1145/368637.368653)."""
    hit = np.zeros(len(xy), dtype=bool)
    for (xi, yi), (xj, yj) in zip(polygon, np.roll(polygon, 1, axis=0), strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            crosses = ((yi > xy[:, 1]) != (yj > xy[:, 1])) & (xy[:, 0] < (xj - xi) * (xy[:, 1] - yi) / (yj - yi) + xi)
        hit ^= crosses
    return hit


def test_a_million_points_are_loaded_zoomed_searched_and_selected_exactly(light):
    n = 1_000_000
    xy, columns = clouds(n, missing=50)
    widget = af.EmbeddingWidget.from_arrays(xy, columns, title="a million")
    host = light.show(widget)
    drawn(host, "webgl density")
    light.shot(host, "map-million")
    pixels, size = lasso(host, [(0.2, 0.1), (0.7, 0.3), (0.5, 0.9), (0.45, 0.5), (0.15, 0.8)])
    host.until(lambda: len(widget.selection.chosen))
    wanted = within(fitted(xy, pixels, size), xy.astype(float))
    differ = np.flatnonzero(wanted != widget.selection.chosen.mask)
    # the canvas knows its size to a fraction of a pixel: what differs lies on the line
    assert wanted.sum() > 10_000 and len(differ) <= 20 and f"{len(widget.selection.chosen)} selected" in host.text()
    assert len(widget.selected) == n // 8 and widget.selection.chosen._made is None
    light.shot(host, "map-million-selected")
    host.page.get_by_label("Search samples; Enter selects them").fill("kind=nova x=2..3")
    host.page.keyboard.press("Enter")
    named = (columns["kind"] == "nova") & (columns["x"] >= 2) & (columns["x"] <= 3)
    host.until(lambda: np.array_equal(widget.selection.chosen.mask, named), 90)
    host.page.get_by_label("Search samples; Enter selects them").fill("765432")
    host.page.keyboard.press("Enter")
    host.until(lambda: widget.selection.ids == ("765432",) and widget.selection.focus == "765432")
    # far in, points are points again, and no more than those in view are selected
    host.page.locator(MAP).focus()
    for _ in range(14):
        host.page.keyboard.press("+")
    drawn(host, "webgl points")
    host.page.keyboard.press("v")
    host.until(lambda: len(widget.selection.chosen) > 1)
    chosen = xy[widget.selection.chosen.mask]
    span = np.array(size) / (0.9 * min(np.array(size) / (np.nanmax(xy, 0) - np.nanmin(xy, 0)))) / 1.3**14
    inside = (np.abs(xy - chosen.mean(0)) < 0.4 * span).all(1)
    assert (np.ptp(chosen, axis=0) <= span * 1.001).all() and len(chosen) < n / 50 and (widget.selection.chosen.mask[inside]).all()
    light.shot(host, "map-million-close")


def test_one_context_serves_all_maps_and_may_be_lost(light):
    xy, columns = clouds(3000)
    widget = af.EmbeddingWidget.from_arrays({"fused": xy, "image": xy[:, ::-1].copy()}, columns)
    host = light.show(widget)
    drawn(host, "webgl points")
    host.page.get_by_role("button", name="compare").click()
    host.until(lambda: host.page.locator(MAP).count() == 2)
    # a second view of another bundle, as a notebook has it
    host.page.evaluate(
        """async (source) => { const box = document.createElement("div"); box.id = "second"; document.body.append(box);
        const again = await import(URL.createObjectURL(new Blob([source + "\\n// another"], { type: "text/javascript" }))); window.stopSecond = again.default.render({ model: window.model, el: box }); }""",
        widget._esm,
    )  # fmt: skip
    host.until(lambda: host.page.evaluate(f"() => {SHARED}.layers.size") == 4)
    host.pump(0.5)
    before = [ink(host, k) for k in range(2)]
    assert min(before) > 0.005
    host.page.evaluate(f"() => {{ window.lose = {SHARED}.gl.getExtension('WEBGL_lose_context'); window.lose.loseContext(); }}")
    drawn(host, "2d points")
    host.pump(0.3)
    without = [ink(host, k) for k in range(2)]
    assert np.allclose(without, before, rtol=0.35), "the picture without WebGL is much the same"
    light.shot(host, "map-without-webgl")
    host.page.evaluate("() => window.lose.restoreContext()")
    drawn(host, "webgl points")
    host.pump(0.3)
    assert np.allclose([ink(host, k) for k in range(2)], before, rtol=0.02)
    host.page.evaluate("() => window.stopSecond()")
    assert host.page.evaluate(f"() => {SHARED}.layers.size") == 2


def test_where_there_is_no_webgl_at_all(light):
    xy, columns = clouds(30_000)
    light.browser.context.add_init_script("OffscreenCanvas.prototype.getContext = new Proxy(OffscreenCanvas.prototype.getContext, { apply: (call, self, [kind, ...rest]) => kind === 'webgl2' ? null : call.apply(self, [kind, ...rest]) });")
    widget = af.EmbeddingWidget.from_arrays(xy, columns)
    host = light.show(widget)
    drawn(host, "2d points")
    light.shot(host, "map-no-webgl")
    assert ink(host) > 0.02, host.page.evaluate(f"() => [document.querySelector('{MAP}').width, document.querySelector('{MAP}').clientWidth]")
    widget.density = "density"
    drawn(host, "2d density")
    assert ink(host) > 0.02
    lasso(host, [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)])
    host.until(lambda: len(widget.selection.chosen) == 30_000)


@pytest.mark.full
def test_opened_and_closed_fifty_times_nothing_is_left(light):
    xy, columns = clouds(20_000)
    widget = af.EmbeddingWidget.from_arrays({"fused": xy, "image": xy[:, ::-1].copy()}, columns, beside="given/image")
    host = light.show(widget)
    drawn(host, "webgl")
    tools = host.page.context.new_cdp_session(host.page)
    tools.send("Performance.enable")

    def state():
        tools.send("HeapProfiler.collectGarbage")
        got = {m["name"]: m["value"] for m in tools.send("Performance.getMetrics")["metrics"]}
        return np.array([got["JSHeapUsedSize"] / 1e6, got["JSEventListeners"], got["Nodes"]])

    def again(times):
        host.page.evaluate(
            """async (times) => { window.module ??= await import(URL.createObjectURL(new Blob([window.source], { type: "text/javascript" })));
            for (let k = 0; k < times; k++) { window.stopView?.(); document.getElementById("view").replaceChildren(); window.stopView = window.module.default.render({ model: window.model, el: document.getElementById("view") });
              await new Promise((done) => setTimeout(done, 30)); await new Promise(requestAnimationFrame); } window.stopView(); window.stopView = null; document.getElementById("view").replaceChildren(); }""", times)  # fmt: skip

    host.page.evaluate("(source) => { window.source = source; }", widget._esm)
    again(3)
    assert host.page.evaluate(f"() => {SHARED} === undefined"), "the context is given back with the last map"
    before = state()
    again(50)
    heap, listeners, nodes = state() - before
    assert heap < 6 and listeners < 40 and nodes < 300, "megabytes, listeners, nodes"
    assert host.page.evaluate(f"() => {SHARED} === undefined")
    threads = threading.active_count()
    for _ in range(50):
        other = af.EmbeddingWidget.from_arrays(xy[:100])
        other.set_state({"selected": b"\x01"})
        other.answer("part/0/0") if "parts" in other.maps["given"][0]["xy"] else other.wait()
        other.close()
    assert threading.active_count() == threads


def test_two_maps_ranges_thumbnails_and_the_keyboard(dark, tmp_path):
    samples = make_toy_samples()
    run = af.train("late_fusion", samples, "label", epochs=2, progress=False, out=tmp_path / "run", keep_epochs=True)
    widget = af.EmbeddingWidget(run, samples, umap=False)
    host = dark.show(widget)
    host.until(lambda: "pca" in widget.maps and not widget.busy)
    drawn(host, "webgl points")
    page = host.page
    # the keyboard: into the map, to a neighbour, select it, all in view, clear
    page.locator(MAP).focus()
    page.keyboard.press("ArrowRight")
    host.until(lambda: widget.selection.focus)
    first = widget.selection.focus
    for name in ("ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"):
        page.keyboard.press(name)
        host.settle()
    assert widget.selection.focus in samples.object_ids and page.locator(".af-focused h3").inner_text() == widget.selection.focus and first
    page.keyboard.press("Space")
    host.until(lambda: widget.selection.ids == (widget.selection.focus,))
    assert f"In focus: {widget.selection.focus}" in page.locator(".af-summary ~ [role=status]").inner_text()
    page.keyboard.press("v")
    host.until(lambda: len(widget.selection.ids) == 60)
    host.until(lambda: page.evaluate("() => document.querySelectorAll('.af-card[data-ready]').length") == 12)
    # two maps: a lasso on the second is the selection of both
    page.keyboard.press("c")
    host.until(lambda: page.locator(MAP).count() == 2 and widget.beside)
    host.settle()
    lasso(host, [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)], which=1)
    there = int(samples.present("image").sum())
    host.until(lambda: len(widget.selection.ids) == there)
    host.until(lambda: page.evaluate("() => document.querySelectorAll('.af-card[data-ready]').length") == 12)
    box = page.locator(MAP).first.bounding_box()
    for k in range(400):
        page.mouse.move(box["x"] + 8 + (k * 13) % (box["width"] - 16), box["y"] + 8 + (k * 29) % (box["height"] - 16))
        if page.locator(".af-tip").first.is_visible():
            break
    host.until(lambda: page.locator(".af-tip figure").count() > 0)
    dark.shot(host, "map-two")
    page.mouse.move(2, 2)
    page.get_by_role("button", name="Close the second map").click()
    host.until(lambda: page.locator(MAP).count() == 1)
    # a range of numbers hides the others, and what is hidden is not lassoed
    page.get_by_label("Colour by").select_option("redshift")
    page.get_by_label("redshift: from").focus()
    for _ in range(12):
        page.keyboard.press("PageUp")
    lasso(host, [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)])
    host.settle()
    kept = np.ma.filled(samples.select(widget.selection.ids).column("redshift").astype(float), np.nan)
    every = np.ma.filled(samples.column("redshift").astype(float), np.nan)
    assert 0 < len(kept) < 60 and np.nanmin(kept) > np.nanquantile(every, 0.1) and np.sum(every >= np.nanmin(kept)) == len(kept)
    # the training, epoch by epoch
    page.get_by_role("button", name="Show training").click()
    host.until(lambda: widget.epochs and not widget.busy)
    host.until(lambda: page.get_by_text("epoch 0", exact=True).is_visible())
    page.get_by_label("Epoch of training", exact=True).focus()
    page.keyboard.press("End")
    host.until(lambda: widget.epoch == -1)
    host.until(lambda: page.get_by_text("the trained model", exact=True).is_visible())
    page.keyboard.press("ArrowLeft")
    host.until(lambda: widget.epoch == len(widget.epochs) // 6 - 1)
    dark.shot(host, "map-training")


def test_few_samples_nan_one_class_and_hostile_names(light):
    hostile = "<img src=x onerror=document.title='hit'>"
    cases = {
        "none": (np.zeros((0, 2)), {}, None), "one": (np.array([[1.0, 2.0]]), {"kind": ["a"]}, ["only"]), "two": (np.array([[1.0, 2.0], [1.0, 2.0]]), {"kind": ["a", "a"]}, None),
        "nan": (np.full((50, 2), np.nan), {"z": np.full(50, np.nan)}, None), "hostile": (np.random.default_rng(0).normal(size=(9, 2)), {hostile: [hostile] * 9}, [f"{hostile}{i}" for i in range(9)]),
    }  # fmt: skip
    for name, (xy, columns, ids) in cases.items():
        widget = af.EmbeddingWidget.from_arrays({hostile: xy} if name == "hostile" else xy, columns, ids)
        host = light.show(widget)
        host.pump(0.5)
        words = {"none": "No samples", "nan": "No sample has", "one": "only"}.get(name, "Draw around points")
        if name not in ("none", "nan"):
            drawn(host, "points")
            host.page.locator(MAP).focus()
            host.page.keyboard.press("ArrowRight")
            host.page.keyboard.press("v")
            host.until(lambda w=widget: len(w.selection.chosen) == len(w._ids))
            host.settle()
            assert f"{len(xy)} selected" in host.text()
            host.page.keyboard.press("Escape")
            host.settle()
        assert words in host.text(), name
        light.shot(host, f"map-{name}")
        assert host.page.title() == "host", "what a name says is never run"


def test_a_kernel_that_is_gone_is_told_and_the_map_stays(light, monkeypatch):
    samples = make_toy_samples(30)
    xy = np.random.default_rng(0).normal(size=(30, 2))
    widget = af.EmbeddingWidget.from_arrays(xy, samples=samples)
    host = light.show(widget)
    drawn(host, "points")
    monkeypatch.setattr(widget, "_received", lambda *_: None)
    widget._msg_callbacks.callbacks.clear()  # nobody answers any more
    lasso(host, [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)])
    host.page.get_by_text("Python does not answer").wait_for(timeout=30000)
    host.page.get_by_text("30 selected").wait_for()
    assert ink(host) > 0.001
    light.shot(host, "map-silent")
    host.page.evaluate("() => { window.model.send = () => { throw new Error('Comm is closed'); }; }")
    host.page.keyboard.press("Escape")
    lasso(host, [(0.01, 0.01), (0.6, 0.01), (0.6, 0.99), (0.01, 0.99)])
    host.pump(0.5)
    assert ink(host) > 0.001
