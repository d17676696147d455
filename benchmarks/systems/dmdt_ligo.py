"""Lock losses foreseen from DMDT images of monitor channels, all simulated: accuracy against lead time, which channels tell, and trees beside.

Networks and trees are trained anew for each lead time on stretches of one seed and tested on those of another. The published 98 and 90 % are of LIGO's second run, so that
nothing here measures them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from systems_parts import Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.alignment.representations.dmdt_series import quantile_edges
from astrofuse_lab.samples import simulated_lock_losses
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.surveys.simulators.lock_losses import CHANNELS, LOSS, TELLING

LEADS, QUICK_LEADS = (0, 5, 10, 15, 20, 30, 45, 60), (0, 30, 60, 15)
TRAIN, TEST, QUICK_TRAIN, QUICK_TEST = 1000, 600, 300, 240
SEEDS = 2
PUBLISHED = {0: 0.98, 30: 0.90}
DATA = "practice-lock-losses (simulated), 22 channels x 60 s"


@dataclass
class Case:
    """Stretches to train on and to test on, with what is true of the latter."""

    train: af.SampleSet
    test: af.SampleSet
    truth: np.ndarray
    seeds: int

    def shown(self, lead: float, channels: tuple[str, ...] = (), dm: list[list[float]] | None = None) -> tuple[af.SampleSet, af.SampleSet]:
        """Both sets as DMDT images that end `lead` seconds before, made once."""
        given = af.get_recipe("dmdt_ligo").inputs["series"].options
        options = {**given, "begin": -60.0 - lead, "end": -float(lead), "channels": list(channels), "dm": dm or []}
        made = []
        for samples in (self.train, self.test):
            seen = samples.represent("series", "dmdt_series", **options)
            arrays = seen.arrays("series")
            data = ModalityData(seen.spec("series"), {"flux": arrays["flux"], "mask": arrays["mask"]}, arrays["present"])
            made.append(samples.with_data({"series": data}))
        return made[0], made[1]

    def network(self, sets: tuple[af.SampleSet, af.SampleSet]) -> tuple[np.ndarray, list[af.Run]]:
        """Probability of a lock loss of each test stretch, averaged over seeds, and the runs."""
        recipe = af.get_recipe("dmdt_ligo").change(inputs={"series": af.Part.of("asinh", background="none")})
        runs = [af.train(recipe, sets[0], "label", ["series"], split=af.Split(tuple(sets[0].object_ids), ()), seed=seed, device="cpu", progress=False) for seed in range(self.seeds)]
        return np.mean([self.said(run, sets[1]) for run in runs], axis=0), runs

    def said(self, run: af.Run, samples: af.SampleSet) -> np.ndarray:
        """Probabilities of one run."""
        return np.asarray(run.predict(samples)[f"p_{LOSS}"], dtype=np.float64)

    def forest(self, sets: tuple[af.SampleSet, af.SampleSet]) -> np.ndarray:
        """The same by a random forest on the images."""
        from sklearn.ensemble import RandomForestClassifier

        x = [one.arrays("series")["flux"].reshape(len(one), -1) for one in sets]
        fitted = RandomForestClassifier(300, random_state=0, n_jobs=1).fit(x[0], np.asarray(sets[0].column("label")) == LOSS)
        return np.asarray(fitted.predict_proba(x[1])[:, 1])


def accuracy(truth: np.ndarray, said: np.ndarray) -> float:
    """Share of stretches told rightly, of probabilities of a lock loss."""
    return float(((said > 0.5) == truth).mean())


def measure(quick: bool) -> Iterator[Number]:
    """All numbers."""
    sizes = (QUICK_TRAIN, QUICK_TEST) if quick else (TRAIN, TEST)
    train, test = (simulated_lock_losses.make(n, seed, False) for n, seed in zip(sizes, (0, 1), strict=True))
    case = Case(train, test, np.asarray(test.column("label")) == LOSS, 1 if quick else SEEDS)
    note = f"simulated; {sizes[0]} to train, {case.seeds} seed(s); half are lock losses"
    sets = case.shown(0)
    said, runs = case.network(sets)
    yield at_lead(case, 0, sets, said, note)
    yield from fewer_channels(case, said, note)
    yield from permuted(case, sets[1], said, runs)
    for lead in (QUICK_LEADS if quick else LEADS)[1:]:
        sets = case.shown(lead)
        yield at_lead(case, lead, sets, case.network(sets)[0], note)
    edges = quantile_edges(train.arrays("series"), 18, -60.0, 0.0)
    made = case.network(case.shown(0, dm=edges))[0]
    yield Number(
        "accuracy 0 s before, dm edges from quantiles of the training stretches", accuracy(case.truth, made), *interval(accuracy, case.truth, made), n=len(made), data=DATA,
        reference_name="fixed edges", reference=accuracy(case.truth, said), difference=paired(accuracy, case.truth, made, said), note=note,
    )  # fmt: skip


def at_lead(case: Case, lead: int, sets: tuple[af.SampleSet, af.SampleSet], said: np.ndarray, note: str) -> Number:
    """Accuracy beside that of the trees."""
    trees = case.forest(sets)
    return Number(
        f"accuracy {lead} s before", accuracy(case.truth, said), *interval(accuracy, case.truth, said), n=len(said), data=DATA, reference_name="random forest on the images",
        reference=accuracy(case.truth, trees), difference=paired(accuracy, case.truth, said, trees), published=PUBLISHED.get(lead), note=note, higher_is_better=True,
    )  # fmt: skip


def fewer_channels(case: Case, whole: np.ndarray, note: str) -> Iterator[Number]:
    """Trained on the three channels alone, and on all but them."""
    others = tuple(name for name in CHANNELS if name not in TELLING)
    for what, channels in ((f"{', '.join(TELLING)} alone", TELLING), ("the other 19 channels", others)):
        said = case.network(case.shown(0, channels))[0]
        yield Number(
            f"accuracy 0 s before, {what}", accuracy(case.truth, said), *interval(accuracy, case.truth, said), n=len(said), data=DATA, reference_name="all 22 channels",
            reference=accuracy(case.truth, whole), difference=paired(accuracy, case.truth, said, whole), note=note,
        )  # fmt: skip


def permuted(case: Case, test: af.SampleSet, whole: np.ndarray, runs: list[af.Run]) -> Iterator[Number]:
    """What is lost when one channel is that of another stretch: the largest of the three, the least of the three, and the largest of all others."""
    arrays = test.arrays("series")
    order = np.random.default_rng(0).permutation(len(test))
    lost = {}
    for i, name in enumerate(CHANNELS):
        flux = arrays["flux"].copy()
        flux[:, i] = flux[order, i]
        changed = test.with_data({"series": ModalityData(test.spec("series"), {"flux": flux, "mask": arrays["mask"]}, arrays["present"])})
        lost[name] = np.mean([case.said(run, changed) for run in runs], axis=0)
    cost = {name: accuracy(case.truth, whole) - accuracy(case.truth, said) for name, said in lost.items()}
    ranked = sorted(cost, key=lambda name: -cost[name])
    told = ", ".join(f"{name} {cost[name]:+.3f}" for name in ranked[:5])
    for name in (*TELLING, next(name for name in ranked if name not in TELLING)):
        low, high = paired(accuracy, case.truth, whole, lost[name])
        yield Number(f"accuracy lost where {name} is permuted", cost[name], low, high, n=len(test), data=DATA, note=f"simulated; largest: {told}")
