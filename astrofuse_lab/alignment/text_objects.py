"""Objects and positions that a text names: designations by the patterns of the field, coordinates in degrees or sexagesimal. Pure.

Patterns follow the IAU's rules for designations (https://cds.unistra.fr/Dic/iau-spec.html), the TNS for SN and AT names, the GCN for
bursts, events of gravitational waves and neutrinos, and the surveys' own for theirs. Each is bounded, so that time is linear.
"""

import re
from typing import NamedTuple

from astrofuse_lab.alignment.text_cleaning import SAME, check, plain_blanks
from astrofuse_lab.notation import angle, designation

NAMES: tuple[tuple[str, str], ...] = (
    ("transient", r"(?:SN|AT|TDE|CV|KN)[ _-]?(?:19|20)\d{2}(?:[a-z]{2,5}|[A-Z])(?![A-Za-z0-9])"),
    ("burst", r"GRB[ _]?\d{6}[A-Z]?(?:\.\d{1,3})?"), ("burst", r"(?:XRF|XRT|EP|EPW)[ _]?\d{6}[A-Za-z]?"),
    ("radio burst", r"FRB[ _]?(?:\d{8}|\d{6})[A-Z]{0,2}"),
    ("gravitational wave", r"GW\d{6}(?:_\d{6})?"), ("gravitational wave", r"[MT]?S\d{6}[a-z]{1,3}(?![A-Za-z0-9])"),
    ("neutrino", r"(?:IceCube-?|IC-?)\d{6}[A-Z]"),
    ("transient", r"ZTF\d{2}[a-z]{7}"), ("transient", r"ATLAS\d{2}[a-z]{3,4}"), ("transient", r"Gaia\d{2}[a-z]{3}"), ("transient", r"ASASSN-\d{2}[a-z]{2,3}"),
    ("transient", r"PS\d{2}[a-z]{1,4}"), ("transient", r"(?:i?PTF)\d{2}[a-z]{1,4}"), ("transient", r"DES\d{2}[A-Z]\d[a-z]{1,4}"),
    ("designation", r"(?:(?:[1-9]?[A-Z][A-Za-z0-9+]{1,11}|MASTER OT|CRTS|Swift|Fermi|XMM|WISEA?|PSR|SDSS|[1-9]?RXS|[1-9]MASS)[ -]?)?J\d{4,9}(?:\.\d{1,4})?[+-]\d{2,8}(?:\.\d{1,3})?"),
    ("source", r"Gaia (?:E?DR[123]) \d{10,19}"), ("source", r"(?:TIC|KIC|EPIC) ?\d{5,10}"), ("source", r"(?:TOI|KOI|K2|Kepler|WASP|HAT-P|HATS|TrES)-\d{1,6}(?:\.\d{2}| ?[b-h])?"),
    ("source", r"(?:NGC|UGCA?|PGC|ESO|IC|MCG|LEDA|Mrk|Mkn|Arp|Abell|HD|HIP|HR|SAO|LHS|GJ|Gliese|VV|HE|PKS|3C|4C) ?\d{1,6}(?:[+-]\d{2,4})?[A-Z]?(?![A-Za-z0-9])"),
    ("source", r"(?:M|Messier) ?(?:10\d|110|[1-9]\d?)(?![\d.]|[ -]?(?:V|I|dwarf|giant|mag|solar|sun)|[A-Za-z])"),
    ("solar system", r"\(?\d{1,6}\)? (?:19|20)\d{2} [A-HJ-Y][A-HJ-Z]\d{0,3}"), ("solar system", r"[CPA]/(?:19|20)\d{2} [A-HJ-Y]\d{1,2}"),
)  # fmt: skip
NAME = re.compile(r"(?<![A-Za-z0-9])(?:" + "|".join(f"(?P<k{i}>{pattern})" for i, (_, pattern) in enumerate(NAMES)) + r")(?![A-Za-z0-9])")
AMONG = r"(?:[ ,;]{0,3}(?:and )?(?:[Dd]ecl?\.?|DECL?\.?|δ)? ?(?:\((?:J2000(?:\.0)?|deg|d)\))? ?[=:]? ?)"
SEXAGESIMAL = re.compile(
    r"(?<![\d.:+-])(?P<ra>\d{1,2}(?:h ?|:| )\d{1,2}(?:m ?|:| )\d{1,2}(?:\.\d{1,6})?s?)" + AMONG
    + r"(?P<dec>[+-] ?\d{1,2}(?:[d°] ?|:| )\d{1,2}(?:['m] ?|:| )\d{1,2}(?:\.\d{1,6})?(?:\"|''|s)?)(?![\d:])"
)  # fmt: skip
DECIMAL = re.compile(
    r"\b(?:R\.?A\.?|ra|α) ?(?:\((?:J2000(?:\.0)?|deg)\))? ?[=:]? ?(?P<ra>\d{1,3}(?:\.\d{1,10})) ?(?:deg\b|d\b|°)?"
    r"[ ,;]{1,3}(?:and )?(?:[Dd]ecl?\.?|DECL?\.?|δ) ?(?:\((?:J2000(?:\.0)?|deg)\))? ?[=:]? ?(?P<dec>[+-]?\d{1,2}(?:\.\d{1,10}))(?![\d:])"
)


