"""What each modality is worth: every subset of modalities is tried, or, of more than ten, many of them in an order that a seed gives."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.adapter import Pace, chosen_modalities, some_samples
from astrofuse_lab.explain.coalitions_played import play
from astrofuse_lab.explain.games import MOST_PLAYERS, interaction_index, members, shapley_values
from astrofuse_lab.explain.games_sampled import PERMUTATIONS, Orders
from astrofuse_lab.explain.priors import before_any_data, labels_of
from astrofuse_lab.explain.questioning import Panel

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.explain.coalitions_played import Played
    from astrofuse_lab.explain.questioning import Source
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

NOTHING = "(none)"
"""Name of the empty subset: the answer without any data."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Worth:
    """A metric of subsets of modalities, with its bootstrap resamples.

    Attributes
    ----------
    metric : str
    values : array, (subset,)
        Of the subsets of `Contributions.coalitions`.
    resampled : array, (subset, resample)
        The same resamples of groups for every subset, so that differences are paired.
    n : int
        Samples with a known target.
    lower_is_better : bool
    shares : array, (modality,)
        Shapley values of the metric.
    shares_resampled : array, (modality, resample)
    pairs : array, (modality, modality)
        Shapley interaction indices of the metric.
    pairs_resampled : array, (resample, modality, modality)
    shares_error : array, (modality,), or None
        Standard error of `shares` where orders were sampled.
    """

    metric: str
    values: Array
    resampled: Array
    n: int
    lower_is_better: bool
    shares: Array
    shares_resampled: Array
    pairs: Array
    pairs_resampled: Array
    shares_error: Array | None = None


