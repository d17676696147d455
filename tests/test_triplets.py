"""Simulated alert triplets: what was drawn is what the stamps show."""

import numpy as np
import pytest

from astrofuse_lab import surveys
from astrofuse_lab.samples import simulated_triplets
from astrofuse_lab.surveys.simulators import triplets
from astrofuse_lab.surveys.simulators.image_pairs import KX, seeing
from astrofuse_lab.surveys.simulators.triplets import BOGUS, MIDDLE, REAL, WIDE, Triplets
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Target, Targets


@pytest.fixture(scope="module")
def drawn():
    """Some of each kind, as drawn."""
    found = {}
    for seed in range(160):
        fields = Triplets().draw(np.random.default_rng(seed), {"real": 0.5})
        found.setdefault(str(fields["kind"]), []).append(fields)
    return found


def noise_of(plane):
    return 1.4826 * np.median(np.abs(plane - np.median(plane)))


def test_every_kind_comes(drawn):
    assert set(drawn) == {*REAL, *BOGUS}
    share = sum(len(drawn[kind]) for kind in REAL) / sum(map(len, drawn.values()))
    assert 0.38 < share < 0.62  # three standard deviations of 160 draws


def test_kernel_brings_one_psf_to_the_other():
    sharp, wide = seeing(1.8), seeing(2.6)
    point = np.fft.irfft2(triplets.at(0, 0) * sharp, (WIDE, WIDE))
    matched = triplets.smoothed(point, triplets.kernel(sharp, wide))
    expected = np.fft.irfft2(triplets.at(0, 0) * wide, (WIDE, WIDE))
    np.testing.assert_allclose(matched, expected, atol=2e-4 * expected.max())
    assert triplets.kernel(wide, sharp).max() <= 1.05
    assert triplets.moved(0, 0).shape == KX.shape and np.allclose(triplets.moved(1.5, 0) * triplets.moved(-1.5, 0), 1)


def test_sources_lie_in_the_middle_and_are_positive(drawn):
    for kind in REAL:
        bright = [one for one in drawn[kind] if one["snr"] > 15]
        assert bright
        for fields in bright:
            difference = fields["flux"][2] - np.median(fields["flux"][2])
            middle = difference[MIDDLE - 3 : MIDDLE + 4, MIDDLE - 3 : MIDDLE + 4]
            y, x = np.unravel_index(np.argmax(middle), middle.shape)
            assert max(abs(y - 3), abs(x - 3)) <= 2 and middle.max() > 3 * noise_of(difference)


def test_a_transient_has_the_flux_that_its_signal_to_noise_says():
    """snr = flux sqrt(sum psf^2) / noise, for sky noise alone: the difference of two draws with one random stream, with and without it, is the source."""
    ratios = []
    for seed in range(400):
        fields = Triplets().draw(np.random.default_rng(seed), {"real": 1.0})
        if fields["kind"] == "transient" and fields["snr"] > 40 and fields["mask"].all():
            plane = fields["flux"][2].astype(float)
            inside = np.hypot(*np.mgrid[-MIDDLE : MIDDLE + 1, -MIDDLE : MIDDLE + 1]) < 7
            flux = (plane - np.median(plane[~inside]))[inside].sum()
            point = np.fft.irfft2(triplets.at(0, 0) * seeing(fields["fwhm_science"], 1.07), (WIDE, WIDE))
            ratios.append(flux * np.sqrt((point**2).sum()) / fields["noise"] / fields["snr"])
    assert len(ratios) > 15 and np.median(ratios) == pytest.approx(1.0, abs=0.12)


def test_artefacts_look_like_what_they_are(drawn):
    def core(fields, plane):
        stamp = fields["flux"][plane]
        return stamp[MIDDLE - 4 : MIDDLE + 5, MIDDLE - 4 : MIDDLE + 5] - np.median(stamp)

    column = [one["flux"][0].mean(axis=0) for one in drawn["column"]]
    assert np.mean([np.argmax(one[MIDDLE - 2 : MIDDLE + 3] - np.median(one)) in (1, 2, 3) for one in column]) > 0.8
    lowest = {kind: np.median([core(one, 2).min() / core(one, 2).max() for one in drawn[kind] if np.isfinite(core(one, 2)).all()]) for kind in ("dipole", "transient")}
    assert lowest["dipole"] < lowest["transient"] - 0.1
    # a cosmic ray is sharper than the PSF: most of its light in the pixels of the ray
    sharp = {kind: np.median([np.sort(np.abs(core(one, 2)).ravel())[-3:].sum() / np.abs(core(one, 2)).sum() for one in drawn[kind]]) for kind in ("cosmic_ray", "transient")}
    assert sharp["cosmic_ray"] > sharp["transient"]
    # noise has no source: nothing in the science stamp stands out at its place as in a transient's
    assert all(not np.isfinite(one["snr"]) for kind in BOGUS for one in drawn[kind])


def test_surveys_of_the_stream_tell_of_one_event():
    targets = Targets([Target("a", 0.0, 0.0), Target("b", 0.0, 0.0)])
    said = {}
    for name in ("practice/triplet", "practice/triplet_table"):
        survey = surveys.get(name)
        assert survey.simulated
        said[name] = {target: product for raw in survey.query(targets, Ask(options={"seed": 3})) for target, product in survey.read(raw)}
    fields = Triplets().draw(Triplets().rng("b", 3), {"real": 0.5})
    image, row = said["practice/triplet"]["b"], said["practice/triplet_table"]["b"]
    np.testing.assert_array_equal(image.flux[image.mask], fields["flux"][fields["mask"]])
    assert row.values["kind"] == str(fields["kind"]) and row.values["real_bogus"] == ("real" if row.values["kind"] in REAL else "bogus")


def test_the_set_fits_the_published_network():
    samples = simulated_triplets.make(20, 1, False)
    assert samples.simulated and samples.spec("image").layout() == ("image", ("science", "reference", "difference"), (3, 63, 63), "DN")
    assert set(samples.column("real_bogus")) == {"real", "bogus"} and samples.inputs == ()
    again = simulated_triplets.make(20, 1, False)
    np.testing.assert_array_equal(samples.arrays("image")["flux"], again.arrays("image")["flux"])
    other = simulated_triplets.make(20, 2, False)
    assert not np.array_equal(samples.arrays("image")["flux"], other.arrays("image")["flux"])
