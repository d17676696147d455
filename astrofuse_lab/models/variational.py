"""Normal posteriors over a latent vector: their divergences, bounds and experts.

All are given by their mean and the logarithm of their variance, number by number.
"""

import math

import torch
from torch import Tensor

WIDEST = 10.0
"""Largest logarithm of a variance, either way; beyond it an exponential overflows in low precision."""


def normal_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of a normal from the standard one, summed over the last axis, nats.

    Kingma & Welling 2014 (arXiv:1312.6114), appendix B: ``-1/2 sum(1 + log s^2 - m^2 - s^2)``.
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(-1)


def log_normal(values: Tensor, mean: Tensor | float = 0.0, log_variance: Tensor | float = 0.0) -> Tensor:
    """Logarithm of the normal density at each value, not summed, nats."""
    spread = torch.as_tensor(log_variance, dtype=values.dtype, device=values.device)
    return -0.5 * (math.log(2 * math.pi) + spread + (values - mean).square() * (-spread).exp())


def drawn(mean: Tensor, log_variance: Tensor, luck: torch.Generator | None = None) -> Tensor:
    """A draw through which gradients pass: mean plus deviation times noise."""
    return mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=luck, device=mean.device, dtype=mean.dtype)


def elbo(likelihood: Tensor, mean: Tensor, log_variance: Tensor, beta: float = 1.0) -> Tensor:
    """The evidence lower bound of each sample, nats: log-likelihood of a draw less the divergence of the posterior.

    Kingma & Welling 2014 (arXiv:1312.6114), equation 10; `beta` weighs the divergence (Higgins et al. 2017, beta-VAE).

    Parameters
    ----------
    likelihood : Tensor, (sample,)
    mean, log_variance : Tensor, (sample, latent)
    """
    return likelihood - beta * normal_kl(mean, log_variance)


def importance_bound(likelihood: Tensor, draws: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """The importance-weighted bound of each sample, nats: never below the ELBO in expectation, and tighter with more draws.

    Burda et al. 2016 (arXiv:1509.00519), equation 8: ``log 1/k sum_k p(x|z_k) p(z_k) / q(z_k|x)``.

    Parameters
    ----------
    likelihood : Tensor, (draw, sample)
    draws : Tensor, (draw, sample, latent)
        From the posterior.
    mean, log_variance : Tensor, (sample, latent)
    """
    weights = likelihood + log_normal(draws).sum(-1) - log_normal(draws, mean, log_variance).sum(-1)
    return weights.logsumexp(0) - math.log(len(weights))


def product_of_experts(means: Tensor, log_variances: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """The normalised product of the standard normal and the posteriors of the modalities present.

    Wu & Goodman 2018 (arXiv:1802.05335), section 2.2: precisions add, means are weighted by them.

    Parameters
    ----------
    means, log_variances : Tensor, (batch, modality, latent)
    there : bool Tensor, (batch, modality)

    Returns
    -------
    mean, log_variance : Tensor, (batch, latent)
        Of a sample without any modality, those of the standard normal.
    """
    precision = torch.where(there[..., None], (-log_variances).exp(), 0.0)
    total = 1.0 + precision.sum(1)
    return (precision * means).sum(1) / total, -total.log()
