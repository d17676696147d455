"""LAMOST low-resolution spectra: cone search of the LAMOST archive, then the FITS file of the observation.

Sources: VO services and files of a release, https://www.lamost.org/dr10/v2.0/doc (cone search ``voservice/conesearch?ra=&dec=&sr=`` in degrees,
``spectrum/fits/<obsid>``; also in fandongwei/pylamost, written at the LAMOST data centre); file layout,
https://www.lamost.org/dr10/v2.0/doc/lr-data-production-description: until DR7 an image of flux, inverse variance, wavelength, andmask and ormask,
since DR8 a table of the same. Wavelengths are in vacuum. The flux calibration is relative: shapes are right, levels are not.
Columns of the cone search carry the catalogue's name as a prefix in some releases (``catalogue_obsid``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.positions import separation_arcsec
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.spectrum_archive import Answer, Choice, Product, SpectrumArchive
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Targets

if TYPE_CHECKING:
    from astropy.table import Table


@dataclass
class LamostSpectra(SpectrumArchive):
    """The LAMOST spectrum nearest to each target; of repeated observations the one with the best signal-to-noise in g (``snrg``)."""

    def search(self, targets: Targets, ask: Ask, given: Choice) -> Iterator[tuple[Targets, Answer]]:
        """One cone search a target: the service takes one position at a time."""
        place = "/" + (ask.release or self.release).lower().replace(" ", "/")
        for index, target in enumerate(targets):
            name = target.object_id
            parameters = {"ra": f"{target.ra:.7f}", "dec": f"{target.dec:.7f}", "sr": f"{ask.radius / 3600:.8f}"}
            content, media_type, address = transport.ask(self, place + "/voservice/conesearch", target=name, params=parameters)
            table = formats.votable(content, self.name, target=name)
            if formats.votable_status(content) == "OVERFLOW":
                raise ArchiveError(self.name, "the archive cut its list of spectra. Give a smaller radius.", name)
            products = {}
            if len(table):
                with formats.reading(self.name, "list of spectra", name):
                    ra, dec, obsid = (np.ma.filled(np.ma.asarray(table[column(table, c)]), 0) for c in ("ra", "dec", "obsid"))
                    away = separation_arcsec(target.ra, target.dec, ra.astype(np.float64), dec.astype(np.float64))
                    signal = np.nan_to_num(np.ma.filled(np.ma.asarray(table[column(table, "snrg")], dtype=np.float64), 0.0))
                    # fibres of repeated observations of one star lie within a second of arc
                    inside = [int(i) for i in np.lexsort((-signal, np.round(away))) if away[i] <= ask.radius]
                    if inside:
                        products[name] = Product(f"{self.url}{place}/spectrum/fits/{int(obsid[inside[0]])}", {"obsid": str(int(obsid[inside[0]]))})
            yield targets[index : index + 1], Answer(content, media_type, address, products)


def column(table: "Table", wanted: str) -> str:
    """The column of this name, with or without the catalogue's name before it; ValueError where there is none."""
    names: Sequence[str] = table.colnames
    for test in (lambda n: n == wanted, lambda n: n.endswith("_" + wanted)):
        for name in names:
            if test(name.lower()):
                return name
    raise ValueError(f"no column {wanted!r} among {', '.join(names[:12])}")


SPECTRUM = LamostSpectra(
    name="lamost/spectrum", url="https://www.lamost.org", release="DR10 v2.0", releases=("DR11 v2.0", "DR9 v2.0", "DR8 v2.0"), wavelengths=(3700.0, 9100.0),
    coverage=Coverage("north of -10 deg, densest towards the galactic anticentre", (-10.0, 90.0)), batch=1, threads=2,
    citation=(
        "Guoshoujing Telescope (the Large Sky Area Multi-Object Fiber Spectroscopic Telescope, LAMOST) is a National Major Scientific Project built by the Chinese "
        "Academy of Sciences. Funding for the project has been provided by the National Development and Reform Commission. LAMOST is operated and managed by the "
        "National Astronomical Observatories, Chinese Academy of Sciences. Cite Cui et al. 2012, RAA 12, 1197 and Zhao et al. 2012, RAA 12, 723."
    ),
    licence="public release, with the LAMOST acknowledgement; newer releases are for members until they are public",
)  # fmt: skip
