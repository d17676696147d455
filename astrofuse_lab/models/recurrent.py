"""Recurrent encoders: a sequence read epoch by epoch, or range by range, in one direction or both."""

import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import FeatureDropout
from astrofuse_lab.models.sequence_tokens import SequenceEncoder, in_order
from astrofuse_lab.models.tokens import InputLayout

CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentEncoder(SequenceEncoder):
    """Light curves, series and spectra to tokens by a recurrent network: LSTM, BiLSTM or GRU.

    Long short-term memory (Hochreiter & Schmidhuber 1997) or gated recurrent units (Cho et al. 2014, arXiv:1406.1078), stacked; two
    directions as Schuster & Paliwal 1997. Epochs are read in order of time, wherever they are stored; what is masked is not
    read at all. Each epoch's input has the days since the one before.

    Parameters
    ----------
    layout : InputLayout
    width : int
    cell : {"lstm", "gru"}
    bidirectional : bool
        Read from the end too, by a network of its own.
    hidden : int
        Width of the state, of each direction.
    layers : int
    patch : int
        Pixels or samples of a spectrum or series that are read in one step; light curves take one epoch a step.
    tokens : int
        Cells of a spectrum or series, at most; light curves have a token an epoch.
    dropout : float
        Share of the state's features set to zero while training, the same at all steps.
    """

    kinds = ("light_curve", "series", "spectrum")

    def __init__(
        self, layout: InputLayout, width: int, *, cell: str = "lstm", bidirectional: bool = True, hidden: int = 48, layers: int = 1, patch: int = 16,
        tokens: int = 16, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(layout, width, patch, tokens, ordered=True)
        if cell not in CELLS:
            raise InputError(f"cell={cell!r} is no recurrent cell. Take one of {', '.join(CELLS)}.")
        if hidden < 1 or layers < 1:
            raise InputError(f"hidden={hidden}, layers={layers}: a recurrent network needs at least one of each.")
        directions = 1 + bidirectional
        self.layers = nn.ModuleList(
            nn.ModuleList(CELLS[cell](width if i == 0 else directions * hidden, hidden, batch_first=True) for _ in range(directions)) for i in range(layers)
        )
        self.dropout = FeatureDropout(dropout)
        self.project = nn.Linear(directions * hidden, width)

    def mix(self, tokens: Tensor, mask: Tensor, days: Tensor | None, maps: list[Tensor] | None) -> Tensor:
        """Tokens (batch, token, width), the real ones first, to the states after each."""
        index = torch.arange(tokens.shape[1], device=tokens.device)
        # masked steps come last, so the way forward needs no packing; back it goes from the last real step
        real = mask.sum(1, keepdim=True)
        back = torch.where(index < real, real - 1 - index, index)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            states = [layer[0](tokens)[0]]
            if len(layer) == 2:
                states.append(in_order(layer[1](in_order(tokens, back))[0], back))
            tokens = self.dropout(torch.cat(states, -1))
        projected: Tensor = self.project(tokens)
        return projected
