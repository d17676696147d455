"""Decisions that learn after the networks: fitted on the validation part, and judged there by folds."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from astrofuse_lab.models.decision import Decision
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

ROWS = 256
FOLDS = 5


def stream_values(run: "Run", samples: "SampleSet", positions: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """What each stream's head says of samples, (sample, stream, output), and which streams each has, (sample, stream); on the CPU."""
    decision = run.model.decision
    assert decision is not None
    values, there = [], []
    with torch.inference_mode():
        for begin in range(0, len(positions), ROWS):
            batch = run.preparation.batch(samples, positions[begin : begin + ROWS]).to(run.device)
            prediction = run.model.eval()(batch.values, batch.masks, batch.present)
            values.append(torch.stack([prediction.each[name].values for name in decision.streams], 1).cpu())
            there.append(prediction.extra["streams"].cpu())
    # not tensors of inference mode: they become buffers
    return torch.cat(values).clone(), torch.cat(there).clone()


def fold_of(groups: NDArray[Any], strata: NDArray[Any], count: int = FOLDS) -> NDArray[np.int64]:
    """Fold of each sample, whole groups together, strata spread evenly; all zero where there is one group."""
    names, first, codes = np.unique(groups, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(0).permutation(len(names))
    dealt = shuffled[np.argsort(strata[first][shuffled], kind="stable")]
    fold = np.empty(len(names), dtype=np.int64)
    fold[dealt] = np.arange(len(names)) % max(1, min(count, len(names)))
    return fold[codes]


def fit_decision(run: "Run", samples: "SampleSet", positions: NDArray[np.int64], truth: NDArray[Any], groups: NDArray[Any]) -> NDArray[Any] | None:
    """Fit a run's decision on samples that its networks were not trained on.

    Parameters
    ----------
    run : Run
    samples : SampleSet
    positions : int array, (n,)
        Of the validation part, with a known truth.
    truth : array, (n,) or (n, target)
        As `Problem.encode` gives it.
    groups : int array, (n,)

    Returns
    -------
    array, (n, output), or None
        What the decision says of each sample when it is fitted on the other folds, as the model's `values`: the fitted one has seen the
        truth of all. None where nothing was to be fitted.
    """
    decision = run.model.decision
    if decision is None or not decision.fits or not len(positions):
        return None
    values, there = stream_values(run, samples, positions)
    target = torch.from_numpy(np.asarray(run.problem.standardised(truth), dtype=np.float32)).view(len(positions), -1)
    folds = fold_of(groups, truth if run.problem.task == "classification" else np.zeros(len(truth)))
    told = torch.zeros(len(values), values.shape[2])
    for fold in np.unique(folds):
        inside = torch.from_numpy(folds == fold)
        told[inside] = _without(decision, values, there, target, inside)
    decision.fit(values, there, target)
    return told.double().numpy()


def _without(decision: "Decision", values: Tensor, there: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """What a decision fitted outside of a fold says inside of it; an unfitted one where nothing is left outside."""
    twin = copy.deepcopy(decision).cpu().eval()
    if not bool(inside.all()):
        twin.fit(values[~inside], there[~inside], target[~inside])
    with torch.no_grad():
        return twin.combine(values[inside], there[inside]).float()
