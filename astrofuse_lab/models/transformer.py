"""Irregular light curves to tokens, one an epoch, by a transformer that knows the times."""

import math

import torch
from torch import Tensor, nn

from astrofuse_lab.models.attention import TransformerLayer
from astrofuse_lab.models.distance import DistanceBias
from astrofuse_lab.models.encoder import Encoder, one_each
from astrofuse_lab.models.tokens import InputLayout, Tokens

SHORTEST, LONGEST = 0.1, 2000.0
"""Periods of the time encoding, days: from within a night to several seasons."""


class TimeEncoding(nn.Module):
    """Times as sines and cosines of geometrically spaced periods, then a learned linear map.

    The position encoding of Vaswani et al. 2017 (arXiv:1706.03762) with days in place of positions.

    Parameters
    ----------
    width : int
    periods : int
    shortest : float
        days
    """

    rates: Tensor

    def __init__(self, width: int, periods: int = 16, shortest: float = SHORTEST) -> None:
        super().__init__()
        steps = torch.linspace(math.log(shortest), math.log(LONGEST), periods)
        self.register_buffer("rates", 2 * math.pi / steps.exp(), persistent=False)
        self.project = nn.Linear(2 * periods, width)

    def forward(self, days: Tensor) -> Tensor:
        """Days (batch, epoch) to (batch, epoch, width)."""
        phase = days.float()[..., None] * self.rates
        return self.project(torch.cat([phase.sin(), phase.cos()], -1))


class History(nn.Module):
    """What a whole light curve says that attention, which averages, cannot count: how many detections and limits, when, how bright.

    Parameters
    ----------
    bands : int
    width, hidden : int
    dropout : float
    """

    def __init__(self, bands: int, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.bands = bands
        self.layers = nn.Sequential(nn.Linear(14 + 5 * bands, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width))

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Values (batch, epoch, channel) and mask (batch, epoch) to (batch, width)."""
        return self.layers(self.statistics(values, mask))

    def statistics(self, values: Tensor, mask: Tensor) -> Tensor:
        """(batch, 14 + 5 * bands): counts, spans of days (log), flux and error of detections and limits; zero where there is none."""
        days, flux, error, limit = values[..., 0], values[..., 1], values[..., 2], values[..., 3] > 0.5
        seen, unseen = mask & ~limit, mask & limit
        last = _largest(days, mask)
        spans = [_largest(-days, mask) + last, _largest(-days, seen) + last, last - _largest(days, seen)]
        n, m = (part.sum(1).to(values.dtype) for part in (seen, unseen))
        mean = _mean(flux, seen)
        row = [n.log1p(), m.log1p(), n / (n + m).clamp(min=1), *(s.clamp(min=0).log1p() * (n > 0) for s in spans)]
        row += [mean, (_mean((flux - mean[:, None]) ** 2, seen) + 1e-6).sqrt(), _largest(flux, seen), -_largest(-flux, seen), _mean(flux.abs(), seen)]
        row += [_mean(error, seen), _mean(error, unseen), (n > 1).to(values.dtype)]
        for band in range(self.bands):
            mine = seen & (values[..., 4 + band] > 0.5)
            count = mine.sum(1).to(values.dtype)
            level = _mean(flux, mine)
            # within a band: over both bands together the colour of a constant star would pass for variability
            scatter = (_mean((flux - level[:, None]) ** 2, mine) + 1e-6).sqrt()
            row += [count.log1p(), (count > 0).to(values.dtype), level, scatter, _largest(flux, mine) + _largest(-flux, mine)]
        return torch.stack(row, 1)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)


def _largest(values: Tensor, mask: Tensor) -> Tensor:
    """The largest real value; zero where there is none."""
    return torch.where(mask.any(1), values.masked_fill(~mask, -torch.inf).amax(1), 0.0)


class TimeTransformerEncoder(Encoder):
    """Light curves to tokens, one an epoch, whatever the cadence.

    An epoch is embedded as the sum of its measurement (flux, error, upper limit, band), its time after the first epoch
    and its time before the last; then attention between epochs. Statistics of the whole history are added to each.

    Parameters
    ----------
    layout : InputLayout
        Shape (channel,): days, flux, log error, upper limit, one-hot bands.
    width : int
    layers, heads : int
    periods : int
        Periods of the time encoding.
    shortest : float
        The shortest of them, days. Times of upper limits tell which exposures were taken; a longer period makes less of it.
    history : int
        Width of the hidden layer that reads the statistics of the whole history; 0 leaves them out.
    distance : bool
        Attention falls with the time between two epochs, by slopes that each head learns; see `DistanceBias`.
    dropout : float
    """

    kinds = ("light_curve",)
    attends = True

    def __init__(
        self, layout: InputLayout, width: int, *, layers: int = 1, heads: int = 4, periods: int = 16, shortest: float = SHORTEST,
        history: int = 64, distance: bool = False, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width)
        self.history = History(layout.shape[0] - 4, width, history, dropout) if history else None
        self.measurement = nn.Sequential(nn.Linear(layout.shape[0] - 1, width), nn.GELU(), nn.Linear(width, width))
        self.after_first, self.before_last = TimeEncoding(width, periods, shortest), TimeEncoding(width, periods, shortest)
        self.layers = nn.ModuleList(TransformerLayer(width, heads, dropout=dropout) for _ in range(layers))
        self.distance = DistanceBias(("epochs",), heads) if distance and layers else None
        self.norm = nn.LayerNorm(width)

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values (batch, epoch, channel) and mask (batch, epoch) to tokens in order of the epochs."""
        values = values.masked_fill(~mask[..., None], 0.0)
        days = values[..., 0]
        last = days.masked_fill(~mask, -torch.inf).amax(1, keepdim=True)
        before = torch.where(mask, last - days, 0.0)
        tokens = self.measurement(values[..., 1:]) + self.after_first(days) + self.before_last(before)
        place = {**one_each("epoch", values.shape[1]), "coordinates": {"time": days}}
        bias = None if self.distance is None else self.distance.of("epochs", place, values.shape[1], values.device)
        for layer in self.layers:
            tokens = layer(tokens, mask, maps, bias=bias)
        if self.history is not None:
            tokens = tokens + self.history(values, mask)[:, None]
        return Tokens(self.norm(tokens), mask, place)
