"""Text to numbers: words, and hashed n-grams of each word."""

import re
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?")


def words(text: str, limit: int | None = None) -> list[str]:
    """Lower-case words and numbers of a text, in order, at most `limit`."""
    return WORD.findall(text.lower())[:limit]


@lru_cache(maxsize=50_000)
def _hashed(word: str, width: int) -> NDArray[np.float32]:
    """One word's n-grams (the word itself, and its 3-grams with borders) counted in `width` signed buckets, of length one."""
    marked = f"<{word}>"
    grams = [word, *(marked[i : i + 3] for i in range(len(marked) - 2))]
    vector = np.zeros(width, dtype=np.float32)
    for gram in grams:
        code = zlib.crc32(gram.encode())  # the same on every machine, unlike hash()
        vector[code % width] += 1.0 if code & 0x8000_0000 else -1.0
    vector /= max(float(np.linalg.norm(vector)), 1e-6)
    vector.setflags(write=False)  # it is shared by all texts
    return vector


def hashed_words(texts: Sequence[Iterable[str]], width: int, length: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Hashed n-grams of each word (feature hashing, Weinberger et al. 2009, arXiv:0902.2206).

    Parameters
    ----------
    texts : sequence of sequences of str
        Words of each text.
    width : int
        Buckets.
    length : int
        Words kept per text.

    Returns
    -------
    values : float32 array, (text, word, bucket)
    mask : bool array, (text, word)
    """
    values = np.zeros((len(texts), length, width), dtype=np.float32)
    mask = np.zeros((len(texts), length), dtype=bool)
    for i, text in enumerate(texts):
        for j, word in enumerate(list(text)[:length]):
            values[i, j] = _hashed(word, width)
            mask[i, j] = True
    return values, mask
