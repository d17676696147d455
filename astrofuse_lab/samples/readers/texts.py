"""Texts of data sets as the fields of a sample set."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.sample_set import ModalityData
from astrofuse_lab.samples.specification import ModalitySpec


def text_data(texts: Iterable[str], provenance: Provenance) -> ModalityData:
    """The modality ``text``, one string an object; an empty one is missing."""
    content = [str(text).encode() for text in texts]
    fields: dict[str, NDArray[Any]] = {
        "offsets": np.concatenate([[0], np.cumsum([len(c) for c in content])]).astype(np.int64),
        "utf8": np.frombuffer(b"".join(content), dtype=np.uint8),
    }  # fmt: skip
    return ModalityData(ModalitySpec("text", "text", provenance=provenance), fields, np.asarray(np.diff(fields["offsets"]) > 0, dtype=bool))
