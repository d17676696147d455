"""The embedding, attribution and attention widgets say what `explain` says."""

import threading

import numpy as np
import pytest
from conftest import make_toy_samples
from scipy.stats import spearmanr
from widget_tools import do, shown, until, values_of

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, RunError, UnknownNameError
from astrofuse_lab.widgets.attribution import AttributionWidget, on_places

pytest_plugins = ["widget_tools"]
pytestmark = pytest.mark.usefixtures("any_view")


@pytest.fixture(scope="module")
def run(toy_samples):
    return af.train("joint_attention", toy_samples, "label", epochs=6, progress=False)


# ---- explaining --------------------------------------------------------------------------------------------------------


def test_the_map_is_what_embed_gives(run, toy_samples):
    with shown(af.EmbeddingWidget(run, toy_samples, umap=False)) as widget:
        assert widget.wait(120) and not widget.error
        made = af.explain.embed(run, toy_samples, method="pca")
        planes = {p["space"]: p for p in widget.maps["pca"]}
        assert list(planes) == ["fused", *run.modalities]
        for space, plane in planes.items():
            assert np.array_equal(values_of(plane["xy"]), made.coordinates[space], equal_nan=True)
            assert plane["n"] == int(made.present[space].sum()) and plane["trust"] == pytest.approx(made.trustworthiness(space))
        columns = {c["name"]: c for c in widget.columns}
        predicted = run.predict(toy_samples)["prediction"]
        assert np.array_equal(np.array(columns["prediction"]["labels"])[values_of(columns["prediction"]["values"])], predicted)
        right = np.array(columns["correct"]["labels"])[values_of(columns["correct"]["values"])] == "right"
        assert np.array_equal(right, predicted == toy_samples.column("label"))
        scope = {"af": af, "run": run, "samples": toy_samples}
        widget.selection.ids = ("toy-0003", "toy-0001")
        assert widget.wait()
        exec(widget.code, scope)
        assert scope["embedding"].method == "pca"


def test_umap_that_is_stopped_leaves_pca(run, toy_samples):
    with shown(af.EmbeddingWidget(run, toy_samples, umap=False)) as widget:
        assert widget.wait(120)
        do(widget, "embed", method="umap")
        until(lambda: widget.busy)
        widget.stop = True
        assert widget.wait(120)
        assert list(widget.maps) == ["pca"] and widget.method == "pca" and not widget.busy and "stopped" in widget.status and not widget.error


def test_attributions_sum_to_what_there_was_to_explain(run, toy_samples, deliver):
    with shown(AttributionWidget(run, toy_samples)) as widget:
        widget.focus = 4
        deliver(widget._handle_custom_msg, {"type": "want", "key": "attribution/4/0/-/integrated_gradients"}, [])
        assert widget.wait(120)
        content, buffers = widget.sent[-1]
        assert "error" not in content and "partial" not in content and buffers and not widget.busy
        coarse = [one for one, _ in widget.sent if one.get("partial")]
        assert coarse and coarse[0]["key"] == content["key"] and coarse[0]["payload"]["worth"] is None
        payload = widget.answer("attribution/4/0/-/integrated_gradients")
        total = sum(float(np.nansum(values_of(v))) for v in payload["values"].values())
        assert total == pytest.approx(payload["difference"] + payload["delta"], abs=2e-3)
        worth = payload["worth"]
        assert sum(worth["shapley"]) == pytest.approx(worth["score"] - worth["base"], abs=1e-6)
        card = payload["prediction"]
        assert sum(card["p"]) == pytest.approx(1) and card["prediction"] == payload["explained"] and card["truth"] == toy_samples.column("label")[4]
        assert len(widget.attributions) == 1
        other = next(c for c in card["classes"] if c != card["prediction"])
        assert widget.answer(f"attribution/4/0/{card['classes'].index(other)}/integrated_gradients")["explained"] == other
        assert len(widget.attributions) == 2


def test_attribution_of_an_unknown_class_or_place_is_an_answer_that_says_so(run, toy_samples):
    with shown(AttributionWidget(run, toy_samples)) as widget:
        for key, words in (("attribution/4/0/9/saliency", "galaxy"), ("attribution/99/0/-/saliency", "0 to 59"), ("attribution/4/0/-/magic", "saliency"), ("attribution/4/3/-/saliency", "joint_attention")):
            widget._handle_custom_msg({"type": "want", "key": key}, [])
            assert widget.wait(60) and words in widget.sent[-1][0]["error"] and not widget.busy


