"""The model asked about subsets of its modalities: the games that contributions are worked out from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.explain.adapter import Pace, answers, device_of, explaining, target_index

if TYPE_CHECKING:
    from astrofuse_lab.explain.questioning import Panel
    from astrofuse_lab.models.tokens import Tokens
    from astrofuse_lab.samples.preparation import Batch
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

Array = NDArray[Any]
TOGETHER = 4096
"""Rows of tokens (samples times subsets) that fusion and head are given at once."""


class Played(NamedTuple):
    """Games of some samples.

    Attributes
    ----------
    games : float64 array, (member, n, coalition)
        Score of what is explained.
    told : float64 array, (n, coalition, ...)
        Probabilities, or numbers in their units, mean over members.
    target : tuple
    present : bool array, (n, player)
        The sample has it and a member uses it.
    """

    games: Array
    told: Array
    target: tuple[Any, ...]
    present: NDArray[np.bool_]


def play(panel: "Panel", samples: "SampleSet", players: Sequence[str], inside: NDArray[np.bool_], before: Sequence[Array], pace: Pace) -> Played:
    """Score of every coalition for every sample, chunk by chunk.

    Parameters
    ----------
    panel : Panel
    samples : SampleSet
    players : sequence of str
    inside : bool array, (coalition, player)
        The empty one first, that of all last.
    before : sequence of array, (output,)
        What each member says without any data.
    pace : Pace
    """
    pieces: list[tuple[Array, Array, Array, Array]] = []
    for index in pace.chunks(len(samples)):
        said, there = [], []
        for run, empty in zip(panel.runs, before, strict=True):
            with explaining(run.model) as model, torch.inference_mode():
                part = run.batch(samples, index.numpy()).to(device_of(model))
                values, bits = coalition_values(model, part, players, inside, torch.as_tensor(empty, dtype=torch.float32, device=device_of(model)))
                said.append(values.cpu())
                there.append(((bits.cpu()[:, None] >> torch.arange(len(players))) & 1 == 1).numpy())
        told = np.mean([_told(run, one) for run, one in zip(panel.runs, said, strict=True)], axis=0)
        goal = target_index(panel.runs[0], panel.target, torch.from_numpy(told[:, -1].reshape(len(index), -1)))
        scores = [_scored(panel, run, one, goal) for run, one in zip(panel.runs, said, strict=True)]
        pieces.append((np.stack(scores), told, goal.numpy(), np.any(there, axis=0)))
    games, goals = np.concatenate([one[0] for one in pieces], 1), np.concatenate([one[2] for one in pieces])
    named = tuple(answers(panel.runs[0])[i] for i in goals)
    return Played(games, np.concatenate([one[1] for one in pieces]), named, np.concatenate([one[3] for one in pieces]))


def _told(run: "Run", values: Tensor) -> Array:
    """Values (n, coalition, output) as `Run.outputs` gives them: (n, coalition, ...)."""
    told = run.decode(values.flatten(0, 1))
    return told.reshape(*values.shape[:2], *told.shape[1:])


def _scored(panel: "Panel", run: "Run", values: Tensor, goal: Tensor) -> Array:
    """Score of each sample's goal, (n, coalition)."""
    flat = values.flatten(0, 1)
    first, own = panel.runs[0].problem, run.problem
    if own.centre != first.centre or own.width != first.width:
        # numbers of all members in standard deviations of the first one's training values
        flat = (flat * torch.tensor(own.width) + torch.tensor(own.centre) - torch.tensor(first.centre)) / torch.tensor(first.width)
    return panel.scored(flat, goal.repeat_interleave(values.shape[1])).view(values.shape[:2]).double().numpy()


# ---- one model ------------------------------------------------------------------------------------------------------


def coalition_values(model: Any, part: "Batch", players: Sequence[str], inside: NDArray[np.bool_], before: Tensor) -> tuple[Tensor, Tensor]:
    """The model's values for every coalition, (n, coalition, output), and which players each sample has, as bits (n,).

    Encoders run once; only fusion and head are run for each coalition. Where modalities share an encoder or are calibrated by each other,
    all is run. Players that the model does not know are never there.
    """
    known = [name for name in players if name in model.modalities]
    if getattr(model, "separable", True):
        tokens, _ = model.encode({m: part.values[m] for m in known}, part.masks, part.present)
        there = {name: tokens[name].mask.any(1) for name in known}
        ask = _fusing(model, tokens)
    else:
        there = {name: part.present[name] & part.masks[name].flatten(1).any(1) for name in known}
        ask = _running(model, part)
    bits = torch.zeros(len(part), dtype=torch.long, device=before.device)
    for i, name in enumerate(players):
        if name in there:
            bits |= there[name].long() << i
    columns = np.array([name in there for name in players])
    # what the model does not know makes no difference: such coalitions are asked about once
    own, back = np.unique(inside & columns, axis=0, return_inverse=True)
    values = [before.expand(len(part), -1)] * len(own)
    some = [c for c in range(len(own)) if own[c].any()]
    for c, said in zip(some, ask([[name for i, name in enumerate(players) if own[c][i]] for c in some]), strict=True):
        values[c] = said
    return real(torch.stack(values, 1)[:, torch.from_numpy(back.ravel())], bits, inside), bits


def _fusing(model: Any, tokens: "dict[str, Tokens]") -> Any:
    """Values (n, output) of each coalition, by fusion and head alone."""
    return lambda coalitions: [model.predict({name: one for name, one in tokens.items() if name in who}).values for who in coalitions]


def _running(model: Any, part: "Batch") -> Any:
    """The same by a whole run of the model for each."""

    def run(who: Sequence[str]) -> Tensor:
        said: Tensor = model({m: part.values[m] for m in who}, {m: part.masks[m] for m in who}, {m: part.present[m] for m in who}).values
        return said

    return lambda coalitions: [run(who) for who in coalitions]


def real(values: Tensor, bits: Tensor, inside: NDArray[np.bool_]) -> Tensor:
    """Values (n, coalition, output) as those of the modalities that each sample has: one that is missing adds nothing, exactly."""
    codes = (inside.astype(np.int64) << np.arange(inside.shape[1])).sum(1)
    index = torch.zeros(values.shape[:2], dtype=torch.long)
    for pattern in torch.unique(bits.cpu()).tolist():
        # the first of all that are the same to samples with this pattern; the empty one is the first of all
        _, first, back = np.unique(codes & pattern, return_index=True, return_inverse=True)
        index[bits.cpu() == pattern] = torch.from_numpy(first[back])
    return values.gather(1, index.to(values.device)[..., None].expand(-1, -1, values.shape[2]))
