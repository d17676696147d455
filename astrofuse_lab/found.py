"""What a fetch found: the state of every target in every survey, and the products, read when asked for."""

import html
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.cache import Answers
from astrofuse_lab.errors import TargetError, UnknownNameError
from astrofuse_lab.modalities import KIND_OF, Modality
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys.survey import Ask, Survey, provenance_of
from astrofuse_lab.targets import Target, Targets

if TYPE_CHECKING:
    from astropy.table import Table
    from numpy.typing import NDArray

STATES = ("found", "empty", "failed", "pending")
PENDING = STATES.index("pending")
ANSWERS_IN_MEMORY = 8
FRESH = 32 * 1024**2
"""Bytes of products that stay in memory from the fetch until they are asked for."""


OWN = -2  # in place of a path: the answer is about this target alone, so that its path follows from the target


class Ledger:
    """The book of one survey: one line a target, in the order of the targets; a few bytes each.

    A line is ``found``; ``empty``: the survey was asked and has nothing there; ``failed``; ``pending``: not asked yet.

    Parameters
    ----------
    survey : Survey
    ask : Ask
    n : int
        Targets, all pending.

    Attributes
    ----------
    message : dict of int to str
        Why a row failed, or why its answer is stale, in the archive's own words.
    note : str
        Why rows are still pending.
    """

    def __init__(self, survey: Survey, ask: Ask, n: int) -> None:
        self.survey, self.ask, self.note = survey, ask, ""
        self.message: dict[int, str] = {}
        self._state = bytearray([PENDING]) * n
        self._stale = bytearray(n)
        self._place = array("i", [-1]) * n
        self._paths: list[str] = []
        self._number: dict[str, int] = {}
        self._tally = [0, 0, 0, n]

    def __len__(self) -> int:
        return len(self._state)

    def again(self) -> "Ledger":
        """A copy in which what failed is pending once more."""
        copy = Ledger(self.survey, self.ask, len(self))
        copy._state, copy._stale, copy._place = self._state[:], self._stale[:], self._place[:]
        copy._paths, copy._number, copy._tally = self._paths[:], self._number.copy(), self._tally[:]
        copy.message = {row: said for row, said in self.message.items() if self._stale[row]}
        for row in self.rows("failed"):
            copy.write(int(row), "pending")
        return copy

    def write(self, row: int, state: str, path: str | None = None, message: str = "", *, own: bool = False, stale: bool = False) -> None:
        """Enter the outcome of one target.

        Parameters
        ----------
        path : str, optional
            The cached answer that holds it.
        own : bool
            It holds nothing about other targets.
        stale : bool
            It is an earlier one, since the service is down.
        """
        code = STATES.index(state)
        self._tally[self._state[row]] -= 1
        self._tally[code] += 1
        self._state[row], self._stale[row] = code, stale
        if path is None or own:
            self._place[row] = -1 if path is None else OWN
        else:
            if path not in self._number:
                self._number[path] = len(self._paths)
                self._paths.append(path)
            self._place[row] = self._number[path]
        self.message.pop(row, None)
        if message:
            self.message[row] = message

    def state(self, row: int) -> str:
        """The state of one target."""
        return STATES[self._state[row]]

    def said(self, row: int) -> str:
        """Why it is in this state, where there is something to say."""
        return self.message.get(row, "") or (self.note if self._state[row] == PENDING else "")

    def stale(self, row: int) -> bool:
        """Whether an earlier answer stands in, since the service is down."""
        return bool(self._stale[row])

    def rows(self, state: str) -> "NDArray[np.intp]":
        """The rows in one state."""
        return np.flatnonzero(np.frombuffer(self._state, dtype=np.uint8) == STATES.index(state))

    def path(self, row: int, target: Target, answers: Answers) -> str | None:
        """The cached answer about one target; None where there is none."""
        number = self._place[row]
        if number == OWN:
            return answers.own(self.survey, self.ask, target)
        return self._paths[number] if number >= 0 else None

    def counts(self) -> dict[str, int]:
        """How many targets are in each state."""
        return dict(zip(STATES, self._tally, strict=True))

    @property
    def outdated(self) -> int:
        """How many answers are stale."""
        return sum(self._stale)


