"""Batches for training: prepared once and kept where they fit, else prepared ahead of use; training's are augmented on the way."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.alignment import augmentation
from astrofuse_lab.alignment.scene import Scene, Seen
from astrofuse_lab.samples.preparation import Batch, Preparation
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.training.devices import free_memory

RAGGED = ("light_curve", "text")
MEMORY_SHARE = 0.25
"""Of the free memory, for prepared samples."""
MOST_MEMORY = 4 * 1024**3
Columns = dict[str, NDArray[np.float64]]
One = TypeVar("One")
Other = TypeVar("Other")


def trimmed(batch: Batch, kinds: Mapping[str, str]) -> Batch:
    """The batch without the padding that all its samples share at the end."""
    values, masks = dict(batch.values), dict(batch.masks)
    for name, kind in kinds.items():
        if kind in RAGGED and name in masks:
            used = masks[name].any(0).nonzero()
            length = int(used[-1]) + 1 if len(used) else 1
            values[name], masks[name] = values[name][:, :length], masks[name][:, :length]
    return Batch(values, masks, batch.present)


def _lengths(mask: torch.Tensor) -> NDArray[np.int64]:
    """Where the last real element of each sample ends: (sample,), of a mask (sample, element)."""
    ends = torch.where(mask, torch.arange(1, mask.shape[1] + 1), 0)
    return np.asarray(ends.amax(1).numpy() if mask.shape[1] else np.zeros(len(mask)), dtype=np.int64)


class _Given:
    """Arrays in the place of a set that would be read."""

    def __init__(self, arrays: Mapping[str, dict[str, NDArray[Any]]], columns: Columns) -> None:
        self.given, self.columns = arrays, columns

    def arrays(self, name: str, positions: object = None) -> dict[str, NDArray[Any]]:
        return self.given[name]

    def column(self, name: str) -> Any:
        return np.ma.masked_invalid(self.columns[name])


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
        Bytes that prepared samples may take on the device; None: a quarter of what is free there, 4 GiB at most.
    augment : sequence of augmentation.Chosen
        How training batches are varied.
    """

    def __init__(
        self, preparation: Preparation, samples: SampleSet, positions: NDArray[np.int64], device: torch.device, memory: int | None = None,
        augment: Sequence[augmentation.Chosen] = (),
    ) -> None:  # fmt: skip
        self.preparation, self.samples, self.positions, self.device = preparation, samples, positions, device
        self.kinds = {name: scaling.kind for name, scaling in preparation.scalings.items()}
        # augmentations vary what was observed, never the picture that a representation makes of it: that is made afterwards
        self.raw = {name: scaling.given[0] if scaling.shown else scaling.kind for name, scaling in preparation.scalings.items()}
        self.shown = {name for name, scaling in preparation.scalings.items() if scaling.shown}
        concern = [one for one in augment if set(one.what.follows) & set(self.raw.values())]
        late = [bool(one.what.fast) and not any(self.raw[name] in one.what.follows for name in self.shown) for one in concern]
        self.fast, self.slow = ([one for one, well in zip(concern, late, strict=True) if well is wanted] for wanted in (True, False))
        wanted = dict.fromkeys([*augmentation.columns_of(self.slow), *(column for name in self.shown for column in preparation.columns(name))])
        self.columns: Columns = {name: np.ma.filled(samples.column(name).astype(np.float64), np.nan)[positions] for name in wanted}
        limit = min(MOST_MEMORY, int(free_memory(device) * MEMORY_SHARE)) if memory is None else memory
        self.kept: Batch | None = None
        self.lengths: dict[str, NDArray[np.int64]] = {}
        if self._estimate() <= limit:
            self.kept = preparation.batch(samples, positions)
            self.lengths = {name: _lengths(self.kept.masks[name]) for name, kind in self.kinds.items() if kind in RAGGED}
            self.kept = self.kept.to(device)

    def _estimate(self) -> int:
        some = self.positions[np.linspace(0, len(self.positions) - 1, min(16, len(self.positions))).astype(int)]
        batch = self.preparation.batch(self.samples, some)
        return sum(t.nbytes for part in batch for t in part.values()) * len(self.positions) // max(1, len(some))

    def batch(self, index: NDArray[np.int64]) -> Batch:
        """One batch, on the device, as it was observed."""
        if self.kept is None:
            return self._moved(trimmed(self.preparation.batch(self.samples, self.positions[index]), self.kinds))
        rows = torch.from_numpy(index).to(self.device)
        # where they end is known beforehand: to look would have to wait for a GPU, and padding is not copied only to be cut off
        ends = {name: max(1, int(lengths[index].max())) for name, lengths in self.lengths.items()}
        values, masks = ({name: (t[:, : ends[name]] if name in ends else t).index_select(0, rows) for name, t in part.items()} for part in self.kept[:2])
        return Batch(values, masks, {name: t.index_select(0, rows) for name, t in self.kept.present.items()})

    def _moved(self, batch: Batch) -> Batch:
        """On the device; to a GPU from pinned memory, so that it computes meanwhile."""
        if self.device.type == "cuda":
            batch = Batch(*({name: t.pin_memory() for name, t in part.items()} for part in batch))
        return batch.to(self.device)

    def batches(self, indices: Iterable[NDArray[np.int64]]) -> Iterator[Batch]:
        """Batches in order, as they were observed; where they come from disk, the next is prepared while one is used."""
        if self.kept is not None:
            yield from map(self.batch, indices)
            return
        yield from _ahead(self.batch, indices)

    def training(self, indices: Sequence[NDArray[np.int64]], seeds: Sequence[Sequence[int]]) -> Iterator[tuple[Batch, Columns]]:
        """Batches in order, augmented; the same seed gives the same batch, whatever came before it.

        Yields
        ------
        Batch, columns
            With the columns that augmentations read, as they are afterwards.
        """
        if not self.slow:
            for batch, seed in zip(self.batches(indices), seeds, strict=True):
                yield self.varied(batch, seed), {}
            return
        for (batch, columns), seed in zip(_ahead(self._augmented, zip(indices, seeds, strict=True)), seeds, strict=True):
            yield self.varied(batch, seed), columns

    def _augmented(self, what: tuple[NDArray[np.int64], Sequence[int]]) -> tuple[Batch, Columns]:
        """One batch augmented before its preparation, with errors and labels."""
        index, seed = what
        held = {name: self.samples.arrays(name, self.positions[index]) for name in self.kinds}
        specs = self.samples.modalities
        # axes that all objects share, and who is there, are no augmentation's business
        scene = Scene(
            {name: Seen(kind, tuple(specs[name].channels), held[name]) for name, kind in self.raw.items()}, {n: v[index] for n, v in self.columns.items()}
        )
        scene = augmentation.run(scene, self.slow, seed)
        given: Any = _Given({name: seen.arrays for name, seen in scene.modalities.items()}, scene.columns)
        return self._moved(trimmed(self.preparation.batch(given), self.kinds)), scene.columns

    def varied(self, batch: Batch, seed: Sequence[int]) -> Batch:
        """A prepared batch after the augmentations that need no more than that."""
        if not self.fast:
            return batch
        values, masks = dict(batch.values), dict(batch.masks)
        luck = torch.Generator().manual_seed(int(np.random.default_rng([*seed, 1]).integers(2**62)))
        for one in self.fast:
            assert one.what.fast is not None
            for name in batch.values:
                if self.raw[name] in one.what.follows:
                    values[name], masks[name] = one.what.fast(values[name], masks[name], luck, **one.options)
        return Batch(values, masks, batch.present)


def _ahead(make: Callable[[One], Other], of: Iterable[One]) -> Iterator[Other]:
    """What is made of each, in order; the next is made while one is used."""
    pool = ThreadPoolExecutor(1)
    try:
        ahead = None
        for one in of:
            following = pool.submit(make, one)
            if ahead is not None:
                yield ahead.result()
            ahead = following
        if ahead is not None:
            yield ahead.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
