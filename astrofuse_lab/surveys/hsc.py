"""Subaru Hyper Suprime-Cam: the object of the third public data release nearest to each target, by the user's own account.

Sources: the catalogue job service ``https://hsc-release.mtk.nao.ac.jp/datasearch/api/catalog_jobs/`` as the survey's own client uses it
(hscReleaseQuery.py, https://hsc-gitlab.mtk.nao.ac.jp/ssp-software/data-access-tools/-/tree/master/pdr3/hscReleaseQuery): POST of JSON to ``submit``
(credential of account_name and password; catalog_job of sql, out_format, release_version, include_metainfo_to_body; nomail, skip_syntax_check, clientVersion
as a number), ``status`` (status ``done`` or ``error`` with ``error``), ``download``, ``cancel`` and ``delete`` by ``id``. Tables and columns,
https://hsc-release.mtk.nao.ac.jp/doc/index.php/database__pdr3/ and the queries of the Multimodal Universe (scripts/hsc/pdr3_dud_22.5.sql);
``coneSearch(coord, ra, dec, radius in arcsec)``, https://hsc-release.mtk.nao.ac.jp/rsrc/pdr3/stored_functions.html.

Magnitudes are AB CModel magnitudes of forced photometry, not corrected for extinction; ``a_*`` is the extinction to take off. ``*_extendedness_value`` (0 a point, 1
extended) is what the pipeline took the object for: no input. Accounts are free
(https://hsc-release.mtk.nao.ac.jp/doc/index.php/data-access__pdr3/). Name and password are read from the environment when a question is
asked; they go into the body of requests to this archive and nowhere else.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.surveys import formats, jobs, transport
from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import Target, Targets

if TYPE_CHECKING:
    from astropy.table import Table

URL = "https://hsc-release.mtk.nao.ac.jp/datasearch/api/catalog_jobs"
ACCOUNTS = (("SSP_PDR_USR", "SSP_PDR_PWD"), ("HSC_SSP_CAS_USERNAME", "HSC_SSP_CAS_PASSWORD"))
"""Variables of the environment that hold name and password: those of unagi and of the survey's own scripts."""
CLIENT = 20190514.1
LAYERS = {"wide": "pdr3_wide.forced", "deep": "pdr3_dud_rev.forced"}
BANDS = ("g", "r", "i", "z", "y")
COLUMNS: dict[str, tuple[str, str]] = {
    "object_id": ("", "id"), "ra": ("deg", "other"), "dec": ("deg", "other"), "tract": ("", "other"), "patch": ("", "other"),
    **{f"{band}_cmodel_{kind}": ("mag", "input") for band in BANDS for kind in ("mag", "magerr")},
    **{f"a_{band}": ("mag", "other") for band in BANDS},
    **{f"{band}_extendedness_value": ("", "other") for band in BANDS},
}  # fmt: skip
TEXTS = ("object_id", "tract", "patch")
FOOTPRINT = "about 1,470 deg2 of fields near the equator, Hectomap and, deeper, four small fields"


