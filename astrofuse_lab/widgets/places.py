"""Numbers on the places of a model's input, laid on the places of the data that a view draws."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from astrofuse_lab.samples.preparation import Preparation
    from astrofuse_lab.samples.sample_set import SampleSet


def on_places(values: NDArray[Any], kind: str, length: int | NDArray[np.int64]) -> NDArray[np.float32]:
    """Values on the places of a model's input, laid out as the view draws them.

    Models read the latest epochs of a light curve and the first words of a text; `length` is how many there are, or
    of texts shown as sentences the sentence of each word, which then has that sentence's value. What the model did not read is NaN.
    """
    flat = np.asarray(values, dtype=np.float32).reshape(-1)
    if not isinstance(length, int):
        return np.append(flat, np.float32(np.nan))[np.minimum(length, len(flat))]
    if kind == "text":
        return flat[:length]
    if kind != "light_curve":
        return flat
    count = min(length, len(flat))
    out = np.full(length, np.nan, dtype=np.float32)
    out[length - count :] = flat[:count]
    return out


def lengths(samples: "SampleSet", position: int, prepared: "Preparation") -> dict[str, int | NDArray[np.int64]]:
    """How many epochs and words one sample has, for `on_places`; of texts that the run reads as sentences, the sentence of each word."""
    from astrofuse_lab.alignment.sentences import sentences_of
    from astrofuse_lab.alignment.text import words

    out: dict[str, int | NDArray[np.int64]] = {}
    for name, spec in samples.modalities.items():
        if spec.kind == "light_curve":
            out[name] = int(samples.arrays(name, [position])["offsets"][-1])
        elif spec.kind == "text":
            text = samples.arrays(name, [position])["utf8"].tobytes().decode("utf-8", "replace")
            whole = name in prepared.scalings and prepared.scalings[name].options.get("treatment") == "sentence"
            parts = [len(words(one)) for one in sentences_of(text)] if whole else []
            out[name] = np.repeat(np.arange(len(parts)), parts) if whole else len(words(text))
    return out
