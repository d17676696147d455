"""braai with its authors' weights (Duev et al. 2019, MNRAS 489, 3582; MIT): real or bogus, as in the field `drb` of ZTF's alert packets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.alignment.representations import options_of
from astrofuse_lab.errors import RunError, UnknownNameError
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.preparation import Preparation, Scaling
from astrofuse_lab.samples.readers.braai_alerts import CITATION, LICENCE, SIDE, STAMPS
from astrofuse_lab.samples.represented import Shown
from astrofuse_lab.training.originals import PublishedFile, published, run_of
from astrofuse_lab.training.problem import Problem
from astrofuse_lab.training.run import Run

FOLDER = "braai"
AT = "https://raw.githubusercontent.com/dmitryduev/braai/9fb2259542ec4b0a7dfa485012a23dc15a3f4ce8/models"
FILES = {
    "d6_m7": (
        PublishedFile("d6_m7.weights.npz", FOLDER, "e428c75424b8ffa8bcd4cc78a2a4e802ea552652c661779560ecefd02ad750a9"),
        PublishedFile("d6_m7.weights.h5", FOLDER, "b5af44ffe3c7077981f103dcfcbe08fa4a4e833de1961c46bd99fc60a55a03ad", f"{AT}/d6_m7.weights.h5"),
    ),
    "d6_m9": (
        PublishedFile("braai_d6_m9.weights.npz", FOLDER, "341fb4414b3487508165befd7cf062df2814e491bd897ef326508298cff78780"),
        PublishedFile("braai_d6_m9.weights.h5", FOLDER, "de0d198246d1a30effecf3bdd83ada0b8218ccdfaf7d5fdaf2de0af061413b2f", f"{AT}/braai_d6_m9.weights.h5"),
    ),
}
"""Of each version, the mirror's form and the authors' own (Keras)."""
ALONG = {"d6_m7": "rows", "d6_m9": "whole"}
"""What each version was trained on: stamps divided by the norm of each row, or of the whole stamp (nb/braai_run.ipynb)."""
LAYERS = {"conv1": 0, "conv2": 2, "conv3": 6, "conv4": 8, "fc_1": 13}
"""Where the layers with weights stand in the recipe's list."""
CLASSES = ("bogus", "real")


def make(mirror: str | Path | None = None, version: str = "d6_m7") -> Run:
    """The run; classes ``bogus`` and ``real``, target ``real_bogus``.

    Parameters
    ----------
    mirror : path, optional
    version : {"d6_m7", "d6_m9"}
        d6_m7 made the scores of packets with ``drbversion`` "d6_m7".

    Raises
    ------
    UnknownNameError
        For another version.
    RunError
        If the weights are nowhere, or others.
    """
    if version not in FILES:
        raise UnknownNameError("version of braai", version, FILES)
    weights = _weights(version, mirror)
    recipe = get_recipe("braai")
    shown = Shown("l2", options_of("l2", {**recipe.inputs["image"].options, "along": ALONG[version]}))
    recipe = recipe.change(inputs={"image": Part("l2", shown.options)})
    shape = [len(STAMPS), SIDE, SIDE]
    options = {"background": "none", "scale": "set", "stretch": "none", "errors": False, "psf": False}
    fitted = {"soft": [1.0] * len(STAMPS), "width": [1.0] * len(STAMPS)}
    scaling = Scaling("image", ["image", list(STAMPS), shape, ""], options, fitted, shown, ["image", list(STAMPS), shape, "DN"])
    notes = (f"Version {version}; stamps divided by the L2 norm of {'each row' if ALONG[version] == 'rows' else 'the whole stamp'}.",)
    return run_of(
        recipe, Preparation({"image": scaling}), Problem("real_bogus", "classification", CLASSES), weights, title=f"braai {version}, published weights",
        citation=CITATION, licence=LICENCE, notes=notes,
    )  # fmt: skip


def _weights(version: str, mirror: str | Path | None) -> dict[str, torch.Tensor]:
    packed, keras = FILES[version]
    try:
        raw = _npz(published(packed, mirror))
    except RunError as error:
        if "in the mirror only" not in str(error):
            raise
        raw = _h5(published(keras, mirror))
    return named(raw)


def named(raw: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    """Keras' weights (kernels as row, column, in, out; dense ones as in, out) by the names of the recipe's own."""
    weights = {}
    for layer, place in {**{name: f"encoders.image.layers.steps.{i}" for name, i in LAYERS.items()}, "fc_out": "heads.all.layers.0"}.items():
        kernel = torch.from_numpy(np.array(raw[f"{layer}.kernel"], dtype=np.float32))
        weights[f"{place}.weight"] = kernel.permute(3, 2, 0, 1).contiguous() if kernel.ndim == 4 else kernel.T.contiguous()
        weights[f"{place}.bias"] = torch.from_numpy(np.array(raw[f"{layer}.bias"], dtype=np.float32))
    return weights


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _h5(path: Path) -> dict[str, NDArray[Any]]:
    """The weights of Keras' file, whose checksum is known: ``conv1/conv1/kernel:0``."""
    import h5py

    with h5py.File(path, "r") as file:
        return {f"{layer}.{one}": np.asarray(file[f"{layer}/{layer}/{one}:0"]) for layer in (*LAYERS, "fc_out") for one in ("kernel", "bias")}
