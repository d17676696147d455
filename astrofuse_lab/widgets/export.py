"""One page that works without Python and without a network: the views, what they show, and a host of four kilobytes.

The page is ``static/page.html`` with two things put in: ``static/host.js``, and base64 of gzip of a header (length, then
JSON) followed by all buffers end to end; in the JSON ``{"$buffer": [offset, length]}`` stands for bytes. The browser unpacks
it; what is text stays text (``textContent``), and the page's own Content-Security-Policy forbids every request.
"""

import base64
import gzip
import json
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.storage import write_bytes
from astrofuse_lab.widgets.base import STATIC, Base, view_source

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

UNSENT = ("layout", "tabbable", "tooltip", "comm", "theme", "live", "saved", "busy", "stop", "status", "progress")
MANTISSA = 9
"""Bits kept of the mantissa of stored float32 arrays: 0.1 %, finer than a screen shows, and half the size."""
BUDGET = 3_300_000
"""Bytes of stored samples, compressed; in base64 and with the views the page stays below 5 MB."""
Progress = Callable[[int, int], object]


@dataclass
class Saved:
    """One view of the page.

    Attributes
    ----------
    widget : Base
        Its state is copied; the widget itself is left alone.
    keys : function of a position, giving the keys of the answers that the view asks for there
    """

    widget: Base
    keys: Any = field(default=lambda position: (f"sample/{position}",))


# ---- bytes ---------------------------------------------------------------------------------------------------------


