"""From what a head gives to probabilities and numbers in their own units."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.training.problem import Problem


def decoded(problem: Problem, values: torch.Tensor) -> NDArray[np.float64]:
    """A head's `values` as probabilities, or in the targets' own units; in double precision."""
    values = values.detach().double().cpu()
    if problem.task == "classification":
        return values.softmax(1).numpy()
    if problem.task == "multi_label":
        return values.sigmoid().numpy()
    if problem.task == "self_supervised":
        return values.numpy()
    return problem.in_units((values if problem.several else values[:, 0]).numpy())


def entropy(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Entropy of each row, divided by that of an even distribution: 0 sure, 1 undecided."""
    if probabilities.shape[1] < 2:
        raise InputError("an entropy needs at least two classes.")
    safe = np.clip(probabilities, 1e-300, 1.0)
    return np.asarray(-(probabilities * np.log(safe)).sum(1) / np.log(probabilities.shape[1]))
