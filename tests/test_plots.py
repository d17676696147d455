"""Plots: each renders to a Bokeh figure with axes, units and ranges a person can read."""

import numpy as np
import pytest
from astropy.table import Table
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.modalities import LightCurve, Spectrum
from astrofuse_lab.widgets.plot_runs import wilson
from astrofuse_lab.widgets.plotting import stretches

hv = pytest.importorskip("holoviews")


@pytest.fixture(scope="module")
def sample():
    samples = make_toy_samples(40)
    has = np.all([samples.present(m) for m in ("image", "spectrum", "light_curve")], axis=0)
    return samples[int(np.flatnonzero(has)[0])]


@pytest.fixture(scope="module")
def run():
    return af.train("late_fusion", make_toy_samples(90), target="label", modalities=["spectrum", "table"], epochs=3, progress=False)


@pytest.fixture(scope="module")
def tested():
    return make_toy_samples(60, seed=5)


def figures(element):
    from bokeh.models import Plot

    return list(hv.render(element, backend="bokeh").select({"type": Plot}))


def figure(element):
    found = figures(element)
    assert len(found) == 1
    return found[0]


def labels(plot):
    return [axis.axis_label for axis in plot.xaxis], [axis.axis_label for axis in plot.yaxis]


def test_spectrum_has_units_gaps_lines_and_a_rest_axis(sample):
    from bokeh.models import BoxAnnotation

    plot = figure(af.plot.spectrum(sample, redshift=0.25))
    across, up = labels(plot)
    assert set(across) == {"observed vacuum wavelength (Å)", "rest wavelength (Å)"}
    assert up == ["flux density (10⁻¹⁷ erg s⁻¹ cm⁻² Å⁻¹)"]
    one = sample["spectrum"]
    hatched = plot.select({"type": BoxAnnotation, "name": "masked"})
    assert len(list(hatched)) == len(stretches(~one.mask)) > 0
    rest = plot.extra_x_ranges["rest"]
    assert rest.start == pytest.approx(plot.x_range.start / 1.25)
    words = [t for r in plot.renderers if "line" in r.data_source.data for t in r.data_source.data["line"]]
    assert "[O II]" in words and "Hα" not in words  # 3728.48 × 1.25 = 4660 Å is inside 4000 to 6200 Å, Hα is not


def test_spectrum_takes_the_redshift_of_the_sample_or_none(sample):
    assert f"z = {sample.columns['redshift']:.4g}" in figure(af.plot.spectrum(sample)).title.text
    bare = figure(af.plot.spectrum(sample["spectrum"]))
    assert labels(bare)[0] == ["observed vacuum wavelength (Å)"]
    with pytest.raises(InputError, match="above -1"):
        af.plot.spectrum(sample, redshift=-3)


def test_a_spectrum_that_is_all_masked_still_draws():
    wave = np.linspace(4000, 5000, 20)
    nothing = Spectrum(wave, np.full(20, np.nan), np.zeros(20), np.zeros(20, dtype=bool))
    assert figure(af.plot.spectrum(nothing)).y_range.end > 0


def test_light_curve_magnitudes_are_upside_down_and_right(sample):
    flux = figure(af.plot.light_curve(sample))
    assert labels(flux) == (["time, MJD (UTC)"], ["flux density (µJy)"])
    one = LightCurve(np.array([1.0, 2, 3]), np.array([3631.0, 36.31, 1.0]), np.array([36.31, 1.0, 1.0]), np.array(["r", "r", "r"]), np.ones(3, dtype=bool))
    plot = figure(af.plot.light_curve(one, magnitudes=True))
    assert plot.y_range.start > plot.y_range.end
    points = next(r.data_source.data for r in plot.renderers if len(r.data_source.data.get("brightness", [])) == 2)
    # 3631 µJy is 15.000 mag on the AB scale, 36.31 µJy is 20.000 (Oke & Gunn 1983: 3631 Jy is 0)
    np.testing.assert_allclose(sorted(points["brightness"]), [15.0, 20.0], atol=1e-3)
    limits = next(r.data_source.data for r in plot.renderers if len(r.data_source.data.get("brightness", [])) == 1)
    assert limits["brightness"][0] == pytest.approx(23.9 - 2.5 * np.log10(3.0))


def test_light_curve_phase_and_bad_input(sample):
    plot = figure(af.plot.light_curve(sample, period=2.0))
    assert plot.x_range.start >= -0.2 and plot.x_range.end <= 1.2
    with pytest.raises(InputError, match="positive number of days"):
        af.plot.light_curve(sample, period=0)
    counts = LightCurve(np.array([1.0]), np.array([5.0]), np.array([1.0]), np.array(["g"]), np.ones(1, dtype=bool), unit="count / s")
    with pytest.raises(InputError, match="count / s"):
        af.plot.light_curve(counts, magnitudes=True)


