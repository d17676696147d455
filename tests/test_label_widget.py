"""Label and learn, in Python and in Chromium by keyboard: blind until labelled, several annotators, undo, retrain with its curve, faults, a saved page."""

import errno
import threading

import numpy as np
import pytest
from browser import chromium
from conftest import make_toy_samples
from test_views import LOOKS, Stage, key

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.samples.annotations_book import LabelBook
from astrofuse_lab.training import label_rounds
from astrofuse_lab.widgets.base import STATIC

EVIL = "<img src=x onerror=window.hit=1>"
built = pytest.mark.skipif(not (STATIC / "label.js").is_file(), reason="browser: the views are not built; run make front-end")
pytestmark = built
SET = make_toy_samples(40)
CLASSES = sorted(set(SET.column("label").tolist()))
TRUTH = {str(i): str(v) for i, v in zip(SET.object_ids, SET.column("label"), strict=True)}
QUICK = {"recipe": "late_fusion", "modalities": ["table", "spectrum"], "epochs": 2, "device": "cpu"}


@pytest.fixture
def made():
    widgets = []

    def make(samples=SET, classes=CLASSES, **options):
        widget = af.LabelWidget(samples, classes, **{"book": LabelBook(), **QUICK, **options})
        assert widget.wait()
        widgets.append(widget)
        return widget

    yield make
    for widget in widgets:
        widget.close()


def queue(widget):
    return [str(SET.object_ids[p]) for p in np.frombuffer(widget.queue["positions"]["data"], "<i4")]


def codes(widget):
    given = widget.given
    return dict(zip(np.frombuffer(given["positions"]["data"], "<i4").tolist(), np.frombuffer(given["codes"]["data"], "<i4").tolist(), strict=True))


def label_all(widget, ids, by=None):
    for i in ids:
        widget.book.say(i, TRUTH[i], by=by or widget.annotator)


# ---- Python ------------------------------------------------------------------------------------------------------------


def test_labels_are_told_kept_and_taken_back(made, tmp_path):
    widget = made(book=tmp_path / "labels.jsonl", annotator="ann")
    first = queue(widget)[0]
    assert widget.selection.focus == first and widget.queue["by"] == "random" and "until a model is trained" in widget.queue["note"]
    at = widget._place[first]
    widget._handle_custom_msg({"type": "do", "verb": "say", "position": at, "code": 1}, [])
    widget.wait()
    assert widget.book.get(first, "ann").label == CLASSES[1] and codes(widget) == {at: 1} and widget.tally["per"] == [0, 1, 0]
    widget._handle_custom_msg({"type": "do", "verb": "say", "position": at, "code": -1}, [])
    widget.wait()
    assert codes(widget) == {at: -1} and widget.tally["unsure"] == 1 and widget.last["said"] == "not sure"
    widget.undo()
    assert codes(widget) == {at: 1} and widget.tally["undo"] == 1 and widget.tally["redo"] == 1
    widget.redo()
    assert codes(widget) == {at: -1}
    again = made(book=tmp_path / "labels.jsonl", annotator="ann")  # a later kernel
    assert codes(again) == {at: -1} and first not in queue(again)
    again.book.say(first, "from elsewhere", by="ann")
    assert codes(again) == {at: -2} and again.tally["other"] == 1
    for verb, arguments, match in (("say", {"position": 99, "code": 0}, "no sample at 99"), ("say", {"position": 0, "code": 7}, "no class 7"), ("say", {"position": "x", "code": 0}, "no sample at")):
        again._handle_custom_msg({"type": "do", "verb": verb, **arguments}, [])
        again.wait()
        assert match in again.error


def test_what_judges_is_never_offered_nor_learned(made):
    widget = made(truth="label")
    test = set(widget.split.test)
    assert test and not test & set(queue(widget)) and len(queue(widget)) == len(SET) - len(test) and widget.tally["test"] == widget.tally["judged"] == len(test)
    with pytest.raises(InputError, match="held out for judging"):
        widget.say(min(test), CLASSES[0])
    widget.book.say(min(test), CLASSES[0])  # whoever writes it into the book all the same does not teach it
    assert min(test) not in widget.labels()
    assert made(truth="label").split == widget.split  # the same in every kernel
    run = af.train("late_fusion", SET, "label", ["table", "spectrum"], SET.split(test=0.4, seed=5), epochs=1, device="cpu", progress=False)
    assert made(run=run).split is run.split


