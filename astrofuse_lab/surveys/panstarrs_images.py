"""Cutouts of Pan-STARRS1 3pi stacks from STScI, calibrated.

Source: https://outerspace.stsci.edu/display/PANSTARRS/PS1+Image+Cutout+Service: ``ps1filenames.py?ra=&dec=&filters=&type=``
lists the files of the sky cell that holds a position, as words in columns (projcell subcell ra dec filter mjd type filename
shortname badflag); ``fitscut.cgi?ra=&dec=&size=&format=fits&red=<filename>`` cuts one of them, 0.25 arcsec a pixel.

Stacks are stored as asinh magnitudes: counts = BOFFSET + BSOFTEN (exp(x) - exp(-x)) with x = pixel ln(10) / 2.5, and
AB magnitude = 25 + 2.5 log10(EXPTIME) - 2.5 log10(counts)
(https://outerspace.stsci.edu/display/PANSTARRS/PS1+Stack+images; Waters et al. 2020, ApJS 251, 4). Where the header has no
BSOFTEN the pixels are counts already. ``type=stack.wt`` is the variance, stored likewise.
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
from astrofuse_lab.targets import Target, Targets

LARGEST_SIDE = 6000
COLUMNS = ("filter", "type", "filename")
ZERO_POINT = 10 ** ((23.9 - 25.0) / 2.5)  # microjansky of one count a second at magnitude 25


@dataclass
class PanstarrsImage(Archive):
    """Stacks about each target, one a band; with ``options={"variance": True}`` their variance too, at twice the requests.

    One sky cell is cut: near its edge a cutout is smaller than asked for.
    """

    _: KW_ONLY
    name: str = "panstarrs/image"
    gives: type = Image
    url: str = "https://ps1images.stsci.edu"
    citation: str = (
        "The Pan-STARRS1 Surveys (PS1) and the PS1 public science archive have been made possible through contributions by the Institute for Astronomy, "
        "the University of Hawaii and partners (full text: https://panstarrs.stsci.edu/). Cite Chambers et al. 2016, arXiv:1612.05560 and "
        "Waters et al. 2020, ApJS 251, 4."
    )
    licence: str = "free to use with the Pan-STARRS1 acknowledgement"
    release: str = "DR2"
    bands: tuple[str, ...] = ("g", "r", "i", "z", "y")
    coverage: Coverage = Coverage("north of -30 deg", (-30.0, 90.0), moc="CDS/P/PanSTARRS/DR1/color-z-zg-g")
    scale: float | None = 0.25
    settings: Mapping[str, float | int | str | bool] = field(default_factory=lambda: {"variance": False})

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """Two steps: the files of the sky cell, then one cutout a band (two with variance)."""
        kinds = ("stack", "stack.wt") if self.chosen(ask)["variance"] else ("stack",)
        bands, side = self.chosen_bands(ask.bands), pixels.side_of(self, ask, LARGEST_SIDE)
        for target in targets:
            here = {"ra": f"{target.ra:.7f}", "dec": f"{target.dec:.7f}"}
            listed, _, address = transport.ask(
                self, "/cgi-bin/ps1filenames.py", target=target.object_id, params={**here, "filters": "".join(bands), "type": ",".join(kinds)}
            )
            files = self._listed(listed, target)
            found = [band for band in bands if all((band, kind) in files for kind in kinds)]
            cutouts = [
                transport.ask(
                    self, "/cgi-bin/fitscut.cgi", target=target.object_id, params={**here, "size": side, "format": "fits", "red": files[band, kind]}
                )[0]
                for band in found for kind in kinds
            ]  # fmt: skip
            yield pixels.pack(self, target.object_id, cutouts, address, bands=found, kinds=list(kinds))

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The image, in microjansky; nothing where Pan-STARRS did not look."""
        target = raw.target_ids[0]
        files = pixels.unpack(self.name, raw)
        with formats.reading(self.name, "set of cutouts", target):
            bands: Any = raw.extra["bands"]
            kinds: Any = raw.extra.get("kinds", ["stack"])
            if len(files) != len(bands) * len(kinds):
                raise ValueError(f"{len(files)} files for {len(bands)} bands")
            planes = [self._plane(band, files[i * len(kinds) : (i + 1) * len(kinds)], target) for i, band in enumerate(bands)]
            got = pixels.image(self, raw, planes, bands) if planes else None
        if got is not None:
            yield target, got

    def _listed(self, content: bytes, target: Target) -> dict[tuple[str, str], str]:
        """Filename of each filter and type; none where the survey did not look. An overlapping cell's second file is passed over."""
        files: dict[tuple[str, str], str] = {}
        with formats.reading(self.name, "list of Pan-STARRS files", target.object_id):
            lines = [line.split() for line in content.decode("ascii").splitlines() if line.strip()]
            head = {name: lines[0].index(name) for name in COLUMNS}
            for line in lines[1:]:
                band, kind, filename = (line[head[name]] for name in COLUMNS)
                files.setdefault((band, kind), filename)
        return files

    def _plane(self, band: str, files: list[bytes], target: str) -> pixels.Plane:
        units = [pixels.opened(content, self.name, band, target)[0] for content in files]
        with formats.reading(self.name, f"image of band {band}", target):
            exposure = float(units[0].header.get("EXPTIME", 0.0))
            if not exposure > 0:
                raise ArchiveError(self.name, f"band {band}: the header has no EXPTIME, so that the zero point is unknown", target)
            stack, *more = (_linear(unit) for unit in units)
            factor = ZERO_POINT / exposure
            if not more:
                return stack._replace(values=stack.values * factor)
            variance = more[0].values * factor**2
            with np.errstate(divide="ignore"):
                ivar = np.where(variance > 0, 1 / variance, 0.0)
            return pixels.Plane(stack.values * factor, stack.wcs, ivar)


def _linear(unit: Any) -> pixels.Plane:
    """Counts of a unit that may be in asinh magnitudes."""
    got = pixels.plane(unit)
    if "BSOFTEN" not in unit.header:
        return got
    with np.errstate(over="ignore"):
        counts = float(unit.header["BOFFSET"]) + float(unit.header["BSOFTEN"]) * 2 * np.sinh(got.values * np.log(10) / 2.5)
    return got._replace(values=np.where(np.isfinite(counts), counts, np.nan))


IMAGE = PanstarrsImage()
