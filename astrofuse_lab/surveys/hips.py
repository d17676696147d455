"""Image cutouts of sky surveys from the CDS, by hips2fits (astroquery): one survey a row of `ROWS`.

Source: https://alasky.cds.unistra.fr/hips-image-services/hips2fits; Fernique et al. 2015, A&A 578, A114. Pixels are the
survey's own values resampled to the cutout, not calibrated: shapes and colours are meaningful, magnitudes are not.
Where a survey did not look, hips2fits sends NaN, or the integer BLANK.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Image, Modality
from astrofuse_lab.surveys import transport
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Target, Targets

URL = "https://alasky.cds.unistra.fr/hips-image-services/hips2fits"
LARGEST_SIDE = 4000  # pixels
PIXELS = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}  # FITS 4.0, table 8
WCS_KEYS = ("WCSAXES", "CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CDELT1", "CDELT2",
            "CD1_1", "CD1_2", "CD2_1", "CD2_2", "PC1_1", "PC1_2", "PC2_1", "PC2_2", "LONPOLE", "LATPOLE", "RADESYS", "EQUINOX")  # fmt: skip
THANKS = "This research has made use of hips2fits, a tool developed at CDS, Strasbourg, France."


@dataclass
class HipsImage:
    """Cutouts from one survey's HiPS, one a band.

    Attributes
    ----------
    hips : mapping of str to str
        Band to HiPS identifier.
    scale : float
        arcsec per pixel of the cutouts, near the survey's own.
    url : str
        The hips2fits service.
    timeout : float
        Seconds without a byte after which an answer is given up.
    """

    name: str
    hips: Mapping[str, str]
    scale: float
    release: str
    citation: str
    licence: str
    url: str = URL
    timeout: float = transport.SILENCE
    gives: type = Image
    simulated: bool = False
    batch: int = 1
    bands: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.bands = tuple(self.hips)

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target and band; the FITS files of a target's bands, as sent, follow each other in its answer."""
        transport.check(self, ask)
        bands = self.bands if ask.bands is None else ask.bands
        side = max(1, round(ask.size / self.scale))
        if side > LARGEST_SIDE:
            raise InputError(f"{self.name}: size {ask.size:g} arcsec is {side} pixels of {self.scale} arcsec; at most {LARGEST_SIDE}. Give a smaller size.")
        for target in targets:
            files = [self._cutout(self.hips[band], target, side) for band in bands]
            extra = {"bands": list(bands), "lengths": [len(file) for file in files]}
            query = f"{self.url}?hips={','.join(self.hips[b] for b in bands)}&ra={target.ra}&dec={target.dec}&fov={side * self.scale / 3600:.7g}&width={side}&height={side}"
            yield Raw(self.name, (target.object_id,), b"".join(files), query, "application/fits", now(), extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The image of the one target, unless no band has a pixel there."""
        target = raw.target_ids[0]
        bands: list[str] = [str(b) for b in raw.extra["bands"]]  # type: ignore[attr-defined]
        lengths: list[int] = list(raw.extra["lengths"])  # type: ignore[call-overload]
        planes, header, start = [], None, 0
        for band, length in zip(bands, lengths, strict=True):
            values, own = self._plane(raw.content[start : start + length], band, target)
            if header is not None and values.shape != planes[0].shape:
                raise ArchiveError(self.name, f"band {band} has {values.shape} pixels, the first band {planes[0].shape}", target)
            header = own if header is None else header
            planes.append(values)
            start += length
        assert header is not None
        flux = np.stack(planes)
        mask = np.isfinite(flux)
        if not mask.any():
            return
        wcs = {key: header[key] for key in WCS_KEYS if key in header}
        # epoch of the plates or exposures is not in a HiPS, so `time` stays None
        yield target, Image(np.where(mask, flux, 0).astype(np.float32), mask, tuple(bands), wcs, self.scale, unit="adu", provenance=provenance_of(self, raw))

    def _cutout(self, hips: str, target: Target, side: int) -> bytes:
        """One FITS file, as sent."""
        from astropy import units as u
        from astropy.coordinates import Angle, Latitude, Longitude
        from astroquery.hips2fits import hips2fitsClass

        client = hips2fitsClass()
        client.server, client.timeout, client._session = self.url, self.timeout, transport.session(self.timeout)
        with transport.connection(self.name, target.object_id):
            response = client.query_async(
                hips=hips, width=side, height=side, projection="TAN", ra=Longitude(target.ra * u.deg), dec=Latitude(target.dec * u.deg),
                fov=Angle(side * self.scale * u.arcsec), coordsys="icrs", rotation_angle=Angle(0 * u.deg), format="fits",
                min_cut=0.5, max_cut=99.5, stretch="linear", cmap="Greys_r",
            )  # fmt: skip
            return transport.body(response, self.name, target.object_id)

    def _plane(self, content: bytes, band: str, target: str) -> tuple[NDArray[np.float64], Any]:
        """Pixels (NaN where there are none) and header of one FITS file."""
        from astropy.io import fits

        # by hand, since astropy only warns of a file that is cut short, and silencing warnings is not safe in threads
        file = io.BytesIO(content)
        try:
            header = fits.Header.fromfile(file)
            shape = [int(header[f"NAXIS{axis}"]) for axis in range(int(header["NAXIS"]), 0, -1)]
            kind, start = PIXELS[header["BITPIX"]], file.tell()
            if len(shape) < 2 or len(content) - start < np.dtype(kind).itemsize * int(np.prod(shape)):
                raise ValueError(f"{len(content)} bytes hold no image of {' x '.join(map(str, shape))} pixels")
            stored = np.frombuffer(content, kind, int(np.prod(shape)), start).reshape(shape[-2:])
        except (EOFError, OSError, KeyError, TypeError, ValueError) as error:
            raise ArchiveError(self.name, f"band {band}: the FITS file is cut short or unreadable ({error})", target) from error
        values = stored * float(header.get("BSCALE", 1.0)) + float(header.get("BZERO", 0.0))
        if "BLANK" in header and np.issubdtype(stored.dtype, np.integer):
            values = np.where(stored == header["BLANK"], np.nan, values)
        return np.asarray(values, dtype=np.float64), header


# Identifiers as in the CDS list, https://aladin.cds.unistra.fr/hips/list
ROWS: dict[str, HipsImage] = {
    row.name: row
    for row in (
        HipsImage(
            "hips/dss2", {"blue": "CDS/P/DSS2/blue", "red": "CDS/P/DSS2/red", "NIR": "CDS/P/DSS2/NIR"}, 1.0, "DSS2",
            "The Digitized Sky Surveys were produced at the Space Telescope Science Institute under U.S. Government grant NAG W-2166, from "
            f"photographic data obtained with the Oschin Schmidt Telescope on Palomar Mountain and the UK Schmidt Telescope. {THANKS}",
            "copyright of the plate owners, see https://archive.stsci.edu/dss/copyright.html",
        ),
        HipsImage(
            "hips/sdss", {b: f"CDS/P/SDSS9/{b}" for b in "ugriz"}, 0.396, "SDSS DR9",
            f"Ahn et al. 2012, ApJS 203, 21 (SDSS-III DR9; acknowledgement at https://www.sdss3.org/collaboration/boiler-plate.php). {THANKS}",
            "free to use with the SDSS-III acknowledgement",
        ),
        HipsImage(
            "hips/legacy", {b: f"CDS/P/DESI-Legacy-Surveys/DR10/{b}" for b in "griz"}, 0.262, "Legacy Surveys DR10",
            f"Dey et al. 2019, AJ 157, 168 (acknowledgement at https://www.legacysurvey.org/acknowledgment/). {THANKS}",
            "free to use with the Legacy Surveys acknowledgement",
        ),
        HipsImage(
            "hips/2mass", {b: f"CDS/P/2MASS/{b}" for b in "JHK"}, 1.0, "2MASS All-Sky",
            "This publication makes use of data products from the Two Micron All Sky Survey, a joint project of the University of Massachusetts "
            f"and IPAC/Caltech, funded by NASA and NSF. Cite Skrutskie et al. 2006, AJ 131, 1163. {THANKS}",
            "free to use with the 2MASS acknowledgement",
        ),
    )
}  # fmt: skip
DSS2, SDSS, LEGACY, TWO_MASS = (ROWS[name] for name in ("hips/dss2", "hips/sdss", "hips/legacy", "hips/2mass"))