class Fresh:
    """Products as the fetch read them, kept until they are first asked for, so that they need not be read again.

    They fill at most `FRESH` bytes: what comes when that is full is left to be read from the cache, so that memory stays flat.
    """

    def __init__(self, most: int = FRESH) -> None:
        self._room = most
        self._kept: dict[tuple[str, str], tuple[dict[str, Modality], int]] = {}
        self._lock = threading.Lock()

    @property
    def room(self) -> int:
        """Bytes left."""
        return self._room

    def put(self, survey: str, path: str, products: dict[str, Modality], size: int) -> None:
        """Keep what one answer holds, if there is room; `size` as `size_of` says."""
        with self._lock:
            self._room += self._kept.pop((survey, path), ({}, 0))[1]
            if size <= self._room:
                self._kept[survey, path] = products, size
                self._room -= size

    def take(self, survey: str, path: str) -> dict[str, Modality] | None:
        """What one answer holds, given out once."""
        with self._lock:
            products, size = self._kept.pop((survey, path), (None, 0))
            self._room += size
            return products


def size_of(product: Modality) -> int:
    """Bytes that a product takes, roughly."""
    values = (getattr(product, field.name) for field in fields(product))
    return 500 + sum(int(v.nbytes) if isinstance(v, np.ndarray) else len(v) * (100 if isinstance(v, Mapping) else 1) if isinstance(v, Mapping | str) else 0 for v in values)


