"""The watch itself: looks, reads what is whole, scores it in batches, sets aside what is malformed."""

import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.storage import storage_errors
from astrofuse_lab.surveys import alert_packets
from astrofuse_lab.training.run import Run
from astrofuse_lab.watching.journal import KEY, Ended, Journal
from astrofuse_lab.watching.packets import Packet, field_of, packet_of, plain, reads, samples_of

ASIDE, REASONS = "set-aside", "reasons.jsonl"
SURVEY = "alert packet"
KEPT = 100_000
"""Latencies that a summary is made of: the newest."""


class Waiting(NamedTuple):
    """A packet that has yet to be scored."""

    packet: Packet
    file: str
    number: int
    arrived: float


class Seen(NamedTuple):
    """A file as it was last looked at: size, date (ns), and since when it is so (monotonic)."""

    size: int
    modified: int
    since: float


@dataclass
class Summary:
    """What a watch has done since it began.

    Attributes
    ----------
    packets, malformed, duplicates, files : int
        Packets scored; packets and files set aside; packets that had a score already; files read to their end.
    seconds : float
        Time spent reading, scoring and writing.
    latencies : deque of float
        Seconds from a file's last change (or the begin of the watch, if later) to its packets' scores on the disk.
    """

    packets: int = 0
    malformed: int = 0
    duplicates: int = 0
    files: int = 0
    seconds: float = 0.0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    @property
    def rate(self) -> float:
        """Packets a second of work."""
        return self.packets / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        said = f"{self.packets} packets of {self.files} files scored, {self.malformed} set aside, {self.duplicates} known already"
        if self.latencies:
            middle, late, most = np.percentile(self.latencies, [50, 95, 100])
            said += f"; {self.rate:.1f} packets/s, latency {middle:.2f} s (median), {late:.2f} s (95 %), {most:.2f} s (most)"
        return said


