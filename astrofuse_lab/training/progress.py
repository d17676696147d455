"""What a training tells of itself: events, which a line of text, a file and a function are given alike.

The file is ``progress.jsonl`` in the run folder, one JSON object a line, written while training goes on::

    {"event": "begin", "time": ..., "recipe": ..., "metric": ..., "step": ..., "epochs": ...}
    {"event": "epoch", "time": ..., "epoch": 1, "train_loss": ..., "validation_loss": ..., "metric": ..., "memory": ...}
    {"event": "said", "time": ..., "text": "out of memory with 64 samples at once: ..."}
    {"event": "end", "time": ..., "state": "finished"}

A training that was killed and goes on tells the epochs since its last checkpoint again: of each epoch the last line holds.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from astrofuse_lab.jobs import Job
from astrofuse_lab.storage import storage_errors

FILE = "progress.jsonl"
LARGEST = 64 * 1024**2
"""Bytes of a file that are read, from its end."""


class ProgressLine:
    """Writes over itself where the output can, else says little.

    Parameters
    ----------
    label : str
    on : bool

    Attributes
    ----------
    metric : str
        What is measured besides the loss, once that is known.
    """

    def __init__(self, label: str, on: bool) -> None:
        self.label, self.on, self.metric = label, on, ""
        self.rewrites = sys.stdout.isatty() or "ipykernel" in sys.modules
        self.width = 0

    def show(self, now: Mapping[str, Any]) -> None:
        """Show an epoch; without a terminal, one line in ten."""
        if not self.on:
            return
        last = now["epoch"] == now["epochs"]
        if not (self.rewrites or last or now["epoch"] % max(1, now["epochs"] // 10) == 0):
            return
        told = "" if now["metric"] is None or self.metric == "validation_loss" else f"  {self.metric} {now['metric']:.3f}"
        text = (
            f"{self.label}: epoch {now['epoch']}/{now['epochs']}  loss {now['train_loss']:.3f}  "
            f"validation {now['validation_loss']:.3f}{told}{' *' if now['best'] else ''}  {now['seconds']:.0f} s"
        )
        if self.rewrites:
            print("\r" + text.ljust(self.width), end="", flush=True)
            self.width = len(text)
        else:
            print(text, flush=True)

    def say(self, text: str) -> None:
        """A line of its own."""
        self.end(f"{self.label}: {text}")
        self.width = 0

    def end(self, text: str = "") -> None:
        """Finish the line."""
        if self.on and self.width:
            print()
        if self.on and text:
            print(text, flush=True)


def telling(job: Job, on_epoch: Callable[[dict[str, Any]], None] | None) -> Callable[[dict[str, Any]], None]:
    """What is called after each epoch: tells the job, then whoever asked for it."""

    def tell(now: dict[str, Any]) -> None:
        of = f"epoch {now['epoch']} of at most {now['epochs']}"
        job.tell(now["epoch"] / max(1, now["epochs"]), f"{now['stage']}: {of}" if now.get("stage") else of)
        if on_epoch is not None:
            on_epoch(now)

    return tell


class Progress:
    """Gives each event to a line of text, to a file and to a function.

    Parameters
    ----------
    line : ProgressLine
    folder : path, optional
        Where ``progress.jsonl`` is added to; None: no file.
    on_epoch : callable, optional
        Given each epoch.
    """

    def __init__(self, line: ProgressLine, folder: Path | None = None, on_epoch: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.line, self.file, self.on_epoch = line, None if folder is None else folder / FILE, on_epoch

    def begin(self, **told: Any) -> None:
        """A training begins or goes on."""
        self._write("begin", told)

    def epoch(self, now: dict[str, Any]) -> None:
        """An epoch is done."""
        self._write("epoch", now)
        self.line.show(now)
        if self.on_epoch is not None:
            self.on_epoch(now)

    def say(self, text: str) -> None:
        """Something was changed that nobody asked for."""
        self._write("said", {"text": text})
        self.line.say(text)

    def end(self, state: str) -> None:
        """Training ends: ``finished``, ``stopped`` or ``failed``."""
        self._write("end", {"state": state})
        self.line.end()

    def _write(self, event: str, told: Mapping[str, Any]) -> None:
        if self.file is None:
            return
        values = {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in told.items()}
        line = json.dumps({"event": event, "time": round(time.time(), 3), **values}, allow_nan=False).encode() + b"\n"
        with storage_errors(self.file):
            # one write in append mode: who reads meanwhile sees whole lines, and so do two who write
            handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, line if self._whole() else b"\n" + line)
            finally:
                os.close(handle)

    def _whole(self) -> bool:
        """Whether the file ends with a line's end; a machine that went down in mid-write leaves half a line."""
        assert self.file is not None
        with open(self.file, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            if end == 0:
                return True
            file.seek(end - 1)
            return file.read(1) == b"\n"


def read_progress(folder: str | Path) -> list[dict[str, Any]]:
    """The events of a run folder so far, in order; while it is trained, too.

    Of an epoch that was told twice, after a kill, the later line is given. What is no event is passed over.

    Parameters
    ----------
    folder : path

    Returns
    -------
    list of dict
        Empty where nothing was told yet.
    """
    file = Path(folder).expanduser() / FILE
    if not file.is_file():
        return []
    with open(file, "rb") as opened:
        opened.seek(max(0, file.stat().st_size - LARGEST))
        lines = opened.read(LARGEST).splitlines()
    events: list[dict[str, Any]] = []
    for line in lines:
        try:
            event = json.loads(line)
            if event["event"] == "epoch":
                events = [e for e in events if e["event"] != "epoch" or e["epoch"] < event["epoch"]]
            events.append(event)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return events
