"""What each modality is worth: every subset of modalities is tried, none is sampled."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.adapter import Pace, Score, answers, chosen_modalities, device_of, explaining, score_of, some_samples, target_index
from astrofuse_lab.explain.games import interaction_index, members, shapley_values
from astrofuse_lab.explain.priors import before_any_data, labels_of

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.preparation import Batch
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

NOTHING = "(none)"
"""Name of the empty subset: the answer without any data."""


@dataclass(frozen=True)
class Worth:
    """A metric of every subset of modalities, with its bootstrap resamples.

    Attributes
    ----------
    metric : str
    values : array, (subset,)
    resampled : array, (subset, resample)
        The same resamples of groups for every subset, so that differences are paired.
    n : int
        Samples with a known target.
    lower_is_better : bool
    """

    metric: str
    values: NDArray[np.float64]
    resampled: NDArray[np.float64]
    n: int
    lower_is_better: bool


@dataclass(frozen=True)
class Contributions:
    """Exact Shapley values of modalities.

    Attributes
    ----------
    modalities : tuple of str
        The players.
    shapley : float64 array, (n, modality)
        What each modality adds to the sample's score, averaged over all orders in which they can join; rows sum to
        ``score - base``. Exactly zero for a modality the sample lacks.
    interactions : float64 array, (n, modality, modality)
        Shapley interaction index of each pair: positive where two complete each other, negative where they say the same.
    game : float64 array, (n, 2^M)
        Score with each subset; bit m of the subset's number is modality m. The first is `base`, the last is `score`.
    present : bool array, (n, modality)
        True where the sample has the modality.
    object_ids : str array, (n,)
    target : tuple
        Class explained, per sample; the target's name for a regression.
    score_name : str
    prior : float64 array, (class,)
        Probabilities behind `base`; empty for a regression, where `base` is the training mean.
    notes : tuple of str
    """

    modalities: tuple[str, ...]
    shapley: NDArray[np.float64]
    interactions: NDArray[np.float64]
    game: NDArray[np.float64]
    present: NDArray[np.bool_]
    object_ids: NDArray[np.str_]
    target: tuple[Any, ...]
    score_name: str
    prior: NDArray[np.float64]
    notes: tuple[str, ...] = ()
    _worth: Worth | None = field(default=None, repr=False)

    @property
    def base(self) -> NDArray[np.float64]:
        """The score without any modality, (n,)."""
        return self.game[:, 0]

    @property
    def score(self) -> NDArray[np.float64]:
        """The score with all modalities the sample has, (n,)."""
        return self.game[:, -1]

    @property
    def worth(self) -> Worth:
        """The metric of every subset; InputError where the samples have no known target."""
        if self._worth is None:
            raise InputError(
                "these samples have no known value of the run's target, so no subset can be measured. Give samples with labels; `shapley` needs none."
            )
        return self._worth

    @property
    def subsets(self) -> "Table":
        """One row a subset of the modalities: modalities, count, metric, value, its 95 % interval over groups (low, high), and n.

        A sample that has none of a subset's modalities is counted with the prior's answer.
        """
        from astropy.table import Table

        from astrofuse_lab.training.metrics import interval

        worth, inside = self.worth, members(len(self.modalities))
        order = sorted(range(len(inside)), key=lambda c: (inside[c].sum(), c))
        bounds = [interval(worth.resampled[c]) for c in order]
        table = Table({
            "modalities": [" + ".join(np.array(self.modalities)[inside[c]]) or NOTHING for c in order],
            "count": inside[order].sum(1), "metric": [worth.metric] * len(order), "value": worth.values[order],
            "low": [low for low, _ in bounds], "high": [high for _, high in bounds], "n": [worth.n] * len(order),
        })  # fmt: skip
        table.meta.update(lower_is_better=worth.lower_is_better, notes=list(self.notes))
        return table

    @property
    def total(self) -> "Table":
        """One row a modality: how many samples have it, its mean absolute Shapley value among them, and its Shapley value of the metric.

        The metric's values (``metric_shapley``, with a 95 % interval over groups) sum to what all modalities gain over
        the prior; for a metric that is better when lower, a gain is negative. Masked where the samples have no labels.
        """
        from astropy.table import MaskedColumn, Table

        from astrofuse_lab.training.metrics import interval

        count = self.present.sum(0)
        strength = np.abs(self.shapley).sum(0) / np.maximum(count, 1)
        table = Table({"modality": list(self.modalities), "present": count, "mean_abs_shapley": strength})
        if self._worth is None:
            for name in ("metric_shapley", "low", "high"):
                table[name] = MaskedColumn(np.zeros(len(count)), mask=True)
            return table
        bounds = [interval(one) for one in shapley_values(self._worth.resampled.T).T]
        table["metric_shapley"] = shapley_values(self._worth.values)
        table["low"], table["high"] = [low for low, _ in bounds], [high for _, high in bounds]
        table.meta.update(metric=self._worth.metric, lower_is_better=self._worth.lower_is_better, score=self.score_name)
        return table

    def table(self) -> "Table":
        """One row a sample: object_id, target, base, score, and the Shapley value of each modality, masked where it is missing."""
        from astropy.table import MaskedColumn, Table

        table = Table({"object_id": self.object_ids, "target": [str(t) for t in self.target], "base": self.base, "score": self.score})
        for i, name in enumerate(self.modalities):
            table[name] = MaskedColumn(self.shapley[:, i], mask=~self.present[:, i])
        table.meta.update(score=self.score_name, notes=list(self.notes))
        return table

    def __repr__(self) -> str:
        means = ", ".join(f"{row['modality']} {row['mean_abs_shapley']:.2g}" for row in self.total)
        return f"Contributions({len(self.object_ids)} samples, mean |Shapley value| of {self.score_name}: {means})"


def contributions(
    run: "Run", samples: "SampleSet", *, modalities: Sequence[str] | None = None, target: Any = None, score: str | None = None,
    prior: Sequence[float] | Mapping[Any, float] | None = None, metric: str | None = None, resamples: int = 300, seed: int = 0, rows: int = 64,
    on_progress: Callable[[dict[str, int]], None] | None = None, stop: threading.Event | None = None,
) -> Contributions:  # fmt: skip
    """Share a prediction, and a metric, among the modalities: exactly, over all 2^M subsets.

    The value of a subset is the score of the class when the model is given only these modalities, the others masked as
    missing. Without any, it is the answer before any data: the prior (see `prior`), not the model's output for an empty
    input, on which it was never trained.

    Parameters
    ----------
    run : Run
    samples : SampleSet
    modalities : sequence of str, optional
        The players, at most ten; the others are always missing. None: all of the run.
    target : class, optional
        As in `attribute`; None: the class predicted with all modalities.
    score : {"log_odds", "logit", "probability"}, optional
        ``log_odds`` unless given; regression: the standardised value.
    prior : sequence or mapping of class to float, optional
        Class probabilities before any data. None: what the training loss holds likely before any data: even where
        classes are weighted to balance (the default objective), else the classes' shares in the training part.
    metric : str, optional
        Of `training.metrics`; None: the first of the task (balanced accuracy, or RMSE).
    resamples, seed : int
        Bootstrap over groups, for the intervals.
    rows : int
        Samples that the model is given at once.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ...}``.
    stop : threading.Event, optional
        Set it to end after the chunk at hand; the result holds the samples done by then.

    Returns
    -------
    Contributions

    Raises
    ------
    InputError
        For more than ten modalities, an empty set, an unknown metric, or a prior that is no probability.
    UnknownNameError
        For a modality, class or score that does not exist.
    """
    from astrofuse_lab.training.metrics import metric_named

    some_samples(samples)
    players = chosen_modalities(run, modalities)
    members(len(players))  # refuses too many before any work
    score_name, score_function = score_of(run, score)
    metric_named(run.task, metric)
    before, notes = before_any_data(run, samples, prior)
    game, outputs, goals, present = _all_games(run, samples, players, before, score_function, target, Pace(rows, on_progress, stop))
    done = samples.take(np.arange(len(game)))
    worth = _measure(run, done, outputs, metric, resamples, seed)
    named = tuple(answers(run)[i] for i in goals)
    shares, ids = np.exp(before) if run.classes else np.zeros(0), np.asarray(done.object_ids)
    return Contributions(players, shapley_values(game), interaction_index(game), game, present, ids, named, score_name, shares, notes, worth)


def _all_games(
    run: "Run", samples: "SampleSet", players: Sequence[str], before: NDArray[np.float64], score: Score, target: Any, pace: Pace
) -> tuple[NDArray[np.float64], Tensor, NDArray[np.int64], NDArray[np.bool_]]:
    """Score (n, subset), the model's values (n, subset, output), class index (n,) and who is there (n, player), chunk by chunk."""
    inside = members(len(players))
    games, outputs, goals, there = [], [], [], []
    with explaining(run.model) as model, torch.inference_mode():
        empty = torch.as_tensor(before, dtype=torch.float32, device=device_of(model))
        for index in pace.chunks(len(samples)):
            part = run.batch(samples, index.numpy()).to(device_of(model))
            values, bits = _play(model, part, players, inside, empty)
            goal = target_index(run, target, values[:, -1])
            flat = score(values.flatten(0, 1), goal.repeat_interleave(len(inside)))
            games.append(flat.view(len(goal), -1).cpu().double())
            outputs.append(values.cpu())
            goals.append(goal.cpu())
            there.append((bits.cpu()[:, None] >> torch.arange(len(players))) & 1 == 1)
    return torch.cat(games).numpy(), torch.cat(outputs), torch.cat(goals).numpy(), torch.cat(there).numpy()


