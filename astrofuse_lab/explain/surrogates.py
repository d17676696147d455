"""A small model that a person can read, fitted to what a run predicts: how far can a few rules, or one formula, say what it does?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.adapter import Pace, chosen_modalities
from astrofuse_lab.explain.questioning import Panel, Said
from astrofuse_lab.explain.surrogates_features import Scalars
from astrofuse_lab.explain.surrogates_fitted import Formula, Tree

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.explain.questioning import Source
    from astrofuse_lab.samples.sample_set import SampleSet

Array = NDArray[Any]
KINDS = ("tree", "symbolic")
FEWEST = 20
"""Samples below which nothing can be fitted and tested."""


@dataclass(frozen=True)
class Surrogate:
    """A tree of rules or a formula, and how faithful it is.

    Attributes
    ----------
    kind : {"tree", "symbolic"}
    what : str
        What it says of a sample, in words.
    text : str
        Its rules, or its formula with units.
    used : tuple of str
        The scalars in it.
    fidelity : tuple of dict
        Rows of `table`: on samples it was not fitted to.
    model : Tree or Formula
    scalars : Scalars
    classes : tuple
        Where it says a class.
    notes : tuple of str
    """

    kind: str
    what: str
    text: str
    used: tuple[str, ...]
    fidelity: tuple[dict[str, Any], ...]
    model: Tree | Formula
    scalars: Scalars
    classes: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()

    def predict(self, samples: "SampleSet") -> Array:
        """What it says of samples, (sample,): classes, or numbers."""
        said = self.model.predict(_matrix(self.scalars, samples)[2])
        return np.array(self.classes)[said.astype(int)] if self.classes else said

    def table(self) -> "Table":
        """One row a measure: measure, value, its 95 % interval over groups (low, high), what knows nothing reaches (baseline), and n held-out samples."""
        from astropy.table import Table

        table = Table(rows=[tuple(row.values()) for row in self.fidelity], names=list(self.fidelity[0]))
        table.meta.update(kind=self.kind, what=self.what, text=self.text, notes=list(self.notes))
        return table

    def __repr__(self) -> str:
        told = ", ".join(f"{row['measure']} {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" for row in self.fidelity)
        return f"Surrogate({self.kind}: {told} on {self.fidelity[0]['n']} held-out samples)\n{self.text}"


def surrogate(
    source: "Source", samples: "SampleSet", kind: str = "tree", *, modalities: Sequence[str] | None = None, target: Any = None, score: str | None = None,
    depth: int = 3, terms: int = 5, test: float = 0.3, resamples: int = 300, seed: int = 0, rows: int = 64,
) -> Surrogate:  # fmt: skip
    """Fit a small readable model to what a run says, not to the truth, and tell how faithful it is on samples it was not fitted to.

    Where it is faithful it says in a few lines what the run does with these samples. Where it is not, the run uses what these scalars
    do not hold. It is no better than its fidelity, and it says nothing of causes.

    Parameters
    ----------
    source : Run or Ensemble
    samples : SampleSet
        Any; truth is not needed.
    kind : {"tree", "symbolic"}
        Rules of CART (scikit-learn), or a sum of terms: scalars, their squares, roots and logarithms, products and ratios, found by
        orthogonal matching pursuit.
    modalities : sequence of str, optional
        Whose scalars may be used; None: all of the run. See `surrogates_features`.
    target : class, label or column, optional
        What is imitated: the score of this class. None: a tree imitates the class that is predicted; a formula needs one, unless there are
        two classes or a number is predicted.
    score : str, optional
        As in `attribute`; numbers are imitated in their unit.
    depth, terms : int
        Questions one after another, and terms at most.
    test : float
        Share of the samples, by whole groups, that fidelity is measured on.
    resamples, seed, rows : int

    Returns
    -------
    Surrogate

    Raises
    ------
    InputError
        For too few samples, an unknown kind, or a formula without a target to give.
    """
    if kind not in KINDS:
        raise InputError(f"kind={kind!r}: choose 'tree' or 'symbolic'.")
    if len(samples) < FEWEST:
        raise InputError(f"{len(samples)} samples: a surrogate needs at least {FEWEST} to be fitted and tested.")
    panel = Panel(source, target, score)
    names = chosen_modalities(panel.runs[0] if len(panel.runs) == 1 else source, modalities)  # type: ignore[arg-type]
    answers, what, classes = _answers(panel, samples, kind, Pace(rows))
    known = np.isfinite(answers)
    group = panel.runs[0].split.group
    split = samples.split(test=test, group=group if group in samples.roles else None, seed=seed)
    held = np.isin(samples.object_ids, split.test)
    fitted = samples.take(known & ~held)
    scalars = Scalars.learned(fitted, names)
    labels, units, values = _matrix(scalars, samples)
    mine, fresh = values[known & ~held], known & held
    model: Tree | Formula
    if kind == "tree":
        model = Tree.fit(labels, units, mine, answers[known & ~held], bool(classes), depth, seed)
        text = model.text(lambda one: str(classes[int(one)]) if classes else f"{what} {one:.4g}")
        notes: tuple[str, ...] = ()
    else:
        model = Formula.fit(labels, units, mine, answers[known & ~held], terms, seed)
        text, notes = model.text(what), ("an unknown number is taken as the median of those it was fitted to",)
    fidelity = _fidelity(samples.take(fresh), group, answers[fresh], answers[known & ~held], model.predict(values[fresh]), bool(classes), resamples, seed)
    return Surrogate(kind, what, text, model.used, fidelity, model, scalars, classes, notes)


def _matrix(scalars: Scalars, samples: "SampleSet") -> tuple[tuple[str, ...], tuple[str, ...], Array]:
    """Names, units and numbers (sample, feature)."""
    made = scalars.of(samples)
    return tuple(name for name, _, _ in made), tuple(unit for _, unit, _ in made), np.stack([values for _, _, values in made], 1)


def _answers(panel: Panel, samples: "SampleSet", kind: str, pace: Pace) -> tuple[Array, str, tuple[Any, ...]]:
    """What is imitated, (sample,), NaN where the run has nothing to go by; in words; and the classes where it is one."""
    run = panel.runs[0]
    if panel.target is None and panel.task == "classification":
        if kind == "tree":
            said = _asked(panel, samples, pace)
            mean = said.mean
            return np.where(np.isfinite(mean).all(1), np.nan_to_num(mean).argmax(1), np.nan), f"class of {run.target}", run.classes
        if len(run.classes) > 2:
            raise InputError(f"a formula is of one number: say whose score, target={run.classes[0]!r} (there are {', '.join(map(str, run.classes))}).")
        panel.target = run.classes[1]
    if panel.target is None and panel.task == "multi_label":
        raise InputError(f"say which label is imitated, target={run.problem.targets[0]!r} (there are {', '.join(run.problem.targets)}).")
    said = _asked(panel, samples, pace)
    goals = panel.goals(said)
    named = panel.named(goals[:1])[0]
    if panel.task in ("regression", "multi_regression"):
        unit = samples.units.get(str(named), "")
        return np.asarray(panel.likely(said, goals).mean(0)), f"{named}{f' ({unit})' if unit else ''}", ()
    return np.asarray(panel.score(said, goals).mean(0)), f"{panel.score_name.replace('_', ' ')} of {named}", ()


def _asked(panel: Panel, samples: "SampleSet", pace: Pace) -> Said:
    pieces = [panel.ask(samples.take(index.numpy())) for index in pace.chunks(len(samples))]
    return Said(np.concatenate([one.values for one in pieces], 1), np.concatenate([one.told for one in pieces], 1))


def _fidelity(
    samples: "SampleSet", group: str | None, answers: Array, before: Array, said: Array, classes: bool, resamples: int, seed: int
) -> tuple[dict[str, Any], ...]:
    """How far it says what the run says, on samples that it was not fitted to."""
    from astrofuse_lab.samples.split import group_codes
    from astrofuse_lab.training.metrics import evaluate, mae, r2

    fine = np.isfinite(said)
    if fine.sum() < 2:
        raise InputError(f"{int(fine.sum())} of {len(said)} held-out samples have an answer: fidelity cannot be measured. Give more samples.")
    groups = group_codes(samples, group if group in samples.roles else None)[fine]
    n = int(fine.sum())

    def agreement(truth: Array, told: Array, weights: Array) -> Array:
        return np.asarray((weights * (truth == told)).sum(1) / np.maximum(weights.sum(1), 1e-12))

    metrics: dict[str, Any] = {"agreement": agreement} if classes else {"r2": r2, "mae": mae}
    found = evaluate("classification" if classes else "regression", answers[fine], said[fine], groups, resamples, seed, metrics)
    # what knows only the fitted samples: the commonest class, or their mean
    blind = np.full(n, np.bincount(before.astype(int)).argmax() if classes else before.mean())
    base = {name: float(metric(answers[fine], blind, np.ones((1, n)))[0]) for name, metric in metrics.items()}
    return tuple({"measure": name, "value": value, "low": low, "high": high, "baseline": base[name], "n": n} for name, (value, low, high) in found.items())
