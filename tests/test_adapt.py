"""Adapters: each does what it says, changes nothing where it is off, and helps on a problem made for it."""

import numpy as np
import pytest
import torch
from conftest import make_toy_samples
from model_cases import LAYOUTS
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from torch import nn

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.adapt import Calibrate, FiLM, MatchResolution, Shrink, blurred, channels_of, without
from astrofuse_lab.models.build import build, layouts_of
from astrofuse_lab.models.parts import ADAPTERS, make_part, options_of
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.catalogue import RECIPES
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.training.loop import train
from astrofuse_lab.training.run import Run

ERRORS = {"image": InputLayout("image", ("g", "error:g"), (2, 8, 8))}
PSF = {"image": InputLayout("image", ("g", "psf:g"), (2, 24, 24))}
LSF = {"spectrum": InputLayout("series", ("flux", "lsf:flux"), (2, 64))}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def whole(values):
    return {name: torch.ones_like(one, dtype=torch.bool) for name, one in values.items()}


# ---- channels beside the flux --------------------------------------------------------------------------------------


def prepared(**inputs):
    samples = make_toy_samples(12)
    preparation = Preparation.fit(samples, ["image", "spectrum"], {kind: Part.of("scaled", **options) for kind, options in inputs.items()})
    return samples, preparation, preparation.batch(samples), layouts_of(preparation.to_json())


def test_nothing_stands_beside_the_flux_unless_asked_for():
    _, preparation, batch, layouts = prepared()
    assert layouts["image"].shape == batch.values["image"].shape[1:]
    assert layouts["spectrum"] == InputLayout("spectrum", (), batch.values["spectrum"].shape[1:])
    assert preparation.scalings["spectrum"].made == "spectrum"


def test_errors_and_widths_stand_beside_the_flux():
    samples, preparation, batch, layouts = prepared(image={"errors": True, "psf": True}, spectrum={"errors": True, "lsf": True})
    again = Preparation.from_json(preparation.to_json()).batch(samples)
    _, _, plain, _ = prepared()
    for name in batch.values:
        assert batch.values[name].shape[1:] == layouts[name].shape
        assert torch.equal(again.values[name], batch.values[name])
        assert batch.values[name].dtype == torch.float32
    bands = len(plain.values["image"][0])
    assert layouts["image"].channels[bands:] == tuple(f"{role}:{band}" for role in ("error", "psf") for band in layouts["image"].channels[:bands])
    assert torch.equal(batch.values["image"][:, :bands], plain.values["image"])
    assert layouts["spectrum"].channels == ("flux", "error:flux", "lsf:flux")
    assert torch.equal(batch.values["spectrum"][:, 0], plain.values["spectrum"])
    assert not batch.masks["spectrum"][:, 2].any(), "these spectra say nothing about their LSF"
    # errors are those of the stretched values: the change of the value when the flux changes by its error
    arrays, scaling = samples.arrays("spectrum"), preparation.scalings["spectrum"]
    soft, width = scaling.fitted["soft"][0], scaling.fitted["width"][0]
    step = 1e-3 / np.sqrt(arrays["ivar"].astype(float))
    expected = (np.arcsinh((arrays["flux"] + step) / soft) - np.arcsinh((arrays["flux"] - step) / soft)) / width / 2e-3
    real = batch.masks["spectrum"][:, 1].numpy()
    np.testing.assert_allclose(batch.values["spectrum"][:, 1].numpy()[real], expected[real], rtol=2e-3)
    # the PSF's width is its standard deviation in pixels: 1.2 arcsec across
    wide = batch.values["image"][:, 2 * bands :][batch.masks["image"][:, 2 * bands :]]
    np.testing.assert_allclose(wide, 1.2 / 2.3548 / samples.spec("image").scale, rtol=1e-4)
    with pytest.raises(InputError, match="scale='set'"):
        prepared(image={"errors": True, "scale": "sample"})


