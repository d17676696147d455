"""The notebook that the workbench writes, and sessions: written as it goes, reopened, gone on with; nothing that a stranger wrote is run."""

import ast
import json
import runpy

import numpy as np
import pytest
from conftest import make_toy_samples
from widget_tools import until

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.widgets import session as sessions
from astrofuse_lab.widgets.base import STATIC
from astrofuse_lab.widgets.fetch_code import Settings, code_of
from astrofuse_lab.widgets.notebook_file import Cell, merged, notebook_of, plain, read_cells, write_notebook
from astrofuse_lab.widgets.story import Story

built = pytest.mark.skipif(not (STATIC / "host.js").exists(), reason="the front end is not built; run: make front-end")
EVIL = "x'); import os; os.system('touch /tmp/owned') #\n<img src=x onerror=alert(1)> ![a](http://evil/b.png)"
FIRST = [Cell("title", "markdown", "# T"), Cell("fetch", "code", "a = 1"), Cell("train", "code", "b = 2")]


def texts(path):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]


def edit(path, change):
    data = json.loads(path.read_text())
    change(data["cells"])
    path.write_text(json.dumps(data))


# ---- the notebook as a file ------------------------------------------------------------------------------------------


def test_a_persons_own_cells_stay_where_they_are(tmp_path):
    path = tmp_path / "n.ipynb"
    write_notebook(path, FIRST)
    own = {"cell_type": "code", "metadata": {}, "source": "mine", "outputs": [], "execution_count": 3}
    edit(path, lambda cells: cells.insert(2, own))
    edit(path, lambda cells: cells[1].update(outputs=[{"output_type": "stream", "name": "stdout", "text": "kept"}]))
    write_notebook(path, [*FIRST, Cell("more", "code", "c = 3")])
    assert texts(path) == ["# T", "a = 1", "mine", "b = 2", "c = 3"]
    assert json.loads(path.read_text())["cells"][1]["outputs"][0]["text"] == "kept"
    write_notebook(path, [FIRST[0], Cell("fetch", "code", "a = 9"), FIRST[2]])
    assert texts(path) == ["# T", "a = 9", "mine", "b = 2"]
    assert json.loads(path.read_text())["cells"][1]["outputs"] == []  # those of other code


def test_a_cell_that_a_person_changed_is_theirs(tmp_path):
    path = tmp_path / "n.ipynb"
    write_notebook(path, FIRST)
    edit(path, lambda cells: cells[2].update(source="b = 22  # better"))
    for _ in range(2):
        write_notebook(path, FIRST)
        assert texts(path) == ["# T", "a = 1", "b = 22  # better"]
    for _ in range(2):  # the workbench went on: its new line comes before what the person made of the old one
        write_notebook(path, [*FIRST[:2], Cell("train", "code", "b = 3")])
        assert texts(path) == ["# T", "a = 1", "b = 3", "b = 22  # better"]
    ids = [cell["id"] for cell in json.loads(path.read_text())["cells"]]
    assert len(set(ids)) == len(ids)


