"""Fusions that model what is missing: stand-ins made from the other modalities, and a latent vector that all modalities tell of."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.fusion import Fusion, Pooled, masked_mean
from astrofuse_lab.models.generators import GENERATORS, Generator
from astrofuse_lab.models.tokens import Fused, Tokens
from astrofuse_lab.models.variational import WIDEST, drawn, normal_kl, product_of_experts


class Generated(Fusion):
    """Another fusion, given a stand-in for each modality that a sample lacks: a vector made from those it has.

    A stand-in is never taken for an observation: `Fused.tokens` stay masked, ``tokens[name].place["generated"]``, bool (batch,), tells
    for whom one was made, and so does ``Prediction.extra["generated.<modality>"]``. Generators learn from samples that have the modality
    and another, by a loss that training adds; what they are to make is not moved towards what is easy to make.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    fusion : str
        The fusion that follows, with its own defaults.
    generator : {"regressor", "gan", "diffusion"}
        See `astrofuse_lab.models.generators`.
    hidden : int
        Width of the generators' layers.
    weight : float
        Of their loss.
    modality_dropout : float
        As in `Fusion`; what is dropped has stand-ins, so that the model learns from them where all samples are complete.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, fusion: str = "concatenation", generator: str = "regressor", hidden: int = 64, weight: float = 1.0,
        modality_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        from astrofuse_lab.models.parts import FUSIONS  # which lists this one, too

        super().__init__(modalities, width, modality_dropout)
        if fusion not in FUSIONS or fusion == "generated":
            raise UnknownNameError("fusion", fusion, [name for name in FUSIONS if name != "generated"])
        if generator not in GENERATORS:
            raise UnknownNameError("generator", generator, GENERATORS)
        if weight < 0:
            raise InputError(f"generated weight={weight}: at least 0.")
        self.weight = weight
        self.inner = FUSIONS[fusion](modalities, width)
        self.attends, self.vector_width = self.inner.attends, self.inner.vector_width  # type: ignore[misc]
        others = len(modalities) - 1
        self.generate = nn.ModuleDict({name: GENERATORS[generator](others * (width + 1), width, hidden) for name in modalities if others})
        self._lost: Tensor | None = None

    @property
    def fits(self) -> bool:
        """As the fusion that follows."""
        return self.inner.fits

    def fit(self, tokens: Mapping[str, Tokens], target: Tensor) -> None:
        """As the fusion that follows."""
        self.inner.fit(tokens, target)

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The fusion of what is there and what stands in for the rest."""
        some = next(iter(tokens.values()))
        batch = len(some.values)
        whole = {}
        for name in self.modalities:
            empty = Tokens(some.values.new_zeros(batch, 1, self.width), some.mask.new_zeros(batch, 1), {})
            whole[name] = tokens.get(name, empty)
        vectors = {name: masked_mean(one.values, one.mask) for name, one in whole.items()}
        there = {name: one.mask.any(1) for name, one in whole.items()}
        filled, marked, lost = {}, {}, []
        for name, one in whole.items():
            if name not in self.generate:
                filled[name] = marked[name] = one
                continue
            others = [n for n in self.modalities if n != name]
            known = torch.cat([*(vectors[n] for n in others), *(there[n][:, None].to(some.values.dtype) for n in others)], 1)
            any_other = torch.stack([there[n] for n in others]).any(0)
            made = ~there[name] & any_other
            generator = self.generate[name]
            assert isinstance(generator, Generator)
            stand_in = generator(known).to(one.values.dtype)
            first = torch.where(made[:, None], stand_in, one.values[:, 0])
            mask = one.mask.clone()
            mask[:, 0] |= made
            filled[name] = Tokens(torch.cat([first[:, None], one.values[:, 1:]], 1), mask, one.place)
            marked[name] = one._replace(place={**one.place, "generated": made})
            if self.training:
                both = there[name] & any_other
                error = generator.loss(known, vectors[name].detach().float())
                lost.append(torch.where(both, error, 0.0).sum() / both.sum().clamp(min=1))
        self._lost = torch.stack(lost).mean() if lost else None
        fused = self.inner.fuse(filled, attention)
        return Fused(fused.vector, {n: marked[n] for n in (self.modalities if attention else tokens)}, fused.attention)

    def extra_loss(self) -> Tensor:
        """`weight` times the generators' mean loss in the last batch; what the fusion that follows asks for, it asks itself."""
        lost, self._lost = self._lost, None
        return next(self.parameters()).new_zeros(()) if lost is None else self.weight * lost


