"""GWSkyNet, GWSkyNet-Multi and GWSkyNet II with their authors' weights.

The Keras files of the first two (MIT) are read as HDF5, array by array, never through Keras. Those of GWSkyNet II are GPL and come with the package
`gwskynet`, which the user installs: its weight file is read, none of its code is imported.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.errors import RunError, UnknownNameError
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.gravitational_waves import MULTI_COLUMNS, OWN, SKY, VOLUME
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.gw_maps import COLUMNS, IMAGES
from astrofuse_lab.samples.preparation import Preparation, Scaling
from astrofuse_lab.training.originals import PublishedFile, published, run_of
from astrofuse_lab.training.problem import Problem
from astrofuse_lab.training.run import Run

FOLDER = "gwskynet"
AT = "https://raw.githubusercontent.com/GWML/GWSkyNet/aa4dff8733e504d2cd43a6798a0c8120e40a3f26/nb"
V1_FILE = PublishedFile("GWSkyNet_v1.h5", FOLDER, "44de0f54cbd821994d530f545a31144035c267c6ae3db07ede2858808298c8ad", f"{AT}/GWSkyNet_v1.h5")
MULTI_FILES = {
    "is_glitch": PublishedFile("Glitch_vs_all_model.h5", FOLDER, "2ae197b305b49f352c6e073e39a3794a3d7aa284f396d1693269239e329ccfe1", f"{AT}/Glitch_vs_all_model.h5"),
    "is_ns": PublishedFile("NS_vs_all_model.h5", FOLDER, "380577477905132071eb69c73a1469ad2b06f8379379440121290a4dec4baf48", f"{AT}/NS_vs_all_model.h5"),
    "is_bbh": PublishedFile("BBH_vs_all_model.h5", FOLDER, "e2137541106eaec93ea54ffd9ec251324f8bda54c47b1793fe9f931414a8e771", f"{AT}/BBH_vs_all_model.h5"),
}
"""Of each label, its network of one class against all."""
V1_NORMS = {"distmean": 10320.0, "sky_max": 0.005, "distmu_max": 11553.0, "distsigma_max": 12065.0, "distnorm_max": 863800.0}
MULTI_NORMS = {
    "distmean": 10319.911, "distmax": 14877.898, "sky_max": 0.005, "vol0_max": 240.611, "vol1_max": 959.271, "vol2_max": 68.922, "log_bci": 38.364, "log_bsn": 7954.571,
}  # fmt: skip
II_NORMS = {"distmean": 9475.756, "sky_max": 0.0024, "vol0_max": 2.495, "vol1_max": 1.331, "vol2_max": 0.373, "log_bci": 39.367, "log_bsn": 8916.04}
"""What each number was divided by: the largest of the authors' training sets (GWSkyNet_predict.ipynb, GWSkyNet_Multi_predict.ipynb; training_norms.txt of gwskynet 2.6.0)."""
ORIGIN = Problem("origin", "classification", ("glitch", "real"))
LICENCE = "MIT"
V1_CITATION = "Cabero, Mahabal & McIver 2020, ApJL 904, L9 (GWSkyNet), github.com/GWML/GWSkyNet @ aa4dff8"
MULTI_CITATION = "Abbott et al. 2022, ApJ 927, 232 (GWSkyNet-Multi), github.com/GWML/GWSkyNet @ aa4dff8"
LARGEST = 10_000
"""Numbers of one array: the largest of these networks has 1,024."""


class Network(NamedTuple):
    """Names of a Keras network's layers with weights, in the order of the recipe's encoders and layers."""

    volume: tuple[str, ...]
    sky: tuple[str, ...]
    scalars: tuple[str, ...]
    head: str


BRANCHES = (
    ("separable_conv2d", "separable_conv2d_1", "separable_conv2d_2", "dense"),
    ("separable_conv2d_3", "separable_conv2d_4", "separable_conv2d_5", "dense_1", "dense_2"),
)
V1_LAYERS = Network(*BRANCHES, ("dense_3", "dense_4", "dense_5", "dense_6", "dense_7"), "dense_8")
MULTI_LAYERS = Network(*BRANCHES, ("dense_3", "dense_4", "dense_5"), "dense_6")
MULTI_ORDER = [*range(13), 14, 15, 16, 13, 17, 18]
"""Keras joins the sky map's norm before those of the volume; the recipe gives after them what has a unit of its own."""


