"""Says whether two sample sets hold the same: ids, columns and what is present, in any order of loading."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet


def fingerprint(samples: "SampleSet") -> str:
    """Sixteen digits of the sha256 of ids, of all columns (numbers to six figures, so that machines agree) and of which modalities are present."""
    got = hashlib.sha256()
    order = np.argsort(samples.object_ids)
    for name in sorted(samples.roles):
        column = samples.column(name)[order]
        known = ~np.ma.getmaskarray(column)
        values = np.ma.getdata(column)[known]
        words = [f"{v:.6g}" for v in values.tolist()] if values.dtype.kind == "f" else [str(v) for v in values.tolist()]
        got.update(name.encode() + known.tobytes() + "\x1f".join(words).encode("utf-8", "replace"))
    for name in sorted(samples.modalities):
        got.update(name.encode() + np.asarray(samples.present(name), dtype=bool)[order].tobytes())
    return got.hexdigest()[:16]
