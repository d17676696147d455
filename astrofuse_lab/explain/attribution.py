"""Which pixels, wavelengths, epochs, columns and words a prediction rests on."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import (
    PLACE_AXES,
    FlatForward,
    Pace,
    Score,
    answers,
    at_once,
    chosen_modalities,
    device_of,
    explaining,
    score_of,
    some_samples,
    target_index,
)  # fmt: skip
from astrofuse_lab.explain.baselines import choose, make
from astrofuse_lab.explain.methods import METHODS, Method, Question

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.preparation import Batch
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

CONVERGED = 0.05
"""Integrated gradients are trusted where the delta is at most this share of what there was to attribute."""


@dataclass(frozen=True)
class Attribution:
    """How much each input value moved the score of the target.

    Attributes
    ----------
    values : dict of modality to float32 array
        Each the shape of its model input, (n, ...); zero where masked.
    masks : dict of modality to bool array
        True where the input was real, as `samples.preparation` gives it.
    convergence_delta : float32 array, (n,), or None
        Sum of all attributions less `difference`; None for methods that do not promise to sum to it.
    difference : float32 array, (n,)
        Score of the sample less score of its baseline: what integrated gradients divide among the inputs.
    score : float32 array, (n,)
        The sample's own score.
    object_ids : str array, (n,)
    target : tuple
        Class, label or target column explained, per sample.
    method, score_name : str
    baselines : dict of modality to str
    kinds : dict of modality to str
    """

    values: dict[str, NDArray[np.float32]]
    masks: dict[str, NDArray[np.bool_]]
    convergence_delta: NDArray[np.float32] | None
    difference: NDArray[np.float32]
    score: NDArray[np.float32]
    object_ids: NDArray[np.str_]
    target: tuple[Any, ...]
    method: str
    score_name: str
    baselines: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities explained."""
        return tuple(self.values)

    @property
    def relative_delta(self) -> NDArray[np.float32] | None:
        """`convergence_delta` as a share of the absolute `difference`, (n,); zero where there was nothing to attribute."""
        if self.convergence_delta is None:
            return None
        return (np.abs(self.convergence_delta) / np.maximum(np.abs(self.difference), 1e-6)).astype(np.float32)

    def _over_places(self, arrays: Mapping[str, NDArray[Any]], modality: str, how: Callable[..., Any]) -> NDArray[Any]:
        if modality not in arrays:
            raise UnknownNameError("attributed modality", modality, arrays)
        array = arrays[modality]
        other = tuple(axis for axis in range(1, array.ndim) if axis not in PLACE_AXES[self.kinds[modality]])
        return np.asarray(how(array, axis=other)) if other else array

    def per_place(self, modality: str) -> NDArray[np.float32]:
        """Summed over bands, channels or buckets: image (n, y, x), spectrum (n, pixel), light curve (n, epoch), series (n, sample), table (n, column), text (n, word).

        Epochs are those the model was given: the latest ones, where an object has more than the run's limit.
        """
        return self._over_places(self.values, modality, np.sum)

    def place_mask(self, modality: str) -> NDArray[np.bool_]:
        """True where a place has any real value; the shape of `per_place`."""
        return self._over_places(self.masks, modality, np.any)

    def total(self, modality: str) -> NDArray[np.float32]:
        """The modality's whole attribution, (n,)."""
        return self.per_place(modality).reshape(len(self.object_ids), -1).sum(1)

    def table(self) -> "Table":
        """One row a sample: object_id, target, score, difference, the total of each modality, and how well it converged."""
        from astropy.table import Table

        table = Table({"object_id": self.object_ids, "target": [str(t) for t in self.target], "score": self.score, "difference": self.difference})
        for modality in self.values:
            table[modality] = self.total(modality)
        if self.convergence_delta is not None:
            table["convergence_delta"] = self.convergence_delta
            table["relative_delta"] = self.relative_delta
        table.meta.update(method=self.method, score=self.score_name, baselines=dict(self.baselines))
        return table

    def __repr__(self) -> str:
        relative = self.relative_delta
        poor = "" if relative is None else f", {int((relative > CONVERGED).sum())} with a delta above {CONVERGED:.0%}"
        return f"Attribution({self.method} of {self.score_name}, {len(self.object_ids)} samples: {', '.join(self.values)}{poor})"


