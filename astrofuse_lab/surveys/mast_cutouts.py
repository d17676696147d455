"""Cutouts of Hubble and TESS images from MAST, which sends a zip archive of FITS files.

Sources: https://mast.stsci.edu/zcut/ (Hubble deep fields: ``survey`` and ``astrocut``, parameters ra, dec, x, y, units,
survey, format), https://mast.stsci.edu/hapcut/ (Hubble Advanced Products, parameters ra, dec, x, y, units),
https://mast.stsci.edu/tesscut/docs/ (``sector``: which sectors saw a place; ``astrocut``: target pixel files; parameters ra,
dec, x, y, units, sector). Where nothing was seen the answer is JSON with ``msg``.

Hubble images are in electrons a second, or electrons: f_nu = PHOTFLAM PHOTPLAM^2 / c per electron a second
(https://hst-docs.stsci.edu/wfc3dhb/chapter-9-wfc3-data-analysis/9-1-photometry). TESS is in electrons a second, without a
zero point per pixel.
"""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Image, Modality
from astrofuse_lab.surveys import formats, pixels, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Targets

ZIP = b"PK"
LARGEST_SIDE = 5000
LARGEST_TESS = 100  # pixels, of MAST's own rules
BTJD = 56999.5  # MJD (TDB) of BJD 2457000, the zero of TESS's clock
PER_RATE = 1e29 / pixels.LIGHT  # microjansky of PHOTFLAM (erg / s / cm2 / Å) x PHOTPLAM (Å) squared
THANKS = (
    "Based on observations made with the NASA/ESA Hubble Space Telescope, obtained from the Mikulski Archive for Space Telescopes (MAST) at the Space "
    "Telescope Science Institute, operated by AURA, Inc., under NASA contract NAS 5-26555. Cutouts by Astrocut: Brasseur et al. 2019, ASCL 1905.007."
)


@dataclass
class HubbleImage(Archive):
    """Every filter that Hubble observed a target in, one a band, on the grid of the first.

    Bands are named by filter (``F606W``) and differ from target to target; those asked for are picked from what there is.
    Of several products in a filter the one with most pixels is taken.
    """

    _: KW_ONLY
    gives: type = Image
    citation: str = THANKS
    licence: str = "public domain; credit NASA, ESA and STScI"
    release: str = "as MAST holds it"
    timeout: float = 300.0  # cutouts are made on demand
    threads: int = 2

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target."""
        given = self.chosen(ask)
        side = pixels.side_of(self, ask, LARGEST_SIDE)
        for target in targets:
            params = {"ra": f"{target.ra:.7f}", "dec": f"{target.dec:.7f}", "x": f"{ask.size / 3600:.8f}", "y": f"{ask.size / 3600:.8f}", "units": "d"}
            if given.get("survey"):
                params["survey"] = str(given["survey"])
            content, media_type, address = transport.ask(self, "/astrocut", target=target.object_id, params=params)
            wanted = None if ask.bands is None else [band.upper() for band in ask.bands]
            yield pixels.pack(self, target.object_id, [content], address, media_type, bands=wanted, side=side)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The image, in microjansky where all its filters have a calibration; nothing where Hubble did not look."""
        target = raw.target_ids[0]
        (content,) = pixels.unpack(self.name, raw) or [b""]
        if _nothing(self.name, content, target):
            return
        wanted: Any = raw.extra.get("bands")
        found: dict[str, tuple[pixels.Plane, float | None]] = {}
        for filename, file in pixels.zipped(content, self.name, target):
            for unit in pixels.opened(file, self.name, filename, target):
                with formats.reading(self.name, f"picture in {filename}", target):
                    if not unit.is_image or not unit.header.get("NAXIS"):
                        continue
                    band, got = _filter(unit.header, filename), pixels.plane(unit)
                    # outside the mosaic there are zeros
                    got = got._replace(values=np.where(got.values == 0, np.nan, got.values))
                    if band not in found or np.isfinite(got.values).sum() > np.isfinite(found[band][0].values).sum():
                        found[band] = got, _microjansky(unit.header)
        bands = [band for band in (wanted or sorted(found)) if band in found]
        if not bands:
            return
        with formats.reading(self.name, "set of cutouts", target):
            factors = [found[band][1] for band in bands]
            known = None not in factors
            planes = [found[band][0]._replace(values=found[band][0].values * (factor if known and factor else 1.0)) for band, factor in zip(bands, factors, strict=True)]
            image = pixels.image(self, raw, planes, bands, unit="uJy" if known else "electron / s")
        if image is not None:
            yield target, image


