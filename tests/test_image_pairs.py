"""TransiNet's pairs: what is drawn beside its formulas, the matched subtraction beside kernels that are known, detections on hand-worked cases, real pairs."""

import numpy as np
import pytest
from scipy import ndimage, signal, special

import astrofuse_lab as af
from astrofuse_lab import surveys
from astrofuse_lab.alignment.subtraction import basis, matched_difference, plain_difference
from astrofuse_lab.errors import InputError, SampleSetError
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples import simulated_image_pairs
from astrofuse_lab.surveys.simulators import image_pairs
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Target, Targets
from astrofuse_lab.training.metrics_detections import Detections, Peaks, matched, of_images, peaks, precision_recall, recall_at


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTROFUSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return af.load_samples("practice-image-pairs", n=24, seed=3, progress=False)


# ---- what is drawn --------------------------------------------------------------------------------------------------


def test_the_seeing_has_the_width_it_says():
    plane = image_pairs.seen(image_pairs.at(0.0, 0.0), image_pairs.seeing(6.0) / image_pairs.PIXEL)
    assert plane.sum() == pytest.approx(1.0, abs=0.02) and np.unravel_index(plane.argmax(), plane.shape) == (31, 31)
    along = np.interp(np.arange(0, 10, 0.01), np.arange(32), plane[31, 31:])
    assert 2 * 0.01 * np.argmax(along < plane.max() / 2) == pytest.approx(6.0, rel=0.02)


def test_galaxies_are_exponential_discs():
    radius = 4.0
    plane = image_pairs.seen(image_pairs.at(0.0, 0.0) * image_pairs.galaxy(radius, 0.5, 1.0, 0.0), np.exp(-((np.hypot(image_pairs.KX, image_pairs.KY) * 5.0) ** 2)))
    y, x = np.mgrid[:63, :63] - 31
    away = (np.hypot(x, y) > 8) & (np.hypot(x, y) < 20)
    slope = np.polyfit(np.hypot(x, y)[away], np.log(plane[away]), 1)[0]
    assert slope == pytest.approx(-1 / radius, rel=0.03)
    # nu = -0.6: (r / 2)^nu K_nu(r), Spergel's equation 3
    shown = image_pairs.seen(image_pairs.at(0.0, 0.0) * image_pairs.galaxy(radius, -0.6, 1.0, 0.0), np.exp(-((np.hypot(image_pairs.KX, image_pairs.KY) * 5.0) ** 2)))
    profile = (np.array([16, 8]) / radius / 2) ** -0.6 * special.kv(0.6, np.array([16, 8]) / radius)
    assert shown[31, 31 + 16] / shown[31, 31 + 8] == pytest.approx(profile[0] / profile[1], rel=0.05)


def test_a_pair_differs_by_its_transient_where_nothing_else_differs():
    survey = surveys.get("practice/image_pair_science")
    rng = survey.rng("here", 0)
    drawn = survey.draw(rng, {"shift": 0.3, "transients": 1.0, "cosmic_rays": 0.0})
    assert drawn["has_transient"] and drawn["transient"].max() > 0 and (drawn["transient"] >= 0).all()
    y, x = np.unravel_index(drawn["transient"].argmax(), (63, 63))
    assert abs(x - 31 - drawn["x"]) <= 0.6 and abs(y - 31 - drawn["y"]) <= 0.6
    assert np.sqrt((drawn["transient"].astype(float) ** 2).sum()) == pytest.approx(drawn["snr"], rel=0.02)
    none = survey.draw(survey.rng("here", 0), {"shift": 0.3, "transients": 0.0, "cosmic_rays": 0.0})
    assert not none["transient"].any() and np.isnan(none["x"]) and not none["on_host"]


def test_surveys_of_the_stream_tell_of_the_same_pair():
    targets, ask = Targets([Target(f"p{i}", 0.0, 0.0) for i in range(3)]), Ask(options={"seed": 2})
    read = {name: dict(one.read(next(one.query(targets, ask)))) for name in ("reference", "science", "transient", "table") for one in [surveys.get(f"practice/image_pair_{name}")]}
    for name in targets.ids:
        fields = image_pairs.SCIENCE.draw(image_pairs.SCIENCE.rng(name, 2), image_pairs.ImagePairs.options)
        assert all(np.array_equal(read[one][name].flux[0], fields[one]) and read[one][name].provenance.simulated for one in ("reference", "science", "transient"))
        assert read["table"][name].values["has_transient"] == bool(fields["has_transient"])


# ---- subtraction ----------------------------------------------------------------------------------------------------


def field(seed=0, n=30):
    rng = np.random.default_rng(seed)
    stars = np.zeros((70, 70))
    stars[rng.integers(3, 67, n), rng.integers(3, 67, n)] = rng.uniform(50, 2000, n)
    return ndimage.gaussian_filter(stars, 1.1), rng


def test_a_known_kernel_is_found_and_subtracted():
    reference, _ = field()
    kernel = np.tensordot([0.5, 0.3, -0.1], basis(7)[[0, 15, 1]], 1)
    science = signal.convolve2d(np.pad(reference, 7, mode="edge"), kernel, mode="valid") + 12.0
    done = matched_difference(science, reference, photons=0.0)
    assert np.nanmax(np.abs(done.image)) < 1e-6 * science.max()
    assert done.kernel == pytest.approx(kernel, abs=1e-6) and done.scale == pytest.approx(kernel.sum()) and done.sky == pytest.approx(12.0, abs=1e-3)
    assert np.isnan(done.image[:7]).all() and np.isfinite(done.image[7:-7, 7:-7]).all()


