"""Widgets inside Panel, without ipywidgets' manager: nothing is asked of a CDN, and ``panel serve`` works like a notebook.

A `Channel` takes the place of a widget's comm. What the widget says goes to every `Hosted` component that shows it, in
ipywidgets' own messages; ``static/host.js`` is the other end.
"""

import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import panel as pn
import param
from bokeh.models import UIElement
from ipywidgets.widgets.widget import _remove_buffers

from astrofuse_lab.widgets.base import STATIC, Base, view_source

UNSENT = ("layout", "tabbable", "tooltip", "comm")
_sending = threading.RLock()
"""Workers of several widgets speak at once, and Panel sends one change of a page as several messages: nothing may come between them. Taken after a widget's own lock, never before."""


def fill(column: pn.Column, parts: Sequence[Any]) -> None:
    """Put parts in place of what a column shows, whatever widgets say meanwhile. Not to be called under the lock of a widget that the parts belong to."""
    with _sending:
        column.objects = list(parts)


def turn(tabs: pn.Tabs, page: int) -> None:
    """Show one page of several."""
    with _sending:
        tabs.active = page


def state_names(widget: Base) -> list[str]:
    """The traits of a widget that a view reads."""
    return [name for name in widget.keys if not name.startswith("_") and name not in UNSENT]


class Channel:
    """A comm as ipywidgets wants one, between a widget and the components that show it."""

    def __init__(self) -> None:
        self.comm_id = uuid.uuid4().hex
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self._callback: Callable[[dict[str, Any]], None] = lambda _message: None

    def on_msg(self, callback: Callable[[dict[str, Any]], None]) -> None:
        """What to call with messages from the view."""
        self._callback = callback

    def on_close(self, callback: Callable[[dict[str, Any]], None]) -> None:
        """Never called: components come and go, the widget stays."""

    def send(self, data: Mapping[str, Any], metadata: Any = None, buffers: Sequence[Any] | None = None) -> None:
        """Pass on what the widget says."""
        method, bytes_ = data.get("method"), [bytes(b) for b in buffers or ()]
        if method == "update":
            message = {"method": "update", "state": dict(data["state"]), "paths": [list(p) for p in data["buffer_paths"]], "buffers": bytes_}
        elif method == "custom":
            message = {"method": "custom", "content": data["content"], "buffers": bytes_}
        else:
            return  # echoes: the view already has what it sent
        for listener in list(self.listeners):
            listener(message)

    def receive(self, data: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Give the widget a message from a view."""
        self._callback({"content": {"data": data}, "buffers": [memoryview(bytes(b)) for b in buffers]})

    def close(self, *_: Any, **__: Any) -> None:
        """Nobody listens any more."""
        self.listeners.clear()


class Inline:
    """A part of Panel that brings its style sheets with it, where Panel is to ask nothing of a CDN.

    Panel puts them in after a part was added, and leaves that out while another thread changes any other part.
    """

    def _get_model(self, doc: Any, root: Any = None, parent: Any = None, comm: Any = None) -> Any:
        from panel.io.notebook import patch_inline_stylesheets

        model = super()._get_model(doc, root, parent, comm)  # type: ignore[misc]
        if comm is not None and pn.config.inline:
            for part in model.select({"type": UIElement}):
                patch_inline_stylesheets(part)
        return model


class Row(Inline, pn.FlexBox):
    """Parts side by side, as many as there is room for."""


class Stack(Inline, pn.Column):
    """Parts below each other."""


class Hosted(Inline, pn.custom.JSComponent):
    """One widget as a Panel component.

    Parameters
    ----------
    widget : Base
        Made with ``comm=Channel()``.
    """

    _esm = STATIC / "host.js"

    def __init__(self, widget: Base, **params: Any) -> None:
        view_source("host")  # a clear error where the front end is not built
        self._widget = widget
        super().__init__(**{"sizing_mode": "stretch_width", **params})
        widget.comm.listeners.append(self._say)

    def _say(self, message: dict[str, Any]) -> None:
        with _sending:
            self._send_msg(message)

    def _handle_msg(self, message: Mapping[str, Any]) -> None:
        """A view greets, changes traits, or sends a message."""
        method = message.get("method")
        if method == "hello":
            self._greet()
        elif method == "update":
            self._widget.comm.receive({"method": "update", "state": dict(message["state"]), "buffer_paths": message["paths"]}, message["buffers"])
        elif method == "custom":
            self._widget.comm.receive({"method": "custom", "content": message["content"]})

    def _greet(self) -> None:
        with self._widget._lock:
            state, paths, buffers = _remove_buffers(self._widget.get_state(state_names(self._widget)))
        self._say({"method": "update", "source": self._widget._esm, "state": state, "paths": [list(p) for p in paths], "buffers": [bytes(b) for b in buffers]})


class Drawn(NamedTuple):
    """A HoloViews plot as Bokeh's JSON, and how wide it is in screen pixels; the same for everybody who looks at it."""

    item: str
    wide: int


def drawn(element: Any) -> Drawn:
    """Draw a HoloViews element or layout."""
    from bokeh.embed import json_item
    from bokeh.models import Plot
    from holoviews import renderer

    from astrofuse_lab.widgets.plotting import fit

    made = renderer("bokeh").get_plot(element).state
    wide = width_of(made)
    for figure in made.select({"type": Plot}):
        fit(figure)
    return Drawn(json.dumps(json_item(made)), wide)


class Figure(Inline, pn.custom.JSComponent):
    """A HoloViews plot in a Bokeh document of its own, which Python does not follow.

    As part of Panel's document its models would be sent again whenever something beside them changes; the page answers
    with values that Bokeh's Python side refuses (a line's colour comes back as ``Value``), and the views beside it stop.

    Parameters
    ----------
    plot : Drawn
    """

    _esm = STATIC / "figure.js"
    item = param.String()

    def __init__(self, plot: Drawn, **params: Any) -> None:
        # a plot that gives way has no width of its own, and a box that wraps would give it none
        styles = {"flex": f"0 1 {plot.wide}px", "min-width": "0", "min-height": "fit-content", **params.pop("styles", {})}
        super().__init__(item=plot.item, styles=styles, **{"sizing_mode": "stretch_width", "max_width": plot.wide, **params})


def width_of(drawn: Any) -> int:
    """Screen pixels across of a Bokeh figure, or of figures in a grid or column, when nothing is in the way."""
    if hasattr(drawn, "width") and not hasattr(drawn, "children"):
        return int(drawn.width or 0)
    rows: dict[int, int] = {}
    for place, child in enumerate(drawn.children):
        one, row = child[:2] if isinstance(child, tuple) else (child, place)
        rows[row] = rows.get(row, 0) + width_of(one)
    return max(rows.values(), default=0)


class Notice(Inline, pn.custom.JSComponent):
    """Words in place of a view: what a step waits for, with a button that leads there; without a title, a line.

    Parameters
    ----------
    then : callable, optional
        What the button does.
    """

    _esm = STATIC / "notice.js"
    title = param.String()
    text = param.String()
    action = param.String()

    def __init__(self, text: str, title: str = "", action: str = "", then: Callable[[], object] | None = None, **params: Any) -> None:
        self._then = then
        super().__init__(text=text, title=title, action=action, **{"sizing_mode": "stretch_width", **params})

    def _handle_msg(self, _message: Any) -> None:
        """The button was pressed."""
        if self._then is not None:
            self._then()
