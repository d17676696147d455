"""Why this class: attributions on the image, spectrum, light curve, columns and words of one sample, and the worth of each modality."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.base import Base, Selection, Worker
from astrofuse_lab.widgets.predictions import prediction_card, prediction_columns
from astrofuse_lab.widgets.samples import sample_answer
from astrofuse_lab.widgets.wire import array, columns_payload, coverage_payload, plain

if TYPE_CHECKING:
    from astrofuse_lab.samples.preparation import Preparation
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

KEPT = 256
PREDICTED = "-"
METHODS = ("integrated_gradients", "saliency", "occlusion")
STEPS = 32
CONVERGED = 0.05
"""Relative convergence delta up to which the numbers are shown without a warning, as in `explain.attribution`."""


def on_places(values: NDArray[Any], kind: str, length: int | NDArray[np.int64]) -> NDArray[np.float32]:
    """Values on the places of a model's input, laid out as the view draws them.

    Models read the latest epochs of a light curve and the first words of a text; `length` is how many there are, or
    of texts shown as sentences the sentence of each word, which then has that sentence's value. What the model did not read is NaN.
    """
    flat = np.asarray(values, dtype=np.float32).reshape(-1)
    if not isinstance(length, int):
        return np.append(flat, np.float32(np.nan))[np.minimum(length, len(flat))]
    if kind == "text":
        return flat[:length]
    if kind != "light_curve":
        return flat
    count = min(length, len(flat))
    out = np.full(length, np.nan, dtype=np.float32)
    out[length - count :] = flat[:count]
    return out


def lengths(samples: "SampleSet", position: int, prepared: "Preparation") -> dict[str, int | NDArray[np.int64]]:
    """How many epochs and words one sample has, for `on_places`; of texts that the run reads as sentences, the sentence of each word."""
    from astrofuse_lab.alignment.sentences import sentences_of
    from astrofuse_lab.alignment.text import words

    out: dict[str, int | NDArray[np.int64]] = {}
    for name, spec in samples.modalities.items():
        if spec.kind == "light_curve":
            out[name] = int(samples.arrays(name, [position])["offsets"][-1])
        elif spec.kind == "text":
            text = samples.arrays(name, [position])["utf8"].tobytes().decode("utf-8", "replace")
            whole = name in prepared.scalings and prepared.scalings[name].options.get("treatment") == "sentence"
            parts = [len(words(one)) for one in sentences_of(text)] if whole else []
            out[name] = np.repeat(np.arange(len(parts)), parts) if whole else len(words(text))
    return out


class AttributionWidget(Base):
    """What one sample's prediction rests on.

    Parameters
    ----------
    run : Run
    samples : SampleSet
    selection : Selection, optional
        Paging goes through the selected samples, or all where none is selected.

    Attributes
    ----------
    attributions : dict
        ``(object id, class, method)`` -> Attribution, the latest `KEPT`.
    """

    view = "attribution"
    columns: Any = t.List().tag(sync=True)
    coverage: Any = t.List().tag(sync=True)
    classes: Any = t.List().tag(sync=True)
    explained = t.Unicode(PREDICTED).tag(sync=True)
    method = t.Enum(METHODS, METHODS[0]).tag(sync=True)
    methods: Any = t.List(list(METHODS)).tag(sync=True)
    title = t.Unicode("").tag(sync=True)

    def __init__(self, run: "Run", samples: "SampleSet", selection: Selection | None = None, **traits: Any) -> None:
        run.preparation.check(samples)  # here, where it can be mended, and not in a job a moment later
        self.run, self.samples = run, samples
        self.shown = run.preparation.represented(samples)  # as the model sees them: a light curve as its DMDT image, where the run says so
        self.attributions: OrderedDict[tuple[str, str, str], Any] = OrderedDict()
        given = {
            "columns": columns_payload(samples), "coverage": coverage_payload(self.shown), "classes": [str(c) for c in run.classes],
            "title": f"{run.recipe.name}, {run.target}", "simulated": samples.simulated,
        }  # fmt: skip
        super().__init__(samples.object_ids, selection, **{**given, **traits})
        self.observe(self._write_code, ["focus", "explained", "method"])
        self._write_code()
        self._begin()
        self._quick.submit(self._add_predictions)

    def _add_predictions(self) -> None:
        if len(self.samples):
            self._update(columns=[*self.columns, *prediction_columns(self.run, self.samples)])

    def _write_code(self, _change: Any = None) -> None:
        which = f"samples.select([{str(self._ids[self.focus])!r}])" if 0 <= self.focus < len(self._ids) else "samples"
        options = ("" if self.method == METHODS[0] else f", method={self.method!r}") + ("" if self.explained == PREDICTED else f", target={self.explained!r}")
        self._update(code=f"one = {which}\naf.explain.attribute(run, one{options})\naf.explain.contributions(run, one{'' if self.explained == PREDICTED else f', target={self.explained!r}'})")

    def _lane(self, key: str) -> Worker:
        return self._jobs if key.startswith("attribution/") else self._quick

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>``, or ``attribution/<position>/<method>/<class, - for the predicted one>``."""
        if not key.startswith("attribution/"):
            return sample_answer(self.shown, key)
        _, position, method, target = key.split("/", 3)
        if not position.isdigit() or int(position) >= len(self.samples):
            raise InputError(f"no sample at position {position!r}; positions are 0 to {len(self.samples) - 1}.")
        self._update(busy=True, progress=-1.0, status=f"Explaining {self._ids[int(position)]}")
        try:
            return self._explain(int(position), method, target)
        finally:
            self._update(busy=False, status="", stop=False)

    def _explain(self, position: int, method: str, target: str) -> dict[str, Any]:
        from astrofuse_lab.explain import contributions

        one = self.samples.take([position])
        goal = None if target == PREDICTED or self.run.task != "classification" else target
        found = self._attributed(one, method, target, goal)
        long = lengths(self.shown, position, self.run.preparation)
        values = {}
        for name in found.modalities:
            real = found.place_mask(name)[0]
            values[name] = array(on_places(np.where(real, found.per_place(name)[0], 0 if real.ndim > 1 else np.nan), found.kinds[name], long.get(name, 0)))
        worth = contributions(self.run, one, target=goal)
        relative = found.relative_delta
        return {
            "prediction": prediction_card(self.run, one), "explained": str(found.target[0]), "score_name": found.score_name, "score": plain(found.score[0]),
            "difference": plain(found.difference[0]), "values": values, "baselines": dict(found.baselines),
            "delta": None if found.convergence_delta is None else plain(found.convergence_delta[0]), "relative": None if relative is None else plain(relative[0]), "limit": CONVERGED,
            "worth": {"modalities": list(worth.modalities), "shapley": [plain(v) for v in worth.shapley[0]], "present": [bool(v) for v in worth.present[0]],
                      "base": plain(worth.base[0]), "score": plain(worth.score[0]), "score_name": worth.score_name,
                      "interactions": [[plain(v) for v in row] for row in worth.interactions[0]]},
        }  # fmt: skip

    def _attributed(self, one: "SampleSet", method: str, target: str, goal: str | None) -> Any:
        from astrofuse_lab.explain import attribute

        key = (str(one.object_ids[0]), target, method)
        if key not in self.attributions:
            self.attributions[key] = attribute(self.run, one, method, target=goal, steps=STEPS)
            while len(self.attributions) > KEPT:
                self.attributions.popitem(last=False)
        return self.attributions[key]

    def __repr__(self) -> str:
        return f"AttributionWidget({len(self._ids)} samples, {len(self.attributions)} explained)"