class Watch:
    """Scores the packets of files in a folder, each alert once.

    Parameters
    ----------
    run : Run
        Its inputs are stamps, and fields of the packet where it reads a table: see `astrofuse_lab.watching.packets.reads`.
    folder : path
        Files ending in ``.avro``, ``.avro.gz`` or ``.parquet``, in it or below.
    out : path, optional
        ``.jsonl`` or ``.csv``; None: ``scores.jsonl`` in the folder. Where it is there already, the watch goes on from it.
    name : str
        What scores, as the lines say; empty: the run's folder or title.
    batch : int
        Packets that are scored at once.
    settle : float
        Seconds that a file must be unchanged before it is read.
    patience : float
        Seconds that a file which cannot be read must be unchanged before it is set aside: it may still be growing.
    show : callable, optional
        Takes each line of the report.

    Raises
    ------
    InputError
        For a run that reads more than packets hold, a folder that is none, or an `out` of another run.
    """

    def __init__(
        self, run: Run, folder: str | Path, out: str | Path | None = None, *, name: str = "", batch: int = 64, settle: float = 0.5, patience: float = 10.0,
        show: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self.run, self.folder = run, Path(folder)
        if not self.folder.is_dir():
            raise InputError(f"there is no folder {self.folder}. Make it first: mkdir {self.folder}")
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1 or not (settle >= 0 and patience >= 0):
            raise InputError(f"batch={batch!r}, settle={settle!r}, patience={patience!r}: a whole number from 1, and seconds from 0.")
        self.wanted = reads(run)
        self.batch, self.settle, self.patience, self.show = batch, settle, max(patience, settle), show or (lambda line: None)
        title = str(run.record["samples"]["card"].get("title", "")) if run.record.get("original") else ""
        self.journal = Journal(Path(out) if out else self.folder / "scores.jsonl", name or (str(run.path) if run.path else title or run.recipe.name))
        self.summary = Summary()
        self.began = time.time()
        self.seen: dict[Path, Seen] = {}
        self.partly: dict[str, set[str]] = {}
        self.failed: dict[Path, tuple[int, int]] = {}
        self.waiting: list[Waiting] = []
        self.ended: list[Ended] = []
        self.queued: set[str] = set()
        self._say_what_lacks = True

    # ---- one look --------------------------------------------------------------------------------------------------

    def step(self) -> int:
        """Look once: read what is whole, score it, set aside what is malformed; how many packets were scored."""
        before, begin = self.summary.packets, time.perf_counter()
        for file in self._whole():
            self._read(file)
        if self.waiting or self.ended:
            self._score()
            self.summary.seconds += time.perf_counter() - begin
        return self.summary.packets - before

    @property
    def pending(self) -> bool:
        """True while files are there that may yet be read or set aside."""
        return any(self._is_new(path, seen) for path, seen in self.seen.items())

    def close(self) -> None:
        """Let go of what it writes to."""
        self.journal.close()

    def _is_new(self, path: Path, seen: Seen) -> bool:
        return self.journal.done.get(self._name(path)) != (seen.size, seen.modified)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _whole(self) -> Iterator[Path]:
        """Files that have not changed for a while and are not done."""
        now, found = time.monotonic(), {}
        for path in sorted(self.folder.rglob("*")):
            if path.name.lower().endswith(alert_packets.ENDINGS) and ASIDE not in path.relative_to(self.folder).parts and path.is_file():
                try:
                    stat = path.stat()
                except OSError:
                    continue  # gone since
                last = self.seen.get(path)
                same = last is not None and (last.size, last.modified) == (stat.st_size, stat.st_mtime_ns)
                found[path] = last if same and last else Seen(stat.st_size, stat.st_mtime_ns, now)
        self.seen = found
        for path, seen in found.items():
            # to be read, its date is enough; to be given up it must have been watched, for the clock of another machine may have made the date
            watched = now - seen.since
            tried = self.failed.get(path) == (seen.size, seen.modified)
            if self._is_new(path, seen) and (watched >= self.patience if tried else max(watched, time.time() - seen.modified / 1e9) >= self.settle):
                yield path

    # ---- one file --------------------------------------------------------------------------------------------------

    def _read(self, path: Path) -> None:
        """All packets of a file into batches; a file that cannot be read is left for a while, then set aside."""
        seen, name, number = self.seen[path], self._name(path), -1
        arrived = max(seen.modified / 1e9, self.began)
        try:
            for number, value in enumerate(alert_packets.packets_of(alert_packets.content_of(path, SURVEY), SURVEY, name)):
                self._take(value, name, number, arrived)
            if number < 0:
                raise ArchiveError(SURVEY, "the file holds no packet", name)
        except ArchiveError as error:
            if not path.exists():
                return  # taken away while it was looked at
            if time.monotonic() - seen.since < self.patience:
                self.failed[path] = (seen.size, seen.modified)
            else:
                self._put_aside(path, plain(str(error)))
            return
        self.failed.pop(path, None)
        self.ended.append(Ended(name, seen.size, seen.modified, number + 1))

    def _take(self, value: Mapping[str, Any], file: str, number: int, arrived: float) -> None:
        """One packet into the batch."""
        before = self.partly.setdefault(file, set())  # a file that grew is read from its begin again
        try:
            packet = packet_of(value)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if f"[{number}]" not in before:
                before.add(f"[{number}]")
                self._refuse(file, number, plain(str(error)))
            return
        if packet.key in before:
            return
        before.add(packet.key)
        if packet.key in self.journal.known or packet.key in self.queued:
            self.summary.duplicates += 1
            return
        self.queued.add(packet.key)
        self.waiting.append(Waiting(packet, file, number, arrived))
        if len(self.waiting) >= self.batch:
            self._score()

    def _score(self) -> None:
        """Score and write what waits, then note the files that were read to their end."""
        given, self.waiting = self.waiting, []
        self.queued.clear()
        if given:
            self._score_these(given)
        ended, self.ended = self.ended, []
        self.journal.finish(ended)
        self.summary.files += len(ended)
        for one in ended:
            self.partly.pop(one.file, None)

    def _score_these(self, given: Sequence[Waiting]) -> None:
        begin = time.perf_counter()
        samples, refused = samples_of([one.packet for one in given], self.wanted)
        for place, reason in refused.items():
            self._refuse(given[place].file, given[place].number, reason)
        good = [one for place, one in enumerate(given) if place not in refused]
        if samples is not None:
            self._warn(good)
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            table = self.run.predict(samples)
            rows = [
                {KEY: one.packet.key, "name": plain(one.packet.alert.names[0]), "file": one.file, "number": one.number, "mjd": one.packet.alert.time, "scored": now}
                | {column: _cell(table[column][i]) for column in table.colnames if column != "object_id"}
                for i, one in enumerate(good)
            ]
            self.journal.write(rows)
            late = [time.time() - one.arrived for one in good]
            self.summary.packets += len(good)
            self.summary.latencies.extend(late)
            files, took = dict.fromkeys(one.file for one in good), time.perf_counter() - begin
            what = good[0].file if len(files) == 1 else f"{len(files)} files, the last {good[-1].file}"
            self.show(f"{len(good)} packets of {what}: {len(good) / took:.1f} packets/s scored, latency {np.median(late):.2f} s (median), {max(late):.2f} s (most)")

    def _warn(self, good: Sequence[Waiting]) -> None:
        """Once: columns that no packet of the first batch has."""
        if self._say_what_lacks:
            self._say_what_lacks = False
            columns = [column for kind, channels, _, _ in self.wanted.values() if kind == "table" for column in channels]
            lacking = [column for column in columns if all(field_of(one.packet, column) is None for one in good)]
            if lacking:
                self.show(f"these columns of the run are in none of the first packets, and count as missing: {', '.join(lacking)}")

    # ---- what is malformed -----------------------------------------------------------------------------------------

    def _refuse(self, file: str, number: int | None, reason: str) -> None:
        """Into the list of what is malformed."""
        self.summary.malformed += 1
        self.show(f"set aside: {file}{'' if number is None else f' [{number}]'}: {reason}")
        line = json.dumps({"file": file, "number": number, "reason": reason, "time": datetime.now(UTC).isoformat(timespec="seconds")}) + "\n"
        with storage_errors(self.folder / ASIDE):
            (self.folder / ASIDE).mkdir(exist_ok=True)
            with open(self.folder / ASIDE / REASONS, "a", encoding="utf-8") as list_of:
                list_of.write(line)

    def _put_aside(self, path: Path, reason: str) -> None:
        """A file that cannot be read goes to the subfolder; where it may not be moved it stays, and is not tried again."""
        self._refuse(self._name(path), None, reason)
        target = self.folder / ASIDE / path.name
        while target.exists():
            target = target.with_name(f"{target.name.split('.')[0]}-again.{target.name.partition('.')[2]}")
        try:
            os.replace(path, target)
        except OSError:
            self.journal.finish([Ended(self._name(path), self.seen[path].size, self.seen[path].modified, 0)])
        self.failed.pop(path, None)
        self.partly.pop(self._name(path), None)


def _cell(value: Any) -> Any:
    """A table's cell as JSON has it."""
    if np.ma.is_masked(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def watch(
    run: Run, folder: str | Path, out: str | Path | None = None, *, once: bool = False, poll: float = 0.5, feeder: Callable[[], object] | None = None,
    show: Callable[[str], None] | None = None, **settings: Any,
) -> Summary:  # fmt: skip
    """Score packets as they arrive, until Ctrl-C (or, with ``once``, until all that is there is scored or set aside).

    Parameters
    ----------
    run, folder, out, show, **settings
        As `Watch`.
    poll : float
        Seconds between looks.
    feeder : callable, optional
        Called before each look: brings files into the folder, e.g. `feed`.

    Returns
    -------
    Summary
    """
    watching = Watch(run, folder, out, show=show, **settings)
    try:
        while True:
            if feeder is not None:
                feeder()
            watching.step()
            if once and not watching.pending:
                break
            time.sleep(min(poll, 0.05) if once else poll)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
    finally:
        watching.close()
    return watching.summary
