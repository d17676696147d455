"""Objectives that compare: what two modalities say of one sample belongs together, what they say of two does not."""

import itertools
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.models.reversal import reverse
from astrofuse_lab.models.tokens import Tokens
from astrofuse_lab.training.learning import Inputs, Learned
from astrofuse_lab.training.self_supervised_base import SelfSupervised, unit_of, unit_vectors, vectors_of, width_of
from astrofuse_lab.training.self_supervised_views import another_view

MOST_DOMAINS = 16
HOTTEST = 100.0
"""Largest inverse temperature: beyond it training becomes unstable (Radford et al. 2021, arXiv:2103.00020, section 2.5)."""


def info_nce(one: Tensor, other: Tensor, scale: Tensor | float) -> Tensor:
    """Cross-entropy of finding each vector's partner among all, averaged over both directions.

    van den Oord et al. 2018 (arXiv:1807.03748), equation 4; symmetric as in Radford et al. 2021 (arXiv:2103.00020), figure 3.

    Parameters
    ----------
    one, other : Tensor, (sample, width)
        Unit vectors; row i of both belongs together.
    scale : float
        Inverse temperature.

    Returns
    -------
    Tensor, (sample,)
    """
    scores = scale * one @ other.T
    index = torch.arange(len(one), device=one.device)
    return (F.cross_entropy(scores, index, reduction="none") + F.cross_entropy(scores.T, index, reduction="none")) / 2


def sigmoid_contrast(one: Tensor, other: Tensor, scale: Tensor | float, bias: Tensor | float) -> Tensor:
    """Every pair of vectors is a yes-or-no question by itself: do they belong together?

    Zhai et al. 2023 (arXiv:2303.15343), equation 1: ``-sum_j log sigmoid(z_ij (scale x_i . y_j + bias))`` with z_ij = 1 for i = j, else -1.

    Parameters
    ----------
    one, other : Tensor, (sample, width)
        Unit vectors.
    scale, bias : float

    Returns
    -------
    Tensor, (sample,)
        The sum over j; its mean over samples is the paper's loss.
    """
    scores = scale * one @ other.T + bias
    sign = 2 * torch.eye(len(one), device=one.device) - 1
    return -F.logsigmoid(sign * scores).sum(1)


