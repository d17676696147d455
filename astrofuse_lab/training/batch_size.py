"""``af.find_batch_size``: the largest batch that memory holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astrofuse_lab.errors import InputError, TrainingError
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.training.devices import forked, free_memory, make_fabric, out_of_memory, release_memory
from astrofuse_lab.training.plan import make_plan
from astrofuse_lab.training.stages import self_supervised_recipe
from astrofuse_lab.training.trainer import Trainer

SHARE = 0.8
"""Of free memory that may be used: what others take meanwhile, and what fragments, is not known."""
BACKWARD = 2
"""The backward pass holds gradients beside what the forward pass kept: as much again at most."""


def find_batch_size(
    recipe: str | Recipe, samples: SampleSet, target: str | Sequence[str] | None = None, modalities: Sequence[str] | None = None, split: Split | None = None, *,
    device: str = "auto", precision: str = "auto", largest: int = 4096, memory: int | None = None, progress: bool = True,
) -> int:  # fmt: skip
    """The largest batch, a power of two, of which a training step fits into memory.

    Takes steps of 1, 2, 4, ... samples with a model that is thrown away. On a GPU they are tried until memory runs out. On a processor,
    where the system would end the process, what a step keeps is counted, and none is tried that would need too much.
    A larger batch is computed faster a sample, and learns less a sample: it is what fits, not what is best.

    Parameters
    ----------
    recipe, samples, target, modalities, split, device, precision
        As in ``af.train``.
    largest : int
        Where to end; never more than the training part has.
    memory : int, optional
        Bytes that may be used. None: four fifths of what is free.
    progress : bool
        Print each batch tried and what it needs.

    Returns
    -------
    int
        For ``recipe.change(schedule=Part.of("end_to_end", batch_size=...))``.

    Raises
    ------
    TrainingError
        If not even one sample fits.
    InputError
        For what ``af.train`` refuses, or `largest` below 1.
    """
    if isinstance(largest, bool) or int(largest) != largest or largest < 1:
        raise InputError(f"largest={largest!r}: a whole number, 1 or more.")
    chosen = get_recipe(recipe) if target is not None else self_supervised_recipe(get_recipe(recipe))
    fabric = make_fabric(device, precision)
    trainer = Trainer(make_plan(chosen, samples, target, modalities, split, 0, 1), fabric)
    trainer.stepper.halve = False
    room = int(free_memory(fabric.device) * SHARE) if memory is None else int(memory)
    needs: dict[int, int] = {}
    fixed = _fixed(trainer)
    size = 1
    while size <= min(largest, trainer.n_train):
        # twice the samples need twice what is theirs; a GPU may be tried, as it says so when memory runs out
        if needs and fabric.device.type != "cuda" and fixed + 2 * (needs[size // 2] - fixed) > room:
            break
        need = _needed(trainer, size)
        if progress:
            print(f"{size} samples at once: {'out of memory' if need is None else f'{need / 1e6:,.1f} MB'} of {room / 1e6:,.0f} MB", flush=True)
        if need is None or need > room:
            break
        needs[size] = need
        size *= 2
    if not needs:
        raise TrainingError(
            f"not even one sample fits into {room / 1e6:,.0f} MB. Take a smaller width=, fewer modalities or pixels, precision='bf16', or a machine with more memory."
        )
    return max(needs)


def _fixed(trainer: Trainer) -> int:
    """Bytes whatever the batch: weights, their gradients, two moments of them, and their average."""
    return 5 * sum(p.nbytes for p in trainer.learning.parameters())


def _needed(trainer: Trainer, size: int) -> int | None:
    """Bytes that a step of so many samples takes; None where they did not fit."""
    device = trainer.fabric.device
    index = np.arange(size) % trainer.n_train
    trainer.learning.train()
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Any:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()  # several tensors may share one
        return tensor

    try:
        with forked(device), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            batch, target = trainer.feed.batch(index), trainer.target[torch.from_numpy(index).to(device)]
            trainer.stepper.gradients(batch, target, trainer.learning.weight(target).sum(), 0, 1)
            trainer.optimiser.step()
    except (TrainingError, RuntimeError, MemoryError) as error:
        if not (out_of_memory(error) or out_of_memory(error.__cause__ or error)):
            raise
        return None
    finally:
        trainer.optimiser.zero_grad()
        release_memory(device)
    if cuda:
        return int(torch.cuda.max_memory_allocated(device))
    own = {p.untyped_storage().data_ptr() for p in trainer.learning.parameters()}
    given = sum(t.nbytes for part in batch for t in part.values())
    return BACKWARD * sum(size for at, size in kept.items() if at not in own) + given + _fixed(trainer)
