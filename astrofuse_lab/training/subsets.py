"""A fused model on some of its modalities only: the others masked, as if they had not been observed."""

from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training.batches import batches
from astrofuse_lab.training.run import Run

MOST = 6
"""Modalities of which all subsets are taken: 63."""


def subset_names(modalities: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Every non-empty subset by its name, ``image + table``; with more than `MOST` modalities, those of one, of all, and of all but one."""
    sizes = range(1, len(modalities) + 1) if len(modalities) <= MOST else sorted({1, len(modalities) - 1, len(modalities)})
    return {" + ".join(kept): kept for size in sizes for kept in combinations(modalities, size)}


def masked_outputs(run: Run, samples: SampleSet, positions: NDArray[np.int64], kept: tuple[str, ...]) -> NDArray[Any]:
    """Predictions with only some modalities left; samples that have none of them get what the model says of nothing."""
    run.preparation.check(samples)
    made = []
    for batch in batches(run.preparation, samples, positions, run.device):
        present = {name: there & (name in kept) for name, there in batch.present.items()}
        with torch.inference_mode():
            made.append(run.decode(run.model.eval()(batch.values, batch.masks, present).values))
    return np.concatenate(made)