def test_a_transient_survives_where_a_plain_difference_drowns_it():
    reference, rng = field()
    science = 1.1 * ndimage.shift(ndimage.gaussian_filter(reference, 1.0), (0.3, -0.2)) + rng.normal(0, 1, reference.shape)
    new = np.zeros_like(science)
    new[40, 25] = 1.0
    science += 120 * ndimage.gaussian_filter(new, 1.5)
    done = matched_difference(science, reference + rng.normal(0, 0.3, reference.shape), photons=0.0)
    best = peaks(done.significance, sigma=1.2)
    assert (round(best.x[0] + 34.5), round(best.y[0] + 34.5)) == (25, 40)
    plain = peaks(plain_difference(science, reference), sigma=1.2)
    assert (round(plain.x[0] + 34.5), round(plain.y[0] + 34.5)) != (25, 40)


def test_what_cannot_be_subtracted_is_refused():
    with pytest.raises(InputError, match=r"\(9, 9\).*at least 28 pixels"):
        matched_difference(np.zeros((9, 9)), np.zeros((9, 9)))
    with pytest.raises(InputError, match="smaller half=7"):
        matched_difference(np.full((40, 40), np.nan), np.zeros((40, 40)))


# ---- detections -----------------------------------------------------------------------------------------------------


def test_peaks_are_the_highest_pixels_around():
    image = np.zeros((21, 21))
    image[4, 6], image[5, 7], image[15, 10], image[10, 18] = 5.0, 4.0, 9.0, np.nan
    found = peaks(image)
    assert found.height.tolist() == [9.0, 5.0] and found.x.tolist() == [0.0, -4.0] and found.y.tolist() == [5.0, -6.0]
    assert peaks(np.zeros((9, 9))).height.size == 0 and len(peaks(image, apart=0).height) == 3 and len(peaks(image, most=1).height) == 1


def test_precision_and_recall_by_hand():
    none = np.zeros(0)
    found = [Peaks(np.array([0.0, 1.0, 9.0]), np.zeros(3), np.array([8.0, 5.0, 7.0])), Peaks(np.array([3.0]), np.zeros(1), np.array([6.0])), Peaks(none, none, none)]
    # the first image has its source at 0 and a second peak beside it that is the same source; the second has none; the third's is missed
    one = matched(found, np.array([0.5, np.nan, 2.0]), np.array([0.0, np.nan, 2.0]))
    assert one.sources == 2 and one.height.tolist() == [8.0, 7.0, 6.0] and one.true.tolist() == [True, False, False] and one.image.tolist() == [0, 0, 1]
    table = precision_recall(one)
    assert table["recall"].tolist() == [0.5, 0.5, 0.5] and table["precision"].tolist() == [1.0, 0.5, 1 / 3] and table["false_per_source"].tolist() == [0.0, 0.5, 1.0]
    assert recall_at(one, 0.9) == (0.5, 8.0) and recall_at(Detections(np.array([1.0]), np.array([False]), np.array([0]), 1), 0.5) == (0.0, np.inf)
    twice = of_images(one, np.array([0, 0, 2]), np.array([True, False, True]))
    assert twice.sources == 3 and twice.height.tolist() == [8.0, 7.0, 8.0, 7.0]
    with pytest.raises(InputError, match="3 images with peaks, but 2"):
        matched(found, np.zeros(2), np.zeros(2))


# ---- the network, trained and asked ---------------------------------------------------------------------------------


def test_the_narrow_network_learns_from_pairs_and_its_run_is_kept(pairs, tmp_path):
    encoders = {"image": Part.of("layers", layers=[["encoder_decoder", 0.0156]], project=False)}
    recipe = af.get_recipe("transinet_small")
    recipe = recipe.change(encoders={**recipe.encoders, **encoders}, schedule=Part.of("end_to_end", epochs=3, batch_size=4, learning_rate=3e-3))
    run = af.train(recipe, pairs, seed=0, device="cpu", progress=False)
    assert run.held.means is None  # a covariance of 5,462 numbers would be larger than the network
    losses = list(run.history["train_loss"])
    assert losses[-1] < losses[0] and run.task == "self_supervised" and run.simulated
    again = af.Run.open(run.save(tmp_path / "run"), device="cpu")
    made = run.extras(pairs)["reconstruction"]
    assert made.shape == (24, 1, 63, 63) and np.array_equal(made, again.extras(pairs)["reconstruction"])
    assert {"flux"} <= set(pairs.arrays("transient")) and {name for name, role in pairs.roles.items() if role == "target"} == {"has_transient"}


@pytest.mark.real
def test_real_pairs_are_in_units_of_their_noise_and_on_one_scale(mirror):
    pairs = simulated_image_pairs.of_alerts(af.load_samples("ztf-alerts", mirror=mirror, progress=False), limit=40)
    assert len(pairs) == 40 and not pairs.simulated and set(pairs.modalities) == {"reference", "science", "difference", "transient"} and not pairs.present("transient").any()
    noise = 1.4826 * np.median(np.abs(pairs.arrays("science")["flux"][:, 0]), axis=(1, 2))
    assert noise == pytest.approx(1.0, abs=1e-3)
    assert np.median(np.asarray(pairs.column("flux_scale"))) == pytest.approx(1.0, abs=0.1)


def test_flux_scales_are_found_and_alerts_without_stamps_refused():
    reference, rng = field(3)
    assert simulated_image_pairs.flux_scale(1.3 * ndimage.gaussian_filter(reference, 0.8) + rng.normal(0, 1, reference.shape), reference) == pytest.approx(1.3, rel=0.07)
    assert simulated_image_pairs.flux_scale(rng.normal(0, 1, (40, 40)), rng.normal(0, 1, (40, 40))) == 1.0
    from conftest import make_toy_samples

    with pytest.raises((SampleSetError, InputError)):
        simulated_image_pairs.of_alerts(make_toy_samples(3))
