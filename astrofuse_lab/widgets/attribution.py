"""Why this class: attributions on the image, spectrum, light curve, columns and words of one sample, beside those of other methods, classes and models."""

import importlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets as t

from astrofuse_lab.errors import InputError
from astrofuse_lab.training.members import runs_of
from astrofuse_lab.widgets.attribution_facts import CHECKED, PROBED, attribution_payload, check_rows, doubt_payload, likeness, method_rows, why_not
from astrofuse_lab.widgets.base import Selection, in_words
from astrofuse_lab.widgets.contribution_facts import worth_payload
from astrofuse_lab.widgets.explaining import PREDICTED, Explainer
from astrofuse_lab.widgets.places import lengths, on_places
from astrofuse_lab.widgets.predictions import prediction_card

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

__all__ = ["PREDICTED", "AttributionWidget", "on_places"]

KEPT = 256
CHOOSY = ("deep_lift", "lrp", "grad_cam")
"""Methods that apply to some architectures only, which shows when they are tried."""
BESIDE = 3
"""Maps at most beside the first."""


class AttributionWidget(Explainer):
    """What one sample's prediction rests on.

    Parameters
    ----------
    run : Run, Ensemble, or several of them in a list or a dictionary
        Maps of an ensemble are the mean over its members; where these do not agree they are faint and hatched.
    samples : SampleSet
    selection : Selection, optional
        Paging goes through the selected samples, or all where none is selected.

    Attributes
    ----------
    attributions : dict
        ``(object id, class, method)`` -> Attribution, the latest `KEPT`; of runs after the first, ``(object id, class, method, name of the run)``.
    compare : list of dict
        What stands beside the first map: each with any of ``method``, ``explained`` (a class, "-" for the predicted one) and ``model`` (number of a run).
    checks : dict of str to dict
        Verdicts by ``<run>/<method>``; of *Check this map*.
    """

    view = "attribution"
    slow: ClassVar[tuple[str, ...]] = ("attribution", "alike", "doubt")
    verbs: ClassVar[dict[str, str]] = {"check": "check", "probe": "probe"}

    explained = t.Unicode(PREDICTED).tag(sync=True)
    method = t.Unicode("integrated_gradients").tag(sync=True)
    methods: Any = t.List().tag(sync=True)
    model = t.Int(0).tag(sync=True)
    compare: Any = t.List().tag(sync=True)
    checks: Any = t.Dict().tag(sync=True)

    def __init__(self, run: Any, samples: "SampleSet", selection: Selection | None = None, **traits: Any) -> None:
        self.attributions: OrderedDict[tuple[str, ...], Any] = OrderedDict()
        self._worths: OrderedDict[tuple[str, ...], Any] = OrderedDict()
        super().__init__(run, samples, selection, **traits)
        self.methods = [method_rows(one, samples) for one in self.runs.values()]
        if "method" not in traits:  # the first that applies: decisions that count votes have no gradient
            self.method = next((row["name"] for row in self.methods[0] if not row["reason"]), self.method)
        self.observe(self._write_code, ["focus", "explained", "method", "model", "compare"])
        self._write_code()

    @t.validate("method")
    def _known_method(self, proposal: Any) -> str:
        from astrofuse_lab.errors import UnknownNameError
        from astrofuse_lab.explain.methods import METHODS

        if proposal["value"] not in METHODS:
            raise UnknownNameError("attribution method", proposal["value"], METHODS)
        return str(proposal["value"])

    @t.validate("compare")
    def _whole_panels(self, proposal: Any) -> list[dict[str, Any]]:
        own = {"model": self.model, "method": self.method, "explained": self.explained}
        return [{**own, **{k: v for k, v in one.items() if k in own}} for one in list(proposal["value"])[:BESIDE]]

    def _warm(self) -> None:
        for module in ("captum.attr", "astropy.table", "astrofuse_lab.explain.attribution", "astrofuse_lab.explain.coalitions"):
            importlib.import_module(module)

    def _write_code(self, _change: Any = None) -> None:
        lines = [f"one = {self._which()}"]
        for one in ({"model": self.model, "method": self.method, "explained": self.explained}, *self.compare):
            options = ("" if one["method"] == "integrated_gradients" else f", method={one['method']!r}") + self._target(one["explained"])
            lines.append(f"af.explain.attribute({self._named(one['model'])}, one{options})")
        lines.append(f"af.explain.contributions({self._named(self.model)}, one{self._target(self.explained)})")
        self._update(code="\n".join(lines))

    def _target(self, explained: str) -> str:
        return "" if explained == PREDICTED else f", target={explained!r}"

    # ---- answers ---------------------------------------------------------------------------------------------------

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>``, ``attribution/<position>/<run>/<class, - for the predicted one>/<method>``,
        ``alike/<position>/<run>/<class>/<method>/<run>/<class>/<method>``, ``doubt/<position>/<run>``.
        """
        kind, *rest = key.split("/")
        if kind not in self.slow:
            return super().answer(key)
        position, number, *more = [*rest, "", ""]
        one = self._one(position)
        if kind == "doubt":
            return self._doubt(one, number)
        if kind == "alike":
            first, second = self._attributed(one, *rest[1:4]), self._attributed(one, *rest[4:7])
            return {"modalities": likeness(first, second)}
        with self._doing(f"Explaining {self._ids[int(position)]}"):
            return self._explain(key, one, int(position), number, *more[:2])

    def _explain(self, key: str, one: "SampleSet", position: int, number: str, target: str, method: str) -> dict[str, Any]:
        from astrofuse_lab.explain.methods import METHODS

        source = self._source(number)
        long = lengths(self.shown, position, runs_of(source)[0].preparation)
        card = prediction_card(source, one)  # type: ignore[arg-type]  # an ensemble answers as a run does

        def told(found: Any) -> dict[str, Any]:
            return {"prediction": card, **attribution_payload(found, METHODS[method].signed, long)}

        found = self._attributed(one, number, target, method, lambda coarse: self._give_coarse(key, {**told(coarse), "worth": None}))
        if not len(found.object_ids):
            raise InputError("stopped before the first map was there.")
        fine = told(found)
        if self._turned.is_set():  # as fine as it was then
            return {**fine, "worth": self._worths.get((str(one.object_ids[0]), number, target)), "stopped": True}
        if (place := (str(one.object_ids[0]), number, target)) not in self._worths:
            self._give_coarse(key, {**fine, "worth": None})
        return {**fine, "worth": self._worth(place, source, one, target)}

    def _worth(self, place: tuple[str, ...], source: Any, one: "SampleSet", target: str) -> dict[str, Any]:
        from astrofuse_lab.explain import contributions

        if place not in self._worths:
            self._worths[place] = worth_payload(contributions(source, one, target=self._goal(source, target)))
            while len(self._worths) > KEPT:
                self._worths.popitem(last=False)
        return dict(self._worths[place])

    def _attributed(self, one: "SampleSet", number: str, target: str, method: str, on_coarse: Any = None) -> Any:
        from astrofuse_lab.explain import attribute

        source = self._source(number)
        goal = self._goal(source, target)
        name = target if goal is None else str(goal)
        key = (str(one.object_ids[0]), name, method, *(() if number == "0" else (list(self.runs)[int(number)],)))
        if key not in self.attributions:
            stop = self._turned if on_coarse is not None else None
            found = attribute(source, one, method, target=goal, on_coarse=on_coarse, stop=stop)  # type: ignore[arg-type]
            if stop is not None and stop.is_set():
                return found  # maybe not as fine as it would have been
            self.attributions[key] = found
            while len(self.attributions) > KEPT:
                self.attributions.popitem(last=False)
        return self.attributions[key]

    # ---- how far to trust it -----------------------------------------------------------------------------------------

    def _doubt(self, one: "SampleSet", number: str) -> dict[str, Any]:
        from astrofuse_lab.explain import uncertainty

        return doubt_payload(uncertainty(self._source(number), one))

    def _received(self, widget: Any, content: Any, buffers: Any) -> None:
        verb = content.get("verb") if isinstance(content, dict) and content.get("type") == "do" else None
        if verb == "check":
            self._aside_lane().submit(self.check, str(content.get("method", self.method)), content.get("model", self.model))
        elif verb == "probe":
            self._aside_lane().submit(self.probe)
        else:
            super()._received(widget, content, buffers)

    def check(self, method: str | None = None, model: int = 0) -> None:
        """Check one method's maps of one run: `explain.check` with maps of a few samples, held-out ones where there are such; kept in `checks` by run and method."""
        from astrofuse_lab import explain

        method = method or self.method
        source, key = self._source(str(model)), f"{model}/{method}"
        self._halt.clear()
        try:
            if reason := why_not(method, source, self.samples):
                raise InputError(f"{method} does not apply to this run: {reason}.")
            self._update(checks={**self.checks, key: {"running": True}})
            some = self.samples.take(np.unique(np.linspace(0, len(self.samples) - 1, min(PROBED, len(self.samples))).astype(np.int64)))
            with self._doing(f"Checking {method.replace('_', ' ')}"):
                found = explain.check(source, some, method, most=CHECKED, probed=PROBED, stop=self._halt)
            if self._halt.is_set():
                self._update(checks={k: v for k, v in self.checks.items() if k != key})
                return
            result = {"verdict": str(found.verdict), "passed": bool(found.passed), "n": CHECKED, **check_rows(found.table())}
        except Exception as error:  # told where the verdict would stand
            result = {"problem": in_words(error)}
        self._update(checks={**self.checks, key: result})

    def probe(self) -> None:
        """Find out on one sample which methods refuse a run, because they have no rule for its layers or it has no convolution; `methods` then says why."""
        from astrofuse_lab.explain import attribute

        for number, source in enumerate(self.runs.values()):
            for place, row in enumerate(self.methods[number]):
                if row["name"] not in CHOOSY or row["reason"] or self._ending.is_set() or not len(self.samples):
                    continue
                try:
                    attribute(source, self.samples.take([0]), row["name"])  # type: ignore[arg-type]
                except InputError as error:
                    kept = [list(rows) for rows in self.methods]
                    kept[number][place] = {**row, "reason": in_words(error)}
                    self._update(methods=kept)

    def page_keys(self, position: int) -> tuple[str, ...]:
        """The answers that a page without a kernel stores of one sample: the map that is shown, and those beside it."""
        panels = ({"model": self.model, "method": self.method, "explained": PREDICTED}, *self.compare)
        return (f"sample/{position}", *(f"attribution/{position}/{one['model']}/{self._number(one)}/{one['method']}" for one in panels))

    def _number(self, one: dict[str, Any]) -> str:
        classes = [str(c) for c in self._source(str(one["model"])).classes]
        return str(classes.index(one["explained"])) if one["explained"] in classes else PREDICTED

    def __repr__(self) -> str:
        return f"AttributionWidget({len(self._ids)} samples, {len(self.attributions)} explained)"
