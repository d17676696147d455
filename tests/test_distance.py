"""Attention biased by distance: what the bias is, that it reaches the layers and their maps, and that it helps where neighbours count."""

import numpy as np
import pytest
import torch
from model_cases import LAYOUTS, WHOLE, all_encoders, learn, made, part_of, recipe_of, run
from scipy.ndimage import gaussian_filter
from torch import nn

from astrofuse_lab.models.distance import DistanceBias, coordinates_of
from astrofuse_lab.models.encoder import place_of
from astrofuse_lab.models.parts import ENCODERS
from astrofuse_lab.models.tokens import InputLayout, Tokens
from astrofuse_lab.models.transformer import TimeTransformerEncoder

WIDTH = 8


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_bias_is_minus_slope_times_distance():
    bias = DistanceBias(("image", "curve", "table"), 2)
    days = torch.tensor([[0.0, 30.0, 90.0], [0.0, 1.0, 2.0]])
    tokens = {
        "image": Tokens(torch.zeros(2, 2, WIDTH), torch.ones(2, 2, dtype=torch.bool), place_of(("y", "x"), torch.tensor([[0, 8, 0, 8], [24, 32, 32, 40]]))),
        "curve": Tokens(torch.zeros(2, 3, WIDTH), torch.ones(2, 3, dtype=torch.bool), {"axes": ("epoch",), "coordinates": {"time": days}}),
        "table": Tokens(torch.zeros(2, 2, WIDTH), torch.ones(2, 2, dtype=torch.bool), place_of(("column",), torch.tensor([[0, 1], [1, 2]]))),
    }
    got = bias(tokens, 1).detach()
    assert got.shape == (2, 2, 8, 8)
    slope = 2.0 ** -np.array([4, 8])  # of two heads, as in the paper: 2 ** (-8 h / heads)
    np.testing.assert_allclose(got[0, :, 1, 2], -slope * 10, rtol=1e-5)  # (24, 32) pixels are 40, ten units of 4
    np.testing.assert_allclose(got[0, :, 3, 5], -slope * 3, rtol=1e-5)
    np.testing.assert_allclose(got[1, :, 3, 5], -slope * 2 / 30, rtol=1e-5)
    assert not got[:, :, :, 6:].any()
    assert not got[:, :, 1:3, 3:].any()
    assert coordinates_of({}) is None


def test_distance_reaches_joint_attention_and_its_maps():
    model = made(recipe_of(all_encoders(), "joint_attention", distance=True), "classification")
    plain = made(recipe_of(all_encoders(), "joint_attention"), "classification")
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if ".distance." not in k})
    batch = part_of(WHOLE, model, range(3))
    with torch.no_grad():
        for one in model.fusions["all"].distance.slope.values():
            one.fill_(-50.0)
    torch.testing.assert_close(run(model, batch).values, run(plain, batch).values, atol=1e-5, rtol=1e-4)  # slopes of zero: the model without
    with torch.no_grad():
        model.fusions["all"].distance.slope["image"].fill_(5.0)
    fused = run(model, batch, attention=True).fused
    where = model.token_slices(fused)["image"]
    own = fused.attention["fusion.0"][:, :, where, where]
    assert (own.diagonal(dim1=-2, dim2=-1) >= 0.99 * own.sum(-1)).all(), "with a steep slope a token sees none of its modality but itself"
    learn(model.train(), batch).values.square().sum().backward()
    assert model.fusions["all"].distance.slope["image"].grad is not None


def test_distance_in_time_helps_where_neighbours_count():
    """What a noisy star's flux truly is at each epoch: the epochs near in time say it."""
    torch.manual_seed(1)
    count, epochs = 1500, 32
    days = torch.rand(count, epochs).mul(1500).sort(1).values
    rates, phase = 2 * np.pi / (300 + 400 * torch.rand(count, 1, 3)), 6.3 * torch.rand(count, 1, 3)
    truth = (rates * days[..., None] + phase).sin().sum(-1)
    zero = torch.zeros_like(days)
    values = torch.stack([days, truth + 1.5 * torch.randn(count, epochs), zero, zero, zero + 1], 2)
    mask, left = torch.ones(count, epochs, dtype=torch.bool), {}
    for distance in (True, False):
        torch.manual_seed(0)
        encoder = TimeTransformerEncoder(InputLayout("light_curve", ("g",), (5,)), 16, history=0, dropout=0.0, distance=distance)
        head = nn.Linear(16, 1)
        optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-2)
        for _ in range(80):
            rows = torch.randint(1000, (64,))
            loss = (head(encoder(values[rows], mask[rows]).values)[..., 0] - truth[rows]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            left[distance] = float((head(encoder(values[1000:], mask[1000:]).values)[..., 0] - truth[1000:]).square().mean() / truth[1000:].var())
    assert left[True] < 0.85 * left[False], left


@pytest.mark.parametrize("where", ["sky", "wavelength"])
def test_distance_on_the_sky_and_in_wavelength_helps_where_neighbours_count(where):
    """What a noisy patch truly shows: the patches near to it say it."""
    rng = np.random.default_rng(1)
    count, size = 500, (32, 32) if where == "sky" else (192,)
    truth = gaussian_filter(rng.normal(size=(count, *size)), (0, *[3.0 if where == "sky" else 12.0] * len(size)), mode="wrap")
    truth = torch.tensor(truth / truth.std(), dtype=torch.float32)
    values = truth + 4.0 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    layout = InputLayout("image", ("g",), (1, *size)) if where == "sky" else InputLayout("spectrum", (), size)
    level = (truth.unfold(1, 4, 4).unfold(2, 4, 4).mean((-1, -2)) if where == "sky" else truth.unfold(1, 4, 4).mean(-1)).flatten(1)
    values = values[:, None] if where == "sky" else values
    mask, left = torch.ones_like(values, dtype=torch.bool), {}
    for distance in (True, False):
        torch.manual_seed(0)
        encoder = ENCODERS["vit" if where == "sky" else "spectrum_transformer"](layout, 16, patch=4, layers=1, dropout=0.0, distance=distance)
        head = nn.Linear(16, 1)
        optimiser = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=1e-2)
        for _ in range(120):
            rows = torch.randint(200, (32,))
            loss = (head(encoder(values[rows], mask[rows]).values)[..., 0] - level[rows]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            left[distance] = float((head(encoder(values[200:], mask[200:]).values)[..., 0] - level[200:]).square().mean() / level[200:].var())
    assert left[True] < 0.85 * left[False], left


def test_distance_of_zero_slope_is_the_encoder_without():
    torch.manual_seed(0)
    on, off = (TimeTransformerEncoder(LAYOUTS["light_curve"], 16, distance=value).eval() for value in (True, False))
    off.load_state_dict({k: v for k, v in on.state_dict().items() if "distance" not in k})
    with torch.no_grad():
        for one in on.distance.slope.values():
            one.fill_(-50.0)
    values, mask, maps = WHOLE.values["light_curve"][:4], WHOLE.masks["light_curve"][:4], []
    torch.testing.assert_close(on(values, mask, maps).values, off(values, mask).values, atol=1e-5, rtol=1e-4)
    assert torch.equal(on(values, mask).place["coordinates"]["time"], values[..., 0].masked_fill(~mask, 0.0))
    with torch.no_grad():
        for one in on.distance.slope.values():
            one.fill_(5.0)
    steep = []
    on(values, mask, steep)
    apart = (values[:, :, None, 0] - values[:, None, :, 0]).abs() > 30
    assert (steep[0][apart[:, None].expand_as(steep[0])] < 1e-6).all()
