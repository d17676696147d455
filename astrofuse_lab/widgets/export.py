"""One page that works without Python and without a network: the views, what they show, and a host of six kilobytes.

The page is ``static/page.html`` with two things put in: ``static/host.js``, and base64 of gzip of a header (length, then
JSON) followed by all buffers end to end; in the JSON ``{"$buffer": [offset, length]}`` stands for bytes. The browser unpacks
it; what is text stays text (``textContent``), and the page's own Content-Security-Policy forbids every request. Until that is
done, and where it cannot be, a still picture of the map stands in its place.
"""

import base64
import html
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import AstroFuseError, InputError
from astrofuse_lab.storage import write_bytes
from astrofuse_lab.widgets.base import STATIC, Base, view_source
from astrofuse_lab.widgets.packing import coarse, fit, lean, packed, weight
from astrofuse_lab.widgets.stills import still_of
from astrofuse_lab.widgets.wire import array

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

UNSENT = ("layout", "tabbable", "tooltip", "comm", "theme", "live", "saved", "busy", "stop", "status", "progress")
BUDGET = 3_300_000
"""Bytes of stored samples, compressed; in base64 and with the views the page stays below 5 MB."""
PAGE = 5_000_000
"""Bytes that a page may have for each 100,000 samples, begun ones counted whole."""
TOGETHER = 8
"""Samples that a view may work out together."""
ROOM = 100_000
"""Bytes kept free below that."""
EMPTY = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
"""A picture of one clear pixel, where there is none."""
Progress = Callable[[int, int], object]


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
    views: Sequence[Base], ids: Sequence[str], budget: int = BUDGET, on_progress: Progress | None = None, stop: threading.Event | None = None
) -> tuple[list[dict[str, Any]], int]:  # fmt: skip
    """Answers of each view to what it asks of these samples, until the budget is used up or `stop` is set.

    Returns
    -------
    list of dict
        For each view, key -> payload. What a view cannot answer is left out, and the page says that it was not stored.
    int
        How many samples were stored.
    """
    answers = [{key: coarse(payload) for key, payload in _answered(view, view.page_always())} for view in views]
    counted: set[int] = set()
    used, stored = weight(answers, counted), 0
    ready: list[dict[str, Any]] = []
    for number, object_id in enumerate(ids):
        if stop is not None and stop.is_set():
            break
        if on_progress is not None:
            on_progress(number + 1, len(ids))
        if number % TOGETHER == 0:
            ready = [view.page_together([view._place[i] for i in ids[number : number + TOGETHER] if i in view._place]) for view in views]
        made = [{key: coarse(payload) for key, payload in _answered(view, _keys(view, object_id), here)} for view, here in zip(views, ready, strict=True)]
        used += weight(made, counted)
        if used > budget:
            break
        stored += 1
        for answer, new in zip(answers, made, strict=True):
            answer.update(new)
    return answers, stored


def _keys(view: Base, object_id: str) -> tuple[str, ...]:
    return view.page_keys(view._place[object_id]) if object_id in view._place else ()


def _answered(view: Base, keys: Iterable[str], ready: Mapping[str, Any] = MappingProxyType({})) -> list[tuple[str, Any]]:
    out = []
    for key in keys:
        try:
            out.append((key, ready[key] if key in ready else view.answer(key)))
        except AstroFuseError:
            continue
    return out


# ---- the page ------------------------------------------------------------------------------------------------------


