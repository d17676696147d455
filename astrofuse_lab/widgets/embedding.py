"""The map of a model's spaces, or of any million points: lasso, colour, search, compare; PCA at once, UMAP when it is ready."""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from astrofuse_lab.errors import InputError, RunError
from astrofuse_lab.widgets.base import Base, Selection, Worker
from astrofuse_lab.widgets.embedding_data import Arrays, badges_of, group_columns, heads_of_arrays, heads_of_set, map_payload, plane_payload, read_arrays
from astrofuse_lab.widgets.predictions import prediction_columns
from astrofuse_lab.widgets.samples import sample_answer
from astrofuse_lab.widgets.shelf import Shelf
from astrofuse_lab.widgets.thumbnails import thumbnail

if TYPE_CHECKING:
    from astrofuse_lab.explain.embedding import Embedding
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

SEEDS = 3
"""Maps compared when the view is asked whether a map stays with other seeds."""


def methods_here() -> list[list[str]]:
    """Methods whose packages are installed: name, and as people write it."""
    from astrofuse_lab.explain.planes import METHODS, PACKAGES, TITLES

    here = [m for m in METHODS if m not in PACKAGES or importlib.util.find_spec(PACKAGES[m][0]) is not None]
    return [[m, TITLES[m]] for m in sorted(here, key=lambda m: (m != "pca", METHODS.index(m)))]


def _frames_of(epoch: int, embedding: "Embedding") -> list[dict[str, Any]]:
    return [{"epoch": epoch, "space": space, "xy": embedding.coordinates[space]} for space in embedding.spaces]


def _kept(run: "Run") -> int:
    """How many epochs of its training a run keeps the weights of."""
    from astrofuse_lab.training.epoch_weights import kept_epochs

    try:
        return len(kept_epochs(run))
    except RunError:
        return 0