def test_roles_of_channels_and_what_is_left():
    layout = InputLayout("image", ("g", "r", "error:g", "error:r", "psf:g", "psf:r"), (6, 4, 4))
    assert channels_of(layout) == [0, 1]
    assert channels_of(layout, "psf") == [4, 5]
    assert without(layout, ("error",))[0] == InputLayout("image", ("g", "r", "psf:g", "psf:r"), (4, 4, 4))
    assert without(LSF["spectrum"], ("lsf",)) == (InputLayout("spectrum", (), (64,)), [0])


# ---- each does what it says ----------------------------------------------------------------------------------------


def test_shrinking_is_the_best_linear_estimate():
    rng = np.random.default_rng(0)
    truth, error = 0.7 * rng.normal(size=(200, 1, 8, 8)), np.exp(rng.normal(size=(200, 1, 8, 8)))
    seen = truth + error * rng.normal(size=truth.shape)
    values = {"image": torch.tensor(np.concatenate([seen, error], 1), dtype=torch.float32)}
    shrink = Shrink(ERRORS, ERRORS, spread=0.7)
    out, mask = shrink(values, whole(values))
    assert shrink.layouts["image"] == InputLayout("image", ("g",), (1, 8, 8))
    np.testing.assert_allclose(out["image"].detach().numpy(), seen * 0.49 / (0.49 + error**2), rtol=1e-4, atol=1e-6)
    assert mask["image"].all()
    # no linear factor of the value comes nearer: the residual is uncorrelated with what was seen, at any depth
    for low, high in ((0, 0.5), (0.5, 2), (2, 99)):
        here = (error >= low) & (error < high)
        assert abs(np.mean((out["image"].detach().numpy() - truth)[here] * seen[here] / error[here])) < 0.1
    # values without an error, and an infinite spread, are left
    unknown = whole(values)
    unknown["image"][:, 1] = False
    np.testing.assert_allclose(shrink(values, unknown)[0]["image"].detach(), seen, rtol=1e-5)
    np.testing.assert_allclose(Shrink(ERRORS, ERRORS, spread=1e6)(values, whole(values))[0]["image"].detach(), seen, rtol=1e-5)


def test_blurring_is_scipys():
    torch.manual_seed(0)
    image, mask = torch.rand(2, 1, 24, 24), torch.ones(2, 1, 24, 24, dtype=torch.bool)
    got = blurred(image, mask, torch.tensor([[1.5**2], [2.0**2]]), 10)
    for i, sigma in enumerate((1.5, 2.0)):
        expected = gaussian_filter(image[i, 0].numpy(), sigma, mode="constant", radius=10) / gaussian_filter(np.ones((24, 24)), sigma, mode="constant", radius=10)
        np.testing.assert_allclose(got[i, 0], expected, rtol=1e-4)
    line = torch.rand(1, 2, 50)
    seen = torch.rand(1, 2, 50) > 0.2
    got = blurred(line, seen, torch.tensor([[1.0, 4.0]]), 10)
    for c, sigma in enumerate((1.0, 2.0)):
        over, under = (gaussian_filter1d(one.numpy().astype(float), sigma, mode="constant", radius=10) for one in (line[0, c] * seen[0, c], seen[0, c]))
        np.testing.assert_allclose(got[0, c], over / under, rtol=1e-4)
    np.testing.assert_allclose(blurred(image, mask, torch.zeros(2, 1), 10), image, atol=1e-6)


def gaussians(sigma, size=24):
    """Stars of one flux, each through its own PSF."""
    at = torch.arange(size) - (size - 1) / 2
    r2 = at[:, None] ** 2 + at**2
    star = torch.exp(-0.5 * r2 / sigma[:, None, None] ** 2) / (2 * np.pi * sigma[:, None, None] ** 2)
    return torch.stack([100 * star, sigma[:, None, None].expand_as(star)], 1)


