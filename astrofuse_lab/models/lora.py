"""Low-rank adaptation: a weight that stays as it was, plus a product of two small matrices that learns.

Hu et al. 2021 (arXiv:2106.09685), equation 3: ``W = W0 + alpha / rank * B A`` with A drawn and B zero at the begin, so that the model
begins as it was. A kernel of a convolution is taken as a matrix, (out, in * pixels).
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

ADAPTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class LowRank(nn.Module):
    """What is added to one weight.

    Parameters
    ----------
    weight : Tensor, (out, ...)
    rank : int
        At most what the weight has.
    alpha : float
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        out, into = weight.shape[0], weight[0].numel()
        rank = min(rank, out, into)
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.empty(rank, into))
        self.up = nn.Parameter(torch.zeros(out, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight and what is added to it."""
        return weight + self.scale * (self.up @ self.down).view(weight.shape)


def adaptable(model: nn.Module) -> list[str]:
    """Names of the modules that can be adapted."""
    return [name for name, module in model.named_modules() if isinstance(module, ADAPTED)]


def adapt(model: nn.Module, names: Iterable[str], rank: int = 4, alpha: float = 8.0) -> None:
    """Freeze the weights and biases of these modules and add what learns in their place.

    Parameters
    ----------
    model : Module
        Changed in place; A follows torch's random state.
    names : iterable of str
        Of modules that `adaptable` lists.
    rank : int
    alpha : float
    """
    modules = dict(model.named_modules())
    for name in sorted(names):
        module = modules[name]
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
        assert isinstance(module.weight, Tensor)
        parametrize.register_parametrization(module, "weight", LowRank(module.weight, rank, alpha))


def merge(model: nn.Module) -> None:
    """Make one weight of each adapted one and what was added to it: the same model, in place, with the names it had before."""
    for module in list(model.modules()):
        if isinstance(module, ADAPTED) and parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
