"""SDSS corrected frames, cut about each target and calibrated, with inverse variance.

Sources: frames (https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/frames/RERUN/RUN/CAMCOL/frame.html): bzip2, unit 0 the
sky-subtracted picture in nanomaggies, 1 the calibration (nanomaggies per count, one a column), 2 the sky (``ALLSKY`` with
``XINTERP``, ``YINTERP``). There too, the noise: counts = picture / calibration + sky, variance = counts / gain +
dark variance. Which frame holds a position, gains and dark variances: tables ``PhotoObjAll`` and ``Field`` of the SkyServer
(https://skyserver.sdss.org/dr17/MoreTools/browser), SQL over HTTPS.

A frame is 2048 x 1489 pixels, about 3 MB a band on the way. Only the frame of the target is fetched: beyond its edge there
is nothing.
"""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Image, Modality
from astrofuse_lab.surveys import formats, pixels, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

LARGEST_SIDE = 1489
NEAR = 1.0  # arcmin within which SDSS has seen some object, if it has looked
ERROR = "error_message"  # heads an error of the SQL service, sent with status 200


@dataclass
class SdssImage(Archive):
    """A stamp of the primary frame, one a band, on the grid of the first band asked for.

    Attributes
    ----------
    frames : str
        Address of the frames.
    """

    _: KW_ONLY
    name: str = "sdss/image"
    gives: type = Image
    url: str = "https://skyserver.sdss.org/dr17/SkyServerWS/SearchTools/SqlSearch"
    frames: str = "https://data.sdss.org/sas/dr17/eboss/photoObj/frames"
    citation: str = (
        "Funding for the Sloan Digital Sky Survey IV has been provided by the Alfred P. Sloan Foundation, the U.S. Department of Energy Office of Science, "
        "and the Participating Institutions (full text: https://www.sdss.org/collaboration/citing-sdss/). Cite Abdurro'uf et al. 2022, ApJS 259, 35 and "
        "Gunn et al. 1998, AJ 116, 3040."
    )
    licence: str = "public domain (https://www.sdss.org/collaboration/#image-use); free with the SDSS acknowledgement"
    release: str = "DR17"
    bands: tuple[str, ...] = ("u", "g", "r", "i", "z")
    coverage: Coverage = Coverage("a third of the sky, mostly north", (-27.0, 86.0), moc="CDS/P/SDSS9/g")
    scale: float | None = 0.396

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """Two steps: which frame, then one file a band."""
        self.chosen(ask)
        bands, side = self.chosen_bands(ask.bands), pixels.side_of(self, ask, LARGEST_SIDE)
        for target in targets:
            content, _, address = transport.ask(self, target=target.object_id, params={"cmd": sql(target, bands), "format": "csv"})
            row = self._row(content, bands, target)
            files = [transport.ask(self, self._address(row, band), target=target.object_id)[0] for band in bands] if row else []
            noise = {band: [formats.number(row[f"gain_{band}"]), formats.number(row[f"darkVariance_{band}"])] for band in bands} if row else {}
            yield pixels.pack(
                self, target.object_id, files, address, "application/x-bzip2",
                bands=list(bands) if row else [], noise=noise, ra=target.ra, dec=target.dec, side=side,
            )  # fmt: skip

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The stamp, in microjansky; nothing where SDSS did not look."""
        target = raw.target_ids[0]
        files = pixels.unpack(self.name, raw)
        with formats.reading(self.name, "set of frames", target):
            bands: Any = raw.extra["bands"]
            stamps: list[pixels.Plane] = []
            times: list[float] = []
            for band, content in zip(bands, files, strict=True):
                stamp, time = self._stamp(band, content, raw)
                if stamp is None:
                    raise ArchiveError(self.name, f"band {band}: the frame does not hold the position (RA {raw.extra['ra']}, Dec {raw.extra['dec']})", target)
                stamps.append(stamp)
                times += [] if time is None else [time]
            # the camera scans the bands one after another, five minutes in all
            got = pixels.image(self, raw, stamps, bands, time=float(np.mean(times)) if times else None) if stamps else None
        if got is not None:
            yield target, got

    def _row(self, content: bytes, bands: tuple[str, ...], target: Target) -> dict[str, str | None] | None:
        if ERROR in content[:200].decode("utf-8", "replace").lower():
            raise ArchiveError(self.name, transport.words(content), target.object_id)
        needed = ["run", "rerun", "camcol", "field", *(f"{what}_{band}" for band in bands for what in ("gain", "darkVariance"))]
        rows = formats.csv_table(content, self.name, needed, target.object_id)
        return rows[0] if rows else None

    def _address(self, row: dict[str, str | None], band: str) -> str:
        run, rerun, camcol, field = (int(row[name] or 0) for name in ("run", "rerun", "camcol", "field"))
        return f"{self.frames}/{rerun}/{run}/{camcol}/frame-{band}-{run:06d}-{camcol}-{field:04d}.fits.bz2"

    def _stamp(self, band: str, content: bytes, raw: Raw) -> tuple[pixels.Plane | None, float | None]:
        target = raw.target_ids[0]
        units = pixels.opened(content, self.name, band, target)
        with formats.reading(self.name, f"frame of band {band}", target):
            factor = pixels.MICROJANSKY["nanomaggie"]
            whole, extra = pixels.plane(units[0]), dict[str, Any](raw.extra)
            gain, dark = extra["noise"][band]
            ivar = _ivar(whole.values, units[1].data, units[2].data, gain, dark)
            stamp = pixels.cut(pixels.Plane(whole.values * factor, whole.wcs, ivar / factor**2), extra["ra"], extra["dec"], extra["side"])
            seconds = units[0].header.get("TAI")  # since MJD 0, at the first row
            return stamp, None if seconds is None else float(seconds) / 86400


def sql(target: Target, bands: tuple[str, ...]) -> str:
    """The frame of the primary object nearest to a target, with what its noise is made of."""
    columns = ", ".join(f"f.{what}_{band}" for band in bands for what in ("gain", "darkVariance"))
    return " ".join([  # numbers, and band names of our own table: nothing of a user's text
        f"SELECT f.run, f.rerun, f.camcol, f.field, {columns}",
        f"FROM dbo.fGetNearestObjEq({target.ra:.7f}, {target.dec:.7f}, {NEAR:g}) AS n",
        "JOIN PhotoObjAll AS p ON p.objID = n.objID JOIN Field AS f ON f.fieldID = p.fieldID",
    ])  # fmt: skip


def _ivar(picture: NDArray[np.float64], calibration: Any, sky: Any, gain: float, dark: float) -> NDArray[np.float64]:
    """Inverse variance, per nanomaggie squared, as the data model tells."""
    from scipy.ndimage import map_coordinates

    per_count = np.asarray(calibration, dtype=np.float64)
    coarse = np.asarray(sky["ALLSKY"][0], dtype=np.float64)
    across, up = (np.asarray(sky[name][0], dtype=np.float64) for name in ("XINTERP", "YINTERP"))
    if per_count.shape != picture.shape[1:] or across.shape != picture.shape[1:] or up.shape != picture.shape[:1] or coarse.ndim != 2:
        raise ValueError(f"calibration {per_count.shape} and sky {coarse.shape} do not fit the picture {picture.shape}")
    light = map_coordinates(coarse, np.meshgrid(up, across, indexing="ij"), order=1, mode="nearest")
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = ((picture / per_count + light) / gain + dark) * per_count**2
        return np.where(variance > 0, 1 / variance, 0.0)


IMAGE = SdssImage()
