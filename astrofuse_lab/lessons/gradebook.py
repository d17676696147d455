"""What a class did: many progress files read into tables. Files come from strangers: bounded, never executed, and shown as text."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.lessons.against import matrix
from astrofuse_lab.lessons.progress import read_progress, state_of
from astrofuse_lab.storage import write_bytes

if TYPE_CHECKING:
    from astropy.table import Table

FILES = 2000
"""Files of one class at most."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula."""


class ClassBook:
    """The progress files of a class, of one lesson.

    Parameters
    ----------
    found : mapping of str to dict
        Content of each file, as of `read_progress`, by the file's name.
    problems : mapping of str to str
        Why a file is not among them.

    Attributes
    ----------
    lesson : dict
        name, title, digest.
    """

    def __init__(self, found: Mapping[str, dict[str, Any]], problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        names = Counter(one["lesson"]["name"] for one in found.values())
        most = names.most_common(1)[0][0] if names else ""
        kept = {file: one for file, one in found.items() if one["lesson"]["name"] == most}
        self.problems |= {file: f"is of the lesson {one['lesson']['name']!r}, and most are of {most!r}" for file, one in found.items() if file not in kept}
        self._files = self._latest(kept)
        self._states = {file: state_of(one["events"]) for file, one in self._files.items()}
        self.lesson = next(iter(self._files.values()))["lesson"] if self._files else {"name": "", "title": "", "digest": ""}
        self._compare()

    def _latest(self, kept: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Of a student who handed in twice, the file with the later last event; the other is named."""
        out: dict[str, str] = {}
        for file in sorted(kept, key=lambda f: max((e["at"] for e in kept[f]["events"]), default="")):
            who = kept[file]["student"] or file
            if who in out:
                self.problems[out[who]] = f"{who} handed in again: {file} is read"
            out[who] = file
        return {file: kept[file] for file in sorted(out.values())}

    def _compare(self) -> None:
        """Files of another version of the lesson, another seed or sample set are read, and named."""
        for key, what in (("digest", "questions"), ("seed", "seed"), ("samples", "sample set")):
            values = Counter((one["lesson"] if key == "digest" else one)[key] for one in self._files.values())
            usual = values.most_common(1)[0][0] if values else ""
            for file, one in self._files.items():
                if (one["lesson"] if key == "digest" else one)[key] != usual:
                    before = self.problems.get(file)
                    self.problems[file] = f"{before}; another {what} than most" if before else f"read, but with another {what} than most"

    def __len__(self) -> int:
        return len(self._files)

    @property
    def items(self) -> list[str]:
        """Questions, tasks and games that somebody did something with."""
        return list(dict.fromkeys(name for state in self._states.values() for name in state))

    @property
    def table(self) -> "Table":
        """One row a student.

        Returns
        -------
        Table
            student, file, begun and last (UTC), predicted, early (results seen before the prediction), right, unaided (right without hint or reveal), tries, hints, revealed, contest (samples told), contest_right (their share).
        """
        from astropy.table import MaskedColumn, Table

        rows = [self._row(file) for file in self._files]
        names = ("student", "file", "begun", "last", "predicted", "early", "right", "unaided", "tries", "hints", "revealed", "contest")
        out = Table({name: [row[name] for row in rows] for name in names}) if rows else Table(names=names, dtype=["U1"] * 4 + [int] * 8)
        share = [row["contest_right"] for row in rows]
        out["contest_right"] = MaskedColumn([0.0 if v is None else v for v in share], mask=[v is None for v in share], dtype=float, format=".3f")
        return out

    def _row(self, file: str) -> dict[str, Any]:
        one, state = self._files[file], self._states[file]
        times = sorted(e["at"] for e in one["events"])
        rows = [row for s in state.values() if s["played"] for row in s["played"]["rows"]]
        return {
            "student": one["student"] or f"({file})", "file": file, "begun": times[0] if times else "", "last": times[-1] if times else "",
            "predicted": sum(bool(s["answered"]) for s in state.values()), "early": sum(bool(s["early"]) for s in state.values()), "right": sum(bool(s["ok"]) for s in state.values()),
            "unaided": sum(bool(s["ok"]) and not s["helped"] for s in state.values()), "tries": sum(s["tries"] for s in state.values()), "hints": sum(s["hints"] for s in state.values()),
            "revealed": sum(bool(s["revealed"]) for s in state.values()), "contest": len(rows), "contest_right": sum(r[1] == r[2] for r in rows) / len(rows) if rows else None,
        }  # fmt: skip

    def tasks(self) -> "Table":
        """One row a task: how many tried, how many were right, at once, and without help; the median number of tries of those who were right.

        Returns
        -------
        Table
            task, tried, right, at_once, unaided, tries, hints, revealed.
        """
        from astropy.table import Table

        rows = []
        for name in self.items:
            mine = [s[name] for s in self._states.values() if name in s and (s[name]["tries"] or s[name]["hints"] or s[name]["revealed"])]
            if not mine:
                continue
            right = [s for s in mine if s["ok"]]
            rows.append({
                "task": name, "tried": sum(bool(s["tries"]) for s in mine), "right": len(right), "at_once": sum(s["first"] for s in mine), "unaided": sum(not s["helped"] for s in right),
                "tries": float(np.median([s["tries"] for s in right])) if right else float("nan"), "hints": sum(s["hints"] for s in mine), "revealed": sum(s["revealed"] for s in mine),
            })  # fmt: skip
        names = ("task", "tried", "right", "at_once", "unaided", "tries", "hints", "revealed")
        return Table(rows=rows, names=names) if rows else Table(names=names, dtype=["U1", *[int] * 7])

    def answers(self, name: str) -> "Table":
        """What was predicted, or last answered, and by how many; what came out stands in ``meta["outcome"]``.

        Raises
        ------
        UnknownNameError
            If nobody did anything with an item of this name.
        """
        from astropy.table import Table

        self._known(name)
        mine = [s[name] for s in self._states.values() if name in s]
        said = Counter(_words(s["answer"]) for s in mine if s["answer"] is not None)
        out = (
            Table({"answer": list(said), "students": list(said.values())}, dtype=["U400", int])
            if said
            else Table(names=("answer", "students"), dtype=["U1", int])
        )
        out.sort("students", reverse=True)
        came = Counter(_words(s["outcome"]) for s in mine if s["outcome"] is not None)
        out.meta["outcome"] = came.most_common(1)[0][0] if came else ""
        return out

    def confusion(self, name: str) -> dict[str, Any]:
        """What the class said in a game, against the truth, and the model on the same samples.

        Parameters
        ----------
        name : str
            Of the game, as in ``lesson.against(name, ...)``.

        Returns
        -------
        dict
            people, classes, matrix and model (counts, true by said), hardest ([id, how many told it, share right], the hardest first), looks (mean share of the network's look under the marks, and by chance; None where nobody marked).
            ``lesson.against(name, run, samples, group=...)`` shows it.

        Raises
        ------
        UnknownNameError
            If nobody played it.
        """
        games = [s[name]["played"] for s in self._states.values() if name in s and s[name]["played"]]
        if not games:
            raise UnknownNameError("game in these files", name, [n for n in self.items if any(s.get(n, {}).get("played") for s in self._states.values())])
        usual = Counter(tuple(g["classes"]) for g in games).most_common(1)[0][0]
        games = [g for g in games if tuple(g["classes"]) == usual]
        rows = [row for g in games for row in g["rows"]]
        told: dict[str, list[bool]] = {}
        for object_id, truth, said, _ in rows:
            told.setdefault(object_id, []).append(truth == said)
        rows_of = sorted((float(np.mean(v)), -len(v), i) for i, v in told.items())
        hardest = [[i, -n, share] for share, n, i in rows_of]
        looks = [(g["models"], g["chance"]) for g in games if "models" in g and "chance" in g]
        k = len(usual)
        return {
            "people": len(games), "classes": list(usual), "matrix": matrix([r[1] for r in rows], [r[2] for r in rows], k), "model": matrix([r[1] for r in rows], [r[3] for r in rows], k),
            "hardest": hardest, "looks": [float(v) for v in np.mean(looks, axis=0)] if looks else None,
        }  # fmt: skip

    def _known(self, name: str) -> None:
        if name not in self.items:
            raise UnknownNameError("question or task in these files", name, self.items)

    def save(self, path: str | Path) -> Path:
        """Write `table` as CSV, in UTF-8. A cell that a spreadsheet would take for a formula gets an apostrophe before it.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        table = self.table
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(table.colnames)
        for row in table:
            writer.writerow([_cell("" if np.ma.is_masked(v) else v) for v in row])
        where = Path(path).expanduser().resolve()
        write_bytes(where, text.getvalue().encode())
        return where

    def _repr_html_(self) -> str:
        """The tables, as text."""
        parts = [f"<p><strong>{escape(self.lesson['title'])}</strong>: {len(self)} students</p>", _html(self.table), _html(self.tasks())]
        if self.problems:
            told = "".join(f"<li>{escape(file)}: {escape(why)}</li>" for file, why in sorted(self.problems.items()))
            parts.append(f"<p>To look at:</p><ul>{told}</ul>")
        return "".join(parts)

    def __repr__(self) -> str:
        more = f", {len(self.problems)} to look at" if self.problems else ""
        return f"ClassBook({self.lesson['name']!r}, {len(self)} students{more})"


def read_class(source: str | Path | Iterable[str | Path]) -> ClassBook:
    """Read the progress files of a class.

    Parameters
    ----------
    source : path, or several
        A folder, of which all files ``.json`` are read (not those in folders below it), or the files.

    Returns
    -------
    ClassBook
        Files that cannot be read, are of another lesson, or were handed in twice are named in its `problems`.

    Raises
    ------
    InputError
        If there is no such folder, no file, or more than `FILES`.
    """
    if isinstance(source, str | Path):
        folder = Path(source).expanduser()
        paths = [folder] if folder.is_file() else sorted(p for p in folder.glob("*.json") if p.is_file()) if folder.is_dir() else None
        if paths is None:
            raise InputError(f"{folder} is no folder and no file. Give the folder that holds the class's .lesson.json files.")
    else:
        paths = [Path(one).expanduser() for one in source]
    if not paths:
        raise InputError(f"{source} holds no .json files. Students write them with lesson.save().")
    if len(paths) > FILES:
        raise InputError(f"{len(paths)} files were given; {FILES} are the most for one class.")
    found, problems = {}, {}
    for path in paths:
        try:
            found[_file(path)] = read_progress(path)
        except InputError as error:
            problems[_file(path)] = str(error)
    return ClassBook(found, problems)


def _file(path: Path) -> str:
    """A file's name as text that a page or a terminal can show."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in path.name)[:120]


def _words(answer: Any) -> str:
    return ", ".join(map(str, answer)) if isinstance(answer, list) else str(answer)


def _cell(value: Any) -> str:
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


def _html(table: "Table") -> str:
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in table.colnames)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{escape('' if np.ma.is_masked(v) else f'{v:.2f}' if isinstance(v, float | np.floating) else str(v))}</td>" for v in row)
        + "</tr>"
        for row in table
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
