"""Whether a map may be believed: checks that a map of nothing fails, each with its reference and interval, and one sentence for a badge."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import score_of, some_samples
from astrofuse_lab.explain.methods import METHODS
from astrofuse_lab.explain.trust_case import Case, Check, Stopped
from astrofuse_lab.explain.trust_curves import check_curves
from astrofuse_lab.explain.trust_models import check_labels, check_learned, check_noise, check_randomised, check_seeds, label_control
from astrofuse_lab.explain.trust_probes import (
    check_artefacts,
    check_missing,
    check_position,
    check_replaced,
    check_shuffled,
    check_skill,
    check_survey,
)
from astrofuse_lab.training.members import runs_of

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run

CHECKS: dict[str, Callable[[Case], list[Check]]] = {
    "skill": check_skill, "learned": check_learned, "randomised": check_randomised, "labels": check_labels, "deletion": partial(check_curves, deleted=True), "insertion": partial(check_curves, deleted=False),
    "seeds": check_seeds, "noise": check_noise, "shuffled": check_shuffled, "replaced": check_replaced, "artefacts": check_artefacts,
    "missing": check_missing, "position": check_position, "survey": check_survey,
}  # fmt: skip
"""What can be asked for, in the order in which it is done; some give several rows."""
BRIEFLY = {
    "skill": ("the run predicts better than chance", "the run predicts no better than chance"),
    "randomised: all of it": ("a randomised model differs", "a randomised model gives the same map"),
    "learned": ("it divides up what was learned", "it divides up no more than in a model that has learned nothing"),
    "shuffled labels": ("shuffled labels give another map", "shuffled labels give the same map"),
    "deletion": ("deletion better than random", "deletion no better than random"),
    "insertion": ("insertion better than random", "insertion no better than random"),
    "seeds": ("seeds agree", "other seeds show something else"),
    "noise": ("steady under noise", "it changes with a little noise"),
    "shuffled": ("", "shuffled inputs give as good a score"), "noise only": ("", "noise gives as good a score"),
    "artefacts only": ("", "masks and borders give as good a score"),
    "missing and masked only": ("", "what is missing and masked tells as much"),
    "position only": ("", "the position on the sky tells as much"), "survey only": ("", "the survey tells as much"),
}  # fmt: skip
"""What a check that was passed, or failed, says on a badge."""


@dataclass(frozen=True)
class Checks:
    """What came of the trust checks.

    Attributes
    ----------
    rows : tuple of Check
    method : str
    samples : int
        Samples whose maps were made.
    measured : str
        The metric of scores.
    complete : bool
        False where it was stopped.
    """

    rows: tuple[Check, ...]
    method: str
    samples: int
    measured: str
    complete: bool = True

    @property
    def passed(self) -> bool:
        """True where something was checked and nothing that was done speaks against the map or the run."""
        decided = [row.passed for row in self.rows if row.about and row.passed is not None]
        return bool(decided) and all(decided)

    def _failed(self, about: str) -> list[str]:
        return [BRIEFLY.get(row.check, ("", row.check))[1] for row in self.rows if row.about == about and row.passed is False]

    @property
    def verdict(self) -> str:
        """One sentence, short enough for a badge."""
        done = [row for row in self.rows if row.about and row.passed is not None]
        if not done:
            return "not checked"
        against, shortcut = self._failed("map"), self._failed("run")
        if against:
            return f"not to be trusted: {'; '.join(against + shortcut)}"
        if shortcut:
            return f"faithful to a run that may take a shortcut: {'; '.join(shortcut)}"
        praised = [BRIEFLY[row.check][0] for row in done if row.check in BRIEFLY and BRIEFLY[row.check][0]]
        return f"faithful: {', '.join(praised)}" if praised else "no shortcut found"

    def table(self) -> "Table":
        """One row a check: check, value, reference, low, high (95 %, over samples), passed, says, about; masked where it was not done."""
        from astropy.table import MaskedColumn, Table

        table = Table({"check": [row.check for row in self.rows]})
        for name in ("value", "reference", "low", "high"):
            numbers = np.array([getattr(row, name) for row in self.rows], dtype=float)
            table[name] = MaskedColumn(numbers, mask=~np.isfinite(numbers), format=".3g")
        table["passed"] = MaskedColumn([bool(row.passed) for row in self.rows], mask=[row.passed is None for row in self.rows])
        table["says"], table["about"] = [row.says for row in self.rows], [row.about for row in self.rows]
        table.meta.update(verdict=self.verdict, method=self.method, samples=self.samples, measured=self.measured, complete=self.complete)
        return table

    def __repr__(self) -> str:
        done = [row for row in self.rows if row.passed is not None]
        return f"Checks({self.method}, {sum(bool(row.passed) for row in done)} of {len(done)} passed; {self.verdict})"


def check(
    run: "Run | Ensemble", samples: "SampleSet", method: str = "integrated_gradients", *, checks: Sequence[str] | None = None, target: Any = None,
    against: "Run | None" = None, train: bool = False, members: Sequence["Run"] = (), most: int = 48, probed: int = 2000, resamples: int = 1000,
    seed: int = 0, on_progress: Callable[[dict[str, Any]], None] | None = None, stop: threading.Event | None = None, **options: Any,
) -> Checks:  # fmt: skip
    """Check whether a run's attributions may be believed, and whether the run may be right for the wrong reason.

    Parameters
    ----------
    run : Run or Ensemble
        Of an ensemble the first run's map is checked, and whether the others agree. Nothing in it is changed.
    samples : SampleSet
        Maps are made of those that the run was not trained on, where there are such; scores are compared on these too.
    method : str
        As in `attribute`.
    checks : sequence of str, optional
        Names of `CHECKS`; None: all. What cannot be done says why.
    target : class, optional
        As in `attribute`; of all models the same output is explained.
    against : Run, optional
        A run trained on shuffled labels, see `label_control`.
    train : bool
        Train such a run here, as long as the run was trained itself; `samples` must then hold those it was trained on.
    members : sequence of Run
        Further runs of other seeds, where `run` is no ensemble.
    most : int
        Samples whose maps are made.
    probed : int
        Samples that the probes for shortcuts look at.
    resamples, seed : int
        Of bootstraps; of all that is drawn.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ..., "check": ...}`` after each check.
    stop : threading.Event, optional
        Set it to end after what is at hand; the result holds the checks done by then.
    **options
        Further arguments of `attribute`, e.g. ``steps=16`` or ``baseline="no_flux"``.

    Returns
    -------
    Checks

    Raises
    ------
    UnknownNameError
        For a check or method that does not exist.
    InputError
        For an empty set, numbers below one, or a run `against` that predicts something else.
    """
    chosen = list(CHECKS) if checks is None else [checks] if isinstance(checks, str) else list(checks)
    for name in chosen:
        if name not in CHECKS:
            raise UnknownNameError("trust check", name, CHECKS)
    if method not in METHODS:
        raise UnknownNameError("attribution method", method, METHODS)
    some_samples(samples)
    if int(most) < 2 or int(probed) < 1 or int(resamples) < 1:
        raise InputError(f"most={most}, probed={probed}, resamples={resamples}: at least 2 samples, and 1 of the others.")
    score_of(runs_of(run)[0], None)  # refuses a run without a target
    def control() -> "Run | None":
        return label_control(case.run, samples, seed=seed, stop=stop) if against is None and train else against

    case = Case(run, samples, method, target, options, most, probed, resamples, seed, stop, members, control)
    rows: list[Check] = []
    for number, name in enumerate(chosen):
        if stop is not None and stop.is_set():
            break
        try:
            rows += CHECKS[name](case)
        except Stopped:
            break
        if on_progress:
            on_progress({"done": number + 1, "total": len(chosen), "check": name})
    finished = stop is None or not stop.is_set()
    return Checks(tuple(rows), method, len(case.few), case.measured if case.run.task != "self_supervised" else "", finished)
