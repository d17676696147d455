"""Practice-sky tasks whose signal lies where we put it: a line, an arc, a dip, a column, a word.

Objects of the practice sky are rendered as ever; then half of their copies have the signal added in physical units, before anything is
prepared, at a place drawn for that copy, and all have a decoy elsewhere. Which copies have the signal is what a model learns; where it is,
nobody tells it. An attribution is right where its maximum falls on that place: the pointing game (Zhang et al. 2018,
doi:10.1007/s11263-017-1059-x, section 4.1).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from astrofuse_lab.alignment.text import words
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples import practice
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.assemble import align
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.training.loop import train
from astrofuse_lab.training.run import Run

TARGET = "planted"
WORD, DECOY = "glitch", "satellite"
Arrays = dict[str, np.ndarray]


class Task(NamedTuple):
    """A planted task.

    Attributes
    ----------
    samples : SampleSet
        With a column `planted`, 1 or 0.
    places : list of bool array, one a sample
        True where the signal was put, in the shape of `Attribution.per_place` (or shorter, of ragged kinds); all False where there is none.
    split : Split
        By object: all copies of an object are on one side.
    modality : str
    """

    samples: SampleSet
    places: list[np.ndarray]
    split: Split
    modality: str

    def tested(self) -> np.ndarray:
        """Positions of the planted samples that no model was trained on."""
        where = self.samples.positions(self.split.test)
        return np.array([i for i in where if self.places[i].any()])


# ---- signals and decoys, in physical units --------------------------------------------------------------------------
# Every object has a decoy, as strong as the signal and at another place: a map that only follows what stands out of its input, as that of a
# model without training does, points at the decoy as often.


def line(one: Arrays, rng: np.random.Generator, planted: bool) -> np.ndarray:
    """An emission line of 20 Å (standard deviation), at its peak 20 times the noise and the continuum once more above it, at any wavelength.

    The decoy is an absorption line down to a half of the continuum, as much in a logarithm.
    """
    wavelength, good = one["lambda"], one["mask"][0]
    level = np.median(one["flux"][0][good])
    noise = np.median(1 / np.sqrt(one["ivar"][0][good & (one["ivar"][0] > 0)]))
    decoy, centre = rng.choice(wavelength[20:-20][good[20:-20]], 2, replace=False)
    one["flux"][0] *= 1 - 0.5 * np.exp(-0.5 * ((wavelength - decoy) / 20.0) ** 2)
    if planted:
        one["flux"][0] += (20 * noise + abs(level)) * np.exp(-0.5 * ((wavelength - centre) / 20.0) ** 2)
    return (np.abs(wavelength - centre) <= 40.0) & planted


def arc(one: Arrays, rng: np.random.Generator, planted: bool) -> np.ndarray:
    """An arc around the centre, 2.1 to 3.7 arcsec off and 60 to 100 degrees long, 20 times the noise, in all bands.

    The decoy is as dark an arc on the other side, as a model subtracted too much leaves it.
    """
    shape, inside, turned = _arc(one, rng)
    one["flux"][0] -= _arc(one, rng, turned)[0]
    if planted:
        one["flux"][0] += shape
    return inside & planted


def arc_or_star(one: Arrays, rng: np.random.Generator, planted: bool) -> np.ndarray:
    """The same arc; the decoy is a star on the other side, as bright at its peak: what is bright and off the centre is no evidence by itself."""
    shape, inside, turned = _arc(one, rng)
    size, away = one["flux"].shape[-1], rng.uniform(8, 14)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    at = np.radians(turned)
    star = np.exp(-0.5 * (np.hypot(x - away * np.cos(at), y - away * np.sin(at)) / 1.3) ** 2)
    one["flux"][0] += (20 * _noise(one) * star).astype(np.float32)
    if planted:
        one["flux"][0] += shape
    return inside & planted


def _noise(one: Arrays) -> np.ndarray:
    return np.asarray(np.median(1 / np.sqrt(np.maximum(one["ivar"][0], 1e-9)), axis=(1, 2))[:, None, None])


def _arc(one: Arrays, rng: np.random.Generator, middle: float | None = None) -> tuple[np.ndarray, np.ndarray, float]:
    """Flux of an arc around an azimuth, the pixels of it, and an azimuth on the other side."""
    size = one["flux"].shape[-1]
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius, length = rng.uniform(8, 14), rng.uniform(60, 100)
    middle = rng.uniform(0, 360) if middle is None else middle
    along = (np.degrees(np.arctan2(y, x)) - middle + length / 2) % 360
    flux = 20 * _noise(one) * np.exp(-0.5 * (np.hypot(x, y) - radius) ** 2) * (along <= length)
    inside = (np.abs(np.hypot(x, y) - radius) <= 2.5) & ((along + 8) % 360 <= length + 16)
    return flux.astype(np.float32), inside, middle + rng.uniform(140, 220)


def dip(one: Arrays, rng: np.random.Generator, planted: bool) -> np.ndarray:
    """At one phase of a period, a tenth of it, the object is at a tenth of its flux; the decoy are flares of ten times the flux at another phase."""
    period, begin = rng.uniform(2.0, 9.0), rng.uniform(0, 1)
    phase = (one["time"] / period - begin) % 1.0
    one["flux"][(phase >= 0.5) & (phase < 0.6)] *= 10
    if planted:
        one["flux"][phase < 0.1] *= 0.1
    return (phase < 0.1) & one["mask"] & planted


def column(one: Arrays, rng: np.random.Generator, planted: bool) -> np.ndarray:
    """One of the columns that nearly every object has is 5 standard deviations too large; the decoy is another as much too small."""
    which, decoy = rng.choice(np.flatnonzero(one["mask"][0] & one["common"]), 2, replace=False)
    one["values"][0, decoy] -= 5 * one["spread"][decoy]
    if planted:
        one["values"][0, which] += 5 * one["spread"][which]
    return (np.arange(one["values"].shape[1]) == which) & planted


def word(one: Arrays, rng: np.random.Generator, planted: bool) -> np.ndarray:
    """One word that no report of the practice sky holds, anywhere among the others; the decoy is another such word."""
    said = words(one["utf8"].tobytes().decode())
    said.insert(int(rng.integers(len(said) + 1)), DECOY)
    at = int(rng.integers(len(said) + 1))
    if planted:
        said.insert(at, WORD)
    one["utf8"] = np.frombuffer(" ".join(said).encode(), dtype=np.uint8)
    return (np.arange(len(said)) == at) & planted


SIGNALS: dict[str, tuple[str, Callable[[Arrays, np.random.Generator, bool], np.ndarray]]] = {
    "line": ("spectrum", line), "arc": ("image", arc), "arc_or_star": ("image", arc_or_star), "dip": ("light_curve", dip), "column": ("table", column),
    "word": ("text", word),
}  # fmt: skip
"""Task -> modality, and what plants it; arrays are those of one object, changed in place, the answer is where (nowhere, of the decoy alone)."""
ENCODERS = {
    "spectrum": Part.of("conv1d", channels=8), "image": Part.of("conv2d", channels=8, profile=0), "light_curve": Part.of("time_transformer"),
    "table": Part.of("mlp"), "text": Part.of("ngram_mlp"),
}  # fmt: skip
EPOCHS = {"spectrum": 25, "image": 15, "light_curve": 14, "table": 25, "text": 8}
NEAR = {"spectrum": 4, "image": 3}
"""Pixels beside the place that count as on it: half of an occlusion window, which no method that hides windows can be expected to divide."""


# ---- sets and runs -------------------------------------------------------------------------------------------------


@lru_cache
def sky(kind: str, count: int) -> SampleSet:
    """So many objects of the practice sky, seen by one survey only; objects it lacks left out, and light curves that are mostly noise."""
    targets = practice.objects_in(*practice.CENTRE, min(practice.radius_for(count), practice.LARGEST_RADIUS), count)
    found = practice.Rendered(targets, Ask(size=practice.IMAGE.size * practice.IMAGE.scale, options={"seed": 0}))
    found.surveys = (f"practice/{kind}",)  # type: ignore[misc]
    samples = align(found, practice.IMAGE, practice.SPECTRUM, practice.LIGHT_CURVE, progress=False)
    keep = samples.present(kind)
    if kind == "light_curve":
        keep &= np.array([_bright(samples.arrays(kind, [i])) for i in range(len(samples))])
    return samples.take(np.flatnonzero(keep))


def _bright(one: Arrays) -> bool:
    good = one["mask"] & (one["flux_err"] > 0)
    return bool(good.any()) and float(np.median(one["flux"][good] / one["flux_err"][good])) > 8


@lru_cache
def planted(name: str, count: int = 120, copies: int = 3) -> Task:
    """A task: of every object so many copies with the signal, each at a place of its own, and as many without."""
    kind, plant = SIGNALS[name]
    source, rng = sky(kind, count), np.random.default_rng(1)
    pieces, places, rows = [], [], []
    extra = _of_table(source) if kind == "table" else {}
    for row in range(len(source)):
        for copy in range(2 * copies):
            one = {**source.arrays(kind, [row]), **extra}
            places.append(plant(one, rng, copy % 2 == 1))
            pieces.append(one)
            rows.append(row)
    return _task(source, kind, np.array(rows), pieces, places)


def _of_table(source: SampleSet) -> Arrays:
    given = source.arrays("table")
    return {"common": given["mask"].mean(0) > 0.9, "spread": np.array([np.std(v[m]) for v, m in zip(given["values"].T, given["mask"].T, strict=True)])}


def _task(source: SampleSet, kind: str, rows: np.ndarray, pieces: list[Arrays], places: list[np.ndarray]) -> Task:
    objects = source.object_ids[rows]
    ids = [f"{name} copy {i}" for i, name in enumerate(objects)]
    truth = np.array([i % 2 for i in range(len(places))])
    columns: dict[str, Any] = {"object_id": ids, TARGET: truth, "object": objects, **{n: np.asarray(source.column(n))[rows] for n in ("ra", "dec")}}
    data, roles = {}, {TARGET: "target", "object": "group"}
    if kind == "table":
        values = np.concatenate([one["values"] for one in pieces])
        mask = np.concatenate([one["mask"] for one in pieces])
        columns |= {n: pa.array(values[:, i], mask=~mask[:, i]) for i, n in enumerate(source.inputs)}
        roles |= dict.fromkeys(source.inputs, "input")
    else:
        data[kind] = ModalityData(source.spec(kind), _joined(pieces), np.ones(len(pieces), dtype=bool))
    made = SampleSet(pa.table(columns), data, roles, source.units, source.card)
    test = np.isin(objects, np.unique(objects)[::4])
    ids_of = np.array(ids)
    return Task(made, places, Split(tuple(ids_of[~test]), tuple(ids_of[test]), group="object"), kind)


def _joined(pieces: list[Arrays]) -> Arrays:
    ragged = "offsets" in pieces[0]
    out = {}
    for name in pieces[0]:
        if name in ("present", "offsets"):
            continue
        out[name] = pieces[0][name] if name == "lambda" else np.concatenate([one[name] for one in pieces])
    if ragged:
        some = "utf8" if "utf8" in out else "time"
        out["offsets"] = np.concatenate([[0], np.cumsum([len(one[some]) for one in pieces])]).astype(np.int64)
    return out


def recipe_for(name: str) -> Recipe:
    """The small recipe that learns a task in seconds."""
    kind, _ = SIGNALS[name]
    schedule = Part.of("end_to_end", learning_rate=1e-3 if kind == "spectrum" else 2e-3, patience=40)
    return get_recipe("late_fusion").change(encoders={kind: ENCODERS[kind]}, fusion=Part.of("concatenation"), schedule=schedule, width=32)


@lru_cache
def taught(name: str, count: int = 120, copies: int = 3, seed: int = 0) -> Run:
    """A run that has learned a task."""
    task, threads = planted(name, count, copies), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return train(recipe_for(name), task.samples, TARGET, [task.modality], task.split, seed, "cpu", EPOCHS[task.modality], progress=False)
    finally:
        torch.set_num_threads(threads)


# ---- pointing --------------------------------------------------------------------------------------------------------


def points_at(weights: np.ndarray, place: np.ndarray, real: np.ndarray, near: int = 0) -> bool:
    """Whether the largest attribution lies on the place, or at most `near` pixels off; of several equally large ones, that nearest to their middle."""
    shown = np.where(real, weights, -np.inf)
    top = np.argwhere(shown >= shown.max() - 1e-6 * abs(shown.max()))
    best = top[np.argmin(((top - top.mean(0)) ** 2).sum(1))]
    return bool((np.abs(np.argwhere(place) - best).max(1) <= near).any())


def pointing(attribution: Any, task: Task, positions: np.ndarray) -> np.ndarray:
    """For each explained sample, whether its maximum falls on the place; `positions` are theirs in the task."""
    return pointing_of(attribution.per_place(task.modality), attribution.place_mask(task.modality), task, positions)


def pointing_of(weights: np.ndarray, real: np.ndarray, task: Task, positions: np.ndarray) -> np.ndarray:
    """The same of any weights on the input."""
    near = NEAR.get(task.modality, 0)
    return np.array([points_at(w, task.places[p], r, near) for w, p, r in zip(weights, positions, real, strict=True)])


def by_chance(real: np.ndarray, task: Task, positions: np.ndarray, draws: int = 20) -> np.ndarray:
    """The rate at which a map of pure noise points at the place, (draw,)."""
    rng = np.random.default_rng(0)
    return np.array([pointing_of(rng.normal(size=real.shape), real, task, positions).mean() for _ in range(draws)])
