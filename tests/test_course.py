"""The course: every notebook says what it takes, asks before it shows, and its exercises are held against right and wrong answers."""

import json
import re
from pathlib import Path

import pytest
from course_answers import ANSWERS

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
HOLD = ["import sys", "sys.path.insert(0, '../tests')", "import course_answers", "course_answers.hold(lesson, globals())"]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem[:2])
def cells(request):
    return json.loads(request.param.read_text())["cells"]


def text_of(cells, kind):
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def test_there_are_nine():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{i:02d}" for i in range(1, 10)]


def test_a_notebook_says_what_it_takes_and_what_is_simulated(cells):
    first = text_of(cells, "markdown")[0]
    assert first.startswith("# ") and re.search(r"\*\*Time\*\* \| [2-4]\d minutes", first)
    for row in ("You need", "Data", "Simulated"):
        assert f"| **{row}** |" in first, row
    words = text_of(cells, "markdown")
    assert "## What you take away" in words[-1] or "## What you take away" in words[-2]


def test_outputs_are_stripped_and_every_cell_has_a_name(cells):
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")
    names = [cell["id"] for cell in cells]
    assert len(set(names)) == len(names)


def test_what_gives_answers_away_is_folded(cells):
    """The cell that defines the tasks is there to be read, but not at first sight."""
    told = [cell for cell in cells if cell["cell_type"] == "code" and "lesson.task(" in "".join(cell["source"])]
    assert len(told) == 1 and told[0]["metadata"]["jupyter"]["source_hidden"] is True
    assert "course_answers" not in "".join(text_of(cells, "code"))


def test_questions_come_before_results_and_exercises_have_an_open_place(cells):
    code = text_of(cells, "code")
    whole = "\n".join(code)
    (name,) = re.findall(r"af\.lesson\.start\(\s*\"([a-z-]+)\"", whole)
    tasks = re.findall(r"lesson\.task\(\s*\"([a-z-]+)\"", whole)
    assert tasks == [row[0] for row in ANSWERS[name]] or sorted(tasks) == sorted(row[0] for row in ANSWERS[name])
    for task in tasks:
        (cell,) = [one for one in code if f'af.lesson.check("{task}"' in one]
        assert re.search(r"^\w+ = \.\.\.$", cell, re.MULTILINE), f"the exercise {task} has no dots to fill in"
    for question in re.findall(r"lesson\.predict\(\s*\"([a-z-]+)\"", whole):
        asked, shown = (next((i for i, one in enumerate(code) if re.search(rf'lesson\.{verb}\(\s*"{question}"', one)), None) for verb in ("predict", "after"))
        assert shown is not None and asked < shown, f"the question {question} is asked and its result never shown, or the other way round"


def test_nbmake_holds_the_exercises_at_the_end(cells):
    last = [cell for cell in cells if cell["cell_type"] == "code"][-1]
    assert last["metadata"]["nbmake"]["post_cell_execute"] == HOLD


def test_each_task_has_wrong_answers_too():
    for rows in ANSWERS.values():
        assert len(rows) >= 3 and all(len(wrong) >= 2 for _, _, wrong in rows)


def test_all_lessons_are_of_the_course():
    names = {re.search(r"af\.lesson\.start\(\s*\\?\"([a-z-]+)", path.read_text().replace("\\n", "\n").replace('\\"', '"').replace('",\n    "', ""))[1] for path in NOTEBOOKS}
    assert names == set(ANSWERS)
