"""Both sides of the wire name the same traits, verbs and keys; colours are the same; nothing is parsed as HTML."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from astrofuse_lab.widgets import colours
from astrofuse_lab.widgets.base import Base

SOURCES = Path(__file__).parents[1] / "widgets" / "src"
VIEWS = {
    "fetch": "FetchWidget", "samples": "SamplesWidget", "train": "TrainWidget",
    "embedding": "EmbeddingWidget", "attribution": "AttributionWidget", "attention": "AttentionWidget", "contribution": "ContributionWidget", "evaluation": "EvaluationWidget",
    "label": "LabelWidget",
    "lesson": "LessonWidget", "against": "AgainstWidget",
    "header": "HeaderWidget",
}  # fmt: skip
OF_JUPYTER = {"layout", "tabbable", "tooltip"}


def widget_class(view: str) -> type[Base]:
    return getattr(importlib.import_module(f"astrofuse_lab.widgets.{view}"), VIEWS[view])


def modules_of(view: str) -> dict[Path, str]:
    """The view's source and all it imports."""
    found: dict[Path, str] = {}
    waiting = [SOURCES / "views" / f"{view}.js"]
    while waiting:
        path = waiting.pop()
        if path in found or path.suffix != ".js":
            continue
        found[path] = path.read_text()
        waiting += [(path.parent / name).resolve() for name in re.findall(r'from "(\.[^"]+)"', found[path])]
    return found


def traits_in(text: str) -> set[str]:
    got = set(re.findall(r'model\.(?:get|set)\("(\w+)"', text)) | set(re.findall(r"change:(\w+)", text))
    got |= set(re.findall(r'\b(?:numeric|integer|whole)\((?:model, )?"(\w+)"', text))  # number fields, by name
    for body in re.findall(r"tell\((?:this\.)?model, \{([^{}]*)\}", text):
        got |= set(re.findall(r"(?:^|,)\s*(\w+)\s*(?=[:,]|$)", body.strip()))
    return got


@pytest.mark.parametrize("view", VIEWS)
def test_traits_are_the_same_on_both_sides(view):
    used = set().union(*map(traits_in, modules_of(view).values()))
    declared = {name for name, trait in widget_class(view).class_traits(sync=True).items() if not name.startswith("_")} - OF_JUPYTER
    assert used - declared == set(), f"{view}.js uses traits that {VIEWS[view]} does not have"
    # fetching and training concern no single sample; the trait is there because every widget is linked
    unused = {"focus"} if view in ("fetch", "train", "lesson", "header") else set()
    assert declared - used - unused == set(), f"{VIEWS[view]} sends traits that {view}.js does not use"


@pytest.mark.parametrize("view", VIEWS)
def test_verbs_are_the_same_on_both_sides(view):
    text = "\n".join(modules_of(view).values())
    said = set()
    for line in text.splitlines():
        calls = line.split("act(model, ")[1:] + line.split("act(this.model, ")[1:]
        for call in calls:  # a verb, or a choice between two at the end of the call
            direct = re.match(r'"(\w+)"', call)
            said |= {direct[1]} if direct else set(re.findall(r'\? "(\w+)" : "(\w+)"\)', call)[0])
    known = set(widget_class(view).verbs)
    assert said == known
    for method in widget_class(view).verbs.values():
        assert callable(getattr(widget_class(view), method))


@pytest.mark.parametrize("view", VIEWS)
def test_keys_that_views_want_are_answered(view):
    text = "\n".join(modules_of(view).values())
    wanted = set(re.findall(r"`(\w+)/\$\{", text))
    if view in ("train", "lesson"):
        assert wanted == set()
        return
    answered = set(re.findall(r"``(\w+)/<", inspect.getdoc(widget_class(view).answer) or ""))
    # the embedding answers for a page that shows samples beside it
    assert wanted <= answered


def test_every_view_has_a_widget_of_its_name():
    assert {p.stem for p in (SOURCES / "views").glob("*.js")} == set(VIEWS)
    for view, name in VIEWS.items():
        assert widget_class(view).view == view and widget_class(view).__name__ == name


def test_colours_are_the_same_on_both_sides():
    text = (SOURCES / "shared" / "colours.js").read_text()
    classes = re.search(r"CLASS_COLOURS = \[([^\]]*)\]", text)
    assert classes and tuple(re.findall(r'"(#\w{6})"', classes[1])) == colours.CLASS_COLOURS
    for name in ("MODALITY_COLOURS", "BAND_COLOURS", "BAND_ON_DARK"):
        body = re.search(rf"{name} = \{{([^}}]*)\}}", text)
        assert body and dict(re.findall(r'(\w+): "(#\w{6})"', body[1])) == getattr(colours, name)
    styles = (SOURCES / "shared" / "style.css").read_text()
    for band, dark in colours.BAND_ON_DARK.items():
        for name in ("fill", "stroke"):
            assert f'[data-theme="dark"] [{name}="{colours.BAND_COLOURS[band]}"] {{ {name}: {dark}; }}' in styles


FRONT = sorted(p for p in SOURCES.rglob("*.js") if p.parts[-2] in ("views", "shared"))


@pytest.mark.parametrize("path", FRONT, ids=lambda p: p.name)
def test_data_is_never_parsed_as_html_nor_fetched(path):
    text = path.read_text()
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "fetch(", "XMLHttpRequest", "https://", "WebSocket"):
        hits = [line for line in text.splitlines() if word in line and not line.strip().startswith(("//", "*"))]
        # the view is itself called fetch
        hits = [line for line in hits if word != "fetch(" or re.search(r"(?<![\w.])fetch\(", line)]
        assert not hits, f"{path.name}: {word}"
    assert text.count("\n") <= 400


@pytest.mark.parametrize("path", FRONT, ids=lambda p: p.name)
def test_views_use_only_what_a_small_host_has(path):
    used = set(re.findall(r"\bmodel\.(\w+)", path.read_text()))
    # another package's widget needs ipywidgets' manager; where a host has none, the view says so and does without
    more = {"widget_manager"} if path.name == "aladin.js" else set()
    assert used <= {"get", "set", "save_changes", "on", "off", "send"} | more
