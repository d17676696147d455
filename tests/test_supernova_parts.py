"""What SNIascore and CCSNscore are made of: recurrent layers with Keras' masks and biases, spectra of little resolution, light curves day by day."""

import numpy as np
import pytest
import torch
from conftest import make_toy_samples
from scipy.interpolate import CubicSpline
from scipy.signal import medfilt
from test_represented import curves
from torch import nn

from astrofuse_lab.alignment.representations import REPRESENTATIONS, options_of
from astrofuse_lab.alignment.representations.common import Layout
from astrofuse_lab.alignment.representations.low_resolution import _lowered, ranged
from astrofuse_lab.alignment.resolution import FWHM, matched, sigma_of
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.layers import Layers

# ---- recurrent layers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_quick_way_is_torch_s_packed_sequences(kind):
    """Values and gradients; a sequence of which nothing is real counts as one step, as it did."""
    torch.manual_seed(1)
    layer = Layers([[kind, 5, "both", "sequence"]], (3, 12)).steps[0]
    x, counts = torch.rand(6, 12, 3), torch.tensor([12, 1, 7, 3, 12, 5])
    real = torch.arange(12) < counts[:, None]
    grads = []
    for way in (layer.packed, layer.padded):
        layer.zero_grad()
        out, last = way(x, counts)
        ((out * real[..., None]) ** 2).sum().add((last**2).sum()).backward()
        grads.append([out.detach() * real[..., None], last.detach(), *(p.grad.clone() for p in layer.parameters())])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)


def test_one_bias_has_the_size_that_keras_prints():
    for inputs, size, directions in ((1, 24, 2), (48, 24, 2), (2, 24, 1)):
        layers = Layers([["lstm", size, "both" if directions == 2 else "forward", "last", 1]], (inputs, 9))
        assert sum(p.numel() for p in layers.parameters()) == directions * 4 * (inputs + size + 1) * size
    with pytest.raises(InputError, match="Keras has both"):
        Layers([["gru", 3, "forward", "last", 1]], (1, 9))


def test_one_bias_computes_what_two_of_which_one_is_zero_do():
    torch.manual_seed(0)
    layers = Layers([["lstm", 4, "forward", "last", 1]], (2, 6))
    whole = nn.LSTM(2, 4, batch_first=True)
    with torch.no_grad():
        for name, value in layers.steps[0].cells.state_dict().items():
            getattr(whole, name).copy_(value)
        whole.bias_hh_l0.zero_()
    x = torch.rand(3, 2, 6)
    torch.testing.assert_close(layers(x), whole(x.transpose(1, 2))[1][0][0], atol=1e-6, rtol=1e-5)
    layers(x).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layers.parameters())


# ---- spectra of little resolution -----------------------------------------------------------------------------------

WAVE = np.arange(3500.0, 9500.1, 5.0)
LAYOUT = Layout("spectrum", (), WAVE.shape, "relative")


def shown(flux, mask=None, columns=None, **options):
    flux = np.atleast_2d(flux).astype(np.float32)
    mask = np.ones(flux.shape, bool) if mask is None else np.atleast_2d(mask)
    arrays = {"lambda": WAVE, "flux": flux, "ivar": np.full(flux.shape, 100.0, np.float32), "mask": mask, "present": np.ones(len(flux), bool)}
    return REPRESENTATIONS["low_resolution"].run(arrays, LAYOUT, options_of("low_resolution", options), columns or {})


def test_all_spectra_at_once_are_spread_as_one_by_one():
    """`resolution.matched`, whose own tests are against specutils and closed forms, of spectra that were nearly sharp."""
    rng = np.random.default_rng(0)
    flux, mask = rng.uniform(0.5, 2.0, (3, len(WAVE))), rng.random((3, len(WAVE))) > 0.1
    mask[1, :200] = False
    got, good = _lowered(WAVE, np.where(mask, flux, 0.0), mask, 100.0)
    for i in range(3):
        one = matched(WAVE, flux[i], np.ones(len(WAVE)), mask[i], np.full(len(WAVE), 1e-3), sigma_of(WAVE, 100.0))
        both = good[i] & one.mask
        assert (good[i] == one.mask)[1:-1].all()  # the outermost have just half of their light
        # `matched` knows no width within a long gap and takes its border's
        np.testing.assert_allclose(got[i][both], one.flux[both], rtol=3e-3 if i == 1 else 2e-5)


def test_a_line_becomes_as_wide_as_the_resolution_says():
    width, centre = 20.0, 6500.0
    line = np.exp(-0.5 * ((WAVE - centre) / width) ** 2)
    got = shown(line, first=6000.0, last=7000.0, pixels=400, scale="none")
    x, y = got["lambda"], got["flux"][0].astype(float)
    mean = (x * y).sum() / y.sum()
    sigma = np.sqrt(((x - mean) ** 2 * y).sum() / y.sum())
    assert mean == pytest.approx(centre, abs=2) and sigma == pytest.approx(np.hypot(width, centre / 100 / FWHM), rel=0.01)
    assert y.sum() * (x[1] - x[0]) == pytest.approx(line.sum() * 5, rel=0.01)  # no light is lost


