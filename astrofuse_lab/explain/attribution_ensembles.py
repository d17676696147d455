"""Attributions of an ensemble: the mean over its members, and where they contradict each other."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.adapter import target_index
from astrofuse_lab.explain.attribution_forward import RAGGED
from astrofuse_lab.explain.attribution_result import Attribution
from astrofuse_lab.explain.attribution_work import Plan, Told, Work

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run


def goals_of(ensemble: "Ensemble", samples: "SampleSet", target: Any) -> NDArray[np.int64]:
    """The output explained of each sample, the same for all members: that named, or the one that they predict together."""
    told = ensemble.outputs(samples)[0] if target is None and ensemble.task != "regression" else np.zeros((len(samples), 1))
    return np.asarray(target_index(ensemble, target, torch.from_numpy(told)).numpy())


def attribute_all(
    ensemble: "Ensemble", samples: "SampleSet", target: Any, modalities: Sequence[str] | None, plan_of: Callable[["Run", Any, Sequence[str] | None], Plan], told: Told
) -> Attribution:
    """Each member's attribution of the same output, and then the mean and the spread.

    Parameters
    ----------
    ensemble, samples
    target, modalities
        As in `attribute`; a member without any of the modalities takes no part.
    plan_of : callable
        The plan of one member, of the outputs explained and of its own modalities among those asked for.
    told : Told
        Told of the first member's coarse result, or of its only one.
    """
    goals = goals_of(ensemble, samples, target)
    if modalities is not None:
        asked = [modalities] if isinstance(modalities, str) else list(modalities)
        unknown = [name for name in asked if name not in ensemble.modalities]
        if unknown or not asked:
            raise InputError(f"modalities={asked!r}: these runs have {', '.join(ensemble.modalities)}.")
    members = [run for run in ensemble.runs if modalities is None or any(name in run.modalities for name in asked)]
    found: list[Attribution] = []
    for number, run in enumerate(members):
        own = None if modalities is None else [name for name in asked if name in run.modalities]
        heard = Told(_shifted(told, number, len(members), len(samples)), told.on_coarse if number == 0 else None, told.stop)
        plan = plan_of(run, goals, own)
        one = Work(run, samples, plan, heard).go()
        if len(one.object_ids) < len(samples) and found:
            break  # stopped: members that have all samples answer for the rest
        found.append(one)
        if number == 0 and told.on_coarse is not None and len(plan.levels) == 1 and len(members) > 1:
            told.on_coarse(one)
        if told.stopped:
            break
    return together(found, len(ensemble.runs))


def _shifted(told: Told, number: int, members: int, count: int) -> Callable[[dict[str, Any]], None] | None:
    """Progress of one member as that of all."""
    tell = told.on_progress
    return None if tell is None else lambda state: tell({**state, "done": number * count + state["done"], "total": members * count})


def together(found: Sequence[Attribution], members: int) -> Attribution:
    """The mean of several attributions of the same samples, and their spread; a modality that a member has not counts as zero for it."""
    first = found[0]
    if len(found) == 1:
        why = f"only 1 of {members} members was explained: there is no spread"
        return dataclasses.replace(first, notes=(*first.notes, why))
    kinds = {name: kind for one in found for name, kind in one.kinds.items()}
    values, masks, spread, total_spread = {}, {}, {}, {}
    for name, kind in kinds.items():
        having = [one for one in found if name in one.values]
        wide = _widest([one.values[name] for one in having], name, kind)
        each = np.stack([_padded(one.values[name], wide) for one in having] + [np.zeros(wide, dtype=np.float32)] * (len(found) - len(having)))
        masks[name] = np.any([_padded(one.masks[name], wide[: one.masks[name].ndim]) for one in having], axis=0)
        values[name] = each.mean(0)
        alike = [dataclasses.replace(first, values={name: one}, masks={name: masks[name]}, kinds={name: kind}) for one in each]
        spread[name] = np.std([one.per_place(name) for one in alike], axis=0, ddof=1)
        total_spread[name] = np.std([one.total(name) for one in alike], axis=0, ddof=1)

    def mean(pick: Callable[[Attribution], Any]) -> Any:
        picked = [pick(one) for one in found]
        return None if picked[0] is None else np.mean(picked, axis=0, dtype=np.float64).astype(np.float32)

    notes = dict.fromkeys(note for one in found for note in one.notes)
    said = f"mean over {len(found)} members; the score and the difference are means of the members' own"
    return Attribution(
        values, masks, mean(lambda one: one.convergence_delta), mean(lambda one: one.difference), mean(lambda one: one.score), first.object_ids, first.target,
        first.method, first.score_name, {name: base for one in found for name, base in one.baselines.items()}, kinds, _error(found, spread), spread, total_spread,
        np.sum([one.passes for one in found if one.passes is not None], axis=0), (*notes, said),
    )  # fmt: skip


def _error(found: Sequence[Attribution], like: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]] | None:
    """Standard error of the mean: the members' own ones, independent of each other."""
    if any(one.standard_error is None for one in found):
        return None
    out = {}
    for name, shape in like.items():
        squares = [np.square(_padded(one.standard_error[name], shape.shape)) for one in found if one.standard_error is not None and name in one.standard_error]
        out[name] = (np.sqrt(np.sum(squares, axis=0)) / len(found)).astype(np.float32)
    return out


def _widest(arrays: Sequence[NDArray[Any]], name: str, kind: str) -> tuple[int, ...]:
    """The shape that all fit in; only epochs and words may differ in number."""
    shapes = {one.shape[2:] if kind in RAGGED else one.shape[1:] for one in arrays}
    if len(shapes) > 1 or len({one.ndim for one in arrays}) > 1:
        raise InputError(
            f"the members prepare {name!r} in different ways, {' and '.join(str(one.shape[1:]) for one in arrays)}: their maps have no common places. "
            "Explain the runs one by one."
        )
    return tuple(int(size) for size in np.max([one.shape for one in arrays], axis=0))


def _padded(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    out = np.zeros(shape, dtype=array.dtype)
    out[tuple(slice(0, size) for size in array.shape)] = array
    return out
