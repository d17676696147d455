"""ESO: reduced one-dimensional spectra of the Science Archive (Phase 3), found by TAP, in the ESO science data product format.

Sources: programmatic access, https://archive.eso.org/programmatic/ (TAP service ``https://archive.eso.org/tap_obs``, table ``ivoa.ObsCore`` with
``dp_id``, ``obs_release_date``, ``snr``, ``em_res_power``; files at ``https://dataportal.eso.org/dataPortal/file/<dp_id>``, as in astroquery/eso/core.py);
file layout, https://archive.eso.org/cms/eso-data/help/1dspectra.html (see `spectrum_files`). The service takes no anonymous uploads, and boxes are
far faster there than circles, so the positions stand in the query.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from astrofuse_lab.errors import InputError
from astrofuse_lab.surveys import formats
from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.spectrum_archive import Answer, Choice, Product, SpectrumArchive
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import Targets

COLLECTIONS = ("", "XSHOOTER", "UVES", "HARPS", "FEROS", "GIRAFFE", "ESPRESSO", "CRIRESplus")
"""Values of obs_collection with one-dimensional spectra from ESO's own pipelines; empty: these and those of the survey teams."""
COLUMNS = {"dp_id": ("", "id"), "obs_collection": ("", "other"), "t_min": ("d", "other"), "t_max": ("d", "other"), "snr": ("", "other")}


@dataclass
class EsoSpectra(SpectrumArchive):
    """The public reduced spectrum with the best signal-to-noise within the radius of each target.

    Attributes
    ----------
    url : str
        The TAP service.
    files : str
        Where files lie, by dp_id.
    """

    files: str = "https://dataportal.eso.org/dataPortal/file/"

    def search(self, targets: Targets, ask: Ask, given: Choice) -> Iterator[tuple[Targets, Answer]]:
        """One TAP query for all targets, in halves where the answer is cut."""
        catalogue = self.catalogue(str(given["collection"]), ask.time)
        for listed in catalogue.query(targets, ask._replace(options={}, bands=None, release=None)):
            table = catalogue.parsed(listed, list(COLUMNS))
            products = {}
            for target, rows, _ in catalogue.matched(table, listed):
                with formats.reading(self.name, "list of spectra", target):
                    signal = np.nan_to_num(np.ma.filled(np.ma.asarray(table["snr"][rows], dtype=np.float64), 0.0))
                    best = table[int(rows[int(np.argmax(signal))])]  # the nearest of equally good ones
                    name = str(formats.plain(best["dp_id"]))
                    if not name.replace(".", "").replace(":", "").replace("-", "").replace("_", "").isalnum():
                        raise ValueError(f"dp_id is {name[:40]!r}")
                    products[target] = Product(self.files + name, {"collection": str(formats.plain(best["obs_collection"]))})
            yield targets.select(listed.target_ids), Answer(listed.content, listed.media_type, listed.query, products)

    def catalogue(self, collection: str, time: tuple[float, float] | None) -> TapTable:
        """The list of public spectra."""
        if collection not in COLLECTIONS:
            raise InputError(f"{self.name} has no collection {collection!r}. It has {', '.join(COLLECTIONS[1:])}; empty for all.")
        where = ["c.dataproduct_type = 'spectrum'", f"c.obs_release_date <= '{datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}'"]
        where += [f"c.obs_collection = '{collection}'"] if collection else []
        where += [f"c.t_max >= {float(time[0])!r}", f"c.t_min <= {float(time[1])!r}"] if time else []
        return TapTable(
            name=self.name, url=self.url, table="ivoa.ObsCore", columns=COLUMNS, ra="s_ra", dec="s_dec", epoch=self.epoch, uploads=False, geometry="box",
            where=" AND ".join(where), release=self.release, citation=self.citation, licence=self.licence, timeout=self.timeout, batch=self.batch,
        )  # fmt: skip


SPECTRUM = EsoSpectra(
    name="eso/spectrum", url="https://archive.eso.org/tap_obs", release="ESO Phase 3", wavelengths=(3000.0, 25000.0), timeout=150.0, epoch=2012.0, batch=20, threads=2,
    coverage=Coverage("single pointings of telescopes at La Silla and Paranal", (-90.0, 50.0)), settings={"collection": ""},
    citation=(
        "Based on data obtained from the ESO Science Archive Facility, with the DOI of the data collection (https://archive.eso.org/cms/eso-data-access-policy.html, "
        "https://doi.org/10.18727/archive/...) and the programme ID of the observation, which is in the file."
    ),
    licence="CC-BY-4.0",
)  # fmt: skip
