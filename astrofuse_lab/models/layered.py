"""The encoder that is a list of layers: branches of published networks, exactly as printed."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.encoder import Encoder, place_of
from astrofuse_lab.models.layers import Layers
from astrofuse_lab.models.tokens import InputLayout, Tokens

PLAIN = [["flatten"], ["dense", 32], ["relu"]]
INITIALISATIONS = ("torch", "glorot")
AXES = {"image": ("y", "x"), "spectrum": ("pixel",), "series": ("sample",), "table": ("column",)}


class LayeredEncoder(Encoder):
    """One token for the whole input, by the layers of a published network (see `astrofuse_lab.models.layers`).

    Missing values are zero, and no mask is read, as in those networks; samples of a spectrum or series that are missing are
    stepped over by recurrent layers.

    Parameters
    ----------
    layout : InputLayout
    width : int
    layers : list of [name, *sizes]
        E.g. ``[["conv", 16, 3], ["relu"], ["max_pool", 2], ["flatten"], ["dense", 64], ["relu"]]``; the last gives a vector.
    project : bool
        End with a linear layer to the tokens' width. False: as the network is; then the fusion is `join`.
    dropout : float
        Of the vector, before the projection.
    columns : list of str
        Of a table: which of its columns are read, in this order; none named: all.
    initialisation : str
        How weights are drawn before training: "torch", as that library does, or "glorot", as in networks published in Keras, whose default it is (Glorot &
        Bengio 2010, eq. 16; biases zero): sqrt(3) times as far apart where a layer has as many outputs as inputs.

    Raises
    ------
    InputError
        For layers that do not fit the input, and an initialisation that there is not.
    """

    kinds = ("image", "spectrum", "series", "table")

    def __init__(
        self, layout: InputLayout, width: int, *, layers: Sequence[Any] = PLAIN, project: bool = True, dropout: float = 0.0, columns: Sequence[str] = (),
        initialisation: str = "torch",
    ) -> None:
        chosen = _chosen(layout, columns)
        shape = (len(chosen),) if chosen else layout.shape if layout.kind != "spectrum" else (1, *layout.shape)
        made = Layers(layers, shape)
        if len(made.shape) != 1:
            raise InputError(f"the layers of {layout.kind} end with {' x '.join(map(str, made.shape))} numbers; end with 'flatten', 'global_average' or a recurrent layer's last step.")
        super().__init__(layout, width if project else made.shape[0])
        if initialisation not in INITIALISATIONS:
            raise InputError(f"initialisation={initialisation!r} of the layers of {layout.kind}: one of {', '.join(INITIALISATIONS)}.")
        if initialisation == "glorot":
            made.apply(_glorot)
        self.layers = made
        self.chosen = chosen
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(made.shape[0], width)) if project else nn.Identity()
        sides = layout.shape[1:] if layout.kind in ("image", "series") else layout.shape
        self.box = [number for side in sides for number in (0, side)]

    def forward(self, values: Tensor, mask: Tensor, maps: list[Tensor] | None = None) -> Tokens:
        """Values and mask by kind to (batch, 1, width)."""
        values = values.masked_fill(~mask, 0.0)
        if self.chosen:
            values, mask = values[:, self.chosen], mask[:, self.chosen]
        if self.layout.kind == "spectrum":
            values, mask = values[:, None], mask[:, None]
        if values.ndim == 4 and values.device.type == "cpu":
            values = values.movedim(1, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 1)  # channels last: convolutions and pools of images take half the time
        real = mask.any(1) if mask.ndim == 3 else None
        said = self.project(self.layers(values, real))
        box = mask.new_tensor([self.box], dtype=torch.int64)
        return Tokens(said[:, None], mask.flatten(1).any(1, keepdim=True), place_of(AXES[self.layout.kind], box))


def _glorot(module: nn.Module) -> None:
    """Draw what a layer multiplies by, anew; recurrent layers and norms keep their own."""
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _chosen(layout: InputLayout, columns: Sequence[str]) -> list[int]:
    """Places of the columns that are named; InputError where there are none, or the input is no table."""
    if columns and layout.kind != "table":
        raise InputError(f"columns={list(columns)} are of a table, and this input is {layout.kind}.")
    lacking = [name for name in columns if name not in layout.channels]
    if lacking:
        raise UnknownNameError("column of the table", lacking[0], layout.channels)
    return [layout.channels.index(name) for name in columns]