def view_state(widget: Base, answers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The traits of a widget as a page without a kernel shows them."""
    from astrofuse_lab.widgets.hosting import state_names

    names = [name for name in state_names(widget) if name not in UNSENT]
    with widget._lock:
        state = {**{name: getattr(widget, name) for name in names}, **widget.page_state()}
    still = {"theme": "auto", "live": False, "busy": False, "stop": False, "status": "", "progress": 1.0, "error": ""}
    return {**lean(state), **still, "saved": dict(answers or {})}


def places_of(views: Sequence[Base]) -> list[dict[str, Any] | None]:
    """For each view the positions of its samples among those of all views; None each where all show the same."""
    first = views[0]._ids
    if all(np.array_equal(view._ids, first) for view in views):
        return [None] * len(views)
    _, codes = np.unique(np.concatenate([view._ids for view in views]), return_inverse=True)
    ends = np.cumsum([0, *(len(view._ids) for view in views)])
    return [array(codes[a:b], "int32") for a, b in pairwise(ends)]


def groups_of(views: Sequence[Base]) -> list[int]:
    """A number for each view, equal for those that share a selection: only they are linked."""
    known: dict[int, int] = {}
    return [known.setdefault(id(view.selection), len(known)) for view in views]


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


def page(header: Mapping[str, Any], still: tuple[bytes, str] = (b"", "")) -> bytes:
    """The whole page; `still`: a PNG and what it shows."""
    host = view_source("host")
    template = (STATIC / "page.html").read_text(encoding="utf-8")
    if "</script" in host.lower() or any(template.count(mark) != 1 for mark in ("@@PAGE@@", "@@HOST@@", "@@STILL@@", "@@SHOWS@@")):
        raise InputError("static/page.html and static/host.js do not fit together. Run `make front-end`.")
    picture = f"data:image/png;base64,{base64.b64encode(still[0]).decode()}" if still[0] else EMPTY
    template = template.replace("@@STILL@@", picture).replace("@@SHOWS@@", html.escape(still[1]))
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
    path: str | Path, views: Sequence[Base], samples: "SampleSet | None" = None, run: "Run | None" = None, comparison: "Table | None" = None, **options: Any
) -> Path | None:
    """Write the page.

    Parameters
    ----------
    path : path
        Its name should end in ``.html``.
    views, samples, run, comparison, **options
        As in `made_page`.

    Returns
    -------
    Path or None
        Absolute; None when stopped.

    Raises
    ------
    InputError
        If there are no views or no samples, or the front end is not built.
    StorageError
        If the file cannot be written.
    """
    content = made_page(views, samples, run, comparison, **options)
    if content is None:
        return None
    where = Path(path).expanduser().resolve()
    write_bytes(where, content)
    return where


def made_page(
    views: Sequence[Base], samples: "SampleSet | None" = None, run: "Run | None" = None, comparison: "Table | None" = None,
    *, stored: int = 60, first: Iterable[int] = (), code: str = "", title: str = "", budget: int = BUDGET, size: int = PAGE, brief: bool = False,
    on_progress: Progress | None = None, stop: threading.Event | None = None,
) -> bytes | None:  # fmt: skip
    """The page as bytes.

    Parameters
    ----------
    views : sequence of widgets
        In the order in which they stand on the page. Those that share a selection are linked, by id where their samples are not the same.
    samples : SampleSet, optional
        Of the first view: cited on the page.
    run : Run, optional
        Its metrics are shown as a table.
    comparison : Table, optional
        Of ``af.compare``, shown as a table with its verdict.
    stored : int
        Samples at most whose data and explanations are stored, from each class in turn; the map shows all.
    first : iterable of int
        Positions in the first view stored before others.
    code : str
        Python that does the same.
    title : str
        None given: the sample set's.
    budget : int
        Compressed bytes at most for stored samples.
    size : int
        Bytes that the page may have for each 100,000 samples, begun ones counted whole.
    brief : bool
        For a frame in another page: no heading and no tables, and what else there is to say folded away.
    on_progress : callable, optional
        Called with the number of the sample at hand and how many there are.
    stop : threading.Event, optional
        Set it to give up after the sample at hand; None is returned then.

    Raises
    ------
    InputError
        If there are no views or no samples, or the front end is not built.
    """
    if not views or (samples is not None and len(samples) == 0):
        raise InputError("there are no samples to save a page of.")
    ids = views[0]._ids
    states = [view_state(view) for view in views]
    room = size * max(1, -(-len(ids) // 100_000)) * 3 // 4 - ROOM - sum(weight(source, set()) for source in {view._esm for view in views})
    used, left = fit(states, room)
    chosen = [str(ids[i]) for i in spread(_labels(samples, run, len(ids)), stored, first)]
    answers, count = stored_answers(views, chosen, min(budget, max(room - used, 0)), on_progress, stop)
    if stop is not None and stop.is_set():
        return None
    for state, answer in zip(states, answers, strict=True):
        state["saved"] = answer
    simulated = any(view.simulated for view in views)
    header = {
        "title": title or _title(views, samples), "subtitle": _about(views, samples, run), "simulated": simulated, "brief": brief,
        "views": [
            {"name": view.view, "source": view._esm, "state": state, "places": place, "group": group}
            for view, state, place, group in zip(views, states, places_of(views), groups_of(views), strict=True)
        ],
        "tables": [] if brief else _tables(run, comparison), "notes": _notes(views, samples, count, simulated, left),
        "citations": citations_of(samples) if samples is not None else [], "code": code,
    }  # fmt: skip
    return page(header, next((made for made in map(still_of, views) if made is not None), (b"", "")))


def _tables(run: "Run | None", comparison: "Table | None") -> list[dict[str, Any]]:
    """What was measured, beside the views."""
    tables = [] if comparison is None else [table_payload(comparison, "Comparison", [str(comparison.meta.get("verdict", ""))])]
    if run is not None:
        tables.append(table_payload(run.metrics, f"{run.recipe.name}, {run.target}: metrics with 95 % intervals"))
    return tables


def _labels(samples: "SampleSet | None", run: "Run | None", n: int) -> list[str]:
    """What divides the samples into classes, of which some of each are stored."""
    if samples is None or len(samples) != n:
        return [""] * n
    target = run.target if run is not None else next((name for name, role in samples.roles.items() if role == "target"), None)
    if target not in samples.roles or (run is not None and not run.classes) or samples.column(target).dtype.kind == "f":
        return [""] * n
    return [str(v) for v in np.ma.filled(samples.column(target).astype(str), "")]


def _title(views: Sequence[Base], samples: "SampleSet | None") -> str:
    own = getattr(views[0], "title", "") if samples is None else samples.card.title or samples.card.name
    return f"AstroFuse Lab · {own}" if own else "AstroFuse Lab"


def _about(views: Sequence[Base], samples: "SampleSet | None", run: "Run | None") -> str:
    """What the page shows, in a line."""
    n = len(views[0]._ids)
    if samples is None:
        return f"{n} samples" if n else ""
    if run is None:
        return f"{n} samples with {', '.join(samples.modalities)}"
    what = f"{len(run.classes)} classes of {run.target}" if run.classes else run.target
    return f"{run.recipe.name} predicts {what} from {', '.join(run.modalities)}; {n} samples".replace("_", " ")


def _notes(views: Sequence[Base], samples: "SampleSet | None", stored: int, simulated: bool, left: Sequence[str]) -> list[str]:
    n = len(views[0]._ids)
    every = "all" if stored == n else f"{stored} of {n}"
    kept = any(view.page_keys(0) for view in views) and n
    about = f"Data and explanations of {every} samples are stored in this page, rounded to 0.1 %; it asks nothing of the network." if kept else "This page asks nothing of the network."
    dropped = [f"Left out to keep the page small: {', '.join(left)}."] if left else []
    return [*(["The data are simulated (practice sky)."] if simulated else []), about, *dropped, *(samples.card.notes if samples is not None else ())]
