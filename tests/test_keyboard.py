"""The whole path by keyboard only, in a real JupyterLab: no pointer is used, every stop is seen and named, and JupyterLab takes no key of ours."""

import re
import time
from importlib import resources

import pytest
from browser import Lab, chromium, notebook, open_lab, outputs

from astrofuse_lab.widgets.base import STATIC

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not (STATIC / "host.js").exists(), reason="browser: the views are not built; run make front-end")]
PATIENCE = 240
ACTIVE = """() => {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  if (!at || at === document.body) return { name: "", tag: "BODY", ours: false, seen: true, ringed: true };
  const text = at.getAttribute("aria-label") || at.closest("label")?.textContent || at.textContent || at.title || at.placeholder || "";
  const box = at.getBoundingClientRect();
  const style = getComputedStyle(at);
  let ours = false;
  for (let up = at; up; up = up.parentNode || up.host) if (up.classList?.contains("af") || up.hasAttribute?.("data-keys")) ours = true;
  return { name: text.replace(/\\s+/g, " ").trim(), tag: at.tagName, type: at.type || "", checked: at.checked ?? null, ours,
    seen: box.width > 0 && box.height > 0 && style.visibility !== "hidden", ringed: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== "none" };
}"""


class Keyboard:
    """Somebody without a pointer: goes by Tab, presses keys, and hears the name of what has the focus."""

    def __init__(self, page):
        self.page = page
        self.stops = []

    def active(self):
        return self.page.evaluate(ACTIVE)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def to(self, name, most=90, back=False, tag=None):
        """Tab until what has the focus is called so; each stop of ours on the way is seen, named and marked."""
        heard = []
        for _ in range(most):
            self.press("Shift+Tab" if back else "Tab")
            one = self.active()
            heard.append(one["name"][:60])
            if one["ours"]:
                self.stops.append(one)
            if re.search(name, one["name"]) and (tag is None or one["tag"] == tag):
                return one
        raise AssertionError(f"no stop is called {name!r} among {heard}")

    def along(self, name, key="ArrowDown", most=40):
        """Go by arrows within one stop until what has the focus is called so."""
        for _ in range(most):
            one = self.active()
            if re.search(name, one["name"]):
                return one
            self.press(key)
        raise AssertionError(f"{key} does not lead to {name!r}; the last is {self.active()['name']!r}")

    def fill(self, text):
        self.press("Control+a")
        self.page.keyboard.type(text)
        self.press("Tab")

    def hear(self, text, timeout=PATIENCE):
        """Wait until something of that text can be read."""
        self.page.get_by_text(text).filter(visible=True).first.wait_for(timeout=timeout * 1000)

    def meet(self, name, where):
        """Wait until a view has what opens the words and the table of a plot."""
        self.page.get_by_role("region", name=where).locator("summary", has_text=name).filter(visible=True).first.wait_for(timeout=PATIENCE * 1000)


def value(page, expression):
    """What the notebook's kernel says of an expression, asked beside the front end's back."""
    return page.evaluate(
        """async (code) => { const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        const future = kernel.requestExecute({ code: `print(${code})`, store_history: false }); let out = "";
        future.onIOPub = (m) => { if (m.header.msg_type === "stream") out += m.content.text; if (m.header.msg_type === "error") out += m.content.evalue; };
        await future.done; return out.trim(); }""",
        expression,
    )


def axe_finds(page):
    """Serious findings of axe-core in the output of the first cell."""
    axe = pytest.importorskip("axe_playwright_python", reason="browser: the package axe-playwright-python is not installed")
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate((resources.files(axe) / "axe.min.js").read_text())
    found = page.evaluate("() => axe.run(document.querySelector('.jp-OutputArea-output'), { resultTypes: ['violations'] }).then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html.slice(0, 200) + ' | ' + n.failureSummary.slice(0, 300))]))")
    return [one for one in found if one[0] in ("serious", "critical")]


def eventually(true, what, timeout=PATIENCE):
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.3)


CELLS = ["import astrofuse_lab as af\nbench = af.workbench(umap=False)\nbench", "answer = 42", "answer + 1"]


