"""Lessons: checks that the data make, predictions before results, pages and files that execute nothing, and a class's tables."""

import json
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from conftest import make_toy_samples
from explain_cases import trained

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, SampleSetError, UnknownNameError
from astrofuse_lab.lessons import pages, progress
from astrofuse_lab.lessons.expectations import asks, judge, read_expectation
from astrofuse_lab.lessons.plan import Plan, Question, Task
from astrofuse_lab.lessons.session import Session


@lru_cache
def toy():
    return make_toy_samples(40)


def lesson(name="try-it", **more):
    return af.lesson.start(name, **{"keep": False, **more})


# ---- what a task expects ---------------------------------------------------------------------------------------------


def far():
    return [str(i) for i, z in zip(toy().object_ids, np.ma.filled(toy().column("redshift"), -1), strict=True) if z > 0.15]


def commonest():
    names, counts = np.unique(np.ma.compressed(toy().column("label")).astype(str), return_counts=True)
    return str(names[counts.argmax()])


TABLE = Table({"model": ["fused", "image"], "value": [0.7, 0.6]})
# expectation, an answer that holds, answers that do not; made late, so that nothing is trained while tests are collected
CASES = {
    "count": lambda: ({"count": {"missing": "spectrum"}}, int((~toy().present("spectrum")).sum()), [int(toy().present("spectrum").sum()), "x", None, float("nan")]),
    "every": lambda: ({"count": {}}, 40, [39, 40.5]),
    "share": lambda: ({"share": [{"present": "image"}, {"present": "spectrum"}]}, float((toy().present("image") & toy().present("spectrum")).mean()), [0.01, [0.5]]),
    "ids": lambda: ({"ids": {"column": "redshift", "above": 0.15}}, far(), [far()[:-1], [*far(), "more"], far()[0], 3]),
    "most ids": lambda: ({"ids": {"column": "redshift", "above": 0.15}, "at_least": 0.8}, far()[:-1], [far()[:1], []]),
    "a set": lambda: ({"ids": {"column": "redshift", "above": 0.15}}, toy().select(far()), [toy()]),
    "statistic": lambda: ({"statistic": "median", "column": "redshift"}, float(np.ma.median(toy().column("redshift"))), [0.0, "median"]),
    "above": lambda: ({"statistic": "max", "column": "redshift", "where": {"column": "redshift", "below": 0.15}, "within": 0.001}, max(z for z in np.ma.compressed(toy().column("redshift")) if z < 0.15), [1.5]),
    "class": lambda: ({"class": "commonest", "column": "label"}, f" {commonest().upper()} ", ["nothing", 3]),
    "samples": lambda: ({"samples": {"modalities": ["image"], "at_least": 10, "at_most": 30, "complete": True}}, toy().take(np.flatnonzero(toy().present("image"))[:12]), [toy(), toy().take([0]), toy().take(np.flatnonzero(~toy().present("image")).tolist() * 1 + list(range(10))), "samples"]),
    "run": lambda: ({"run": {"metric": "accuracy", "at_least": 0.0, "modalities": 5, "recipe": "joint_attention"}}, trained(), [toy(), None]),
    "good run": lambda: ({"run": {"metric": "log_loss", "at_most": 50.0}}, trained(), ["run"]),
    "metric": lambda: ({"metric": "accuracy", "within": 0.005}, next(float(r["value"]) for r in trained().metrics if r["metric"] == "accuracy"), [2.0]),
    "best": lambda: ({"best": "value", "name": "model"}, "fused", ["image", 0.7]),
    "least": lambda: ({"best": "value", "least": True}, "image", ["fused"]),
    "number": lambda: ({"number": 656.28, "within": 1}, 655.5, [650, -656.28]),
    "between": lambda: ({"between": [0.2, 0.4]}, 0.4, [0.41, "0.x"]),
    "text": lambda: ({"text": ["QSO", "quasar"]}, "qso", ["star"]),
    "all": lambda: ({"all": [{"between": [0, 9]}, {"number": 4}]}, 4, [5, 10]),
    "any": lambda: ({"any": [{"number": 1}, {"number": 4}]}, 4, [2]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_right_answers_pass_and_wrong_ones_do_not(case):
    spec, right, wrong = CASES[case]()
    it = lesson().use(samples=toy(), run=trained(), table=TABLE)
    it.task("it", "Do it.", spec)
    verdict = af.lesson.check("it", right)
    assert verdict and "right" in str(verdict)
    for answer in wrong:
        assert not af.lesson.check("it", answer), answer
    # the same from a file, where an expectation is text
    assert judge(read_expectation(json.loads(json.dumps(spec))), right, it.data).ok


def test_not_answered_is_neither_right_nor_wrong_nor_a_try():
    it = lesson().use(samples=toy())
    it.task("gaps", "How many?", {"count": {}}, hints=["one"])
    for answer in (..., None):
        verdict = it.check("gaps", answer)
        assert verdict.ok is None and "to do" in str(verdict) and "to do" in verdict._repr_html_()
    assert it.state == {} and not it.check("gaps", 0)
    assert it.state["gaps"]["tries"] == 1


def test_a_mistake_that_is_often_made_is_told_and_help_is_counted():
    it = lesson().use(samples=toy())
    it.task(
        "gaps",
        "How many lack one?",
        {"count": {"missing": "spectrum"}},
        mistakes=[({"count": {"present": "spectrum"}}, "That is how many have one.")],
        hints=["first", "second"],
        reveal="Turn it round.",
    )
    have = int(toy().present("spectrum").sum())
    assert "have one" in str(it.check("gaps", have)) and "hint" in str(it.check("gaps", 0))
    assert [it.hint("gaps") for _ in range(3)] == ["first", "second", "second"]
    assert "reveal" in str(it.check("gaps", 0))
    assert it.reveal("gaps") == f"Turn it round. The data give: {40 - have}."
    assert it.check("gaps", 40 - have)
    now = it.state["gaps"]
    assert (now["tries"], now["hints"], now["revealed"], now["helped"], now["first"], now["ok"]) == (4, 2, True, True, False, True)
    assert not it.check("gaps", 0) and it.state["gaps"]["ok"]  # a later wrong try takes nothing away


def test_a_function_may_check_what_was_made_in_python():
    it = lesson()
    it.task("own", "More than three.", check=lambda v: True if v > 3 else "larger, please")
    assert it.check("own", 4) and "larger, please" in str(it.check("own", 2))
    with pytest.raises(InputError, match="one of them"):
        it.task("both", "?", {"count": {}}, check=bool)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"exec": "1"}, "must be a kind"), ({"count": {}, "share": {}}, "must be a kind"), ({"count": {}, "evil": 1}, "no entry beside"), ([], "no short mapping"), ({"any": 3}, "list of expectations"),
        ({"all": [{"all": [{"all": [{"all": [{"all": [{"number": 1}]}]}]}]}]}, "no short mapping"), ({"text": "x" * 3000}, "no short mapping"),
    ],
)  # fmt: skip
def test_expectations_are_rows_of_a_known_kind(spec, words):
    with pytest.raises(InputError, match=words):
        read_expectation(spec)


