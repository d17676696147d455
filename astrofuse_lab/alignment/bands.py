"""Bands by name: where they lie, and how bright magnitude zero is in the Vega system.

Sources: wavelengths from the SVO Filter Profile Service (Rodrigo & Solano 2020, http://svo2.cab.inta-csic.es/theory/fps/), rounded; letters that many surveys
share (u g r i z y) hold to 3 % for all of them. Vega: Bessell, Castelli & Plez 1998, A&A 333, 231, table A2 (U B V R I K); Cohen, Wheaton & Megeath 2003,
AJ 126, 1090, table 2 (J H Ks); Jarrett et al. 2011, ApJ 735, 112 (W1 to W4); Riello et al. 2021, A&A 649, A3 (Gaia, from the AB and Vega zero points of EDR3).
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import AlignmentError

WAVELENGTH: dict[str, float] = {
    "FUV": 1516, "NUV": 2267, "UVW2": 2030, "UVM2": 2231, "UVW1": 2634,
    "u": 3600, "g": 4770, "r": 6230, "i": 7630, "z": 8900, "y": 9630, "w": 6250,
    "U": 3663, "B": 4361, "V": 5448, "R": 6407, "I": 7980, "J": 12350, "H": 16620, "K": 22000, "Ks": 21590, "Y": 10200,
    "G": 6230, "BP": 5110, "RP": 7770, "c": 5330, "o": 6790, "TESS": 7700, "Kepler": 6400,
    "W1": 33530, "W2": 46030, "W3": 115610, "W4": 220880,
}  # fmt: skip
"""Ångström."""
VEGA_ZERO: dict[str, float] = {
    "U": 1790.0, "B": 4063.0, "V": 3636.0, "R": 3064.0, "I": 2416.0, "J": 1594.0, "H": 1024.0, "K": 640.0, "Ks": 666.7,
    "G": 3270.0, "BP": 3579.8, "RP": 2615.8, "W1": 309.540, "W2": 171.787, "W3": 31.674, "W4": 8.363,
}  # fmt: skip
"""Jansky at magnitude zero."""


def plain(band: str) -> str:
    """The band without the survey that tells two of one name apart: ``ztf:g`` is ``g``."""
    return str(band).rpartition(":")[2]


def wavelengths(bands: Iterable[str]) -> NDArray[np.float64]:
    """Where bands lie, ångström.

    Raises
    ------
    AlignmentError
        Naming a band that is not known.
    """
    names = [plain(b) for b in bands]
    unknown = [n for n in names if n not in WAVELENGTH]
    if unknown:
        raise AlignmentError(f"band {unknown[0]!r} is not known, so neither is its wavelength; known are {', '.join(WAVELENGTH)}.")
    return np.array([WAVELENGTH[n] for n in names], dtype=np.float64)
