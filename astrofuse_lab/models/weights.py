"""Weights that an encoder begins with: from a safetensors file, or from a model hub. Never from a pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from astrofuse_lab.errors import InputError

LARGEST = 16 * 1024**3
"""Bytes of a file, and the most that its header may say it holds."""
LARGEST_HEADER = 64 * 1024**2
GENERIC: dict[str, Any] = {"weights": "", "frozen": False}
"""Options that every encoder has: where its weights come from, and whether they stay as they are."""
HUB = "hub:"
DEFAULT_FILE = "model.safetensors"


def hub_file(source: str) -> Path:
    """Where a file of the Hugging Face hub lies on this machine; it is downloaded where it does not.

    Parameters
    ----------
    source : str
        ``hub:owner/name``, ``hub:owner/name@revision`` and either with ``:file``; the file is ``model.safetensors`` unless said.

    Raises
    ------
    InputError
        If the text is none of these, `huggingface_hub` is not installed, or the file cannot be had.
    """
    repository, _, file = source.removeprefix(HUB).partition(":")
    repository, _, revision = repository.partition("@")
    file = file or DEFAULT_FILE
    parts = repository.split("/")
    if len(parts) != 2 or not all(parts) or ".." in file.split("/") or file.startswith("/"):
        raise InputError(f"weights={source!r}: write 'hub:owner/name', 'hub:owner/name@revision' or 'hub:owner/name@revision:file.safetensors'.")
    if not file.endswith(".safetensors"):
        raise InputError(f"weights={source!r}: only safetensors files are read; {file!r} could run code when opened.")
    command = f"hf download {repository} {file}{f' --revision {revision}' if revision else ''} --local-dir weights"
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise InputError(f"weights={source!r} needs the package huggingface_hub: pip install huggingface_hub. Or give a file: {command}, then weights='weights/{file}'.") from None
    try:
        return Path(hf_hub_download(repository, file, revision=revision or None))
    except Exception as error:  # its errors share no base with the network's
        raise InputError(f"weights={source!r} could not be had ({type(error).__name__}: {str(error).splitlines()[0][:200]}). Where there is a network: {command}, then weights='weights/{file}'.") from error


def header_of(path: Path) -> dict[str, dict[str, Any]]:
    """Names of the tensors in a safetensors file, with dtype, shape and offsets, after looking at sizes alone.

    Raises
    ------
    InputError
        If there is no such file, it is no safetensors file, or it or its header is too large to be weights.
    """
    if not path.is_file():
        raise InputError(f"weights={str(path)!r}: there is no such file.")
    if path.suffix != ".safetensors":
        raise InputError(f"weights={str(path)!r}: only .safetensors files are read. Convert it where it was made: safetensors.torch.save_file(model.state_dict(), 'file.safetensors').")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size > LARGEST or size < 8 or length > min(LARGEST_HEADER, size - 8):
            raise InputError(f"weights={str(path)!r} is no safetensors file, or not whole: {size} bytes, with a header of {length}.")
        try:
            header = json.loads(file.read(length))
            tensors = {str(name): dict(one) for name, one in header.items() if name != "__metadata__"}
            if not tensors or any(int(end) > size - 8 - length for one in tensors.values() for end in one["data_offsets"]):
                raise ValueError("tensors beyond the end of the file")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"weights={str(path)!r} is no safetensors file, or damaged ({error}).") from error
    return tensors


def load_weights(encoder: nn.Module, source: str, name: str) -> None:
    """Give an encoder the weights of a file; all of its own must be there.

    Parameters
    ----------
    encoder : Module
    source : str
        A path, or ``hub:...``; a file that holds a whole model of this package, as a run folder's does, gives what is under
        ``encoders.<name>``.
    name : str
        Of the modality.

    Raises
    ------
    InputError
        If names, shapes or kinds of numbers are not those of the encoder; the first differences are named.
    """
    path = hub_file(source) if source.startswith(HUB) else Path(source).expanduser()
    header, own = header_of(path), encoder.state_dict()
    prefix = next((p for p in (f"encoders.{name}.", "encoder.") if not set(own) & set(header) and any(one.startswith(p) for one in header)), "")
    there = {one.removeprefix(prefix): one for one in header if one.startswith(prefix)}
    lacking, odd = sorted(set(own) - set(there)), sorted(set(there) - set(own))
    other = [f"{one} is {header[there[one]]['shape']}, not {list(own[one].shape)}" for one in own if one in there and header[there[one]]["shape"] != list(own[one].shape)]
    if lacking or odd or other:
        told = [*(f"it lacks {one}" for one in lacking[:3]), *(f"it has {one}, which the encoder has not" for one in odd[:3]), *other[:3]]
        raise InputError(
            f"weights={source!r} do not fit the encoder of {name!r}: {'; '.join(told)} ({len(lacking)} lacking, {len(odd)} too many, {len(other)} of another shape, of {len(own)}). "
            f"Give the encoder the sizes it was trained with, or rename the tensors in the file."
        )
    try:
        with safe_open(path, framework="pt") as file:
            loaded: dict[str, Tensor] = {one: file.get_tensor(there[one]) for one in own}
    except (SafetensorError, OSError) as error:
        raise InputError(f"weights={source!r} cannot be read: {error}.") from error
    unfit = [one for one, t in loaded.items() if t.is_floating_point() != own[one].is_floating_point() or (t.is_floating_point() and not torch.isfinite(t).all())]
    if unfit:
        raise InputError(f"weights={source!r}: {unfit[0]} holds {loaded[unfit[0]].dtype} or numbers that are not finite; the encoder has {own[unfit[0]].dtype}.")
    encoder.load_state_dict({one: t.to(own[one].dtype) for one, t in loaded.items()})
