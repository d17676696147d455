"""CCSNscore's five branches and votes on real core-collapse supernovae: with all branches and with the spectrum alone, beside trees and a control.

Whole events are on one side; at most `EACH` spectra of an event are learned from, `TESTED` count. A network a class, `MC` passes with dropout; intervals are over events.
"""

from collections.abc import Iterator

import numpy as np
from systems_parts import Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.models.build import build
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.supernovae import HIERARCHY
from astrofuse_lab.training.votes import AMBIGUOUS, confident, train_votes, vote
from systems.sniascore import few

EACH, TESTED, MC = 4, 2, 20
STEPS, QUICK_STEPS = {"": 900, "Hrich": 500, "Hpoor": 500}, {"": 100, "Hrich": 60, "Hpoor": 60}
BRANCHES = ("spectrum", "r_curve", "g_curve", "r_dmdt", "g_dmdt")
LAYOUTS = {
    "spectrum": InputLayout("spectrum", (), (256,)), "r_curve": InputLayout("series", ("r", "r_error"), (2, 200)), "g_curve": InputLayout("series", ("g", "g_error"), (2, 200)),
    "r_dmdt": InputLayout("image", ("r",), (1, 24, 24)), "g_dmdt": InputLayout("image", ("g",), (1, 24, 24)),
}  # fmt: skip


def accuracy(truth: np.ndarray, said: np.ndarray) -> float:
    """Share of rows that are right."""
    return float((truth == said).mean()) if len(truth) else np.nan


