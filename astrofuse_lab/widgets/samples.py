"""Look at single samples: a table to page and filter, and all modalities of the one in focus side by side."""

from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.base import Base, Selection, Worker
from astrofuse_lab.widgets.quality import quality_payload
from astrofuse_lab.widgets.raw_products import raw_payload
from astrofuse_lab.widgets.wire import array, columns_payload, coverage_payload, sample_payload

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet


SUGGESTED = 9
"""Classes of the first target offered as labels, one a key."""


def sample_answer(samples: "SampleSet", key: str) -> dict[str, Any]:
    """The answer to ``sample/<position>``."""
    kind, _, position = key.partition("/")
    if kind != "sample" or not position.isdigit() or int(position) >= len(samples):
        raise InputError(f"no sample for {key!r}; positions are 0 to {len(samples) - 1}.")
    return sample_payload(samples, int(position))


def annotations_payload(samples: "SampleSet") -> dict[str, Any]:
    """The answer to ``annotations/all``: positions of the objects that have any, codes of their labels (-1 none), notes, and where it is kept."""
    kept = samples.annotations
    there = set(kept)
    positions = [i for i, object_id in enumerate(samples.object_ids.tolist()) if object_id in there] if there else []
    said, labels = [kept.get(str(samples.object_ids[i])) for i in positions], list(kept.labels)
    place = {label: code for code, label in enumerate(labels)}
    targets = [samples.column(name) for name, role in samples.roles.items() if role == "target"]
    words: Any = next((c.compressed() for c in targets if c.dtype.kind in "US"), [])
    return {
        "positions": array(positions, "int32"), "codes": array([place.get(one.label, -1) for one in said], "int32"), "notes": [one.note for one in said],
        "labels": labels, "classes": np.unique(words).tolist()[:SUGGESTED], "where": str(kept.path or ""),
    }  # fmt: skip


class SamplesWidget(Base):
    """Page through the samples of a set; each modality is drawn with its physical axes, missing ones as labelled empty slots.

    Parameters
    ----------
    samples : SampleSet
    selection : Selection, optional
        Shared with other widgets to link them.

    Attributes
    ----------
    samples : SampleSet
    selected_samples : SampleSet
        The part that is selected.
    """

    view = "samples"
    verbs = {"annotate": "annotate"}
    annotated: Any = t.Dict().tag(sync=True)
    """The last change of labels and notes: ``revision`` counts them; one object's ``position``, ``label`` and ``note``, else the view asks for all."""
    columns: Any = t.List().tag(sync=True)
    coverage: Any = t.List().tag(sync=True)
    title = t.Unicode("").tag(sync=True)

    def __init__(self, samples: "SampleSet", selection: Selection | None = None, **traits: Any) -> None:
        self.samples = samples
        given = {"columns": columns_payload(samples), "coverage": coverage_payload(samples), "title": samples.card.title or samples.card.name}
        super().__init__(samples.object_ids, selection, simulated=samples.simulated, **{**given, **traits})
        samples.annotations.watch(self._said)
        self.observe(self._write_code, ["focus", "selected"])
        self._write_code()
        self._begin()

    def page_keys(self, position: int) -> tuple[str, ...]:
        """The answers that a page without a kernel stores of one sample."""
        return (f"sample/{position}",)

    def _lane(self, key: str) -> Worker:
        """Quality takes its time, and paging goes on meanwhile."""
        return self._jobs if key == "quality/all" else self._quick

    def _write_code(self, _change: Any = None) -> None:
        if 0 <= self.focus < len(self._ids):
            self._update(code=f"samples[{str(self._ids[self.focus])!r}]")
        else:
            self._update(code="af.SamplesWidget(samples)")

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>``: one sample with all its modalities; ``raw/<position>``: what archives sent for it; ``annotations/all``: labels and notes; ``quality/all``: what is wrong with the set."""
        kind, _, position = key.partition("/")
        if key == "annotations/all":
            return annotations_payload(self.samples)
        if key == "quality/all":
            return quality_payload(self.samples)
        if kind == "raw" and position.isdigit() and int(position) < len(self.samples):
            return raw_payload(self.samples, int(position))
        return sample_answer(self.samples, key)

    # ---- what a person says of them ------------------------------------------------------------------------------

    def annotate(self, positions: list[int], label: str | None = None, note: str | None = None) -> None:
        """Label samples, or write a note on them; kept with the set as by `SampleSet.annotate`."""
        if not all(isinstance(i, int) and 0 <= i < len(self._ids) for i in positions):
            raise InputError(f"no samples at {positions!r}; positions are 0 to {len(self._ids) - 1}.")
        self.samples.annotations.set([str(self._ids[i]) for i in positions], label, note)

    def _said(self, ids: list[str]) -> None:
        """Tell the view what was said, here or in a cell."""
        known = [i for i in ids if i in self._place]
        if not known:
            return
        one = self.samples.annotations.get(known[0]) if len(known) == 1 else None
        with self._lock:
            change = {"position": self._place[known[0]], "label": one.label, "note": one.note} if one is not None else {}
            self._update(annotated={"revision": self.annotated.get("revision", 0) + 1, **change})

    def close(self) -> None:
        """As `Base.close`; changes of labels are heard no more."""
        if not self._ended:
            self.samples.annotations.unwatch(self._said)
        super().close()

    def __repr__(self) -> str:
        return f"SamplesWidget({len(self._ids)} samples{f', {self._ids[self.focus]} in focus' if 0 <= self.focus < len(self._ids) else ''})"
