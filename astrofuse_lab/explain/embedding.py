"""Where samples lie in a model's own spaces: the fused one, that of each modality, and that of any layer."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.explain.agreement import Badge, Complementarity, complementarity, plane_badges, seed_badges, trust_of_each
from astrofuse_lab.explain.grouping import BY, Clusters, anomalies, clusters
from astrofuse_lab.explain.neighbourhoods_large import neighbourhood
from astrofuse_lab.explain.planes import METHODS, Axes, How, Near, check_method, make_planes, spread_out
from astrofuse_lab.explain.spaces import FUSED

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.explain.crossing import Retrieved
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

MOST_FOR_TRUST = 3000
"""Points of the badges: they compare all pairs."""
MOST_FOR_SEEDS = 2000
"""Points that are mapped again with other seeds."""
MOST_FOR_SPACES = 5000
"""Points by which spaces are compared with each other."""


@dataclass(frozen=True)
class Embedding:
    """Coordinates in the plane, one pair a sample and space.

    Attributes
    ----------
    coordinates : dict of space to float32 array, (n, 2)
        ``fused`` and each modality, or ``layer:<name>``; NaN where the sample lacks the modality (False in `present`).
    present : dict of space to bool array, (n,)
        True where the sample has coordinates.
    object_ids : str array, (n,)
    method : str
        ``umap``, ``pca``, ``tsne``, ``densmap`` or ``pacmap``: what was done, which `notes` explain where it is not what was asked.
    notes : tuple of str
        What a reader should know: fallbacks, and samples without coordinates.
    k, seed : int
        Neighbours, and the seed of the method.
    labels : dict of str to array
        Target and prediction per sample, for colours; the target only where the samples have the column.
    parts : str array, (n,)
        ``train``, ``validation`` or ``test`` of the run, "" for a sample that it does not know.
    axes : dict of space to (mean, directions)
        Of planes made by PCA: (width,) and (width, 2).
    made_by : str
        Digest of the weights of the run.
    """

    coordinates: dict[str, NDArray[np.float32]]
    present: dict[str, NDArray[np.bool_]]
    object_ids: NDArray[np.str_]
    method: str
    notes: tuple[str, ...]
    k: int
    seed: int
    labels: dict[str, Any] = field(default_factory=dict)
    parts: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype="U1"))
    axes: dict[str, Axes] = field(default_factory=dict)
    made_by: str = ""
    _vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    _units: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    _near: dict[str, Near] = field(default_factory=dict)
    _badges: dict[tuple[str, int], list[Badge]] = field(default_factory=dict)

    @property
    def spaces(self) -> tuple[str, ...]:
        """``fused``, then the modalities, then layers."""
        return tuple(self.coordinates)

    def _check(self, space: str) -> None:
        if space not in self.coordinates:
            raise UnknownNameError("space", space, self.coordinates)

    def vectors(self, space: str = FUSED) -> NDArray[np.float32]:
        """The model's own vectors, (n, width); NaN where the sample lacks the modality."""
        self._check(space)
        return self._vectors[space]

    def near(self, space: str = FUSED, k: int | None = None) -> Near:
        """Neighbours in the space itself with their distances, (m, k) each, of the m samples that have the space, as positions among those m.

        They are found once and kept, and saved with the embedding. Of 20,000 samples and more, at least 98 % of them are the true ones.
        """
        self._check(space)
        has = self._vectors[space][self.present[space]]
        count = max(0, min(self.k if k is None else int(k), len(has) - 1))
        known = self._near.get(space)
        if known is None or known[0].shape[1] < count:
            known = self._near[space] = neighbourhood(has, max(count, self.k))[:2]
        return known[0][:, :count], known[1][:, :count]

    def neighbours(self, space: str = FUSED, k: int | None = None) -> "np.ma.MaskedArray[Any, Any]":
        """Positions of the k nearest samples in the space itself (not in the plane), nearest first.

        Parameters
        ----------
        space : str
        k : int, optional
            None: `k` of the embedding. Fewer come back where there are fewer other samples.

        Returns
        -------
        masked int array, (n, k)
            Euclidean distance; rows of samples without the modality are masked (-1).
        """
        near = self.near(space, k)[0]
        has = np.flatnonzero(self.present[space])
        found = np.full((len(self.object_ids), near.shape[1]), -1, dtype=np.int64)
        found[has] = has[near]
        return np.ma.MaskedArray(found, found < 0, fill_value=-1)

    # ---- how far it can be trusted ---------------------------------------------------------------------------------

    def _drawn(self, space: str, most: int) -> NDArray[np.int64]:
        self._check(space)
        has = np.flatnonzero(self.present[space])
        return has if len(has) <= most else np.sort(np.random.default_rng(self.seed).choice(has, most, replace=False))

    def trustworthiness(self, space: str = FUSED) -> float:
        """How far neighbours in the plane are neighbours in the space: 1 all, 0 none (Venna & Kaski 2001, doi:10.1007/3-540-44668-0_68).

        With more than `MOST_FOR_TRUST` samples, of as many drawn with the embedding's seed; NaN for fewer than four.
        """
        has = self._drawn(space, MOST_FOR_TRUST)
        count = min(self.k, (len(has) - 1) // 2)  # the score is defined for fewer neighbours than half the samples
        if count < 1:
            return float("nan")
        return float(trust_of_each(self._vectors[space][has], self.coordinates[space][has], count).mean())

    def badges(self, space: str = FUSED, seeds: int = 0, *, timeout: float = 120.0, stop: threading.Event | None = None) -> list[Badge]:
        """What a map may be trusted with, to be shown on it.

        Parameters
        ----------
        space : str
        seeds : int
            0: what can be said at once, trustworthiness and neighbours kept. Two or more: also whether the map stays with other seeds, which
            takes as many maps of at most `MOST_FOR_SEEDS` samples; PCA has no seed.
        timeout : float
            Seconds for these maps.
        stop : threading.Event, optional
            Ends them; what could not be found out is left out.

        Returns
        -------
        list of dict
            ``name``, ``value``, ``low``, ``high`` (95 %; NaN where there is none), ``says``.
        """
        key = (space, int(seeds) if self.method != "pca" else 0)
        if key not in self._badges:
            has = self._drawn(space, MOST_FOR_TRUST)
            of = int(self.present[space].sum())
            found = plane_badges(self._vectors[space][has], self.coordinates[space][has], self.k, of)
            if key[1] > 1:
                stable = self._stability(space, key[1], of, timeout, stop)
                if not stable:
                    return found
                found = found + stable
            self._badges[key] = found
        return [dict(badge) for badge in self._badges[key]]

    def _stability(self, space: str, seeds: int, of: int, timeout: float, stop: threading.Event | None) -> list[Badge]:
        has = self._drawn(space, MOST_FOR_SEEDS)
        planes = [self.coordinates[space][has]] if len(has) == of else []
        for seed in range(self.seed + len(planes), self.seed + seeds):
            made = make_planes({space: self._vectors[space][has]}, self.method, How(self.k, seed, timeout, stop=stop))
            if made.method != self.method:
                return []
            planes.append(made.planes[space])
        return seed_badges(planes, self.k, of)

    def complementarity(self, k: int | None = None) -> Complementarity:
        """How neighbours differ between spaces, for every pair, on at most `MOST_FOR_SPACES` samples that have both.

        Two modalities whose neighbours differ see different things; which of them is right, this does not say.
        """
        return complementarity(self._vectors, self.present, self.object_ids, self.k if k is None else int(k), MOST_FOR_SPACES, self.seed)

    # ---- what is there ---------------------------------------------------------------------------------------------

    def clusters(self, space: str = FUSED, on: str = "space", least: int | None = None) -> Clusters:
        """Dense groups, by HDBSCAN.

        Parameters
        ----------
        space : str
        on : {"space", "plane"}
            Of the model's own vectors, or of the map, whose gaps need not be the space's.
        least : int, optional
            Fewest samples of a cluster. None: 2 % of them, at least 5.
        """
        self._check(space)
        if on not in ("space", "plane"):
            raise UnknownNameError("place to look for clusters", on, ("space", "plane"))
        points = self._vectors[space] if on == "space" else self.coordinates[space]
        return clusters(points, self.present[space], self.object_ids, space, on, least, self.seed)

    def anomalies(self, space: str = FUSED, by: str = BY[0], k: int | None = None) -> "Table":
        """How unlike the others each sample is in a space. Bad data or a discovery: the score does not say which.

        Parameters
        ----------
        space : str
        by : {"neighbours", "local_outlier_factor", "isolation_forest"}
            Mean distance to the k nearest; how much emptier it is around a sample than around its neighbours (Breunig et al. 2000); how easily it
            is told apart (Liu et al. 2008).
        k : int, optional

        Returns
        -------
        Table
            One row a sample: object_id, score (higher is stranger), percentile (0 to 100) and nearest, the ids of its k nearest; masked where it
            has no place in the space.
        """
        self._check(space)
        return anomalies(self._vectors[space], self.present[space], self.object_ids, by, self.k if k is None else int(k), self.seed)

    def retrieve(self, queries: Any, from_: str, to: str, k: int = 10, *, run: "Run | None" = None) -> "Retrieved":
        """The samples whose `to` is most like these samples' `from_`: "find the spectra like this image".

        Parameters
        ----------
        queries : str, sequence of str, or SampleSet
            Ids of this embedding, or other samples, for which the run is needed.
        from_, to : str
            Spaces.
        k : int
        run : Run, optional
            The one that the embedding was made by.

        Returns
        -------
        Retrieved
            With its recall on samples that nothing was fitted on, and what chance gives.

        Raises
        ------
        UnknownNameError, InputError
            For an id or space that is not there, a query without `from_`, or too few samples that have both.
        """
        from astrofuse_lab.explain.crossing import retrieve

        return retrieve(self, queries, from_, to, int(k), run)

    def place(self, run: "Run", samples: "SampleSet", rows: int = 64) -> "Embedding":
        """New samples on this map, which stays as it is: from its stored vectors, coordinates and neighbours alone.

        PCA: exactly where they would have been. Other methods: among the map's places of their nearest neighbours.

        Parameters
        ----------
        run : Run
            The one that the embedding was made by.
        samples : SampleSet

        Returns
        -------
        Embedding
            Of the new samples, with ``labels["unlike_<space>"]``: the share of the map's own samples whose nearest neighbour is nearer than theirs; near 1, a
            sample is unlike all that the map knows and its place means little.

        Raises
        ------
        InputError
            For another run, or an embedding without vectors.
        """
        from astrofuse_lab.explain.placing import place

        return place(self, run, samples, rows)

    def mapped(
        self, method: str, *, seed: int | None = None, timeout: float = 600.0, stop: threading.Event | None = None,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> "Embedding":  # fmt: skip
        """The same vectors by another method or seed: the model is not asked again. Arguments, errors and fallbacks are those of `embed`."""
        if method not in METHODS:
            raise UnknownNameError("embedding method", method, METHODS)
        check_method(method)
        how = How(self.k, self.seed if seed is None else int(seed), float(timeout), stop=stop, on_progress=on_progress)
        made = make_planes({space: one[self.present[space]] for space, one in self._vectors.items()}, method, how)
        notes = (*made.notes, *(note for note in self.notes if "no place in that space" in note))
        return replace(
            self, coordinates=spread_out(made, self.present), method=made.method, notes=notes, seed=how.seed, axes=made.axes,
            _near={**self._near, **made.near}, _badges={},
        )  # fmt: skip

    # ---- keeping ---------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write coordinates, vectors, neighbours and labels as .npy files with one ``embedding.json``: never a pickled model.

        Raises
        ------
        StorageError
            If the folder exists and `overwrite` is False, the disk is full, or the place is read-only.
        """
        from astrofuse_lab.explain.embedding_files import save

        return save(self, Path(folder), overwrite)

    @classmethod
    def open(cls, folder: str | Path) -> "Embedding":
        """Open such a folder. Nothing in it is executed.

        Raises
        ------
        StorageError
            If it holds no embedding, or its files do not fit together.
        """
        from astrofuse_lab.explain.embedding_files import open_embedding

        return open_embedding(Path(folder))

    def table(self) -> "Table":
        """One row a sample: object_id, the target and prediction, and ``<space>_x``, ``<space>_y``, masked where missing."""
        from astropy.table import MaskedColumn, Table

        table = Table({"object_id": self.object_ids, **self.labels})
        for space, plane in self.coordinates.items():
            for axis, name in enumerate("xy"):
                table[f"{space}_{name}"] = MaskedColumn(np.nan_to_num(plane[:, axis]), mask=~self.present[space])
        table.meta.update(method=self.method, notes=list(self.notes), seed=self.seed)
        return table

    def __repr__(self) -> str:
        notes = "".join(f"; {note}" for note in self.notes)
        return f"Embedding({self.method} of {len(self.object_ids)} samples: {', '.join(self.spaces)}{notes})"
