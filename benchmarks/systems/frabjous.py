"""Frabjous: the published votes of 535 CHIME bursts, and on our simulation ten judges of pairs and their vote beside one softmax network and trees.

Waterfalls of CHIME are not public, so networks are trained and measured on simulated bursts (`practice-bursts` at fewer pixels and a smaller width, said in the
notes); no threshold was fitted: the published ones, and plain halves.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import confusion_matrix
from systems_parts import Number, interval, paired

import astrofuse_lab as af
from astrofuse_lab.models import pairwise
from astrofuse_lab.recipes import radio
from astrofuse_lab.samples import simulated_bursts
from astrofuse_lab.training.pairwise import train_pairwise

Array = NDArray[np.float64]
CLASSES = np.array(radio.CLASSES)


def right(truth: Array, said: Array) -> float:
    """Share that is right."""
    return float((truth == said).mean())


def measure(quick: bool) -> Iterator[Number]:
    """Accuracies."""
    torch.set_num_threads(1)
    yield from published()
    yield from simulated(quick)


def published() -> Iterator[Number]:
    """From the public sums of the vote."""
    samples = af.load_samples("frb-morphology", progress=False)
    truth = samples.column("actual_type").data.astype(str)
    sums = {name: np.asarray(samples.column(f"type{name}_score"), float) for name in radio.CLASSES}
    said = CLASSES[pairwise.by_name(sums).winner]
    always = np.full(len(truth), "II")
    data = "frb-morphology: published sums of the vote, types by people"
    matrix = confusion_matrix(truth, said, labels=CLASSES)
    note = "; ".join(f"{name}: {' '.join(map(str, row))}" for name, row in zip(CLASSES, matrix, strict=True))
    yield Number(
        "accuracy of the published vote", right(truth, said), *interval(right, truth, said), n=len(truth), data=data, reference_name="always II", reference=right(truth, always),
        difference=paired(right, truth, said, always), published=0.495, note=f"265 of 535; confusion (rows: by people, columns I to V) {note}",
    )  # fmt: skip
    for without, column, number in (("I", "pred_type_w_A", 0.61), ("II", "pred_type_w_B", 0.675)):
        left = truth != without
        other = np.ma.filled(samples.column(column).astype(str), "")
        again = CLASSES[pairwise.by_name({name: (np.full(len(truth), -9.0) if name == without else value) for name, value in sums.items()}).winner]
        yield Number(
            f"accuracy of the published vote without judges of {without}, bursts of other types", right(truth[left], other[left]), *interval(right, truth[left], other[left]), n=int(left.sum()),
            data=data, reference_name=f"the same sums, {without} being no answer", reference=right(truth[left], again[left]), difference=paired(right, truth[left], other[left], again[left]),
            published=number, note="a published column, counted; the sums alone still hold what the left-out judges said",
        )  # fmt: skip


def simulated(quick: bool) -> Iterator[Number]:
    """Judges and vote, one softmax, one network that judges, and trees, on the same simulated test bursts."""
    side, width, train, test, epochs, seeds = (64, 12, 1200, 1000, 12, 1) if quick else (64, 16, 3000, 2000, 20, 2)
    samples = simulated_bursts.make(train + test, 7, False, side=side, types=5)
    ids = samples.object_ids
    split = af.Split(tuple(ids[:train]), tuple(ids[train:]))
    tested = samples.select(split.test)
    truth = tested.column("archetype").data.astype(str)
    schedule = af.Part.of("end_to_end", epochs=epochs, batch_size=32, learning_rate=1e-3, weight_decay=0.0, shape="constant")

    def fit(recipe: af.Recipe, seed: int) -> Array:
        run = af.train(recipe.change(schedule=schedule), samples, "archetype", split=split, seed=seed, device="cpu", progress=False)
        return np.asarray(run.outputs(tested)[0])

    judges = {pair: radio.pair_recipe(*pair, width=width).change(schedule=schedule) for pair in ((CLASSES[i], CLASSES[j]) for i, j in pairwise.pairs_of(5))}
    told = np.mean([train_pairwise(judges, samples, "archetype", radio.CLASSES, split=split, seed=seed, device="cpu", progress=False).judge(tested) for seed in range(seeds)], axis=0)
    softmax_recipe = af.get_recipe("frabjous_softmax").change(encoders={"image": af.Part.of("layers", layers=radio.layers(width, 3, 5, (128, 0.3, 16, 0.2)), project=False)})
    one_recipe = af.get_recipe("frabjous_vote").change(encoders={"image": af.Part.of("layers", layers=radio.layers(width, 5, 3, radio.OTHERS), project=False)})
    answers = {
        "ten judges and their vote": CLASSES[pairwise.vote(told, pairwise.thresholds_of(radio.CLASSES)).winner],
        "the same with the published thresholds": CLASSES[pairwise.vote(told, pairwise.thresholds_of(radio.CLASSES, radio.THRESHOLDS)).winner],
        "one network that judges all pairs, and their vote": CLASSES[np.mean([fit(one_recipe, seed) for seed in range(seeds)], axis=0).argmax(1)],
        "one softmax network": CLASSES[np.mean([fit(softmax_recipe, seed) for seed in range(seeds)], axis=0).argmax(1)],
        "extremely randomised trees on profiles": forest(samples, split, truth),
    }
    data = f"practice-bursts (simulated), {train} train, {test} test, five types, {side} x {side} pixels"
    note = f"width {width} (published 32), {epochs} epochs (published 200 to 300), {seeds} seed(s)"
    soft = answers["one softmax network"]
    for name, said in answers.items():
        own = name == "one softmax network"
        other, reference = (answers["extremely randomised trees on profiles"], "trees") if own else (soft, "one softmax network")
        yield Number(
            f"accuracy on simulation, {name}", right(truth, said), *interval(right, truth, said), n=len(truth), data=data, reference_name=reference, reference=right(truth, other),
            difference=paired(right, truth, said, other), note=note if "trees" not in name else "mean power of each channel and each time, over the peak", higher_is_better=None if "trees" in name else True,
        )  # fmt: skip
    faint = tested.column("signal_to_noise").data < 40
    vote = answers["ten judges and their vote"]
    yield Number(
        "accuracy on simulation, signal-to-noise below 40, ten judges", right(truth[faint], vote[faint]), *interval(right, truth[faint], vote[faint]), n=int(faint.sum()), data=data,
        reference_name="one softmax network", reference=right(truth[faint], soft[faint]), difference=paired(right, truth[faint], vote[faint], soft[faint]), note=note,
    )  # fmt: skip


def forest(samples: af.SampleSet, split: af.Split, truth: Array) -> Array:
    """Trees on what a person would plot beside a waterfall."""
    flux = samples.arrays("image")["flux"][:, 0]
    flux = flux / flux.max(axis=(1, 2), keepdims=True)
    x = np.concatenate([flux.mean(axis=1), flux.mean(axis=2)], axis=1)
    train, test = samples.positions(split.train), samples.positions(split.test)
    y = samples.column("archetype").data.astype(str)
    return np.asarray(ExtraTreesClassifier(400, class_weight="balanced", random_state=0).fit(x[train], y[train]).predict(x[test]))
