"""What stands where on the site: the table of contents, written into the front page."""

import json
from pathlib import Path

CONTENTS = {
    "Start": ["start", "tutorials/index", "gallery"],
    "Ideas": ["concepts", "fusion-levels", "trust", "uncertainty", "practice-sky"],
    "How to": [
        "fetching", "adding-a-survey", "aligning", "sample-sets", "tasks", "fusing", "training", "stages", "judging", "explaining", "attribution", "attention",
        "contributions", "embedding", "map", "labelling",
    ],
    "Views and the workbench": ["workbench", "views", "pages", "jupyterlab", "embedding-pages", "accessibility"],
    "Teaching": ["course", "lessons", "teachers-guide", "hubs"],
    "Published systems": ["systems"],
    "Reference": ["reference/index"],
    "About": ["status", "security", "contributing", "changelog", "citing"],
}  # fmt: skip
"""Caption -> pages; one that is not there is left out, and one that is named nowhere stands below its namesake (``systems-radio`` below ``systems``) or in the last part."""


def tree(pages: list[str], *options: str) -> str:
    """A toctree."""
    return "\n".join(["```{toctree}", *options, "", *pages, "```", ""])


def title_of(notebook: Path) -> str:
    """The heading of a notebook."""
    first = next(cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "markdown")
    return "".join(first["source"]).splitlines()[0].lstrip("# ").strip()


def tutorials_page(notebooks: list[Path]) -> str:
    """The page that lists the tutorials."""
    lines = [
        "# Tutorials", "", "Notebooks, run from top to bottom for this page, without a network and on the practice sky (simulated) where they would otherwise read real data.",
        "Views in them are live on the page: they need no kernel. To change and run a notebook yourself, see [start in five minutes](../start.md).", "",
        tree([path.stem for path in notebooks], ":maxdepth: 1"),
    ]  # fmt: skip
    return "\n".join(lines)


def contents(source: Path) -> None:
    """Write the table of contents into ``index.md``.

    Raises
    ------
    SystemExit
        If ``index.md`` has no place for it.
    """
    there = {path.relative_to(source).with_suffix("").as_posix() for path in source.rglob("*") if path.suffix in (".md", ".rst", ".ipynb")}
    named = {page for pages in CONTENTS.values() for page in pages} | {"index"}
    rest = sorted(page for page in there - named if "/" not in page)
    below = {page: [one for one in rest if one.startswith(f"{page}-")] for page in sorted(named, key=len)}
    placed = {one for ones in below.values() for one in ones}
    parts = [tree([page for page in pages if page in there] + ([one for one in rest if one not in placed] if caption == "About" else []), f":caption: {caption}", ":hidden:") for caption, pages in CONTENTS.items()]
    index = source / "index.md"
    text = index.read_text(encoding="utf-8")
    if "<!-- contents -->" not in text:
        raise SystemExit(f"{index} has no line <!-- contents -->")
    index.write_text(text.replace("<!-- contents -->", "\n".join(parts)), encoding="utf-8")
    for page, ones in below.items():
        if ones and (source / f"{page}.md").exists():
            with (source / f"{page}.md").open("a", encoding="utf-8") as file:
                file.write("\n\n" + tree(ones, ":hidden:"))
