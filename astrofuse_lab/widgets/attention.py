"""Which kind of data looked at which: a run's own attention weights between modalities, and where on each input they fell."""

from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.base import Base, Selection, Worker
from astrofuse_lab.widgets.places import lengths, on_places
from astrofuse_lab.widgets.predictions import prediction_card, prediction_columns
from astrofuse_lab.widgets.samples import sample_answer
from astrofuse_lab.widgets.wire import array, columns_payload, coverage_payload

if TYPE_CHECKING:
    from astrofuse_lab.explain.attention_maps import Attention
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

CLASS = "class token"
ALL = "mean"


def choices(attention: "Attention") -> list[tuple[str, str, "Attention"]]:
    """(layer, head, attention) of every choice the view offers: the mean of all first, then each layer, then its heads."""
    out = [(ALL, ALL, attention)]
    for layer, heads in attention.heads.items():
        out.append((layer, ALL, attention.only(layer)))
        out += [(layer, str(head), attention.only(layer, head)) for head in range(heads)]
    return out


def shares(attention: "Attention") -> NDArray[np.float32]:
    """Who looked at what in one sample, (1 + modality, modality): first the class token, NaN rows for what is missing."""
    between = np.where(attention.present[0][:, None], attention.between[0], np.nan)
    return np.concatenate([attention.from_class[:1], between]).astype(np.float32)


class AttentionWidget(Base):
    """Attention between the modalities of one sample, and on its inputs.

    Parameters
    ----------
    run : Run
        Recipes without attention get a view that says so and names recipes that have it.
    samples : SampleSet
    selection : Selection, optional
    """

    view = "attention"
    columns: Any = t.List().tag(sync=True)
    coverage: Any = t.List().tag(sync=True)
    available = t.Bool(True).tag(sync=True)
    reason = t.Unicode("").tag(sync=True)
    layer = t.Unicode(ALL).tag(sync=True)
    head = t.Unicode(ALL).tag(sync=True)
    title = t.Unicode("").tag(sync=True)

    def __init__(self, run: "Run", samples: "SampleSet", selection: Selection | None = None, **traits: Any) -> None:
        from astrofuse_lab.explain.attention_maps import why_none

        run.preparation.check(samples)  # here, where it can be mended, and not in a job a moment later
        self.run, self.samples = run, samples
        reason = why_none(run)
        given = {
            "columns": columns_payload(samples), "coverage": coverage_payload(samples), "available": not reason, "reason": reason,
            "title": f"{run.recipe.name}, {run.target}", "simulated": samples.simulated,
        }  # fmt: skip
        super().__init__(samples.object_ids, selection, **{**given, **traits})
        self.observe(self._write_code, ["focus", "layer", "head"])
        self._write_code()
        self._begin()
        self._quick.submit(self._add_predictions)

    def _add_predictions(self) -> None:
        if len(self.samples):
            self._update(columns=[*self.columns, *prediction_columns(self.run, self.samples)])

    def _write_code(self, _change: Any = None) -> None:
        which = f"samples.select([{str(self._ids[self.focus])!r}])" if 0 <= self.focus < len(self._ids) else "samples"
        look = "attention.between" if self.layer == ALL else f"attention.maps[{self.layer!r}][0{'' if self.head == ALL else f', {self.head}'}]"
        self._update(code=f"attention = af.explain.attention(run, {which})\n{look}")

    def _lane(self, key: str) -> Worker:
        return self._jobs if key.startswith("attention/") else self._quick

    def page_keys(self, position: int) -> tuple[str, ...]:
        """The answers that a page without a kernel stores of one sample."""
        return (f"sample/{position}", f"attention/{position}")

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>`` or ``attention/<position>``."""
        kind, _, position = key.partition("/")
        if kind != "attention":
            return sample_answer(self.samples, key)
        if not position.isdigit() or int(position) >= len(self.samples):
            raise InputError(f"no sample at position {position!r}; positions are 0 to {len(self.samples) - 1}.")
        return self._look(int(position))

    def _look(self, position: int) -> dict[str, Any]:
        from astrofuse_lab.explain import attention
        from astrofuse_lab.explain.adapter import streams_of

        one = self.samples.take([position])
        found = attention(self.run, one, keep_maps=True)
        kinds = streams_of(self.run)
        long = lengths(self.samples, position, self.run.preparation)
        chosen = choices(found)
        places: dict[str, list[NDArray[np.float32]]] = {name: [] for name in found.modalities}
        for _, _, alone in chosen:
            for name in found.modalities:
                places[name].append(on_places(alone.on_input(name)[0], kinds[name], long.get(name, 0)))
        return {
            "modalities": list(found.modalities), "kinds": [kinds[m] for m in found.modalities], "present": [bool(v) for v in found.present[0]],
            "choices": [[layer, head] for layer, head, _ in chosen], "between": array([shares(alone) for _, _, alone in chosen]),
            "rows": [CLASS, *found.modalities], "places": {name: array(np.stack(rows)) for name, rows in places.items()},
            "prediction": prediction_card(self.run, one),
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"AttentionWidget({len(self._ids)} samples{'' if self.available else ', recipe without attention'})"
