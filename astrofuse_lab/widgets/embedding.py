"""The map of a model's spaces: lasso, colour, page; PCA at once, UMAP when it is ready."""

from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from astrofuse_lab.widgets.base import Base, Selection
from astrofuse_lab.widgets.predictions import prediction_columns
from astrofuse_lab.widgets.samples import sample_answer
from astrofuse_lab.widgets.wire import array, columns_payload, plain

if TYPE_CHECKING:
    from astrofuse_lab.explain.embedding import Embedding
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run


def map_payload(embedding: "Embedding") -> list[dict[str, Any]]:
    """The planes of an embedding: space, coordinates (NaN where the modality is missing), trustworthiness and its sample size."""
    out = []
    for space in embedding.spaces:
        out.append({
            "space": space, "xy": array(embedding.coordinates[space]), "n": int(embedding.present[space].sum()),
            "trust": plain(embedding.trustworthiness(space)), "k": int(embedding.k),
        })  # fmt: skip
    return out


class EmbeddingWidget(Base):
    """Scatter plot of the fused space and of each modality's own, linked by selection.

    Parameters
    ----------
    run : Run
    samples : SampleSet
    selection : Selection, optional
    umap : bool
        Compute UMAP in the background (about 420 MB in a child process while it runs); False: PCA only, until asked for.
    seed : int

    Attributes
    ----------
    embeddings : dict of method to Embedding
        What has been computed so far.
    selected_samples : SampleSet
    """

    view = "embedding"
    verbs = {"umap": "compute_umap"}
    columns: Any = t.List().tag(sync=True)
    maps = t.Dict().tag(sync=True)
    method = t.Unicode("pca").tag(sync=True)
    space = t.Unicode("fused").tag(sync=True)
    colour = t.Unicode("").tag(sync=True)
    title = t.Unicode("").tag(sync=True)
    notes: Any = t.List().tag(sync=True)

    def __init__(self, run: "Run", samples: "SampleSet", selection: Selection | None = None, umap: bool = True, seed: int = 0, **traits: Any) -> None:
        run.preparation.check(samples)  # here, where it can be mended, and not in a job a moment later
        self.run, self.samples, self.seed = run, samples, seed
        self.embeddings: dict[str, Embedding] = {}
        given = {
            "columns": columns_payload(samples), "colour": run.target if run.target in samples.roles else "",
            "title": f"{run.recipe.name}, {run.target}", "simulated": samples.simulated,
        }  # fmt: skip
        super().__init__(samples.object_ids, selection, **{**given, **traits})
        self.observe(self._write_code, ["method", "space", "selected"])
        self._write_code()
        if len(samples):
            self._jobs.submit(self._job, self._first_look, {"umap": umap})

    @property
    def selected_samples(self) -> "SampleSet":
        """The selected samples, as a set of their own."""
        return self.samples.select(i for i in self.selection.ids if i in self._place)

    def _write_code(self, _change: Any = None) -> None:
        line = f"embedding = af.explain.embed(run, samples, method={self.method!r}{f', seed={self.seed}' if self.seed else ''})\nembedding.coordinates[{self.space!r}]"
        chosen = [str(i) for i in self.selection.ids][:4]
        if self.selected.strip(b"\0") and chosen:
            more = ", ..." if len(self.selection.ids) > 4 else ""
            line += f"\nselected = samples.select([{', '.join(map(repr, chosen))}{more}])"
        self._update(code=line)

    def _report(self, name: str, value: Any) -> None:
        super()._report(name, value)
        self._write_code()

    # ---- jobs ----------------------------------------------------------------------------------------------------

    def _first_look(self, umap: bool) -> None:
        self._update(status="Asking the model for its vectors")
        self._add("pca")
        extra = prediction_columns(self.run, self.samples)
        self._update(columns=[*self.columns, *extra], status="")
        if umap and not self._halt.is_set():
            self.compute_umap()

    def compute_umap(self) -> None:
        """Compute UMAP of every space (in a process that ends) and show it; Stop keeps what is shown."""
        self._update(status="UMAP is being computed; PCA is shown", progress=0.0)
        self._add("umap")

    def _add(self, method: str) -> None:
        from astrofuse_lab.explain import embed

        made = embed(self.run, self.samples, method, seed=self.seed, stop=self._halt, on_progress=self._space_done)
        if made.method != method:  # stopped, or too few samples: PCA is what came back, and is shown already
            stopped = "UMAP was stopped" if self._halt.is_set() else "UMAP could not be computed"
            self._update(status=f"{stopped}; PCA is shown", notes=[*made.notes])
            return
        self.embeddings[method] = made
        self._update(maps={**self.maps, method: map_payload(made)}, method=method, notes=[*made.notes], status="", progress=1.0)

    def _space_done(self, now: dict[str, Any]) -> None:
        self._update(progress=now["done"] / max(now["total"], 1), status=f"{self.status.split(':')[0]}: {now['space']} done")

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>``: one sample with all its modalities."""
        return sample_answer(self.samples, key)

    def __repr__(self) -> str:
        done = ", ".join(self.embeddings) or "nothing computed yet"
        return f"EmbeddingWidget({len(self._ids)} samples, {done}, {int(np.unpackbits(np.frombuffer(self.selected, np.uint8)).sum())} selected)"
