"""Nigraha on TESS candidates: planets or not, whole stars on one side, beside trees on the same views; what each view is worth; what the published split hides.

The networks see the views as the recipe shows them, trees the same views clipped alike and the scalars, side by side. Rates and epochs were chosen on the
validation part of the training part. Quick: a quarter of the width, few networks, one of the published size with few epochs.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from systems_parts import Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.training.folds import folds

VIEWS = ("global_view", "half_phase", "local_view", "table")
CLIP, TARGET, PUBLISHED = 5.0, "is_planet", 0.908
Array = NDArray[np.float64]


def roc(truth: Array, said: Array) -> float:
    """Area under the receiver operating characteristic; NaN of one class."""
    return float(roc_auc_score(truth, said)) if 0 < truth.sum() < len(truth) else float("nan")


def precision(truth: Array, said: Array) -> float:
    """Area under precision and recall, as average precision; NaN without a planet."""
    return float(average_precision_score(truth, said)) if truth.sum() else float("nan")


def features(samples: af.SampleSet, views: Sequence[str]) -> Array:
    """What trees see."""
    parts = []
    for name in views:
        values = samples.arrays(name)["values"].astype(float)
        parts.append(values if name == "table" else np.clip(values[:, :1] if name == "global_view" else values, -CLIP, CLIP).reshape(len(values), -1))
    return np.concatenate(parts, axis=1)


def forest(samples: af.SampleSet, split: af.Split, quick: bool, views: Sequence[str] = VIEWS) -> Array:
    """Scores of the test rows by extremely randomised trees."""
    x, y = features(samples, views), samples.column(TARGET).data.astype(int)
    train, rows = samples.positions(split.train), samples.positions(split.test)
    return np.asarray(ExtraTreesClassifier(100 if quick else 400, class_weight="balanced", random_state=0).fit(x[train], y[train]).predict_proba(x[rows])[:, 1])


def network(samples: af.SampleSet, split: af.Split, recipe: str, seed: int, epochs: int, views: Sequence[str] = VIEWS) -> tuple[af.Run, Array]:
    """A run, and its scores of the test rows."""
    run = af.train(recipe, samples, TARGET, modalities=list(views), split=split, seed=seed, epochs=epochs, device="cpu", progress=False)
    values, _ = run.outputs(samples, samples.positions(split.test))
    return run, np.asarray(values)[:, [bool(c) for c in run.problem.classes].index(True)]


def beside(name: str, truth: Array, ours: Array, theirs: Array, stars: Array, data: str, note: str, published: float | None, reference: str = "trees on the same views") -> Iterator[Number]:
    """Both areas, with intervals over stars."""
    for kind, metric, said in (("ROC-AUC", roc, published), ("PR-AUC", precision, None)):
        yield Number(
            f"{kind}, {name}", metric(truth, ours), *interval(metric, truth, ours, stars), n=len(truth), data=data, reference_name=reference, reference=metric(truth, theirs),
            difference=paired(metric, truth, ours, theirs, stars), published=said, note=note, higher_is_better=True,
        )  # fmt: skip


def measure(quick: bool) -> Iterator[Number]:
    """Areas, ablation, leak, spread, and what explains a score."""
    torch.set_num_threads(1)
    samples = af.load_samples("tess-transits", progress=False)
    split = samples.split(test=0.25, seed=0)
    rows = samples.positions(split.test)
    truth, stars, kinds = (samples.column(name).data[rows] for name in (TARGET, "tic_id", "disposition"))
    truth = truth.astype(float)
    narrow, seeds, epochs, full_epochs = "nigraha_narrow", *((3, 6, 3) if quick else (10, 8, 8))
    data = f"tess-transits, a quarter of the stars: {int(truth.sum())} rows of planets ({len(set(stars[truth > 0]))} stars)"
    trees = forest(samples, split, quick)
    made = [network(samples, split, narrow, seed, epochs) for seed in range(seeds)]
    each = np.stack([said for _, said in made])
    mean = each.mean(axis=0)
    yield from beside(f"ensemble of {seeds}, a quarter of the width", truth, mean, trees, stars, data, f"{seeds} networks of 193,885 parameters (published 10 of 3,073,201), {epochs} epochs", PUBLISHED)
    single = [roc(truth, one) for one in each]
    yield from beside("one network of the published size", truth, network(samples, split, "nigraha", 0, full_epochs)[1], trees, stars, data, f"3,073,201 parameters, {full_epochs} epochs, one seed", PUBLISHED)
    known = kinds == "KP"
    yield Number(
        "known planets above 0.7", float((mean[known] > 0.7).mean()), *interval(lambda _, said: float((said > 0.7).mean()), truth[known], mean[known], stars[known]), n=int(known.sum()),
        data=data, published=0.919, note="the ensemble; published on all known planets of the sectors searched",
    )  # fmt: skip
    yield Number(
        "ensemble spread, mean standard deviation of a score", float(each.std(axis=0).mean()), n=len(truth), data=data, reference_name="where the ensemble is wrong at 0.5",
        reference=float(each.std(axis=0)[(mean > 0.5) != (truth > 0.5)].mean()), note=f"single networks: ROC-AUC {min(single):.3f} to {max(single):.3f}",
    )  # fmt: skip
    yield from ablation(samples, split, made[0][1], truth, stars, kinds, data, epochs, quick)
    yield from leak(samples, narrow, epochs, quick)
    yield from explained(made[0][0], samples.take(rows[(mean > 0.5) & (truth > 0.5)][:6]))


def ablation(samples: af.SampleSet, split: af.Split, whole: Array, truth: Array, stars: Array, kinds: Array, data: str, epochs: int, quick: bool) -> Iterator[Number]:
    """Each view alone, all but each, and what the half-phase views do to eclipsing binaries."""
    note = f"one narrow network, {epochs} epochs, beside one of all views"
    for name in VIEWS:
        others = [one for one in VIEWS if one != name]
        for title, views in ((f"{name} alone", [name]), (f"without {name}", others)):
            said, tree = network(samples, split, "nigraha_narrow", 0, epochs, views)[1], forest(samples, split, quick, views)
            yield Number(
                f"ROC-AUC, {title}", roc(truth, said), *interval(roc, truth, said, stars), n=len(truth), data=data, reference_name="all views", reference=roc(truth, whole),
                difference=paired(roc, truth, said, whole, stars), note=f"{note}; trees on the same views {roc(truth, tree):.3f}",
            )  # fmt: skip
            if title == "without half_phase":
                for kind in ("EB", "V"):
                    yield binaries(kind, kinds, truth, whole, said, stars, data)


def binaries(kind: str, kinds: Array, truth: Array, whole: Array, without: Array, stars: Array, data: str) -> Number:
    """How well planets are told from binaries, with and without the half-phase views."""
    some = (kinds == kind) | (truth > 0.5)
    score = {name: float(said[kinds == kind].mean()) for name, said in (("with", whole), ("without", without))}
    return Number(
        f"ROC-AUC, planets against {kind}, with half-phase views", roc(truth[some], whole[some]), *interval(roc, truth[some], whole[some], stars[some]), n=int(some.sum()), data=data,
        reference_name="without them", reference=roc(truth[some], without[some]), difference=paired(roc, truth[some], whole[some], without[some], stars[some]),
        note=f"mean score of {int((kinds == kind).sum())} {kind} with {score['with']:.3f}, without {score['without']:.3f}",
    )  # fmt: skip


def leak(samples: af.SampleSet, recipe: str, epochs: int, quick: bool) -> Iterator[Number]:
    """The published split, whose test rows are mostly of stars it trains on."""
    split, seeds = samples.split(by="published"), 1 if quick else 3
    star, y = samples.column("tic_id").data, samples.column(TARGET).data.astype(float)
    rows = samples.positions(split.test)
    seen = np.isin(star[rows], star[samples.positions(split.train)])
    said = np.mean([network(samples, split, recipe, seed, epochs)[1] for seed in range(seeds)], axis=0)
    trees, planets = forest(samples, split, quick), y[rows] > 0.5
    data = f"tess-transits, published split: {int(seen.sum())} of {len(rows)} test rows, {int((seen & planets).sum())} of its {int(planets.sum())} planets, are of stars that train"
    yield from beside(
        "narrow, published split", y[rows], said, trees, star[rows], data, f"{seeds} network(s); the published number is on this kind of split", PUBLISHED
    )  # fmt: skip
    for name, some in (("of stars that train", seen), ("of other stars", ~seen)):
        right = ((said > 0.5) == planets)[some]
        yield Number(
            f"accuracy, published split, rows {name}", float(right.mean()), *interval(lambda _, r: float(r.mean()), right.astype(float), right.astype(float), star[rows][some]), n=int(some.sum()),
            data=data, reference_name="trees", reference=float(((trees > 0.5) == planets)[some].mean()), note=f"{float(planets[some].mean()):.3f} of these rows are planets",
        )  # fmt: skip
    codes = y.astype(int)
    free = np.random.default_rng(0).permutation(len(samples)) % 5
    whole: dict[str, Array] = {name: np.zeros(len(samples)) for name in ("rows", "stars")}
    ids = samples.object_ids
    for k, part in enumerate(folds(samples, 5, strata=codes)):
        test = samples.positions(part.test)
        whole["stars"][test] = forest(samples, part, quick)
        loose = af.Split(tuple(ids[free != k]), tuple(ids[free == k]))
        whole["rows"][free == k] = forest(samples, loose, quick)
    yield Number(
        "ROC-AUC, trees, five folds over rows", roc(y, whole["rows"]), *interval(roc, y, whole["rows"], star), n=len(y), data="tess-transits, all rows", reference_name="five folds over stars",
        reference=roc(y, whole["stars"]), difference=paired(roc, y, whole["rows"], whole["stars"], star), published=PUBLISHED, note="what the leak is worth to trees",
    )  # fmt: skip


def explained(run: af.Run, some: af.SampleSet) -> Iterator[Number]:
    """Do LIME and KernelSHAP say of the global view what integrated gradients say?"""
    def of(method: str, **options: int) -> Array:
        told = af.explain.attribute(run, some, method, modalities=["global_view"], target=True, **options)
        return np.abs(np.asarray(told.values["global_view"])).reshape(len(some), -1)

    first = of("integrated_gradients")
    near = np.abs(np.arange(201) - 100) <= 10
    for method in ("lime", "kernel_shap"):
        other = of(method, draws=300, repeats=1)
        bins = [one.reshape(len(one), -1)[:, :200].reshape(len(one), 20, 10).sum(2) for one in (first, other)]
        ranks = [float(spearmanr(a, b).statistic) for a, b in zip(*bins, strict=True)]
        yield Number(
            f"rank correlation of {method} with integrated gradients, global view in 20 parts", float(np.nanmedian(ranks)), n=len(some), data="tess-transits, planets found", note="median; "
            f"share of attribution within 0.05 of the transit: {float((other[:, near].sum(1) / other.sum(1)).mean()):.2f}, integrated gradients {float((first[:, near].sum(1) / first.sum(1)).mean()):.2f}",
        )  # fmt: skip
