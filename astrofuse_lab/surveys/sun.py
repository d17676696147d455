"""Images of the Sun: SDO/AIA from JSOC over plain HTTPS, SDO/HMI and SOHO/EIT from the Virtual Solar Observatory through sunpy.

Sources: https://jsoc1.stanford.edu/data/aia/synoptic/README.html (level 1.5, 1024 x 1024 pixels, every two minutes; addresses as in sunpy's
net/dataretriever/sources/aia_synopsis.py); https://docs.sunpy.org/en/stable/guide/acquiring_data/fido.html (`Fido.search`, `Fido.fetch` with the attributes
Time, Instrument, Wavelength, Physobs); Thompson 2006, A&A 449, 791 (helioprojective FITS keywords). Pixels are as calibrated by the archive (DN, or gauss for
magnetograms), the whole disk; positions and sizes are not heeded. ``Solar-X`` and ``Solar-Y`` of old EIT files are HPLN-TAN and HPLT-TAN.
"""

import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError, MissingExtraError, TargetError
from astrofuse_lab.modalities import Image, Modality
from astrofuse_lab.surveys import formats, messages
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Target, Targets

JSOC = "https://jsoc1.stanford.edu/data/aia/synoptic"
VSO = "https://vso.stanford.edu"
CADENCE = 120.0  # s
LARGEST_SIDE = 4096
WCS = re.compile(r"(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)[12]|(CD|PC)[12]_[12]|LONPOLE|LATPOLE|WCSAXES")
OBSERVER = ("DSUN_OBS", "HGLN_OBS", "HGLT_OBS", "CRLN_OBS", "CRLT_OBS", "RSUN_REF", "RSUN_OBS", "SOLAR_R", "SOLAR_B0", "HEC_X", "HEC_Y", "HEC_Z", "DATE-OBS")
"""From where the Sun was seen: a helioprojective position means nothing without it."""
DATES = ("DATE-OBS", "DATE_OBS", "T_OBS")
MONTHS = {name: f"{number:02d}" for number, name in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)}  # noqa: SIM905


class Disk:
    """One band: pixels (y, x), NaN where there are none, WCS keywords, MJD and unit."""

    def __init__(self, unit: Any) -> None:
        header = unit.header
        self.values: NDArray[np.float64] = np.asarray(unit.data, dtype=np.float64)
        if self.values.ndim != 2 or not 0 < max(self.values.shape) <= LARGEST_SIDE:
            raise ValueError(f"it has {' x '.join(map(str, self.values.shape))} pixels")
        self.wcs: dict[str, float | int | str] = {
            key: value for key, value in header.items() if (WCS.fullmatch(key) or key in OBSERVER) and isinstance(value, float | int | str)
        }
        for axis, old, new in (("CTYPE1", "x", "HPLN-TAN"), ("CTYPE2", "y", "HPLT-TAN")):
            if str(self.wcs.get(axis, "")).lower() in (f"solar-{old}", f"solar_{old}"):
                self.wcs[axis] = new
        if not str(self.wcs.get("CTYPE1", "")).startswith("HPLN") or not str(self.wcs.get("CTYPE2", "")).startswith("HPLT"):
            raise ValueError(f"its axes are {self.wcs.get('CTYPE1')!r} and {self.wcs.get('CTYPE2')!r}, not helioprojective")
        for key in ("CUNIT1", "CUNIT2"):
            self.wcs.setdefault(key, "arcsec")
        self.scale = abs(float(self.wcs["CDELT1"])) * {"arcsec": 1.0, "deg": 3600.0}[str(self.wcs["CUNIT1"]).strip()]
        if not 0 < self.scale < math.inf:
            raise ValueError(f"its pixels are {self.scale:g} arcsec wide")
        self.unit = str(header.get("BUNIT", "") or "DN").strip()
        self.time = next((when for key in DATES if (when := mjd(str(header.get(key, "") or ""))) is not None), None)
        quality = header.get("QUALITY", 0)
        self.good = not (isinstance(quality, int) and not isinstance(quality, bool) and quality < 0)  # JSOC: bit 31 is "no image"


