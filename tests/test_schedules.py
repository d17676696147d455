"""Schedules: shapes of the learning rate, what is frozen, what learns slowly, LoRA, stages, and shares of labels."""

import numpy as np
import pytest
import torch
from model_cases import WHOLE, all_encoders, learn, made, part_of, recipe_of, run
from torch import nn

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.models.lora import adapt, adaptable, merge
from astrofuse_lab.training.anchors import Anchor, fisher
from astrofuse_lab.training.distillation import soft_cross_entropy
from astrofuse_lab.training.schedules import SCHEDULES, Schedule, make_schedule, matching
from astrofuse_lab.training.stages import subset_split
from tests.conftest import make_toy_samples


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(60)


def trained(samples, schedule, **more):
    recipe = _recipe().change(schedule=schedule, width=16)
    return af.train(recipe, samples, "label", ["table", "text"], **{"epochs": 2, "progress": False, "device": "cpu", **more})


def _recipe():
    from astrofuse_lab.recipes.catalogue import get_recipe

    return get_recipe("late_fusion")


def changed(a, b):
    """Names of the parameters that differ between two models."""
    other = dict(b.named_parameters())
    return {name for name, p in a.named_parameters() if not torch.equal(p, other[name])}


# ---- the rate -------------------------------------------------------------------------------------------------------


def test_one_cycle_is_torchs_own():
    total, rate = 120, 3e-3
    parameter = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=rate)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=total, pct_start=0.3, cycle_momentum=False)
    expected = []
    for _ in range(total):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        theirs.step() if len(expected) < total else None
    schedule = make_schedule(af.Part.of("one_cycle", learning_rate=rate))
    assert np.allclose([schedule.rate(step, total) for step in range(total)], expected, rtol=1e-9)


def test_constant_rises_and_stays():
    rates = [Schedule(shape="constant", warmup=0.2, learning_rate=1.0).rate(step, 10) for step in range(10)]
    assert rates == pytest.approx([0.5] + [1.0] * 9)


@pytest.mark.parametrize("options", [{"shape": "square"}, {"freeze": "encoders.*"}, {"anchor": "l3"}, {"lora_rank": 0}, {"encoder_rate": -1}, {"alone": 1}, {"replay": 2.0}])
def test_what_cannot_be_scheduled_is_refused(options):
    with pytest.raises(InputError, match=f"{next(iter(options))}="):
        make_schedule(af.Part.of("end_to_end", **options))


# ---- freezing and rates ---------------------------------------------------------------------------------------------


def test_patterns_choose_by_name_and_one_that_fits_nothing_is_refused():
    names = ["encoders.image.a", "encoders.text.b", "heads.all.c"]
    assert matching(["encoders.*"], names, "freeze") == set(names[:2])
    assert matching(["*.b", "heads.*"], names, "freeze") == set(names[1:])
    with pytest.raises(InputError, match=r"freeze=\['encoder.\*'\] fits nothing.*encoders\.image\.\*"):
        matching(["encoder.*"], names, "freeze")


