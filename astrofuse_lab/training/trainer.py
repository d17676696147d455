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
from astrofuse_lab.training.devices import forked
from astrofuse_lab.training.feed import Columns, Feed
from astrofuse_lab.training.learning import Learned, Learning
from astrofuse_lab.training.learnings import make_learning
from astrofuse_lab.training.metrics import metric_named, value
from astrofuse_lab.training.plan import Plan
from astrofuse_lab.training.run import Run, decoded

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EVALUATE = 256


def balanced_order(codes: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """As many samples as there are, each class as often as any other: its samples in turns, shuffled anew at each turn.

    Parameters
    ----------
    codes : int array, (sample,)
        Class of each; values of a regression are drawn evenly from their fifths.
    rng : Generator
    """
    if codes.dtype.kind == "f":
        codes = np.searchsorted(np.quantile(codes, [0.2, 0.4, 0.6, 0.8]), codes)
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
    """

    def __init__(self, plan: Plan, fabric: "Fabric", snapshot: Snapshot | None = None) -> None:
        self.plan, self.fabric, self.schedule = plan, fabric, plan.schedule
        self.preparation = plan.prepare()
        train, validation = plan.parts.train, plan.parts.validation
        self.n_train, self.n_validation = len(train), len(validation)
        used = np.concatenate([train, validation])
        self.feed = Feed(self.preparation, plan.samples, used, fabric.device, augment=plan.augment)
        codes = plan.problem.encode(plan.samples)[0][used]
        self.truth = codes
        if plan.problem.task == "regression":
            codes = ((codes - plan.problem.centre) / plan.problem.width).astype(np.float32)
        self.target = torch.from_numpy(codes).to(fabric.device)
        self.codes = codes[: self.n_train]
        self.metric, self._measure = metric_named(plan.problem.task)
        with forked(fabric.device):
            torch.manual_seed(self._seed(0))
            model = build(plan.recipe, layouts_of(self.preparation.to_json()), plan.problem.outputs, plan.problem.task)
            self.learning: Learning = make_learning(plan, model, self.codes).to(fabric.device)
        self.averaged = copy.deepcopy(self.learning)
        self.wrapped, self.optimiser = fabric.setup(self.learning, self.schedule.optimiser(self.learning))
        self.best: dict[str, Tensor] = {}
        self.state: dict[str, Any] = {
            "step": 0, "epoch": 0, "batch": 0, "loss": 0.0, "weight": 0.0, "history": [], "best_epoch": 0, "best_loss": None, "seconds": 0.0, "ended": "",
        }  # fmt: skip
        self.random: Tensor | None = None
        self.random_cuda: Tensor | None = None
        if snapshot is not None:
            self._restore(snapshot)

    # ---- random numbers --------------------------------------------------------------------------------------------

    def _seed(self, *of: int) -> int:
        """A seed for each purpose, from the one that was given."""
        return int(np.random.default_rng([self.plan.seed, *of]).integers(2**62))

    def _order(self) -> list[NDArray[np.int64]]:
        """The batches of this epoch, as indices of training samples."""
        rng = np.random.default_rng([self.plan.seed, 1, self.state["epoch"]])
        order = rng.permutation(self.n_train) if self.schedule.sampler == "shuffled" else balanced_order(self.codes, rng)
        size = self.schedule.batch_size
        return [order[b : b + size] for b in range(0, self.n_train, size)]

    def _begin_random(self) -> None:
        if self.random is None:
            torch.manual_seed(self._seed(2, self.state["epoch"]))
            return
        torch.set_rng_state(self.random)
        if self.random_cuda is not None and self.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(self.random_cuda, self.fabric.device)

    def _keep_random(self) -> None:
        self.random = torch.get_rng_state()
        if self.fabric.device.type == "cuda":
            self.random_cuda = torch.cuda.get_rng_state(self.fabric.device)

    # ---- snapshots -------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """All that a later training of the same plan needs to go on from here."""
        tensors = {**prefixed("weights", self.learning.state_dict()), **prefixed("averaged", self.averaged.state_dict()), **prefixed("best", self.best)}
        tensors.update({name: t.detach().cpu().clone() for name, t in optimiser_tensors(self.optimiser.optimizer).items()})
        if self.random is not None:
            tensors["random.cpu"] = self.random
        if self.random_cuda is not None:
            tensors["random.cuda"] = self.random_cuda
        return tensors, copy.deepcopy(self.state)

    def _restore(self, snapshot: Snapshot) -> None:
        tensors, state = snapshot
        self.learning.load_state_dict(under("weights", tensors))
        self.averaged.load_state_dict(under("averaged", tensors))
        self.best = under("best", tensors)
        load_optimiser(self.optimiser.optimizer, tensors)
        self.random, self.random_cuda = tensors.get("random.cpu"), tensors.get("random.cuda")
        self.state = {name: copy.deepcopy(state[name]) for name in self.state}

    # ---- training --------------------------------------------------------------------------------------------------

    def go(self, stop: threading.Event, keep: Callable[[int, Snapshot], None] | None, report: Callable[[dict[str, Any]], None]) -> None:
        """Train until the epochs are done, validation improves no more, or `stop` is set."""
        before, begin = self.state["seconds"], time.monotonic()
        self._kept_at = begin
        self.state["ended"] = self.state["ended"] if self.state["ended"] != "stopped" else ""
        while not self.state["ended"]:
            if stop.is_set() or not self._epoch(stop, keep):
                self.state["ended"] = "stopped"
                break
            self.state["seconds"] = before + time.monotonic() - begin
            now = self._close_epoch()
            self._keep_if_due(keep)
            report(now)
        self.state["seconds"] = before + time.monotonic() - begin
        if keep is not None and self.state["ended"] == "stopped":
            keep(self.state["step"], self.snapshot())

    def _keep_if_due(self, keep: Callable[[int, Snapshot], None] | None) -> None:
        if keep is not None and time.monotonic() - self._kept_at >= self.schedule.checkpoint_seconds:
            keep(self.state["step"], self.snapshot())
            self._kept_at = time.monotonic()

    def _epoch(self, stop: threading.Event, keep: Callable[[int, Snapshot], None] | None) -> bool:
        """The rest of this epoch; False where it was stopped before its end."""
        self.learning.train()
        todo = self._order()[self.state["batch"] :]
        shares = [self._share(index) for index in todo]
        seeds = [(self.plan.seed, 3, self.state["step"] + ahead, self.fabric.global_rank) for ahead in range(len(todo))]
        with forked(self.fabric.device):
            self._begin_random()
            for index, share, (batch, columns) in zip(todo, shares, self.feed.training(shares, seeds), strict=True):
                self._step(index, batch, self._target(share, columns))
                self._keep_random()
                if self.state["batch"] < math.ceil(self.n_train / self.schedule.batch_size):
                    self._keep_if_due(keep)
                    if stop.is_set():
                        return False
        return True

    def _share(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """The part of a batch that this process computes; all of it unless there are several."""
        world = self.fabric.world_size
        if world == 1:
            return index
        return np.resize(index, max(len(index), world))[self.fabric.global_rank :: world]

    def _target(self, share: NDArray[np.int64], columns: Columns) -> Tensor:
        """What the batch is to give: a column that an augmentation changed is the target as it is now."""
        problem = self.plan.problem
        if problem.task != "regression" or problem.target not in columns:
            return self.target[torch.from_numpy(share).to(self.target.device)]
        return torch.from_numpy(((columns[problem.target] - problem.centre) / problem.width).astype(np.float32)).to(self.target.device)

    def _step(self, index: NDArray[np.int64], batch: Any, target: Tensor) -> None:
        state, schedule = self.state, self.schedule
        total = (schedule.epochs or 1) * schedule.steps_per_epoch(self.n_train)
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.rate(state["step"], total)
        # of the whole batch, so that several processes together take the step that one would
        weight = float(self.learning.weight(self.target[torch.from_numpy(index).to(self.target.device)]).sum())
        made = Learned(*self.wrapped(batch.values, batch.masks, batch.present, target))
        loss = (made.loss * made.weight).sum() / weight * self.fabric.world_size
        self.optimiser.zero_grad()
        self.fabric.backward(loss)
        norm = float(torch.nn.utils.clip_grad_norm_(self.learning.parameters(), schedule.clip))
        told = float(torch.as_tensor(self.fabric.all_reduce(loss.detach(), reduce_op="mean")))
        if not (math.isfinite(told) and math.isfinite(norm)):
            raise self._lost(index, told)
        self.optimiser.step()
        self._average()
        state["loss"], state["weight"] = state["loss"] + told * weight, state["weight"] + weight
        state["step"], state["batch"] = state["step"] + 1, state["batch"] + 1

    def _average(self) -> None:
        """Move the averaged weights towards the current ones; slowly, but not while everything is new."""
        step = self.state["step"]
        pull = 1.0 - min(self.schedule.average, (1 + step) / (10 + step)) if self.schedule.average else 1.0
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.learning.parameters()), pull)
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
        outputs, loss, weight = [], 0.0, 0.0
        indices = [np.arange(b, min(b + EVALUATE, end)) for b in range(begin, end, EVALUATE)]
        with torch.inference_mode():
            for index, batch in zip(indices, self.feed.batches(indices), strict=True):
                made = self.averaged(batch.values, batch.masks, batch.present, self.target[int(index[0]) : int(index[-1]) + 1])
                loss += float((made.loss * made.weight).sum())
                weight += float(made.weight.sum())
                outputs.append(made.values)
        return torch.cat(outputs), loss / weight

    def _close_epoch(self) -> dict[str, Any]:
        """Validate, keep the best weights, and decide whether to go on."""
        state, schedule = self.state, self.schedule
        epochs = int(schedule.epochs or 1)
        outputs, loss = self._outputs(self.n_train, self.n_train + self.n_validation)
        metric = value(self._measure, self.truth[self.n_train :], decoded(self.plan.problem, outputs))
        best = math.isfinite(loss) and (state["best_loss"] is None or loss < state["best_loss"])
        state["epoch"], state["batch"], self.random, self.random_cuda = state["epoch"] + 1, 0, None, None
        if best:
            state["best_loss"], state["best_epoch"] = loss, state["epoch"]
            self.best = {name: t.detach().clone() for name, t in self.averaged.state_dict().items()}
        if state["epoch"] >= epochs:
            state["ended"] = "epochs"
        elif state["epoch"] - state["best_epoch"] >= max(3, math.ceil(schedule.patience * epochs)):
            state["ended"] = "patience"
        row = {
            "epoch": state["epoch"], "train_loss": state["loss"] / state["weight"], "validation_loss": loss, "metric": metric,
            "learning_rate": float(self.optimiser.param_groups[0]["lr"]), "best": best, "seconds": state["seconds"],
        }  # fmt: skip
        state["loss"], state["weight"] = 0.0, 0.0
        state["history"].append(row)
        return {**row, "epochs": epochs}

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
            self.averaged.model,
            self.plan.split,
            self.state["history"],
            {"residual_width": 0.0},
            snapshot=snapshot,
        )
        run.record = make_record(run, self.plan, self.state, self.fabric)
        return run
