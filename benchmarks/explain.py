"""Attributions of many samples beside a loop of captum over them, one by one: the same numbers, the same tolerance on completeness.

    python benchmarks/explain.py [--quick] [--json]

The loop is captum as its documentation shows it, on the whole model and a tuple of inputs: integrated gradients with 50 steps, twice as many while
the convergence delta is above the tolerance; occlusion and KernelSHAP one hidden thing at a time. Beside it, without a goal, a loop that uses captum
as well as can be: few steps first, or 64 hidden things at once. Blocks of samples are done in turns. Models whose encoders are independent, models of
joint tokens, and models that stack their inputs are told apart.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from captum.attr import FeatureAblation, IntegratedGradients, KernelShap
from reporting import Line, report
from torch import Tensor

import astrofuse_lab as af
from astrofuse_lab.explain.adapter import SCORES
from astrofuse_lab.explain.attribution_forward import trimmed
from astrofuse_lab.explain.attribution_result import Attribution
from astrofuse_lab.explain.baselines import choose, make
from astrofuse_lab.explain.methods_gradients import FLOOR
from astrofuse_lab.explain.methods_hiding import WINDOWS, windows_of
from astrofuse_lab.explain.methods_question import Question, Settings
from astrofuse_lab.explain.methods_sampling import WINDOWS as COARSE
from astrofuse_lab.explain.methods_sampling import draws_for, features_of
from astrofuse_lab.recipes.schema import Part

TOLERANCE, GOAL = 0.01, 5.0
MAP_TOLERANCE = 0.05
"""Maps that are both complete to 1 % differ by less than this share of their absolute sum, in the median over samples."""
EXACT = 1e-3
MOST_STEPS = 800
KINDS = {"independent encoders": "late_fusion", "joint tokens": "joint_attention", "stacked inputs": "stacked"}


class Peer:
    """captum on one sample at a time; tensors and baselines of a block of samples are made at once, as ours are, and timed as ours are."""

    def __init__(self, run: Any, samples: Any) -> None:
        self.run, self.model, self.samples = run, run.model.eval(), samples
        self.names = tuple(run.modalities)
        self.kinds = {name: one.made for name, one in run.preparation.scalings.items()}
        self.cases: dict[int, dict[str, Any]] = {}

    def prepare(self, index: Sequence[int]) -> None:
        """What captum is given of some samples: inputs, baselines, masks and class."""
        batch = self.run.batch(self.samples.take(np.asarray(index)))
        start = make(choose(self.kinds, None), batch.values, batch.masks, self.run.preparation.scalings)
        for row, i in enumerate(index):
            one = torch.tensor([row])
            self.cases[int(i)] = self._case(trimmed(batch.take(one), self.kinds).to(self.run.device), {name: base[one] for name, base in start.items()})

    def _case(self, part: Any, start: dict[str, Tensor]) -> dict[str, Any]:
        inputs = tuple(part.values[n] for n in self.names)
        baselines = tuple(start[n].to(self.run.device)[tuple(slice(0, size) for size in part.values[n].shape)] for n in self.names)
        masks = tuple(part.masks[n] for n in self.names)
        with torch.no_grad():
            goal = self.model(part.values, part.masks, part.present).values.argmax(1)
            difference = float(self.forward(*inputs, *masks, goal) - self.forward(*baselines, *masks, goal))
        return {"inputs": inputs, "baselines": baselines, "masks": masks, "rest": (*masks, goal), "difference": difference}

    def forward(self, *given: Tensor) -> Tensor:
        """The log-odds of each row: all modalities, then their masks, then the class."""
        count = len(self.names)
        values, masks = dict(zip(self.names, given, strict=False)), dict(zip(self.names, given[count:], strict=False))
        # captum needs every input in the graph, also of a modality that the sample lacks
        return SCORES["log_odds"](self.model(values, masks).values, given[-1]) + sum(0.0 * one.flatten(1)[:, :1].sum(1) for one in given[:count])

    def steps(self, case: dict[str, Any], first: int) -> list[Tensor]:
        """Integrated gradients on so many steps, then twice as many, until they are complete."""
        allowed, steps = TOLERANCE * max(abs(case["difference"]), FLOOR), first
        while True:
            values, delta = IntegratedGradients(self.forward).attribute(
                case["inputs"], case["baselines"], additional_forward_args=case["rest"], n_steps=steps, return_convergence_delta=True
            )
            if abs(float(delta)) <= allowed or steps >= MOST_STEPS:
                return [one.detach() for one in values]
            steps *= 2

    def occlude(self, case: dict[str, Any], at_once: int) -> list[Tensor]:
        """captum's losses of each window."""
        groups, first = [], 0
        for name, value, mask in zip(self.names, case["inputs"], case["masks"], strict=True):
            groups.append(windows_of(value, mask, self.kinds[name], WINDOWS) + first)
            first = int(groups[-1].max()) + 1
        return list(FeatureAblation(self.forward).attribute(
            case["inputs"], case["baselines"], additional_forward_args=case["rest"], feature_mask=tuple(groups), perturbations_per_eval=at_once
        ))  # fmt: skip

    def shapley(self, case: dict[str, Any], at_once: int) -> list[Tensor]:
        """captum's KernelSHAP on the same features, with the same draws."""
        groups = self.groups(case)
        count = int(max(int(one.max()) for one in groups)) + 1
        torch.manual_seed(0)
        return list(KernelShap(self.forward).attribute(
            case["inputs"], case["baselines"], additional_forward_args=case["rest"], feature_mask=tuple(groups), n_samples=draws_for(count, 0),
            perturbations_per_eval=at_once,
        ))  # fmt: skip

    def groups(self, case: dict[str, Any]) -> list[Tensor]:
        """The features of a sample, as captum's masks: values that nothing changes go with the first."""
        own = [windows_of(v, m, self.kinds[n], COARSE) for n, v, m in zip(self.names, case["inputs"], case["masks"], strict=True)]
        asked: Any = Question(None, case["inputs"], case["baselines"], case["masks"], (), None, Settings(), None, None)  # type: ignore[arg-type]
        return [one.clamp(min=0) for one in features_of(asked, own, 0)]


