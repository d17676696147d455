"""Texts: hashed n-grams of each word, or vectors of a language model for each sentence.

``inputs={"text": Part.of("sentence", sentences=16)}`` asks for the latter; see `astrofuse_lab.alignment.sentences`.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from astrofuse_lab.alignment.sentences import check_installed, sentence_vectors
from astrofuse_lab.alignment.text import hashed_words, words
from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.preparation.scaling import Arrays, Scaling

TREATMENTS: dict[str, dict[str, Any]] = {"hashed": {"words": 64, "buckets": 256}, "sentence": {"sentences": 16}}
"""Ways to show a text, with their options."""


def options_of(changed: Mapping[str, Any]) -> dict[str, Any]:
    """All options of the treatment that `changed` names, hashed words by default.

    Raises
    ------
    InputError
        For an option the treatment does not have or a number below 1; if the language model is asked for and not installed.
    """
    treatment = changed.get("treatment", "hashed")
    known = TREATMENTS[treatment]
    for name, value in changed.items():
        if name != "treatment" and name not in known:
            raise InputError(f"texts as {treatment!r} have no option {name!r}; they have {', '.join(known)}.")
        if name != "treatment" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"texts as {treatment!r}: {name}={value!r}; a whole number from 1, e.g. {known[name]}.")
    if treatment == "sentence":
        check_installed()
    return {**known, **changed}


def apply(arrays: Arrays, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Values and mask as the encoders take them."""
    content, offsets = arrays["utf8"].tobytes(), arrays["offsets"]
    texts = [content[b:e].decode("utf-8", "replace") for b, e in pairwise(offsets)]
    if scaling.options.get("treatment") == "sentence":
        values, mask = sentence_vectors(texts, int(scaling.options["sentences"]))
    else:
        length = int(scaling.options["words"])
        values, mask = hashed_words([words(text, length) for text in texts], int(scaling.options["buckets"]), length)
    return torch.from_numpy(values), torch.from_numpy(mask)
