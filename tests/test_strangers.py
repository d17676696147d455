"""What a stranger sent executes nothing: sample sets, runs, labels, recipes, lists and files of other formats, opened under the eyes of an audit hook."""

import ast
import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.training.run_folder import _own_digest

HERE = Path(__file__).parent
CALL = "__import__('os').system('touch owned')"
WORDS = {
    "python": f"\"'); {CALL}; ('",
    "lines": f"x\n{CALL}\n#",
    "quotes": f"\"\"\"\n{CALL}\n'''\\",
    "template": "{0.__class__.__init__.__globals__} ${PATH} %s `id` $(touch owned); touch owned",
    "markup": "</script><script>window.hacked=1</script><img src=x onerror=\"window.hacked=1\">",
}
"""What names, classes, ids and texts say."""


class Owned:
    """Leaves a file behind if it is ever unpickled."""

    def __reduce__(self):
        return (os.system, ("touch owned",))


class Canary(Owned):
    """Seen by the watch, and leaves nothing."""

    def __reduce__(self):
        return (os.system, ("true",))


# ---- what a stranger sends ------------------------------------------------------------------------------------------


def hostile_samples(n=60):
    """The toy samples, with every word in them replaced."""
    toy = make_toy_samples(n)
    words = list(WORDS.values())
    columns = toy._columns
    label = np.asarray(words)[np.unique(toy.column("label").data, return_inverse=True)[1]]
    table = pa.table({
        "object_id": [f"{i} {words[i % len(words)]}" for i in range(n)], "ra": columns["ra"], "dec": columns["dec"], "label": label,
        WORDS["python"]: columns["mag_g"], WORDS["lines"]: columns["colour"], WORDS["quotes"]: [words[i % len(words)] for i in range(n)],
    })  # fmt: skip
    roles = {"label": "target", WORDS["python"]: "input", WORDS["lines"]: "input", WORDS["quotes"]: "group"}
    data = {name: toy.data_of(name) for name in ("image", "spectrum")}
    card = Card(WORDS["markup"], WORDS["lines"], simulated=True, citation=WORDS["quotes"], licence=WORDS["python"])
    return SampleSet(table, data, roles, {WORDS["python"]: WORDS["template"]}, card)


def sealed(folder, name, change):
    """Alter a manifest as someone would who knows the format: with its checksums made right."""
    data = json.loads((folder / name).read_text())
    data.pop("sha256", None)
    for file in data.get("files", {}):
        content = (folder / file).read_bytes()
        data["files"][file].update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    change(data)
    (folder / name).write_text(json.dumps({**data, "sha256": _own_digest(data)}))


def pickles(evil):
    """Folders as they should be, but for one file that is a pickle; and arrays of pickled objects."""
    from shutil import copytree

    for number, array in enumerate(("image.flux.npy", "image.present.npy", "spectrum.lambda.npy", "columns.parquet")):
        folder = copytree(evil.parent / "kind" / "samples", evil / f"samples-pickle{number}")
        with open(folder / array, "wb") as file:
            if number % 2:
                pickle.dump(Owned(), file)
            else:
                np.save(file, np.array([Owned()] * 60, dtype=object), allow_pickle=True)
        sealed(folder, "manifest.json", lambda data: None)
    for number, file in enumerate(("weights.safetensors", "history.json", "split.json")):
        folder = copytree(evil.parent / "kind" / "run", evil / f"run-pickle{number}")
        (folder / file).write_bytes(pickle.dumps(Owned()))
        sealed(folder, "run.json", lambda data: None)


def names(evil):
    """Manifests that name modules, attributes, paths and lines of Python where a name of a table is due."""
    from shutil import copytree

    for number, name in enumerate(("os:system", CALL, "../../../etc/passwd", "__class__.__init__.__globals__")):
        for what, change in {
            "fusion": lambda d, name=name: d["recipe"]["fusion"].update(name=name),
            "encoder": lambda d, name=name: next(iter(d["recipe"]["encoders"].values())).update(name=name),
            "option": lambda d, name=name: d["recipe"]["fusion"].setdefault("options", {}).update({name: name}),
            "preparation": lambda d, name=name: d["preparation"]["image"].update(kind=name),
        }.items():
            folder = copytree(evil.parent / "kind" / "run", evil / f"run-{what}{number}")
            sealed(folder, "run.json", change)
        for what, change in {
            "kind": lambda d, name=name: d["modalities"]["image"].update(kind=name),
            "file": lambda d, name=name: d["files"].update({name: {"bytes": 1, "sha256": ""}}),
            "modality": lambda d, name=name: d["modalities"].update({name: d["modalities"]["image"]}),
        }.items():
            folder = copytree(evil.parent / "kind" / "samples", evil / f"samples-{what}{number}")
            sealed(folder, "manifest.json", change)
        recipe = json.loads((evil.parent / "kind" / "recipe.json").read_text())
        recipe["fusion"]["name"] = name
        (evil / f"recipe-{number}.json").write_text(json.dumps(recipe))


