"""What a fetch found: the state of every target in every survey, and the products, read when asked for."""

import html
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from astrofuse_lab.cache import Answers
from astrofuse_lab.errors import TargetError, UnknownNameError
from astrofuse_lab.modalities import KIND_OF, Modality
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys.survey import Ask, Survey, provenance_of
from astrofuse_lab.targets import Targets

if TYPE_CHECKING:
    from astropy.table import Table

STATES = ("found", "empty", "failed", "pending")
ANSWERS_IN_MEMORY = 8


@dataclass
class Ledger:
    """The book of one survey: one line a target, in the order of the targets.

    Attributes
    ----------
    state : list of str
        ``found``; ``empty``: the survey was asked and has nothing there; ``failed``; ``pending``: not asked yet.
    path : list of str or None
        The cached answer that holds the target.
    message : dict of int to str
        Why a row failed, in the archive's own words.
    """

    survey: Survey
    ask: Ask
    state: list[str]
    path: list[str | None]
    message: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tally = Counter(self.state)

    @classmethod
    def new(cls, survey: Survey, ask: Ask, n: int) -> "Ledger":
        """All pending."""
        return cls(survey, ask, ["pending"] * n, [None] * n)

    def again(self) -> "Ledger":
        """A copy in which what failed is pending once more."""
        state = ["pending" if s == "failed" else s for s in self.state]
        return Ledger(self.survey, self.ask, state, list(self.path))

    def write(self, row: int, state: str, path: str | None = None, message: str = "") -> None:
        """Enter the outcome of one target."""
        self._tally[self.state[row]] -= 1
        self._tally[state] += 1
        self.state[row], self.path[row] = state, path
        self.message.pop(row, None)
        if message:
            self.message[row] = message

    def counts(self) -> dict[str, int]:
        """How many targets are in each state."""
        return {s: self._tally[s] for s in STATES}


class Found:
    """The outcome of `fetch`. Partial results are results.

    Products are read from the cached answers when asked for, so that memory stays flat however much was fetched.

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

    @property
    def status(self) -> "Table":
        """One row a target and survey: object_id, survey, modality, state, message.

        ``state`` is found, empty (the survey has nothing there), failed (the message says why) or pending.
        """
        from astropy.table import Table

        names = ("object_id", "survey", "modality", "state", "message")
        columns: dict[str, list[str]] = {name: [] for name in names}
        for row, object_id in enumerate(self.targets.ids):
            for name, book in self._ledgers.items():
                line = (object_id, name, KIND_OF[book.survey.gives], book.state[row], book.message.get(row, ""))
                for column, value in zip(names, line, strict=True):
                    columns[column].append(value)
        return Table(columns, names=names)

    @property
    def counts(self) -> "Table":
        """One row a survey: survey, modality, found, empty, failed, pending, simulated."""
        from astropy.table import Table

        rows = [
            {"survey": name, "modality": KIND_OF[book.survey.gives], **book.counts(), "simulated": book.survey.simulated}
            for name, book in self._ledgers.items()
        ]
        return Table(rows=rows)

    @property
    def complete(self) -> bool:
        """True when nothing failed and nothing is pending."""
        return all(s in ("found", "empty") for book in self._ledgers.values() for s in book.state)

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
        path = book.path[self._row[object_id]]
        return self._products(book, path).get(object_id) if path else None

    def products(self, survey: str) -> Iterator[tuple[str, Modality]]:
        """(object_id, product) of every target found in one survey, in the order of the targets."""
        book = self._book(survey)
        for row, object_id in enumerate(self.targets.ids):
            path = book.path[row]
            if book.state[row] == "found" and path:
                product = self._products(book, path).get(object_id)
                if product is not None:
                    yield object_id, product

    def retry(self, **options: Any) -> "Found":
        """Ask again for what failed or is pending, and for nothing else.

        Parameters
        ----------
        **options
            ``progress``, ``stop``, ``on_progress`` as in `fetch`.

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
        path = next((p for p, s in zip(book.path, book.state, strict=True) if p and s == "found"), None)
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
            lines.append(f"  {name:<{width}}  {told}{'  (simulated)' if book.survey.simulated else ''}")
        if not self.complete:
            lines.append("found.status says why; found.retry() asks again for what failed or is pending.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{h}</th>" for h in ("survey", "modality", *STATES, ""))
        rows = []
        for name, book in self._ledgers.items():
            cells = [name, KIND_OF[book.survey.gives], *(str(n) for n in book.counts().values()), "simulated" if book.survey.simulated else ""]
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
