"""Plots of scores: what is drawn is what the tables say, with their intervals."""

import numpy as np
import pytest
import sklearn.metrics as sk
from astropy.table import Table
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.widgets.plot_scores import BAD, GREY
from astrofuse_lab.widgets.plotting import ACCENT

hv = pytest.importorskip("holoviews")
QUICK = {"progress": False, "device": "cpu", "epochs": 3}


def figures(element):
    from bokeh.models import Plot

    return list(hv.render(element, backend="bokeh").select({"type": Plot}))


def figure(element):
    (found,) = figures(element)
    return found


def column(plot, name):
    return [r.data_source.data[name] for r in plot.renderers if name in r.data_source.data]


@pytest.fixture(scope="module")
def samples():
    return make_toy_samples(120, seed=2)


@pytest.fixture(scope="module")
def evaluated(samples):
    run = af.train("late_fusion", samples, "label", ["light_curve", "table"], split=samples.split(test=0.4), **QUICK)
    return af.evaluate(run, samples, by=["class", ("mag_g", 3)], subsets=True, early=(1.0, 10.0, 100.0), resamples=60)


@pytest.fixture(scope="module")
def spread(samples):
    from astrofuse_lab.recipes.catalogue import get_recipe

    run = af.train(get_recipe("late_fusion").change(head=af.Part("mixture_density")), samples, "redshift", ["table"], split=samples.split(test=0.4), **QUICK)
    return af.evaluate(run, samples, resamples=60)


def compared():
    rows = [
        ("fused", "a + b", 0.9, 0.85, 0.95, np.nan, np.nan, np.nan), ("a", "a", 0.8, 0.75, 0.85, 0.1, 0.05, 0.15),
        ("b", "b", 0.92, 0.9, 0.94, -0.02, -0.03, -0.01), ("trees", "a + b", 0.9, 0.8, 1.0, 0.0, -0.1, 0.1),
    ]  # fmt: skip
    table = Table(rows=rows, names=("model", "modalities", "value", "low", "high", "difference", "difference_low", "difference_high"))
    table["metric"] = "roc_auc"
    table.meta["simulated"] = True
    return table


def test_forest_tells_better_from_worse_from_unknown():
    plot = figure(af.plot.forest(compared()))
    ticks = plot.yaxis[0].major_label_overrides
    assert [ticks[i] for i in (2, 1, 0)] == ["a", "b", "trees"]
    assert [c for found in column(plot, "color") for c in found][:3] == [ACCENT, BAD, GREY]
    words = [t for found in column(plot, "said") for t in found]
    assert words == ["0.100 [0.050, 0.150]", "-0.020 [-0.030, -0.010]", "0.000 [-0.100, 0.100]"]
    assert plot.xaxis[0].axis_label == "difference in roc auc" and "practice sky" in plot.title.text
    with pytest.raises(InputError, match=r"not a table of af\.compare"):
        af.plot.forest(Table({"a": [1]}))


def test_subsets_and_subgroups_follow_their_tables(evaluated):
    plot = figure(af.plot.subsets(evaluated))
    words = [t for found in column(plot, "said") for t in found]
    rows = evaluated.meta["subsets"]
    assert words == [f"{r['value']:.3f} [{r['low']:.3f}, {r['high']:.3f}]" for r in rows] and len(words) == 3
    assert figure(af.plot.subsets(rows)).xaxis[0].axis_label == "balanced accuracy"
    plot = figure(af.plot.subgroups(evaluated))
    groups = evaluated.meta["subgroups"]
    ticks = plot.yaxis[0].major_label_overrides
    assert ticks[len(groups) - 1] == f"class: {groups['subgroup'][0]} (n = {groups['n'][0]})"
    worse = int((groups["difference_high"] < 0).sum())
    assert f"{worse} of {len(groups)} subgroups" in plot.title.text
    colours = [c for found in column(plot, "color") for c in found][: len(groups)]
    assert colours == [BAD if r["difference_high"] < 0 else ACCENT for r in groups]


def test_leaderboard_colours_kinds_and_marks_what_differs():
    table = Table({"name": ["ours", "forged", "trees", "shortcut: bands", "chance"], "kind": ["run", "run", "baseline", "baseline", "baseline"], "value": [0.9, 0.99, 0.8, 0.5, 0.33]})
    table["low"], table["high"], table["metric"], table["checked"] = table["value"] - 0.02, table["value"] + 0.02, "roc_auc", ["same", "differs", "same", "same", "same"]
    plot = figure(af.plot.leaderboard(table))
    ticks = plot.yaxis[0].major_label_overrides
    assert [ticks[i] for i in range(4, -1, -1)] == ["ours", "forged (differs)", "trees", "shortcut: bands", "chance"]
    assert [c for found in column(plot, "color") for c in found][:5] == [ACCENT, ACCENT, GREY, BAD, GREY]