def test_without_known_labels_judges_are_labelled_by_chance_and_only_judge(made):
    widget = made()
    test = set(widget.split.test)
    label_all(widget, widget._pool[:12])
    widget.retrain()
    assert widget.rounds[-1]["value"] is None and widget.rounds[-1]["labels"] == 12 and widget.rounds[-1]["random"] is None
    widget.judging = True
    widget.wait()
    assert set(queue(widget)) == test and widget.queue["by"] == "random"
    for i in queue(widget):
        widget.say(i, TRUTH[i])
    assert not test & set(widget.labels()) and widget.tally["judged"] == len(test)
    widget.retrain()
    point = widget.rounds[-1]
    assert point["tested"] == len(test) and point["low"] <= point["value"] <= point["high"] and point["labels"] == 12
    assert set(widget.run.split.train) | set(widget.run.split.validation) == set(widget._pool[:12])


def test_a_round_adds_a_point_beside_chance_and_outlives_the_kernel(made, tmp_path):
    widget = made(book=tmp_path / "labels.jsonl", truth="label", by="margin", out=tmp_path / "runs")
    assert widget.chance and widget.known
    label_all(widget, widget._pool[:14])
    widget.retrain()
    point = widget.rounds[0]
    np.testing.assert_allclose(point["gain"][0], point["value"] - point["random"]["value"], atol=1e-9)
    assert point["gain"][1] <= point["gain"][0] <= point["gain"][2]
    assert point["labels"] == point["random"]["labels"] == 14 and point["metric"] == "balanced_accuracy" and widget.queue["by"] == "margin"
    assert not set(queue(widget)) & set(widget._pool[:14]) and widget.run.classes and (tmp_path / "runs" / "labels-14" / "run.json").is_file()
    again = made(book=tmp_path / "labels.jsonl", truth="label")
    assert again.rounds == [point]
    again.chance = False
    label_all(again, widget._pool[14:16])
    again.retrain()
    assert [p["labels"] for p in again.rounds] == [14, 16] and again.rounds[1]["random"] is None


def test_labels_do_not_wait_for_a_training_and_stop_works(made, monkeypatch):
    widget, go, begun = made(truth="label"), threading.Event(), threading.Event()
    label_all(widget, widget._pool[:14])
    real = label_rounds.train

    def slow(*given, **options):
        begun.set()
        assert go.wait(30)
        return real(*given, **options)

    monkeypatch.setattr(label_rounds, "train", slow)
    widget._handle_custom_msg({"type": "do", "verb": "retrain"}, [])
    assert begun.wait(30) and widget.busy
    free = widget._pool[20]
    widget._handle_custom_msg({"type": "do", "verb": "say", "position": widget._place[free], "code": 0}, [])
    assert widget._quick.drain(30) and widget.book.get(free).label == CLASSES[0] and widget.busy
    widget.stop = True
    go.set()
    widget.wait()
    assert widget.rounds == [] and not widget.busy and "no point was added" in widget.status


def test_the_sample_looked_at_does_not_change_under_the_hand(made):
    widget = made(by="random")
    second = queue(widget)[1]
    widget.selection.focus = second
    widget.by = "diverse"  # another queue
    widget.wait()
    assert widget.selection.focus == second
    widget.say(second, CLASSES[0])
    widget.refill()  # as after a training: it was labelled, but others of the queue wait
    assert widget.selection.focus == second
    for i in queue(widget):
        widget.say(i, CLASSES[0])
    widget.book.say(second, "", by="me")
    widget.refill()
    assert queue(widget) == [second] and widget.selection.focus == second
    widget.selection.focus = queue(widget)[0]
    widget.judging = True
    widget.wait()
    assert widget.selection.focus in widget._test


