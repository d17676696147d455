import threading

import explain_cases as cases
import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from scipy.ndimage import median_filter

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, RunError, UnknownNameError
from astrofuse_lab.explain.baselines import BASELINES, make
from astrofuse_lab.samples.preparation import FIRST_BAND, FLUX, LIMIT, TIME

MODALITIES = cases.MODALITIES


@pytest.fixture(scope="module")
def some():
    return cases.samples().take(np.arange(6))


def broadcast(mask, like):
    return np.broadcast_to(mask.reshape(*mask.shape, *[1] * (like.ndim - mask.ndim)), like.shape)


# ---- against what is known -----------------------------------------------------------------------------------------


def test_a_linear_model_is_attributed_exactly(some):
    run = cases.linear()
    found = explain.attribute(run, some, target="quasar", score="logit", steps=3)
    batch = run.batch(some)
    start = make(found.baselines, batch.values, batch.masks, run.preparation.scalings)
    for name in MODALITIES:
        expected = run.model.per_value(name, batch.values[name] - start[name])[:, run.classes.index("quasar")].detach().numpy()
        expected = expected * broadcast(batch.masks[name].numpy(), expected)
        np.testing.assert_allclose(found.values[name], expected, atol=1e-5)
        np.testing.assert_allclose(found.total(name), expected.reshape(len(some), -1).sum(1), atol=1e-4)
    assert np.abs(found.convergence_delta).max() < 1e-4


@pytest.mark.parametrize("recipe", ["joint_attention", "late_fusion", "gated_fusion", "decision_average"])
def test_identical_to_captum_on_the_same_forward(some, recipe):
    run = cases.trained(recipe)
    batch = run.batch(some)
    explained = ("spectrum", "table")
    start = make({"spectrum": "continuum", "table": "median"}, batch.values, batch.masks, run.preparation.scalings)

    def forward(spectrum, table, image, light_curve, text, *masks):
        values = {"image": image, "spectrum": spectrum, "light_curve": light_curve, "table": table, "text": text}
        return run.model(values, dict(zip(MODALITIES, masks, strict=True))).values

    masks = tuple(batch.masks[name] for name in MODALITIES)
    held = tuple(batch.values[name] for name in ("image", "light_curve", "text"))
    target = forward(*(batch.values[name] for name in explained), *held, *masks).argmax(1)
    expected, delta = IntegratedGradients(forward).attribute(
        tuple(batch.values[name] for name in explained), tuple(start[name] for name in explained),
        target=target, additional_forward_args=(*held, *masks), n_steps=16, return_convergence_delta=True,
    )  # fmt: skip
    found = explain.attribute(run, some, modalities=explained, score="logit", steps=16)
    assert found.modalities == explained
    assert found.target == tuple(run.classes[i] for i in target)
    for name, reference in zip(explained, expected, strict=True):
        np.testing.assert_allclose(found.values[name], reference.detach().numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.convergence_delta, delta.detach().numpy(), atol=1e-5)


def test_saliency_is_the_absolute_gradient(some):
    run = cases.linear()
    found = explain.attribute(run, some, "saliency", target="star", score="logit")
    weight = run.model.weights["spectrum"][run.classes.index("star")].detach().abs().numpy()
    np.testing.assert_allclose(found.values["spectrum"], weight * found.masks["spectrum"], rtol=1e-6)
    assert found.convergence_delta is None
    assert found.relative_delta is None
    assert "convergence_delta" not in found.table().colnames


def test_occlusion_of_a_linear_model_is_the_share_of_each_window(some):
    run = cases.linear()
    found = explain.attribute(run, some, "occlusion", target="star", score="logit")
    exact = explain.attribute(run, some, target="star", score="logit")
    for name in ("table", "text", "light_curve"):  # one by one: exactly the linear terms, per place
        np.testing.assert_allclose(found.per_place(name), exact.per_place(name), atol=1e-4)
    for name in ("image", "spectrum"):
        np.testing.assert_allclose(found.total(name), exact.total(name), atol=1e-3)
    # 96 pixels in 48 windows: two neighbours share one number, unless one is its own running median and was not changed
    pairs = found.values["spectrum"].reshape(len(some), 48, 2)
    both = (exact.values["spectrum"].reshape(len(some), 48, 2) != 0).all(2)
    assert both.any()
    np.testing.assert_allclose(pairs[..., 0][both], pairs[..., 1][both], rtol=1e-5, atol=1e-7)


# ---- what must hold on every recipe --------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["joint_attention", "late_fusion", "gated_fusion", "decision_average"])
def test_complete_masked_and_finite(some, recipe):
    run = cases.trained(recipe)
    found = explain.attribute(run, some, steps=96)
    assert found.relative_delta.max() < 0.05
    total = sum(found.total(name) for name in MODALITIES)
    np.testing.assert_allclose(total, found.difference, atol=0.05 * np.abs(found.difference).max())
    batch = run.batch(some)
    for name in MODALITIES:
        assert found.values[name].shape == batch.values[name].shape
        assert np.isfinite(found.values[name]).all()
        assert not found.values[name][~broadcast(found.masks[name], found.values[name])].any()
        assert not found.values[name][~some.present(name)].any()
        assert found.values[name].any()
    assert len(found.table()) == len(some)
    assert list(found.table()["object_id"]) == list(some.object_ids)


