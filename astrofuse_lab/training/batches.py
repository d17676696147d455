"""Samples in the batches that a trained model is asked about: as many at once as memory holds."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab import memory
from astrofuse_lab.samples.preparation import Batch, Preparation
from astrofuse_lab.samples.sample_set import SampleSet

BATCH = 256


def batches(preparation: Preparation, samples: SampleSet, positions: NDArray[np.int64], device: torch.device) -> Iterator[Batch]:
    """Some samples, in order, on a device; what they hold is to be checked before (`Preparation.check`)."""
    rows = memory.at_once(BATCH)
    for begin in range(0, len(positions), rows):
        yield preparation.batch(samples, positions[begin : begin + rows]).to(device)
