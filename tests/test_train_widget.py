"""Training and fetching by widget: stop, resume, continue, errors, and the same by the line of code."""

import time

import astropy.units as u
import numpy as np
import pytest
from widget_tools import do, shown, until, values_of

import astrofuse_lab as af
from astrofuse_lab.errors import InputError

pytest_plugins = ["widget_tools"]
pytestmark = pytest.mark.usefixtures("any_view")

# ---- training ----------------------------------------------------------------------------------------------------------


def test_training_by_message_gives_a_run_and_its_line_of_code(toy_samples, deliver):
    with shown(af.TrainWidget(toy_samples, recipe="late_fusion", target="label", epochs=3, modalities=["table", "text"])) as widget:
        deliver(do, widget, "train")
        assert widget.wait(120)
        assert widget.state == "finished" and not widget.error and not widget.busy and widget.progress == 1.0
        assert [row["epoch"] for row in widget.history] == list(range(len(widget.run.history))) or [row["epoch"] for row in widget.history] == [1, 2, 3]
        balanced = next(r for r in widget.metrics if r["metric"] == "balanced_accuracy")
        assert balanced["low"] <= balanced["value"] <= balanced["high"] and balanced["n"] > 0 and balanced["chance"] == pytest.approx(1 / 3)
        scope = {"af": af, "samples": toy_samples}
        exec(widget.code, scope)
        again, here = scope["run"].predict(toy_samples), widget.run.predict(toy_samples)
        for name in here.colnames:
            assert np.array_equal(again[name], here[name]), name


def test_stop_ends_soon_and_resume_gives_the_weights_of_an_unbroken_training(toy_samples, deliver):
    import torch

    whole = af.train("late_fusion", toy_samples, "label", modalities=["image", "table"], epochs=40, progress=False)
    with shown(af.TrainWidget(toy_samples, recipe="late_fusion", target="label", epochs=40, modalities=["image", "table"])) as widget:
        deliver(do, widget, "train")
        until(lambda: len(widget.history) >= 3)
        pressed = time.monotonic()
        deliver(widget.set_state, {"stop": True})
        until(lambda: not widget.busy)
        assert time.monotonic() - pressed < 5
        assert widget.state == "stopped" and not widget.stop and "Resume" in widget.status
        before = len(widget.history)
        deliver(do, widget, "resume")
        assert widget.wait(120) and widget.state == "finished", widget.error
        epochs = [row["epoch"] for row in widget.history]
        assert before < len(epochs) == len(whole.history) and epochs == sorted(set(epochs))
        for name, tensor in whole.model.state_dict().items():
            assert torch.equal(tensor, widget.run.model.state_dict()[name]), name


def test_a_training_stopped_in_a_folder_is_resumed_by_a_later_widget(toy_samples, tmp_path):
    settings = {"recipe": "late_fusion", "target": "label", "epochs": 40, "modalities": ["table"], "out": tmp_path / "run"}
    with shown(af.TrainWidget(toy_samples, **settings)) as first:
        do(first, "train")
        until(lambda: len(first.history) >= 2)
        first.stop = True
        assert first.wait(60) and first.state == "stopped"
        stopped_at = len(first.history)
    with shown(af.TrainWidget(toy_samples, **settings)) as later:
        do(later, "train")
        assert later.wait(60) and later.state == "finished" and len(later.history) > stopped_at


@pytest.mark.parametrize(
    ("change", "words"),
    [({"modalities": []}, "Tick at least one"), ({"target": "mag_g"}, "input"), ({"recipe": "nonsense"}, "nonsense")],
)
def test_training_that_cannot_start_says_why(toy_samples, change, words):
    with shown(af.TrainWidget(toy_samples, target="label", epochs=1)) as widget:
        for name, value in change.items():
            setattr(widget, name, value)
        do(widget, "train")
        assert widget.wait(60)
        assert words in widget.error and not widget.busy and widget.run is None
        do(widget, "resume")
        assert widget.wait(60) and "no stopped training" in widget.error


def test_an_unknown_recipe_or_target_is_refused_at_once(toy_samples):
    with pytest.raises(InputError, match="late_fusion"):
        af.TrainWidget(toy_samples, recipe="late_fusio")
    with pytest.raises(InputError, match="no column 'klass'"):
        af.TrainWidget(toy_samples, target="klass")


def test_closing_while_training_ends_it(toy_samples):
    widget = af.TrainWidget(toy_samples, recipe="late_fusion", target="label", epochs=5000, modalities=["table"])
    do(widget, "train")
    until(lambda: len(widget.history) >= 1)
    thread = widget._jobs._thread
    widget.close()
    assert not thread.is_alive()
    do(widget, "train")  # nothing happens to a closed widget


