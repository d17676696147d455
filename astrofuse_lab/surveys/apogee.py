"""APOGEE combined spectra (apStar files, DR17), found through SkyServer.

Sources: https://data.sdss.org/datamodel/files/APOGEE_REDUX/APRED_VERS/stars/TELESCOPE/FIELD/apStar.html (HDU 1 flux in
1e-17 erg / s / cm2 / Angstrom, HDU 2 error, HDU 3 pixel mask, row 0 the combined spectrum, ``CRVAL1`` and ``CDELT1`` log10 of the vacuum
wavelength); columns of apogeeStar, https://skyserver.sdss.org/dr17/en/help/browser/browser.aspx; bits of APOGEE_PIXMASK,
https://www.sdss4.org/dr17/algorithms/bitmasks/. Files of the southern telescope are named asStar.

The visits are shifted to rest by the star's radial velocity before they are combined: these spectra are in the star's frame, not the observed one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from astrofuse_lab.modalities import SPECTRUM_UNIT, Modality
from astrofuse_lab.surveys import formats, skyserver
from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.sdss import FILES, THANKS
from astrofuse_lab.surveys.spectrum_archive import Answer, Choice, Product, SpectrumArchive, target_rows
from astrofuse_lab.surveys.spectrum_units import Pixels, spectrum_of
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of
from astrofuse_lab.targets import Targets

FOUND = ("target_row", "distance", "apogee_id", "telescope", "field", "snr")
# BADPIX CRPIX SATPIX UNFIXABLE BADDARK BADFLAT BADERR NOSKY, SIG_SKYLINE, NOT_ENOUGH_PSF
BAD = sum(1 << bit for bit in (*range(8), 12, 14))
PLAIN = re.compile(r"[\w+.-]+\Z")
RESOLUTION = 22_500.0


@dataclass
class ApogeeSpectra(SpectrumArchive):
    """The combined APOGEE spectrum of the star nearest to each target; of several fields the one with the best signal-to-noise.

    Attributes
    ----------
    files : str
        The Science Archive Server.
    """

    files: str = FILES

    def search(self, targets: Targets, ask: Ask, given: Choice) -> Iterator[tuple[Targets, Answer]]:
        """One SQL query for all targets."""
        columns = ",".join(f"s.{name}" for name in FOUND[2:])
        sql = skyserver.nearby_sql("fGetNearbyApogeeStarEq", columns, "JOIN apogeeStar AS s ON s.apstar_id=n.apstar_id", targets, ask.radius)
        content, media_type, address = skyserver.ask(self, sql, self.release)
        products = {}
        rows = skyserver.rows(self.name, content, FOUND)
        for target, near in target_rows(self.name, rows, targets).items():
            with formats.reading(self.name, "list of stars", target):
                # the same star in another field lies at the same distance to well below an arcsecond
                row = min(near, key=lambda r: (round(60 * float(str(r["distance"]))), -float(r["snr"] or 0)))
                products[target] = Product(self.address(row))
        yield targets, Answer(content, media_type, address, products)

    def address(self, row: dict[str, str | None]) -> str:
        """Of the apStar or asStar file."""
        name, telescope, field = (str(row[k]) for k in ("apogee_id", "telescope", "field"))
        if not all(PLAIN.match(part) and ".." not in part for part in (name, telescope, field)):
            raise ValueError(f"{name[:40]!r} in {field[:40]!r} is no name of a file")
        prefix = "asStar" if telescope.startswith("lco") else "apStar"
        return f"{self.files}/dr17/apogee/spectro/redux/dr17/stars/{telescope}/{field}/{prefix}-dr17-{name}.fits"

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The first row of flux, error and mask."""
        if raw.extra.get("nothing") is True:
            return
        target = raw.target_ids[0]
        units = formats.fits_hdus(raw.content, self.name, target)
        with formats.reading(self.name, "apStar file", target):
            if len(units) < 4:
                raise ValueError(f"{len(units)} units, not flux, error and mask")
            flux, error, mask = (np.atleast_2d(units[k].data)[0] for k in (1, 2, 3))
            header = {**units[0].header, **units[1].header}
            wave = float(header["CRVAL1"]) + float(header["CDELT1"]) * np.arange(len(flux), dtype=np.float64)
            good = (np.asarray(mask, dtype=np.int64) & BAD) == 0
            wave, flux, error = (np.asarray(a, dtype=np.float64) for a in (wave, flux, error))
            pixels = Pixels(wave, flux, "Angstrom", SPECTRUM_UNIT, sigma=error, good=good, log=True, resolution=RESOLUTION)
            yield target, spectrum_of(pixels, self.name, target, provenance_of(self, raw))


SPECTRUM = ApogeeSpectra(
    name="apogee/spectrum", url=skyserver.URL, release="DR17", wavelengths=(15100.0, 17000.0), batch=8, threads=1, timeout=120.0,
    coverage=Coverage("fields of the Milky Way, both hemispheres, 657,000 stars"),
    citation=THANKS + "Cite Majewski et al. 2017, AJ 154, 94 (APOGEE); Abdurro'uf et al. 2022, ApJS 259, 35 (DR17); Nidever et al. 2015, AJ 150, 173 (reduction).",
    licence="public domain data with acknowledgement of SDSS",
)  # fmt: skip
