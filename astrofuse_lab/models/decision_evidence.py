"""Evidential decisions: streams say how much they know, and Dempster's rule combines what they say."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.decision import LABELS, TINY, Decision


def dempster(masses: Tensor, ignorance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Dempster's rule for masses on single classes and on the whole frame (ignorance), of any number of sources at once.

    Shafer 1976, *A Mathematical Theory of Evidence*, chapter 3. By commonalities, q(A) = sum of the masses of all that holds A: those of
    the sources multiply, so that the combined mass of class k is the product of (m_k + u) less the product of u, before normalisation.

    Parameters
    ----------
    masses : Tensor, (..., source, class)
    ignorance : Tensor, (..., source)
        With the masses of its source it sums to one; 1 for a source that knows nothing, which then changes nothing.

    Returns
    -------
    masses : Tensor, (..., class)
    ignorance : Tensor, (...)
    conflict : Tensor, (...)
        Mass that fell on nothing, which is what normalisation shares out: 0 where sources agree, 1 where they exclude one another. There
        the rule has no answer, and ignorance is total.
    """
    whole = ignorance.prod(-1)
    single = ((masses + ignorance[..., None]).prod(-2) - whole[..., None]).clamp(min=0.0)
    left = single.sum(-1) + whole
    defined = left > 1e-30
    safe = torch.where(defined, left, 1.0)
    return single / safe[..., None], torch.where(defined, whole / safe, 1.0), (1.0 - left).clamp(0.0, 1.0)


class Evidential(Decision):
    """Each stream's outputs are evidence for the classes; what they do not support is ignorance; Dempster's rule combines both.

    Trusted multi-view classification (Han et al. 2021, arXiv:2102.02051, equations 2 to 5): evidence e_k >= 0 makes a Dirichlet
    distribution with parameters e_k + 1, and beliefs b_k = e_k / S with ignorance u = K / S, S = sum(e) + K. Streams are combined by
    Dempster's rule; a missing one knows nothing (u = 1). The probabilities are the mean of the combined Dirichlet, b_k + u / K. A label
    is a frame of two, yes and no.

    `extra`: ``ignorance`` (batch,) or (batch, label); ``conflict`` likewise; ``evidence`` of the combined Dirichlet, (batch, class) or
    (batch, label, 2); ``ignorances`` of the streams, (batch, stream, ...).

    Parameters
    ----------
    task, modalities, outputs, with_fused, groups
        As in `Decision`; classes and labels only.
    evidence : {"softplus", "exp", "alpha"}
        From an output to its evidence; ``alpha``: of the head `evidential`, whose outputs are logarithms of a Dirichlet's parameters.
    """

    tasks = LABELS
    EVIDENCE = {"softplus": F.softplus, "exp": lambda values: values.clamp(max=10.0).exp(), "alpha": lambda values: values.exp().sub(1.0).clamp(min=0.0)}

    def __init__(
        self, task: str, modalities: Sequence[str], outputs: int, *, evidence: str = "softplus", with_fused: bool = False, groups: Sequence[str] = ()
    ) -> None:
        super().__init__(task, modalities, outputs, with_fused=with_fused, groups=groups)
        if evidence not in self.EVIDENCE:
            raise InputError(f"evidential evidence={evidence!r}: choose one of {', '.join(map(repr, self.EVIDENCE))}.")
        self.evidence = evidence

    def beliefs(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Masses (batch, stream, [label,] class) and ignorance (batch, stream[, label]) of outputs (batch, stream, output)."""
        if self.task == "multi_label":
            values = torch.stack([-values, values], -1)
        found = self.EVIDENCE[self.evidence](values)
        total = found.sum(-1) + found.shape[-1]
        return found / total[..., None], found.shape[-1] / total

    def together(self, values: Tensor, there: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Combined masses, ignorance and conflict, and the streams' own ignorance."""
        masses, own = self.beliefs(values)
        seen = there.view(*there.shape, *[1] * (own.ndim - 2))
        masses, own = torch.where(seen[..., None], masses, 0.0), torch.where(seen, own, 1.0)
        if self.task == "multi_label":  # the rule works along the streams: bring them beside the classes
            return *dempster(masses.transpose(1, 2), own.transpose(1, 2)), own
        return *dempster(masses, own), own

    def combine(self, values: Tensor, there: Tensor) -> Tensor:
        """Mean of the combined Dirichlet distribution."""
        masses, ignorance, _, _ = self.together(values, there)
        return self._mean(masses, ignorance)

    def own(self, values: Tensor) -> Tensor:
        """Mean of each stream's own Dirichlet distribution."""
        return self._mean(*self.beliefs(values))

    def _mean(self, masses: Tensor, ignorance: Tensor) -> Tensor:
        shares = masses + ignorance[..., None] / masses.shape[-1]
        return shares.clamp(min=TINY).log() if self.task == "classification" else self.values_of(shares[..., 1])

    def said(self, values: Tensor, there: Tensor) -> dict[str, Tensor]:
        """Ignorance, conflict, evidence."""
        masses, ignorance, conflict, own = self.together(values, there)
        evidence = masses * (masses.shape[-1] / ignorance.clamp(min=TINY))[..., None]
        return {"ignorance": ignorance, "conflict": conflict, "evidence": evidence, "ignorances": own}
