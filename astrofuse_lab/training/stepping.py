"""One step of an optimiser: its batch in as many pieces as memory needs, by as many processes as there are.

However a batch is cut, the step is the same: each piece adds its samples' weighted losses over the whole batch's weight, and
gradients are summed. Processes sum theirs after each has computed its own, in one reduction, where none of them has failed.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from astrofuse_lab.errors import TrainingError
from astrofuse_lab.samples.preparation import Batch
from astrofuse_lab.training.devices import out_of_memory, release_memory
from astrofuse_lab.training.learning import Learned, Learning

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Say = Callable[[str], None]


class Stepper:
    """Takes the steps of one training.

    Parameters
    ----------
    fabric : Fabric
    learning : Learning
    wrapped : callable
        `learning` as Fabric set it up.
    optimiser : Optimizer
        As Fabric set it up.
    clip : float
        Largest norm of the gradient.
    halve : bool
        Where memory does not suffice, compute half as many samples at once and go on.
    say : callable
        Told in words what was changed.
    """

    def __init__(self, fabric: "Fabric", learning: Learning, wrapped: Any, optimiser: Any, clip: float, halve: bool, say: Say) -> None:
        self.fabric, self.learning, self.wrapped, self.optimiser = fabric, learning, wrapped, optimiser
        self.clip, self.halve, self.say = clip, halve, say
        self.trained = [p for p in learning.parameters() if p.requires_grad]

    def gradients(self, batch: Batch, target: Tensor, weight: Tensor, seed: int, parts: int, counted: bool = True) -> tuple[Tensor, int]:
        """Compute the clipped gradients of a batch.

        Parameters
        ----------
        batch : Batch
            This process's share of the batch.
        target : Tensor, (sample, ...)
        weight : Tensor, ()
            Weight of the whole batch, all processes' shares together.
        seed : int
            Of what the learning draws, so that a step does not depend on the steps before it.
        parts : int
            Pieces to compute one after the other.
        counted : bool
            False where the share is a stand-in for none: its gradient is zero.

        Returns
        -------
        told : Tensor, (2,)
            Loss of the whole batch and norm of its gradient before clipping.
        parts : int
            Pieces that it took.

        Raises
        ------
        TrainingError
            If memory does not suffice for the smallest piece.
        """
        while True:
            failure: BaseException | None = None
            loss = torch.zeros((), device=weight.device)
            try:
                loss = self._accumulate(batch, target, weight, seed, parts, counted)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                failure = error.with_traceback(None)  # its frames hold the tensors that are too many
            summed = self._together(loss, failure is not None)
            if summed is not None:
                norm = torch.nn.utils.clip_grad_norm_(self.trained, self.clip, foreach=True if weight.device.type in ("cpu", "cuda") else None)
                return torch.stack([summed.detach().float(), norm.float()]), parts
            self.optimiser.zero_grad()
            parts = self._more(parts, len(target), failure)
            release_memory(weight.device)

    def _accumulate(self, batch: Batch, target: Tensor, weight: Tensor, seed: int, parts: int, counted: bool) -> Tensor:
        self.optimiser.zero_grad()
        torch.manual_seed(seed)
        total = torch.zeros((), device=weight.device)
        for piece, wanted in pieces(batch, target, parts):
            # processes add their gradients below, all at once: not in each backward pass
            with self.fabric.no_backward_sync(self.wrapped, enabled=self.fabric.world_size > 1):
                made = Learned(*self.wrapped(piece.values, piece.masks, piece.present, wanted))
                loss = (made.loss * made.weight).sum() / weight * float(counted)
                self.fabric.backward(loss)
            total += loss.detach()
        return total

    def _together(self, loss: Tensor, failed: bool) -> Tensor | None:
        """Sum loss and gradients over processes; None where any of them failed."""
        if self.fabric.world_size == 1:
            return None if failed else loss
        # a layer may be used by one process's samples and not by another's: who has a gradient is agreed on first
        has = torch.tensor([float(failed), *(float(p.grad is not None) for p in self.trained)], device=loss.device)
        held = _summed(self.fabric, has).tolist()
        if held[0]:
            return None
        used = [p for p, count in zip(self.trained, held[1:], strict=True) if count]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
        flat = _summed(self.fabric, torch.cat([*(g.reshape(-1) for g in grads), loss.reshape(1)]))
        for p, grad, new in zip(used, grads, flat[:-1].split([g.numel() for g in grads]), strict=True):
            p.grad = new.view_as(grad)
        return flat[-1]

    def _more(self, parts: int, count: int, failure: BaseException | None) -> int:
        """Twice the pieces, or a TrainingError that says what to lower."""
        at_once = -(-count // parts)
        why = f" ({str(failure).splitlines()[0][:160]})" if failure is not None and str(failure) else ""
        if not self.halve or not self.learning.divisible or at_once <= 1:
            cause = (
                "a single sample is too large" if at_once <= 1 else "its loss compares the samples of a batch, which cannot be cut" if not self.learning.divisible else "halve=False"
            )
            raise TrainingError(
                f"out of memory with {at_once} sample(s) at once{why}, and no less can be taken: {cause}. Lower the batch, "
                f"recipe.change(schedule=Part.of(..., batch_size={max(1, at_once // 2)})), take a smaller width=, fewer modalities or pixels, or precision='bf16'."
            ) from failure
        self.say(f"out of memory with {at_once} samples at once{why}: now {-(-count // (2 * parts))} at a time, {2 * parts} times a step; the step stays the same.")
        return 2 * parts


def _summed(fabric: "Fabric", tensor: Tensor) -> Tensor:
    return torch.as_tensor(fabric.all_reduce(tensor, reduce_op="sum"))


def pieces(batch: Batch, target: Tensor, parts: int) -> Iterator[tuple[Batch, Tensor]]:
    """A batch and its targets in that many pieces of nearly the same size; fewer where it has fewer samples."""
    count = len(target)
    parts = min(parts, count)
    if parts <= 1:
        yield batch, target
        return
    edges = [count * i // parts for i in range(parts + 1)]
    for begin, end in itertools.pairwise(edges):
        yield Batch(*({name: t[begin:end] for name, t in part.items()} for part in batch)), target[begin:end]


def gathered(fabric: "Fabric", tensor: Tensor, count: int) -> Tensor:
    """What processes computed of `count` samples, dealt to them in turns, in the samples' order.

    Parameters
    ----------
    fabric : Fabric
    tensor : Tensor, (share, ...)
        Padded to the longest share, so that all give as many.
    count : int
    """
    world = fabric.world_size
    if world == 1:
        return tensor[:count]
    every = tensor.new_zeros(len(tensor) * world, *tensor.shape[1:])
    every[fabric.global_rank :: world] = tensor
    return _summed(fabric, every)[:count]
