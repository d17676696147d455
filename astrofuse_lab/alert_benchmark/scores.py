"""Scores of answers, as AstroAlertBench defines them (Chen et al. 2026, arXiv:2605.05573, appendix; the definitions, not the code).

Where the paper's table and its public script differ, both are here: `accuracy` is over all alerts, an answer that cannot be read being wrong; `accuracy_read` over those whose
stages lead to a class. The leaderboard's standard errors are binomial over its 1,500 alerts (`standard_error`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from astrofuse_lab.alert_benchmark.alerts import CLASSES, Alert
from astrofuse_lab.alert_benchmark.answers import Answer, parse
from astrofuse_lab.alert_benchmark.prompt import BANDS, PATHS, READ, STAGES
from astrofuse_lab.errors import InputError

TOLERANCE = 0.1
"""Magnitudes that magpsf and sigmapsf may be off: the benchmark's. Of sigmapsf, mostly below 0.2, it asks little."""
THIRD = tuple(name for name in STAGES["stage3"] if name != "N/A")


@dataclass(frozen=True)
class Scores:
    """What a contestant reached; shares from 0 to 1, NaN where there is nothing to count.

    Attributes
    ----------
    n : int
        Alerts with a gold label.
    accuracy, error : float
        Of the five classes over all of them (unreadable: wrong), and its binomial standard error.
    accuracy_read : float
        Over those whose stages lead to a class.
    parse_rate : float
        Answers in which a JSON object of the form was found.
    per_class : mapping of str to float
        Accuracy over the alerts of each class.
    grounding : mapping of str to float
        Part A, by field, over answers that were read and alerts that have the field.
    exact_match : float
        All six fields right; a field without a gold value counts as wrong, as published.
    cascade : mapping of str to float
        ``stage1``; ``stage2`` where the object is real; ``stage3`` where it is astrophysical; ``all`` three (over answers with readable stages).
    macro_f1 : float
        Of stage 3, where the object is astrophysical: the mean of three F1.
    msrs : float
        Mean self reasoning score, 0 to 5.
    calibration_gap, r : float
        Mean self score where right less where wrong, and Pearson's correlation of self score and being right.
    malformed : mapping of str to int
        Faults by kind and how often they occur.
    """

    n: int
    accuracy: float
    error: float
    accuracy_read: float
    parse_rate: float
    per_class: Mapping[str, float]
    grounding: Mapping[str, float]
    exact_match: float
    cascade: Mapping[str, float]
    macro_f1: float
    msrs: float
    calibration_gap: float
    r: float
    malformed: Mapping[str, int]

    def __str__(self) -> str:
        return (
            f"{self.n} alerts: accuracy {100 * self.accuracy:.2f} +- {100 * self.error:.2f} %, parsed {100 * self.parse_rate:.2f} %, Part A exact {100 * self.exact_match:.1f} %, "
            f"stage-3 macro F1 {self.macro_f1:.3f}, MSRS {self.msrs:.2f}, calibration gap {self.calibration_gap:+.4f}, r {self.r:+.4f}"
        )


def standard_error(share: float, n: int = 1500) -> float:
    """Binomial standard error of a share of n."""
    return float(np.sqrt(share * (1 - share) / n)) if n else float("nan")


