"""The contribution widget says what `explain` says, for one sample, many, brighter and fainter data, swaps and edits."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import make_toy_samples
from explain_cases import samples as cached_samples
from explain_cases import trained
from widget_tools import do, shown, until

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.explaining import DROPPED, named_runs

pytest_plugins = ["widget_tools"]
pytestmark = pytest.mark.usefixtures("any_view")


@pytest.fixture
def widget():
    with shown(af.ContributionWidget(trained(), cached_samples())) as made:
        yield made


def test_worth_of_one_sample_is_what_contributions_gives(widget):
    run, one = trained(), cached_samples().take([3])
    payload = widget.answer("worth/3/0/-")
    found = af.explain.contributions(run, one)
    assert np.allclose(payload["shapley"], found.shapley[0]) and np.allclose(payload["interactions"], found.interactions[0])
    assert sum(payload["shapley"]) == pytest.approx(payload["score"] - payload["base"], abs=1e-6)
    assert payload["explained"] == payload["prediction"]["prediction"] and payload["spread"] is None
    star = list(run.classes).index("star")
    assert widget.answer(f"worth/3/0/{star}")["explained"] == "star"


def test_an_ensemble_gives_worth_with_its_spread():
    ensemble = af.Ensemble([trained(), trained("late_fusion")])
    one = cached_samples().take([3])
    with shown(af.ContributionWidget(ensemble, cached_samples())) as widget:
        payload = widget.answer("worth/3/0/1")
        goal = ensemble.classes[1]
        each = np.stack([af.explain.contributions(run, one, target=goal).shapley[0] for run in ensemble.runs])
        assert np.allclose(payload["shapley"], each.mean(0)) and np.allclose(payload["spread"], each.std(0))
        curve = widget.answer("response/3/0/1/0")
        assert curve["members"] == 2 and max(curve["likely_spread"]) > 0 and curve["explained"] == str(goal)


def test_all_samples_with_intervals_and_progress(widget):
    told = []
    widget.observe(lambda change: told.append(change["new"]), "progress")
    do(widget, "measure")
    assert widget.wait(120) and not widget.error and not widget.busy
    found = af.explain.contributions(trained(), cached_samples())
    whole = widget.whole
    assert whole["n"] == whole["seen"] == len(cached_samples()) and max(told) == 1.0
    assert [r["strength"] for r in whole["totals"]] == pytest.approx(list(found.total["mean_abs_shapley"]))
    table = {str(row["modalities"]): row for row in found.subsets}
    for row in whole["subsets"]:
        name = " + ".join(m for m, there in zip(whole["modalities"], row["has"], strict=True) if there) or "(none)"
        assert (row["value"], row["low"], row["high"]) == pytest.approx(tuple(float(table[name][k]) for k in ("value", "low", "high")))
    assert len(whole["subsets"]) == 2**5
    json.dumps(whole, allow_nan=False)
    widget.selection.ids = tuple(cached_samples().object_ids[:3])
    do(widget, "measure", scope="selected")
    assert widget.wait(120) and widget.whole["n"] == 3 and widget.whole["which"] == "selected"


def test_responses_swaps_and_edits_are_those_of_explain(widget):
    run, samples = trained(), cached_samples()
    one = samples.take([3])
    number = next(i for i, row in enumerate(widget.scaled) if row["options"] == {"modality": "spectrum"})
    curve = widget.answer(f"response/3/0/-/{number}")
    found = af.explain.respond(run, one, modality="spectrum")
    assert np.allclose(curve["likely"], found.likely.mean(0)[:, 0]) and curve["factors"] == list(found.factors)
    swapped = widget.answer("swap/3/0/-/5/spectrum")
    wanted = af.explain.swap(run, one, "spectrum", samples.take([5]))
    assert swapped["difference"] == pytest.approx(float(wanted.difference[0, 0])) and samples.object_ids[5] in swapped["name"]
    parts = [{"name": "drop_band", "options": {"band": "g", "modality": "image"}}]
    edited = widget.answer(f"edit/3/0/-/{json.dumps(parts)}")
    wanted = af.explain.edit(run, one, af.Part.of("drop_band", band="g", modality="image"))
    assert edited["difference"] == pytest.approx(float(wanted.difference[0, 0]))


def test_every_edit_that_is_offered_can_be_made(widget):
    for row in widget.edits:
        options = {**row["fixed"], **{f["name"]: ["seen"] if f["kind"] == "words" else f["value"] for f in row["fields"]}}
        payload = widget.answer(f"edit/3/0/-/{json.dumps([{'name': row['name'], 'options': options}])}")
        assert isinstance(payload["changed"], bool) and np.isfinite(payload["difference"])
        json.dumps(payload, allow_nan=False)


def test_what_cannot_be_answered_says_why(widget):
    for key, words in (("worth/99/0/-", "0 to 39"), ("worth/1/4/-", "joint_attention"), ("worth/1/0/9", "galaxy"), ("response/1/0/-/77", "77"), ('edit/1/0/-/[{"name":"melt","options":{}}]', "drop_band")):
        widget._handle_custom_msg({"type": "want", "key": key}, [])
        assert widget.wait(60) and words in widget.sent[-1][0]["error"] and not widget.busy


def test_questions_of_samples_that_were_paged_past_are_dropped(widget, monkeypatch):
    import threading

    from astrofuse_lab import explain

    real, go, begun, halted = explain.contributions, threading.Event(), threading.Event(), []

    def slow(*arguments, stop=None, **options):
        begun.set()
        go.wait(30)
        halted.append(stop.is_set())
        return real(*arguments, stop=stop, **options)

    monkeypatch.setattr(explain, "contributions", slow)
    widget._handle_custom_msg({"type": "want", "key": "worth/0/0/-"}, [])
    assert begun.wait(30)
    for i in (1, 2, 3):
        widget._handle_custom_msg({"type": "want", "key": f"worth/{i}/0/-"}, [])
    go.set()
    assert widget.wait(60)
    answers = {content["key"]: content for content, _ in widget.sent if content["type"] == "answer"}
    assert [answers[f"worth/{i}/0/-"].get("error") for i in (1, 2)] == [DROPPED, DROPPED] and "error" not in answers["worth/3/0/-"]
    assert halted == [True, False]  # the one being explained was told to end


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_samples(n):
    with shown(af.ContributionWidget(trained(), cached_samples().take(np.arange(n)))) as widget:
        assert widget.wait(60) and not widget.error
        do(widget, "measure")
        until(lambda: not widget.busy and widget.wait(1))
        assert bool(widget.error) == (n == 0) and (n == 0 or widget.whole["n"] == n)


def test_runs_have_names_that_differ():
    run = trained()
    assert list(named_runs([run, run])) == ["joint_attention (1)", "joint_attention (2)"] and list(named_runs({"mine": run})) == ["mine"]
    assert list(named_runs(af.Ensemble([run, run]))) == ["joint_attention, 2 members"]
    with pytest.raises(InputError, match="no run"):
        named_runs([])
    with shown(af.ContributionWidget({"a": run, "b": trained("late_fusion")}, make_toy_samples(8))) as widget:
        widget.model = 1
        assert "runs['b']" in widget.code and widget.answer("worth/0/1/-")["modalities"] == list(trained("late_fusion").modalities)


def test_the_page_of_the_views_does_what_it_says_and_names_their_keys():
    root = Path(af.__file__).parents[1]
    page = (root / "docs" / "views.md").read_text()
    names = {"af": af, "run": trained(), "samples": cached_samples()}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    why, worth = names["why"], names["worth"]
    assert why.wait(120) and why.focus == worth.focus == 3 and [one["method"] for one in why.compare] == ["occlusion", "integrated_gradients"]
    assert worth.measured is not None and worth.whole["n"] == len(cached_samples())
    why.close()
    worth.close()
    keys = (root / "widgets" / "src" / "shared" / "keys.js").read_text()
    for view in ("attribution", "contribution"):
        for key in re.findall(r'\["([^"]+)", "', re.search(rf"  {view}: (.*)", keys)[1]):
            assert f"| {key} |" in page


def test_pages_get_the_worth_of_all_samples_without_being_asked(widget):
    state = widget.page_state()
    assert state["whole"]["n"] == len(cached_samples()) and widget.page_always() == ()
    assert widget.page_keys(2)[:2] == ("sample/2", "worth/2/0/-") and all(key.startswith("response/2/0/-/") for key in widget.page_keys(2)[2:])


def test_responses_that_a_page_stores_are_those_asked_one_by_one(widget):
    positions = [4, 0, 7, 2]
    together = widget.page_together(positions)
    assert set(together) == {key for position in positions for key in widget.page_keys(position) if key.startswith("response/")} and together

    def numbers(one):
        return [one[name] for name in ("factors", "score", "score_spread", "likely", "likely_spread")]

    for key, several in together.items():
        alone = widget.answer(key)
        for a, b in zip(numbers(several), numbers(alone), strict=True):
            assert np.allclose(a, b, atol=1e-5)
        assert {k: v for k, v in several.items() if k in ("name", "explained", "predicted", "flips", "changed", "members")} == {k: v for k, v in alone.items() if k in ("name", "explained", "predicted", "flips", "changed", "members")}
