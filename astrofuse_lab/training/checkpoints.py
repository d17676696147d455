"""Checkpoints that a killed process can be resumed from: tensors in safetensors, the rest in JSON, never pickles.

A checkpoint is two files, written in this order::

    00000012.safetensors      weights, averaged weights, best weights, optimiser state, random state
    00000012.json             epoch, batch, history, ..., and the size and sha256 of the other file

so a checkpoint whose JSON is there is whole; what a kill left half written is not one. The last two are kept.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from astrofuse_lab.storage import write_bytes

KEEP = 2
Snapshot = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and what JSON holds."""


def digest(content: bytes) -> str:
    """sha256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def write_checkpoint(folder: Path, number: int, snapshot: Snapshot) -> None:
    """Write one checkpoint and drop all but the last `KEEP`."""
    tensors, state = snapshot
    content = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    write_bytes(folder / f"{number:08d}.safetensors", content)
    write_bytes(folder / f"{number:08d}.json", json.dumps({**state, "bytes": len(content), "sha256": digest(content)}, allow_nan=False).encode())
    numbers = sorted(_numbers(folder))
    for old in numbers[:-KEEP]:
        (folder / f"{old:08d}.json").unlink(missing_ok=True)  # first what makes it a checkpoint
        (folder / f"{old:08d}.safetensors").unlink(missing_ok=True)


def read_newest(folder: Path) -> tuple[int, Snapshot] | None:
    """The newest checkpoint that can be read, with its number; None where there is none.

    One that is damaged is passed over for the one before it, which gives the same training again, some batches earlier.
    """
    for number in sorted(_numbers(folder), reverse=True):
        try:
            state = json.loads((folder / f"{number:08d}.json").read_text())
            content = (folder / f"{number:08d}.safetensors").read_bytes()
            if len(content) == state["bytes"] and digest(content) == state["sha256"]:
                return number, (load(content), state)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a training that is finished, and what a kill left half written."""
    if folder.is_dir():
        for file in [*folder.glob("*.json"), *folder.glob("*.safetensors"), *folder.glob(".*.safetensors.*"), *folder.glob(".*.json.*")]:
            file.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def _numbers(folder: Path) -> list[int]:
    return [int(f.stem) for f in folder.glob("*.json") if f.stem.isdigit()]


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state, flat: ``optimiser.<parameter>.<name>``."""
    return {f"optimiser.{i}.{name}": t for i, state in optimiser.state_dict()["state"].items() for name, t in state.items()}


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put such a state back."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            state.setdefault(int(index), {})[name] = tensor.clone()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies under ``prefix.``."""
    return {f"{prefix}.{name}": t.detach().cpu().clone() for name, t in tensors.items()}


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those under ``prefix.``, without it."""
    return {name.removeprefix(prefix + "."): t for name, t in tensors.items() if name.startswith(prefix + ".")}
