"""Files and folders written all or nothing."""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astrofuse_lab.errors import StorageError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about a full or read-only disk into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageError(f"the disk that holds {path} is full; nothing there was changed. Free space or give another folder.") from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise StorageError(f"{path} cannot be written ({error.strerror}); nothing there was changed. Give a folder you may write to.") from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise StorageError(f"{path} cannot be made a folder or file ({error.strerror}). Give another path.") from error
        raise


@contextmanager
def new_folder(path: Path, overwrite: bool = False, holds: tuple[str, ...] = ()) -> Iterator[Path]:
    """A folder to fill; it takes its final name only when the block ends without error.

    Parameters
    ----------
    path : path
    overwrite : bool
        Replace what is there.
    holds : tuple of str
        Files of which such folders hold one: a folder without any is somebody's own and is not replaced unless empty.

    Raises
    ------
    StorageError
        If the place is taken, full or read-only; nothing there was changed.
    """
    path = Path(path)
    with storage_errors(path):  # where the folder above may not be entered, even looking fails
        if path.exists() and not overwrite:
            raise StorageError(f"{path} already exists. Pass overwrite=True to replace it, or give another path.")
        ours = not holds or any((path / name).is_file() for name in holds) or (path.is_dir() and not any(path.iterdir()))
        if path.exists() and not ours:
            raise StorageError(f"{path} holds no {holds[0]}: it is something else and is not replaced. Give another path, or remove it yourself.")
    partial = path.with_name(f".{path.name}.partial-{uuid.uuid4().hex[:8]}")
    with storage_errors(path):
        try:
            partial.mkdir(parents=True)
            yield partial
            old = path.with_name(f".{path.name}.old-{uuid.uuid4().hex[:8]}")
            if path.exists():
                os.replace(path, old)
            os.replace(partial, path)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> os.stat_result:
    """Write one file, all or nothing, on the disk before the name changes; its size and date."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with storage_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                written = os.fstat(file.fileno())
            os.replace(partial, path)
            return written
        finally:
            partial.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write JSON, all or nothing; NaN is refused, since JSON has none."""
    write_bytes(path, (json.dumps(data, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path, largest: int) -> Any:
    """JSON of a file that may be a stranger's.

    Raises
    ------
    OSError, ValueError, RecursionError
        If it cannot be read, has more than `largest` bytes, or is no JSON: the caller knows what to say of it.
    """
    if path.stat().st_size > largest:
        raise ValueError(f"it has more than {largest // 1024**2} MB")
    return json.loads(path.read_text(encoding="utf-8"))


def file_digest(path: Path) -> str:
    """sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_root() -> Path:
    """Where fetched answers and built sample sets are kept: ``ASTROFUSE_CACHE``, else the user's cache folder."""
    given = os.environ.get("ASTROFUSE_CACHE")
    if given:
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrofuse-lab"