@pytest.mark.parametrize(
    "spec",
    [
        {"count": {"column": "nothing"}},
        {"count": "x"},
        {"count": {"column": "redshift", "near": 1}},
        {"statistic": "mode", "column": "redshift"},
        {"between": 3},
        {"number": "x"},
        {"class": "middle"},
        {"statistic": "mean", "column": "label"},
    ],
)
def test_an_expectation_that_does_not_fit_the_data_is_the_lessons_fault(spec):
    it = lesson().use(samples=toy())
    it.task("it", "?", spec)
    with pytest.raises(InputError):
        it.check("it", 3)
    assert it.state == {}, "no try of the student's"


def test_data_that_are_not_at_hand_are_asked_for():
    it = lesson()
    it.task("it", "?", {"count": {}})
    with pytest.raises(InputError, match=r"lesson.use\(samples=samples\)"):
        it.check("it", 3)


# ---- predictions -----------------------------------------------------------------------------------------------------


def test_a_result_is_made_and_shown_only_after_its_prediction():
    it, made = lesson(), []
    it.predict("better", "Will it?", ["yes", "no"])
    gate = it.after("better", lambda: made.append(1) or TABLE, outcome=lambda table: str(table["model"][0]))
    assert made == [] and gate.shown is None and "predicted it" in gate.children[0].value and "Waits" in repr(gate)
    with pytest.raises(UnknownNameError, match="choice"):
        it.answer("better", "maybe")
    it.answer("better", "no")
    assert made == [1] and gate.shown is TABLE and "fused" in str(gate.children[0].outputs)
    with pytest.raises(InputError, match="first prediction stands"):
        it.answer("better", "yes")
    assert [(e["what"], e.get("answer")) for e in it.events] == [("answered", "no"), ("shown", None), ("outcome", "fused")]
    assert it.state["better"]["early"] is False
    gate.close()