def test_after_matching_all_stars_look_the_same():
    sigma = torch.tensor([1.2, 1.6, 2.0, 2.4])
    values = {"image": gaussians(sigma)}
    match = MatchResolution(PSF, PSF, width=2.5, radius=9)
    out = match(values, whole(values))[0]["image"]
    expected = gaussians(torch.full((4,), 2.5))[:, :1]
    assert match.layouts["image"].channels == ("g",)
    torch.testing.assert_close(out, expected, atol=0.02 * float(expected.max()), rtol=0)
    assert (values["image"][:, 0].amax((1, 2)).max() / values["image"][:, 0].amax((1, 2)).min()) > 3
    out.square().sum().backward()
    assert match.width["image"].grad.abs() > 0
    # sharper than a sample is, or where its width is unknown, nothing can be done
    assert torch.allclose(MatchResolution(PSF, PSF, width=1.0)(values, whole(values))[0]["image"], values["image"][:, :1], atol=1e-6)
    unknown = whole(values)
    unknown["image"][:, 1] = False
    assert torch.allclose(match(values, unknown)[0]["image"], values["image"][:, :1], atol=1e-6)


def test_spectra_are_matched_and_are_spectra_again():
    pixel = torch.arange(64.0) - 31.5
    sigma = torch.tensor([1.0, 1.8])
    line = torch.exp(-0.5 * pixel**2 / sigma[:, None] ** 2) / sigma[:, None]
    values = {"spectrum": torch.stack([line, sigma[:, None].expand_as(line)], 1)}
    match = MatchResolution(LSF, LSF, width=2.5, radius=10)
    out, mask = match(values, whole(values))
    assert match.layouts["spectrum"] == InputLayout("spectrum", (), (64,))
    assert out["spectrum"].shape == mask["spectrum"].shape == (2, 64)
    torch.testing.assert_close(out["spectrum"][0], out["spectrum"][1], atol=0.01, rtol=0)


def test_film_begins_as_no_change_and_then_follows_the_width():
    film, values = FiLM(PSF, PSF), {"image": gaussians(torch.tensor([1.2, 2.4]))}
    assert torch.equal(film(values, whole(values))[0]["image"], values["image"][:, :1])
    with torch.no_grad():
        film.layers["image"][2].bias[:] = torch.tensor([1.0, 0.5])  # times two, plus a half
    torch.testing.assert_close(film(values, whole(values))[0]["image"], 2 * values["image"][:, :1] + 0.5)


def test_calibration_finds_the_zero_point_and_scale_of_another_survey():
    torch.manual_seed(0)
    layouts = {"old": InputLayout("image", ("g", "r"), (2, 4, 4)), "new": InputLayout("image", ("r", "g", "z"), (3, 4, 4))}
    calibrate = Calibrate(layouts, layouts, reference="new", pull=1.0).train()
    new = torch.randn(128, 3, 1, 1).expand(128, 3, 4, 4)
    scale, zero = torch.tensor([1.5, 0.6]), torch.tensor([0.7, -0.4])
    values = {"new": new, "old": (new[:, [1, 0]] - zero[:, None, None]) / scale[:, None, None]}
    assert torch.equal(calibrate(values, whole(values))[0]["old"], values["old"])
    optimiser = torch.optim.Adam(calibrate.parameters(), lr=0.05)
    for _ in range(300):
        calibrate(values, whole(values))
        loss = calibrate.extra_loss()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.testing.assert_close(1 + calibrate.scale["old"].detach(), scale, atol=1e-2, rtol=0)
    torch.testing.assert_close(calibrate.zero["old"].detach(), zero, atol=1e-2, rtol=0)
    assert "new" not in calibrate.scale
    assert not calibrate.extra_loss()


# ---- in a model ----------------------------------------------------------------------------------------------------


def with_errors():
    """The toy samples with errors and PSFs that differ from sample to sample."""
    samples, preparation, _, layouts = prepared(image={"errors": True, "psf": True}, spectrum={"errors": True})
    return preparation.batch(samples), layouts


ALL = (Part.of("shrink", spread=1e6), Part.of("match_resolution", width=0.01), Part("calibrate"))


