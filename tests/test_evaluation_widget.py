"""What the evaluation widget counts and draws is what scikit-learn and `af.evaluate` say; what is clicked is what is selected."""

import numpy as np
import pytest
from astropy.table import Table
from browser import chromium
from conftest import make_toy_samples
from explain_cases import samples, trained
from host import Host
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve, roc_auc_score, roc_curve
from widget_tools import shown, values_of

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.split import Split
from astrofuse_lab.widgets import evaluation_facts as facts
from astrofuse_lab.widgets.base import STATIC, Selection, from_bits

built = pytest.mark.skipif(not (STATIC / "evaluation.js").is_file(), reason="browser: the views are not built; run make front-end")
TABLE = ("table",)


def run_of(target="label", modalities=TABLE):
    return trained("late_fusion", target, modalities)


def answer(widget, key):
    made = widget.answer(key)
    return made, values_of(made["positions"]) if "positions" in made else None


@built
def test_counts_and_areas_are_those_of_scikit_learn():
    run, data = run_of(), samples()
    with shown(af.EvaluationWidget(run, data, part="all")) as widget:
        made, rows = answer(widget, "judged/all/0")
        p, seen = run.outputs(data)
        assert np.array_equal(rows, np.flatnonzero(seen))
        truth = np.array([run.classes.index(c) for c in data.column("label")])[rows]
        assert np.array_equal(made["confusion"], confusion_matrix(truth, p[rows].argmax(1)))
        assert np.array_equal(values_of(made["truth"]), truth) and np.array_equal(values_of(made["said"]), p[rows].argmax(1))
        for c, curve in enumerate(made["curves"]):
            assert curve["roc"][0] == pytest.approx(roc_auc_score(truth == c, p[rows, c])) and curve["roc"][1] <= curve["roc"][0] <= curve["roc"][2]
            assert curve["pr"][0] == pytest.approx(average_precision_score(truth == c, p[rows, c]))
            x, y, at, threshold = (values_of(curve[n]) for n in ("x", "y", "at", "threshold"))
            fpr, tpr, _ = roc_curve(truth == c, p[rows, c], drop_intermediate=False)
            assert np.allclose(np.r_[0, x], fpr) and np.allclose(np.r_[0, y], tpr)
            precision, recall, _ = precision_recall_curve(truth == c, p[rows, c])
            assert np.allclose(values_of(curve["precision"])[::-1], precision[:-1][-len(x) :]) and np.allclose(y[::-1], recall[:-1][-len(x) :])
            for v in (0, len(x) // 2, len(x) - 1):  # what a click takes is what the threshold takes
                assert np.array_equal(at <= v, p[rows, c].astype(np.float32) >= threshold[v])


def test_curves_of_many_samples_are_thinned_and_still_select_exactly():
    rng = np.random.default_rng(0)
    score = rng.random(50_000)
    positive = rng.random(50_000) < score
    made = facts.curve(positive, score)
    x, y, at, threshold = (values_of(made[n]) for n in ("x", "y", "at", "threshold"))
    assert len(x) <= facts.VERTICES and (x[-1], y[-1]) == (1, 1) and np.diff(x).max() < 0.02 and np.diff(y).max() < 0.02
    fpr, tpr, _ = roc_curve(positive, score, drop_intermediate=False)
    near = np.searchsorted(fpr + tpr, x.astype(float) + y - 1e-6)  # each vertex is one of the whole curve
    assert np.abs(fpr[near] - x).max() < 1e-4 and np.abs(tpr[near] - y).max() < 1e-4
    assert np.array_equal(at <= 100, score.astype(np.float32) >= threshold[100])
    assert facts.curve(np.ones(5, dtype=bool), score[:5]) is None


@built
def test_bins_hold_each_sample_once_and_say_what_evaluate_says():
    run, data = run_of(), samples()
    with shown(af.EvaluationWidget(run, data, part="all")) as widget:
        made, rows = answer(widget, "judged/all/0")
        p, _ = run.outputs(data, rows)
        top = made["reliability"][0]
        at = values_of(top["at"])
        right = p.argmax(1) == values_of(made["truth"])
        table = af.evaluate(run, data, part="all", by=[("mag_g", facts_bins := 6)], resamples=20).meta
        for row, said in zip(top["bins"], table["calibration"], strict=True):
            inside = at == row["bin"]
            assert (row["n"], row["said"], row["share"]) == (int(inside.sum()), pytest.approx(float(said["confidence"])), pytest.approx(float(said["right"])))
            assert row["share"] == pytest.approx(right[inside].mean()) and row["low"] <= row["share"] <= row["high"]
        column = widget.bys.index("mag_g")
        wrong, _ = answer(widget, f"errors/all/0/0/error_rate/{column}")
        assert len(wrong["bins"]) == facts_bins and sum(b["n"] for b in wrong["bins"]) == len(rows) - wrong["unknown"]
        for b, row in enumerate(wrong["bins"]):
            assert row["value"] == pytest.approx(1 - right[values_of(wrong["at"]) == b].mean())
        balanced, _ = answer(widget, f"errors/all/0/0/balanced_accuracy/{column}")
        for row, said in zip(balanced["bins"], table["subgroups"], strict=True):
            assert row["value"] == pytest.approx(float(said["value"])) and row["n"] == said["n"]
        for by in widget.bys:  # S/N of each modality, columns with gaps
            got = widget.answer(f"errors/all/0/0/error_rate/{widget.bys.index(by)}")
            assert sum(b["n"] for b in got["bins"]) + got["unknown"] == len(rows)


@built
def test_redshifts_and_numbers_are_measured_as_evaluate_does():
    run, data = run_of("redshift"), samples()
    with shown(af.EvaluationWidget(run, data, part="all")) as widget:
        made, rows = answer(widget, "judged/all/0")
        one = made["targets"][0]
        said, truth = run.outputs(data)[0][rows], np.asarray(data.column("redshift"))[rows]
        assert one["redshift"] and np.allclose(values_of(one["error"]), (said - truth) / (1 + truth), atol=1e-6)
        assert np.array_equal(values_of(one["far"]) > 0, np.abs(said - truth) / (1 + truth) > 0.15)
        table = af.evaluate(run, data, part="all", resamples=20)
        measured = {r["metric"]: float(r["value"]) for r in table}
        assert [name for name, *_ in one["metrics"]] == ["redshift_bias", "redshift_nmad", "redshift_outliers", "redshift_rmse"]
        assert all(value == pytest.approx(measured[name]) for name, value, *_ in one["metrics"])
    plain = run_of("mag_g", ("spectrum",))
    with shown(af.EvaluationWidget(plain, data, part="all")) as widget:
        one = widget.answer("judged/all/0")["targets"][0]
        error = values_of(one["error"])
        assert one["reach"] == pytest.approx(5 * 1.4826 * np.median(np.abs(error - np.median(error))), rel=1e-5) and widget.unit == "mag"


@built
@pytest.mark.parametrize(("target", "task"), [(("label", "is_star"), "multi_label"), (("redshift", "mag_g"), "multi_regression")])
def test_several_labels_and_several_numbers(target, task):
    data = make_toy_samples(40) if task == "multi_label" else samples()
    names = ["is_star", "is_red"] if task == "multi_label" else list(target)
    if task == "multi_label":
        import pyarrow as pa

        red = np.arange(len(data)) % 3 == 0
        data._columns = data._columns.append_column("is_red", pa.array(red))
        data._roles = {**data._roles, "is_red": "target"}
    run = af.train("late_fusion", data, names, ["spectrum"], epochs=1, progress=False)
    assert run.task == task
    with shown(af.EvaluationWidget(run, data, part="all")) as widget:
        made, rows = answer(widget, "judged/all/0")
        assert widget.one == names[0] and len(rows) == made["n"] > 0
        if task == "multi_label":
            p, _ = run.outputs(data, rows)
            truth = np.asarray(data.column("is_red"))[rows]
            assert np.array_equal(made["confusion"][1], confusion_matrix(truth, p[:, 1] >= 0.5, labels=[False, True]))
            assert made["curves"][1]["roc"][0] == pytest.approx(roc_auc_score(truth, p[:, 1]))
        else:
            assert [t["name"] for t in made["targets"]] == names and [t["redshift"] for t in made["targets"]] == [True, False]
        for measure in widget.measures:
            got = widget.answer(f"errors/all/0/1/{measure}/0")
            assert any(b["value"] is not None for b in got["bins"])


@built
def test_the_test_part_by_default_and_every_part_says_what_it_is():
    data = samples()
    run = run_of()
    ids = data.object_ids
    object.__setattr__(run, "split", Split(tuple(run.split.train[:10]), tuple(ids[i] for i in range(40) if ids[i] not in set(run.split.train[:10]))[:12]))
    try:
        with shown(af.EvaluationWidget(run, data)) as widget:
            assert widget.part == "test" and {p["name"]: p["n"] for p in widget.parts} == {"test": 12, "unseen": 18, "train": 10, "all": 40}
            assert set(ids[answer(widget, "judged/test/0")[1]]) <= set(run.split.test)
            with pytest.raises(InputError, match="hold none of it"):
                widget.contender("late_fusion", "validation")
        with shown(af.EvaluationWidget(run, data.select(run.split.train))) as widget:
            assert widget.part == "train" and "flatters" in widget.parts[0]["says"]
    finally:
        trained.cache_clear()


def table_of(run, data, name="label"):
    """What `compare` gives, of predictions made here."""
    rows = [("fused", "table + text", 0.9, np.nan, np.nan), ("table", "table", 0.8, 0.1, 0.02), ("trees", "all", 0.7, 0.2, 0.1)]
    table = Table(rows=[(m, s, "balanced_accuracy", v, v - 0.05, v + 0.05, d, low, d + 0.1) for m, s, v, d, low in rows], names=("model", "modalities", "metric", "value", "low", "high", "difference", "difference_low", "difference_high"))
    p, _ = run.outputs(data)
    truth, _ = run.problem.encode(data)
    table.meta.update(target=name, verdict="fused is better", ids=data.object_ids.tolist(), truth=truth, classes=list(run.classes), predictions={m: [p[:, ::-1]] for m, *_ in rows})
    return table


@built
def test_a_comparison_puts_the_best_single_and_the_trees_beside_the_run():
    run, data = run_of(), samples()
    with shown(af.EvaluationWidget(run, data, part="all", comparison=table_of(run, data))) as widget:
        assert [c["name"] for c in widget.contenders] == ["late_fusion", "table", "trees"] and widget.verdict == "fused is better"
        model, beside = (widget.answer(f"judged/all/{i}") for i in (0, 2))
        assert np.array_equal(values_of(beside["said"]), 2 - values_of(model["said"])) and np.array_equal(values_of(beside["truth"]), values_of(model["truth"]))
        a, b = (widget.answer(f"errors/all/{i}/0/error_rate/0")["bins"] for i in (0, 2))
        assert [(r["low_edge"], r["high_edge"]) for r in a] == [(r["low_edge"], r["high_edge"]) for r in b]
    with pytest.raises(InputError, match="comparison is of 'redshift'"):
        af.EvaluationWidget(run, data, comparison=table_of(run, data, "redshift"))
    with pytest.raises(InputError, match="same classes"):
        af.EvaluationWidget({"a": run, "b": run_of("redshift")}, data)


@built
def test_no_truth_one_class_and_few_samples_are_answers():
    run, data = run_of(), samples()
    for some in (data.take([]), data.take([0]), data.take([0, 1]), data.take(np.flatnonzero(data.column("label") == "star"))):
        with shown(af.EvaluationWidget(run, some)) as widget:
            if not len(some):
                assert widget.part == "test" and "no samples" not in widget.error
                continue
            made = widget.answer("judged/all/0")
            assert made["n"] == len(some) and np.sum(made["confusion"]) == len(some) and len(made["curves"]) == 3
            assert widget.answer("errors/all/0/0/balanced_accuracy/0")["bins"]
    unknown = make_toy_samples(5)
    unknown._columns = unknown._columns.set_column(unknown._columns.column_names.index("label"), "label", [["comet"] * 5])
    with shown(af.EvaluationWidget(run, unknown)) as widget:
        assert "has both a known 'label'" in widget.answer("judged/all/0")["none"]
        widget._handle_custom_msg({"type": "want", "key": "judged/all/99"}, [])
        assert widget.wait(30) and "no contender 99" in widget.sent[-1][0]["error"]


@built
@pytest.mark.browser
@pytest.mark.parametrize(("dark", "width"), [(False, 1024), (True, 1440)])
def test_a_click_and_a_key_select_in_every_view(dark, width):
    run, data = run_of(), samples()
    selection = Selection()
    widget, other = af.EvaluationWidget(run, data, selection, part="all", comparison=table_of(run, data)), af.SamplesWidget(data, selection)
    with chromium(width=width, height=1000, dark=dark) as browser:
        host = Host(browser, widget, dark)
        page = host.page
        host.until(lambda: page.locator("[data-card=errors] .af-bin").count() >= 5 and page.locator(".af-cell").count() == 9)
        browser.shot(page, f"evaluation-{'dark' if dark else 'light'}-{width}", full=True)
        made = widget.answer("judged/all/0")
        truth, said, rows = (values_of(made[n]) for n in ("truth", "said", "positions"))

        def chosen(test):
            host.settle()
            assert set(selection.ids) == set(data.object_ids[rows[test]])
            assert np.array_equal(from_bits(other.selected, len(data)), np.isin(np.arange(len(data)), rows[test]))

        page.locator(".af-cell").nth(1).click()
        chosen((truth == 0) & (said == 1))
        page.keyboard.press("ArrowDown")  # the cell clicked has the keyboard, also after everything was drawn anew
        page.keyboard.press("Enter")
        chosen((truth == 1) & (said == 1))
        page.locator(".af-cell").nth(8).click(modifiers=["Shift"])
        chosen(((truth == 1) & (said == 1)) | ((truth == 2) & (said == 2)))
        bins = page.locator("[data-card=reliability] .af-bin")
        bins.nth(0).focus()
        page.keyboard.press("Enter")
        chosen(values_of(made["reliability"][0]["at"]) == made["reliability"][0]["bins"][0]["bin"])
        page.get_by_label("The class").select_option(str(run.classes[2]))
        host.settle()
        slide = page.get_by_label(f"How many to take for {run.classes[2]}")
        slide.focus()
        page.keyboard.press("ArrowRight")
        chosen(values_of(made["curves"][2]["at"]) <= 1)
        assert "ROC" in host.text() and "trees" in host.text() and f"n = {made['n']}" in host.text()
        page.get_by_role("button", name="Select wrong").click()
        chosen(truth != said)
        page.keyboard.press("Escape")
        chosen(np.zeros(len(rows), dtype=bool))
        browser.shot(page, f"evaluation-class-{'dark' if dark else 'light'}-{width}", full=True)
        assert browser.errors == [] and browser.foreign == []
        host.close()
    widget.close()
    other.close()


@built
@pytest.mark.browser
def test_points_are_taken_by_box_by_key_and_named():
    run, data = run_of("redshift"), samples()
    widget = af.EvaluationWidget(run, data, part="all")
    with chromium(width=1024, height=1000) as browser:
        host = Host(browser, widget)
        page = host.page
        host.until(lambda: page.locator(".af-points").count() == 2 and page.locator(".af-bin").count() > 3)
        canvas = page.locator(".af-points").first
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + 2, box["y"] + 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=4)
        page.mouse.up()
        host.settle()
        assert len(widget.selection.ids) == widget.answer("judged/all/0")["n"]
        canvas.focus()
        page.keyboard.press("ArrowRight")
        host.settle()
        lowest = data.object_ids[np.argmin(data.column("redshift"))]
        assert widget.selection.focus == lowest
        page.keyboard.press("Enter")
        host.settle()
        assert widget.selection.ids == (str(lowest),)
        browser.shot(page, "evaluation-redshift", full=True)
        empty = Host(browser, af.EvaluationWidget(run, data.take([])))
        empty.pump(0.3)
        assert "No samples" in empty.text()
        assert browser.errors == []