def trained(kind: str, samples: Any) -> Any:
    """A run of that kind of model."""
    recipe = af.get_recipe("late_fusion").change(stack=Part("concatenation")) if kind == "stacked" else kind
    return af.train(recipe, samples, target="label", epochs=8, progress=False, seed=1)


def in_turns(samples: Any, block: int, ours: Callable[[Any], Attribution], peer: Callable[[int], Any], ready: Callable[[Sequence[int]], None]) -> tuple[float, float, list[Attribution], list[Any]]:
    """Both on blocks of the samples by turns: their seconds and what they gave."""
    times, found, others = [0.0, 0.0], [], []
    ours(samples.take([0])), ready([0]), peer(0)  # what is imported and compiled first is not counted
    for begin in range(0, len(samples), block):
        index = np.arange(begin, min(begin + block, len(samples)))
        start = time.perf_counter()
        found.append(ours(samples.take(index)))
        middle = time.perf_counter()
        ready(index.tolist())
        others += [peer(int(i)) for i in index]
        times[0] += middle - start
        times[1] += time.perf_counter() - middle
    return times[0], times[1], found, others


def shares(peer: Peer, found: Sequence[Attribution], others: Sequence[list[Tensor]], scale: Callable[[int, int, Tensor], Tensor] | None = None) -> list[float]:
    """Sum of absolute differences of both maps, over the absolute sum of captum's, of each sample."""
    out, at = [], 0
    for block in found:
        for row in range(len(block.object_ids)):
            apart, whole = 0.0, 0.0
            for number, name in enumerate(peer.names):
                theirs = others[at][number] if scale is None else scale(at, number, others[at][number])
                mask = peer.cases[at]["masks"][number]
                theirs = (theirs * mask.view(*mask.shape, *[1] * (theirs.ndim - mask.ndim)))[0].cpu().numpy()
                own = block.values[name][row][tuple(slice(0, n) for n in theirs.shape)]
                apart, whole = apart + float(np.abs(own - theirs).sum()), whole + float(np.abs(theirs).sum())
            out.append(apart / max(whole, 1e-9))
            at += 1
    return out


