"""Starting from a trained run: weights by name and shape, what was taken and what was left, and who was seen before."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from astrofuse_lab.errors import InputError, RunError
from astrofuse_lab.samples.preparation import Scaling
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split, group_codes
from astrofuse_lab.training.plan import Plan
from astrofuse_lab.training.problem import Problem
from astrofuse_lab.training.run import Run


@dataclass(frozen=True)
class Start:
    """What a training begins with.

    Attributes
    ----------
    weights : mapping of str to Tensor
        By the names of the model's parameters and buffers.
    scalings : mapping of modality to Scaling
        That are kept; others are fitted anew.
    said : dict
        For the record: where from, what was taken, left and new.
    """

    weights: Mapping[str, Tensor]
    scalings: Mapping[str, Scaling] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)

    def into(self, model: nn.Module) -> None:
        """Give a model every weight whose name and shape fits, and note the names; the others keep what they have.

        Raises
        ------
        RunError
            If none fits.
        """
        if not self.weights:  # a snapshot brings them, and what was said of them holds
            return
        own = model.state_dict()
        fitting = {name: t for name, t in self.weights.items() if name in own and own[name].shape == t.shape and own[name].dtype == t.dtype}
        self.said.update(
            taken=sorted(fitting), left=sorted(set(self.weights) - set(fitting)), new=sorted(name for name, _ in model.named_parameters() if name not in fitting)
        )
        if not fitting:
            there, here = next(iter(self.weights)), next(iter(own))
            raise RunError(
                f"no weight of {self.said.get('from', 'the run')} fits this model by name and shape (there e.g. {there!r} {tuple(self.weights[there].shape)}, "
                f"here {here!r} {tuple(own[here].shape)}). Use the same modalities, encoders and width."
            )
        with torch.no_grad():
            for name, tensor in fitting.items():
                own[name].copy_(tensor)

    def only(self, modalities: Sequence[str]) -> "Start | None":
        """What concerns these modalities; None where that is no weight."""
        weights = {name: t for name, t in self.weights.items() if not name.startswith("encoders.") or name.split(".")[1] in modalities}
        if not any(name.startswith("encoders.") for name in weights):
            return None
        return Start(weights, {name: one for name, one in self.scalings.items() if name in modalities}, dict(self.said))

    def and_then(self, later: "Start") -> "Start":
        """This, with what comes later in the place of what has the same name."""
        seen = sorted({*self.said.get("seen_before", ()), *later.said.get("seen_before", ())})
        return Start({**self.weights, **later.weights}, {**self.scalings, **later.scalings}, {**self.said, **later.said, "seen_before": seen})


def start_of(run: Run, problem: Problem, parts: Sequence[str] = ("encoders.", "fusions.", "heads.", "decision."), scalings: bool = False) -> Start:
    """The weights of a run, for a training of this problem: a head only where it answers the same question.

    Parameters
    ----------
    run : Run
    problem : Problem
    parts : sequence of str
        Beginnings of the names that are wanted.
    scalings : bool
        Keep the run's scalings of inputs as well.
    """
    same = (run.problem.task, run.problem.classes, run.problem.targets) == (problem.task, problem.classes, problem.targets)
    answers = ("heads.", "decision.")
    weights = {
        name: t.detach().cpu().clone() for name, t in run.model.state_dict().items() if name.startswith(tuple(parts)) and (same or not name.startswith(answers))
    }
    said = {
        "from": str(run.path or run.recipe.name), "recipe": run.recipe.name, "task": run.task, "target": run.target, "seed": run.seed,
        "seen_before": sorted(seen_by(run)),
    }  # fmt: skip
    return Start(weights, run.preparation.scalings if scalings else {}, said)


def open_start(start: Run | str | Path, what: str = "start") -> Run:
    """A run that was given as such or by its folder.

    Raises
    ------
    InputError
        For what is neither.
    RunError
        If the folder holds no whole run.
    """
    if isinstance(start, Run):
        return start
    if not isinstance(start, str | Path):
        raise InputError(f"{what}={type(start).__name__}: a Run, or the folder of one.")
    return Run.open(start, "cpu")


def seen_by(run: Run) -> set[str]:
    """Ids of all samples whose data the weights of a run were made from: its training part, and those of the runs it started from."""
    return set(run.split.train) | set(run.record.get("seen_before", ()))


def digest_of(run: Run) -> str:
    """Of a run's weights."""
    made = hashlib.sha256()
    for name, tensor in sorted(run.model.state_dict().items()):
        made.update(name.encode())
        made.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return made.hexdigest()[:16]


def warn_of_leak(run: Run, test: Sequence[str], what: str = "start") -> int:
    """How many of these ids the run has been trained on; said in a warning where there are any."""
    shared = seen_by(run) & set(test)
    if shared:
        some = ", ".join(sorted(shared)[:5]) + (", ..." if len(shared) > 5 else "")
        warnings.warn(
            f"the run given as {what}= was trained on {len(shared)} of the {len(test)} samples of this test part ({some}): what is measured there will look better "
            f"than it is. Test on others: samples.split(...) with those ids left out of test, or take a run with the same split.",
            UserWarning,
            stacklevel=3,
        )
    return len(shared)


def check_start(plan: Plan) -> None:
    """Raise InputError where a schedule holds on to weights that would be random."""
    schedule, recipe = plan.schedule, plan.recipe
    loaded = any("weights" in part.options for part in recipe.encoders.values())
    held = [name for name in ("freeze", "lora", "anchor") if getattr(schedule, name)]
    if held and not loaded and recipe.pretrain is None and not schedule.alone:
        raise InputError(
            f"schedule {recipe.schedule.name!r} holds on to weights ({held[0]}), and these would be random. Give weights to begin with: "
            f"af.train(..., start=run), recipe.change(pretrain=Part('masked')), or weights='file.safetensors' of an encoder."
        )


def replayed(run: Run, samples: SampleSet, split: Split | None, share: float) -> Split | None:
    """The split with a share of the samples that the run was trained on in its training part, of those that this set has.

    Samples on another side of the split, or of a group on another side, stay where they are.
    """
    if not share or split is None:
        return split
    ids, groups = samples.object_ids, group_codes(samples, split.group)
    old = np.flatnonzero(np.isin(ids, list(run.split.train)) & ~np.isin(ids, [*split.train, *split.test, *split.validation]))
    others = samples.positions([*split.test, *split.validation])
    old = old[~np.isin(groups[old], groups[others])]
    rng = np.random.default_rng([split.seed, 29])
    chosen = np.sort(rng.permutation(old)[: round(share * len(old))])
    return Split((*split.train, *map(str, ids[chosen])), split.test, split.validation, split.by, split.group, split.seed, split.note)
