"""Look at single samples: a table to page and filter, and all modalities of the one in focus side by side."""

from typing import TYPE_CHECKING, Any

import traitlets as t

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.base import Base, Selection
from astrofuse_lab.widgets.wire import columns_payload, coverage_payload, sample_payload

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet


def sample_answer(samples: "SampleSet", key: str) -> dict[str, Any]:
    """The answer to ``sample/<position>``."""
    kind, _, position = key.partition("/")
    if kind != "sample" or not position.isdigit() or int(position) >= len(samples):
        raise InputError(f"no sample for {key!r}; positions are 0 to {len(samples) - 1}.")
    return sample_payload(samples, int(position))


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
    columns: Any = t.List().tag(sync=True)
    coverage: Any = t.List().tag(sync=True)
    title = t.Unicode("").tag(sync=True)

    def __init__(self, samples: "SampleSet", selection: Selection | None = None, **traits: Any) -> None:
        self.samples = samples
        given = {"columns": columns_payload(samples), "coverage": coverage_payload(samples), "title": samples.card.title or samples.card.name}
        super().__init__(samples.object_ids, selection, simulated=samples.simulated, **{**given, **traits})
        self.observe(self._write_code, ["focus", "selected"])
        self._write_code()
        self._begin()

    @property
    def selected_samples(self) -> "SampleSet":
        """The selected samples, as a set of their own."""
        return self.samples.select(i for i in self.selection.ids if i in self._place)

    def _write_code(self, _change: Any = None) -> None:
        if 0 <= self.focus < len(self._ids):
            self._update(code=f"samples[{str(self._ids[self.focus])!r}]")
        else:
            self._update(code="af.SamplesWidget(samples)")

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>``: one sample with all its modalities."""
        return sample_answer(self.samples, key)

    def __repr__(self) -> str:
        return f"SamplesWidget({len(self._ids)} samples{f', {self._ids[self.focus]} in focus' if 0 <= self.focus < len(self._ids) else ''})"