def test_every_method_of_the_table_is_offered_and_those_that_do_not_apply_say_why(run, toy_samples):
    from astrofuse_lab.explain.methods import METHODS
    from astrofuse_lab.recipes.catalogue import get_recipe

    with shown(AttributionWidget(run, toy_samples)) as widget:
        assert [row["name"] for row in widget.methods[0]] == list(METHODS) and not any(row["reason"] for row in widget.methods[0] if row["name"] in ("integrated_gradients", "occlusion"))
        with pytest.raises(UnknownNameError, match="saliency"):
            widget.method = "magic"
    votes = get_recipe("decision_average").change(decision=af.Part.of("voting"))
    voted = af.train(votes, toy_samples, "label", modalities=["spectrum", "table"], epochs=1, progress=False)
    with shown(AttributionWidget(voted, toy_samples)) as widget:
        reasons = {row["name"]: row["reason"] for row in widget.methods[0]}
        assert "gradients" in reasons["integrated_gradients"] and not reasons["occlusion"] and not METHODS[widget.method].gradients
        payload = widget.answer(f"attribution/1/0/-/{widget.method}")
        assert set(payload["values"]) == {"spectrum", "table"}


def test_methods_that_refuse_a_run_are_found_out_beside_the_maps(run, toy_samples, monkeypatch):
    from astrofuse_lab import explain

    asked = []

    def attribute(source, one, method, **options):
        asked.append((method, len(one)))
        if method == "lrp":
            raise InputError("layer-wise relevance propagation has no rule for a gate, which this model uses.")

    monkeypatch.setattr(explain, "attribute", attribute)
    with shown(AttributionWidget(run, toy_samples)) as widget:
        do(widget, "probe")
        assert widget.wait(60) and asked == [("deep_lift", 1), ("lrp", 1), ("grad_cam", 1)]
        assert {row["name"]: row["reason"] for row in widget.methods[0] if row["reason"]} == {"lrp": "layer-wise relevance propagation has no rule for a gate, which this model uses."}


def test_maps_beside_each_other_by_method_class_and_model(run, toy_samples):
    other = af.train("late_fusion", toy_samples, "label", modalities=["spectrum", "table"], epochs=1, progress=False)
    with shown(AttributionWidget({"whole": run, "part": other}, toy_samples)) as widget:
        widget.compare = [{"method": "saliency"}, {"model": 1, "explained": "star", "hostile": "<b>"}]
        assert widget.compare == [{"model": 0, "method": "saliency", "explained": "-"}, {"model": 1, "method": widget.method, "explained": "star"}]
        assert "runs['part'], one, target='star'" in widget.code
        star = [str(c) for c in run.classes].index("star")
        keys = widget.page_keys(2)
        assert keys == ("sample/2", "attribution/2/0/-/integrated_gradients", "attribution/2/0/-/saliency", f"attribution/2/1/{star}/integrated_gradients")
        first, second, third = (widget.answer(key) for key in keys[1:])
        assert first["signed"] and not second["signed"] and set(third["values"]) == {"spectrum", "table"} and third["explained"] == "star"
        alike = dict(widget.answer("alike/2/0/-/integrated_gradients/0/-/saliency")["modalities"])
        maps = [widget.attributions[(str(toy_samples.object_ids[2]), "-", m)] for m in ("integrated_gradients", "saliency")]
        for name, value in alike.items():
            real = maps[0].place_mask(name)[0]
            a, b = (one.per_place(name)[0][real] for one in maps)
            assert value is None if len(a) < 3 else value == pytest.approx(spearmanr(a, b).statistic, abs=1e-6)


