"""How much memory a hub or Binder promises (``MEM_LIMIT``), whether that is little, and how soon free memory goes back to the system."""

import ctypes
import os
import sys

SMALL = 2 * 1024**3  # bytes
FREED = ((-8, 2), (-1, 4 * 1024**2), (-3, 4 * 1024**2))
"""Options of glibc's mallopt (malloc.h: M_ARENA_MAX, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD) and their values."""


def promised() -> int | None:
    """Bytes that the server may use; None where nobody says."""
    limit = os.environ.get("MEM_LIMIT", "")
    return int(limit) if limit.isdigit() and int(limit) > 0 else None


def small() -> bool:
    """Whether every 100 MB count: batches are smaller then, and what is compiled for speed (numba takes 140 MB) is done without."""
    limit = promised()
    return limit is not None and limit <= SMALL


def at_once(rows: int) -> int:
    """Rows for a model at once: an eighth of what is asked where memory is small."""
    return max(1, int(rows) // 8 if small() else int(rows))


def give_back() -> bool:
    """Have this process give memory back to the system once it is free, where it serves several people; whether that could be arranged.

    By default glibc keeps up to eight heaps a core, one a thread, and what was free in them once: of a served workbench that is half of its memory.
    Whoever sets any of its variables (``MALLOC_ARENA_MAX``, ...) is left alone, and so are systems without glibc.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(option, value) for option, value in FREED)
