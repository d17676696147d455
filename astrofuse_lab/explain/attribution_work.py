"""How an attribution is worked out: chunk by chunk, coarsely first, then finer where it has not converged, in as much memory as there is."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.explain.adapter import Score, answers, device_of, explaining, target_index
from astrofuse_lab.explain.attribution_forward import RAGGED, ChunkForward, Rows, numbers_of, trimmed, without_absent
from astrofuse_lab.explain.attribution_result import Attribution, place_axes
from astrofuse_lab.explain.baselines import draws_of, make
from astrofuse_lab.explain.methods import Method
from astrofuse_lab.explain.methods_gradients import FLOOR, POINTS
from astrofuse_lab.explain.methods_question import Found, Question, Settings, spread_mask
from astrofuse_lab.training.devices import out_of_memory

if TYPE_CHECKING:
    from astrofuse_lab.samples.preparation import Batch
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

TOLERANCE = 0.01
"""Share of the difference that integrated gradients may miss unless told otherwise."""


class Plan(NamedTuple):
    """What `attribute` was asked for, checked."""

    method: Method
    name: str
    kinds: dict[str, str]
    baselines: dict[str, str]
    score_name: str
    score: Score
    target: Any
    levels: tuple[Settings, ...]
    rows: int | str
    references: "Batch | None" = None
    notes: tuple[str, ...] = ()


class Told(NamedTuple):
    """Whom to tell, and when to stop."""

    on_progress: Callable[[dict[str, Any]], None] | None = None
    on_coarse: Callable[[Attribution], None] | None = None
    stop: threading.Event | None = None

    @property
    def stopped(self) -> bool:
        """Whether to end after the chunk at hand."""
        return self.stop is not None and self.stop.is_set()


class Work:
    """One attribution on its way.

    Parameters
    ----------
    run : Run
    samples : SampleSet
    plan : Plan
    told : Told
    """

    def __init__(self, run: "Run", samples: "SampleSet", plan: Plan, told: Told) -> None:
        self.run, self.plan, self.told = run, plan, told
        self.ids = np.asarray(samples.object_ids)
        self.batch = run.batch(samples)
        count = len(self.batch)
        self.values = {name: np.zeros(tuple(self.batch.values[name].shape), dtype=np.float32) for name in plan.kinds}
        self.error: dict[str, NDArray[np.float32]] = {}
        self.own, self.difference, self.total = (np.zeros(count, dtype=np.float32) for _ in range(3))
        self.goal, self.passes = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self.done = np.zeros(count, dtype=bool)
        self.finished = 0
        self.rows = Rows(plan.rows, numbers_of(self.batch.values), device_of(run.model))

    def go(self) -> Attribution:
        """All levels, each for the samples that need it."""
        pending = self._order()
        with explaining(self.run.model), torch.inference_mode(False), torch.enable_grad():
            for number, settings in enumerate(self.plan.levels):
                last = number == len(self.plan.levels) - 1
                pending = self._level(pending, settings, last)
                if not len(pending) or self.told.stopped:
                    break
                if number == 0 and self.told.on_coarse is not None:
                    self.told.on_coarse(self.result())
        return self.result()

    def _order(self) -> NDArray[np.int64]:
        """The samples in the order in which they are done: those of the same modalities and of like lengths together, so that no chunk holds much padding."""
        made = {name: one.made for name, one in self.run.preparation.scalings.items()}
        there = [mask.flatten(1).any(1).numpy() for mask in self.batch.masks.values()]
        long = [mask.flatten(1).sum(1).numpy() for name, mask in self.batch.masks.items() if made[name] in RAGGED]
        return np.lexsort((*long, *there)) if len(self.batch) > self.rows.now // max(1, self.plan.method.at_once(self.plan.levels[0])) else np.arange(len(self.batch))

    def _level(self, pending: NDArray[np.int64], settings: Settings, last: bool) -> NDArray[np.int64]:
        """One level for some samples, chunk by chunk; those that need the next."""
        left: list[NDArray[np.int64]] = []
        begin = 0
        while begin < len(pending):
            size = max(1, self.rows.now // max(1, min(self.plan.method.at_once(settings), self.rows.now)))
            index = pending[begin : begin + size]
            try:
                self._chunk(index, settings)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                self.rows.halve(error)
                continue
            begin += len(index)
            poor = index[:0] if last else index[self._unfinished(index)]
            left.append(poor)
            self.finished += len(index) - len(poor)
            if self.told.on_progress:
                self.told.on_progress({"done": self.finished, "total": len(self.batch)})
            if self.told.stopped:
                break
        return np.concatenate(left) if left else pending[:0]

    def _unfinished(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whose delta is above the tolerance; methods that are not refined by it are done once their last level is."""
        if self.plan.name != "integrated_gradients":
            return np.ones(len(index), dtype=bool)
        tolerance = self.plan.levels[-1].tolerance
        return np.asarray(np.abs(self.total[index] - self.difference[index]) > tolerance * np.maximum(np.abs(self.difference[index]), FLOOR))

    def _chunk(self, index: NDArray[np.int64], settings: Settings) -> None:
        """Attributions of some samples, and once for each what they are compared with."""
        plan, chosen = self.plan, torch.from_numpy(index)
        part = trimmed(self.batch.take(chosen), {name: one.made for name, one in self.run.preparation.scalings.items()})
        part = (without_absent(part, plan.kinds) if getattr(self.run.model, "separable", False) else part).to(self.rows.device)
        kinds = {name: kind for name, kind in plan.kinds.items() if name in part.values}
        baselines = {name: plan.baselines[name] for name in kinds}
        goal, own = self._goals(part, index)
        forward = ChunkForward(self.run.model, part, tuple(kinds), plan.score, goal)

        def draw(number: int) -> tuple[Tensor, ...]:
            seeds = draws_of(settings.seed, self.ids[index], number)
            return forward.inputs(make(baselines, part.values, part.masks, self.run.preparation.scalings, seeds, plan.references))

        inputs, first = forward.inputs(part.values), draw(0)
        fixed = not any(name in ("sky_noise", "samples") for name in baselines.values())
        with torch.no_grad():
            difference = own - forward(*first, forward.rows)
        question = Question(
            forward, inputs, first, tuple(part.masks[name] for name in kinds), tuple(kinds.values()), difference, settings, self.rows,
            (lambda number: first) if fixed else draw,
        )  # fmt: skip
        self.own[index], self.difference[index] = own.cpu().numpy(), difference.cpu().numpy()
        self._keep(index, question, plan.method.function(question))
        self.goal[index], self.done[index] = goal.cpu().numpy(), True

    def _goals(self, part: "Batch", index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Index of the output explained, per sample, and the sample's own score of it."""
        with torch.no_grad():
            said = self.run.model(part.values, part.masks, part.present).values
            if isinstance(self.plan.target, np.ndarray):  # an ensemble explains one class for all its members
                goal = torch.from_numpy(self.plan.target[index]).to(self.rows.device)
            else:
                goal = target_index(self.run, self.plan.target, said)
            return goal, self.plan.score(said, goal)

    def _keep(self, index: NDArray[np.int64], question: Question, found: Found) -> None:
        total: Any = 0.0
        for number, name in enumerate(question.forward.explained):
            value = found.values[number].detach().to(torch.float32)
            value = value * spread_mask(question.masks[number], value)
            total = total + value.flatten(1).sum(1)
            self.values[name][_corner(index, value.shape)] = value.cpu().numpy()
            if found.error is not None:
                self._keep_error(name, index, found.error[number].detach().float())
        self.total[index], self.passes[index] = total.cpu().numpy(), found.passes.cpu().numpy() if isinstance(found.passes, Tensor) else found.passes
        if found.difference is not None:
            self.difference[index] = found.difference.detach().cpu().numpy()

    def _keep_error(self, name: str, index: NDArray[np.int64], error: Tensor) -> None:
        if name not in self.error:
            shape = self.values[name].shape
            self.error[name] = np.zeros((shape[0], *(shape[axis] for axis in place_axes(self.plan.kinds[name], len(shape)))), dtype=np.float32)
        self.error[name][_corner(index, error.shape)] = error.cpu().numpy()

    def result(self) -> Attribution:
        """What there is by now, of the samples done."""
        plan, done = self.plan, np.flatnonzero(self.done)
        every = len(done) == len(self.done)
        keep: Callable[[NDArray[Any]], NDArray[Any]] = (lambda one: one.copy()) if every else (lambda one: one[done])
        outputs = answers(self.run)
        notes = list(plan.notes)
        if self.rows.halved:
            notes.append(f"memory ran out: {self.rows.now} rows at once in the end; the numbers are the same")
        return Attribution(
            {name: keep(one) for name, one in self.values.items()}, {name: keep(self.batch.masks[name].numpy()) for name in plan.kinds},
            keep(self.total - self.difference) if plan.method.complete else None, keep(self.difference), keep(self.own), keep(self.ids),
            tuple(outputs[i] for i in self.goal[done]), plan.name, plan.score_name, dict(plan.baselines), dict(plan.kinds),
            {name: keep(one) for name, one in self.error.items()} if self.error else None, passes=keep(self.passes), notes=tuple(notes),
        )  # fmt: skip


def _corner(index: NDArray[np.int64], shape: Sequence[int]) -> tuple[Any, ...]:
    """Where a chunk without padding lies in the whole batch."""
    return (index, *(slice(0, size) for size in shape[1:]))


def levels_of(method: str, settings: Settings, coarse: bool, windows: Mapping[str, int]) -> tuple[Settings, ...]:
    """What is done in turn: all at once, or coarsely first where someone wants to see it."""
    if not coarse:
        return (settings,)
    if method == "integrated_gradients" and not settings.steps:
        return settings._replace(most=POINTS[0]), settings
    if method == "gradient_shap":
        return settings._replace(draws=8), settings
    if method == "occlusion":
        return settings._replace(windows={kind: max(2, count // 2) for kind, count in windows.items()}), settings
    if method in ("lime", "kernel_shap") and settings.repeats > 1:
        return settings._replace(repeats=1), settings
    return (settings,)
