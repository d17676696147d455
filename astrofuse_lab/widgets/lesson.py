"""A lesson's card: objectives, questions to predict, tasks that the data check, hints, reveal, and how far one has come."""

from typing import TYPE_CHECKING, Any

import traitlets as t

from astrofuse_lab.errors import InputError
from astrofuse_lab.lessons.expectations import asks
from astrofuse_lab.lessons.plan import Question, Task
from astrofuse_lab.lessons.session import is_done
from astrofuse_lab.widgets.base import Base, Selection

if TYPE_CHECKING:
    from astrofuse_lab.lessons.session import Session


class LessonWidget(Base):
    """A lesson, or one question or task of it.

    Parameters
    ----------
    session : Session
        What ``af.lesson.start`` or ``af.lesson.open`` gave.
    only : str
        Show this question or task alone; "": the whole lesson.
    selection : Selection, optional
        A task that asks for ids can be answered by what is selected in it.
    """

    view = "lesson"
    verbs = {"answer": "_answer", "check": "_check", "hint": "_hint", "reveal": "_reveal", "save": "_save", "rename": "_rename"}

    only = t.Unicode("").tag(sync=True)
    plan: Any = t.Dict().tag(sync=True)
    items: Any = t.List().tag(sync=True)
    body: Any = t.List().tag(sync=True)
    written = t.Unicode("").tag(sync=True)
    student = t.Unicode("").tag(sync=True)

    def __init__(self, session: "Session", only: str = "", selection: Selection | None = None, **traits: Any) -> None:
        if only and only not in session.plan.items:
            session.question(only)  # says which there are
        self.session = session
        super().__init__((), selection, only=only, **traits)
        session.watch(self._draw)
        self._draw()

    def _draw(self) -> None:
        """Everything that is shown, anew."""
        session = self.session
        plan, state = session.plan, session.state
        items = [_item(session, one, state.get(name, {})) for name, one in plan.items.items() if self.only in ("", name)]
        done, of = session.done()
        about = {
            "name": plan.name, "title": plan.title, "objectives": list(plan.objectives), "minutes": plan.minutes, "seed": plan.seed, "samples": _set_words(session), "done": done, "of": of,
            "open": session.is_open, "problem": session.problem,
        }  # fmt: skip
        at_hand = session.data.get("samples")
        body = [] if self.only else [[kind, more] for kind, more in plan.body]
        begun = f"af.lesson.open({plan.source!r})" if plan.source else f"af.lesson.start({plan.name!r})"
        code = f"lesson.card({self.only!r})" if self.only else f"lesson = {begun}"
        self._update(plan=about, items=items, body=body, student=session.student, code=code, simulated=bool(at_hand is not None and at_hand.simulated))

    @property
    def title(self) -> str:
        """Of the lesson; a saved page has it."""
        return self.session.plan.title

    # ---- verbs ---------------------------------------------------------------------------------------------------------

    def _answer(self, name: str, value: Any) -> None:
        self.session.answer(str(name), value)

    def _check(self, name: str, value: Any = None) -> None:
        task = self.session.task_of(str(name))
        if asks(task.expects) == "ids":
            if not self.selection.chosen:
                raise InputError("nothing is selected. Select samples in a view that is linked to this card, or give ids in a cell.")
            value = list(self.selection.chosen.text())
        elif value is not None:
            value = _typed(str(value).strip())
        self.session.check(task.name, value)

    def _hint(self, name: str) -> None:
        self.session.hint(str(name))

    def _reveal(self, name: str) -> None:
        self.session.reveal(str(name))

    def _save(self) -> None:
        self._update(written=str(self.session.save()))

    def _rename(self, student: str) -> None:
        self.session.rename(str(student))

    def close(self) -> None:
        """As `Base.close`; the lesson is watched no more."""
        if not self._ended:
            self.session.unwatch(self._draw)
        super().close()

    def __repr__(self) -> str:
        return self.session.plan.items[self.only].text if self.only else repr(self.session)


def _item(session: "Session", one: Any, now: dict[str, Any]) -> dict[str, Any]:
    """A question or task with what stands of it; hints and reveal only once they were asked for."""
    out = one.to_json()
    if isinstance(one, Question):
        return out | {"done": bool(now.get("answered")), "answer": now.get("answer"), "outcome": now.get("outcome"), "early": bool(now.get("early"))}
    if not isinstance(one, Task):
        return out | {"done": is_done(one, now), "tries": len((now.get("played") or {}).get("rows", ()))}
    used = now.get("hints", 0)
    shown = session.solution(one) if now.get("revealed") else ""
    return out | {
        "done": bool(now.get("ok")), "tries": now.get("tries", 0), "words": now.get("words", ""), "shown": list(one.hints[:used]), "left": len(one.hints) - used,
        "solution": shown, "asks": asks(one.expects),
    }  # fmt: skip


def _typed(text: str) -> str | float | None:
    """What was typed: a number where it is one, with a comma or a point."""
    try:
        value = float(text.replace(",", ".")) if text else None
    except ValueError:
        return text
    return int(value) if value is not None and value.is_integer() else value


def _set_words(session: "Session") -> str:
    """Which sample set the class has."""
    given = session.plan.samples
    name = given.get("name") or given.get("folder") or ""
    parts = [name, f"{given['n']} samples" if "n" in given else "", f"fingerprint {session.fingerprint}" if session.fingerprint else ""]
    return ", ".join(part for part in parts if part) if name else ""
