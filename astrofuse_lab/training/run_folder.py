"""Run folders: written file by file with ``run.json`` last, so that a folder that has it is whole."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from astrofuse_lab.errors import AstroFuseError, RunError
from astrofuse_lab.models.build import build, layouts_of
from astrofuse_lab.models.decision_stacking import MOST_ROWS, Stacking
from astrofuse_lab.recipes.schema import Recipe
from astrofuse_lab.samples.preparation import Preparation
from astrofuse_lab.samples.split import Split
from astrofuse_lab.storage import new_folder, write_bytes, write_json
from astrofuse_lab.training.checkpoints import digest, write_checkpoint
from astrofuse_lab.training.devices import choose_device
from astrofuse_lab.training.model_card import model_card
from astrofuse_lab.training.problem import Problem
from astrofuse_lab.training.run import HISTORY, Run
from astrofuse_lab.training.uncertainty_held import Held

FORMAT, VERSION = "astrofuse-run", 1
FILES = ("weights.safetensors", "split.json", "history.json")
CALIBRATION = "calibration.safetensors"
"""Of runs that were validated, since there is calibration."""
CHECKPOINTS = "checkpoints"
CARD = "card.md"
"""For people to read, add to and publish: it has no checksum, and nothing is read from it."""
LARGEST_JSON = 512 * 1024**2


def write_files(run: Run, folder: Path) -> None:
    """Fill a folder with a run; ``run.json`` is written last."""
    contents = {
        "weights.safetensors": save({name: t.detach().cpu().contiguous() for name, t in run.model.state_dict().items()}),
        "split.json": _json(run.split.to_json()),
        "history.json": _json(run._history),
    }
    if run.held is not None:
        contents[CALIBRATION] = save(run.held.tensors())
    else:
        (folder / CALIBRATION).unlink(missing_ok=True)
    (folder / "run.json").unlink(missing_ok=True)
    for name, content in contents.items():
        write_bytes(folder / name, content)
    data = {
        "format": FORMAT, "version": VERSION, "recipe": run.recipe.to_json(), "preparation": run.preparation.to_json(),
        "problem": run.problem.to_json(), "modalities": list(run.modalities), "record": run.record,
        "files": {name: {"bytes": len(content), "sha256": digest(content)} for name, content in contents.items()},
    }  # fmt: skip
    write_bytes(folder / CARD, model_card(run).encode())
    write_json(folder / "run.json", {**data, "sha256": _own_digest(data)})


def save_run(run: Run, path: str | Path, overwrite: bool = False) -> Path:
    """Write a run to a new folder, all of it or nothing; a stopped one with what it can go on from."""
    path = Path(path).expanduser()
    if run.path is not None and path.exists() and path.resolve() == run.path.resolve():
        write_files(run, path)
        return run.path
    with new_folder(path, overwrite=overwrite, holds=("run.json", "training.json")) as folder:
        write_files(run, folder)
        if run.snapshot is not None:
            (folder / CHECKPOINTS).mkdir()
            write_checkpoint(folder / CHECKPOINTS, int(run.snapshot[1]["step"]), run.snapshot)
    run.path = path.resolve()
    return run.path


def open_run(path: str | Path, device: str = "auto") -> Run:
    """Open a run folder: sizes, checksums, names and shapes are compared, and nothing in it is executed."""
    chosen = choose_device(device)
    folder = Path(path).expanduser().resolve()
    data = _read_json(folder / "run.json", _why_none(folder))
    contents = _read_files(folder, data)
    try:
        recipe, preparation = Recipe.from_json(data["recipe"]), Preparation.from_json(data["preparation"])
        problem = Problem.from_json(data["problem"])
        split = Split.from_json(json.loads(contents["split.json"]))
        history, record = json.loads(contents["history.json"]), dict(data["record"])
        if any(set(HISTORY) - set(row) for row in history) or not {"state", "seed", "seconds", "metrics", "metric", "samples", "fingerprint"} <= set(record):
            raise KeyError("record")
        weights = load(contents["weights.safetensors"])
        with torch.random.fork_rng(devices=[]):
            model = build(recipe, layouts_of(data["preparation"]), problem.outputs, problem.task, problem.classes, initial=False)
        fit_weights(model, weights)
        model.load_state_dict(weights)
        held = Held.from_tensors(load(contents[CALIBRATION]), record.get("calibration", {}), problem) if CALIBRATION in contents else None
    except (KeyError, TypeError, ValueError, AttributeError, SafetensorError, AstroFuseError) as error:
        raise RunError(f"{folder} does not hold a run that fits together ({error}). Restore it from a copy, or train again.") from error
    return Run(recipe, problem, preparation, model.to(chosen), split, history, record, folder, held=held)


def fit_weights(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Raise ValueError where names, shapes or types of weights are not the model's."""
    expected, growing = model.state_dict(), _growing(model)
    for name in sorted(set(expected) ^ set(weights)):
        raise ValueError(f"the weights {'lack' if name in expected else 'have an unknown'} {name!r}")
    for name, tensor in expected.items():
        ours, theirs = tensor.shape, weights[name].shape
        if name in growing and len(theirs) == len(ours) and theirs[0] <= MOST_ROWS:
            ours, theirs = ours[1:], theirs[1:]
        if ours != theirs or tensor.dtype != weights[name].dtype:
            raise ValueError(f"{name!r} is {tuple(weights[name].shape)} {weights[name].dtype}, the recipe makes it {tuple(tensor.shape)} {tensor.dtype}")
    lengths = {len(weights[name]) for name in growing}
    if len(lengths) > 1:
        raise ValueError(f"what the decision was fitted on has {' and '.join(map(str, sorted(lengths)))} rows")