def attribute(
    run: "Run", samples: "SampleSet", method: str = "integrated_gradients", *, modalities: Sequence[str] | None = None, target: Any = None,
    baseline: str | Mapping[str, str] | None = None, steps: int = 32, score: str | None = None, rows: int = 128,
    on_progress: Callable[[dict[str, int]], None] | None = None, stop: threading.Event | None = None,
) -> Attribution:  # fmt: skip
    """Attribute the score of a class to every input value.

    Parameters
    ----------
    run : Run
    samples : SampleSet
        The inputs and the attributions of all of them are held in memory.
    method : {"integrated_gradients", "saliency", "occlusion"}
    modalities : sequence of str, optional
        Modalities to explain; the others are held at the sample's own values. None: all of the run.
    target : class, optional
        A class, label or target column by name, or its index. None: each sample's predicted class or most probable label.
    baseline : str or mapping of modality to str, optional
        See `astrofuse_lab.explain.baselines`; None: the first of each kind.
    steps : int
        Points along the path of integrated gradients.
    score : {"log_odds", "logit", "probability"}, optional
        Classification: what of the class is explained; ``log_odds`` unless given.
    rows : int
        Samples times steps that the model is given at once: bounds the memory.
    on_progress : callable, optional
        Called with ``{"done": ..., "total": ...}`` after each chunk.
    stop : threading.Event, optional
        Set it to end after the chunk at hand; the result holds the samples done by then.

    Returns
    -------
    Attribution

    Raises
    ------
    UnknownNameError
        For a method, modality, class, baseline or score that does not exist.
    InputError
        For an empty set or a number of steps below one.
    """
    if method not in METHODS:
        raise UnknownNameError("attribution method", method, METHODS)
    if int(steps) < 1 or int(rows) < 1:
        raise InputError(f"steps={steps}, rows={rows}: both are at least 1.")
    if METHODS[method].gradients and not getattr(run.model, "differentiable", True):
        without = ", ".join(repr(name) for name, one in METHODS.items() if not one.gradients)
        raise InputError(
            f"method={method!r} follows gradients, and the decision {run.recipe.decision.name if run.recipe.decision else ''!r} of this run has none: "
            f"it counts votes, or asks a learner made of steps. Use a method that hides inputs and looks what is lost: {without}; or, for whole modalities, af.explain.contributions."
        )
    some_samples(samples)
    kinds = {name: run.preparation.scalings[name].made for name in chosen_modalities(run, modalities)}
    plan = Plan(METHODS[method], kinds, choose(kinds, baseline), *score_of(run, score), target, int(steps), at_once(rows))
    batch = run.batch(samples)
    # a chunk of samples goes through the model eight steps at a time
    parts = _parts(run, batch, plan, Pace(max(1, int(rows) // 8), on_progress, stop))
    values, delta, difference, own, goals = (_together(piece) for piece in zip(*parts, strict=True))
    count = len(own)
    classes = tuple(answers(run)[i] for i in goals)
    masks = {name: batch.masks[name][:count].numpy() for name in kinds}
    ids = np.asarray(samples.object_ids)[:count]
    return Attribution(values, masks, delta if plan.method.complete else None, difference, own, ids, classes, method, plan.score_name, plan.baselines, kinds)


class Plan(NamedTuple):
    """What `attribute` was asked for, checked."""

    method: Method
    kinds: dict[str, str]
    baselines: dict[str, str]
    score_name: str
    score: Score
    target: Any
    steps: int
    rows: int


def _parts(run: "Run", batch: "Batch", plan: Plan, pace: Pace) -> list[tuple[dict[str, Tensor], Tensor, Tensor, Tensor, Tensor]]:
    """What `_chunk` gives for each chunk of samples."""
    parts = []
    forward = FlatForward(run.model, tuple(plan.kinds), run.modalities, plan.score)
    with explaining(run.model) as model, torch.inference_mode(False), torch.enable_grad():
        for index in pace.chunks(len(batch)):
            part = batch.take(index).to(device_of(model))
            with torch.no_grad():
                goal = target_index(run, plan.target, model(part.values, part.masks, part.present).values)
            parts.append(_chunk(plan, forward, part, goal, run.preparation.scalings))
    return parts


def _chunk(
    plan: Plan, forward: FlatForward, part: "Batch", goal: Tensor, scalings: Mapping[str, Any]
) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor, Tensor]:
    """Attributions, delta, difference, score and class index of one chunk."""
    start = make(plan.baselines, part.values, part.masks, scalings)
    inputs, baselines, rest = forward.inputs(part.values), forward.inputs(start), forward.rest(part, goal)
    found = plan.method.function(Question(forward, inputs, baselines, rest, tuple(plan.kinds.values()), plan.steps, max(plan.rows, len(goal))))
    with torch.no_grad():
        own = forward(*inputs, *rest)
        difference = own - forward(*baselines, *rest)
    values = {}
    for name, attributed in zip(forward.explained, found, strict=True):
        mask = part.masks[name]
        values[name] = attributed.detach().to(torch.float32) * mask.view(*mask.shape, *[1] * (attributed.ndim - mask.ndim))
    total = torch.stack([value.flatten(1).sum(1) for value in values.values()]).sum(0)
    return values, total - difference, difference, own, goal


def _together(pieces: Iterable[Any]) -> Any:
    """Chunks as one array, or one dictionary of arrays."""
    pieces = list(pieces)
    if isinstance(pieces[0], dict):
        return {name: _together(piece[name] for piece in pieces) for name in pieces[0]}
    return torch.cat([piece.detach().cpu() for piece in pieces]).numpy()
