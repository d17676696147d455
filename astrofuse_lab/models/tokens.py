"""What passes between the parts of a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class InputLayout:
    """What an encoder must know of its input, as `samples.preparation` makes it.

    Attributes
    ----------
    kind : str
    channels : tuple of str
        Bands, or columns.
    shape : tuple of int
        Shape of one sample's values without ragged axes: (band, y, x), (pixel,), (channel,) for light curves,
        (column,), (bucket,) for text.
    """

    kind: str
    channels: tuple[str, ...]
    shape: tuple[int, ...]


class Tokens(NamedTuple):
    """Vectors given to fusion.

    Attributes
    ----------
    values : Tensor, (batch, token, width)
    mask : bool Tensor, (batch, token)
        True where real. A missing modality has no real token.
    place : mapping
        Where each token lies in its input. ``{"axes": ("y", "x"), "box": Tensor (token, 2 * axes)}`` with begin and end
        along each axis, in input pixels, epochs, columns or words; ``{}`` for a token that stands for the whole input.
        Optional: ``"coordinates"``, e.g. ``{"time": Tensor (batch, token)}`` in days, where distances between tokens have a meaning; and of an
        encoder whose own maps were asked for, where these lie between others than its tokens: ``"keys"``, a box (key, 2 * axes) a map, and
        ``"order"`` (batch, epoch), by which these boxes count the epochs.
    """

    values: Tensor
    mask: Tensor
    place: Mapping[str, Any]


class Fused(NamedTuple):
    """What fusion gives to the head.

    Attributes
    ----------
    vector : Tensor, (batch, width)
    tokens : mapping of str to Tokens
    attention : mapping of str to Tensor
        (batch, head, query, key) over the class token, the modalities' tokens in order and the fusion's own; empty unless asked for. Rows sum to one,
        or are zero for tokens that look at nothing in that layer.
    """

    vector: Tensor
    tokens: Mapping[str, Tokens]
    attention: Mapping[str, Tensor] = {}


@dataclass(frozen=True)
class Prediction:
    """What a head says.

    Attributes
    ----------
    values : Tensor
        Classification: logits or log-probabilities, (batch, class); multi_label: logits, (batch, label); regression: standardised
        value, (batch, 1); multi_regression: (batch, target); without a target (batch, 0).
    fused : Fused
    per_modality : mapping of str to Tensor
        Decision level: each modality's own `values`, else empty.
    extra : mapping of str to Tensor
        What a head says beyond `values`, (batch, ...) each: quantiles, parts of a mixture, a reconstruction; by the head's own names.
    each : mapping of str to Prediction
        Decision level: what each stream's head said, with its own `extra`.
    """

    values: Tensor
    fused: Fused
    per_modality: Mapping[str, Tensor] = field(default_factory=dict)
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    each: Mapping[str, "Prediction"] = field(default_factory=dict)