def test_a_teacher_sees_results_at_once_and_that_is_written_down(monkeypatch):
    monkeypatch.setenv("ASTROFUSE_LESSON", "open")
    it = lesson()
    it.predict("width", "How wide?", unit="arcsec")
    gate = it.after("width", TABLE)
    assert gate.shown is TABLE
    it.answer("width", "2.5")
    assert it.state["width"]["early"] is True and it.state["width"]["answer"] == 2.5
    gate.close()


@pytest.mark.parametrize("answer", ["", "  ", "x", float("nan"), float("inf"), None])
def test_a_number_is_asked_for(answer):
    with pytest.raises(InputError, match=r"no number|not a finite"):
        Question.of("width", "How wide?", unit="1").read(answer)


# ---- the journal -----------------------------------------------------------------------------------------------------


def test_a_later_kernel_goes_on_where_the_first_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path))
    first = lesson(keep=True, student="Ada")
    first.predict("why", "Why?")
    first.answer("why", "because")
    again = lesson(keep=True, student="Ada")
    again.predict("why", "Why?")
    assert again.answered("why") and again.done() == (1, 1)
    other = lesson(keep=True, student="Bob")
    other.predict("why", "Why?")
    assert not other.answered("why")
    nameless = lesson(keep=True)
    nameless.predict("why", "Why?")
    nameless.answer("why", "so")
    nameless.rename("Cay")
    assert nameless.state["why"]["answer"] == "so"
    nameless.rename("Dee")
    assert nameless.state == {}, "another student begins anew"
    again.forget()
    assert lesson(keep=True, student="Ada").state == {}


def test_a_journal_that_cannot_be_kept_stays_in_memory(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "file"))
    it = lesson(keep=True)
    it.predict("why", "Why?")
    it.answer("why", "because")
    assert it.answered("why") and "in this kernel only" in it.problem


def test_the_exported_file_is_plain_and_replaces_only_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    it = lesson("gaps", student="Ada  L.", seed=7).use(samples=toy())
    it.task("n", "How many?", {"count": {}})
    it.check("n", toy())  # any object: its words are kept
    where = it.save()
    assert where == tmp_path / "gaps-ada-l.lesson.json" and it.save() == where
    kept = progress.read_progress(where)
    assert (kept["student"], kept["seed"], kept["samples"]) == ("Ada  L.", 7, af.lesson.fingerprint(toy())) and "SampleSet" in kept["events"][0]["answer"]
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(InputError, match="not replaced"):
        it.save("mine.json")
    assert (tmp_path / "mine.json").read_text() == "{}"


def test_a_class_has_one_set_and_one_seed(tmp_path):
    it = lesson(seed=5, samples="practice", n=12)
    samples = it.samples()
    again = lesson(seed=5, samples="practice", n=12, digest=it.fingerprint)
    assert list(again.samples().object_ids) == list(samples.object_ids) and again.rng().integers(1000) == it.rng().integers(1000)
    with pytest.raises(SampleSetError, match="not the one the lesson was made with"):
        lesson(seed=6, samples="practice", n=12, digest=it.fingerprint).samples()
    samples.save(tmp_path / "our-set")
    (tmp_path / "page.md").write_text(f"---\nlesson: ours\nfolder: our-set\ndigest: {it.fingerprint}\n---\nWords.\n")
    assert len(af.lesson.open(tmp_path / "page.md", keep=False).samples()) == 12


def test_the_fingerprint_knows_values_and_gaps_and_not_the_order():
    one = af.lesson.fingerprint(toy())
    assert af.lesson.fingerprint(toy().take(np.arange(40)[::-1])) == one
    assert af.lesson.fingerprint(toy().take(range(39))) != one and af.lesson.fingerprint(make_toy_samples(40, seed=1)) != one


# ---- pages -----------------------------------------------------------------------------------------------------------

PAGE = """---
lesson: gaps
title: What is missing?
minutes: 20
seed: 3
jupytext:
  text_representation: {extension: .md}
---
# Gaps

Some *words* about
gaps.

- one
- two

```{objectives}
- say what is missing
```

:::{predict} better
Will fusing help?
- [ ] yes
- [ ] no
:::

```{predict} width
:unit: arcsec
How wide is it?
```

```{code-cell} ipython3
:tags: [hide-input]
import os
os.system("touch hacked")
```

```{task} gaps
:expects: {"count": {"missing": "spectrum"}}
:mistake: {"count": {"present": "spectrum"}} | That is how many have one.
:hint: Look at samples.present.
:hint: Turn it round.
:reveal: Count where it is False.
How many lack a spectrum?
```
"""