def score(alerts: Sequence[Alert], answers: Mapping[str, Any]) -> Scores:
    """Score answers.

    Parameters
    ----------
    alerts : sequence of Alert
        Those without a gold label are left out.
    answers : mapping of name to answer
        Text, object or `Answer`, by the alert's name; one that is lacking counts as not parsed.

    Raises
    ------
    InputError
        If no alert has a gold label, or a name occurs twice.
    """
    known = [alert for alert in alerts if alert.gold is not None]
    if not known:
        raise InputError("no alert has a gold label, so that there is nothing to score by.")
    if len({alert.name for alert in known}) < len(known):
        raise InputError("two alerts have one name; answers go by names.")
    said = [one if isinstance(one := answers.get(alert.name), Answer) else parse(one) for alert in known]
    right = np.array([answer.final == alert.gold for alert, answer in zip(known, said, strict=True)])
    led = np.array([answer.final is not None for answer in said])
    gold = np.array([alert.gold for alert in known])
    sure = np.array([np.nan if (one := answer.confidence) is None else one for answer in said])
    linked = np.isfinite(sure) & led
    grounding, exact = _grounding(known, said)
    return Scores(
        len(known), _mean(right), standard_error(_mean(right), len(known)), _mean(right[led]), _mean([answer.parsed for answer in said]),
        {name: _mean(right[gold == name]) for name in CLASSES if (gold == name).any()}, grounding, exact, *_stages(known, said),
        _mean(sure[np.isfinite(sure)]), _mean(sure[linked & right]) - _mean(sure[linked & ~right]), _correlation(sure[linked], right[linked]), _malformed(said),
    )  # fmt: skip


def _mean(values: Any) -> float:
    values = np.asarray(values, dtype=float)
    return float(values.mean()) if len(values) else float("nan")


def _correlation(sure: Any, right: Any) -> float:
    if len(sure) < 2 or np.ptp(sure) == 0 or np.ptp(right.astype(float)) == 0:
        return float("nan")
    return float(np.corrcoef(sure, right.astype(float))[0, 1])


def read_of(alert: Alert) -> dict[str, Any]:
    """What Part A should say; without what the alert does not have."""
    fields = alert.fields
    gold: dict[str, Any] = {name: fields.get(name) for name in READ[2:]}
    gold["filter_band"] = None if (band := fields.get("fid")) is None else BANDS.get(int(band))
    gold["subtraction_sign"] = None if fields.get("isdiffpos") is None else "positive" if fields["isdiffpos"] else "negative"
    return {name: gold[name] for name in READ if gold[name] is not None}


def _grounding(alerts: Sequence[Alert], said: Sequence[Answer]) -> tuple[dict[str, float], float]:
    right: dict[str, list[bool]] = {name: [] for name in READ}
    exact = []
    for alert, answer in zip(alerts, said, strict=True):
        if not answer.parsed:
            continue
        gold = read_of(alert)
        for name, value in gold.items():
            given = answer.read.get(name)
            close = given is not None and (abs(given - value) < TOLERANCE if name in ("magpsf", "sigmapsf") else given == value)
            right[name].append(bool(close))
        exact.append(len(gold) == len(READ) and all(right[name][-1] for name in READ))
    return {name: _mean(values) for name, values in right.items()}, _mean(exact)


def _stages(alerts: Sequence[Alert], said: Sequence[Answer]) -> tuple[dict[str, float], float]:
    pairs = [(PATHS[str(alert.gold)], answer.stages) for alert, answer in zip(alerts, said, strict=True) if answer.stages is not None]
    cascade = {
        "stage1": _mean([gold[0] == given[0] for gold, given in pairs]),
        "stage2": _mean([gold[1] == given[1] for gold, given in pairs if gold[0] == "real_object"]),
        "stage3": _mean([gold[2] == given[2] for gold, given in pairs if gold[1] == "astrophysical"]),
        "all": _mean([gold == given for gold, given in pairs]),
    }
    third = [(gold[2], given[2]) for gold, given in pairs if gold[1] == "astrophysical"]
    f1 = []
    for name in THIRD:
        hits = sum(gold == given == name for gold, given in third)
        both = sum(gold == name for gold, _ in third) + sum(given == name for _, given in third)
        f1.append(2 * hits / both if both else 0.0)
    return cascade, _mean(f1) if third else float("nan")


def _malformed(said: Sequence[Answer]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for answer in said:
        for kind in {fault.partition(" is " if " is " in fault else ": ")[0] for fault in answer.faults}:
            counts[kind] = counts.get(kind, 0) + 1
    return counts
