"""Which samples a model learns from, and which decide when to stop."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import TrainingError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split, group_codes
from astrofuse_lab.training.problem import NUMBERS, Problem


@dataclass(frozen=True)
class Parts:
    """Positions of the samples on each side; no group is in two of them.

    Attributes
    ----------
    train, validation, test : int array
    left_out : dict of str to int
        Why samples of the train and validation parts are not used, and how many.
    groups : int array, (sample,)
        Group of every sample of the set.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    left_out: dict[str, int]
    groups: NDArray[np.int64]


def divide(samples: SampleSet, problem: Problem, modalities: tuple[str, ...], split: Split | None, share: float, seed: int) -> Parts:
    """Positions to train, validate and test on.

    Samples without a target value, or with none of the modalities, are left out of training. Where the split has no
    validation part, `share` of the groups of each class is taken out of its training part.

    Raises
    ------
    TrainingError
        If nothing is left, or a class is too small to be learned and validated.
    """
    codes, known = problem.encode(samples)
    has_any = np.any([samples.present(m) for m in modalities], axis=0)
    usable = known & has_any
    given = np.arange(len(samples)) if split is None else samples.positions(split.train)
    held = np.zeros(0, dtype=np.int64) if split is None else samples.positions(split.validation)
    test = np.zeros(0, dtype=np.int64) if split is None else samples.positions(split.test)
    both = np.concatenate([given, held])
    left_out = {"no value of the target": int((~known[both]).sum()), "none of the modalities": int((known & ~has_any)[both].sum())}
    groups = group_codes(samples, split.group if split else None)
    train, validation = given[usable[given]], held[usable[held]]
    if len(train) == 0:
        raise TrainingError(f"no sample is left to train on: of {len(given)}, {left_out['no value of the target']} have no {problem.target!r} and {left_out['none of the modalities']} none of {', '.join(modalities)}.")
    if len(validation) == 0:
        _check_classes(problem, codes[train], groups[train], least=2)
        inside = _carve(groups[train], strata(problem, codes[train]), share, seed)
        train, validation = train[~inside], train[inside]
    else:
        _check_classes(problem, codes[train], groups[train], least=1)
    return Parts(train, validation, test[usable[test]], {k: v for k, v in left_out.items() if v}, groups)


def strata(problem: Problem, truth: NDArray[Any]) -> NDArray[np.int64]:
    """What samples are dealt out evenly by: the class, the rarest of their labels, or the fifth of their values; (sample,).

    Parameters
    ----------
    problem : Problem
    truth : array, (sample, ...)
        As `Problem.encode` gives it, or standardised.
    """
    if problem.task == "classification":
        return truth.astype(np.int64)
    if problem.task == "self_supervised":
        return np.zeros(len(truth), dtype=np.int64)
    if problem.task == "multi_label":
        ascending = np.argsort(np.nansum(truth, axis=0), kind="stable")  # of each sample the label that is hardest to spread
        held = truth[:, ascending] == 1
        return np.where(held.any(axis=1), ascending[held.argmax(axis=1)], -1).astype(np.int64)
    if truth.ndim == 2:  # several numbers: their mean, each on its own scale
        count = np.isfinite(truth).sum(axis=1)
        truth = np.nansum((truth - np.nanmean(truth, axis=0)) / np.maximum(np.nanstd(truth, axis=0), 1e-300), axis=1) / np.maximum(count, 1)
    return np.searchsorted(np.quantile(truth, [0.2, 0.4, 0.6, 0.8]), truth)


def _check_classes(problem: Problem, codes: NDArray[Any], groups: NDArray[np.int64], least: int) -> None:
    if problem.task in (*NUMBERS, "self_supervised"):
        if len(np.unique(groups)) < least:
            raise TrainingError(f"{len(codes)} training samples form {len(np.unique(groups))} group(s); {least} are needed, to train and to validate.")
        return
    if problem.task == "multi_label":
        _check_labels(problem, codes, groups, least)
        return
    if len(problem.classes) < 2:
        raise TrainingError(f"target {problem.target!r} has the one class {problem.classes[0]!r}; classification needs two or more.")
    for code, name in enumerate(problem.classes):
        count = len(np.unique(groups[codes == code]))
        if count == 0:
            raise TrainingError(f"class {name!r} of {problem.target!r} has no sample in the training part. Make another split, or leave the class out with samples.take(...).")
        if count < least:
            raise TrainingError(
                f"class {name!r} of {problem.target!r} has {int((codes == code).sum())} training sample(s) in {count} group(s); "
                f"{least} groups are needed, to train and to validate. Leave the class out with samples.take(...), or add samples."
            )


def _check_labels(problem: Problem, codes: NDArray[Any], groups: NDArray[np.int64], least: int) -> None:
    """Each label must hold for some training samples and not for others."""
    for column, name in enumerate(problem.targets):
        for value, said in ((1, "holds for"), (0, "is denied for")):
            inside = codes[:, column] == value
            count = len(np.unique(groups[inside]))
            if count < least:
                raise TrainingError(
                    f"label {name!r} {said} {int(inside.sum())} training sample(s) in {count} group(s); {least} are needed, to train and to validate. "
                    f"Leave it out: target={[one for one in problem.targets if one != name]}, or add samples."
                )


def _carve(groups: NDArray[np.int64], strata: NDArray[Any], share: float, seed: int) -> NDArray[np.bool_]:
    """Which samples go to validation: whole groups, from each stratum its share and at least one, never all."""
    rng = np.random.default_rng([seed, 15])
    names, first = np.unique(groups, return_index=True)
    of_group = strata[first]  # a group of mixed classes is dealt with by the class of its first sample
    chosen = []
    for stratum in np.unique(of_group):
        inside = rng.permutation(names[of_group == stratum])
        if len(inside) > 1:
            chosen.append(inside[: min(len(inside) - 1, max(1, round(share * len(inside))))])
    taken = np.isin(groups, np.concatenate(chosen)) if chosen else np.zeros(len(groups), dtype=bool)
    if not taken.any() or taken.all():
        raise TrainingError(f"{len(groups)} training samples in {len(names)} group(s) cannot be divided into a part to train on and a part to validate.")
    return taken
