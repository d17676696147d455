"""SDSS and BOSS spectra (``spec`` files) and SDSS photometry with spectroscopic redshifts, found through SkyServer.

Sources: spec files, https://data.sdss.org/datamodel/files/BOSS_SPECTRO_REDUX/RUN2D/spectra/lite/PLATE4/spec.html (HDU 1: ``flux`` in
1e-17 erg / s / cm2 / Angstrom, ``loglam`` log10 of the vacuum wavelength in ångström, heliocentric, ``ivar``, ``and_mask``, ``wdisp`` in pixels);
addresses, https://www.sdss4.org/dr17/data_access/bulk/ and https://www.sdss.org/dr18/data_access/bulk/; columns of PhotoObj and SpecObj,
https://skyserver.sdss.org/dr17/en/help/browser/browser.aspx and the lists that astroquery ships (astroquery/sdss/data). Plates of
SDSS-V (after DR17) are not in SpecObj and not here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import SPECTRUM_UNIT, Modality, Spectrum, TableRow
from astrofuse_lab.surveys import formats, skyserver
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.spectrum_archive import Answer, Choice, Product, SpectrumArchive, target_rows
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

FILES = "https://data.sdss.org/sas"
FOUND = ("target_row", "distance", "specObjID", "run2d", "plate", "mjd", "fiberID")
COVERAGE = Coverage("about 14,555 deg2, mostly the northern galactic cap", (-25.0, 85.0), 0.0, "CDS/P/SDSS9/color")
THANKS = (
    "Funding for the Sloan Digital Sky Survey IV has been provided by the Alfred P. Sloan Foundation, the U.S. Department of Energy Office of Science, and the "
    "Participating Institutions. SDSS acknowledges support and resources from the Center for High-Performance Computing at the University of Utah. The SDSS web site "
    "is www.sdss4.org. Full text: https://www.sdss4.org/collaboration/citing-sdss/. "
)
EPOCH = 2004.0
"""Middle of the imaging, 1998 to 2009: positions of photometry and fibres."""
BANDS = ("u", "g", "r", "i", "z")


@dataclass
class SdssSpectra(SpectrumArchive):
    """The SDSS or BOSS spectrum nearest to each target (best observation, ``sciencePrimary``).

    Attributes
    ----------
    url : str
        SkyServer; finds.
    files : str
        The Science Archive Server; gives the files.
    """

    files: str = FILES

    def search(self, targets: Targets, ask: Ask, given: Choice) -> Iterator[tuple[Targets, Answer]]:
        """One SQL query for all targets."""
        release = ask.release or self.release
        columns = ",".join(f"s.{name}" for name in FOUND[2:])
        sql = skyserver.nearby_sql("fGetNearbySpecObjEq", columns, "JOIN SpecObj AS s ON s.specObjID=n.specObjID", targets, ask.radius)
        content, media_type, address = skyserver.ask(self, sql, release)
        products = {}
        rows = skyserver.rows(self.name, content, FOUND)
        for target, near in target_rows(self.name, rows, targets).items():
            with formats.reading(self.name, "list of spectra", target):
                row = min(near, key=lambda r: float(str(r["distance"])))
                products[target] = Product(self.address(row, release), {"mjd": int(str(row["mjd"])), "specobjid": row["specObjID"]})
        yield targets, Answer(content, media_type, address, products)

    def address(self, row: dict[str, str | None], release: str) -> str:
        """Of the ``lite`` file: the coadd without the single exposures."""
        run2d, plate, mjd, fiber = str(row["run2d"]), int(str(row["plate"])), int(str(row["mjd"])), int(str(row["fiberID"]))
        if not run2d.replace("_", "").isalnum():
            raise ValueError(f"run2d is {run2d[:40]!r}")
        number = skyserver.release_number(release)
        part = "spectro/sdss" if int(number) >= 18 else "eboss/spectro" if run2d.startswith("v") else "sdss/spectro"
        return f"{self.files}/dr{number}/{part}/redux/{run2d}/spectra/lite/{plate:04d}/spec-{plate:04d}-{mjd}-{fiber:04d}.fits"

    def finish(self, spectrum: Spectrum, raw: Raw) -> Spectrum:
        """With the MJD of the observation, which the file's first header lacks."""
        mjd = raw.extra.get("mjd")
        return replace(spectrum, time=float(mjd)) if isinstance(mjd, int) else spectrum


SPECTRUM = SdssSpectra(
    name="sdss/spectrum", url=skyserver.URL, release="DR17", releases=("DR18",), wavelengths=(3600.0, 10400.0), coverage=COVERAGE, batch=20, threads=2,
    flux_unit=SPECTRUM_UNIT, epoch=EPOCH,
    citation=THANKS + "Cite Abdurro'uf et al. 2022, ApJS 259, 35 (DR17); Smee et al. 2013, AJ 146, 32 (spectrographs); Dawson et al. 2013, AJ 145, 10 (BOSS).",
    licence="public domain data with acknowledgement of SDSS",
)  # fmt: skip


