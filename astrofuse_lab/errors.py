"""Every error that AstroFuse Lab raises on purpose.

::

    AstroFuseError
    ├── InputError            the caller's argument cannot be used (also a ValueError)
    │   ├── UnknownNameError  a survey, sample set, recipe, part ... that does not exist (also a KeyError)
    │   └── TargetError       a position, name or row that is no target
    ├── ArchiveError          an archive failed or sent something unreadable; names survey and target
    ├── AlignmentError        fetched products cannot be brought to one grid; names object and field
    ├── SampleSetError        a sample set folder is missing, altered or of another schema
    ├── RunError              a run folder is missing, altered or does not fit the samples
    ├── TrainingError         training cannot start or go on
    ├── StorageError          the disk is full or read-only
    └── MissingExtraError     an optional package is needed (also an ImportError)

Each message says what happened, with which values, and what to type instead.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class AstroFuseError(Exception):
    """Base of all errors raised by AstroFuse Lab."""


class InputError(AstroFuseError, ValueError):
    """An argument cannot be used as it is."""


class UnknownNameError(InputError, KeyError):
    """A name that does not exist, with the nearest ones that do.

    Parameters
    ----------
    kind : str
        What was looked for, e.g. ``"survey"``.
    name : str
        The name given.
    known : iterable of str
        The names that exist.
    hint : str, optional
        What to type to see them all.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5) or [n for n in names if str(name) and str(name) in n][:3]
        if near:
            advice = "Did you mean " + " or ".join(repr(n) for n in near) + "?"
        else:
            advice = f"Known: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}."
        self.message = f"there is no {kind} {name!r}. {advice}" + (f" {hint}" if hint else "")
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would show the repr, with its quotes
        return self.message


class TargetError(InputError):
    """A position, name or table row that is no target."""


class ArchiveError(AstroFuseError):
    """An archive failed, or sent something that cannot be read.

    Parameters
    ----------
    survey : str
        Name of the survey, e.g. ``"gaia/table"``.
    message : str
        What happened, in the archive's own words where it has any.
    target : str, optional
        The target concerned, where one is.
    transient : bool, optional
        True where asking again may help: a timeout, a busy server. `fetch` does so by itself.
    retry_after : float, optional
        Seconds the archive asked to wait.
    unreadable : bool, optional
        True where an answer came but makes no sense: it may have been cut on the way, so that `fetch` asks once more.
    """

    def __init__(
        self, survey: str, message: str, target: str | None = None, *, transient: bool = False, retry_after: float | None = None, unreadable: bool = False
    ) -> None:
        self.survey = survey
        self.target = target
        self.transient = transient
        self.retry_after = retry_after
        self.unreadable = unreadable
        where = f"{survey}, target {target}" if target else survey
        # an archive's words may hold what a terminal obeys
        super().__init__(CONTROL.sub("\N{REPLACEMENT CHARACTER}", f"{where}: {message}"))


class AlignmentError(AstroFuseError):
    """A fetched product cannot be brought to the common grid."""


class SampleSetError(AstroFuseError):
    """A sample set folder is missing, altered or of another schema."""


class RunError(AstroFuseError):
    """A run folder is missing, altered or does not fit the samples."""


class TrainingError(AstroFuseError):
    """Training cannot start or cannot go on."""


class StorageError(AstroFuseError):
    """Nothing can be written: disk full, or folder read-only.

    Attributes
    ----------
    found : Found or None
        Raised by `fetch`: what was fetched until then, as usable as ever.
    """

    found: Any = None


class MissingExtraError(AstroFuseError, ImportError):
    """An optional package is needed for what was asked.

    Parameters
    ----------
    package : str
        The package that is not installed.
    purpose : str
        What it is needed for.
    """

    def __init__(self, package: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}. Install it with: pip install {package}")
