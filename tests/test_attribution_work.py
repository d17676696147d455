"""How attributions are worked out: coarse first, as much at once as memory holds, of ensembles, into folders and back."""

import json
import threading

import explain_cases as cases
import numpy as np
import pytest
import torch

from astrofuse_lab import explain
from astrofuse_lab.errors import InputError, RunError, StorageError, UnknownNameError
from astrofuse_lab.explain import attribution_forward, attribution_work
from astrofuse_lab.explain.attribution_forward import Rows, estimate, without_absent
from astrofuse_lab.explain.baselines import DRAWN, draws_of, make, names_of
from astrofuse_lab.explain.methods import METHODS
from astrofuse_lab.training.ensembles import Ensemble

NAMES = ("image", "spectrum", "table")


@pytest.fixture(scope="module")
def some():
    return cases.samples().take(np.arange(6))


# ---- coarse first --------------------------------------------------------------------------------------------------


def test_a_coarse_map_comes_first_and_only_those_that_need_it_are_refined(some):
    seen = []
    found = explain.attribute(cases.trained(), some, tolerance=0.002, modalities=NAMES, on_coarse=seen.append)
    assert len(seen) == 1 and set(seen[0].passes) == {7}
    assert list(seen[0].object_ids) == list(found.object_ids)
    refined = found.passes > 7
    assert refined.any()
    off = np.abs(seen[0].convergence_delta) > 0.002 * np.maximum(np.abs(seen[0].difference), 1e-2)
    np.testing.assert_array_equal(off, refined)
    np.testing.assert_array_equal(found.values["image"][~refined], seen[0].values["image"][~refined])
    assert (np.abs(found.convergence_delta) <= 0.002 * np.maximum(np.abs(found.difference), 1e-2)).all()


def test_nothing_coarse_is_told_where_nothing_finer_follows(some):
    seen = []
    explain.attribute(cases.linear(), some, target="star", score="logit", on_coarse=seen.append)  # right at once
    explain.attribute(cases.trained(), some, "saliency", on_coarse=seen.append)
    assert not seen


@pytest.mark.parametrize("method", ["occlusion", "gradient_shap", "kernel_shap"])
def test_other_methods_tell_a_cheaper_map_first(some, method):
    seen = []
    found = explain.attribute(cases.trained("late_fusion"), some.take([0]), method, modalities=NAMES, repeats=2, on_coarse=seen.append)
    assert len(seen) == 1 and seen[0].passes[0] < found.passes[0]
    assert seen[0].values["image"].shape == found.values["image"].shape


def test_stopped_after_the_coarse_pass_all_samples_have_their_coarse_map(some):
    stop = threading.Event()
    found = explain.attribute(cases.trained("late_fusion"), some, tolerance=1e-4, on_coarse=lambda one: stop.set(), stop=stop, rows=8)
    assert list(found.object_ids) == list(some.object_ids)
    assert (found.passes == 7).any() and np.isfinite(found.values["image"]).all()


# ---- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion", "kernel_shap", "deep_lift"])
def test_out_of_memory_halves_the_rows_and_keeps_the_numbers(some, method, monkeypatch):
    run, few = cases.trained("late_fusion"), some.take(np.arange(3))
    ask = {"modalities": ["spectrum", "table"], "repeats": 1, "rows": 32}
    whole = explain.attribute(run, few, method, **ask)
    encode = type(run.model).encode

    def small(self, values, *rest, **options):
        if len(next(iter(values.values()))) > 5:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return encode(self, values, *rest, **options)

    monkeypatch.setattr(type(run.model), "encode", small)
    monkeypatch.setattr(attribution_forward, "release_memory", lambda device: None)  # it collects garbage, of which a test session has much
    found = explain.attribute(run, few, method, **ask)
    np.testing.assert_allclose(found.values["spectrum"], whole.values["spectrum"], rtol=1e-3, atol=1e-6)
    assert "memory ran out: 4 rows" in found.notes[-1]