class Buffers:
    """Bytes end to end, each kept once however often it is used."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self._places: dict[bytes, tuple[int, int]] = {}

    def put(self, content: bytes) -> dict[str, list[int]]:
        """Keep bytes; gives what stands for them in the header."""
        if content not in self._places:
            self._places[content] = (self.size, len(content))
            self.parts.append(content)
            self.size += len(content)
        return {"$buffer": list(self._places[content])}

    def empty(self, value: Any) -> Any:
        """The same value with all bytes in it put here."""
        if isinstance(value, bytes | bytearray | memoryview):
            return self.put(bytes(value))
        if isinstance(value, Mapping):
            return {str(k): self.empty(v) for k, v in value.items()}
        return [self.empty(v) for v in value] if isinstance(value, list | tuple) else value


def packed(header: Mapping[str, Any]) -> str:
    """A structure with bytes anywhere in it, as text."""
    buffers = Buffers()
    text = json.dumps(buffers.empty(header), allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(b"".join([struct.pack("<I", len(text)), text, *buffers.parts]), 9, mtime=0)).decode("ascii")


def coarse(value: Any) -> Any:
    """The same payload with float32 arrays shortened to `MANTISSA` bits of mantissa, rounded."""
    if isinstance(value, Mapping):
        if value.get("dtype") == "float32" and isinstance(value.get("data"), bytes):
            return {**value, "data": _shortened(np.frombuffer(value["data"], dtype="<u4"))}
        return {k: coarse(v) for k, v in value.items()}
    return [coarse(v) for v in value] if isinstance(value, list | tuple) else value


def _shortened(bits: NDArray[np.uint32]) -> bytes:
    drop = 23 - MANTISSA
    finite = (bits & 0x7F800000) != 0x7F800000
    rounded = (bits + np.uint32(1 << (drop - 1))) & np.uint32(0xFFFFFFFF ^ ((1 << drop) - 1))
    return np.where(finite & ((rounded & 0x7F800000) != 0x7F800000), rounded, bits).astype("<u4").tobytes()


# ---- which samples -------------------------------------------------------------------------------------------------


def spread(labels: Sequence[Any], n: int, first: Iterable[int] = ()) -> list[int]:
    """Positions of `n` samples: those in `first`, then from each label in turn."""
    order = dict.fromkeys(i for i in first if 0 <= i < len(labels))
    groups: dict[str, list[int]] = {}
    for position, label in enumerate(labels):
        groups.setdefault(str(label), []).append(position)
    turns = max(map(len, groups.values()), default=0)
    for turn in range(turns):
        order.update(dict.fromkeys(group[turn] for _, group in sorted(groups.items()) if turn < len(group)))
    return list(order)[:n]


def stored_answers(
    views: Sequence[Saved], positions: Sequence[int], budget: int = BUDGET, on_progress: Progress | None = None, stop: threading.Event | None = None
) -> tuple[list[dict[str, Any]], int]:  # fmt: skip
    """Answers of each view at these positions, until the budget is used up or `stop` is set.

    Returns
    -------
    list of dict
        For each view, key -> payload.
    int
        How many positions were stored.
    """
    answers: list[dict[str, Any]] = [{} for _ in views]
    known: dict[str, Any] = {}
    used = stored = 0
    for number, position in enumerate(positions):
        if stop is not None and stop.is_set():
            break
        if on_progress is not None:
            on_progress(number + 1, len(positions))
        new = {key: view.widget for view in views for key in view.keys(position) if key not in known}
        made = {key: coarse(widget.answer(key)) for key, widget in new.items()}
        buffers = Buffers()
        text = json.dumps(buffers.empty(made)).encode()
        used += len(zlib.compress(text + b"".join(buffers.parts), 6))
        if used > budget and stored:
            break
        known.update(made)
        stored += 1
        for view, answer in zip(views, answers, strict=True):
            answer.update({key: known[key] for key in view.keys(position)})
    return answers, stored


# ---- the page ------------------------------------------------------------------------------------------------------


def view_state(widget: Base, answers: Mapping[str, Any]) -> dict[str, Any]:
    """The traits of a widget as a page without a kernel shows them."""
    from astrofuse_lab.widgets.hosting import state_names

    names = [name for name in state_names(widget) if name not in UNSENT]
    with widget._lock:
        state = {name: getattr(widget, name) for name in names}
    still = {"theme": "auto", "live": False, "busy": False, "stop": False, "status": "", "progress": 1.0, "error": ""}
    return {**state, **still, "saved": dict(answers)}


def table_payload(table: "Table", caption: str, notes: Sequence[str] = ()) -> dict[str, Any]:
    """A table as text: numbers with three decimals, masked and unknown cells empty."""
    rows = [[_cell(row[name]) for name in table.colnames] for row in table]
    return {"caption": caption, "columns": [name.replace("_", " ") for name in table.colnames], "rows": rows, "notes": [n for n in notes if n]}


def _cell(value: Any) -> str:
    if np.ma.is_masked(value) or value is None:
        return ""
    if isinstance(value, float | np.floating):
        return f"{value:.3f}" if np.isfinite(value) else ""
    return f"{int(value):,}" if isinstance(value, int | np.integer) and not isinstance(value, bool | np.bool_) else str(value)


def page(header: Mapping[str, Any]) -> bytes:
    """The whole page."""
    host = view_source("host")
    template = (STATIC / "page.html").read_text(encoding="utf-8")
    if "</script" in host.lower() or template.count("@@PAGE@@") != 1 or template.count("@@HOST@@") != 1:
        raise InputError("static/page.html and static/host.js do not fit together. Run `make front-end`.")
    before, rest = template.split("@@PAGE@@")
    between, after = rest.split("@@HOST@@")
    return "".join([before, packed(header), between, host, after]).encode()


def citations_of(samples: "SampleSet") -> list[str]:
    """How to cite the data: the set's own citation, then each survey's."""
    from astrofuse_lab.provenance import citations

    own = [f"{samples.card.name}: {samples.card.citation} ({samples.card.licence or 'licence not stated'})"] if samples.card.citation else []
    surveys = citations(spec.provenance for spec in samples.modalities.values()).splitlines()
    return own + [line for line in surveys if not any(line in said for said in own)]  # a set's own citation may name its surveys


def save_page(
    path: str | Path, views: Sequence[Saved], samples: "SampleSet", run: "Run | None" = None, comparison: "Table | None" = None,
    *, stored: int = 60, first: Iterable[int] = (), code: str = "", budget: int = BUDGET,
    on_progress: Progress | None = None, stop: threading.Event | None = None,
) -> Path | None:  # fmt: skip
    """Write the page.

    Parameters
    ----------
    path : path
        Its name should end in ``.html``.
    views : sequence of Saved
        In the order in which they stand on the page; all of the same samples.
    samples : SampleSet
    run : Run, optional
        Its metrics are shown as a table.
    comparison : Table, optional
        Of ``af.compare``, shown as a table with its verdict.
    stored : int
        Samples at most whose data and explanations are stored, from each class in turn; the map shows all.
    first : iterable of int
        Positions stored before others.
    code : str
        Python that does the same.
    budget : int
        Compressed bytes at most for stored samples.
    on_progress : callable, optional
        Called with the number of the sample at hand and how many there are.
    stop : threading.Event, optional
        Set it to give up after the sample at hand; nothing is written then.

    Returns
    -------
    Path or None
        Absolute; None when stopped.

    Raises
    ------
    InputError
        If there are no samples, or the front end is not built.
    StorageError
        If the file cannot be written.
    """
    if len(samples) == 0:
        raise InputError("there are no samples to save a page of.")
    target = run.target if run is not None else next((n for n, role in samples.roles.items() if role == "target"), None)
    labels = np.ma.filled(samples.column(target), "").astype(str) if target in samples.roles and (run is None or run.classes) else [""] * len(samples)
    answers, count = stored_answers(views, spread(list(labels), stored, first), budget, on_progress, stop)
    if stop is not None and stop.is_set():
        return None
    tables = [] if comparison is None else [table_payload(comparison, "Comparison", [str(comparison.meta.get("verdict", ""))])]
    if run is not None:
        tables.append(table_payload(run.metrics, f"{run.recipe.name}, {run.target}: metrics with 95 % intervals"))
    title = f"AstroFuse Lab · {samples.card.title or samples.card.name}"
    header = {
        "title": title, "subtitle": _about(samples, run), "simulated": samples.simulated,
        "views": [{"name": v.widget.view, "source": v.widget._esm, "state": view_state(v.widget, a)} for v, a in zip(views, answers, strict=True)],
        "tables": tables, "notes": _notes(samples, count), "citations": citations_of(samples), "code": code,
    }  # fmt: skip
    where = Path(path).expanduser().resolve()
    write_bytes(where, page(header))
    return where


def _about(samples: "SampleSet", run: "Run | None") -> str:
    """What the page shows, in a line."""
    if run is None:
        return f"{len(samples)} samples with {', '.join(samples.modalities)}"
    what = f"{len(run.classes)} classes of {run.target}" if run.classes else run.target
    return f"{run.recipe.name} predicts {what} from {', '.join(run.modalities)}; {len(samples)} samples".replace("_", " ")


def _notes(samples: "SampleSet", stored: int) -> list[str]:
    every = "all" if stored == len(samples) else f"{stored} of {len(samples)}"
    about = f"Data and explanations of {every} samples are stored in this page, rounded to 0.1 %; it asks nothing of the network."
    return [*(["The data are simulated (practice sky)."] if samples.simulated else []), about, *samples.card.notes]
