"""Attributions on disk: names and numbers in JSON, arrays in safetensors."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from astrofuse_lab.errors import RunError
from astrofuse_lab.explain.attribution_result import Attribution
from astrofuse_lab.storage import new_folder, write_json

FORMAT, VERSION = "astrofuse-attribution", 1
TOLD, ARRAYS = "attribution.json", "attribution.safetensors"
BY_MODALITY = ("values", "masks", "standard_error", "spread", "total_spread")
ALONE = ("convergence_delta", "difference", "score", "passes")
WORDS = ("method", "score_name", "baselines", "kinds", "notes")


def save(found: Attribution, path: str | Path, overwrite: bool) -> Path:
    """Write a folder, all of it or nothing."""
    path = Path(path).expanduser()
    arrays: dict[str, NDArray[Any]] = {name: getattr(found, name) for name in ALONE if getattr(found, name) is not None}
    for name in BY_MODALITY:
        arrays |= {f"{name}.{modality}": np.ascontiguousarray(one) for modality, one in (getattr(found, name) or {}).items()}
    told = {name: getattr(found, name) for name in WORDS}
    told |= {"object_ids": [str(one) for one in found.object_ids], "target": [one.item() if hasattr(one, "item") else one for one in found.target]}
    with new_folder(path, overwrite=overwrite, holds=(TOLD,)) as folder:
        save_file({name: np.ascontiguousarray(one) for name, one in arrays.items()}, folder / ARRAYS)
        write_json(folder / TOLD, {"format": FORMAT, "version": VERSION, "modalities": list(found.values), **told})
    return path.resolve()


def open_folder(path: str | Path) -> Attribution:
    """Read such a folder; what does not fit is refused."""
    folder = Path(path).expanduser()
    try:
        told = json.loads((folder / TOLD).read_text())
        arrays = load((folder / ARRAYS).read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(f"{folder} holds no attribution that can be read ({error}). attribution.save(path) writes one.") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT or told.get("version") != VERSION:
        raise RunError(f"{folder / TOLD} is not of the format {FORMAT!r}, version {VERSION}. attribution.save(path) writes one.")
    try:
        given: dict[str, Any] = {name: told[name] for name in WORDS}
        given |= {"object_ids": np.asarray(told["object_ids"], dtype=np.str_), "target": tuple(told["target"]), "notes": tuple(told["notes"])}
        given |= {name: arrays.get(name) for name in ALONE}
        for name in BY_MODALITY:
            by = {modality: arrays[f"{name}.{modality}"] for modality in told["modalities"] if f"{name}.{modality}" in arrays}
            given[name] = by or None
        found = Attribution(**given)
        _check(found, told["modalities"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder} is damaged: {error!r}. Save the attribution again.") from None
    return found


def _check(found: Attribution, modalities: list[str]) -> None:
    """ValueError unless all arrays are there and are of one length."""
    count = len(found.object_ids)
    every = [one for name in BY_MODALITY for one in (getattr(found, name) or {}).values()] + [one for name in ALONE if (one := getattr(found, name)) is not None]
    if sorted(found.values or ()) != sorted(modalities) or found.score is None or found.difference is None or sorted(found.masks or ()) != sorted(modalities):
        raise ValueError("arrays are missing")
    if any(len(one) != count for one in (*every, found.target)):
        raise ValueError("arrays differ in length")
    for name, one in found.values.items():
        mask = found.masks[name]
        if one.shape[: mask.ndim] != mask.shape or name not in found.kinds:
            raise ValueError(f"{name} has values {one.shape} and a mask {mask.shape}")
    assert {field.name for field in fields(found)} == {*BY_MODALITY, *ALONE, *WORDS, "object_ids", "target"}
