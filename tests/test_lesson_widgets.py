"""A lesson's card and you against the model: what Python does, what goes over the wire, and both in Chromium by keyboard alone."""

import json

import numpy as np
import pytest
from browser import Lab, chromium, notebook, open_lab, outputs, run_all
from conftest import make_toy_samples
from explain_cases import linear, samples, trained
from host import Host
from widget_tools import any_view, do, shown, until  # noqa: F401

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.lessons.against import contest, look, marked, matrix, score
from astrofuse_lab.lessons.plan import Plan, Question, Task
from astrofuse_lab.lessons.session import Session
from astrofuse_lab.widgets.against import AgainstWidget
from astrofuse_lab.widgets.base import STATIC, Selection
from astrofuse_lab.widgets.lesson import LessonWidget

built = pytest.mark.skipif(not (STATIC / "against.js").is_file(), reason="browser: the views are not built; run make front-end")
HOSTILE = '</script><img src=x onerror="window.hacked=1">'


def session(**more):
    plan = Plan.of("try", "Try", ["see"], 10)
    for one in (
        Question.of("better", "Which?", ["one", "two"]),
        Question.of("width", "How wide?", unit="arcsec"),
        Task.of("n", "How many?", {"count": {"missing": "spectrum"}}, hints=["h1"], reveal="Count."),
        Task.of("far", "Which?", {"ids": {"missing": "spectrum"}}),
    ):
        plan.add(one)
    return Session(plan, keep=False, **more).use(samples=samples())


# ---- the card --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_view")
def test_the_card_answers_checks_and_hides_what_was_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    it, missing = session(), int((~samples().present("spectrum")).sum())
    with shown(LessonWidget(it)) as card, shown(LessonWidget(it, "n")) as one:
        wire = json.dumps([card.plan, card.items, card.body])
        assert "h1" not in wire and "Count." not in wire and "missing" not in wire, "what a task expects stays in Python"
        do(card, "answer", name="better", value="two")
        do(card, "check", name="n", value=str(missing + 1))
        do(card, "hint", name="n")
        card.wait()
        now = {i["name"]: i for i in card.items}
        assert now["better"]["answer"] == "two" and (now["n"]["tries"], now["n"]["shown"], now["n"]["solution"]) == (1, ["h1"], "")
        assert one.items[0]["shown"] == ["h1"], "cards of one lesson show the same"
        do(card, "check", name="n", value=f" {missing},0 ")
        do(card, "reveal", name="n")
        do(card, "save")
        card.wait()
        assert card.items[2]["done"] and card.items[2]["solution"] == f"Count. The data give: {missing}." and card.plan["done"] == 2
        assert (tmp_path / "try.lesson.json").is_file() and card.written.endswith("try.lesson.json")
        do(card, "answer", name="better", value="one")
        card.wait()
        assert "first prediction stands" in card.error
        assert card.title == "Try" and card.code == "lesson = af.lesson.start('try')"
    assert it._watchers == []


@pytest.mark.usefixtures("any_view")
def test_a_task_is_answered_by_what_is_selected():
    it, chosen = session(), Selection()
    with shown(LessonWidget(it, "far", chosen)) as card:
        do(card, "check", name="far")
        card.wait()
        assert "nothing is selected" in card.error and it.state == {}
        chosen.ids = tuple(samples().object_ids[~samples().present("spectrum")])
        do(card, "check", name="far")
        card.wait()
        assert it.state["far"]["ok"] and card.error == ""


# ---- the game --------------------------------------------------------------------------------------------------------


def held():
    run = trained()
    return set(run.split.test or run.split.validation)


def test_the_samples_were_held_out_are_even_and_the_same_for_the_class():
    run = trained()
    one, again, other = (contest("eye", run, samples(), 6, seed) for seed in (1, 1, 2))
    assert one.ids == again.ids != other.ids and set(one.ids) <= held() and len(set(one.ids)) == len(one.ids)
    assert set(one.truth.tolist()) == {0, 1, 2}
    said = {str(r["object_id"]): str(r["prediction"]) for r in run.predict(samples())}
    assert [one.classes[k] for k in one.model] == [said[i] for i in one.ids]


