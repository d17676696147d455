"""You against the model: the samples, what was said of them, who was right, and how much of what the network looked at lies where the person looked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.lessons.plan import name_of, text_of
from astrofuse_lab.lessons.progress import PLAYED

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

REACH = 0.08
"""How far a mark reaches, as a share of the width of the picture or of the axis."""
MARKS = 12
"""Marks on one drawing at most."""


@dataclass(frozen=True)
class Contest:
    """An item of a lesson: so many samples to tell apart, against a run.

    Attributes
    ----------
    name, text : str
    ids : tuple of str
    classes : tuple of str
    truth, model : int array, (n,)
        Codes of the classes; -1 of the model where it says nothing.
    """

    name: str
    text: str
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    truth: NDArray[np.int64] = field(compare=False)
    model: NDArray[np.int64] = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """As plain values, without what would give the answers away."""
        return {"kind": "contest", "name": self.name, "text": self.text, "n": len(self.ids)}


def contest(name: str, run: "Run", samples: "SampleSet", n: int = 20, seed: int = 0, text: str = "") -> Contest:
    """Samples held out from the run's training (its test part, else the validation part; all where the run says nothing of its training, as published weights), each class as often as can be, the same for all who share the seed.

    Parameters
    ----------
    name : str
    run : Run
        A classifier.
    samples : SampleSet
    n : int
        At most so many.
    seed : int
    text : str
        What is asked; "": which class is it?

    Returns
    -------
    Contest

    Raises
    ------
    InputError
        If the run predicts no classes, or no held-out sample with a known class is in the set.
    """
    if getattr(run, "task", "") != "classification":
        raise InputError(f"a run that tells classes apart is needed; this one does {getattr(run, 'task', type(run).__name__)}.")
    if not isinstance(n, int) or not 2 <= n <= PLAYED:
        raise InputError(f"n={n!r}: a whole number from 2 to {PLAYED} is needed.")
    classes = tuple(str(c) for c in run.classes)
    place = {c: k for k, c in enumerate(classes)}
    every = samples.object_ids.tolist()
    # published weights come without the ids that they were trained on
    held = set((run.split.test or run.split.validation) if run.split.train else every)
    column = samples.column(run.target)
    shown = np.logical_or.reduce([samples.present(m) for m in run.modalities if m in samples.modalities] or [np.zeros(len(samples), dtype=bool)])
    codes = {
        i: place[str(v)]
        for i, v, masked, seen in zip(every, np.ma.getdata(column), np.ma.getmaskarray(column), shown, strict=True)
        if i in held and seen and not masked and str(v) in place
    }
    if not codes:
        raise InputError(
            "none of these samples was held out from the run (test part, else validation part) and has a known class and data: you would play on what the run has learned by heart. Give the set it was trained on."
        )
    ids = _balanced(codes, n, seed)
    said = run.predict(samples.select(ids))
    model = [-1 if np.ma.is_masked(v) else place.get(str(v), -1) for v in said["prediction"]]
    words = text_of(text, "the question", 1000) or f"What is each of these: {', '.join(c.replace('_', ' ') for c in classes)}?"
    return Contest(name_of(name, "the contest's name"), words, tuple(ids), classes, np.array([codes[i] for i in ids]), np.array(model))


def _balanced(codes: Mapping[str, int], n: int, seed: int) -> list[str]:
    """Ids of each class in turn, then in random order."""
    rng = np.random.default_rng(seed)
    piles = {k: [str(i) for i in rng.permutation(sorted(i for i, c in codes.items() if c == k))] for k in sorted(set(codes.values()))}
    out: list[str] = []
    while len(out) < n and any(piles.values()):
        out += [pile.pop() for pile in piles.values() if pile]
    return [str(i) for i in rng.permutation(out[:n])]


def matrix(truth: Sequence[int], said: Sequence[int], k: int) -> list[list[int]]:
    """Counts, true by said, of those who said something."""
    out = np.zeros((k, k), dtype=np.int64)
    for a, b in zip(truth, said, strict=True):
        if a >= 0 and b >= 0:
            out[a, b] += 1
    return [[int(v) for v in row] for row in out]


def score(game: Contest, given: Mapping[str, int]) -> dict[str, Any]:
    """Who was right how often, on the samples that the person has answered.

    Returns
    -------
    dict
        n; "you" and "model": right, low, high (95 % interval of the share) and the matrix; only_you, only_model: right where the other is wrong.
    """
    from astrofuse_lab.training.thresholds import wilson

    rows = [(int(t), given[i], int(m)) for i, t, m in zip(game.ids, game.truth, game.model, strict=True) if i in given]
    n, k = len(rows), len(game.classes)

    def one(at: int) -> dict[str, Any]:
        right = sum(row[0] == row[at] for row in rows)
        low, high = (float(v) for v in wilson(right, n)) if n else (0.0, 1.0)
        return {"right": right, "low": low, "high": high, "matrix": matrix([r[0] for r in rows], [r[at] for r in rows], k)}

    return {
        "n": n, "of": len(game.ids), "classes": list(game.classes), "you": one(1), "model": one(2),
        "only_you": sum(t == y != m for t, y, m in rows), "only_model": sum(t == m != y for t, y, m in rows),
    }  # fmt: skip


def played(game: Contest, given: Mapping[str, int], looks: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """The game as the progress file holds it: [id, truth, yours, the model's], and the mean share of the network's look under the marks beside what chance gives."""
    rows = [[i, int(t), given[i], int(m)] for i, t, m in zip(game.ids, game.truth, game.model, strict=True) if i in given]
    out: dict[str, Any] = {"classes": list(game.classes), "rows": rows}
    if looks:
        found, chance = np.array(list(looks.values()), dtype=np.float64).mean(axis=0)
        out |= {"models": float(found), "chance": float(chance)}
    return out


def marked(kind: str, marks: Sequence[Sequence[float]], shape: tuple[int, ...], axis: NDArray[np.float64] | None = None) -> NDArray[np.bool_]:
    """Which places lie within `REACH` of a mark.

    Parameters
    ----------
    kind : str
        Of the modality: an image has marks in two directions, all else along its axis.
    marks : sequence of (u, v)
        Shares of the drawing's width and height, from the left and from below.
    shape : tuple of int
        Of the places.
    axis : float array, (n,), optional
        Shares along the drawing of the places of a spectrum or light curve.
    """
    out = np.zeros(shape, dtype=bool)
    if kind == "image":
        v, u = np.meshgrid((np.arange(shape[0]) + 0.5) / shape[0], (np.arange(shape[1]) + 0.5) / shape[1], indexing="ij")
        for x, y in marks:
            out |= np.hypot(u - x, (v - y) * shape[0] / shape[1]) <= REACH
        return out
    along = np.linspace(0, 1, shape[0]) if axis is None else np.asarray(axis)
    for x, _ in marks:
        out |= np.abs(along - x) <= REACH / 2
    return out


def look(values: NDArray[np.float32], under: NDArray[np.bool_]) -> tuple[float, float]:
    """Share of what the network looked at (absolute attribution) under the marks, and the share of places that they cover; not a number counts as nothing."""
    size = np.abs(np.nan_to_num(np.asarray(values, dtype=np.float64)))
    total = float(size.sum())
    return (float(size[under].sum()) / total if total > 0 else 0.0), float(under.mean())
