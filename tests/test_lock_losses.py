"""Lock losses, simulated: what the simulator promises, DMDT images of series beside numpy's histogram, and the recipe that reads them."""

import numpy as np
import pytest
from conftest import make_toy_samples, with_series

import astrofuse_lab as af
from astrofuse_lab import surveys
from astrofuse_lab.alignment.representations import dmdt_series
from astrofuse_lab.errors import InputError
from astrofuse_lab.samples import simulated_lock_losses
from astrofuse_lab.surveys.simulators import lock_losses
from astrofuse_lab.surveys.simulators.lock_losses import CHANNELS, RATE, SECONDS, TELLING, LockLosses
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Target, Targets

TELL = [CHANNELS.index(name) for name in TELLING]


@pytest.fixture(scope="module")
def samples():
    return simulated_lock_losses.make(60, 3, False)


def pair(i, **options):
    """The same stretch without a lock loss and with one."""
    survey = LockLosses()
    return [survey.draw(survey.rng(f"s{i}", 0), {"share": share, "sudden": 0.0, **options}) for share in (0.0, 1.0)]


def test_a_lock_loss_adds_to_three_channels_and_only_from_its_onset_on():
    time = np.arange(-SECONDS * RATE, 0) / RATE
    for i in range(6):
        calm, lost = pair(i)
        added = lost["values"].astype(float) - calm["values"]
        others = np.setdiff1d(np.arange(len(CHANNELS)), TELL)
        assert not added[others].any()
        assert not added[:, time < lost["onset"]].any() and added[TELL][:, time > -2].any(axis=1).all()
        # what is added oscillates at the frequency that the truth names, and grows
        for row in added[TELL]:
            last = row[time >= -20] - np.polyval(np.polyfit(time[time >= -20], row[time >= -20], 2), time[time >= -20])
            power = np.abs(np.fft.rfft(last * np.hanning(len(last)), 8192))
            assert np.fft.rfftfreq(8192, 1 / RATE)[power[100:].argmax() + 100] == pytest.approx(float(lost["frequency"]), abs=0.1)
        high = np.abs(added[TELL]).max(axis=0)
        middle = float(lost["onset"]) / 2
        assert high[time > middle].max() > high[time < middle].max()


def test_a_sudden_one_shows_nothing():
    survey = LockLosses()
    calm, _ = pair(0)
    sudden = survey.draw(survey.rng("s0", 0), {"share": 1.0, "sudden": 1.0})
    np.testing.assert_array_equal(sudden["values"], calm["values"])
    assert sudden["lost"] and sudden["sudden"]


def test_quiet_noise_is_in_units_of_its_rms():
    rng = np.random.default_rng(0)
    power = np.mean([lock_losses.quiet(rng, SECONDS * RATE).var(axis=1) for _ in range(100)])
    assert power == pytest.approx(1, abs=0.12)
    shaped = lock_losses.shaped(rng, 400, 512, np.ones(257))
    assert shaped.std() == pytest.approx(1, abs=0.01)


def test_the_surveys_tell_of_the_same_stretch():
    targets = Targets([Target("a", 0.0, 0.0), Target("b", 0.0, 0.0)])
    ask = Ask(options={"seed": 4, "share": 1.0})
    said = {name: dict(p for raw in surveys.get(name).query(targets, ask) for p in surveys.get(name).read(raw)) for name in lock_losses.SURVEYS}
    series, row = said["practice/lock_loss"]["b"], said["practice/lock_loss_table"]["b"]
    assert series.values.shape == (22, 1920) and series.axis[-1] == -1 / RATE and series.provenance.simulated
    assert row.values["label"] == "lock loss" and row.roles["label"] == "target" and set(row.roles.values()) == {"target", "other"}
    truth = LockLosses().draw(LockLosses().rng("b", 4), {"share": 1.0, "sudden": 0.02})
    np.testing.assert_array_equal(series.values, truth["values"])
    assert row.values["onset"] == float(truth["onset"])


def test_the_set_says_that_it_is_simulated(samples):
    assert samples.simulated and "Simulated" in samples.card.notes[0] and samples.modalities["series"].shape == (22, 1920)
    labels, counts = np.unique(np.asarray(samples.column("label")), return_counts=True)
    assert labels.tolist() == ["lock loss", "quiet"] and counts.min() > 15
    assert samples.spec("series").provenance.simulated