@pytest.mark.parametrize("case", ["learned", "regression", "n", "name"])
def test_a_game_that_would_be_none_is_refused(case):
    run = trained()
    with pytest.raises(InputError):
        if case == "learned":
            contest("eye", run, samples().select(run.split.train))
        elif case == "regression":
            contest("eye", trained("late_fusion", "redshift"), samples())
        else:
            contest("eye" if case == "n" else "An Eye", run, samples(), 1 if case == "n" else 5)


def test_the_score_is_counted_by_hand():
    game = contest("eye", trained(), samples(), 6, 1)
    given = {i: int(t) if k < 2 else (int(t) + 1) % 3 for k, (i, t) in enumerate(zip(game.ids[:4], game.truth, strict=False))}
    found = score(game, given)
    right = sum(int(m) == int(t) for m, t in zip(game.model[:4], game.truth, strict=False))
    assert (
        (found["n"], found["you"]["right"], found["model"]["right"]) == (4, 2, right)
        and np.sum(found["you"]["matrix"]) == 4
        and np.trace(found["you"]["matrix"]) == 2
    )
    assert found["you"]["low"] == pytest.approx(0.150, abs=0.001) and found["you"]["high"] == pytest.approx(0.850, abs=0.001)  # Wilson, 2 of 4
    assert found["only_you"] == sum(int(m) != int(t) for m, t in zip(game.model[:2], game.truth, strict=False))
    assert matrix([0, 1, -1], [1, 1, 0], 2) == [[0, 1], [0, 1]]


def test_what_lies_under_the_marks():
    under = marked("image", [[0.5, 0.25]], (50, 50))
    assert under[12, 25] and not under[25, 25] and under.mean() == pytest.approx(np.pi * 0.08**2, rel=0.1)
    values = np.zeros((50, 50), dtype=np.float32)
    values[12, 25], values[40, 40] = 3, -1
    assert look(values, under)[0] == 0.75
    line = marked("spectrum", [[0.5, 0]], (101,))
    assert line[47:54].all() and not line[:46].any() and not line[55:].any() and not marked("spectrum", [], (101,)).any()
    assert look(np.full(4, np.nan), np.ones(4, dtype=bool)) == (0.0, 1.0)


@pytest.mark.usefixtures("any_view")
def test_the_answer_is_in_python_until_the_person_has_given_one():
    it = session()
    with shown(AgainstWidget(linear(), samples(), 6, 1, session=it, name="eye")) as game:
        truth = [game.classes[k] for k in game.game.truth]
        assert game.told["truth"] == [-1] * len(truth) and game.score["n"] == 0 and game.answer("look/0") == {"hidden": True}
        columns = {c[0] for c in game.answer("sample/0")["columns"]}
        assert "label" not in columns and "redshift" not in columns and "is_star" not in columns
        assert game.page_keys(0) == ("sample/0",)
        do(game, "say", position=0, code=game.classes.index(truth[0]), marks={"image": [[0.5, 0.5], [9, 9], "x"], "none": [[0, 0]], "table": []})
        until(lambda: game.score["n"] == 1)
        assert game.told["truth"][1:] == [-1] * (len(truth) - 1) and game.score["you"]["right"] == 1
        told = game.answer("look/0")
        assert told["card"]["truth"] == truth[0] and told["marks"] == {"image": [[0.5, 0.5]], "table": []}
        rows = {r["modality"]: r for r in told["looks"]}
        assert sum(r["share"] for r in rows.values()) == pytest.approx(1, abs=1e-5)
        one = game.samples.take([0])
        if bool(one.present("image")[0]):
            found = af.explain.attribute(linear(), one)
            size = np.abs(found.per_place("image")[0] * found.place_mask("image")[0])
            v, u = np.meshgrid((np.arange(16) + 0.5) / 16, (np.arange(16) + 0.5) / 16, indexing="ij")
            assert rows["image"]["under"] == pytest.approx(size[np.hypot(u - 0.5, v - 0.5) <= 0.08].sum() / size.sum(), rel=1e-4)
        with pytest.raises(InputError, match="first answer stands"):
            game.say(game.game.ids[0], truth[0])
        for bad in ({"position": 99, "code": 0}, {"position": 1, "code": 9}, {"position": "x", "code": 0}, {"position": 1}):
            game.error = ""
            do(game, "say", **bad)
            until(lambda: game.error)
        for i, label in zip(game.game.ids[1:], truth[1:], strict=True):
            game.say(i, label)
        assert it.done() == (1, 5) and len(it.state["eye"]["played"]["rows"]) == len(truth) and [e["what"] for e in it.events].count("played") == 1
    with shown(AgainstWidget(linear(), samples(), 6, 1, session=it, name="eye")) as again:
        assert again.score["you"]["right"] == len(truth), "a later kernel goes on"


