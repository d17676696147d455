"""Which kind of data looked at which: a run's own attention weights between modalities, layer by layer, and where on each input they fell."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets as t
from numpy.typing import NDArray

from astrofuse_lab.training.members import runs_of
from astrofuse_lab.widgets.base import Selection
from astrofuse_lab.widgets.explaining import PREDICTED, Explainer, named_runs
from astrofuse_lab.widgets.places import lengths, on_places
from astrofuse_lab.widgets.predictions import prediction_card
from astrofuse_lab.widgets.wire import array, plain

if TYPE_CHECKING:
    from astrofuse_lab.explain.attention_maps import Attention
    from astrofuse_lab.samples.sample_set import SampleSet

CLASS = "class token"
ALL = "mean"
COMBINE = ("mean", "rollout", "gradient")
MOST_OWN = 4_000_000
"""Bytes of encoders' maps that are sent head by head; beyond it, layer by layer."""


def choices(attention: "Attention") -> list[tuple[str, str, "Attention"]]:
    """(layer, head, attention) of every choice the view offers: all layers together first, then each layer, then its heads.

    A rollout is a path through all layers: it has no layers to choose from.
    """
    out = [(ALL, ALL, attention)]
    for layer, heads in {} if attention.combine == "rollout" else attention.heads.items():  # type: ignore[attr-defined]
        out.append((layer, ALL, attention.only(layer)))
        out += [(layer, str(head), attention.only(layer, head)) for head in range(heads)]
    return out


def shares(attention: "Attention") -> NDArray[np.float32]:
    """Who looked at what in one sample, (1 + modality, modality): first the class token, NaN rows for what is missing."""
    between = np.where(attention.present[0][:, None], attention.between[0], np.nan)
    return np.concatenate([attention.from_class[:1], between]).astype(np.float32)


class AttentionWidget(Explainer):
    """Attention between the modalities of one sample, and on its inputs.

    Parameters
    ----------
    run : Run, Ensemble, or several of them in a list or a dictionary
        Each member of an ensemble is one to choose. Recipes without attention get a view that says so and names recipes that have it.
    samples : SampleSet
    selection : Selection, optional
    """

    view = "attention"
    slow: ClassVar[tuple[str, ...]] = ("attention",)

    available = t.Bool(True).tag(sync=True)
    reason = t.Unicode("").tag(sync=True)
    model = t.Int(0).tag(sync=True)
    combine = t.Enum(COMBINE, COMBINE[0]).tag(sync=True)
    explained = t.Unicode(PREDICTED).tag(sync=True)
    layer = t.Unicode(ALL).tag(sync=True)
    head = t.Unicode(ALL).tag(sync=True)

    def __init__(self, run: Any, samples: "SampleSet", selection: Selection | None = None, **traits: Any) -> None:
        apart = {f"{name}{f', member {i + 1}' if len(runs_of(one)) > 1 else ''}": each for name, one in named_runs(run).items() for i, each in enumerate(runs_of(one))}
        super().__init__(apart, samples, selection, **traits)
        self._look_up()
        self.observe(self._look_up, "model")
        self.observe(self._write_code, ["focus", "layer", "head", "combine", "explained", "model"])
        self._write_code()

    def _look_up(self, _change: Any = None) -> None:
        from astrofuse_lab.explain.attention_maps import why_none

        reason = why_none(runs_of(self._source(str(self.model)))[0])
        self._update(available=not reason, reason=reason)

    def _write_code(self, _change: Any = None) -> None:
        if self.layer == ALL:
            look = "attention.between, attention.flow(0)"
        elif self.layer.startswith("fusion."):
            look = f"attention.maps[{self.layer!r}][0{'' if self.head == ALL else f', {self.head}'}]"
        else:
            look = f"attention.on_input({self.layer.rpartition('.')[0]!r}, {self.layer!r}{'' if self.head == ALL else f', {self.head}'})"
        options = ("" if self.combine == "mean" else f", combine={self.combine!r}") + (f", target={self.explained!r}" if self.combine == "gradient" and self.explained != PREDICTED else "")
        own = "" if self.layer == ALL or self.layer.startswith("fusion.") else ", encoders=True"
        self._update(code=f"attention = af.explain.attention({self._named(self.model)}, {self._which()}{options}{own})\n{look}")

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>`` or ``attention/<position>/<run>/<class, - for the predicted one>/<how layers are combined>``."""
        kind, *rest = key.split("/")
        if kind != "attention":
            return super().answer(key)
        position, number, target, combine = [*rest, "0", PREDICTED, COMBINE[0]][:4] if len(rest) == 1 else [*rest, "", "", ""][:4]
        return self._look(self._one(position), int(position), number, target, combine)

    def _look(self, one: "SampleSet", position: int, number: str, target: str, combine: str) -> dict[str, Any]:
        from astrofuse_lab.explain import attention
        from astrofuse_lab.explain.adapter import streams_of

        run = runs_of(self._source(number))[0]
        goal = self._goal(run, target) if combine == "gradient" else None
        found = attention(run, one, combine=combine, keep_maps=True, encoders=True, target=goal)
        kinds = streams_of(run)
        long = lengths(self.shown, position, run.preparation)
        chosen = choices(found)
        places = {name: np.stack([on_places(alone.on_input(name)[0], kinds[name], long.get(name, 0)) for _, _, alone in chosen]) for name in found.modalities}
        ran = found.flow(0)
        return {
            "modalities": list(found.modalities), "kinds": [kinds[m] for m in found.modalities], "present": [bool(v) for v in found.present[0]], "combine": combine,
            "explained": str(found.target[0]) if found.target else "",
            "choices": [[layer, head] for layer, head, _ in chosen], "between": array([shares(alone) for _, _, alone in chosen]),
            "rows": [CLASS, *found.modalities], "places": {name: array(rows) for name, rows in places.items()}, "own": own_maps(found, kinds, long) if combine != "rollout" else [],
            "flow": [[int(r["layer"]), str(r["source"]), str(r["target"]), plain(float(r["weight"])), plain(float(r["reaching"]))] for r in ran],
            "prediction": prediction_card(run, one),
        }  # fmt: skip

    def page_keys(self, position: int) -> tuple[str, ...]:
        """The answers that a page without a kernel stores of one sample: the way to combine layers that is shown."""
        return (f"sample/{position}", f"attention/{position}/{self.model}/{PREDICTED}/{self.combine}")

    def __repr__(self) -> str:
        return f"AttentionWidget({len(self._ids)} samples{'' if self.available else ', recipe without attention'})"


def own_maps(found: "Attention", kinds: dict[str, str], long: dict[str, Any]) -> list[dict[str, Any]]:
    """Layers of encoders that have attention of their own, mapped on their input: mean of the heads first, then each head, where these are not too many."""
    out = []
    for layer, heads in found.encoder_heads.items():
        name = layer.rpartition(".")[0]
        if name not in kinds:
            continue
        mean = on_places(found.on_input(name, layer)[0], kinds[name], long.get(name, 0))
        few = heads if mean.nbytes * heads * len(found.encoder_heads) <= MOST_OWN else 0
        each = [on_places(found.on_input(name, layer, head)[0], kinds[name], long.get(name, 0)) for head in range(few)]
        out.append({"layer": layer, "modality": name, "heads": few, "values": array(np.stack([mean, *each]))})
    return out
