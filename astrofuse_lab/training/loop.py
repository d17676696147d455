"""`train`: from a recipe and samples to a Run, resumable at any batch."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astrofuse_lab import jobs
from astrofuse_lab.errors import InputError, RunError, StorageError
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.storage import storage_errors, write_json
from astrofuse_lab.training.checkpoints import Snapshot, read_newest, remove_checkpoints, write_checkpoint
from astrofuse_lab.training.distillation import check_teacher
from astrofuse_lab.training.epoch_weights import EpochKeeper, remove_epochs
from astrofuse_lab.training.plan import Plan, check_fingerprint, make_plan
from astrofuse_lab.training.progress import FILE as PROGRESS
from astrofuse_lab.training.progress import Progress, ProgressLine, telling
from astrofuse_lab.training.run import Run
from astrofuse_lab.training.run_folder import CALIBRATION, CARD, CHECKPOINTS, FILES, _read_json, open_run, write_files
from astrofuse_lab.training.schedules import SCHEDULES, make_schedule
from astrofuse_lab.training.stages import Stage, clear_stages, self_supervised_recipe, stages_of, subset_split, told_of
from astrofuse_lab.training.trainer import Trainer
from astrofuse_lab.training.transfer import Start, check_start, digest_of, open_start, replayed, seen_by, start_of, warn_of_leak

OnEpoch = Callable[[dict[str, Any]], None]


def train(
    recipe: str | Recipe, samples: SampleSet, target: str | Sequence[str] | None = None, modalities: Sequence[str] | None = None, split: Split | None = None,
    seed: int = 0, device: str = "auto", epochs: int | None = None, out: str | Path | None = None, *, progress: bool = True,
    stop: threading.Event | None = None, on_epoch: OnEpoch | None = None, resume: bool | Run = True, overwrite: bool = False,
    start: Run | str | Path | None = None, teacher: Run | str | Path | None = None, labels: float = 1.0, precision: str = "auto", compile: bool = False,
    keep_epochs: bool = False,
) -> Run:  # fmt: skip
    """Train a recipe on samples.

    Parameters
    ----------
    recipe : str or Recipe
        A name from ``af.list_recipes()``, or a Recipe. Where it has a `pretrain`, or a schedule with stages, those come first, on the
        training part only; each is a run of its own, in ``out/pretraining`` or ``out/alone``.
    samples : SampleSet
    target : str, sequence of str, optional
        Column to predict. Text, booleans and integers of few values are classified, other numbers regressed; of several columns,
        booleans are labels and numbers are regressed together. None: nothing is predicted, and the recipe's `pretrain` (or its
        objective, or masked modelling) is all there is.
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
        At most this many passes. None: what the recipe's schedule says. Earlier stages have their own.
    out : path, optional
        Run folder, written as training goes on. The same call with the same `out` resumes after a stop or a kill, on a CPU
        bit for bit, and returns the run where it has finished. ``progress.jsonl`` there tells of it meanwhile. None: nothing is written.
    progress : bool
        Show a line of text.
    stop : threading.Event, optional
        Once set, training ends after the batch at hand; the run's ``state`` is then "stopped". In an earlier stage it is that stage's
        run that is returned; given as `resume`, or with the same `out`, training goes on from there.
    on_epoch : callable, optional
        Called with dict(epoch, epochs, train_loss, validation_loss, metric, best, seconds, learning_rate, stage) after each epoch;
        ``stage`` is "" for the training itself.
    resume : bool or Run
        False: refuse an `out` that is in use. A stopped Run: go on from where it stopped, whether or not it was saved.
    overwrite : bool
        Replace what `out` holds, where that is a run.
    start : Run or path, optional
        A run whose weights this one begins with, where names and shapes fit; ``run.record["started"]`` tells which did. Its scalings
        are kept by the schedule "incremental"; else they are fitted anew. One that was trained on samples of this test part is
        warned of.
    teacher : Run or path, optional
        A run whose answers are learned from beside the truth, so that a smaller model, or one of fewer modalities, comes closer to it
        (distillation); the schedule's ``taught`` and ``temperature`` say how much. The samples need its modalities.
    labels : float
        Share of the training groups whose labels are used; the others serve pre-training only.
    precision : {"auto", "32", "bf16"}
        ``bf16``: matrix products in bfloat16, weights and losses in float32. ``auto``: so on a GPU that has it.
    compile : bool
        Let ``torch.compile`` translate the model first: tens of seconds once, for faster steps of a large training. Where it cannot,
        a message says so and the model runs as it is.
    keep_epochs : bool
        Keep the weights of epochs in ``out/epochs``, at most 40 of them, spread over the training: `astrofuse_lab.explain.embed_epochs` shows
        how the spaces came about. Of the training itself, not of earlier stages.

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
        If `out` holds another training, or no weight of `start` fits.
    StorageError
        If `out` cannot be written.
    """
    from astrofuse_lab.training.devices import check_precision, make_fabric

    plan = _taught(_planned(recipe, samples, target, modalities, split, seed, epochs, start, labels), teacher)
    plan = replace(plan, fingerprint={**plan.fingerprint, "precision": check_precision(precision)})
    halt = stop or threading.Event()
    folder = Path(out).expanduser().resolve() if out is not None else None
    if keep_epochs and folder is None:
        raise InputError("keep_epochs=True keeps weights in the run's folder: give one, out='my_run'.")
    with jobs.running(f"Train {plan.recipe.name}", halt) as job:
        told = Told(progress, halt, telling(job, on_epoch), compile, keep_epochs)
        return _go(plan, make_fabric(device, precision), device, folder, told, resume, overwrite, split)


@dataclass(frozen=True)
class Told:
    """Who is told of a training, who may stop it, and whether it is compiled."""

    progress: bool
    stop: threading.Event
    on_epoch: OnEpoch
    compile: bool = False
    keep_epochs: bool = False


def _planned(
    recipe: str | Recipe, samples: SampleSet, target: str | Sequence[str] | None, modalities: Sequence[str] | None, split: Split | None, seed: int,
    epochs: int | None, start: Run | str | Path | None, labels: float,
) -> Plan:  # fmt: skip
    """The plan with what it starts from."""
    recipe = get_recipe(recipe)
    if target is None:
        recipe = self_supervised_recipe(recipe)
    given = split
    if labels != 1.0:
        given = subset_split(samples, split or Split(tuple(map(str, samples.object_ids)), (), seed=seed), labels, seed, target if isinstance(target, str) else None)
    run = open_start(start) if start is not None else None
    if run is not None and isinstance(run, Run) and recipe.schedule.name in SCHEDULES:
        given = replayed(run, samples, given, make_schedule(recipe.schedule).replay)
    plan = make_plan(recipe, samples, target, modalities, given, seed, epochs)
    if run is None:
        check_start(plan)
        return plan
    begin = start_of(run, plan.problem, scalings=bool(plan.schedule.anchor or plan.schedule.replay))
    begin.said["in_test"] = warn_of_leak(run, plan.split.test)
    return replace(plan, start=begin, fingerprint={**plan.fingerprint, "start": digest_of(run)})


def _taught(plan: Plan, teacher: Run | str | Path | None) -> Plan:
    """The plan with its teacher."""
    if teacher is None:
        return plan
    run = open_start(teacher, "teacher")
    plan = replace(plan, teacher=run, fingerprint={**plan.fingerprint, "teacher": digest_of(run)})
    check_teacher(plan)
    warn_of_leak(run, plan.split.test, "teacher")
    return plan


def _go(plan: Plan, fabric: Any, device: str, folder: Path | None, told: Told, resume: bool | Run, overwrite: bool, given: Split | None, stage: str = "") -> Run:
    """Train a plan and what comes before it."""
    done = folder is not None and fabric.is_global_zero and _enter(folder, plan, bool(resume), overwrite)
    if folder is not None and fabric.broadcast(done):
        return open_run(folder, device)
    at = str(resume.record.get("stage", "")) if isinstance(resume, Run) else ""
    earlier: list[dict[str, Any]] = []
    if isinstance(resume, Run) and at == stage:
        plan, earlier = _as_it_was(plan, resume), resume.record.get("stages", [])
    else:
        for one in stages_of(plan, given):
            below = folder / one.name if folder else None
            run = _go(_staged(plan, one), fabric, device, below, told, resume if at == one.name else bool(resume), False, None, one.name)
            if run.state == "stopped":
                return run
            earlier.append(told_of(one, run.record, run._history))
            later = start_of(run, plan.problem, one.parts, scalings=True)
            plan = replace(plan, start=plan.start.and_then(later) if plan.start else later)
    return _train(plan, fabric, folder, told, _snapshot(folder, plan, resume if at == stage else bool(resume)), earlier, stage)


def _as_it_was(plan: Plan, run: Run) -> Plan:
    """The plan of a run that was stopped after its earlier stages, whose weights its snapshot holds."""
    if "started" not in run.record:
        return plan
    weights = plan.start.weights if plan.start else {}
    said = {**(plan.start.said if plan.start else {}), **run.record["started"]}
    return replace(plan, start=Start(weights, run.preparation.scalings, said))


def _staged(plan: Plan, stage: Stage) -> Plan:
    """The plan of an earlier stage."""
    target = (plan.problem.targets if plan.problem.several else plan.problem.target) if stage.supervised else None
    made = make_plan(stage.recipe, plan.samples, target, stage.modalities, stage.split, plan.seed, None)
    begin = plan.start.only(stage.modalities) if plan.start else None
    if begin is None:
        return made
    return replace(made, start=begin, fingerprint={**made.fingerprint, "start": plan.fingerprint.get("start", "")})


def _train(
    plan: Plan, fabric: Any, folder: Path | None, told: Told, snapshot: Snapshot | None, earlier: list[dict[str, Any]], stage: str
) -> Run:
    """Train one plan to its end and write what came of it."""
    line = ProgressLine(f"{plan.recipe.name} ({stage})" if stage else plan.recipe.name, told.progress and fabric.is_global_zero)
    tell = Progress(line, folder if fabric.is_global_zero else None, lambda now: told.on_epoch({**now, "stage": stage}))

    def keep(number: int, made: Snapshot) -> None:
        if folder is not None and fabric.is_global_zero:
            write_checkpoint(folder / CHECKPOINTS, number, made)

    try:
        trainer = Trainer(plan, fabric, snapshot, tell.say, told.compile)
        line.metric = trainer.metric
        tell.begin(recipe=plan.recipe.name, stage=stage, metric=trainer.metric, step=trainer.state["step"], epochs=plan.schedule.epochs)
        each = EpochKeeper(folder) if folder is not None and told.keep_epochs and not stage and fabric.is_global_zero else None
        trainer.go(told.stop, keep if folder else None, tell.epoch, each)
        run = trainer.finish()
    except BaseException:
        tell.end("failed")
        raise
    run.record["stage"], run.record["stages"] = stage, earlier
    if plan.start is not None:
        run.record["started"] = {name: value for name, value in plan.start.said.items() if name != "seen_before"}
    if plan.teacher is not None:
        run.record["taught_by"] = {"from": str(plan.teacher.path or plan.teacher.recipe.name), "recipe": plan.teacher.recipe.name}
    seen = {*(plan.start.said.get("seen_before", ()) if plan.start else ()), *(seen_by(plan.teacher) if plan.teacher else ())}
    run.record["seen_before"] = sorted(seen - set(run.split.train))
    if folder is not None and fabric.is_global_zero:
        write_files(run, folder)
        if run.state == "finished":
            remove_checkpoints(folder / CHECKPOINTS)
            (folder / "training.json").unlink(missing_ok=True)
    run.path = folder
    tell.end(run.state)
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
        for name in ("run.json", "training.json", PROGRESS, CARD, CALIBRATION, *FILES):
            (folder / name).unlink(missing_ok=True)
        remove_checkpoints(folder / CHECKPOINTS)
        remove_epochs(folder)
        clear_stages(folder)


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
