"""The reference, from docstrings: a page for each part of the door, and one for each room that the door opens onto."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

PARTS = {
    "Targets and fetching": ("fetching", "estimates", "cache", "surveys"),
    "Aligning": ("alignment", "samples.assemble", "samples.matching", "samples.asynchronous"),
    "Sample sets": ("samples",),
    "Recipes and models": ("recipes", "models"),
    "Training and judging": ("training",),
    "Explaining": ("explain",),
    "Views and the workbench": ("widgets",),
    "Lessons": ("lessons", "classroom"),
    "Errors, and looking after things": ("errors", "checkup", ""),
}
"""Title -> where its names come from; a name belongs to the longest of these that its module begins with, and what fits none to the last part."""


described: set[str] = set()
"""What has its place by now."""


def part_of(module: str) -> str:
    """The part in which names of a module stand."""
    fitting = [(len(prefix), title) for title, prefixes in PARTS.items() for prefix in prefixes if not prefix or module == prefix or module.startswith(f"{prefix}.")]
    return max(fitting)[1]


def entry(name: str, value: Any, module: str) -> str:
    """One name of the door, as reStructuredText."""
    if isinstance(value, ModuleType):
        public = getattr(value, "__all__", None) or [n for n in dir(value) if not n.startswith("_") and callable(getattr(value, n)) and getattr(getattr(value, n), "__module__", "").startswith(value.__name__)]
        members = [(one, getattr(value, one)) for one in public]
        body = "\n".join(entry_of(f"af.{name}.{one}", thing) for one, thing in members if callable(thing) and inspect.getdoc(thing))
        about = (inspect.getdoc(value) or "").split("\n\n")[0]
        return f"``af.{name}``\n{'-' * (len(name) + 7)}\n\n{about}\n\n{body}"
    return f"``af.{name}``\n{'-' * (len(name) + 7)}\n\n{entry_of(f'af.{name}', value)}"


def entry_of(shown: str, thing: Any) -> str:
    """The directive for a function or class; of one that has its place already, a line that leads there."""
    path = f"{thing.__module__}.{thing.__qualname__}"
    if path in described:
        return f"``{shown}``: see :py:obj:`{path}`.\n"
    described.add(path)
    if inspect.isclass(thing):
        own = [n for n, v in vars(thing).items() if not n.startswith("_") and (inspect.isfunction(v) or isinstance(v, property | classmethod | staticmethod))]
        if thing.__module__.startswith("astrofuse_lab.widgets") and hasattr(thing, "embed"):
            own += [n for n in ("select", "selected_samples", "save", "embed", "wait", "close") if n not in own]
        if issubclass(thing, BaseException):
            own = []
        members = [f"   :members: {', '.join(own)}"] if own else []
        return "\n".join([f".. autoclass:: {path}", *members, ""])
    return f".. autofunction:: {path}\n"


def write_reference(to: Path) -> None:
    """Write the pages into a folder."""
    import astrofuse_lab as af

    to.mkdir(parents=True)
    door: dict[str, list[str]] = {title: [] for title in PARTS}
    for name, (module, _) in af._DOOR.items():
        door[part_of(module)].append(entry(name, getattr(af, name), module))
    pages = []
    for title, entries in door.items():
        if entries:
            page = title.lower().replace(",", "").replace(" ", "-")
            pages.append(page)
            (to / f"{page}.rst").write_text("\n".join([title, "=" * len(title), "", *entries]), encoding="utf-8")
    surveys = importlib.import_module("astrofuse_lab.surveys").SURVEYS
    lines = [
        "Reference", "=========", "", "Every public name, from its docstring: shapes, units, errors raised, sources. ``import astrofuse_lab as af`` opens the door, ``dir(af)`` lists it.", "",
        f"{len(af._DOOR)} names; {len(surveys)} surveys by name (``af.list_surveys()``).", "", ".. toctree::", "   :maxdepth: 2", "", *(f"   {page}" for page in pages), "",
    ]  # fmt: skip
    (to / "index.rst").write_text("\n".join(lines), encoding="utf-8")
