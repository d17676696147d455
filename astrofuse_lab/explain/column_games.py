"""What each column of a table adds to a prediction: exact Shapley values over all sets of columns, those left out drawn from other samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import device_of, explaining, some_samples
from astrofuse_lab.explain.games import members, shapley_values
from astrofuse_lab.explain.questioning import Panel

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.explain.questioning import Source
    from astrofuse_lab.samples.preparation import Batch
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

Array = NDArray[Any]
AT_ONCE = 200_000
"""Rows that a model is given at once."""


@dataclass(frozen=True)
class ColumnShares:
    """Shapley values of columns, or of groups of them.

    Attributes
    ----------
    players : tuple of str
    shapley : float64 array, (n, player)
        Mean over members; rows sum to ``score - base``.
    spread : float64 array, (n, player)
        Standard deviation over members; zero for a single run.
    base, score : float64 array, (n,)
        The mean score over the background, and that of the sample.
    object_ids : str array, (n,)
    target : tuple
    score_name : str
    background : int
        How many samples stood in for columns that are left out.
    simulated : bool
    """

    players: tuple[str, ...]
    shapley: Array
    spread: Array
    base: Array
    score: Array
    object_ids: NDArray[np.str_]
    target: tuple[Any, ...]
    score_name: str
    background: int
    simulated: bool

    def table(self) -> "Table":
        """One row a sample: object_id, target, base, score, and each player's value with ``<player>_spread``."""
        from astropy.table import Table

        table = Table({"object_id": self.object_ids, "target": [str(t) for t in self.target], "base": self.base, "score": self.score})
        for i, name in enumerate(self.players):
            table[name], table[f"{name}_spread"] = self.shapley[:, i], self.spread[:, i]
        table.meta.update(score=self.score_name, background=self.background, simulated=self.simulated)
        return table

    @property
    def total(self) -> "Table":
        """One row a player, the strongest first: mean absolute value over samples, mean value, and mean spread over members."""
        from astropy.table import Table

        strength = np.abs(self.shapley).mean(axis=0)
        table = Table({"player": list(self.players), "mean_abs_shapley": strength, "mean_shapley": self.shapley.mean(axis=0), "spread": self.spread.mean(axis=0)})
        table = table[np.argsort(-strength, kind="stable")]
        table.meta.update(score=self.score_name, n=len(self.score), background=self.background, simulated=self.simulated)
        return table


def column_shares(
    source: "Source", samples: "SampleSet", background: "SampleSet", *, modality: str = "table", groups: Mapping[str, Sequence[str]] | None = None, target: Any = None, score: str | None = None
) -> ColumnShares:  # fmt: skip
    """Share a prediction among the columns of a table, exactly (KernelSHAP's values without its sampling; Lundberg & Lee 2017, arXiv:1705.07874).

    The value of a set of columns is the score with these columns of the sample and the others of a background sample, averaged over the background
    (interventional Shapley values): a network that was never trained without a column is never shown a row without it. Other modalities stay the sample's own.

    Parameters
    ----------
    source : Run or Ensemble
        Of an ensemble each member is explained, for the target that they predict together.
    samples : SampleSet
    background : SampleSet
        What is usual, e.g. 50 training samples: another background is another question. The cost grows with 2^players times its size.
    modality : str
    groups : mapping of str to sequence of str, optional
        Columns that join and leave together, under one name: ``{"detectors": ["H1", "L1", "V1"]}``.
    target, score
        As in `attribute`.

    Returns
    -------
    ColumnShares

    Raises
    ------
    InputError
        For more than ten players, a modality that is no table, an empty set or one of which the model has nothing to go by.
    UnknownNameError
        For a column that the model is not given.
    """
    some_samples(samples)
    some_samples(background)
    panel = Panel(source, target, score)
    panel.whole(modality)
    players = _players(panel.runs[0], modality, groups or {})
    inside = members(len(players))
    goals = panel.goals(panel.ask(samples))
    games = np.stack([_game(panel, run, samples, background, modality, list(players.values()), inside, goals) for run in panel.runs])
    each, game = shapley_values(games), games.mean(axis=0)
    return ColumnShares(
        tuple(players), each.mean(axis=0), each.std(axis=0), game[:, 0], game[:, -1], np.asarray(samples.object_ids), panel.named(goals), panel.score_name, len(background),
        samples.simulated,
    )  # fmt: skip


def _players(run: "Run", modality: str, groups: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Columns by player, those that no group names each alone, in the order of the table."""
    scaling = run.preparation.scalings[modality]
    if scaling.kind != "table":
        raise InputError(f"modality={modality!r} is {scaling.kind}; columns are of a table. af.explain.contributions shares a prediction among modalities.")
    columns = list(scaling.layout[1])
    owner: dict[str, str] = {}
    for name, some in groups.items():
        for column in some:
            if column not in columns:
                raise UnknownNameError("column of the table", column, columns)
            if owner.setdefault(column, name) != name:
                raise InputError(f"column {column!r} is in two groups, {owner[column]!r} and {name!r}.")
    players: dict[str, list[int]] = {}
    for i, column in enumerate(columns):
        players.setdefault(owner.get(column, column), []).append(i)
    return players


def _game(panel: Panel, run: "Run", samples: "SampleSet", background: "SampleSet", modality: str, players: Sequence[Sequence[int]], inside: NDArray[np.bool_], goals: Array) -> Array:
    """The score of every set of players for every sample by one run, (n, coalition)."""
    own, others = run.batch(samples), run.batch(background)
    if not bool(own.present[modality].all()) or not bool(others.present[modality].all()):
        raise InputError(f"some samples have no {modality!r} as the model reads it: take those that have, for the background, too.")
    shown = torch.zeros(len(inside), own.values[modality].shape[1], dtype=torch.bool)
    for i, columns in enumerate(players):
        shown[:, list(columns)] = torch.from_numpy(inside[:, [i]])
    games = np.empty((len(samples), len(inside)))
    with explaining(run.model) as model, torch.inference_mode():
        for row in range(len(samples)):
            values = [_mixed(own, others, modality, row, some, model) for some in shown.split(max(1, AT_ONCE // len(background)))]
            scores = panel.scored(torch.cat(values), torch.full((len(inside) * len(background),), int(goals[row])))
            games[row] = scores.double().view(len(inside), len(background)).mean(dim=1).numpy()
    return games


def _mixed(own: "Batch", others: "Batch", modality: str, row: int, shown: torch.Tensor, model: Any) -> torch.Tensor:
    """The model's values for one sample's row crossed with all of the background, (coalition * background, output)."""
    count = len(others)
    given = own.take(torch.full((len(shown) * count,), row))
    where = shown.repeat_interleave(count, dim=0)
    for part, there in ((given.values, others.values), (given.masks, others.masks)):
        part[modality] = torch.where(where, part[modality], there[modality].repeat(len(shown), 1))
    given = given.to(device_of(model))
    return torch.as_tensor(model(given.values, given.masks, given.present).values).cpu()