def test_one_row_too_large_says_what_to_do_and_other_errors_are_not_hidden(some, monkeypatch):
    run = cases.trained("late_fusion")

    def never(self, *given, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(type(run.model), "encode", never)
    monkeypatch.setattr(attribution_forward, "release_memory", lambda device: None)
    with pytest.raises(InputError, match=r"one row at once.*modalities="):
        explain.attribute(run, some)

    def broken(self, *given, **options):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(type(run.model), "encode", broken)
    with pytest.raises(RuntimeError, match="do not fit"):
        explain.attribute(run, some)


def test_rows_follow_the_size_of_the_input_and_the_memory(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(attribution_forward, "free_memory", lambda device: 4 * 1024**3)
    monkeypatch.delenv("MEM_LIMIT", raising=False)
    assert estimate(1000, cpu) == 128
    assert estimate(500_000, cpu) == 4
    assert estimate(10**9, cpu) == 1
    monkeypatch.setenv("MEM_LIMIT", str(1024**3))
    assert 1 <= estimate(50_000, cpu) <= 8
    assert Rows(64, 1000, cpu).now == 8  # an eighth on a small server


def test_a_small_server_predicts_fewer_samples_at_once_and_the_same(some, monkeypatch):
    run, rows = cases.trained("late_fusion"), []
    monkeypatch.delenv("MEM_LIMIT", raising=False)
    here, vectors = run.predict(some), run.embed(some)["fused"]
    watched = run.model.register_forward_hook(lambda model, given, said: rows.append(len(said.values)))
    try:
        monkeypatch.setattr("astrofuse_lab.training.batches.BATCH", 16)
        monkeypatch.setattr("astrofuse_lab.training.uncertainty.ROWS", 16)
        monkeypatch.setenv("MEM_LIMIT", str(1024**3))
        there = run.predict(some)
        np.testing.assert_allclose(run.embed(some)["fused"], vectors, atol=1e-5)
    finally:
        watched.remove()
    assert rows and max(rows) == 2 < len(some)
    for name in here.colnames:
        if name.startswith("p_"):
            np.testing.assert_allclose(there[name], here[name], atol=1e-5)


def test_samples_that_lack_a_modality_are_explained_without_it(some):
    run = cases.trained("late_fusion")
    batch = run.batch(some)
    lacking = np.flatnonzero(~some.present("text"))
    part = without_absent(batch.take(torch.from_numpy(lacking)), {"image": "image"})
    assert "text" not in part.values and set(part.values) == set(part.masks) == set(part.present)
    torch.testing.assert_close(run.model(*part).values, run.model(*batch).values[torch.from_numpy(lacking)], atol=1e-5, rtol=1e-5)
    only = explain.attribute(run, some.take(lacking), modalities=["text"])
    assert not only.values["text"].any() and not only.convergence_delta.any()


# ---- baselines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["image", "spectrum"])
def test_sky_noise_is_as_wide_as_the_sky_and_belongs_to_the_sample(name):
    samples = cases.samples()
    run = cases.linear()
    batch = run.batch(samples)
    seeds = draws_of(0, samples.object_ids, 0)
    noise = make({name: "sky_noise"}, batch.values, batch.masks, run.preparation.scalings, seeds)[name]
    mask = batch.masks[name]
    assert not noise[~mask].any() and "sky_noise" in names_of(name) and "sky_noise" in DRAWN[name]
    alone = make({name: "sky_noise"}, *({k: v[3:4] for k, v in part.items()} for part in batch[:2]), run.preparation.scalings, seeds[3:4])[name]
    torch.testing.assert_close(alone[0], noise[3])
    other = make({name: "sky_noise"}, batch.values, batch.masks, run.preparation.scalings, draws_of(0, samples.object_ids, 1))[name]
    assert not torch.equal(other, noise)
    row = int(mask.flatten(1).sum(1).argmax())
    flat, real = batch.values[name][row], mask[row]
    if name == "image":
        flat, real, noise = flat[0], real[0], noise[:, 0]
        wide = 1.4826 * np.median(np.abs(flat[real].numpy() - np.median(flat[real].numpy())))
    else:
        wide = 1.4826 / np.sqrt(2) * np.median(np.abs(np.diff(flat.numpy())))
    drawn = noise[row][real].numpy()
    assert abs(np.std(drawn) / wide - 1) < 0.35
    with pytest.raises(UnknownNameError, match="sky_noise"):
        explain.attribute(run, samples.take([0]), baseline={name: "sky"})


# ---- ensembles -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ensemble():
    return Ensemble([cases.trained("joint_attention"), cases.trained("late_fusion"), cases.trained("gated_fusion")])


def test_an_ensemble_has_the_mean_map_and_its_spread(some, ensemble):
    found = explain.attribute(ensemble, some, steps=8, modalities=NAMES)
    predicted = ensemble.predict(some)["prediction"]
    assert list(found.target) == list(predicted)
    for row in (0, 3):  # each member explains the class that all predict together
        members = [explain.attribute(run, some.take([row]), steps=8, modalities=NAMES, target=str(found.target[row])) for run in ensemble]
        for name in NAMES:
            np.testing.assert_allclose(found.values[name][row], np.mean([one.values[name][0] for one in members], axis=0), rtol=1e-3, atol=1e-6)
            np.testing.assert_allclose(found.spread[name][row], np.std([one.per_place(name)[0] for one in members], axis=0, ddof=1), rtol=1e-3, atol=1e-6)
            np.testing.assert_allclose(found.total_spread[name][row], np.std([one.total(name)[0] for one in members], ddof=1), rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(found.difference[row], np.mean([one.difference[0] for one in members]), rtol=1e-4)
    total = sum(found.total(name) for name in NAMES)
    np.testing.assert_allclose(total - found.difference, found.convergence_delta, atol=1e-4)
    assert "image_spread" in found.table().colnames and "3 members" in found.notes[-1]
    sure = found.certain("spectrum", 1.0)
    np.testing.assert_array_equal(sure, (np.abs(found.per_place("spectrum")) >= found.spread["spectrum"]) & found.place_mask("spectrum") & (found.per_place("spectrum") != 0))
    assert found.certain("spectrum", 3.0).sum() < sure.sum() < sure.size


def test_members_without_a_modality_count_as_zero_and_tell_progress_as_one(some):
    told, seen = [], []
    both = Ensemble([cases.trained("late_fusion"), cases.trained("late_fusion", "label", ("spectrum",))])
    found = explain.attribute(both, some, tolerance=0.002, on_progress=told.append, on_coarse=seen.append)
    assert found.modalities == cases.MODALITIES
    one = explain.attribute(both.runs[0], some.take([0]), target=str(found.target[0]), tolerance=0.002)
    np.testing.assert_allclose(found.values["image"][0], one.values["image"][0] / 2, rtol=1e-3, atol=1e-6)
    assert told[-1] == {"done": 12, "total": 12} and len(seen) <= 1
    only = explain.attribute(both, some, "saliency", modalities=["image"])
    assert only.spread is None and "1 of 2" in only.notes[-1]
    with pytest.raises(InputError, match="has no spread"):
        only.certain("image")
    with pytest.raises(InputError, match="these runs have"):
        explain.attribute(both, some, modalities=["radio"])
    with pytest.raises(UnknownNameError):
        explain.attribute(both, some, target="sta")


def test_an_ensemble_of_numbers_and_a_stop_between_members(some):
    runs = Ensemble([cases.trained("late_fusion", "redshift"), cases.trained("late_fusion", "redshift", ("table", "spectrum"))])
    stop = threading.Event()
    found = explain.attribute(runs, some, "saliency", on_progress=lambda state: stop.set() if state["done"] >= 6 else None, stop=stop)
    assert len(found.object_ids) == 6 and found.spread is None
    assert set(explain.attribute(runs, some, "saliency").target) == {"redshift"}


# ---- folders -------------------------------------------------------------------------------------------------------


def test_folders_there_and_back(some, ensemble, tmp_path):
    found = explain.attribute(ensemble, some, "gradient_shap", draws=4, modalities=NAMES)
    place = found.save(tmp_path / "map")
    again = explain.Attribution.open(place)
    for name in ("values", "masks", "spread", "total_spread", "standard_error"):
        for modality, array in getattr(found, name).items():
            np.testing.assert_array_equal(getattr(again, name)[modality], array)
    assert (again.target, again.method, again.baselines, again.kinds, again.notes) == (found.target, found.method, found.baselines, found.kinds, found.notes)
    np.testing.assert_array_equal(again.convergence_delta, found.convergence_delta)
    np.testing.assert_array_equal(again.per_place("image"), found.per_place("image"))
    with pytest.raises(StorageError):
        found.save(place)
    found.save(place, overwrite=True)
    assert {path.suffix for path in place.iterdir()} == {".json", ".safetensors"}
    told = json.loads((place / "attribution.json").read_text())
    (place / "attribution.json").write_text(json.dumps({**told, "object_ids": told["object_ids"][:2]}))
    with pytest.raises(RunError, match="damaged"):
        explain.Attribution.open(place)
    (place / "attribution.json").write_text("{")
    with pytest.raises(RunError, match="save"):
        explain.Attribution.open(place)
    (place / "attribution.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(RunError, match="format"):
        explain.Attribution.open(place)


def test_windows_can_be_chosen(some):
    run = cases.linear()
    found = explain.attribute(run, some, "occlusion", target="star", score="logit", windows={"spectrum": 4, "light_curve": 2})
    exact = explain.attribute(run, some, target="star", score="logit", steps=2)
    np.testing.assert_allclose(found.total("spectrum"), exact.total("spectrum"), atol=1e-3)
    np.testing.assert_allclose(found.total("light_curve"), exact.total("light_curve"), atol=1e-3)
    quarter = found.values["spectrum"][0, :24]
    assert len(np.unique(np.round(quarter[quarter != 0], 6))) == 1
    assert METHODS["occlusion"].cost and attribution_work.TOLERANCE == 0.01