def test_curves_have_bands_and_axes(evaluated):
    plot = figure(af.plot.early_times(evaluated))
    assert plot.xaxis[0].axis_label == "days since the first detection" and plot.yaxis[0].axis_label == "balanced accuracy"
    drawn = next(r.data_source.data for r in plot.renderers if "x" in r.data_source.data and len(r.data_source.data["x"]) == 3)
    assert list(drawn["x"]) == [1.0, 10.0, 100.0] and list(drawn["y"]) == pytest.approx(evaluated.meta["early"]["value"].tolist())
    rows = [(n, m, m, "roc_auc", 0.5 + n / 1000 * (m == "fused"), 0.4, 0.9) for n in (30, 100, 300) for m in ("fused", "table", "chance")]
    table = Table(rows=rows, names=("labels", "model", "modalities", "metric", "value", "low", "high"))
    plot = figure(af.plot.label_curve(table))
    assert [item.label.value for item in plot.legend[0].items] == ["fused", "table", "chance"]
    from bokeh.models import LogScale

    assert isinstance(plot.x_scale, LogScale) and plot.xaxis[0].axis_label == "labels to learn from"
    with pytest.raises(InputError, match="early"):
        af.plot.early_times(Table({"a": [1]}))


def test_roc_is_that_of_sklearn(evaluated):
    left, right = sorted(figures(af.plot.roc(evaluated, "star")), key=lambda f: f.xaxis[0].axis_label, reverse=True)
    if left.xaxis[0].axis_label != "false positive rate":
        left, right = right, left
    one = evaluated.meta["tested"]["late_fusion"]
    i = evaluated.meta["classes"].index("star")
    data = next(r.data_source.data for r in left.renderers if "rate" in r.data_source.data and len(r.data_source.data["rate"]) > 2)
    assert sk.auc(data["rate"], data["found"]) == pytest.approx(sk.roc_auc_score(one["truth"] == i, one["predicted"][:, i]))
    assert right.xaxis[0].axis_label == "completeness (recall)"
    every = figures(af.plot.roc(evaluated))
    assert any(len(f.legend) and [item.label.value for item in f.legend[0].items] == ["galaxy", "quasar", "star"] for f in every)
    with pytest.raises(UnknownNameError, match="star"):
        af.plot.roc(evaluated, "sta")


def test_purity_and_completeness_by_threshold(evaluated):
    plot = figure(af.plot.purity_completeness(evaluated, "star"))
    one, i = evaluated.meta["tested"]["late_fusion"], evaluated.meta["classes"].index("star")
    lines = {}
    for item in plot.legend[0].items:
        lines[item.label.value] = item.renderers[0].data_source.data
    at = 20
    threshold = lines["completeness"]["x"][at]
    taken = one["predicted"][:, i] >= threshold
    assert lines["completeness"]["y"][at] == pytest.approx(sk.recall_score(one["truth"] == i, taken))
    purity = dict(zip(lines["purity"]["x"], lines["purity"]["y"], strict=True))
    if taken.any():
        assert purity[threshold] == pytest.approx(sk.precision_score(one["truth"] == i, taken))
    assert lines["completeness"]["y"][0] == 1.0


def test_residuals_colour_outliers_in_units_of_one_plus_z(spread, samples):
    plots = figures(af.plot.residuals(spread, cut=0.02))
    one = spread.meta["tested"]["late_fusion"]
    scaled = (one["predicted"] - one["truth"]) / (1 + one["truth"])
    far = int((np.abs(scaled) > 0.02).sum())
    assert any(f"{far} of {len(scaled)} are outliers" in p.title.text for p in plots)
    drawn = next(p for p in plots if p.yaxis[0].axis_label == "Δz / (1 + z)")
    assert sum(len(v) for v in column(drawn, "error")) >= len(scaled)
    several = af.train("late_fusion", samples, ["ra", "dec"], ["table"], split=samples.split(test=0.4), **QUICK)
    table = af.evaluate(several, samples, resamples=20)
    assert any(p.yaxis[0].axis_label == "predicted less true" for p in figures(af.plot.residuals(table, "dec")))
    with pytest.raises(UnknownNameError, match="dec"):
        af.plot.residuals(table, "de")


def test_pit_counts_every_sample(spread, evaluated, samples):
    plot = figure(af.plot.pit(spread, bins=5))
    bars = next(r.data_source.data for r in plot.renderers if "top" in r.data_source.data and len(r.data_source.data["top"]) == 5)
    n = len(spread.meta["tested"]["late_fusion"]["pit"])
    assert sum(bars["top"]) == n and f"n = {n}" in plot.title.text and "distance from even" in plot.title.text
    with pytest.raises(InputError, match="is for regression"):
        af.plot.pit(evaluated)
    with pytest.raises(InputError, match="is for classification"):
        af.plot.roc(spread)
    with pytest.raises(InputError, match=r"takes a table of af\.evaluate"):
        af.plot.residuals(Table({"a": [1]}))
    point = af.evaluate(af.train("late_fusion", samples, "redshift", ["table"], split=samples.split(test=0.4), **QUICK), samples, resamples=20)
    with pytest.raises(InputError, match="no distribution"):
        af.plot.pit(point)


def test_every_plot_follows_the_theme(evaluated, spread):
    from bokeh.models import CustomJS

    plots = [
        af.plot.forest(compared()), af.plot.subsets(evaluated), af.plot.subgroups(evaluated), af.plot.early_times(evaluated), af.plot.roc(evaluated),
        af.plot.purity_completeness(evaluated), af.plot.residuals(spread), af.plot.pit(spread),
    ]  # fmt: skip
    for plot in plots:
        for one in figures(plot):
            assert one.border_fill_color is None and one.background_fill_color is None
            assert any(isinstance(c, CustomJS) and "inks" in c.args for c in one.js_property_callbacks["change:inner_width"])
