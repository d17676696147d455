"""The layers of the house: a module imports only from lines below its own."""

import ast
from functools import cache
from pathlib import Path

import pytest

import astrofuse_lab

ROOT = Path(astrofuse_lab.__file__).parent
LAYERS = {
    "errors": 0, "positions": 0.02, "notation": 0.02, "credible_regions": 0.02, "target_columns": 0.05, "provenance": 0.1, "storage": 0.1, "memory": 0, "jobs": 0, "targets": 0.1, "modalities": 0.2,
    "recipes": 1, "surveys": 2, "cache": 2.2, "found": 2.4, "naming": 2.4, "local_files": 2.1, "regions": 2.2, "region_search": 2.5, "outlines": 2.5, "target_files": 2.5, "queues": 2.4, "questions": 2.4, "progress": 2.6,
    "crew": 2.6, "estimates": 2.6, "fetching": 3, "chunks": 3.1, "alignment": 4,
    "samples": 5, "models": 5, "training": 6, "watching": 6.5, "alert_benchmark": 6.6, "explain": 7, "lessons": 7.5, "widgets": 8, "classroom": 8.5,
    # the ways in stand above everything
    "checkup": 9, "demo": 9, "cli": 9.5, "__init__": 10, "__main__": 10,
}  # fmt: skip
HEAVY_ONLY = {
    "torch": ("samples/preparation/", "alignment/", "models/", "training/", "explain/"),
    "captum": ("explain/",),
    "umap": ("explain/",),
    "panel": ("widgets/",),
    "holoviews": ("widgets/",),
    "anywidget": ("widgets/",),
    "ipywidgets": ("widgets/",),
    "lightning_fabric": ("training/",),
    "astroquery": ("surveys/", "fetching.py"),
    "pyvo": ("surveys/", "widgets/samp.py"),
}
SKIP = ("static", "labextension")
FILES = [p for p in sorted(ROOT.rglob("*.py")) if not p.relative_to(ROOT).parts[0].startswith(SKIP)]


def room(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


@cache
def nodes(path: Path) -> list:
    return list(ast.walk(ast.parse(path.read_text())))


def imports(path: Path):
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_from_below(path):
    mine = room(path)
    assert mine in LAYERS, f"{path}: give the room {mine!r} a layer"
    if mine == "__init__":
        return
    for name in imports(path):
        if not name.startswith("astrofuse_lab."):
            continue
        other = name.split(".")[1]
        if other == mine or other not in LAYERS:
            continue
        assert LAYERS[other] < LAYERS[mine], f"{path.relative_to(ROOT)} (layer {LAYERS[mine]}) imports {name} (layer {LAYERS[other]})"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_room_goes_through_the_door(path):
    """Through ``astrofuse_lab.train`` a room could reach above itself unseen; only the ways in, and the served app, use the door."""
    if LAYERS[room(path)] >= 9 or path.relative_to(ROOT).as_posix() == "widgets/app.py":
        return
    opened = {a.asname or a.name for node in nodes(path) if isinstance(node, ast.Import) for a in node.names if a.name == "astrofuse_lab"}
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in opened:
            assert node.attr not in astrofuse_lab._DOOR, f"{path.relative_to(ROOT)}: {node.attr} through the door"
        if isinstance(node, ast.ImportFrom) and node.module == "astrofuse_lab":
            through = {a.name for a in node.names} & (set(astrofuse_lab._DOOR) - set(LAYERS))
            assert not through, f"{path.relative_to(ROOT)}: {through} through the door"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_stay_in_their_rooms(path):
    inside = path.relative_to(ROOT).as_posix()
    for name in imports(path):
        allowed = HEAVY_ONLY.get(name.split(".")[0])
        if allowed and room(path) not in ("checkup",):
            assert inside.startswith(allowed), f"{inside} imports {name}; only {', '.join(allowed)} may"


def test_no_module_shadows_the_standard_library():
    import sys

    for path in FILES:
        assert path.stem not in sys.stdlib_module_names or path.stem.startswith("__"), f"{path} is named like a module of the standard library"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sizes_that_feel_natural(path):
    text = path.read_text()
    assert text.count("\n") <= 400, f"{path.name} has {text.count(chr(10))} lines; stop at 400"
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # what a docstring says of parameters and errors is owed, and no sign of a function that does too much
            first = node.body[0]
            said = (first.end_lineno - first.lineno + 1) if ast.get_docstring(node) else 0
            length = node.end_lineno - node.lineno + 1 - said
            assert length <= 50, f"{path.name}: {node.name} has {length} lines without its docstring"
