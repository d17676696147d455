"""Cutouts of the DESI Legacy Imaging Surveys from the Sky Viewer, calibrated, with inverse variance.

Source: https://www.legacysurvey.org/svtips/ and the viewer's own code (https://github.com/legacysurvey/imagine,
map/views.py, ``get_cutout`` and ``write_cutout``): ``cutout.fits?ra=&dec=&layer=&pixscale=&size=&bands=&invvar`` gives a
tangent projection about the position, first unit the image (band, y, x) with ``BAND0``, ``BAND1``, ..., then one unit with
``IMAGETYP = INVVAR``; at most 3000 pixels. Pixels are nanomaggies per pixel of 0.262 arcsec
(https://www.legacysurvey.org/dr10/description/). Where no exposure was taken the inverse variance is zero.
"""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

import numpy as np

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Image, Modality
from astrofuse_lab.surveys import formats, pixels, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Targets

LARGEST_SIDE = 3000
LAYERS = {"DR10": ("ls-dr10", "griz"), "DR9": ("ls-dr9", "grz")}


@dataclass
class LegacyImage(Archive):
    """One cutout a target, all bands in one request."""

    _: KW_ONLY
    name: str = "legacy/image"
    gives: type = Image
    url: str = "https://www.legacysurvey.org/viewer/cutout.fits"
    citation: str = (
        "The Legacy Surveys consist of three individual and complementary projects: the Dark Energy Camera Legacy Survey (DECaLS), the Beijing-Arizona "
        "Sky Survey (BASS) and the Mayall z-band Legacy Survey (MzLS). Full acknowledgement: https://www.legacysurvey.org/acknowledgment/. "
        "Cite Dey et al. 2019, AJ 157, 168."
    )
    licence: str = "free to use with the Legacy Surveys acknowledgement"
    release: str = "DR10"
    releases: tuple[str, ...] = ("DR9",)
    bands: tuple[str, ...] = ("g", "r", "i", "z")
    coverage: Coverage = Coverage("half the sky, off the galactic plane; i only in the south", (-90.0, 85.0), moc="CDS/P/DESI-Legacy-Surveys/DR10/color")
    scale: float | None = 0.262

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target."""
        self.chosen(ask)
        layer, has = LAYERS[ask.release or self.release]
        bands = [band for band in self.chosen_bands(ask.bands) if band in has or ask.bands is not None]
        if any(band not in has for band in bands):
            raise InputError(f"{self.name} has no band {', '.join(b for b in bands if b not in has)} in {ask.release}. It has {', '.join(has)}.")
        side = pixels.side_of(self, ask, LARGEST_SIDE)
        for target in targets:
            content, media_type, address = transport.ask(self, target=target.object_id, params={
                "ra": f"{target.ra:.7f}", "dec": f"{target.dec:.7f}", "layer": layer, "pixscale": self.scale, "size": side,
                "bands": "".join(bands), "invvar": "",
            })  # fmt: skip
            yield pixels.pack(self, target.object_id, [content], address, media_type, bands=bands)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The image, in microjansky; nothing where the survey did not look."""
        target = raw.target_ids[0]
        (content,) = pixels.unpack(self.name, raw) or [b""]
        units = formats.fits_hdus(content, self.name, target)
        with formats.reading(self.name, "cutout of the Sky Viewer", target):
            if units[0].data is None:
                return  # OVERLAP = F: the position lies off the survey
            bands = [str(units[0].header[f"BAND{i}"]) for i in range(len(str(units[0].header["BANDS"])))]
            flux = _planes(units[0].data, len(bands))
            ivar = [_planes(unit.data, len(bands)) for unit in units[1:] if str(unit.header.get("IMAGETYP", "")).strip().upper() == "INVVAR"]
            if not ivar or ivar[0].shape != flux.shape:
                raise ArchiveError(self.name, "the answer has no inverse variance, so that nothing tells where the survey looked", target)
            wcs, factor = pixels.wcs_keys(units[0].header), pixels.MICROJANSKY["nanomaggie"]
            planes = [pixels.Plane(f * factor, wcs, i / factor**2) for f, i in zip(flux, ivar[0], strict=True)]
            got = pixels.image(self, raw, planes, bands)
        if got is not None:
            yield target, got


def _planes(data: object, count: int) -> np.ndarray:
    """(band, y, x), also where one band comes without that axis."""
    values = np.asarray(data, dtype=np.float64)
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or len(values) != count:
        raise ValueError(f"{values.shape} pixels for {count} bands")
    return values


IMAGE = LegacyImage()
