"""The training itself: steps, validation, and snapshots from which it goes on bit for bit."""

import copy
import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import TrainingError
from astrofuse_lab.models.build import build, layouts_of
from astrofuse_lab.training.checkpoints import Snapshot, load_optimiser, optimiser_tensors, prefixed, under
from astrofuse_lab.training.compiling import compiled
from astrofuse_lab.training.cost import Meter, cost_of
from astrofuse_lab.training.decoding import decoded
from astrofuse_lab.training.devices import forked, memory_in_use
from astrofuse_lab.training.distillation import taught
from astrofuse_lab.training.feed import Columns, Feed
from astrofuse_lab.training.fitting import fit_model
from astrofuse_lab.training.imbalance import watched
from astrofuse_lab.training.learning import Learning
from astrofuse_lab.training.learnings import make_learning
from astrofuse_lab.training.metrics import METRICS, Metric, metric_named, value
from astrofuse_lab.training.plan import Plan
from astrofuse_lab.training.problem import NUMBERS
from astrofuse_lab.training.run import Run
from astrofuse_lab.training.stepping import Stepper, gathered
from astrofuse_lab.training.validation import strata

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EVALUATE = 256


def balanced_order(codes: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """As many samples as there are, each class as often as any other: its samples in turns, shuffled anew at each turn.

    Parameters
    ----------
    codes : int array, (sample,)
        What is to be drawn evenly: `validation.strata`.
    rng : Generator
    """
    classes = rng.permutation(np.unique(codes))
    drawn = []
    for place, code in enumerate(classes):
        own = np.flatnonzero(codes == code)
        wanted = (len(codes) - place + len(classes) - 1) // len(classes)
        turns = [rng.permutation(own) for _ in range(-(-wanted // len(own)))]
        drawn.append(np.concatenate([np.zeros(0, dtype=np.int64), *turns])[:wanted])
    return rng.permutation(np.concatenate(drawn))


class Trainer:
    """One training.

    Parameters
    ----------
    plan : Plan
    fabric : Fabric
    snapshot : Snapshot, optional
        Where an earlier training of the same plan stopped.
    say : callable, optional
        Told in words what had to be changed on the way.
    compile : bool
        Let ``torch.compile`` translate the model first; where it cannot, `say` is told and the model runs as it is.
    """

    def __init__(
        self, plan: Plan, fabric: "Fabric", snapshot: Snapshot | None = None, say: Callable[[str], None] = lambda text: None, compile: bool = False
    ) -> None:
        self.plan, self.fabric, self.schedule = plan, fabric, plan.schedule
        self.say, self.preparation = say, plan.prepare()
        train, validation = plan.parts.train, plan.parts.validation
        self.n_train, self.n_validation = len(train), len(validation)
        used = np.concatenate([train, validation])
        self.feed = Feed(self.preparation, plan.samples, used, fabric.device, augment=plan.augment)
        codes = plan.problem.encode(plan.samples)[0][used]
        self.truth = codes
        codes = plan.problem.standardised(codes)
        self.target = torch.from_numpy(taught(plan, used, codes)).to(fabric.device)
        self.codes = codes[: self.n_train]
        # without a truth the loss is all there is to go by
        self.metric: str = "validation_loss"
        self._measure: Metric | None = None
        if METRICS.get(plan.problem.task):
            self.metric, self._measure = metric_named(plan.problem.task)
        with forked(fabric.device):
            torch.manual_seed(self._seed(0))
            model = build(plan.recipe, layouts_of(self.preparation.to_json()), plan.problem.outputs, plan.problem.task, plan.problem.classes, initial=snapshot is None)
            self.learning: Learning = make_learning(plan, model, self.codes).to(fabric.device)
        self.averaged = copy.deepcopy(self.learning)
        self.wrapped, self.optimiser = fabric.setup(self.learning, self.schedule.optimiser(self.learning))
        if compile:
            compiled(self.learning, say)
        self.stepper = Stepper(fabric, self.learning, self.wrapped, self.optimiser, self.schedule.clip, self.schedule.halve, say)
        self._pairs: tuple[list[Tensor], list[Tensor]] = (list(self.averaged.parameters()), list(self.learning.parameters()))
        self._unchecked: tuple[NDArray[np.int64], Tensor, Tensor] | None = None
        self.best: dict[str, Tensor] = {}
        self.state: dict[str, Any] = {
            "step": 0, "epoch": 0, "batch": 0, "loss": 0.0, "weight": 0.0, "history": [], "best_epoch": 0, "best_loss": None, "seconds": 0.0, "ended": "",
            "parts": self.schedule.accumulate, "spent": {},
        }  # fmt: skip
        if snapshot is not None:
            self._restore(snapshot)

    # ---- random numbers --------------------------------------------------------------------------------------------

    def _seed(self, *of: int) -> int:
        """A seed for each purpose, from the one that was given."""
        return int(np.random.default_rng([self.plan.seed, *of]).integers(2**62))

    def _order(self) -> list[NDArray[np.int64]]:
        """The batches of this epoch, as indices of training samples."""
        rng = np.random.default_rng([self.plan.seed, 1, self.state["epoch"]])
        order = rng.permutation(self.n_train) if self.schedule.sampler == "shuffled" else balanced_order(strata(self.plan.problem, self.codes), rng)
        size = self.schedule.batch_size
        return [order[b : b + size] for b in range(0, self.n_train, size)]

    # ---- snapshots -------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """All that a later training of the same plan needs to go on from here."""
        tensors = {**prefixed("weights", self.learning.state_dict()), **prefixed("averaged", self.averaged.state_dict()), **prefixed("best", self.best)}
        tensors.update({name: t.detach().cpu().clone() for name, t in optimiser_tensors(self.optimiser.optimizer).items()})
        return tensors, copy.deepcopy(self.state)

    def _restore(self, snapshot: Snapshot) -> None:
        tensors, state = snapshot
        self.learning.load_state_dict(under("weights", tensors))
        self.averaged.load_state_dict(under("averaged", tensors))
        self.best = under("best", tensors)
        load_optimiser(self.optimiser.optimizer, tensors)
        self.state = {name: copy.deepcopy(state.get(name, now)) for name, now in self.state.items()}

    # ---- training --------------------------------------------------------------------------------------------------

    def go(
        self, stop: threading.Event, keep: Callable[[int, Snapshot], None] | None, report: Callable[[dict[str, Any]], None],
        each: Callable[[int, Learning], None] | None = None,
    ) -> None:  # fmt: skip
        """Train until the epochs are done, validation improves no more, or `stop` is set; `each` is given what every epoch came to, and 0 what it began with."""
        if each is not None and self.state["step"] == 0:
            each(0, self.averaged)
        meter = Meter(self.fabric.device, self.state["spent"], self.state["seconds"])
        self._kept_at = time.monotonic()
        self.state["ended"] = self.state["ended"] if self.state["ended"] != "stopped" else ""
        while not self.state["ended"]:
            if self._stopped(stop) or not self._epoch(stop, keep):
                self.state["ended"] = "stopped"
                break
            self.state["seconds"], self.state["spent"] = meter.seconds, meter.read()
            now = self._close_epoch()
            if each is not None:
                each(self.state["epoch"], self.averaged)
            self._keep_if_due(keep)
            report(now)
        self.state["seconds"], self.state["spent"] = meter.seconds, meter.read()
        if keep is not None and self.state["ended"] == "stopped":
            keep(self.state["step"], self.snapshot())

    def _stopped(self, stop: threading.Event) -> bool:
        """Whether any process was told to stop: all then do, after the same batch."""
        told = stop.is_set()
        if self.fabric.world_size == 1:
            return told
        return bool(float(torch.as_tensor(self.fabric.all_reduce(torch.tensor(float(told), device=self.fabric.device), reduce_op="sum"))))

    def _keep_if_due(self, keep: Callable[[int, Snapshot], None] | None) -> None:
        if keep is not None and time.monotonic() - self._kept_at >= self.schedule.checkpoint_seconds:
            self._check()
            keep(self.state["step"], self.snapshot())
            self._kept_at = time.monotonic()

    def _epoch(self, stop: threading.Event, keep: Callable[[int, Snapshot], None] | None) -> bool:
        """The rest of this epoch; False where it was stopped before its end."""
        if self.state["batch"] == 0:
            fit_model(self.learning.model, self.feed, self.learning.truth(self.target), self.n_train)
        self.learning.train()
        batches = math.ceil(self.n_train / self.schedule.batch_size)
        todo = self._order()[self.state["batch"] :]
        shares = [self._share(index) for index in todo]
        seeds = [(self.plan.seed, 3, self.state["step"] + ahead, self.fabric.global_rank) for ahead in range(len(todo))]
        with forked(self.fabric.device):
            for index, share, (batch, columns) in zip(todo, shares, self.feed.training(shares, seeds), strict=True):
                self._step(index, batch, self._target(share, columns))
                if self.state["batch"] < batches:
                    self._keep_if_due(keep)
                    if self._stopped(stop):
                        self._check()
                        return False
            self._check()
        return True

    def _share(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """The part of a batch that this process computes; a stand-in of one, which does not count, where none is left for it."""
        own = index[self.fabric.global_rank :: self.fabric.world_size]
        return own if len(own) else index[:1]

    def _target(self, share: NDArray[np.int64], columns: Columns) -> Tensor:
        """What the batch is to give: a column that an augmentation changed is the target as it is now."""
        problem = self.plan.problem
        changed = [(i, name) for i, name in enumerate(problem.targets) if problem.task in NUMBERS and name in columns]
        if not changed:
            return self.target[torch.from_numpy(share).to(self.target.device)]
        truth = self.truth[share].copy()
        for i, name in changed:
            truth[(..., i) if problem.several else ...] = columns[name]
        return torch.from_numpy(problem.standardised(truth)).to(self.target.device)

    def _step(self, index: NDArray[np.int64], batch: Any, target: Tensor) -> None:
        state, schedule = self.state, self.schedule
        total = (schedule.epochs or 1) * schedule.steps_per_epoch(self.n_train)
        schedule.set_rates(self.optimiser.param_groups, state["step"], total)
        # of the whole batch, so that several processes together take the step that one would
        whole = target if self.fabric.world_size == 1 else self.target[torch.from_numpy(index).to(self.target.device)]
        weight = self.learning.weight(whole).sum()
        counted = self.fabric.global_rank < len(index)
        told, state["parts"] = self.stepper.gradients(batch, target, weight, self._seed(2, state["step"], self.fabric.global_rank), state["parts"], counted)
        self._check()
        self._unchecked = (index, told, weight)
        if self.fabric.device.type == "cpu":
            self._check()  # before the weights are spoiled; a GPU would have to be waited for, so it is asked one step later
        self.optimiser.step()
        state["step"], state["batch"] = state["step"] + 1, state["batch"] + 1
        self._average()

    def _check(self) -> None:
        """Add the last step's loss to the epoch's, or raise TrainingError where it is no number."""
        if self._unchecked is None:
            return
        index, told, weight = self._unchecked
        self._unchecked = None
        loss, norm = told.tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._lost(index, loss)
        counted = float(weight)
        self.state["loss"], self.state["weight"] = self.state["loss"] + loss * counted, self.state["weight"] + counted

    def _average(self) -> None:
        """Move the averaged weights towards the current ones; slowly, but not while everything is new."""
        step = self.state["step"] - 1
        pull = 1.0 - min(self.schedule.average, (1 + step) / (10 + step)) if self.schedule.average else 1.0
        with torch.no_grad():
            torch._foreach_lerp_(self._pairs[0], self._pairs[1], pull)
            for kept, new in zip(self.averaged.buffers(), self.learning.buffers(), strict=True):
                kept.copy_(new)

    def _lost(self, index: NDArray[np.int64], loss: float) -> TrainingError:
        ids = self.plan.samples.object_ids[self.feed.positions[index]]
        named = ", ".join(map(str, ids[:8])) + (", ..." if len(ids) > 8 else "")
        return TrainingError(
            f"the {'loss' if not math.isfinite(loss) else 'gradient'} is no longer a finite number in epoch {self.state['epoch'] + 1}, batch {self.state['batch'] + 1} "
            f"(objects {named}). Look at these samples, or lower the learning rate: "
            f"recipe.change(schedule=Part.of('end_to_end', learning_rate={self.schedule.learning_rate / 4:g})). The last checkpoint is kept."
        )

    # ---- validation ------------------------------------------------------------------------------------------------

    def _outputs(self, begin: int, end: int) -> tuple[Tensor, float]:
        """The averaged model's outputs on part of the feed, and its loss there."""
        self.averaged.eval()
        indices = [np.arange(b, min(b + EVALUATE, end)) for b in range(begin, end, EVALUATE)]
        world, rank = self.fabric.world_size, self.fabric.global_rank
        # processes take the samples of a batch in turns; where these do not come out even, the first of them are computed again
        shares = [np.resize(index, -(-len(index) // world) * world)[rank::world] for index in indices]
        outputs, loss, weight = [], 0.0, 0.0
        with torch.inference_mode():
            for index, share, batch in zip(indices, shares, self.feed.batches(shares), strict=True):
                made = self.averaged(batch.values, batch.masks, batch.present, self.target[torch.from_numpy(share).to(self.target.device)])
                losses, weights, values = (gathered(self.fabric, part.float(), len(index)) for part in made)
                loss += float((losses * weights).sum())
                weight += float(weights.sum())
                outputs.append(values)
        return torch.cat(outputs), loss / weight

    def _close_epoch(self) -> dict[str, Any]:
        """Validate, keep the best weights, and decide whether to go on."""
        state, schedule = self.state, self.schedule
        epochs = int(schedule.epochs or 1)
        outputs, loss = self._outputs(self.n_train, self.n_train + self.n_validation)
        metric = value(self._measure, self.truth[self.n_train :], decoded(self.plan.problem, outputs)) if self._measure else loss
        best = math.isfinite(loss) and (state["best_loss"] is None or loss < state["best_loss"])
        state["epoch"], state["batch"] = state["epoch"] + 1, 0
        if best:
            state["best_loss"], state["best_epoch"] = loss, state["epoch"]
            self.best = {name: t.detach().clone() for name, t in self.averaged.state_dict().items()}
        if state["epoch"] >= epochs:
            state["ended"] = "epochs"
        elif state["epoch"] - state["best_epoch"] >= max(3, math.ceil(schedule.patience * epochs)):
            state["ended"] = "patience"
        row = {
            "epoch": state["epoch"], "train_loss": state["loss"] / state["weight"], "validation_loss": loss, "metric": metric if math.isfinite(metric) else None,
            "learning_rate": float(self.optimiser.param_groups[0]["lr"]), "best": best, "seconds": state["seconds"],
            **(watched(self.averaged, self.feed, self.learning.truth(self.target), self.n_train, self.n_validation) if state["ended"] or state["epoch"] % max(1, epochs // 10) == 0 else {}),
        }  # fmt: skip
        state["loss"], state["weight"] = 0.0, 0.0
        state["history"].append(row)
        used, there_is = memory_in_use(self.fabric.device)
        return {**row, "epochs": epochs, "device": str(self.fabric.device), "memory": used, "memory_total": there_is}

    # ---- the run ---------------------------------------------------------------------------------------------------

    def finish(self) -> Run:
        """The Run, with the best weights there are."""
        from astrofuse_lab.training.record import make_record

        snapshot = self.snapshot() if self.state["ended"] == "stopped" else None
        if self.best:
            self.averaged.load_state_dict(self.best)
        self.averaged.requires_grad_(True).eval()
        run = Run(
            self.plan.recipe,
            self.plan.problem,
            self.preparation,
            self.averaged.kept(),
            self.plan.split,
            self.state["history"],
            {"residual_width": 0.0},
            snapshot=snapshot,
        )
        run.record = make_record(run, self.plan, self.state, self.fabric)
        run.record["ignored"] = next((row["ignored"] for row in reversed(self.state["history"]) if "ignored" in row), [])
        for text in run.record["ignored"]:
            self.say(text)
        run.record["cost"] = cost_of(run, self.plan, self.state, self.fabric.device)
        return run
