"""What a student did in a lesson: a journal of events, kept on the disk as it grows, and exported as one file for the teacher.

::

    {"format": "astrofuse-lesson-progress", "version": 1, "lesson": {"name", "title", "digest"}, "student": "...", "seed": 7, "samples": "3f2a...",
     "software": "0.1.0", "events": [{"at": "2026-11-22T08:40:00Z", "item": "better", "what": "answered", "answer": "About the same"}, ...]}

Events: ``answered`` and ``shown`` of a question, ``outcome`` of what came out, ``checked``, ``hint`` and ``revealed`` of a task, ``played`` of a game. Their order is the order in which they happened:
an answer stands before what was shown after it. The file is plain text that its owner can change; it is a diary, not an examination.
"""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from astrofuse_lab.errors import InputError
from astrofuse_lab.lessons.plan import NAME, TITLE, text_of

FORMAT, VERSION = "astrofuse-lesson-progress", 1
EVENTS, BYTES, ANSWER = 5000, 2_000_000, 2000
"""At most, in one file: events, bytes, and characters of an answer."""
KINDS = ("answered", "shown", "outcome", "checked", "hint", "revealed", "played")
PLAYED = 500
"""Samples of one game at most."""


def now() -> str:
    """The time, as it stands in a journal."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plain_answer(answer: Any) -> str | float | int | bool | list[str] | None:
    """An answer as a journal can hold it: a number, a text, a few ids; of other things their words, cut."""
    if answer is None or isinstance(answer, bool | int):
        return answer
    if isinstance(answer, float | np.floating | np.integer | np.bool_):
        value = answer.item() if isinstance(answer, np.generic) else answer
        return value if not isinstance(value, float) or math.isfinite(value) else str(value)
    if isinstance(answer, str):
        return answer[:ANSWER]
    if isinstance(answer, list | tuple | set | np.ndarray):
        return [str(one)[:80] for one in list(answer)[:20]]
    return repr(answer)[:200]


def read_progress(source: str | Path | bytes) -> dict[str, Any]:
    """The content of a progress file, checked; nothing in it is executed.

    Parameters
    ----------
    source : path or bytes

    Returns
    -------
    dict
        As in the module's own words; events of unknown kinds, and what is out of bounds, are left out.

    Raises
    ------
    InputError
        If it cannot be read, is too large or no progress file.
    """
    name = str(source) if not isinstance(source, bytes) else "these bytes"
    try:
        if not isinstance(source, bytes):
            with open(source, "rb") as file:
                source = file.read(BYTES + 1)
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror}).") from None
    if len(source) > BYTES:
        raise InputError(f"{name} has more than {BYTES // 1_000_000} MB: no progress file is that large.")
    try:
        found = json.loads(source.decode("utf-8"))
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise InputError(f"{name} is no JSON text. Progress files are written by lesson.save().") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{name} is no progress file of a lesson. They are written by lesson.save().")
    if found.get("version") != VERSION:
        raise InputError(f"{name} is of version {str(found.get('version'))[:20]!r}; this AstroFuse Lab reads version {VERSION}. Install a newer one.")
    return _checked(found, name)


def _checked(found: dict[str, Any], name: str) -> dict[str, Any]:
    lesson, events = found.get("lesson"), found.get("events")
    if not isinstance(lesson, dict) or not isinstance(events, list) or len(events) > EVENTS:
        raise InputError(f"{name} holds no lesson, or more than {EVENTS} events.")
    if not isinstance(lesson.get("name"), str) or not NAME.fullmatch(lesson["name"]):
        raise InputError(f"{name} names no lesson.")
    short = {key: _short(found.get(key), 80) for key in ("student", "samples", "software")}
    seed = found.get("seed")
    return {
        "lesson": {"name": lesson["name"], "title": _short(lesson.get("title"), TITLE), "digest": _short(lesson.get("digest"), 64)},
        **short, "seed": seed if isinstance(seed, int) and not isinstance(seed, bool) else 0,
        "events": [event for event in map(_event, events) if event is not None],
    }  # fmt: skip


def _short(value: Any, most: int) -> str:
    try:
        return text_of(value if isinstance(value, str) else "", "it", most)
    except InputError:
        return text_of(value[: most // 2], "it", most)


def _event(event: Any) -> dict[str, Any] | None:
    if not isinstance(event, dict) or event.get("what") not in KINDS or not isinstance(event.get("item"), str) or not NAME.fullmatch(event["item"]):
        return None
    out: dict[str, Any] = {"at": _short(event.get("at"), 20), "item": event["item"], "what": event["what"]}
    for key in ("answer", "words"):
        if isinstance(event.get(key), str):
            out[key] = _short(event[key], ANSWER)
    if isinstance(event.get("answer"), bool | int | float) and math.isfinite(event["answer"]) and abs(event["answer"]) < 1e300:
        out["answer"] = event["answer"]
    if isinstance(event.get("answer"), list):
        out["answer"] = [_short(one, 80) for one in event["answer"][:20]]
    if isinstance(event.get("ok"), bool):
        out["ok"] = event["ok"]
    if event["what"] == "played" and isinstance(event.get("game"), dict):
        out["game"] = _game(event["game"])
    return out


def _game(game: dict[str, Any]) -> dict[str, Any]:
    """Classes, and for each sample the id and the numbers of the true class, the person's and the model's; -1 for none."""
    listed = game.get("classes")
    classes = [_short(one, 80) for one in listed[:20]] if isinstance(listed, list) else []
    rows = game.get("rows")
    kept = []
    for row in rows[:PLAYED] if isinstance(rows, list) else []:
        if not (isinstance(row, list) and len(row) == 4 and isinstance(row[0], str)):
            continue
        if all(isinstance(k, int) and not isinstance(k, bool) and -1 <= k < len(classes) for k in row[1:]):
            kept.append([_short(row[0], 80), *row[1:]])
    looks = {
        key: value
        for key in ("yours", "models", "chance")
        if isinstance(value := game.get(key), int | float) and not isinstance(value, bool) and 0 <= value <= 1
    }
    return {"classes": classes, "rows": kept, **looks}


def state_of(events: list[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What stands of each item after all that happened.

    Returns
    -------
    dict
        By item: answer, answered (time), seen (a result was shown), early (it was shown before the answer), outcome, tries, ok (None before the first try), words, first (right at once), hints, revealed,
        helped (hints or the reveal came before the first right answer).
    """
    out: dict[str, dict[str, Any]] = {}
    for event in events:
        blank = {
            "answer": None,
            "answered": "",
            "seen": False,
            "early": False,
            "outcome": None,
            "tries": 0,
            "ok": None,
            "words": "",
            "first": False,
            "hints": 0,
            "revealed": False,
            "helped": False,
            "played": None,
        }
        one = out.setdefault(event["item"], blank)
        what = event["what"]
        if what == "answered" and not one["answered"]:
            one |= {"answer": event.get("answer"), "answered": event["at"]}
        elif what == "shown":
            one |= {"seen": True, "early": one["early"] or not one["answered"]}
        elif what == "outcome":
            one["outcome"] = event.get("answer")
        elif what == "checked":
            one["tries"] += 1
            ok = bool(event.get("ok"))
            if ok and not one["ok"]:
                one |= {"first": one["tries"] == 1, "helped": bool(one["hints"] or one["revealed"])}
            # a later wrong try takes nothing away
            one |= {"ok": bool(one["ok"]) or ok, "words": event.get("words", ""), "answer": event.get("answer")}
        elif what == "hint":
            one["hints"] += 1
        elif what == "revealed":
            one["revealed"] = True
        elif what == "played":
            one["played"] = event.get("game") or one["played"]
    return out
