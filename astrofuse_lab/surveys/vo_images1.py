"""Images of any SIA version 1 service, by its address.

Source: SIA 1.0 (https://www.ivoa.net/documents/SIA/20091116/), sections 4.1 (POS and SIZE in degrees, FORMAT) and 4.2.5 (columns of the answer by UCD,
``VOX:Image_AccessReference`` ...). Such services know no time range: it is heeded where they say when an image was taken.
"""

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from astrofuse_lab.modalities import Image
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.spectrum_units import unit_of
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.surveys.vo_products import Product, VoProducts
from astrofuse_lab.targets import Target

if TYPE_CHECKING:
    from astropy.table import Table

UCDS: dict[str, tuple[str, ...]] = {
    # of SIA 1.0, then what some services write
    "address": ("vox:image_accessreference",), "format": ("vox:image_format",), "ra": ("pos_eq_ra_main", "pos.eq.ra;meta.main", "pos.eq.ra"),
    "dec": ("pos_eq_dec_main", "pos.eq.dec;meta.main", "pos.eq.dec"), "time": ("vox:image_mjdateobs",), "band": ("vox:bandpass_id",), "unit": ("vox:bandpass_unit",),
    "low": ("vox:bandpass_lolimit",), "high": ("vox:bandpass_hilimit",), "middle": ("vox:bandpass_refvalue",),
}  # fmt: skip
WORDS = {"meters": "m", "meter": "m", "metres": "m", "hertz": "Hz", "kev": "keV", "angstroms": "Angstrom", "microns": "um"}


@dataclass
class VoImages1(VoProducts):
    """Images of any SIA1 service."""

    _: KW_ONLY
    gives: type = Image

    def found(self, target: Target, ask: Ask) -> tuple[bytes, str]:
        """POS and SIZE (deg), FITS only."""
        given = {"POS": f"{target.ra:.8f},{target.dec:.8f}", "SIZE": f"{ask.size / 3600:.8f}", "FORMAT": "image/fits", **self.parameters}
        content, _, address = transport.ask(self, target=target.object_id, params=given)
        return content, address

    def products(self, table: "Table") -> list[Product]:
        """Columns by UCD."""
        by_ucd = {str(table[name].meta.get("ucd") or "").lower(): name for name in reversed(table.colnames)}
        names = {what: next((by_ucd[ucd] for ucd in ucds if ucd in by_ucd), None) for what, ucds in UCDS.items()}
        made = []
        for row in table:
            said = {what: formats.plain(row[name]) if name else None for what, name in names.items()}
            if said["address"]:
                waves = _wavelengths(said["unit"], said["low"] or said["middle"], said["high"] or said["middle"])
                place = _number(said["ra"]), _number(said["dec"])
                made.append(Product(str(said["address"]), str(said["format"] or ""), *place, str(said["band"] or ""), waves, _number(said["time"])))
        return made

    def choose(self, offered: Sequence[Product], target: Target, ask: Ask) -> list[Product]:
        """As `VoProducts.choose`, of those taken in the time asked for."""
        span = target.time or ask.time
        kept = [one for one in offered if span is None or not math.isfinite(one.time) or span[0] <= one.time <= span[1]]
        return super().choose(kept, target, ask)


def _wavelengths(unit: Any, low: Any, high: Any) -> tuple[float, float]:
    """Limits of a band, Å; NaN where the service does not tell."""
    from astropy import units as u

    known = unit_of(WORDS.get(str(unit).strip().lower(), str(unit))) if unit else None
    if known is None:
        return math.nan, math.nan
    try:
        ends = [float((_number(value) * known).to_value(u.AA, equivalencies=u.spectral())) for value in (low, high)]
    except (u.UnitConversionError, TypeError, ZeroDivisionError):
        return math.nan, math.nan
    return min(ends), max(ends)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