class MultimodalVAE(Pooled):
    """One latent vector that every modality tells of by a posterior of its own; the fused vector is made of it.

    A variational autoencoder of the modalities' vectors: ``product`` multiplies the posteriors of those present with the prior (MVAE,
    Wu & Goodman 2018, arXiv:1802.05335, section 2.2), ``mixture`` averages them (MMVAE, Shi et al. 2019, arXiv:1911.03393, equation 2).
    Training adds the negative evidence lower bound, with a squared error for each vector given back (what a modality looks like is given back
    by the self-supervised objective ``vae``); when not training, the posterior's mean is taken.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    experts : {"product", "mixture"}
    latent : int
    beta : float
        Weight of the divergence from the prior.
    weight : float
        Of the bound beside the objective.
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, *, experts: str = "product", latent: int = 16, beta: float = 1.0, weight: float = 0.01,
        dropout: float = 0.1, modality_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(modalities, width, modality_dropout, missing=False)
        if experts not in ("product", "mixture"):
            raise UnknownNameError("way of combining experts", experts, ("product", "mixture"))
        if beta < 0 or weight < 0:
            raise InputError(f"multimodal_vae beta={beta}, weight={weight}: at least 0.")
        self.experts, self.beta, self.weight = experts, beta, weight
        self.posterior = nn.ModuleDict({name: nn.Linear(width, 2 * latent) for name in modalities})
        self.back = nn.ModuleDict({name: nn.Sequential(nn.Linear(latent, width), nn.GELU(), nn.Linear(width, width)) for name in modalities})
        self.out = nn.Sequential(nn.Linear(latent, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width), nn.LayerNorm(width))
        self._bound: Tensor | None = None

    def posteriors(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (batch, modality, width) to means and log-variances (batch, modality, latent)."""
        told = torch.stack([self.posterior[name](vectors[:, i]) for i, name in enumerate(self.modalities)], 1).float()
        mean, log_variance = told.chunk(2, -1)
        return mean, log_variance.clamp(-WIDEST, WIDEST)

    def latent_of(self, means: Tensor, log_variances: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """The latent vector (batch, latent) and its posterior's divergence from the prior (batch,), nats; of samples without a modality, the prior's."""
        if self.experts == "product":
            mean, log_variance = product_of_experts(means, log_variances, present)
            return drawn(mean, log_variance) if self.training else mean, normal_kl(mean, log_variance)
        share = present.to(means.dtype) / present.sum(1, keepdim=True).clamp(min=1)
        divergence = (share * normal_kl(means, log_variances)).sum(1)
        if not self.training:
            return (share[..., None] * means).sum(1), divergence
        # one of the modalities present, each as likely, speaks for the mixture
        scores = torch.rand(present.shape, device=means.device).masked_fill(~present, -1.0)
        index = scores.argmax(1)[:, None, None].expand(-1, 1, means.shape[2])
        one = drawn(means.gather(1, index)[:, 0], log_variances.gather(1, index)[:, 0])
        return torch.where(present.any(1, keepdim=True), one, 0.0), divergence

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """What is made of the latent vector."""
        vectors, present = self.pooled(tokens)
        latent, divergence = self.latent_of(*self.posteriors(vectors), present)
        if self.training:
            made = torch.stack([self.back[name](latent).float() for name in self.modalities], 1)
            error = 0.5 * (made - vectors.detach().float()).square().sum(-1) * present
            self._bound = (error.sum(1) + self.beta * divergence).mean()
        else:
            self._bound = None
        return Fused(self.out(latent), tokens)

    def extra_loss(self) -> Tensor:
        """`weight` times the negative bound of the last batch, nats a sample."""
        bound, self._bound = self._bound, None
        return next(self.parameters()).new_zeros(()) if bound is None else self.weight * bound
