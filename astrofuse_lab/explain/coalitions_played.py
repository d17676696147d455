"""The model asked about subsets of its modalities: the games that contributions are worked out from."""

from collections.abc import Mapping, Sequence
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

    Encoders run once; only fusion and head are run for each coalition. A modality that a sample lacks adds nothing, exactly: its coalitions
    with and without it are one. Where modalities share an encoder or are calibrated by each other, all is run. Players that the model does
    not know are never there.
    """
    known = [name for name in players if name in model.modalities]
    separable = getattr(model, "separable", True)
    tokens = {n: _trimmed(one) for n, one in model.encode({m: part.values[m] for m in known}, part.masks, part.present)[0].items()} if separable else {}
    bits = torch.zeros(len(part), dtype=torch.long, device=before.device)
    for i, name in enumerate(players):
        if name in known:
            there = tokens[name].mask.any(1) if separable else part.present[name] & part.masks[name].flatten(1).any(1)
            bits |= there.long() << i
    index = same_as(bits, inside).to(before.device)
    values = before.repeat(len(part), len(inside), 1)
    for c, row in enumerate(inside):
        who = [name for name, here in zip(players, row, strict=True) if here and name in known]
        rows = torch.nonzero(index[:, c] == c)[:, 0] if c and who else index[:0, 0]
        if len(rows):
            whole = 2 * len(rows) > len(part)  # fusing a few in vain costs less than gathering the others' tokens
            rows = torch.arange(len(part), device=rows.device) if whole else rows
            if separable:
                values[rows, c] = model.predict({name: tokens[name] if whole else _of(tokens[name], rows) for name in who}).values
            else:
                some = part if whole else part.take(rows)
                values[rows, c] = model(*({m: one[m] for m in who} for one in some)).values
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2])), bits


def same_as(bits: Tensor, inside: NDArray[np.bool_]) -> Tensor:
    """The first coalition that is the same to each sample as each one is, given which players (bits, (n,)) it has: (n, coalition)."""
    codes = (inside.astype(np.int64) << np.arange(inside.shape[1])).sum(1)
    patterns, which = torch.unique(bits.cpu(), return_inverse=True)
    each = []
    for pattern in patterns.tolist():
        _, first, back = np.unique(codes & pattern, return_index=True, return_inverse=True)
        each.append(first[back])
    return torch.from_numpy(np.stack(each))[which]


def _trimmed(tokens: "Tokens") -> "Tokens":
    """The tokens without those at the end that no sample has: short texts and light curves are not fused again and again with their padding."""
    real = torch.nonzero(tokens.mask.any(0))[:, 0]
    end = max(1, int(real.max()) + 1 if len(real) else 1)
    if end == tokens.mask.shape[1]:
        return tokens
    place = dict(tokens.place)
    if "box" in place:
        place["box"] = place["box"][:end]
    if "coordinates" in place:
        place["coordinates"] = {name: one[:, :end] for name, one in place["coordinates"].items()}
    return tokens._replace(values=tokens.values[:, :end], mask=tokens.mask[:, :end], place=place)


def _of(tokens: "Tokens", rows: Tensor) -> "Tokens":
    """The tokens of some samples."""
    count = len(tokens.mask)

    def some(place: Any) -> Any:
        if isinstance(place, Tensor):
            return place[rows] if len(place) == count else place
        # boxes lie in the input, the same for all samples
        return {key: one if key in ("box", "keys") else some(one) for key, one in place.items()} if isinstance(place, Mapping) else place

    return tokens._replace(values=tokens.values[rows], mask=tokens.mask[rows], place=some(tokens.place))