def test_image_is_north_up_and_east_left():
    from astrofuse_lab.modalities import Image

    flux = np.zeros((1, 8, 8))
    flux[0, 7, 0] = 100.0  # last row is north, first column is east (CDELT1 < 0)
    plot = figure(af.plot.image(Image(flux, np.ones(flux.shape, dtype=bool), ("r",), {}, 0.5)))
    assert plot.x_range.start > plot.x_range.end
    assert labels(plot) == (["Δα cos δ (arcsec)"], ["Δδ (arcsec)"])
    data = next(r.data_source.data for r in plot.renderers)
    drawn = np.asarray(data["image"][0])
    row, column = np.unravel_index(np.nanargmax(drawn), drawn.shape)
    # Bokeh draws row 0 at the bottom (south) and column 0 at data["x"], the lowest Δα (west)
    assert (row, column) == (7, 7)
    assert data["x"][0] == pytest.approx(-2.0)


def test_image_bands(sample):
    from astrofuse_lab.modalities import Image

    assert " r" in figure(af.plot.image(sample)).title.text
    assert " g" in figure(af.plot.image(sample, band="g")).title.text
    flux = np.random.default_rng(0).normal(size=(4, 6, 6))
    colour = figure(af.plot.image(Image(flux, np.ones(flux.shape, dtype=bool), ("g", "r", "i", "z"), {}, 0.3)))
    assert colour.title.text == "z i r"
    with pytest.raises(InputError, match="no band 'K'; it has g, r"):
        af.plot.image(sample, band="K")


def test_what_a_sample_lacks_is_named(sample):
    from dataclasses import replace

    bare = replace(sample, modalities={**sample.modalities, "spectrum": None})
    with pytest.raises(InputError, match="has no spectrum; it has image"):
        af.plot.spectrum(bare)
    with pytest.raises(InputError, match="not int"):
        af.plot.image(3)


def test_coverage_counts_each_combination_once(tested):
    bars, dots = sorted(figures(af.plot.coverage(tested)), key=lambda f: not f.title.text)
    words = next(r.data_source.data["text"] for r in bars.renderers if "text" in r.data_source.data)
    present = np.stack([tested.present(m) for m in tested.modalities], axis=1)
    counts = np.unique(present, axis=0, return_counts=True)[1]
    assert [int(w) for w in words] == sorted(counts.tolist(), reverse=True)
    assert "60 objects" in bars.title.text and "practice sky" in bars.title.text
    assert dots.yaxis[0].major_label_overrides
    # an UpSet plot: a line joins the outermost modalities of each combination of several
    (lines,) = [r.data_source.data for r in dots.renderers if "x1" in r.data_source.data]
    several = np.unique(present, axis=0)
    assert len(lines["x1"]) == (several.sum(axis=1) > 1).sum()
    first = several[np.argsort(-counts, kind="stable")][0]
    assert {lines["modality"][0], lines["y1"][0]} == {len(first) - 1 - np.flatnonzero(first)[k] for k in (0, -1)}
    with pytest.raises(InputError, match="nothing to cover"):
        af.plot.coverage(tested[:0])
    with pytest.raises(InputError, match="1 or more"):
        af.plot.coverage(tested, most=0)


def test_learning_curve_marks_the_kept_epoch(run):
    metric, loss = sorted(figures(af.plot.learning_curve(run)), key=lambda f: f.yaxis[0].axis_label)
    assert labels(loss) == (["epoch"], ["loss"])
    assert labels(metric)[1] == [f"{run.history.meta['metric'].replace('_', ' ')} (validation)"]
    assert "of 3" in metric.title.text


def test_confusion_counts_every_known_sample(run, tested):
    plot = figure(af.plot.confusion(run, tested))
    heat = next(r.data_source.data for r in plot.renderers if "count" in r.data_source.data)
    known = tested.present("spectrum") | tested.present("table")
    assert sum(int(n) for n in heat["count"]) == int(known.sum())
    assert plot.xaxis[0].axis_label == "predicted" and plot.yaxis[0].axis_label == "true"
    assert "balanced accuracy" in plot.title.text and "[" in plot.title.text and f"n = {int(known.sum())}" in plot.title.text


def test_calibration_and_wilson_interval(run, tested):
    plot = figure(af.plot.calibration(run, tested, bins=5))
    assert labels(plot) == (["highest probability"], ["share that is right"])
    # R: binom::binom.wilson(8, 10) gives 0.4901625 to 0.9433178
    low, high = wilson(np.array([8]), np.array([10]))
    assert (low[0], high[0]) == (pytest.approx(0.4901625, abs=1e-6), pytest.approx(0.9433178, abs=1e-6))
    with pytest.raises(InputError, match="at least 1"):
        af.plot.calibration(run, tested, bins=0)


