"""Light curves: one row of channels an epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from astrofuse_lab.samples.preparation.scaling import Arrays, Scaling

TIME, FLUX, ERROR, LIMIT, FIRST_BAND = 0, 1, 2, 3, 4
"""Channels of a light curve."""


def good(arrays: Arrays) -> NDArray[np.bool_]:
    """Epochs that can be used."""
    return arrays["mask"] & np.isfinite(arrays["time"]) & np.isfinite(arrays["flux"]) & np.isfinite(arrays["flux_err"])


def fit(arrays: Arrays, options: Mapping[str, Any]) -> dict[str, list[float]]:
    """The numbers of the scale, from training samples."""
    fine = good(arrays)
    errors = arrays["flux_err"][fine]
    soft = float(np.median(errors[errors > 0])) if (errors > 0).any() else 1.0
    stretched = np.arcsinh(arrays["flux"][fine] / soft)
    return {"soft": [soft], "centre": [float(stretched.mean()) if fine.any() else 0.0], "width": [max(float(stretched.std()), 1e-3) if fine.any() else 1.0]}


def apply(arrays: Arrays, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Values and mask as the encoders take them."""
    bands = len(scaling.layout[1])
    end = arrays["offsets"][1:]
    counts = np.minimum(np.diff(arrays["offsets"]), int(scaling.options["epochs"]))  # the latest epochs, where there are too many
    row = np.repeat(np.arange(len(counts)), counts)
    column = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    source = np.repeat(end - counts, counts) + column
    keep = good(arrays)[source]
    row, column, source = row[keep], column[keep], source[keep]

    values = np.zeros((len(counts), max(1, int(counts.max(initial=1))), FIRST_BAND + bands), dtype=np.float32)
    mask = np.zeros(values.shape[:2], dtype=bool)
    mask[row, column] = True
    time = arrays["time"][source]
    first = np.full(len(counts), np.inf)
    np.minimum.at(first, row, time)
    soft, centre, width = (scaling.fitted[k][0] for k in ("soft", "centre", "width"))
    values[row, column, TIME] = time - first[row]
    values[row, column, FLUX] = (np.arcsinh(arrays["flux"][source] / soft) - centre) / width
    values[row, column, ERROR] = np.log10(np.clip(arrays["flux_err"][source] / soft, 1e-3, 1e3))
    values[row, column, LIMIT] = arrays["limit"][source] if "limit" in arrays else 0.0
    values[row, column, FIRST_BAND + arrays["band"][source]] = 1.0
    return torch.from_numpy(values), torch.from_numpy(mask)