def balanced(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean over classes of the share that is right."""
    return float(np.mean([(said[truth == one] == one).mean() for one in np.unique(truth)])) if len(truth) else np.nan


def measure(quick: bool) -> Iterator[Number]:
    """Sizes, then both layers."""
    recipe = af.get_recipe("ccsnscore")
    for name, some, published in (("parameters, five branches", BRANCHES, 153_313), ("parameters, spectrum alone", ("spectrum",), 22_673)):
        model = build(recipe, {one: LAYOUTS[one] for one in some}, 2, "classification")
        yield Number(name, model.parameter_count, reference_name="published", reference=published, published=published, data="none")
    samples = af.load_samples("core-collapse", progress=False)
    samples = samples.take(few(samples, np.arange(len(samples)), EACH))
    split = samples.split(test=0.4, seed=0)
    for above in HIERARCHY:
        # a training of all branches takes twice that of the spectrum alone
        ways = {"all branches": BRANCHES, "spectrum alone": ("spectrum",)}
        yield from layer(samples, split, above, (QUICK_STEPS if quick else STEPS)[above], {k: v for k, v in ways.items() if not above or (k == "spectrum alone") == quick})


def layer(samples: af.SampleSet, split: af.Split, above: str, steps: int, ways: dict[str, tuple[str, ...]]) -> Iterator[Number]:
    """Numbers of the classes below one: of the test spectra that truly are of them."""
    column, classes = HIERARCHY[above]
    truth = samples.column(column).filled("").astype(str)
    train, test = (np.array([i for i in samples.positions(ids) if truth[i] in classes]) for ids in (split.train, split.test))
    test = few(samples, test, TESTED)
    real, events = truth[test], samples.column("group").data[test]
    recipe = af.get_recipe("ccsnscore").change(schedule=af.Part.of("end_to_end", steps=steps, learning_rate=5e-3))
    got = {}
    for name, modalities in ways.items():
        votes = train_votes(recipe, samples, {above: HIERARCHY[above]}, modalities=list(modalities), split=split, seed=0, device="cpu")
        got[name] = votes.scores(samples.take(test), above, MC)
    names = np.array(classes)
    said = {name: names[one.score.argmax(1)] for name, one in got.items()}
    counts = ", ".join(f"{one} {len(np.unique(events[real == one]))}" for one in classes)
    main = next(iter(ways))
    rows = {name: one for name, one in said.items() if name != main}
    rows |= {f"trees, {name}": trees(x, truth, train, test) for name, x in described(samples).items()}
    ours, metric, word = said[main], accuracy if above == "" else balanced, "accuracy" if above == "" else "balanced accuracy"
    data = f"core-collapse, test events: {counts}"
    what = "layer 1" if above == "" else f"layer 2, below {above}"
    note = f"argmax of all; {steps} steps a network, one seed, {MC} passes; {matrix(real, ours, classes)}"
    for other, one in rows.items():
        yield Number(
            f"{what}, {word}, {main} beside {other}", metric(real, ours), *interval(metric, real, ours, events), n=len(test), data=data, reference_name=other,
            reference=metric(real, one), difference=paired(metric, real, ours, one, events), published=0.94 if above == "" else None, note=note,
            higher_is_better=None if "control" in other else True,
        )  # fmt: skip
    yield from cuts(what, got[main], names, real, events, data)
    for one in classes:
        mine = real == one
        yield Number(f"{what}, {one} found", accuracy(real[mine], ours[mine]), *interval(accuracy, real[mine], ours[mine], events[mine]), n=int(mine.sum()), data=data)


def cuts(what: str, got: object, names: np.ndarray, real: np.ndarray, events: np.ndarray, data: str) -> Iterator[Number]:
    """What the rule of ambiguity and the cut in score and error leave, and how much of it is right."""
    won = vote(got.score, got.error)
    said = names[np.maximum(won, 0)]
    whole = accuracy(real, names[got.score.argmax(1)])
    for name, kept, published in (("not ambiguous", won != AMBIGUOUS, None), ("score from 0.8, error below 0.05", confident(got, won), 0.98 if what == "layer 1" else None)):
        if kept.any():
            yield Number(
                f"{what}, accuracy where {name}", accuracy(real[kept], said[kept]), *interval(accuracy, real[kept], said[kept], events[kept]), n=int(kept.sum()), data=data,
                reference_name="all of them", reference=whole, published=published, note=f"{kept.mean():.0%} of the spectra, {len(np.unique(events[kept]))} events",
            )  # fmt: skip
        else:
            yield Number(f"{what}, share where {name}", 0.0, n=len(real), data=data, note="no spectrum passes the cut")


def matrix(real: np.ndarray, said: np.ndarray, classes: tuple[str, ...]) -> str:
    """The confusion matrix in words: a row each true class."""
    return "matrix " + "; ".join(f"{one}: {' '.join(str(int((said[real == one] == other).sum())) for other in classes)}" for one in classes)


def described(samples: af.SampleSet) -> dict[str, np.ndarray]:
    """What trees are given: the spectrum's pixels at rest; these and both curves in steps of ten days; and, as a control, who observed."""
    spectrum = samples.represent("spectrum", "low_resolution", first=4200.0, last=9200.0, resolution=0.0, redshift="z").arrays("spectrum")
    pixels = np.where(spectrum["mask"], spectrum["flux"], -1.0)
    curves, counts = [], [samples.column(name).filled("").astype(str) for name in ("instrument",)]
    for name in BRANCHES[1:3]:
        one = samples.arrays(name)
        parts, good = (v[:, 0].reshape(len(samples), 20, 10) for v in (one["values"], one["mask"]))
        curves.append(np.where(good.any(2), (parts * good).sum(2) / np.maximum(good.sum(2), 1), -1.0))
    codes = [np.unique(one, return_inverse=True)[1] for one in counts]
    known = np.stack([*codes, *(samples.present(name).astype(float) for name in BRANCHES[1:]), spectrum["mask"].argmax(1), spectrum["mask"].sum(1), np.ma.filled(samples.column("snr").astype(float), -1.0)], 1)
    return {"spectrum": pixels, "spectrum and curves": np.concatenate([pixels, *curves], 1), "who observed alone (control)": known}


def trees(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What extremely randomised trees say."""
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(300, min_samples_leaf=2, class_weight="balanced", random_state=0).fit(x[train], y[train]).predict(x[test])