def make(mirror: str | Path | None = None) -> Run:
    """GWSkyNet; classes ``glitch`` and ``real``, target ``origin``. RunError if the weights are nowhere, or others."""
    read = keras_arrays(published(V1_FILE, mirror))
    weights = _named("distance_layers", *_branch_weights(read, V1_LAYERS), *_dense(read, V1_LAYERS.head))
    notes = ("Of the five units of scalars two are dead in the published network: distmu_max and distnorm_max say nothing to it.",)
    preparation = preparation_of("distance_layers", V1_NORMS)
    return run_of(get_recipe("gwskynet"), preparation, ORIGIN, weights, title="GWSkyNet v1, published weights", citation=V1_CITATION, licence=LICENCE, notes=notes)


def make_multi(mirror: str | Path | None = None, network: str = "all") -> Run:
    """GWSkyNet-Multi.

    Parameters
    ----------
    mirror : path, optional
    network : {"all", "is_glitch", "is_ns", "is_bbh"}
        One of the three networks of 3,686 parameters, target ``is_glitch`` and so on; "all": the three side by side, as labels, whose last layer
        holds a zero wherever one network does not read another's branch.

    Raises
    ------
    UnknownNameError, RunError
        For another network; if the weights are nowhere, or others.
    """
    if network not in ("all", *MULTI_FILES):
        raise UnknownNameError("network of GWSkyNet-Multi", network, ("all", *MULTI_FILES))
    preparation = preparation_of("volume", MULTI_NORMS)
    names = list(MULTI_FILES) if network == "all" else [network]
    parts = []
    for name in names:
        read = keras_arrays(published(MULTI_FILES[name], mirror))
        weight, bias = _dense(read, MULTI_LAYERS.head)
        parts.append((*_branch_weights(read, MULTI_LAYERS), weight[:, MULTI_ORDER], bias))
    notes = ("Probabilities of the three do not sum to one: astrofuse_lab.training.cascades.GWSKYNET_MULTI gives the published class.",)
    said: dict[str, Any] = {"title": f"GWSkyNet-Multi, published weights ({network})", "citation": MULTI_CITATION, "licence": LICENCE, "notes": notes}
    if network != "all":
        return run_of(get_recipe("gwskynet_multi"), preparation, Problem(network, "classification", (False, True)), _named("volume", *parts[0]), **said)
    problem = Problem(", ".join(names), "multi_label", targets=tuple(names))
    return run_of(_side_by_side(len(names)), preparation, problem, _joined(parts), **said)


def make_ii(mirror: str | Path | None = None, version: str = "2.6.0") -> Run:
    """GWSkyNet II, of a package ``gwskynet`` that the user installed; `mirror` is not read. See `astrofuse_lab.training.originals_onnx`."""
    from astrofuse_lab.training.originals_onnx import gwskynet_weights

    weights, citation, licence = gwskynet_weights(version)
    notes = ("Trained on pictures of 180 x 360 and 262 x 262 pixels. Sets of half that are read, too, since the branches end with means, but what it says of them is no reproduction.",)
    preparation = preparation_of("volume", II_NORMS)
    return run_of(get_recipe("gwskynet_ii"), preparation, ORIGIN, _named("volume", *weights), title=f"GWSkyNet II {version}, weights of the user's own installation",
                  citation=citation, licence=licence, notes=notes)  # fmt: skip


def preparation_of(volume: str, norms: Mapping[str, float]) -> Preparation:
    """Pictures as they are, and columns divided by fixed numbers, for sets in the layout of `astrofuse_lab.samples.gw_maps`."""
    scalings = {}
    for name in (volume, "sky_map"):
        channels, sides = IMAGES[name]
        fitted = {"soft": [1.0] * len(channels), "width": [1.0] * len(channels)}
        options = {"background": "none", "scale": "set", "stretch": "none", "errors": False, "psf": False}
        scalings[name] = Scaling("image", ["image", list(channels), [len(channels), *sides], ""], options, fitted)
    numbers = [number for column in COLUMNS for number in (0.0, norms.get(column, 1.0))]
    table = {"numbers": numbers, "lengths": [2.0] * len(COLUMNS), "median": [0.0] * len(COLUMNS)}
    options = {"clip": 1e6, "scaling": "largest", "impute": "mask", "columns": None}
    return Preparation({**scalings, "table": Scaling("table", ["table", list(COLUMNS), [len(COLUMNS)], ""], options, table)})


