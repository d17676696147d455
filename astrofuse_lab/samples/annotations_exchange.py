"""Labels as files: CSV, ECSV, and rows like those that Zooniverse exports.

A spreadsheet runs a cell that begins with = + - or @ as a formula. In the CSV files such text gets an apostrophe in front, which
spreadsheets hide and `add` takes away again (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import InputError, SampleSetError, StorageError
from astrofuse_lab.storage import storage_errors, write_bytes

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.annotations_book import LabelBook

FORMATS = ("csv", "ecsv", "zooniverse")
COLUMNS = ("object_id", "annotator", "label", "unsure", "time")
ZOONIVERSE = (
    "classification_id", "user_name", "user_id", "user_ip", "workflow_id", "workflow_name", "workflow_version", "created_at", "gold_standard", "expert",
    "metadata", "annotations", "subject_data", "subject_ids",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
LARGEST = 256 * 1024**2
ROWS = 2_000_000
UNSURE = "not sure"


def escaped(text: str) -> str:
    """Text that no spreadsheet takes for a formula; `plain` is the inverse."""
    return f"'{text}" if text.startswith(FORMULA) else text


def plain(text: str) -> str:
    """What `escaped` was given."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA) else text


def export(book: "LabelBook", path: str | Path, format: str | None = None, overwrite: bool = False) -> Path:
    """Write all answers of a book, all or nothing.

    Parameters
    ----------
    book : LabelBook
    path : path
    format : {"csv", "ecsv", "zooniverse"}, optional
        None: by the ending. ``csv`` and ``ecsv``: object_id, annotator, label ("" where not sure), unsure, time. ``zooniverse``: a CSV with
        the columns of a Zooniverse classification export, one task T0.
    overwrite : bool

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    InputError
        For another format.
    StorageError
        If the file exists and `overwrite` is False, or cannot be written.
    """
    where = Path(path).expanduser().resolve()
    kind = format or where.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise InputError(f"format={kind!r}: one of {', '.join(FORMATS)}; or end the path in .csv or .ecsv.")
    with storage_errors(where):
        if where.exists() and not overwrite:
            raise StorageError(f"{where} already exists. Pass overwrite=True to replace it, or give another path.")
    table = book.table()
    text = io.StringIO(newline="")
    if kind == "ecsv":
        table.write(text, format="ascii.ecsv")
    else:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS if kind == "csv" else ZOONIVERSE)
        for number, row in enumerate(table):
            given = dict(zip(COLUMNS, (str(row[0]), str(row[1]), str(row[2]), bool(row[3]), str(row[4])), strict=True))
            writer.writerow([escaped(str(cell)) for cell in (given.values() if kind == "csv" else _classification(number + 1, given))])
    write_bytes(where, text.getvalue().encode("utf-8", "replace"))
    return where


def _classification(number: int, row: dict[str, Any]) -> tuple[Any, ...]:
    answer = UNSURE if row["unsure"] else row["label"]
    annotations = json.dumps([{"task": "T0", "task_label": "label", "value": answer}])
    subject = json.dumps({row["object_id"]: {"retired": None, "object_id": row["object_id"]}})
    return (number, row["annotator"], "", "", "", "AstroFuse Lab", "", row["time"], "", "", json.dumps({"source": "astrofuse-lab"}), annotations, subject, row["object_id"])


# ---- back ------------------------------------------------------------------------------------------------------------


def add(book: "LabelBook", source: "str | Path | Table", by: str | None = None) -> int:
    """Add answers to a book, each as the annotator's that its row names.

    Parameters
    ----------
    book : LabelBook
    source : path or Table
        A CSV or ECSV file with the columns object_id and label, as well as annotator and unsure where it has them; a Zooniverse
        classification export; or such a table, e.g. ``samples.annotations.table()``.
    by : str, optional
        The annotator of all rows. None: the row's, else "me".

    Returns
    -------
    int
        Answers added.

    Raises
    ------
    InputError
        If the columns are missing, or a label or name is too long; nothing is added then.
    SampleSetError
        If the file cannot be read.
    """
    from astrofuse_lab.samples.annotations_book import annotator_of, label_of

    rows = list(_rows(source))
    checked = [(object_id, label_of(UNSURE if unsure else label), annotator_of(by or who or "me")) for object_id, who, label, unsure in rows]
    together: dict[tuple[str | None, str], list[str]] = {}
    for object_id, label, who in checked:
        if label != "":
            book._id(object_id)
            together.setdefault((label, who), []).append(object_id)
    for (label, who), ids in together.items():
        book.say(ids, label, who)
    return sum(map(len, together.values()))


def _rows(source: "str | Path | Table") -> Iterator[tuple[str, str, str, bool]]:
    """object_id, annotator, label, unsure of each row."""
    from astropy.table import Table

    if isinstance(source, Table):
        names, rows = source.colnames, ({name: "" if np.ma.is_masked(row[name]) else str(row[name]) for name in source.colnames} for row in source)
        yield from _answers(names, rows)
        return
    path = Path(source).expanduser()
    try:
        if path.stat().st_size > LARGEST:
            raise SampleSetError(f"{path} has {path.stat().st_size} bytes; {LARGEST} at most.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SampleSetError(f"{path} cannot be read ({error}). Give a CSV or ECSV file of labels.") from error
    if text.startswith("# %ECSV"):
        try:
            yield from _rows(Table.read(text, format="ascii.ecsv"))
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise SampleSetError(f"{path} is no ECSV file that can be read ({error}).") from error
        return
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        yield from _answers(list(reader.fieldnames or ()), ({str(k): plain(v or "") for k, v in row.items() if isinstance(v, str | None)} for row in reader))
    except csv.Error as error:
        raise SampleSetError(f"{path} is no CSV file that can be read ({error}).") from error


def _answers(names: list[str], rows: Iterator[dict[str, str]]) -> Iterator[tuple[str, str, str, bool]]:
    zooniverse = {"annotations", "subject_data", "user_name"} <= set(names)
    if not zooniverse and not {"object_id", "label"} <= set(names):
        raise InputError(f"labels need the columns object_id and label; there are {', '.join(names[:12]) or 'none'}.")
    for number, row in enumerate(rows):
        if number >= ROWS:
            raise InputError(f"more than {ROWS} rows. Give them in several files.")
        if zooniverse:
            yield from _classified(row)
        elif row["object_id"]:
            unsure = row.get("unsure", "").lower() in ("true", "1")
            yield row["object_id"], row.get("annotator", ""), row["label"], unsure


def _classified(row: dict[str, str]) -> Iterator[tuple[str, str, str, bool]]:
    """The first task of a Zooniverse classification whose answer is one text."""
    try:
        tasks, subjects = json.loads(row["annotations"]), json.loads(row["subject_data"])
        key, subject = next(iter(subjects.items()))
        value = next((task["value"] for task in tasks if isinstance(task, dict) and isinstance(task.get("value"), str)), None)
    except (ValueError, RecursionError, StopIteration, AttributeError, TypeError, KeyError):
        return
    if value is not None:
        named = subject.get("object_id") if isinstance(subject, dict) else None
        yield str(named or key), row["user_name"], value, value.strip().lower() == UNSURE
