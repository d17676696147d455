"""What a watch writes: whole lines of scores, batch by batch, from which it goes on after a stop or a kill."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.storage import storage_errors

KINDS = (".jsonl", ".csv")
KEY, RUN = "alert", "run"


class Ended(NamedTuple):
    """A file that was read to its end: its name in the folder, size, date (ns), and how many packets it holds."""

    file: str
    size: int
    modified: int
    packets: int


class Lines:
    """A file that grows by whole lines; a line that a kill cut off is taken away when it is opened again.

    Parameters
    ----------
    path : Path

    Raises
    ------
    StorageError
        If it cannot be written, or another process has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(path, "a+b")  # noqa: SIM115, closed by close()
        try:
            _lock(self.file.fileno(), path)
            self._mend()
        except BaseException:
            self.file.close()
            raise

    def _mend(self) -> None:
        size = self.file.seek(0, os.SEEK_END)
        kept = size
        while kept:
            begin = max(0, kept - 65536)
            self.file.seek(begin)
            place = self.file.read(kept - begin).rfind(b"\n")
            if place >= 0:
                kept = begin + place + 1
                break
            kept = begin
        if kept < size:
            self.file.truncate(kept)

    def lines(self) -> Iterable[str]:
        """All lines, from the first on."""
        self.file.seek(0)
        for line in self.file:
            yield line.decode("utf-8", "replace").rstrip("\r\n")

    def add(self, text: str) -> None:
        """Lines at the end, in one write, on the disk before this returns."""
        with storage_errors(self.path):
            content = memoryview(text.encode())
            while content:  # a full disk may take a part; the rest then fails, and `_mend` takes away what was cut
                content = content[os.write(self.file.fileno(), content) :]
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Let go of it."""
        self.file.close()


def _lock(number: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows, where two watches of one file are not told apart
        return
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StorageError(f"another watch writes to {path}. Stop it, or give another file: --out other.jsonl") from None


class Journal:
    """The scores that were written, and the files that are done.

    Parameters
    ----------
    path : Path
        ``.jsonl`` or ``.csv``; beside it lies ``<name>.files``, which files were read to their end.
    run : str
        What scores; a file of another run's scores is refused.

    Attributes
    ----------
    known : set of str
        Alerts that have a score.

    Raises
    ------
    InputError
        For another kind of file, or one of another run.
    StorageError
        If it cannot be written or is no such file.
    """

    def __init__(self, path: Path, run: str) -> None:
        if path.suffix.lower() not in KINDS:
            raise InputError(f"scores are written to {' or '.join(KINDS)}, not {path.name!r}.")
        self.run, self.csv = run, path.suffix.lower() == ".csv"
        self.columns: list[str] = []
        self.known: set[str] = set()
        self.scores = Lines(path)
        try:
            self.files = Lines(path.with_name(f"{path.name}.files"))
        except BaseException:
            self.scores.close()
            raise
        try:
            self._resume()
            self.done = {row["file"]: (row["size"], row["modified"]) for row in map(self._parsed, self.files.lines())}
        except BaseException:
            self.close()
            raise

    def _parsed(self, line: str) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not ({KEY, RUN} <= set(row) or {"file", "size", "modified"} <= set(row)):
            raise StorageError(f"{self.scores.path} holds other lines than a watch writes ({line[:60]!r}). Give another file: --out other.jsonl")
        return row

    def _resume(self) -> None:
        lines = iter(self.scores.lines())
        if self.csv:
            reader = csv.reader(lines)
            self.columns = next(reader, [])
            if self.columns and not {KEY, RUN} <= set(self.columns):
                raise StorageError(f"{self.scores.path} holds other columns than a watch writes ({', '.join(self.columns)[:60]}). Give another file: --out other.csv")
            rows: Iterable[Mapping[str, Any]] = (dict(zip(self.columns, row, strict=False)) for row in reader)
        else:
            rows = map(self._parsed, lines)
        for row in rows:
            if row.get(RUN) != self.run:
                raise InputError(f"{self.scores.path} holds scores of the run {row.get(RUN)!r}, not of {self.run!r}. Give another file: --out other{self.scores.path.suffix}")
            self.known.add(str(row[KEY]))

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """A batch of scores, all in one write."""
        if not rows:
            return
        rows = [{**row, RUN: self.run} for row in rows]
        if not self.csv:
            self.scores.add("".join(json.dumps(row) + "\n" for row in rows))
        else:
            text = io.StringIO()
            head = not self.columns
            self.columns = self.columns or list(rows[0])
            writer = csv.DictWriter(text, self.columns, lineterminator="\n", extrasaction="ignore")
            if head:
                writer.writeheader()
            writer.writerows(rows)
            self.scores.add(text.getvalue())
        self.known.update(str(row[KEY]) for row in rows)

    def finish(self, ended: "Sequence[Ended]") -> None:
        """Files were read to their end, and their scores are written."""
        if ended:
            self.files.add("".join(json.dumps(one._asdict()) + "\n" for one in ended))
            self.done.update({one.file: (one.size, one.modified) for one in ended})

    def close(self) -> None:
        """Let go of both files."""
        self.scores.close()
        self.files.close()