def mjd(text: str) -> float | None:
    """MJD (UTC) of a date as solar archives write it; None for what is none. TAI where it says so."""
    from astropy.time import Time

    text = text.strip().replace("Z", "")
    old = re.match(r"(\d{1,2})-([A-Z]{3})-(\d{4}|\d{2})(?:[ T](.*))?\Z", text.upper())
    if old and old[2] in MONTHS:
        year = old[3] if len(old[3]) == 4 else ("19" if int(old[3]) > 50 else "20") + old[3]
        text = f"{year}-{MONTHS[old[2]]}-{int(old[1]):02d}" + (f"T{old[4]}" if old[4] else "")
    scale = "tai" if text.endswith("_TAI") else "utc"
    text = re.sub(r"\A(\d{4})[./](\d\d)[./](\d\d)", r"\1-\2-\3", text.removesuffix("_TAI").removesuffix("_UTC")).replace("_", "T").replace(" ", "T")
    if not re.match(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?)?\Z", text):
        return None
    try:
        return float(Time(text, format="isot", scale=scale).utc.mjd)
    except ValueError:
        return None


@dataclass
class SunImages(Archive):
    """What images of the Sun have in common: `read`. A target needs a time; the image nearest to the middle of it is taken."""

    _: KW_ONLY
    gives: type = Image

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The bands of the one target as one image, unless there is none; bands that are missing are masked."""
        target = raw.target_ids[0]
        bands: Sequence[Any] = raw.extra.get("bands", ["?"])  # type: ignore[assignment]
        if not raw.content and bands == []:
            return
        parts = messages.pieces(raw)
        disks: list[Disk | None] = []
        for part in parts:
            if not part:
                disks.append(None)
                continue
            units = formats.fits_hdus(part, self.name, target)
            with formats.reading(self.name, "image of the Sun", target):
                disks.append(Disk(next(unit for unit in units if int(unit.header.get("NAXIS", 0)) >= 2 and unit.is_image)))
        with formats.reading(self.name, "image of the Sun", target):
            first = next((disk for disk in disks if disk is not None), None)
            if first is None:
                raise ValueError("no band has an image")
            if len(disks) != len(bands):
                raise ValueError(f"{len(disks)} images for the bands {bands}")
            for disk in disks:
                if disk is not None and (disk.values.shape != first.values.shape or disk.unit != first.unit):
                    raise ValueError(f"the bands have {disk.values.shape} and {first.values.shape} pixels, in {disk.unit!r} and {first.unit!r}. Ask for one band.")
            planes = np.stack([disk.values if disk is not None else np.full(first.values.shape, np.nan) for disk in disks])
            mask = (np.abs(planes) < np.finfo(np.float32).max) & np.array([disk is not None and disk.good for disk in disks])[:, None, None]
        if mask.any():
            flux = np.where(mask, planes, 0).astype(np.float32)
            names = tuple(str(band) for band in bands)
            yield target, Image(flux, mask, names, first.wcs, first.scale, time=first.time, unit=first.unit, provenance=provenance_of(self, raw))  # type: ignore[arg-type]  # subclasses add query

    def raw(self, target: Target, bands: Mapping[str, bytes], query: str) -> Raw:
        """One target's files, band by band; an empty file for a band that is not there."""
        some = any(bands.values())
        extra: dict[str, object] = {"bands": list(bands) if some else [], "lengths": [len(one) for one in bands.values()] if some else []}
        return Raw(self.name, (target.object_id,), b"".join(bands.values()), query, "application/fits", now(), extra)


@dataclass
class AiaSynoptic(SunImages):
    """Ultraviolet images of the whole disk, 1024 x 1024 pixels, every two minutes."""

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target and band."""
        self.chosen(ask)
        for target in targets:
            when = nearest_minute(target)
            files, places = {}, []
            for band in self.chosen_bands(ask.bands):
                path = f"/{when:%Y/%m/%d}/H{when:%H}00/AIA{when:%Y%m%d}_{when:%H%M}_{int(band):04d}.fits"
                answer = messages.unless_missing(self, path, target=target.object_id)
                files[band] = b"" if answer is None else answer[0]
                places.append(self.url + path)
            yield self.raw(target, files, " ".join(places))


def nearest_minute(target: Target) -> Any:
    """The time of the image nearest to the middle of a target's time: an even minute."""
    from astropy.time import Time

    assert target.time is not None
    middle = sum(target.time) / 2
    if not 50_000 < middle < 100_000:
        raise TargetError(f"target {target.object_id!r}: MJD {middle:g} is no day that SDO saw. Give MJD (UTC).")
    steps = round(middle * 86400 / CADENCE)
    return Time(steps * CADENCE / 86400, format="mjd", scale="utc").to_datetime()