def test_what_is_the_same_is_not_written_again_and_what_is_no_notebook_is_left(tmp_path):
    path = tmp_path / "n.ipynb"
    write_notebook(path, FIRST)
    before = path.stat().st_mtime_ns
    write_notebook(path, FIRST)
    assert path.stat().st_mtime_ns == before
    for text in ("", "[]", '{"nbformat": 3, "cells": []}', '{"nbformat": 4, "cells": [1]}', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(StorageError, match="left as it is"):
            write_notebook(path, FIRST)
        assert path.read_text() == text


def test_the_notebook_is_of_the_format(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    odd = [{"cell_type": "code", "id": "same", "metadata": {"astrofuse": 3}, "source": ["x", "y"], "outputs": [], "execution_count": None}] * 2
    nbformat.validate(nbformat.from_dict(notebook_of(merged([dict(one) for one in odd], FIRST))))
    write_notebook(tmp_path / "n.ipynb", FIRST)
    assert read_cells(tmp_path / "n.ipynb")[0][0]["cell_type"] == "markdown"


def test_text_of_data_is_no_markup():
    told = plain(EVIL)
    assert "\n" not in told and "<img" not in told and "![" not in told and "](http" not in told


# ---- what a session says ---------------------------------------------------------------------------------------------

ASKED = {"mode": "region", "center": "150.1 +2.2", "circle": 1.0, "count": 30, "finder": "practice/table", "lines": "", "file": "", "skip": False, "kept": None,
         "surveys": ["practice/image"], "radius": 3.0, "size": 20.0, "options": {"practice/image": {"missing": 0.2}}, "pixels": 32, "scale": 0.5}  # fmt: skip


@pytest.mark.parametrize("name", ["mode", "center", "finder", "lines", "file", "kept", "surveys", "options"])
def test_text_of_a_strangers_session_stays_text_in_the_code(name):
    """Whatever stands in it: the code has the same statements, and the text as one constant."""
    value = {"kept": [EVIL], "surveys": [EVIL], "options": {EVIL: {EVIL: 1}}, "mode": "region"}.get(name, EVIL)
    mode = {"lines": "lines", "file": "file"}.get(name, "region")
    code = code_of(Settings.checked({**ASKED, "mode": mode, name: value}))
    tree = ast.parse(code)
    assert all(isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) for node in tree.body)
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert calls <= {"af.Targets.from_region", "af.Targets.from_text", "af.Targets.from_file", "targets.select", "af.fetch", "af.align", "af.PixelGrid", "af.LogGrid"}


@pytest.mark.parametrize(("name", "value"), [("circle", EVIL), ("count", EVIL), ("pixels", None), ("options", [EVIL]), ("options", {"a": {"b": EVIL}}), ("scale", [1])])
def test_numbers_of_a_strangers_session_must_be_numbers(name, value):
    with pytest.raises(InputError, match="cannot be read"):
        Story.from_json({"fetched": {**ASKED, name: value}})


@pytest.mark.parametrize("parts", [{"fusion": {"name": "gated", "options": {"a=1); evil(": 1}}}, {"encoders": {"image": {"name": "conv2d", "options": {EVIL: 1}}}}, {"head; evil()": {}}])
def test_parts_of_a_strangers_session_bring_no_code(parts):
    one = {"settings": {"recipe": "late_fusion", "parts": parts, "target": "label", "modalities": ["image"], "seed": 0, "epochs": 1}, "state": "finished", "epochs": 1, "metrics": [], "split": True}
    with pytest.raises(InputError):
        Story.from_json({"trainings": [one]})


def test_sessions_that_cannot_be_read_say_so(tmp_path):
    good = sessions.Session().to_json()
    for text in ("", "[]", "{", json.dumps({**good, "format": "other"}), json.dumps({**good, "version": 99}), json.dumps({**good, "version": "1"}), json.dumps({**good, "views": 3}), json.dumps({**good, "step": "x"})):
        (tmp_path / sessions.FILE).write_text(text)
        with pytest.raises(StorageError, match=r"session\.json"):
            sessions.read_session(tmp_path)
    (tmp_path / sessions.FILE).write_text(json.dumps({**good, "views": {"fetch": {"lines": "M31", "_esm": "evil()", "code": "evil()"}, "other": {"x": 1}}}))
    assert sessions.read_session(tmp_path).views == {"fetch": {"lines": "M31"}, "other": {}}  # only what is kept of a view


# ---- kept and reopened -----------------------------------------------------------------------------------------------


def press(widget, verb):
    widget.comm.receive({"method": "custom", "content": {"type": "do", "verb": verb}})
    assert widget.wait(300)
    assert not widget.error, widget.error


def kept(bench):
    """Wait until all is on the disk."""
    until(lambda: not bench.keeper._due)
    assert bench.keeper._worker.drain(60)
    assert not bench.header.error, bench.header.error


@built
def test_a_session_is_kept_as_it_goes_and_comes_back(tmp_path):
    folder = tmp_path / "survey"
    bench = af.workbench(samples=make_toy_samples(40), umap=False, session=folder)
    assert bench.header.session == str(folder) and (folder / "samples" / "manifest.json").exists()
    train = bench.widgets["train"]
    train.recipe, train.modalities, train.epochs = "late_fusion", ["table", "text"], 1
    press(train, "train")
    assert bench.header.step == 1 and "test samples" in bench.header.guide[2]["text"] and bench.header.guide[3]["verb"] == "compare"
    press(bench.header, "compare")
    verdict = bench.comparison.meta["verdict"]
    assert verdict and bench.header.guide[3] == {"text": verdict, "label": "", "go": -1, "verb": ""}
    bench.selection.ids, bench.selection.focus = ("toy-0003", "toy-0005"), "toy-0005"
    bench.widgets["embedding"].colour, bench.header.step = "redshift", 3
    bench.samples.annotate("toy-0007", label="odd", note="a note")
    kept(bench)
    was, metrics, told = bench.code, bench.run.metrics, [cell.source for cell in bench.notebook_cells(folder)]
    bench.close()
    assert texts(folder / "notebook.ipynb") == told and "samples = af.SampleSet.open('samples')\nsamples" in told

    back = af.workbench(session=folder)
    assert back.code == was and back.selection.ids == ("toy-0003", "toy-0005") and back.selection.focus == "toy-0005" and back.header.step == back._tabs.active == 3
    assert back.widgets["embedding"].colour == "redshift" and back.umap is False and back.samples.annotations.get("toy-0007").label == "odd"
    assert [*back.run.metrics["value"]] == [*metrics["value"]] and back.comparison.meta["verdict"] == verdict
    assert back.widgets["train"].state == "finished" and len(back.widgets["train"].runs) == 1 and back.widgets["train"].recipe == "late_fusion"
    # a third one takes its place, and it stops writing
    third = af.workbench(session=folder, umap=False)
    back.header.step = 1
    until(lambda: "opened by another workbench" in back.header.error)
    # the same samples, given anew, find the run that was trained on them; others take their place
    third.close()
    again = af.workbench(samples=make_toy_samples(40), session=folder, umap=False)
    assert again.run is not None and again.story.trainings
    again.close()
    other = af.workbench(samples=make_toy_samples(20, seed=4).take(range(5, 20)), session=folder, umap=False)
    assert other.run is None and not other.story.trainings and len(other.samples) == 15
    kept(other)
    assert len(af.SampleSet.open(folder / "samples")) == 15
    other.close()
    back.close()


@built
def test_from_the_head_a_session_is_kept_refused_and_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, two = af.workbench(samples=make_toy_samples(12), umap=False), af.workbench(umap=False)
    head = one.header
    head.place = str(tmp_path / "first")
    press(head, "keep")
    assert head.session == str(tmp_path / "first")
    head.place = "/proc/none/x"
    head.comm.receive({"method": "custom", "content": {"type": "do", "verb": "keep"}})
    assert head.wait(60) and "/proc/none" in head.error and one.keeper.folder == tmp_path / "first"  # still kept where it was
    two.header.place = str(tmp_path / "first")
    two.header.comm.receive({"method": "custom", "content": {"type": "do", "verb": "keep"}})
    assert two.header.wait(60) and "holds a session already" in two.header.error
    two.header.answer("sessions/1")
    assert two.header.sessions == [str(tmp_path / "first")]
    press(two.header, "open")
    assert len(two.samples) == 12 and two.header.session == str(tmp_path / "first") and two.header.guide[1]["go"] == 2
    one.close()
    two.close()


@built
def test_back_from_code(tmp_path):
    samples = make_toy_samples(30)
    bench = af.workbench(samples=samples, umap=False, session=tmp_path / "s")
    run = af.train("late_fusion", samples, target="label", modalities=["table"], epochs=1, progress=False)
    bench.take(run)
    assert bench.run is run and bench.header.step == 3
    kept(bench)
    assert "run = af.Run.open('run')\nrun.metrics" in texts(tmp_path / "s" / "notebook.ipynb")
    with pytest.raises(InputError, match="needs samples"):
        af.workbench(umap=False).take(run)
    bench.take(samples=samples.take(range(20)))
    assert bench.run is None and len(bench.samples) == 20
    bench.close()


@built
def test_a_visitor_neither_reads_nor_writes_folders_of_the_server(tmp_path, monkeypatch):
    from astrofuse_lab.widgets.visits import place_of, visit

    monkeypatch.chdir(tmp_path)
    shared = make_toy_samples(12).save(tmp_path / "set")
    one, two = visit([str(shared)], ""), visit([str(shared)], "")
    one.samples.annotate("toy-0001", label="mine")
    assert len(two.samples.annotations) == 0 and not (shared / "annotations.json").exists()
    one.header.served = False  # a browser may say so
    for verb, place in (("keep", tmp_path / "there"), ("open", tmp_path)):
        one.header.place = str(place)
        one.header.comm.receive({"method": "custom", "content": {"type": "do", "verb": verb}})
        assert one.header.wait(60) and "not open to visitors" in one.header.error
    one.header.page = str(tmp_path / "there.html")
    press(one.header, "save")
    one.header.answer("sessions/1")
    assert one.header.sessions == [] and sorted(p.name for p in tmp_path.iterdir()) == ["set"]
    assert one.header.answer(one.header.download["key"])["data"].startswith(b"<!doctype html>")
    assert json.loads(one.header.answer("file/notebook-1")["data"])["nbformat"] == 4
    one.close()
    two.close()

    kept_ = visit([str(shared)], tmp_path / "sessions")
    kept_.samples.annotate("toy-0002", label="kept")
    kept(kept_)
    name = kept_.keeper.folder.name
    kept_.close()
    assert place_of(tmp_path / "sessions", name) == tmp_path / "sessions" / name
    for other in ("", "../set", "/etc", "a" * 22, name[:-1]):
        assert place_of(tmp_path / "sessions", other).parent == tmp_path / "sessions" and not place_of(tmp_path / "sessions", other).exists()
    again = af.workbench(session=tmp_path / "sessions" / name, umap=False)
    again.close()
    assert not (shared / "annotations.json").exists()


@built
def test_what_was_fetched_here_is_written_with_where_it_came_from(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "cache"))
    bench = af.workbench(umap=False, session=tmp_path / "s")
    fetch = bench.widgets["fetch"]
    fetch.count, fetch.surveys, fetch.pixels = 12, ["practice/table", "practice/text"], 16
    press(fetch, "fetch")
    assert bench.header.guide[0]["text"].startswith("What was found")
    press(fetch, "align")
    fetch.count = 99  # set since, but nothing was fetched with it
    kept(bench)
    source = "\n".join(texts(tmp_path / "s" / "notebook.ipynb"))
    assert "n=12, survey='practice/table')" in source and "n=99" not in source and "simulated" in source and "## Cite" in source and "### Provenance" in source
    (tmp_path / "again.py").write_text(bench.code.replace("af.plot.coverage(samples)", ""))
    again = runpy.run_path(str(tmp_path / "again.py"))["samples"]
    assert again.object_ids.tolist() == bench.samples.object_ids.tolist() and again.roles == bench.samples.roles
    for name, role in again.roles.items():
        if role == "input":
            assert np.array_equal(again.column(name).filled(0), bench.samples.column(name).filled(0))
    bench.close()
