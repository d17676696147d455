"""How far a fetch is, told to a callback and in a line of text."""

import sys
import time
from collections.abc import Callable, Mapping

from astrofuse_lab.found import Ledger
from astrofuse_lab.jobs import Job

Progress = Callable[[dict[str, object]], object]
OFTEN = 0.2  # s between two lines of text


class Reporter:
    """Tells a callback and, on a terminal or in a notebook, a line of text how far a fetch is."""

    def __init__(self, ledgers: Mapping[str, Ledger], shown: bool, callback: Progress | None) -> None:
        self.ledgers, self.shown, self.callback = ledgers, shown, callback
        self.start = self.last = time.monotonic()
        in_notebook = type(sys.stderr).__module__.startswith("ipykernel")
        self.out = sys.stdout if in_notebook else sys.stderr  # a notebook paints stderr red, as if something were wrong
        self.live = shown and (in_notebook or sys.stderr.isatty())
        self.job: Job | None = None

    def tell(self, name: str, state: str) -> None:
        """Something became of one survey's targets."""
        counts = self.ledgers[name].counts()
        if self.callback is not None:
            total = len(self.ledgers[name])
            self.callback({"survey": name, "done": total - counts["pending"], "total": total, "failed": counts["failed"], "state": state})
        if time.monotonic() - self.last > OFTEN:
            self.last = time.monotonic()
            if self.job is not None:
                done, total = (sum(n) for n in zip(*((len(book) - book.counts()["pending"], len(book)) for book in self.ledgers.values()), strict=True))
                self.job.tell(done / max(1, total), f"{done} of {total} answers")
            if self.live:
                self.out.write("\r" + self._line() + "\x1b[K")
                self.out.flush()

    def end(self) -> None:
        """The last line."""
        if self.shown:
            self.out.write(("\r" if self.live else "") + self._line() + ("\x1b[K\n" if self.live else "\n"))
            self.out.flush()

    def _line(self) -> str:
        parts = []
        for name, book in self.ledgers.items():
            counts, total = book.counts(), len(book)
            parts.append(f"{name} {total - counts['pending']}/{total}" + (f" ({counts['failed']} failed)" if counts["failed"] else ""))
        return "  ".join(parts) + f"  {time.monotonic() - self.start:.0f} s"
