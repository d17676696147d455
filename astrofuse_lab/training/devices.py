"""Where training runs: Lightning Fabric for device, precision and distribution."""

import os
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from astrofuse_lab.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def choose_device(device: str = "auto") -> torch.device:
    """The device meant by a name.

    Parameters
    ----------
    device : str
        ``auto`` (the accelerator, where there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises
    ------
    InputError
        If there is no such device.
    """
    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"device={device!r} is no device. Use 'auto', 'cpu', 'cuda', 'cuda:0' or 'mps'.") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device={device!r}: PyTorch sees {torch.cuda.device_count()} CUDA device(s) here. Use 'auto' or 'cpu'; af.doctor() says more.")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("device='mps' needs macOS on Apple silicon. Use 'auto' or 'cpu'.")
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"device={device!r}: training runs on 'cpu', 'cuda' or 'mps'.")
    return torch.device(chosen.type, chosen.index or 0) if chosen.type == "cuda" else torch.device(chosen.type)


def make_fabric(device: str = "auto") -> "Fabric":
    """Fabric on one device: bfloat16 where a GPU has it, else float32.

    A script started by ``fabric run --devices N ...`` is one of N processes; then the device, precision and strategy of
    that command hold, and each process takes its share of every batch.
    """
    from lightning_fabric import Fabric

    chosen = choose_device(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises on hardware that the caller chose not to use
        if os.environ.get("LT_CLI_USED"):
            return Fabric()  # its processes have been started
        half = chosen.type == "cuda" and torch.cuda.is_bf16_supported()
        fabric = Fabric(accelerator=chosen.type, devices=[chosen.index or 0] if chosen.type == "cuda" else 1, precision="bf16-mixed" if half else "32-true")
        fabric.launch()
    return fabric


@contextmanager
def forked(device: torch.device) -> Iterator[None]:
    """Random numbers drawn inside leave the caller's random state as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def peak_memory() -> int:
    """Most memory this process has held, in bytes; on a GPU, the most that tensors took there."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)
