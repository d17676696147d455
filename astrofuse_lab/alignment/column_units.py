"""Columns in the inner units: microjansky, ångström, degrees; other units stay as a survey gives them."""

from functools import lru_cache
from typing import NamedTuple


class Inner(NamedTuple):
    """An inner unit, and what a value in the given unit is multiplied by."""

    unit: str
    factor: float


FLUX, WAVELENGTH, ANGLE = "uJy", "Angstrom", "deg"
WAVES = ("nm", "um", "micron")
"""Lengths that can only be wavelengths; a metre or a parsec is something else."""
TURNS = ("rad", "hourangle")
"""Angles that nobody means in arcsec."""


@lru_cache(maxsize=1000)
def inner(unit: str) -> Inner | None:
    """The inner unit of what a column of this unit measures.

    Parameters
    ----------
    unit : str
        As astropy reads it.

    Returns
    -------
    Inner or None
        Flux densities per frequency to uJy, and their inverse variances to 1 / uJy2; nanometres and micrometres to Angstrom;
        radians and hours of angle to deg. None for anything else, for what is in its inner unit, and for what astropy cannot read.
    """
    from astropy.units import Unit

    try:
        given = Unit(unit)
    except (ValueError, TypeError):
        return None
    if not unit or not hasattr(given, "decompose"):
        return None
    for power in (1, -2):
        wanted = Unit(FLUX) ** power
        if given.is_equivalent(wanted):
            return _change(given, wanted)
    if given in [Unit(name) for name in WAVES]:
        return _change(given, Unit(WAVELENGTH))
    return _change(given, Unit(ANGLE)) if given in [Unit(name) for name in TURNS] else None


def _change(given: object, wanted: object) -> Inner | None:
    factor = float(given.to(wanted))  # type: ignore[attr-defined]
    return None if abs(factor - 1) < 1e-12 else Inner(str(wanted), factor)
