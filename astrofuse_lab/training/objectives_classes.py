"""Losses of classes and labels: what is trained of a prediction and its truth, a number a sample or a label."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.pairwise import pairs_of
from astrofuse_lab.models.tokens import Prediction

Loss = Callable[[Prediction, Tensor], Tensor]
"""A prediction and its targets, (sample,) of classes, else (sample, output) without gaps, to (sample,) or (sample, output)."""


class Annealed:
    """A loss and a penalty that comes in over the first epochs.

    Parameters
    ----------
    loss, penalty : Loss
    epochs : float
        The penalty counts by ``min(1, epoch / epochs)``.
    """

    def __init__(self, loss: Loss, penalty: Loss, epochs: float) -> None:
        self.loss, self.penalty, self.epochs = loss, penalty, epochs

    def __call__(self, prediction: Prediction, target: Tensor, epoch: Tensor | float = math.inf) -> Tensor:
        """The loss after so many epochs; after all of them where nothing is said, which is what validation compares."""
        share = torch.as_tensor(epoch / self.epochs if self.epochs else math.inf).clamp(max=1.0)
        return self.loss(prediction, target) + share.to(target.device) * self.penalty(prediction, target)


def cross_entropy(smoothing: float = 0.0) -> Loss:
    """Negative log-probability of the true class; `smoothing` spreads that share of the truth over all classes."""
    return lambda prediction, target: F.cross_entropy(prediction.values, target, reduction="none", label_smoothing=smoothing)


def binary() -> Loss:
    """Negative log-probability of the truth of each label by itself."""
    return lambda prediction, target: F.binary_cross_entropy_with_logits(prediction.values, target, reduction="none")


def focal(gamma: float = 2.0) -> Loss:
    """Cross-entropy of classes or labels that counts what is already right less (Lin et al. 2017, arXiv:1708.02002)."""
    of_classes, of_labels = cross_entropy(), binary()

    def loss(prediction: Prediction, target: Tensor) -> Tensor:
        plain = (of_labels if target.ndim == 2 else of_classes)(prediction, target)
        return (1 - torch.exp(-plain)) ** gamma * plain

    return loss


def cost_sensitive(costs: Sequence[Sequence[float]] = (), weight: float = 1.0) -> Loss:
    """Cross-entropy plus `weight` times the expected cost: the cost of each answer, by its probability.

    ``costs[i][j]`` is what it costs to take class i for class j, in the order of the classes; it need not be symmetric (Elkan 2001, *The
    foundations of cost-sensitive learning*; as a term beside cross-entropy, Galdran et al. 2020, arXiv:2010.00291).
    """
    if not costs:
        raise InputError("objective 'cost_sensitive' needs costs=[[0, 5], [1, 0]]: a row a true class, a column an answer, in the order of the classes.")
    matrix = torch.tensor([[float(one) for one in row] for row in costs])

    def loss(prediction: Prediction, target: Tensor) -> Tensor:
        expected = (prediction.values.softmax(1) * matrix.to(target.device)[target]).sum(1)
        return F.cross_entropy(prediction.values, target, reduction="none") + weight * expected

    return loss


def ordinal(form: str = "likelihood") -> Loss:
    """Of classes in an order. ``likelihood``: negative log-probability of the true class.

    ``coral``: binary cross-entropies of being above each step, summed (Cao et al. 2020, arXiv:1901.07884, equation 4, weights of one).
    """
    if form == "likelihood":
        return lambda prediction, target: F.nll_loss(prediction.values.log_softmax(1), target, reduction="none")
    if form != "coral":
        raise UnknownNameError("form of the objective 'ordinal'", form, ("likelihood", "coral"))

    def loss(prediction: Prediction, target: Tensor) -> Tensor:
        above = prediction.extra["cumulative"]
        truth = (target[:, None] > torch.arange(above.shape[1], device=target.device)).to(above.dtype)
        return F.binary_cross_entropy_with_logits(above, truth, reduction="none").sum(1)

    return loss


def hierarchical(alpha: float = 0.5) -> Loss:
    """Negative log-probabilities along the path to the true class, each node given the one above it, the upper ones weighing more.

    ``sum over levels d of exp(-alpha d) * -log p(node_d | node_(d-1))``, d = 0 at the top (Bertinetto et al. 2020, arXiv:1912.09393; with
    weights of the classes as in Villar et al. 2023, arXiv:2312.02266). With alpha = 0 it is cross-entropy.
    """

    def loss(prediction: Prediction, target: Tensor) -> Tensor:
        path = prediction.extra["path"]
        along = path[torch.arange(len(path), device=path.device), target]
        return -(along * torch.exp(-alpha * torch.arange(path.shape[2], device=path.device))).sum(1)

    return loss


def evidential(anneal: float = 10.0) -> Loss:
    """Expected squared error under the predicted Dirichlet distribution, and a penalty on evidence for what is not true.

    Sensoy et al. 2018 (arXiv:1806.01768), equation 5 and the Kullback-Leibler term after it, which comes in over `anneal` epochs.
    Of an evidential decision the combined evidence is trained, and each stream's (Han et al. 2021, arXiv:2102.02051).
    """

    def error(prediction: Prediction, target: Tensor) -> Tensor:
        alpha = alpha_of(prediction)
        total = alpha.sum(1, keepdim=True)
        share = alpha / total
        truth = F.one_hot(target, alpha.shape[1])
        return ((truth - share).square() + share * (1 - share) / (total + 1)).sum(1)

    def penalty(prediction: Prediction, target: Tensor) -> Tensor:
        alpha = alpha_of(prediction)
        truth = F.one_hot(target, alpha.shape[1])
        wrong = truth + (1 - truth) * alpha
        total = wrong.sum(1, keepdim=True)
        log_ratio = torch.lgamma(total[:, 0]) - math.lgamma(alpha.shape[1]) - torch.lgamma(wrong).sum(1)
        return log_ratio + ((wrong - 1) * (torch.digamma(wrong) - torch.digamma(total))).sum(1)

    return Annealed(error, penalty, anneal)


def alpha_of(prediction: Prediction) -> Tensor:
    """Parameters of the Dirichlet distribution that an evidential head or decision says, (sample, class)."""
    return prediction.extra["alpha"] if "alpha" in prediction.extra else prediction.extra["evidence"] + 1.0


def supervised_contrastive(weight: float = 1.0, temperature: float = 0.1) -> Loss:
    """Cross-entropy plus `weight` times a loss that draws fused vectors of one class together, and others apart.

    Khosla et al. 2020 (arXiv:2004.11362), equation 2, within a batch; a sample that is alone in its class has no such loss.
    """

    def loss(prediction: Prediction, target: Tensor) -> Tensor:
        vectors = F.normalize(prediction.fused.vector.float(), dim=1)
        itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        scores = (vectors @ vectors.T / temperature).masked_fill(itself, -torch.inf)
        same = (target[:, None] == target[None, :]) & ~itself
        apart = scores.logsumexp(1, keepdim=True) if len(vectors) > 1 else scores.new_zeros(1, 1)
        drawn = -torch.where(same, scores - apart, 0.0).sum(1) / same.sum(1).clamp(min=1)
        return F.cross_entropy(prediction.values, target, reduction="none") + weight * drawn

    return loss


def pairwise() -> Loss:
    """Of the head ``pairwise``: negative log-probability of the true class in each pair that it is in, the mean over these pairs.

    So each pair learns from the samples of its two classes alone, as networks of their own would (Kumar et al. 2025, arXiv:2507.14854).
    """

    def loss(prediction: Prediction, target: Tensor) -> Tensor:
        said = prediction.extra["pairs"]
        second = torch.tensor(pairs_of(prediction.values.shape[1]), device=said.device)
        inside, truth = (second[None] == target[:, None, None]).any(2), (second[None, :, 1] == target[:, None]).to(said.dtype)
        each = F.binary_cross_entropy_with_logits(said, truth, reduction="none")
        return (each * inside).sum(1) / inside.sum(1)

    return loss
