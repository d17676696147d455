"""`LabelBook`: what several people said of objects, with "not sure", undo, agreement and consensus; nothing is lost when a kernel dies.

Each act is one line of a journal (`annotations_journal`), on the disk before `say` returns; what holds follows from replaying it, so that
nothing is ever overwritten, undone acts included. `SampleSet.annotations` is simpler: one person's labels, written while paging.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import CONTROL, AstroFuseError, InputError
from astrofuse_lab.samples.annotations import LABEL, LABELS, _checked, beside
from astrofuse_lab.samples.annotations_agreement import Agreement, agreement_of
from astrofuse_lab.samples.annotations_journal import HEADER, Entry, Journal, text_of
from astrofuse_lab.storage import cache_root, write_bytes

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet

UNSURE = "not sure"
ID = 500
"""Characters of an id at most."""
AT_ONCE = 5000
"""Ids in one line of the journal at most."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}")


class Said(NamedTuple):
    """One answer: a label, or "" and `unsure`; when (UTC, ISO 8601)."""

    label: str
    unsure: bool
    time: str = ""


class LabelBook:
    """Labels by object and annotator.

    Parameters
    ----------
    path : path, optional
        The journal. None: memory only. `LabelBook.of(samples)` gives the one that belongs to a set.

    Attributes
    ----------
    path : Path or None
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path).expanduser().resolve()
        self._journal = Journal(self.path)
        self._lock = threading.RLock()
        self._watchers: list[Callable[[list[str]], None]] = []
        self._forget()

    @classmethod
    def of(cls, samples: "SampleSet", name: str = "labels") -> "LabelBook":
        """The book of a set: in its folder; of a set that is in no folder, in ``annotations/`` of the cache, by its ids.

        Parameters
        ----------
        samples : SampleSet
        name : str
            Another question about the same set has another book.
        """
        if not NAME.fullmatch(name):
            raise InputError(f"a book named {name!r}: letters, digits, - and _, e.g. 'merging'.")
        folder, stem = _place(samples)
        return cls(folder / f"{stem}{name}.jsonl")

    # ---- writing -----------------------------------------------------------------------------------------------------

    def say(self, ids: str | Iterable[str], label: str | None, by: str = "me") -> None:
        """Label one object or several, in place of what the same annotator said before.

        Parameters
        ----------
        ids : str or iterable of str
        label : str or None
            None: not sure. "": what this annotator said is taken away.
        by : str
            The annotator.

        Raises
        ------
        InputError
            For a label, name or id that is too long, an empty name, or more labels than `LABELS`.
        StorageError
            If the journal cannot be written; the labels are kept in memory and go with the next act.
        SampleSetError
            If the file is something else; it is left alone.
        """
        wanted = [self._id(i) for i in ([ids] if isinstance(ids, str) else ids)]
        given, who = label_of(label), annotator_of(by)
        with self._lock:
            self._refresh()
            if given and given not in self._labels and len(self._labels) >= LABELS:
                raise InputError(f"{LABELS} labels are in use, the most there can be; {given!r} would be one more.")
        for begin in range(0, len(wanted), AT_ONCE):
            part = wanted[begin : begin + AT_ONCE]
            self._add({"do": "say", "by": who, "ids": part, "label": given, "time": _now()}, part)

    def undo(self, by: str = "me") -> tuple[str, ...]:
        """Take back the annotator's last act; the ids it was about, none where there is nothing to undo."""
        return self._back("undo", by)

    def redo(self, by: str = "me") -> tuple[str, ...]:
        """Do again what was undone last, unless something else was said since."""
        return self._back("redo", by)

    def _back(self, do: str, by: str) -> tuple[str, ...]:
        who = annotator_of(by)
        with self._lock:
            self._refresh()
            acts = (self._acts if do == "undo" else self._undone).get(who)
            if not acts:
                return ()
            ids = acts[-1][0]
            self._add({"do": do, "by": who, "time": _now()}, ids)
            return tuple(ids)

    def steps(self, by: str = "me") -> tuple[int, int]:
        """How many acts the annotator can undo, and redo."""
        who = annotator_of(by)
        with self._lock:
            self._refresh()
            return len(self._acts.get(who, ())), len(self._undone.get(who, ()))

    def keep(self, kind: str, values: Mapping[str, Any]) -> None:
        """Write down something beside the labels, e.g. a point of a learning curve; `kept` gives it back."""
        self._add({"do": "keep", "kind": kind, "values": dict(values), "time": _now()}, [])

    def kept(self, kind: str) -> list[dict[str, Any]]:
        """All that was kept of a kind, in order."""
        with self._lock:
            self._refresh()
            every = (*self._journal.entries, *self._journal.waiting)
            return [dict(one["values"]) for one in every if one.get("do") == "keep" and one.get("kind") == kind and isinstance(one.get("values"), dict)]

    def _add(self, entry: Entry, ids: list[str]) -> None:
        failed: AstroFuseError | None = None
        with self._lock:
            self._refresh()
            try:
                others, anew = self._journal.add([entry])
            except AstroFuseError as error:
                failed, others, anew = error, [], True
            if anew:
                self._replay_all()
            else:
                for one in [*others, entry]:
                    self._replay(one)
        for tell in list(self._watchers):  # what is kept in memory only is said all the same
            tell(list(ids))
        if failed is not None:
            raise failed

    @staticmethod
    def _id(value: object) -> str:
        text = str(value).encode("utf-8", "replace").decode()
        if not 0 < len(text) <= ID:
            raise InputError(f"an object id of {len(text)} characters; 1 to {ID}.")
        return text

    # ---- what holds now ------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._acts: dict[str, list[tuple[list[str], Said]]] = {}
        self._undone: dict[str, list[tuple[list[str], Said]]] = {}
        self._said: dict[str, dict[str, list[Said]]] = {}
        self._labels: dict[str, None] = {}

    def _refresh(self) -> None:
        """Read what other kernels added."""
        found, anew = self._journal.news()
        if anew:
            self._replay_all()
        for entry in () if anew else found:
            self._replay(entry)

    def _replay_all(self) -> None:
        self._forget()
        for entry in (*self._journal.entries, *self._journal.waiting):
            self._replay(entry)

    def _replay(self, entry: Entry) -> None:
        do, who = entry.get("do"), text_of(entry, "by")
        if do == "say" and who and isinstance(entry.get("ids"), list):
            label = entry.get("label")
            said = Said(label if isinstance(label, str) else "", label is None, text_of(entry, "time"))
            act = ([i for i in entry["ids"] if isinstance(i, str)], said)
            self._acts.setdefault(who, []).append(act)
            self._undone.pop(who, None)
            self._put(who, act)
        elif do == "undo" and self._acts.get(who):
            act = self._acts[who].pop()
            self._undone.setdefault(who, []).append(act)
            for i in act[0]:
                self._said[i][who].pop()
        elif do == "redo" and self._undone.get(who):
            act = self._undone[who].pop()
            self._acts.setdefault(who, []).append(act)
            self._put(who, act)

    def _put(self, who: str, act: tuple[list[str], Said]) -> None:
        ids, said = act
        if said.label:
            self._labels[said.label] = None
        for i in ids:
            self._said.setdefault(i, {}).setdefault(who, []).append(said)

    def votes(self, object_id: str) -> dict[str, Said]:
        """What each annotator says of an object, "not sure" included."""
        with self._lock:
            self._refresh()
            return self._votes(str(object_id))

    def _votes(self, object_id: str) -> dict[str, Said]:
        each = self._said.get(object_id, {})
        return {who: said[-1] for who, said in each.items() if said and (said[-1].label or said[-1].unsure)}

    def every(self) -> dict[str, dict[str, Said]]:
        """All votes, by object, in the order objects were first labelled."""
        with self._lock:
            self._refresh()
            found = {i: self._votes(i) for i in self._said}
            return {i: votes for i, votes in found.items() if votes}

    def get(self, object_id: str, by: str = "me") -> Said | None:
        """What one annotator says of an object; None where nothing."""
        return self.votes(object_id).get(annotator_of(by))

    def ids(self, by: str | None = None) -> list[str]:
        """Objects that anyone, or one annotator, has said something of."""
        return [i for i, votes in self.every().items() if by is None or by in votes]

    @property
    def annotators(self) -> tuple[str, ...]:
        """Whoever has said something that holds."""
        return tuple(dict.fromkeys(who for votes in self.every().values() for who in votes))

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels ever used, in the order they were first given."""
        with self._lock:
            self._refresh()
            return tuple(self._labels)

    @property
    def unsaved(self) -> bool:
        """Some acts could not be written yet; they are kept in memory and go with the next one."""
        return bool(self._journal.waiting)

    @property
    def torn(self) -> int:
        """Lines of the journal that cannot be read, e.g. because the disk was full in the midst of one."""
        return self._journal.torn

    def __len__(self) -> int:
        return len(self.every())

    def watch(self, call: Callable[[list[str]], None]) -> None:
        """Call with the ids after each act of this process, on the thread that makes it."""
        self._watchers.append(call)

    def unwatch(self, call: Callable[[list[str]], None]) -> None:
        """Call no more."""
        self._watchers = [one for one in self._watchers if one != call]

    # ---- several people ------------------------------------------------------------------------------------------------

    def codes(self, annotators: Iterable[str] | None = None) -> tuple[list[str], list[str], NDArray[np.int64]]:
        """Objects, annotators, and codes of labels (object, annotator): -1 where there is none or "not sure"."""
        every = self.every()
        names = list(annotators) if annotators is not None else list(self.annotators)
        place = {label: code for code, label in enumerate(self.labels)}
        rows = [[place.get(votes[who].label, -1) if who in votes else -1 for who in names] for votes in every.values()]
        return list(every), names, np.array(rows, dtype=np.int64).reshape(len(every), len(names))

    def agreement(self, annotators: Iterable[str] | None = None, measure: str | None = None, resamples: int = 1000) -> Agreement:
        """Agreement beyond chance; "not sure" counts as no answer. `measure`: see `annotations_agreement.agreement_of`."""
        return agreement_of(self.codes(annotators)[2], resamples, measure=measure)

    def consensus(self, least: int = 1, share: float = 0.5) -> "Table":
        """What most say.

        Parameters
        ----------
        least : int
            Labels that an object must have ("not sure" is none).
        share : float
            The winner has more than this share of the labels; below a half, the most frequent label may win. A tie never wins.

        Returns
        -------
        Table
            One row a labelled object: object_id, label (masked without consensus), votes (of the most frequent label), of (labels),
            unsure, share.
        """
        from astropy.table import MaskedColumn, Table

        if not (isinstance(least, int) and least >= 1 and 0 <= share < 1):
            raise InputError(f"consensus(least={least!r}, share={share!r}): least is 1 or more, share at least 0 and below 1.")
        rows = []
        for object_id, votes in self.every().items():
            count = Counter(said.label for said in votes.values() if not said.unsure).most_common(2)
            of = sum(not said.unsure for said in votes.values())
            first = count[0] if count else ("", 0)
            tie = len(count) > 1 and count[1][1] == first[1]
            won = of >= least and not tie and first[1] > share * of
            rows.append((object_id, first[0] if won else "", first[1], of, len(votes) - of, first[1] / of if of else np.nan))
        columns = list(zip(*rows, strict=True)) or [()] * 6
        kinds = {"object_id": str, "label": str, "votes": int, "of": int, "unsure": int, "share": float}
        table = Table({name: np.array(column, dtype=kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)})
        table["label"] = MaskedColumn(table["label"], mask=np.asarray(table["label"]) == "")
        return table

    def disagreements(self) -> list[str]:
        """Objects that annotators gave different labels to."""
        return [i for i, votes in self.every().items() if len({said.label for said in votes.values() if not said.unsure}) > 1]

    # ---- out and in ----------------------------------------------------------------------------------------------------

    def table(self) -> "Table":
        """One row an answer: object_id, annotator, label ("" where not sure), unsure, time."""
        from astropy.table import Table

        rows = [(i, who, *said) for i, votes in self.every().items() for who, said in votes.items()]
        columns = list(zip(*rows, strict=True)) or [()] * 5
        return Table({n: np.array(c, dtype=k) for n, c, k in zip(("object_id", "annotator", "label", "unsure", "time"), columns, (str, str, str, bool, str), strict=True)})

    def export(self, path: str | Path, format: str | None = None, overwrite: bool = False) -> Path:
        """Write all answers to a file; see `annotations_exchange.export`."""
        from astrofuse_lab.samples.annotations_exchange import export

        return export(self, path, format, overwrite)

    def add(self, source: "str | Path | Table", by: str | None = None) -> int:
        """Take answers from a file that `export` or Zooniverse wrote, or a table with object_id and label; how many. See `annotations_exchange.read`."""
        from astrofuse_lab.samples.annotations_exchange import add

        return add(self, source, by)

    def __repr__(self) -> str:
        torn = f"; {self.torn} line(s) of it cannot be read" if self.torn else ""
        where = f"kept in {self.path}{torn}" if self.path else "in memory: LabelBook(path) keeps it"
        return f"LabelBook({len(self)} objects, by {', '.join(self.annotators) or 'nobody'}; {where})"


def _place(samples: "SampleSet") -> tuple[Path, str]:
    """Folder and beginning of the names of a set's books."""
    near = beside(samples.path)
    if near is not None:
        return near.parent, "" if near.parent == samples.path else f"{near.stem}."
    digest = sha256("\n".join(sorted(map(str, samples.object_ids))).encode("utf-8", "replace")).hexdigest()[:16]
    return cache_root() / "annotations", f"{digest}."


def copy_books(samples: "SampleSet", folder: Path) -> None:
    """Put the books of a set into a folder that it is saved to."""
    where, stem = _place(samples)
    for path in sorted(where.glob(f"{stem}*.jsonl")) if where.is_dir() else ():
        content = path.read_bytes()
        if content.startswith(HEADER):
            write_bytes(folder / path.name[len(stem) :], content)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def label_of(label: str | None) -> str | None:
    """A label as it is kept: one line, no control characters; None for "not sure".

    Raises
    ------
    InputError
        If it is too long.
    """
    if label is None or str(label).strip().lower() == UNSURE:
        return None
    return _checked("label", CONTROL.sub("", str(label)), LABEL)


def annotator_of(name: str) -> str:
    """A name as it is kept: one line, not empty."""
    text = _checked("annotator's name", CONTROL.sub("", str(name)), LABEL) or ""
    if not text:
        raise InputError("an annotator needs a name, e.g. by='ann'.")
    return text