def keras_arrays(path: Path) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Arrays of a Keras 2 weight file, by layer and name (kernel, bias, depthwise_kernel, pointwise_kernel).

    Raises
    ------
    RunError
        Where it is no such file, or holds an array larger than any of these networks has.
    """
    import h5py

    made: dict[str, dict[str, NDArray[np.float32]]] = {}
    try:
        with h5py.File(path, "r") as file:
            for layer in file:
                group = file[layer].get(layer, {})
                for name in group:
                    stored = group[name]
                    if not isinstance(stored, h5py.Dataset) or stored.size > LARGEST or stored.dtype.kind != "f" or stored.is_virtual or stored.external:
                        raise RunError(f"{path}: {layer}/{name} is no array of weights of at most {LARGEST} numbers.")
                    made.setdefault(layer, {})[name.split(":")[0]] = np.asarray(stored[()], dtype=np.float32)
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{path} is no file of Keras weights ({type(error).__name__}: {str(error)[:200]}). Copy it again.") from None
    return made


def _branch_weights(read: Mapping[str, Mapping[str, Any]], network: Network) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    try:
        return tuple([one for name in names for one in _layer(read[name])] for names in network[:3])  # type: ignore[return-value]
    except KeyError as error:
        raise RunError(f"the weight file has no layer or array {error}.") from None


def _layer(arrays: Mapping[str, Any]) -> list[torch.Tensor]:
    """Keras' arrays in torch's order of axes and of parameters."""
    if "depthwise_kernel" in arrays:  # (y, x, channel, 1) and (1, 1, channel, filter)
        return [torch.tensor(arrays["depthwise_kernel"]).permute(2, 3, 0, 1), torch.tensor(arrays["pointwise_kernel"]).permute(3, 2, 0, 1), torch.tensor(arrays["bias"])]
    return [torch.tensor(arrays["kernel"]).T, torch.tensor(arrays["bias"])]


def _dense(read: Mapping[str, Mapping[str, Any]], name: str) -> tuple[torch.Tensor, torch.Tensor]:
    if name not in read:
        raise RunError(f"the weight file has no layer {name!r}.")
    weight, bias = _layer(read[name])
    return weight, bias


def _named(volume: str, of_volume: Sequence[torch.Tensor], of_sky: Sequence[torch.Tensor], of_scalars: Sequence[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor) -> dict[str, torch.Tensor]:
    """By the names of the model's parameters: those of each encoder stand in the order of its layers."""
    from astrofuse_lab.models.layers import Layers

    scalars = weight.shape[1] - 8
    table = Layers([["each", OWN, scalars - len(of_scalars) // 2]], (scalars,))
    shells = {volume: Layers(VOLUME, (3, 40, 40)), "sky_map": Layers(SKY, (1, 40, 40)), "table": table}
    made: dict[str, torch.Tensor] = {}
    for (encoder, shell), tensors in zip(shells.items(), (of_volume, of_sky, of_scalars), strict=True):
        names = [f"encoders.{encoder}.layers.{name}" for name in shell.state_dict()]
        if len(names) != len(tensors):
            raise RunError(f"the published network has {len(tensors)} arrays where {encoder} has {len(names)}.")
        made |= dict(zip(names, tensors, strict=True))
    return {**made, "heads.all.layers.0.weight": weight, "heads.all.layers.0.bias": bias}


def _side_by_side(count: int) -> Recipe:
    """As many networks as labels, each with branches of its own."""
    recipe = get_recipe("gwskynet_multi")
    each = ["each", OWN, len(MULTI_COLUMNS) - 3]
    encoders = {
        "volume": Part.of("layers", layers=[["parallel", [VOLUME] * count]], project=False), "sky_map": Part.of("layers", layers=[["parallel", [SKY] * count]], project=False),
        "table": Part.of("layers", layers=[["parallel", [[each]] * count]], columns=MULTI_COLUMNS, project=False),
    }  # fmt: skip
    return recipe.change(encoders=encoders, head=Part.of("multi_label", hidden=0))


def _joined(parts: Sequence[Any]) -> dict[str, torch.Tensor]:
    """Weights of networks side by side: the last layer reads the volumes' vectors, then the sky maps', then the scalars'."""
    made: dict[str, torch.Tensor] = {}
    count, scalars = len(parts), len(MULTI_COLUMNS)
    weight = torch.zeros(count, count * (8 + scalars))
    for i, part in enumerate(parts):
        named = _named("volume", *part)
        for name, tensor in named.items():
            if name.startswith("encoders."):
                _, encoder, _, rest = name.split(".", 3)
                inner = f"layers.steps.0.networks.{i}.{rest}"
                made[f"encoders.{encoder}.{inner}"] = tensor
        head = part[3]
        for begin, width, offset in ((0, 4, 0), (4, 4, 4 * count), (8, scalars, 8 * count)):
            weight[i, offset + i * width : offset + (i + 1) * width] = head[0, begin : begin + width]
    return {**made, "heads.all.layers.0.weight": weight, "heads.all.layers.0.bias": torch.cat([part[4] for part in parts])}

