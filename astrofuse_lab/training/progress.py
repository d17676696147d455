"""One line of text that follows a training, in a terminal and in a notebook."""

import sys
from collections.abc import Mapping
from typing import Any


class ProgressLine:
    """Writes over itself where the output can, else says little.

    Parameters
    ----------
    label : str
    metric : str
    on : bool
    """

    def __init__(self, label: str, metric: str, on: bool) -> None:
        self.label, self.metric, self.on = label, metric, on
        self.rewrites = sys.stdout.isatty() or "ipykernel" in sys.modules
        self.width = 0

    def show(self, now: Mapping[str, Any]) -> None:
        """Show an epoch; without a terminal, one line in ten."""
        last = now["epoch"] == now["epochs"]
        if not self.on or not (self.rewrites or last or now["epoch"] % max(1, now["epochs"] // 10) == 0):
            return
        text = (
            f"{self.label}: epoch {now['epoch']}/{now['epochs']}  loss {now['train_loss']:.3f}  "
            f"validation {now['validation_loss']:.3f}  {self.metric} {now['metric']:.3f}{' *' if now['best'] else ''}  {now['seconds']:.0f} s"
        )
        if self.rewrites:
            print("\r" + text.ljust(self.width), end="", flush=True)
            self.width = len(text)
        else:
            print(text, flush=True)

    def end(self, text: str = "") -> None:
        """Finish the line."""
        if self.on and self.width:
            print()
        if self.on and text:
            print(text, flush=True)
