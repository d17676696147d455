"""One student in one lesson: answers, checks, hints and reveals, kept as they happen."""

import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import AstroFuseError, InputError, SampleSetError, UnknownNameError
from astrofuse_lab.lessons.expectations import Judged, expected, judge, needs_samples
from astrofuse_lab.lessons.fingerprints import fingerprint
from astrofuse_lab.lessons.plan import CONTROL, Plan, Question, Task
from astrofuse_lab.lessons.progress import EVENTS, FORMAT, VERSION, now, plain_answer, read_progress, state_of
from astrofuse_lab.lessons.verdicts import Verdict
from astrofuse_lab.storage import cache_root, write_bytes, write_json

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

OPEN = "ASTROFUSE_LESSON"
"""Set to ``open``: results are shown without a prediction, as a teacher or the documentation wants them."""


class Session:
    """One student's way through a lesson.

    Parameters
    ----------
    plan : Plan
    student : str
        Stands in the exported file; "" for none.
    keep : bool
        Write the journal into the cache folder as it grows, and go on from it in a later kernel.
    folder : path, optional
        That of the lesson's file: sample sets beside it are found there.
    is_open : bool
        Results are shown without a prediction.

    Attributes
    ----------
    plan : Plan
    events : list of dict
    fingerprint : str
        Of the sample set at hand.
    problem : str
        Why the journal cannot be kept on the disk; "" where it can.
    """

    def __init__(self, plan: Plan, student: str = "", keep: bool = True, folder: Path | None = None, is_open: bool | None = None) -> None:
        self.plan, self.student, self.folder = plan, CONTROL.sub("", str(student))[:80].strip(), folder
        self.is_open = os.environ.get(OPEN, "") == "open" if is_open is None else is_open
        self.problem = ""
        self.data: dict[str, Any] = {}
        self.fingerprint = ""
        self._lock = threading.RLock()
        self._watchers: list[Callable[[], object]] = []
        self._keeps = keep
        self.path = self._place()
        self.events: list[dict[str, Any]] = self._kept()

    # ---- the journal ---------------------------------------------------------------------------------------------------

    def _place(self) -> Path | None:
        return cache_root() / "lessons" / f"{self.plan.name}{_slug(self.student)}.json" if self._keeps else None

    def rename(self, student: str) -> None:
        """Say who works here: goes on from what is kept under this name; what was done without a name is taken along."""
        with self._lock:
            nameless = self.events if not self.student else []
            self.student = CONTROL.sub("", str(student))[:80].strip()
            self.path = self._place()
            self.events = self._kept() or nameless
            self._keep()
        self.tell()

    def _kept(self) -> list[dict[str, Any]]:
        if self.path is None or not self.path.is_file():
            return []
        try:
            found = read_progress(self.path)
        except InputError as error:
            self.problem = f"What was kept of this lesson cannot be used: {error}"
            return []
        return list(found["events"]) if found["lesson"]["name"] == self.plan.name else []

    def note(self, item: str, what: str, **more: Any) -> None:
        """Write down that something happened, and tell whoever watches."""
        with self._lock:
            if len(self.events) >= EVENTS:
                self.problem = f"{EVENTS} events are written down; no more are."
                return
            self.events.append({"at": now(), "item": item, "what": what, **more})
            self._keep()
        self.tell()

    def note_latest(self, item: str, what: str, **more: Any) -> None:
        """As `note`; takes the place of the last event of the same kind, so that a game is one line."""
        with self._lock:
            self.events = [e for e in self.events if (e["item"], e["what"]) != (item, what)]
        self.note(item, what, **more)

    def tell(self) -> None:
        """Something changed: every view of the lesson draws anew."""
        for call in list(self._watchers):
            call()

    def _keep(self) -> None:
        if self.path is None:
            return
        try:
            write_bytes(self.path, json.dumps(self.progress(), allow_nan=False).encode())
        except (AstroFuseError, OSError) as error:
            self.problem = f"Your answers are kept in this kernel only: {error}"

    def watch(self, call: Callable[[], object]) -> None:
        """Call it after every event."""
        self._watchers.append(call)

    def unwatch(self, call: Callable[[], object]) -> None:
        """Call it no more."""
        if call in self._watchers:
            self._watchers.remove(call)

    @property
    def state(self) -> dict[str, dict[str, Any]]:
        """What stands of each item; see `progress.state_of`."""
        with self._lock:
            return state_of(list(self.events))

    def progress(self) -> dict[str, Any]:
        """The journal as the exported file holds it."""
        lesson = {"name": self.plan.name, "title": self.plan.title, "digest": self.plan.digest()}
        return {
            "format": FORMAT, "version": VERSION, "lesson": lesson, "student": self.student, "seed": self.plan.seed, "samples": self.fingerprint,
            "software": _version(), "events": list(self.events),
        }  # fmt: skip

    def save(self, path: str | Path | None = None) -> Path:
        """Write the progress file for the teacher.

        Parameters
        ----------
        path : path, optional
            None: ``<lesson>-<student>.lesson.json`` in the working folder. An own file of before is replaced.

        Returns
        -------
        Path

        Raises
        ------
        InputError
            If the place holds something else.
        StorageError
            If it cannot be written.
        """
        where = Path(path).expanduser().resolve() if path is not None else Path.cwd() / f"{self.plan.name}{_slug(self.student)}.lesson.json"
        if where.exists():
            try:
                read_progress(where)
            except InputError:
                raise InputError(f"{where} holds something else than the progress of a lesson and is not replaced. Give another path.") from None
        write_json(where, self.progress())
        return where

    def forget(self) -> None:
        """Begin anew: the journal is emptied, on the disk too."""
        with self._lock:
            self.events = []
            self._keep()
        self.tell()

    # ---- the class's data ----------------------------------------------------------------------------------------------

    def samples(self) -> "SampleSet":
        """The sample set of the lesson, the same for the whole class.

        Raises
        ------
        InputError
            If the lesson names none.
        SampleSetError
            If it is not the set that the lesson was made with.
        """
        from astrofuse_lab.samples.registry import load_samples
        from astrofuse_lab.samples.sample_set import SampleSet

        given = self.plan.samples
        if not given:
            raise InputError(f"the lesson {self.plan.name!r} names no sample set. Give one at the start: af.lesson.start(..., samples='practice', n=300).")
        if "folder" in given:
            base = (self.folder or Path.cwd()).resolve()
            place = (base / given["folder"]).resolve()
            if not place.is_relative_to(base):
                raise InputError(f"the folder {given['folder']!r} leads out of the lesson's own; it is not opened.")
            found = SampleSet.open(place)
        else:
            found = load_samples(given["name"], n=given.get("n"), seed=given.get("seed", 0))
        prints = fingerprint(found)
        if given.get("digest") and given["digest"] != prints:
            raise SampleSetError(
                f"this sample set ({prints}) is not the one the lesson was made with ({given['digest']}). Ask for the class's set, or update AstroFuse Lab as the class has it."
            )
        self.fingerprint = prints
        self.use(samples=found)
        return found

    def use(self, **data: Any) -> "Session":
        """Put data at hand for the checks: ``samples``, ``run``, ``table``, or what an expectation names with "of"."""
        self.data |= data
        if "samples" in data:
            self.fingerprint = fingerprint(data["samples"])
        self.tell()
        return self

    @property
    def seed(self) -> int:
        """The class's seed; give it to everything random: ``af.train(..., seed=lesson.seed)``."""
        return self.plan.seed

    def rng(self) -> np.random.Generator:
        """Random numbers that are the same for the whole class."""
        return np.random.default_rng(self.plan.seed)

    # ---- questions -----------------------------------------------------------------------------------------------------

    def question(self, name: str) -> Question:
        """A question by name."""
        return self._item(name, Question)

    def task_of(self, name: str) -> Task:
        """A task by name."""
        return self._item(name, Task)

    def _item(self, name: str, kind: type) -> Any:
        found = self.plan.items.get(name)
        if not isinstance(found, kind):
            raise UnknownNameError(f"{kind.__name__.lower()} in this lesson", name, [n for n, one in self.plan.items.items() if isinstance(one, kind)])
        return found

    def answer(self, name: str, answer: Any) -> None:
        """Store a prediction; the first one stands.

        Raises
        ------
        InputError
            If it is no answer to this question, or one is stored already.
        """
        read = self.question(name).read(answer)
        before = self.state.get(name, {})
        if before.get("answered"):
            raise InputError(f"you predicted {before['answer']!r} already; the first prediction stands.")
        self.note(name, "answered", answer=read)

    def answered(self, name: str) -> bool:
        """Whether a prediction is stored."""
        self.question(name)
        return bool(self.state.get(name, {}).get("answered"))

    def saw(self, name: str, outcome: Any = None) -> None:
        """Write down that the result was shown, and what came out."""
        if not self.state.get(name, {}).get("seen"):
            self.note(name, "shown")
        plain = plain_answer(outcome)
        if outcome is not None and self.state[name]["outcome"] != plain:
            self.note(name, "outcome", answer=plain)

    # ---- tasks ---------------------------------------------------------------------------------------------------------

    def judged(self, name: str, answer: Any) -> Judged:
        """What the data say to an answer; nothing is written down."""
        task = self.task_of(name)
        if task.check is not None:
            said = task.check(answer)
            ok = bool(said) and not isinstance(said, str)
            return Judged(ok, "The data agree." if ok else said if isinstance(said, str) else "The data do not agree.")
        assert task.expects is not None  # Task.of holds one of both
        self._ready(task.expects)
        found = judge(task.expects, answer, self.data)
        if not found.ok:
            for expects, words in task.mistakes:
                if judge(expects, answer, self.data).ok:
                    return Judged(False, words)
        return found

    def _ready(self, expects: Mapping[str, Any]) -> None:
        """Load the class's set where a check needs it and nobody has."""
        if self.plan.samples and "samples" not in self.data and needs_samples(expects):
            self.samples()

    def check(self, name: str, answer: Any = ...) -> Verdict:
        """Check an answer against the data; every try is written down.

        Parameters
        ----------
        name : str
            The task's.
        answer : object
            ``...`` or None: not answered yet.

        Returns
        -------
        Verdict
            True where the data agree.

        Raises
        ------
        InputError
            If there is no such task, or the data it needs are not at hand.
        """
        task = self.task_of(name)
        if answer is None or answer is ...:
            return Verdict(name, None, "Put your answer in the place of the dots.")
        found = self.judged(name, answer)
        self.note(name, "checked", ok=found.ok, answer=plain_answer(answer), words=found.words)
        if found.ok:
            return Verdict(name, True, found.words)
        left = len(task.hints) - self.state[name]["hints"]
        more = f" af.lesson.hint({name!r}) helps." if left > 0 else f" af.lesson.reveal({name!r}) shows the way." if task.reveal or task.expects else ""
        return Verdict(name, False, found.words + more)

    def hint(self, name: str) -> str:
        """The next hint to a task; after the last, the last again."""
        task = self.task_of(name)
        if not task.hints:
            return "There is no hint to this task."
        used = self.state.get(name, {}).get("hints", 0)
        if used < len(task.hints):
            self.note(name, "hint")
        return task.hints[min(used, len(task.hints) - 1)]

    def reveal(self, name: str) -> str:
        """The way to the answer, and what the data say; it is written down that it was asked for."""
        task = self.task_of(name)
        if not self.state.get(name, {}).get("revealed"):
            self.note(name, "revealed")
        return self.solution(task)

    def solution(self, task: Task) -> str:
        """As `reveal`, for a view that shows it again."""
        try:
            self._ready(task.expects or {})
            truth = expected(task.expects, self.data) if task.expects is not None else ""
        except AstroFuseError as error:
            truth = f"(not known: {error})"
        return " ".join(part for part in (task.reveal, f"The data give: {truth}." if truth else "") if part) or "Nothing is written for this task."

    def done(self) -> tuple[int, int]:
        """How many items are done, and how many there are."""
        state = self.state
        finished = [n for n, one in self.plan.items.items() if is_done(one, state.get(n, {}))]
        return len(finished), len(self.plan.items)

    def __repr__(self) -> str:
        done, of = self.done()
        return f"Lesson({self.plan.title!r}, {done} of {of} done{f', {self.student}' if self.student else ''})"


def is_done(item: Any, now: Mapping[str, Any]) -> bool:
    """Whether a question is answered, a task right, or all samples of a contest told."""
    if isinstance(item, Question):
        return bool(now.get("answered"))
    return bool(now.get("ok")) if isinstance(item, Task) else len((now.get("played") or {}).get("rows", ())) >= len(item.ids)


def _version() -> str:
    try:
        return metadata.version("astrofuse-lab")
    except metadata.PackageNotFoundError:
        return "unknown"


def _slug(student: str) -> str:
    """A student's name as a part of a file's name; "" for none."""
    plain = re.sub(r"[^a-z0-9]+", "-", student.casefold()).strip("-")[:40]
    return f"-{plain}" if plain else ""