# ---- fetching ----------------------------------------------------------------------------------------------------------


def test_fetch_align_and_the_same_by_its_code(deliver):
    with shown(af.FetchWidget(surveys=["practice/image", "practice/table"], count=12, missing=0.3, pixels=16, scale=1.0)) as widget:
        deliver(do, widget, "fetch")
        assert widget.wait(120) and not widget.error, widget.error
        assert len(widget.targets) == 12 and widget.complete
        assert [(r["survey"], r["found"] + r["empty"]) for r in widget.counts] == [("practice/image", 12), ("practice/table", 12)]
        seen = values_of(widget.sky["found"])
        assert seen.sum() == sum(r["found"] for r in widget.counts)
        deliver(do, widget, "align")
        assert widget.wait(120) and not widget.error, widget.error
        assert widget.samples.modalities["image"].shape[1:] == (16, 16)
        assert {r["name"]: r["count"] for r in widget.aligned}["image"] == int(widget.samples.present("image").sum())
        scope = {"af": af, "u": u}
        exec(widget.code, scope)
        assert scope["samples"].object_ids.tolist() == widget.samples.object_ids.tolist()
        assert np.array_equal(scope["samples"].present("image"), widget.samples.present("image"))


def test_stop_then_continue_fetches_the_rest(deliver, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path))
    with shown(af.FetchWidget(surveys=["practice/image", "practice/spectrum"], count=150, circle=3.0, center="20.0 -5.0")) as widget:
        widget.observe(lambda change: setattr(widget, "stop", True) if any(r["done"] for r in change["new"]) and widget.found is None else None, "counts")
        deliver(do, widget, "fetch")
        assert widget.wait(120) and not widget.error, widget.error
        left = sum(r["pending"] for r in widget.counts)
        assert left > 0 and not widget.complete and "Continue" in widget.status and not widget.stop
        had = sum(r["found"] for r in widget.counts)
        deliver(do, widget, "continue")
        assert widget.wait(300) and not widget.error, widget.error
        assert widget.complete and sum(r["found"] for r in widget.counts) > had


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mode": "lines", "lines": "400 10"}, "RA 400"), ({"mode": "lines", "lines": "# nothing"}, "no targets yet"), ({"surveys": []}, "no survey is ticked"),
        ({"mode": "given"}, "no targets were given"), ({"center": "somewhere"}, "no position"), ({"circle": 0.0}, "not an angle"),
        ({"missing": 2.0}, "missing=2.0"),
    ],
)  # fmt: skip
def test_a_fetch_that_cannot_be_says_why(settings, words):
    with shown(af.FetchWidget(surveys=settings.pop("surveys", ["practice/table"]), **settings)) as widget:
        do(widget, "fetch")
        assert widget.wait(60) and words in widget.error and not widget.busy, widget.error
        do(widget, "align")
        assert widget.wait(60) and "nothing was fetched" in widget.error


def test_an_unknown_survey_is_refused_at_once():
    with pytest.raises(InputError, match="practice/image"):
        af.FetchWidget(surveys=["practice/imag"])


def test_given_targets_are_shown_and_fetched():
    targets = af.Targets.from_table({"object_id": ["a", "b"], "ra": [10.0, 11.0], "dec": [1.0, 2.0]})
    with shown(af.FetchWidget(targets, surveys=["practice/table"])) as widget:
        assert widget.mode == "given" and widget.sky["n"] == 2
        do(widget, "fetch")
        assert widget.wait(60) and sum(r["done"] for r in widget.counts) == 2
        assert "from_region" not in widget.code and "af.fetch(targets" in widget.code


# ---- parts, the model drawn, runs beside each other --------------------------------------------------------------------


def test_the_model_is_drawn_and_counted_before_it_is_trained(toy_samples):
    with shown(af.TrainWidget(toy_samples, recipe="late_fusion", target="label", epochs=1, modalities=["image", "table"])) as widget:
        drawn = widget.answer("model")
        roles = [box["role"] for box in drawn["boxes"]]
        assert roles == ["input", "input", "encoder", "encoder", "fusion", "head"]
        keys = {box["key"] for box in drawn["boxes"]}
        assert all(set(box["after"]) <= keys for box in drawn["boxes"])
        assert [box["after"] for box in drawn["boxes"] if box["role"] == "fusion"] == [["encoder.image", "encoder.table"]]
        assert sum(box["parameters"] for box in drawn["boxes"]) == drawn["total"]
        do(widget, "train")
        assert widget.wait(120) and not widget.error
        assert drawn["total"] == widget.run.record["cost"]["parameters"]
        assert sum(box["parameters"] for box in drawn["boxes"] if box["role"] == "encoder") == sum(p.numel() for p in widget.run.model.encoders.parameters())