def vicreg(one: Tensor, other: Tensor, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> Tensor:
    """Two views alike, every number varying over samples, no two numbers saying the same.

    Bardes et al. 2022 (arXiv:2105.04906), equations 1 to 6, with a threshold of 1 on the deviation.

    Parameters
    ----------
    one, other : Tensor, (sample, width)
    invariance, variance, covariance : float
        Weights of the three terms.

    Returns
    -------
    Tensor, (sample,)
        The invariance of each; what only the whole batch has is the same for all. Its mean is the paper's loss.
    """
    loss = invariance * (one - other).square().mean(1)
    if len(one) < 2:
        return loss  # one sample has no variance
    for view in (one, other):
        deviation = (view.var(0) + 1e-4).sqrt()
        centred = view - view.mean(0)
        between = (centred.T @ centred) / (len(view) - 1)
        spread = between.square().sum() - between.diagonal().square().sum()
        loss = loss + variance / 2 * F.relu(1 - deviation).mean() + covariance * spread / view.shape[1]
    return loss


class _Compared(SelfSupervised):
    """Unit vectors of modalities compared pair by pair, on the samples that have both.

    They are those of the model's projection head, in which `Run.embed` then finds one modality by another.

    Parameters
    ----------
    model : FusionModel
    among : {"pairs", "mean"}
        ``pairs``: each modality with each other. ``mean``: each with the mean of all others.
    fused : bool
        Each modality also with what the fusion makes of all others, so that the fusion learns too.
    """

    divisible = False

    def __init__(self, model: FusionModel, among: str, fused: bool) -> None:
        super().__init__(model)
        if among not in ("pairs", "mean"):
            raise InputError(f"among={among!r}: choose 'pairs' or 'mean'.")
        if len(model.modalities) < 2:
            raise InputError(
                f"a contrast needs two modalities, and there is only {model.modalities[0]!r}. Add one, or take an objective for one: pretrain=Part('masked')."
            )
        self.among, self.use_fused = among, fused

    def pairs(self, tokens: Mapping[str, Tokens]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """What is compared: vectors (batch, width) twice, and which samples have both."""
        unit, there = unit_vectors(self.model, tokens)
        found = []
        if self.among == "pairs":
            found = [(unit[a], unit[b], there[a] & there[b]) for a, b in itertools.combinations(unit, 2)]
        for name in unit:
            others = {n: one for n, one in tokens.items() if n != name}
            any_other = torch.stack([there[n] for n in others]).any(0) & there[name]
            if self.among == "mean":
                total = torch.stack([unit[n] * there[n][:, None] for n in others]).sum(0)
                found.append((unit[name], F.normalize(total, dim=-1), any_other))
            fused = self.fused(others) if self.use_fused else None
            if fused is not None:
                found.append((unit[name], unit_of(self.model, fused), any_other))
        return found

    def compare(self, one: Tensor, other: Tensor) -> Tensor:
        """The loss of each sample, (sample,), of two sets of unit vectors."""
        raise NotImplementedError

    def per_sample(self, values: Inputs, masks: Inputs, present: Inputs) -> tuple[Tensor, Tensor]:
        """The mean over the comparisons that a sample enters."""
        return self.compared(self.model.encode(values, masks, present)[0])

    def compared(self, tokens: Mapping[str, Tokens]) -> tuple[Tensor, Tensor]:
        """See `per_sample`."""
        pairs = self.pairs(tokens)
        total, count = pairs[0][0].new_zeros(len(pairs[0][0])), torch.zeros_like(pairs[0][2], dtype=torch.float32)
        for one, other, both in pairs:
            index = both.nonzero()[:, 0]
            # a sum that is zero keeps every layer in the graph where nobody has both
            total = total + 0.0 * (one.sum() + other.sum())
            if len(index):
                total = total.index_add(0, index, self.compare(one[index], other[index]).to(total.dtype))
            count = count + both
        return total / count.clamp(min=1), count > 0


class InfoNCE(_Compared):
    """Each sample's partner found among all of the batch by another modality (CLIP, Radford et al. 2021, arXiv:2103.00020).

    Parameters
    ----------
    model, among, fused
        As in `_Compared`.
    temperature : float
        At the begin; it is learned.
    """

    def __init__(self, model: FusionModel, *, temperature: float = 0.07, among: str = "pairs", fused: bool = True) -> None:
        super().__init__(model, among, fused)
        if not 0 < temperature <= 10:
            raise InputError(f"temperature={temperature}: a number above 0, e.g. 0.07.")
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def compare(self, one: Tensor, other: Tensor) -> Tensor:
        """See `info_nce`."""
        return info_nce(one, other, self.log_scale.exp().clamp(max=HOTTEST))


class SigmoidContrast(_Compared):
    """Every pair of the batch judged by itself: the same sample or not (SigLIP, Zhai et al. 2023, arXiv:2303.15343).

    Parameters
    ----------
    model, among, fused
        As in `_Compared`.
    temperature, bias : float
        At the begin; both are learned.
    """

    def __init__(self, model: FusionModel, *, temperature: float = 0.1, bias: float = -10.0, among: str = "pairs", fused: bool = True) -> None:
        super().__init__(model, among, fused)
        if not 0 < temperature <= 10:
            raise InputError(f"temperature={temperature}: a number above 0, e.g. 0.1.")
        self.log_scale, self.bias = nn.Parameter(torch.tensor(-math.log(temperature))), nn.Parameter(torch.tensor(float(bias)))

    def compare(self, one: Tensor, other: Tensor) -> Tensor:
        """See `sigmoid_contrast`."""
        return sigmoid_contrast(one, other, self.log_scale.exp().clamp(max=HOTTEST), self.bias)


class VICReg(SelfSupervised):
    """Two views of a sample alike, without collapse and without negatives (Bardes et al. 2022, arXiv:2105.04906).

    Parameters
    ----------
    model : FusionModel
    views : {"auto", "modalities", "augmented"}
        ``modalities``: two modalities of a sample are its views. ``augmented``: each modality, and what the fusion makes of all,
        seen twice, with noise and parts left out. ``auto``: the first where there are two modalities.
    hidden : int
        Width of the expander, which is dropped when training ends.
    noise, share : float
        Of augmented views: standard deviation of the noise, and share of the units left out.
    invariance, variance, covariance : float
    """

    divisible = False

    def __init__(
        self, model: FusionModel, *, views: str = "auto", hidden: int = 128, noise: float = 0.1, share: float = 0.25,
        invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(model)
        if views not in ("auto", "modalities", "augmented"):
            raise InputError(f"views={views!r}: choose 'auto', 'modalities' or 'augmented'.")
        if views == "modalities" and len(model.modalities) < 2:
            raise InputError(f"views='modalities' needs two, and there is only {model.modalities[0]!r}; take views='augmented'.")
        self.two = views == "modalities" or (views == "auto" and len(model.modalities) > 1)
        self.noise, self.share, self.weights = noise, share, (invariance, variance, covariance)
        width = width_of(model)
        self.expand = nn.Sequential(nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, hidden))

    def _vectors(self, values: Inputs, masks: Inputs, present: Inputs) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        tokens = self.model.encode(values, masks, present)[0]
        vectors, there = vectors_of(tokens)
        fused = None if self.two else self.fused(tokens)
        if fused is not None:
            vectors, there = {**vectors, "fused": fused.vector.float()}, {**there, "fused": torch.stack(list(there.values())).any(0)}
        return {name: self.expand(one) for name, one in vectors.items()}, there

    def per_sample(self, values: Inputs, masks: Inputs, present: Inputs) -> tuple[Tensor, Tensor]:
        """The mean over the pairs of views that a sample has."""
        if self.two:
            vectors, there = self._vectors(values, masks, present)
            pairs = [(vectors[a], vectors[b], there[a] & there[b]) for a, b in itertools.combinations(vectors, 2)]
        else:
            luck = self.luck(next(iter(values.values())).device)
            views = [self._vectors(*another_view(self.model.layouts, values, masks, self.noise, self.share, luck), present) for _ in range(2)]
            pairs = [(views[0][0][name], views[1][0][name], views[0][1][name] & views[1][1][name]) for name in views[0][0]]
        total, count = pairs[0][0].new_zeros(len(pairs[0][0])), torch.zeros(len(pairs[0][0]), device=pairs[0][0].device)
        for one, other, both in pairs:
            index = both.nonzero()[:, 0]
            total = total + 0.0 * (one.sum() + other.sum())
            if len(index):
                total = total.index_add(0, index, vicreg(one[index], other[index], *self.weights))
            count = count + both
        return total / count.clamp(min=1), count > 0


class Adversarial(InfoNCE):
    """InfoNCE, while a judge tries to tell from a vector where it came from, and the encoders try to leave it guessing.

    By gradient reversal (Ganin et al. 2016, arXiv:1505.07818): what is left in the vectors is the object, not the modality; or, where a
    column is named, not the survey, the epoch or the simulation it was seen in.

    Parameters
    ----------
    model, temperature, among, fused
        As in `InfoNCE`.
    strength : float
        Of the reversed gradient.
    domain : str
        Column whose values the judge is to tell, 16 at most; empty: the modality.
    """

    def __init__(
        self, model: FusionModel, *, strength: float = 0.1, domain: str = "", temperature: float = 0.07, among: str = "pairs", fused: bool = True
    ) -> None:
        super().__init__(model, temperature=temperature, among=among, fused=fused)
        width = width_of(model)
        self.strength, self.domain = strength, domain
        self.judge = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, MOST_DOMAINS if domain else len(model.encoders)))

    def forward(self, values: Inputs, masks: Inputs, present: Inputs, target: Tensor) -> Learned:
        """See `Learning.forward`; the target says each sample's domain, below zero where nobody knows it."""
        self._domain = target.long()
        return super().forward(values, masks, present, target)

    def per_sample(self, values: Inputs, masks: Inputs, present: Inputs) -> tuple[Tensor, Tensor]:
        """The contrast and the judge's own cross-entropy, which it makes small and the encoders large."""
        tokens = self.model.encode(values, masks, present)[0]
        loss, some = self.compared(tokens)
        vectors, there = vectors_of(tokens)
        for code, (name, one) in enumerate(vectors.items()):
            truth = self._domain if self.domain else torch.full((len(one),), code, device=one.device)
            guess = self.judge(reverse(F.normalize(one, dim=-1), self.strength))
            wrong = F.cross_entropy(guess, truth.clamp(min=0), reduction="none")
            loss = loss + (there[name] & (truth >= 0)) * wrong / len(vectors)
        return loss, some
