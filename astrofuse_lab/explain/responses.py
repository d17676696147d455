"""How a prediction answers when one input is made brighter or fainter, from a quarter of it to four times as much."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.adapter import Pace
from astrofuse_lab.explain.interventions import NOT_CAUSES, Interventions, intervene
from astrofuse_lab.explain.interventions_edits import LOGARITHMIC, Draft, scale
from astrofuse_lab.explain.questioning import Panel

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.explain.interventions import Progress
    from astrofuse_lab.explain.questioning import Source
    from astrofuse_lab.samples.sample_set import SampleSet

Array = NDArray[Any]
FACTORS = (0.25, 0.35, 0.5, 0.71, 1.0, 1.41, 2.0, 2.83, 4.0)
"""From a quarter to four times, as Raza et al. 2023 have it, in steps of a square root of two."""


@dataclass(frozen=True)
class Response:
    """Scores and predictions while one input is scaled.

    Attributes
    ----------
    name : str
        What was scaled, in words.
    factors : float64 array, (factor,)
        Ascending.
    object_ids : str array, (n,)
    target : tuple
        What is explained, per sample.
    scores, likely : float64 array, (member, factor, n)
        The target's score, and its probability (of numbers: the prediction in its unit), by each member.
    predicted : array, (factor, n)
        What all members predict together.
    predicted_before : array, (n,)
        The same of the samples as they are.
    changed : bool array, (n,)
        True where scaling changed what the model is given: the sample has this input.
    score_name, task, unit : str
    simulated : bool
    notes : tuple of str
    """

    name: str
    factors: Array
    object_ids: NDArray[np.str_]
    target: tuple[Any, ...]
    scores: Array
    likely: Array
    predicted: Array
    predicted_before: Array
    changed: NDArray[np.bool_]
    score_name: str
    task: str
    unit: str = ""
    simulated: bool = False
    notes: tuple[str, ...] = ()

    @property
    def score(self) -> Array:
        """Mean over members, (factor, n)."""
        return np.asarray(self.scores.mean(0))

    @property
    def spread(self) -> Array:
        """Standard deviation of the score over members, (factor, n): the band; zero for a single run."""
        return np.asarray(self.scores.std(0))

    def table(self) -> "Table":
        """One row a sample and factor: object_id, target, factor, score and its spread over members, prediction, and of classes and labels the target's probability and its spread."""
        from astropy.table import MaskedColumn, Table

        count, n = self.score.shape

        def by_sample(values: Array) -> Array:
            return values.T.ravel()

        table = Table({"object_id": np.repeat(self.object_ids, count), "target": np.repeat([str(t) for t in self.target], count), "factor": np.tile(self.factors, n)})
        numbers = {"score": self.score, "spread": self.spread}
        if self.task in ("classification", "multi_label"):
            numbers.update(probability=self.likely.mean(0), probability_spread=self.likely.std(0))
        else:
            numbers.update(prediction=self.likely.mean(0), prediction_spread=self.likely.std(0))
        for name, values in numbers.items():
            table[name] = MaskedColumn(np.nan_to_num(by_sample(values)), mask=~np.isfinite(by_sample(values)))
        if self.task == "classification":
            table["prediction"] = by_sample(self.predicted)
        table.meta.update(scaled=self.name, score=self.score_name, unit=self.unit, simulated=self.simulated, notes=[*self.notes, NOT_CAUSES])
        return table

    def summary(self) -> "Table":
        """One row a sample: the lowest and highest score, how much it rises while the input doubles (a straight line through all), and the factors next to one, below and above, at which another class is predicted (masked: none)."""
        from astropy.table import MaskedColumn, Table

        x = np.log2(self.factors)
        centred = x - x.mean()
        slope = (centred[:, None] * (self.score - self.score.mean(0))).sum(0) / (centred**2).sum()
        table = Table({"object_id": self.object_ids, "target": [str(t) for t in self.target], "changed": self.changed, "lowest": self.score.min(0), "highest": self.score.max(0), "per_doubling": slope})
        flips = self.predicted != self.predicted_before if self.task == "classification" else np.zeros(self.score.shape, dtype=bool)
        for name, side, nearest in (("flips_below", self.factors < 1, -1), ("flips_above", self.factors > 1, 0)):
            at = [self.factors[side & one][[nearest]] if (side & one).any() else np.array([np.nan]) for one in flips.T]
            found = np.concatenate(at) if at else np.zeros(0)
            table[name] = MaskedColumn(np.nan_to_num(found), mask=~np.isfinite(found))
        table.meta.update(scaled=self.name, score=self.score_name, notes=[*self.notes, NOT_CAUSES])
        return table

    def __repr__(self) -> str:
        return f"Response({self.name}, {len(self.object_ids)} samples, {len(self.factors)} factors from {self.factors[0]:g} to {self.factors[-1]:g}, {len(self.scores)} members)"