def test_from_the_sky_to_an_explanation_without_a_pointer(tmp_path):
    with Lab(tmp_path) as lab, chromium(1440, 1000) as browser:
        notebook(lab.root / "keys.ipynb", CELLS)
        page = browser.page()
        open_lab(page, lab, "keys.ipynb", timeout=PATIENCE)
        keys = Keyboard(page)
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:enter-command-mode')")
        keys.press("Control+Enter")
        keys.hear("Fetch up to")
        # Sky: fewer targets and surveys, fetch and align
        keys.to("^At most", tag="INPUT")
        keys.fill("36")
        assert keys.to("practice/image", tag="INPUT")["type"] == "checkbox"
        for name in ("practice/image", "practice/light_curve", "practice/text"):  # spectra and tables are left
            if keys.along(name)["checked"]:
                keys.press(" ")
        eventually(lambda: value(page, "bench.widgets['fetch'].surveys") == "['practice/spectrum', 'practice/table']", "unticked")
        keys.to("Fetch up to 36 targets", tag="BUTTON")
        keys.press("Enter")
        eventually(lambda: value(page, "bench.widgets['fetch'].complete") == "True", "fetched")
        keys.press("a")
        eventually(lambda: value(page, "bench.samples is not None") == "True", "aligned")
        browser.shot(page, "keyboard-sky")
        assert axe_finds(page) == []
        # Samples: page, select, read a drawing, open its twin
        keys.press(">")
        keys.hear("of 36 shown")
        keys.to("^AstroFuse: Samples", tag="SECTION")
        keys.press("ArrowRight", " ")
        eventually(lambda: value(page, "len(bench.selection.ids)") == "1", "one selected")
        keys.meet("in words and as a table: spectrum", "AstroFuse: Samples")
        keys.to("in words and as a table: spectrum", tag="SUMMARY")
        keys.press("Enter")
        keys.hear("median signal to noise")
        keys.to("^Table of spectrum, scrolls")
        browser.shot(page, "keyboard-samples")
        assert axe_finds(page) == []
        # Fuse: one epoch, train
        keys.press(">")  # digits label here
        keys.hear("Nothing trained yet")
        keys.to("^Epochs at most", tag="INPUT")
        keys.fill("1")
        keys.to("^Train$", tag="BUTTON")
        keys.press(" ")
        eventually(lambda: value(page, "bench.run is not None") == "True", "trained")
        assert axe_finds(page) == []
        # Inspect: from neighbour to neighbour on the map, select; the explanation follows
        keys.press("4")
        keys.hear("trustworthiness")
        keys.to("^Map of samples", tag="CANVAS")
        keys.press("ArrowRight")
        before = value(page, "bench.selection.focus")
        keys.press("ArrowLeft")
        eventually(lambda: value(page, "bench.selection.focus") != before, "another sample")
        keys.press("Escape", " ")
        eventually(lambda: value(page, "bench.selection.ids == (bench.selection.focus,)") == "True", "the sample in focus is the selection")
        keys.to("in words and as a table: the map", tag="SUMMARY")
        keys.press("Enter")
        keys.hear("who is next to whom does")
        keys.to("^AstroFuse: Attribution", tag="SECTION")
        keys.hear("Worth of each modality")
        seen = value(page, "str(bench.samples.object_ids[bench.samples.present('spectrum')][0])")  # not every sample has one
        keys.to("^Go to an id", tag="INPUT")
        keys.fill(seen)
        eventually(lambda: value(page, "bench.selection.focus") == seen, "the sample asked for")
        keys.meet("in words and as a table: spectrum", "AstroFuse: Attribution")  # it is explained
        keys.to("in words and as a table: spectrum", tag="SUMMARY")
        keys.press("Enter")
        keys.hear("is highest at")
        browser.shot(page, "keyboard-inspect")
        assert axe_finds(page) == []
        assert not any(o["output_type"] == "error" for cell in outputs(page) for o in cell)
        # no key of ours was taken for JupyterLab's command mode: the cells are those that were
        assert page.evaluate("() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(c => c.sharedModel.getSource())") == CELLS
        assert [s for s in keys.stops if not s["name"]] == [], "a stop without a name"
        assert [s for s in keys.stops if not s["seen"]] == [], "a stop that is not seen"
        assert {s["name"][:60] for s in keys.stops if not s["ringed"]} == set(), "a stop without a mark of the focus"
        assert browser.errors == [] and browser.foreign == []
