"""Images of the Zwicky Transient Facility from IRSA: single exposures and reference coadds, cut and calibrated.

Sources: https://irsa.ipac.caltech.edu/docs/program_interface/ztf_api.html (search: ``POS``, ``WHERE``, ``ct=csv``),
https://irsa.ipac.caltech.edu/docs/program_interface/ztf_metadata.html (columns; how a file's address follows from them) and
the IBE (https://irsa.ipac.caltech.edu/ibe/cutouts.html: ``?center=ra,dec&size=20arcsec&gzip=false``); ZTF Science Data
System explanatory supplement (https://irsa.ipac.caltech.edu/data/ZTF/docs/ztf_explanatory_supplement.pdf): magnitude =
MAGZP - 2.5 log10(DN), AB, calibrated to Pan-STARRS1; ``obsjd`` is the start of the exposure; mask bits 6141 spoil a pixel;
bit 25 of ``infobits`` marks an exposure as bad. Exposures hold the sky's light, which is not taken off here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Image, Modality
from astrofuse_lab.surveys import formats, pixels, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

JD_TO_MJD = 2400000.5
SPOILED = 6141
BAD = 1 << 25
PUBLIC = "ipac_gid=1"
LARGEST_SIDE = 3000
TRIES = 4  # files that the metadata name and the archive does not have, before it is called a failure
CHOICES = ("deepest", "first", "last")
CITATION = (
    "Based on observations obtained with the Samuel Oschin Telescope 48-inch and the 60-inch Telescope at the Palomar Observatory as part of the Zwicky "
    "Transient Facility project, supported by the National Science Foundation under Grants AST-1440341 and AST-2034437. "
    "Cite Bellm et al. 2019, PASP 131, 018002 and Masci et al. 2019, PASP 131, 018003."
)


@dataclass
class ZtfImage(Archive):
    """One public image a target and band.

    Attributes
    ----------
    product : str
        ``sci``: one exposure within ``time=``, the deepest good one unless ``options={"choose": "first"}`` or ``"last"``;
        ``ref``: the reference coadd, with inverse variance.
    """

    _: KW_ONLY
    product: str
    gives: type = Image
    url: str = "https://irsa.ipac.caltech.edu/ibe"
    citation: str = CITATION
    licence: str = "public data, free to use with the ZTF acknowledgement"
    release: str = "public data releases"
    bands: tuple[str, ...] = ("g", "r", "i")
    coverage: Coverage = Coverage("north of -31 deg", (-31.0, 90.0), moc="CDS/P/ZTF/DR7/color")
    scale: float | None = 1.012
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """A search a target, then two cutouts a band: the image with its mask (exposures) or uncertainty (references)."""
        choose = str(self.chosen(ask).get("choose", "deepest"))
        if choose not in CHOICES:
            raise InputError(f"{self.name}: choose={choose!r} is none of {', '.join(CHOICES)}.")
        bands, _ = self.chosen_bands(ask.bands), pixels.side_of(self, ask, LARGEST_SIDE)
        for target in targets:
            when = target.time or ask.time
            rows, address = self._search(target, bands, when)
            got: list[tuple[str, dict[str, str | None], list[bytes]]] = []
            for band in bands:
                mine = _ordered([row for row in rows if row["filtercode"] == f"z{band}"], choose)
                files = self._files(mine, target, ask.size)
                got += [(band, *files)] if files else []
            exposures = [_middle(row) for _, row, _ in got] if self.product == "sci" else []
            yield pixels.pack(
                self, target.object_id, [file for _, _, files in got for file in files], address,
                bands=[band for band, _, _ in got], times=exposures, seeing=[formats.number(row.get("seeing")) for _, row, _ in got],
            )  # fmt: skip

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The image, in microjansky; nothing where ZTF has no public one."""
        target = raw.target_ids[0]
        files = pixels.unpack(self.name, raw)
        with formats.reading(self.name, "set of cutouts", target):
            bands: Any = raw.extra["bands"]
            times: Any = raw.extra.get("times") or []
            seeing: Any = raw.extra.get("seeing") or [None]
            if len(files) != 2 * len(bands):
                raise ValueError(f"{len(files)} files for {len(bands)} bands")
            planes = [self._plane(band, files[2 * i], files[2 * i + 1], target) for i, band in enumerate(bands)]
            # exposures of different nights have no one time
            time = float(np.mean(times)) if times and max(times) - min(times) < 1 else None
            psf = [float(v) for v in seeing] if None not in seeing else None
            got = pixels.image(self, raw, planes, bands, time=time, psf=psf) if planes else None
        if got is not None:
            yield target, got

    def _search(self, target: Target, bands: tuple[str, ...], when: tuple[float, float] | None) -> tuple[list[dict[str, str | None]], str]:
        codes = ",".join(f"'z{band}'" for band in bands)
        where = f"filtercode IN ({codes})"
        if self.product == "sci":
            where = f"{PUBLIC} AND {where}"
            if when is not None:
                where += f" AND obsjd BETWEEN {when[0] + JD_TO_MJD:.6f} AND {when[1] + JD_TO_MJD:.6f}"
        content, _, address = transport.ask(
            self, f"/search/ztf/products/{self.product}", target=target.object_id, params={"POS": f"{target.ra:.7f},{target.dec:.7f}", "WHERE": where, "ct": "csv"}
        )
        needed = ("field", "ccdid", "qid", "filtercode") + (("filefracday", "imgtypecode", "obsjd", "exptime", "infobits", "maglimit") if self.product == "sci" else ())
        return formats.csv_table(content, self.name, needed, target.object_id), address

    def _files(self, rows: list[dict[str, str | None]], target: Target, size: float) -> tuple[dict[str, str | None], list[bytes]] | None:
        """The first of these images that the archive has, and its companion."""
        params = {"center": f"{target.ra:.7f},{target.dec:.7f}", "size": f"{size:g}arcsec", "gzip": "false"}
        for number, row in enumerate(rows[:TRIES], 1):
            with formats.reading(self.name, "table of ZTF images", target.object_id):
                names = address_of(row, self.product)
            try:
                return row, [transport.ask(self, name, target=target.object_id, params=params)[0] for name in names]
            except ArchiveError as error:
                # some rows have no file
                if "HTTP 404" not in str(error) or number == min(TRIES, len(rows)):
                    raise
        return None

    def _plane(self, band: str, content: bytes, companion: bytes, target: str) -> pixels.Plane:
        unit, other = (pixels.opened(file, self.name, band, target)[0] for file in (content, companion))
        with formats.reading(self.name, f"image of band {band}", target):
            if "MAGZP" not in unit.header:
                raise ArchiveError(self.name, f"band {band}: the header has no MAGZP, so that the zero point is unknown", target)
            factor = 10 ** ((23.9 - float(unit.header["MAGZP"])) / 2.5)
            got = pixels.plane(unit, factor)
            if self.product == "sci":
                bits = np.asarray(other.data).astype(np.int64)
                return got._replace(values=np.where(bits & SPOILED, np.nan, got.values))
            sigma = pixels.plane(other, factor).values
            with np.errstate(divide="ignore"):
                return got._replace(ivar=np.where(sigma > 0, sigma**-2.0, 0.0))


