"""The imbalance monitor: what is used costs something to lose, what is ignored costs nothing."""

import numpy as np
import pytest
import torch
from model_cases import LAYOUTS, WHOLE, part_of
from torch import nn

from astrofuse_lab.models.build import build
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.catalogue import RECIPES
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.preparation import Batch
from astrofuse_lab.training.imbalance import Use, in_words, modality_use
from astrofuse_lab.training.objectives import make_objective

NAMES = ("loud", "quiet", "empty")
OBJECTIVE = make_objective(Part.of("cross_entropy", class_weights="none"), "classification", np.arange(2), 2)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batch_of(count=400, seed=0):
    """`loud` says the class well, `quiet` less so and by itself, `empty` is noise; some samples lack one."""
    torch.manual_seed(seed)
    target = torch.randint(2, (count,))
    sign = 2.0 * target - 1
    values = {"loud": torch.randn(count, 2) + 1.2 * sign[:, None], "quiet": torch.randn(count, 2) + 0.6 * sign[:, None], "empty": torch.randn(count, 2)}
    present = {name: torch.rand(count) > 0.1 for name in NAMES}
    masks = {name: present[name][:, None].expand(-1, 2).clone() for name in NAMES}
    return Batch(values, masks, present), target


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    layouts = {name: InputLayout("table", ("a", "b"), (2,)) for name in NAMES}
    model = build(RECIPES["late_fusion"].change(width=16), layouts, 2, "classification").train()
    batch, target = batch_of(2000, seed=1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.05)
    for _ in range(120):
        rows = torch.randint(2000, (128,))
        part = batch.take(rows)
        loss = nn.functional.cross_entropy(model(part.values, part.masks, part.present).values, target[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def test_what_is_used_costs_to_lose(model):
    batch, target = batch_of()
    weights = {name: one.clone() for name, one in model.state_dict().items()}
    model.train()
    use = modality_use(model, batch, target, OBJECTIVE)
    assert model.training
    assert all(torch.equal(one, weights[name]) for name, one in model.state_dict().items())
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert use["loud"].cost > 2 * use["quiet"].cost > 10 * abs(use["empty"].cost)
    assert sum(one.share for one in use.values()) == pytest.approx(1, abs=0.05)
    assert use["loud"].samples == int(batch.present["loud"].sum())
    assert np.mean([one.gradient for one in use.values()]) == pytest.approx(1)
    assert modality_use(model, batch, target, OBJECTIVE) == use, "the same samples, the same answer"
    said = in_words(use)
    assert len(said) == 1
    assert said[0].startswith("The model ignores 'empty'")
    assert "modality_dropout" in said[0]


def test_the_cost_is_the_rise_of_the_loss_with_the_tokens_of_others(model):
    model.eval()
    batch, target = batch_of(300)
    use = modality_use(model, batch, target, OBJECTIVE)["loud"]
    there = batch.present["loud"].nonzero()[:, 0]
    rises = []
    for seed in range(20):
        torch.manual_seed(seed)
        values = {name: one.clone() for name, one in batch.values.items()}
        values["loud"][there] = batch.values["loud"][there[torch.randperm(len(there))]]
        with torch.no_grad():
            before, after = (OBJECTIVE.of(model(v, batch.masks, batch.present), target)[there].mean() for v in (batch.values, values))
        rises.append(float(after - before))
    assert abs(use.cost - np.mean(rises)) < 4 * np.std(rises)


def test_a_model_that_reads_one_modality_only_says_so(model):
    model.eval()
    batch, _ = batch_of()
    deaf = build(RECIPES["late_fusion"].change(width=16, fusion="sum"), model.layouts, 2, "classification").eval()
    with torch.no_grad():
        for name in ("quiet", "empty"):
            deaf.fusions["all"].content[name].weight.zero_()
        deaf.heads["all"].layers[-1].weight *= 5
    use = modality_use(deaf, batch, (deaf(batch.values, batch.masks, batch.present).values.argmax(1)), OBJECTIVE)
    assert use["quiet"].cost == use["empty"].cost == 0
    assert use["quiet"].gradient == 0
    assert [one.split("'")[1] for one in in_words(use)] == ["quiet", "empty"]
    assert all("hardly learns" in one for one in in_words(use))


def test_words_need_evidence():
    none, some = Use(0.0, 0.0, 0.0, 0.5, 100), Use(1.0, 0.1, 1.0, 1.5, 100)
    assert in_words({"a": none}) == []
    assert in_words({"a": none, "b": Use(0.0, 0.0, float("nan"), 1.0, 100)}) == []
    assert in_words({"a": Use(0.0, 0.2, 0.0, 0.5, 10), "b": some}) == [], "too few samples to tell"
    assert "what it says may be in the others" in in_words({"a": none, "b": some})[0]


@pytest.mark.parametrize("changes", [{"decision": Part("average")}, {"stack": Part.of("channels", modalities=["spectrum", "series"])}, {"fusion": "joint_attention"}])
def test_every_kind_of_model_has_a_monitor(changes):
    torch.manual_seed(0)
    recipe = RECIPES["late_fusion"].change(width=16, **changes)
    model = build(recipe, LAYOUTS, 3, "classification")
    objective = make_objective(Part("auto"), "classification", np.arange(3), 3)
    use = modality_use(model, part_of(WHOLE, model), torch.arange(24) % 3, objective)
    assert set(use) == set(model.streams)
    assert all(np.isfinite(one.cost) and one.gradient >= 0 for one in use.values())


def test_training_watches_and_says_what_it_ignores(capsys, monkeypatch):
    from conftest import make_toy_samples

    from astrofuse_lab.training import imbalance
    from astrofuse_lab.training.loop import train

    monkeypatch.setattr(imbalance, "in_words", lambda use: [f"ignored: {', '.join(use)}"])
    samples = make_toy_samples(80)
    run = train("late_fusion", samples, "label", ["spectrum", "table"], epochs=2, device="cpu", progress=True)
    assert [set(row["use"]) for row in run._history] == [{"spectrum", "table"}] * 2
    assert {"cost", "error", "share", "gradient", "samples"} == set(run._history[0]["use"]["table"])
    assert run.record["ignored"] == ["ignored: spectrum, table"]
    assert "ignored: spectrum, table" in capsys.readouterr().out
    alone = train("late_fusion", samples, "label", ["table"], epochs=1, device="cpu", progress=False)
    assert "use" not in alone._history[0]
