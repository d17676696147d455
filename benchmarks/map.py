"""The map in a browser: frames a second, loading, selecting, thumbnails, and nothing left behind.

In Chromium with WebGL in software (SwiftShader), which is slower than any graphics card; beside regl-scatterplot (the engine of jupyter-scatter, MIT)
(fetched by npm), drawing the same points in a page of its own. Goals: 200,000 points pan and zoom at 20 frames/s or more; a million load in less than
5 s; from the end of a lasso to the thumbnails less than 300 ms at 100,000 points; a selection of a million in Python in less than 150 ms.

    python benchmarks/map.py [--quick] [--json]
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from reporting import ROOT, Line, report

sys.path.insert(0, str(ROOT / "tests"))
import astrofuse_lab as af

MAP = "canvas.af-map"
WIDTH, HEIGHT = 1100, 520
# each frame the map is moved or zoomed as by a person's hand, by the events that a hand makes
FRAMES = """async ([how, seconds]) => {
  const map = document.querySelector("canvas.af-map"); map.focus();
  const box = map.getBoundingClientRect(); const painted = Number(map.dataset.frames); const start = performance.now(); let k = 0;
  while (performance.now() - start < 1000 * seconds) {
    if (how === "pan") map.dispatchEvent(new KeyboardEvent("keydown", { key: k % 16 < 8 ? "ArrowRight" : "ArrowLeft", shiftKey: true, bubbles: true, cancelable: true }));
    else map.dispatchEvent(new WheelEvent("wheel", { deltaY: k % 40 < 20 ? -60 : 60, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true, cancelable: true }));
    k++; await new Promise(requestAnimationFrame);
  }
  return (Number(map.dataset.frames) - painted) / ((performance.now() - start) / 1000);
}"""
PEER = """async ([source, packed, seconds, width, height]) => {
  const { default: create } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const raw = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0)); const xyz = new Float32Array(raw.buffer); const n = xyz.length / 3;
  const canvas = document.createElement("canvas"); canvas.style.cssText = `width:${width}px;height:${height}px`; document.body.append(canvas);
  const plot = create({ canvas, width, height, colorBy: "valueA", pointColor: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"], pointSize: 2, opacity: 0.6 });
  const begin = performance.now();
  await plot.draw({ x: xyz.subarray(0, n), y: xyz.subarray(n, 2 * n), valueA: xyz.subarray(2 * n) });
  await new Promise(requestAnimationFrame);
  const load = (performance.now() - begin) / 1000;
  const box = canvas.getBoundingClientRect(); let drawn = 0; plot.subscribe("draw", () => drawn++);
  const start = performance.now(); let k = 0;
  while (performance.now() - start < 1000 * seconds) {
    canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: k % 40 < 20 ? -60 : 60, clientX: box.x + width / 2, clientY: box.y + height / 2, bubbles: true, cancelable: true }));
    k++; await new Promise(requestAnimationFrame);
  }
  const rate = drawn / ((performance.now() - start) / 1000); plot.destroy(); return [rate, load];
}"""


def clouds(n: int) -> tuple[Any, dict[str, Any]]:
    """Points of twenty groups in six classes, a tenth of them noise, as maps of the sky's objects look."""
    rng = np.random.default_rng(7)
    group = rng.integers(0, 20, n)
    xy = (rng.normal(size=(20, 2)) * 5)[group] + rng.normal(size=(n, 2)) * rng.gamma(2, 0.3, 20)[group][:, None]
    xy[: n // 10] = rng.normal(size=(n // 10, 2)) * 6
    return xy.astype(np.float32), {"kind": np.array(["AGN", "galaxy", "nova", "quasar", "star", "SN Ia"])[group % 6], "magnitude": rng.normal(20, 1, n).astype(np.float32)}


def wait_drawn(host: Any) -> None:
    """Until the map shows points."""
    host.until(lambda: host.page.evaluate(f"() => Number(document.querySelector('{MAP}')?.dataset.frames || 0) > 0"), 180)


@contextmanager
def on_page(widget: Any) -> Any:
    """A widget in a page of its own."""
    from browser import chromium
    from host import Host

    with chromium(1440, 900) as browser:
        host = Host(browser, widget)
        wait_drawn(host)
        host.pump(0.5)
        yield host
        assert browser.errors == [] and not widget.error, (browser.errors, widget.error)
        host.close()
    widget.close()


def frames(n: int, seconds: float) -> dict[str, Any]:
    """Frames a second of panning and zooming, and seconds from the constructor to the first picture."""
    xy, columns = clouds(n)
    begin = time.perf_counter()
    widget = af.EmbeddingWidget.from_arrays(xy, columns)
    made = time.perf_counter() - begin
    with on_page(widget) as host:
        rates = {how: host.page.evaluate(FRAMES, [how, seconds]) for how in ("pan", "zoom")}
        widget.density = "points"
        host.pump(0.3)
        rates["zoom, every point drawn"] = host.page.evaluate(FRAMES, ["zoom", seconds])
    return {"points": n, "constructor_seconds": made, "frames_per_second": rates}


def load(n: int) -> float:
    """Seconds from the constructor to the picture, the browser open and the page empty; the host's base64 counted in, which a notebook does without."""
    from browser import chromium
    from host import Host

    xy, columns = clouds(n)
    with chromium(1440, 900) as browser:
        begin = time.perf_counter()
        host = Host(browser, af.EmbeddingWidget.from_arrays(xy, columns))
        wait_drawn(host)
        took = time.perf_counter() - begin
        host.widget.close()
    return took


def gesture(n: int, repeats: int) -> float:
    """Seconds from a million bits off the wire to `Selection` and a second widget linked to it."""
    xy, _ = clouds(n)
    one = af.EmbeddingWidget.from_arrays(xy)
    other = af.EmbeddingWidget.from_arrays(xy, selection=one.selection)
    rng = np.random.default_rng(1)
    took = []
    for _ in range(repeats):
        mask = rng.random(n) < 0.5
        bits = memoryview(np.packbits(mask, bitorder="little").tobytes())
        begin = time.perf_counter()
        one.set_state({"selected": bits})
        one.wait()
        took.append(time.perf_counter() - begin)
        assert len(one.selection.chosen) == mask.sum() and bytes(other.selected) == bytes(bits)
    one.close()
    other.close()
    return statistics.median(took)


def thumbnails(n: int, repeats: int) -> dict[str, float]:
    """Seconds from the end of a lasso over `n` points to twelve thumbnails on the page; and how long Python takes for one."""
    from conftest import make_toy_samples

    samples = make_toy_samples(n)
    xy, columns = clouds(n)
    widget = af.EmbeddingWidget.from_arrays(xy, columns, samples=samples)
    took = []
    with on_page(widget) as host:
        box = host.page.locator(MAP).bounding_box()
        for k in range(repeats):
            x, y = box["x"] + 200 + 40 * k, box["y"] + 150
            host.page.mouse.move(x, y)
            host.page.mouse.down()
            for dx, dy in ((350, 0), (350, 200), (0, 200)):
                host.page.mouse.move(x + dx, y + dy)
            host.pump(0.1)
            host.page.evaluate("() => { document.querySelectorAll('.af-card').forEach((c) => c.remove()); window.done = 0; const look = () => { const c = document.querySelectorAll('.af-card'); if (c.length === 12 && [...c].every((x) => x.dataset.ready)) window.done = performance.now(); else requestAnimationFrame(look); }; document.querySelector('canvas.af-map').addEventListener('pointerup', () => { window.began = performance.now(); look(); }, { once: true }); }")
            host.page.mouse.up()
            end = time.monotonic() + 60
            while not host.page.evaluate("() => window.done") and time.monotonic() < end:
                host.pump(0.002)  # a notebook's line has no rests
            took.append(host.page.evaluate("() => (window.done - window.began) / 1000"))
        begin = time.perf_counter()
        for i in range(20):
            widget.answer(f"thumb/{i}")
        one = (time.perf_counter() - begin) / 20
    return {"lasso_to_thumbnails_seconds": statistics.median(took), "one_thumbnail_in_python_seconds": one}


def left_behind(times: int) -> dict[str, float]:
    """What `times` openings and closings leave: megabytes of JavaScript, listeners, nodes, contexts, threads of Python."""
    xy, columns = clouds(50_000)
    widget = af.EmbeddingWidget.from_arrays(xy, columns)
    with on_page(widget) as host:
        tools = host.page.context.new_cdp_session(host.page)
        tools.send("Performance.enable")

        def state() -> Any:
            tools.send("HeapProfiler.collectGarbage")
            got = {m["name"]: m["value"] for m in tools.send("Performance.getMetrics")["metrics"]}
            return np.array([got["JSHeapUsedSize"] / 1e6, got["JSEventListeners"], got["Nodes"]])

        again = """async ([source, times]) => { window.module ??= await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" }))); const at = document.getElementById("view");
          for (let k = 0; k < times; k++) { window.stopView?.(); at.replaceChildren(); window.stopView = window.module.default.render({ model: window.model, el: at });
          await new Promise((done) => setTimeout(done, 40)); await new Promise(requestAnimationFrame); } window.stopView(); window.stopView = null; at.replaceChildren(); }"""
        host.page.evaluate(again, [widget._esm, 3])
        before = state()
        host.page.evaluate(again, [widget._esm, times])
        heap, listeners, nodes = (state() - before).tolist()
        contexts = host.page.evaluate("() => globalThis[Symbol.for('astrofuse-lab.points.1')] ? 1 : 0")
    threads = threading.active_count()
    for _ in range(times):
        other = af.EmbeddingWidget.from_arrays(xy[:1000])
        other.set_state({"selected": b"\x01"})
        other.wait()
        other.close()
    return {"openings": times, "heap_mb": heap, "listeners": listeners, "nodes": nodes, "contexts": contexts, "python_threads": threading.active_count() - threads}


def peer(n: int, seconds: float) -> dict[str, Any]:
    """regl-scatterplot on the same points: frames a second of zooming."""
    import base64

    from browser import chromium

    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("no npm on the PATH: regl-scatterplot, the peer, cannot be fetched")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([npm, "install", "--prefix", folder, "regl-scatterplot@1.16.0", "esbuild"], capture_output=True, text=True, check=False, timeout=300)
        entry = Path(folder) / "node_modules/regl-scatterplot/dist/regl-scatterplot.esm.js"
        if done.returncode or not entry.is_file():
            raise RuntimeError(f"npm could not fetch regl-scatterplot, the peer: {done.stderr.strip()[-200:]}")
        subprocess.run([str(Path(folder) / "node_modules/.bin/esbuild"), str(entry), "--bundle", "--format=esm", f"--outfile={folder}/peer.js", "--log-level=error"], check=True)
        source = (Path(folder) / "peer.js").read_text()
    xy, columns = clouds(n)
    place = xy / np.abs(xy).max()
    packed = np.concatenate([place[:, 0], place[:, 1], np.unique(columns["kind"], return_inverse=True)[1].astype(np.float32)]).astype("<f4")
    with chromium(1440, 900) as browser:
        page = browser.page()
        page.goto("data:text/html,<body></body>")
        rate, load_seconds = page.evaluate(PEER, [source, base64.b64encode(packed.tobytes()).decode(), seconds, WIDTH, HEIGHT])
    return {"points": n, "frames_per_second": {"zoom": rate}, "load_seconds": load_seconds}


def within(work: str, seconds: float, limit: float) -> Line:
    """What a person waits for beside what the issue allows: there is no peer that does the same."""
    return Line(work, f"the goal, {limit:g} s", True, 0.0, 0.0, seconds, limit, 1.0)


def lines(quick: bool) -> Iterator[Line]:
    """Frames beside regl-scatterplot's and beside the goal; loading, selecting, thumbnails; what is left behind."""
    seconds, repeats = (2.0, 2) if quick else (5.0, 7)
    for n in (200_000, 1_000_000):
        ours, theirs = frames(n, seconds)["frames_per_second"], peer(n, seconds)["frames_per_second"]["zoom"]
        for how in ("pan", "zoom"):
            if n == 200_000:
                yield within(f"{n:,} points: a frame of a {how} ({ours[how]:.3g} a second)", 1 / ours[how], 1 / 20)
        for how in ("zoom", "zoom, every point drawn"):
            yield Line(f"{n:,} points: a frame of a {how} ({ours[how]:.3g} a second)", "regl-scatterplot 1.16.0, in a page of its own", True, 0.0, 0.0, 1 / ours[how], 1 / theirs)
    yield within("a million points: from the constructor to the picture", min(load(1_000_000) for _ in range(1 if quick else 3)), 5.0)
    shown = thumbnails(100_000, repeats)
    yield within("100,000 points: from the end of a lasso to twelve thumbnails", shown["lasso_to_thumbnails_seconds"], 0.3)
    yield within("a million points: half of them selected, known in Python and by a linked widget", gesture(1_000_000, repeats), 0.15)
    times = 10 if quick else 50
    kept = left_behind(times)
    good = kept["contexts"] == 0 and kept["python_threads"] <= 0 and kept["listeners"] < 40 and kept["nodes"] < 300
    said = f"{times} openings leave {kept['heap_mb']:.1f} MB, {kept['listeners']:.0f} listeners, {kept['nodes']:.0f} nodes, {kept['contexts']} contexts, {kept['python_threads']} threads"
    yield Line(said, "nothing left (6 MB of a heap that is not yet swept allowed)", good and kept["heap_mb"] < 6, max(kept["heap_mb"], 0.0), 6.0, 1.0, 1.0)


if __name__ == "__main__":
    sys.exit(report("map", __doc__, lines))
