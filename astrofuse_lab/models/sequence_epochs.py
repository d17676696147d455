"""Transformers of irregular light curves as published: time that modulates what was measured, or time as waves beside a learned band."""

import math

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import TransformerLayer
from astrofuse_lab.models.distance import DistanceBias
from astrofuse_lab.models.encoder import Encoder, one_each
from astrofuse_lab.models.tokens import InputLayout, Tokens

MEASURED = slice(1, 4)
"""Channels of what was measured: flux, log error, upper limit."""
FIRST_BAND = 4


class EpochTransformer(Encoder):
    """Base of encoders that embed each epoch by itself in `embed`, and let epochs attend to each other: light curves as sets.

    Parameters
    ----------
    layout : InputLayout
        Shape (channel,): days, flux, log error, upper limit, one-hot bands.
    width : int
    layers, heads : int
    distance : bool
        Attention falls with the time between two epochs, by slopes that each head learns; see `DistanceBias`.
    dropout : float
    """

    kinds = ("light_curve",)
    attends = True

    def __init__(self, layout: InputLayout, width: int, layers: int, heads: int, distance: bool, dropout: float) -> None:
        super().__init__(layout, width)
        self.measurement = nn.Linear(MEASURED.stop - MEASURED.start, width)
        self.layers = nn.ModuleList(TransformerLayer(width, heads, dropout=dropout) for _ in range(layers))
        self.distance = DistanceBias(("epochs",), heads) if distance else None
        self.norm = nn.LayerNorm(width)

    def embed(self, measured: Tensor, days: Tensor, band: Tensor) -> Tensor:
        """Measurements as linear embeddings (batch, epoch, width), days (batch, epoch) and one-hot bands (batch, epoch, band) to tokens."""
        raise NotImplementedError

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values (batch, epoch, channel) and mask (batch, epoch) to tokens in order of the epochs."""
        values = values.masked_fill(~mask[..., None], 0.0)
        tokens = self.embed(self.measurement(values[..., MEASURED]), values[..., 0], values[..., FIRST_BAND:])
        place = {**one_each("epoch", values.shape[1]), "coordinates": {"time": values[..., 0]}}
        bias = None if self.distance is None else self.distance.of("epochs", place, values.shape[1], values.device)
        for layer in self.layers:
            tokens = layer(tokens, mask, maps, bias=bias)
        return Tokens(self.norm(tokens), mask, place)


class TimeModulation(nn.Module):
    """A scale and a shift of each feature that are Fourier series of time, one pair a band.

    ATAT (Cabrera-Vives et al. 2024, arXiv:2405.03078, "time modulation"): x alpha(t) + beta(t), with alpha and beta sums over h from 0 of
    a sin(2 pi h t / T) + b cos(2 pi h t / T).

    Parameters
    ----------
    bands, width, harmonics : int
    longest : float
        T, days.
    """

    rates: Tensor

    def __init__(self, bands: int, width: int, harmonics: int, longest: float) -> None:
        super().__init__()
        # scaled so that a token is of the size of its measurement whatever the number of harmonics
        self.series = nn.Parameter(torch.randn(bands, 2 * harmonics, 2 * width) / math.sqrt(harmonics))
        self.register_buffer("rates", 2 * math.pi * torch.arange(harmonics) / longest, persistent=False)

    def forward(self, features: Tensor, days: Tensor, band: Tensor) -> Tensor:
        """Features (batch, epoch, width), days (batch, epoch) and one-hot bands (batch, epoch, band) to modulated features."""
        phase = days.float()[..., None] * self.rates
        waves = torch.cat([phase.sin(), phase.cos()], -1)
        # the waves in the columns of the epoch's own band, zeros in those of the others: one product for all bands
        own = (band[..., None] * waves[..., None, :]).flatten(-2)
        scale, shift = (own @ self.series.flatten(0, 1)).chunk(2, -1)
        return features * scale + shift


class TimeModulationEncoder(EpochTransformer):
    """Light curves to tokens, one an epoch, whose embedded measurements are modulated by time (ATAT).

    Parameters
    ----------
    layout : InputLayout
    width : int
    layers, heads : int
    harmonics : int
        Terms of the Fourier series, with the constant one.
    longest : float
        Period of the first harmonic, days; later times come round to the first ones.
    distance : bool
        Attention falls with the time between two epochs; see `EpochTransformer`.
    dropout : float
    """

    def __init__(
        self, layout: InputLayout, width: int, *, layers: int = 2, heads: int = 4, harmonics: int = 16, longest: float = 1500.0,
        distance: bool = False, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, layers, heads, distance, dropout)
        self.modulation = TimeModulation(layout.shape[0] - FIRST_BAND, width, harmonics, _days(longest))

    def embed(self, measured: Tensor, days: Tensor, band: Tensor) -> Tensor:
        """See `EpochTransformer.embed`."""
        modulated: Tensor = self.modulation(measured, days, band)
        return modulated


class TimeWaves(nn.Module):
    """Times as sines and cosines of fixed rates, longest^(-2 i / width) radians a day.

    Parameters
    ----------
    width : int
    longest : float
        The longest wave, days over two pi.
    network : bool
        False: half as many rates as features, and these are the embedding (Zhang et al. 2024, arXiv:2408.16829); True: as many rates as features,
        through an MLP (Shen & Gagliano 2025, arXiv:2507.16817).
    """

    rates: Tensor

    def __init__(self, width: int, longest: float, network: bool) -> None:
        super().__init__()
        self.width = width
        index = torch.arange(width) if network else torch.arange(0, width, 2)
        self.register_buffer("rates", (-math.log(longest) * index / width).exp(), persistent=False)
        self.network = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width)) if network else None

    def forward(self, days: Tensor) -> Tensor:
        """Days (batch, epoch) to (batch, epoch, width)."""
        phase = days.float()[..., None] * self.rates
        waves = torch.cat([phase.sin(), phase.cos()], -1)
        return waves[..., : self.width] if self.network is None else self.network(waves)


class SinusoidalTimeEncoder(EpochTransformer):
    """Light curves to tokens, one an epoch: the sum of what was measured, waves of its time, and a learned vector of its band.

    Parameters
    ----------
    layout : InputLayout
    width : int
    layers, heads : int
    time : {"fixed", "mlp"}
        Waves as they are (Maven, Zhang et al. 2024), or through an MLP (VAESNe, Shen & Gagliano 2025); see `TimeWaves`.
    band : bool
        With a vector for each band.
    longest : float
        The longest wave, days over two pi.
    distance : bool
        Attention falls with the time between two epochs; see `EpochTransformer`.
    dropout : float
    """

    def __init__(
        self, layout: InputLayout, width: int, *, layers: int = 2, heads: int = 4, time: str = "fixed", band: bool = True, longest: float = 10_000.0,
        distance: bool = False, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, layers, heads, distance, dropout)
        if time not in ("fixed", "mlp"):
            raise InputError(f"time={time!r} is no way to embed times. Take 'fixed' or 'mlp'.")
        self.waves = TimeWaves(width, _days(longest), time == "mlp")
        self.bands = nn.Parameter(torch.randn(layout.shape[0] - FIRST_BAND, width)) if band else None

    def embed(self, measured: Tensor, days: Tensor, band: Tensor) -> Tensor:
        """See `EpochTransformer.embed`."""
        tokens: Tensor = measured + self.waves(days)
        return tokens if self.bands is None else tokens + band @ self.bands


def _days(longest: float) -> float:
    if longest <= 1:
        raise InputError(f"longest={longest}: days, more than one.")
    return longest
