"""DeepStreaks: three questions, three narrow networks each, on simulated objects on real ZTF difference stamps, beside a random forest on simple features."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from systems_parts import RUNS, Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples import simulated_streaks
from astrofuse_lab.training.committees import any_and_all
from astrofuse_lab.training.thresholds import wilson

TASKS, NETWORKS = ("rb", "sl", "kd"), ("vgg6", "resnet50", "densenet121")
EPOCHS = {True: {"vgg6": 5, "resnet50": 3, "densenet121": 3}, False: {"vgg6": 14, "resnet50": 7, "densenet121": 7}}
"""Of a quick run and of a full one, which two cores end in an hour."""
FPR = 0.01
LENGTHS, SNRS = (4, 8, 16, 30, 45), (5, 10, 20, 40, 60)


def data(quick: bool) -> tuple[Any, Any, str]:
    """Training and test cutouts, whose backgrounds are of different objects, and what they are."""
    count, tests = (600, 600) if quick else (1500, 2000)
    try:
        alerts = af.load_samples("ztf-alerts", progress=False)
    except SampleSetError:  # no mirror here
        return *(af.load_samples("practice-streaks", n=n, seed=seed, progress=False) for n, seed in ((count, 1), (tests, 2))), "practice-streaks, simulated noise"
    split = alerts.split(0.35, group="group", seed=0)
    return *(
        simulated_streaks.on_backgrounds(alerts.select(list(ids)), n, seed) for ids, n, seed in ((split.train, count, 1), (split.test, tests, 2))
    ), "simulated on real ZTF differences"  # fmt: skip


def features(image: NDArray[Any]) -> list[float]:
    """What a person would measure: noise, extremes, and size, shape and brightness of the largest thing above three sigma, in smoothed pixels."""
    smooth = ndimage.gaussian_filter(image, 2.0)
    noise = max(1.4826 * float(np.median(np.abs(smooth - np.median(smooth)))), 1e-6)
    marks, number = ndimage.label(smooth > 3 * noise)
    base = [float(image.std()), float(image.max()), float(image.min()), float(smooth.max() / noise), float(smooth.min() / noise), float(number), float((smooth < -3 * noise).sum())]
    base.append(float(np.abs(ndimage.laplace(image)).max() / max(image.max(), 1e-6)))
    if not number:
        return [*base, *[0.0] * 8]
    sizes = np.bincount(marks.ravel())[1:]
    y, x = np.nonzero(marks == 1 + sizes.argmax())
    wide = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(np.stack([x, y]).astype(float))), 0)) if len(x) > 2 else np.zeros(2)
    flux = smooth[y, x]
    edge = (np.minimum(x, y) == 0) | (np.maximum(x, y) == image.shape[0] - 1)
    return [*base, float(sizes.max()), float(wide[1]), float(wide[0]), float(wide[0] / max(wide[1], 1e-6)), float(flux.sum()), float(flux.mean() / noise), float(edge.sum()), float(np.hypot(x.mean() - 71.5, y.mean() - 71.5))]


def rate(truth: NDArray[Any], score: NDArray[Any]) -> float:
    """True-positive rate at the threshold that lets through `FPR` of the others."""
    truth = truth.astype(bool)
    return float((score[truth] > threshold(truth, score)).mean()) if truth.any() and not truth.all() else float("nan")


def threshold(truth: NDArray[Any], score: NDArray[Any]) -> float:
    """The score above which less than `FPR` of what is no streak lies."""
    others = np.sort(score[~truth.astype(bool)])[::-1]
    return float(others[int(FPR * len(others))])


def trained(train: Any, quick: bool, show: Any = print) -> dict[str, list[Any]]:
    """Nine narrow networks."""
    runs: dict[str, list[Any]] = {}
    for task in TASKS:
        for name in NETWORKS:
            schedule = Part.of("end_to_end", epochs=EPOCHS[quick][name], batch_size=16)
            recipe = af.get_recipe(f"deepstreaks_{name}_small").change(schedule=schedule)
            out = Path(RUNS) / f"{task}-{name}-{quick}" if RUNS else None
            runs.setdefault(task, []).append(af.train(recipe, train, task, seed=0, device="cpu", out=out, progress=False))
            show(f"trained {task} {name}", flush=True)
    return runs


def measure(quick: bool) -> Any:
    """Numbers of the committee, its members and the forest."""
    train, test, what = data(quick)
    runs = trained(train, quick)
    said = {task: [run.outputs(test)[0][:, 1] for run in members] for task, members in runs.items()}
    verdict = any_and_all(said)
    truth = np.asarray(test.column("kd")).astype(bool)
    groups = np.asarray(test.column("group")).astype(str) if "group" in test.roles else None
    forest = RandomForestClassifier(400, min_samples_leaf=2, n_jobs=1, random_state=0)
    forest.fit(np.array([features(one) for one in train.arrays("difference")["flux"][:, 0]]), np.asarray(train.column("kd")).astype(bool))
    peer = forest.predict_proba(np.array([features(one) for one in test.arrays("difference")["flux"][:, 0]]))[:, 1]
    note = f"{len(train)} training cutouts, {', '.join(f'{len(run.history)} epochs of {name}' for name, run in zip(NETWORKS, runs['kd'], strict=True))}, one seed, narrow networks"
    draws = 300 if quick else 1000
    common: dict[str, Any] = {"n": len(test), "data": what}
    yield Number(
        f"TPR at FPR {FPR:.0%}, committee", rate(truth, verdict.score), *interval(rate, truth, verdict.score, groups, draws), **common, reference_name="random forest on 16 features",
        reference=rate(truth, peer), difference=paired(rate, truth, verdict.score, peer, groups, draws), published=0.97, note=note, higher_is_better=True,
    )  # fmt: skip
    yield Number("TPR at 0.5, committee", float(verdict.kept[truth].mean()), *_share(verdict.kept, truth, groups, draws), **common, published=0.97)
    yield Number("FPR at 0.5, committee", float(verdict.kept[~truth].mean()), *_share(verdict.kept, ~truth, groups, draws), **common, published=0.01, higher_is_better=False)
    yield Number("ROC-AUC, committee", roc_auc_score(truth, verdict.score), *interval(_auc, truth, verdict.score, groups, draws), **common, reference_name="random forest", reference=_auc(truth, peer), difference=paired(_auc, truth, verdict.score, peer, groups, draws), higher_is_better=True)
    for i, name in enumerate(NETWORKS):
        alone = said["kd"][i]
        yield Number(f"TPR at FPR {FPR:.0%}, {name} alone (kd)", rate(truth, alone), *interval(rate, truth, alone, groups, draws), **common, note=f"{runs['kd'][i].parameters:,} parameters")
    for task in ("rb", "sl"):
        asked = test.column(task)
        known = ~np.ma.getmaskarray(asked)
        yield Number(f"ROC-AUC of the task {task}, best of its networks", _auc(np.asarray(asked[known]).astype(bool), verdict.questions[task][known]), n=int(known.sum()), data=what)
    yield from completeness(test, truth, verdict.score, peer, what)


def completeness(test: Any, truth: NDArray[Any], score: NDArray[Any], peer: NDArray[Any], what: str) -> Any:
    """Found streaks by length and by signal-to-noise ratio, at the threshold of FPR 1 %: the points of a plot, with binomial intervals."""
    found, theirs = score > threshold(truth, score), peer > threshold(truth, peer)
    for name, unit, edges in (("length", " px", LENGTHS), ("snr", "", SNRS)):
        values = np.ma.filled(np.ma.asarray(test.column(name), float), np.nan)
        for low, high in itertools.pairwise(edges):
            some = truth & (values >= low) & (values < high)
            if some.any():
                share = float(found[some].mean())
                yield Number(f"completeness, {'S/N' if name == 'snr' else name} {low} to {high}{unit}", share, *wilson(share * some.sum(), int(some.sum())), n=int(some.sum()), data=what, reference_name="random forest", reference=float(theirs[some].mean()))


def _auc(truth: NDArray[Any], score: NDArray[Any]) -> float:
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else float("nan")


def _share(kept: NDArray[Any], of: NDArray[Any], groups: NDArray[Any] | None, draws: int) -> tuple[float, float]:
    return interval(lambda truth, said: float(said[truth.astype(bool)].mean()), of, kept.astype(float), groups, draws)
