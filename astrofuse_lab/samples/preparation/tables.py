"""Tables: z-scores."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astrofuse_lab.samples.preparation.scaling import Arrays, Scaling, spread


def fit(arrays: Arrays, options: Mapping[str, Any]) -> dict[str, list[float]]:
    """The numbers of the scale, from training samples."""
    values = np.ma.MaskedArray(arrays["values"], ~arrays["mask"])
    centre = np.ma.filled(np.ma.median(values, axis=0), 0.0)
    width = np.array([spread(values[:, c].compressed()) for c in range(values.shape[1])])
    return {"centre": [float(v) for v in centre], "width": [float(v) for v in width]}


def apply(arrays: Arrays, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Values and mask as the encoders take them."""
    centre, width = (np.array(scaling.fitted[k]) for k in ("centre", "width"))
    clip = float(scaling.options["clip"])
    values = np.clip((arrays["values"] - centre) / width, -clip, clip) * arrays["mask"]
    return torch.from_numpy(values.astype(np.float32)), torch.from_numpy(arrays["mask"].copy())
