"""Holding on to what was learned before while something new is learned: a pull to the weights that a training started from."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError

if TYPE_CHECKING:
    from astrofuse_lab.training.learning import Learning
    from astrofuse_lab.training.plan import Plan

MOST = 256
"""Samples that importances are worked out from: each costs a step of one."""


class Anchor(nn.Module):
    """A penalty on leaving the weights that were started from.

    ``strength / 2 * sum_i F_i (w_i - w0_i)^2``: elastic weight consolidation (Kirkpatrick et al. 2017, arXiv:1612.00796, equation 3)
    with the Fisher information F; with F = 1 the L2-SP of Li et al. 2018 (arXiv:1802.01483, equation 5).

    Parameters
    ----------
    begin : mapping of str to Tensor
        By name of the parameter.
    strength : float
    importance : mapping of str to Tensor, optional
        F; None: one.
    """

    def __init__(self, begin: Mapping[str, Tensor], strength: float, importance: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.names, self.strength = tuple(begin), strength
        for index, name in enumerate(self.names):
            self.register_buffer(f"begin_{index}", begin[name].detach().clone())
            if importance is not None:
                self.register_buffer(f"importance_{index}", importance[name].detach().clone())
        self.weighed = importance is not None

    def forward(self, model: nn.Module) -> Tensor:
        """The penalty of a model's weights as they are."""
        parameters = dict(model.named_parameters())
        total = torch.zeros((), device=next(iter(parameters.values())).device)
        for index, name in enumerate(self.names):
            squares = (parameters[name] - getattr(self, f"begin_{index}")).square()
            total = total + (squares * getattr(self, f"importance_{index}") if self.weighed else squares).sum()
        return self.strength / 2 * total


def fisher(model: nn.Module, names: Iterable[str], losses: Iterable[Callable[[], Tensor]]) -> dict[str, Tensor]:
    """The diagonal of the Fisher information by the truth: mean over samples of the squared gradient of each one's own loss.

    Parameters
    ----------
    model : Module
    names : iterable of str
        Of the parameters wanted.
    losses : iterable of callable
        Each gives the negative log-likelihood of one sample.
    """
    wanted = {name: p for name, p in model.named_parameters() if name in set(names)}
    total, count = {name: torch.zeros_like(p) for name, p in wanted.items()}, 0
    for loss in losses:
        gradients = torch.autograd.grad(loss(), list(wanted.values()), allow_unused=True)
        for name, gradient in zip(wanted, gradients, strict=True):
            if gradient is not None:
                total[name] += gradient.detach().square()
        count += 1
    return {name: one / max(1, count) for name, one in total.items()}


def make_anchor(plan: "Plan", learning: "Learning") -> Anchor | None:
    """The anchor that the schedule asks for, of the weights that were taken from the start; None where it asks for none.

    Raises
    ------
    InputError
        For ``ewc`` where this set holds no sample that the start was trained on, outside the test part.
    """
    if not plan.schedule.anchor or plan.start is None:
        return None
    taken = set(plan.start.said.get("taken", ()))
    begin = {name: p for name, p in learning.model.named_parameters() if name in taken}
    importance = _importance(plan, learning, begin) if plan.schedule.anchor == "ewc" else None
    return Anchor(begin, plan.schedule.anchor_strength, importance)


def _importance(plan: "Plan", learning: "Learning", begin: Mapping[str, Tensor]) -> dict[str, Tensor]:
    seen = np.isin(plan.samples.object_ids, list((plan.start.said if plan.start else {}).get("seen_before", ())))
    truth, known = plan.problem.encode(plan.samples)
    seen[plan.parts.test] = False
    old = np.flatnonzero(seen & known)
    if not len(old):
        raise InputError(
            "anchor='ewc' weighs the weights by samples that the start was trained on, and this set has none outside the test part. "
            "Add some, or take anchor='l2_sp', which needs none."
        )
    old = old[np.unique(np.linspace(0, len(old) - 1, min(len(old), MOST)).astype(int))]
    target = torch.from_numpy(plan.problem.standardised(truth))
    batch = plan.prepare().batch(plan.samples, old)

    def loss(index: int) -> Tensor:
        one = batch.take(torch.tensor([index]))
        return learning(one.values, one.masks, one.present, target[[old[index]]]).loss.sum()

    training = learning.training
    learning.eval()  # nothing is dropped, and nothing but the objective itself
    found = fisher(learning.model, begin, [lambda index=index: loss(index) for index in range(len(old))])  # type: ignore[misc]
    learning.train(training)
    return found