# columns of PhotoObj (p) and SpecObj (s) with unit and role. What the spectroscopic pipeline found is a target, never an input.
PHOTO: dict[str, tuple[str, str]] = {
    "objID": ("", "id"), "ra": ("deg", "other"), "dec": ("deg", "other"), "type": ("", "other"), "clean": ("", "other"), "mjd": ("d", "other"),
    **{f"{kind}_{band}": ("mag", "input") for kind in ("psfMag", "psfMagErr", "modelMag", "modelMagErr", "cModelMag", "extinction") for band in BANDS},
    "petroRad_r": ("arcsec", "input"), "petroR50_r": ("arcsec", "input"), "petroR90_r": ("arcsec", "input"), "fracDeV_r": ("", "input"), "deVAB_r": ("", "input"),
}  # fmt: skip
SPEC: dict[str, tuple[str, str]] = {
    "specObjID": ("", "id"), "z": ("", "target"), "zErr": ("", "other"), "zWarning": ("", "other"), "class": ("", "target"), "subClass": ("", "target"),
    "velDisp": ("km / s", "target"), "velDispErr": ("km / s", "other"), "snMedian": ("", "other"),
}  # fmt: skip
TEXT = ("class", "subClass", "objID", "specObjID")
KINDS = {3: "GALAXY", 6: "STAR"}
"""PhotoType: what the photometric pipeline took an object for; others are UNKNOWN, COSMIC_RAY, GHOST ..."""
MISSING = -9999.0
"""Magnitudes and sizes that could not be measured."""


@dataclass
class SdssTable(Archive):
    """The primary SDSS photometric object nearest to each target, with its spectroscopic redshift and class where there are any.

    Magnitudes are SDSS asinh magnitudes, AB to 0.04 mag in u and 0.02 in z, not corrected for extinction (``extinction_*`` is). Columns of
    the spectroscopic pipeline begin with ``spec_``: redshift, class and velocity dispersion are targets, never inputs.
    """

    gives: type = TableRow

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One SQL query for all targets."""
        self.chosen(ask)
        columns = ",".join([*(f"p.{name}" for name in PHOTO), *(f"s.{name} AS spec_{name}" for name in SPEC)])
        joins = "JOIN PhotoObj AS p ON p.objID=n.objID LEFT JOIN SpecObj AS s ON s.bestObjID=p.objID"
        sql = skyserver.nearby_sql("fGetNearbyObjEq", columns, joins, targets.at(EPOCH), ask.radius)
        content, media_type, address = skyserver.ask(self, sql, ask.release or self.release)
        skyserver.rows(self.name, content, ("target_row", "distance", "objID"))  # what is no table now is none later either: say so while it can be asked again
        yield Raw(self.name, targets.ids, content, address, media_type, now(), {"radius": ask.radius, "release": ask.release})

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The nearest object of each target that has one."""
        alone = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        needed = ("target_row", "distance", *PHOTO, *(f"spec_{name}" for name in SPEC))
        near: dict[int, list[dict[str, str | None]]] = {}
        with formats.reading(self.name, "SkyServer table", alone):
            for row in skyserver.rows(self.name, raw.content, needed, alone):
                near.setdefault(int(str(row["target_row"])), []).append(row)
            if near and not (min(near) >= 0 and max(near) < len(raw.target_ids)):
                raise ArchiveError(self.name, f"the archive answered about row {max(near)} of {len(raw.target_ids)} targets", alone)
            origin = provenance_of(self, raw)
            for number, some in near.items():
                row = min(some, key=lambda r: float(str(r["distance"])))
                values: dict[str, float | int | str | bool | None] = {name: _value(name, row[name]) for name in PHOTO}
                values["type"] = KINDS.get(int(str(row["type"] or 0)), "OTHER")
                values.update({f"spec_{name}": _value(name, row[f"spec_{name}"]) for name in SPEC})
                values["match_distance"] = 60 * float(str(row["distance"]))
                values["match_count"] = len({r["objID"] for r in some})
                yield raw.target_ids[number], TableRow(values, UNITS, ROLES, origin)


def _value(name: str, cell: str | None) -> float | str | None:
    if name in TEXT:
        return cell
    value = formats.number(cell)
    return None if value is None or value <= MISSING else value


ALL = {**PHOTO, **{f"spec_{name}": what for name, what in SPEC.items()}}
UNITS = {**{name: unit for name, (unit, _) in ALL.items() if unit}, "match_distance": "arcsec"}
ROLES = {**{name: role for name, (_, role) in ALL.items() if role != "input"}, "match_distance": "other", "match_count": "other"}
TABLE = SdssTable(
    name="sdss/table", url=skyserver.URL, release="DR17", releases=("DR18",), bands=(), coverage=COVERAGE, batch=20, threads=2,
    citation=THANKS + "Cite Abdurro'uf et al. 2022, ApJS 259, 35 (DR17); Gunn et al. 1998, AJ 116, 3040 (camera); Doi et al. 2010, AJ 139, 1628 (filters).",
    licence="public domain data with acknowledgement of SDSS",
)  # fmt: skip
ROWS = {row.name: row for row in (SPECTRUM, TABLE)}
