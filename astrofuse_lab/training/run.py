"""The Run: a trained model with all that is needed to know what it is, use it and make it again.

A run folder holds no code and no pickle, and opening it executes none::

    weights.safetensors       the model's weights
    calibration.safetensors   what was said of the validation part and its truth, and where training samples lie
    split.json                ids of the train, validation and test parts
    history.json              one entry an epoch
    run.json                  recipe, target, inputs' scaling, versions, cost, metrics, and size and sha256 of the other files
    card.md                   the same for people to read
    progress.jsonl            events, written while training goes on (only where `train` was given ``out=``)
    checkpoints/              only while training has not finished
    epochs/                   weights of single epochs, where `train` was asked to keep them
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.errors import RunError
from astrofuse_lab.models.build import FusionModel
from astrofuse_lab.models.tokens import Prediction
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.preparation import Batch, Preparation
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.training.batches import batches
from astrofuse_lab.training.checkpoints import Snapshot
from astrofuse_lab.training.decoding import decoded
from astrofuse_lab.training.problem import Problem

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.training.distributions import Distribution
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.uncertainty_held import Held

HISTORY = ("epoch", "train_loss", "validation_loss", "metric", "learning_rate", "best", "seconds")


class Run:
    """A trained model and its record.

    Made by ``af.train`` and ``Run.open``.

    Attributes
    ----------
    recipe : Recipe
    problem : Problem
        The target as a task.
    preparation : Preparation
        Scalings, fitted on the training part.
    model : FusionModel
    split : Split
        Ids it was trained, validated and tested on.
    record : dict
        The rest, as ``run.json`` holds it.
    path : Path or None
        Its folder, where it has one.
    snapshot : tuple or None
        Of a stopped training: what it can go on from.
    held : Held or None
        What it said of the validation part and where training samples lie, for calibration and conformal sets.
    """

    def __init__(
        self, recipe: Recipe, problem: Problem, preparation: Preparation, model: FusionModel, split: Split,
        history: Sequence[Mapping[str, Any]], record: Mapping[str, Any], path: Path | None = None, snapshot: Snapshot | None = None,
        held: "Held | None" = None,
    ) -> None:  # fmt: skip
        self.recipe, self.problem, self.preparation, self.split = recipe, problem, preparation, split
        self.model = model.eval()
        self.record = dict(record)
        self._history = [dict(row) for row in history]
        self.path = path
        self.snapshot = snapshot
        self.held = held

    # ---- what it is ------------------------------------------------------------------------------------------------

    @property
    def target(self) -> str:
        """The column it predicts; the names of several in one text, "" of a run without one."""
        return self.problem.target

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns it predicts."""
        return self.problem.targets

    @property
    def task(self) -> str:
        """``classification``, ``multi_label``, ``regression``, ``multi_regression`` or ``self_supervised``."""
        return self.problem.task

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes, in the order of the model's outputs, of the target's own type; empty for other tasks."""
        return self.problem.classes

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it was trained on."""
        return self.preparation.modalities

    @property
    def state(self) -> str:
        """``finished`` or ``stopped``."""
        return str(self.record["state"])

    @property
    def seed(self) -> int:
        """The seed given to `train`."""
        return int(self.record["seed"])

    @property
    def seconds(self) -> float:
        """Time spent training."""
        return float(self.record["seconds"])

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return self.model.parameter_count

    @property
    def simulated(self) -> bool:
        """True when it was trained on the practice sky."""
        return bool(self.record["samples"]["card"]["simulated"])

    @property
    def residual_width(self) -> NDArray[np.float64]:
        """Width of the errors on the validation part, (target,), in the targets' units; 0 for classes."""
        return np.atleast_1d(np.asarray(self.record["residual_width"], dtype=np.float64))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def history(self) -> "Table":
        """One row an epoch: train_loss, validation_loss, metric, learning_rate, best, seconds."""
        from astropy.table import Table

        kinds = {"epoch": int, "best": bool}
        table = Table({name: np.array([row[name] for row in self._history], dtype=kinds.get(name, float)) for name in HISTORY})
        table.meta["metric"] = self.record["metric"]
        return table

    @property
    def metrics(self) -> "Table":
        """One row a part and metric: value, its 95 % interval over groups, and how many samples."""
        from astropy.table import Table

        names = ("part", "metric", "value", "low", "high", "n")
        kinds = {"part": str, "metric": str, "n": int}
        rows = self.record["metrics"]
        return Table({name: np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=kinds.get(name, float)) for name in names})

    def __repr__(self) -> str:
        badge = ", practice sky (simulated)" if self.simulated else ""
        what = f"{len(self.classes)} classes of {self.target!r}" if self.classes else ", ".join(map(repr, self.targets)) or "no target"
        return f"Run({self.recipe.name!r}, {what} from {', '.join(self.modalities)}; {len(self._history)} epochs, {self.state}{badge})"

    @staticmethod
    def original(key: str, mirror: str | Path | None = None, **options: Any) -> "Run | Ensemble":
        """A run with the weights that a system's authors published; it predicts on a SampleSet as any other.

        Parameters
        ----------
        key : str
            Of ``af.list_systems()``, where `original` is True.
        mirror : path, optional
            Of ``af.load_samples``; None: ``ASTROFUSE_MIRROR``, else the public source.
        **options
            Of the system: ``version="d6_m9"``.

        Raises
        ------
        UnknownNameError, RunError
            For a system without published weights; where they are nowhere or others.
        """
        from astrofuse_lab.training.originals import original

        return original(key, mirror, **options)

    # ---- what it does ----------------------------------------------------------------------------------------------

    def batch(self, samples: SampleSet, positions: Sequence[int] | NDArray[np.int64] | None = None) -> Batch:
        """Tensors of some samples (None: all), scaled as in training, on the CPU.

        Raises
        ------
        RunError
            If the samples lack a modality of the run or hold it in another layout.
        """
        self.preparation.check(samples)
        return self.preparation.batch(samples, positions)

    def forward(self, samples: SampleSet, positions: Sequence[int] | NDArray[np.int64] | None = None, attention: bool | str = False) -> Prediction:
        """What the model says of some samples (None: all), in one batch, without gradients.

        Parameters
        ----------
        samples : SampleSet
        positions : sequence of int, optional
        attention : bool or "all"
            True gives attention weights in ``.fused.attention``, ``"all"`` those of the encoders too.
        """
        batch = self.batch(samples, positions).to(self.device)
        with torch.inference_mode():
            return self.model.eval()(batch.values, batch.masks, batch.present, attention=attention)  # type: ignore[no-any-return]

    def outputs(self, samples: SampleSet, positions: Sequence[int] | NDArray[np.int64] | None = None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Predictions, and which samples have any modality to go by.

        Returns
        -------
        predicted : float64 array
            classification: probabilities (sample, class); multi_label: of each label (sample, label); regression: (sample,);
            multi_regression: (sample, target), in the targets' units; without a target (sample, 0).
        seen : bool array, (sample,)
        """
        predicted, seen, _ = self._said(samples, positions)
        return predicted, seen

    def extras(self, samples: SampleSet, positions: Sequence[int] | NDArray[np.int64] | None = None) -> dict[str, NDArray[Any]]:
        """What the head says beyond its predictions, by its own names, (sample, ...) each: embeddings, parts of a distribution (in standard
        deviations of the training values), a reconstruction, an anomaly score. See `astrofuse_lab.models.heads` and the files beside it."""
        return self._said(samples, positions)[2]

    def _said(
        self, samples: SampleSet, positions: Sequence[int] | NDArray[np.int64] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_], dict[str, NDArray[Any]]]:
        self.preparation.check(samples)
        chosen = np.arange(len(samples)) if positions is None else np.asarray(positions, dtype=np.int64)
        given, seen, extra = [], [], []
        for batch in batches(self.preparation, samples, chosen, self.device):
            with torch.inference_mode():
                said = self.model.eval()(batch.values, batch.masks, batch.present)
            given.append(self.decode(said.values))
            seen.append(torch.stack(list(batch.present.values())).any(0).cpu().numpy())
            extra.append({name: one.cpu().numpy() for name, one in said.extra.items()})
        if not given:
            return self.problem.blank(0), np.zeros(0, dtype=bool), {}
        return np.concatenate(given), np.concatenate(seen), {name: np.concatenate([one[name] for one in extra]) for name in extra[0]}

    def decode(self, values: torch.Tensor) -> NDArray[np.float64]:
        """The model's `values` as `outputs` gives them: probabilities, or numbers in the targets' own units."""
        return decoded(self.problem, values)

    def distribution(self, samples: SampleSet) -> "Distribution":
        """The whole predicted distribution of a number, of a head that gives one (``mixture_density``, ``quantiles``).

        Returns
        -------
        Distribution
            With `pdf`, `cdf`, `quantile`, `mean`, `std` and `table`, one a sample, in the target's unit.

        Raises
        ------
        RunError
            If the head gives a single number, or the run predicts something else.
        """
        from astrofuse_lab.training.distributions import of_extras

        _, seen, extra = self._said(samples)
        made = of_extras(extra, self.problem)
        if made is None:
            what = f"predicts {self.task.replace('_', ' ')}" if self.task != "regression" else "gives a single number"
            raise RunError(f"this run {what}, no distribution. Train with recipe.change(head=Part('quantiles')) or head=Part('mixture_density').")
        return replace(made, object_ids=samples.object_ids, seen=seen, unit=samples.units.get(self.target, ""))

    def predict(
        self, samples: SampleSet, *, mc: int = 0, calibrated: bool | str = False, coverage: float | None = None, conformal: str = "lac", ood: bool = False,
        seed: int = 0,
    ) -> "Table":  # fmt: skip
        """Predictions, one row a sample, in order.

        Parameters
        ----------
        samples : SampleSet
            Aligned as those it was trained on.
        mc : int
            So many passes with dropout on, averaged; adds ``data_uncertainty`` and ``model_uncertainty``. 0: one pass without.
        calibrated : bool or {"temperature", "isotonic"}
            Probabilities as right as they say, or, of predicted distributions, widths as large as the errors; fitted on the validation part.
            True: by one number.
        coverage : float, optional
            E.g. 0.9: sets of classes (``conformal_set``), or intervals (``low``, ``high``), that hold the truth this often, on average over
            samples drawn as those of the validation part were. Made from the plain predictions, whatever `mc` and `calibrated`.
        conformal : {"lac", "aps"}
            The smallest sets, or sets that are larger for hard samples; see `astrofuse_lab.training.uncertainty_conformal`.
        ood : bool
            ``ood_score``, the Mahalanobis distance to the training samples; ``ood_share``, the share of validation samples that lie as far off
            or farther: small where a sample is unlike them; ``ood_energy``, where the model gives logits of classes: high where no class is likely.
        seed : int
            Of the passes.

        Returns
        -------
        Table
            Classification: object_id, p_<class> for each class, prediction (of the target's type), uncertainty (entropy of the probabilities, 0
            to 1), and of evidential heads and decisions ``ignorance`` and ``conflict``. Regression: object_id, prediction, uncertainty (the standard deviation of the predicted distribution; without one the width
            of the validation errors, 1.4826 MAD, the same for all). multi_label: p_<label> for each; multi_regression: prediction_<target> for
            each; without a target: anomaly_score, of a head that gives one. generated_<modality>, of a fusion that makes stand-ins: True where
            one was made, for a modality that the sample lacks. Samples with none of the run's modalities are masked.

        Raises
        ------
        RunError
            If the samples lack a modality of the run or hold it in another layout.
        InputError
            For something that this run cannot say: it holds no calibration, has no dropout, or predicts another thing.
        """
        from astrofuse_lab.training.predictions import Asked, predict

        return predict(self, samples, Asked(calibrated, coverage, conformal, ood), mc, seed)

    def calibrate(self, samples: SampleSet) -> "Run":
        """Fit calibration, and what conformal sets go by, on other samples than the validation part, which also chose the epoch.

        Parameters
        ----------
        samples : SampleSet
            With the target, drawn as those to be predicted will be; none that it was trained on. The test part is then no test of coverage.

        Returns
        -------
        Run
            Itself; `save` it to keep the calibration.

        Raises
        ------
        InputError
            For samples that it was trained on, or without the target.
        """
        from astrofuse_lab.training.uncertainty_held import calibrate

        calibrate(self, samples)
        return self

    def embed(self, samples: SampleSet) -> "Table":
        """Unit vectors, one row a sample, in order: what fusion makes of all modalities, and what each alone gives.

        Vectors of a run trained to compare modalities lie in one space: a spectrum is found by an image where their dot product is
        largest.

        Parameters
        ----------
        samples : SampleSet
            Aligned as those it was trained on.

        Returns
        -------
        Table
            object_id, fused (sample, dimension) where the model fuses features, and a column a modality, masked where it is missing.

        Raises
        ------
        RunError
            If the samples lack a modality of the run or hold it in another layout.
        """
        from astrofuse_lab.training.vectors import embed

        return embed(self, samples)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the run as a folder, all of it or nothing; see `astrofuse_lab.training.run_folder`.

        Raises
        ------
        StorageError
            If the folder exists and `overwrite` is False, the disk is full, or the place is read-only.
        """
        from astrofuse_lab.training.run_folder import save_run

        return save_run(self, path, overwrite=overwrite)

    @classmethod
    def open(cls, path: str | Path, device: str = "auto") -> "Run":
        """Open such a folder. Nothing in it is executed.

        Raises
        ------
        RunError
            If a file is missing, altered, or does not fit the others.
        """
        from astrofuse_lab.training.run_folder import open_run

        return open_run(path, device)
