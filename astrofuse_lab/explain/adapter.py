"""Between a fusion model (mappings keyed by modality) and captum (ordered tuples of tensors)."""

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from astrofuse_lab import jobs, memory
from astrofuse_lab.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run

PLACE_AXES = {"image": (2, 3), "spectrum": (1,), "light_curve": (1,), "series": (2,), "table": (1,), "text": (1,)}
"""Axes of each kind's model input that say where; the others are bands, channels or buckets."""

_LOCKS: "weakref.WeakKeyDictionary[nn.Module, Any]" = weakref.WeakKeyDictionary()
_LOCKS_GUARD = threading.Lock()


@contextmanager
def explaining(model: nn.Module) -> Iterator[nn.Module]:
    """The model in eval mode, for one explanation at a time; each module's mode is put back at the end.

    Parameters' ``requires_grad`` and ``grad`` are never touched: gradients are taken with respect to inputs only.
    """
    with _LOCKS_GUARD:
        lock = _LOCKS.setdefault(model, threading.RLock())
    with lock:
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            yield model
        finally:
            for module, mode in modes:
                module.training = mode


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


# ---- what is explained ---------------------------------------------------------------------------------------------


def _log_odds(values: Tensor, index: Tensor) -> Tensor:
    """log p / (1 - p) of a class. Unlike a logit, it does not change when all logits move together."""
    chosen = torch.nn.functional.one_hot(index, values.shape[1]).bool()
    return values.gather(1, index[:, None])[:, 0] - values.masked_fill(chosen, -torch.inf).logsumexp(1)


def _logit(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index[:, None])[:, 0]


def _probability(values: Tensor, index: Tensor) -> Tensor:
    return values.softmax(1).gather(1, index[:, None])[:, 0]


def _label_probability(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index[:, None])[:, 0].sigmoid()


Score = Callable[[Tensor, Tensor], Tensor]
SCORES: dict[str, Score] = {"log_odds": _log_odds, "logit": _logit, "probability": _probability}
"""One number a sample from a classifier's `Prediction.values`, (batch, class), and a class index, (batch,)."""
LABEL_SCORES: dict[str, Score] = {"log_odds": _logit, "logit": _logit, "probability": _label_probability}
"""The same of labels, each by itself: its logit is its log-odds."""


def score_of(run: "Run", score: str | None) -> tuple[str, Score]:
    """The score asked for: a name of `SCORES` for classes and labels, the standardised value for numbers."""
    if run.task == "self_supervised":
        raise InputError("this run was trained without a target: it has no answer to explain. Train one with a target that starts from it.")
    if run.task in ("regression", "multi_regression"):
        if score not in (None, "value"):
            raise InputError(f"score={score!r}: this run predicts a number ({run.target}); leave score out.")
        return "value", _logit
    name = score or "log_odds"
    if name not in SCORES:
        raise UnknownNameError("score", name, SCORES)
    return name, (SCORES if run.task == "classification" else LABEL_SCORES)[name]


def answers(run: "Run | Ensemble") -> tuple[Any, ...]:
    """What the numbers of `Prediction.values` stand for: classes, labels or target columns."""
    return run.classes or run.problem.targets


def target_index(run: "Run | Ensemble", target: Any, predicted: Tensor) -> Tensor:
    """Which output is explained, per sample: that of the predicted class, or the one named for all.

    Parameters
    ----------
    target : None, class, label, column, or int
        None: each sample's predicted class, or most probable label. A value among `answers`, else an index into them.
    predicted : Tensor, (batch, output)
    """
    if run.task == "regression":
        if target is not None:
            raise InputError(f"target={target!r}: this run predicts a number ({run.target}), not classes; leave target out.")
        return torch.zeros(len(predicted), dtype=torch.long, device=predicted.device)
    if target is None:
        if run.task == "multi_regression":
            raise InputError(f"this run predicts {len(run.problem.targets)} numbers; say which is explained, target={run.problem.targets[0]!r}: {', '.join(run.problem.targets)}.")
        return predicted.argmax(1)
    return torch.full((len(predicted),), class_index(answers(run), target), dtype=torch.long, device=predicted.device)


def class_index(classes: Sequence[Any], target: Any) -> int:
    """Position of a class: by its value, by its text, else `target` itself where it is a valid index."""
    for index, name in enumerate(classes):
        if target == name or (isinstance(target, str) and target == str(name)):
            return index
    # where classes are integers themselves, a number that is none of them is a mistake, not an index
    numeric = any(isinstance(name, int) and not isinstance(name, bool) for name in classes)
    if isinstance(target, int) and not numeric and 0 <= target < len(classes):
        return int(target)
    raise UnknownNameError("class", target, [str(name) for name in classes])


# ---- checks shared by all explanations -----------------------------------------------------------------------------


def chosen_modalities(run: "Run", modalities: Sequence[str] | None) -> tuple[str, ...]:
    """The modalities asked for, in the run's order; unknown ones raise UnknownNameError."""
    if modalities is None:
        return tuple(run.modalities)
    wanted = [modalities] if isinstance(modalities, str) else list(modalities)
    for name in wanted:
        if name not in run.modalities:
            raise UnknownNameError("modality of this run", name, run.modalities)
    if not wanted:
        raise InputError(f"modalities is empty; the run has {', '.join(run.modalities)}. None takes them all.")
    return tuple(name for name in run.modalities if name in wanted)


def streams_of(run: "Run") -> dict[str, str]:
    """What a run's fusion is given tokens of, and the kind of each: its modalities, or what the recipe stacked of them."""
    kinds = {name: one.made for name, one in run.preparation.scalings.items()}
    return {name: kinds[name] if name in kinds else run.model.front.layouts[name].kind for name in getattr(run.model, "streams", run.modalities)}


def some_samples(samples: "SampleSet") -> None:
    """Raise InputError for an empty set."""
    if len(samples) == 0:
        raise InputError("there are no samples to explain: the set is empty. Select at least one.")


class Pace(NamedTuple):
    """How a long job goes through the samples: rows at once, whom to tell, and when to stop."""

    rows: int
    on_progress: Callable[[dict[str, Any]], None] | None = None
    stop: threading.Event | None = None

    def chunks(self, count: int) -> Iterator[Tensor]:
        """Indices over ``range(count)``, at most `rows` at once; tells after each, ends after the one at hand when stopped."""
        size = memory.at_once(self.rows)
        with jobs.running(f"Explain {count} samples", self.stop) as job:
            for start in range(0, count, size):
                end = min(start + size, count)
                yield torch.arange(start, end)
                job.tell(end / count, f"{end} of {count}")
                if self.on_progress:
                    self.on_progress({"done": end, "total": count})
                if self.stop is not None and self.stop.is_set():
                    return