def gradients_line(kind: str, peer: Peer, run: Any, samples: Any, first: int, name: str, goal: float | None) -> Line:
    """Integrated gradients, complete to 1 % on both sides."""
    ours, theirs, found, others = in_turns(samples, 250, lambda some: af.explain.attribute(run, some, tolerance=TOLERANCE), lambda i: peer.steps(peer.cases[i], first), peer.prepare)
    delta = np.concatenate([one.convergence_delta for one in found if one.convergence_delta is not None])
    difference = np.concatenate([one.difference for one in found])
    complete = float(np.mean(np.abs(delta) <= TOLERANCE * np.maximum(np.abs(difference), FLOOR)))
    error = float(np.median(shares(peer, found, others)))
    steps = float(np.mean(np.concatenate([one.passes for one in found if one.passes is not None])))
    return Line(
        f"integrated gradients of {len(samples)} samples, {len(peer.names)} modalities, {kind}: complete to {TOLERANCE:.0%} for {complete:.1%}, {steps:.0f} steps on average",
        name, error <= MAP_TOLERANCE and complete > 0.99, error, MAP_TOLERANCE, ours, theirs, goal,
    )  # fmt: skip


def hiding_line(kind: str, peer: Peer, run: Any, samples: Any, method: str, at_once: int, goal: float | None) -> Line:
    """Occlusion or KernelSHAP: the same numbers."""
    ask: Callable[[dict[str, Any], int], list[Tensor]] = peer.occlude if method == "occlusion" else peer.shapley
    ours, theirs, found, others = in_turns(samples, 10, lambda some: af.explain.attribute(run, some, method, repeats=1), lambda i: ask(peer.cases[i], at_once), peer.prepare)

    def divided(at: int, number: int, loss: Tensor) -> Tensor:
        from astrofuse_lab.explain.methods_hiding import shared

        case = peer.cases[at]
        name, value, start = peer.names[number], case["inputs"][number], case["baselines"][number]
        group = windows_of(value, case["masks"][number], peer.kinds[name], WINDOWS) if method == "occlusion" else peer.groups(case)[number]
        return shared(loss, value, start, group)

    error = float(np.max(shares(peer, found, others, divided)))
    what = f"{method}, {len(samples)} samples, {len(peer.names)} modalities, {kind}"
    how = "captum one by one, perturbations_per_eval=1" if at_once == 1 else f"captum one by one, perturbations_per_eval={at_once}"
    return Line(what, how, error <= EXACT, error, EXACT, ours, theirs, goal)


def lines(quick: bool) -> Iterator[Line]:
    """Integrated gradients, occlusion and KernelSHAP of each kind of model."""
    torch.set_num_threads(1)  # as on a shared server; both sides alike
    many, few, fewer = (60, 10, 5) if quick else (1000, 100, 50)
    samples = af.load_samples("practice", n=300 if quick else 1000)
    for kind, recipe in KINDS.items():
        run = trained(recipe, samples)
        count = many if kind == "independent encoders" else max(few, many // 10)
        some = samples.take(np.arange(count))
        peer = Peer(run, some)
        goal = None if kind == "stacked inputs" else GOAL  # one encoder reads all of them: nothing can be encoded once and kept
        yield gradients_line(kind, peer, run, some, 50, "captum one by one, 50 steps, twice as many until complete", goal)
        yield gradients_line(kind, peer, run, some.take(np.arange(few)), 8, "captum one by one, 8 steps, twice as many until complete", None)
        for method, number in (("occlusion", few), ("kernel_shap", fewer)):
            yield hiding_line(kind, peer, run, some.take(np.arange(number)), method, 1, goal)
            yield hiding_line(kind, peer, run, some.take(np.arange(number)), method, 64, None)


if __name__ == "__main__":
    sys.exit(report("explain", __doc__, lines))
