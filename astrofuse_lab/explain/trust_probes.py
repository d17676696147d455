"""Does the run predict at all, and could something else than what was measured be the reason?

Shortcuts (Geirhos et al. 2020, arXiv:2004.07780): where one looked, which survey it was, what is missing and masked. A probe that sees only
that, and comes near the run's score, says that the run need not look at the data; it does not prove that it does not.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.explain.baselines import choose, make
from astrofuse_lab.explain.trust_case import FEWEST, Array, Case, Check, channels_of, not_done
from astrofuse_lab.samples.leakage import source_columns
from astrofuse_lab.samples.preparation import Batch
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.trees import fit_baseline

NEAR = 0.8
"""Share of the way from chance to the run's score from which a probe counts as near it."""
FOLDS, TREES = 3, 100


class Columns:
    """A table of numbers as `training.trees` wants its features."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def of(self, modalities: tuple[str, ...], train: NDArray[np.int64], seed: int = 0) -> Array:
        """All of them."""
        return self.values


def unlabelled(case: Case) -> str:
    """Why scores cannot be compared; empty where they can."""
    if case.run.task == "self_supervised":
        return "the run has no target"
    count = len(case.judged)
    return "" if count >= FEWEST else f"{count} of these samples have a known {case.run.target!r}; {FEWEST} are needed"


def check_skill(case: Case) -> list[Check]:
    """A map of a run that predicts nothing explains nothing."""
    if why := unlabelled(case):
        return [not_done("skill", why)]
    value, drawn = case.own
    low, high = M.interval(drawn)
    passed = case.knows
    held = bool((~np.isin(case.many.object_ids[case.judged], case.run.split.train)).all())
    says = f"the run's {case.measured} on {len(case.judged)} samples{'' if held else ' (also such as it was trained on)'} is {value:.2f}, {case.chance:.2f} by chance"
    return [Check("skill", value, case.chance, low, high, passed, says if passed else f"the run predicts no better than chance ({says})")]


def _beside(case: Case, name: str, predicted: Array, says: Callable[[float, bool], str], about: str) -> Check:
    """A probe's score beside the run's: passed where it is clearly lower, and not near."""
    if not case.knows:
        return not_done(name, "the run's own score is that of chance", about)
    value, drawn = case.drawn(predicted)
    low, high = M.interval(drawn)
    whole, of_run = case.own
    apart = M.interval(of_run - drawn)[0] > 0
    reach = (value - case.chance) / max(whole - case.chance, 1e-9)
    passed = bool(apart and reach < NEAR)
    return Check(name, value, whole, low, high, passed, says(value, passed), about)


# ---- inputs made useless ---------------------------------------------------------------------------------------------


def check_shuffled(case: Case) -> list[Check]:
    """Each modality shuffled among the samples, and all of them: what does not change the score was not used."""
    return _destroyed(case, "shuffled", _shuffle, "shuffled among the samples")


def check_replaced(case: Case) -> list[Check]:
    """The same with noise of each modality's mean and width."""
    return _destroyed(case, "noise only", _replace, "replaced by noise")


def _destroyed(case: Case, what: str, change: Callable[[Case, Batch, Sequence[str]], Batch], words: str) -> list[Check]:
    if why := unlabelled(case):
        return [not_done(what, why, "run")]
    names = case.run.modalities
    found = []
    for chosen in [(name,) for name in names] if len(names) > 1 else []:

        def says(value: float, passed: bool, chosen: Sequence[str] = chosen) -> str:
            done = f"with {chosen[0]} {words} the {case.measured} is {value:.2f}"
            return done if passed else f"{done}: the run hardly needs {chosen[0]}, and a map of it says little"

        def changed(part: Batch, chosen: Sequence[str] = chosen) -> Batch:
            return change(case, part, chosen)

        # one modality may say what another says: that alone speaks against nothing
        found.append(_beside(case, f"{what}: {chosen[0]}", case.said(changed), says, ""))

    def of_all(value: float, passed: bool) -> str:
        done = f"with all inputs {words} the {case.measured} is {value:.2f}"
        return done if passed else f"{done}: the answer does not come from the inputs' values"

    found.append(_beside(case, what, case.said(lambda part: change(case, part, names)), of_all, "run"))
    return found


def _shuffle(case: Case, part: Batch, names: Sequence[str]) -> Batch:
    values, masks, present = dict(part.values), dict(part.masks), dict(part.present)
    rng = np.random.default_rng(case.seed)
    for name in names:
        there = np.flatnonzero(present[name].numpy())  # who has it is left as it is
        index = torch.arange(len(part))
        index[torch.from_numpy(there)] = torch.from_numpy(rng.permutation(there))
        values[name], masks[name] = values[name][index], masks[name][index]
    return Batch(values, masks, present)


