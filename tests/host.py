"""A bare host for anywidget views: one page in Chromium, one widget in this process, nothing between them but this file.

It carries trait changes and messages both ways as a notebook front end does, without a kernel, so that a view can be driven and looked at quickly::

    with chromium() as browser:
        host = Host(browser, widget)
        host.page.get_by_role("button", name="Train").click()
        host.until(lambda: widget.state == "finished")
"""

import base64
import json
import queue
import time
from collections.abc import Callable
from typing import Any

from browser import DRAWN
from ipywidgets.widgets.widget import _put_buffers, _remove_buffers

ADDRESS = "http://localhost/host.html"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>host</title><link rel="icon" href="data:,">
<style>body { margin: 0; padding: 12px; background: BACKGROUND } #view { max-width: 100% }</style></head><body THEME><div id="view"></div></body></html>"""
JUPYTER = {False: 'data-jp-theme-light="true"', True: 'data-jp-theme-light="false"'}

MODEL = """async ([source, state]) => {
  const listeners = {};
  const changed = new Set();
  const bytes = (text) => { const raw = atob(text); return new DataView(Uint8Array.from(raw, (c) => c.charCodeAt(0)).buffer); };
  const text = (view) => { const u = new Uint8Array(view.buffer ? view.buffer : view, view.byteOffset || 0, view.byteLength); let s = ""; for (const b of u) s += String.fromCharCode(b); return btoa(s); };
  const open = (v) => v && typeof v === "object" ? ("$bytes" in v ? bytes(v.$bytes) : Array.isArray(v) ? v.map(open) : Object.fromEntries(Object.entries(v).map(([k, w]) => [k, open(w)]))) : v;
  const pack = (v) => v instanceof ArrayBuffer || ArrayBuffer.isView(v) ? { $bytes: text(v) } : v && typeof v === "object" ? (Array.isArray(v) ? v.map(pack) : Object.fromEntries(Object.entries(v).map(([k, w]) => [k, pack(w)]))) : v;
  const values = open(state);
  const fire = (name, ...args) => [...(listeners[name] || [])].forEach((call) => call(...args));
  window.model = {
    get: (name) => values[name],
    set: (name, value) => { values[name] = value; changed.add(name); fire("change:" + name); fire("change"); },
    save_changes: () => { const out = Object.fromEntries([...changed].map((n) => [n, pack(values[n])])); changed.clear(); window.toPython(JSON.stringify({ state: out })); },
    on: (name, call) => { for (const one of name.split(" ")) (listeners[one] ||= []).push(call); },
    off: (name, call) => { listeners[name] = (listeners[name] || []).filter((c) => c !== call); },
    send: (content) => window.toPython(JSON.stringify({ message: content })),
  };
  window.fireModel = fire;
  window.fromPython = ({ state, message }) => {
    if (message) { const { content, buffers } = open(message); fire("msg:custom", content, buffers); }
    for (const [name, value] of Object.entries(open(state || {}))) { values[name] = value; fire("change:" + name); }
    if (state) fire("change");
  };
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  await module.default.initialize?.({ model: window.model });
  window.stopView = await module.default.render({ model: window.model, el: document.getElementById("view") });
}"""


def packed(value: Any) -> Any:
    """Bytes anywhere in a value become base64, so that it can be JSON."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {k: packed(v) for k, v in value.items()}
    return [packed(v) for v in value] if isinstance(value, list | tuple) else value


def opened(value: Any) -> Any:
    """The inverse of `packed`, with memory views, as ipywidgets hands them over."""
    if isinstance(value, dict):
        return memoryview(base64.b64decode(value["$bytes"])) if "$bytes" in value else {k: opened(v) for k, v in value.items()}
    return [opened(v) for v in value] if isinstance(value, list) else value


class Host:
    """Shows one widget in a new page.

    Parameters
    ----------
    browser : browser.Browser
    widget : Base
    dark : bool
    """

    def __init__(self, browser: Any, widget: Any, dark: bool = False) -> None:
        self.widget = widget
        self.outbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.page = browser.page()
        html = PAGE.replace("THEME", JUPYTER[dark]).replace("BACKGROUND", "#111" if dark else "#fff")
        self.page.route(ADDRESS, lambda route: route.fulfill(body=html, content_type="text/html"))
        self.page.goto(ADDRESS)
        self.page.expose_function("toPython", self._from_page)
        self.names = [n for n in widget.keys if not n.startswith("_") and n not in ("layout", "tabbable", "tooltip", "comm")]
        widget.observe(self._changed, self.names)
        widget.send = self._sent
        state = {n: packed(getattr(widget, n)) for n in self.names}
        self.page.evaluate(MODEL, [widget._esm, state])

    def _changed(self, change: Any) -> None:
        self.outbox.put({"state": {change["name"]: packed(change["new"])}})

    def _sent(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.outbox.put({"message": packed({"content": content, "buffers": list(buffers or [])})})

    def _from_page(self, text: str) -> None:
        got = json.loads(text)
        if "message" in got:
            self.widget._handle_custom_msg(got["message"], [])
        else:
            # as ipywidgets does: buffers out of the state and back in, which leaves memory views
            state, paths, buffers = _remove_buffers(opened(got["state"]))
            _put_buffers(state, paths, buffers)
            self.widget.set_state(state)

    def pump(self, seconds: float = 0.05) -> None:
        """Carry what waits, let the page breathe, and wait until it has drawn: on a busy machine that takes longer than `seconds`."""
        while not self.outbox.empty():
            self.page.evaluate("(event) => window.fromPython(event)", self.outbox.get())
        self.page.wait_for_timeout(seconds * 1000)
        self.page.evaluate(DRAWN)

    def until(self, true: Callable[[], Any], timeout: float = 60.0) -> Any:
        """Pump until `true()`; an AssertionError when that takes longer than `timeout` seconds."""
        end = time.monotonic() + timeout
        while not (value := true()):
            assert time.monotonic() < end, f"not within {timeout} s; status {self.widget.status!r}, error {self.widget.error!r}"
            self.pump()
        self.pump()
        return value

    def settle(self) -> None:
        """Wait until Python has done all that was asked, and the page shows it."""
        calm, end = 0, time.monotonic() + 60
        while calm < 3 and time.monotonic() < end:
            self.pump(0.1)
            self.widget.wait(60)
            calm = calm + 1 if self.outbox.empty() else 0
        self.pump(0.3)

    def text(self) -> str:
        """All that can be read in the view."""
        return str(self.page.inner_text("#view"))

    def close(self) -> None:
        """Take the view down as a notebook does, and close the page."""
        self.page.evaluate("() => window.stopView?.()")
        self.page.close()
