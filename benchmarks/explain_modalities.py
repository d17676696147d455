"""Exact Shapley values of modalities: how many forwards they cost, and beside captum's sampler on the same game.

    python benchmarks/explain_modalities.py [--quick] [--json]

Where encoders run once (late and gated fusion) all 2^M subsets are to cost at most five forwards of the model: the peer of these lines is
five forwards, the goal a ratio of 1. Models whose fusion is most of the work (attention between all tokens), or that join modalities before
any encoder, are reported beside them without a goal. captum's `ShapleyValueSampling` takes 25 orders, 25 M + 1 forwards; the error is that of
ours beside captum's exact `ShapleyValues` of the same model, on a few samples.
"""

import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from captum.attr import ShapleyValues, ShapleyValueSampling
from numpy.typing import NDArray
from reporting import Line, interleaved, report
from torch import Tensor

import astrofuse_lab as af
from astrofuse_lab.explain.adapter import SCORES, explaining
from astrofuse_lab.explain.coalitions_played import coalition_values
from astrofuse_lab.explain.games import members, shapley_values

SAMPLES, FEW, FORWARDS, TOLERANCE = 64, 4, 5, 1e-4
ONCE = ("late_fusion", "gated_fusion")
"""Recipes where encoders are most of the work."""


@lru_cache
def samples() -> Any:
    """Practice sky: images of 64 x 64 pixels, spectra, light curves, tables, texts."""
    return af.load_samples("practice", n=SAMPLES)


class Game:
    """A model with random weights, some modalities of some samples, and a class each: what the log-odds of the class are worth to whom.

    Parameters
    ----------
    run : Run
    players : int
        The first so many modalities.
    """

    def __init__(self, run: Any, players: int) -> None:
        self.model, self.outputs = run.model, len(run.classes)
        self.who = run.modalities[:players]
        self.batch = run.batch(samples())
        self.index = torch.arange(SAMPLES) % self.outputs

    def few(self) -> "Game":
        """The same of a few samples."""
        other = object.__new__(Game)
        other.__dict__.update({**self.__dict__, "batch": self.batch.take(torch.arange(FEW)), "index": self.index[:FEW]})
        return other

    def forward(self) -> None:
        """What one prediction costs."""
        with explaining(self.model) as model, torch.inference_mode():
            model(*({name: part[name] for name in self.who} for part in self.batch))

    def ours(self) -> NDArray[np.float64]:
        """Exact values, (sample, modality)."""
        inside = members(len(self.who))
        with explaining(self.model) as model, torch.inference_mode():
            values, _ = coalition_values(model, self.batch, self.who, inside, torch.zeros(self.outputs))
            score = SCORES["log_odds"](values.flatten(0, 1), self.index.repeat_interleave(len(inside)))
        return shapley_values(score.view(len(self.index), -1).double().numpy())

    def theirs(self, method: Any, **options: Any) -> NDArray[np.float64]:
        """By captum: each player is a number that says whether its modality is there."""

        def play(there: Tensor, index: Tensor) -> Tensor:
            values, masks, present = ({name: part[name] for name in self.who} for part in self.batch)
            present = {name: one & (there[:, i] > 0) for i, (name, one) in enumerate(present.items())}
            nobody = ~torch.stack(list(present.values())).any(0)
            said = torch.where(nobody[:, None], 0.0, self.model(values, masks, present).values)
            return SCORES["log_odds"](said, index)

        with explaining(self.model), torch.inference_mode():
            ones = torch.ones(len(self.index), len(self.who))
            return np.asarray(method(play).attribute(ones, torch.zeros_like(ones), additional_forward_args=self.index, **options).numpy())


@lru_cache
def run_of(recipe: str) -> Any:
    """After one epoch: what it says does not matter here."""
    if recipe != "data level":
        return af.train(recipe, samples(), target="label", epochs=1, device="cpu", progress=False)
    joined = af.get_recipe("late_fusion").change(stack=af.Part.of("concatenation", modalities=["spectrum", "table"]))
    return af.train(joined, samples(), target="label", modalities=["spectrum", "table"], epochs=1, device="cpu", progress=False)


def beside(recipe: str, players: int, pairs: int, goal: float | None, sampler: bool = True) -> Iterator[Line]:
    """One model beside so many forwards of it, and beside captum's sampler, which takes many times as long: once or twice."""
    game = Game(run_of(recipe), players)
    some = game.few()
    error = float(np.abs(some.ours() - some.theirs(ShapleyValues)).max())
    what = f"exact Shapley values of {players} modalities, {2**players} subsets, {recipe.replace('_', ' ')}, {SAMPLES} samples"
    seconds, one = interleaved(game.ours, game.forward, pairs)
    yield Line(what, f"{FORWARDS} forwards of the model", error <= TOLERANCE, error, TOLERANCE, seconds, FORWARDS * one, goal)
    if sampler:
        seconds, other = interleaved(game.ours, lambda: game.theirs(ShapleyValueSampling), max(1, pairs // 5))
        yield Line(what, f"captum ShapleyValueSampling, {25 * players + 1} forwards", error <= TOLERANCE, error, TOLERANCE, seconds, other)


def lines(quick: bool) -> Iterator[Line]:
    """Where encoders run once, then the others."""
    pairs = 3 if quick else 11
    for recipe in ONCE:
        for players in (2, 3, 4, 5):
            yield from beside(recipe, players, pairs, 1.0, not quick or (recipe, players) == ("late_fusion", 3))
    for players in (2, 3, 4, 5):
        yield from beside("joint_attention", players, pairs, None, not quick)
    yield from beside("data level", 2, pairs, None, not quick)


if __name__ == "__main__":
    sys.exit(report("explain_modalities", __doc__, lines))