def test_groups_of_the_optimiser_hold_each_learning_parameter_once():
    model = made(recipe_of(all_encoders(), "concatenation"), "classification")
    optimiser = Schedule(encoder_rate=0.1, freeze=["encoders.image.*", "heads.*"], unfreeze_at=0.5).optimiser(model)
    held = [p for group in optimiser.param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == len(list(model.parameters()))
    Schedule.set_rates(Schedule(encoder_rate=0.1, unfreeze_at=0.5, warmup=0.0, shape="constant"), optimiser.param_groups, 1, 10)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    by_name = {name: rates[id(p)] for name, p in model.named_parameters()}
    assert {r for n, r in by_name.items() if n.startswith(("encoders.image.", "heads."))} == {0.0}
    assert {r for n, r in by_name.items() if n.startswith("encoders.text.")} <= {2e-3 * 0.1}
    assert {r for n, r in by_name.items() if n.startswith("fusions.")} == {2e-3}
    Schedule.set_rates(Schedule(encoder_rate=0.1, unfreeze_at=0.5, warmup=0.0, shape="constant"), optimiser.param_groups, 5, 10)
    assert all(group["lr"] > 0 for group in optimiser.param_groups)
    with pytest.raises(InputError, match="leaves nothing to train"):
        Schedule(freeze=["*"]).optimiser(model)


def test_what_is_frozen_stays_to_the_bit_and_the_rest_learns(samples):
    begin = trained(samples, af.Part("end_to_end"), seed=1)
    for name, stays in (("frozen_encoders", ("encoders.",)), ("probe", ("encoders.", "fusions."))):
        after = trained(samples, af.Part(name), start=begin, seed=2)
        moved = changed(after.model, begin.model)
        assert moved and not [n for n in moved if n.startswith(stays)], name
    assert {n.split(".")[0] for n in moved} == {"heads"}
    thawed = trained(samples, af.Part("thawed"), start=begin, seed=2)
    assert any(n.startswith("encoders.") for n in changed(thawed.model, begin.model))


def test_random_weights_are_not_held_on_to(samples):
    for name in ("frozen_encoders", "probe", "thawed", "lora", "incremental"):
        with pytest.raises(InputError, match=rf"'{name}' holds on to weights.*start=run"):
            trained(samples, af.Part(name))


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_trains(samples, name):
    begin = None if name in ("end_to_end", "one_cycle", "staged") else trained(samples, af.Part("end_to_end"), epochs=1)
    told = trained(samples, af.Part(name), start=begin, split=samples.split(test=0.3, seed=1)) if begin is None else trained(samples, af.Part(name), start=begin)
    assert told.state == "finished" and len(told.predict(samples)) == len(samples)


# ---- low rank -------------------------------------------------------------------------------------------------------


def test_lora_begins_as_the_model_was_and_merges_to_the_same():
    model = made(recipe_of(all_encoders(), "joint_attention"), "classification")
    batch = part_of(WHOLE, model, range(6))
    before, names = run(model, batch).values, set(model.state_dict())
    torch.manual_seed(0)
    adapt(model, adaptable(model), rank=3, alpha=6.0)
    assert torch.allclose(run(model, batch).values, before, atol=1e-6)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(3):
        learn(model.train(), batch).values.square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    after = run(model.eval(), batch).values
    assert not torch.allclose(after, before, atol=1e-3)
    merge(model)
    assert set(model.state_dict()) == names
    assert torch.allclose(run(model, batch).values, after, atol=1e-6)


def test_lora_is_the_papers_formula():
    layer = nn.Linear(5, 4)
    weight = layer.weight.detach().clone()
    adapt(layer_of := nn.ModuleDict({"a": layer}), ["a"], rank=2, alpha=6.0)
    added = layer.parametrizations.weight[0]
    with torch.no_grad():
        added.up.normal_()
    assert added.down.shape == (2, 5) and added.up.shape == (4, 2)
    assert torch.allclose(layer.weight, weight + 6.0 / 2 * added.up @ added.down)
    convolution = nn.ModuleDict({"c": nn.Conv2d(3, 6, 3, padding=1)})
    image, kernel = torch.randn(2, 3, 5, 5), convolution["c"].weight.detach().clone()
    adapt(convolution, ["c"], rank=2, alpha=2.0)
    added = convolution["c"].parametrizations.weight[0]
    with torch.no_grad():
        added.up.normal_()
    # a kernel of low rank is a convolution to few channels, then one of single pixels
    few = nn.functional.conv2d(image, added.down.view(2, 3, 3, 3), padding=1)
    expected = nn.functional.conv2d(image, kernel, convolution["c"].bias, padding=1) + nn.functional.conv2d(few, added.up.view(6, 2, 1, 1))
    assert torch.allclose(convolution["c"](image), expected, atol=1e-5)
    assert {n for n, p in layer_of.named_parameters() if p.requires_grad} == {"a.parametrizations.weight.0.down", "a.parametrizations.weight.0.up"}


def test_a_run_trained_by_lora_differs_by_low_rank_only_and_opens(samples, tmp_path):
    begin = trained(samples, af.Part("end_to_end"), seed=1)
    after = trained(samples, af.Part.of("lora", lora_rank=2), start=begin, seed=2, out=tmp_path / "run")
    moved = changed(after.model, begin.model)
    encoders = [n for n in moved if n.startswith("encoders.")]
    assert encoders
    for name in encoders:
        weight, first = after.model.get_parameter(name), begin.model.get_parameter(name)
        assert name.endswith("weight") or name.count(".") == 2 or "norm" in name or weight.ndim < 2
        if name.endswith("weight") and weight.ndim == 2:
            assert torch.linalg.matrix_rank(weight.detach() - first.detach(), rtol=1e-4) <= 2
    again = af.Run.open(tmp_path / "run", "cpu")
    assert np.array_equal(np.asarray(again.outputs(samples)[0]), np.asarray(after.outputs(samples)[0]))


# ---- few labels -----------------------------------------------------------------------------------------------------


def test_smaller_shares_of_the_labels_lie_inside_larger_ones(samples):
    split = samples.split(test=0.25, seed=1)
    parts = [set(subset_split(samples, split, share, seed=3, target="label").train) for share in (0.2, 0.5, 1.0)]
    assert parts[0] < parts[1] < parts[2] == set(split.train)
    hosts = dict(zip(samples.object_ids.tolist(), samples.column("host").data.tolist(), strict=True))
    for part in parts:  # whole groups
        inside = {hosts[i] for i in part}
        assert {i for i in split.train if hosts[i] in inside} == part
    labels = dict(zip(samples.object_ids.tolist(), samples.column("label").data.tolist(), strict=True))
    assert {labels[i] for i in parts[0]} == {"galaxy", "quasar", "star"}
    assert subset_split(samples, split, 0.2, seed=4).train != subset_split(samples, split, 0.2, seed=5).train
    for share in (0, 1.5, True):
        with pytest.raises(InputError, match="share of labels"):
            subset_split(samples, split, share)


def test_few_labels_train_on_few_and_pretrain_on_all(samples):
    split = samples.split(test=0.25, seed=1)
    recipe = _recipe().change(width=16, pretrain=af.Part.of("masked", epochs=1))
    told = af.train(recipe, samples, "label", ["table", "text"], split, epochs=1, labels=0.4, progress=False, device="cpu")
    assert len(told.split.train) + len(told.split.validation) < 0.7 * len(split.train)
    assert told.split.test == split.test
    (stage,) = told.record["stages"]
    assert stage["samples"] > len(told.split.train)


# ---- stages ---------------------------------------------------------------------------------------------------------


def test_staged_begins_with_each_modality_alone(samples, tmp_path):
    told = trained(samples, af.Part.of("staged", epochs=1), epochs=1, out=tmp_path / "run")
    assert [one["name"] for one in told.record["stages"]] == ["alone/table", "alone/text"]
    alone = af.Run.open(tmp_path / "run" / "alone" / "table")
    assert alone.modalities == ("table",) and alone.task == "classification" and not alone.split.test
    assert set(alone.split.train) == set(told.split.train)
    taken = told.record["started"]["taken"]
    assert any(n.startswith("encoders.table.") for n in taken) and any(n.startswith("encoders.text.") for n in taken)
    assert not [n for n in taken if not n.startswith("encoders.")]


# ---- holding on -----------------------------------------------------------------------------------------------------


def test_the_anchor_is_the_papers_penalty():
    model = nn.Linear(3, 2)
    begin = {n: p.detach().clone() for n, p in model.named_parameters()}
    importance = {n: torch.rand_like(p) for n, p in model.named_parameters()}
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))
    plain = sum(float(((p - begin[n]) ** 2).sum()) for n, p in model.named_parameters())
    weighed = sum(float((importance[n] * (p - begin[n]) ** 2).sum()) for n, p in model.named_parameters())
    assert float(Anchor(begin, 0.6)(model).detach()) == pytest.approx(0.3 * plain, rel=1e-5)
    assert float(Anchor(begin, 0.6, importance)(model).detach()) == pytest.approx(0.3 * weighed, rel=1e-5)