@pytest.mark.parametrize("adapt", [ALL, (Part.of("shrink", spread=1e6), Part("film"))])
def test_switched_to_no_effect_the_model_is_the_model_without(adapt):
    batch, layouts = with_errors()
    plain_layouts = {name: without(one, ("error", "psf", "lsf"))[0] for name, one in layouts.items()}
    recipe = RECIPES["late_fusion"].change(width=16)
    torch.manual_seed(0)
    plain = build(recipe, plain_layouts, 3, "classification").eval()
    model = build(recipe.change(adapt=adapt), layouts, 3, "classification").eval()
    assert model.front.layouts == plain_layouts
    model.load_state_dict({k: v for k, v in model.state_dict().items() if k.startswith("front.")} | plain.state_dict())
    bands = plain_layouts["image"].shape[0]
    values = {"image": batch.values["image"][:, :bands], "spectrum": batch.values["spectrum"][:, 0]}
    masks = {"image": batch.masks["image"][:, :bands], "spectrum": batch.masks["spectrum"][:, 0]}
    with torch.no_grad():
        torch.testing.assert_close(model(batch.values, batch.masks).values, plain(values, masks).values, atol=1e-5, rtol=1e-4)
    assert {k for k in model.state_dict() if not k.startswith("front.")} == set(plain.state_dict())


def test_every_parameter_of_every_adapter_learns_and_what_is_masked_changes_nothing():
    batch, layouts = with_errors()
    recipe = RECIPES["late_fusion"].change(width=16, adapt=(Part("shrink"), Part("film"), Part.of("calibrate", reference="spectrum")))
    model = build(recipe, layouts, 3, "classification")
    batch.values["image"][:, 1] += 0.3
    values = {n: v.masked_fill(~batch.masks[n], torch.nan) for n, v in batch.values.items()}
    for given in (batch.values, values):
        loss = model(given, batch.masks).values.square().sum() + sum(one.extra_loss() for one in model.modules() if hasattr(one, "extra_loss"))
        model.zero_grad()
        loss.backward()
        grads = {n: p.grad for n, p in model.front.named_parameters()}
        # film's last layer is zero at first, so what comes before it learns from the second step on
        idle = [n for n, g in grads.items() if g is None or not g.isfinite().all() or (not g.abs().sum() > 0 and ".layers.image.0" not in n)]
        assert idle == []
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(batch.values, batch.masks).values, model(values, batch.masks).values)


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_option_does_something(name):
    others = {"spread": 0.2, "hidden": 4, "width": 4.0, "radius": 1, "reference": "other", "pull": 3.0, "modality": "other"}
    layouts = {n: InputLayout("image", ("g", "error:g", "psf:g"), (3, 16, 16)) for n in ("image", "other")}
    torch.manual_seed(0)
    values = {n: torch.rand(3, 3, 16, 16) + 0.5 for n in layouts}
    for option, default in options_of(ADAPTERS[name]).items():
        seen = []
        for value in (default, others[option]):
            torch.manual_seed(1)
            options = {option: value} | ({"reference": "other"} if option == "pull" else {})
            chosen = {n: one for n, one in layouts.items() if options.get("modality", "") in ("", n)}
            adapter = make_part("adapter", Part(name, options), chosen, layouts).train()
            for one in adapter.parameters():
                nn.init.uniform_(one) if name == "film" else None
            out = adapter(values, whole(values))[0]
            extra = adapter.extra_loss() if hasattr(adapter, "extra_loss") else torch.zeros(())
            seen.append((sorted(out), torch.cat([one.flatten() for one in out.values()] + [extra[None]])))
        assert seen[0][0] != seen[1][0] or not torch.allclose(seen[0][1], seen[1][1]), option


@pytest.mark.parametrize(
    ("adapt", "error", "words"),
    [
        (Part("denoise"), UnknownNameError, "no adapter 'denoise'"),
        (Part("shrink"), InputError, r"'image' has no error beside its flux.*errors=True"),
        (Part.of("match_resolution", modality="spectrum"), InputError, r"'spectrum' has no psf or lsf.*lsf=True"),
        (Part.of("calibrate", modality="image", reference="image"), UnknownNameError, "'image' is the reference itself"),
        (Part.of("shrink", width=2.0), InputError, "."),
    ],
)
def test_what_cannot_be_adapted_says_why(adapt, error, words):
    with pytest.raises(error, match=words):
        build(RECIPES["late_fusion"].change(adapt=(adapt,)), LAYOUTS, 3, "classification")


def test_ablations_leave_out_what_an_adapter_was_for():
    model = build(RECIPES["late_fusion"].change(adapt=(Part.of("shrink", modality="image"),)), {"table": LAYOUTS["table"]}, 3, "classification")
    assert len(model.front.adapters) == 0


