"""Texts to word pieces of a fixed vocabulary, as BERT's uncased models read them (Devlin et al. 2019, arXiv:1810.04805; WordPiece: Wu et al. 2016, arXiv:1609.08144)."""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache

UNKNOWN, BEGIN, END, PADDING = "[UNK]", "[CLS]", "[SEP]", "[PAD]"
LONGEST_WORD = 100
"""Characters; a longer word is unknown."""
IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
"""Code points of Chinese characters, each a word by itself."""


def pieces_of(text: str, vocabulary: Mapping[str, int], most: int) -> list[int]:
    """Numbers of a text's word pieces between those of begin and end, at most `most` in all; the rest of the text is left out."""
    numbers: list[int] = []
    for word in basic_words(text):
        numbers += [vocabulary[piece] for piece in word_pieces(word, vocabulary)]
        if len(numbers) >= most - 2:
            break
    return [vocabulary[BEGIN], *numbers[: most - 2], vocabulary[END]]


def word_pieces(word: str, vocabulary: Mapping[str, int]) -> list[str]:
    """One word as the longest pieces of the vocabulary from the left; pieces after the first begin with ``##``."""
    if len(word) > LONGEST_WORD:
        return [UNKNOWN]
    pieces, begin = [], 0
    while begin < len(word):
        for end in range(len(word), begin, -1):
            piece = word[begin:end] if begin == 0 else "##" + word[begin:end]
            if piece in vocabulary:
                break
        else:
            return [UNKNOWN]
        pieces.append(piece)
        begin = end
    return pieces


def basic_words(text: str) -> list[str]:
    """Words, punctuation marks and ideographs of a text, in lower case and without accents."""
    kept = unicodedata.normalize("NFD", "".join(_spaced(c) for c in text)).lower()
    return "".join(f" {c} " if _is_mark(c) else c for c in unicodedata.normalize("NFD", kept) if unicodedata.category(c) != "Mn").split()


@lru_cache(maxsize=4096)
def _spaced(c: str) -> str:
    """A character as the words are cut from it: without controls, blanks as one kind, ideographs apart."""
    if c in "\t\n\r" or unicodedata.category(c) == "Zs":
        return " "
    if c in "\x00\ufffd" or unicodedata.category(c).startswith("C"):
        return ""
    return f" {c} " if any(low <= ord(c) <= high for low, high in IDEOGRAPHS) else c


@lru_cache(maxsize=4096)
def _is_mark(c: str) -> bool:
    code = ord(c)
    return 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126 or unicodedata.category(c).startswith("P")