def test_the_fisher_information_of_a_logistic_model_is_the_known_one():
    luck = torch.Generator().manual_seed(0)
    x, truth = torch.randn(40, 3, generator=luck), torch.randint(0, 2, (40,), generator=luck)
    model = nn.Linear(3, 1, bias=False)
    found = fisher(model, ["weight"], [lambda i=i: nn.functional.binary_cross_entropy_with_logits(model(x[i])[0], truth[i].float()) for i in range(40)])
    chance = torch.sigmoid(model(x))[:, 0].detach()
    expected = (((chance - truth) ** 2)[:, None] * x**2).mean(0)  # the gradient of one is (p - y) x
    assert torch.allclose(found["weight"][0], expected, atol=1e-6)


def test_an_anchor_keeps_what_was_learned_near(samples):
    ids = samples.object_ids
    first, second = samples.take(np.arange(60) < 30), samples
    begin = trained(first, af.Part("end_to_end"), seed=1, epochs=4)
    new = af.Split(tuple(ids[30:48]), tuple(ids[48:]))
    moved = {}
    for anchor, strength in (("", 0.0), ("l2_sp", 300.0), ("ewc", 300.0)):
        after = trained(second, af.Part.of("end_to_end", anchor=anchor, anchor_strength=strength), start=begin, split=new, seed=2, epochs=3)
        start = dict(begin.model.named_parameters())
        moved[anchor] = sum(float((p - start[n]).square().sum()) for n, p in after.model.named_parameters())
    assert moved["l2_sp"] < moved[""] and moved["ewc"] < moved[""]
    with pytest.raises(InputError, match=r"anchor='ewc'.*this set has none.*l2_sp"):
        trained(samples.take(np.arange(60) >= 30), af.Part.of("end_to_end", anchor="ewc"), start=begin)


