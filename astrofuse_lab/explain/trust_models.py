"""Trust checks that compare the map with those of other models: randomised, trained on shuffled labels, of other seeds; and with noise added."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from astrofuse_lab.errors import InputError
from astrofuse_lab.explain.trust_case import Case, Changed, Check, alike, channels_of, not_done
from astrofuse_lab.models.build import build
from astrofuse_lab.samples.preparation import Batch
from astrofuse_lab.samples.preparation.light_curves import FLUX
from astrofuse_lab.training.run import Run

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

MOST_ALIKE = 0.5
"""Correlation from which two maps count as much the same."""
MAPS = 3
"""Randomised models whose maps are compared with the run's."""
NOWHERE = "a map has fewer than three places that differ"
COPIES, TIMES = 8, 2.0
"""Randomised models, and how many times more than the most of them the run's score must move."""
STAGES = (("head", ("heads.", "decision.")), ("head and fusion", ("fusions.",)), ("all of it", ("",)))
"""What is randomised, from the head down: cascading randomisation (Adebayo et al. 2018, arXiv:1810.03292, section 3.1)."""
SHARE_OF_NOISE = 0.05
"""Noise added to the inputs, in their standard deviations."""


def randomised(run: Run, seed: int, upto: int = len(STAGES) - 1) -> Run:
    """The run with a copy of its model whose upper stages have new random weights, as before training; the run's own model stays.

    Parameters
    ----------
    upto : int
        The last stage of `STAGES` that is randomised; all above it are.
    """
    model: Any = copy.deepcopy(run.model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = build(run.recipe, run.model.layouts, run.problem.outputs, run.task, run.classes, initial=False)
    prefixes = tuple(prefix for _, names in STAGES[: upto + 1] for prefix in names)
    new = fresh.state_dict()
    model.load_state_dict({name: new[name].to(own) if name.startswith(prefixes) else own for name, own in model.state_dict().items()})
    return Changed(run, model)


def check_randomised(case: Case) -> list[Check]:
    """The map must not be that of a model which has learned nothing."""
    if not hasattr(case.run.model, "front"):
        return [not_done("randomised model", "this model was not built from a recipe")]
    found = []
    for stage, (name, _) in enumerate(STAGES):
        last = stage == len(STAGES) - 1
        # one random model may by chance have the signs of the trained one
        each = [alike(case.map, case.map_of(randomised(case.run, case.seed + 1 + copy, stage))) for copy in range(MAPS if last else 1)]
        value, low, high = case.over_samples(mean_known([one for one, _ in each]))
        ranks = case.over_samples(mean_known([one for _, one in each]))[0]
        if not np.isfinite(value):
            found.append(not_done(f"randomised: {name}", NOWHERE, "map" if last else ""))
            continue
        passed = bool(high < MOST_ALIKE)
        says = f"with {name} randomised the map has a correlation of {value:.2f} with the run's (ranks: {ranks:.2f})"
        # a map may outlive the head: only with all of it random it must be another
        found.append(Check(f"randomised: {name}", value, MOST_ALIKE, low, high, passed, says + ("" if passed else ": much the same"), "map" if last else ""))
    return found


def check_learned(case: Case) -> list[Check]:
    """What the map divides up, score less baseline's score, must be more than in models that have learned nothing.

    Other random weights give another map, and deletion works on whatever function there is: a model without training passes those.
    """
    if not hasattr(case.run.model, "front"):
        return [not_done("learned", "this model was not built from a recipe")]
    value, low, high = case.over_samples(np.abs(case.stake(case.run)))
    reference = TIMES * max(float(np.abs(case.stake(randomised(case.run, case.seed + 1 + i))).mean()) for i in range(COPIES))
    passed = bool(low > reference)
    says = f"the inputs move the {case.map.score_name} by {value:.2g}, in models that have learned nothing by {reference / TIMES:.2g} at most"
    return [Check("learned", value, reference, low, high, passed, says)]


# ---- shuffled labels -------------------------------------------------------------------------------------------------


def label_control(run: Run, samples: "SampleSet", *, epochs: int | None = None, seed: int = 0, **options: Any) -> Run:
    """Train the run's recipe again on shuffled labels: what it then shows cannot be about them.

    Parameters
    ----------
    run : Run
    samples : SampleSet
        Those it was trained on, or some of them; the split is the run's.
    epochs : int, optional
        None: as many as the run took.
    seed : int
        Of the shuffle, of weights and order.
    **options
        Further arguments of `train`.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If none of the samples is among those the run was trained on.
    """
    from astrofuse_lab.training.loop import train

    train_ids = [name for name in run.split.train if name in set(map(str, samples.object_ids))]
    if not train_ids:
        raise InputError("none of these samples is among those the run was trained on. Give the set that it was trained with: label_control(run, samples).")
    validation = [name for name in run.split.validation if name in set(map(str, samples.object_ids))]
    both = samples.select([*train_ids, *validation])
    split = replace(run.split, train=tuple(train_ids), validation=tuple(validation), test=())
    taken = max(1, len(run.history)) if epochs is None else epochs
    return train(run.recipe, shuffled(both, run.targets, seed), list(run.targets) if run.problem.several else run.target, list(run.modalities), split, seed,
                 "cpu", taken, **{"progress": False, **options})  # fmt: skip


def shuffled(samples: "SampleSet", targets: Sequence[str], seed: int) -> "SampleSet":
    """The samples with their target columns shuffled together among them."""
    from astrofuse_lab.samples.sample_set import SampleSet

    order = np.random.default_rng(seed).permutation(len(samples))
    columns = {}
    for name in samples.roles:
        column = samples.column(name)[order] if name in targets else samples.column(name)
        columns[name] = pa.array(np.asarray(column.data), mask=np.asarray(np.ma.getmaskarray(column)))
    data = {name: samples.data_of(name) for name, spec in samples.modalities.items() if spec.kind != "table"}
    return SampleSet(pa.table(columns), data, samples.roles, samples.units, samples.card)


def check_labels(case: Case) -> list[Check]:
    """The map must not be that of a model which has learned noise by heart."""
    against = case.control()
    if against is None:
        return [not_done("shuffled labels", "give against=af.explain.label_control(run, samples), a run trained on shuffled labels, or train=True")]
    if against.modalities != case.run.modalities or against.problem.outputs != case.run.problem.outputs:
        raise InputError(f"against= is a run of {', '.join(against.modalities)}; it has to be of the same modalities and target as the run that is checked.")
    value, low, high = case.over_samples(alike(case.map, case.map_of(against))[0])
    if not np.isfinite(value):
        return [not_done("shuffled labels", NOWHERE)]
    passed = bool(high < MOST_ALIKE)
    says = f"a model trained on shuffled labels gives a map with a correlation of {value:.2f}"
    says += "" if passed else ": the map tells of the input, not of the labels"
    return [Check("shuffled labels", value, MOST_ALIKE, low, high, passed, says)]


# ---- seeds and noise -------------------------------------------------------------------------------------------------


def check_seeds(case: Case) -> list[Check]:
    """Members must agree on a sample's map more than on another sample's."""
    runs = case.runs
    if len(runs) < 2:
        return [not_done("seeds", "one run only; check an ensemble (af.train_ensemble), or give members=[run, ...]")]
    maps = [case.map, *(case.map_of(run) for run in runs[1:])]
    turned = np.roll(np.arange(len(case.few)), 1)
    own, other = [], []
    for i in range(len(maps)):
        for j in range(i + 1, len(maps)):
            own.append(alike(maps[i], maps[j])[0])
            other.append(_across(maps[i], maps[j], turned))
    mine, theirs = mean_known(own), mean_known(other)
    value, low, high = case.over_samples(mine)
    gain = case.over_samples(mine - theirs)
    reference = case.over_samples(theirs)[0]
    if not np.isfinite(value):
        return [not_done("seeds", NOWHERE)]
    passed = bool(gain[1] > 0)
    says = f"{len(runs)} members' maps of a sample have a correlation of {value:.2f}, {reference:.2f} with those of another sample"
    return [Check("seeds", value, reference, low, high, passed, says + ("" if passed else ": other seeds show something else"))]


def mean_known(pairs: list[Any]) -> Any:
    """Mean over the first axis of what is finite; NaN where nothing is."""
    stacked = np.stack(pairs)
    known = np.isfinite(stacked).sum(0)
    return np.where(known > 0, np.nansum(stacked, 0) / np.maximum(known, 1), np.nan)


def _across(one: Any, other: Any, turned: Any) -> Any:
    """`alike` of each sample's map with that of another one."""
    moved = {name: values[turned] for name, values in other.values.items()}
    return alike(one, replace(other, values=moved))[0]


def check_noise(case: Case) -> list[Check]:
    """Noise far below what varies between samples must not change the map."""
    generator = torch.Generator().manual_seed(case.seed)

    def noisy(part: Batch) -> Batch:
        values = {}
        for name, value in part.values.items():
            mask, _, width = channels_of(value, part.masks[name])
            added = SHARE_OF_NOISE * width * torch.randn(value.shape, generator=generator) * mask
            if case.run.preparation.scalings[name].made == "light_curve":  # times, bands and errors stay
                only = torch.zeros_like(added)
                only[..., FLUX] = added[..., FLUX]
                added = only
            values[name] = value + added
        return Batch(values, part.masks, part.present)

    value, low, high = case.over_samples(alike(case.map, case.map_of(Changed(case.run, change=noisy)))[0])
    if not np.isfinite(value):
        return [not_done("noise", NOWHERE)]
    passed = bool(low > MOST_ALIKE)
    says = f"with {SHARE_OF_NOISE:.0%} noise added to the inputs the map keeps a correlation of {value:.2f}" + ("" if passed else ": it hangs on noise")
    return [Check("noise", value, MOST_ALIKE, low, high, passed, says)]
