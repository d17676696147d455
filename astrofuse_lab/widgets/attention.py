"""Which kind of data looked at which: a run's own attention weights between modalities, and where on each input they fell."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.attribution import lengths, on_places
from astrofuse_lab.widgets.base import Base, Selection, Worker
from astrofuse_lab.widgets.predictions import prediction_card, prediction_columns
from astrofuse_lab.widgets.samples import sample_answer
from astrofuse_lab.widgets.wire import array, columns_payload, coverage_payload

if TYPE_CHECKING:
    from astrofuse_lab.explain.attention_maps import Attention
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

CLASS = "class token"
ALL = "mean"


def between(weights: NDArray[Any], attention: "Attention") -> NDArray[np.float32]:
    """One head's weights, (query, key), as modality to modality.

    Returns
    -------
    float32 array, (1 + modality, modality)
        First row the class token, which the head reads; each the mean over real tokens of what they give to each modality,
        the share of the class token left out, so that rows sum to one. NaN rows for missing modalities.
    """
    real = [attention.token_masks[m][0] for m in attention.modalities]
    out = np.full((1 + len(real), len(real)), np.nan, dtype=np.float32)
    queries = [weights[:1], *(weights[attention.order[m]][mask] for m, mask in zip(attention.modalities, real, strict=True))]
    for i, rows in enumerate(queries):
        if len(rows):
            share = np.array([rows[:, attention.order[m]].sum(1).mean() for m in attention.modalities])
            out[i] = share / max(float(share.sum()), 1e-12)
    return out


def combinations(attention: "Attention") -> list[tuple[str, str, NDArray[Any]]]:
    """(layer, head, weights) of every choice the view offers: means first, then each head of each layer."""
    layers = {name: one[0] for name, one in attention.maps.items() if name.startswith("fusion.")}
    out = [(ALL, ALL, np.mean([one.mean(0) for one in layers.values()], axis=0))]
    for name, one in layers.items():
        out.append((name, ALL, one.mean(0)))
        out += [(name, str(head), one[head]) for head in range(len(one))]
    return out


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
        self.run, self.samples = run, samples
        attends = bool(run.model.attends)
        given = {
            "columns": columns_payload(samples), "coverage": coverage_payload(samples), "available": attends, "reason": "" if attends else _why_not(run),
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

        one = self.samples.take([position])
        found = attention(self.run, one, keep_maps=True)
        kinds = {name: self.run.preparation.scalings[name].kind for name in found.modalities}
        long = lengths(self.samples, position)
        chosen = combinations(found)
        places: dict[str, list[NDArray[np.float32]]] = {name: [] for name in found.modalities}
        for _, _, weights in chosen:
            # the same maps, as if this head were all there is
            alone = replace(found, _received=np.asarray(weights[None, 0], dtype=np.float32))
            for name in found.modalities:
                places[name].append(on_places(alone.on_input(name)[0], kinds[name], long.get(name, 0)))
        return {
            "modalities": list(found.modalities), "kinds": [kinds[m] for m in found.modalities], "present": [bool(v) for v in found.present[0]],
            "choices": [[layer, head] for layer, head, _ in chosen], "between": array([between(weights, found) for _, _, weights in chosen]),
            "rows": [CLASS, *found.modalities], "places": {name: array(np.stack(rows)) for name, rows in places.items()},
            "prediction": prediction_card(self.run, one),
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"AttentionWidget({len(self._ids)} samples{'' if self.available else ', recipe without attention'})"


def _why_not(run: "Run") -> str:
    """Why there is nothing to see, in the words of `explain.attention` itself."""
    from astrofuse_lab.explain.attention_maps import _attending

    names = _attending()
    return f"The recipe {run.recipe.name!r} fuses without attention, so there are no weights to show. Train one that has them: {', '.join(names)}."
