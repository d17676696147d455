"""Lines of spectra by name: what views mark, and what an explanation masks."""

import re

from astrofuse_lab.errors import UnknownNameError

# vacuum wavelengths, angstrom: SDSS DR16 line list (https://classic.sdss.org/dr6/algorithms/linestable.php), from NIST
LINES: tuple[tuple[str, float], ...] = (
    ("Lyα", 1215.67), ("C IV", 1549.48), ("C III]", 1908.73), ("Mg II", 2799.12), ("[O II]", 3728.48), ("Ca K", 3934.78), ("Ca H", 3969.59),
    ("Hδ", 4102.89), ("Hγ", 4341.68), ("Hβ", 4862.68), ("[O III]", 5008.24), ("Mg b", 5176.7), ("Na D", 5895.6), ("Hα", 6564.61), ("[S II]", 6725.48), ("Ca II", 8544.44),
)  # fmt: skip
GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta"}
SHORT = {"ha": "halpha", "hb": "hbeta", "hg": "hgamma", "hd": "hdelta", "lya": "lyalpha"}


def _loose(name: str) -> str:
    """A name as people type it: ``H alpha``, ``Halpha``, ``Ha``, ``[OIII]``, ``o iii``."""
    for letter, word in GREEK.items():
        name = name.replace(letter, word)
    bare = re.sub(r"[^a-z]", "", name.casefold())
    return SHORT.get(bare, bare)


def line_named(name: str) -> tuple[str, float]:
    """A line's own name and its wavelength at rest, ångström in vacuum.

    Raises
    ------
    UnknownNameError
        With the lines that are known.
    """
    for known, wavelength in LINES:
        if _loose(known) == _loose(name):
            return known, wavelength
    raise UnknownNameError("line", name, [known for known, _ in LINES], "Or give a window of wavelengths, ångström.")
