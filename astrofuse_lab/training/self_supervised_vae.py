"""Variational autoencoders: inputs through a small vector that is drawn, and back."""

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.autoencoders import UnitDecoder, Units, patch_of, units
from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.models.variational import WIDEST, drawn, elbo, importance_bound, log_normal
from astrofuse_lab.training.learning import Inputs
from astrofuse_lab.training.self_supervised_base import SelfSupervised, stream_of, vectors_of, width_of


class Variational(SelfSupervised):
    """Each modality, or all together, through a drawn latent vector and back: the ELBO (Kingma & Welling 2014, arXiv:1312.6114).

    What is made small is the negative bound in nats for each real number of the input, so that long inputs and short ones weigh alike.
    Numbers are given back with one deviation a modality, which is learned.

    Parameters
    ----------
    model : FusionModel
    of : {"each", "fused"}
        ``each``: a posterior from each modality's own tokens, which gives back that modality. ``fused``: one from the fused vector,
        which gives back all (the joint model of Suzuki et al. 2016, arXiv:1611.01891).
    latent : int
        Width of the latent vector.
    samples : int
        Draws; with more than one the importance-weighted bound is trained (Burda et al. 2016, arXiv:1509.00519).
    beta : float
        Weight of the divergence, where one sample is drawn.
    patch : int
        Side of the patches in which images, spectra and series are given back; 0: an eighth of a side, a 32nd of an axis.
    """

    def __init__(self, model: FusionModel, *, of: str = "each", latent: int = 16, samples: int = 1, beta: float = 1.0, patch: int = 0) -> None:
        super().__init__(model)
        if of not in ("each", "fused"):
            raise InputError(f"of={of!r}: choose 'each' or 'fused'.")
        if of == "fused" and "all" not in model.fusions:
            raise InputError("of='fused' needs a model that fuses features; this one combines decisions. Take of='each'.")
        if latent < 1 or samples < 1 or patch < 0 or beta < 0:
            raise InputError(f"latent={latent}, samples={samples}: at least 1; beta={beta}, patch={patch}: at least 0.")
        if samples > 1 and beta != 1.0:
            raise InputError(f"beta={beta} with samples={samples}: the importance-weighted bound has no weight of its own for the divergence. Take beta=1.0.")
        self.of, self.samples, self.beta, self.streams = of, samples, beta, stream_of(model)
        width = width_of(model)
        names = list(model.layouts)
        self.posterior = nn.ModuleDict({name: nn.Linear(width, 2 * latent) for name in (names if of == "each" else ["fused"])})
        self.latent = nn.ModuleDict({name: nn.Linear(latent, width) for name in names})
        self.decoders = nn.ModuleDict({name: UnitDecoder(layout, width, patch) for name, layout in model.layouts.items()})
        self.patches = {name: patch_of(layout, patch) for name, layout in model.layouts.items()}
        self.log_variance = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in names})

    def likelihood(self, name: str, cut: Units, latent: Tensor, values: Tensor) -> Tensor:
        """Log-density of each sample's real numbers given its latent vector, (sample,), nats."""
        token = self.latent[name](latent)[:, None]
        made = self.decoders[name](token, token.new_ones(token.shape[:2]).bool(), values)
        return (log_normal(cut.values.float(), made, self.log_variance[name].clamp(-WIDEST, WIDEST)) * cut.real).flatten(1).sum(1)

    def bound(self, names: list[str], vector: Tensor, posterior: str, cut: dict[str, Units], values: Inputs, has: Inputs) -> Tensor:
        """The bound of each sample, (sample,), on the modalities named that it has, nats."""
        mean, log_variance = self.posterior[posterior](vector).float().chunk(2, -1)
        log_variance = log_variance.clamp(-WIDEST, WIDEST)
        luck = self.luck(vector.device)
        draws = torch.stack([drawn(mean, log_variance, luck) for _ in range(self.samples)])
        told = torch.stack([sum((self.likelihood(n, cut[n], z, values[n]) * has[n] for n in names), torch.zeros_like(z[:, 0])) for z in draws])
        if self.samples == 1:
            return elbo(told[0], mean, log_variance, self.beta)
        return importance_bound(told, draws, mean, log_variance)

    def per_sample(self, values: Inputs, masks: Inputs, present: Inputs) -> tuple[Tensor, Tensor]:
        """The negative bound for each real number."""
        tokens = self.model.encode(values, masks, present)[0]
        cut = {name: units(self.model.layouts[name], one, masks[name], self.patches[name]) for name, one in values.items()}
        count = {name: one.real.flatten(1).sum(1) * present[name] for name, one in cut.items()}
        has = {name: one > 0 for name, one in count.items()}
        if self.of == "fused":
            fused = self.fused(tokens)
            assert fused is not None
            bound, numbers = self.bound(list(cut), fused.vector, "fused", cut, values, has), torch.stack(list(count.values())).sum(0)
            return -bound / numbers.clamp(min=1), numbers > 0
        vectors, _ = vectors_of(tokens)
        each = [torch.where(has[n], -self.bound([n], vectors[self.streams[n]], n, cut, values, has) / count[n].clamp(min=1), 0.0) for n in cut]
        some = torch.stack(list(has.values())).sum(0)
        return torch.stack(each).sum(0) / some.clamp(min=1), some > 0
