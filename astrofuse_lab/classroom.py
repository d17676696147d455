"""``af.lesson``: lessons in a notebook or a page, predictions before results, tasks checked by the data, and a class's answers.

::

    lesson = af.lesson.start("first-fusion", title="First fusion", objectives=["say when fusing helps"], minutes=30, seed=7, samples="practice", n=300)
    samples = lesson.samples()                                          # the same for the whole class
    lesson.predict("better", "Will the fused network beat the best single kind?", ["yes", "about the same", "no"])
    lesson.after("better", table, outcome="about the same")             # shown once the prediction is stored
    lesson.task("gaps", "How many samples have no spectrum?", {"count": {"missing": "spectrum"}}, hints=["samples.present('spectrum')"])
    af.lesson.check("gaps", 28)                                         # of the lesson started last
    lesson.save()                                                       # one file for the teacher
    af.lesson.read_class("handed-in/")                                  # the teacher's table

What a task can expect, as data:

"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from astrofuse_lab.errors import InputError
from astrofuse_lab.lessons import expectations
from astrofuse_lab.lessons.fingerprints import fingerprint
from astrofuse_lab.lessons.gradebook import ClassBook, read_class
from astrofuse_lab.lessons.pages import read_page
from astrofuse_lab.lessons.plan import Plan, Question, Task
from astrofuse_lab.lessons.session import Session
from astrofuse_lab.lessons.verdicts import Verdict
from astrofuse_lab.widgets.against import AgainstWidget
from astrofuse_lab.widgets.base import Selection
from astrofuse_lab.widgets.gate import Gate
from astrofuse_lab.widgets.lesson import LessonWidget

__all__ = ["ClassBook", "Lesson", "Verdict", "check", "current", "fingerprint", "hint", "open", "read_class", "reveal", "start"]
__doc__ += (expectations.__doc__ or "").split("\n\n", 2)[2]


class Lesson(Session):
    """A lesson in a notebook: `Session`, with what it shows. `start` makes one.

    Attributes
    ----------
    selection : Selection
        Link your views to it, and a task that asks for ids can be answered by what is selected.
    """

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.selection = Selection()

    def predict(self, name: str, text: str, choices: Sequence[str] = (), unit: str = "") -> Any:
        """Ask for a prediction, stored before the result is shown.

        Parameters
        ----------
        name : str
        text : str
            The question.
        choices : sequence of str
            None given: a number where `unit` is given ("1": without a unit), else a sentence.
        unit : str

        Returns
        -------
        widget
        """
        self.plan.add(Question.of(name, text, choices, unit))
        self.tell()
        return self.card(name)

    def after(self, name: str, result: Any, outcome: Any = None) -> Gate:
        """Show a result once its prediction is stored.

        Parameters
        ----------
        name : str
            The question's.
        result : object or callable
            A widget, a table, or a function that makes one, run only once the prediction is stored.
        outcome : str, float or callable, optional
            What came out, for the progress file; a callable is given the result.
        """
        return Gate(self, name, result, outcome)

    def task(
        self, name: str, text: str, expects: Mapping[str, Any] | None = None, *, mistakes: Sequence[tuple[Mapping[str, Any], str]] = (), hints: Sequence[str] = (),
        reveal: str = "", check: Callable[[Any], bool | str] | None = None,
    ) -> Any:  # fmt: skip
        """Set a task that the data check.

        Parameters
        ----------
        name : str
        text : str
        expects : mapping, optional
            See ``help(af.lesson)``.
        mistakes : sequence of (mapping, str)
            Answers that are often given, and what to say to them.
        hints : sequence of str
        reveal : str
            The way to the answer.
        check : callable, optional
            In place of `expects`: ``check(answer)`` gives True, False, or a sentence that says what is wrong.

        Returns
        -------
        widget
        """
        self.plan.add(Task.of(name, text, expects, mistakes=mistakes, hints=hints, reveal=reveal, check=check))
        self.tell()
        return self.card(name)

    def against(self, name: str, run: Any, samples: Any = None, n: int = 20, text: str = "", group: Any = None) -> AgainstWidget:
        """You against the model: tell samples apart by eye, mark where you looked, then see what they are and where the network looked.

        Parameters
        ----------
        name : str
        run : Run
            A classifier; the samples come from its test part, the same for the whole class.
        samples : SampleSet, optional
            None: the lesson's.
        n : int
        text : str
            What is asked.
        group : mapping, optional
            What others said, to be shown beside: ``af.lesson.read_class(folder).confusion(name)``.

        Returns
        -------
        AgainstWidget
        """
        if samples is None:
            samples = self.data["samples"] if "samples" in self.data else self.samples()
        return AgainstWidget(run, samples, n, self.seed, session=self, name=name, text=text, group=group)

    def card(self, name: str = "") -> Any:
        """The lesson's card; with a name, that of one question or task."""
        return LessonWidget(self, name, self.selection)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.card()._repr_mimebundle_(**options)


