"""Recurrent layers over sequences of which some samples are missing: those are stepped over, as Keras' ``Masking`` does.

On a CPU sequences are put front-aligned side by side, and the backward direction reads each turned round within its own length: the same
numbers as torch's packed sequences, which cost some ten times more there. On a GPU they are packed.
"""

from typing import Any

import torch
from torch import Tensor, nn

Cells = {"lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """LSTM or GRU over the samples of a sequence.

    Parameters
    ----------
    kind : {"lstm", "gru"}
    inputs, size : int
    both : bool
        Read in both directions; the outputs stand side by side.
    sequence : bool
        Give every step, (channel, sample); else the last one, (number,).
    biases : {2, 1}
        Of each gate. torch has two, whose sum is all that counts; Keras' LSTM has one, 4 (inputs + size + 1) size numbers a direction: the other
        one stays zero and is no parameter.
    """

    masked = True

    def __init__(self, kind: str, inputs: int, size: int, both: bool, sequence: bool, biases: int = 2) -> None:
        super().__init__()
        self.kind, self.both, self.sequence = kind, both, sequence
        self.cells: Any = Cells[kind](inputs, size, batch_first=True, bidirectional=both)
        if biases == 1:
            if kind != "lstm":  # a GRU's second bias is not summed with the first
                raise ValueError("biases=1 is of 'lstm'; the two of a 'gru' differ in what they do, and Keras has both")
            for name in [name for name, _ in self.cells.named_parameters() if name.startswith("bias_hh")]:
                zero = torch.zeros_like(getattr(self.cells, name).data)
                delattr(self.cells, name)
                self.cells.register_buffer(name, zero, persistent=False)
            self.cells._init_flat_weights()
        self._begin(size)

    def _begin(self, size: int) -> None:
        """Keras' first weights: Glorot's for the inputs, orthogonal ones for the state, biases of zero but of an LSTM's forget gate one (Jozefowicz et al. 2015,
        PMLR 37, 2342), without which nothing of the first of 256 samples reaches the last."""
        for name, value in self.cells.named_parameters():
            if name.startswith("weight_ih"):
                for gate in value.data.split(size):
                    nn.init.xavier_uniform_(gate)
            elif name.startswith("weight_hh"):
                for gate in value.data.split(size):
                    nn.init.orthogonal_(gate)
            else:
                value.data.zero_()
                if self.kind == "lstm" and name.startswith("bias_ih"):
                    value.data[size : 2 * size] = 1.0

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """(batch, channel, sample) and which samples are real, (batch, sample)."""
        x = x.transpose(1, 2)
        # the real steps first and in order, so that what follows sees nothing else
        order = torch.argsort(~real, dim=1, stable=True)
        counts = real.sum(1).clamp(min=1)
        given = _placed(x, order)
        out, last = self.padded(given, counts) if x.device.type == "cpu" else self.packed(given, counts)
        if not self.sequence:
            return last
        # back where they were; what is not real stays zero
        back = torch.zeros_like(out).scatter(1, order[..., None].expand_as(out), out)
        return (back * real[..., None]).transpose(1, 2)

    def packed(self, x: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """All steps, (batch, sample, channel), and the last ones, (batch, channel), of sequences that begin together."""
        sequence = nn.utils.rnn.pack_padded_sequence(x, counts.cpu(), batch_first=True, enforce_sorted=False)
        said, state = self.cells(sequence)
        last = state[0] if isinstance(state, tuple) else state
        return nn.utils.rnn.pad_packed_sequence(said, batch_first=True, total_length=x.shape[1])[0], torch.cat(list(last), -1)

    def padded(self, x: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """The same; steps past a sequence's end come after all that counts, and are not looked at."""
        step = torch.arange(x.shape[1], device=x.device)
        turned = torch.where(step < counts[:, None], counts[:, None] - 1 - step, step)
        outs, lasts = [], []
        for backward in (False, True)[: 1 + self.both]:
            said = self._one_way(_placed(x, turned) if backward else x, "_reverse" if backward else "")
            lasts.append(said.gather(1, (counts - 1)[:, None, None].expand(-1, 1, said.shape[2]))[:, 0])
            outs.append(_placed(said, turned) if backward else said)
        return torch.cat(outs, -1), torch.cat(lasts, -1)

    def _one_way(self, x: Tensor, direction: str) -> Tensor:
        weights = [getattr(self.cells, f"{name}_l0{direction}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        start = x.new_zeros(1, len(x), self.cells.hidden_size)
        if self.kind == "lstm":
            return torch.lstm(x, (start, start), weights, True, 1, 0.0, self.training, False, True)[0]
        return torch.gru(x, start, weights, True, 1, 0.0, self.training, False, True)[0]


def _placed(x: Tensor, order: Tensor) -> Tensor:
    """(batch, sample, channel) with the samples in another order, (batch, sample)."""
    return x.gather(1, order[..., None].expand_as(x))