@pytest.mark.parametrize("kind", ["md", "ipynb"])
def test_a_page_and_a_notebook_become_a_lesson(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"gaps.{kind}"
    before, after = PAGE.split("```{code-cell} ipython3\n:tags: [hide-input]\n")
    code, after = after.split("```\n", 1)
    cells = [
        {"cell_type": "markdown", "source": before.splitlines(True)},
        {"cell_type": "code", "source": code, "outputs": [{"data": {"text/html": "<script>"}}]},
        {"cell_type": "markdown", "source": after},
    ]
    path.write_text(PAGE if kind == "md" else json.dumps({"cells": cells, "nbformat": 4}))
    plan = pages.read_page(path)
    assert (plan.name, plan.title, plan.minutes, plan.seed, plan.objectives) == ("gaps", "What is missing?", 20, 3, ("say what is missing",))
    assert list(plan.items) == ["better", "width", "gaps"] and plan.items["better"].choices == ("yes", "no") and plan.items["width"].unit == "arcsec"
    task = plan.items["gaps"]
    assert task.text == "How many lack a spectrum?" and len(task.hints) == 2 and task.mistakes[0][1] == "That is how many have one."
    assert [k for k, _ in plan.body] == ["heading", "text", "list", "item", "item", "code", "item"]
    assert "os.system" in plan.body[5][1], "code is shown"
    it = af.lesson.open(path, keep=False).use(samples=toy())
    assert af.lesson.current() is it and af.lesson.check("gaps", int((~toy().present("spectrum")).sum())) and not af.lesson.check("gaps", 99)
    assert not (tmp_path / "hacked").exists(), "and not executed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```{task} t\nDo.\n```", "expects"), ("```{task} t\n:expects: __import__('os')\nDo.\n```", "no JSON"), ('```{task} t\n:expects: {"eval": "1"}\nDo.\n```', "must be a kind"),
        ("```{task} t\n:check: os.system\nDo.\n```", ":check:"), ("```{predict} T!\nDo.\n```", "no name"), ("```{predict} q\n```", "empty"), ("```{predict} q\nDo.\n- yes\n```", "two or more"),
        ("```{predict} q\nA?\n```\n```{predict} q\nB?\n```", "twice"), ("---\nseed: x\n---\n", "no whole number"), ("---\nfolder: ../../etc\n---\n", "beside the lesson"),
        ("---\nfolder: /etc\n---\n", "beside the lesson"), ("\n".join(f"p{i}\n" for i in range(3000)), "the most"), ('```{task} t\n:expects: {"number": 1}\n:mistake: {"number": 2}\nDo.\n```', "a bar"),
    ],
)  # fmt: skip
def test_a_page_that_makes_no_sense_is_refused_in_words(tmp_path, text, words):
    (tmp_path / "bad.md").write_text(text)
    with pytest.raises(InputError, match=words):
        pages.read_page(tmp_path / "bad.md")


def test_a_page_that_is_too_large_or_no_text_is_refused(tmp_path):
    (tmp_path / "a.md").write_bytes(b"x" * (pages.BYTES + 1))
    (tmp_path / "b.md").write_bytes(b"\xff\xfe\x00")
    for name, content in (("c.ipynb", "[" * 100_000), ("d.ipynb", '{"cells": 3}'), ("e.ipynb", '{"cells": [{}]}')):
        (tmp_path / name).write_text(content)
    for name in ("a.md", "b.md", "c.ipynb", "d.ipynb", "e.ipynb", "nothing.md"):
        with pytest.raises(InputError):
            pages.read_page(tmp_path / name)


