"""State-space encoders: the scan against a literal loop, the block against the published recurrence, gaps and masks."""

import pytest
import torch
from model_cases import LAYOUTS, WHOLE
from torch import nn
from torch.nn import functional as F

from astrofuse_lab.errors import InputError
from astrofuse_lab.models import selective_scan as scans
from astrofuse_lab.models.parts import make_part
from astrofuse_lab.models.sequence_tokens import in_order
from astrofuse_lab.models.state_space import SelectivePass, StateSpaceEncoder
from astrofuse_lab.recipes.schema import Part

SEEN = WHOLE.present["light_curve"]
CURVES, MASK = WHOLE.values["light_curve"][SEEN][:6], WHOLE.masks["light_curve"][SEEN][:6]


def _literal(decay, drive):
    state, out = torch.zeros_like(drive[:, 0]), []
    for t in range(drive.shape[1]):
        state = decay[:, t] * state + drive[:, t]
        out.append(state)
    return torch.stack(out, 1)


@pytest.mark.parametrize("steps", [1, 2, 3, 16, 23, 399, 2000])
def test_the_scan_equals_the_literal_recurrence(steps):
    torch.manual_seed(steps)
    decay, drive = torch.rand(2, steps, 3, 4, dtype=torch.float64), torch.randn(2, steps, 3, 4, dtype=torch.float64)
    decay[:, ::7] = 0.0  # forgets all: a scan that divides by products of decays fails here
    expected = _literal(decay, drive)
    assert torch.allclose(scans.linear_scan(decay, drive.clone()), expected, atol=1e-12)
    assert torch.allclose(scans.linear_scan(decay.float(), drive.float()).double(), expected, atol=1e-5)
    later = torch.cat([torch.zeros_like(decay[:, :1]), decay[:, 1:].flip(1)], 1)
    assert torch.allclose(scans.linear_scan(decay, drive.clone(), backwards=True), _literal(later, drive.flip(1)).flip(1), atol=1e-12)


def _inputs(batch, steps, channels, states, dtype):
    x, size = torch.randn(batch, steps, channels, dtype=dtype), torch.rand(batch, steps, channels, dtype=dtype)
    inwards, outwards = (torch.randn(batch, steps, states, dtype=dtype) for _ in range(2))
    size[:, ::5] = 0.0  # masked
    return [one.requires_grad_() for one in (x, size, inwards, outwards, -0.1 - torch.rand(states, channels, dtype=dtype))]


@pytest.mark.parametrize(("steps", "held"), [(1, 2**18), (50, 2**18), (50, 1), (301, 6 * 301 * 12)])
def test_the_selective_scan_equals_equation_4_and_so_do_its_gradients(steps, held, monkeypatch):
    """Also where its samples are taken one or six at a time."""
    torch.manual_seed(steps)
    monkeypatch.setattr(scans, "IN_CACHE", held)
    results, weights, inputs = [], None, _inputs(8, steps, 4, 3, torch.float64)
    for scan in (scans.selective_scan, _equation_4):
        said = scan(*inputs)
        weights = torch.randn_like(said) if weights is None else weights
        results.append((said.detach(), *torch.autograd.grad((said * weights).sum(), inputs)))
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-10)
    single = scans.selective_scan(*(one.detach().float() for one in inputs))
    assert torch.allclose(single.double(), results[1][0], atol=1e-5)


def _equation_4(x, size, inwards, outwards, rate):
    product = size[:, :, None] * rate
    drive = torch.expm1(product) / rate * inwards[..., None] * x[:, :, None]
    return (outwards[..., None] * _literal(product.exp(), drive)).sum(2)


def test_gradients_of_the_selective_scan_by_finite_differences():
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(scans.selective_scan, _inputs(2, 7, 2, 3, torch.float64))


def _published(block, inputs, mask, scale):
    """Algorithm 2 of arXiv:2312.00752 with equation 4, one step and one channel after the other."""
    kernel, width = block.filter.shape
    state = len(block.log_rate)
    conv = nn.Conv1d(width, width, kernel, groups=width, padding=kernel - 1)
    with torch.no_grad():
        conv.weight.copy_(block.filter.T[:, None])
        conv.bias.copy_(block.shift)
    x = F.silu(conv(inputs.transpose(1, 2))[..., : inputs.shape[1]].transpose(1, 2))
    rate = -block.log_rate.exp().T
    out = torch.zeros_like(x)
    for sample in range(len(x)):
        memory = torch.zeros(width, state)
        for t in range(x.shape[1]):
            low, inwards, outwards = block.select(x[sample, t]).split([block.rank, state, state])
            size = F.softplus(block.step(low)) * scale[sample, t]
            if mask[sample, t]:
                product = size[:, None] * rate
                memory = product.exp() * memory + (product.exp() - 1) / product * size[:, None] * inwards * x[sample, t][:, None]
            out[sample, t] = (memory * outwards).sum(1) + block.through * x[sample, t]
    return out


