"""Published networks as rows of names and numbers: a list of layers, each a name and its sizes, to a module.

::

    [["conv", 16, 3], ["relu"], ["max_pool", 2], ["dropout", 0.25], ["flatten"], ["dense", 256], ["relu"]]

Sizes and order are those that papers and Keras files print: convolutions without padding unless "same" is said, pooling that drops what is
left over, flattening with the channels last. Shapes are followed from the input on, so that a list that cannot be is refused before any
sample is seen. `LAYERS` is the table of all of them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.image_to_image import encoder_decoder
from astrofuse_lab.models.layers_deep import dense_block, pad, residual_stage, transition
from astrofuse_lab.models.layers_pieces import each, parallel
from astrofuse_lab.models.layers_recurrent import Recurrent

Shape = tuple[int, ...]
"""(channel, y, x) of an image, (channel, sample) of a sequence, (number,) of a vector; without the batch."""
Made = tuple[nn.Module, Shape]
LARGEST = 50_000_000
"""Numbers that one sample may become within a network."""


class Flatten(nn.Module):
    """(batch, channel, ...) to (batch, number), the channels last, as Keras does."""

    def forward(self, x: Tensor) -> Tensor:
        """Numbers of one place side by side."""
        return x.movedim(1, -1).flatten(1)


class GlobalAverage(nn.Module):
    """Mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, ...) to (batch, channel)."""
        return x.flatten(2).mean(2)


class Residual(nn.Module):
    """Input plus what layers make of it; an input of one channel is added to each (Keras' ``Add`` broadcasts it).

    Parameters
    ----------
    inner : Module
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        return x + self.inner(x)


class Layers(nn.Module):
    """Layers one after another.

    Parameters
    ----------
    layers : sequence of [name, *sizes]
        Of `LAYERS`.
    shape : tuple of int
        Of one input, without the batch.

    Attributes
    ----------
    shape : tuple of int
        Of one output.

    Raises
    ------
    UnknownNameError
        For a layer that does not exist.
    InputError
        For sizes that it cannot have, or an input that it cannot read.
    """

    def __init__(self, layers: Sequence[Any], shape: Shape) -> None:
        super().__init__()
        self.steps = nn.ModuleList()
        for row in layers:
            if not isinstance(row, list | tuple) or not row or not isinstance(row[0], str):
                raise InputError(f"{row!r} is no layer; write its name and sizes, e.g. ['conv', 16, 3].")
            made, shape = layer(row, shape)
            self.steps.append(made)
        self.shape = shape

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """(batch, *shape) to (batch, *self.shape); `real`, (batch, sample), for recurrent layers."""
        for step in self.steps:
            if getattr(step, "masked", False):
                real = torch.ones(x.shape[0], x.shape[-1], dtype=torch.bool, device=x.device) if real is None else real
                if real.shape[-1] != x.shape[-1]:  # pooled or convolved before: nothing says which steps are real
                    real = torch.ones(x.shape[0], x.shape[-1], dtype=torch.bool, device=x.device)
                x = step(x, real)
            else:
                x = step(x)
        return x


def layer(row: Sequence[Any], shape: Shape) -> Made:
    """One layer for inputs of a shape, and the shape it gives."""
    name, *sizes = row
    if name not in LAYERS:
        raise UnknownNameError("layer", name, LAYERS)
    try:
        made, after = LAYERS[name](shape, *sizes)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise InputError(f"layer {list(row)!r} cannot read {_said(shape)} ({str(error)[:200]}).") from None
    if min(after) < 1:
        raise InputError(f"layer {list(row)!r} leaves nothing of {_said(shape)}: the input is too small for this network.")
    number = 1
    for one in after:
        number *= one
    if number > LARGEST:
        raise InputError(f"layer {list(row)!r} makes {number} numbers of {_said(shape)}; at most {LARGEST}.")
    return made, after


def _said(shape: Shape) -> str:
    return f"{' x '.join(map(str, shape))} ({ {1: 'a vector', 2: 'channel x sample', 3: 'channel x y x x'}.get(len(shape), 'an odd input')})"


def _size(value: Any, what: str, low: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ValueError(f"{what}={value!r}, a whole number from {low} is expected")
    return value


def _spatial(shape: Shape) -> int:
    if len(shape) not in (2, 3):
        raise ValueError("an image or a sequence is expected; put it before 'flatten'")
    return len(shape) - 1


def _after(shape: Shape, channels: int, kernel: int, stride: int, padding: str) -> Shape:
    if padding not in ("valid", "same"):
        raise ValueError(f"padding={padding!r}, 'valid' or 'same'")
    return (channels, *(-(-side // stride) if padding == "same" else (side - kernel) // stride + 1 for side in shape[1:]))


def _padded(module: nn.Module, kernel: int, stride: int, padding: str, shape: Shape) -> nn.Module:
    """Keras' "same" with a stride pads more at the end than at the begin."""
    if padding == "valid" or (kernel == 1 and stride == 1):
        return module
    pads: list[int] = []
    for side in reversed(shape[1:]):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    pad = nn.ConstantPad2d((pads[0], pads[1], pads[2], pads[3]), 0.0) if len(shape) == 3 else nn.ConstantPad1d((pads[0], pads[1]), 0.0)
    return nn.Sequential(pad, module)


def _conv(shape: Shape, channels: int, kernel: int = 3, padding: str = "valid", stride: int = 1, groups: int = 1, bias: bool = True) -> Made:
    """``["conv", channels, kernel, padding, stride, groups, bias]``."""
    kind = nn.Conv2d if _spatial(shape) == 2 else nn.Conv1d
    after = _after(shape, _size(channels, "channels"), _size(kernel, "kernel"), _size(stride, "stride"), padding)
    return _padded(kind(shape[0], channels, kernel, stride=stride, groups=groups, bias=bias), kernel, stride, padding, shape), after


def _separable(shape: Shape, channels: int, kernel: int = 3, padding: str = "valid", stride: int = 1, first: str = "torch") -> Made:
    """Keras' SeparableConv: a filter a channel without bias, then 1 x 1 with bias. ``["separable", channels, kernel, padding, stride, first]``.

    `first`: how its weights begin. ``"he"`` keeps the spread of what goes through it and a ReLU (He et al. 2015, arXiv:1502.01852); torch's own,
    like Keras', divides its variance by some 18 a layer, and four of them need a thousand steps before they say anything.
    """
    if first not in ("torch", "he"):
        raise ValueError(f"first={first!r}, 'torch' or 'he'")
    kind = nn.Conv2d if _spatial(shape) == 2 else nn.Conv1d
    after = _after(shape, _size(channels, "channels"), _size(kernel, "kernel"), _size(stride, "stride"), padding)
    own, mixed = kind(shape[0], shape[0], kernel, stride=stride, groups=shape[0], bias=False), kind(shape[0], channels, 1)
    if first == "he":
        nn.init.kaiming_uniform_(own.weight, nonlinearity="linear")
        nn.init.kaiming_uniform_(mixed.weight, nonlinearity="relu")
    return nn.Sequential(_padded(own, kernel, stride, padding, shape), mixed), after


def _pool(kinds: tuple[Any, Any]) -> Callable[..., Made]:
    def make(shape: Shape, size: int, stride: int = 0) -> Made:
        step = stride or _size(size, "size")
        return kinds[_spatial(shape) - 1](size, step), _after(shape, shape[0], size, step, "valid")

    return make


def _norm(shape: Shape, momentum: float = 0.1, epsilon: float = 1e-5) -> Made:
    """Batch normalisation; `momentum` is the share of the new batch (1 less Keras')."""
    kinds: dict[int, Any] = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d}
    return kinds[len(shape)](shape[0], eps=epsilon, momentum=momentum), shape


def _dense(shape: Shape, outputs: int, bias: bool = True) -> Made:
    """``["dense", outputs, bias]``; of a sequence, sample by sample."""
    if len(shape) != 1:
        raise ValueError("put 'flatten' or 'global_average' before")
    if shape[0] * _size(outputs, "outputs") > 4 * LARGEST:
        raise ValueError(f"{shape[0]} x {outputs} weights; at most {4 * LARGEST}")
    return nn.Linear(shape[0], outputs, bias=bias), (outputs,)


def _residual(shape: Shape, inner: Sequence[Any]) -> Made:
    """``["residual", [layers]]``."""
    made = Layers(inner, shape)
    if made.shape[1:] != shape[1:] or shape[0] not in (1, made.shape[0]):
        raise ValueError(f"what is added has the shape {made.shape}")
    return Residual(made), made.shape


def _recurrent(kind: str) -> Callable[..., Made]:
    def make(shape: Shape, size: int, direction: str = "forward", gives: str = "last", biases: int = 2) -> Made:
        """``["lstm", size, "forward" or "both", "last" or "sequence", biases]``; 1: one bias a gate, as Keras' LSTM has."""
        if len(shape) != 2 or direction not in ("forward", "both") or gives not in ("last", "sequence") or biases not in (1, 2):
            raise ValueError("a sequence; 'forward' or 'both'; 'last' or 'sequence'; 1 or 2 biases")
        wide = _size(size, "size") * (2 if direction == "both" else 1)
        made = Recurrent(kind, shape[0], size, direction == "both", gives == "sequence", biases)
        return made, (wide, shape[1]) if gives == "sequence" else (wide,)

    return make


def _made(rows: Sequence[Any], shape: Shape) -> Made:
    made = Layers(rows, shape)
    return made, made.shape


def _plain(make: Callable[..., nn.Module]) -> Callable[..., Made]:
    return lambda shape, *sizes: (make(*sizes), shape)


LAYERS: dict[str, Callable[..., Made]] = {
    "conv": _conv,
    "separable": _separable,
    "max_pool": _pool((nn.MaxPool1d, nn.MaxPool2d)),
    "average_pool": _pool((nn.AvgPool1d, nn.AvgPool2d)),
    "global_average": lambda shape: (GlobalAverage(), (shape[0],)) if _spatial(shape) else (GlobalAverage(), shape),
    "flatten": lambda shape: (Flatten(), (int(torch.Size(shape).numel()),)),
    "dense": _dense,
    "batch_norm": _norm,
    "residual": _residual,
    "pad": pad,
    "residual_stage": residual_stage,
    "dense_block": dense_block,
    "transition": transition,
    "encoder_decoder": encoder_decoder,
    "each": partial(each, _made),
    "parallel": partial(parallel, _made),
    "lstm": _recurrent("lstm"),
    "gru": _recurrent("gru"),
    "dropout": _plain(nn.Dropout),
    "relu": _plain(nn.ReLU),
    "leaky_relu": _plain(nn.LeakyReLU),
    "elu": _plain(nn.ELU),
    "tanh": _plain(nn.Tanh),
    "sigmoid": _plain(nn.Sigmoid),
}
"""Every layer by its name: a function of the input's shape and the sizes, to a module and its output's shape."""