def test_a_folder_beside_a_lesson_cannot_lead_out_by_a_link(tmp_path):
    (tmp_path / "lesson").mkdir()
    (tmp_path / "lesson" / "set").symlink_to("/")
    (tmp_path / "lesson" / "page.md").write_text("---\nfolder: set\n---\nWords.\n")
    with pytest.raises(InputError, match="leads out"):
        af.lesson.open(tmp_path / "lesson" / "page.md", keep=False).samples()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Plan.of("A b"),
        lambda: Plan.of("a", minutes=-1),
        lambda: Plan.of("a", seed="x"),
        lambda: Plan.of("a", objectives="one"),
        lambda: Plan.of("a", title="x" * 999),
        lambda: Plan.of("a", samples={"evil": 1}),
        lambda: Plan.of("a", samples={"n": 3}),
        lambda: Task.of("t", "?", {"number": 1}, hints=["x"] * 11),
        lambda: Question.of("q", "?", ["a", "a"]),
    ],
)
def test_a_plan_is_bounded(make):
    with pytest.raises(InputError):
        make()


def test_a_name_is_a_question_or_a_task_and_a_cell_may_run_again():
    it = lesson()
    it.predict("a", "Why?")
    it.predict("a", "Why then?")
    assert it.question("a").text == "Why then?" and len(it.plan.items) == 1
    with pytest.raises(InputError, match="already is a question"):
        it.task("a", "?", {"number": 1})
    with pytest.raises(UnknownNameError, match="task in this lesson"):
        it.check("b", 1)


def test_every_way_of_answering_is_known():
    assert [
        asks(s)
        for s in (
            {"count": {}},
            {"text": "a"},
            {"ids": {}},
            {"samples": {}},
            {"all": [{"number": 1}, {"share": {}}]},
            {"any": [{"number": 1}, {"text": "a"}]},
            None,
        )
    ] == ["number", "text", "ids", "code", "number", "code", "code"]


# ---- a class ---------------------------------------------------------------------------------------------------------


def handed_in(folder, student, answer, tries, hints=0, seed=0, lesson_name="gaps", game=None):
    plan = Plan.of(lesson_name, "Gaps", seed=seed)
    plan.add(Question.of("better", "Will it?", ["yes", "no"]))
    plan.add(Task.of("n", "How many?", {"number": 3}, hints=["a", "b"]))
    it = Session(plan, student, keep=False)
    it.answer("better", answer)
    it.saw("better", "no")
    for _ in range(hints):
        it.hint("n")
    for one in tries:
        it.check("n", one)
    if game:
        it.note_latest("eye", "played", game=game)
    return it.save(folder / f"{student or 'nameless'}-{len(list(folder.iterdir()))}.lesson.json")


def test_a_class_becomes_a_table(tmp_path):
    game = {"classes": ["bogus", "real"], "rows": [["a", 0, 0, 0], ["b", 1, 0, 1]], "models": 0.4, "chance": 0.1}
    handed_in(tmp_path, "Ada", "no", [3], game=game)
    handed_in(tmp_path, "Bob", "yes", [1, 2, 3], hints=1, game={**game, "rows": [["a", 0, 1, 0], ["b", 1, 1, 1]]})
    handed_in(tmp_path, "Cay", "yes", [1], seed=4)
    handed_in(tmp_path, "Dee", "no", [], lesson_name="other")
    (tmp_path / "broken.json").write_text("{")
    book = af.lesson.read_class(tmp_path)
    table = {row["student"]: row for row in book.table}
    assert list(table) == ["Ada", "Bob", "Cay"] and len(book) == 3
    assert [(r["right"], r["unaided"], r["tries"], r["hints"], r["contest"]) for r in table.values()] == [(1, 1, 1, 0, 2), (1, 0, 3, 1, 2), (0, 0, 1, 0, 0)]
    assert table["Ada"]["contest_right"] == 0.5 and np.ma.is_masked(table["Cay"]["contest_right"])
    tasks = book.tasks()
    assert [tuple(row) for row in tasks] == [("n", 3, 2, 1, 1, 2.0, 1, 0)]
    said = book.answers("better")
    assert [tuple(r) for r in said] == [("yes", 2), ("no", 1)] and said.meta["outcome"] == "no"
    told = book.confusion("eye")
    assert told["people"] == 2 and told["matrix"] == [[1, 1], [1, 1]] and told["model"] == [[2, 0], [0, 2]] and told["looks"] == [0.4, 0.1]
    assert told["hardest"] == [["a", 2, 0.5], ["b", 2, 0.5]]
    problems = " ".join(book.problems.values())
    assert len(book.problems) == 3 and "another seed" in problems and "'other'" in problems and "no JSON" in problems
    for call in (lambda: book.answers("none"), lambda: book.confusion("better")):
        with pytest.raises(UnknownNameError):
            call()


