"""You against the model: tell samples apart by eye, mark where you looked, then see what they are, what the network said, and where it looked."""

from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from astrofuse_lab.errors import InputError
from astrofuse_lab.lessons.against import MARKS, Contest, contest, look, marked, played, score
from astrofuse_lab.training.members import runs_of
from astrofuse_lab.widgets.attribution_facts import attribution_payload, method_rows
from astrofuse_lab.widgets.base import Base, Selection, Worker
from astrofuse_lab.widgets.places import lengths
from astrofuse_lab.widgets.predictions import prediction_card
from astrofuse_lab.widgets.samples import sample_answer
from astrofuse_lab.widgets.wire import plain

if TYPE_CHECKING:
    from astrofuse_lab.explain.attribution_result import Attribution
    from astrofuse_lab.lessons.session import Session
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

MARKED = ("image", "spectrum", "light_curve")
"""Kinds of data with places that can be marked."""


class AgainstWidget(Base):
    """Tell samples apart by eye, against a run.

    Parameters
    ----------
    run : Run
        A classifier; it must not have learned from the samples: they are taken from its test part.
    samples : SampleSet
    n : int
        So many samples at most, each class as often as can be.
    seed : int
        The same seed, the same samples in the same order.
    session : Session, optional
        Answers are written into its journal.
    name : str
        Of the game in it.
    text : str
        What is asked.
    group : mapping, optional
        What others said: ``{"people": 12, "classes": [...], "matrix": [[...]]}``, as of ``af.lesson.read_class(...).confusion(name)``.
    selection : Selection, optional

    Attributes
    ----------
    game : Contest
    given : dict of str to int
        What you said, by id.
    """

    view = "against"
    verbs = {"say": "_say"}

    classes: Any = t.List().tag(sync=True)
    told: Any = t.Dict().tag(sync=True)
    score: Any = t.Dict().tag(sync=True)
    group: Any = t.Dict().tag(sync=True)
    text = t.Unicode("").tag(sync=True)
    title = t.Unicode("").tag(sync=True)

    def __init__(
        self, run: "Run", samples: "SampleSet", n: int = 20, seed: int = 0, *, session: "Session | None" = None, name: str = "against", text: str = "",
        group: Any = None, selection: Selection | None = None, **traits: Any,
    ) -> None:  # fmt: skip
        self.game: Contest = contest(name, run, samples, n, seed, text)
        self.run, self.session = run, session
        self.samples = samples.select(self.game.ids)
        self.shown = runs_of(run)[0].preparation.represented(self.samples)
        self.given: dict[str, int] = {}
        self._marks: dict[str, dict[str, list[list[float]]]] = {}
        self._looks: dict[str, tuple[float, float]] = {}
        if session is not None:
            session.plan.add(self.game)
            self._go_on(session)
        table = {"people": 0, "classes": [], "matrix": [], **dict(group or {})}
        if table["classes"] and list(table["classes"]) != list(self.game.classes):
            raise InputError(
                f"the group told {', '.join(map(str, table['classes']))} apart, and this run tells {', '.join(self.game.classes)}. Give the answers to this game."
            )
        title = f"{len(self.game.ids)} samples {'held out from the network' if run.split.train else 'and published weights'}, {samples.card.name}"
        super().__init__(
            self.game.ids, selection, classes=list(self.game.classes), text=self.game.text, title=title, simulated=samples.simulated, group=table, **traits
        )
        self._draw()
        self._begin()
        self.observe(self._write_code, "focus")
        self._write_code()

    def _go_on(self, session: "Session") -> None:
        """What was said in an earlier kernel."""
        before = session.state.get(self.game.name, {}).get("played") or {}
        if before.get("classes") == list(self.game.classes):
            self.given = {row[0]: row[2] for row in before["rows"] if row[0] in self.game.ids and row[2] >= 0}

    def _draw(self) -> None:
        codes = [self.given.get(i, -1) for i in self.game.ids]
        told = {"codes": codes, "truth": [int(k) if said >= 0 else -1 for k, said in zip(self.game.truth, codes, strict=True)]}
        self._update(told=told, score=score(self.game, self.given))

    # ---- what is said --------------------------------------------------------------------------------------------------

    def _received(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """As `Base._received`; an answer does not wait for an explanation."""
        if isinstance(content, dict) and content.get("type") == "do" and content.get("verb") == "say":
            self._quick.submit(self._now, {k: v for k, v in content.items() if k not in ("type", "verb")})
        else:
            super()._received(_widget, content, _buffers)

    def _now(self, arguments: dict[str, Any]) -> None:
        try:
            self._say(**arguments)
        except Exception as error:  # told in the view
            self._failed(error)

    def _say(self, position: int, code: int, marks: Any = None) -> None:
        if not (isinstance(position, int) and 0 <= position < len(self._ids)):
            raise InputError(f"no sample at {position!r}; positions are 0 to {len(self._ids) - 1}.")
        if not (isinstance(code, int) and 0 <= code < len(self.classes)):
            raise InputError(f"no class {code!r}; there are {len(self.classes)}.")
        self.say(str(self._ids[position]), self.classes[code], marks)

    def say(self, object_id: str, label: str, marks: Any = None) -> None:
        """Say what a sample is; the first answer stands.

        Parameters
        ----------
        object_id : str
        label : str
        marks : mapping of str to list of (u, v), optional
            Where you looked, by modality: shares of the drawing's width and height, from the left and from below.

        Raises
        ------
        InputError
            If it is none of the samples or classes, or was answered before.
        """
        if object_id not in self._place:
            raise InputError(f"{object_id!r} is none of the {len(self._ids)} samples of this game.")
        if label not in self.classes:
            raise InputError(f"{label!r} is none of the classes {', '.join(self.classes)}.")
        if object_id in self.given:
            raise InputError(f"you said {self.classes[self.given[object_id]]} of {object_id} already; the first answer stands.")
        self._marks[object_id] = _read_marks(marks, self.shown)
        self.given[object_id] = self.classes.index(label)
        self._note()
        self._draw()

    def _note(self) -> None:
        if self.session is not None:
            self.session.note_latest(self.game.name, "played", game=played(self.game, self.given, self._looks))

    # ---- answers -------------------------------------------------------------------------------------------------------

    def _lane(self, key: str) -> Worker:
        return self._jobs if key.startswith("look/") else self._quick

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>``: one sample, without columns that may tell its class; ``look/<position>``: what it is, what the network says and where it looked, once you have answered."""
        kind, _, position = key.partition("/")
        if kind != "look":
            payload = sample_answer(self.shown, key)
            return {**payload, "columns": [one for one in payload["columns"] if one[3] == "input" or one[0] in ("ra", "dec")]}
        if not position.isdigit() or int(position) >= len(self._ids):
            raise InputError(f"no sample at {position!r}; positions are 0 to {len(self._ids) - 1}.")
        object_id = str(self._ids[int(position)])
        if object_id not in self.given:
            return {"hidden": True}
        one = self.samples.select([object_id])
        found, signed = self._explained(one)
        long = lengths(self.shown, int(position), runs_of(self.run)[0].preparation)
        rows = self._compared(found, object_id)
        return {
            "hidden": False,
            "card": prediction_card(self.run, one),
            "map": attribution_payload(found, signed, long),
            "looks": rows,
            "marks": self._marks.get(object_id, {}),
        }

    def _explained(self, one: "SampleSet") -> "tuple[Attribution, bool]":
        from astrofuse_lab.explain.attribution import attribute

        way = next((row for row in method_rows(self.run, one) if not row["reason"]), None)
        if way is None:
            raise InputError("no method of attribution applies to this run; what it looked at cannot be shown.")
        return attribute(self.run, one, way["name"]), bool(way["signed"])

    def _compared(self, found: "Attribution", object_id: str) -> list[dict[str, Any]]:
        """By modality: its share of all that the network looked at, and how much of that lies under your marks."""
        marks = self._marks.get(object_id, {})
        sizes = {name: np.abs(np.where(found.place_mask(name)[0], found.per_place(name)[0], 0)) for name in found.modalities}
        total = sum(float(v.sum()) for v in sizes.values()) or 1.0
        rows = []
        for name, size in sizes.items():
            row: dict[str, Any] = {
                "modality": name,
                "kind": found.kinds[name],
                "share": plain(float(size.sum()) / total),
                "yours": name in marks,
                "under": None,
                "covered": None,
            }
            if marks.get(name) and found.kinds[name] in MARKED:
                under = marked(found.kinds[name], marks[name], size.shape, self._along(name, object_id, size.shape[0]))
                row["under"], row["covered"] = look(size, under)
            rows.append(row)
        compared = [(r["under"], r["covered"]) for r in rows if r["under"] is not None]
        if compared:
            self._looks[object_id] = (float(np.mean([a for a, _ in compared])), float(np.mean([b for _, b in compared])))
            self._note()
        return rows

    def _along(self, name: str, object_id: str, n: int) -> Any:
        """Where the places of a spectrum or light curve lie along their drawing, 0 to 1."""
        one = self.shown.one(name, self._place[object_id])
        axis = getattr(one, "wavelength", None) if one is not None else None
        pad = 0.0
        if axis is None and one is not None:
            axis, pad = getattr(one, "time", None), 0.03  # the drawing leaves so much room at both ends
        if axis is None or len(axis) < 2:
            return None
        axis = np.asarray(axis, dtype=np.float64)
        low, width = float(axis.min()), float(np.ptp(axis)) or 1.0
        share = ((axis - low) / width + pad) / (1 + 2 * pad)
        out = np.full(n, -9.0)  # places of the network's input beyond the data are nowhere
        kept = share[-n:]
        out[: len(kept)] = kept
        return out

    def page_keys(self, position: int) -> tuple[str, ...]:
        """As `Saving.page_keys`: the explanation only of what was answered."""
        return (f"sample/{position}", *((f"look/{position}",) if str(self._ids[position]) in self.given else ()))

    def _write_code(self, _change: Any = None) -> None:
        at = repr(str(self._ids[self.focus])) if 0 <= self.focus < len(self._ids) else "object_id"
        self._update(code=f"game = lesson.against({self.game.name!r}, run, samples, n={len(self._ids)})\ngame.say({at}, {self.classes[0]!r})")

    def __repr__(self) -> str:
        return f"AgainstWidget({len(self.given)} of {len(self._ids)} samples answered)"


def _read_marks(marks: Any, samples: "SampleSet") -> dict[str, list[list[float]]]:
    """Marks that lie on drawings of this set; a modality without places is an empty list."""
    out: dict[str, list[list[float]]] = {}
    for name, places in (marks if isinstance(marks, dict) else {}).items():
        if name not in samples.modalities or not isinstance(places, list):
            continue
        pairs = [
            [float(v) for v in one]
            for one in places[:MARKS]
            if isinstance(one, list | tuple) and len(one) == 2 and all(isinstance(v, int | float) for v in one)
        ]
        out[str(name)] = [one for one in pairs if all(0 <= v <= 1 for v in one)]
    return out
