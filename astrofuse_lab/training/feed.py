"""Batches for training: prepared once and kept where they fit, else prepared ahead of use."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.samples.preparation import Batch, Preparation
from astrofuse_lab.samples.sample_set import SampleSet

RAGGED = ("light_curve", "text")
MEMORY_SHARE = 0.25
"""Of the free memory, for prepared samples."""
MOST_MEMORY = 4 * 1024**3


def trimmed(batch: Batch, kinds: Mapping[str, str]) -> Batch:
    """The batch without the padding that all its samples share at the end."""
    values, masks = dict(batch.values), dict(batch.masks)
    for name, kind in kinds.items():
        if kind in RAGGED and name in masks:
            used = masks[name].any(0).nonzero()
            length = int(used[-1]) + 1 if len(used) else 1
            values[name], masks[name] = values[name][:, :length], masks[name][:, :length]
    return Batch(values, masks, batch.present)


class Feed:
    """Batches of one sample set.

    Parameters
    ----------
    preparation : Preparation
    samples : SampleSet
    positions : int array
        The samples that batches are asked from; indices below count these.
    device : torch.device
    memory : int, optional
        Bytes that prepared samples may take; None: a quarter of what is free, 4 GiB at most.
    """

    def __init__(self, preparation: Preparation, samples: SampleSet, positions: NDArray[np.int64], device: torch.device, memory: int | None = None) -> None:
        self.preparation, self.samples, self.positions, self.device = preparation, samples, positions, device
        self.kinds = {name: scaling.kind for name, scaling in preparation.scalings.items()}
        self.turnable = {name for name, spec in samples.modalities.items() if spec.kind == "image"}
        limit = min(MOST_MEMORY, int(psutil.virtual_memory().available * MEMORY_SHARE)) if memory is None else memory
        self.kept: Batch | None = None
        if self._estimate() <= limit:
            self.kept = preparation.batch(samples, positions).to(device)

    def _estimate(self) -> int:
        some = self.positions[np.linspace(0, len(self.positions) - 1, min(16, len(self.positions))).astype(int)]
        batch = self.preparation.batch(self.samples, some)
        return sum(t.nbytes for part in batch for t in part.values()) * len(self.positions) // max(1, len(some))

    def batch(self, index: NDArray[np.int64]) -> Batch:
        """One batch, on the device."""
        if self.kept is not None:
            return trimmed(self.kept.take(torch.from_numpy(index).to(self.device)), self.kinds)
        return trimmed(self.preparation.batch(self.samples, self.positions[index]), self.kinds).to(self.device)

    def batches(self, indices: Iterable[NDArray[np.int64]]) -> Iterator[Batch]:
        """Batches in order; where they come from disk, the next is prepared while one is used."""
        if self.kept is not None:
            yield from map(self.batch, indices)
            return
        pool = ThreadPoolExecutor(1)
        try:
            ahead = None
            for index in indices:
                following = pool.submit(self.batch, index)
                if ahead is not None:
                    yield ahead.result()
                ahead = following
            if ahead is not None:
                yield ahead.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def varied(batch: Batch, feed: "Feed", turn: bool, epoch_dropout: float, generator: torch.Generator) -> Batch:
    """A batch as the same objects might as well have been observed.

    Parameters
    ----------
    batch : Batch
    feed : Feed
        Knows the kind of each modality, and whether an image's orientation means anything.
    turn : bool
        Turn each image without orientation by a random quarter and mirror it at random, with its mask.
    epoch_dropout : float
        Mask epochs of light curves, in each sample a share drawn between 0 and this; the last epoch stays.
    generator : torch.Generator
    """
    values, masks = dict(batch.values), dict(batch.masks)
    for name in batch.values:
        if turn and name in feed.turnable:
            way = torch.randint(0, 8, (len(batch),), generator=generator).to(values[name].device)
            values[name], masks[name] = _dihedral(values[name], way), _dihedral(masks[name], way)
        if epoch_dropout and feed.kinds[name] == "light_curve":
            share = torch.rand(len(batch), 1, generator=generator) * epoch_dropout
            keep = (torch.rand(masks[name].shape, generator=generator) >= share).to(masks[name].device)
            last = masks[name] & (masks[name].flip(1).cumsum(1).flip(1) == 1)
            masks[name] = masks[name] & (keep | last)
    return Batch(values, masks, batch.present)


def _dihedral(image: Tensor, way: Tensor) -> Tensor:
    """One of the eight symmetries of the square per sample: bit 0 mirrors x, bit 1 mirrors y, bit 2 swaps x and y."""
    pick = lambda bit: (way >> bit & 1).bool().view(-1, *[1] * (image.ndim - 1))  # noqa: E731
    image = torch.where(pick(0), image.flip(-1), image)
    image = torch.where(pick(1), image.flip(-2), image)
    return torch.where(pick(2), image.transpose(-1, -2), image) if image.shape[-1] == image.shape[-2] else image
