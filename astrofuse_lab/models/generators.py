"""A missing modality's vector from those of the others: a regressor, a conditional adversarial network, a small diffusion model."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrofuse_lab.models.reversal import reverse

STEPS = 8
"""Steps of a diffusion model, from noise to a vector."""
DRAWS = 4
"""Vectors whose mean a diffusion model gives when it is not training."""


class Generator(nn.Module):
    """Base: what is known of a sample to the vector of one modality.

    Parameters
    ----------
    known : int
        Numbers that tell of the other modalities.
    width : int
        Of the vector.
    hidden : int
    """

    def __init__(self, known: int, width: int, hidden: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, known: Tensor) -> Tensor:
        """A stand-in for each sample, (batch, width); the same each time when not training."""
        raise NotImplementedError

    def loss(self, known: Tensor, real: Tensor) -> Tensor:
        """What training makes small, (sample,): of samples whose real vector is known."""
        raise NotImplementedError


def _network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, outputs))


class Regressor(Generator):
    """The mean of the vector given the others, by squared error (as in e.g. SMIL, Ma et al. 2021, arXiv:2103.05677, without its weights)."""

    def __init__(self, known: int, width: int, hidden: int) -> None:
        super().__init__(known, width, hidden)
        self.make = _network(known, hidden, width)

    def forward(self, known: Tensor) -> Tensor:
        """See `Generator.forward`."""
        return self.make(known)

    def loss(self, known: Tensor, real: Tensor) -> Tensor:
        """Mean squared error of each."""
        return (self(known).float() - real).square().mean(1)


class Adversarial(Generator):
    """A conditional adversarial network with a squared error beside it.

    Mirza & Osindero 2014 (arXiv:1411.1784); the sum with an error as in Isola et al. 2017 (arXiv:1611.07004), equation 4. The judge
    minimises its cross-entropy, and the maker of vectors, whose gradient is reversed, maximises it. Noise is zero when not training.
    """

    def __init__(self, known: int, width: int, hidden: int) -> None:
        super().__init__(known, width, hidden)
        self.noise = max(1, width // 4)
        self.make = _network(known + self.noise, hidden, width)
        self.judge = _network(known + width, hidden, 1)

    def forward(self, known: Tensor) -> Tensor:
        """See `Generator.forward`."""
        shape = (len(known), self.noise)
        noise = torch.randn(shape, device=known.device) if self.training else torch.zeros(shape, device=known.device)
        return self.make(torch.cat([known, noise.to(known.dtype)], 1))

    def loss(self, known: Tensor, real: Tensor) -> Tensor:
        """Squared error and the judge's cross-entropy on real and made."""
        made = self(known)
        told, real_in = known.detach(), real.to(made.dtype)
        right = self.judge(torch.cat([told, real_in], 1)).float()[:, 0]
        wrong = self.judge(torch.cat([told, reverse(made)], 1)).float()[:, 0]
        return (made.float() - real).square().mean(1) + 0.1 * (F.softplus(-right) + F.softplus(wrong))


class Diffusion(Generator):
    """A small conditional diffusion model that is asked for the vector itself at each step.

    Ho et al. 2020 (arXiv:2006.11239) with the cosine schedule of Nichol & Dhariwal 2021 (arXiv:2102.09672) in continuous time,
    ``x_t = cos(pi t / 2) x_0 + sin(pi t / 2) e``, and the steps without noise of Song et al. 2021 (arXiv:2010.02502), equation 12.
    When not training, the mean of `DRAWS` vectors from noise that is always the same.
    """

    begin: Tensor

    def __init__(self, known: int, width: int, hidden: int) -> None:
        super().__init__(known, width, hidden)
        self.clean = _network(known + width + 2, hidden, width)
        self.register_buffer("begin", torch.randn(DRAWS, width))

    def denoised(self, seen: Tensor, time: Tensor, known: Tensor) -> Tensor:
        """What the vector seems to be, from it with noise at a time (batch,) from 0 to 1."""
        when = torch.stack([torch.cos(math.pi * time / 2), torch.sin(math.pi * time / 2)], 1).to(known.dtype)
        return self.clean(torch.cat([known, seen.to(known.dtype), when], 1)).float()

    def drawn(self, known: Tensor, noise: Tensor) -> Tensor:
        """From noise (batch, width) to a vector, in `STEPS` steps."""
        seen = noise.float()
        for step in range(STEPS):
            now, then = math.pi / 2 * (1 - step / STEPS), math.pi / 2 * (1 - (step + 1) / STEPS)
            clean = self.denoised(seen, torch.full((len(known),), 1 - step / STEPS, device=known.device), known)
            error = (seen - math.cos(now) * clean) / math.sin(now)
            seen = math.cos(then) * clean + math.sin(then) * error
        return seen

    def forward(self, known: Tensor) -> Tensor:
        """See `Generator.forward`."""
        if self.training:
            return self.drawn(known, torch.randn(len(known), self.width, device=known.device))
        return torch.stack([self.drawn(known, one.expand(len(known), -1)) for one in self.begin]).mean(0)

    def loss(self, known: Tensor, real: Tensor) -> Tensor:
        """Squared error of the vector that is found in a noisy one, at a time drawn for each."""
        time = torch.rand(len(real), device=real.device)
        angle = (math.pi / 2 * time)[:, None]
        seen = angle.cos() * real + angle.sin() * torch.randn_like(real)
        return (self.denoised(seen, time, known) - real).square().mean(1)


GENERATORS: dict[str, type[Generator]] = {"regressor": Regressor, "gan": Adversarial, "diffusion": Diffusion}
