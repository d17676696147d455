"""What the measurements of the GWSkyNet networks share: simulated alerts, trainings that are kept, trees on the same scalars, rates at a threshold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score, roc_curve
from systems_parts import RUNS

import astrofuse_lab as af
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.simulated_gw_maps import simulated_maps

COUNT = {True: {"O4": 360, "O3": 200}, False: {"O4": 3000, "O3": 1600}}
"""Maps of a quick run and of a full one; what is kept of GWSkyNet II was measured with half as many, as it says."""
TEST = 1 / 3
COARSE = 4
"""Pixels that are pooled before the first layer, for two cores."""
EPOCHS = {True: 40, False: 60}
SIMULATED = "practice-gw-maps (simulated)"


def maps(quick: bool, run: str = "O4") -> af.SampleSet:
    """Simulated alerts of one observing run, a quarter of each kind."""
    n = COUNT[quick][run]
    kept = Path(RUNS) / f"set_{run}_{n}" if RUNS else None
    if kept is not None and kept.is_dir():
        return af.SampleSet.open(kept)
    samples = simulated_maps(n, 0, run)
    if kept is not None:
        samples.save(kept)
    return samples


def parts(samples: af.SampleSet) -> tuple[af.SampleSet, af.SampleSet]:
    """Training and test alerts."""
    split = samples.split(TEST, seed=0)
    return samples.select(list(split.train)), samples.select(list(split.test))


def as_trained(recipe: Recipe, quick: bool, **schedule: Any) -> Recipe:
    """The recipe as it is trained: pictures are pooled by 4 before the first layer (the number of parameters is the same)."""
    encoders = dict(recipe.encoders)
    for name, part in recipe.encoders.items():
        if name != "table":
            encoders[name] = Part(part.name, {**part.options, "layers": [["max_pool", COARSE], *part.options["layers"]]})
    return recipe.change(encoders=encoders, schedule=Part.of("end_to_end", learning_rate=1e-2, batch_size=16, epochs=EPOCHS[quick], **schedule))


def how(quick: bool) -> str:
    """What is to be said of a training."""
    return f"{EPOCHS[quick]} epochs, pictures pooled by {COARSE} first"


def trained(name: str, recipe: Recipe, train: af.SampleSet, target: str, modalities: Sequence[str], seed: int, **options: Any) -> af.Run:
    """One training, kept where there is a folder for it."""
    out = Path(RUNS) / f"{name}-{len(train)}-{seed}" if RUNS else None
    return af.train(recipe, train, target, modalities=list(modalities), seed=seed, device="cpu", out=out, progress=False, **options)


def table(samples: af.SampleSet, columns: Sequence[str]) -> NDArray[np.float64]:
    """Scalars, (sample, column), NaN where unknown."""
    return np.stack([np.ma.filled(np.ma.asarray(samples.column(name)).astype(float), np.nan) for name in columns], axis=1)


def trees(train: af.SampleSet, test: af.SampleSet, target: str, columns: Sequence[str]) -> NDArray[np.float64]:
    """Probabilities of boosted trees on scalars, (test sample, class), classes sorted."""
    return np.asarray(HistGradientBoostingClassifier(max_depth=4, random_state=0).fit(table(train, columns), np.asarray(train.column(target))).predict_proba(table(test, columns)))


def right(truth: NDArray[Any], score: NDArray[Any]) -> float:
    """Accuracy at 0.5."""
    return float(((score >= 0.5) == truth).mean())


def missed(truth: NDArray[Any], score: NDArray[Any]) -> float:
    """False negatives of what is real, at 0.5."""
    return float((score[truth.astype(bool)] < 0.5).mean())


def let_through(truth: NDArray[Any], score: NDArray[Any]) -> float:
    """False positives of glitches, at 0.5."""
    return float((score[~truth.astype(bool)] >= 0.5).mean())


def auc(truth: NDArray[Any], score: NDArray[Any]) -> float:
    """Area under the curve; NaN where a draw has one class only."""
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else float("nan")


def crossing(truth: NDArray[Any], score: NDArray[Any]) -> float:
    """The rate at which false positives and false negatives are equal."""
    if not 0 < truth.sum() < len(truth):
        return float("nan")
    fpr, tpr, _ = roc_curve(truth, score)
    i = int(np.argmin(np.abs(fpr - (1 - tpr))))
    return float((fpr[i] + 1 - tpr[i]) / 2)


def counted(recipe: str, samples: af.SampleSet, modalities: Sequence[str]) -> int:
    """Parameters of a recipe for these samples."""
    from astrofuse_lab.models.build import build
    from astrofuse_lab.models.tokens import InputLayout

    layouts: Mapping[str, Any] = {name: InputLayout(samples.spec(name).kind, samples.spec(name).channels, samples.spec(name).shape) for name in modalities}
    return build(af.get_recipe(recipe), layouts, 2, "classification").parameter_count
