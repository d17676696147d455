"""DMDT images of Catalina's variable stars, seven classes: a shallow and a deep network, other grids, and trees on features, on the same test rows.

Folds keep stars whole and spread classes (`benchmarks/crts_trees.py`): all five in full, the first alone when quick and for other grids. The published 83 % is of the
survey's own class shares; these rows hold at most 1,000 curves of a class.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from crts_trees import ELEVEN, TARGET, rows_of
from systems_parts import RUNS, Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.split import group_codes
from astrofuse_lab.training.folds import folds

FOLDS, EPOCHS, SEEDS = 5, 15, {"shallow": 2, "deep": 1}
QUICK_FOLDS, QUICK_EPOCHS = 1, 20
GRIDS = {"26 x 26 (SCoPe)": "scope", "24 x 24 (CCSNscore)": "ccsnscore"}


def accuracy(truth: np.ndarray, said: np.ndarray) -> float:
    """Share of rows whose class is right, of probabilities."""
    return float((said.argmax(axis=1) == truth).mean())


def measure(quick: bool) -> Iterator[Number]:
    """Accuracies."""
    samples = rows_of(af.load_samples("crts-variables", progress=False), False)
    classes, codes = np.unique(np.asarray(samples.column(TARGET).data), return_inverse=True)
    parts = folds(samples, FOLDS, strata=codes)[: QUICK_FOLDS if quick else FOLDS]
    epochs = QUICK_EPOCHS if quick else EPOCHS
    tested = np.concatenate([samples.positions(part.test) for part in parts])
    truth, groups = codes[tested], group_codes(samples)[tested]
    data = f"crts-variables, {len(classes)} classes, {len(parts)} of {FOLDS} folds"
    forest = trees(samples, codes, parts, "features")
    said = {name: networks(samples, f"dmdt_{name}", classes, parts, 1 if quick else seeds, epochs, name) for name, seeds in SEEDS.items()}
    for name, each in said.items():
        mean = each.mean(axis=0)
        note = f"{epochs} epochs, probabilities of {len(each)} seed(s) averaged"
        reference_name, reference = ("random forest on 11 statistics", forest) if name == "shallow" else ("shallow network, as many seeds", said["shallow"][: len(each)].mean(axis=0))
        yield Number(
            f"accuracy, {name} network", accuracy(truth, mean), *interval(accuracy, truth, mean, groups), n=len(truth), data=data, reference_name=reference_name,
            reference=accuracy(truth, reference), difference=paired(accuracy, truth, mean, reference, groups), published=0.83, higher_is_better=True,
            note=f"{note}; single seeds {min(accuracy(truth, one) for one in each):.3f} to {max(accuracy(truth, one) for one in each):.3f}; other class shares than published",
        )  # fmt: skip
    first, mean = len(parts[0].test), said["shallow"].mean(axis=0)
    if len(parts) > 1:
        yield Number(
            "accuracy, shallow network, first fold alone", accuracy(truth[:first], mean[:first]), *interval(accuracy, truth[:first], mean[:first], groups[:first]), n=first, data=data,
            reference_name="random forest on 11 statistics", reference=accuracy(truth[:first], forest[:first]),
            difference=paired(accuracy, truth[:first], mean[:first], forest[:first], groups[:first]), higher_is_better=True,
            note=f"{epochs} epochs, {len(said['shallow'])} seeds; rate and loss were chosen on stars of the other four folds, so that no star of this one helped",
        )  # fmt: skip
    images = trees(samples, codes, parts, "dmdt")
    yield Number(
        "accuracy, random forest on the same images", accuracy(truth, images), *interval(accuracy, truth, images, groups), n=len(truth), data=data,
        reference_name="shallow network", reference=accuracy(truth, said["shallow"].mean(axis=0)), difference=paired(accuracy, truth, images, said["shallow"].mean(axis=0), groups),
    )  # fmt: skip
    own, truth, groups = said["shallow"][0, :first], truth[:first], groups[:first]
    for name, edges in GRIDS.items():  # the first fold, one seed: a glance, not a ranking
        recipe = af.get_recipe("dmdt_shallow").change(inputs={"light_curve": af.Part.of("dmdt", edges=edges, norm="255")})
        made = networks(samples, recipe, classes, parts[:1], 1, epochs)[0]
        yield Number(
            f"accuracy, shallow network, grid {name}", accuracy(truth, made), *interval(accuracy, truth, made, groups), n=len(truth), data=data,
            reference_name="22 x 24, one seed", reference=accuracy(truth, own), difference=paired(accuracy, truth, made, own, groups), note=f"{epochs} epochs, first fold, one seed, the same norm",
        )  # fmt: skip


def networks(samples: af.SampleSet, recipe: af.Recipe | str, classes: np.ndarray, parts: list[af.Split], seeds: int, epochs: int, kept: str = "") -> np.ndarray:
    """Probabilities of all test rows in their order: (seed, row, class); kept under a name, where there is a folder for it."""
    recipe = af.get_recipe(recipe)
    shown = samples.represent("light_curve", "dmdt", **recipe.inputs["light_curve"].options)
    arrays = shown.arrays("light_curve")
    data = ModalityData(shown.spec("light_curve"), {"flux": arrays["flux"], "mask": arrays["mask"]}, arrays["present"])
    made = samples.with_data({"light_curve": data})  # once, not in every run
    plain = recipe.change(inputs={"light_curve": af.Part.of("asinh", background="none")})
    out = []
    for seed in range(seeds):
        rows = []
        for fold, part in enumerate(parts):
            file = Path(RUNS) / f"{kept}-{epochs}-{seed}-{fold}of{FOLDS}.npy" if RUNS and kept else None
            if file is not None and file.is_file():
                rows.append(np.load(file, allow_pickle=False))
                continue
            run = af.train(plain, made, TARGET, ["light_curve"], split=part, epochs=epochs, seed=seed, device="cpu", progress=False)
            told = run.predict(made.take(made.positions(part.test)))
            rows.append(np.stack([np.asarray(told[f"p_{one}"], dtype=np.float64) for one in classes], axis=1))
            if file is not None:
                np.save(file, rows[-1])
        out.append(np.concatenate(rows))
    return np.array(out)


def trees(samples: af.SampleSet, codes: np.ndarray, parts: list[af.Split], what: str) -> np.ndarray:
    """Probabilities of a random forest on 11 statistics, or on the images."""
    from sklearn.ensemble import RandomForestClassifier

    if what == "features":
        seen = samples.represent("light_curve", "features", period="")
        names = seen.spec("light_curve").channels
        values = seen.arrays("light_curve")["values"][:, [names.index(one) for one in ELEVEN]]
    else:
        values = samples.represent("light_curve", "dmdt", norm="l2").arrays("light_curve")["flux"].reshape(len(samples), -1)
    rows = []
    for part in parts:
        train, test = samples.positions(part.train), samples.positions(part.test)
        fitted = RandomForestClassifier(200, class_weight="balanced_subsample", random_state=0, n_jobs=1).fit(values[train], codes[train])
        rows.append(fitted.predict_proba(values[test]))
    return np.concatenate(rows)
