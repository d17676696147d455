"""One colour for each modality, class and band, wherever they show; ``widgets/src/shared/colours.js`` holds the same."""

CLASS_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#7F7F7F")
"""Okabe & Ito (2008), the ones legible on white and on black first; grey, the last, is also every class after the seventh."""

MODALITY_COLOURS = {"image": "#0077BB", "spectrum": "#EE7733", "light_curve": "#009988", "series": "#33BBEE", "table": "#AA4499", "text": "#BB9922"}
"""After Paul Tol's vibrant and muted schemes (SRON/EPS/TN/09-002)."""

BAND_COLOURS = {"u": "#0c71ff", "g": "#49be61", "r": "#c61c00", "i": "#ffc200", "z": "#f341a2", "y": "#5d0000"}
"""Rubin's palette for LSST bands (RTN-045)."""

BAND_ON_DARK = {"r": "#d62b10", "y": "#f2e6e0"}
"""The same on a dark page, where Rubin's are too dark: at least 3 to 1 on it (WCAG 2), and as far from the other bands as these are from one
another (CIE 1976 difference of 28 and more), also as seen without red, green or blue cones (Machado et al. 2009, doi:10.1109/TVCG.2009.113)."""


def class_colour(index: int) -> str:
    """Colour of the class at `index` in class order."""
    return CLASS_COLOURS[min(index, len(CLASS_COLOURS) - 1)]


def band_colour(band: str, index: int = 0) -> str:
    """Colour of a band by the last letter of its name that is one of ugrizy, else by its index."""
    letter = next((c for c in reversed(band) if c in BAND_COLOURS), "")
    return BAND_COLOURS.get(letter, CLASS_COLOURS[index % len(CLASS_COLOURS)])
