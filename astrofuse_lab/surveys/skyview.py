"""Images from SkyView, NASA's virtual observatory: any of its surveys, resampled to a tangent projection.

Source: https://skyview.gsfc.nasa.gov/current/help/fields.html and https://skyview.gsfc.nasa.gov/current/docs/batchpage.html
(``Position``, ``Survey``, ``Pixels``, ``Size`` in degrees, ``Projection``, ``Coordinates``, ``Return=FITS``). Names of surveys as
in https://skyview.gsfc.nasa.gov/current/cgi/survey.pl. Pixels are the surveys' own values; SkyView writes units for few of
them, so they are ``adu`` here whatever they were.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Image, Modality
from astrofuse_lab.surveys import formats, pixels, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

LARGEST_SIDE = 2000
THANKS = "We acknowledge the use of NASA's SkyView facility (https://skyview.gsfc.nasa.gov) located at NASA Goddard Space Flight Center."


@dataclass
class SkyviewImage(Archive):
    """Cutouts of one family of SkyView's surveys, one a band.

    Attributes
    ----------
    surveys : mapping of str to str
        Band to SkyView's name of the survey.
    """

    _: KW_ONLY
    surveys: Mapping[str, str]
    gives: type = Image
    url: str = "https://skyview.gsfc.nasa.gov/cgi-bin/images"
    mirrors: tuple[str, ...] = ("https://skyview.gsfc.nasa.gov/current/cgi/pskcall",)
    licence: str = "as of the survey shown (https://skyview.gsfc.nasa.gov/current/cgi/survey.pl)"
    release: str = "as SkyView holds it"
    bands: tuple[str, ...] = field(default=())
    threads: int = 2

    def __post_init__(self) -> None:
        self.bands = tuple(self.surveys)

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target and band."""
        self.chosen(ask)
        bands, side = self.chosen_bands(ask.bands), pixels.side_of(self, ask, LARGEST_SIDE)
        for target in targets:
            answers = [self._cutout(self.surveys[band], target, side) for band in bands]
            yield pixels.pack(self, target.object_id, [content for content, _ in answers], answers[0][1], bands=list(bands))

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The image, unless no band has a pixel there."""
        target = raw.target_ids[0]
        files = pixels.unpack(self.name, raw)
        planes: list[pixels.Plane] = []
        with formats.reading(self.name, "set of cutouts", target):
            bands: Any = raw.extra["bands"]
            for band, content in zip(bands, files, strict=True):
                unit = pixels.opened(content, self.name, band, target)[0]
                with formats.reading(self.name, f"image of band {band}", target):
                    got = pixels.plane(unit)
                    # a survey that did not look leaves its square at zero
                    planes.append(got if np.any(got.values) else got._replace(values=np.full_like(got.values, np.nan)))
            made = pixels.image(self, raw, planes, bands, unit="adu")
        if made is not None:
            yield target, made

    def _cutout(self, survey: str, target: Target, side: int) -> tuple[bytes, str]:
        assert self.scale is not None
        content, _, address = transport.ask(self, target=target.object_id, params={
            "Position": f"{target.ra:.7f},{target.dec:.7f}", "Survey": survey, "Pixels": f"{side},{side}",
            "Size": f"{side * self.scale / 3600:.7f},{side * self.scale / 3600:.7f}", "Projection": "Tan", "Coordinates": "J2000", "Return": "FITS",
        })  # fmt: skip
        return content, address


def make(
    surveys: str | Sequence[str] | Mapping[str, str], *, name: str | None = None, scale: float = 1.0, citation: str = "", coverage: Coverage | None = None
) -> SkyviewImage:
    """A survey of any of SkyView's: ``astrofuse_lab.surveys.skyview.make(["NVSS"], scale=15.0)``.

    Parameters
    ----------
    surveys : str, sequence of str, or mapping of str to str
        SkyView's names (https://skyview.gsfc.nasa.gov/current/cgi/survey.pl), or band to such a name.
    name : str, optional
        Lower-case ``provider/product``; made of the first name where not given.
    scale : float
        arcsec per pixel of the cutouts.
    citation : str
    coverage : Coverage, optional

    Returns
    -------
    SkyviewImage

    Raises
    ------
    InputError
        For no survey, or a scale that is no angle.
    """
    chosen = {surveys: surveys} if isinstance(surveys, str) else dict(surveys) if isinstance(surveys, Mapping) else {one: one for one in surveys}
    if not chosen or not 0 < scale <= 36000:
        raise InputError(f"surveys={surveys!r}, scale={scale!r}: at least one of SkyView's surveys and a scale in arcsec per pixel are needed.")
    own = re.sub(r"[^a-z0-9]+", "_", next(iter(chosen.values())).lower()).strip("_")
    return SkyviewImage(
        name=name or f"skyview/{own}", surveys=chosen, scale=scale, citation=f"{citation} {THANKS}".strip(), coverage=coverage or Coverage("as of the survey")
    )


ROWS: dict[str, SkyviewImage] = {
    row.name: row
    for row in (
        make(
            {"soft": "RASS-Cnt Soft", "hard": "RASS-Cnt Hard"}, name="skyview/rosat", scale=45.0,
            citation="ROSAT All-Sky Survey: Voges et al. 1999, A&A 349, 389.", coverage=Coverage("all sky"),
        ),
        make(
            {"counts": "SwiftXRTCnt", "exposure": "SwiftXRTExp"}, name="skyview/swift_xrt", scale=4.0,
            citation="Swift XRT combined images, HEASARC.", coverage=Coverage("2 % of the sky, where Swift pointed"),
        ),
        make(
            {"NUV": "GALEX Near UV", "FUV": "GALEX Far UV"}, name="skyview/galex", scale=1.5,
            citation="GALEX: Bianchi et al. 2017, ApJS 230, 24.", coverage=Coverage("most of the sky off the galactic plane"),
        ),
        make(
            {"W1": "WISE 3.4", "W2": "WISE 4.6", "W3": "WISE 12", "W4": "WISE 22"}, name="skyview/wise", scale=1.375,
            citation="WISE: Wright et al. 2010, AJ 140, 1868.", coverage=Coverage("all sky"),
        ),
        make(
            {b: f"IRIS {b:>3}" for b in ("12", "25", "60", "100")}, name="skyview/iris", scale=90.0,
            citation="IRIS: Miville-Deschenes and Lagache 2005, ApJS 157, 302.", coverage=Coverage("98 % of the sky"),
        ),
        make({"1.4GHz": "NVSS"}, name="skyview/nvss", scale=15.0, citation="NVSS: Condon et al. 1998, AJ 115, 1693.", coverage=Coverage("north of -40 deg", (-40.0, 90.0))),
        make(
            {"1.4GHz": "VLA FIRST (1.4 GHz)"}, name="skyview/first", scale=1.8,
            citation="FIRST: Becker, White and Helfand 1995, ApJ 450, 559.", coverage=Coverage("a quarter of the sky, mostly the north galactic cap", (-12.0, 65.0)),
        ),
        make(
            {"843MHz": "SUMSS 843 MHz"}, name="skyview/sumss", scale=11.0,
            citation="SUMSS: Bock, Large and Sadler 1999, AJ 117, 1578.", coverage=Coverage("south of -30 deg", (-90.0, -30.0)),
        ),
    )
}  # fmt: skip
