"""Gaia DR3 catalogue rows from ESA's archive, by TAP (pyvo), many positions to a query.

Source: table ``gaiadr3.gaia_source``, Gaia DR3 documentation, section 20.1.1
(https://gea.esac.esa.int/archive/documentation/GDR3/Gaia_archive/chap_datamodel/sec_dm_main_source_catalogue/ssec_dm_gaia_source.html);
TAP 1.1 (https://www.ivoa.net/documents/TAP/20190927/). Positions are at epoch J2016.0.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.surveys import transport
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import GAIA_EPOCH, Target, Targets

if TYPE_CHECKING:
    from astropy.table import Table

URL = "https://gea.esac.esa.int/tap-server/tap"
MAXREC = 20_000

# column: unit, role. What Gaia says an object is (candidates, class probabilities, variability) is no input:
# it would hand a classifier somebody else's answer. Positions are none either.
COLUMNS: dict[str, tuple[str, str]] = {
    "source_id": ("", "id"),
    "ra": ("deg", "other"), "dec": ("deg", "other"),
    "parallax": ("mas", "input"), "parallax_error": ("mas", "input"),
    "pmra": ("mas / yr", "input"), "pmra_error": ("mas / yr", "input"),
    "pmdec": ("mas / yr", "input"), "pmdec_error": ("mas / yr", "input"),
    "ruwe": ("", "input"), "astrometric_excess_noise": ("mas", "input"), "astrometric_excess_noise_sig": ("", "input"),
    "phot_g_mean_mag": ("mag", "input"), "phot_bp_mean_mag": ("mag", "input"), "phot_rp_mean_mag": ("mag", "input"),
    "phot_g_mean_flux_over_error": ("", "input"), "phot_bp_mean_flux_over_error": ("", "input"), "phot_rp_mean_flux_over_error": ("", "input"),
    "bp_rp": ("mag", "input"), "phot_bp_rp_excess_factor": ("", "input"),
    "radial_velocity": ("km / s", "input"), "radial_velocity_error": ("km / s", "input"),
    "teff_gspphot": ("K", "input"), "logg_gspphot": ("dex(cm / s2)", "input"), "mh_gspphot": ("dex", "input"),
    "distance_gspphot": ("pc", "input"), "ag_gspphot": ("mag", "input"),
    "phot_variable_flag": ("", "other"), "non_single_star": ("", "other"),
    "in_qso_candidates": ("", "other"), "in_galaxy_candidates": ("", "other"),
    "classprob_dsc_combmod_quasar": ("", "other"), "classprob_dsc_combmod_galaxy": ("", "other"), "classprob_dsc_combmod_star": ("", "other"),
}  # fmt: skip
UNITS = {**{name: unit for name, (unit, _) in COLUMNS.items() if unit}, "match_distance": "arcsec"}
ROLES = {**{name: role for name, (_, role) in COLUMNS.items() if role != "input"}, "match_distance": "other", "match_count": "other"}


@dataclass
class GaiaTable:
    """The Gaia DR3 source nearest to each target.

    Besides the archive's columns a row has ``match_distance`` (arcsec) and ``match_count``, the number of Gaia
    sources within the match radius: above 1 the match is ambiguous.

    Attributes
    ----------
    url : str
        A TAP service that has ``gaiadr3.gaia_source`` and takes uploads.
    timeout : float
        Seconds without a byte after which an answer is given up.
    """

    url: str = URL
    timeout: float = transport.SILENCE
    name: str = "gaia/table"
    gives: type = TableRow
    bands: tuple[str, ...] = ()
    release: str = "Gaia DR3"
    citation: str = (
        "This work has made use of data from the European Space Agency (ESA) mission Gaia (https://www.cosmos.esa.int/gaia), processed by the "
        "Gaia Data Processing and Analysis Consortium (DPAC, https://www.cosmos.esa.int/web/gaia/dpac/consortium). Funding for the DPAC has been "
        "provided by national institutions, in particular the institutions participating in the Gaia Multilateral Agreement. "
        "Cite Gaia Collaboration, Prusti et al. 2016, A&A 595, A1 and Gaia Collaboration, Vallenari et al. 2023, A&A 674, A1."
    )
    licence: str = "open and free to use with credit to ESA/Gaia/DPAC"
    simulated: bool = False
    batch: int = 500

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One TAP query for all targets; in halves where the archive's row limit cuts the answer."""
        from astropy.table import Table

        transport.check(self, ask)
        moved = targets.at(GAIA_EPOCH)
        upload = Table({"target_row": np.arange(len(moved), dtype=np.int32), "ra": moved.ra, "dec": moved.dec})
        adql = match_adql(ask.radius)
        raw = Raw(
            self.name, targets.ids, self._run(adql, {"targets": upload}), f"{self.url} {adql}",
            "application/x-votable+xml", now(), {"radius": ask.radius},
        )  # fmt: skip
        if not _overflows(raw.content):
            yield raw
            return
        if len(targets) == 1:
            raise ArchiveError(
                self.name, f"more than {MAXREC} sources lie within {ask.radius:g} arcsec, so the nearest may be missing. Give a smaller radius.", targets.ids[0]
            )
        middle = len(targets) // 2
        yield from self.query(targets[:middle], ask)
        yield from self.query(targets[middle:], ask)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The nearest source of each target that has one."""
        table = self._table(raw.content, ("target_row", "match_distance", *COLUMNS))
        rows = np.ma.filled(np.ma.asarray(table["target_row"]), -1).astype(int)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(raw.target_ids)):
            raise ArchiveError(self.name, f"the archive answered about row {rows.max()} of {len(raw.target_ids)} targets")
        distance: NDArray[np.float64] = np.asarray(np.ma.filled(np.ma.asarray(table["match_distance"], dtype=float), np.inf))
        order = np.lexsort((distance, rows))
        origin = provenance_of(self, raw)
        for place, first, count in zip(*np.unique(rows[order], return_index=True, return_counts=True), strict=True):
            row = table[int(order[first])]
            values = {name: _value(row[name]) for name in COLUMNS}
            # 19 digits do not fit a float, and some tools make floats of integers
            values["source_id"] = str(values["source_id"])
            values["match_distance"], values["match_count"] = _value(row["match_distance"]), int(count)
            yield raw.target_ids[int(place)], TableRow(values, UNITS, ROLES, origin)

    def objects_in(self, ra: float, dec: float, radius: float, n: int) -> Targets:
        """At most `n` sources within `radius` (deg) of a position, a random but fixed choice where there are more."""
        adql = (
            f"SELECT TOP {int(n)} designation, ra, dec, pmra, pmdec FROM gaiadr3.gaia_source "  # noqa: S608, numbers only
            f"WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', {ra!r}, {dec!r}, {radius!r})) ORDER BY random_index"
        )
        table = self._table(self._run(adql), ("designation", "ra", "dec", "pmra", "pmdec"))
        return Targets(
            Target(str(row["designation"]), float(row["ra"]), float(row["dec"]), GAIA_EPOCH, _value(row["pmra"]) or 0.0, _value(row["pmdec"]) or 0.0)
            for row in table
        )

    def _run(self, adql: str, uploads: dict[str, "Table"] | None = None) -> bytes:
        """The VOTable that answers a query, as sent."""
        from pyvo.dal import TAPQuery

        with transport.connection(self.name):
            request = TAPQuery(self.url, adql, maxrec=MAXREC, uploads=uploads, session=transport.session(self.timeout))
            content = transport.body(request.submit(), self.name)
        if re.search(rb"<INFO\b(?=[^>]*QUERY_STATUS)[^>]*value=[\"']ERROR", content, re.IGNORECASE):
            raise ArchiveError(self.name, transport.words(content))
        return content

    def _table(self, content: bytes, needed: Sequence[str]) -> "Table":
        """A VOTable parsed; ArchiveError if it is none, is cut short or lacks columns."""
        from astropy.io.votable import parse_single_table

        try:
            table = parse_single_table(io.BytesIO(content), verify="ignore").to_table(use_names_over_ids=True)
        except Exception as error:  # the parser raises whatever its XML and binary readers do
            raise ArchiveError(self.name, f"the answer is no complete VOTable ({type(error).__name__}: {error})") from error
        lacking = [name for name in needed if name not in table.colnames]
        if lacking:
            raise ArchiveError(self.name, f"the answer lacks the columns {', '.join(lacking)}")
        return table


def match_adql(radius: float) -> str:
    """ADQL that matches the uploaded ``tap_upload.targets`` (target_row, ra, dec) within `radius` arcsec."""
    columns = ", ".join(f"g.{name}" for name in COLUMNS)
    return (
        "SELECT t.target_row, 3600 * DISTANCE(POINT('ICRS', t.ra, t.dec), POINT('ICRS', g.ra, g.dec)) AS match_distance, "  # noqa: S608, numbers only
        f"{columns} FROM tap_upload.targets AS t JOIN gaiadr3.gaia_source AS g "
        f"ON 1 = CONTAINS(POINT('ICRS', g.ra, g.dec), CIRCLE('ICRS', t.ra, t.dec, {radius / 3600!r}))"
    )


def _overflows(content: bytes) -> bool:
    """Whether the service cut the answer at its row limit (DALI 1.1, section 4.4.1)."""
    return re.search(rb"<INFO\b(?=[^>]*QUERY_STATUS)[^>]*value=[\"']OVERFLOW", content, re.IGNORECASE) is not None


def _value(cell: Any) -> Any:
    """A plain Python value, None where the archive has none."""
    if np.ma.is_masked(cell):
        return None
    value = cell.item() if hasattr(cell, "item") else cell
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return None if isinstance(value, float) and not np.isfinite(value) else value


TABLE = GaiaTable()


def objects_in(ra: float, dec: float, radius: float, n: int) -> Targets:
    """`GaiaTable.objects_in` of ESA's archive; what ``Targets.from_region(..., survey="gaia/table")`` calls."""
    return TABLE.objects_in(ra, dec, radius, n)