class Found:
    """The outcome of `fetch`. Partial results are results.

    Products are read from the cached answers when asked for, so that memory stays flat however much was fetched; the first ones fetched wait in memory (`Fresh`).

    Attributes
    ----------
    targets : Targets
    surveys : tuple of str
    """

    def __init__(self, targets: Targets, ledgers: Mapping[str, Ledger], answers: Answers, again: Callable[..., "Found"]) -> None:
        self.targets = targets
        self.surveys = tuple(ledgers)
        self._ledgers = dict(ledgers)
        self._answers = answers
        self._again = again
        self._row = {object_id: i for i, object_id in enumerate(targets.ids)}
        self._read: OrderedDict[tuple[str, str], dict[str, Modality]] = OrderedDict()
        self._lock = threading.Lock()
        self.fresh = Fresh()

    @property
    def status(self) -> "Table":
        """One row a target and survey: object_id, survey, modality, state, message, stale.

        ``state`` is found, empty (the survey has nothing there), failed (the message says why) or pending. ``stale`` is
        True where the service is down and an earlier answer stands in; the product's provenance says of when.
        """
        from astropy.table import Table

        names = ("object_id", "survey", "modality", "state", "message", "stale")
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for row, object_id in enumerate(self.targets.ids):
            for name, book in self._ledgers.items():
                line = (object_id, name, KIND_OF[book.survey.gives], book.state(row), book.said(row), book.stale(row))
                for column, value in zip(names, line, strict=True):
                    columns[column].append(value)
        return Table(columns, names=names)

    @property
    def counts(self) -> "Table":
        """One row a survey: survey, modality, found, empty, failed, pending, simulated, stale."""
        from astropy.table import Table

        rows = [
            {"survey": name, "modality": KIND_OF[book.survey.gives], **book.counts(), "simulated": book.survey.simulated, "stale": book.outdated}
            for name, book in self._ledgers.items()
        ]
        return Table(rows=rows)

    @property
    def complete(self) -> bool:
        """True when nothing failed and nothing is pending."""
        return all(book.counts()["found"] + book.counts()["empty"] == len(book) for book in self._ledgers.values())

    def get(self, survey: str, object_id: str) -> Modality | None:
        """One product, or None where there is none.

        Raises
        ------
        UnknownNameError
            If the survey was not part of this fetch.
        TargetError
            If no target has this id.
        StorageError
            If the cached answer has gone or was altered since.
        """
        book = self._book(survey)
        if object_id not in self._row:
            raise TargetError(f"no target has the id {object_id!r}. found.targets.ids lists the {len(self.targets)} there are.")
        row = self._row[object_id]
        path = book.path(row, self.targets[row], self._answers)
        return self._products(book, path).get(object_id) if path else None

    def products(self, survey: str) -> Iterator[tuple[str, Modality]]:
        """(object_id, product) of every target found in one survey, in the order of the targets."""
        book = self._book(survey)
        for row in book.rows("found"):
            target = self.targets[int(row)]
            path = book.path(int(row), target, self._answers)
            product = self._products(book, path).get(target.object_id) if path else None
            if product is not None:
                yield target.object_id, product

    def answers(self) -> list[str]:
        """The cached answers that all this rests on, each once: what ``af.cache.export(path, found)`` hands on."""
        paths: dict[str, None] = {}
        for book in self._ledgers.values():
            for state in ("found", "empty"):
                for row in book.rows(state):
                    path = book.path(int(row), self.targets[int(row)], self._answers)
                    if path:
                        paths[path] = None
        return list(paths)

    def retry(self, **options: Any) -> "Found":
        """Ask again for what failed or is pending, and for nothing else.

        Parameters
        ----------
        **options
            ``progress``, ``stop``, ``on_progress``, ``timeout`` and ``mode`` as in `fetch`.

        Returns
        -------
        Found
            A new one; this one stays as it is.
        """
        return self._again(self, **options)

    def cite(self) -> str:
        """How to cite and acknowledge what was found, each source once, then BibTeX entries."""
        used = [p for book in self._ledgers.values() if (p := self._provenance(book)) is not None]
        if not used:
            return "Nothing was found, so there is nothing to cite."
        sources: dict[tuple[str, str, str], list[Provenance]] = {}
        for one in used:
            sources.setdefault((one.citation, one.licence, one.release), []).append(one)
        lines = [f"{', '.join(p.survey for p in shared)}: {said} ({licence or 'licence not stated'})" for (said, licence, _), shared in sources.items()]
        return "\n".join(lines) + "\n\n" + "\n\n".join(_bibtex(shared) for shared in sources.values())

    def _provenance(self, book: Ledger) -> Provenance | None:
        rows = book.rows("found")
        path = book.path(int(rows[0]), self.targets[int(rows[0])], self._answers) if len(rows) else None
        return provenance_of(book.survey, self._answers.load(path)) if path else None

    def _book(self, survey: str) -> Ledger:
        if survey not in self._ledgers:
            raise UnknownNameError("survey in this fetch", survey, self.surveys)
        return self._ledgers[survey]

    def _products(self, book: Ledger, path: str) -> dict[str, Modality]:
        """What one answer holds; the last few answers stay in memory."""
        key = (book.survey.name, path)
        with self._lock:
            if key in self._read:
                self._read.move_to_end(key)
                return self._read[key]
        products = self.fresh.take(*key)
        if products is None:
            products = dict(book.survey.read(self._answers.load(path)))
        with self._lock:
            self._read[key] = products
            while len(self._read) > ANSWERS_IN_MEMORY:
                self._read.popitem(last=False)
        return products

    def __repr__(self) -> str:
        lines = [f"Found: {_count(len(self.targets), 'target')} in {_count(len(self.surveys), 'survey')}"]
        width = max((len(name) for name in self.surveys), default=0)
        for name, book in self._ledgers.items():
            told = ", ".join(f"{n} {state}" for state, n in book.counts().items() if n or state == "found")
            marks = "".join(f"  ({mark})" for mark in (f"{book.outdated} of them stale" if book.outdated else "", "simulated" if book.survey.simulated else "") if mark)
            lines.append(f"  {name:<{width}}  {told}{marks}")
        if not self.complete:
            lines.append("found.status says why; found.retry() asks again for what failed or is pending.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{h}</th>" for h in ("survey", "modality", *STATES, ""))
        rows = []
        for name, book in self._ledgers.items():
            cells = [name, KIND_OF[book.survey.gives], *(str(n) for n in book.counts().values())]
            cells.append(", ".join(mark for mark in (f"{book.outdated} stale" if book.outdated else "", "simulated" if book.survey.simulated else "") if mark))
            rows.append("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in cells) + "</tr>")
        note = "" if self.complete else "<p><code>found.status</code> says why; <code>found.retry()</code> asks again for what failed or is pending.</p>"
        return f"<table><caption>{_count(len(self.targets), 'target')}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{note}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _bibtex(shared: Sequence[Provenance]) -> str:
    """One entry for the surveys of one source; braces of the text become parentheses, since BibTeX counts them."""
    first = shared[0]
    fields = {
        "title": ", ".join(p.survey for p in shared) + (f" ({first.release})" if first.release else ""),
        "year": first.retrieved[:4],
        "note": first.citation,
        "howpublished": f"retrieved {first.retrieved[:10]} with AstroFuse Lab",
    }
    body = ",\n".join(f"  {name} = {{{value.replace('{', '(').replace('}', ')')}}}" for name, value in fields.items() if value)
    return f"@misc{{{''.join(c if c.isalnum() else '-' for c in first.survey)},\n{body}\n}}"