def _play(model: Any, part: "Batch", players: Sequence[str], inside: NDArray[np.bool_], before: Tensor) -> tuple[Tensor, Tensor]:
    """The model's values for every subset, (n, subset, output), and which players each sample has, as bits (n,).

    Encoders run once; only fusion and head are run for each subset. Where modalities share an encoder or are calibrated by each other, all is run.
    """
    if not getattr(model, "separable", True):
        return _play_again(model, part, players, inside, before)
    tokens, _ = model.encode({m: part.values[m] for m in players}, part.masks, part.present)
    bits = sum(tokens[name].mask.any(1).long() << i for i, name in enumerate(players))
    assert isinstance(bits, Tensor)
    values = [before.expand(len(part), -1)]
    values += [model.predict({name: tokens[name] for i, name in enumerate(players) if who[i]}).values for who in inside[1:]]
    return _real(values, bits, len(inside))


def _play_again(model: Any, part: "Batch", players: Sequence[str], inside: NDArray[np.bool_], before: Tensor) -> tuple[Tensor, Tensor]:
    """The same by a whole run of the model for each subset."""
    there = {name: part.present[name] & part.masks[name].flatten(1).any(1) for name in players}
    bits = sum(there[name].long() << i for i, name in enumerate(players))
    assert isinstance(bits, Tensor)
    values = [before.expand(len(part), -1)]
    for who in inside[1:]:
        some = [name for i, name in enumerate(players) if who[i]]
        values.append(model({m: part.values[m] for m in some}, {m: part.masks[m] for m in some}, {m: part.present[m] for m in some}).values)
    return _real(values, bits, len(inside))