@dataclass
class TessImage(Archive):
    """The mean of TESS's full-frame images over one sector, with inverse variance; within ``time=`` where it is given.

    The sector is the first that saw the target, unless ``options={"sector": 5}``. Only exposures without a quality flag count.
    """

    _: KW_ONLY
    name: str = "tess/image"
    gives: type = Image
    url: str = "https://mast.stsci.edu/tesscut/api/v0.1"
    citation: str = (
        "This paper includes data collected by the TESS mission, funded by the NASA Explorer Program, obtained from MAST. Cite Ricker et al. 2015, JATIS 1, "
        "014003. Cutouts by TESScut: Brasseur et al. 2019, ASCL 1905.007."
    )
    licence: str = "public domain; credit NASA and the TESS mission"
    release: str = "as MAST holds it"
    bands: tuple[str, ...] = ("TESS",)
    coverage: Coverage = Coverage("93 % of the sky, by sectors")
    scale: float | None = 21.0
    settings: Mapping[str, float | int | str | bool] = field(default_factory=lambda: {"sector": 0})
    timeout: float = 300.0
    threads: int = 2

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """Two requests a target: its sectors, then the pixels of one."""
        sector = int(self.chosen(ask)["sector"])
        self.chosen_bands(ask.bands)
        side = pixels.side_of(self, ask, LARGEST_TESS, least=3)
        for target in targets:
            here = {"ra": f"{target.ra:.7f}", "dec": f"{target.dec:.7f}"}
            content, media_type, address = transport.ask(self, "/sector", target=target.object_id, params=here)
            seen = self._sectors(content, target.object_id)
            if chosen := [number for number in seen if sector in (0, number)][:1]:
                content, media_type, address = transport.ask(
                    self, "/astrocut", target=target.object_id, params={**here, "x": side, "y": side, "units": "px", "sector": chosen[0]}
                )
            else:
                content = b""
            yield pixels.pack(self, target.object_id, [content] if chosen else [], address, media_type, time=target.time or ask.time)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The mean image, in electrons a second; nothing where TESS did not look."""
        target = raw.target_ids[0]
        files = pixels.unpack(self.name, raw)
        if not files or _nothing(self.name, files[0], target):
            return
        for filename, file in pixels.zipped(files[0], self.name, target):
            units = pixels.opened(file, self.name, filename, target)
            with formats.reading(self.name, f"target pixel file {filename}", target):
                rows, header = units["PIXELS"].data, units["APERTURE"].header
                time = np.asarray(rows["TIME"], dtype=np.float64) + BTJD
                flux, sigma = (np.asarray(rows[name], dtype=np.float64) for name in ("FLUX", "FLUX_ERR"))
                good = (np.asarray(rows["QUALITY"]) == 0) & np.isfinite(time)
                if when := raw.extra.get("time"):
                    good &= (time >= when[0]) & (time <= when[1])  # type: ignore[index]
                if not good.any():
                    return
                seen = np.isfinite(flux[good]) & (sigma[good] > 0)
                count = seen.sum(0)
                with np.errstate(divide="ignore", invalid="ignore"):
                    mean = np.where(seen, flux[good], 0).sum(0) / count
                    ivar = np.where(count > 0, count.astype(float) ** 2 / np.where(seen, sigma[good] ** 2, 0).sum(0), 0.0)
                plane = pixels.Plane(np.where(count > 0, mean, np.nan), pixels.wcs_keys(header), ivar)
                got = pixels.image(self, raw, [plane], self.bands, unit="electron / s", time=float(time[good].mean()))
            if got is not None:
                yield target, got
            return

    def _sectors(self, content: bytes, target: str) -> list[int]:
        with formats.reading(self.name, "list of sectors", target):
            return sorted(int(row["sector"]) for row in formats.json_value(content, self.name, target, dict)["results"])


def _nothing(survey: str, content: bytes, target: str) -> bool:
    """Whether MAST says that there is nothing; ArchiveError for what is neither that nor a zip archive."""
    if content.startswith(ZIP):
        return False
    said = formats.json_value(content, survey, target, dict)
    if "msg" not in said or said.get("results"):
        raise ArchiveError(survey, f"the answer is no zip archive: {transport.words(content, 'application/json')}", target)
    return True


def _filter(header: Any, filename: str) -> str:
    """The filter in use: of ACS's two wheels the one that is not clear; else as the file is named."""
    names = [str(header.get(key, "")).strip().upper() for key in ("FILTER", "FILTER1", "FILTER2")]
    for name in names:
        if name.startswith("F") and name[1:4].isdigit():
            return name
    words = str(header.get("ORIG_FLE", filename)).upper().replace(".", "_").split("_")
    named = [word for word in words if len(word) > 3 and word[0] == "F" and word[1:4].isdigit()]
    if not named:
        raise ValueError("neither header nor name says which filter it is")
    return named[-1]


def _microjansky(header: Any) -> float | None:
    """Microjansky of one unit of a pixel; None where the header does not tell."""
    try:
        factor = float(header["PHOTFLAM"]) * float(header["PHOTPLAM"]) ** 2 * PER_RATE
        unit = str(header.get("BUNIT", "electrons/s")).strip().lower()
        if unit in ("electrons", "electron", "e-"):
            factor /= float(header["EXPTIME"])
        elif unit not in ("electrons/s", "electron/s", "electrons/sec", "e-/s"):
            return None
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return factor if np.isfinite(factor) and factor > 0 else None


ROWS: dict[str, HubbleImage | TessImage] = {
    row.name: row
    for row in (
        HubbleImage(
            name="hst/image", url="https://mast.stsci.edu/hapcut/api/v0.1", scale=0.04,
            coverage=Coverage("1 % of the sky, where Hubble's ACS and WFC3 pointed", moc="CDS/P/HST/color"),
        ),
        HubbleImage(
            name="hst/deep_field_image", url="https://mast.stsci.edu/zcut/api/v0.1", scale=0.06, settings={"survey": ""},
            citation=f"{THANKS} CANDELS: Grogin et al. 2011, ApJS 197, 35; Koekemoer et al. 2011, ApJS 197, 36.",
            coverage=Coverage("Hubble's deep fields: CANDELS, GOODS, 3D-HST"),
        ),
        TessImage(),
    )
}  # fmt: skip
