"""Families of runs in one folder: a run each in a folder of its own, and a list of them that says what they are to each other.

Judges of pairs, networks that vote in layers, yes-or-no questions and committees are kept alike: ``family.json`` names the kind, the runs and what the kind
knows beside them; the runs are run folders (`astrofuse_lab.training.run_folder`), with weights as safetensors and a checksum each.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astrofuse_lab.errors import InputError, RunError
from astrofuse_lab.storage import new_folder, storage_errors, write_json
from astrofuse_lab.training.run import Run

FILE, FORMAT, VERSION = "family.json", "astrofuse-family", 1
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,127}")
"""What a run's folder may be called."""
Key = tuple[str, ...]


def folder_of(key: Key) -> str:
    """The name of a run's folder: the parts of its key with dashes between, and ``_`` for what no file name should hold.

    Examples
    --------
    >>> folder_of(("Hpoor", "Ic-BL")), folder_of(("", "Ia / 91bg"))
    ('Hpoor-Ic-BL', 'first-Ia___91bg')
    """
    name = "-".join(re.sub(r"[^A-Za-z0-9_.-]", "_", part) or "first" for part in key)[:128]
    return name if NAME.fullmatch(name) else f"run{name}"[:128]


def save_family(path: str | Path, kind: str, runs: Mapping[Key, Run], about: Mapping[str, Any], overwrite: bool = False) -> Path:
    """Write a family, all of it or nothing.

    Parameters
    ----------
    path : path
        Of a folder that is new, or that holds a family and may be replaced. Where all runs were trained into it (``out=``), only the list is written.
    kind : str
        E.g. "pairwise": `open_family` asks for the same.
    runs : mapping of tuple of str to Run
    about : mapping
        What the kind needs to be made again; JSON.
    overwrite : bool

    Raises
    ------
    InputError
        For two runs whose folders would have the same name.
    StorageError
        If the place is taken, full or read-only.
    """
    path = Path(path).expanduser()
    folders = {key: folder_of(key) for key in runs}
    lower = [name.lower() for name in folders.values()]  # some disks do not tell capitals apart
    twice = [key for key, name in folders.items() if lower.count(name.lower()) > 1]
    if twice:
        raise InputError(f"the runs of {' and '.join(' '.join(key) for key in twice[:2])} would share the folder {folders[twice[0]]!r}. Rename one of them.")
    data = {
        "format": FORMAT, "version": VERSION, "kind": kind, "about": dict(about), "runs": [{"of": list(key), "folder": name} for key, name in folders.items()],
    }  # fmt: skip
    if path.is_dir() and all(run.path == (path / folders[key]).resolve() for key, run in runs.items()) and (overwrite or not (path / FILE).exists()):
        write_json(path / FILE, data)
        return path.resolve()
    before = {key: run.path for key, run in runs.items()}
    try:
        with new_folder(path, overwrite=overwrite, holds=(FILE,)) as folder:
            for key, run in runs.items():
                run.save(folder / folders[key])
            write_json(folder / FILE, data)
        before = {key: (path / folders[key]).resolve() for key in runs}
    finally:
        for key, run in runs.items():  # nobody knows the folder's name while it is filled
            run.path = before[key]
    return path.resolve()


def open_family(path: str | Path, kind: str, device: str = "auto") -> tuple[dict[Key, Run], dict[str, Any]]:
    """The runs of a family and what is known beside them.

    Raises
    ------
    RunError
        Where there is none, one of another kind, a damaged list, or a run lacks.
    """
    path = Path(path).expanduser()
    try:
        with storage_errors(path):
            data = json.loads((path / FILE).read_text(encoding="utf-8"))
        if data["format"] != FORMAT or data["version"] != VERSION:
            raise ValueError(f"format {str(data['format'])[:40]!r}, version {data['version']!r}")
        found, about = str(data["kind"]), dict(data["about"])
        listed = [(tuple(map(str, row["of"])), str(row["folder"])) for row in data["runs"]]
    except FileNotFoundError:
        raise RunError(f"{path} holds no {FILE}: no family of runs was saved there.") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{path / FILE} is damaged ({str(error)[:100]}). Save the runs again.") from None
    if found != kind:
        raise RunError(f"{path} holds a family of the kind {found[:40]!r}, not {kind!r}. Open it with the class that saved it.")
    strange = [name for _, name in listed if not NAME.fullmatch(name)]
    if strange:
        raise RunError(f"{path / FILE} names a folder {strange[0][:80]!r}, which can be none of its own. Save the runs again.")
    return {key: Run.open(path / name, device) for key, name in listed}, about


def damaged(path: str | Path, error: Exception) -> RunError:
    """What to raise where runs and what is known beside them do not fit together."""
    return RunError(f"{Path(path) / FILE} does not fit its runs ({str(error)[:200]}). Save them again.")
