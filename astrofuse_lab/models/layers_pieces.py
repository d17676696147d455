"""Layers that cut a vector, or give one input to several networks: the scalars and the one-against-all nets of published systems."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]
Make = Callable[[Sequence[Any], Shape], tuple[nn.Module, Shape]]
"""A list of layers for inputs of a shape: module and the shape it gives."""


class Each(nn.Module):
    """The first numbers of a vector as they are, and each of the others through layers of its own.

    GWSkyNet gives every scalar a dense unit of its own (Cabero et al. 2020, ApJL 904, L9, figure 1).

    Parameters
    ----------
    keep : int
        How many pass as they are.
    layers : sequence of Module
        One a number after these, for (batch, 1).
    """

    def __init__(self, keep: int, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.keep = keep
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, number) to (batch, number): `keep` of them, then what the layers give."""
        return torch.cat([x[:, : self.keep], *(one(x[:, self.keep + i, None]) for i, one in enumerate(self.layers))], 1)


class Parallel(nn.Module):
    """One input through several networks, their vectors side by side.

    Parameters
    ----------
    networks : sequence of Module
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ...) to (batch, number)."""
        return torch.cat([one(x) for one in self.networks], 1)


def each(make: Make, shape: Shape, inner: Sequence[Any], keep: int = 0) -> tuple[nn.Module, Shape]:
    """``["each", [layers], keep]``; ValueError for what is no vector, or for layers that give no vector."""
    if len(shape) != 1 or isinstance(keep, bool) or not isinstance(keep, int) or not 0 <= keep <= shape[0]:
        raise ValueError(f"a vector of at least keep={keep!r} numbers is expected")
    made = [make(inner, (1,)) for _ in range(shape[0] - keep)]
    if any(len(after) != 1 for _, after in made):
        raise ValueError("the layers of each number end with a vector")
    return Each(keep, [one for one, _ in made]), (keep + sum(after[0] for _, after in made),)


def parallel(make: Make, shape: Shape, networks: Sequence[Any]) -> tuple[nn.Module, Shape]:
    """``["parallel", [[layers], [layers], ...]]``; ValueError where one gives no vector."""
    made = [make(inner, shape) for inner in networks]
    if not made or any(len(after) != 1 for _, after in made):
        raise ValueError("each network ends with a vector: 'flatten', 'global_average' or 'dense'")
    return Parallel([one for one, _ in made]), (sum(after[0] for _, after in made),)