@dataclass(frozen=True)
class Contributions:
    """Shapley values of modalities: exact, or estimated with their standard error.

    Attributes
    ----------
    modalities : tuple of str
        The players.
    shapley : float64 array, (n, modality)
        What each modality adds to the sample's score, averaged over all orders in which they can join; rows sum to
        ``score - base``. Exactly zero for a modality the sample lacks. Of an ensemble, the mean over its members.
    interactions : float64 array, (n, modality, modality)
        Shapley interaction index of each pair: positive where two complete each other, negative where they say the same.
    game : float64 array, (n, subset)
        Score with each subset of `coalitions`. The first is `base`, the last is `score`.
    present : bool array, (n, modality)
        True where the sample has the modality.
    object_ids : str array, (n,)
    target : tuple
        Class explained, per sample; the target's name for a regression.
    score_name : str
    prior : float64 array, (class,)
        Probabilities behind `base`; empty for a regression, where `base` is the training mean.
    notes : tuple of str
    coalitions : bool array, (subset, modality)
        All 2^M subsets, subset c holding modality m where bit m of c is set; sampled: none, each alone, all but each, all.
    standard_error : float64 array, (n, modality), or None
        Of `shapley`, where orders were sampled.
    interaction_error : float64 array, (n, modality, modality), or None
    spread : float64 array, (n, modality), or None
        Standard deviation of the Shapley values over the members of an ensemble.
    """

    modalities: tuple[str, ...]
    shapley: Array
    interactions: Array
    game: Array
    present: NDArray[np.bool_]
    object_ids: NDArray[np.str_]
    target: tuple[Any, ...]
    score_name: str
    prior: Array
    notes: tuple[str, ...] = ()
    coalitions: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), dtype=bool), repr=False)
    standard_error: Array | None = None
    interaction_error: Array | None = None
    spread: Array | None = None
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
        """The metric of the subsets; InputError where the samples have no known target."""
        if self._worth is None:
            raise InputError(
                "these samples have no known value of the run's target, so no subset can be measured. Give samples with labels; `shapley` needs none."
            )
        return self._worth

    @property
    def subsets(self) -> "Table":
        """One row a subset of `coalitions`, the smallest first: modalities, count, metric, value, its 95 % interval over groups (low, high), and n.

        A sample that has none of a subset's modalities is counted with the prior's answer.
        """
        from astropy.table import Table

        from astrofuse_lab.training.metrics import interval

        worth, inside = self.worth, self.coalitions
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
        the prior; for a metric that is better when lower, a gain is negative. Masked where the samples have no labels. Where orders were
        sampled, ``standard_error`` is that of ``metric_shapley``; of an ensemble, ``spread`` is the mean spread over its members.
        """
        from astropy.table import MaskedColumn, Table

        from astrofuse_lab.training.metrics import interval

        count = self.present.sum(0)
        strength = np.abs(self.shapley).sum(0) / np.maximum(count, 1)
        table = Table({"modality": list(self.modalities), "present": count, "mean_abs_shapley": strength})
        if self.spread is not None:
            table["spread"] = self.spread.sum(0) / np.maximum(count, 1)
        if self._worth is None:
            for name in ("metric_shapley", "low", "high"):
                table[name] = MaskedColumn(np.zeros(len(count)), mask=True)
            return table
        bounds = [interval(one) for one in self._worth.shares_resampled]
        table["metric_shapley"] = self._worth.shares
        table["low"], table["high"] = [low for low, _ in bounds], [high for _, high in bounds]
        if self._worth.shares_error is not None:
            table["standard_error"] = self._worth.shares_error
        table.meta.update(metric=self._worth.metric, lower_is_better=self._worth.lower_is_better, score=self.score_name)
        return table

    @property
    def pairs(self) -> "Table":
        """One row a pair of modalities: first, second, how many samples have both, their mean interaction and its mean absolute value among these, and the interaction of the metric.

        Positive where two complete each other, negative where they say the same; of a metric that is better when lower, the other way about
        for ``metric_interaction``, which has a 95 % interval over groups and is masked where the samples have no labels.
        """
        from astropy.table import MaskedColumn, Table

        from astrofuse_lab.training.metrics import interval

        first, second = np.triu_indices(len(self.modalities), 1)
        both = self.present[:, first] & self.present[:, second]
        count, names = both.sum(0), np.array(self.modalities)
        found = np.where(both, self.interactions[:, first, second], 0.0)
        table = Table({"first": names[first], "second": names[second], "present": count, "mean_interaction": found.sum(0) / np.maximum(count, 1), "mean_abs_interaction": np.abs(found).sum(0) / np.maximum(count, 1)})
        if self._worth is None:
            for name in ("metric_interaction", "low", "high"):
                table[name] = MaskedColumn(np.zeros(len(count)), mask=True)
            return table
        bounds = [interval(self._worth.pairs_resampled[:, i, j]) for i, j in zip(first, second, strict=True)]
        table["metric_interaction"] = self._worth.pairs[first, second]
        table["low"], table["high"] = [low for low, _ in bounds], [high for _, high in bounds]
        table.meta.update(metric=self._worth.metric, lower_is_better=self._worth.lower_is_better, score=self.score_name)
        return table

    def table(self) -> "Table":
        """One row a sample: object_id, target, base, score, and the Shapley value of each modality, masked where it is missing; with ``<modality>_error`` where orders were sampled and ``<modality>_spread`` of an ensemble."""
        from astropy.table import MaskedColumn, Table

        table = Table({"object_id": self.object_ids, "target": [str(t) for t in self.target], "base": self.base, "score": self.score})
        for i, name in enumerate(self.modalities):
            table[name] = MaskedColumn(self.shapley[:, i], mask=~self.present[:, i])
            for what, beside in (("error", self.standard_error), ("spread", self.spread)):
                if beside is not None:
                    table[f"{name}_{what}"] = MaskedColumn(beside[:, i], mask=~self.present[:, i])
        table.meta.update(score=self.score_name, notes=list(self.notes))
        return table

    def __repr__(self) -> str:
        means = ", ".join(f"{row['modality']} {row['mean_abs_shapley']:.2g}" for row in self.total)
        return f"Contributions({len(self.object_ids)} samples, mean |Shapley value| of {self.score_name}: {means})"


def contributions(
    source: "Source", samples: "SampleSet", *, modalities: Sequence[str] | None = None, target: Any = None, score: str | None = None,
    prior: Sequence[float] | Mapping[Any, float] | None = None, metric: str | None = None, permutations: int | None = None, resamples: int = 300,
    seed: int = 0, rows: int = 64, on_progress: Callable[[dict[str, Any]], None] | None = None, stop: threading.Event | None = None,
) -> Contributions:  # fmt: skip
    """Share a prediction, and a metric, among the modalities: exactly, over all 2^M subsets, or, beyond ten modalities, over sampled orders.

    The value of a subset is the score of the class when the model is given only these modalities, the others masked as
    missing. Without any, it is the answer before any data: the prior (see `prior`), not the model's output for an empty
    input, on which it was never trained. The score of an ensemble is the mean of its members' scores.

    Parameters
    ----------
    source : Run or Ensemble
    samples : SampleSet
    modalities : sequence of str, optional
        The players; the others are always missing. None: all of the run.
    target : class, optional
        As in `attribute`; None: the class predicted with all modalities.
    score : {"log_odds", "logit", "probability"}, optional
        ``log_odds`` unless given; regression: the standardised value.
    prior : sequence or mapping of class to float, optional
        Class probabilities before any data. None: what the training loss holds likely before any data: even where
        classes are weighted to balance (the default objective), else the classes' shares in the training part.
    metric : str, optional
        Of `training.metrics`; None: the first of the task (balanced accuracy, or RMSE).
    permutations : int, optional
        At least so many orders of joining are sampled, the same for all samples; see `games_sampled`. None: none up to ten modalities,
        where the answer is exact, else 96.
    resamples : int
        Of a bootstrap over groups, for the intervals.
    seed : int
        Of resamples and orders.
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
        For more modalities than can be sampled, an empty set, an unknown metric, or a prior that is no probability.
    UnknownNameError
        For a modality, class or score that does not exist.
    """
    from astrofuse_lab.training.metrics import metric_named

    some_samples(samples)
    panel = Panel(source, target, score)
    players = chosen_modalities(cast("Run", panel), modalities)  # all that it asks of a run is its modalities
    metric_named(panel.task, metric)
    orders = None
    if permutations is not None or len(players) > MOST_PLAYERS:
        orders = Orders.drawn(len(players), PERMUTATIONS if permutations is None else permutations, seed)
    inside = members(len(players)) if orders is None else orders.coalitions
    before, notes = zip(*(before_any_data(run, samples, prior) for run in panel.runs), strict=True)
    played = play(panel, samples, players, inside, before, Pace(rows, on_progress, stop))
    shares = np.exp(np.mean(before, axis=0)) if panel.runs[0].classes else np.zeros(0)
    return _shared(panel, samples, players, inside, orders, played, shares, tuple(dict.fromkeys(n for one in notes for n in one)), (metric, resamples, seed))


def _shared(
    panel: Panel, samples: "SampleSet", players: tuple[str, ...], inside: NDArray[np.bool_], orders: Orders | None, played: "Played", prior: Array,
    notes: tuple[str, ...], measure: tuple[str | None, int, int],
) -> Contributions:  # fmt: skip
    """Each game shared among its players."""
    game, kept, error = played.games.mean(0), np.arange(len(inside)), {}
    worth = _measure(panel, samples.take(np.arange(len(game))), played.told, inside, orders, *measure)
    if orders is None:
        values, pairs = shapley_values(game), interaction_index(game)
    else:
        found = orders.estimate(game)
        values, pairs = found.values, found.interactions
        error = {"standard_error": found.error, "interaction_error": found.interaction_error}
        kept = _reported(inside)
        notes = (*notes, f"estimated from {len(orders)} orders of joining, {len(inside)} of 2^{len(players)} subsets")
    if len(played.games) > 1:
        each = [shapley_values(one) if orders is None else orders.estimate(one).values for one in played.games]
        error["spread"] = np.std(each, axis=0)
        notes = (*notes, f"mean over {len(each)} members")
    return Contributions(
        players, values, pairs, game[:, kept], played.present, np.asarray(samples.object_ids[: len(game)]), played.target, panel.score_name, prior, notes,
        inside[kept], _worth=worth, **error,
    )  # fmt: skip


def _reported(inside: NDArray[np.bool_]) -> Array:
    """Of sampled coalitions: none, each alone, all but each, all; every block holds these."""
    size = inside.sum(1)
    return np.flatnonzero(np.isin(size, (0, 1, inside.shape[1] - 1, inside.shape[1])))


def _measure(
    panel: Panel, samples: "SampleSet", told: Array, inside: NDArray[np.bool_], orders: Orders | None, metric: str | None, resamples: int, seed: int
) -> Worth | None:
    """The metric of every subset on the labelled samples; None where there is none."""
    from astrofuse_lab.samples.split import group_codes_as
    from astrofuse_lab.training.metrics import LOWER_IS_BETTER, group_weights, metric_named, value

    run = panel.runs[0]
    name, function = metric_named(panel.task, metric)
    truth, known = labels_of(run, samples)
    if not known.any():
        return None
    groups, truth = group_codes_as(run.split, samples)[known], truth[known]
    predicted = [told[known, c] for c in range(told.shape[1])]
    plain = np.array([value(function, truth, one) for one in predicted])
    drawn = np.concatenate([np.stack([function(truth, one, weights) for one in predicted]) for weights in group_weights(groups, max(1, int(resamples)), seed)], 1)
    lower = name in LOWER_IS_BETTER
    if orders is None:
        return Worth(name, plain, drawn, int(known.sum()), lower, shapley_values(plain), shapley_values(drawn.T).T, interaction_index(plain), interaction_index(drawn.T))
    found, again, kept = orders.estimate(plain), orders.estimate(drawn.T), _reported(inside)
    return Worth(name, plain[kept], drawn[kept], int(known.sum()), lower, found.values, again.values.T, found.interactions, again.interactions, found.error)
