"""The forward that captum sees of one chunk of samples, and how many rows of it memory can hold."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from astrofuse_lab import memory
from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.adapter import Score
from astrofuse_lab.models.tokens import Tokens
from astrofuse_lab.training.devices import free_memory, release_memory

if TYPE_CHECKING:
    from astrofuse_lab.samples.preparation import Batch

RAGGED = ("light_curve", "text")
"""Kinds whose first axis is padded to the longest of a batch."""


class ChunkForward:
    """``forward(*explained values, row)`` -> one number a row; ``row`` is the sample of the chunk that a row was made of.

    captum repeats what it is given for every step or hidden window. It is given the number of the sample only; everything else that belongs to
    the sample is looked up here. Where encoders are independent, modalities that are not explained are encoded once, and not once a row.

    Parameters
    ----------
    model : FusionModel
    part : Batch
        The chunk's samples, on the model's device.
    explained : sequence of str
        Modalities whose values captum changes; the others keep theirs.
    score : callable
        From `adapter.SCORES`.
    goal : Tensor, (sample,)
        Index of the output explained.

    Attributes
    ----------
    separable : bool
        A modality's tokens do not depend on the other modalities.
    """

    def __init__(self, model: nn.Module, part: "Batch", explained: Sequence[str], score: Score, goal: Tensor) -> None:
        self.model, self.part, self.score, self.goal = model, part, score, goal
        self.explained = tuple(explained)
        self.held = tuple(name for name in part.values if name not in self.explained)
        self.tokens: dict[str, Tokens] = {}
        self.separable = bool(getattr(model, "separable", True))
        if self.held and self.separable:
            with torch.no_grad():
                self.tokens = model.encode({name: part.values[name] for name in self.held}, part.masks, part.present)[0]  # type: ignore[operator]

    @property
    def rows(self) -> Tensor:
        """The number of each sample: what captum is told to repeat."""
        return torch.arange(len(self.goal), device=self.goal.device)

    def inputs(self, values: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """What captum may change."""
        return tuple(values[name] for name in self.explained)

    def only(self, *names: str) -> "ChunkForward":
        """The same for fewer modalities: the others keep the samples' own values."""
        return ChunkForward(self.model, self.part, names, self.score, self.goal)

    def encoded(self, name: str, values: Tensor, row: Tensor) -> Tokens:
        """Tokens of one modality's values, each row made of a sample of the chunk."""
        part = self.part
        tokens: dict[str, Tokens] = self.model.encode({name: values}, {name: part.masks[name][row]}, {name: part.present[name][row]})[0]  # type: ignore[operator]
        return tokens[name]

    def held_tokens(self, row: Tensor) -> dict[str, Tokens]:
        """Tokens of the modalities that are not explained, of the sample that each row is made of."""
        return {name: taken(one, row, len(self.goal)) for name, one in self.tokens.items()}

    def read(self, tokens: Mapping[str, Tokens], row: Tensor) -> Tensor:
        """The score of each row, from its tokens."""
        said = self.model.predict({name: tokens[name] for name in self.part.values}).values  # type: ignore[operator]
        return self.score(said, self.goal[row])

    def __call__(self, *tensors: Tensor) -> Tensor:
        """The score of each row, (rows,)."""
        *given, row = tensors
        values = dict(zip(self.explained, given, strict=True))
        part = self.part
        if self.tokens:
            out = self.read({**self.held_tokens(row), **{name: self.encoded(name, one, row) for name, one in values.items()}}, row)
        else:
            every = {name: values[name] if name in values else part.values[name][row] for name in part.values}
            real, there = {name: part.masks[name][row] for name in every}, {name: part.present[name][row] for name in every}
            out = self.score(self.model(every, real, there).values, self.goal[row])
        # a modality that no sample of the batch has may be left out of the graph by the model; captum needs it in
        return out + sum(0.0 * value.flatten(1)[:, :1].sum(1) for value in given)


