"""Label and learn: the samples worth asking about, one key a label, several annotators; retrain, and watch the score grow with the labels."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.samples.annotations_book import UNSURE, LabelBook, annotator_of
from astrofuse_lab.widgets import label_parts as parts
from astrofuse_lab.widgets.base import Base, Selection, Worker
from astrofuse_lab.widgets.predictions import prediction_card
from astrofuse_lab.widgets.samples import sample_answer
from astrofuse_lab.widgets.wire import array, plain

if TYPE_CHECKING:
    from astrofuse_lab.recipes.schema import Recipe
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.samples.split import Split
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run

QUEUE = 60
"""Samples suggested at once."""
SEEN = ("ra", "dec", "time")
"""Columns that tell no label."""
AT_ONCE = ("say", "undo", "redo")
"""Verbs that must not wait for a training."""


class LabelWidget(Base):
    """Label samples by keyboard in the order in which they teach a model most, retrain, and see what the labels are worth.

    A part of the samples is held out for judging and never suggested: a score on samples that a strategy picked would say nothing.

    Parameters
    ----------
    samples : SampleSet
    classes : sequence of str
        The labels offered, the first nine by the keys 1 to 9.
    run : Run or Ensemble, optional
        What suggests at first. None: `by` falls back to chance until the first training.
    selection : Selection, optional
    annotator : str
    book : LabelBook or path, optional
        None: the set's own, ``af.LabelBook.of(samples)``, so that a later kernel goes on where this one ends.
    by : str
        Strategy of ``af.explain.suggest``.
    truth : str, optional
        A column that knows the labels, as the practice sky does: it judges, and plays the part of labelling by chance. It is not shown. None:
        the part held out must be labelled too (``judging=True``), by chance and for judging only.
    recipe : str or Recipe, optional
        What is trained; None: the run's, else "late_fusion".
    modalities, epochs, seed
        As in ``af.train``.
    split : Split, optional
        Its test part judges. None: the run's; else a quarter of the groups, the same in every kernel.
    out : path, optional
        Folder for the runs trained here, one a number of labels.
    device : str
    show : sequence of str
        Columns shown beside position, time and inputs. Others are not: they may tell the label.

    Attributes
    ----------
    book : LabelBook
    run : Run, Ensemble or None
        The latest: as given, then what Retrain made.
    rounds : list of dict
        Points of the curve; kept in the book.
    """

    view = "label"
    verbs = {"say": "_say", "undo": "undo", "redo": "redo", "refill": "refill", "retrain": "retrain", "export": "_export"}
    classes: Any = t.List().tag(sync=True)
    annotator = t.Unicode("me").tag(sync=True)
    annotators: Any = t.List().tag(sync=True)
    by = t.Unicode("entropy").tag(sync=True)
    ways: Any = t.List().tag(sync=True)
    votes = t.Int(1, min=1, max=99).tag(sync=True)
    judging = t.Bool(False).tag(sync=True)
    blind = t.Bool(True).tag(sync=True)
    queue: Any = t.Dict().tag(sync=True)
    given: Any = t.Dict().tag(sync=True)
    tally: Any = t.Dict().tag(sync=True)
    agreement: Any = t.Dict().tag(sync=True)
    last: Any = t.Dict().tag(sync=True)
    rounds: Any = t.List().tag(sync=True)
    chance = t.Bool(False).tag(sync=True)
    known = t.Bool(False).tag(sync=True)
    place = t.Unicode("labels.csv").tag(sync=True)
    written = t.Unicode("").tag(sync=True)
    title = t.Unicode("").tag(sync=True)

    def __init__(
        self, samples: "SampleSet", classes: Sequence[str], run: "Run | Ensemble | None" = None, selection: Selection | None = None, annotator: str = "me",
        book: LabelBook | str | Path | None = None, by: str = "entropy", truth: str | None = None, recipe: "str | Recipe | None" = None,
        modalities: Sequence[str] | None = None, split: "Split | None" = None, epochs: int | None = None, seed: int = 0, out: str | Path | None = None,
        device: str = "auto", show: Sequence[str] = (), **traits: Any,
    ) -> None:  # fmt: skip
        from astrofuse_lab.explain.suggestions import WAYS
        from astrofuse_lab.training.members import runs_of

        if by not in WAYS:
            raise UnknownNameError("strategy", by, WAYS)
        for one in () if run is None else runs_of(run):
            one.preparation.check(samples)
        names = parts.checked_classes(classes)
        self.samples: SampleSet = samples
        self.run: Run | Ensemble | None = run
        self.recipe = recipe or (run.recipe if run is not None else "late_fusion")
        self.book = book if isinstance(book, LabelBook) else LabelBook.of(samples) if book is None else LabelBook(book)
        self.split = parts.held_out(samples, run, split, seed)
        self.truth = {i: label for i, label in parts.known_truth(samples, truth).items() if label in names}
        for name in show:
            samples.column(name)
        self._shown = {*SEEN, *show} - {truth}
        self._training: dict[str, Any] = {"modalities": modalities or (run.modalities if run is not None else None), "epochs": epochs, "seed": seed, "device": device}
        self._out = out
        every = list(map(str, samples.object_ids))
        self._test = frozenset(() if self.split is None else self.split.test) & set(every)
        chosen = set(every) if self.split is None else {*self.split.train, *self.split.validation}
        self._pool = [i for i in every if i in chosen]
        given = {
            "classes": names, "annotator": annotator_of(annotator), "by": by, "title": f"{len(samples)} samples, {samples.card.title or samples.card.name}",
            "simulated": samples.simulated, "known": bool(self.truth), "chance": bool(self.truth), "rounds": self.book.kept("round"),
            "ways": [{"name": name, "what": way.what, "model": way.model} for name, way in WAYS.items()],
        }  # fmt: skip
        super().__init__(samples.object_ids, selection, **{**given, **traits})
        self._counted, self._who, self._queued = 0, self.annotator, list[int]()
        self._show_labels()
        self.book.watch(self._heard)
        self.observe(self._turned, ["by", "judging", "votes", "annotator"])
        self.observe(self._write_code, ["queue", "focus", "annotator"])
        self._write_code()
        self._jobs.submit(self._job, self.refill, {})

    # ---- threads -------------------------------------------------------------------------------------------------------

    def _received(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """As `Base._received`; a label does not wait for a training."""
        if isinstance(content, dict) and content.get("type") == "do" and content.get("verb") in AT_ONCE:
            method = getattr(self, self.verbs[content["verb"]])
            self._quick.submit(self._now, method, {k: v for k, v in content.items() if k not in ("type", "verb")})
        else:
            super()._received(_widget, content, _buffers)

    def _now(self, method: Any, arguments: dict[str, Any]) -> None:
        try:
            method(**arguments)
        except Exception as error:  # told in the view; a training may go on
            self.failure = error
            self._update(error=str(error))

    def _lane(self, key: str) -> Worker:
        """All answers are quick."""
        return self._quick

    def _turned(self, change: Any) -> None:
        self._quick.submit(self._take_turn, change["name"])

    def _take_turn(self, name: str) -> None:
        if name == "annotator":
            if self.annotator == self._who:  # put back
                return
            try:
                self._who = annotator_of(self.annotator)
            except InputError as error:
                self._update(annotator=self._who, error=str(error))
                return
            self._update(annotator=self._who, last={})
            self._show_labels()
        self._jobs.submit(self._job, self.refill, {})

    # ---- labels --------------------------------------------------------------------------------------------------------

    def _say(self, position: int, code: int) -> None:
        if not (isinstance(position, int) and 0 <= position < len(self._ids)):
            raise InputError(f"no sample at {position!r}; positions are 0 to {len(self._ids) - 1}.")
        if not (isinstance(code, int) and parts.NOT_SURE <= code < len(self.classes)):
            raise InputError(f"no class {code!r}; there are {len(self.classes)}.")
        self.say(str(self._ids[position]), None if code == parts.NOT_SURE else self.classes[code])

    def say(self, object_id: str, label: str | None) -> None:
        """Label a sample as the present annotator; None: not sure.

        Raises
        ------
        InputError
            If the sample is not in the set, the label none of the classes, or the sample held out for judging.
        """
        if object_id not in self._place:
            raise InputError(f"{object_id!r} is not in this set.")
        if label is not None and label not in self.classes:
            raise UnknownNameError("class", label, self.classes)
        if object_id in self._test and (self.truth or not self.judging):
            more = "its label is known" if self.truth else "turn on 'label the samples that judge' for it"
            raise InputError(f"{object_id} is held out for judging and is not labelled to learn from: {more}.")
        try:
            self.book.say(object_id, label, by=self.annotator)
        finally:  # a label that only memory holds is a label
            card = self._card(object_id)
            said = UNSURE if label is None else label
            self._update(last={"id": object_id, "said": said, "prediction": card["prediction"] if card else None, "sure": _sure(card)})

    def undo(self) -> None:
        """Take back the present annotator's last label, and go to its sample."""
        self._back(self.book.undo(self.annotator))

    def redo(self) -> None:
        """Do again what was undone last."""
        self._back(self.book.redo(self.annotator))

    def _back(self, ids: Iterable[str]) -> None:
        here = [i for i in ids if i in self._place]
        if here:
            self.selection.focus = here[0]
            self._update(last={})
            if not self.queue.get("pool"):  # nothing was left to ask
                self._jobs.submit(self._job, self.refill, {})

    def _heard(self, _ids: list[str]) -> None:
        """The book was written to, here or in a cell."""
        self._show_labels()

    def _show_labels(self) -> None:
        every, place = self.book.every(), self._place
        with self._lock:
            self._counted += 1
            count = self._counted
        names = list(dict.fromkeys([self.annotator, *(who for votes in every.values() for who in votes)]))
        judged = len(self.truth.keys() & self._test) if self.truth else sum(i in every for i in self._test)
        self._update(
            given=parts.given_payload(every, place, self.annotator, self.classes, count), annotators=names, agreement=parts.agreement_payload(every, place),
            tally=parts.tally_payload(self.book, every, place, self.annotator, self.classes, set(self._pool), (len(self._test), judged)),
        )  # fmt: skip

    # ---- the queue -----------------------------------------------------------------------------------------------------

    def refill(self) -> None:
        """Ask the strategy for the next samples."""
        from astrofuse_lab.explain.suggestions import WAYS, suggest

        every = self.book.every()
        among = sorted(self._test) if self.judging and not self.truth else self._pool
        done = [i for i in among if self.annotator in every.get(i, {}) or len(every.get(i, {})) >= self.votes]
        left = set(self._queued) - {self._place[i] for i in done}
        by, note = self.by, ""
        if self.judging and not self.truth:
            by, note = "random", "These samples judge; they are asked for by chance, and never trained on."
        elif self.run is None and WAYS[by].model:
            by, note = "random", f"By chance until a model is trained: {self.by} asks one."
        self._update(status="Looking for the next samples")
        found = suggest(self.run, self.samples, QUEUE, by, labelled=done, among=among, seed=int(self._training["seed"]), stop=self._halt, on_progress=self._looked)
        self._queued = places = [self._place[i] for i in found["object_id"].tolist()]
        self._update(status="", queue={"positions": array(places, "int32"), "why": found["why"].tolist(), "by": by, "note": note, "pool": found.meta["pool"]})
        # a sample that is being looked at must not change under the hand that is about to press a key
        at = str(self._ids[self.focus]) if 0 <= self.focus < len(self._ids) else ""
        if places and (at not in set(among) or (self.annotator in every.get(at, {}) and not left)):
            self.selection.focus = str(self._ids[places[0]])

    def _looked(self, now: dict[str, Any]) -> None:
        self._update(progress=now["done"] / max(now["total"], 1))

    # ---- learning ------------------------------------------------------------------------------------------------------

    def labels(self) -> dict[str, str]:
        """What most annotators say of each sample that may be learned from; ties and "not sure" are left out."""
        table = self.book.consensus(share=0.0)
        inside = set(self._pool)
        return {str(r["object_id"]): str(r["label"]) for r in table if not np.ma.is_masked(r["label"]) and str(r["object_id"]) in inside and str(r["label"]) in self.classes}

    def _judges(self) -> dict[str, str]:
        if self.truth:
            return {i: self.truth[i] for i in self._test if i in self.truth}
        table, inside = self.book.consensus(share=0.0), self._test
        return {str(r["object_id"]): str(r["label"]) for r in table if not np.ma.is_masked(r["label"]) and str(r["object_id"]) in inside and str(r["label"]) in self.classes}

    def retrain(self) -> None:
        """Train on the labels there are, judge, add a point to the curve, and ask anew; blocks (the view's button runs it on the worker thread)."""
        from astrofuse_lab.training.label_rounds import judge, learn_round, random_labels

        labels, judges = self.labels(), self._judges()
        rest = {**self._training, "group": self.split.group if self.split is not None else None, "stop": self._halt}
        self._update(status=f"Training on {len(labels)} labels")
        made = learn_round(self.recipe, self.samples, labels, judges, on_epoch=self._epoch("Training on the labels"), out=self._folder(len(labels)), **rest)
        if made.run.state == "stopped":
            return self._update(status="Stopped; no point was added to the curve")
        point = {**made.to_json(), "by": self.by, "random": None, "gain": None}
        if self.chance and self.truth:
            drawn = random_labels(self.truth, self._pool, made.labels, int(self._training["seed"]))
            other = learn_round(self.recipe, self.samples, drawn, judges, on_epoch=self._epoch("Training on as many labels by chance"), **rest)
            if other.run.state != "stopped":
                more, low, high, _ = judge((made.run, other.run), self.samples, judges, made.metric, rest["group"])
                point |= {"random": other.to_json(), "gain": [plain(more), plain(low), plain(high)]}
        self.run = made.run
        self.book.keep("round", point)
        self._update(rounds=[*self.rounds, point], progress=1.0, status="")
        self._halt.clear()
        self._show_labels()
        return self.refill()

    def _folder(self, labels: int) -> Path | None:
        return None if self._out is None else Path(self._out).expanduser() / f"labels-{labels}"

    def _epoch(self, words: str) -> Any:
        def tell(now: dict[str, Any]) -> None:
            self._update(progress=now["epoch"] / max(now["epochs"], 1), status=f"{words}: epoch {now['epoch']} of at most {now['epochs']}")

        return tell

    def _export(self) -> None:
        path = Path(self.place.strip() or "labels.csv")
        where = self.book.export(path, None if path.suffix in (".csv", ".ecsv") else "csv", overwrite=True)
        self._update(written=f"{len(self.book)} objects written to {where}")

    def page_keys(self, position: int) -> tuple[str, ...]:
        """As `Saving.page_keys`: what the annotator had seen."""
        return (f"sample/{position}", f"said/{position}")

    # ---- answers -------------------------------------------------------------------------------------------------------

    def _card(self, object_id: str) -> dict[str, Any] | None:
        """What the model says of a sample; None without a model, or where it predicts no classes."""
        if self.run is None or self.run.task != "classification":
            return None
        card = prediction_card(self.run, self.samples.select([object_id]))
        return {name: card[name] for name in ("prediction", "classes", "p")}

    def answer(self, key: str) -> dict[str, Any]:
        """``sample/<position>``: one sample, without the columns that may tell its label; ``said/<position>``: what the model and the others say of it, once
        the annotator has."""
        kind, _, position = key.partition("/")
        if kind == "said" and position.isdigit() and int(position) < len(self._ids):
            object_id = str(self._ids[int(position)])
            votes = self.book.votes(object_id)
            hidden = self.blind and self.annotator not in votes
            return {"hidden": hidden, "model": self.run is not None, "card": None if hidden else self._card(object_id), "votes": [] if hidden else parts.votes_payload(votes, self.annotator)}
        payload = sample_answer(self.samples, key)
        shown = [one for one in payload["columns"] if one[0] in self._shown or one[3] == "input"]
        return {**payload, "columns": shown}

    def _write_code(self, _change: Any = None) -> None:
        where = repr(str(self.book.path)) if self.book.path else ""
        among = "" if self.split is None else ", among=split.train"
        at = repr(str(self._ids[self.focus])) if 0 <= self.focus < len(self._ids) else "object_id"
        line = f"book = af.LabelBook({where})\naf.explain.suggest({'run' if self.run is not None else None}, samples, {QUEUE}, by={self.queue.get('by', self.by)!r}, labelled=book{among})"
        self._update(code=f"{line}\nbook.say({at}, {self.classes[0]!r}, by={self.annotator!r})")

    def wait(self, timeout: float = 600.0) -> bool:
        """As `Base.wait`; what a gesture asks of the other thread is waited for, too."""
        return self._quick.drain(timeout) and super().wait(timeout)

    def close(self) -> None:
        """As `Base.close`; the book is heard no more."""
        if not self._ended:
            self.book.unwatch(self._heard)
        super().close()

    def __repr__(self) -> str:
        return f"LabelWidget({len(self._ids)} samples, {len(self.book)} labelled, by {self.annotator})"


def _sure(card: dict[str, Any] | None) -> float | None:
    """The probability of the predicted class."""
    return max((p for p in card["p"] if p is not None), default=None) if card and card["p"] else None
