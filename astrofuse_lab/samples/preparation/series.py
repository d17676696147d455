"""Series: values about their median, stretched with asinh, each channel by itself; or, with ``stretch="none"``, as they are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.samples.preparation.scaling import Arrays, Scaling, spread

STRETCHES = ("asinh", "none")


def good(arrays: Arrays) -> NDArray[np.bool_]:
    """Samples that can be used."""
    return np.asarray(arrays["mask"] & np.isfinite(arrays["values"]))


def fit(arrays: Arrays, options: Mapping[str, Any]) -> dict[str, list[float]]:
    """The numbers of the scale, from training samples; UnknownNameError for a stretch that there is not."""
    if options.get("stretch", "asinh") not in STRETCHES:
        raise UnknownNameError("stretch of a series", str(options["stretch"]), STRETCHES)
    if options.get("stretch") == "none":
        return {}
    fine, values = good(arrays), arrays["values"].astype(np.float64)
    channels = [values[:, c][fine[:, c]] for c in range(values.shape[1])]
    # the wild outliers of a folded view (hundreds of its depth) must not set the scale: median and robust spread
    centre = [float(np.median(v)) if len(v) else 0.0 for v in channels]
    soft = [spread(v) for v in channels]
    stretched = [np.arcsinh((v - c) / s) for v, c, s in zip(channels, centre, soft, strict=True)]
    return {"centre": centre, "soft": soft, "width": [max(float(v.std()), 1e-3) if len(v) else 1.0 for v in stretched]}


def apply(arrays: Arrays, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Values and mask as the encoders take them."""
    fine = good(arrays)
    if scaling.options.get("stretch") == "none":
        return torch.from_numpy(np.where(fine, arrays["values"], 0.0).astype(np.float32)), torch.from_numpy(fine)
    centre, soft, width = (np.array(scaling.fitted[k], dtype=np.float32)[:, None] for k in ("centre", "soft", "width"))
    values = np.arcsinh((np.where(fine, arrays["values"], 0.0) - centre) / soft) / width * fine
    return torch.from_numpy(values.astype(np.float32)), torch.from_numpy(fine)
