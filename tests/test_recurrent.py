"""Recurrent encoders: against torch's own networks on packed sequences, and epochs read in order of time wherever they are stored."""

from itertools import pairwise

import pytest
import torch
from model_cases import LAYOUTS, WHOLE
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.parts import make_part
from astrofuse_lab.models.recurrent import RecurrentEncoder
from astrofuse_lab.models.sequence_tokens import Cells, Patches, days_between, in_order, reading_order
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.schema import Part

SEEN = WHOLE.present["light_curve"]
CURVES, MASK = WHOLE.values["light_curve"][SEEN][:6], WHOLE.masks["light_curve"][SEEN][:6]


def _made(kind="light_curve", **options):
    torch.manual_seed(0)
    return RecurrentEncoder(LAYOUTS[kind], 16, **options).eval()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("cell", "peer"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_equals_pytorch_on_packed_sequences(cell, peer, bidirectional, layers):
    encoder = _made(cell=cell, bidirectional=bidirectional, layers=layers, hidden=8)
    theirs = peer(16, 8, layers, batch_first=True, bidirectional=bidirectional)
    with torch.no_grad():
        for i, layer in enumerate(encoder.layers):
            for part, end in zip(layer, ("", "_reverse"), strict=False):
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(theirs, f"{name}_l{i}{end}").copy_(getattr(part, f"{name}_l0"))
    counts = torch.tensor([9, 1, 4])
    tokens, mask = torch.randn(3, 9, 16), torch.arange(9) < counts[:, None]
    packed = pack_padded_sequence(tokens, counts, batch_first=True, enforce_sorted=False)
    expected = encoder.project(pad_packed_sequence(theirs(packed)[0], batch_first=True)[0])
    got = encoder.mix(tokens, mask, None, None)
    assert torch.allclose(got[mask], expected[mask], atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"cell": "gru", "bidirectional": False}])
def test_epochs_are_read_in_order_of_time_wherever_they_are_stored(options):
    encoder = _made(**options)
    tokens = encoder(CURVES, MASK)
    order = torch.stack([torch.randperm(CURVES.shape[1]) for _ in CURVES])  # epochs and masked places alike, each curve its own way
    turned = encoder(in_order(CURVES, order), in_order(MASK, order))
    assert torch.equal(turned.mask, in_order(tokens.mask, order))
    assert torch.allclose(turned.values[turned.mask], in_order(tokens.values, order)[turned.mask], atol=1e-5)


def test_a_masked_epoch_is_not_read():
    encoder = _made()
    row = 0
    real = MASK[row].nonzero()[:, 0]
    without = MASK.clone()
    without[row, real[3]] = False
    cut = torch.cat([CURVES[:, : real[3]], CURVES[:, real[3] + 1 :]], 1)
    cut_mask = torch.cat([MASK[:, : real[3]], MASK[:, real[3] + 1 :]], 1)
    masked, gone = encoder(CURVES, without), encoder(cut, cut_mask)
    assert torch.allclose(masked.values[row][without[row]], gone.values[row][cut_mask[row]], atol=1e-6)


def test_one_direction_knows_nothing_of_what_comes_later():
    encoder = _made(bidirectional=False)
    later = CURVES.clone()
    later[:, 5:, 1] += 3.0
    before, after = encoder(CURVES, MASK).values, encoder(later, MASK).values
    assert all((curve[there, 0].diff() >= 0).all() for curve, there in zip(CURVES, MASK, strict=True)), "the toy curves are stored in order of time"
    early = MASK & (torch.arange(MASK.shape[1]) < 5)
    assert torch.equal(before[early], after[early])
    assert not torch.allclose(before[MASK & ~early], after[MASK & ~early])


def test_epochs_of_one_time_are_ordered_by_band_and_flux():
    values = torch.tensor([[[1.0, 5.0, 0, 0, 0, 1], [1.0, 4.0, 0, 0, 0, 1], [1.0, 9.0, 0, 0, 1, 0], [0.0, 7.0, 0, 0, 0, 1], [-9.0, 0, 0, 0, 1, 0]]])
    mask = torch.tensor([[True, True, True, True, False]])
    assert reading_order(values, mask, "light_curve").tolist() == [[3, 2, 1, 0, 4]]
    assert reading_order(values, ~mask, "spectrum").tolist() == [[4, 0, 1, 2, 3]]