def _replace(case: Case, part: Batch, names: Sequence[str]) -> Batch:
    values = dict(part.values)
    generator = torch.Generator().manual_seed(case.seed)
    for name in names:
        mask, mean, width = channels_of(values[name], part.masks[name])
        values[name] = (mean + width * torch.randn(values[name].shape, generator=generator)) * mask
    return Batch(values, part.masks, part.present)


# ---- what is not the object's own ------------------------------------------------------------------------------------


def check_artefacts(case: Case) -> list[Check]:
    """The run itself, given masks, borders, times and errors only: every value at its baseline."""
    if why := unlabelled(case):
        return [not_done("artefacts only", why, "run")]
    scalings = case.run.preparation.scalings
    names = choose({name: scalings[name].made for name in case.run.modalities}, None)

    def bare(part: Batch) -> Batch:
        return Batch(make(names, part.values, part.masks, scalings), part.masks, part.present)

    def says(value: float, passed: bool) -> str:
        done = f"given only masks, borders and times, every value at its baseline, the run's {case.measured} is {value:.2f}"
        return done if passed else f"{done}: near its own"

    return [_beside(case, "artefacts only", case.said(bare), says, "run")]


def check_missing(case: Case) -> list[Check]:
    """A small learner that sees only what is missing and masked."""
    return _probe(case, "missing and masked only", _mask_features(case), "what is missing and masked")


def check_position(case: Case) -> list[Check]:
    """A small learner that sees only where on the sky."""
    if not {"ra", "dec"} <= set(case.many.roles):
        return [not_done("position only", "these samples have no ra and dec", "run")]
    ra, dec = (np.radians(np.ma.filled(case.many.column(name).astype(float), np.nan)) for name in ("ra", "dec"))
    return _probe(case, "position only", np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], 1), "the position on the sky")


def check_survey(case: Case) -> list[Check]:
    """A small learner that sees only where a row comes from."""
    columns = source_columns(case.many)
    if not columns:
        return [not_done("survey only", "no column says which survey, source or file a sample comes from", "run")]
    codes = [np.unique(np.ma.filled(case.many.column(name), ""), return_inverse=True)[1] for name in columns]
    one_hot = np.concatenate([np.eye(code.max() + 1)[code] for code in codes], 1)
    return _probe(case, "survey only", one_hot, f"where a sample comes from ({', '.join(columns)})")


def _mask_features(case: Case) -> Array:
    """How much of each modality is there, and where: shares masked by channel, by border and centre, and how long ragged ones are."""
    part, columns = case.run.batch(case.many), []
    for name in case.run.modalities:
        mask = part.masks[name].numpy()
        flat = mask.reshape(len(mask), -1)
        columns += [part.present[name].numpy().astype(float), flat.mean(1), flat.sum(1)]
        pieces = np.array_split(flat, min(8, flat.shape[1]), axis=1)
        columns += [piece.mean(1) for piece in pieces]
        if mask.ndim == 4:
            columns += [mask[:, :, edge].mean((1, 2)) for edge in (0, -1)] + [mask[..., edge].mean((1, 2)) for edge in (0, -1)]
    return np.stack(columns, 1)


def _probe(case: Case, name: str, features: Array, words: str) -> list[Check]:
    """Trees that see these features only, judged on samples they were not fitted on."""
    if why := unlabelled(case):
        return [not_done(name, why, "run")]
    truth, known = case.labels
    usable = np.flatnonzero(known)
    # whole groups on one side, as in the run's own split
    _, group = np.unique(case.groups[usable], return_inverse=True)
    fold = np.random.default_rng(case.seed).permutation(group.max() + 1)[group] % FOLDS
    if len(np.unique(fold)) < 2:
        return [not_done(name, "all of these samples are of one group", "run")]
    predicted: Array = case.run.problem.blank(len(truth))
    for one in np.unique(fold):
        train, test = usable[fold != one], usable[fold == one]
        predicted[test] = fit_baseline(case.run.problem, Columns(features), (), truth, train, seed=case.seed, trees=TREES)(test)

    def says(value: float, passed: bool) -> str:
        done = f"trees that see only {words} reach a {case.measured} of {value:.2f}, the run {case.own[0]:.2f}"
        return done if passed else f"{done}: it may take this shortcut"

    return [_beside(case, name, predicted[case.judged], says, "run")]
