"""Two small models that a person can read: a tree of rules, and a formula of few terms."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SCREENED = 20
"""Scalars that products and ratios are made of: those that go with the answer most."""
FARTHEST = 10.0
"""A term with a value so many standard deviations off rests on single samples: it is left out."""
FOLDS = 5


# ---- tree --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tree:
    """Yes-or-no questions.

    Attributes
    ----------
    names, units : tuple of str
    feature : int array, (node,)
        -1 for a leaf.
    threshold : float64 array, (node,)
    left, right : int array, (node,)
        Where it goes on: at most the threshold, or above.
    missing_left : bool array, (node,)
        Where an unknown number goes.
    answer : array, (node,)
        Class codes, or numbers.
    count : int array, (node,)
        Samples that it was fitted to.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    feature: Array
    threshold: Array
    left: Array
    right: Array
    missing_left: Array
    answer: Array
    count: Array

    @classmethod
    def fit(cls, names: Sequence[str], units: Sequence[str], values: Array, answers: Array, classes: bool, depth: int, seed: int) -> "Tree":
        """CART (Breiman et al. 1984), by scikit-learn; what is missing goes where it does least harm."""
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        kind = DecisionTreeClassifier if classes else DecisionTreeRegressor
        tree = kind(max_depth=depth, min_samples_leaf=max(2, len(answers) // 50), random_state=seed).fit(values, answers)
        grown = tree.tree_
        told = tree.classes_[grown.value[:, 0].argmax(1)] if classes else grown.value[:, 0, 0]
        feature = np.where(grown.children_left < 0, -1, grown.feature)
        for node in range(len(feature) - 1, -1, -1):  # children come after their parent: a question whose answer makes no difference is not asked
            left, right = grown.children_left[node], grown.children_right[node]
            if classes and feature[node] >= 0 and feature[left] < 0 and feature[right] < 0 and told[left] == told[right]:
                feature[node] = -1
        return cls(
            tuple(names), tuple(units), feature, grown.threshold, grown.children_left, grown.children_right,
            grown.missing_go_to_left.astype(bool), told, grown.n_node_samples,
        )  # fmt: skip

    def predict(self, values: Array) -> Array:
        """Answers for scalars (sample, feature), NaN where missing."""
        at = np.zeros(len(values), dtype=np.int64)
        while (self.feature[at] >= 0).any():
            asked = np.maximum(self.feature[at], 0)
            seen = values[np.arange(len(values)), asked].astype(np.float32)  # as the tree was grown
            left = np.where(np.isnan(seen), self.missing_left[at], seen <= self.threshold[at])
            at = np.where(self.feature[at] < 0, at, np.where(left, self.left[at], self.right[at]))
        return np.asarray(self.answer[at])

    def text(self, say: Any) -> str:
        """The rules, indented; `say` puts an answer into words."""
        return "\n".join(self._lines(0, 0, say))

    def _lines(self, node: int, depth: int, say: Any) -> list[str]:
        lead = "    " * depth
        if self.feature[node] < 0:
            return [f"{lead}{say(self.answer[node])} ({self.count[node]} samples)"]
        name, unit = self.names[self.feature[node]], self.units[self.feature[node]]
        first, second = (" or unknown", "") if self.missing_left[node] else ("", " or unknown")
        limit = f"{self.threshold[node]:.4g}{f' {unit}' if unit else ''}"
        return [
            f"{lead}if {name} <= {limit}{first}:", *self._lines(int(self.left[node]), depth + 1, say),
            f"{lead}else ({name} > {limit}{second}):", *self._lines(int(self.right[node]), depth + 1, say),
        ]  # fmt: skip

    @property
    def used(self) -> tuple[str, ...]:
        """The scalars it asks for, the first question first."""
        return tuple(dict.fromkeys(self.names[i] for i in self.feature if i >= 0))


# ---- formula -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """One term of a formula: ``x``, ``square``, ``root``, ``log`` of a scalar, or ``product``, ``ratio``, ``logratio`` of two."""

    form: str
    first: int
    second: int = -1

    def of(self, values: Array) -> Array:
        """Of scalars (sample, feature); NaN where it is not defined."""
        x, y = values[:, self.first], values[:, self.second]
        with np.errstate(all="ignore"):
            return np.asarray({
                "x": lambda: x, "square": lambda: x**2, "root": lambda: np.sqrt(x), "log": lambda: np.log10(x), "product": lambda: x * y,
                "ratio": lambda: x / y, "logratio": lambda: np.log10(x / y),
            }[self.form]())  # fmt: skip

    def text(self, names: Sequence[str], units: Sequence[str]) -> tuple[str, str]:
        """In words, and its unit."""
        x, y, u, v = names[self.first], names[self.second], units[self.first], units[self.second]
        if self.form == "log":
            return f"log10({x}{f' / {_bracket(u)}' if u else ''})", ""
        if self.form == "logratio":
            return f"log10({x} / {y})", ""
        over = "" if u == v else f"{_bracket(u) or '1'} / {_bracket(v)}" if v else u
        both = " ".join(_bracket(one) for one in (u, v) if one) if u != v else f"{_bracket(u)}^2" if u else ""
        told = {"x": (x, u), "square": (f"({x})^2", f"{_bracket(u)}^2" if u else ""), "root": (f"sqrt({x})", f"sqrt({u})" if u else ""), "product": (f"{x} × {y}", both), "ratio": (f"{x} / {y}", over)}
        return told[self.form]


def _bracket(unit: str) -> str:
    return f"({unit})" if " " in unit or "/" in unit else unit


@dataclass(frozen=True)
class Formula:
    """A sum of few terms.

    Attributes
    ----------
    names, units : tuple of str
    filled : float64 array, (feature,)
        What an unknown number is taken as: the median of those it was fitted to.
    terms : tuple of Term
    coefficients : float64 array, (term,)
    constant : float
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    filled: Array
    terms: tuple[Term, ...]
    coefficients: Array
    constant: float

    @classmethod
    def fit(cls, names: Sequence[str], units: Sequence[str], values: Array, answers: Array, most: int, seed: int) -> "Formula":
        """Orthogonal matching pursuit (Pati et al. 1993, doi:10.1109/ACSSC.1993.342465, by scikit-learn) over a library of terms; as many
        terms as cross-validation asks for: the fewest within one standard error of the best."""
        with np.errstate(all="ignore"):
            filled = np.array([np.median(one[np.isfinite(one)]) if np.isfinite(one).any() else 0.0 for one in values.T])
        whole = np.where(np.isfinite(values), values, filled)
        terms = _library(whole, answers, units)
        library = np.stack([one.of(whole) for one in terms], 1) if terms else np.zeros((len(whole), 0))
        most = min(most, library.shape[1], max(1, len(answers) // 10))
        if most == 0:
            return cls(tuple(names), tuple(units), filled, (), np.zeros(0), float(answers.mean()))
        fold = np.random.default_rng(seed).permutation(len(answers)) % FOLDS
        errors = np.array([_path_errors(library[fold != k], answers[fold != k], library[fold == k], answers[fold == k], most) for k in range(FOLDS)])
        mean, error = errors.mean(0), errors.std(0, ddof=1) / np.sqrt(FOLDS)
        count = int(np.flatnonzero(mean <= mean.min() + error[mean.argmin()])[0]) + 1
        scaled, centre, width = _scaled(library)
        path = _pursued(scaled, answers, count)
        chosen = np.flatnonzero(path)
        coefficients = path[chosen] / width[chosen]
        order = np.argsort(-np.abs(path[chosen]))  # what moves the answer most comes first
        return cls(
            tuple(names), tuple(units), filled, tuple(terms[i] for i in chosen[order]), coefficients[order], float(answers.mean() - coefficients @ centre[chosen]),
        )  # fmt: skip

    def predict(self, values: Array) -> Array:
        """Of scalars (sample, feature); NaN where a term is not defined, e.g. the logarithm of a negative flux."""
        whole = np.where(np.isfinite(values), values, self.filled)
        total = np.full(len(values), self.constant)
        for term, coefficient in zip(self.terms, self.coefficients, strict=True):
            total = total + coefficient * term.of(whole)
        return total

    def text(self, what: str) -> str:
        """``what = ...`` with units."""
        parts = [f"{what} = {self.constant:.4g}"]
        for term, coefficient in zip(self.terms, self.coefficients, strict=True):
            words, unit = term.text(self.names, self.units)
            parts.append(f"{'-' if coefficient < 0 else '+'} {abs(coefficient):.4g}{f' per {_bracket(unit)}' if unit else ''} × {words}")
        return "\n    ".join(parts)

    @property
    def used(self) -> tuple[str, ...]:
        """The scalars in it."""
        return tuple(dict.fromkeys(self.names[i] for term in self.terms for i in (term.first, term.second) if i >= 0))


def _scaled(library: Array) -> tuple[Array, Array, Array]:
    centre, width = library.mean(0), library.std(0)
    width = np.where(width > 0, width, 1.0)
    return (library - centre) / width, centre, width


def _pursued(scaled: Array, answers: Array, count: int) -> Array:
    """Coefficients of at most so many scaled terms, the others zero."""
    from sklearn.linear_model import orthogonal_mp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # fewer terms than asked for say it all
        return np.asarray(orthogonal_mp(scaled, answers - answers.mean(), n_nonzero_coefs=count)).ravel()


def _path_errors(library: Array, answers: Array, new: Array, truth: Array, most: int) -> Array:
    """Mean squared error on other samples with one term, two, ..., (most,)."""
    scaled, centre, width = _scaled(library)
    errors = []
    for count in range(1, most + 1):
        path = _pursued(scaled, answers, count)
        errors.append(float(np.mean((answers.mean() + (new - centre) / width @ path - truth) ** 2)))
    return np.array(errors)


def _library(values: Array, answers: Array, units: Sequence[str]) -> list[Term]:
    """Terms that are defined for all samples, vary, and rest on no single one."""
    singles = [Term("x", i) for i in range(values.shape[1])]
    strength = np.array([_correlation(one.of(values), answers) for one in singles])
    best = np.sort(np.argsort(-strength, kind="stable")[:SCREENED])
    forms = [Term(form, int(i)) for i in best for form in ("square", "root", "log")]
    pairs = [Term("product", int(i), int(j)) for k, i in enumerate(best) for j in best[k + 1 :]]
    ratios = [Term(form, int(i), int(j)) for i in best for j in best if i != j for form in ("ratio", "logratio") if form == "ratio" or (i < j and units[i] == units[j])]
    kept = []
    for term in (*singles, *forms, *pairs, *ratios):
        found = term.of(values)
        width = found.std() if np.isfinite(found).all() else 0.0
        if width > 1e-12 * max(1.0, float(np.abs(found).max())) and np.abs(found - found.mean()).max() <= FARTHEST * width:
            kept.append(term)
    return kept


def _correlation(values: Array, answers: Array) -> float:
    """Absolute rank correlation; 0 of what does not vary."""
    from scipy.stats import rankdata

    if values.std() == 0 or answers.std() == 0:
        return 0.0
    return abs(float(np.corrcoef(rankdata(values), rankdata(answers))[0, 1]))
