"""DeepStreaks: the simulated cutouts beside the physics they state, real backgrounds, the committee on hand-worked cases, and a narrow training."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage
from scipy.integrate import quad

import astrofuse_lab as af
from astrofuse_lab import surveys
from astrofuse_lab.errors import InputError, SampleSetError
from astrofuse_lab.modalities import Image
from astrofuse_lab.samples import simulated_streaks
from astrofuse_lab.surveys.simulators import streaks
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Target, Targets
from astrofuse_lab.training.committees import Committee, any_and_all


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTROFUSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return af.load_samples("practice-streaks", n=60, seed=3, progress=False)


# ---- what is drawn --------------------------------------------------------------------------------------------------


def test_a_streak_is_a_moving_point_source():
    length, angle, sigma, at = 17.0, 0.6, 1.3, (2.0, -3.0)
    made = streaks.line(length, angle, sigma, *at)
    for row, column in ((31, 31), (28, 35), (25, 40), (31, 45)):
        x, y = column - 31, row - 31

        def here(t, x=x, y=y):
            middle = at[0] + t * np.cos(angle), at[1] + t * np.sin(angle)
            return np.exp(-0.5 * ((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / sigma**2) / (2 * np.pi * sigma**2) / length

        assert made[row, column] == pytest.approx(quad(here, -length / 2, length / 2)[0], abs=1e-9)
    assert made.sum() == pytest.approx(1.0, abs=1e-3)
    assert streaks.line(0.01, angle, sigma) == pytest.approx(streaks.point(sigma), abs=1e-6)


def test_signal_to_noise_is_that_of_the_best_filter():
    rng = np.random.default_rng(0)
    signal = streaks.scaled(streaks.line(12.0, 1.0, 1.2), 9.0)
    filtered = [(signal * (signal + rng.normal(0, 1, signal.shape))).sum() / np.sqrt((signal**2).sum()) for _ in range(400)]
    assert np.mean(filtered) == pytest.approx(9.0, abs=0.2) and np.std(filtered) == pytest.approx(1.0, abs=0.12)


def drawn(kind, n=40):
    rng = np.random.default_rng(5)
    return [streaks.paint(rng, kind, 2.4) for _ in range(n)]


def test_each_kind_is_what_it_is_called():
    for signal, truth in drawn("satellite"):
        edge = np.concatenate([signal[0], signal[1:, -1], signal[-1, -2::-1], signal[-2:0:-1, 0]])  # once around
        assert ndimage.label(np.tile(edge > 0.02 * edge.max(), 2))[1] >= 3 and truth["length"] > 63  # it enters and leaves
    for signal, _ in drawn("dipole"):
        assert signal.max() > 0 > signal.min() and 0.3 < -signal.min() / signal.max() < 2
    for signal, truth in drawn("streak"):
        y, x = np.nonzero(signal > 0.5 * signal.max())
        spread = np.sqrt(np.linalg.eigvalsh(np.cov(np.stack([x, y])))) if len(x) > 3 else [0, 0]
        assert (signal >= 0).all() and 4 <= truth["length"] <= 45
        if truth["length"] > 15:
            assert spread[1] == pytest.approx(truth["length"] / np.sqrt(12), rel=0.15) and spread[0] < 1.5
    sharp = [np.abs(ndimage.laplace(s)).max() / s.max() for s, _ in drawn("cosmic_ray")]
    smooth = [np.abs(ndimage.laplace(s)).max() / s.max() for s, _ in drawn("streak")]
    assert np.median(sharp) > 3 * np.median(smooth)  # no PSF ever smoothed a cosmic ray
    wide = [np.abs(ndimage.laplace(s)).max() / s.max() for s, _ in drawn("ghost")]
    assert np.median(wide) < 0.7 * np.median(smooth)
    assert not drawn("noise")[0][0].any()
    with pytest.raises(InputError, match="kind='meteor'"):
        streaks.paint(np.random.default_rng(0), "meteor", 2.0)


def test_labels_are_those_of_the_three_tasks():
    said = {kind: tuple(streaks.labels(kind).values()) for kind in streaks.KINDS}
    assert said == {
        "streak": (True, True, True), "satellite": (True, False, False), "cosmic_ray": (True, True, False),
        "dipole": (False, None, False), "ghost": (False, None, False), "noise": (False, None, False),
    }  # fmt: skip


def test_enlarging_is_linear_between_the_centres_of_pixels():
    image = np.random.default_rng(1).normal(size=(63, 63))
    expected = ndimage.map_coordinates(image, np.meshgrid(*[(np.arange(144) + 0.5) * 63 / 144 - 0.5] * 2, indexing="ij"), order=1, mode="nearest")
    assert streaks.enlarged(image) == pytest.approx(expected, abs=1e-5)


def test_surveys_of_the_stream_tell_of_the_same_object():
    targets = Targets([Target(f"s{i}", 0.0, 0.0) for i in range(4)])
    image, table = (surveys.get(f"practice/streak_{name}") for name in ("image", "table"))
    ask = Ask(options={"kind": "satellite", "seed": 4})
    rows = dict(table.read(next(table.query(targets, ask))))
    planes = dict(image.read(next(image.query(targets, ask))))
    for name in targets.ids:
        fields = image.draw(image.rng(name, 4), {"kind": "satellite"})
        assert rows[name].values["kind"] == "satellite" and rows[name].values["snr"] == pytest.approx(float(fields["snr"]))
        assert isinstance(planes[name], Image) and planes[name].flux[0] == pytest.approx(streaks.enlarged(fields["stamp"])) and planes[name].provenance.simulated
    with pytest.raises(InputError, match="has no option 'kinds'"):
        next(image.query(targets, Ask(options={"kinds": "streak"})))


def test_the_set_says_that_it_is_simulated(samples):
    assert samples.simulated and "simulated" in samples.card.title and samples.spec("difference").shape == (1, 144, 144)
    assert {name for name, role in samples.roles.items() if role == "target"} == {"kind", "rb", "sl", "kd"} and not samples.inputs
    bogus = np.isin(samples.column("kind"), ("dipole", "ghost", "noise"))
    assert np.ma.getmaskarray(samples.column("sl")).tolist() == bogus.tolist()


# ---- real backgrounds -----------------------------------------------------------------------------------------------


@pytest.mark.real
def test_real_backgrounds_are_quiet_and_carry_their_group(mirror):
    alerts = af.load_samples("ztf-alerts", mirror=mirror, progress=False)
    under, groups = simulated_streaks.backgrounds(alerts)
    assert len(under) == len(groups) > 900 and len(set(groups)) > 800
    assert np.abs(np.median(under, axis=(1, 2))).max() < 0.2
    assert np.median(1.4826 * np.median(np.abs(under), axis=(1, 2))) == pytest.approx(1.0, abs=0.05) and np.abs(under).max() < 20
    made = simulated_streaks.on_backgrounds(alerts, 40, 2)
    assert made.simulated and "real ZTF" in made.card.title and made.roles["group"] == "group"
    split = made.split(seed=0)
    sides = [set(made.column("group")[np.isin(made.object_ids, ids)]) for ids in (split.train, split.test)]
    assert not sides[0] & sides[1]
    again = simulated_streaks.on_backgrounds(alerts, 40, 2)
    assert np.array_equal(made.arrays("difference")["flux"], again.arrays("difference")["flux"])
    with pytest.raises(InputError, match="n=0"):
        simulated_streaks.on_backgrounds(alerts, 0)


def test_alerts_without_a_quiet_stamp_are_refused():
    from conftest import make_toy_samples

    with pytest.raises((SampleSetError, InputError)):
        simulated_streaks.backgrounds(make_toy_samples(4))


# ---- the decision ---------------------------------------------------------------------------------------------------


def test_or_within_a_question_and_across_them():
    said = {"rb": [np.array([0.9, 0.2, 0.6, 0.5]), np.array([0.1, 0.4, 0.55, 0.1])], "sl": [np.array([0.3, 0.9, 0.2, 0.1]), np.array([0.7, 0.9, 0.1, 0.5])], "kd": [np.array([0.6, 0.9, 0.9, 0.5])]}
    verdict = any_and_all(said)
    # 0: rb .9, sl .7, kd .6; 1: no network finds it real; 2: nobody finds it short; 3: each question just passes, as at least the threshold is a yes
    assert verdict.kept.tolist() == [True, False, False, True]
    assert verdict.score.tolist() == [0.6, 0.4, 0.2, 0.5]
    assert verdict.votes["rb"].tolist() == [1, 0, 2, 1] and verdict.questions["sl"].tolist() == [0.7, 0.9, 0.2, 0.5]
    assert any_and_all(said, 0.65).kept.tolist() == [False, False, False, False] and any_and_all(said, 0.4).kept.tolist() == [True, True, False, True]


def test_who_has_nothing_to_say_does_not_vote():
    verdict = any_and_all({"rb": [np.array([np.nan, np.nan]), np.array([0.9, np.nan])], "kd": [np.array([0.8, 0.8])]})
    assert verdict.kept.tolist() == [True, False] and verdict.score[0] == 0.8 and np.isnan(verdict.score[1]) and verdict.votes["rb"].tolist() == [1, 0]
    masked = any_and_all({"rb": [np.ma.masked_array([0.9, 0.9], [False, True])]})
    assert masked.kept.tolist() == [True, False]


@pytest.mark.parametrize(
    ("said", "words"),
    [({}, "at least one question"), ({"rb": []}, "at least one network"), ({"rb": [[0.5], [0.5, 0.5]]}, "'rb' give arrays"), ({"rb": [[0.5]], "sl": [[0.5, 0.5]]}, "rb 1, sl 2"), ({"rb": [[1.5]]}, "outside 0 to 1, e.g. 1.5")],
)  # fmt: skip
def test_what_no_committee_can_decide_is_refused(said, words):
    with pytest.raises(InputError, match=words):
        any_and_all(said)


def test_a_narrow_committee_is_trained_and_asked(samples):
    recipe = af.get_recipe("deepstreaks_vgg6_small").change(schedule=af.Part.of("end_to_end", epochs=1))
    samples = samples.take(np.arange(40))
    run = af.train(recipe, samples, "sl", seed=0, device="cpu", progress=False)
    runs = {"rb": [run, run], "sl": [run]}
    committee = Committee(runs)
    table = committee.predict(samples)
    assert table.colnames == ["object_id", "score", "kept", "rb", "rb_votes", "sl", "sl_votes"] and table.meta["simulated"]
    assert np.asarray(table["score"]) == pytest.approx(np.asarray(run.predict(samples)["p_True"], float), abs=1e-6)
    assert run.classes == (False, True) and not set(run.split.train) & set(samples.object_ids[np.ma.getmaskarray(samples.column("sl"))])
    with pytest.raises(InputError, match="6 classes; a committee asks yes or no"):
        Committee({"rb": [SimpleNamespace(classes=streaks.KINDS, task="classification")]})