def _growing(model: torch.nn.Module) -> set[str]:
    """Buffers that are as long as what a decision was fitted on; no other may differ from what the recipe makes."""
    return {f"{name}.{one}" for name, module in model.named_modules() if isinstance(module, Stacking) for one in module.grows}


def _why_none(folder: Path) -> str:
    if not folder.is_dir():
        return "there is no such folder"
    if (folder / CHECKPOINTS).is_dir() or (folder / "training.json").is_file():
        return "its training has not finished; the same af.train(..., out=...) goes on with it"
    return "it holds no run.json"


def _read_files(folder: Path, data: dict[str, Any]) -> dict[str, bytes]:
    contents = {}
    listed = data["files"] if isinstance(data.get("files"), dict) else {}
    for name in (*FILES, *((CALIBRATION,) if CALIBRATION in listed else ())):
        known = listed.get(name)
        file = folder / name
        if not isinstance(known, dict) or not file.is_file():
            raise RunError(f"{folder} lacks the file {name!r}. Restore it from a copy, or train again.")
        if file.stat().st_size != known.get("bytes"):
            raise RunError(f"{file} was altered since the run was saved ({file.stat().st_size} bytes, {known.get('bytes')} saved). Restore it from a copy.")
        contents[name] = file.read_bytes()
        if digest(contents[name]) != known.get("sha256"):
            raise RunError(f"{file} was altered since the run was saved (its checksum differs). Restore it from a copy.")
    return contents


def _read_json(file: Path, why: str) -> dict[str, Any]:
    if not file.is_file():
        raise RunError(f"{file.parent} is no run folder: {why}. run.save(path) writes one.")
    if file.stat().st_size > LARGEST_JSON:
        raise RunError(f"{file} has {file.stat().st_size} bytes, more than any run needs. It is damaged or hostile.")
    try:
        data = json.loads(file.read_text())
        if data["format"] != FORMAT:
            raise KeyError("format")
        version = int(data["version"])
    except UnicodeDecodeError as error:  # its repr holds the whole file
        raise RunError(f"{file} is damaged (no UTF-8 at byte {error.start}). Restore it from a copy, or train again.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{file} is damaged ({error!r}). Restore it from a copy, or train again.") from error
    if version > VERSION:
        raise RunError(f"{file.parent} was written by a later version (format {version}, this one reads {VERSION}). Update astrofuse-lab.")
    if data.pop("sha256", None) != _own_digest(data):
        raise RunError(f"{file} was altered since the run was saved (its checksum differs). Restore it from a copy.")
    return dict(data)


def _own_digest(data: dict[str, Any]) -> str:
    """sha256 of the rest of run.json, whatever its spacing."""
    return digest(json.dumps(data, sort_keys=True).encode())


def _json(data: Any) -> bytes:
    return json.dumps(data, allow_nan=False).encode()