TAGGED = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: ra, datatype: float64}\n# - {name: dec, datatype: float64}\n# meta: !!python/object/apply:os.system ['touch owned']\nra dec\n1.0 2.0\n"
MIXIN = TAGGED.replace("# meta: !!python/object/apply:os.system ['touch owned']\n", """# meta: !!omap
# - __serialized_columns__:
#     when: {__class__: subprocess.Popen, args: !astropy.table.SerializedColumn {name: ra}}
# schema: astropy-2.0
""")


LESSON = """---
lesson: gaps
title: WORDS
---
Words of the page: WORDS

```{predict} guess
WORDS
- yes
- WORDS
```

```{task} count
:expects: {"count": {"missing": "spectrum"}}
:hint: WORDS
:reveal: __import__('os').system('touch owned')
WORDS
```

```python
open("owned", "w")
```
"""


def others(evil):
    """Files of other formats, and modules that lie about in the hope to be imported."""
    (evil / "lesson.md").write_text(LESSON.replace("WORDS", f"{WORDS['python']} {WORDS['markup']}".replace("\n", " ")))
    (evil / "lesson-eval.md").write_text(LESSON.replace('{"count"', '{"eval"'))
    (evil / "progress").mkdir()
    for number, content in enumerate((pickle.dumps(Owned()), b"[" * 99999, json.dumps({"student": WORDS["python"], "lesson": {"name": "../../x"}}).encode())):
        (evil / "progress" / f"{number}.lesson.json").write_bytes(content)
    (evil / "canary").write_bytes(pickle.dumps(Canary()))
    (evil / "targets-tagged.ecsv").write_text(TAGGED)
    (evil / "targets-mixin.ecsv").write_text(MIXIN)
    (evil / "targets-pickle.csv").write_bytes(pickle.dumps(Owned()))
    (evil / "targets-formula.csv").write_text(f"name,ra,dec\n=cmd|'/c touch owned'!A0,1,2\n{json.dumps(CALL)},3,4\n")
    (evil / "arrays-tagged.ecsv").write_text(TAGGED)
    (evil / "arrays-mixin.ecsv").write_text(MIXIN)
    (evil / "arrays-pickle.parquet").write_bytes(pickle.dumps(Owned()))
    folder = evil / "arrays-hats"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(pickle.dumps(Owned()))
    rows = "\n".join(f'toy-{i:04d},{json.dumps(word)},{json.dumps(word)}' for i, word in enumerate(WORDS.values()))
    (evil / "labels-words.csv").write_text(f"object_id,annotator,label\ntoy-0001,=1+1,=cmd\n{rows}\n")
    (evil / "labels-tagged.ecsv").write_text(TAGGED.replace("ra dec", "object_id label").replace("name: ra, datatype: float64", "name: object_id, datatype: string").replace("name: dec, datatype: float64", "name: label, datatype: string"))
    (evil / "labels-pickle.csv").write_bytes(pickle.dumps(Owned()))
    for name in ("json", "numpy", "torch", "astropy", "sitecustomize", "usercustomize", "astrofuse_lab", "conftest", "__init__", "umap", "safetensors"):
        for place in (evil, evil / "samples", evil / "run", evil.parent):
            (place / f"{name}.py").write_text("open('owned', 'w')\nraise SystemExit('owned')\n")


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """A folder with kind/ and evil/."""
    home = tmp_path_factory.mktemp("strangers")
    kind, evil = home / "kind", home / "evil"
    kind.mkdir()
    evil.mkdir()
    toy = make_toy_samples(60)
    toy.save(kind / "samples")
    recipe = af.get_recipe("joint_attention")
    af.train(recipe, toy, target="label", epochs=1, progress=False).save(kind / "run")
    (kind / "recipe.json").write_text(json.dumps(recipe.to_json()))
    (kind / "labels.csv").write_text("object_id,annotator,label\ntoy-0001,a,star\n")
    (kind / "lesson.md").write_text(LESSON.replace("WORDS", "How many"))
    (kind / "progress").mkdir()
    (kind / "progress" / "a.lesson.json").write_text("{}")
    (kind / "targets.csv").write_text("name,ra,dec\na,1,2\n")
    (kind / "arrays.ecsv").write_text(TAGGED.replace("# meta: !!python/object/apply:os.system ['touch owned']\n", ""))
    hostile = hostile_samples()
    hostile.save(evil / "samples")
    af.LabelBook.of(SampleSet.open(evil / "samples")).say([str(hostile.object_ids[0])], WORDS["python"])
    af.train(recipe, hostile, target="label", modalities=["image", "table"], epochs=1, progress=False).save(evil / "run")
    pickles(evil)
    names(evil)
    others(evil)
    return home


