"""Cutouts of JWST NIRCam mosaics from the DAWN JWST Archive: public MAST data, reduced alike, calibrated, with weights.

MAST has no cutout service for JWST; its mosaics are gigabytes each. Source: https://dawn-cph.github.io/dja/general/api_summary
(``thumb?ra=&dec=&size=&filters=&output=fits_weight``: one unit a filter and kind, ``EXTNAME`` the filter with its pupil,
``EXTVER`` SCI or WHT, the latter an inverse variance). All filters come on one grid of 0.05 arcsec. ``size`` is half the width.
``BUNIT`` is ``10.0*nanoJansky`` (``PHOTFNU`` 1e-8 Jy), which counts; ``ZP`` is that of the mosaic before it was rescaled.
"""

import re
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Image, Modality
from astrofuse_lab.surveys import formats, pixels, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Targets

LARGEST_SIDE = 2400
UNIT = re.compile(r"\s*([\d.eE+-]+)\s*\*\s*nanoJansky\s*", re.IGNORECASE)


@dataclass
class JwstImage(Archive):
    """Every filter asked for that the archive has at a target, one a band."""

    _: KW_ONLY
    name: str = "jwst/image"
    gives: type = Image
    url: str = "https://grizli-cutout.herokuapp.com"
    citation: str = (
        "Some of the data products presented herein were retrieved from the Dawn JWST Archive (DJA). DJA is an initiative of the Cosmic Dawn Center (DAWN), "
        "which is funded by the Danish National Research Foundation under grant DNRF140. Cite Valentino et al. 2023, ApJ 947, 20. Based on observations made "
        "with the NASA/ESA/CSA James Webb Space Telescope, obtained from MAST at STScI."
    )
    licence: str = "free to use with the DJA and JWST acknowledgements"
    release: str = "as the DAWN JWST Archive holds it"
    bands: tuple[str, ...] = ("F090W", "F115W", "F150W", "F200W", "F277W", "F356W", "F444W")
    coverage: Coverage = Coverage("where NIRCam pointed and the data are public")
    scale: float | None = 0.05
    timeout: float = 180.0
    threads: int = 1  # a small machine

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target."""
        self.chosen(ask)
        bands, _ = self.chosen_bands(ask.bands), pixels.side_of(self, ask, LARGEST_SIDE)
        for target in targets:
            content, media_type, address = transport.ask(self, "/thumb", target=target.object_id, params={
                "ra": f"{target.ra:.7f}", "dec": f"{target.dec:.7f}", "size": f"{ask.size / 2:g}",
                "filters": ",".join(f"{band.lower()}-clear" for band in bands), "output": "fits_weight",
            })  # fmt: skip
            yield pixels.pack(self, target.object_id, [content], address, media_type, bands=list(bands))

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The image, in microjansky; nothing where no filter has a pixel."""
        target = raw.target_ids[0]
        (content,) = pixels.unpack(self.name, raw) or [b""]
        units = formats.fits_hdus(content, self.name, target)
        with formats.reading(self.name, "cutout of the DAWN JWST Archive", target):
            parts: dict[tuple[str, str], Any] = {}
            for unit in units:
                if unit.header.get("NAXIS"):
                    parts[str(unit.header["EXTNAME"]).strip().upper().partition("-")[0], str(unit.header["EXTVER"]).strip().upper()] = unit
            bands = [band for band in self.bands if (band, "SCI") in parts and (band, "WHT") in parts]
            planes = []
            for band in bands:
                said = UNIT.fullmatch(str(parts[band, "SCI"].header.get("BUNIT", "")))
                if said is None:
                    raise ArchiveError(self.name, f"band {band}: the unit {parts[band, 'SCI'].header.get('BUNIT')!r} is not nanojansky", target)
                factor = float(said[1]) * pixels.MICROJANSKY["nJy"]
                planes.append(pixels.plane(parts[band, "SCI"], factor)._replace(ivar=pixels.plane(parts[band, "WHT"], 1 / factor**2).values))
            got = pixels.image(self, raw, planes, bands) if planes else None
        if got is not None:
            yield target, got


IMAGE = JwstImage()
