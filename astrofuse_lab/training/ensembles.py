"""Deep ensembles: runs that differ in their seed answer together, and where they contradict each other they do not know."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, RunError
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.training.plan import make_plan
from astrofuse_lab.training.predictions import Asked, as_table, check_passes, columns_of
from astrofuse_lab.training.run import Run
from astrofuse_lab.training.uncertainty import Spoken, shares_of, speak, split_variance
from astrofuse_lab.training.uncertainty_calibration import LABELS
from astrofuse_lab.training.uncertainty_held import Held, fitted_numbers
from astrofuse_lab.training.uncertainty_shift import distances

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.training.problem import Problem


class Ensemble:
    """Several runs of one target as one (Lakshminarayanan et al. 2017, arXiv:1612.01474).

    Parameters
    ----------
    runs : sequence of Run
        Two or more that predict the same target with the same classes; recipes and modalities may differ.

    Attributes
    ----------
    runs : tuple of Run
    recipe : Recipe
        Of the first.
    held : Held or None
        What calibration and sets are fitted on: the members' predictions of the validation part, where all had the same one.

    Raises
    ------
    InputError
        For fewer than two runs, or runs of different targets or classes.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = tuple(runs)
        if len(self.runs) < 2 or not all(isinstance(run, Run) for run in self.runs):
            raise InputError(f"an ensemble needs two runs or more, not {len(self.runs)}. af.train_ensemble(recipe, samples, target, seeds=[0, 1, 2]) trains them.")
        first = self.runs[0].problem
        for run in self.runs[1:]:
            for what in ("targets", "task", "classes"):
                if getattr(run.problem, what) != getattr(first, what):
                    raise InputError(f"the runs of an ensemble predict the same; their {what} are {getattr(first, what)} and {getattr(run.problem, what)}.")
        if first.task == "self_supervised":
            raise InputError("these runs were trained without a target: there is no prediction to average.")
        self.recipe = self.runs[0].recipe
        self.held = self._held()

    # ---- what it is ------------------------------------------------------------------------------------------------

    @property
    def problem(self) -> "Problem":
        """The target as a task; centre and width are the first run's."""
        return self.runs[0].problem

    @property
    def target(self) -> str:
        """The column it predicts."""
        return self.problem.target

    @property
    def task(self) -> str:
        """As of its runs."""
        return self.problem.task

    @property
    def classes(self) -> tuple[Any, ...]:
        """As of its runs."""
        return self.problem.classes

    @property
    def modalities(self) -> tuple[str, ...]:
        """All that any run was trained on."""
        return tuple(dict.fromkeys(name for run in self.runs for name in run.modalities))

    @property
    def split(self) -> Split:
        """Of the first run."""
        return self.runs[0].split

    @property
    def residual_width(self) -> NDArray[Any]:
        """Mean width of the runs' held-out errors, (target,)."""
        return np.asarray(np.mean([run.residual_width for run in self.runs], axis=0))

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __repr__(self) -> str:
        return f"Ensemble({len(self.runs)} runs of {self.recipe.name!r}, {self.target!r} from {', '.join(self.modalities)})"

    # ---- what it does ----------------------------------------------------------------------------------------------

    def outputs(self, samples: SampleSet, positions: Sequence[int] | NDArray[np.int64] | None = None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The mean of what the runs' `outputs` give, over those that have anything to go by, and which samples any has."""
        given = [run.outputs(samples, positions) for run in self.runs]
        seen = np.stack([one for _, one in given])
        weight = (seen / np.maximum(seen.sum(0), 1)).reshape(*seen.shape, *[1] * (given[0][0].ndim - 1))
        return np.asarray((np.stack([one for one, _ in given]) * weight).sum(0)), np.asarray(seen.any(0))

    def predict(
        self, samples: SampleSet, *, mc: int = 0, calibrated: bool | str = False, coverage: float | None = None, conformal: str = "lac", ood: bool = False,
        seed: int = 0,
    ) -> "Table":  # fmt: skip
        """Predictions, one row a sample, as `Run.predict` gives them; always with ``data_uncertainty`` and ``model_uncertainty``.

        Parameters
        ----------
        samples : SampleSet
        mc : int
            Passes of each run with dropout on, beside the differences between runs.
        calibrated, coverage, conformal, ood, seed
            As in `Run.predict`; fitted on the ensemble's own predictions of the validation part. ``ood_score`` is the mean over runs.
        """
        check_passes(mc)
        asked = Asked(calibrated, coverage, conformal, ood)
        each = [speak(run, samples) for run in self.runs]
        plain = _together(self.task, each)
        spoken = _together(self.task, [speak(run, samples, None, mc, seed) for run in self.runs]) if mc else plain
        return as_table(samples, self, columns_of(self, spoken, plain, asked, lambda: self._apart(each)), plain.seen)

    def _apart(self, each: Sequence[Spoken]) -> tuple[NDArray[Any], NDArray[Any]]:
        scores, known = [], []
        for run, spoken in zip(self.runs, each, strict=True):
            held = run.held
            if held is None or held.means is None or held.precision is None or held.distances is None or self.held is None:
                raise InputError("ood=True: where the training samples of these runs lie was not kept. Train them again with af.train_ensemble.")
            scores.append(distances(spoken.vectors, held.means, held.precision))
            known.append(held.distances)
        return np.mean(scores, axis=0), np.mean(known, axis=0)

    def _held(self) -> Held | None:
        """What the runs together say of the validation part they share; None where they share none."""
        held = [run.held for run in self.runs if run.held is not None]
        if len(held) < len(self.runs) or len({run.split.validation for run in self.runs}) > 1 or len({one.values.shape for one in held}) > 1:
            return None
        values = np.stack([one.values for one in held])
        if self.task in LABELS:
            mean = np.clip(shares_of(self.task, values).mean(0), 1e-12, 1 - 1e-12)
            together, variance = np.log(mean) if self.task == "classification" else np.log(mean) - np.log1p(-mean), None
        else:
            own = [one.variance if one.variance is not None else np.broadcast_to(run.residual_width**2, one.values.shape) for run, one in zip(self.runs, held, strict=True)]
            together, variance = values.mean(0), np.sum(split_variance(values, np.stack(own)), axis=0)
        truth = held[0].truth
        return Held(together, truth, variance, numbers=fitted_numbers(self.problem, together, truth, variance))

    # ---- folders ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write each run as a folder of its own, ``run-0`` and so on, inside of one."""
        path = Path(path).expanduser()
        for number, run in enumerate(self.runs):
            run.save(path / f"run-{number}", overwrite=overwrite)
        return path.resolve()

    @classmethod
    def open(cls, path: str | Path, device: str = "auto") -> "Ensemble":
        """All runs in a folder, in the order of their names.

        Raises
        ------
        RunError
            If it holds fewer than two.
        """
        path = Path(path).expanduser()
        folders = sorted(one.parent for one in path.glob("*/run.json"))
        if len(folders) < 2:
            raise RunError(f"{path} holds {len(folders)} run folder(s); an ensemble needs two. ensemble.save(path) writes them.")
        return cls([Run.open(folder, device) for folder in folders])


def _together(task: str, each: Sequence[Spoken]) -> Spoken:
    """All members of all runs; widths of distributions only where every run gives them.

    Where a run has nothing to go by, its members say what the others do on average: they take no part, and contradict nobody.
    """
    values = np.concatenate([one.values for one in each])
    variance = np.concatenate([one.variance for one in each if one.variance is not None]) if all(one.variance is not None for one in each) else None
    seen = np.concatenate([np.broadcast_to(one.seen, one.values.shape[:2]) for one in each])[..., None]
    count = np.maximum(seen.sum(0), 1)
    if not seen.all():
        if task in LABELS:
            mean = np.clip((shares_of(task, values) * seen).sum(0) / count, 1e-12, 1 - 1e-12)
            mean = np.log(mean) - (0.0 if task == "classification" else np.log1p(-mean))
        else:
            mean = (values * seen).sum(0) / count
        values = np.where(seen, values, mean)
        variance = None if variance is None else np.where(seen, variance, (variance * seen).sum(0) / count)
    names = sorted({name for one in each for name in one.beliefs if name.startswith("generated_")})
    made = {name: np.any([one.beliefs[name] for one in each if name in one.beliefs], axis=0) for name in names}
    return Spoken(values, variance, None, each[0].vectors, np.asarray(seen.any(0))[:, 0], made)


def train_ensemble(
    recipe: str | Recipe, samples: SampleSet, target: str | Sequence[str], *, seeds: Sequence[int] = (0, 1, 2, 3, 4), modalities: Sequence[str] | None = None,
    split: Split | None = None, epochs: int | None = None, out: str | Path | None = None, **options: Any,
) -> Ensemble:  # fmt: skip
    """Train a recipe several times, with other seeds and the same held-out samples, so that calibration can be fitted on what all say.

    Parameters
    ----------
    recipe, samples, target, modalities, split, epochs
        As in `train`. Without a validation part in `split`, the first seed chooses it for all.
    seeds : sequence of int
        One a run; all different.
    out : path, optional
        A folder for the runs: ``seed-0`` and so on. The same call with the same `out` goes on after a stop.
    **options
        Further arguments of `train`, e.g. ``device="cpu"``.

    Returns
    -------
    Ensemble
    """
    from astrofuse_lab.training.loop import train

    chosen = [int(seed) for seed in seeds]
    if len(set(chosen)) < max(2, len(chosen)):
        raise InputError(f"seeds={list(seeds)}: two or more, each once.")
    whole = make_plan(recipe, samples, target, modalities, split, chosen[0], epochs).split
    folder = None if out is None else Path(out).expanduser()
    return Ensemble([
        train(recipe, samples, target, modalities, whole, seed, epochs=epochs, out=None if folder is None else folder / f"seed-{seed}", **options) for seed in chosen
    ])  # fmt: skip
