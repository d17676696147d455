"""Positions as people write them: degrees, sexagesimal with colons, letters or blanks, designations, other frames. Pure; numpy alone.

Designations follow the IAU's rules (https://cds.unistra.fr/Dic/iau-spec.html): ``J`` and truncated coordinates of equinox J2000.
"""

import re
from typing import NamedTuple

FRAMES = {
    # word: astropy's name of the frame
    "icrs": "icrs", "j2000": "icrs", "j2000.0": "icrs", "fk5": "fk5", "fk4": "fk4", "b1950": "fk4", "b1950.0": "fk4",
    "galactic": "galactic", "gal": "galactic", "ecliptic": "barycentrictrueecliptic", "ecl": "barycentrictrueecliptic",
    "supergalactic": "supergalactic",
}  # fmt: skip
EQUATORIAL = ("icrs", "fk5", "fk4")
FINE = 2.0
"""arcsec: a designation with a catalogue's name that is at least so precise is taken as a position; else the name is resolved."""

SIGNS = str.maketrans({
    "\u2212": "-", "\u2013": "-", "\u2012": "-", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "º": "°",
    "’": "'", "′": "'", "‘": "'", "”": '"', "″": '"', "“": '"', "ʰ": "h", "ᵐ": "m", "ˢ": "s", "ᵈ": "d", "\ufeff": " ",
})  # fmt: skip
REAL = r"(?:\d+(?:\.\d*)?|\.\d+)"
PARTS = rf"(?:\s*({REAL})\s*[m'])?(?:\s*({REAL})\s*(?:s|\"|''))?"
LETTERS = re.compile(rf"([+-]?)\s*(\d+)\s*(h|d|°){PARTS}")
COLONS = re.compile(rf"([+-]?)(\d{{1,3}}):(\d{{1,2}}(?:\.\d*)?)(?::({REAL}))?")
DECIMAL = re.compile(rf"([+-]?{REAL}(?:[eE][+-]?\d{{1,3}})?)(?:\s*(?:°|deg|d)(?![\d.]))?")
BLANKS = re.compile(rf"(\d{{1,3}})\s+(\d{{1,2}})\s+({REAL})\s*,?\s*([+-]?)(\d{{1,2}})\s+(\d{{1,2}})\s+({REAL})")
SHORT = re.compile(r"(\d\d)\s+(\d\d(?:\.\d*)?)\s*,?\s*([+-])(\d\d)\s+(\d\d(?:\.\d*)?)")
OLD_DECIMALS = re.compile(r"(?<=\d)([hms])\.(\d+)")
BETWEEN = re.compile(r"\s*,\s*|\s+|(?=[+-])")
LABELS = re.compile(r"(?<![^\s,(])(ra|dec|decl|alpha|delta|lon|lat|l|b)\s*[=:]\s*", re.IGNORECASE)
GALACTIC_LABELS = re.compile(r"(?<![^\s,(])[lb]\s*=", re.IGNORECASE)
DESIGNATION = re.compile(r"(?P<before>.*?)J(?P<ra>\d{4,9}(?:\.\d+)?)(?P<dec>[+-]\d{2,8}(?:\.\d+)?)")
NO_NAME = re.compile(r"(?:\b(?i:nan|inf|null|none|deg)\b|(?<=[\d.])[hmsdeE]|[-+\d\s.,:;|()\[\]°'\"])*")
_WORDS = "|".join(re.escape(word) for word in sorted(FRAMES, key=len, reverse=True))
FRAME_FIRST = re.compile(rf"({_WORDS})(?:\s*[:,]\s*|\s+)(?=[\d+.lb(-])", re.IGNORECASE)
FRAME_LAST = re.compile(rf"(?<=[\dsm\"'°d)])(?:\s*,\s*|\s+)\(?({_WORDS})\)?$", re.IGNORECASE)


class Entry(NamedTuple):
    """What a line says: a name, a position, or both.

    Attributes
    ----------
    name : str
        Empty where only a position is given.
    place : tuple of float, optional
        Longitude and latitude in `frame`, deg.
    frame : str
        astropy's name.
    remark : str
        What a reader should know of how the line was understood.
    """

    name: str
    place: tuple[float, float] | None = None
    frame: str = "icrs"
    remark: str = ""


