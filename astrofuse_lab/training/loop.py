"""`train`: from a recipe and samples to a Run, resumable at any batch."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from astrofuse_lab.errors import RunError, StorageError
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.storage import storage_errors, write_json
from astrofuse_lab.training.checkpoints import Snapshot, read_newest, remove_checkpoints, write_checkpoint
from astrofuse_lab.training.plan import Plan, check_fingerprint, make_plan
from astrofuse_lab.training.progress import ProgressLine
from astrofuse_lab.training.run import Run
from astrofuse_lab.training.run_folder import CHECKPOINTS, FILES, _read_json, open_run, write_files
from astrofuse_lab.training.trainer import Trainer

OnEpoch = Callable[[dict[str, Any]], None]


def train(
    recipe: str | Recipe, samples: SampleSet, target: str, modalities: Sequence[str] | None = None, split: Split | None = None,
    seed: int = 0, device: str = "auto", epochs: int | None = None, out: str | Path | None = None, *, progress: bool = True,
    stop: threading.Event | None = None, on_epoch: OnEpoch | None = None, resume: bool | Run = True, overwrite: bool = False,
) -> Run:  # fmt: skip
    """Train a recipe on samples.

    Parameters
    ----------
    recipe : str or Recipe
        A name from ``af.list_recipes()``, or a Recipe.
    samples : SampleSet
    target : str
        Column to predict. Text, booleans and integers of few values are classified, other numbers regressed.
    modalities : sequence of str, optional
        None: all that the samples have. Any recipe takes one.
    split : Split, optional
        Trains on its ``train`` ids, validates on ``validation``, and measures ``test`` at the end. Without a validation
        part, 15 % of the training groups are held out, class by class. None: all samples are the training part.
    seed : int
        Of weights, order, dropout and held-out groups. The caller's own random state is left as it was.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    epochs : int, optional
        At most this many passes. None: what the recipe's schedule says.
    out : path, optional
        Run folder, written as training goes on. The same call with the same `out` resumes after a stop or a kill, on a CPU
        bit for bit, and returns the run where it has finished. None: nothing is written.
    progress : bool
        Show a line of text.
    stop : threading.Event, optional
        Once set, training ends after the batch at hand; the run's ``state`` is then "stopped".
    on_epoch : callable, optional
        Called with dict(epoch, epochs, train_loss, validation_loss, metric, best, seconds, learning_rate) after each epoch.
    resume : bool or Run
        False: refuse an `out` that is in use. A stopped Run: go on from where it stopped, whether or not it was saved.
    overwrite : bool
        Replace what `out` holds, where that is a run.

    Returns
    -------
    Run
        With the weights that did best on the validation part.

    Raises
    ------
    InputError
        For an unknown recipe, column, modality, id or device, or a target that is one of the inputs.
    TrainingError
        If a class cannot be learned and validated, or the loss is no longer a number.
    RunError
        If `out` holds another training.
    StorageError
        If `out` cannot be written.
    """
    from astrofuse_lab.training.devices import make_fabric

    plan = make_plan(recipe, samples, target, modalities, split, seed, epochs)
    fabric = make_fabric(device)
    folder = Path(out).expanduser().resolve() if out is not None else None
    done = folder is not None and fabric.is_global_zero and _enter(folder, plan, bool(resume), overwrite)
    if folder is not None and fabric.broadcast(done):
        return open_run(folder, device)
    snapshot = _snapshot(folder, plan, resume)
    trainer = Trainer(plan, fabric, snapshot)
    line = ProgressLine(plan.recipe.name, trainer.metric, progress and fabric.is_global_zero)

    def keep(number: int, made: Snapshot) -> None:
        if folder is not None and fabric.is_global_zero:
            write_checkpoint(folder / CHECKPOINTS, number, made)

    def report(now: dict[str, Any]) -> None:
        line.show(now)
        if on_epoch is not None:
            on_epoch(now)

    trainer.go(stop or threading.Event(), keep if folder else None, report)
    run = trainer.finish()
    if folder is not None and fabric.is_global_zero:
        write_files(run, folder)
        if run.state == "finished":
            remove_checkpoints(folder / CHECKPOINTS)
            (folder / "training.json").unlink(missing_ok=True)
    run.path = folder
    line.end()
    return run


def _enter(folder: Path, plan: Plan, resume: bool, overwrite: bool) -> bool:
    """Make the folder this training's own; True where the training has already finished there."""
    with storage_errors(folder):
        used = folder.is_dir() and any(folder.iterdir())
    ours = (folder / "training.json").is_file() or (folder / "run.json").is_file()
    if used and not ours:
        raise StorageError(f"{folder} is not empty and holds no run. Give another out=; nothing there was changed.")
    if used and overwrite:
        _clear(folder)
    elif used and not resume:
        raise StorageError(f"{folder} already holds a run. Pass overwrite=True to replace it, resume=True to go on with it, or give another out=.")
    elif used:
        told, state = _told(folder)
        check_fingerprint(plan.fingerprint, told, folder)
        if state == "finished":
            return True
    write_json(folder / "training.json", {"fingerprint": plan.fingerprint})
    (folder / "run.json").unlink(missing_ok=True)  # of a stopped run: it is no longer what the folder holds
    return False


def _told(folder: Path) -> tuple[dict[str, Any], str]:
    """The fingerprint of the training in a folder, and its state."""
    if (folder / "run.json").is_file():
        record = _read_json(folder / "run.json", "")["record"]
        return record["fingerprint"], record["state"]
    try:
        import json

        return json.loads((folder / "training.json").read_text())["fingerprint"], "unfinished"
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RunError(f"{folder / 'training.json'} is damaged ({error!r}). Pass overwrite=True to train again.") from error


def _clear(folder: Path) -> None:
    with storage_errors(folder):
        for name in ("run.json", "training.json", *FILES):
            (folder / name).unlink(missing_ok=True)
        remove_checkpoints(folder / CHECKPOINTS)


def _snapshot(folder: Path | None, plan: Plan, resume: bool | Run) -> Snapshot | None:
    """What to go on from: the newest readable checkpoint, or what a stopped run holds."""
    if isinstance(resume, Run):
        check_fingerprint(plan.fingerprint, resume.record["fingerprint"], "the run given as resume=")
        found = None if resume.snapshot or resume.path is None else read_newest(resume.path / CHECKPOINTS)
        snapshot = resume.snapshot or (found[1] if found else None)
        if snapshot is None:
            raise RunError(f"the run given as resume= is {resume.state}: there is nothing to go on from.")
        return snapshot
    found = read_newest(folder / CHECKPOINTS) if folder is not None and resume else None
    return found[1] if found else None
