"""Losses of numbers, in standard deviations of the training values; and of unusual samples."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from astrofuse_lab.models.tokens import Prediction
from astrofuse_lab.training.objectives_classes import Loss


def huber(delta: float = 1.0) -> Loss:
    """Square of small errors, absolute value of large ones."""
    return lambda prediction, target: F.huber_loss(prediction.values, target, reduction="none", delta=delta)


def squared_error() -> Loss:
    """Square of the error: the mean is learned."""
    return lambda prediction, target: F.mse_loss(prediction.values, target, reduction="none")


def absolute_error() -> Loss:
    """Absolute value of the error: the median is learned."""
    return lambda prediction, target: F.l1_loss(prediction.values, target, reduction="none")


def log_cosh() -> Loss:
    """Logarithm of the hyperbolic cosine of the error: half its square where small, its absolute value less log 2 where large."""

    def loss(prediction: Prediction, target: Tensor) -> Tensor:
        error = (prediction.values - target).abs()
        return error + F.softplus(-2 * error) - math.log(2)

    return loss


def mixture_density() -> Loss:
    """Negative log-density of the truth under a mixture of Gaussians (Bishop 1994, NCRG/94/004)."""

    def loss(prediction: Prediction, target: Tensor) -> Tensor:
        weights, means, scales = (prediction.extra[name] for name in ("weights", "means", "scales"))
        density = -0.5 * ((target - means) / scales).square() - scales.log() - 0.5 * math.log(2 * math.pi)
        return -(weights.clamp(min=1e-20).log() + density).logsumexp(1)

    return loss


def quantile() -> Loss:
    """The pinball loss, mean over the levels of the head (Koenker & Bassett 1978)."""
    return lambda prediction, target: _pinball(prediction, target).mean(1)


def _pinball(prediction: Prediction, target: Tensor) -> Tensor:
    levels, error = prediction.extra["levels"], target - prediction.extra["quantiles"]
    return torch.maximum(levels * error, (levels - 1) * error)


def crps() -> Loss:
    """Continuous ranked probability score of a mixture of Gaussians, exactly (Grimit et al. 2006, doi:10.1256/qj.05.235).

    Of quantiles, twice the pinball loss integrated over the levels (Laio & Tamea 2007, doi:10.5194/hess-11-1267-2007), each level standing
    for those nearest to it.
    """

    def loss(prediction: Prediction, target: Tensor) -> Tensor:
        if "quantiles" in prediction.extra:
            levels = prediction.extra["levels"]
            between = (levels[:, 1:] + levels[:, :-1]) / 2
            ends = torch.zeros_like(levels[:, :1])
            return 2 * (_pinball(prediction, target) * torch.cat([ends, between, ends + 1], 1).diff(dim=1)).sum(1)
        weights, means, scales = (prediction.extra[name] for name in ("weights", "means", "scales"))
        apart = _mean_distance(target - means, scales)
        spread = _mean_distance(means[:, :, None] - means[:, None], torch.hypot(scales[:, :, None], scales[:, None]))
        return (weights * apart).sum(1) - 0.5 * (weights[:, :, None] * weights[:, None] * spread).sum((1, 2))

    return loss


def _mean_distance(mean: Tensor, scale: Tensor) -> Tensor:
    """Mean absolute value of a Gaussian number."""
    z = mean / scale
    return scale * math.sqrt(2 / math.pi) * torch.exp(-0.5 * z.square()) + mean * torch.erf(z / math.sqrt(2))


def one_class(spread: float = 1.0) -> Loss:
    """The anomaly score itself: what has been seen is to have a low one.

    Deep support vector data description (Ruff et al. 2018, PMLR 80, equation 4), with a penalty on each dimension whose standard deviation in
    the batch is below one, so that not all samples fall into one place (Chong et al. 2020, arXiv:2001.08873); spread=0: none.
    """

    def loss(prediction: Prediction, target: Tensor) -> Tensor:
        score, place = prediction.extra["score"], prediction.extra["place"]
        if len(place) < 2 or not spread:
            return score
        return score + spread * F.relu(1 - (place.var(0) + 1e-6).sqrt()).sum()

    return loss
