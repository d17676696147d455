"""Discriminant correlation analysis: projections that tell classes apart and agree between modalities, worked out rather than learned."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from astrofuse_lab.models.fusion import Pooled
from astrofuse_lab.models.tokens import Fused, Tokens

BINS, MOST_CLASSES = 5, 64
FLOOR = 1e-3
"""Directions whose share of the between-class scatter, or of the correlation, is below this of the largest are noise and left out."""

LEAST = 0.05
"""Of the covariance of two modalities' directions, whose between-class scatter is one: below, they hardly agree and are not blown up further."""


def classes_of(target: Tensor) -> Tensor:
    """Targets (sample,) or (sample, output) as class codes: numbers as their fifths, several labels as the combinations that occur."""
    if target.ndim == 2 and target.shape[1] != 1:
        codes = torch.unique(torch.nan_to_num(target.double()), dim=0, return_inverse=True)[1]
        return codes if int(codes.max()) < MOST_CLASSES else classes_of(torch.nan_to_num(target[:, 0].double()))
    flat = target.flatten()
    if not flat.is_floating_point():
        return torch.unique(flat, return_inverse=True)[1]
    cuts = torch.quantile(flat.double(), torch.linspace(0, 1, BINS + 1, dtype=torch.float64, device=flat.device)[1:-1])
    return torch.searchsorted(cuts, flat.double())


def between_classes(vectors: Tensor, codes: Tensor) -> Tensor:
    """The projection W (width, r) that makes the between-class scatter of `vectors` (sample, width) the unit matrix.

    Haghighat et al. 2016 (doi:10.1109/TIFS.2016.2569061), equations 3 to 8: by the small matrix of classes, never that of features; the scatter is
    divided by the number of samples.
    """
    counts = torch.bincount(codes).double()
    means = torch.zeros(len(counts), vectors.shape[1], dtype=vectors.dtype, device=vectors.device).index_add_(0, codes, vectors)
    some = counts > 0
    means, share = means[some] / counts[some, None], counts[some] / len(codes)
    phi = (share.sqrt()[:, None] * (means - vectors.mean(0))).T
    size, turn = torch.linalg.eigh(phi.T @ phi)
    keep = size > FLOOR * size[-1].clamp(min=1e-12)
    return (phi @ turn[:, keep] / size[keep]).flip(1)


def correlate(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Maps of two sets of the same samples, (sample, r) and (sample, s), to one space where their covariance is the unit matrix (equations 9 to 13)."""
    left, size, right = torch.linalg.svd(first.T @ second / len(first), full_matrices=False)
    keep = size > FLOOR * size[0].clamp(min=1e-12)
    root = size[keep].clamp(min=LEAST).sqrt()
    return left[:, keep] / root, right.T[:, keep] / root


def discriminant_maps(vectors: Tensor, present: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (set, width) and maps (set, width, r) of any number of sets, whose sum of mapped vectors is the fused one.

    Two sets as in the paper; of more, the two of highest rank first, then their sum with the next (its section III-C). A sample is used wherever
    it has what a step needs.
    """
    mean = torch.stack([vectors[there, i].mean(0) if there.any() else vectors.new_zeros(vectors.shape[2]) for i, there in enumerate(present.T)])
    centred = (vectors - mean) * present[..., None]
    useful = [i for i, there in enumerate(present.T) if len(codes[there].unique()) > 1]
    single = {i: between_classes(centred[present[:, i], i], codes[present[:, i]]) for i in useful}
    order = sorted(useful, key=lambda i: -single[i].shape[1])
    maps = {order[0]: single[order[0]]} if order else {}
    fused, seen = (centred[:, order[0]] @ single[order[0]], present[:, order[0]]) if order else (vectors.new_zeros(len(vectors), 1), present[:, 0])
    for i in order[1:]:
        both = seen & present[:, i]
        if len(codes[both].unique()) < 2:
            continue
        again = between_classes(fused[seen], codes[seen])
        left, right = correlate((fused @ again)[both], (centred[:, i] @ single[i])[both])
        maps = {j: one @ again @ left for j, one in maps.items()} | {i: single[i] @ right}
        fused, seen = sum(centred[:, j] @ one for j, one in maps.items()), seen | present[:, i]  # type: ignore[assignment]
    rank = max((one.shape[1] for one in maps.values()), default=0)
    empty = vectors.new_zeros(vectors.shape[2], rank)
    return mean, torch.stack([maps.get(i, empty) for i in range(vectors.shape[1])])


class Discriminant(Pooled):
    """Discriminant correlation analysis of the modalities' vectors: their projections are summed, then mapped by a layer.

    Haghighat, Abdel-Mottaleb & Alhalabi 2016 (doi:10.1109/TIFS.2016.2569061); used by You et al. 2024 (RAA 24, 035022) for pulsars. The projections
    are worked out from training samples before each of the first `epochs` (`fit`) and then held: what comes after learns to read them, which it
    cannot while they turn. At most one direction less than there are classes is left, numbers are taken as classes by their fifths. Until the
    first `fit` vectors are summed as they are. A missing modality stands at its mean.

    Parameters
    ----------
    modalities, width
        As in `Fusion`.
    epochs : int
        Before how many epochs the projections are worked out anew.
    dropout : float
    modality_dropout : float
        As in `Fusion`.
    """

    centre: Tensor
    maps: Tensor
    fitted: Tensor

    def __init__(self, modalities: tuple[str, ...], width: int, *, epochs: int = 3, dropout: float = 0.1, modality_dropout: float = 0.0) -> None:
        super().__init__(modalities, width, modality_dropout, missing=False)
        self.epochs = epochs
        self.register_buffer("centre", torch.zeros(len(modalities), width))
        self.register_buffer("maps", torch.eye(width).repeat(len(modalities), 1, 1))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.int64))
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width), nn.LayerNorm(width))

    @property
    def fits(self) -> bool:
        """True until the projections have been worked out often enough: training then spares itself the look at its samples."""
        return int(self.fitted) < self.epochs

    def fuse(self, tokens: Mapping[str, Tokens], attention: bool) -> Fused:
        """The sum of the projections, mixed."""
        return Fused(self.mix(self.together(tokens)), tokens)

    def together(self, tokens: Mapping[str, Tokens]) -> Tensor:
        """The sum of the projections, (batch, width); zeros after the last direction."""
        vectors, present = self.pooled(tokens)
        return torch.einsum("bmi,mio->bo", (vectors.float() - self.centre) * present[..., None], self.maps)

    @torch.no_grad()
    def fit(self, tokens: Mapping[str, Tokens], target: Tensor) -> None:
        """Work out the projections from training samples' tokens and targets, unless that has been done often enough."""
        if not self.fits:
            return
        vectors, present = self.pooled(tokens)
        centre, maps = discriminant_maps(vectors.double(), present, classes_of(target))
        if maps.shape[2] == 0 or not maps.isfinite().all():
            return  # one class only: nothing tells anything apart, and what was stays
        if self.fitted:
            # directions are free up to a rotation common to all: the one nearest to what the layers after have learned to read
            left, _, right = torch.linalg.svd(torch.einsum("mir,mis->rs", maps, self.maps[:, :, : maps.shape[2]].double()))
            maps = maps @ (left @ right)
        self.centre.copy_(centre)
        self.maps.zero_()
        self.maps[:, :, : maps.shape[2]] = maps.to(self.maps.dtype)
        self.fitted += 1