def test_parts_picked_are_trained_written_and_drawn(toy_samples, deliver):
    with shown(af.TrainWidget(toy_samples, recipe="late_fusion", target="label", epochs=1, modalities=["table", "text"])) as widget:
        encoders = {"table": {"name": "mlp", "options": {"dropout": 0.3}}}
        deliver(widget.set_state, {"parts": {"fusion": {"name": "gated", "options": {}}, "encoders": encoders}})
        assert {box["title"] for box in widget.answer("model 2")["boxes"]} >= {"gated", "mlp", "ngram_mlp"}
        deliver(do, widget, "train")
        assert widget.wait(120) and not widget.error, widget.error
        assert widget.run.recipe.fusion.name == "gated" and widget.run.recipe.encoders["table"].options["dropout"] == 0.3
        scope = {"af": af, "samples": toy_samples}
        exec(widget.code, scope)
        again, here = scope["run"].predict(toy_samples), widget.run.predict(toy_samples)
        assert all(np.array_equal(again[name], here[name]) for name in here.colnames)
        deliver(widget.set_state, {"parts": {"decision": {"name": "average", "options": {}}}})
        assert [box["role"] for box in widget.answer("model 3")["boxes"]].count("head") == 2
        deliver(widget.set_state, {"recipe": "gated_fusion"})
        assert widget.parts == {} and widget.own["fusion"]["name"] == "gated" and "recipe.change" not in widget.code


def test_a_part_that_cannot_be_says_why_where_the_model_would_be(toy_samples):
    with shown(af.TrainWidget(toy_samples, recipe="late_fusion", target="label", epochs=1, modalities=["table"])) as widget:
        for parts, words in (
            ({"fusion": {"name": "gatd", "options": {}}}, "gated"), ({"fusion": {"name": "gated", "options": {"nonsense": 1}}}, "no option 'nonsense'"),
            ({"encoders": {"table": {"name": "conv2d", "options": {}}}}, "conv2d"), ({"weights": {"name": "x"}}, "no part 'weights'"), ({"fusion": 3}, "is no part"),
        ):  # fmt: skip
            widget.parts = parts
            with pytest.raises(InputError, match=words):
                widget.answer("model")
            do(widget, "train")
            assert widget.wait(60) and words in widget.error


def test_the_pickers_hold_every_part_with_its_options(toy_samples):
    listed = af.list_parts()
    with shown(af.TrainWidget(toy_samples, target="label")) as widget:
        for role in ("encoder", "fusion", "decision", "head"):
            assert {row["name"] for row in widget.catalogue if row["role"] == role} == set(listed["name"][listed["role"] == role])
        table = next(row for row in widget.catalogue if row["name"] == "mlp")
        assert table["kinds"] == ["table"] and "dropout" in table["options"]
        assert set(widget.own["encoders"]) == {"image", "spectrum", "light_curve", "table", "text"}


def test_runs_stand_beside_each_other_and_gauges_tell_of_memory(toy_samples):
    with shown(af.TrainWidget(toy_samples, recipe="late_fusion", target="label", epochs=2, modalities=["table"])) as widget:
        do(widget, "train")
        assert widget.wait(120) and not widget.error
        widget.seed = 1
        do(widget, "train")
        assert widget.wait(120) and not widget.error
        assert [(one["number"], one["seed"], one["state"]) for one in widget.runs] == [(1, 0, "finished"), (2, 1, "finished")]
        last = widget.runs[-1]
        assert [row["epoch"] for row in last["curve"]] == [1, 2] and last["parameters"] == widget.run.parameters
        told = next(m for m in widget.run.metrics if m["part"] == "validation")
        assert last["figure"]["value"] == told["value"] and last["figure"]["metric"] == told["metric"]
        assert widget.gauges["device"] == "cpu" and 0 < widget.gauges["memory"] < widget.gauges["memory_total"]


def test_a_resumed_run_takes_the_place_of_the_stopped_one(toy_samples):
    with shown(af.TrainWidget(toy_samples, recipe="late_fusion", target="label", epochs=40, modalities=["table"])) as widget:
        do(widget, "train")
        until(lambda: len(widget.history) >= 1)
        widget.stop = True
        assert widget.wait(60) and [one["state"] for one in widget.runs] == ["stopped"]
        do(widget, "resume")
        assert widget.wait(120) and [one["state"] for one in widget.runs] == ["finished"]