@pytest.mark.usefixtures("any_view")
def test_a_class_of_other_classes_is_refused():
    with pytest.raises(InputError, match="told bogus, real apart"):
        AgainstWidget(linear(), samples(), 4, group={"people": 3, "classes": ["bogus", "real"], "matrix": [[1, 0], [0, 1]]})


# ---- in a browser ----------------------------------------------------------------------------------------------------


@built
@pytest.mark.browser
def test_a_lesson_and_a_game_by_keyboard_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    it = session()
    it.plan.add(Task.of("evil", HOSTILE, {"text": HOSTILE}, hints=[HOSTILE]))
    it.plan.body[:] = [("heading", [1, HOSTILE]), ("text", f"`{HOSTILE}` {HOSTILE}"), ("code", HOSTILE), *(("item", name) for name in it.plan.items)]
    card, game = LessonWidget(it), AgainstWidget(trained(), samples(), 5, 1, session=it, name="eye")
    with chromium(1024, 900) as browser:
        host = Host(browser, card)
        page = host.page
        page.get_by_label("one", exact=True).focus()
        page.keyboard.press("ArrowDown")  # the second choice
        page.get_by_role("button", name="Store my prediction of better").focus()
        page.keyboard.press("Enter")
        host.until(lambda: it.answered("better"))
        page.get_by_text("You predicted: two").wait_for()
        host.settle()
        page.get_by_label("Your answer to n").focus()
        page.keyboard.type(str(int((~samples().present("spectrum")).sum())))
        page.keyboard.press("Enter")
        host.until(lambda: it.state.get("n", {}).get("ok"))
        page.get_by_text("right after 1 try").wait_for()
        page.get_by_role("button", name="Save progress for the teacher").focus()
        page.keyboard.press("Enter")
        host.until(lambda: card.written)
        assert len(af.lesson.read_class(tmp_path)) == 1
        host.settle()
        assert HOSTILE in host.text() and page.evaluate("() => window.hacked") is None and page.locator("#view img").count() == 0
        browser.shot(page, "lesson-light", full=True)
        host.close()

        host = Host(browser, game, dark=True)
        page = host.page
        present = samples().select([game.game.ids[0]]).present("image")[0]
        host.until(lambda: page.locator(".af-slot").count() >= 5)
        if present:
            stack = page.locator('.af-slot[data-kind="image"] .af-stack')
            stack.focus()
            page.keyboard.press("Shift+ArrowUp")
            page.keyboard.press("m")  # mark the place that is read
            page.locator(".af-mark").wait_for(state="attached")
        page.locator("section.af").focus()
        page.keyboard.press("2")
        host.until(lambda: game.given.get(game.game.ids[0]) == 1)
        host.until(lambda: page.get_by_text("share of the network's attribution").count(), 90)
        host.settle()
        assert "The network says" in host.text() and "under your marks" in host.text()
        if present:
            (place,) = game._marks[game.game.ids[0]]["image"]
            assert 0.4 < place[0] < 0.6 and 0.4 < place[1] < 0.6 and page.locator(".af-mark").count() == 1
            assert "of it, on" in host.text()
        browser.shot(page, "against-dark", full=True)
        page.get_by_role("button", name="Next", exact=True).focus()
        page.keyboard.press("Enter")
        host.until(lambda: game.focus == 1)
        host.close()
        assert browser.errors == [] and browser.foreign == []
    card.close()
    game.close()