def test_a_map_is_checked_beside_the_maps_and_says_its_verdict(run, toy_samples, monkeypatch):
    from astropy.table import Table

    from astrofuse_lab import explain

    asked, go = [], threading.Event()

    class Checks:
        passed, verdict = False, "2 of 3 checks passed: the map hardly changes when the weights are random."

        def table(self):
            return Table({"check": ["randomised weights"], "value": [0.93], "passed": [False], "says": ["<img src=x onerror=alert(1)>"]})

    def check(source, some, method, **options):
        asked.append((source, len(some), method))
        go.wait(30)
        return Checks()

    monkeypatch.setattr(explain, "check", check, raising=False)
    with shown(AttributionWidget(run, toy_samples)) as widget:
        do(widget, "check", method="saliency", model=0)
        until(lambda: asked)
        assert widget.checks == {"0/saliency": {"running": True}} and widget.busy
        assert widget.answer("attribution/1/0/-/saliency")["values"]  # maps do not wait for it
        go.set()
        assert widget.wait(60) and asked == [(run, 60, "saliency")] and not widget.busy
        done = widget.checks["0/saliency"]
        assert done["verdict"] == Checks.verdict and not done["passed"] and done["rows"] == [["randomised weights", False, 0.93, "<img src=x onerror=alert(1)>"]]
        widget.stop = True
        do(widget, "check", method="magic", model=0)
        assert widget.wait(60) and "magic" in widget.checks["0/magic"]["problem"]


def test_stop_keeps_the_map_as_fine_as_it_was(run, toy_samples, monkeypatch):
    from astrofuse_lab import explain

    real, begun, asked = explain.attribute, threading.Event(), []

    def attribute(source, one, method, *, on_coarse=None, stop=None, **options):
        asked.append(method)
        coarse = real(source, one, method, **{**options, "steps": 2})
        if on_coarse is None or len(asked) > 1:
            return coarse
        on_coarse(coarse)
        begun.set()
        assert stop.wait(30)
        return coarse

    monkeypatch.setattr(explain, "attribute", attribute)
    with shown(AttributionWidget(run, toy_samples)) as widget:
        widget._handle_custom_msg({"type": "want", "key": "attribution/0/0/-/integrated_gradients"}, [])
        assert begun.wait(60) and widget.busy
        widget.set_state({"stop": True})
        assert widget.wait(60) and not widget.busy and not widget.stop
        said = [content["payload"] for content, _ in widget.sent if content["type"] == "answer"]
        assert said[0]["worth"] is None and "stopped" not in said[0] and said[-1]["stopped"] and said[-1]["worth"] is None
        assert not widget.attributions  # what was stopped is worked out anew when it is asked for again
        widget._handle_custom_msg({"type": "want", "key": "attribution/0/0/-/integrated_gradients"}, [])
        assert widget.wait(60) and "stopped" not in widget.sent[-1][0]["payload"] and widget.sent[-1][0]["payload"]["worth"]


def test_a_number_can_be_explained(toy_samples):
    few = toy_samples.take(np.arange(40))
    number = af.train("late_fusion", few, "redshift", modalities=["table", "spectrum"], epochs=1, progress=False)
    with shown(AttributionWidget(number, few)) as widget, shown(af.ContributionWidget(number, few)) as worth:
        payload = widget.answer(f"attribution/1/0/-/{widget.method}")
        assert payload["explained"] == "redshift" and payload["worth"]["score"] is not None and not payload["prediction"]["p"]
        assert worth.answer("worth/1/0/-")["explained"] == "redshift"
        curve = worth.answer("response/1/0/-/0")
        assert curve["task"] == "regression" and not any(curve["flips"]) and isinstance(curve["predicted"][0], float)
        worth.measure()
        assert worth.whole["lower_is_better"] and len(worth.whole["subsets"]) == 4


def test_places_of_the_model_are_laid_on_those_of_the_data():
    assert on_places(np.array([1.0, 2.0, 9.0]), "light_curve", 2).tolist() == [1.0, 2.0]  # padding is cut
    long = on_places(np.array([1.0, 2.0]), "light_curve", 4)
    assert np.isnan(long[:2]).all() and long[2:].tolist() == [1.0, 2.0]  # the latest epochs are read
    assert on_places(np.arange(5.0), "text", 3).tolist() == [0.0, 1.0, 2.0]
    sentences = on_places(np.array([0.5, -1.0]), "text", np.array([0, 0, 0, 1, 2]))  # the third sentence was not read
    assert sentences[:4].tolist() == [0.5, 0.5, 0.5, -1.0] and np.isnan(sentences[4])
    assert on_places(np.ones((2, 3)), "image", 0).shape == (6,)


