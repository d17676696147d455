"""Gaia DR3 spectra (XP and RVS) and epoch photometry, through DataLink.

Sources: products and their columns, https://www.cosmos.esa.int/web/gaia-users/archive/datalink-products; requests, astroquery/gaia/core.py
(``load_data``); XP sampled mean spectra, wavelength in nm, flux in W / m2 / nm
(https://gea.esac.esa.int/archive/documentation/GDR3/Gaia_archive/chap_datamodel/sec_dm_spectroscopic_tables/ssec_dm_xp_sampled_mean_spectrum.html);
RVS, normalised to the continuum, wavelength in nm in vacuum, 846 to 870 nm, in the star's rest frame, R = 11,500 (same, ssec_dm_rvs_mean_spectrum;
Cropper et al. 2018, A&A 616, A5); epoch photometry, time in barycentric JD (TCB) - 2455197.5, flux in electrons per second
(Evans et al. 2023, A&A 674, A4, table 1); AB zero points 25.8010 (G), 25.3540 (BP), 25.1040 (RP)
(Riello et al. 2021, A&A 649, A3, file zeropt.dat at the CDS; https://www.cosmos.esa.int/web/gaia/edr3-passbands).

Most sources with XP data have them as coefficients only (XP_CONTINUOUS, 220 million; sampled 34 million): sampling those takes GaiaXPy and is not done here.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import LightCurve, Modality, Spectrum, TableRow
from astrofuse_lab.surveys import formats, gaia, transport
from astrofuse_lab.surveys.archive import Archive
from astrofuse_lab.surveys.spectrum_files import read_spectrum
from astrofuse_lab.surveys.spectrum_units import Pixels, spectrum_of
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import GAIA_EPOCH, Targets

if TYPE_CHECKING:
    from astropy.table import Table

URL = "https://gea.esac.esa.int"
LARGEST = 256 * 1024**2
"""Bytes that one answer may unpack to."""
ZERO_POINTS = {"G": 25.8010, "BP": 25.3540, "RP": 25.1040}
"""AB magnitude of one electron per second."""
TIME_ORIGIN = 55197.0
"""MJD of JD 2455197.5, the origin of Gaia's times."""
RVS_RESOLUTION = 11_500.0


@dataclass
class GaiaProducts(Archive):
    """One DataLink product of the Gaia source nearest to each target.

    Attributes
    ----------
    url : str
        Of ESA's archive: ``/tap-server/tap/sync`` and ``/data-server/data`` are asked.
    product : str
        RETRIEVAL_TYPE.
    flag : str
        Column of gaia_source that says whether a source has it.
    """

    _: KW_ONLY
    product: str
    flag: str

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One TAP query for the sources of all targets, then one DataLink request for all of their products."""
        bands = self.chosen_bands(ask.bands)
        self.chosen(ask)
        catalogue = self.catalogue()
        for listed in catalogue.query(targets, ask._replace(options={}, bands=None, release=None)):
            sources = {target: str(row.values["source_id"]) for target, row in catalogue.read(listed) if isinstance(row, TableRow)}
            if not sources:
                yield replace(listed, survey=self.name, extra={"sources": {}})
                continue
            wanted = ",".join(sorted(set(sources.values())))
            fields = {
                "ID": wanted, "RELEASE": "Gaia DR3", "DATA_STRUCTURE": "INDIVIDUAL", "FORMAT": "votable", "RETRIEVAL_TYPE": self.product,
                "USE_ZIP_ALWAYS": "true", "VALID_DATA": "true",
            }  # fmt: skip
            content, media_type, address = transport.ask(self, "/data-server/data", method="POST", data=fields)
            extra: dict[str, object] = {"sources": sources, "bands": list(bands), "time": list(ask.time) if ask.time else None}
            yield Raw(self.name, listed.target_ids, content, f"{address} {self.product} {wanted}", media_type, now(), extra)

    def catalogue(self) -> TapTable:
        """The sources that have this product, by position."""
        return TapTable(
            name=self.name, url=self.url + "/tap-server/tap", table="gaiadr3.gaia_source", columns={"source_id": ("", "id")}, id_column="source_id",
            epoch=GAIA_EPOCH, where=f"c.{self.flag} = 'True'", release=self.release, citation=self.citation, licence=self.licence, timeout=self.timeout,
        )  # fmt: skip

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The products of the targets that have one."""
        alone = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        sources = raw.extra.get("sources")
        if isinstance(sources, Mapping) and not sources:
            formats.votable(raw.content, self.name, ("source_id",), alone)
            return
        tables = unzipped(raw.content, self.name, alone)
        if not isinstance(sources, Mapping):
            raise ArchiveError(self.name, "the answer does not say which source is whose", alone)
        for target, source in sources.items():
            # every product's file is named after its source: "XP_SAMPLED-Gaia DR3 5937083312263887616.xml"
            mine = [content for name, content in tables.items() if name.rpartition(".")[0].endswith(f" {source}") and name.startswith(self.product)]
            if mine:
                product = self._product(mine[0], raw, target)
                if product is not None:
                    yield target, product

    def _product(self, content: bytes, raw: Raw, target: str) -> Modality | None:
        origin = provenance_of(self, raw)
        if self.gives is LightCurve:
            return light_curve(formats.votable(content, self.name, ("band", "time", "flux", "flux_error"), target), self.name, target, raw, origin)
        if self.product == "RVS":
            table = formats.votable(content, self.name, ("wavelength", "flux", "flux_error"), target)
            with formats.reading(self.name, "RVS spectrum", target):
                wave, flux, sigma = (_numbers(table[name]) for name in ("wavelength", "flux", "flux_error"))
                pixels = Pixels(wave, flux, "nm", "continuum", sigma=sigma, resolution=RVS_RESOLUTION)
                return spectrum_of(pixels, self.name, target, origin)
        return read_spectrum(content, self.name, target, origin)