@pytest.fixture(scope="module")
def told(sent):
    """What the watched process says of each thing."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ASTROFUSE_CACHE": str(sent / "out" / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, str(HERE / "strangers.py"), str(sent)], cwd=sent / "evil", env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return {one["what"]: one for one in map(json.loads, done.stdout.splitlines())}


# ---- and what becomes of it -------------------------------------------------------------------------------------------


def test_nothing_is_run_begun_fetched_or_written_elsewhere(sent, told):
    assert {name: one["met"] for name, one in told.items() if one["met"] and name != "canary"} == {}
    assert list(sent.rglob("owned")) == []


def test_the_watch_sees_what_is_run(told):
    met = " ".join(told["canary"]["met"])
    assert all(word in met for word in ("pickle.find_class", "os.system", "exec: <string>", "elsewhere (written)", "os.remove"))


def test_all_of_it_was_opened(sent, told):
    assert len(told) >= 45 and {name.split("-")[0].split(".")[0] for name in told} == {"evil", "samples", "run", "recipe", "labels", "targets", "arrays", "lesson", "progress", "canary"}


def test_hostile_words_are_only_words(told):
    """A set, a run and labels whose every name is an attack are as good as others: they open, train, show and are saved."""
    for name in ("evil", "samples", "run", "labels-words.csv", "targets-formula.csv", "lesson.md", "progress"):
        assert "refused" not in told[name] and "fault" not in told[name], told[name]


def test_what_is_no_data_is_refused_in_our_words(told):
    for name, one in told.items():
        if "pickle" in name or "-fusion" in name or "-encoder" in name or "-kind" in name or "-file" in name or "recipe-" in name or "-eval" in name:
            assert "refused" in one, one
        assert "fault" not in one, one


def test_the_code_that_views_write_calls_nothing_but_ours(told):
    """Names go into it as strings, whatever quotes and lines they hold: it is what a click puts into a cell."""
    code = told["evil"]["code"]
    assert "touch owned" in code  # the words are there
    nodes = list(ast.walk(ast.parse(code)))
    brought = {(alias.asname or alias.name, alias.name) for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert brought <= {("af", "astrofuse_lab"), ("u", "astropy.units")} and not any(isinstance(node, ast.ImportFrom) for node in nodes)
    made = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert used <= made | {"af", "u", "split"} and "os" not in made, used  # the split that a view was given, as it names the samples
    assert not any(node.attr.startswith("_") for node in nodes if isinstance(node, ast.Attribute))


def test_a_page_of_it_holds_no_markup_of_theirs(sent, told):
    text = (sent / "out" / "evil" / "evil" / "page.html").read_text()
    assert "window.hacked" not in text and "onerror" not in text


def test_a_command_begun_in_their_folder_imports_nothing_of_theirs(sent):
    assert all((sent / "evil" / f"{module}.py").exists() for module in ("json", "numpy", "astrofuse_lab", "sitecustomize"))
    command = Path(sys.executable).with_name("astrofuse")
    if not command.exists():
        pytest.skip("the package is not installed; run: make test")
    done = subprocess.run([command, "samples"], cwd=sent / "evil", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "practice" in done.stdout and list(sent.rglob("owned")) == []
