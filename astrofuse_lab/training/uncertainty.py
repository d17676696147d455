"""How sure a model is: what several of its passes, or several models, say together, and how much of their doubt is the data's and how much their own."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from astrofuse_lab import memory
from astrofuse_lab.errors import InputError
from astrofuse_lab.models.attention import FeatureDropout
from astrofuse_lab.training.devices import forked
from astrofuse_lab.training.distributions import of_extras
from astrofuse_lab.training.problem import NUMBERS

if TYPE_CHECKING:
    from astrofuse_lab.models.tokens import Prediction
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.problem import Problem
    from astrofuse_lab.training.run import Run

ROWS = 256
BELIEFS = {"vacuity": "ignorance", "ignorance": "ignorance", "conflict": "conflict"}
"""What evidential heads and decisions call it, and what tables do."""
GRID = (0.005, 0.025, 0.05, 0.1, 0.16, 0.25, 0.5, 0.75, 0.84, 0.9, 0.95, 0.975, 0.995)
"""Levels at which predicted distributions are kept."""
DISTRIBUTIONS = ("weights", "means", "scales", "quantiles", "levels")
"""What `distributions.of_extras` reads; a reconstruction may be large."""
Array = NDArray[Any]


@dataclass(frozen=True)
class Spoken:
    """What one or several members (passes of a model, or models) say of samples.

    Attributes
    ----------
    values : float64 array, (member, sample, output)
        Classes and labels as the model's own `values`; numbers in the targets' own units.
    variance : float64 array, (member, sample, output), or None
        Of the distribution that each member predicts, where its head gives one.
    quantiles : float64 array, (sample, level), or None
        At `GRID`, of the distribution that a single member predicts.
    vectors : float64 array, (sample, width)
        The fused vector, of the first member.
    seen : bool array, (sample,)
        True where a sample has any modality to go by.
    beliefs : dict of str to array, (sample,)
        By the first member: ``ignorance`` and ``conflict`` of evidential heads and decisions; ``generated_<modality>``, bool, where a
        stand-in was made for one that the sample lacks.
    """

    values: Array
    variance: Array | None
    quantiles: Array | None
    vectors: Array
    seen: Array
    beliefs: dict[str, Array] = field(default_factory=dict)


def speak(
    run: "Run", samples: "SampleSet", positions: Sequence[int] | Array | None = None, passes: int = 0, seed: int = 0, quantiles: bool = False
) -> Spoken:
    """Ask a run about samples, once as it is, or several times with dropout on.

    Monte Carlo dropout (Gal & Ghahramani 2016, arXiv:1506.02142): each pass drops other features, and layers whose weights are
    distributions draw them anew. The same seed and samples give the same passes; the caller's random numbers and the run's model are left
    as they were. Modality dropout stays off: what is observed is not in doubt.

    Parameters
    ----------
    run : Run
    samples : SampleSet
    positions : sequence of int, optional
        None: all.
    passes : int
        0: once, without dropout.
    seed : int
    quantiles : bool
        Work out the quantiles of predicted distributions, too; without passes.

    Raises
    ------
    InputError
        For passes of a model that has nothing to draw.
    """
    run.preparation.check(samples)
    model = run.model.eval() if not passes else dropping(run.model)
    chosen = np.arange(len(samples)) if positions is None else np.asarray(positions, dtype=np.int64)
    pieces, seen = [], []
    with forked(run.device), torch.inference_mode():
        rows = ROWS if passes else memory.at_once(ROWS)  # draws go by batch: they are to be the same wherever they are made
        for number, begin in enumerate(range(0, len(chosen), rows)):
            batch = run.preparation.batch(samples, chosen[begin : begin + rows]).to(run.device)
            if passes:
                torch.manual_seed(int(np.random.default_rng([seed, 31, number]).integers(2**62)))
            pieces.append([_piece(run.problem, model(batch.values, batch.masks, batch.present), quantiles and not passes) for _ in range(max(1, passes))])
            seen.append(torch.stack(list(batch.present.values())).any(0).cpu().numpy())
    if not pieces:
        return Spoken(np.zeros((max(1, passes), 0, run.problem.outputs)), None, None, np.zeros((0, run.recipe.width)), np.zeros(0, dtype=bool))
    values, variance = _joined([[one[0] for one in piece] for piece in pieces]), _joined([[one[1] for one in piece] for piece in pieces])
    assert values is not None
    first = [piece[0] for piece in pieces]
    told = [one[2] for one in first if one[2] is not None]
    vectors = np.concatenate([one[3] for one in first])
    beliefs = {name: np.concatenate([one[4][name] for one in first]) for name in first[0][4]}
    return Spoken(values, variance, np.concatenate(told) if told else None, vectors, np.concatenate(seen), beliefs)


def _joined(pieces: list[list[Array | None]]) -> Array | None:
    """Batches of passes of (sample, ...) to (pass, sample, ...)."""
    return None if pieces[0][0] is None else np.concatenate([np.stack([one for one in piece if one is not None]) for piece in pieces], 1)


def _piece(problem: "Problem", prediction: "Prediction", quantiles: bool) -> tuple[Array, Array | None, Array | None, Array, dict[str, Array]]:
    """Values, variance, quantiles, vectors and beliefs of one pass over one batch."""
    values = in_units(problem, prediction.values.double().cpu().numpy())
    vectors = prediction.fused.vector.double().cpu().numpy()
    told = of_extras({name: prediction.extra[name].double().cpu().numpy() for name in DISTRIBUTIONS if name in prediction.extra}, problem)
    beliefs = {BELIEFS[said]: one.double().cpu().numpy() for said, one in prediction.extra.items() if said in BELIEFS and one.ndim == 1}
    beliefs.update({said.replace(".", "_", 1): one.cpu().numpy() for said, one in prediction.extra.items() if said.startswith("generated.")})
    if told is None:
        return values, None, None, vectors, beliefs
    return values, told.std[:, None] ** 2, told.quantile(GRID) if quantiles else None, vectors, beliefs


def in_units(problem: "Problem", values: Array) -> Array:
    """The model's values of numbers in the targets' own units; of classes and labels as they are."""
    if problem.task not in NUMBERS:
        return values
    return problem.in_units(values if problem.several else values[:, 0]).reshape(values.shape)


def quantiles_at(quantiles: Array, coverage: float) -> tuple[Array, Array]:
    """The quantiles (sample,) that bound the central `coverage`, by straight lines between those at `GRID`, (sample, level)."""
    levels, found = np.array(GRID), []
    for level in ((1 - coverage) / 2, (1 + coverage) / 2):
        above = int(np.clip(np.searchsorted(levels, level), 1, len(levels) - 1))
        share = float(np.clip((level - levels[above - 1]) / (levels[above] - levels[above - 1]), 0.0, 1.0))
        found.append((1 - share) * quantiles[:, above - 1] + share * quantiles[:, above])
    return found[0], found[1]


def dropping(model: nn.Module) -> nn.Module:
    """A copy of a model in which only what draws random features or weights is in training mode.

    Raises
    ------
    InputError
        If there is nothing of the kind.
    """
    twin = copy.deepcopy(model).eval()
    drawing = 0
    for module in twin.modules():
        drops = (isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0) or (isinstance(module, FeatureDropout) and module.share > 0)
        if drops or callable(getattr(module, "sample", None)):
            # its children draw nothing by themselves, or are found by their own
            module.training = True
            drawing += 1
    if not drawing:
        raise InputError("this model has no dropout and no layer whose weights are distributions: all passes would be the same. Train several and use af.Ensemble.")
    return twin


# ---- what several say together -------------------------------------------------------------------------------------


def shares_of(task: str, values: Array, temperature: float = 1.0) -> Array:
    """Probabilities of classes, or of each label, from values (..., output)."""
    tensor = torch.from_numpy(np.ascontiguousarray(values)) / temperature
    return np.asarray((tensor.softmax(-1) if task == "classification" else tensor.sigmoid()).numpy())


def entropies(task: str, shares: Array) -> Array:
    """Entropy of probabilities (..., output), divided by that of an even distribution; of labels, the mean of theirs: (...)."""
    safe = np.clip(shares, 1e-300, 1.0)
    if task == "classification":
        return np.asarray(-(shares * np.log(safe)).sum(-1) / np.log(shares.shape[-1]))
    other = np.clip(1 - shares, 1e-300, 1.0)
    return np.asarray(-(shares * np.log(safe) + (1 - shares) * np.log(other)).mean(-1) / np.log(2))


def split_entropy(task: str, shares: Array) -> tuple[Array, Array]:
    """Doubt of the data and of the model, (sample,) each, of members' probabilities (member, sample, output).

    The entropy of the mean is the mean entropy of the members (what no member can know: the data's) plus their mutual information with
    the answer (where they contradict each other: the model's). Depeweg et al. 2018, arXiv:1710.07283, equation 2.
    """
    data = entropies(task, shares).mean(0)
    return data, np.maximum(entropies(task, shares.mean(0)) - data, 0.0)


def split_variance(values: Array, variance: Array) -> tuple[Array, Array]:
    """Variance of the data and of the model, (sample, output) each: the members' mean variance, and the variance of their means.

    The law of total variance; Lakshminarayanan et al. 2017 (arXiv:1612.01474), section 2.4.
    """
    return variance.mean(0), values.var(0)

