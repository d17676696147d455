"""Weights of GWSkyNet II from the package `gwskynet` that a user installed (GPL-2.0-or-later): its ONNX file is read as data, none of its code is imported."""

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, RunError

CITATION = "Chan et al. 2024, arXiv:2408.06491 (GWSkyNet II); PyPI package gwskynet"
LARGEST_FILE = 10 * 1024**2
LARGEST = 10_000
LAYERS = ("separable_conv2d", "separable_conv2d_1", "separable_conv2d_2"), ("separable_conv2d_3", "separable_conv2d_4", "separable_conv2d_5")
"""The sky map's and the volume's, as the file names them."""
Weights = tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor], torch.Tensor, torch.Tensor]


def gwskynet_weights(version: str = "2.6.0") -> tuple[Weights, str, str]:
    """Weights of the volume's and the sky map's branch, of the scalars, and of the last layer; citation; licence.

    Raises
    ------
    RunError
        Where `gwskynet` or `onnx` is not installed, or the file is none of this network.
    """
    return read(installed(version)), f"{CITATION} {version}", "GPL-2.0-or-later (the user's own installation)"


def installed(version: str) -> Path:
    """The weight file of a version in the user's installation."""
    if not version or not version.replace(".", "").isdigit():
        raise InputError(f"version={version!r} of GWSkyNet II: numbers and points, e.g. '2.6.0'.")
    try:
        files = metadata.files("gwskynet") or []
    except metadata.PackageNotFoundError:
        raise RunError(
            "the weights of GWSkyNet II are GPL and no part of this package; the package gwskynet, which holds them, is not installed. If its licence suits you: "
            "pip install --no-deps gwskynet, and pip install onnx to read them. Or train the network here: af.train('gwskynet_ii', af.load_samples('practice-gw-maps'), 'origin')."
        ) from None
    found = [file for file in files if file.name == f"GWSkyNet_v{version}.onnx"]
    if not found:
        there = sorted(file.stem.removeprefix("GWSkyNet_v") for file in files if file.suffix == ".onnx")
        raise RunError(f"the installed package gwskynet has no weights of version {version}; it has {', '.join(there) or 'none'}. Give version=...")
    return Path(str(found[0].locate()))


def read(path: Path) -> Weights:
    """The arrays of a file, in the order of the recipe's layers; biases that are zero were left out by who wrote it."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise RunError("reading the weights of GWSkyNet II needs the package onnx (Apache-2.0): pip install onnx.") from None
    if path.stat().st_size > LARGEST_FILE:
        raise RunError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST_FILE} are read.")
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
        small = [one for one in graph.initializer if np.prod(one.dims, dtype=float) <= LARGEST]
        arrays = {one.name: np.asarray(numpy_helper.to_array(one)) for one in small}
        return _ordered(arrays, _depthwise(graph, arrays))
    except RunError:
        raise
    except Exception as error:  # a parser of protocol buffers raises what it likes
        raise RunError(f"{path} is no network of GWSkyNet II ({type(error).__name__}: {str(error)[:200]}). Install gwskynet again.") from None


def _depthwise(graph: Any, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The 3 x 3 filters by layer: their own names were lost, those of what they give were not."""
    return {node.output[0].split("/model/")[1].split("/")[0]: arrays[node.input[1]] for node in graph.node if node.op_type == "Conv" and arrays[node.input[1]].shape[2:] == (3, 3)}


def _ordered(arrays: dict[str, NDArray[Any]], filters: dict[str, NDArray[Any]]) -> Weights:
    def layer(name: str, what: str) -> NDArray[Any] | None:
        return next((array for key, array in arrays.items() if f"/model/{name}/{what}" in key), None)

    def separable(name: str) -> list[torch.Tensor]:
        point, bias = layer(name, "separable_conv2d/ReadVariableOp"), layer(name, "BiasAdd")
        if point is None or bias is None:
            raise RunError(f"the file has no layer {name!r}.")
        return [torch.tensor(one, dtype=torch.float32) for one in (filters[name], point, bias)]

    def dense(name: str) -> list[torch.Tensor]:
        kernel, bias = layer(name, "MatMul"), layer(name, "BiasAdd")
        if kernel is None:
            raise RunError(f"the file has no layer {name!r}.")
        return [torch.tensor(kernel.T, dtype=torch.float32), torch.tensor(np.zeros(kernel.shape[1]) if bias is None else bias, dtype=torch.float32)]

    sky = [*(one for name in LAYERS[0] for one in separable(name)), *dense("dense"), *dense("dense_1")]
    volume = [*(one for name in LAYERS[1] for one in separable(name)), *dense("dense_2")]
    weight, bias = dense("dense_10")
    return volume, sky, [one for i in range(3, 10) for one in dense(f"dense_{i}")], weight, bias
