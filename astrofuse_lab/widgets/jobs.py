"""Jobs, memory, device and selections of this kernel, told to the lab extension beside the notebook.

A comm with a name that both sides know, and no opening: Python says what is going on, and a front end without the extension passes over it
in silence. The extension asks for the comms of its target when a kernel starts, and listens. Messages to the front end::

    {"version": 1, "jobs": [...], "memory": bytes, "total": bytes, "device": "...", "selections": [...], "received": [...]}

and from it ``{"type": "hello"}`` (tell me) and ``{"type": "stop", "number": 3}``.
"""

import sys
import threading
import time
import weakref
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from astrofuse_lab import jobs, memory
from astrofuse_lab.widgets.selection import ALIVE, CHANGED, Selection

if TYPE_CHECKING:
    from astrofuse_lab.widgets.selection import Chosen

TARGET, COMM = "astrofuse-lab", "astrofuse-lab-desk"
OFTEN = 0.4  # s between two messages
TICK = 2.0  # s: while a job runs, memory and time are told this often
SHORT = 1.0  # s: a job that took less and has ended is not worth a line
WRITTEN = 200
"""Ids of a selection that are written out in its cell; more would make the cell unreadable."""


class Desk:
    """Tells the extension of this kernel; made once, by `open_desk`.

    Parameters
    ----------
    comm : comm
        Something with ``send`` and ``on_msg``.
    """

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.received: list[dict[str, Any]] = []
        self._wake, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        comm.on_msg(self._heard)
        jobs.listen(self._changed)

    # ---- what is told --------------------------------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """All that the extension shows, as JSON values."""
        listed = [
            {
                "number": job.number, "title": job.title, "state": job.state, "done": job.done, "said": job.said, "seconds": round(job.seconds, 1), "can_stop": job.can_stop,
            }
            for job in jobs.known() if job.state in ("running", "stopping") or job.seconds >= SHORT or job.state == "failed"
        ]  # fmt: skip
        used, total = memory_used()
        return {"version": 1, "jobs": listed, "memory": used, "total": total, "device": device(), "selections": selections(), "received": self.received}

    def say(self) -> None:
        """Tell it now."""
        self.comm.send(self.told())

    def later(self, *_: object) -> None:
        """Tell it in a moment, once, however often this is called."""
        with self._lock:
            self._wake.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._tell, name="astrofuse-desk", daemon=True)
                self._thread.start()

    def _tell(self) -> None:
        """While there is something to tell; ends by itself, so that an idle kernel has no thread of ours."""
        while True:
            busy = any(job.state in ("running", "stopping") for job in jobs.known())
            woken = self._wake.wait(TICK)
            with self._lock:
                if not woken and not busy:
                    self._thread = None
                    return
                self._wake.clear()
            self.say()
            time.sleep(OFTEN)

    def _changed(self, _job: jobs.Job) -> None:
        self.later()

    # ---- what is heard -------------------------------------------------------------------------------------------------

    def _heard(self, message: Mapping[str, Any]) -> None:
        """The extension asks, or somebody pressed Stop there; anything else is passed over."""
        said = message.get("content", {}).get("data", {})
        if not isinstance(said, Mapping):
            return
        if said.get("type") == "hello":
            self.say()
        elif said.get("type") == "stop":
            for job in jobs.known():
                if job.number == said.get("number"):
                    job.stop()


def memory_used() -> tuple[int, int]:
    """Bytes this process holds, and bytes it may: what the hub promises, else the machine's."""
    import psutil

    return int(psutil.Process().memory_info().rss), int(memory.promised() or psutil.virtual_memory().total)


def device() -> str:
    """Where networks run: "GPU ...", "Apple GPU" or "CPU"; empty while torch was not imported, which is not done for this."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda"):
        return ""
    if torch.cuda.is_available():
        return f"GPU {torch.cuda.get_device_name(0)}"
    return "Apple GPU" if torch.backends.mps.is_available() else "CPU"


def names() -> dict[str, Any]:
    """What the notebook's cells have named, where this is a notebook."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return {name: value for name, value in dict(getattr(shell, "user_ns", {})).items() if not name.startswith("_")}


_cells: "weakref.WeakKeyDictionary[Selection, tuple[Chosen, str]]" = weakref.WeakKeyDictionary()


def selections() -> list[dict[str, Any]]:
    """Each selection that views share and that holds something: how many samples, and the cell that takes them."""
    found = []
    for selection in sorted(ALIVE, key=lambda one: one.number):
        chosen = selection.chosen
        if len(chosen):
            kept = _cells.get(selection)
            if kept is None or kept[0] is not chosen:
                kept = _cells[selection] = chosen, code_of(selection, names())
            found.append({"number": selection.number, "count": len(chosen), "code": kept[1]})
    return found


def code_of(selection: Selection, known: Mapping[str, Any]) -> str:
    """The cell that takes the samples selected: by their ids; of many, by what the notebook calls the selection.

    Parameters
    ----------
    selection : Selection
    known : mapping
        What the notebook's names stand for.
    """
    chosen, count = selection.chosen, len(selection.chosen)
    first = chosen.first(1)[0]
    sets = [name for name, value in known.items() if type(value).__name__ == "SampleSet" and (value.object_ids == first).any()]
    samples = "samples" if "samples" in sets or not sets else sets[0]
    if count <= WRITTEN:
        lines = "".join(f"    {text!r},\n" for text in chosen.first(count))
        return f"selected = {samples}.select([\n{lines}])"
    own = [name for name, value in known.items() if value is selection]
    held = [f"{name}.selection" for name, value in known.items() if getattr(value, "selection", None) is selection]
    if own or held:
        return f"selected = {samples}.select({(own or held)[0]}.ids)  # {count:,} samples, as selected now"
    return f"# {count:,} samples are selected in a view that has no name here: give it one, view = ..., then\nselected = {samples}.select(view.selection.ids)"


@lru_cache(maxsize=1)
def open_desk() -> Desk | None:
    """Begin to tell the extension, where this is a kernel; the same desk ever after, None elsewhere."""
    if "ipykernel" not in sys.modules:
        return None
    from comm import create_comm, get_comm_manager
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    comm = create_comm(target_name=TARGET, comm_id=COMM, primary=False)
    # ipykernel 7.4 would hand what comes to the shell that last sent something, that of the running cell: Stop would wait for its end
    comm._reply_subshell_for = lambda _data, wanted: wanted  # type: ignore[attr-defined]
    get_comm_manager().register_comm(comm)
    desk = Desk(comm)
    shell.events.register("post_run_cell", desk.later)
    CHANGED.append(desk.later)
    return desk