@built
@pytest.mark.browser
def test_a_click_marks_the_place_and_a_second_takes_it_away():
    data = make_toy_samples(40)
    game = AgainstWidget(trained(), data, 4, 3)
    at = next(k for k, i in enumerate(game.game.ids) if all(data.select([i]).present(m)[0] for m in ("image", "spectrum", "text")))
    game.selection.focus = game.game.ids[at]
    with chromium(1280, 1000) as browser:
        host = Host(browser, game)
        page = host.page
        host.until(lambda: page.locator('.af-slot[data-kind="spectrum"] svg.af-plot').count())
        image, plot = page.locator('.af-slot[data-kind="image"] .af-stack'), page.locator('.af-slot[data-kind="spectrum"] svg.af-plot')
        box = image.bounding_box()
        image.click(position={"x": 0.25 * box["width"], "y": 0.25 * box["height"]})
        frame = plot.locator("rect.frame").bounding_box()
        page.mouse.click(frame["x"] + 0.5 * frame["width"], frame["y"] + 20)
        page.locator(".af-mark-band").wait_for(state="attached")
        ring = page.locator(".af-mark").bounding_box()
        assert ring["x"] + ring["width"] / 2 - box["x"] == pytest.approx(0.25 * box["width"], abs=2) and ring["y"] + ring["height"] / 2 - box[
            "y"
        ] == pytest.approx(0.25 * box["height"], abs=2)
        page.mouse.click(frame["x"] + 0.5 * frame["width"] + 2, frame["y"] + 60)
        page.locator(".af-mark-band").wait_for(state="detached")
        page.get_by_role("button", name="text", exact=True).click()
        page.keyboard.press("1")
        host.until(lambda: game.given)
        marks = game._marks[game.game.ids[at]]
        assert marks["image"][0] == pytest.approx([0.25, 0.75], abs=0.01) and marks["spectrum"] == [] and marks["text"] == []
        host.close()
    game.close()


CELLS = [
    'import astrofuse_lab as af\nlesson = af.lesson.start("in-lab", title="In the lab", objectives=["see gaps"], minutes=5, seed=2, samples="practice", n=12)\nsamples = lesson.samples()\nlesson',
    'lesson.predict("better", "Will spectra be missing more often than images?", ["yes", "no"])',
    'lesson.after("better", lambda: samples.coverage(), outcome="no")',
    'lesson.task("gaps", "How many have no spectrum?", {"count": {"missing": "spectrum"}}, hints=["count"])',
    'gaps = ...\naf.lesson.check("gaps", gaps)',
]


@built
@pytest.mark.browser
def test_in_jupyterlab_the_result_comes_with_the_prediction_and_stays_after_a_restart(tmp_path):
    notebook(tmp_path / "work" / "lesson.ipynb", CELLS)
    with Lab(tmp_path, environment={"ASTROFUSE_CACHE": str(tmp_path / "cache")}) as lab, chromium(1280, 1400) as browser:
        page = browser.page()
        open_lab(page, lab, "lesson.ipynb", 120)
        run_all(page, 300)
        assert [o for cell in outputs(page) for o in cell if o["output_type"] == "error"] == []
        page.get_by_text("The result is shown here once you have predicted it").wait_for()
        assert page.get_by_text("to do.").count() and page.locator("th", has_text="modalities").count() == 0
        card = page.locator('section.af[aria-label="AstroFuse: Predict"]')
        card.get_by_label("yes", exact=True).check()
        card.get_by_role("button", name="Store my prediction of better").click()
        page.locator("th", has_text="modalities").first.wait_for()
        card.get_by_text("It came out: no").wait_for()
        browser.shot(page, "lesson-in-jupyterlab")
        page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        page.wait_for_function("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'")
        run_all(page, 300)
        page.locator('section.af[aria-label="AstroFuse: Predict"]').get_by_text("You predicted: yes").wait_for()
        page.locator("th", has_text="modalities").first.wait_for()
        page.close()
        assert browser.foreign == []
