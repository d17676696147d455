"""Plots of responses and contributions: what is drawn is what the results say."""

import explain_cases as cases
import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab import explain
from astrofuse_lab.errors import InputError
from astrofuse_lab.training.ensembles import Ensemble

hv = pytest.importorskip("holoviews")


def figure(element):
    from bokeh.models import Plot

    (found,) = hv.render(element, backend="bokeh").select({"type": Plot})
    return found


def curves(element):
    return {one.label: np.array([one.dimension_values(0), one.dimension_values(1)]) for one in element.traverse(lambda e: e, [hv.Curve]) if type(one) is hv.Curve}


@pytest.fixture(scope="module")
def pair():
    return Ensemble([cases.trained("late_fusion"), cases.trained("joint_attention")])


def test_a_line_a_sample_with_the_band_of_the_members(pair):
    found = explain.respond(pair, cases.samples().take([0, 1, 2]), modality="image", factors=(0.25, 1, 4))
    drawn = af.plot.response(found)
    lines = curves(drawn)
    assert list(lines) == [f"{i} ({t})" for i, t in zip(found.object_ids, found.target, strict=True)]
    for i, line in enumerate(lines.values()):
        np.testing.assert_allclose(line, [[0.25, 1, 4], found.likely.mean(0)[:, i]])
    band = drawn.traverse(lambda e: e, [hv.Area])[0]
    np.testing.assert_allclose(band.dimension_values(2) - band.dimension_values(1), 2 * found.likely.std(0)[:, 0], atol=1e-12)
    plot = figure(drawn)
    assert plot.yaxis[0].axis_label.startswith("probability of") and plot.xaxis[0].axis_label == "image, times"
    assert "2 members" in plot.title.text and "practice sky" in plot.title.text
    assert plot.x_range.start > 0.2 and plot.x_range.end < 5
    assert figure(af.plot.response(found, scores=True)).yaxis[0].axis_label == "log odds"


def test_many_samples_are_their_targets_mean_and_several_inputs_share_an_axis(pair):
    samples = cases.samples().take(np.arange(20))
    found = explain.respond(pair, samples, modality="spectrum", factors=(0.5, 1, 2))
    targets = np.array(found.target)
    lines = curves(af.plot.response(found))
    assert len(lines) == len(set(targets))
    name = targets[0]
    np.testing.assert_allclose(lines[f"{name} (n = {(targets == name).sum()})"][1], found.likely.mean(0)[:, targets == name].mean(1))
    other = explain.respond(pair, samples, column="mag_g", factors=(0.5, 1, 2))
    assert list(curves(af.plot.response([found, other]))) == ["spectrum", "mag g"]
    number = explain.respond(cases.trained("late_fusion", "redshift"), samples, column="mag_g")
    assert figure(af.plot.response(number)).yaxis[0].axis_label == "redshift"
    with pytest.raises(InputError, match=r"af\.explain\.respond"):
        af.plot.response([])
    with pytest.raises(InputError, match="side by side"):
        af.plot.response([found, number])


def test_contributions_are_drawn_with_their_intervals(pair):
    worth = explain.contributions(pair, cases.samples(), resamples=50)
    plot = figure(af.plot.contributions(worth))
    said = [t for r in plot.renderers if "said" in r.data_source.data for t in r.data_source.data["said"]]
    assert said == [f"{row['metric_shapley']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" for row in worth.total]
    assert plot.xaxis[0].axis_label == "share of balanced accuracy"
    with pytest.raises(InputError, match="contributions"):
        af.plot.contributions(worth.total)
