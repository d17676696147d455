"""What every widget shares: the wire protocol, the linked selection, worker threads, errors, the line of code.

The wire protocol
-----------------
A view (``widgets/src/views/<view>.js``, built into ``static/<view>.js``) is a plain anywidget module,
``export default { initialize, render }``; it uses only ``model.get``, ``set``, ``save_changes``, ``on``, ``off`` and ``send``.
Trait names are the protocol; ``tests/test_protocol.py`` compares both sides.

===========  =======  ==================================================================================================
trait        type     meaning
===========  =======  ==================================================================================================
selected     bytes    bit i (least significant first) set: the sample at position i is selected
focus        int      position of the sample looked at, -1 for none
code         str      the line of Python that does what the view shows
status       str      what is going on, in words
error        str      what went wrong, what to do; empty when nothing did
busy         bool     a long job is running on the worker thread
progress     float    0 to 1; below 0 while the end cannot be known
stop         bool     set by the view: end the long job at the next batch or answer; Python sets it back
simulated    bool     show the badge "practice sky"
theme        str      "auto" (follows JupyterLab, else the system), "light" or "dark"
live         bool     False in a page without a kernel: the view asks nothing and offers no verb
saved        dict     answers stored with the page, by key; looked into before Python is asked
===========  =======  ==================================================================================================

Messages from the view::

    {"type": "want", "key": "sample/17"}            asks for one answer
    {"type": "do", "verb": "train", ...}            a verb of the widget; its arguments beside it

Messages to the view, with ``paths`` and ``buffers`` as in ipywidgets' own protocol::

    {"type": "answer", "key": ..., "partial": true, ...}                 a coarse answer; the fine one follows
    {"type": "answer", "key": ..., "payload": {...}, "paths": [...]}     or   {"type": "answer", "key": ..., "error": "..."}

An array, in a trait or an answer, is ``{"dtype": "float32", "shape": [...], "data": <bytes>}``, little endian, C order.

Threads
-------
Message callbacks may run on another thread than the cell (kernel subshells), so they only enqueue. Each widget has two lanes of one thread each, started when first
needed: `_quick` (selection, payloads) and `_jobs` (fetch, train, explain). One lock a widget keeps `set_state` and the workers' updates apart.
No lock is held while `Selection` tells the other widgets.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets as t
from ipywidgets.widgets.widget import _remove_buffers

from astrofuse_lab import jobs
from astrofuse_lab.errors import AstroFuseError, InputError
from astrofuse_lab.widgets.saving import Saving
from astrofuse_lab.widgets.selection import Selection, from_bits, to_bits

__all__ = ["STATIC", "Base", "Selection", "Worker", "from_bits", "in_words", "to_bits", "view_source"]

STATIC = Path(__file__).resolve().parents[1] / "static"


@lru_cache(maxsize=16)
def view_source(view: str) -> str:
    """The built ES module of a view.

    Raises
    ------
    InputError
        If the front end was not built.
    """
    path = STATIC / f"{view}.js"
    if not path.is_file():
        raise InputError(f"the view {view!r} is not built: {path} is missing. Run `make front-end` in the project's folder, or install a released wheel.")
    return path.read_text(encoding="utf-8")


class Worker:
    """One daemon thread that takes jobs in order; it starts with the first job and ends with `close`.

    Parameters
    ----------
    name : str
    on_error : callable
        Called on the thread with an exception that a job raised.
    """

    def __init__(self, name: str, on_error: Callable[[Exception], None]) -> None:
        self.name = name
        self._on_error = on_error
        self._jobs: queue.SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, job: Callable[..., object], *arguments: Any) -> None:
        """Enqueue a job; nothing happens after `close`."""
        with self._lock:
            if self._closed:
                return
            self._jobs.put((job, arguments))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, arguments = entry
            try:
                job(*arguments)
            except Exception as error:  # a worker that dies would leave the view waiting for ever
                self._on_error(error)

    def drain(self, timeout: float = 60.0) -> bool:
        """Wait until all that is enqueued has run; False when `timeout` (seconds) passed first."""
        done = threading.Event()
        if self._thread is None:
            return True
        self.submit(done.set)
        return done.wait(timeout) or self._closed

    def close(self, timeout: float = 5.0) -> bool:
        """Take no more jobs, let the running one end, and wait for it; True when the thread has ended."""
        with self._lock:
            self._closed = True
            self._jobs.put(None)
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()


def in_words(error: Exception) -> str:
    """An exception as a sentence for the view; errors of our own already are one."""
    return str(error) if isinstance(error, AstroFuseError) else f"{type(error).__name__}: {error}"


class Base(Saving, anywidget.AnyWidget):
    """A view linked to a `Selection`, with worker threads, Stop, errors and the line of code.

    Parameters
    ----------
    ids : iterable of str
        Ids of the samples, in order; positions on the wire count in them.
    selection : Selection, optional
        None: one of its own.
    """

    view: ClassVar[str] = ""
    verbs: ClassVar[Mapping[str, str]] = {}
    """Verb on the wire -> name of the method that runs it on the `_jobs` thread."""
    _ended = True  # until the constructor has come through: a widget that refused its arguments has no threads to end
    _own_layout = False

    _esm = t.Unicode().tag(sync=True)
    selected = t.Bytes(b"").tag(sync=True, from_json=lambda value, _widget: bytes(value or b""))
    focus = t.Int(-1).tag(sync=True)
    code = t.Unicode("").tag(sync=True)
    status = t.Unicode("").tag(sync=True)
    error = t.Unicode("").tag(sync=True)
    busy = t.Bool(False).tag(sync=True)
    progress = t.Float(0.0).tag(sync=True)
    stop = t.Bool(False).tag(sync=True)
    simulated = t.Bool(False).tag(sync=True)
    theme = t.Enum(("auto", "light", "dark"), "auto").tag(sync=True)
    live = t.Bool(True).tag(sync=True)
    saved = t.Dict().tag(sync=True)

    def __init__(self, ids: Iterable[str] = (), selection: Selection | None = None, **traits: Any) -> None:
        self._lock = threading.RLock()
        self._halt = threading.Event()
        self._echo: dict[str, Any] = {}
        self._reporting: int | None = None
        self._page_asked: dict[str, None] = {}
        self._own_layout = "layout" not in traits
        self.failure: Exception | None = None
        self._set_ids(ids)
        self.selection = selection if selection is not None else Selection()
        self._quick = Worker(f"{type(self).__name__}-quick", self._failed)
        self._jobs = Worker(f"{type(self).__name__}-jobs", self._failed)
        super().__init__(_esm=view_source(self.view), **traits)
        self.on_msg(self._received)
        self.observe(self._gesture, ["selected", "focus"])
        self.observe(self._stopped, "stop")
        self.selection.observe(self._linked, ["ids", "focus"])
        self._ended = False
        self._take("selected")
        self._take("focus")

    # ---- state ---------------------------------------------------------------------------------------------------

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take a change made in the view; never at the same time as a worker's."""
        with self._lock:
            super().set_state(sync_data)

    def _update(self, **values: Any) -> None:
        """Set traits from a worker; nothing once closed."""
        with self._lock:
            if self._ended:
                return
            for name, value in values.items():
                setattr(self, name, value)

    def _failed(self, error: Exception) -> None:
        self.failure = error
        self._update(error=in_words(error), busy=False, stop=False, status="")

    def _stopped(self, change: Any) -> None:
        if change["new"]:
            self._halt.set()

    # ---- messages ------------------------------------------------------------------------------------------------

    def _received(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Enqueue what the view asks for; unknown messages are named in `error`."""
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "want":
            self._remember(str(content.get("key", "")))
            self._lane(str(content.get("key", ""))).submit(self._give, str(content.get("key", "")))
        elif kind == "do" and content.get("verb") in self.verbs:
            method = getattr(self, self.verbs[content["verb"]])
            self._jobs.submit(self._job, method, {k: v for k, v in content.items() if k not in ("type", "verb")}, str(content["verb"]))
        else:
            self._quick.submit(self._update_error, f"{type(self).__name__} does not know the message {str(content)[:80]!r}. Is the built view of another version? Run `make front-end`.")

    def _update_error(self, text: str) -> None:
        self._update(error=text)

    def _lane(self, key: str) -> Worker:
        """Which thread answers a key; views whose answers are computed take `_jobs`."""
        return self._quick

    def _job(self, method: Callable[..., object], arguments: dict[str, Any], verb: str = "") -> None:
        """Run one long job: clean slate before, `busy` off after, whatever happened."""
        self._halt.clear()
        self.failure = None
        self._update(error="", stop=False, busy=True, progress=0.0)
        try:
            with jobs.running(f"{self.view.capitalize()}: {verb.replace('_', ' ')}", self._halt) as job:
                self._tell(job, lambda: method(**arguments))
        except Exception as error:  # told in the view
            self._failed(error)
        finally:
            self._update(busy=False, stop=False)

    def _tell(self, job: jobs.Job, work: Callable[[], object]) -> None:
        """Do the work, and pass what the view says meanwhile on to those who list jobs."""

        def told(_change: Any) -> None:
            job.tell(self.progress, self.status)

        self.observe(told, ["progress", "status"])
        try:
            work()
        finally:
            self.unobserve(told, ["progress", "status"])

    def answer(self, key: str) -> dict[str, Any]:
        """What a key stands for, as JSON values and bytes; subclasses know their keys."""
        raise InputError(f"{type(self).__name__} has no answer to {key!r}.")

    def _give(self, key: str) -> None:
        try:
            payload, paths, buffers = _remove_buffers(self.answer(key))
            self.send({"type": "answer", "key": key, "payload": payload, "paths": paths}, buffers)
        except Exception as error:  # told in the view, where the answer would have been
            self.failure = error
            self.send({"type": "answer", "key": key, "error": in_words(error)})

    def keep(self, keys: Iterable[str]) -> None:
        """Store the answers to some keys in `saved`, for a page without a kernel."""
        self._update(saved={**self.saved, **{key: self.answer(key) for key in keys}})

    # ---- selection -----------------------------------------------------------------------------------------------

    def _take(self, name: str) -> None:
        """Take over what the shared selection says of one trait."""
        if name == "focus":
            value: Any = self._place.get(self.selection.focus, -1) if self.selection.focus else -1
        else:
            known = self.selection.chosen.over(self._ids)
            mask = np.zeros(len(self._ids), dtype=bool) if known is None else known
            if known is None:
                mask[[self._place[i] for i in self.selection.ids if i in self._place]] = True
            value = to_bits(mask) if mask.any() else b""
        with self._lock:
            self._echo[name] = value
            self._update(**{name: value})

    def _linked(self, change: Any) -> None:
        # this widget's own report says nothing new to it, and by now a later gesture may have been made
        if self._reporting != threading.get_ident():
            self._take("focus" if change["name"] == "focus" else "selected")

    def _gesture(self, change: Any) -> None:
        # what came from the shared selection must not go back to it: this widget may not know all of its ids
        if self._echo.get(change["name"]) != change["new"]:
            self._echo[change["name"]] = change["new"]
            self._quick.submit(self._report, change["name"], change["new"])

    def _report(self, name: str, value: Any) -> None:
        """Tell the shared selection of a gesture."""
        self._reporting = threading.get_ident()
        try:
            if name == "focus":
                self.selection.focus = str(self._ids[value]) if 0 <= value < len(self._ids) else ""
            else:
                self.selection.choose(self._ids, from_bits(value, len(self._ids)))
        finally:
            self._reporting = None

    def _begin(self) -> None:
        """Look at the first sample, where nothing is looked at yet."""
        if len(self._ids) and not self.selection.focus:
            self.selection.focus = str(self._ids[0])

    # ---- end -----------------------------------------------------------------------------------------------------

    def wait(self, timeout: float = 600.0) -> bool:
        """Block until all that was asked for is done; False when `timeout` (seconds) passed first."""
        return self._jobs.drain(timeout) and self._quick.drain(timeout)

    def close(self) -> None:
        """Stop the running job, end the threads and remove the view."""
        if not self._ended:
            self._halt.set()
            self.selection.unobserve(self._linked, ["ids", "focus"])
            self._quick.close()
            self._jobs.close()
            with self._lock:
                self._ended = True
        layout = self.layout if self._own_layout else None
        super().close()
        if layout is not None:  # ipywidgets would keep it, and the notebook with it
            layout.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._ids)} samples)"