def taken(tokens: Tokens, row: Tensor, count: int) -> Tokens:
    """Tokens of some rows of `count`, with the coordinates that belong to them."""
    place = dict(tokens.place)
    if "coordinates" in place:
        place["coordinates"] = {name: one[row] if len(one) == count else one for name, one in place["coordinates"].items()}
    return Tokens(tokens.values[row], tokens.mask[row], place)


def trimmed(part: "Batch", kinds: Mapping[str, str]) -> "Batch":
    """The chunk without the padding that only longer samples of the whole batch needed."""
    values, masks = dict(part.values), dict(part.masks)
    for name, kind in kinds.items():
        if kind in RAGGED and values[name].ndim > 2:
            real = masks[name].any(0).nonzero()
            length = int(real[-1]) + 1 if len(real) else 1
            values[name], masks[name] = values[name][:, :length], masks[name][:, :length]
    return type(part)(values, masks, part.present)  # not _replace: a Batch has the length of its samples


def without_absent(part: "Batch", explained: Mapping[str, str]) -> "Batch":
    """The chunk without the modalities that none of its samples has: to the model they are missing either way. One that is explained stays."""
    real = [name for name, mask in part.masks.items() if bool((mask.flatten(1).any(1) & part.present[name]).any())]
    keep = [name for name in part.values if name in real]
    if not any(name in explained for name in keep):
        keep = [name for name in part.values if name in real or name in explained]
    return type(part)(*({name: one[name] for name in keep} for one in part))


# ---- memory --------------------------------------------------------------------------------------------------------

ACTIVATIONS = 64
"""Numbers that a forward and backward pass keeps for each number of the input: measured 15 to 50 on the recipes' convolutions and attention."""
SHARE = 0.25
"""Of the memory that is free, at most so much is taken."""
MOST_BYTES = 512 * 1024**2
"""On a CPU more rows at once are no faster: what they need no longer lies in its caches."""
MOST_ROWS = {"cpu": 128, "cuda": 4096, "mps": 512}


class Rows:
    """Rows that the model is given at once; fewer after memory ran out.

    Parameters
    ----------
    asked : int or "auto"
        ``"auto"``: as many as a quarter of the free memory holds, by the size of the inputs.
    numbers : int
        Numbers of one sample's inputs.
    device : torch.device

    Attributes
    ----------
    now : int
    halved : int
        How often memory ran out.
    """

    def __init__(self, asked: int | str, numbers: int, device: torch.device) -> None:
        self.device, self.halved = device, 0
        if asked == "auto":
            self.now = estimate(numbers, device)
        else:
            self.now = memory.at_once(int(asked))

    def halve(self, error: BaseException) -> None:
        """Half as many from now on.

        Raises
        ------
        InputError
            If there was only one.
        """
        if self.now <= 1:
            raise InputError(
                f"out of memory with one row at once ({str(error).splitlines()[0][:160] if str(error) else 'no reason given'}): a single sample is too large to be "
                "explained here. Explain fewer modalities, modalities=[...], or train on smaller cutouts or fewer pixels."
            ) from error.with_traceback(None)
        self.now, self.halved = self.now // 2, self.halved + 1
        release_memory(self.device)


def estimate(numbers: int, device: torch.device) -> int:
    """Rows of so many numbers that memory holds, forward and backward."""
    free = free_memory(device)
    promised = memory.promised()
    if device.type == "cpu":
        free = min(free, promised if promised is not None else free)
    budget = int(SHARE * free)
    if device.type == "cpu":
        budget = min(budget, MOST_BYTES // 8 if memory.small() else MOST_BYTES)
    return max(1, min(MOST_ROWS.get(device.type, 128), budget // max(1, 4 * numbers * ACTIVATIONS)))


def numbers_of(values: Mapping[str, Any]) -> int:
    """Numbers of one sample's inputs."""
    return sum(int(one[0].numel()) for one in values.values() if len(one))
