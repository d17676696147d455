"""What each kind of data is worth, and what the model would say of other data: Shapley values, subsets, responses, swaps and edits."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets as t

from astrofuse_lab.errors import AstroFuseError, InputError
from astrofuse_lab.widgets.base import Selection
from astrofuse_lab.widgets.contribution_facts import change_payload, edits, response_payload, scalable, whole_payload, worth_payload
from astrofuse_lab.widgets.explaining import PREDICTED, Explainer
from astrofuse_lab.widgets.predictions import prediction_card

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

TABS = ("sample", "whole", "response", "change")
FEW = 4
"""Modalities whose response a page without a kernel stores."""
RESPONSE = f"response/{{}}/0/{PREDICTED}/{{}}"
SOON = 200_000
"""Samples times subsets that are worked out for a page where nobody has measured them."""


class ContributionWidget(Explainer):
    """What modalities are worth for one sample and for many, and what the model says when its input is changed.

    Parameters
    ----------
    run : Run, Ensemble, or several of them in a list or a dictionary
        Members of an ensemble give intervals.
    samples : SampleSet
    selection : Selection, optional

    Attributes
    ----------
    measured : Contributions or None
        Of all samples, or those selected, once *Measure* was pressed or `measure` called.
    """

    view = "contribution"
    slow: ClassVar[tuple[str, ...]] = ("worth", "response", "swap", "edit")
    verbs: ClassVar[dict[str, str]] = {"measure": "measure"}

    explained = t.Unicode(PREDICTED).tag(sync=True)
    model = t.Int(0).tag(sync=True)
    tab = t.Enum(TABS, TABS[0]).tag(sync=True)
    whole: Any = t.Dict().tag(sync=True)
    scaled: Any = t.List().tag(sync=True)
    edits: Any = t.List().tag(sync=True)

    def __init__(self, run: Any, samples: "SampleSet", selection: Selection | None = None, **traits: Any) -> None:
        self.measured: Any = None
        super().__init__(run, samples, selection, **traits)
        self._offer()
        self.observe(self._offer, "model")
        self.observe(self._write_code, ["focus", "explained", "model", "tab"])
        self._write_code()

    def _offer(self, _change: Any = None) -> None:
        """What can be scaled and edited depends on what the run is given."""
        source = self._source(str(self.model))
        self._update(scaled=scalable(source, self.samples), edits=edits(source, self.samples), whole={})

    def _write_code(self, _change: Any = None) -> None:
        run, goal = self._named(self.model), "" if self.explained == PREDICTED else f", target={self.explained!r}"
        one = f"one = {self._which()}"
        first = next((f", {k}={v!r}" for row in self.scaled for k, v in row["options"].items()), "")
        lines = {
            "sample": f"{one}\nworth = af.explain.contributions({run}, one{goal})\nworth.table()",
            "whole": f"worth = af.explain.contributions({run}, samples)\nworth.total, worth.subsets",
            "response": f"{one}\naf.explain.respond({run}, one{first}{goal}).table()",
            "change": f"{one}\naf.explain.edit({run}, one, af.Part.of('drop_modality', modality={self._source(str(self.model)).modalities[0]!r}){goal}).table()",
        }
        self._update(code=lines[self.tab])

    # ---- one sample ------------------------------------------------------------------------------------------------

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>``, ``worth/<position>/<run>/<class, - for the predicted one>``, ``response/<position>/<run>/<class>/<number in scaled>``,
        ``swap/<position>/<run>/<class>/<the other's position>/<modality>``, ``edit/<position>/<run>/<class>/<edits as JSON>``.
        """
        kind, *rest = key.split("/", 4)
        if kind not in self.slow:
            return super().answer(key)
        position, number, target, more = [*rest, "", "", "", ""][:4]
        one, source = self._one(position), self._source(number)
        goal = self._goal(source, target)
        with self._doing(f"{'Sharing the prediction of' if kind == 'worth' else 'Asking the model about a changed'} {self._ids[int(position)]}"):
            if kind == "worth":
                return self._worth(one, source, goal)
            if kind == "response":
                return self._response(one, source, goal, more)
            return self._swapped(one, source, goal, more) if kind == "swap" else self._edited(one, source, goal, more)

    def _worth(self, one: "SampleSet", source: Any, goal: Any) -> dict[str, Any]:
        from astrofuse_lab.explain import contributions

        return {"prediction": prediction_card(source, one), **worth_payload(contributions(source, one, target=goal, stop=self._turned))}

    def _response(self, one: "SampleSet", source: Any, goal: Any, number: str) -> dict[str, Any]:
        from astrofuse_lab.explain import respond

        what = scalable(source, self.samples)
        if not number.isdigit() or int(number) >= len(what):
            raise InputError(f"no input number {number!r} to scale; there are {len(what)}.")
        return response_payload(respond(source, one, **what[int(number)]["options"], target=goal, stop=self._turned))

    def _swapped(self, one: "SampleSet", source: Any, goal: Any, more: str) -> dict[str, Any]:
        from astrofuse_lab.explain import swap

        other, _, modality = more.partition("/")
        return change_payload(swap(source, one, modality, self._one(other), target=goal, stop=self._turned))

    def _edited(self, one: "SampleSet", source: Any, goal: Any, more: str) -> dict[str, Any]:
        from astrofuse_lab.explain import edit
        from astrofuse_lab.recipes.schema import Part

        return change_payload(edit(source, one, [Part.of(str(row["name"]), **row["options"]) for row in json.loads(more)], target=goal, stop=self._turned))

    # ---- many samples ----------------------------------------------------------------------------------------------

    def measure(self, scope: str = "all") -> None:
        """Work out the worth of each modality, and the metric of every subset, over ``all`` samples or those ``selected``."""
        from astrofuse_lab.explain import contributions

        chosen = self.samples
        if scope == "selected":
            known = [self._place[i] for i in self.selection.ids if i in self._place]
            chosen = self.samples.take(np.array(known, dtype=np.int64))
        if len(chosen) == 0:
            raise InputError("no samples to measure: select some, or measure all.")
        source = self._source(str(self.model))
        seen = int(np.isin(chosen.object_ids, [*source.split.train, *source.split.validation]).sum())
        with self._doing(f"Trying every subset of modalities on {len(chosen)} samples"):
            found = contributions(source, chosen, on_progress=self._told, stop=self._halt)
        self.measured = found
        self._update(whole=whole_payload(found, scope, seen))

    def _told(self, news: dict[str, Any]) -> None:
        self._update(progress=news["done"] / max(news["total"], 1))

    def page_always(self) -> tuple[str, ...]:
        """Nothing: a page cannot ask about changes."""
        return ()

    def page_state(self) -> dict[str, Any]:
        """With the worth over all samples, also where nobody has asked for it and it is soon worked out."""
        if not self.whole and 0 < len(self.samples) * 2 ** len(self._source(str(self.model)).modalities) <= SOON:
            self._halt.clear()
            self.measure()
        return {**super().page_state(), "whole": self.whole}

    def page_keys(self, position: int) -> tuple[str, ...]:
        """The answers that a page without a kernel stores of one sample: its worth, and the response to each modality."""
        return (f"sample/{position}", f"worth/{position}/0/{PREDICTED}", *(RESPONSE.format(position, i) for i in self._plain()))

    def _plain(self) -> list[int]:
        return [i for i, row in enumerate(self.scaled) if set(row["options"]) == {"modality"}][:FEW]

    def page_together(self, positions: Sequence[int]) -> dict[str, Any]:
        """The responses of these samples, in batches: one by one they were most of what a page took."""
        from astrofuse_lab.explain import respond

        source, some, out = self._source("0"), self.samples.take(np.array(positions, dtype=np.int64)), {}
        for number in self._plain():
            with suppress(AstroFuseError):  # asked for one by one, what has no answer is left out by itself
                found = respond(source, some, **scalable(source, self.samples)[number]["options"], stop=self._turned)
                out.update({RESPONSE.format(position, number): response_payload(found, k) for k, position in enumerate(positions)})
        return out
