"""Fusion models in scikit-learn's manners: fit, predict and score, usable in `cross_validate`, grids and pipelines.

Rows of numbers (arrays, data frames) are a table-only input and pass scikit-learn's own estimator checks. Objects with several
modalities stay in their sample set: it is given once, as a parameter, and X is then the ids, so that any splitter of scikit-learn
can deal them out.
"""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from astrofuse_lab.errors import InputError, TrainingError
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.annotations import with_column
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.training.loop import train
from astrofuse_lab.training.run import Run

if TYPE_CHECKING:
    from sklearn.utils import Tags

TARGET = "sklearn_target"
"""Column that holds y while a model is fitted."""


class _FusionEstimator(BaseEstimator):  # type: ignore[misc]
    """What the classifier and the regressor share."""

    def __init__(
        self, recipe: str | Recipe = "late_fusion", *, samples: SampleSet | None = None, modalities: Sequence[str] | None = None,
        group: str | None = None, epochs: int | None = None, random_state: Any = 0, device: str = "auto",
    ) -> None:  # fmt: skip
        self.recipe = recipe
        self.samples = samples
        self.modalities = modalities
        self.group = group
        self.epochs = epochs
        self.random_state = random_state
        self.device = device

    def __sklearn_clone__(self) -> "_FusionEstimator":
        # a sample set is never changed, and may be larger than the memory: clones share it
        shared = {name: value if name == "samples" else clone(value, safe=False) for name, value in self.get_params(deep=False).items()}
        return type(self)(**shared)

    def __sklearn_tags__(self) -> "Tags":
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.samples is None  # missing is a mask
        tags.input_tags.string = self.samples is not None
        return tags

    def _fit(self, X: Any, y: NDArray[Any]) -> None:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1)) if not isinstance(self.random_state, int | np.integer) else int(self.random_state)
        samples: SampleSet
        modalities: list[str] | None
        if self.samples is None:
            samples, modalities = _table_of(X, y), ["table"]
        else:
            # the set's own table may hold the target: it must not be an input, and `pose` says so by name
            samples, modalities = _labelled(self.samples, X, y), list(self.modalities) if self.modalities is not None else None
        self.run_ = train(
            self.recipe, samples, TARGET, modalities, _whole(samples, self.group), seed, self.device, self.epochs, progress=False
        )

    def _rows(self, X: Any, reset: bool) -> Any:
        """X as numbers, or as ids of the sample set."""
        if self.samples is None:
            return validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=reset, ensure_min_samples=2 if reset else 1)
        ids = np.asarray(X)
        if ids.ndim == 2 and ids.shape[1] == 1:
            ids = ids[:, 0]
        if ids.ndim != 1:
            raise InputError(f"with samples= given, X is object ids, (n,) or (n, 1), e.g. samples.object_ids; it has shape {ids.shape}.")
        if reset:
            self.n_features_in_ = 1
        return [str(one) for one in ids]

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self, "run_")
        rows = self._rows(X, reset=False)
        if self.samples is None:
            return _exactly(self.run_, _table_of(rows, None))
        # ids may repeat, as in a bootstrap: each is predicted once
        names, back = np.unique(np.array(rows, dtype=str), return_inverse=True)
        return self.run_.outputs(self.samples.select(names.tolist()))[0][back]


class FusionClassifier(ClassifierMixin, _FusionEstimator):  # type: ignore[misc]
    """A recipe as a scikit-learn classifier.

    Parameters
    ----------
    recipe : str or Recipe
    samples : SampleSet, optional
        Where given, X is ids of it (``samples.object_ids``). Else X is a table, (n, columns); NaN is missing.
    modalities : sequence of str, optional
        Of `samples`; None: all.
    group : str, optional
        Column of `samples` whose equal values stay on one side when a validation part is held out of the training rows.
    epochs : int, optional
    random_state : int, RandomState or None
    device : str

    Attributes
    ----------
    classes_ : array
    run_ : Run
        The trained model, with all that a Run does.
    n_features_in_ : int

    Examples
    --------
    >>> cross_validate(af.FusionClassifier("late_fusion"), X, y)                                        # doctest: +SKIP
    >>> cross_validate(af.FusionClassifier(samples=s), s.object_ids, s.column("label"), groups=host)    # doctest: +SKIP
    """

    def fit(self, X: Any, y: Any) -> "FusionClassifier":
        """Train.

        Parameters
        ----------
        X : array, (n, columns); or ids, (n,)
        y : array, (n,)
            Classes, of any type that can be sorted.

        Raises
        ------
        ValueError
            For fewer than two classes, or a class that cannot be learned and validated.
        """
        X, y = self._checked(X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"classifier can't train when only one class is present: {self.classes_[0]!r}. Give at least two.")
        try:
            self._fit(X, np.char.zfill(codes.astype(str), 6))
        except TrainingError as error:
            raise InputError(str(error)) from error
        return self

    def _checked(self, X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
        if self.samples is None:
            X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2)
        else:
            X = self._rows(X, reset=True)
        return X, column_or_1d(np.asarray(y), warn=True)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities, (n, class), in the order of ``classes_``."""
        return self._outputs(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class, (n,)."""
        probabilities = self._outputs(X)
        return np.asarray(self.classes_[probabilities.argmax(1)])


class FusionRegressor(RegressorMixin, _FusionEstimator):  # type: ignore[misc]
    """A recipe as a scikit-learn regressor; parameters and attributes as of `FusionClassifier`."""

    def fit(self, X: Any, y: Any) -> "FusionRegressor":
        """Train on X, (n, columns) or ids (n,), and y, (n,)."""
        if self.samples is None:
            X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2, y_numeric=True)
        else:
            X = self._rows(X, reset=True)
        try:
            self._fit(X, column_or_1d(np.asarray(y, dtype=np.float64), warn=True))
        except TrainingError as error:
            raise InputError(str(error)) from error
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Values, (n,), in the unit of y."""
        return self._outputs(X)


def _table_of(X: NDArray[np.float64], y: NDArray[Any] | None) -> SampleSet:
    """Rows of numbers as a sample set whose only modality is its table."""
    names = [f"x{i}" for i in range(X.shape[1])]
    columns: dict[str, Any] = {"object_id": [str(i) for i in range(len(X))]}
    columns |= {name: pa.array(X[:, i], mask=~np.isfinite(X[:, i])) for i, name in enumerate(names)}
    if y is not None:
        columns[TARGET] = y
    roles = {**dict.fromkeys(names, "input"), **({TARGET: "target"} if y is not None else {})}
    return SampleSet(pa.table(columns), {}, roles, {}, Card("table", "Rows given to an estimator"))


def _exactly(run: Run, samples: SampleSet) -> NDArray[np.float64]:
    """Outputs in double precision: what a row gives then does not depend on the rows beside it, to the digits that scikit-learn looks at."""
    batch = run.batch(samples)
    with torch.inference_mode():
        model = copy.deepcopy(run.model).cpu().double().eval()
        return run.decode(model({name: one.double() for name, one in batch.values.items()}, batch.masks, batch.present).values)


def _labelled(samples: SampleSet, ids: Sequence[str], y: NDArray[Any]) -> SampleSet:
    """These objects with y as a target column, over the same arrays.

    An id that comes twice, as in a bootstrap, counts once: its first y is taken.
    """
    some, first = np.unique(samples.positions(ids), return_index=True)
    return with_column(samples.take(some), TARGET, pa.array(y[first]), "target")


def _whole(samples: SampleSet, group: str | None) -> Any:
    from astrofuse_lab.samples.split import Split

    return Split(tuple(map(str, samples.object_ids)), (), (), "object", group) if group else None
