"""How much memory a hub or Binder promises (``MEM_LIMIT``), and whether that is little."""

import os

SMALL = 2 * 1024**3  # bytes


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