def test_the_grid_and_the_steps_are_the_published_ones():
    rng = np.random.default_rng(3)
    flux = np.clip(1 + 0.3 * np.sin(WAVE / 200) + rng.normal(0, 0.05, len(WAVE)), 0.1, None)
    flux[600] = -90.0  # a bad pixel: zero, and gone after the running median
    got = shown(flux, resolution=0.0)
    grid = np.linspace(3790, 9208.75, 256)
    np.testing.assert_allclose(got["lambda"], grid)
    assert grid[1] - grid[0] == pytest.approx(21.25)
    one = CubicSpline(WAVE, flux.astype(np.float32))(grid)
    one = one / np.median(one[50:200])
    one = medfilt(np.where((one > -5) & (one < 100), one, 0.0), 3)
    inner = slice(1, -1)  # medfilt puts zeros beyond the ends
    low, high = one[inner].min(), one[inner].max()
    np.testing.assert_allclose(got["flux"][0][inner], (one[inner] - low) / (high - low), atol=2e-5)
    assert got["flux"].min() == 0.0 and got["flux"].max() == 1.0


def test_at_rest_where_the_redshift_is_known():
    centre, z = 6000.0, np.array([0.1, np.nan, 0.0])
    lines = 1 + np.stack([np.exp(-0.5 * ((WAVE - centre * (1 + s)) / 30) ** 2) for s in (0.1, 0.0, 0.0)])
    got = shown(lines, columns={"z": z}, first=4200.0, last=8000.0, resolution=0.0, redshift="z")
    top = got["lambda"][got["flux"].argmax(1)]
    assert np.abs(top - centre).max() < 15  # a pixel
    assert got["mask"][1:].all() and got["present"].all()


def test_what_is_not_covered_is_masked_and_a_flat_spectrum_is_zero():
    mask = (WAVE > 5000) & (WAVE < 7000)
    got = shown(np.stack([np.ones(len(WAVE)), 1 + np.sin(WAVE / 100) / 3]), np.stack([mask, np.zeros(len(WAVE), bool)]))
    assert (got["lambda"][got["mask"][0]] > 4980).all() and (got["lambda"][got["mask"][0]] < 7020).all()
    assert got["present"].tolist() == [True, False] and not got["flux"].any()
    out, _ = ranged(np.full((1, 12), np.nan))
    assert np.isnan(out).all()


def test_many_spectra_share_one_axis(monkeypatch):
    from astrofuse_lab.samples import represented

    monkeypatch.setattr(represented, "AT_ONCE", 5)
    seen = make_toy_samples(12).represent("spectrum", "low_resolution", first=4100.0, last=5900.0, pixels=24)
    assert seen.arrays("spectrum")["lambda"].shape == (24,) and seen.arrays("spectrum")["flux"].shape == (12, 24)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"first": 9000.0, "last": 4000.0}, "ascending"), ({"median": 2}, "odd number"), ({"scale": "max"}, "scale"), ({"resolution": -1.0}, "lambda over FWHM")],
)
def test_a_grid_that_cannot_be_is_refused(options, words):
    with pytest.raises((InputError, UnknownNameError), match=words):
        REPRESENTATIONS["low_resolution"].layout(LAYOUT, options_of("low_resolution", options))


# ---- light curves day by day ----------------------------------------------------------------------------------------


def transients(n=4):
    """A rise and fall, half as bright in g; the last has no epoch in g."""
    samples = curves(n, epochs=60)
    arrays = {name: np.array(value) for name, value in samples.arrays("light_curve").items()}
    owner = np.repeat(np.arange(n), np.diff(arrays["offsets"]))
    begin = np.array([arrays["time"][owner == i].min() for i in range(n)])
    arrays["time"] = begin[owner] + (arrays["time"] - begin[owner]) / 2.5  # 120 days
    t = arrays["time"] - begin[owner]
    arrays["flux"] = ((1 - 0.5 * (arrays["band"] == 0)) * 300 * np.exp(-0.5 * ((t - 40) / 20) ** 2) + 20).astype(np.float32)
    arrays["flux_err"] = np.full(len(t), 2.0, np.float32)
    arrays["mask"] = ~((owner == n - 1) & (arrays["band"] == 0))
    arrays["present"] = np.ones(n, bool)
    return samples.spec("light_curve"), arrays


def test_a_daily_curve_is_the_curve_and_colours_stay():
    spec, arrays = transients()
    layout = Layout("light_curve", spec.channels, (), "uJy")
    got = {b: REPRESENTATIONS["daily_curve"].run(arrays, layout, options_of("daily_curve", {"band": b}), {}) for b in "gr"}
    r, day = got["r"], got["r"]["axis"]
    assert r["values"].shape == (4, 2, 200) and r["present"].all() and got["g"]["present"].tolist() == [True, True, True, False]
    near = r["mask"][0, 0] & got["g"]["mask"][0, 0]
    truth = 300 * np.exp(-0.5 * ((day - 40) / 20) ** 2)
    slope = np.polyfit(got["g"]["values"][0, 0][near], r["values"][0, 0][near], 1)[0]
    assert slope == pytest.approx(2.0, rel=0.1)
    assert np.corrcoef(r["values"][0, 0][near], truth[near])[0, 1] > 0.995
    assert not r["mask"][0, :, 160:].any() and (r["values"][~r["mask"]] == 0).all()  # nothing is near after 120 days
    assert r["values"].min() >= 0 and r["values"][:, 0].max() <= 1.0


def test_a_band_that_is_not_there_is_refused():
    spec, _ = transients()
    layout = Layout("light_curve", spec.channels, (), "uJy")
    for options, words in (({"band": "z"}, "'z'"), ({"band": "r", "together": ["g"]}, "none of together"), ({"days": 1}, "two days")):
        with pytest.raises((InputError, UnknownNameError), match=words):
            REPRESENTATIONS["daily_curve"].layout(layout, options_of("daily_curve", options))