def test_a_run_trains_with_errors_and_comes_back(tmp_path):
    inputs = {"image": Part.of("scaled", errors=True, psf=True), "spectrum": Part.of("scaled", errors=True)}
    samples = make_toy_samples(30)
    made = train(
        RECIPES["late_fusion"].change(inputs=inputs, adapt=(Part("shrink"), Part("film"))), samples, "label", ["image", "spectrum"], epochs=1, device="cpu", progress=False
    )
    again = Run.open(made.save(tmp_path / "run"), device="cpu")
    np.testing.assert_allclose(again.outputs(samples)[0], made.outputs(samples)[0], atol=1e-6)
    assert [type(one) for one in again.model.front.adapters] == [Shrink, FiLM]
    assert not torch.equal(again.model.front.adapters[0].spread["image"], torch.zeros(2)), "what an adapter learned is kept"
    found = explain.attribute(again, samples.take([0, 1]), steps=4)
    assert found.values["image"].shape[1] == 6 and found.values["spectrum"].shape[1] == 2


# ---- each helps on a problem made for it ---------------------------------------------------------------------------


def learned(adapt, values, layouts, target, steps=120):
    """Mean squared error on the second half after training on the first."""
    torch.manual_seed(0)
    encoder = {"image": Part.of("conv2d", channels=4), "spectrum": Part("conv1d"), "series": Part("conv1d_series")}
    recipe = RECIPES["late_fusion"].change(encoders=encoder, width=16, adapt=adapt, fusion=Part.of("concatenation", dropout=0.0), head=Part.of("auto", dropout=0.0))
    model = build(recipe, layouts, 1, "regression").train()
    half, masks = len(target) // 2, whole(values)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.01)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 5e-3 * (1 - step / steps)
        rows = torch.randint(half, (64,))
        loss = (model({n: v[rows] for n, v in values.items()}, {n: m[rows] for n, m in masks.items()}).values[:, 0] - target[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        said = model({n: v[half:] for n, v in values.items()}, {n: m[half:] for n, m in masks.items()}).values[:, 0]
    return float((said - target[half:]).square().mean() / target[half:].var())


def bare(values, layouts):
    """The same problem without what stands beside the flux."""
    out, given = {}, {}
    for name, layout in layouts.items():
        out[name], stay = without(layout, ("error", "psf", "lsf"))
        given[name] = values[name][:, stay]
    return given, out


def test_shrinking_helps_where_depths_differ():
    torch.manual_seed(1)
    level = torch.randn(800)
    error = torch.exp(1.2 * torch.randn(800))[:, None, None, None].expand(800, 1, 8, 8)
    patches = torch.exp(1.2 * torch.randn(800, 1, 8, 8)) * error  # uneven within an image too
    flux = level[:, None, None, None] + patches * torch.randn(800, 1, 8, 8)
    values = {"image": torch.cat([flux, patches], 1)}
    on, off = learned((Part("shrink"),), values, ERRORS, level), learned((), *bare(values, ERRORS), level)
    assert on < 0.6 * off, (on, off)


@pytest.mark.parametrize("adapter", [Part.of("match_resolution", width=2.6, radius=7), Part("film")])
def test_knowing_the_psf_helps_where_seeing_differs(adapter):
    torch.manual_seed(1)
    sigma, size = 1.0 + 1.5 * torch.rand(600), 0.5 + 1.5 * torch.rand(600)
    blended = (sigma**2 + size**2).sqrt()  # a galaxy of its own size, seen through the seeing of its night
    picture = 2 * gaussians(blended, 20)[:, :1] + 0.02 * torch.randn(600, 1, 20, 20)
    values = {"image": torch.cat([picture, sigma[:, None, None, None].expand_as(picture)], 1)}
    target = (size - size.mean()) / size.std()
    layouts = {"image": InputLayout("image", ("g", "psf:g"), (2, 20, 20))}
    on, off = learned((adapter,), values, layouts, target), learned((), *bare(values, layouts), target)
    assert on < 0.5 * off, (on, off)
