"""Runs with the weights that authors published: read from the mirror or their public source, with checksum, licence and citation."""

import importlib
import os
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from astrofuse_lab.errors import InputError, RunError, UnknownNameError
from astrofuse_lab.models.build import build, layouts_of
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.samples.registry import MIRROR
from astrofuse_lab.samples.split import Split
from astrofuse_lab.storage import cache_root, file_digest, write_bytes
from astrofuse_lab.training.problem import Problem
from astrofuse_lab.training.record import versions
from astrofuse_lab.training.run import Run

if TYPE_CHECKING:
    from astrofuse_lab.training.ensembles import Ensemble

LARGEST = 512 * 1024**2
MAKERS: dict[str, str] = {
    "gwskynet_multi_ii": "astrofuse_lab.training.originals_gwskynet_numbers:make",
    "gwskynet_explained": "astrofuse_lab.training.originals_gwskynet_numbers:make",
    "braai": "astrofuse_lab.training.originals_braai:make",
    "gwskynet": "astrofuse_lab.training.originals_gwskynet:make",
    "gwskynet_multi": "astrofuse_lab.training.originals_gwskynet:make_multi",
    "gwskynet_ii": "astrofuse_lab.training.originals_gwskynet:make_ii",
}
"""Systems with published weights: module and function that make their run of a folder of the mirror; called with ``mirror`` and the options."""


class PublishedFile(NamedTuple):
    """A file of weights: its name, its folder of the mirror, its sha256, and where its authors keep it (at a fixed revision), if in this form."""

    name: str
    folder: str
    sha256: str
    url: str = ""


def original(key: str, mirror: str | Path | None = None, **options: Any) -> "Run | Ensemble":
    """A run with published weights; see `Run.original`."""
    if key not in MAKERS:
        raise UnknownNameError("system with published weights", key, MAKERS, "af.list_systems() shows all systems.")
    module, _, function = MAKERS[key].partition(":")
    made: Run | Ensemble = getattr(importlib.import_module(module), function)(mirror=mirror, **options)
    return made


def published(file: PublishedFile, mirror: str | Path | None = None) -> Path:
    """Where a file of weights lies on this machine: in the mirror, in the cache, or, once downloaded, in the cache.

    Raises
    ------
    RunError
        If it is nowhere, or its sha256 is not the one that is known.
    """
    root = mirror or os.environ.get(MIRROR)
    kept = cache_root() / "weights" / file.sha256[:16] / file.name
    for path in ((Path(root).expanduser() / file.folder / file.name,) if root else ()) + (kept,):
        if path.is_file():
            found = file_digest(path)
            if found != file.sha256:
                raise RunError(f"{path} is not the file this version knows: sha256 {found[:12]}..., {file.sha256[:12]}... expected. Copy it again.")
            return path
    if not file.url:
        raise RunError(f"{file.name} is in the mirror only: set {MIRROR}=<folder>, where <folder>/{file.folder}/{file.name} is, or give mirror='<folder>'.")
    return _downloaded(file, kept)


def _downloaded(file: PublishedFile, kept: Path) -> Path:
    import hashlib

    import requests

    if urllib.parse.urlsplit(file.url).scheme != "https":
        raise InputError(f"{file.url} is no https address.")
    try:
        with requests.get(file.url, stream=True, timeout=(10, 60)) as answer:
            answer.raise_for_status()
            content = b""
            for piece in answer.iter_content(1 << 20):
                content += piece
                if len(content) > LARGEST:
                    raise RunError(f"{file.url} sends more than {LARGEST} bytes; that is no such file.")
    except requests.RequestException as error:
        raise RunError(f"{file.name} is in no mirror, and could not be had from {file.url} ({type(error).__name__}). Set {MIRROR}=<folder>, or try again with a network.") from None
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise RunError(f"{file.url} sent another file than this version knows: sha256 {found[:12]}..., {file.sha256[:12]}... expected.")
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(kept, content)
    return kept


def run_of(
    recipe: Recipe, preparation: Preparation, problem: Problem, weights: Mapping[str, torch.Tensor], *, title: str, citation: str, licence: str, notes: tuple[str, ...] = ()
) -> Run:
    """A Run of published weights, by the names of the recipe's own parameters; nothing was trained here, so there is no history, split or metric.

    Raises
    ------
    RunError
        If names or shapes are not the recipe's.
    """
    from astrofuse_lab.training.run_folder import fit_weights

    model = build(recipe, layouts_of(preparation.to_json()), problem.outputs, problem.task, problem.classes, initial=False)
    given = {name: tensor.detach().clone() for name, tensor in weights.items()}
    try:
        fit_weights(model, given)
    except ValueError as error:
        raise RunError(f"the published weights do not fit the recipe {recipe.name!r} ({error}).") from None
    model.load_state_dict(given)
    card = {"name": recipe.name, "title": title, "simulated": False, "citation": citation, "licence": licence, "notes": list(notes)}
    record = {
        "state": "finished", "ended": "published weights", "best_epoch": 0, "seed": 0, "epochs": 0, "seconds": 0.0, "peak_memory": 0,
        "parameters": sum(p.numel() for p in model.parameters()), "device": "cpu", "precision": "32-true", "processes": 1, "metric": "validation_loss", "metrics": [],
        "residual_width": 0.0, "calibration": {}, "left_out": {}, "versions": versions(), "fingerprint": "", "original": True, "ignored": [],
        "samples": {"card": card, "objects": 0, "citations": citation},
    }  # fmt: skip
    return Run(recipe, problem, preparation, model, Split((), ()), [], record)
