"""Texts: hashed n-grams of each word."""

from itertools import pairwise

import torch
from torch import Tensor

from astrofuse_lab.alignment.text import hashed_words, words
from astrofuse_lab.samples.preparation.scaling import Arrays, Scaling


def apply(arrays: Arrays, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Values and mask as the encoders take them."""
    length, buckets = int(scaling.options["words"]), int(scaling.options["buckets"])
    content, offsets = arrays["utf8"].tobytes(), arrays["offsets"]
    texts = [words(content[b:e].decode("utf-8", "replace"), length) for b, e in pairwise(offsets)]
    values, mask = hashed_words(texts, buckets, length)
    return torch.from_numpy(values), torch.from_numpy(mask)