def unzipped(content: bytes, survey: str, target: str | None = None) -> dict[str, bytes]:
    """The files of a ZIP by name, in memory only; ArchiveError for a damaged one or one that unpacks to too much."""
    with formats.reading(survey, "ZIP of products", target), zipfile.ZipFile(io.BytesIO(content)) as pack:
        made, left = {}, LARGEST
        for item in pack.infolist():
            with pack.open(item) as file:
                made[item.filename.rpartition("/")[2]] = file.read(left + 1)
            left -= len(made[item.filename.rpartition("/")[2]])
            if left < 0:
                raise ValueError(f"it unpacks to more than {LARGEST // 1024**2} MB")
        return made


def _numbers(column: Any) -> Any:
    """A column, or the array in its only row, as floats, NaN where missing."""
    cells = np.ma.asarray(column[0] if len(column) == 1 and np.ndim(column[0]) else column)
    return np.asarray(np.ma.filled(cells.astype(np.float64), np.nan), dtype=np.float64).ravel()


def light_curve(table: "Table", survey: str, target: str, raw: Raw, origin: Any) -> LightCurve | None:
    """Fluxes in microjansky; None where nothing is left in the bands and the time asked for."""
    with formats.reading(survey, "Gaia light curve", target):
        time, flux, error = (_numbers(table[name]) for name in ("time", "flux", "flux_error"))
        band = np.array([str(formats.plain(b) or "") for b in table["band"]], dtype=np.str_)
        if not len(time) == len(flux) == len(error) == len(band):
            raise ValueError("columns of unequal length")
        bands, span = raw.extra.get("bands"), raw.extra.get("time")
        wanted = [b for b in ZERO_POINTS if not isinstance(bands, list) or b in bands]
        time = time + TIME_ORIGIN
        keep = np.isfinite(time) & np.isin(band, wanted)
        if isinstance(span, list):
            keep &= (time >= float(span[0])) & (time <= float(span[1]))
        rows = np.flatnonzero(keep)
        rows = rows[np.argsort(time[rows], kind="stable")]
        if not len(rows):
            return None
        scale = np.array([10 ** ((23.9 - ZERO_POINTS[b]) / 2.5) for b in band[rows]])
        flux, error = flux[rows] * scale, error[rows] * scale
        good = np.isfinite(flux) & np.isfinite(error) & (error > 0)
        for name in ("rejected_by_photometry", "rejected_by_variability"):
            if name in table.colnames:
                good &= np.array([str(formats.plain(v)).lower() not in ("true", "1") for v in table[name]])[rows]
        flux, error = (np.where(np.isfinite(v), v, 0.0).astype(np.float32) for v in (flux, error))
        return LightCurve(time[rows], flux, error, band[rows], good, clock="BJD_TCB", provenance=origin)


COMMON: dict[str, Any] = {"url": URL, "release": "Gaia DR3", "citation": gaia.CITATION, "licence": gaia.TABLE.licence, "batch": 100, "threads": 2}
XP = GaiaProducts(
    name="gaia/xp", gives=Spectrum, product="XP_SAMPLED", flag="has_xp_sampled", wavelengths=(3360.0, 10200.0), **{
        **COMMON, "citation": gaia.CITATION + " Cite De Angeli et al. 2023, A&A 674, A2 and Montegriffo et al. 2023, A&A 674, A3 (BP/RP spectra).",
    },
)  # fmt: skip
RVS = GaiaProducts(
    name="gaia/rvs", gives=Spectrum, product="RVS", flag="has_rvs", wavelengths=(8460.0, 8700.0), **{
        **COMMON, "citation": gaia.CITATION + " Cite Cropper et al. 2018, A&A 616, A5 (RVS) and Gaia DR3 documentation, chapter 6 (Sartoretti et al. 2022).",
    },
)  # fmt: skip
CURVE = GaiaProducts(
    name="gaia/light_curve", gives=LightCurve, product="EPOCH_PHOTOMETRY", flag="has_epoch_photometry", bands=tuple(ZERO_POINTS), **{
        **COMMON, "citation": gaia.CITATION + " Cite Evans et al. 2023, A&A 674, A4 and Eyer et al. 2023, A&A 674, A13 (epoch photometry, variables).",
    },
)  # fmt: skip
ROWS = {row.name: row for row in (XP, RVS, CURVE)}