class EmbeddingWidget(Base):
    """Scatter plot of the fused space and of each modality's own, linked by selection.

    Parameters
    ----------
    run : Run
    samples : SampleSet
    selection : Selection, optional
    umap : bool
        Compute UMAP in the background (in a child process, about 180 MB and 1.7 kB a sample while it runs); False: PCA only, until asked for.
    seed : int

    Attributes
    ----------
    embeddings : dict of method to Embedding
        What has been computed so far.

    See Also
    --------
    from_arrays : a map of coordinates or vectors that are there already, a million of them if need be.
    """

    view = "embedding"
    verbs = {"embed": "compute", "groups": "find_groups", "stability": "check_stability", "training": "show_training"}
    columns: Any = t.List().tag(sync=True)
    maps = t.Dict().tag(sync=True)
    methods: Any = t.List().tag(sync=True)
    method = t.Unicode("pca").tag(sync=True)
    space = t.Unicode("fused").tag(sync=True)
    beside = t.Unicode("").tag(sync=True)
    epochs: Any = t.List().tag(sync=True)
    epoch = t.Int(-1).tag(sync=True)
    kept = t.Int(0).tag(sync=True)
    colour = t.Unicode("").tag(sync=True)
    density = t.Enum(("auto", "points", "density"), "auto").tag(sync=True)
    thumbs = t.Bool(False).tag(sync=True)
    title = t.Unicode("").tag(sync=True)
    notes: Any = t.List().tag(sync=True)

    def __init__(
        self, run: "Run | None", samples: "SampleSet | None", selection: Selection | None = None, umap: bool = True, seed: int = 0,
        *, arrays: Arrays | None = None, **traits: Any,
    ) -> None:  # fmt: skip
        self.run, self.samples, self.seed, self.arrays = run, samples, seed, arrays
        self.embeddings: dict[str, Embedding] = {}
        self.shelf = Shelf()
        given = self._from_run() if arrays is None else self._from_arrays(arrays)
        if samples is not None:
            given |= {"simulated": samples.simulated, "thumbs": True}
            ids: Any = samples.object_ids
        else:
            ids = arrays.ids if arrays is not None and arrays.ids is not None else np.arange(arrays.n if arrays is not None else 0).astype(str)
        super().__init__(ids, selection, **{**given, **traits})
        self._drawer = Worker(f"{type(self).__name__}-drawer", self._failed)
        self.observe(self._write_code, ["method", "space", "selected"])
        self._write_code()
        if arrays is None and len(ids):
            self._jobs.submit(self._job, self._first_look, {"umap": umap})

    @classmethod
    def from_arrays(
        cls, xy: Any, columns: Any = None, ids: Iterable[Any] | None = None, *, samples: "SampleSet | None" = None, selection: Selection | None = None,
        title: str = "", **traits: Any,
    ) -> "EmbeddingWidget":  # fmt: skip
        """A map of points that are there already.

        Parameters
        ----------
        xy : array, (n, 2), or dict of space to such arrays
            NaN where a sample has no place. Of arrays of more columns the first two principal components are shown.
        columns : dict of name to array, (n,), or Table, optional
            To colour, search and filter by: numbers, text, masked arrays.
        ids : sequence of n str, optional
            None: row numbers; with `samples`, theirs.
        samples : SampleSet, optional
            The same n samples, for thumbnails; the columns of the set are taken where `columns` is None.
        selection : Selection, optional
        title : str

        Raises
        ------
        InputError
            If shapes do not agree, or ids are not unique.

        Examples
        --------
        >>> widget = af.EmbeddingWidget.from_arrays(embedding.coordinates, embedding.labels, embedding.object_ids)  # doctest: +SKIP
        """
        given = read_arrays(xy, columns, ids)
        if samples is not None:
            if len(samples) != given.n or (given.ids is not None and not np.array_equal(given.ids, samples.object_ids)):
                raise InputError(f"xy has {given.n} rows and samples {len(samples)} objects; they must be the same samples in the same order.")
            given = replace(given, ids=samples.object_ids)
        return cls(None, samples, selection, arrays=given, title=title, **traits)

    # ---- what is shown -------------------------------------------------------------------------------------------

    def _needed(self) -> tuple["Run", "SampleSet"]:
        """The run and its samples, where the map was made of them."""
        if self.arrays is not None:
            raise InputError("this map was made of arrays, without a run; give coordinates of another method as another space of from_arrays.")
        if self.run is None or self.samples is None:
            raise InputError("EmbeddingWidget needs a run and samples. For coordinates without a run: af.EmbeddingWidget.from_arrays(xy).")
        return self.run, self.samples

    def _from_run(self) -> dict[str, Any]:
        run, samples = self._needed()
        run.preparation.check(samples)  # here, where it can be mended, and not in a job a moment later
        return {
            "columns": heads_of_set(self.shelf, samples), "colour": run.target if run.target in samples.roles else "",
            "title": f"{run.recipe.name}, {run.target}", "methods": methods_here(), "kept": _kept(run),
        }  # fmt: skip

    def _from_arrays(self, given: Arrays) -> dict[str, Any]:
        heads = heads_of_arrays(self.shelf, given) if given.columns or self.samples is None else heads_of_set(self.shelf, self.samples)
        planes = [plane_payload(self.shelf, "given", space, plane) for space, plane in given.planes.items()]
        colour = next((head["name"] for head in heads if head["role"] == "target"), "")
        return {"columns": heads, "colour": colour, "maps": {"given": planes}, "method": "given", "space": planes[0]["space"], "notes": given.notes}

    def show_epochs(self, frames: Iterable[Any]) -> None:
        """Show how the map came about: a slider over the epochs of training.

        Parameters
        ----------
        frames : sequence of (int, Embedding), or of dict
            As `astrofuse_lab.explain.embed_epochs` gives them; or each with ``epoch`` (int), ``space`` (str) and ``xy`` (array, (n, 2)), in order of
            time and in one frame of reference for each space.

        Raises
        ------
        InputError
            For a frame of another number of samples.
        """
        made = []
        flat = [one for frame in frames for one in ([frame] if isinstance(frame, Mapping) else _frames_of(*frame))]
        for k, frame in enumerate(flat):
            xy = np.asarray(frame["xy"], dtype=np.float32)
            if xy.shape != (len(self._ids), 2):
                raise InputError(f"the frame of epoch {frame['epoch']} has shape {xy.shape}; ({len(self._ids)}, 2) is needed.")
            made.append({"epoch": int(frame["epoch"]), **plane_payload(self.shelf, f"epoch.{k}", str(frame["space"]), xy)})
        self._update(epochs=made, epoch=-1)

    def show_training(self) -> None:
        """Compute where the samples lay after each epoch whose weights the run kept (``af.train(..., out=folder, keep_epochs=True)``), and show the slider."""
        from astrofuse_lab.explain import embed_epochs

        run, samples = self._needed()
        self._update(status="Looking back at the training", progress=0.0)
        self.show_epochs(embed_epochs(run, samples, seed=self.seed, stop=self._halt, on_progress=self._space_done))
        self._update(status="", method="pca", epoch=0 if self.epochs else -1)

    def _write_code(self, _change: Any = None) -> None:
        if self.arrays is None:
            line = f"embedding = af.explain.embed(run, samples, method={self.method!r}{f', seed={self.seed}' if self.seed else ''})\nembedding.coordinates[{self.space!r}]"
        else:
            line = "widget = af.EmbeddingWidget.from_arrays(xy, columns, ids)"
        chosen = self.selection.chosen
        if self.selected.strip(b"\0") and len(chosen):
            first, more = ", ".join(map(repr, chosen.first(4))), ", ..." if len(chosen) > 4 else ""
            line += f"\nselected = samples.select([{first}{more}])" if self.samples is not None else f"\nselected = widget.selection.ids  # {first}{more}"
        self._update(code=line)

    def _report(self, name: str, value: Any) -> None:
        super()._report(name, value)
        self._write_code()

    # ---- jobs ----------------------------------------------------------------------------------------------------

    def _first_look(self, umap: bool) -> None:
        self._update(status="Asking the model for its vectors")
        self._add("pca")
        extra = prediction_columns(*self._needed())
        self._update(columns=[*self.columns, *extra], status="")
        if umap and not self._halt.is_set():
            self.compute("umap")

    def compute(self, method: str) -> None:
        """Make a map of every space by another method (in a process that ends) and show it; Stop keeps what is shown."""
        title = next((name for key, name in methods_here() if key == method), method)
        self._update(status=f"{title} is being computed; PCA is shown", progress=0.0)
        self._add(method, title)

    def _add(self, method: str, title: str = "PCA") -> None:
        from astrofuse_lab.explain import embed

        run, samples = self._needed()
        held = next(iter(self.embeddings.values()), None)  # the model is asked once
        how: dict[str, Any] = {"seed": self.seed, "stop": self._halt, "on_progress": self._space_done}
        made = embed(run, samples, method, **how) if held is None else held.mapped(method, **how)
        if made.method != method:  # stopped, or too few samples: PCA is what came back, and is shown already
            why = f"{title} was stopped" if self._halt.is_set() else f"{title} could not be computed"
            self._update(status=f"{why}; PCA is shown", notes=[*made.notes])
            return
        self.embeddings[method] = made
        self._update(maps={**self.maps, method: map_payload(self.shelf, made)}, method=method, notes=[*made.notes], status="", progress=1.0)

    def _space_done(self, now: Mapping[str, Any]) -> None:
        self._update(progress=now["done"] / max(now["total"], 1), status=f"{self.status.split(':')[0]}: {now['space']} done")

    def _embedding(self, method: str, space: str) -> "Embedding":
        found = self.embeddings.get(method)
        if found is None or space not in found.spaces:
            raise InputError(f"there is no map of {space!r} by {method!r} yet; there are {', '.join(self.embeddings) or 'none'}.")
        return found

    def find_groups(self, space: str = "") -> None:
        """Find clusters, and how strange each sample is, in the space shown; both become columns, and the map is coloured by the clusters."""
        where = space or self.space
        self._update(status=f"Finding clusters and anomalies in {where}")
        found = group_columns(self.shelf, self._embedding(self.method if self.method in self.embeddings else "pca", where), where)
        names = {column["name"] for column in found}
        self._update(columns=[*(c for c in self.columns if c["name"] not in names), *found], colour=found[0]["name"], status="")

    def check_stability(self, method: str = "", space: str = "") -> None:
        """Make the map shown with other seeds too, and say on a badge how much of it stays."""
        method, space = method or self.method, space or self.space
        self._update(status="Making the map with other seeds")
        badges = badges_of(self._embedding(method, space), space, SEEDS, self._halt)
        planes = [{**p, "badges": badges} if p["space"] == space else p for p in self.maps[method]]
        self._update(maps={**self.maps, method: planes}, status="")

    # ---- answers -------------------------------------------------------------------------------------------------

    def _lane(self, key: str) -> Worker:
        # a thumbnail must not wait for megabytes of coordinates, nor a selection for a thumbnail
        return self._drawer if key.startswith(("thumb/", "sample/")) else self._quick

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>``: one sample with all its modalities; ``thumb/<position>``: drawn small; ``part/<array>/<number>``: bytes of a large array."""
        kind, _, rest = key.partition("/")
        if kind == "part":
            return self.shelf.part(key)
        if self.samples is None:
            raise InputError("this map was made of arrays, without samples. Give from_arrays samples= to see them.")
        if kind == "thumb":
            if not rest.isdigit() or int(rest) >= len(self.samples):
                raise InputError(f"no sample for {key!r}; positions are 0 to {len(self.samples) - 1}.")
            return thumbnail(self.samples, int(rest))
        return sample_answer(self.samples, key)

    def page_keys(self, position: int) -> tuple[str, ...]:
        """The answers that a page without a kernel stores of one sample: what shows under the pointer."""
        return (f"thumb/{position}",) if self.samples is not None else ()

    def page_state(self) -> dict[str, Any]:
        """Traits of a page without a kernel: with all arrays in them."""
        return {name: self.shelf.whole(getattr(self, name)) for name in ("columns", "maps", "epochs")}

    def wait(self, timeout: float = 600.0) -> bool:
        """As `Base.wait`; thumbnails too."""
        return super().wait(timeout) and self._drawer.drain(timeout)

    def close(self) -> None:
        """As `Base.close`."""
        if hasattr(self, "_drawer"):
            self._drawer.close()
        super().close()

    def __repr__(self) -> str:
        done: Sequence[str] = list(self.embeddings) or list(self.maps)
        return f"EmbeddingWidget({len(self._ids)} samples, {', '.join(done) or 'nothing computed yet'}, {int(np.unpackbits(np.frombuffer(self.selected, np.uint8)).sum())} selected)"
