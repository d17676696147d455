"""A result that waits for its prediction: what stands in its place until the answer is stored, then the result itself."""

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

if TYPE_CHECKING:
    from astrofuse_lab.lessons.session import Session


class Gate(ipywidgets.VBox):  # type: ignore[misc]
    """Shows a result once the prediction is stored.

    Parameters
    ----------
    session : Session
    name : str
        The question's.
    result : object or callable
        A widget, a table, or what makes one; a callable runs only once the prediction is stored.
    outcome : str, float or callable, optional
        What came out, for the progress file; a callable is given the result.
    """

    def __init__(self, session: "Session", name: str, result: Any, outcome: Any = None) -> None:
        session.question(name)
        self._session, self._name, self._result, self._outcome = session, name, result, outcome
        self._shown: Any = None
        super().__init__(layout=ipywidgets.Layout(width="100%"))
        session.watch(self._look)
        self._look()

    @property
    def shown(self) -> Any:
        """The result; None until it is shown."""
        return self._shown

    def _look(self) -> None:
        if self._shown is not None:
            return
        if self._session.is_open or self._session.answered(self._name):
            self._session.unwatch(self._look)
            self._show()
        else:
            words = f"The result is shown here once you have predicted it: answer “{escape(self._session.question(self._name).text)}” above."
            self.children = [
                ipywidgets.HTML(f'<p role="status" style="padding:8px 12px;border:1px dashed currentColor;border-radius:4px;opacity:.8">{words}</p>')
            ]

    def _show(self) -> None:
        made = self._result() if callable(self._result) and not isinstance(self._result, ipywidgets.Widget) else self._result
        self._shown = "" if made is None else made
        self.children = [made if isinstance(made, ipywidgets.Widget) else _displayed(made)]
        outcome = self._outcome(made) if isinstance(self._outcome, Callable) else self._outcome  # type: ignore[arg-type]
        self._session.saw(self._name, outcome)

    def close(self) -> None:
        """Wait no more."""
        self._session.unwatch(self._look)
        super().close()

    def __repr__(self) -> str:
        return repr(self._shown) if self._shown is not None else f"Waits for the prediction {self._name!r}: lesson.answer({self._name!r}, ...) stores it."


def _displayed(thing: Any) -> ipywidgets.Widget:
    """Anything that a notebook can show, as a widget."""
    try:
        from IPython.core.formatters import DisplayFormatter
    except ImportError:  # no notebook: words do
        return ipywidgets.HTML(f"<pre>{escape(repr(thing))}</pre>")
    formats, meta = DisplayFormatter().format(thing)
    out = ipywidgets.Output()
    out.outputs = ({"output_type": "display_data", "data": formats, "metadata": meta},) if thing is not None else ()
    return out
