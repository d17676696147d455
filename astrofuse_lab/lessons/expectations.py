"""What a task expects, as data, and how an answer is judged by the sample set, the run or the table at hand.

A lesson file from a stranger can hold these rows only: each is a mapping with one kind and plain values, read by the functions below. Nothing in it is executed.

==============  =======================================================================================================================
kind            the answer
==============  =======================================================================================================================
``count``       a number: how many samples are so: ``{"count": WHERE}``
``share``       a number from 0 to 1: their share
``ids``         the ids that are so: list, tuple, array, `Selection` or `SampleSet`; ``{"ids": WHERE, "at_least": 0.8}``: F1 of that much is enough
``statistic``   a number: ``{"statistic": "median", "column": "redshift", "where": WHERE, "within": 0.01}``; mean, median, min, max, std
``class``       a text: ``{"class": "commonest", "column": "label"}``, or "rarest"
``samples``     a `SampleSet`: ``{"samples": {"modalities": ["image"], "at_least": 50, "complete": true}}``
``run``         a `Run`: ``{"run": {"metric": "accuracy", "at_least": 0.4, "modalities": 2, "recipe": "late_fusion"}}``
``metric``      a number: of the run at hand, its test part where it has one, else the validation part, or ``"part"``, ``{"metric": "accuracy", "within": 0.005}``
``best``        a text: the row of the table at hand with the largest value: ``{"best": "value", "name": "model"}``; ``"least": true`` for the smallest
``number``      a number given here: ``{"number": 656.28, "within": 1.0}``
``between``     a number in a range: ``{"between": [0.2, 0.4]}``
``text``        one of some texts, whatever their capitals: ``{"text": ["quasar", "QSO"]}``
``all``         all of several: ``{"all": [...]}``
``any``         one of several: ``{"any": [...]}``
==============  =======================================================================================================================

WHERE: ``{"missing": "spectrum"}``, ``{"present": "image"}``, or ``{"column": "redshift", "above": 1}`` with ``above``, ``below``, ``is``, ``is_not``, ``in`` or ``unknown``; a list of them: all hold; ``{}``: every sample.
``within`` is absolute, ``percent`` relative; without either, whole numbers must be equal and others agree to 1 %.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from astrofuse_lab.errors import AstroFuseError, InputError, UnknownNameError
from astrofuse_lab.lessons.conditions import where

STATISTICS: dict[str, Callable[[Any], Any]] = {"mean": np.mean, "median": np.median, "min": np.min, "max": np.max, "std": np.std}
DEEP, LARGE = 4, 2000
"""Levels and characters at most of an expectation."""


class Judged(NamedTuple):
    """Whether an answer holds, and what is said to it."""

    ok: bool
    words: str


Data = Mapping[str, Any]


def read_expectation(spec: Any, depth: int = 0) -> dict[str, Any]:
    """An expectation whose kind and values are known.

    Raises
    ------
    InputError
        If it is no mapping of plain values, too deep, or has not one kind.
    """
    if not isinstance(spec, Mapping) or depth > DEEP or len(str(spec)) > LARGE:
        raise InputError(f"expects={str(spec)[:80]!r} is no short mapping of plain values. Type e.g. expects={{'count': {{'missing': 'spectrum'}}}}.")
    kinds = [key for key in spec if key in KINDS]
    if len(kinds) != 1:
        shown = ", ".join(map(str, spec))[:80]
        raise InputError(f"expects has the entries {shown}; one of them must be a kind of expectation: {', '.join(KINDS)}.")
    extra = {key for key in spec if key != kinds[0]} - set(KINDS[kinds[0]].options) - {"within", "percent", "of"}
    if extra:
        raise UnknownNameError(f"entry beside {kinds[0]!r}", sorted(map(str, extra))[0], (*KINDS[kinds[0]].options, "within", "percent", "of"))
    if kinds[0] in ("all", "any"):
        parts = spec[kinds[0]]
        if not isinstance(parts, list | tuple) or not parts:
            raise InputError(f"{kinds[0]!r} needs a list of expectations.")
        return {kinds[0]: [read_expectation(one, depth + 1) for one in parts]}
    return dict(spec)


def judge(spec: Mapping[str, Any], answer: Any, data: Data) -> Judged:
    """Whether an answer is what the data say.

    Parameters
    ----------
    spec : mapping
        As of `read_expectation`.
    answer : object
    data : mapping
        "samples", "run", "table", or what ``"of"`` names.

    Raises
    ------
    InputError
        If the data that it needs are not at hand, or the expectation does not fit them. A wrong answer raises nothing.
    """
    kind = next(key for key in spec if key in KINDS)
    with _fitting(spec):
        return KINDS[kind].judge(spec, answer, data)


def expected(spec: Mapping[str, Any], data: Data) -> str:
    """What the data say, in words, for whoever gives up."""
    kind = next(key for key in spec if key in KINDS)
    with _fitting(spec):
        return KINDS[kind].words(spec, data)


@contextmanager
def _fitting(spec: Mapping[str, Any]) -> Iterator[None]:
    """An expectation that makes no sense is the lesson's fault, not the answer's: said so."""
    try:
        yield
    except AstroFuseError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise InputError(f"the expectation {str(dict(spec))[:120]} cannot be used ({error}). help(af.lesson) lists what can be expected.") from None


# ---- data ------------------------------------------------------------------------------------------------------------


def _at_hand(spec: Mapping[str, Any], data: Data, default: str) -> Any:
    name = spec.get("of", default)
    if name not in data:
        have = ", ".join(data) or "nothing"
        raise InputError(f"this check needs {name!r}, and the lesson has {have} at hand. Type lesson.use({name}={name}) first.")
    return data[name]


# ---- numbers ---------------------------------------------------------------------------------------------------------


def _number(answer: Any) -> float | None:
    try:
        value = float(answer.to_value() if hasattr(answer, "to_value") else answer)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _near(spec: Mapping[str, Any], answer: Any, truth: float) -> Judged:
    value = _number(answer)
    if value is None:
        return Judged(False, f"{_short(answer)} is no finite number; one is asked for.")
    if "within" in spec:
        reach = float(spec["within"])
    elif "percent" in spec:
        reach = abs(truth) * float(spec["percent"]) / 100
    else:
        reach = 0.0 if float(truth).is_integer() else abs(truth) / 100
    ok = abs(value - truth) <= reach * (1 + 1e-9)
    return Judged(ok, "The data agree." if ok else f"{_short(answer)} is not what the data give.")


def _short(answer: Any) -> str:
    text = repr(answer) if isinstance(answer, str | int | float | bool | list | tuple | np.generic) else type(answer).__name__
    text = text if not isinstance(answer, np.generic) else str(answer)
    return text if len(text) <= 60 else f"{text[:57]}..."


ASKS = {
    "count": "number",
    "share": "number",
    "statistic": "number",
    "metric": "number",
    "number": "number",
    "between": "number",
    "class": "text",
    "best": "text",
    "text": "text",
    "ids": "ids",
}
"""What a card can take as the answer; of other kinds only a cell can give it."""


OF_SAMPLES = ("count", "share", "ids", "statistic", "class")


def needs_samples(spec: Mapping[str, Any]) -> bool:
    """Whether the sample set must be at hand."""
    kind = next((key for key in spec if key in KINDS), "")
    return any(map(needs_samples, spec[kind])) if kind in ("all", "any") else kind in OF_SAMPLES and "of" not in spec


def asks(spec: Mapping[str, Any] | None) -> str:
    """``number``, ``text``, ``ids`` or ``code``: how the answer can be given."""
    kind = next((key for key in spec or {} if key in KINDS), "")
    inner = [asks(one) for one in (spec or {}).get(kind, ())] if kind in ("all", "any") else []
    return inner[0] if inner and len(set(inner)) == 1 else ASKS.get(kind, "code")


def _statistic(spec: Mapping[str, Any], data: Data) -> float:
    samples = _at_hand(spec, data, "samples")
    if spec["statistic"] not in STATISTICS:
        raise UnknownNameError("statistic", spec["statistic"], STATISTICS)
    column = samples.column(spec.get("column", ""))
    chosen = where(samples, spec.get("where", {})) & ~np.ma.getmaskarray(column)
    if not chosen.any():
        raise InputError(f"no sample has {spec.get('column')!r} where the task asks for it.")
    return float(STATISTICS[spec["statistic"]](np.ma.getdata(column)[chosen].astype(float)))


def _metric(run: Any, name: str, part: str = "") -> float:
    parts = {str(row["part"]) for row in run.metrics}
    part = part or ("test" if "test" in parts else "validation")
    values = {str(row["metric"]): float(row["value"]) for row in run.metrics if str(row["part"]) == part}
    if name not in values:
        raise UnknownNameError(f"metric of this run's {part} part", name, values)
    return values[name]


# ---- kinds -----------------------------------------------------------------------------------------------------------


def _ids_of(answer: Any) -> set[str] | None:
    """Ids, from whatever holds some."""
    if hasattr(answer, "object_ids"):
        answer = answer.object_ids
    elif hasattr(answer, "ids"):
        answer = answer.ids
    if isinstance(answer, str) or not hasattr(answer, "__iter__"):
        return None
    return {str(one) for one in answer}


def _judge_ids(spec: Mapping[str, Any], answer: Any, data: Data) -> Judged:
    samples = _at_hand(spec, data, "samples")
    truth = set(map(str, samples.object_ids[where(samples, spec["ids"])]))
    got = _ids_of(answer)
    if got is None:
        return Judged(False, f"{_short(answer)} holds no ids. Give a list of ids, a selection or a sample set.")
    both = len(got & truth)
    f1 = 2 * both / (len(got) + len(truth)) if got or truth else 1.0
    if f1 >= float(spec.get("at_least", 1.0)) - 1e-12:
        return Judged(True, f"{both} of your {len(got)} ids are right, and {len(truth)} are.")
    said = f"{both} of your {len(got)} ids are right" if got else "you gave no ids"
    return Judged(False, f"{said}; {'some are still missing' if both < len(truth) else 'none is missing'}.")


def _judge_samples(spec: Mapping[str, Any], answer: Any, _data: Data) -> Judged:
    want = spec["samples"]
    if not hasattr(answer, "object_ids") or not hasattr(answer, "modalities"):
        return Judged(False, f"{_short(answer)} is no sample set. Give what af.align or af.load_samples returned.")
    lacks = [m for m in want.get("modalities", ()) if m not in answer.modalities]
    if lacks:
        return Judged(False, f"the set has no {', '.join(lacks)}; it has {', '.join(answer.modalities)}.")
    if len(answer) < int(want.get("at_least", 1)):
        return Judged(False, f"the set has {len(answer)} samples; {int(want['at_least']) if 'at_least' in want else 1} are needed.")
    if "at_most" in want and len(answer) > int(want["at_most"]):
        return Judged(False, f"the set has {len(answer)} samples; {int(want['at_most'])} are the most.")
    if want.get("complete"):
        gaps = {m: int((~answer.present(m)).sum()) for m in want.get("modalities", answer.modalities)}
        gaps = {m: n for m, n in gaps.items() if n}
        if gaps:
            return Judged(False, f"some samples lack data: {', '.join(f'{n} the {m}' for m, n in gaps.items())}.")
    return Judged(True, f"{len(answer)} samples with {', '.join(answer.modalities)}.")


def _judge_run(spec: Mapping[str, Any], answer: Any, _data: Data) -> Judged:
    want = spec["run"]
    if not hasattr(answer, "recipe") or not hasattr(answer, "metrics"):
        return Judged(False, f"{_short(answer)} is no run. Give what af.train returned.")
    if "recipe" in want and answer.recipe.name != want["recipe"]:
        return Judged(False, f"the run is of the recipe {answer.recipe.name!r}; {want['recipe']!r} is asked for.")
    asked = want.get("modalities", 1)
    if isinstance(asked, int) and len(answer.modalities) < asked:
        return Judged(False, f"the run uses {', '.join(answer.modalities)}; {asked} kinds of data are asked for.")
    if not isinstance(asked, int) and set(asked) != set(answer.modalities):
        return Judged(False, f"the run uses {', '.join(answer.modalities)}; {', '.join(asked)} is asked for.")
    if "metric" in want:
        value = _metric(answer, want["metric"], want.get("part", ""))
        if "at_least" in want and value < float(want["at_least"]):
            return Judged(False, f"{want['metric']} is {value:.3f}; {float(want['at_least']):.3f} is needed.")
        if "at_most" in want and value > float(want["at_most"]):
            return Judged(False, f"{want['metric']} is {value:.3f}; {float(want['at_most']):.3f} is the most.")
        return Judged(True, f"{want['metric']} is {value:.3f}.")
    return Judged(True, f"a run of {answer.recipe.name} on {', '.join(answer.modalities)}.")


def _judge_text(truths: Any, answer: Any) -> Judged:
    known = {_folded(one) for one in ([truths] if isinstance(truths, str) else truths)}
    ok = isinstance(answer, str | np.str_) and _folded(answer) in known
    return Judged(ok, "The data agree." if ok else f"{_short(answer)} is not it.")


def _folded(text: Any) -> str:
    return str(text).strip().replace("_", " ").casefold()


def _class(spec: Mapping[str, Any], data: Data) -> list[str]:
    samples = _at_hand(spec, data, "samples")
    column = samples.column(spec.get("column", "label"))
    names, counts = np.unique(np.ma.compressed(column).astype(str), return_counts=True)
    if spec["class"] not in ("commonest", "rarest"):
        raise UnknownNameError("class", spec["class"], ("commonest", "rarest"))
    return [str(n) for n in names[counts == (counts.max() if spec["class"] == "commonest" else counts.min())]]


def _best(spec: Mapping[str, Any], data: Data) -> list[str]:
    table = _at_hand(spec, data, "table")
    for name in (spec["best"], spec.get("name", table.colnames[0])):
        if name not in table.colnames:
            raise UnknownNameError("column of the table", name, table.colnames)
    values = np.ma.filled(np.ma.asarray(table[spec["best"]]).astype(float), np.nan)
    top = np.nanmin(values) if spec.get("least") else np.nanmax(values)
    return [str(v) for v in np.asarray(table[spec.get("name", table.colnames[0])])[values == top]]


def _judge_between(spec: Mapping[str, Any], answer: Any, _data: Data) -> Judged:
    low, high = (float(v) for v in spec["between"])
    value = _number(answer)
    ok = value is not None and low <= value <= high
    return Judged(ok, "Yes." if ok else f"{_short(answer)} is not it.")


def _judge_all(spec: Mapping[str, Any], answer: Any, data: Data) -> Judged:
    judged = [judge(one, answer, data) for one in spec["all"]]
    return next((one for one in judged if not one.ok), judged[-1])


def _judge_any(spec: Mapping[str, Any], answer: Any, data: Data) -> Judged:
    judged = [judge(one, answer, data) for one in spec["any"]]
    return next((one for one in judged if one.ok), judged[0])


def _count(spec: Mapping[str, Any], data: Data, kind: str) -> float:
    samples = _at_hand(spec, data, "samples")
    chosen = where(samples, spec[kind])
    return float(chosen.sum()) if kind == "count" else float(chosen.mean()) if len(chosen) else 0.0


def _plain(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"


class Kind(NamedTuple):
    """How one kind of expectation judges, what it says, and which entries may stand beside it."""

    judge: Callable[[Mapping[str, Any], Any, Data], Judged]
    words: Callable[[Mapping[str, Any], Data], str]
    options: tuple[str, ...] = ()


def _numeric(truth: Callable[[Mapping[str, Any], Data], float], *options: str) -> Kind:
    return Kind(lambda spec, answer, data: _near(spec, answer, truth(spec, data)), lambda spec, data: _plain(truth(spec, data)), options)


KINDS: dict[str, Kind] = {
    "count": _numeric(lambda spec, data: _count(spec, data, "count")),
    "share": _numeric(lambda spec, data: _count(spec, data, "share")),
    "ids": Kind(_judge_ids, lambda spec, data: f"{int(where(_at_hand(spec, data, 'samples'), spec['ids']).sum())} ids", ("at_least",)),
    "statistic": _numeric(_statistic, "column", "where"),
    "class": Kind(lambda spec, answer, data: _judge_text(_class(spec, data), answer), lambda spec, data: " or ".join(_class(spec, data)), ("column",)),
    "samples": Kind(_judge_samples, lambda spec, _data: "a sample set"),
    "run": Kind(_judge_run, lambda spec, _data: "a run"),
    "metric": _numeric(lambda spec, data: _metric(_at_hand(spec, data, "run"), spec["metric"], spec.get("part", "")), "part"),
    "best": Kind(lambda spec, answer, data: _judge_text(_best(spec, data), answer), lambda spec, data: " or ".join(_best(spec, data)), ("name", "least")),
    "number": _numeric(lambda spec, _data: float(spec["number"])),
    "between": Kind(_judge_between, lambda spec, _data: f"from {spec['between'][0]} to {spec['between'][1]}"),
    "text": Kind(lambda spec, answer, _data: _judge_text(spec["text"], answer), lambda spec, _data: spec["text"] if isinstance(spec["text"], str) else " or ".join(spec["text"])),
    "all": Kind(_judge_all, lambda spec, data: "; ".join(expected(one, data) for one in spec["all"])),
    "any": Kind(_judge_any, lambda spec, data: "; or ".join(expected(one, data) for one in spec["any"])),
}  # fmt: skip