def respond(
    source: "Source", samples: "SampleSet", *, modality: str | None = None, band: str | None = None, column: str | None = None,
    window: str | tuple[float, float] | None = None, factors: Sequence[float] = FACTORS, width: float = 3000.0, redshift: str = "redshift", target: Any = None,
    score: str | None = None, rows: int = 64, on_progress: "Progress | None" = None, stop: threading.Event | None = None,
) -> Response:  # fmt: skip
    """Scale one input of the model in physical units and watch the prediction (Raza et al. 2023, arXiv:2308.12357).

    Everything else of the samples stays. The scaled data go through the whole preparation as observed data do. With an ensemble the
    answers of all members are kept: where their band is wide, retrained models disagree.

    Parameters
    ----------
    source : Run or Ensemble
    samples : SampleSet
    modality : str, optional
        What is scaled: images, spectra, light curves, series. May be left out where `column` or the kind of `window` says it.
    band : str, optional
        Only this band or channel of it.
    column : str, optional
        A column instead. Columns that are logarithms (units ``mag``, ``dex``) change as what they are the logarithm of is scaled.
    window : (float, float) or str, optional
        Only these observed wavelengths of the spectrum, ångström, or a line by its name, `width` km/s wide, at each object's redshift.
    factors : sequence of float
        Above zero.
    width : float
    redshift : str
        Column that says where a line is; "" for lines at rest.
    target, score, rows, on_progress, stop
        As in `edit`.

    Returns
    -------
    Response

    Raises
    ------
    InputError
        For factors that are none, a text (words have no scale; `edit` removes them), or something that the model is not given.
    """
    steps = np.unique(np.asarray(list(factors), dtype=np.float64))
    if not len(steps) or not np.isfinite(steps).all() or steps[0] <= 0:
        raise InputError(f"factors={list(factors)!r}: numbers above zero, e.g. (0.25, 0.5, 1, 2, 4).")
    if column is not None and (modality or band or window):
        raise InputError(f"column={column!r} stands alone: leave modality, band and window out.")
    panel = Panel(source, target, score)
    options: dict[str, Any] = {"modality": modality, "band": band, "column": column}
    if window is not None:
        options["modality"] = modality or Draft(samples.take([]), panel.modalities).named(None, "spectrum")
        options.update({"line": window, "width": width, "redshift": redshift} if isinstance(window, str) else {"low": float(window[0]), "high": float(window[1])})

    def scaled(factor: float) -> Any:
        def change(some: "SampleSet", _: Array) -> "SampleSet":
            draft = Draft(some, panel.modalities)
            scale(draft, factor, **options)
            return draft.done()

        return change

    found = intervene(panel, samples, {f"x {factor:g}": scaled(float(factor)) for factor in steps}, Pace(rows, on_progress, stop))
    return _as_response(found, _worded(modality, band, column, window), steps, samples, column)


def _as_response(found: Interventions, name: str, steps: Array, samples: "SampleSet", column: str | None) -> Response:
    unit = samples.units.get(column or "", "")
    notes = (f"{column} is a logarithm ({unit}): what it is the logarithm of was scaled",) if unit in LOGARITHMIC else ()
    return Response(
        name, steps, found.object_ids, found.target, found.score_after.transpose(1, 0, 2), found.likely_after.transpose(1, 0, 2), found.predicted_after,
        found.predicted_before, np.asarray(found.changed.any(0)), found.score_name, found.task, found.unit, samples.simulated, notes,
    )  # fmt: skip


def _worded(modality: str | None, band: str | None, column: str | None, window: str | tuple[float, float] | None) -> str:
    if column is not None:
        return column
    where = "" if window is None else f" {window}" if isinstance(window, str) else f" {window[0]:g} to {window[1]:g} Å"
    return f"{modality or 'spectrum'}{f' {band}' if band else ''}{where}"
