"""Where the night sky shines and the air absorbs: named lists, and the pixels they cover. Pure.

Sources. Emission, wavelengths in air: oxygen, sodium and mercury, Osterbrock & Martel 1992 (PASP 104, 76) and Slanger et al. 2003
(PASP 115, 869); the stronger OH lines from 6,860 Å, Osterbrock et al. 1996 (PASP 108, 277), doublets as their mean. Absorption by
oxygen and water: the bands that PyWiFeS leaves out (Childress et al. 2014, Ap&SS 349, 617). All are where the observer is: mask before
a spectrum is brought to rest, and know that archives' barycentric corrections move them by up to 30 km/s (0.6 Å).
"""

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import Floats
from astrofuse_lab.surveys.spectrum_units import vacuum

LINES: dict[str, tuple[float, ...]] = {
    "oxygen": (5577.338, 6300.304, 6363.776),
    "sodium": (5889.950, 5895.924),
    "mercury": (4046.563, 4358.328, 5460.735, 5769.598, 5790.663),
    "oh": (
        6863.955, 6912.623, 6923.220, 6939.521, 7244.907, 7276.405, 7284.439, 7303.716, 7316.282, 7329.148, 7340.885, 7358.659, 7392.198, 7571.746, 7712.1,
        7750.640, 7759.996, 7794.112, 7808.467, 7821.503, 7841.266, 7913.708, 7949.204, 7964.650, 7993.332, 8014.059, 8025.810, 8052.020, 8062.178,
        8310.719, 8344.602, 8382.392, 8399.170, 8415.231, 8430.174, 8452.250, 8465.358, 8493.389, 8504.841, 8767.912, 8778.333, 8791.186, 8827.096,
        8885.850, 8903.114, 8919.635, 8943.395, 8958.084, 8988.366, 9001.346, 9038.057, 9049.540, 9374.318, 9419.729, 9439.650, 9458.528, 9476.830,
        9502.815, 9519.355, 9552.534, 9567.339, 9607.726, 9620.965,
    ),
}  # fmt: skip
"""Emission, ångström in air."""
BANDS: dict[str, tuple[tuple[float, float], ...]] = {
    "telluric_o2": ((6856.0, 6956.0), (7584.0, 7693.0)),
    "telluric_h2o": ((6270.0, 6290.0), (7154.0, 7332.0), (8114.0, 8344.0), (8937.0, 9194.0), (9270.0, 9776.0)),
}
"""Absorption, ångström."""
GROUPS: dict[str, tuple[str, ...]] = {
    "sky": ("oxygen", "sodium", "mercury", "oh"), "airglow": ("oxygen", "sodium", "oh"), "telluric": ("telluric_o2", "telluric_h2o"), "all": (*LINES, *BANDS),
}  # fmt: skip
"""Names for several lists."""


def regions(names: tuple[str, ...] | list[str] | str, half_width: float = 5.0) -> tuple[tuple[float, float], ...]:
    """Ranges of wavelength, ångström in vacuum, that lists of lines and bands cover.

    Parameters
    ----------
    names : str or sequence of str
        Of `LINES`, `BANDS` or `GROUPS`.
    half_width : float
        ångström to each side of a line.

    Raises
    ------
    AlignmentError
        For a name that does not exist, or a width that is not positive.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    single = [one for name in wanted for one in GROUPS.get(name, (name,))]
    unknown = next((one for one in single if one not in LINES and one not in BANDS), None)
    if unknown is not None:
        raise AlignmentError(f"lines={unknown!r}: there is no such list; there are {', '.join((*GROUPS, *LINES, *BANDS))}.")
    if not half_width > 0:
        raise AlignmentError(f"half_width={half_width} Angstrom is not positive.")
    found: list[tuple[float, float]] = []
    for name in dict.fromkeys(single):
        centres = vacuum(np.array(LINES.get(name, ())))
        found += [(float(one) - half_width, float(one) + half_width) for one in centres]
        found += BANDS.get(name, ())
    return tuple(sorted(found))


def covered(wavelength: Floats, names: tuple[str, ...] | list[str] | str, half_width: float = 5.0) -> NDArray[np.bool_]:
    """True where a wavelength (ångström in vacuum, as observed) lies in one of the `regions`."""
    ranges = regions(names, half_width)
    inside = np.zeros(np.shape(wavelength), dtype=bool)
    for low, high in ranges:
        inside |= (wavelength >= low) & (wavelength <= high)
    return inside
