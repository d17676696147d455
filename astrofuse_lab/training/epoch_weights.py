"""Weights after each epoch, kept beside a run so that one can see how its spaces came about.

::

    epochs/0000.safetensors   before the first step
    epochs/0001.safetensors   after the first epoch, as validation saw them
    epochs/epochs.json        size and sha256 of each

At most `MOST` are kept: beyond that every second one is dropped and from then on every second one is kept, and so on. The last is always there.
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from astrofuse_lab.errors import RunError, UnknownNameError
from astrofuse_lab.storage import write_bytes, write_json
from astrofuse_lab.training.checkpoints import digest
from astrofuse_lab.training.learning import Learning
from astrofuse_lab.training.run import Run

FOLDER, INDEX = "epochs", "epochs.json"
MOST = 40
LARGEST_INDEX = 1024**2


class EpochKeeper:
    """Writes the weights of epochs into a run folder.

    Parameters
    ----------
    folder : Path
        The run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER
        self._files = _index(self.folder) if (self.folder / INDEX).is_file() else {}

    def __call__(self, epoch: int, learning: Learning) -> None:
        """Keep what the run would hold if training ended now."""
        model = copy.deepcopy(learning).kept()
        content = save({name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()})
        write_bytes(self.folder / _name(epoch), content)
        # a training that is resumed comes by some epochs again; later ones are not what it will come to
        kept = {old: told for old, told in self._files.items() if old < epoch} | {epoch: {"bytes": len(content), "sha256": digest(content)}}
        kept = {one: kept[one] for one in _thinned(sorted(kept))}
        write_json(self.folder / INDEX, {str(one): told for one, told in kept.items()})
        for gone in set(self._files) - set(kept):
            (self.folder / _name(gone)).unlink(missing_ok=True)
        self._files = kept


def _name(epoch: int) -> str:
    return f"{epoch:04d}.safetensors"


def _thinned(epochs: list[int]) -> list[int]:
    """At most `MOST` of them: multiples of a power of two, and the last."""
    step = 1
    while len([one for one in epochs if one % step == 0]) + 1 > MOST:
        step *= 2
    return [one for one in epochs if one % step == 0 or one == epochs[-1]]


def remove_epochs(folder: Path) -> None:
    """Remove the kept weights of a run folder, and nothing else."""
    below = folder / FOLDER
    if below.is_dir():
        for file in [*below.glob("[0-9]*.safetensors"), *below.glob(".[0-9]*.safetensors.*"), below / INDEX]:
            file.unlink(missing_ok=True)
        if not any(below.iterdir()):
            below.rmdir()


def kept_epochs(run: Run) -> tuple[int, ...]:
    """The epochs whose weights a run keeps, ascending; 0 is before training.

    Raises
    ------
    RunError
        If it keeps none.
    """
    folder = None if run.path is None else run.path / FOLDER
    if folder is None or not (folder / INDEX).is_file():
        where = f"{run.path} holds" if run.path is not None else "this run has no folder and holds"
        raise RunError(f"{where} no weights of single epochs. Train with af.train(..., out=folder, keep_epochs=True).")
    return tuple(sorted(_index(folder)))


def run_at(run: Run, epoch: int) -> Run:
    """The run as it was after an epoch: the same recipe, scalings and split with that epoch's weights.

    Raises
    ------
    UnknownNameError
        For an epoch that was not kept.
    RunError
        If its file is missing, altered or does not fit the run.
    """
    from astrofuse_lab.training.run_folder import fit_weights

    epochs = kept_epochs(run)
    if epoch not in epochs:
        raise UnknownNameError("kept epoch", epoch, [str(one) for one in epochs])
    assert run.path is not None
    file, known = run.path / FOLDER / _name(epoch), _index(run.path / FOLDER)[epoch]
    if not file.is_file() or file.stat().st_size != known["bytes"]:
        raise RunError(f"{file} is missing or was altered since the run was trained. Restore it from a copy, or train again.")
    content = file.read_bytes()
    if digest(content) != known["sha256"]:
        raise RunError(f"{file} was altered since the run was trained (its checksum differs). Restore it from a copy, or train again.")
    try:
        weights: dict[str, Tensor] = load(content)
        model = copy.deepcopy(run.model)
        fit_weights(model, weights)
        with torch.no_grad():
            model.load_state_dict(weights)
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise RunError(f"{file} does not hold weights of this run ({error}). Restore it from a copy, or train again.") from error
    return Run(run.recipe, run.problem, run.preparation, model, run.split, run._history, run.record, None)


def _index(folder: Path) -> dict[int, dict[str, Any]]:
    file = folder / INDEX
    try:
        if file.stat().st_size > LARGEST_INDEX:
            raise ValueError("larger than it can be")
        return {int(epoch): {"bytes": int(told["bytes"]), "sha256": str(told["sha256"])} for epoch, told in json.loads(file.read_text()).items() if int(epoch) >= 0}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{file} is damaged ({type(error).__name__}). Train again with keep_epochs=True.") from error