def test_a_pass_equals_the_published_recurrence():
    torch.manual_seed(0)
    block = SelectivePass(6, 4, 3)
    with torch.no_grad():
        block.step.bias.add_(3.0)  # steps of the order of one, where the state both keeps and forgets
        block.shift.normal_()
    inputs, mask, scale = torch.randn(2, 37, 6), torch.rand(2, 37) > 0.2, 1 + torch.rand(2, 37)
    inputs = inputs * mask[..., None]
    with torch.no_grad():
        assert torch.allclose(block(inputs, mask, scale)[mask], _published(block, inputs, mask, scale)[mask], atol=1e-5)


def test_first_steps_are_those_of_the_paper():
    sizes = F.softplus(SelectivePass(512, 4, 4).step.bias)
    assert 1e-3 <= sizes.min() < 2e-3
    assert 5e-2 < sizes.max() <= 1e-1 + 1e-6


def _made(kind="light_curve", **options):
    torch.manual_seed(0)
    return StateSpaceEncoder(LAYOUTS[kind], 16, **options).eval()


def test_epochs_are_read_in_order_of_time_wherever_they_are_stored():
    encoder = _made()
    tokens = encoder(CURVES, MASK)
    order = torch.stack([torch.randperm(CURVES.shape[1]) for _ in CURVES])
    turned = encoder(in_order(CURVES, order), in_order(MASK, order))
    assert torch.allclose(turned.values[turned.mask], in_order(tokens.values, order)[turned.mask], atol=1e-5)


def test_a_gap_makes_the_state_fade_as_many_short_steps_would():
    """Two epochs 10 days apart, with nothing let in between: exp(D (1 + gap / timescale) A) of what the first left."""
    torch.manual_seed(0)
    block = SelectivePass(4, 3, 1)
    size, inwards, outwards = torch.full((1, 2, 4), 0.2), torch.ones(1, 2, 3), torch.ones(1, 2, 3)
    x = torch.tensor([[[1.0] * 4, [0.0] * 4]])
    scale = torch.tensor([[1.0, 1 + 10 / 5]])
    with torch.no_grad():
        first, second = (block.states(x, size * scale[..., None], inwards, outwards) - block.through * x)[0]
        rate = torch.arange(1, 4).float()
        left = (1 - (-0.2 * rate).exp()) / rate
        assert torch.allclose(first, left.sum().expand(4), atol=1e-6)
        assert torch.allclose(second, (left * (-0.2 * 3 * rate).exp()).sum().expand(4), atol=1e-6)


def test_stretched_times_matter_and_read_backwards_the_gap_is_the_same_gap():
    encoder, embedded = _made(timescale=5.0), torch.randn(1, 5, 16)
    mask, days = torch.ones(1, 5, dtype=torch.bool), torch.tensor([[0.0, 1, 9, 10, 40]])
    with torch.no_grad():
        for layer in encoder.layers:
            layer.passes[0].step.bias.add_(3.0)  # steps of the order of one and states as large as what goes through, where gaps show
            layer.passes[0].select.weight.mul_(5.0)
            layer.passes[1].load_state_dict(layer.passes[0].state_dict())
        forwards = encoder.mix(embedded, mask, days, None)
        backwards = encoder.mix(embedded.flip(1), mask, (40 - days).flip(1), None)
        assert torch.allclose(forwards, backwards.flip(1), atol=1e-5)
        assert not torch.allclose(forwards, encoder.mix(embedded, mask, 20 * days, None), atol=1e-3)
        encoder.timescale = 0.0
        assert torch.equal(encoder.mix(embedded, mask, days, None), encoder.mix(embedded, mask, 20 * days, None))


def test_an_image_is_read_patch_by_patch():
    tokens = _made("image", patch=4)(WHOLE.values["image"][:2], WHOLE.masks["image"][:2])
    assert tokens.values.shape == (2, 16, 16)
    assert tokens.place["axes"] == ("y", "x")
    assert tokens.place["box"][:5].tolist() == [[0, 4, 0, 4], [0, 4, 4, 8], [0, 4, 8, 12], [0, 4, 12, 16], [4, 8, 0, 4]]


@pytest.mark.parametrize(("options", "words"), [({"timescale": -1.0}, "timescale=-1.0: days above zero, or 0"), ({"state": 0}, "state=0 is too small")])
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        make_part("encoder", Part("state_space", options), LAYOUTS["light_curve"], 16)