def entry(line: str, frame: str = "icrs") -> Entry | None:
    """What a line says; None for an empty line or a comment (after ``#``).

    Parameters
    ----------
    line : str
        A name (in quotes where it could be taken for something else), a position, or a name before or after a position.
    frame : str
        Frame of positions that do not say theirs.

    Raises
    ------
    ValueError
        For what can only be a position, and is none.
    """
    text = OLD_DECIMALS.sub(r".\2\1", line.translate(SIGNS).split("#")[0]).strip(" \t\r\n,;|")
    if not text:
        return None
    if len(text) > 1 and text[0] == text[-1] == '"' and text.count('"') == 2:
        return Entry(" ".join(text[1:-1].split()))
    said = designation(text)
    if said is not None:
        return said
    fields = [" ".join(part.split()) for part in re.split(r"[,;\t|]", text)]
    for name, rest in _splits(fields):
        try:
            found = pair(rest, frame)
        except ValueError:
            if name or not NO_NAME.fullmatch(rest):
                continue
            raise
        if found is None:
            continue
        lon, lat, own = found
        bare = name and len(fields) == 1 and re.fullmatch(r"\d+ \d+", rest)
        remark = f"read as the object {name!r} at RA {lon:g}, Dec {lat:g} deg; for an object of that name put it in quotes" if bare else ""
        return Entry(name, (lon, lat), own, remark)
    if NO_NAME.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no position: two numbers in degrees, or hours and degrees such as 10:00:24 +02:12:00")
    return Entry(" ".join(text.split()))


def _splits(fields: list[str]) -> list[tuple[str, str]]:
    """Ways to part a line into a name and the rest, the likeliest first."""
    words = ", ".join(fields).split()
    # one word is enough for 10h00m24s+02d12m00s
    ways = [(" ".join(words[:k]), " ".join(words[k:])) for k in range(1, len(words))] + [(" ".join(words[-k:]), " ".join(words[:-k])) for k in range(1, len(words))]
    if len(fields) > 1:
        ways = [(fields[0], ", ".join(fields[1:])), (fields[-1], ", ".join(fields[:-1])), *((name.rstrip(", "), rest.rstrip(", ")) for name, rest in ways)]
    named = [(name.strip("\"'") or name, rest) for name, rest in ways if re.search(r"[^\W\d_]", name) and not NO_NAME.fullmatch(name)]
    return [("", ", ".join(fields)), *named]


def pair(text: str, frame: str = "icrs") -> tuple[float, float, str] | None:
    """Longitude and latitude (deg) and their frame; None for what is not two angles.

    Raises
    ------
    ValueError
        For two angles that are not on the sky, or minutes and seconds of 60 and more.
    """
    text = text.strip().strip("()[]").strip()
    for pattern in (FRAME_FIRST, FRAME_LAST):
        word = pattern.match(text) if pattern is FRAME_FIRST else pattern.search(text)
        if word:
            frame, text = FRAMES[word[1].lower()], (text[: word.start()] + text[word.end() :]).strip().strip("()[]")
    if GALACTIC_LABELS.search(text):
        frame = "galactic"
    text = LABELS.sub("", text).strip()
    hours = frame in EQUATORIAL
    blanks, short = BLANKS.fullmatch(text), SHORT.fullmatch(text)
    if blanks:
        lon, lat = _sum(15.0 if hours else 1.0, "", *blanks.groups()[:3]), _sum(1.0, *blanks.groups()[3:])
    elif short:
        lon, lat = _sum(15.0 if hours else 1.0, "", *short.groups()[:2]), _sum(1.0, *short.groups()[2:])
    else:
        two = _two(text, hours)
        if two is None:
            return None
        lon, lat = two
    if not (0 <= lon <= 360 and -90 <= lat <= 90):
        first, second = ("RA", "Dec") if hours else ("longitude", "latitude")
        raise ValueError(f"{first} {lon:g}, {second} {lat:g} deg is not on the sky")
    return lon, lat, frame


