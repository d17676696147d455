"""The notes that SIMBAD keeps on objects, by its script interface: they are not in its TAP.

Source: https://simbad.cds.unistra.fr/guide/sim-fscript.htx: ``sim-script`` with ``script=``; ``output console=off script=off``, ``format object "..."`` with ``%NOTELIST``,
``echodata`` (a line of our own in the data), ``query id``; the answer is text in sections ``::data:::...``, ``::error:::...``. An object that the script does not find
is named in the section of errors, and has no notes here.
"""

import re
from collections.abc import Mapping

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import messages

MARK = "astrofuse object"
MARKED = re.compile(rf"^{MARK} (-?\d+)\s*$", re.MULTILINE)
SECTION = re.compile(r"^::(\w+):{3,}\s*$", re.MULTILINE)


def address(tap: str) -> str:
    """Of the script interface beside the TAP service."""
    return tap.removesuffix("/sim-tap") + "/sim-script"


def script(objects: Mapping[int, str]) -> str:
    """What to run for the notes of these objects: number in SIMBAD to main identifier."""
    lines = ["output console=off script=off", 'format object "%NOTELIST"']
    for number, name in objects.items():
        plain = " ".join(name.split())
        if plain.isprintable() and len(plain) < 200:
            lines += [f"echodata {MARK} {int(number)}", f"query id {plain}"]
    return "\n".join([*lines, f"echodata {MARK} -1"]) + "\n"


def notes_of(content: bytes, survey: str, target: str | None = None) -> dict[int, str]:
    """Notes by object number, for those that have some.

    Raises
    ------
    ArchiveError
        For an answer that does not go on to the last line that the script asked for.
    """
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    parts = SECTION.split(text)
    data = "\n".join(body for name, body in zip(parts[1::2], parts[2::2], strict=True) if name == "data") if len(parts) > 1 else text
    pieces = MARKED.split(data)
    if len(pieces) < 3 or int(pieces[-2]) != -1:
        raise ArchiveError(survey, "the answer is no complete list of notes", target, unreadable=True)
    found = {int(number): messages.bounded(body) for number, body in zip(pieces[1::2], pieces[2::2], strict=True)}
    return {number: note for number, note in found.items() if note and number != -1}
