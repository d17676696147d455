"""What a lesson is made of: objectives, questions to predict, tasks checked by the data, hints, reveal, the sample set and the seed.

A plan is data. One that came in a file holds no code: its checks are rows of the vocabulary in `expectations`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.lessons.expectations import read_expectation

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
TITLE, TEXT, WORDS = 200, 4000, 400
"""Characters at most of a title, of a text, of a choice, hint or objective."""
ITEMS, CHOICES, HINTS, OBJECTIVES = 200, 20, 10, 20
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def text_of(value: Any, what: str, most: int = TEXT, empty: bool = True) -> str:
    """A text of bounded length, without characters that a terminal or a page obeys.

    Raises
    ------
    InputError
        If it is no text, too long, or empty where it may not be.
    """
    if not isinstance(value, str):
        raise InputError(f"{what} is a {type(value).__name__}; text is needed.")
    clean = CONTROL.sub("", value).strip()
    if len(clean) > most:
        raise InputError(f"{what} has {len(clean)} characters; {most} are the most.")
    if not clean and not empty:
        raise InputError(f"{what} is empty. Say it in a few words.")
    return clean


def name_of(value: Any, what: str) -> str:
    """A short name that can stand in a file's name.

    Raises
    ------
    InputError
        If it cannot.
    """
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise InputError(f"{what} {str(value)[:60]!r} is no name. Type up to 40 small letters, digits, - or _, e.g. 'first-fusion'.")
    return value


def _texts(values: Any, what: str, most: int, length: int = WORDS) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InputError(f"{what} is a {type(values).__name__}; a list of texts is needed.")
    if len(values) > most:
        raise InputError(f"{len(values)} {what} were given; {most} are the most.")
    return tuple(text_of(v, f"one of the {what}", length, empty=False) for v in values)


@dataclass(frozen=True)
class Question:
    """Something to predict before the result is seen.

    Attributes
    ----------
    name : str
    text : str
    choices : tuple of str
        Empty: a number where `unit` is given, else a sentence.
    unit : str
        Of the number asked for; "1" for one without a unit.
    """

    name: str
    text: str
    choices: tuple[str, ...] = ()
    unit: str = ""

    @classmethod
    def of(cls, name: str, text: str, choices: Sequence[str] = (), unit: str = "") -> "Question":
        """The same, checked and bounded.

        Raises
        ------
        InputError
            If a part is no text, too long, or there is one choice or two alike.
        """
        listed = _texts(choices, "choices", CHOICES)
        if len(listed) == 1 or len(set(listed)) < len(listed):
            raise InputError(f"choices={list(listed)!r}: give two or more, no two alike, or none for a free answer.")
        return cls(name_of(name, "the question's name"), text_of(text, "the question", empty=False), listed, text_of(unit, "unit", 40))

    def read(self, answer: Any) -> str | float:
        """An answer as it is stored.

        Raises
        ------
        InputError
            If it is empty, none of the choices, or no number where one is asked for.
        """
        if self.choices:
            if answer not in self.choices:
                raise UnknownNameError(f"choice of {self.name!r}", answer, self.choices)
            return str(answer)
        if self.unit:
            try:
                number = float(answer)
            except (TypeError, ValueError):
                raise InputError(f"{str(answer)[:60]!r} is no number. {self.name!r} asks for one{'' if self.unit == '1' else f' in {self.unit}'}.") from None
            if number != number or abs(number) == float("inf"):
                raise InputError(f"{number} is not a finite number; {self.name!r} asks for one.")
            return number
        return text_of(answer, "the answer", TEXT, empty=False)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"kind": "question", "name": self.name, "text": self.text, "choices": list(self.choices), "unit": self.unit}


@dataclass(frozen=True)
class Task:
    """Something to do, checked by the data itself.

    Attributes
    ----------
    name : str
    text : str
    expects : mapping or None
        A row of the vocabulary in `expectations`.
    mistakes : tuple of (mapping, str)
        Answers that are often given, and what is said to them.
    hints : tuple of str
        Shown one after the other.
    reveal : str
        Shown when the student gives up.
    check : callable, optional
        ``check(answer)`` gives True, False, or a sentence that says what is wrong; only for lessons made in Python.
    """

    name: str
    text: str
    expects: Mapping[str, Any] | None = None
    mistakes: tuple[tuple[Mapping[str, Any], str], ...] = ()
    hints: tuple[str, ...] = ()
    reveal: str = ""
    check: Callable[[Any], bool | str] | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls, name: str, text: str, expects: Mapping[str, Any] | None = None, *, mistakes: Sequence[tuple[Mapping[str, Any], str]] = (), hints: Sequence[str] = (),
        reveal: str = "", check: Callable[[Any], bool | str] | None = None,
    ) -> "Task":  # fmt: skip
        """The same, checked and bounded.

        Raises
        ------
        InputError
            If a part is no text, too long, or there is not one way to check it.
        """
        if (expects is None) == (check is None):
            raise InputError(f"task {name!r}: give expects={{...}} or check=, one of them. help(af.lesson) lists what can be expected.")
        wrong = tuple((read_expectation(one), text_of(words, "what is said to a mistake", WORDS, empty=False)) for one, words in mistakes)
        return cls(
            name_of(name, "the task's name"), text_of(text, "the task", empty=False), None if expects is None else read_expectation(expects), wrong,
            _texts(hints, "hints", HINTS), text_of(reveal, "reveal"), check,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """As plain values, without what would give the answer away."""
        return {"kind": "task", "name": self.name, "text": self.text, "hints": len(self.hints), "reveal": bool(self.reveal)}


@dataclass
class Plan:
    """A lesson: who has it open can answer, check, and ask for hints.

    Attributes
    ----------
    name, title : str
    objectives : tuple of str
        What one can do afterwards.
    minutes : int
        What it takes; 0 where nobody has said.
    seed : int
        Of everything random, the same for the whole class.
    samples : mapping
        ``{"name": ..., "n": ..., "seed": ...}`` of ``af.load_samples``, or ``{"folder": ...}`` beside the lesson file; with ``"digest"`` of what the class must have.
    items : dict of str to Question, Task or Contest
        In order.
    body : list of (str, object)
        ``("text", words)``, ``("item", name)`` and so on as they stand in a page; empty for a lesson made in Python.
    source : str
        The page's file name.
    """

    name: str
    title: str
    objectives: tuple[str, ...] = ()
    minutes: int = 0
    seed: int = 0
    samples: Mapping[str, Any] = field(default_factory=dict)
    items: dict[str, Any] = field(default_factory=dict)
    body: list[tuple[str, Any]] = field(default_factory=list)
    source: str = ""

    @classmethod
    def of(
        cls, name: str, title: str = "", objectives: Sequence[str] = (), minutes: int = 0, seed: int = 0, samples: Mapping[str, Any] | None = None
    ) -> "Plan":
        """The same, checked and bounded.

        Raises
        ------
        InputError
            If a part cannot be used.
        """
        numbers = {"minutes": (minutes, 600), "seed": (seed, 2**32 - 1)}
        for what, (value, most) in numbers.items():
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
                raise InputError(f"{what}={str(value)[:40]!r}: a whole number from 0 to {most} is needed.")
        name = name_of(name, "the lesson's name")
        return cls(name, text_of(title, "title", TITLE) or name, _texts(objectives, "objectives", OBJECTIVES), minutes, seed, samples_of(samples or {}))

    def add(self, item: Any) -> None:
        """One more item; one of the same name and kind is replaced in its place, since a cell may run again.

        Raises
        ------
        InputError
            If the name belongs to an item of the other kind, or there are too many.
        """
        before = self.items.get(item.name)
        if before is not None and type(before) is not type(item):
            raise InputError(f"{item.name!r} already is a {type(before).__name__.lower()} of this lesson. Give the {type(item).__name__.lower()} another name.")
        if before is None and len(self.items) >= ITEMS:
            raise InputError(f"a lesson has at most {ITEMS} questions and tasks.")
        self.items[item.name] = item

    def digest(self) -> str:
        """Says which lesson a progress file belongs to."""
        said = [self.name, self.seed, dict(self.samples), [[one.name, one.text] for one in self.items.values()]]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode("utf-8", "replace")).hexdigest()[:16]


def samples_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Which sample set a lesson asks for; a folder must lie beside the lesson.

    Raises
    ------
    InputError
        If it names none, or a folder elsewhere.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"samples is a {type(given).__name__}; type e.g. {{'name': 'practice', 'n': 300}}.")
    known = {"name": str, "folder": str, "n": int, "seed": int, "digest": str}
    for key, value in given.items():
        if key not in known:
            raise UnknownNameError("entry of a lesson's samples", key, known)
        if not isinstance(value, known[key]) or isinstance(value, bool):
            raise InputError(f"samples: {key}={str(value)[:40]!r} is a {type(value).__name__}; {known[key].__name__} is needed.")
    folder = given.get("folder")
    if folder is not None and (not folder or folder.startswith(("/", "\\", "~")) or ":" in folder or ".." in re.split(r"[/\\]", folder)):
        raise InputError(f"samples: the folder {folder[:80]!r} does not lie beside the lesson. Give a path below the lesson's own folder.")
    if given and ("name" in given) == ("folder" in given):
        raise InputError("samples: give a name, as in af.load_samples, or a folder beside the lesson.")
    return dict(given)
