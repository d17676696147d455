"""What holds for every view: no serious finding of axe-core, a message in place of whatever is missing, a kernel that is gone, and nothing left behind when it closes."""

import gc
import os
import threading
import weakref
from importlib import resources

import numpy as np
import pyarrow as pa
import pytest
from browser import chromium
from conftest import make_toy_samples
from every_widget import EVERY, OF_RUN, OF_SAMPLES, SAVED, made
from explain_cases import samples, trained
from ipywidgets.widgets.widget import _instances

from astrofuse_lab.widgets.base import STATIC, Selection
from astrofuse_lab.widgets.export import stored_answers, view_state
from astrofuse_lab.widgets.packing import packed

PROVE = bool(os.environ.get("ASTROFUSE_PROVE"))
HOSTILE = "</script><img src=x onerror=\"window.hacked=1\"><b>bold</b>"
built = pytest.mark.skipif(not (STATIC / "label.js").is_file(), reason="browser: the views are not built; run make front-end")

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>every view</title><link rel="icon" href="data:,"><style>:root { color-scheme: light dark }</style></head>
<body><main><h1>Every view</h1><div id="views"></div></main></body></html>"""
SHOW = """async ([host, text, only]) => {
  const { Model, mount, unpacked } = (window.host ??= await import(URL.createObjectURL(new Blob([host], { type: "text/javascript" }))));
  window.states ??= {};
  if (text) window.states = Object.fromEntries((await unpacked(text)).views.map((v) => [v.name, v]));
  window.open_ = [];
  for (const name of only || Object.keys(window.states)) {
    const { source, state } = window.states[name];
    const [model, el] = [new Model(state), document.createElement("div")];
    el.className = `view ${name}`;
    document.getElementById("views").append(el);
    window.open_.push({ name, model, el, end: await mount(source, model, el) });
  }
}"""
HIDE = """() => { for (const one of window.open_) { one.end(); one.el.remove(); } window.open_ = []; }"""
READY = "(name) => !document.querySelector(`.view.${name} .af-wait`) && (document.querySelector(`.view.${name} .af-main`)?.innerText || '').trim().length > 12"


def states_of(widgets, live=True, stored=2):
    """What a page needs to show these widgets as in a notebook, without one."""
    ids = [str(i) for i in widgets[0]._ids[:stored]] if len(widgets) else []
    answers, _ = stored_answers(widgets, ids)
    views = [{"name": w.view, "source": w._esm, "state": {**view_state(w, a), "live": live}} for w, a in zip(widgets, answers, strict=True)]
    return packed({"views": views})


class Views:
    """All views in one page of Chromium, without Python behind them."""

    def __init__(self, browser):
        self.browser, self.page, self.host = browser, browser.page(), (STATIC / "host.js").read_text()
        self.page.route("http://localhost/every.html", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        self.page.goto("http://localhost/every.html")
        self.session = self.page.context.new_cdp_session(self.page)

    def show(self, text=None, only=None):
        self.page.evaluate(SHOW, [self.host, text, only])

    def ready(self, name):
        self.page.wait_for_function(READY, arg=name)

    def hide(self):
        self.page.evaluate(HIDE)

    def counts(self):
        """DOM nodes and listeners that are alive after everything that may go has gone."""
        self.page.wait_for_timeout(150)
        for _ in range(3):
            self.session.send("HeapProfiler.collectGarbage")
        told = {m["name"]: m["value"] for m in self.session.send("Performance.getMetrics")["metrics"]}
        return {name: int(told[name]) for name in ("Nodes", "JSEventListeners", "Documents")}


@pytest.fixture(scope="module")
def widgets():
    """One of each, with nothing left to do."""
    selection = Selection()
    out = [made(name, trained("joint_attention"), samples(), selection) for name in (*OF_SAMPLES, *(n for n in EVERY if n not in OF_SAMPLES))]
    yield out
    for widget in out:
        widget.close()


@pytest.fixture(scope="module")
def views(widgets):
    with chromium(1280, 1000) as browser:
        opened = Views(browser)
        opened.session.send("Performance.enable")
        opened.show(states_of(widgets))
        for widget in widgets:
            if widget.view != "header":
                opened.ready(widget.view)
        yield opened
        assert browser.errors == [] and browser.foreign == []


# ---- in a browser ----------------------------------------------------------------------------------------------------


@built
@pytest.mark.browser
def test_axe_finds_nothing_serious_in_light_and_dark(views):
    axe = pytest.importorskip("axe_playwright_python", reason="browser: the package axe-playwright-python is not installed")
    views.page.evaluate((resources.files(axe) / "axe.min.js").read_text())
    for name in ("Show the line of Python", "Show the keys"):
        for button in views.page.get_by_role("button", name=name).all():
            button.click()
    views.page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")  # twins of plots, citations, calibrations
    for scheme in ("light", "dark"):
        views.page.emulate_media(color_scheme=scheme)
        views.page.wait_for_function("(dark) => [...document.querySelectorAll('.af')].every((e) => (e.dataset.theme === 'dark') === dark)", arg=scheme == "dark")
        rules = [] if scheme == "light" else ["color-contrast"]  # nothing else differs
        found = views.page.evaluate("(only) => axe.run(document, { resultTypes: ['violations'], ...(only.length ? { runOnly: only } : {}) }).then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html.slice(0, 160) + ' | ' + n.failureSummary)]))", rules)
        serious = [one for one in found if one[0] in ("serious", "critical")]
        assert serious == [], f"{scheme}: {serious}"
    views.page.emulate_media(color_scheme="light")


TWINS = """() => [...document.querySelectorAll(".view")].map((view) => {
  const shown = (e) => e.getClientRects().length > 0;
  const plots = [...view.querySelectorAll("svg.af-plot, svg.af-graph, canvas")].filter((e) => shown(e) && !e.closest("[aria-hidden]"));
  const twins = [...view.querySelectorAll("details.af-twin")].filter(shown);
  return { view: view.className.split(" ")[1], plots: plots.map((e) => e.getAttribute("aria-label") || ""), names: twins.map((e) => e.querySelector("summary").textContent),
    says: twins.map((e) => e.querySelector("p")?.textContent || ""), rows: twins.map((e) => e.querySelectorAll("tbody tr").length), heads: twins.map((e) => [...e.querySelectorAll("thead th")].map((c) => c.textContent)) };
})"""
NAMED = {"button", "checkbox", "combobox", "textbox", "searchbox", "slider", "spinbutton", "tab", "link", "img", "image", "application", "figure", "region", "group", "radio", "tablist", "Canvas", "DisclosureTriangle"}


@built
@pytest.mark.browser
def test_every_plot_has_a_name_a_sentence_and_a_table_and_every_control_a_name_that_is_spoken(views):
    views.page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
    views.page.wait_for_function("() => [...document.querySelectorAll('details.af-twin')].every((one) => one.querySelector('tbody'))")
    of = {one["view"]: one for one in views.page.evaluate(TWINS)}
    for name, one in of.items():
        assert all(len(label) > 20 for label in one["plots"]), (name, one["plots"])
        assert len(one["names"]) >= len(one["plots"]) - (name == "fetch"), (name, one["plots"], one["names"])  # a sky without targets has nothing to table
        assert len(set(one["names"])) == len(one["names"]) and all(one["rows"]) and all(len(h) > 1 and all(h) for h in one["heads"]), (name, one["names"], one["rows"], one["heads"])
        assert not [s for s in one["says"] if len(s) < 30 or "NaN" in s or "undefined" in s or "null" in s], (name, one["says"])
    assert sum(len(one["names"]) for one in of.values()) >= 14
    # the sentence of a spectrum says what the arrays say
    spectrum = samples()[0]["spectrum"]
    said = next(s for s in of["samples"]["says"] if s.startswith("Spectrum"))
    good = np.where(spectrum.mask, spectrum.flux, np.nan)
    assert f"Spectrum of {len(good)} pixels from 4000 Å" in said and f"highest {np.nanmax(good):.3g} at {spectrum.wavelength[np.nanargmax(good)]:.6g} Å" in said
    rows = views.page.locator(".view.samples details.af-twin").filter(has_text="Spectrum of").locator("tbody tr")
    assert rows.count() == len(good) and rows.nth(5).inner_text().split("\t")[2] == f"{good[5]:.4g}".replace("-", "−")
    # what the browser hands to a screen reader
    tree = views.session.send("Accessibility.getFullAXTree")["nodes"]
    nameless = [n["role"]["value"] for n in tree if not n.get("ignored") and n.get("role", {}).get("value") in NAMED - {"group", "Canvas"} and not n.get("name", {}).get("value", "").strip()]
    assert nameless == [] and sum(n.get("role", {}).get("value") == "button" for n in tree) > 60


@built
@pytest.mark.browser
def test_nothing_moves_where_the_system_asks_for_less_and_its_own_colours_are_kept(views):
    moving = "() => { const one = document.querySelector('.view.samples .af-main'); const probe = document.createElement('div'); probe.className = 'af-wait'; one.append(probe); const name = getComputedStyle(probe).animationName; probe.remove(); return name; }"
    assert views.page.evaluate(moving) == "af-shine"
    views.page.emulate_media(reduced_motion="reduce", forced_colors="active")
    assert views.page.evaluate(moving) == "none"
    assert views.page.evaluate("() => document.getAnimations().filter((one) => one.playState === 'running').length") == 0
    pressed = views.page.locator(".view.embedding .af-chip[aria-pressed=true]").first
    assert pressed.evaluate("(e) => getComputedStyle(e).outlineStyle") == "solid"
    views.page.emulate_media(reduced_motion="no-preference", forced_colors="none")


@built
@pytest.mark.browser
def test_a_kernel_that_is_gone_leaves_a_view_that_can_be_read(views):
    views.page.evaluate("() => { document.getElementById('views').className = 'jupyter-widgets-disconnected'; for (const one of window.open_) one.model.fire('comm_live_update'); }")
    framed = len(EVERY)
    views.page.wait_for_function(f"() => [...document.querySelectorAll('.af-gone')].filter((e) => !e.hidden).length === {framed}")
    views.browser.shot(views.page, "every-view-gone")
    train = views.page.locator(".view.train")
    train.get_by_role("button", name="Train", exact=True, disabled=True).wait_for()
    assert "no kernel" in train.inner_text() and "Confusion" in views.page.locator(".view.evaluation").inner_text()
    views.page.evaluate("() => { document.getElementById('views').className = ''; for (const one of window.open_) one.model.fire('comm_live_update'); }")
    views.page.wait_for_function("() => [...document.querySelectorAll('.af-gone')].every((e) => e.hidden)")


@built
@pytest.mark.browser
def test_nothing_stays_in_the_page_after_opening_and_closing(views):
    views.hide()
    names = list(SAVED)
    for _ in range(2):  # what is made once and kept, such as the renderer that maps share
        views.show(only=names)
        views.hide()
    before = views.counts()
    for _ in range(50 if PROVE else 6):
        views.show(only=names)
        views.page.wait_for_timeout(30)
        views.hide()
    after = views.counts()
    assert after["Documents"] == before["Documents"]
    assert after["JSEventListeners"] <= before["JSEventListeners"] + 2, (before, after)
    assert after["Nodes"] <= before["Nodes"] + 20, (before, after)
    assert views.page.evaluate("() => document.querySelectorAll('#views *').length") == 0


def faulty(kind):
    """Samples as they should not be."""
    if kind in ("none", "one", "two"):
        return samples().take(range(("none", "one", "two").index(kind)))
    if kind == "one class":
        return samples().take(np.flatnonzero(samples().column("label") == "star"))
    made_ = make_toy_samples(6)
    if kind == "hostile":
        names = made_._columns.column_names
        for name in ("object_id", "host"):
            made_._columns = made_._columns.set_column(names.index(name), name, pa.array([f"{i}{HOSTILE}" for i in range(6)]))
        return make_again(made_)
    for name in ("image", "spectrum"):  # nothing but holes
        arrays = made_.data_of(name).fields
        arrays["flux"][:] = np.nan
        arrays["mask"][:] = False
    return made_


def make_again(given):
    from astrofuse_lab.samples.sample_set import SampleSet

    return SampleSet(given._columns, given._data, {k: v for k, v in given.roles.items() if k != "object_id"}, given.units, given.card)


@built
@pytest.mark.browser
@pytest.mark.parametrize("kind", ["none", "one", "two", "one class", "hostile", "holes"])
def test_what_is_missing_or_hostile_is_told_in_place(views, kind):
    run, data, selection = trained("joint_attention"), faulty(kind), Selection()
    shown = [made(name, run, data, selection) for name in (*OF_SAMPLES, "train")]
    assert [(w.view, w.error) for w in shown if w.error] == []
    views.show(states_of(shown, live=True))
    for widget in shown:
        views.ready(widget.view)
    text = views.page.inner_text("#views")
    assert views.page.evaluate("() => window.hacked") is None and "NaN" not in text and "undefined" not in text
    if kind == "none":
        assert text.count("No samples") + text.count("no samples") >= len(OF_SAMPLES)
    if kind == "hostile":
        assert HOSTILE in text and views.page.locator("#views img, #views b:text('bold')").count() == 0
    views.browser.shot(views.page, f"every-view-{kind.replace(' ', '-')}", full=True)
    views.hide()
    for widget in shown:
        widget.close()


# ---- without one -----------------------------------------------------------------------------------------------------


@built
def test_nothing_of_a_closed_widget_stays_in_python():
    run, data, selection = trained("joint_attention"), samples(), Selection()
    for name in SAVED:
        made(name, run, data, selection).close()
    gc.collect()
    threads, registered = threading.active_count(), len(_instances)
    ghosts = []
    for _ in range(50 if PROVE else 3):
        for name in SAVED:
            widget = made(name, run, data, selection)
            ghosts.append((name, weakref.ref(widget)))
            widget.close()
            del widget
    gc.collect()
    # other tests' threads may end meanwhile
    assert threading.active_count() <= threads and len(_instances) <= registered
    # what a selection watches of itself aside
    assert sum(len(calls) for kinds in selection._trait_notifiers.values() for calls in kinds.values()) == sum(len(calls) for kinds in Selection()._trait_notifiers.values() for calls in kinds.values())
    assert sorted({name for name, ghost in ghosts if ghost() is not None}) == []


@built
@pytest.mark.parametrize("name", [n for n in OF_RUN if n != "label"])
def test_selected_samples_and_select_on_every_widget(widgets, name):
    widget = next(w for w in widgets if w.view == name)
    widget.select(["toy-0003", "toy-0001"])
    assert widget.selection.ids == ("toy-0003", "toy-0001") and sorted(widget.selected_samples.object_ids) == ["toy-0001", "toy-0003"]
    mask = np.arange(len(samples())) < 4
    widget.select(mask)
    assert len(widget.selected_samples) == 4 and all(w.selection.ids == widget.selection.ids for w in widgets)
    with pytest.raises(KeyError, match="Did you mean"):
        widget.select(["toy-001"])
    widget.select([])
    assert len(widget.selected_samples) == 0