_started: list[Lesson] = []


def start(
    name: str, title: str = "", objectives: Sequence[str] = (), minutes: int = 0, seed: int = 0, samples: str | Mapping[str, Any] | None = None, n: int | None = None,
    *, digest: str = "", student: str = "", keep: bool = True,
) -> Lesson:  # fmt: skip
    """Begin a lesson, or go on with it: answers of an earlier kernel are there again.

    Parameters
    ----------
    name : str
        Short, e.g. ``"first-fusion"``.
    title : str
    objectives : sequence of str
        What one can do afterwards.
    minutes : int
        What it takes.
    seed : int
        ``lesson.seed``, the same for the whole class.
    samples : str or mapping, optional
        Of ``af.load_samples``, or ``{"folder": "our-set"}`` below the working folder; ``lesson.samples()`` gives the set.
    n : int, optional
        So many samples.
    digest : str
        ``lesson.samples()`` refuses another set than that of this fingerprint (``af.lesson.fingerprint``).
    student : str
        Stands in the progress file. None given: no name does.
    keep : bool
        Keep answers in the cache folder as they are given.

    Returns
    -------
    Lesson

    Raises
    ------
    InputError
        If a part cannot be used.
    """
    given: dict[str, Any] = {"name": samples} if isinstance(samples, str) else dict(samples or {})
    more = {key: value for key, value in (("n", n), ("digest", digest or None)) if value is not None}
    if "name" in given:
        given.setdefault("seed", seed)
    lesson = Lesson(Plan.of(name, title, objectives, minutes, seed, {**given, **more} if given else {}), student, keep, Path.cwd())
    _started[:] = [lesson]
    return lesson


def open_lesson(path: str | Path, student: str = "", keep: bool = True) -> Lesson:
    """Open a lesson from a MyST page or a notebook; as ``af.lesson.open``. Nothing in the file is executed.

    Parameters
    ----------
    path : path
        ``.md`` or ``.ipynb``; see ``docs/lessons.md`` for what stands in it. A sample set's folder is looked for beside it.
    student : str
    keep : bool
        As of `start`.

    Returns
    -------
    Lesson

    Raises
    ------
    InputError
        If it cannot be read, or a question or task makes no sense.
    """
    lesson = Lesson(read_page(path), student, keep, Path(path).expanduser().resolve().parent)
    _started[:] = [lesson]
    return lesson


def current() -> Lesson:
    """The lesson started last.

    Raises
    ------
    InputError
        If none was.
    """
    if not _started:
        raise InputError("no lesson was started in this kernel. Run the notebook's first cells, or type af.lesson.start('my-lesson').")
    return _started[-1]


def check(name: str, answer: Any = ...) -> Verdict:
    """Check an answer against the data; see `Lesson.check`."""
    return current().check(name, answer)


def hint(name: str) -> str:
    """The next hint to a task; see `Lesson.hint`."""
    return current().hint(name)


def reveal(name: str) -> str:
    """The way to the answer; see `Lesson.reveal`."""
    return current().reveal(name)


open = open_lesson  # at the end: nothing here opens a file
