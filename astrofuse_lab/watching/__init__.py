"""Scoring alert packets as they arrive: files that appear in a folder, or what a broker sends.

::

    astrofuse watch incoming --run runs/real_bogus --out scores.jsonl
    astrofuse watch incoming --run original:braai --once

`watch` is the same in Python. What a packet becomes: `packets`. What is written: `journal`.
"""

from astrofuse_lab.watching.feeding import feed
from astrofuse_lab.watching.packets import samples_of
from astrofuse_lab.watching.watch import Summary, Watch, watch

__all__ = ["Summary", "Watch", "feed", "samples_of", "watch"]