def test_answers_are_blind_until_the_sample_is_labelled(made):
    run = af.train("late_fusion", SET, "label", ["table", "spectrum"], epochs=1, device="cpu", progress=False)
    widget = made(run=run, annotator="ann", truth="label", votes=2)
    at = widget._place[queue(widget)[0]]
    widget.book.say(str(SET.object_ids[at]), CLASSES[2], by="bob")
    assert widget.answer(f"said/{at}") == {"hidden": True, "model": True, "card": None, "votes": []}
    shown = widget.answer(f"sample/{at}")
    assert {one[0] for one in shown["columns"]} == {"ra", "dec", *SET.inputs} and shown["modalities"]  # no column that may tell the label
    widget.say(str(SET.object_ids[at]), CLASSES[0])
    told = widget.answer(f"said/{at}")
    assert told["card"]["prediction"] in CLASSES and "truth" not in told["card"] and told["votes"] == [{"who": "bob", "label": CLASSES[2]}]
    assert widget.tally["apart"] == [at] and widget.annotators == ["ann", "bob"] and "1 objects" in widget.agreement["says"]
    widget.annotator = "carl"  # two have labelled it: it is not asked a third time
    widget.wait()
    assert str(SET.object_ids[at]) not in queue(widget) and codes(widget) == {}
    widget.annotator = " "
    widget.wait()
    assert widget.annotator == "carl" and "needs a name" in widget.error
    assert made(run=run, blind=False).answer(f"said/{at}")["card"]["p"]
    several = af.Ensemble([run, af.train("late_fusion", SET, "label", ["table", "spectrum"], epochs=1, seed=1, device="cpu", progress=False)])
    asked = made(run=several, by="bald", blind=False)
    assert asked.queue["by"] == "bald" and asked.answer(f"said/{at}")["card"]["p"] and "mutual information" in asked.queue["why"][0]


def test_arguments_are_checked_and_files_written(made, tmp_path):
    for classes in ([], ["a", "a"], ["a", ""], ["a", "Not sure"]):
        with pytest.raises(InputError, match="different labels"):
            af.LabelWidget(SET, classes, book=LabelBook())
    with pytest.raises(UnknownNameError, match="no strategy"):
        af.LabelWidget(SET, CLASSES, book=LabelBook(), by="entropie")
    widget = made(place=str(tmp_path / "mine"))
    with pytest.raises(UnknownNameError, match="no class"):
        widget.say(str(SET.object_ids[0]), "gal")
    label_all(widget, widget._pool[:2])
    widget._handle_custom_msg({"type": "do", "verb": "export"}, [])
    widget.wait()
    assert (tmp_path / "mine").read_text().count("\n") == 3 and "2 objects written" in widget.written
    widget._handle_custom_msg({"type": "do", "verb": "retrain"}, [])
    widget.wait()
    assert "two classes with 2 labels each are needed" in widget.error and not widget.busy
    exec(widget.code, {"af": af, "samples": SET, "split": widget.split, "run": None})


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_samples_one_class(made, count):
    widget = made(SET.take(range(count)), [CLASSES[0]])
    assert widget.split is None and len(queue(widget)) == count and widget.tally["pool"] == count and widget.error == ""
    for i in SET.object_ids[:count]:
        widget.say(str(i), CLASSES[0])
    widget.refill()
    assert queue(widget) == [] and widget.tally["mine"] == count


def test_it_is_hosted_by_panel(made, tmp_path):
    """Gestures come and traits go as in the workbench, without ipywidgets' manager."""
    from astrofuse_lab.widgets.hosting import Channel, Hosted

    channel, heard = Channel(), []
    widget = made(book=tmp_path / "labels.jsonl", comm=channel)
    shown = Hosted(widget)
    assert shown._widget is widget
    channel.listeners.append(heard.append)
    at = widget._place[queue(widget)[0]]
    channel.receive({"method": "custom", "content": {"type": "do", "verb": "say", "position": at, "code": 2}})
    channel.receive({"method": "update", "state": {"annotator": "bob"}, "buffer_paths": []})
    widget.wait()
    assert codes(widget) == {} and widget.annotator == "bob" and LabelBook(widget.book.path).get(str(SET.object_ids[at]), "me").label == CLASSES[2]
    assert {"given", "tally", "queue"} <= {name for message in heard if message["method"] == "update" for name in message["state"]}


# ---- the page ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=LOOKS)
def stage(request):
    dark, width = request.param
    with chromium(width=width, height=900, dark=dark) as browser:
        made = Stage(browser, dark, width)
        yield made
        made.end()