def test_days_between_epochs():
    days, mask = torch.tensor([[0.0, 2.5, 2.5, 10.0, 0.0]]), torch.tensor([[True, True, True, True, False]])
    assert days_between(days, mask).tolist() == [[0.0, 2.5, 0.0, 7.5, 0.0]]


def test_long_axes_give_cells_and_every_pixel_lies_in_one():
    encoder = RecurrentEncoder(InputLayout("spectrum", (), (203,)), 16, patch=10, tokens=4)
    mask = torch.ones(2, 203, dtype=torch.bool)
    mask[0, 60:110] = False  # five whole steps, inside of the second cell of five
    mask[1, :60] = False
    tokens = encoder(torch.randn(2, 203), mask)
    assert tokens.values.shape == (2, 4, 16)
    box = tokens.place["box"].tolist()
    assert box[0][0] == 0
    assert box[-1][1] == 203
    assert all(a[1] >= b[0] for a, b in pairwise(box))
    assert tokens.mask.tolist() == [[True, True, True, True], [False, True, True, True]]


def test_a_cell_is_the_mean_of_its_real_tokens():
    cells = Cells(torch.stack([torch.arange(6) * 10, torch.arange(6) * 10 + 10], 1), 2)
    tokens, mask = torch.randn(1, 6, 3), torch.tensor([[True, False, True, False, False, False]])
    mean, seen = cells(tokens, mask)
    assert torch.allclose(mean[0, 0], tokens[0, [0, 2]].mean(0))
    assert seen.tolist() == [[True, False]]
    assert cells.box.tolist() == [[0, 30], [30, 60]]


@pytest.mark.parametrize(("kind", "shape", "patch"), [("spectrum", (23,), 5), ("series", (2, 23), 5), ("image", (2, 9, 7), 4)])
def test_patches_equal_a_strided_convolution_over_values_and_mask(kind, shape, patch):
    torch.manual_seed(0)
    channels, sides = (1, shape) if len(shape) == 1 else (shape[0], shape[1:])
    patches = Patches(InputLayout(kind, (), shape), 8, patch)
    conv = (nn.Conv1d if len(sides) == 1 else nn.Conv2d)(2 * channels, 8, patch, stride=patch)
    with torch.no_grad():
        conv.weight.copy_(patches.embed.weight.view(conv.weight.shape))
        conv.bias.copy_(patches.embed.bias)
    values, mask = torch.randn(2, *shape), torch.rand(2, *shape) > 0.3
    tokens, seen = patches(torch.where(mask, values, torch.nan), mask)
    inputs = torch.stack([(values * mask).view(2, channels, *sides), mask.float().view(2, channels, *sides)], 2).flatten(1, 2)
    short = [(0, -(-side // patch) * patch - side) for side in reversed(sides)]
    padded = nn.functional.pad(inputs, [n for pair in short for n in pair])
    assert torch.allclose(tokens, conv(padded).flatten(2).transpose(1, 2) + patches.position, atol=1e-5)
    area = torch.zeros(sides, dtype=torch.int)
    for i, corners in enumerate(patches.box.tolist()):
        where = tuple(slice(corners[2 * a], corners[2 * a + 1]) for a in range(len(sides)))
        area[where] += 1
        assert torch.equal(seen[:, i], mask.view(2, channels, *sides)[(slice(None), slice(None), *where)].flatten(1).any(1))
    assert (area == 1).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cell": "rnn"}, "cell='rnn' is no recurrent cell. Take one of lstm, gru"),
        ({"hidden": 0}, "hidden=0"),
        ({"layers": 0}, "layers=0"),
        ({"bidirectional": 1}, "bidirectional=1 is int, not bool"),
        ({"patch": 0}, "patch=0 is too small"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        make_part("encoder", Part("recurrent", options), LAYOUTS["light_curve"], 16)
