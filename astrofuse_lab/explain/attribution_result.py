"""What an attribution is: a number for every input value, with how far it can be trusted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.explain.adapter import PLACE_AXES

if TYPE_CHECKING:
    from astropy.table import Table

CONVERGED = 0.05
"""Attributions of complete methods are trusted where the delta is at most this share of what there was to attribute."""


def place_axes(kind: str, ndim: int) -> tuple[int, ...]:
    """Axes of an input of a kind, (n, ...), that say where; spectra with errors beside their flux have a channel axis first."""
    return (2,) if kind == "spectrum" and ndim == 3 else PLACE_AXES[kind]


@dataclass(frozen=True)
class Attribution:
    """How much each input value moved the score of the target.

    Attributes
    ----------
    values : dict of modality to float32 array
        Each the shape of its model input, (n, ...); zero where masked. Of an ensemble: the mean over its members.
    masks : dict of modality to bool array
        True where the input was real, as `samples.preparation` gives it.
    convergence_delta : float32 array, (n,), or None
        Sum of all attributions less `difference`; None for methods that do not promise to sum to it.
    difference : float32 array, (n,)
        Score of the sample less score of its baseline (where there are several, their mean): what complete methods divide among the inputs.
    score : float32 array, (n,)
        The sample's own score.
    object_ids : str array, (n,)
    target : tuple
        Class, label or target column explained, per sample.
    method, score_name : str
    baselines : dict of modality to str
    kinds : dict of modality to str
    standard_error : dict of modality to float32 array, or None
        Of `per_place`, for methods that draw at random: how far another seed would move it.
    spread : dict of modality to float32 array, or None
        Of `per_place`: standard deviation over the members of an ensemble.
    total_spread : dict of modality to float32 array, (n,), or None
        The same of `total`.
    passes : int array, (n,), or None
        Points of the path, draws or hidden windows that each sample took.
    notes : tuple of str
        What was done otherwise than asked, and what to keep in mind.
    """

    values: dict[str, NDArray[np.float32]]
    masks: dict[str, NDArray[np.bool_]]
    convergence_delta: NDArray[np.float32] | None
    difference: NDArray[np.float32]
    score: NDArray[np.float32]
    object_ids: NDArray[np.str_]
    target: tuple[Any, ...]
    method: str
    score_name: str
    baselines: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    standard_error: dict[str, NDArray[np.float32]] | None = None
    spread: dict[str, NDArray[np.float32]] | None = None
    total_spread: dict[str, NDArray[np.float32]] | None = None
    passes: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities explained."""
        return tuple(self.values)

    @property
    def relative_delta(self) -> NDArray[np.float32] | None:
        """`convergence_delta` as a share of the absolute `difference`, (n,); zero where there was nothing to attribute."""
        if self.convergence_delta is None:
            return None
        return (np.abs(self.convergence_delta) / np.maximum(np.abs(self.difference), 1e-6)).astype(np.float32)

    def _named(self, arrays: Mapping[str, NDArray[Any]], modality: str) -> NDArray[Any]:
        if modality not in arrays:
            raise UnknownNameError("attributed modality", modality, arrays)
        return arrays[modality]

    def _over_places(self, arrays: Mapping[str, NDArray[Any]], modality: str, how: Callable[..., Any]) -> NDArray[Any]:
        array = self._named(arrays, modality)
        along = place_axes(self.kinds[modality], self.values[modality].ndim)
        other = tuple(axis for axis in range(1, array.ndim) if axis not in along)
        return np.asarray(how(array, axis=other)) if other else array

    def per_place(self, modality: str) -> NDArray[np.float32]:
        """Summed over bands, channels or buckets: image (n, y, x), spectrum (n, pixel), light curve (n, epoch), series (n, sample), table (n, column), text (n, word).

        Epochs are those the model was given: the latest ones, where an object has more than the run's limit.
        """
        return self._over_places(self.values, modality, np.sum)

    def place_mask(self, modality: str) -> NDArray[np.bool_]:
        """True where a place has any real value; the shape of `per_place`."""
        return self._over_places(self.masks, modality, np.any)

    def total(self, modality: str) -> NDArray[np.float32]:
        """The modality's whole attribution, (n,)."""
        return self.per_place(modality).reshape(len(self.object_ids), -1).sum(1)

    def certain(self, modality: str, times: float = 2.0) -> NDArray[np.bool_]:
        """Where the map stands out of its own uncertainty: ``|per_place| >= times * doubt``; the shape of `per_place`.

        The doubt is the `spread` over an ensemble's members (the members agree on the sign and roughly on the size), and else the `standard_error`.

        Raises
        ------
        InputError
            Where there is neither.
        """
        doubt = self.spread if self.spread is not None else self.standard_error
        if doubt is None:
            raise InputError(
                f"one run's {self.method!r} has no spread. Explain an ensemble, af.explain.attribute(af.train_ensemble(...), samples), or use a method that "
                "draws at random (gradient_shap, lime, kernel_shap), whose standard error is known."
            )
        place = np.abs(self.per_place(modality))
        return (place >= times * self._named(doubt, modality)) & (place > 0) & self.place_mask(modality)

    def table(self) -> "Table":
        """One row a sample: object_id, target, score, difference, the total of each modality (and its spread), and how well it converged."""
        from astropy.table import Table

        table = Table({"object_id": self.object_ids, "target": [str(t) for t in self.target], "score": self.score, "difference": self.difference})
        for modality in self.values:
            table[modality] = self.total(modality)
            if self.total_spread is not None:
                table[f"{modality}_spread"] = self.total_spread[modality]
        if self.convergence_delta is not None:
            table["convergence_delta"] = self.convergence_delta
            table["relative_delta"] = self.relative_delta
        table.meta.update(method=self.method, score=self.score_name, baselines=dict(self.baselines), notes=list(self.notes))
        return table

    def __repr__(self) -> str:
        relative = self.relative_delta
        poor = "" if relative is None else f", {int((relative > CONVERGED).sum())} with a delta above {CONVERGED:.0%}"
        return f"Attribution({self.method} of {self.score_name}, {len(self.object_ids)} samples: {', '.join(self.values)}{poor})"

    # ---- folders ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write a folder of ``attribution.json`` and ``attribution.safetensors``, all of it or nothing.

        Raises
        ------
        StorageError
            If the folder exists and `overwrite` is False, or it cannot be written.
        """
        from astrofuse_lab.explain.attribution_folder import save

        return save(self, path, overwrite)

    @classmethod
    def open(cls, path: str | Path) -> "Attribution":
        """Open such a folder. Nothing in it is executed.

        Raises
        ------
        RunError
            If a file is missing or does not fit the others.
        """
        from astrofuse_lab.explain.attribution_folder import open_folder

        return open_folder(path)
