"""SNIascore's layers on real spectra lowered to R = 100: is it a Ia, and at which redshift; beside templates, trees and what tells the source alone.

Whole events are on one side; at most `TRAINED` spectra of an event are learned from and `EACH` count in the test, so that no well-observed one prevails. At a false positive rate of 0.6 % the
highest few of the others decide: how many is said, and the interval is over events.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from systems_parts import Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.training.votes import scored

RATE, MC = 0.006, 20
EPOCHS, QUICK_EPOCHS, TRAINED, EACH = 90, 9, 12, 3
PHASES = (-20.0, 60.0)
Z = (0.01, 0.12)
EDGES = {"Ia": (-20, -6, 4, 14, 30, 60), "II": (-20, 15, 60), "Ibc": (-20, 10, 60), "IIn": (-20, 60), "SLSN": (-20, 10, 60)}
"""Days of the templates: means of training spectra of a class between these."""
FARTHEST = 0.3


def chosen(samples: af.SampleSet) -> af.SampleSet:
    """With a clear type and a phase in `PHASES`."""
    phase = np.ma.filled(samples.column("phase").astype(float), np.nan)
    return samples.take(few(samples, np.flatnonzero(~np.ma.getmaskarray(samples.column("is_ia")) & (phase > PHASES[0]) & (phase < PHASES[1])), TRAINED))


def few(samples: af.SampleSet, positions: np.ndarray, each: int, seed: int = 0) -> np.ndarray:
    """At most so many of an event, drawn, in order."""
    events, kept, seen = samples.column("group").data, [], {}
    for i in np.random.default_rng(seed).permutation(positions):
        seen[events[i]] = seen.get(events[i], 0) + 1
        kept += [i] if seen[events[i]] <= each else []
    return np.sort(kept)


def tpr(truth: np.ndarray, score: np.ndarray) -> float:
    """Share of the Ia above the threshold that at most `RATE` of the others pass."""
    others = np.sort(score[~truth])[::-1]
    return float((score[truth] > others[int(RATE * len(others))]).mean()) if len(others) and truth.any() else np.nan


def auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: how often a Ia scores higher than another."""
    rank = np.argsort(np.argsort(score)) + 1.0
    yes, no = truth.sum(), (~truth).sum()
    return float((rank[truth].sum() - yes * (yes + 1) / 2) / (yes * no)) if yes and no else np.nan


def scatter(z: np.ndarray, said: np.ndarray) -> float:
    """1.4826 times the median of |dz|."""
    return float(1.4826 * np.median(np.abs(said - z)))


def measure(quick: bool) -> Iterator[Number]:
    """Types, then redshifts."""
    samples = chosen(af.load_samples("supernova-spectra", progress=False))
    split = samples.split(test=0.4, seed=0)
    epochs = QUICK_EPOCHS if quick else EPOCHS
    run = af.train(lasting("sniascore", epochs), samples, "is_ia", ["spectrum"], split=split, seed=0, progress=False, device="cpu")
    train, test = samples.positions(split.train), few(samples, samples.positions(split.test), EACH)
    truth, events = np.asarray(samples.column("is_ia").data[test], dtype=bool), samples.column("group").data[test]
    score, error = scored(run, samples.take(test), MC)
    seen = samples.represent("spectrum", "low_resolution").arrays("spectrum")
    given, pixels = np.where(seen["mask"], seen["flux"], -1.0), flattened(seen)
    z = np.ma.filled(samples.column("z").astype(float), np.nan)
    matched = templates(samples, pixels, z, train, test)
    others = {
        "trees on the same pixels": trees(given, samples.column("is_ia").data, train, test, True),
        "trees on pixels without continuum": trees(pixels, samples.column("is_ia").data, train, test, True), "templates by cross-correlation": matched[0],
        "source, instrument, coverage and S/N alone (control)": trees(told_by(samples), samples.column("is_ia").data, train, test, True),
    }  # fmt: skip
    data = f"supernova-spectra, {len(np.unique(events))} test events, {truth.sum()} spectra of Ia, {(~truth).sum()} of others"
    note = f"threshold: the {int(RATE * (~truth).sum()) + 1} highest of the others ({len(np.unique(events[~truth]))} events); {epochs} epochs of {len(train)} spectra, one seed, {MC} passes with dropout, {run.parameters} parameters"
    for name, metric, published in (("TPR at FPR 0.6 %", tpr, 0.9), ("area under ROC", auc, None)):
        for other, said in others.items():
            yield Number(
                f"{name}, network beside {other}", metric(truth, score), *interval(metric, truth, score, events), n=len(test), data=data, reference_name=other,
                reference=metric(truth, said), difference=paired(metric, truth, score, said, events), published=published, note=note, higher_is_better="control" not in other or None,
            )  # fmt: skip
    wrong = (score > 0.5) != truth
    yield Number("error of the score, wrong answers over right ones", float(np.median(error[wrong]) / np.median(error[~wrong])), n=len(test), data=data, note="medians")
    yield from redshifts(samples, split, epochs, pixels, test, matched[1])


