"""Notebooks as files: cells that the workbench writes, beside those that a person added.

A cell of ours has a key and the digest of its text in ``metadata.astrofuse``. When the notebook is written again, cells
that a person added or changed stay where they are; the others follow what the workbench was used for since.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from astrofuse_lab.errors import StorageError
from astrofuse_lab.storage import read_json, storage_errors, write_bytes

LARGEST = 64 * 1024**2
"""Bytes of a notebook that is read to be gone on with."""
OUR = "astrofuse"
SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>&~$-])")


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    key : str
        What it is, in letters, digits and ``-``: the same from one writing to the next.
    kind : {"markdown", "code"}
    source : str
    """

    key: str
    kind: Literal["markdown", "code"]
    source: str

    @property
    def digest(self) -> str:
        """Of the text, to see later whether a person changed it."""
        return _of_text(self.source)

    def to_json(self) -> dict[str, Any]:
        """As notebook format 4.5 has it."""
        cell: dict[str, Any] = {"cell_type": self.kind, "id": f"af-{self.key}"[:64], "metadata": {OUR: {"key": self.key, "digest": self.digest}}, "source": self.source}
        return {**cell, "execution_count": None, "outputs": []} if self.kind == "code" else cell


def plain(text: Any) -> str:
    """Text of data inside Markdown: one line, nothing of it is markup, a link or a picture."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split())).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown; its cells are `plain`."""
    lines = ["| " + " | ".join(map(plain, names)) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(plain(value) for value in row) + " |" for row in rows)])


def notebook_of(cells: Iterable[Mapping[str, Any]], meta: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A notebook of cells that are JSON already."""
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return {"cells": list(cells), "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}, **(meta or {})}, "nbformat": 4, "nbformat_minor": 5}


def text_of(cells: Sequence[Cell]) -> str:
    """A whole notebook as text, to be downloaded."""
    return json.dumps(notebook_of([cell.to_json() for cell in cells]), indent=1, ensure_ascii=False) + "\n"


def code_of(cells: Sequence[Cell]) -> str:
    """The code of a notebook alone."""
    return "\n\n".join(cell.source for cell in cells if cell.kind == "code")


# ---- gone on with --------------------------------------------------------------------------------------------------


def merged(existing: Sequence[Mapping[str, Any]], cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """The cells of a notebook as they should be now.

    Parameters
    ----------
    existing : sequence of dict
        What is in the file.
    cells : sequence of Cell
        What the workbench says now.

    Returns
    -------
    list of dict
        `cells` in their order, with the outputs that those whose text is the same had. After each stand the cells that a
        person put behind it. One that a person changed is theirs: it stays, in place of ours while ours is what it was,
        else behind it.
    """
    own: dict[str, dict[str, Any]] = {}
    theirs: dict[str, list[dict[str, Any]]] = {"": []}
    instead: set[str] = set()
    now = {cell.key: cell for cell in cells}
    last = ""
    for given in existing:
        one = dict(given)
        key, digest = _mark(one)
        if key and digest == _digest(one):
            last = key if key in now else last
            own.setdefault(key, one)
            continue
        if key in now and key not in own:
            last = key
            if now[key].digest == digest:
                instead.add(key)
        theirs.setdefault(last, []).append(one)
    made = [*theirs[""]]
    for cell in cells:
        if cell.key not in instead:
            before = own.get(cell.key)
            made.append(before if before is not None and _digest(before) == cell.digest and before.get("cell_type") == cell.kind else cell.to_json())
        made += theirs.get(cell.key, [])
    return _numbered(made)


def _mark(cell: Mapping[str, Any]) -> tuple[str, str]:
    """Key and digest of a cell of ours; empty of another."""
    meta = cell.get("metadata")
    mark = meta.get(OUR) if isinstance(meta, Mapping) else None
    return (str(mark.get("key", "")), str(mark.get("digest", ""))) if isinstance(mark, Mapping) else ("", "")


def _digest(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return _of_text("".join(map(str, source)) if isinstance(source, list) else str(source))


def _of_text(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16]


def _numbered(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same cells, each with an id that no other has."""
    seen: set[str] = set()
    for number, cell in enumerate(cells):
        if str(cell.get("id", "")) in seen or not cell.get("id"):
            cell["id"] = f"cell-{number}-{_digest(cell)[:8]}"
        seen.add(str(cell["id"]))
    return list(cells)


def read_cells(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Cells and metadata of a notebook.

    Raises
    ------
    StorageError
        If the file is no notebook of format 4.
    """
    try:
        data = read_json(path, LARGEST)
        if data["nbformat"] != 4 or not all(isinstance(cell, dict) for cell in data["cells"]) or not isinstance(data.get("metadata", {}), dict):
            raise ValueError("it is not of notebook format 4")
        return data["cells"], data.get("metadata", {})
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StorageError(f"{path} cannot be gone on with ({error}); it is left as it is. Move it away, or give another place.") from error


def write_notebook(path: Path, cells: Sequence[Cell]) -> None:
    """Write a notebook, or go on with the one that is there; a person's own cells stay.

    Raises
    ------
    StorageError
        If what is there is no notebook, or the file cannot be written.
    """
    with storage_errors(path):
        there = path.exists()
    before, meta = read_cells(path) if there else ([], {})
    made = merged(before, cells)
    if there and made == before:
        return  # somebody may have it open: nothing changed, so nothing is said of it
    text = json.dumps(notebook_of(made, meta), indent=1, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode())
