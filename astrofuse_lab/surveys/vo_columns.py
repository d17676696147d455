"""What the columns of somebody else's table mean: by UCD first, then by the names that are in use. Pure.

Source: UCD1+ controlled vocabulary 1.5 (https://www.ivoa.net/documents/UCD1+/); Simple Cone Search 1.03, section 2.2, for the older UCD1 words
(POS_EQ_RA_MAIN, ID_MAIN) that cone searches still send.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from astrofuse_lab.errors import InputError
from astrofuse_lab.targets import DEC_NAMES, RA_NAMES

if TYPE_CHECKING:
    from astropy.table import Table


class Described(NamedTuple):
    """One column as its service describes it; `number` says whether its values are numbers, `whole` whether they are whole ones."""

    name: str
    unit: str = ""
    ucd: str = ""
    number: bool = True
    whole: bool = False


def described(table: "Table") -> list[Described]:
    """The columns of a parsed VOTable."""
    return [
        Described(name, str(table[name].unit or ""), str(table[name].meta.get("ucd") or ""), table[name].dtype.kind in "iuf", table[name].dtype.kind in "iu")
        for name in table.colnames
        if table[name].ndim == 1
    ]  # fmt: skip


def role_of(column: Described) -> str:
    """``input`` only for what was measured: numbers that are no position, time, identifier, class or redshift."""
    ucd = column.ucd.lower()
    if re.match(r"meta\.id\b|id_", ucd):
        return "id"
    if "redshift" in ucd and not ucd.startswith("stat.error"):
        return "target"
    if ucd.startswith(("pos.", "pos_", "time", "src.class", "meta.", "meta_", "obs.", "instr.")) and not ucd.startswith(("pos.pm", "pos.parallax")):
        return "other"
    if not column.number or (column.whole and not ucd):
        return "other"
    return "other" if column.name.lower() in (*RA_NAMES, *DEC_NAMES) or column.name.lower().endswith("id") else "input"


def positions(columns: Sequence[Described]) -> tuple[str, str] | None:
    """The columns of right ascension and declination."""
    found = []
    for words, names in ((("pos.eq.ra", "pos_eq_ra"), RA_NAMES), (("pos.eq.dec", "pos_eq_dec"), DEC_NAMES)):
        best = by_ucd(columns, words, "main") or by_ucd(columns, words) or by_name(columns, names)
        if best is None:
            return None
        found.append(best.name)
    return found[0], found[1]


def by_ucd(columns: Iterable[Described], words: Sequence[str], also: str = "", without: Sequence[str] = ("stat.error", "stat.", "arith.")) -> Described | None:
    """The first column whose UCD begins with one of these words."""
    for word in words:
        for column in columns:
            ucd = column.ucd.lower()
            if ucd.startswith(word) and also in ucd and not any(w in ucd for w in without):
                return column
    return None


def by_name(columns: Iterable[Described], names: Sequence[str]) -> Described | None:
    """The first column with one of these names, whatever the case."""
    lower = {column.name.lower(): column for column in columns}
    return next((lower[name] for name in names if name in lower), None)


def angle_of(unit: str) -> str:
    """``deg``, ``hourangle`` or ``rad`` from what a service writes."""
    unit = unit.strip().lower()
    if unit in ("h", "hour", "hours", "hourangle", "hr"):
        return "hourangle"
    return "rad" if unit.startswith("rad") else "deg"


Wanted = Mapping[str, "str | tuple[str, str]"]


def wanted(columns: "Wanted | Sequence[str] | None") -> dict[str, tuple[str, str]]:
    """Our name to (their column, unit; empty: as they say). None: all of theirs, an empty mapping."""
    if columns is None:
        return {}
    if isinstance(columns, str) or not isinstance(columns, Mapping | Sequence):
        raise InputError(f"columns={columns!r}. Give a list of the service's columns, or a mapping of your names to them: columns={{'g': 'gmag', 'flux': ('f_ks', 'mJy')}}.")
    pairs = columns.items() if isinstance(columns, Mapping) else ((c, c) for c in columns)
    made = {}
    for ours, theirs in pairs:
        pair = (theirs, "") if isinstance(theirs, str) else tuple(theirs) if isinstance(theirs, Sequence) else ()
        if not (isinstance(ours, str) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise InputError(f"columns: {ours!r} is {theirs!r}. Give the service's column, or a pair of column and unit: ('f_ks', 'mJy').")
        made[ours] = (pair[0], pair[1])
    return made