@pytest.mark.browser
def test_labelling_by_keyboard(stage, tmp_path):
    widget = af.LabelWidget(SET, [*CLASSES, EVIL], book=LabelBook(tmp_path / "labels.jsonl"), annotator="ann", truth="label", **QUICK)
    host = stage.show(widget)
    page = host.page
    host.until(lambda: widget.queue and not widget.busy)
    host.settle()
    host.until(lambda: "asked because" in host.text())
    assert "Prediction and other people's labels are shown once" in host.text() and "No curve yet" in host.text()
    stage.shot(host, "label-first")
    order = queue(widget)
    for number, name in enumerate(order[:5]):
        host.until(lambda name=name: page.locator(".af-id").inner_text() == name)
        key(host, "n" if number == 3 else str(CLASSES.index(TRUTH[name]) + 1))
        host.until(lambda name=name: widget.book.get(name, "ann"))
    host.until(lambda: f"{order[4]}: ann said" in host.text())
    assert widget.book.get(order[3], "ann").unsure and widget.error == ""
    key(host, "u")
    host.until(lambda: widget.selection.focus == order[4] and widget.book.get(order[4], "ann") is None)
    key(host, "y")
    host.until(lambda: widget.book.get(order[4], "ann"))
    label_all(widget, order[5:12])
    key(host, "t")
    host.until(lambda: widget.rounds and not widget.busy, 120)
    host.settle()
    host.until(lambda: page.locator("svg[aria-label*='by number of labels' i]").count())
    assert "by chance" in host.text() and "samples judge" in host.text()
    key(host, "ArrowLeft")
    page.get_by_label("New annotator, press Enter").fill(f"bob {EVIL}"[:20])
    page.get_by_label("New annotator, press Enter").press("Enter")
    host.until(lambda: widget.annotator != "ann" and not widget.busy)
    page.locator("input[data-name=votes]").fill("2")
    page.locator("input[data-name=votes]").press("Tab")
    host.until(lambda: widget.votes == 2 and not widget.busy)
    host.settle()
    for number in range(3):
        name = order[number]
        widget.focus = widget._place[name]
        host.settle()
        key(host, str((CLASSES.index(TRUTH[name]) + (number == 2)) % 3 + 1))
        host.until(lambda name=name: widget.book.get(name, widget.annotator))
    host.settle()
    host.until(lambda: "with different labels" in host.text())
    assert "Cohen's kappa" in host.text()
    widget.focus = widget._place[order[2]]
    host.settle()
    host.until(lambda: "ann: " in host.text())
    stage.shot(host, "label-learned")
    key(host, "?")
    page.get_by_role("button", name="Show the line of Python").click()
    assert "not sure" in host.text() and "af.explain.suggest" in host.text()
    stage.shot(host, "label-keys")
    assert page.evaluate("() => window.hit") is None


@pytest.mark.browser
def test_states_of_the_page(tmp_path, monkeypatch):
    with chromium(width=1024, height=900) as browser:
        stage = Stage(browser, False, 1024)
        host = stage.show(af.LabelWidget(SET.take([]), CLASSES, book=LabelBook()))
        host.settle()
        assert "No samples" in host.text()
        stage.shot(host, "label-empty")
        one = af.LabelWidget(SET.take([0]), CLASSES[:1], book=LabelBook(tmp_path / "labels.jsonl"))
        host = stage.show(one)
        host.until(lambda: one.queue and not one.busy)
        host.settle()

        def full(*_):
            raise OSError(errno.ENOSPC, "no space")

        with monkeypatch.context() as broken:
            broken.setattr(one.book._journal, "_append", full)
            key(host, "1")
            host.until(lambda: "Not on the disk yet" in host.text())
        host.settle()
        assert "toy-0000: me said galaxy" in host.text() and one.book.unsaved
        stage.shot(host, "label-unsaved")
        one.undo()
        host.until(lambda: one.queue["pool"] == 1 and not one.busy)
        host.settle()
        assert not one.book.unsaved and "Not on the disk yet" not in host.text() and "Nothing left to ask" not in host.text()
        key(host, "1")
        host.until(lambda: len(LabelBook(tmp_path / "labels.jsonl")) == 1 and not one.busy)
        one.selection.focus = ""
        host.until(lambda: "Nothing left to ask" in host.text())
        stage.shot(host, "label-done")
        stage.end()


@pytest.mark.browser
def test_a_saved_page_shows_labels_and_curve_and_asks_nothing(tmp_path):
    widget = af.LabelWidget(SET, CLASSES, book=LabelBook(), truth="label", **QUICK)
    widget.wait()
    label_all(widget, widget._pool[:14])
    widget.retrain()
    widget.focus = widget._place[widget._pool[0]]
    widget.wait()
    path = widget.save(tmp_path / "page.html", stored=8)
    with chromium(width=1024, height=900) as browser:
        page = browser.page()
        page.goto(path.as_uri())
        page.locator("svg[aria-label*='by number of labels' i]").wait_for()
        page.locator(".af-label-line").get_by_text("the model").wait_for()
        assert page.get_by_role("button", name="Retrain").is_disabled() and page.locator(".af-label-bar .af-chip").first.is_disabled()
        assert widget._pool[0] in page.inner_text("body")
        browser.shot(page, "label-saved", full=True)
        assert browser.errors == [] and browser.foreign == []
    widget.close()
