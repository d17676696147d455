"""Image cutouts of any HiPS from the CDS, by hips2fits: one survey a row of `ROWS`, others by `make`.

Source: https://alasky.cds.unistra.fr/hips-image-services/hips2fits (parameters hips, width, height, fov, projection, ra,
dec, coordsys, rotation_angle, format; at most 50 million pixels; two machines, alasky and alaskybis); Fernique et al.
2015, A&A 578, A114. Identifiers as in the CDS list, https://aladin.cds.unistra.fr/hips/list.

Pixels are the survey's own values resampled to the cutout. hips2fits writes neither BUNIT nor a zero point, so they are
``adu`` here whatever they were: shapes and colours are meaningful, magnitudes are not. Where a survey did not look,
hips2fits sends NaN, or the integer BLANK.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Image, Modality
from astrofuse_lab.surveys import formats, pixels, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

if TYPE_CHECKING:
    from requests import Response, Session

URL = "https://alasky.cds.unistra.fr/hips-image-services/hips2fits"
MIRROR = "https://alaskybis.cds.unistra.fr/hips-image-services/hips2fits"
LARGEST_SIDE = 4000  # pixels
COLOURS = ("red", "green", "blue")
THANKS = "This research has made use of hips2fits, a tool developed at CDS, Strasbourg, France."
ID = re.compile(r"[\w.+-]+(/[\w.+&-]+)+")


@dataclass
class HipsImage(Archive):
    """Cutouts from one survey's HiPS, one a band.

    Attributes
    ----------
    hips : mapping of str to str
        Band to HiPS identifier.
    colour : bool
        One HiPS of coloured pictures (no FITS tiles) gives all bands: 8-bit values for show, red, green and blue.
    """

    _: KW_ONLY
    hips: Mapping[str, str]
    colour: bool = False
    gives: type = Image
    url: str = URL
    mirrors: tuple[str, ...] = (MIRROR,)
    bands: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        self.bands = tuple(self.hips)
        if self.url != URL and self.mirrors == (MIRROR,):
            self.mirrors = ()  # another service has no second machine in Strasbourg

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target and band; the FITS files of a target's bands, as sent, follow each other in its answer."""
        self.chosen(ask)
        bands = self.chosen_bands(ask.bands)
        side = pixels.side_of(self, ask, LARGEST_SIDE, least=1)
        ids = list(dict.fromkeys(self.hips[band] for band in bands)) if self.colour else [self.hips[band] for band in bands]
        for target in targets:
            files = [self._cutout(identifier, target, side) for identifier in ids]
            query = f"{self.url}?hips={','.join(ids)}&ra={target.ra}&dec={target.dec}&fov={side * self.scale / 3600:.7g}&width={side}&height={side}"  # type: ignore[operator]
            yield pixels.pack(self, target.object_id, files, query, bands=list(bands))

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The image of the one target, unless no band has a pixel there."""
        target = raw.target_ids[0]
        files = pixels.unpack(self.name, raw)
        planes: list[pixels.Plane] = []
        with formats.reading(self.name, "set of cutouts", target):
            bands = [str(band) for band in raw.extra["bands"]]  # type: ignore[attr-defined]
            for band, content in zip(bands, files * len(bands) if self.colour else files, strict=not self.colour):
                unit = pixels.opened(content, self.name, band, target)[0]
                with formats.reading(self.name, f"image of band {band}", target):
                    planes.append(_colour(unit, band) if self.colour else pixels.plane(unit))
            # the epoch of plates or exposures is not in a HiPS, so `time` stays None
            got = pixels.image(self, raw, planes, bands, unit="adu")
        if got is not None:
            yield target, got

    def _cutout(self, hips: str, target: Target, side: int) -> bytes:
        """One FITS file, as sent."""
        from astropy import units as u
        from astropy.coordinates import Angle, Latitude, Longitude
        from astroquery.hips2fits import hips2fitsClass

        assert self.scale is not None
        asked = {
            "hips": hips, "width": side, "height": side, "projection": "TAN", "ra": Longitude(target.ra * u.deg), "dec": Latitude(target.dec * u.deg),
            "fov": Angle(side * self.scale * u.arcsec), "coordsys": "icrs", "rotation_angle": Angle(0 * u.deg), "format": "fits",
            "min_cut": 0.5, "max_cut": 99.5, "stretch": "linear", "cmap": "Greys_r",  # of pictures; astroquery wants them said
        }  # fmt: skip

        def send(url: str, session: "Session") -> "Response":
            client = hips2fitsClass()
            client.server, client.timeout, client._session = url, self.timeout, session
            response: Response = client.query_async(**asked)
            return response

        return transport.through(self, send, target=target.object_id)[0]


def _colour(unit: "object", band: str) -> pixels.Plane:
    """One colour of a picture in red, green, blue and, in most, whether anything is there."""
    data = np.asarray(unit.data)  # type: ignore[attr-defined]
    if data.ndim != 3 or len(data) not in (3, 4):
        raise ValueError(f"{data.shape} is no picture in three colours")
    seen = data[3] > 0 if len(data) == 4 else (data > 0).any(0)
    return pixels.Plane(np.where(seen, data[COLOURS.index(band)].astype(float), np.nan), pixels.wcs_keys(unit.header))  # type: ignore[attr-defined]


def make(
    id: str, bands: Sequence[str] | Mapping[str, str] | None = None, *, name: str | None = None, scale: float = 1.0, colour: bool = False,
    release: str = "as published", citation: str = "", licence: str = "see the HiPS record", coverage: Coverage | None = None,
    url: str = URL,
) -> HipsImage:
    """A survey of any HiPS by its identifier: ``af.surveys.hips("CDS/P/DES-DR2", bands="griz", scale=0.263)``.

    Parameters
    ----------
    id : str
        Identifier in the CDS list (https://aladin.cds.unistra.fr/hips/list). It has FITS tiles, unless `colour`.
    bands : sequence of str, or mapping of str to str, optional
        Bands that follow the identifier (``CDS/P/DES-DR2/g``, ...), or band to identifier. None: `id` is the one band.
    name : str, optional
        Lower-case ``provider/product``; made of the identifier where not given.
    scale : float
        arcsec per pixel of the cutouts; best near the survey's own.
    colour : bool
        A HiPS of coloured pictures: three bands of 8-bit values, for show.
    release, citation, licence : str
    coverage : Coverage, optional
        None: as the MOC of the same identifier says.
    url : str
        Another service that answers like hips2fits.

    Returns
    -------
    HipsImage
        Goes into ``af.fetch(targets, [...])``. Pixels are in the survey's own values (unit ``adu``).

    Raises
    ------
    InputError
        For what is no identifier, no bands, or a scale that is no angle.
    """
    if colour:
        hips = dict.fromkeys(COLOURS, id)
    elif bands is None:
        hips = {id.rpartition("/")[2]: id}
    else:
        hips = dict(bands) if isinstance(bands, Mapping) else {band: f"{id}/{band}" for band in bands}
    wrong = [one for one in (id, *hips.values()) if not ID.fullmatch(one)]
    if wrong:
        raise InputError(f"{wrong[0]!r} is no HiPS identifier. Type e.g. af.surveys.hips('CDS/P/2MASS/J'); the list: https://aladin.cds.unistra.fr/hips/list")
    if not hips or not 0 < scale < 3600:
        raise InputError(f"bands={bands!r}, scale={scale!r}: at least one band and a scale in arcsec per pixel are needed.")
    return HipsImage(
        name=name or "hips/" + re.sub(r"[^a-z0-9]+", "_", id.lower()), hips=hips, colour=colour, scale=scale, release=release, url=url,
        citation=f"{citation} {THANKS}".strip(), licence=licence, coverage=coverage or Coverage("as its MOC says", moc=next(iter(hips.values()))),
    )  # fmt: skip