def redshifts(samples: af.SampleSet, split: af.Split, epochs: int, pixels: np.ndarray, every: np.ndarray, by_template: np.ndarray) -> Iterator[Number]:
    """Of the Ia between the published redshifts."""
    z, is_ia = np.ma.filled(samples.column("z").astype(float), np.nan), np.asarray(samples.column("is_ia").data, dtype=bool)
    train = np.array([i for i in samples.positions(split.train) if is_ia[i] and 0 < z[i] < FARTHEST])
    test = np.array([i for i in every if is_ia[i] and Z[0] < z[i] < Z[1]])
    ids = samples.object_ids
    own = af.Split(tuple(map(str, ids[train])), tuple(map(str, ids[test])), group="group")
    run = af.train(lasting("sniascore_redshift", epochs), samples.take(np.sort(np.concatenate([train, test]))), "z", ["spectrum"], split=own, seed=0, progress=False, device="cpu")
    said = run.predict(samples.take(test), mc=MC)
    truth, events = z[test], samples.column("group").data[test]
    ours = np.asarray(said["prediction"], dtype=float)
    others = {
        "templates by cross-correlation": by_template[np.searchsorted(every, test)],
        "trees on pixels without continuum": trees(pixels, z, train, test, False), "the training median, whatever the spectrum (control)": np.full(len(test), np.median(z[train])),
    }  # fmt: skip
    data = f"supernova-spectra, {len(np.unique(events))} test Ia between z = {Z[0]} and {Z[1]}"
    outside = f"standard deviation {np.std(ours - truth):.4f}"
    for other, one in others.items():
        yield Number(
            f"redshift scatter, network beside {other}", scatter(truth, ours), *interval(scatter, truth, ours, events), n=len(test), data=data, reference_name=other,
            reference=scatter(truth, one), difference=paired(scatter, truth, ours, one, events), published=0.005, higher_is_better=None if "control" in other else False,
            note=f"1.4826 median |dz|; {outside}; {epochs} epochs, {len(train)} training spectra, one seed",
        )  # fmt: skip
    inside = np.abs(ours - truth) < np.asarray(said["uncertainty"], dtype=float)
    yield Number("redshifts within one predicted error", float(inside.mean()), n=len(test), data=data, note="0.68 of a normal distribution")


def lasting(name: str, epochs: int) -> af.Recipe:
    """The recipe with so many epochs."""
    recipe = af.get_recipe(name)
    return recipe.change(schedule=af.Part(recipe.schedule.name, {**recipe.schedule.options, "epochs": epochs}))


def told_by(samples: af.SampleSet) -> np.ndarray:
    """What is known without looking at the spectrum: repository, instrument, ends and noise."""
    codes = [np.unique(samples.column(name).filled("").astype(str), return_inverse=True)[1] for name in ("source", "instrument")]
    return np.stack([*codes, *(np.ma.filled(samples.column(name).astype(float), -1.0) for name in ("wave_min", "wave_max", "snr"))], 1)


def trees(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, classify: bool) -> np.ndarray:
    """Extremely randomised trees."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    kind, more = (ExtraTreesClassifier, {"class_weight": "balanced"}) if classify else (ExtraTreesRegressor, {})
    made = kind(300, min_samples_leaf=2, random_state=0, **more).fit(x[train], np.asarray(y)[train])
    return made.predict_proba(x[test])[:, 1] if classify else made.predict(x[test])


# ---- templates ------------------------------------------------------------------------------------------------------


def flattened(arrays: dict[str, Any], points: int = 512) -> np.ndarray:
    """Spectra on a logarithmic grid without their continuum, ends tapered, of unit length: (spectrum, point); the means of SNID (Blondin & Tonry 2007)."""
    from scipy.ndimage import gaussian_filter1d

    wave = arrays["lambda"]
    grid = np.geomspace(wave[0], wave[-1], points)
    made = np.zeros((len(arrays["flux"]), points))
    for i, (flux, mask) in enumerate(zip(arrays["flux"].astype(float), arrays["mask"], strict=True)):
        inside = (grid >= wave[mask].min(initial=np.inf)) & (grid <= wave[mask].max(initial=-np.inf)) if mask.any() else np.zeros(points, dtype=bool)
        if inside.sum() < 32:
            continue
        one = np.interp(grid[inside], wave[mask], flux[mask])
        one = one - gaussian_filter1d(one, points / 12, mode="nearest")
        edge = np.clip(np.minimum(np.arange(len(one)), np.arange(len(one))[::-1]) / (0.06 * len(one)), 0, 1)
        made[i, inside] = (one - one.mean()) * np.sin(edge * np.pi / 2)
    return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)


def templates(samples: af.SampleSet, spectra: np.ndarray, z: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest correlation with a Ia less that with another class, over redshifts to `FARTHEST`; and the redshift of the best Ia."""
    label, phase = samples.column("class").data, np.ma.filled(samples.column("phase").astype(float), np.nan)
    points = spectra.shape[1]
    step = np.log(9208.75 / 3790.0) / (points - 1)
    lags = np.arange(int(np.log1p(FARTHEST) / step) + 1)
    padded = np.zeros((len(spectra), 2 * points))
    padded[:, :points] = spectra
    spectrum = np.fft.rfft(padded)
    best: dict[bool, tuple[np.ndarray, np.ndarray]] = {}
    for name, edges in EDGES.items():
        for low, high in pairwise(edges):
            rows = [i for i in train if label[i] == name and low <= phase[i] < high and 0 <= z[i] < FARTHEST]
            if len(rows) < 5:
                continue
            rest = np.mean([np.pad(spectra[i], (0, points))[np.arange(points) + round(np.log1p(z[i]) / step)] for i in rows], axis=0)
            conjugate = np.conj(np.fft.rfft(np.pad(rest / np.linalg.norm(rest), (0, points))))
            found = np.fft.irfft(spectrum[test] * conjugate)[:, lags]
            at, top = found.argmax(1), found.max(1)
            was = best.get(name == "Ia", (np.full(len(test), -1.0), np.zeros(len(test), dtype=int)))
            best[name == "Ia"] = np.maximum(top, was[0]), np.where(top > was[0], at, was[1])
    return best[True][0] - best[False][0], np.expm1(best[True][1] * step)