def _two(text: str, hours: bool) -> tuple[float, float] | None:
    for pattern in (LETTERS, COLONS, DECIMAL):
        one = pattern.match(text)
        if one is None:
            continue
        gap = BETWEEN.match(text, one.end())
        # 0218+35 is half a name, not two numbers; and a right ascension has no plus sign, though BD +20 45 has
        if gap is None or (pattern is DECIMAL and (not gap[0] or text.startswith("+"))):
            continue
        rest = text[gap.end() :]
        for second in (LETTERS, COLONS, DECIMAL):
            other = second.fullmatch(rest)
            if other and not (second is LETTERS and other[3] == "h"):
                return _value(one, pattern, hours), _value(other, second, False)
    return None


def angle(text: str, hours: bool) -> float:
    """One angle in deg; `hours` says that a sexagesimal one without letters is in hours.

    Raises
    ------
    ValueError
        If it is no angle.
    """
    text = text.translate(SIGNS).strip()
    for pattern in (LETTERS, COLONS, DECIMAL):
        found = pattern.fullmatch(text)
        if found:
            return _value(found, pattern, hours)
    blanks = re.fullmatch(rf"([+-]?)(\d{{1,3}})\s+(\d{{1,2}})(?:\s+({REAL}))?", text)
    if blanks:
        return _sum(15.0 if hours else 1.0, *blanks.groups())
    raise ValueError(f"{text[:40]!r} is no angle")


def _value(found: re.Match[str], pattern: re.Pattern[str], hours: bool) -> float:
    if pattern is DECIMAL:
        return float(found[1])
    if pattern is COLONS:
        return _sum(15.0 if hours else 1.0, *found.groups())
    return _sum(15.0 if found[3] == "h" else 1.0, found[1], found[2], found[4], found[5])


def _sum(factor: float, sign: str, whole: str, minutes: str | None = None, seconds: str | None = None) -> float:
    m, s = float(minutes or 0), float(seconds or 0)
    if m >= 60 or s >= 60 or float(whole) * factor > 360:
        raise ValueError(f"{sign}{whole}:{minutes or 0}:{seconds or 0} is no angle in {'hours' if factor == 15 else 'degrees'}, minutes and seconds")
    return (-1 if sign == "-" else 1) * factor * (float(whole) + m / 60 + s / 3600)


def designation(text: str) -> Entry | None:
    """A name made of a position, such as ``SDSS J123456.78+123456.7``; None for any other, or for one too coarse to stand for its object."""
    found = DESIGNATION.fullmatch(text)
    if not found or (found["before"] and found["before"][-1].islower()):
        return None
    parts = [_digits(found["ra"], 15.0), _digits(found["dec"][1:], 1.0)]
    if parts[0] is None or parts[1] is None or parts[0][0] >= 360 or parts[1][0] > 90:
        return None
    (ra, ra_step), (dec, dec_step) = parts  # type: ignore[misc]
    step = max(ra_step, dec_step)
    if found["before"].strip() and step > FINE:
        return None
    remark = f"the designation gives the position to {step:g} arcsec only" if step > FINE else ""
    return Entry(" ".join(text.split()), (ra, -dec if found["dec"][0] == "-" else dec), "icrs", remark)


def _digits(text: str, factor: float) -> tuple[float, float] | None:
    """Degrees, and the last digit's worth in arcsec, of hhmm, hhmmss.s, ddmm and so on; decimal points may be left out."""
    whole, _, decimals = text.partition(".")
    if not decimals and (len(whole) > 6 or len(whole) == 5):  # hhmmt, hhmmsstt
        whole, decimals = whole[: 4 if len(whole) == 5 else 6], whole[4 if len(whole) == 5 else 6 :]
    if len(whole) not in ((4, 6) if factor == 15 else (2, 4, 6)):
        return None
    last = float(whole[-2:] + "." + decimals) if decimals else float(whole[-2:])
    units = [float(whole[i : i + 2]) for i in range(0, len(whole) - 2, 2)] + [last]
    if any(value >= 60 for value in units[1:]):
        return None
    value = sum(unit / 60**power for power, unit in enumerate(units))
    return factor * value, factor * 3600 / 60 ** (len(units) - 1) * 10.0 ** -len(decimals)