def _ordered(rows: list[dict[str, str | None]], choose: str) -> list[dict[str, str | None]]:
    """Good images, the one wanted first. References come as they are listed, those with a limit the deepest first."""
    good = [row for row in rows if not int(row.get("infobits") or 0) & BAD]
    if choose == "deepest":
        return sorted(good, key=lambda row: -(formats.number(row.get("maglimit")) or 0.0))
    return sorted(good, key=lambda row: formats.number(row.get("obsjd")) or 0.0, reverse=choose == "last")


def _middle(row: Mapping[str, str | None]) -> float:
    """MJD of the middle of an exposure."""
    return (formats.number(row["obsjd"]) or 0.0) - JD_TO_MJD + (formats.number(row["exptime"]) or 0.0) / 2 / 86400


def address_of(row: Mapping[str, str | None], product: str) -> tuple[str, str]:
    """Where an image and its companion lie, by the rules of ztf_metadata.html."""
    area, chip, quadrant, code = f"{int(row['field'] or ''):06d}", f"{int(row['ccdid'] or ''):02d}", int(row["qid"] or ""), str(row["filtercode"])
    if product == "ref":
        place = f"/data/ztf/products/ref/{area[:3]}/field{area}/{code}/ccd{chip}/q{quadrant}/ztf_{area}_{code}_c{chip}_q{quadrant}_"
        return place + "refimg.fits", place + "refunc.fits"
    day = str(int(row["filefracday"] or ""))
    place = f"/data/ztf/products/sci/{day[:4]}/{day[4:8]}/{day[8:]}/ztf_{day}_{area}_{code}_c{chip}_{row['imgtypecode']}_q{quadrant}_"
    return place + "sciimg.fits", place + "mskimg.fits"


ROWS: dict[str, ZtfImage] = {
    row.name: row
    for row in (ZtfImage(name="ztf/image", product="sci", settings={"choose": "deepest"}), ZtfImage(name="ztf/reference_image", product="ref"))
}