def test_regression_has_calibration_but_no_confusion(tested):
    regression = af.train("late_fusion", make_toy_samples(60), target="redshift", modalities=["table"], epochs=2, progress=False)
    assert labels(figure(af.plot.calibration(regression, tested))) == (["true redshift"], ["predicted redshift"])
    with pytest.raises(InputError, match="calibration"):
        af.plot.confusion(regression, tested)


def compared():
    rows = [("fused", 0.91, 0.89, 0.93), ("image", 0.8, 0.77, 0.83), ("trees", 0.85, 0.8, 0.9), ("chance", 0.33, 0.33, 0.33)]
    table = Table(rows=rows, names=("model", "value", "low", "high"))
    table["metric"] = "balanced_accuracy"
    table.meta["simulated"] = True
    return table


def test_comparison_keeps_the_order_and_shows_intervals():
    plot = figure(af.plot.comparison(compared()))
    ticks = plot.yaxis[0].major_label_overrides
    assert [ticks[i] for i in (3, 2, 1, 0)] == ["fused", "image", "trees", "chance"]
    words = [t for r in plot.renderers for t in r.data_source.data.get("said", [])]
    assert "0.910 [0.890, 0.930]" in words
    assert "practice sky" in plot.title.text
    with pytest.raises(UnknownNameError, match="balanced_accuracy"):
        af.plot.comparison(compared(), metric="balanced_acuracy")
    with pytest.raises(InputError, match="no column"):
        af.plot.comparison(Table({"a": [1]}))


def test_embedding_colours_classes_and_numbers(run, tested):
    embedding = af.explain.embed(run, tested, method="pca")
    plot = figure(af.plot.embedding(embedding))
    assert labels(plot) == (["PCA 1"], ["PCA 2"])
    assert [item.label.value for item in plot.legend[0].items] == ["galaxy", "quasar", "star"]
    number = figure(af.plot.embedding(embedding, "spectrum", color=tested.column("redshift")))
    assert f"{int(tested.present('spectrum').sum())} of 60" in number.title.text
    with pytest.raises(UnknownNameError):
        af.plot.embedding(embedding, "sound")
    with pytest.raises(InputError, match="3 values for 60 samples"):
        af.plot.embedding(embedding, color=[1, 2, 3])


def test_elements_compose(sample):
    layout = (af.plot.image(sample) + af.plot.spectrum(sample) + af.plot.light_curve(sample)).cols(2)
    assert len(figures(layout)) == 3


def test_every_plot_has_no_ground_of_its_own_and_follows_the_theme_once(sample, run, tested):
    from bokeh.models import CustomJS

    plots = [
        af.plot.spectrum(sample), af.plot.light_curve(sample), af.plot.image(sample), af.plot.coverage(tested), af.plot.learning_curve(run),
        af.plot.confusion(run, tested), af.plot.calibration(run, tested), af.plot.embedding(af.explain.embed(run, tested, method="pca")),
    ]  # fmt: skip
    for plot in plots:
        for one in figures(plot):
            assert one.border_fill_color is None and one.background_fill_color is None
            assert len([c for c in one.js_property_callbacks["change:inner_width"] if isinstance(c, CustomJS) and "inks" in c.args]) == 1


def test_colours_on_dark_are_legible():
    from astrofuse_lab.widgets.colours import BAND_COLOURS
    from astrofuse_lab.widgets.plot_theme import INK, ON_DARK

    def light(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        return sum(w * (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4) for w, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))

    for text in ("#444444", INK):  # on JupyterLab's dark surfaces, #111111 and #212121 (WCAG 2: 4.5 to 1)
        assert all((light(ON_DARK[text]) + 0.05) / (light(ground) + 0.05) > 4.5 for ground in ("#111111", "#212121"))
    for band in BAND_COLOURS.values():  # marks and lines: 3 to 1
        assert all((light(ON_DARK.get(band, band)) + 0.05) / (light(ground) + 0.05) > 3 for ground in ("#111111", "#212121"))


def test_plots_side_by_side_are_no_wider_than_their_page(sample, run, tested):
    from astrofuse_lab.widgets.hosting import width_of

    for plot, wide in ((af.plot.learning_curve(run), 760), (af.plot.coverage(tested), 560), (af.plot.confusion(run, tested) + af.plot.calibration(run, tested), 980)):
        drawn = hv.render(plot, backend="bokeh")
        assert width_of(drawn) == wide and drawn.sizing_mode == "stretch_width"
        for one in figures(plot):
            assert one.sizing_mode == "stretch_width" and one.max_width == one.width and 0 < one.min_width <= 240
    for plot in (af.plot.spectrum(sample), af.plot.light_curve(sample), af.plot.image(sample), af.plot.confusion(run, tested)):
        alone = figure(plot)
        assert alone.sizing_mode == "fixed" and alone.width <= 592  # what a notebook's cell has of 1024 px beside the file browser
    wide = hv.render(af.plot.image(sample) + af.plot.spectrum(sample).opts(width=900), backend="bokeh")  # what the user says holds
    assert width_of(wide) == 330 + 900
