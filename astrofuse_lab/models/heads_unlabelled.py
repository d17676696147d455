"""Heads without a target: vectors to search by, a modality that is not there, and how unusual a sample is."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.fusion import masked_mean
from astrofuse_lab.models.heads import UNKNOWN, About, Head, network
from astrofuse_lab.models.image_to_image import images_of
from astrofuse_lab.models.tokens import Fused, Prediction

RAGGED = ("light_curve", "text")


def _nothing(fused: Fused) -> Tensor:
    """`values` of a head that predicts no target: (batch, 0)."""
    return fused.vector.new_zeros(len(fused.vector), 0).float()


class ProjectionHead(Head):
    """Unit vectors to compare samples by, of all modalities together and of each alone, in one space.

    ``extra["embedding"]``, (batch, dimension), and ``extra["embedding.<modality>"]``, zero where the modality is missing. A projection
    after the representation, as in Chen et al. 2020 (arXiv:2002.05709); that of a single modality is linear (Radford et al. 2021,
    arXiv:2103.00020).

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    dimension : int
    """

    tasks = ("self_supervised",)

    def __init__(
        self, width: int, outputs: int, about: About = UNKNOWN, *, dimension: int = 32, hidden: int = 64, dropout: float = 0.1
    ) -> None:
        self.dimension = dimension
        super().__init__(width, outputs, about, hidden=hidden, dropout=dropout)
        self.own = nn.ModuleDict({name: nn.Linear(width, dimension) for name in about.layouts})

    def numbers(self, outputs: int) -> int:
        """Those of a vector."""
        return self.dimension

    def forward(self, fused: Fused) -> Prediction:
        """Of the fused vector, and of the mean of each modality's real tokens."""
        extra = {"embedding": F.normalize(self.layers(fused.vector).float(), dim=1)}
        for name, one in fused.tokens.items():
            if name in self.own:
                unit = F.normalize(self.own[name](masked_mean(*one[:2])).float(), dim=1)
                extra[f"embedding.{name}"] = unit * one.mask.any(1, keepdim=True)
        return Prediction(_nothing(fused), fused, extra=extra)


class ReconstructionHead(Head):
    """What a modality would look like, from the fused vector of the others.

    ``extra["reconstruction"]``, (batch, *shape), as the modality's encoder is given it: scaled as in training.

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    modality : str
        One with a fixed size: image, spectrum, series or table. "": the first such.
    source : str
        A stream whose encoder made the image already, pixel by pixel and at several scales (layers that end with ``encoder_decoder``): its
        token is read and nothing is added. ``extra["scale.1"]``, ``extra["scale.2"]``, ... are the coarser ones, (batch, 1, y, x).
    """

    tasks = ("self_supervised",)

    def __init__(
        self, width: int, outputs: int, about: About = UNKNOWN, *, modality: str = "", source: str = "", hidden: int = 128, dropout: float = 0.1
    ) -> None:
        able = [name for name, layout in about.layouts.items() if layout.kind not in RAGGED]
        if not able or modality not in ("", *able):
            what = f"cannot make {modality!r}" if modality else "has nothing to make"
            raise InputError(f"head 'reconstruction' {what}: of the modalities {', '.join(about.layouts) or 'none'}, these have a fixed size: {', '.join(able) or 'none'}.")
        self.modality = modality or able[0]
        self.shape, self.source = about.layouts[self.modality].shape, source
        if source and (about.layouts[self.modality].kind != "image" or self.shape[0] != 1 or source == self.modality or source not in about.layouts):
            raise InputError(
                f"head 'reconstruction': source={source!r} makes an image of one band of others, not {self.modality!r} with {self.shape}; the streams are {', '.join(about.layouts)}."
            )
        if source:
            nn.Module.__init__(self)
            self.outputs, self.layers = outputs, nn.Sequential()
        else:
            super().__init__(width, outputs, about, hidden=hidden, dropout=dropout)

    def numbers(self, outputs: int) -> int:
        """Those of the modality's input."""
        return math.prod(self.shape)

    def forward(self, fused: Fused) -> Prediction:
        """In the shape of the modality's input."""
        if self.source:
            return self._read(fused)
        made = self.layers(fused.vector).float().view(-1, *self.shape)
        return Prediction(_nothing(fused), fused, extra={"reconstruction": made})

    def _read(self, fused: Fused) -> Prediction:
        """The images that the source's token holds."""
        y, x = self.shape[1:]
        if self.source in fused.tokens:
            finest, *coarser = images_of(fused.tokens[self.source].values[:, 0].float(), (y, x))
        else:  # none of its members was given
            finest, coarser = fused.vector.new_zeros(len(fused.vector), 1, y, x).float(), []
        extra = {"reconstruction": finest[..., :y, :x], **{f"scale.{k}": one for k, one in enumerate(coarser, 1)}}
        return Prediction(_nothing(fused), fused, extra=extra)


class AnomalyHead(Head):
    """How unusual a sample is, ``extra["score"]``, (batch,): larger is more unusual.

    ``distance``: squared distance of the sample from a centre, in a space that training draws tight around what it has seen (deep
    support vector data description, Ruff et al. 2018, PMLR 80, equation 4; the centre is one in each dimension, because one at zero
    would be reached by weights of zero, and the projection has no bias). ``reconstruction``: mean squared error with which each modality's own vector, the mean of its
    tokens, is given back from the fused vector through a bottleneck, over the modalities a sample has; unusual is also who has
    modalities that do not go together. Neither is a probability: compare scores of one run with each other.

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    kind : {"distance", "reconstruction"}
    dimension : int
        Of the space, or of the bottleneck.
    """

    tasks = ("self_supervised",)
    CENTRE = 1.0

    def __init__(
        self, width: int, outputs: int, about: About = UNKNOWN, *, kind: str = "distance", dimension: int = 16, hidden: int = 64, dropout: float = 0.1
    ) -> None:
        if kind not in ("distance", "reconstruction"):
            raise UnknownNameError("kind of the head 'anomaly_score'", kind, ("distance", "reconstruction"))
        self.dimension = dimension
        super().__init__(width, outputs, about, hidden=hidden, dropout=dropout)
        self.back = None
        if kind == "reconstruction":
            self.back = nn.ModuleDict({name: network(dimension, width, hidden, dropout) for name in about.layouts})
        else:
            for layer in self.layers:
                if isinstance(layer, nn.Linear):
                    layer.register_parameter("bias", None)

    def numbers(self, outputs: int) -> int:
        """Those of the space or bottleneck."""
        return self.dimension

    def forward(self, fused: Fused) -> Prediction:
        """The score, and where it comes from: ``extra["place"]``, (batch, dimension)."""
        place = self.layers(fused.vector).float()
        score = (place - self.CENTRE).square().sum(1) if self.back is None else self._error(place, fused)
        return Prediction(_nothing(fused), fused, extra={"score": score, "place": place})

    def _error(self, place: Tensor, fused: Fused) -> Tensor:
        assert self.back is not None
        error, there = [], []
        for name, one in fused.tokens.items():
            if name in self.back:
                # what is to be given back is not moved towards what is easy to give back
                own = masked_mean(*one[:2]).detach().float()
                error.append((self.back[name](place).float() - own).square().mean(1))
                there.append(one.mask.any(1))
        seen = torch.stack(there, 1).float()
        return (torch.stack(error, 1) * seen).sum(1) / seen.sum(1).clamp(min=1.0)