def test_places(some):
    found = explain.attribute(cases.trained(), some, "saliency")
    expected = {"image": (6, 16, 16), "spectrum": (6, 96), "light_curve": found.values["light_curve"].shape[:2], "table": (6, 2), "text": (6, 64)}
    assert {name: found.per_place(name).shape for name in MODALITIES} == expected
    assert {name: found.place_mask(name).shape for name in MODALITIES} == expected
    with pytest.raises(UnknownNameError, match="spectrum"):
        found.per_place("spectra")


def test_the_score_is_what_the_run_predicts(some):
    run = cases.trained()
    found = explain.attribute(run, some, modalities=["table"], score="probability", steps=2)
    predicted = run.predict(some)
    np.testing.assert_allclose(found.score, [max(row[f"p_{c}"] for c in run.classes) for row in predicted], rtol=1e-5)
    assert list(found.target) == list(predicted["prediction"])
    odds = explain.attribute(run, some, modalities=["table"], steps=2)
    np.testing.assert_allclose(1 / (1 + np.exp(-odds.score)), found.score, rtol=1e-5)


def test_regression(some):
    run = cases.trained("late_fusion", "redshift")
    found = explain.attribute(run, some)
    assert found.score_name == "value"
    assert set(found.target) == {"redshift"}
    predicted = np.asarray(run.predict(some)["prediction"])
    np.testing.assert_allclose(found.score * run.problem.width + run.problem.centre, predicted, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="leave target out"):
        explain.attribute(run, some, target="star")


def test_one_sample_and_one_modality():
    one = cases.samples().take([0])
    run = cases.trained("joint_attention", "label", ("table",))
    found = explain.attribute(run, one)
    assert found.values["table"].shape == (1, 2)


# ---- baselines -----------------------------------------------------------------------------------------------------


def test_continuum_is_the_running_median_and_leaves_the_line_out():
    pixels = np.arange(200, dtype=np.float32)
    values = torch.tensor(np.stack([0.01 * pixels + 3.0 * np.exp(-0.5 * ((pixels - 100) / 2) ** 2)]).astype(np.float32))
    mask = torch.ones_like(values, dtype=torch.bool)
    smooth = BASELINES["spectrum"]["continuum"](values, mask, None)[0].numpy()
    np.testing.assert_allclose(smooth[10:-10], median_filter(values[0].numpy(), 21)[10:-10], atol=1e-6)
    assert abs(smooth[100] - 1.0) < 0.15  # the line stands 3 above a continuum of 1
    mask[0, 50:60] = False
    values[0, 50:60] = 1e6
    holed = BASELINES["spectrum"]["continuum"](values, mask, None)[0].numpy()
    assert np.abs(holed).max() < 3
    assert not holed[50:60].any()
    assert not BASELINES["spectrum"]["continuum"](values, torch.zeros_like(mask), None).any()