@dataclass
class HscTable(TapTable):
    """The primary object nearest to each target; the archive works on a job for a batch of targets.

    The option ``layer`` is ``wide``, or ``deep`` for the Deep and UltraDeep fields.
    """

    _: KW_ONLY
    settings: Mapping[str, float | int | str | bool] = field(default_factory=lambda: {"layer": "wide"})

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One job: a search for each target, all their rows in one table."""
        layer = str(self.chosen(ask)["layer"])
        if layer not in LAYERS:
            raise InputError(f"{self.name} has no layer {layer!r}. It has {', '.join(LAYERS)}.")
        moved, only = targets.at(self.epoch), targets.ids[0] if len(targets) == 1 else None
        parts = [self.select(LAYERS[layer], row, target, ask.radius) for row, target in enumerate(moved)]
        sql = " UNION ALL ".join(parts)
        content = self.run_job(sql, only)
        extra = {"ra": [float(v) for v in moved.ra], "dec": [float(v) for v in moved.dec], "radius": ask.radius}
        yield Raw(self.name, targets.ids, content, f"{self.url} {sql}", "text/csv", now(), extra)

    def select(self, table: str, row: int, target: Target, radius: float) -> str:
        """The search around one target (radius in arcsec), its number as ``target_row``."""
        cone = f"coneSearch(coord, {float(target.ra)!r}, {float(target.dec)!r}, {float(radius)!r})"
        return f"SELECT {int(row)} AS target_row, {', '.join(COLUMNS)} FROM {table} WHERE isprimary AND {cone}"  # noqa: S608, numbers and our own names

    def run_job(self, sql: str, target: str | None = None) -> bytes:
        """The CSV that answers a query.

        Raises
        ------
        ArchiveError
            Without an account, where the archive refuses it, for the archive's own errors, and when the fetch ends before the job does.
        """
        credential = account(self.name, target)
        job = {"sql": sql, "out_format": "csv", "include_metainfo_to_body": False, "release_version": "pdr3"}
        number = self._post("submit", credential, target, catalog_job=job, nomail=True, skip_syntax_check=True).get("id")
        if not isinstance(number, int | str) or isinstance(number, bool):
            raise ArchiveError(self.name, "the archive took the job but did not give its number", target, unreadable=True)
        said: dict[str, Any] = {}

        def state() -> str:
            said.update(self._post("status", credential, target, id=number))
            return str(said.get("status")) if said.get("status") in ("done", "error", "aborted") else ""

        try:
            if jobs.wait(self.name, state, target) != "done":
                words = " ".join(str(said.get("error") or "no message").split())[:300]
                raise ArchiveError(self.name, f"the archive's database did not answer the query: {words}", target)
            content = self._ask("download", credential, target, id=number)
        except ArchiveError as error:
            if not error.transient or jobs.ended():  # else the next attempt finds the job again
                jobs.goodbye(lambda: self._ask("cancel", credential, target, id=number))
            raise
        jobs.goodbye(lambda: self._ask("delete", credential, target, id=number))
        return content

    def _post(self, path: str, credential: Mapping[str, str], target: str | None, **body: Any) -> dict[str, Any]:
        found: dict[str, Any] = formats.json_value(self._ask(path, credential, target, **body), self.name, target, dict)
        return found

    def _ask(self, path: str, credential: Mapping[str, str], target: str | None, **body: Any) -> bytes:
        try:
            content, _, _ = transport.ask(self, f"/{path}", method="POST", target=target, json={"credential": dict(credential), "clientVersion": CLIENT, **body})
        except ArchiveError as error:
            if "wants a login" not in str(error):
                raise
            raise ArchiveError(self.name, "the archive does not take the name and password of your account. Look at them at https://hsc-release.mtk.nao.ac.jp/datasearch/", target) from None
        return content

    def parsed(self, raw: Raw, needed: Any) -> "Table":
        """As `TapTable.parsed`, of a CSV."""
        from astropy.table import MaskedColumn, Table

        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        names = list(dict.fromkeys(["target_row", *needed, self.ra, self.dec]))
        rows = formats.csv_table(raw.content.removeprefix(b"# "), self.name, names, only)
        table = Table()
        with formats.reading(self.name, "table of objects", only):
            for name in names:
                cells = [row[name] for row in rows]
                if name in TEXTS:
                    table[name] = MaskedColumn([cell or "" for cell in cells], mask=[cell is None for cell in cells], dtype=str)
                elif name == "target_row":
                    table[name] = np.array([int(str(cell)) for cell in cells], dtype=np.int64)
                else:
                    numbers = [formats.number(cell) for cell in cells]
                    table[name] = MaskedColumn([0.0 if v is None else v for v in numbers], mask=[v is None for v in numbers], dtype=np.float64)
        return table

    def objects_in(self, ra: float, dec: float, radius: float, n: int) -> Targets:
        """At most `n` objects within `radius` (deg) of a position."""
        sql = f"{self.select(self.table, 0, Target('region', ra, dec), 3600 * radius)} LIMIT {int(n)}"
        table = self.parsed(Raw(self.name, ("region",), self.run_job(sql), sql), list(COLUMNS))
        return Targets(Target(str(row["object_id"]), float(row["ra"]), float(row["dec"]), self.epoch) for row in table)


def account(survey: str, target: str | None = None) -> dict[str, str]:
    """Name and password from the environment; ArchiveError where there are none: the other surveys of a fetch go on without."""
    for name, password in ACCOUNTS:
        given = os.environ.get(name, "").strip(), os.environ.get(password, "")
        if all(given):
            return {"account_name": given[0], "password": given[1]}
    name, password = ACCOUNTS[0]
    raise ArchiveError(
        survey, "the archive wants your own account. Make one (free) at https://hsc-release.mtk.nao.ac.jp and set it before starting Python: "
        f"export {name}=... {password}=...  They are sent to this archive alone and kept nowhere.", target,
    )  # fmt: skip


TABLE = HscTable(
    name="hsc/table", url=URL, table=LAYERS["wide"], columns=COLUMNS, id_column="object_id", epoch=2016.5, batch=20, threads=1, timeout=120.0, release="HSC-SSP PDR3",
    coverage=Coverage(FOOTPRINT, (-8.0, 56.0)),
    citation=(
        "The Hyper Suprime-Cam (HSC) collaboration includes the astronomical communities of Japan and Taiwan, and Princeton University. The HSC instrumentation and software were "
        "developed by NAOJ, Kavli IPMU, the University of Tokyo, KEK, ASIAA and Princeton University. Cite Aihara et al. 2022, PASJ 74, 247 (doi:10.1093/pasj/psab122)."
    ),
    licence="for non-commercial scientific and educational use, with the credit NAOJ / HSC Collaboration",
)  # fmt: skip