class Mention(NamedTuple):
    """Something a text names.

    Attributes
    ----------
    text : str
        As written.
    kind : str
        ``position``, or one of the kinds of `NAMES`.
    name : str
        In one way of writing; empty for a position.
    ra, dec : float or None
        ICRS, deg: of a position, or of a designation that is precise enough to stand for its object.
    start, end : int
        Where it stands.
    """

    text: str
    kind: str
    name: str
    ra: float | None
    dec: float | None
    start: int
    end: int


def find(text: str) -> list[Mention]:
    """Objects and positions in a text, in its order; where two overlap, the longer.

    Raises
    ------
    AlignmentError
        For more than two million characters.
    """
    check(text)
    # one character for one, so that places stay
    plain = "".join(c if len(c.translate(SAME)) != 1 else c.translate(SAME) for c in text).replace("\n", " ").replace("\t", " ")
    found: list[Mention] = []
    for pattern in (SEXAGESIMAL, DECIMAL):
        found += [one for m in pattern.finditer(plain) if (one := _position(m, text, pattern is SEXAGESIMAL)) is not None]
    for m in NAME.finditer(plain):
        kind = NAMES[int(str(m.lastgroup)[1:])][0]
        entry = designation(" ".join(m[0].split())) if kind == "designation" else None
        ra, dec = entry.place if entry is not None and entry.place is not None else (None, None)
        found.append(Mention(text[m.start() : m.end()], kind, spelt(m[0]), ra, dec, *m.span()))
    kept: list[Mention] = []
    for one in sorted(found, key=lambda m: (m.start, -m.end)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
        elif one.end - one.start > kept[-1].end - kept[-1].start:
            kept[-1] = one
    return kept


def _position(m: re.Match[str], text: str, hours: bool) -> Mention | None:
    try:
        ra, dec = angle(m["ra"].strip(), hours), angle(m["dec"].replace("+ ", "+").replace("- ", "-").strip(), False)
    except ValueError:
        return None
    return Mention(text[m.start() : m.end()], "position", "", ra, dec, *m.span()) if 0 <= ra < 360 and -90 <= dec <= 90 else None


def spelt(name: str) -> str:
    """A designation in one way of writing: ``SN2019abc`` and ``SN 2019abc`` are one."""
    name = " ".join(name.replace("_", " ").split()) if not name.startswith("GW") else name
    found = re.fullmatch(r"(SN|AT|TDE|CV|KN|GRB|FRB|NGC|IC|UGC|HD|HIP|TIC|KIC|EPIC|M|Messier)[ -]?(\d.*)", name)
    return f"{'M' if found[1] == 'Messier' else found[1]} {found[2]}" if found else name


def key(name: str) -> str:
    """What two ways of naming an object share: letters and digits; of SN, AT and TDE names the year and letters."""
    plain = re.sub(r"[^a-z0-9+.-]", "", spelt(name).lower())
    found = re.fullmatch(r"(?:sn|at|tde|cv|kn)((?:19|20)\d\d[a-z]{1,5})", plain)
    return found[1] if found else plain


def strip(text: str) -> tuple[str, int]:
    """A text without the objects and positions it names, and how many there were."""
    found = find(text)
    parts, at = [], 0
    for one in found:
        parts.append(text[at : one.start])
        at = one.end
    return plain_blanks(" ".join([*parts, text[at:]])), len(found)