def test_attention_rows_sum_to_one_over_what_is_there(run, toy_samples):
    with shown(af.AttentionWidget(run, toy_samples)) as widget:
        payload = widget.answer("attention/2")
        rows = values_of(payload["between"])
        there = np.array(payload["present"])
        assert rows.shape == (len(payload["choices"]), 1 + len(there), len(there))
        assert np.allclose(rows[:, 0].sum(-1), 1, atol=1e-5) and np.allclose(rows[:, 1:][:, there].sum(-1), 1, atol=1e-5)
        assert np.isnan(rows[:, 1:][:, ~there]).all() and np.allclose(rows[:, 0][:, ~there], 0)
        found = af.explain.attention(run, toy_samples.take([2]))
        assert np.allclose(rows[0, 0], found.from_class[0], atol=1e-5)
        for name in payload["modalities"]:
            assert values_of(payload["places"][name]).shape[0] == len(payload["choices"])
        image = values_of(payload["places"]["image"])[0]
        assert np.allclose(image, found.on_input("image")[0].ravel(), atol=1e-6)
        layer, head = payload["choices"][3]
        alone = found.only(layer, int(head))
        assert np.allclose(rows[3, 0], alone.from_class[0], atol=1e-5) and np.allclose(rows[3, 1:][there], alone.between[0][there], atol=1e-5)
        assert not np.allclose(rows[3], rows[0], equal_nan=True)


def test_attention_by_rollout_by_gradients_and_of_encoders(run, toy_samples):
    with shown(af.AttentionWidget(af.Ensemble([run, run]), toy_samples)) as widget:
        assert [row["name"] for row in widget.runs_shown] == ["joint_attention, 2 members, member 1", "joint_attention, 2 members, member 2"]
        star = [str(c) for c in run.classes].index("star")
        one = toy_samples.take([2])
        for combine, target in (("rollout", None), ("gradient", "star")):
            payload = widget.answer(f"attention/2/1/{star if target else '-'}/{combine}")
            found = af.explain.attention(run, one, combine=combine, encoders=True, target=target)
            assert payload["explained"] == (target or "") and np.allclose(values_of(payload["between"])[0, 0], found.from_class[0], atol=1e-5)
            assert np.allclose(values_of(payload["places"]["image"])[0], found.on_input("image")[0].ravel(), atol=1e-6)
            flow = found.flow(0)
            assert [row[3:] for row in payload["flow"]] == [[pytest.approx(float(r["weight"])), pytest.approx(float(r["reaching"]))] for r in flow]
        last = max(row[0] for row in payload["flow"])
        assert last >= 1 and {row[2] for row in payload["flow"] if row[0] == last} == {"class"}
        own = payload["own"]
        assert own and all(values_of(layer["values"]).shape[0] == 1 + layer["heads"] for layer in own)
        layer = own[0]
        wanted = on_places(found.on_input(layer["modality"], layer["layer"], 0)[0], "light_curve", len(values_of(layer["values"])[0]))
        assert layer["modality"] == "light_curve" and np.allclose(values_of(layer["values"])[1], wanted, atol=1e-6, equal_nan=True)
        widget.combine = "gradient"
        widget.explained = "star"
        assert "combine='gradient', target='star'" in widget.code and widget.page_keys(3)[1] == "attention/3/0/-/gradient"


def test_a_recipe_without_attention_is_told_so(toy_samples):
    plain_run = af.train("late_fusion", toy_samples, "label", modalities=["table"], epochs=1, progress=False)
    with shown(af.AttentionWidget(plain_run, toy_samples)) as widget:
        assert widget.wait() and not widget.available and "late_fusion" in widget.reason and "joint_attention" in widget.reason
        widget._handle_custom_msg({"type": "want", "key": "attention/0"}, [])
        assert widget.wait(60) and "without attention" in widget.sent[-1][0]["error"]


def test_samples_of_another_layout_are_refused_when_the_view_is_made(run):
    other = make_toy_samples(12)
    other._columns = other._columns.drop_columns(["colour"])
    other._roles = {k: v for k, v in other._roles.items() if k != "colour"}
    with pytest.raises(RunError, match="layout"):
        af.EmbeddingWidget(run, other, umap=False)