# ---- DMDT of series -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holes", [False, True])
def test_counts_are_those_of_histogram2d(holes):
    rng = np.random.default_rng(1)
    values, step = np.cumsum(rng.normal(size=(2, 3, 80)), axis=2), 0.25
    good = rng.random(values.shape) > 0.2 if holes else np.ones(values.shape, bool)
    dm = [np.array([-2.0, -0.5, 0.0, 1.0, 3.0]), np.array([-9.0, -1, 0, 2, 4]), np.array([-0.1, 0.0, 0.1, 0.2, 5.0])]
    dt = np.array([0.3, 0.8, 2.1, 9.9, 15.1])
    made = dmdt_series.counts(values, good, step, dm, dt)
    i, j = np.triu_indices(80, 1)
    for o in range(2):
        for c in range(3):
            both = good[o, c, i] & good[o, c, j]
            differ = np.clip(values[o, c, j] - values[o, c, i], dm[c][0], dm[c][-1])  # beyond the edges: the outermost cells
            expected = np.histogram2d(differ[both], ((j - i) * step)[both], bins=(dm[c], dt))[0]
            np.testing.assert_array_equal(made[o, c], expected)


def test_a_few_lags_give_the_shares_of_all():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(1, 1, 600))
    dm, dt = [np.array([-8.0, -1, -0.3, 0, 0.3, 1, 8])], np.array([0.5, 40.5, 200.5, 500.5])
    whole, few = (dmdt_series.counts(values, np.ones(values.shape, bool), 1.0, dm, dt, lags)[0, 0] for lags in (0, 10))
    assert few.sum() < whole.sum() / 5
    np.testing.assert_allclose(few / few.sum(axis=0), whole / whole.sum(axis=0), atol=0.03)


def test_windows_channels_and_quantile_edges(samples):
    arrays = samples.arrays("series", range(20))
    edges = dmdt_series.quantile_edges(arrays, cells=6, begin=-60.0, end=-30.0)
    assert len(edges) == 22 and all(len(one) == 7 for one in edges)
    one = samples.represent("series", "dmdt_series", begin=-60.0, end=-30.0, channels=["SRCL", "REFL"], dm=[edges[4], edges[5]], norm="none")
    assert one.spec("series").channels == ("SRCL", "REFL") and one.spec("series").shape == (2, 6, 14)
    made = one.arrays("series", [7])["flux"][0, 0]
    x = samples.arrays("series", [7])["values"][0, 4, -60 * RATE : -30 * RATE].astype(float)
    i, j = np.triu_indices(len(x), 1)
    expected = np.histogram2d(np.clip(x[j] - x[i], edges[4][0], edges[4][-1]), (j - i) / RATE, bins=(edges[4], dmdt_series.DT))[0]
    np.testing.assert_array_equal(made, expected)
    # of the data that made them, each cell holds about as many
    share = samples.represent("series", "dmdt_series", begin=-60.0, end=-30.0, dm=edges, norm="none", lags=20).arrays("series", range(20))["flux"].sum(axis=(0, 3))
    assert np.abs(share / share.sum(axis=1, keepdims=True) - 1 / 6).max() < 0.08


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"begin": -1.0, "end": -2.0}, "the first must be less"), ({"begin": 1e6, "end": 2e6}, "leave 0 samples"), ({"dm": [1.0, 0.0]}, "ascend"),
        ({"dm": [[0.0, 1.0]] * 3}, "one for all"), ({"dt": [0.0]}, "ascend"), ({"dt": [[1.0], 2]}, "ascend"), ({"channels": ["nothing"]}, "channel of this series"),
        ({"lags": -1}, "lags=-1"), ({"norm": "published"}, "DMDT norm"),
    ],
)  # fmt: skip
def test_wrong_options_are_told(wrong, words):
    samples = with_series(make_toy_samples(6))
    assert samples.spec("series").channels == ("primary", "secondary")
    with pytest.raises(InputError, match=words):
        samples.represent("series", "dmdt_series", **wrong).arrays("series")
    with pytest.raises(InputError, match="cells=1"):
        dmdt_series.quantile_edges(samples.arrays("series"), cells=1)


def test_the_recipe_learns_at_the_end_and_not_long_before(samples):
    many = simulated_lock_losses.make(160, 1, False)
    recipe = af.get_recipe("dmdt_ligo")
    split = many.split(test=0.3, seed=0)
    said = {}
    for lead in (0.0, 60.0):
        shown = recipe.inputs["series"]
        options = {**shown.options, "begin": -60.0 - lead, "end": -lead, "channels": list(TELLING)}
        changed = recipe.change(inputs={"series": af.Part("dmdt_series", options)})
        run = af.train(changed, many, "label", ["series"], split=split, epochs=8, seed=0, device="cpu", progress=False)
        said[lead] = {(r["part"], r["metric"]): r["value"] for r in run.metrics}["test", "accuracy"]
    assert said[0.0] > 0.7 and said[0.0] > said[60.0] + 0.15, said