@dataclass
class VsoImages(SunImages):
    """Images that the Virtual Solar Observatory finds, through sunpy.

    Attributes
    ----------
    instrument : str
        As VSO names it.
    physobs : mapping of str to str
        Band to what VSO calls a physical observable, one to an image, the first where none is asked for; empty where bands are wavelengths (Å).
    reach : float
        Minutes on both sides of the middle of a target's time within which an image may lie.
    """

    instrument: str = ""
    physobs: Mapping[str, str] = field(default_factory=dict)
    reach: float = 30.0
    extra: str = "sunpy"

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One search and one download a target and band."""
        self.chosen(ask)
        # observables have units of their own, so that they do not go into one image
        bands = self.bands[:1] if self.physobs and ask.bands is None else self.chosen_bands(ask.bands)
        self.needs_extra()
        for target in targets:
            files = {band: self._file(target, band) for band in bands}
            yield self.raw(target, files, f"{self.url} Fido.search({self.instrument}, {', '.join(bands)}, MJD {target.time})")

    def _file(self, target: Target, band: str) -> bytes:
        """The file nearest in time, as sent; empty where there is none."""
        from astropy import units as u
        from astropy.time import Time

        try:
            from sunpy.net import Fido
            from sunpy.net import attrs as a
        except ImportError as error:  # sunpy without what its clients need
            raise MissingExtraError("sunpy[net]", f"survey {self.name!r}") from error

        assert target.time is not None
        middle = Time(sum(target.time) / 2, format="mjd", scale="utc")
        wanted: Any = a.Physobs(self.physobs[band]) if self.physobs else a.Wavelength(float(band) * u.AA)
        span = a.Time(middle - self.reach * u.min, middle + self.reach * u.min, near=middle)
        try:
            found = Fido.search(span, a.Instrument(self.instrument), wanted)
            if not found.file_num:
                return b""
            with tempfile.TemporaryDirectory() as folder:
                files = Fido.fetch(found[0][:1], path=str(Path(folder) / "{file}"), progress=False, max_conn=1)
                if len(files) != 1:
                    errors = "; ".join(str(one) for one in getattr(files, "errors", []))[:300]
                    raise ArchiveError(self.name, f"the file cannot be downloaded ({errors or 'no reason given'})", target.object_id, transient=True)
                size = Path(files[0]).stat().st_size
                if size > formats.LARGEST:
                    raise ArchiveError(self.name, f"the file has {size} bytes and is refused", target.object_id)
                return Path(files[0]).read_bytes()
        except (OSError, ValueError) as error:
            raise ArchiveError(self.name, f"sunpy could not ask the archive ({type(error).__name__}: {str(error)[:200]})", target.object_id, transient=True) from error


SDO = "Courtesy of NASA/SDO and the {} science team."
ROWS: dict[str, Archive] = {
    row.name: row
    for row in (
        AiaSynoptic(
            name="sdo/aia", url=JSOC, bands=("171", "94", "131", "193", "211", "304", "335", "1600", "4500"), scale=2.4, needs=("time",), threads=2,
            release="level 1.5, 1k synoptic", citation=SDO.format("AIA") + " Cite Lemen et al. 2012, SoPh 275, 17.", licence="public, with credit to NASA/SDO",
            coverage=Coverage("the Sun, May 2010 and later"),
        ),
        VsoImages(
            name="sdo/hmi", url=VSO, bands=("continuum", "magnetogram", "dopplergram"), scale=0.504, needs=("time",), threads=1, instrument="HMI",
            physobs={"continuum": "intensity", "magnetogram": "LOS_magnetic_field", "dopplergram": "LOS_velocity"}, reach=10.0,
            release="level 1.5, 45 s", citation=SDO.format("HMI") + " Cite Scherrer et al. 2012, SoPh 275, 207. This research used sunpy (2020, ApJ 890, 68).",
            licence="public, with credit to NASA/SDO", coverage=Coverage("the Sun, May 2010 and later"),
        ),
        VsoImages(
            name="soho/eit", url=VSO, bands=("195", "171", "284", "304"), scale=2.63, needs=("time",), threads=1, instrument="EIT", reach=360.0,
            release="level 0", licence="public, with credit to ESA and NASA", coverage=Coverage("the Sun, 1996 and later"),
            citation="SOHO is a project of international cooperation between ESA and NASA. Cite Delaboudiniere et al. 1995, SoPh 162, 291. This research used "
            "sunpy (2020, ApJ 890, 68).",
        ),
    )
}  # fmt: skip
