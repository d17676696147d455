"""Words that say the answer, taken out of texts: the classes of a target, what else the field calls them, and their plurals. Pure.

What still predicts the label after that is for the audit (`samples.leakage`): a telescope's name can tell, too.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from astrofuse_lab.alignment.text_cleaning import check, plain_blanks
from astrofuse_lab.errors import InputError

FAMILIES: tuple[tuple[str, ...], ...] = (
    ("SN", "SNe", "supernova", "supernovae", "hypernova", "core-collapse", "thermonuclear", "type Ia", "type Ib", "type Ic", "type Ibc", "type II", "type IIn", "type IIb", "type IIP"),
    ("SNIa", "SN Ia", "Ia", "type Ia", "thermonuclear", "supernova Ia", "Ia-91bg", "Ia-91T", "Iax"),
    ("SNII", "SN II", "type II", "II-P", "IIP", "II-L", "IIL", "core-collapse", "supernova II", "type IIP"),
    ("SNIIn", "SN IIn", "IIn", "type IIn"),
    ("SNIb", "SNIbc", "SN Ib", "SN Ic", "SN Ibc", "Ib", "Ic", "Ibc", "Ib/c", "Ic-BL", "type Ib", "type Ic", "stripped-envelope"),
    ("SLSN", "superluminous supernova", "superluminous", "SLSN-I", "SLSN-II"),
    ("TDE", "tidal disruption event", "tidal disruption", "tidally disrupted"),
    ("AGN", "active galactic nucleus", "active galactic nuclei", "active nucleus", "quasar", "QSO", "Seyfert", "blazar", "BL Lac", "BL Lacertae", "LINER"),
    ("QSO", "quasar", "quasi-stellar object"), ("blazar", "BL Lac", "BL Lacertae", "BLLac", "FSRQ"),
    ("CV", "cataclysmic variable", "cataclysmic", "dwarf nova", "dwarf novae", "nova", "novae", "polar", "symbiotic", "AM CVn", "SU UMa", "WZ Sge", "U Gem"),
    ("nova", "novae", "classical nova"), ("kilonova", "kilonovae", "KN", "macronova"),
    ("SSO", "solar system object", "asteroid", "minor planet", "comet", "near-earth object", "NEO", "main-belt"), ("asteroid", "minor planet"),
    ("star", "stellar", "variable star", "YSO", "young stellar object", "Mira", "RR Lyrae", "Cepheid", "flare star", "eclipsing binary"),
    ("RRL", "RR Lyrae", "RRLyr", "RR Lyr", "RRab", "RRc", "RRd"), ("RRab", "RR Lyrae", "RR Lyr"), ("RRc", "RR Lyrae", "RR Lyr"),
    ("Cepheid", "CEP", "DCEP", "delta Cephei", "classical Cepheid"), ("DSCT", "delta Scuti", "d Sct"), ("EB", "eclipsing binary", "eclipsing binaries", "EA", "EW", "Algol"),
    ("LPV", "long-period variable", "Mira", "semiregular"), ("Mira",), ("YSO", "young stellar object", "T Tauri", "FU Ori"),
    ("galaxy", "galaxies", "host galaxy"), ("GRB", "gamma-ray burst", "gamma ray burst"), ("FRB", "fast radio burst"), ("pulsar", "PSR", "millisecond pulsar"),
    ("BNS", "binary neutron star", "neutron star merger"), ("BBH", "binary black hole", "black hole merger"), ("NSBH", "neutron star-black hole", "neutron star black hole"),
    ("planet", "exoplanet", "planet candidate", "hot Jupiter", "transiting planet"), ("bogus", "artefact", "artifact"), ("WD", "white dwarf", "white dwarfs"),
)  # fmt: skip
"""What the field calls the same thing: a class that is one of a family has the whole family stripped."""
SHORT = 3
"""Letters up to which capitals matter: CV is a class, and 'cv' is not."""


def key(name: str) -> str:
    """A class name without case, blanks and signs."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def label_words(classes: Iterable[str], synonyms: Iterable[str] = ()) -> tuple[str, ...]:
    """All words and phrases to strip for these classes: the classes, the families they belong to, and `synonyms`."""
    names = [str(one).strip() for one in classes]
    wanted = {key(name) for name in names}
    words = dict.fromkeys(name for name in [*names, *map(str, synonyms)] if re.search(r"[^\W_]", name))
    for family in FAMILIES:
        if any(key(one) in wanted for one in family):
            words.update(dict.fromkeys(family))
    return tuple(words)


@lru_cache(maxsize=64)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(_one(word) for word in sorted(set(words), key=lambda w: (-len(w), w))))


def _one(word: str) -> str:
    parts = [part for part in re.split(r"[\s_/-]+", word.strip()) if part]
    body = r"[\s_/-]{0,3}".join(re.escape(part) for part in parts)
    # SNIa is written SN Ia as well
    body = body if len(parts) > 1 else _split_abbreviation(word.strip()) or body
    plural = "(?:e?s)?" if len(parts[-1]) > 1 and parts[-1][-1].isalpha() else ""
    end = "(?![A-Za-z])" if word[-1].isalnum() else ""
    start = "(?<![A-Za-z0-9])" if word[0].isalnum() else ""
    exact = len(key(word)) <= SHORT and any(c.isupper() for c in word)
    return f"{start}(?:{body}){plural}{end}" if exact else f"{start}(?i:{body}{plural}){end}"


def _split_abbreviation(word: str) -> str:
    """``SN[\\s-]?Ia`` of SNIa: capitals, then a Roman numeral."""
    found = re.fullmatch(r"([A-Z]{2,3}?)(I{1,3}[a-zA-Z]{0,3})", word)
    return rf"{found[1]}[\s_-]?{found[2]}" if found else ""


def strip_labels(text: str, words: Iterable[str]) -> tuple[str, Counter[str]]:
    """A text without these words, and how often each of them stood there.

    Parameters
    ----------
    text : str
    words : iterable of str
        As of `label_words`: of all classes, never of the object's own alone, for then what is missing tells. Upper and lower
        case are one but in abbreviations of up to three letters; blanks, hyphens and underscores are one; plurals count. Of
        ``SN 2019abc`` the year and letters stay: see the step ``strip_objects``.

    Returns
    -------
    text : str
    counts : Counter
        By the word as it was written, in lower case.

    Raises
    ------
    InputError
        If there is no word.
    """
    check(text)
    chosen = tuple(words)
    if not chosen:
        raise InputError("strip_labels: no class is given. Type e.g. ('strip_labels', {'classes': ['SN', 'AGN']}).")
    pattern, counts = _pattern(chosen), Counter[str]()

    def gone(found: re.Match[str]) -> str:
        counts[" ".join(found[0].lower().split())] += 1
        return " "

    before, text = None, plain_blanks(text)
    while text != before:  # a word may come together where another was taken out
        before, text = text, plain_blanks(pattern.sub(gone, text))
    return text, counts

