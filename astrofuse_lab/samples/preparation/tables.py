"""Tables: each column scaled by itself, and stand-ins for missing values where a recipe asks for them.

``inputs={"table": Part.of("quantile", impute="median", columns=["mag_g"])}``: how, what stands in for missing values, and
for which columns; the other columns stay at the default, ``robust``. See `astrofuse_lab.alignment.column_scaling` and `.imputation`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from astrofuse_lab.alignment import imputation
from astrofuse_lab.alignment.column_scaling import scaling as column_scaling
from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.preparation.scaling import Arrays, Scaling, spread

DEFAULT = "robust"
OPTIONS: dict[str, Any] = {"clip": 6.0, "scaling": DEFAULT, "impute": "mask", "columns": None}


def fit(arrays: Arrays, options: Mapping[str, Any], channels: Sequence[str]) -> dict[str, list[float]]:
    """The numbers of the scale and of the stand-ins, from training samples.

    Raises
    ------
    InputError
        For an option, a scaling, an imputation or a column that does not exist, or a logarithm of a column without a value above zero.
    """
    _check(options, channels)
    values, mask = np.asarray(arrays["values"], dtype=np.float64), np.asarray(arrays["mask"], dtype=bool)
    how = _ways(options, channels)
    fitted: dict[str, list[float]] = {}
    if set(how) == {DEFAULT}:
        plain = np.ma.MaskedArray(values, ~mask)
        centre = np.ma.filled(np.ma.median(plain, axis=0), 0.0)
        fitted = {"centre": [float(v) for v in centre], "width": [spread(plain[:, c].compressed()) for c in range(values.shape[1])]}
    else:
        kept: list[list[float]] = []
        for c, (name, way) in enumerate(zip(channels, how, strict=True)):
            good = values[mask[:, c], c]
            if way == "log" and len(good) and not (good > 0).any():
                raise InputError(f"column {name!r} has no value above 0 in the training samples, so no logarithm. Use 'asinh', or columns=[...] without it.")
            kept.append(column_scaling(way).fit(good if len(good) else np.zeros(1)))
        fitted = {"numbers": [float(v) for numbers in kept for v in numbers], "lengths": [float(len(numbers)) for numbers in kept]}
        draft = Scaling("table", ["table", list(channels), [], ""], options, fitted)
        seen, has = scaled(values, mask, draft)
        fitted["median"] = [float(np.median(seen[has[:, c], c])) if has[:, c].any() else 0.0 for c in range(values.shape[1])]
    if options["impute"] != "mask":
        draft = Scaling("table", ["table", list(channels), [], ""], options, fitted)
        fitted |= imputation.fit(*scaled(values, mask, draft), options["impute"])
    return fitted


def apply(arrays: Arrays, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Values and mask as the encoders take them."""
    values, mask = scaled(np.asarray(arrays["values"], dtype=np.float64), arrays["mask"], scaling)
    values, mask = imputation.fill(values, mask, str(scaling.options.get("impute", "mask")), scaling.fitted)
    return torch.from_numpy(values.astype(np.float32)), torch.from_numpy(np.array(mask))


def scaled(values: NDArray[np.float64], mask: NDArray[np.bool_], scaling: Scaling) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values scaled and clipped, float64, and the mask, before any stand-in; a value without logarithm is missing."""
    out = np.empty_like(values)
    with np.errstate(over="ignore", invalid="ignore"):
        for c, (way, numbers) in enumerate(_columns(scaling)):
            out[:, c] = column_scaling(way).forward(values[:, c], numbers)
    clip = float(scaling.options["clip"])
    good = np.asarray(mask & ~np.isnan(out))
    return np.where(good, np.clip(np.where(good, out, 0.0), -clip, clip), 0.0), good


def median(scaling: Scaling) -> NDArray[np.float32]:
    """The training median of each column, scaled: zero where the scaling is about the median."""
    return np.asarray(scaling.fitted.get("median", [0.0] * len(scaling.layout[1])), dtype=np.float32)


def inverse(values: ArrayLike, scaling: Scaling) -> NDArray[np.float64]:
    """Scaled values, (object, column), in the columns' own units; where they were clipped, the border.

    Raises
    ------
    InputError
        For another number of columns.
    """
    given = np.asarray(values, dtype=np.float64)
    columns = _columns(scaling)
    if given.ndim != 2 or given.shape[1] != len(columns):
        raise InputError(f"scaled values of shape {given.shape}; (object, {len(columns)}) is expected.")
    return np.stack([column_scaling(way).inverse(given[:, c], numbers) for c, (way, numbers) in enumerate(columns)], axis=1)


def _columns(scaling: Scaling) -> list[tuple[str, NDArray[np.float64]]]:
    """Each column's scaling with its numbers; runs of the first versions know one scaling only."""
    fitted, channels = scaling.fitted, scaling.layout[1]
    if "numbers" not in fitted:
        return [(DEFAULT, np.array(pair, dtype=np.float64)) for pair in zip(fitted["centre"], fitted["width"], strict=True)]
    ends = np.cumsum(np.asarray(fitted["lengths"], dtype=int))[:-1]
    return list(zip(_ways(scaling.options, channels), np.split(np.asarray(fitted["numbers"], dtype=np.float64), ends), strict=True))


def _ways(options: Mapping[str, Any], channels: Sequence[str]) -> list[str]:
    chosen = options.get("columns")
    names = channels if chosen is None else [chosen] if isinstance(chosen, str) else chosen
    return [str(options.get("scaling", DEFAULT)) if name in names else DEFAULT for name in channels]


def _check(options: Mapping[str, Any], channels: Sequence[str]) -> None:
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise InputError(f"the scaling of a table has no option {unknown[0]!r}; it has {', '.join(OPTIONS)}.")
    column_scaling(options["scaling"])
    clip = options["clip"]
    if isinstance(clip, bool) or not isinstance(clip, int | float) or not clip > 0:
        raise InputError(f"clip={clip!r}: a number above 0, in units of the scale; 6 is usual.")
    chosen = options["columns"]
    names = () if chosen is None else (chosen,) if isinstance(chosen, str) else tuple(chosen)
    lacking = [name for name in names if name not in channels]
    if lacking:
        raise InputError(f"columns={list(names)}: the table has no column {lacking[0]!r}; it has {', '.join(channels)}.")
