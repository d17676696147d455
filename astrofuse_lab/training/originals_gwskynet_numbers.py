"""GWSkyNet-Multi II with its authors' weights (Raza et al. 2025, arXiv:2502.00297; MIT): twenty networks that answer together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from astrofuse_lab.alignment.representations import options_of
from astrofuse_lab.alignment.representations.alert_numbers import SCALES
from astrofuse_lab.errors import RunError
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.samples.preparation import Preparation, Scaling, tables
from astrofuse_lab.samples.represented import Shown
from astrofuse_lab.training.ensembles import Ensemble
from astrofuse_lab.training.originals import PublishedFile, published, run_of
from astrofuse_lab.training.problem import Problem

FOLDER = "gwskynet"
AT = "https://raw.githubusercontent.com/nayyer-raza/GWSkyNet-Multi/15c5973c869b7e488c12722b8437b4bcd2f39358/models"
PACKED = PublishedFile("gwskynet_multi2_20models.npz", FOLDER, "2a3966ea42ef6e2cec373707479fd7cd28e6d5b11b19f0f648921b1ff981ec98")
SUMS = (
    "28af662a09620e55644704975fc0aee43a0090995f17650e923da556e1efa167", "c17b136ef94c071110221d6b8796a035c06aa5535599f7a8634c4fd9b2ec9e06",
    "0813655f48e9851e2ba7e0ea1c86e8127321588452436a10f040bf79a2800c14", "bb7a8e4b65e201fe00f2074267595d392c5261d14874c691ea39dbf51f19a3bb",
    "a3ea635bcb6f797e4904e376d19373052ac5d92726c6ea522da84c29e3370e78", "e793d7721d28087e949ac57a982c06c29065c4de293e9247fa87527fa7919b15",
    "8a117aa002537d1c709b3754e522b56dacb98cd64be50fd3a94763d83f494b19", "b371fb84bafe789805278b72b30c3b05bb52b22264eabff9517bd3796c13fa1d",
    "574c3af24e8bd74ba80b0e11fb031d905cbac3d09536d916face54efeb3d2abc", "7103cacb4ec9f9a8ee7bafb57ebb1b1455e7e990f016343704c94b13ffb6d682",
    "f56d9086c81f2611da2ce9aa0c4440fda35fa61d8fbdadeaeaf769c06cce6341", "702cf6a29e375e4cd47be6f3b1da93df1bb9703947a687f5b23fed573f6d1501",
    "6eb8ce6f3d6726c2c5b662d6056a7843260ce88460b9d4b77af139c41a445b64", "fd13eb16582c9b741bcd0cee3198bc726bfe8808c42e5a179b19a4fcfe58ad8b",
    "b3c4572b06d34d1e7bb14c30e80a62a59079e796f38b09adfcc756de7a48f6d4", "cd5fb1b9bd5a9750bd4992a1ea29ff56e54e42b125443375e43db57544a6e331",
    "8af2469015126e638ac4c11243b7123493daf15f2700c66c52622e2d5d6b66b9", "aee87c29ffe62cf4b8af6832cb883cb98f05b94bde10097790daf8f81b2df20a",
    "e4751c33461a93029495a8888fcaadb582e1459a5435d1bac8f4596d5741a73e", "818c1c92b3c2723c2370f2b12c2b0716e6f762a6de3657f84823bff6f26fde88",
)  # fmt: skip
KERAS = tuple(PublishedFile(f"Multi-class_{i + 1}.h5", FOLDER, one, f"{AT}/Multi-class_{i + 1}.h5") for i, one in enumerate(SUMS))
"""The mirror's form, and the authors' own."""
LAYERS = {"dense": "encoders.table.layers.steps.0", "dense_1": "encoders.table.layers.steps.2", "dense_2": "heads.all.layers.0"}
CLASSES = ("Glitch", "BBH", "NSBH", "BNS")
CITATION = "GWSkyNet-Multi II: Raza et al. 2025, arXiv:2502.00297; github.com/nayyer-raza/GWSkyNet-Multi @ 15c5973"
LICENCE = "MIT"
NOTES = (
    "For alerts of two detectors or three; another than these nine numbers of BAYESTAR's map has no meaning.",
    "An infinite volume is read as the largest of the authors' training set.",
)
Weights = Mapping[str, NDArray[Any]]


def make(mirror: str | Path | None = None) -> Ensemble:
    """The ensemble; target ``classification`` with the classes Glitch, BBH, NSBH, BNS.

    Its mean and its standard deviation over members are the authors' probability and uncertainty.

    Parameters
    ----------
    mirror : path, optional

    Raises
    ------
    RunError
        If the weights are nowhere, or others.
    """
    recipe = get_recipe("gwskynet_multi_ii")
    shown = Shown("alert_numbers", options_of("alert_numbers", recipe.inputs["table"].options))
    options = {**tables.OPTIONS, "scaling": "none"}
    count = len(SCALES)
    fitted = {"numbers": [0.0, 1.0] * count, "lengths": [2.0] * count, "median": _median()}
    given = ["table", list(SCALES), [count], ""]
    scaling = Scaling("table", ["table", list(SCALES), [count], ""], options, fitted, shown, given)
    problem = Problem("classification", "classification", CLASSES)
    return Ensemble([
        run_of(recipe, Preparation({"table": scaling}), problem, named(one), title=f"GWSkyNet-Multi II, published weights {i + 1} of 20", citation=CITATION, licence=LICENCE, notes=NOTES)
        for i, one in enumerate(_weights(mirror))
    ])  # fmt: skip


def _median() -> list[float]:
    """Where attributions begin, since the training set is not published: a merger of middling numbers, as the network reads them."""
    plain = {"map_vol90_mpc3": 3e8, "map_area90_deg2": 1000.0, "H1": 1.0, "L1": 1.0, "V1": 1.0, "distmean_mpc": 1000.0, "diststd_mpc": 300.0, "log_bsn": 25.0, "log_bci": 7.0}
    return [float(np.log10(plain[name]) if logarithm else plain[name]) / largest for name, (logarithm, largest) in SCALES.items()]


def named(raw: Weights) -> dict[str, torch.Tensor]:
    """One network's weights (kernels as in, out) by the names of the recipe's own."""
    weights = {}
    for layer, place in LAYERS.items():
        weights[f"{place}.weight"] = torch.from_numpy(np.array(raw[f"{layer}.kernel"], dtype=np.float32).T.copy())
        weights[f"{place}.bias"] = torch.from_numpy(np.array(raw[f"{layer}.bias"], dtype=np.float32))
    return weights


def _weights(mirror: str | Path | None) -> list[Weights]:
    try:
        path = published(PACKED, mirror)
    except RunError as error:
        if "in the mirror only" not in str(error):
            raise
        return [_h5(published(one, mirror)) for one in KERAS]
    with np.load(path, allow_pickle=False) as file:
        whole = {name: file[name] for name in file.files}
    return [{name: array[i] for name, array in whole.items()} for i in range(len(KERAS))]


def _h5(path: Path) -> Weights:
    """The weights of one of Keras' files, whose checksum is known: ``dense/dense/kernel:0``."""
    import h5py

    with h5py.File(path, "r") as file:
        return {f"{layer}.{one}": np.asarray(file[f"{layer}/{layer}/{one}:0"]) for layer in LAYERS for one in ("kernel", "bias")}