def _real(values: list[Tensor], bits: Tensor, subsets: int) -> tuple[Tensor, Tensor]:
    """Values of each subset, (n, subset, output), as those of its modalities that each sample has, and these as bits."""
    # a subset is worth what its modalities that are there are worth: a missing one adds nothing, exactly
    really = torch.arange(subsets, device=bits.device)[None] & bits[:, None]
    stacked = torch.stack(values, 1)
    return stacked.gather(1, really[..., None].expand(-1, -1, stacked.shape[2])), bits


def _measure(run: "Run", samples: "SampleSet", outputs: Tensor, metric: str | None, resamples: int, seed: int) -> Worth | None:
    """The metric of every subset on the labelled samples; None where there is none."""
    from astrofuse_lab.samples.split import group_codes
    from astrofuse_lab.training.metrics import LOWER_IS_BETTER, group_weights, metric_named, value

    name, function = metric_named(run.task, metric)
    truth, known = labels_of(run, samples)
    if not known.any():
        return None
    group = run.split.group if run.split.group in samples.roles else None
    groups, truth = group_codes(samples, group)[known], truth[known]
    predicted = [run.decode(outputs[torch.from_numpy(known), c]) for c in range(outputs.shape[1])]
    plain = np.array([value(function, truth, one) for one in predicted])
    drawn = [np.stack([function(truth, one, weights) for one in predicted]) for weights in group_weights(groups, max(1, int(resamples)), seed)]
    return Worth(name, plain, np.concatenate(drawn, 1), int(known.sum()), name in LOWER_IS_BETTER)
