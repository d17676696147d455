"""Files that a person gives: read up to a size, and blamed by name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from astrofuse_lab.errors import ArchiveError, TargetError
from astrofuse_lab.surveys import formats


def content_of(file: Any) -> tuple[str, bytes]:
    """What a path, bytes or a binary file is called, and what it holds unpacked (gzip, bzip2, xz).

    Raises
    ------
    TargetError
        If it cannot be read, or is larger than `formats.LARGEST`, packed or not.
    """
    if isinstance(file, bytes | bytearray | memoryview):
        name, content = "the file", bytes(file)
    elif hasattr(file, "read"):
        name, content = os.path.basename(str(getattr(file, "name", "the file"))), file.read(formats.LARGEST + 1)
        content = content.encode() if isinstance(content, str) else content
    else:
        try:
            name = os.path.basename(os.fspath(file))
            with open(file, "rb") as opened:
                content = opened.read(formats.LARGEST + 1)
        except TypeError:
            raise TargetError(f"{file!r} is no file: give a path, bytes or an open binary file.") from None
        except (OSError, ValueError) as error:
            raise TargetError(f"{str(file)[:200]!r} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(content) > formats.LARGEST:
        raise TargetError(f"{name} is larger than {formats.LARGEST // 1024**2} MB. Give a part of it.")
    with blaming(name):
        return name, formats.unpacked(content, name)


@contextmanager
def blaming(name: str) -> Iterator[None]:
    """What readers of archives' answers say, said of a file."""
    try:
        yield
    except ArchiveError as error:
        raise TargetError(str(error).replace("the answer", "the file").replace("the packed answer", "the packed file")) from error
    except UnicodeDecodeError as error:
        raise TargetError(f"{name}: neither a table nor text in UTF-8 ({error.reason} at byte {error.start}).") from None
    except TargetError as error:
        raise error if str(error).startswith(f"{name}:") else TargetError(f"{name}: {error}") from None