def test_no_variability_changes_flux_only(some):
    run = cases.linear()
    batch = run.batch(some)
    values, mask = batch.values["light_curve"], batch.masks["light_curve"]
    flat = BASELINES["light_curve"]["no_variability"](values, mask, run.preparation.scalings["light_curve"])
    other = [TIME, *range(FLUX + 1, values.shape[-1])]
    assert torch.equal(flat[..., other], values[..., other])
    for row in range(len(some)):
        for band in range(FIRST_BAND, values.shape[-1]):
            here = mask[row] & (values[row, :, band] > 0)
            seen = here & (values[row, :, LIMIT] == 0)
            if seen.any():
                ordered = np.sort(values[row, seen, FLUX].numpy())
                assert set(flat[row, here, FLUX].tolist()) == {float(ordered[(len(ordered) - 1) // 2])}  # torch takes the lower of two middles
    found = explain.attribute(run, some, modalities=["light_curve"])
    assert not found.values["light_curve"][..., other].any()


@pytest.mark.parametrize(("name", "baseline"), [("spectrum", "no_flux"), ("light_curve", "no_detection")])
def test_dark_baselines_are_what_preparation_makes_of_zero_flux(some, name, baseline):
    from astrofuse_lab.samples.preparation import APPLY

    scaling = cases.linear().preparation.scalings[name]
    arrays = some.arrays(name)
    values, mask = APPLY[scaling.kind](arrays, scaling)
    dark, _ = APPLY[scaling.kind]({**arrays, "flux": np.zeros_like(arrays["flux"])}, scaling)
    torch.testing.assert_close(BASELINES[scaling.kind][baseline](values, mask, scaling), dark)


def test_baselines_are_selected_by_name(some):
    run = cases.linear()
    found = explain.attribute(run, some, baseline="no_flux", steps=2)
    assert found.baselines == {"image": "background", "spectrum": "no_flux", "light_curve": "no_variability", "table": "median", "text": "no_word"}
    both = explain.attribute(run, some, baseline={"spectrum": "no_flux", "light_curve": "no_detection"}, steps=2)
    assert both.baselines["light_curve"] == "no_detection"
    assert np.abs(both.values["spectrum"] - explain.attribute(run, some, steps=2).values["spectrum"]).max() > 0


# ---- what is left behind -------------------------------------------------------------------------------------------


def test_the_model_is_left_as_it_was(some):
    run = cases.trained("late_fusion")
    model = run.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = next(model.children())
    first.train()
    first_parameter = next(model.parameters())
    first_parameter.requires_grad_(False)
    try:
        reference = [module.training for module in model.modules()]
        expected = explain.attribute(run, some, steps=4)
        explain.attribute(run, some, "saliency")
        with pytest.raises(UnknownNameError):
            explain.attribute(run, some, target="no such class")
        assert [module.training for module in model.modules()] == reference
        assert not first_parameter.requires_grad
        assert all(parameter.grad is None for parameter in model.parameters())
        assert not any(module._forward_hooks or module._backward_hooks or module._forward_pre_hooks for module in model.modules())
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    finally:
        model.eval()
        first_parameter.requires_grad_(True)
    np.testing.assert_array_equal(explain.attribute(run, some, steps=4).values["image"], expected.values["image"])


def test_worker_threads_get_the_same_answer(some):
    run = cases.trained("late_fusion")
    expected = explain.attribute(run, some, steps=4)
    results = {}

    def work(i):
        with torch.inference_mode():
            results[i] = explain.attribute(run, some, steps=4)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0, 1, 2]
    for found in results.values():
        np.testing.assert_array_equal(found.values["spectrum"], expected.values["spectrum"])


def test_chunks_progress_and_stop(some):
    run = cases.trained("late_fusion")
    whole = explain.attribute(run, some, steps=4)
    told = []
    small = explain.attribute(run, some, steps=4, rows=8, on_progress=told.append)  # two samples at a time
    assert [t["done"] for t in told] == [2, 4, 6]
    np.testing.assert_allclose(small.values["image"], whole.values["image"], atol=1e-6)
    stop = threading.Event()
    stop.set()
    part = explain.attribute(run, some, steps=4, rows=8, stop=stop)
    assert len(part.object_ids) == 2
    rows = [list(some.object_ids).index(name) for name in part.object_ids]
    assert rows == sorted(rows)
    np.testing.assert_allclose(part.values["image"], whole.values["image"][rows], atol=1e-6)
    assert all(len(value) == 2 for value in (*part.values.values(), *part.masks.values(), part.score, part.target))


# ---- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "integrated_gradient"}, "integrated_gradients"),
        ({"modalities": ["spectra"]}, "spectrum"),
        ({"target": "sta"}, "star"),
        ({"target": 7}, "no class 7"),
        ({"score": "odds"}, "log_odds"),
        ({"baseline": "continum"}, "continuum"),
        ({"baseline": {"image": "continuum"}}, "background"),
        ({"baseline": {"radio": "zero"}}, "radio"),
        ({"baseline": "continuum", "modalities": ["image"]}, "background"),
    ],
)
def test_unknown_names_say_what_there_is(some, arguments, message):
    with pytest.raises(UnknownNameError, match=message):
        explain.attribute(cases.trained(), some, **arguments)


def test_bad_numbers_empty_sets_and_other_layouts(some):
    run = cases.trained()
    with pytest.raises(InputError, match="at least 1"):
        explain.attribute(run, some, steps=0)
    with pytest.raises(InputError, match="no samples"):
        explain.attribute(run, some.take([]))
    with pytest.raises(InputError, match="modalities is empty"):
        explain.attribute(run, some, modalities=[])
    with pytest.raises(RunError, match="another layout"):
        explain.attribute(cases.trained("late_fusion", "label", ("spectrum",)), _shorter(some))


def _shorter(samples):
    from dataclasses import replace

    from astrofuse_lab.samples.sample_set import ModalityData, SampleSet

    old = samples._data["spectrum"]
    fields = {name: array[..., :90] for name, array in old.fields.items()}
    return SampleSet(samples._columns, {"spectrum": ModalityData(replace(old.spec, shape=(90,)), fields, old.present)}, samples._roles)


def test_classes_of_any_type():
    from astrofuse_lab.explain.adapter import class_index

    assert class_index((False, True), True) == 1
    assert class_index((False, True), "True") == 1
    assert class_index((3, 5, 9), 5) == 1
    assert class_index(("a", "b", "c"), 2) == 2
    with pytest.raises(UnknownNameError):
        class_index((3, 5, 9), 1)  # a number that is no class is a mistake, not an index
