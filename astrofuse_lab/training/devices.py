"""Where training runs: Lightning Fabric for device, precision and distribution."""

import gc
import os
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil
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


PRECISIONS = ("auto", "32", "bf16")


def check_precision(precision: str) -> str:
    """The precision as it is spelled here.

    Raises
    ------
    InputError
        If there is no such precision.
    """
    named = str(precision)
    if named not in PRECISIONS:
        raise InputError(f"precision={precision!r}: choose 'auto' (bfloat16 where a GPU computes in it, else float32), '32' or 'bf16'.")
    return named


def make_fabric(device: str = "auto", precision: str = "auto") -> "Fabric":
    """Fabric on one device, or as one of several processes.

    A script started by ``fabric run --devices N ...`` or ``torchrun --nproc-per-node N ...`` is one of N processes: each takes its
    share of every batch, and together they take the step that one process would. What ``fabric run`` was told of devices,
    strategy and precision holds.

    Parameters
    ----------
    device : str
    precision : {"auto", "32", "bf16"}
        ``bf16``: matrix products in bfloat16, weights and losses in float32.

    Raises
    ------
    InputError
        If there is no such device or precision.
    """
    from lightning_fabric import Fabric

    wanted, chosen = check_precision(precision), choose_device(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises on hardware that the caller chose not to use
        if os.environ.get("LT_CLI_USED"):
            return Fabric(precision=_SPELLED.get(wanted))  # its processes have been started
        half = wanted == "bf16" or (wanted == "auto" and chosen.type == "cuda" and torch.cuda.is_bf16_supported())
        devices: list[int] | int = [chosen.index or 0] if chosen.type == "cuda" else 1
        several = {}
        if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
            devices = int(os.environ["LOCAL_WORLD_SIZE"])
            several = {"strategy": "ddp", "num_nodes": int(os.environ.get("GROUP_WORLD_SIZE", "1"))}
        fabric = Fabric(accelerator=chosen.type, devices=devices, precision="bf16-mixed" if half else "32-true", **several)  # type: ignore[arg-type]
        fabric.launch()
    return fabric


_SPELLED: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed"}


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


def memory_in_use(device: torch.device) -> tuple[int, int]:
    """Bytes in use and bytes there are: of a GPU's own memory, else of this machine's, where the use is this process's."""
    if device.type == "cuda":
        free, every = torch.cuda.mem_get_info(device)
        return int(every - free), int(every)
    return int(psutil.Process().memory_info().rss), int(psutil.virtual_memory().total)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be taken on a device."""
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + held)
    return int(psutil.virtual_memory().available)


OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed", "unable to allocate")


def out_of_memory(error: BaseException) -> bool:
    """True for the errors by which torch, CUDA, MPS and NumPy say that memory is used up; they share no class."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in OUT_OF_MEMORY)


def release_memory(device: torch.device) -> None:
    """Give back what torch holds for later use, so that smaller pieces find room."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