def test_replay_brings_back_what_the_start_was_trained_on_and_never_the_test_part(samples):
    ids = samples.object_ids
    begin = trained(samples.take(np.arange(60) < 30), af.Part("end_to_end"), seed=1)
    new = af.Split(tuple(ids[30:48]), tuple(ids[48:]))
    old = set(begin.split.train)
    for share in (0.0, 0.5, 1.0):
        after = trained(samples, af.Part.of("incremental", replay=share), start=begin, split=new)
        used = {*after.split.train, *after.split.validation}
        assert len(used & old) == round(share * len(old)) and set(ids[30:48]) <= used
        assert set(after.split.test) == set(new.test)
        assert after.preparation.to_json() == begin.preparation.to_json()  # incremental: old scalings, as old weights


# ---- a teacher ------------------------------------------------------------------------------------------------------


def test_distillation_is_the_papers_loss():
    luck = torch.Generator().manual_seed(0)
    values, taught = torch.randn(5, 3, generator=luck), torch.randn(5, 3, generator=luck).softmax(1)
    temperature = 3.0
    soft = taught ** (1 / temperature)
    soft = soft / soft.sum(1, keepdim=True)
    expected = temperature**2 * nn.functional.kl_div((values / temperature).log_softmax(1), soft, reduction="none").sum(1)
    assert torch.allclose(soft_cross_entropy(values, taught, temperature), expected, atol=1e-5)
    assert torch.allclose(soft_cross_entropy(taught.log(), taught, temperature), torch.zeros(5), atol=1e-6)


@pytest.mark.parametrize("target", ["label", "redshift"])
def test_a_student_follows_its_teacher(samples, target):
    split = samples.split(test=0.25, seed=1)
    teacher = af.train(_recipe(), samples, target, ["image", "table"], split, epochs=6, progress=False, device="cpu")
    apart = {}
    for share in (0.0, 1.0):
        given = _recipe().change(width=16, schedule=af.Part.of("end_to_end", taught=share, learning_rate=5e-3, average=0.0), augment=())
        student = af.train(given, samples, target, ["table", "image"], split, teacher=teacher, epochs=25, progress=False, device="cpu", seed=3)
        part = samples.select(split.train)
        apart[share] = float(np.abs(np.asarray(student.outputs(part)[0]) - np.asarray(teacher.outputs(part)[0])).mean())
    assert apart[1.0] < apart[0.0]
    assert student.record["taught_by"]["recipe"] == "late_fusion"
    with pytest.raises(InputError, match="the teacher predicts"):
        af.train(_recipe(), samples, "is_star", ["table"], split, teacher=teacher, epochs=1, progress=False, device="cpu")
