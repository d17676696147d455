"""Stacking: a learner of scikit-learn, fitted after the networks, makes the final prediction from those of the streams.

Wolpert 1992 (doi:10.1016/S0893-6080(05)80023-1). A learner is never stored as such: the module keeps the scores and truths it was
fitted on, as buffers, and fits it again, with the same random numbers, when it is first used. The same scores give the same learner.
"""

import threading
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.models.decision import NUMBERS, Average
from astrofuse_lab.models.decision_weights import score_features

MOST_ROWS = 20_000
"""Samples that a learner is fitted on, at most: they are stored with the run."""
Array = NDArray[Any]


class Constant:
    """The learner where there is nothing to learn: always the same answer.

    Parameters
    ----------
    answer : float
    """

    def __init__(self, answer: float) -> None:
        self.answer = answer

    def predict(self, features: Array) -> Array:
        """The answer, (sample,)."""
        return np.full(len(features), self.answer)


class _Made:
    """What was fitted, and the lock of who fits. Copies share it, until they are fitted or loaded themselves; other processes fit again."""

    def __init__(self) -> None:
        self.learners: list[Any] | None = None
        self.lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Made":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _Made, ()


class Stacking(Average):
    """Base of the stackings.

    While the networks train, and until `fit`, it is the average of the streams. Then the learner takes the streams' scores with flags of
    presence (`score_features`) to the prediction; for labels and several targets there is one a column. It has no gradient: while
    training goes on the average takes its place, and explanations by gradients are refused (`differentiable`).

    Parameters
    ----------
    task, modalities, outputs, with_fused, groups
        As in `Decision`.
    balanced : bool
        Classes weigh alike, whatever their number.
    modality_dropout : float
        Share of the samples that the learner is given once more with some of their streams hidden, so that it knows what to do without.
    """

    differentiable = False
    grows: ClassVar[tuple[str, ...]] = ("scores", "there", "truth")
    """Buffers whose first axis is as long as what it was fitted on, at most `MOST_ROWS`."""
    most: ClassVar[int] = MOST_ROWS

    scores: Tensor
    there: Tensor
    truth: Tensor

    def __init__(
        self, task: str, modalities: Sequence[str], outputs: int, *, balanced: bool = True, modality_dropout: float = 0.5, with_fused: bool = False,
        groups: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(task, modalities, outputs, with_fused=with_fused, groups=groups)
        self.balanced, self.modality_dropout = balanced, modality_dropout
        targets = 1 if task == "classification" else outputs
        self.register_buffer("scores", torch.zeros(0, len(self.streams), outputs))
        self.register_buffer("there", torch.zeros(0, len(self.streams), dtype=torch.bool))
        self.register_buffer("truth", torch.zeros(0, targets))
        self._made = _Made()

    @property
    def fits(self) -> bool:
        """Always."""
        return True

    def learner(self, numbers: bool) -> Any:
        """An unfitted learner of scikit-learn, of classes or of numbers."""
        raise NotImplementedError

    def fit(self, values: Tensor, there: Tensor, truth: Tensor) -> None:
        """See `Decision.fit`. Of more than `most` samples, evenly spaced ones are taken."""
        values, there, truth = values[: len(truth)], there[: len(truth)], truth.view(len(truth), -1)
        usable = there.any(1) & truth.isfinite().any(1)
        values, there, truth = values[usable], there[usable], truth[usable]
        if len(truth) > self.most:
            chosen = torch.linspace(0, len(truth) - 1, self.most, device=truth.device).long()
            values, there, truth = values[chosen], there[chosen], truth[chosen]
        device = self.scores.device
        self.scores, self.there, self.truth = values.float().to(device), there.to(device), truth.float().to(device)
        self._made = _Made()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in self.grows:  # as long as what is stored
            given, own = state_dict.get(prefix + name), getattr(self, name)
            if given is not None and given.shape[1:] == own.shape[1:] and len(given) <= MOST_ROWS:
                setattr(self, name, own.new_zeros(given.shape))
        self._made = _Made()
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def combine(self, values: Tensor, there: Tensor) -> Tensor:
        """What the learner says; the average while it has not been fitted, and in training."""
        if self.training or not len(self.truth) or not len(values):
            return super().combine(values, there)
        with torch.no_grad():
            told = self._told(score_features(values.float(), there, self.task).double().cpu().numpy())
            return self._as_values(torch.from_numpy(told).to(values.device, torch.float32))

    def _as_values(self, told: Tensor) -> Tensor:
        return told if self.task in NUMBERS else self.values_of(told)

    # ---- the learners ----------------------------------------------------------------------------------------------

    def _told(self, features: Array) -> Array:
        """Probabilities of classes or labels, or values, (sample, output)."""
        with self._made.lock:
            if self._made.learners is None:
                self._made.learners = self._fitted()
            learners = self._made.learners
        if self.task != "classification":
            columns = [one.predict(features) if self.task in NUMBERS or isinstance(one, Constant) else one.predict_proba(features)[:, 1] for one in learners]
            return np.stack(columns, 1) if columns else np.zeros((len(features), 0))
        (one,) = learners
        shares = np.full((len(features), self.outputs), 1e-6)  # of a class that it has not met
        if isinstance(one, Constant):
            shares[:, int(one.answer)] = 1.0
        else:
            shares[:, one.classes_.astype(int)] = np.maximum(one.predict_proba(features), 1e-6)
        return np.asarray(shares / shares.sum(1, keepdims=True))

    def _fitted(self) -> list[Any]:
        """One learner a target, fitted on what is stored."""
        there, scores = self.there.cpu(), self.scores.cpu()
        truth = self.truth.double().cpu().numpy()
        rows, seen = self._examples(there.numpy())
        features = score_features(scores[torch.from_numpy(rows)], torch.from_numpy(seen), self.task).double().numpy()
        return [self._one(features, truth[rows, i]) for i in range(truth.shape[1])]

    def _examples(self, there: Array) -> tuple[Array, Array]:
        """Rows, and the streams to be seen of each: every sample as it is, and a share of those with several once more with some hidden."""
        rng = np.random.default_rng(0)
        luck = rng.random(there.shape)
        kept = there & (rng.random(there.shape) < 0.5)
        kept |= there & (luck == np.where(there, luck, -1.0).max(1, keepdims=True))  # one always stays
        again = np.flatnonzero((there.sum(1) > 1) & (rng.random(len(there)) < self.modality_dropout))
        return np.concatenate([np.arange(len(there)), again]), np.concatenate([there, kept[again]])

    def _one(self, features: Array, truth: Array) -> Any:
        known = np.isfinite(truth)
        features, truth = features[known], truth[known]
        if not len(truth):
            return Constant(0.5 if self.task == "multi_label" else 0.0)
        if len(np.unique(truth)) == 1:
            # nothing says how sure: as the rule of succession has it
            return Constant((truth.sum() + 1) / (len(truth) + 2) if self.task == "multi_label" else float(truth[0]))
        return self._learn(features, truth)

    def _learn(self, features: Array, truth: Array) -> Any:
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.utils.class_weight import compute_sample_weight

        learner = self.learner(self.task in NUMBERS)
        weighs = self.balanced and self.task not in NUMBERS
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # far enough for a handful of scores
            return learner.fit(features, truth, sample_weight=compute_sample_weight("balanced", truth)) if weighs else learner.fit(features, truth)


class LogisticStacking(Stacking):
    """Stacking with logistic regression, on log-probabilities: weighted products of the streams; for numbers, ridge regression.

    Parameters
    ----------
    task, modalities, outputs, balanced, modality_dropout, with_fused, groups
        As in `Stacking`.
    strength : float
        Inverse of the penalty on the weights.
    """

    def __init__(
        self, task: str, modalities: Sequence[str], outputs: int, *, strength: float = 1.0, balanced: bool = True, modality_dropout: float = 0.5,
        with_fused: bool = False, groups: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(task, modalities, outputs, balanced=balanced, modality_dropout=modality_dropout, with_fused=with_fused, groups=groups)
        self.strength = strength

    def learner(self, numbers: bool) -> Any:
        """See `Stacking.learner`."""
        from sklearn.linear_model import LogisticRegression, Ridge

        return Ridge(alpha=1.0 / self.strength) if numbers else LogisticRegression(C=self.strength, max_iter=1000)


class ForestStacking(Stacking):
    """Stacking with a random forest (Breiman 2001, doi:10.1023/A:1010933404324).

    Parameters
    ----------
    task, modalities, outputs, balanced, modality_dropout, with_fused, groups
        As in `Stacking`.
    trees : int
    leaf : int
        Samples in a leaf, at least.
    """

    def __init__(
        self, task: str, modalities: Sequence[str], outputs: int, *, trees: int = 100, leaf: int = 3, balanced: bool = True, modality_dropout: float = 0.5,
        with_fused: bool = False, groups: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(task, modalities, outputs, balanced=balanced, modality_dropout=modality_dropout, with_fused=with_fused, groups=groups)
        self.trees, self.leaf = trees, leaf

    def learner(self, numbers: bool) -> Any:
        """See `Stacking.learner`."""
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        return (RandomForestRegressor if numbers else RandomForestClassifier)(n_estimators=self.trees, min_samples_leaf=self.leaf, random_state=0)


class VectorStacking(Stacking):
    """Stacking with a support vector machine of Gaussian kernels (Cortes & Vapnik 1995, doi:10.1007/BF00994018).

    Its margins become probabilities by a sigmoid fitted on held-out margins (Platt 1999); of classes with a single sample, by a softmax.

    Parameters
    ----------
    task, modalities, outputs, balanced, modality_dropout, with_fused, groups
        As in `Stacking`.
    strength : float
        Penalty on samples on the wrong side.
    """

    most = 4000  # its cost grows with the square

    def __init__(
        self, task: str, modalities: Sequence[str], outputs: int, *, strength: float = 1.0, balanced: bool = True, modality_dropout: float = 0.5,
        with_fused: bool = False, groups: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(task, modalities, outputs, balanced=balanced, modality_dropout=modality_dropout, with_fused=with_fused, groups=groups)
        self.strength = strength

    def learner(self, numbers: bool) -> Any:
        """See `Stacking.learner`."""
        from sklearn.svm import SVC, SVR

        return SVR(C=self.strength) if numbers else SVC(C=self.strength)

    def _learn(self, features: Array, truth: Array) -> Any:
        if self.task in NUMBERS:
            return super()._learn(features, truth)
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.model_selection import StratifiedKFold
        from sklearn.utils.class_weight import compute_sample_weight

        least = int(np.unique(truth, return_counts=True)[1].min())
        if least < 2:
            return _Margins(super()._learn(features, truth))
        parts = StratifiedKFold(min(5, least), shuffle=True, random_state=0)
        weight = compute_sample_weight("balanced", truth) if self.balanced else None
        return CalibratedClassifierCV(self.learner(False), cv=parts, ensemble=False).fit(features, truth, sample_weight=weight)


class _Margins:
    """A support vector machine's margins as probabilities."""

    def __init__(self, machine: Any) -> None:
        self.machine, self.classes_ = machine, machine.classes_

    def predict_proba(self, features: Array) -> Array:
        margins = self.machine.decision_function(features)
        if margins.ndim == 1:
            margins = np.stack([-margins, margins], 1)
        shares = np.exp(margins - margins.max(1, keepdims=True))
        return np.asarray(shares / shares.sum(1, keepdims=True))


class BoostingStacking(Stacking):
    """Stacking with gradient-boosted trees (Friedman 2001, doi:10.1214/aos/1013203451).

    Parameters
    ----------
    task, modalities, outputs, balanced, modality_dropout, with_fused, groups
        As in `Stacking`.
    rounds : int
    rate : float
        Share of each tree that is added.
    leaf : int
        Samples in a leaf, at least.
    """

    def __init__(
        self, task: str, modalities: Sequence[str], outputs: int, *, rounds: int = 60, rate: float = 0.1, leaf: int = 5, balanced: bool = True,
        modality_dropout: float = 0.5, with_fused: bool = False, groups: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(task, modalities, outputs, balanced=balanced, modality_dropout=modality_dropout, with_fused=with_fused, groups=groups)
        self.rounds, self.rate, self.leaf = rounds, rate, leaf

    def learner(self, numbers: bool) -> Any:
        """See `Stacking.learner`."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        made = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
        return made(max_iter=self.rounds, learning_rate=self.rate, min_samples_leaf=self.leaf, early_stopping=False, random_state=0)


class NetworkStacking(Stacking):
    """Stacking with an MLP, fitted to the end by a quasi-Newton method; trained together with the networks it is `score_concatenation`.

    Parameters
    ----------
    task, modalities, outputs, balanced, modality_dropout, with_fused, groups
        As in `Stacking`.
    width : int
        Of its hidden layer.
    penalty : float
        On the squared weights.
    """

    def __init__(
        self, task: str, modalities: Sequence[str], outputs: int, *, width: int = 16, penalty: float = 0.1, balanced: bool = True,
        modality_dropout: float = 0.5, with_fused: bool = False, groups: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(task, modalities, outputs, balanced=balanced, modality_dropout=modality_dropout, with_fused=with_fused, groups=groups)
        self.width, self.penalty = width, penalty

    def learner(self, numbers: bool) -> Any:
        """See `Stacking.learner`."""
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        return (MLPRegressor if numbers else MLPClassifier)(hidden_layer_sizes=(self.width,), solver="lbfgs", alpha=self.penalty, max_iter=300, random_state=0)


class Bagging(Stacking):
    """Trees fitted on resamples of the streams' scores, averaged (Breiman 1996, doi:10.1007/BF00058655).

    Parameters
    ----------
    task, modalities, outputs, balanced, modality_dropout, with_fused, groups
        As in `Stacking`.
    members : int
        Trees.
    share : float
        Size of a resample, of that of the whole.
    """

    def __init__(
        self, task: str, modalities: Sequence[str], outputs: int, *, members: int = 50, share: float = 1.0, balanced: bool = True,
        modality_dropout: float = 0.5, with_fused: bool = False, groups: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__(task, modalities, outputs, balanced=balanced, modality_dropout=modality_dropout, with_fused=with_fused, groups=groups)
        self.members, self.share = members, share

    def learner(self, numbers: bool) -> Any:
        """See `Stacking.learner`."""
        from sklearn.ensemble import BaggingClassifier, BaggingRegressor

        return (BaggingRegressor if numbers else BaggingClassifier)(n_estimators=self.members, max_samples=float(self.share), random_state=0)
