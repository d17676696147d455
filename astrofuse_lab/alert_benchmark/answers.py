"""Reading what a model answered: the JSON object wherever it stands in the text, and its parts as far as they make sense. Nothing here raises."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from astrofuse_lab.alert_benchmark.prompt import BANDS, PATHS, READ, SELF, SIGNS

LONGEST = 1_000_000
"""Characters of an answer that are looked at."""
MOST = 200
"""Places at which an object is looked for."""
THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|$)", re.DOTALL)
SAME = {
    "stage1": {"artifact": "artifact", "artefact": "artifact", "bogus": "artifact", "realobject": "real_object", "real": "real_object"},
    "stage2": {"solarsystem": "solar_system", "asteroid": "solar_system", "astrophysical": "astrophysical"},
    "stage3": {"supernova": "supernova", "sn": "supernova", "variablestar": "variable_star", "vs": "variable_star", "agn": "AGN", "activegalacticnucleus": "AGN"},
}
NONE = ("na", "none", "null", "notapplicable")
CLASS_OF = {path: name for name, path in PATHS.items()}


@dataclass(frozen=True)
class Answer:
    """What an answer says.

    Attributes
    ----------
    parsed : bool
        A JSON object with a part of the form was found.
    read : mapping
        Part A, as far as it holds values of the right kind.
    self_scores : tuple of int, optional
        The three of Part B; None unless all are whole numbers from 0 to 5.
    stages : tuple of str, optional
        Part C; None unless all three are words of the form.
    final : str, optional
        The class that the stages lead to; None where they contradict each other.
    faults : tuple of str
        What is malformed, in words.
    """

    parsed: bool
    read: Mapping[str, Any] = field(default_factory=dict)
    self_scores: tuple[int, int, int] | None = None
    stages: tuple[str, str, str] | None = None
    final: str | None = None
    faults: tuple[str, ...] = ()

    @property
    def confidence(self) -> float | None:
        """Mean of the self scores."""
        return None if self.self_scores is None else sum(self.self_scores) / 3


def found(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text that has a part of the form; else the first object; thoughts in ``<think>`` are left out."""
    text = THOUGHT.sub("", text[:LONGEST])
    decoder, first, place = json.JSONDecoder(), None, -1
    for _ in range(MOST):
        place = text.find("{", place + 1)
        if place < 0:
            break
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and any(_part(value, letter) is not None for letter in "ABC"):
            return value
        first = first if first is not None else value
        place = end - 1
    return first


def _part(value: Mapping[str, Any], letter: str) -> Mapping[str, Any] | None:
    for name, one in value.items():
        if re.sub(r"[^a-z]", "", name.lower()) == f"part{letter.lower()}" and isinstance(one, dict):
            return one
    return None


def parse(text: Any) -> Answer:
    """An answer's text, or the object itself, as an `Answer`; whatever it is."""
    value = text if isinstance(text, dict) else found(text) if isinstance(text, str) else None
    if not isinstance(value, dict) or all(_part(value, letter) is None for letter in "ABC"):
        return Answer(False, faults=("no JSON object with Part A, Part B or Part C",))
    faults: list[str] = []
    read = _read(_part(value, "A") or {}, faults)
    scores = _self_scores(_part(value, "B") or {}, faults)
    stages = _stages(_part(value, "C") or {}, faults)
    final = CLASS_OF.get(_path(stages)) if stages else None
    if stages and stages != _path(stages):
        faults.append(f"stages that do not fit each other: {', '.join(stages)}")
    return Answer(True, read, scores, stages, final, tuple(faults))


def _path(stages: tuple[str, str, str]) -> tuple[str, str, str]:
    """The stages without what an earlier one has decided: an artifact has no further ones, a solar-system object no third (as the published scorer has it)."""
    first, second, _ = stages
    if first == "artifact":
        return first, "N/A", "N/A"
    return (first, second, "N/A") if second == "solar_system" else stages


def _read(part: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name in READ:
        value = part.get(name)
        good: Any = None
        if name in ("filter_band", "subtraction_sign"):
            word = str(value).strip().lower()
            good = word if word in (*BANDS.values(), *SIGNS) else None
        else:
            number = _number(value)
            whole = name in ("ndethist", "ncovhist")
            good = number if not whole or (number is not None and number == int(number)) else None
        if good is None:
            faults.append(f"Part A: {name} is {_short(value)}")
        else:
            read[name] = good
    return read


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _self_scores(part: Mapping[str, Any], faults: list[str]) -> tuple[int, int, int] | None:
    scores = []
    for name in SELF:
        number = _number(part.get(name))
        if number is None or number != int(number) or not 0 <= number <= 5:
            faults.append(f"Part B: {name} is {_short(part.get(name))}")
        else:
            scores.append(int(number))
    return (scores[0], scores[1], scores[2]) if len(scores) == len(SELF) else None


def _stages(part: Mapping[str, Any], faults: list[str]) -> tuple[str, str, str] | None:
    stages = []
    for name, words in SAME.items():
        word = re.sub(r"[^a-z]", "", str(part[name]).lower()) if isinstance(part.get(name), str) else ""
        known = "N/A" if name != "stage1" and word in NONE else words.get(word)
        if known is None:
            faults.append(f"Part C: {name} is {_short(part.get(name))}")
        else:
            stages.append(known)
    return (stages[0], stages[1], stages[2]) if len(stages) == len(SAME) else None


def _short(value: Any) -> str:
    return repr(value)[:60]
