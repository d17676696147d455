"""Convolutional encoders: images to tokens of sky cells, spectra and series to tokens of ranges along their axis.

All read the mask as further channels beside values that are zero where masked, so a network can tell a missing pixel
from a faint one. Group normalisation, so that a batch of one works.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from astrofuse_lab.models.attention import FeatureDropout
from astrofuse_lab.models.encoder import Encoder, cells, place_of
from astrofuse_lab.models.image_blocks import group_norm
from astrofuse_lab.models.image_cnn import ImageEncoder
from astrofuse_lab.models.rings import RadialProfile
from astrofuse_lab.models.tokens import InputLayout, Tokens

STRIDE = 8
"""Input pixels per feature pixel: three convolutions of stride two."""


class ResidualBlock(nn.Module):
    """Two convolutions added to their input (He et al. 2016, arXiv:1603.05027).

    Parameters
    ----------
    axes : int
        1 or 2.
    channels : int
    """

    def __init__(self, axes: int, channels: int) -> None:
        super().__init__()
        conv = nn.Conv1d if axes == 1 else nn.Conv2d
        self.branch = nn.Sequential(
            group_norm(channels), nn.SiLU(), conv(channels, channels, 3, padding=1, bias=False),
            group_norm(channels), nn.SiLU(), conv(channels, channels, 3, padding=1),
        )  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channel, ...) to features of the same shape."""
        return features + self.branch(features)


def _trunk(axes: int, channels: int, depth: int) -> nn.Sequential:
    """Two strided stages of twice and four times the channels of the stem, each with `depth` residual blocks."""
    conv = nn.Conv1d if axes == 1 else nn.Conv2d
    layers: list[nn.Module] = [group_norm(channels), nn.SiLU()]
    for inputs in (channels, 2 * channels):
        layers.append(conv(inputs, 2 * inputs, 3, stride=2, padding=1, bias=False))
        layers += [ResidualBlock(axes, 2 * inputs) for _ in range(depth)]
    return nn.Sequential(*layers, group_norm(4 * channels), nn.SiLU())


class Conv2dEncoder(ImageEncoder):
    """Images to tokens, one a cell of the sky.

    Parameters
    ----------
    layout : InputLayout
        Shape (band, y, x).
    width : int
    channels : int
        Of the first stage; the later ones have two and four times as many.
    depth : int
        Residual blocks in each of the last two stages.
    tokens : int
        Cells along each axis.
    crop : int
        Only the central so many pixels along each axis are looked at; 0: all.
    profile : int
        Width of the hidden layer that reads the rings around the middle, added to each token; 0 leaves them out.
    dropout : float
        Share of feature channels set to zero while training.
    """

    radius: Tensor

    def __init__(
        self, layout: InputLayout, width: int, *, channels: int = 16, depth: int = 1, tokens: int = 4, crop: int = 0, profile: int = 64,
        dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, crop)
        self.stem = nn.Conv2d(self.inputs, channels, 5, stride=2, padding=2, bias=False)
        # the distance from the centre is one more input channel; the same for all images, it is convolved once
        self.centre = nn.Conv2d(1, channels, 5, stride=2, padding=2)
        self.trunk = _trunk(2, channels, depth)
        if profile:
            self.profile = RadialProfile(layout.shape[0], self.height, self.breadth, width, profile, dropout)
        self.read_out(4 * channels, STRIDE, tokens, dropout)
        self.register_buffer("radius", _radius(self.height, self.breadth), persistent=False)

    def features(self, inputs: Tensor) -> Tensor:
        """Values and masks to features; the distance from the centre is told to the stem."""
        return self.trunk(self.stem(inputs) + self.centre(self.radius))


def _radius(height: int, breadth: int) -> Tensor:
    """Distance from the centre, where the target is, in half image sizes (coordinates as input: arXiv:1807.03247)."""
    y, x = (torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in (height, breadth))
    return torch.hypot(y[:, None], x[None, :])[None, None]


class Conv1dEncoder(Encoder):
    """Spectra to tokens, one a range of wavelengths.

    Parameters
    ----------
    layout : InputLayout
        Shape (pixel,).
    width : int
    channels : int
        Of the first stage; the later ones have two and four times as many.
    depth : int
        Residual blocks in each of the last two stages.
    tokens : int
        Ranges along the wavelength axis.
    dropout : float
        Share of features set to zero while training.
    """

    kinds = ("spectrum",)
    axis = "pixel"
    box: Tensor

    def __init__(self, layout: InputLayout, width: int, *, channels: int = 16, depth: int = 1, tokens: int = 16, dropout: float = 0.1) -> None:
        super().__init__(layout, width)
        *several, pixels = layout.shape
        bounds, self.count = cells(pixels, STRIDE, tokens)
        self.stem = nn.Conv1d(2 * (several[0] if several else 1), channels, 7, stride=2, padding=3)
        self.trunk = _trunk(1, channels, depth)
        self.project = nn.Sequential(FeatureDropout(dropout), nn.Linear(4 * channels, width))
        self.position = nn.Parameter(0.02 * torch.randn(self.count, width))
        self.norm = nn.LayerNorm(width)
        self.bounds = bounds.tolist()
        self.register_buffer("box", bounds, persistent=False)

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask, (batch, pixel) or (batch, channel, sample), to tokens in order of the axis."""
        values, mask = (x.unflatten(-1, (1, -1)) if x.ndim == 2 else x for x in (values, mask))
        inputs = torch.cat([values.masked_fill(~mask, 0.0), mask.to(values.dtype)], 1)
        features = F.adaptive_avg_pool1d(self.trunk(self.stem(inputs)), self.count).transpose(1, 2)
        seen = torch.stack([mask[..., b:e].flatten(1).any(1) for b, e in self.bounds], 1)
        return Tokens(self.norm(self.project(features) + self.position), seen, place_of((self.axis,), self.box))


class SeriesEncoder(Conv1dEncoder):
    """Series to tokens, one a range of their axis; the same network as for spectra, with a stem that reads all channels.

    Parameters
    ----------
    layout : InputLayout
        Shape (channel, sample).
    width, channels, depth, tokens, dropout
        As of `Conv1dEncoder`.
    """

    kinds = ("series",)
    axis = "sample"