def test_who_hands_in_twice_is_read_once(tmp_path):
    first, second = handed_in(tmp_path, "Ada", "no", [1]), handed_in(tmp_path, "Ada", "no", [3])
    text = json.loads(second.read_text())
    text["events"] = [{**e, "at": "2099-01-01T00:00:00Z"} for e in text["events"]]
    second.write_text(json.dumps(text))
    book = af.lesson.read_class([first, second])
    assert len(book) == 1 and book.table["right"][0] == 1 and "again" in book.problems[first.name]


EVIL = "<img src=x onerror=alert(1)>"


def evil_files():
    good = json.loads(json.dumps(Session(Plan.of("gaps", EVIL), EVIL, keep=False).progress()))
    many = {**good, "events": [{"at": "x", "item": "n", "what": "checked", "ok": True}] * 6000}
    odd = [
        {"at": 3, "item": "n", "what": "checked", "ok": "yes", "answer": {"a": 1}}, {"item": "../../x", "what": "checked"}, {"item": "n", "what": "__class__"}, 7, None, {"at": EVIL, "item": "n", "what": "checked", "ok": True, "answer": EVIL, "words": EVIL * 999},
        {"item": "eye", "what": "played", "game": {"classes": [EVIL, 3], "rows": [["a", 0, 99, 0], ["b", 0, 0, 0], [1], "x", ["c", True, 0, 0]], "models": 7, "chance": "x"}}, {"item": "eye", "what": "played", "game": []},
        {"item": "why", "what": "answered", "answer": 1e308 * 10}, {"item": "why", "what": "answered", "answer": [EVIL] * 500},
    ]  # fmt: skip
    return {
        "many": many, "odd": {**good, "events": odd, "seed": "x", "software": 3, "samples": [1]}, "deep": "[" * 100_000, "list": [], "version": {**good, "version": 2}, "noname": {**good, "lesson": {"name": "../x"}},
        "bytes": b"\xff\xfe\x00", "large": b" " * (progress.BYTES + 1), "formula": {**good, "student": '=HYPERLINK("http://evil","x")', "events": []}, "pickle": b"\x80\x04\x95cos\nsystem\n",
    }  # fmt: skip


def test_a_hostile_class_is_bounded_escaped_and_executes_nothing(tmp_path):
    for name, content in evil_files().items():
        raw = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content)).encode()
        (tmp_path / f"{name}.json").write_bytes(raw)
    (tmp_path / "folder.json").mkdir()
    book = af.lesson.read_class(tmp_path)
    assert set(book.problems) == {f"{n}.json" for n in ("many", "deep", "list", "version", "noname", "bytes", "large", "pickle")}
    assert len(book) == 2
    shown = book._repr_html_()
    assert "<img" not in shown and "&lt;img" in shown
    assert book.confusion("eye")["matrix"] == [[1, 0], [0, 0]] and book.confusion("eye")["hardest"] == [["b", 1, 1.0]]
    assert max(len(str(v)) for row in book.table for v in row) <= 200 and len(book.answers("why")["answer"][0]) <= 400
    lines = book.save(tmp_path / "class.csv").read_text().splitlines()
    assert any(line.startswith("\"'=HYPERLINK") for line in lines) and not any(line.startswith("=") for line in lines)


def test_a_class_that_is_not_there(tmp_path):
    for source in (tmp_path, tmp_path / "no", []):
        with pytest.raises(InputError):
            af.lesson.read_class(source)
    with pytest.raises(InputError, match="the most"):
        af.lesson.read_class(["x.json"] * 2001)


@pytest.mark.parametrize("page", ["lessons", "teachers-guide"])
def test_the_code_of_the_pages_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs" / f"{page}.md").read_text()
    names = {}
    for code in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        exec(compile(code, f"docs/{page}.md", "exec"), names)
    assert len(names["book"]) == 1 and (names["book"].answers("better")["answer"][0] == "yes" if page != "lessons" else names["everybody"]["people"] == 1)


def test_the_page_in_the_documentation_is_a_lesson(tmp_path):
    text = (Path(__file__).parents[1] / "docs" / "lessons.md").read_text()
    (tmp_path / "gaps.md").write_text(re.search(r"^````text\n(.*?)^````", text, re.DOTALL | re.MULTILINE)[1])
    it = af.lesson.open(tmp_path / "gaps.md", keep=False)
    missing = int((~it.samples().present("spectrum")).sum())
    assert list(it.plan.items) == ["better", "missing"] and it.check("missing", missing) and "have one" in str(it.check("missing", 80 - missing))
