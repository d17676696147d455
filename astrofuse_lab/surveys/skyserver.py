"""SDSS SkyServer: many positions to one SQL query.

Source: SkyServer's web services (https://skyserver.sdss.org/dr17/en/help/docs/api.aspx: ``SkyServerWS/SearchTools/SqlSearch?cmd=&format=csv``, GET)
and the schema of its spatial functions (fGetNearbyObjEq, fGetNearbySpecObjEq, fGetNearbyApogeeStarEq: position in degrees, radius in arcmin,
``distance`` in arcmin). The answer is CSV after a line ``#Table1``. SqlSearch takes the query in the address only, hence the small batches.
"""

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import formats, transport
from astrofuse_lab.surveys.archive import Archive
from astrofuse_lab.targets import Targets

URL = "https://skyserver.sdss.org"
LIMIT = 500_000
"""Rows after which SkyServer cuts an answer (https://skyserver.sdss.org/dr17/en/help/docs/limits.aspx)."""
Rows = list[dict[str, str | None]]


def release_number(name: str) -> str:
    """``17`` of ``SDSS DR17``."""
    return "".join(c for c in name.rpartition("DR")[2] if c.isdigit())


def nearby_sql(function: str, columns: str, joins: str, targets: Targets, radius: float) -> str:
    """T-SQL that calls a spatial function for each target; numbers only, nothing a person typed.

    Parameters
    ----------
    function : str
        E.g. ``fGetNearbySpecObjEq``; its result is ``n``, the targets are ``t``.
    columns, joins : str
    targets : Targets
    radius : float
        arcsec.
    """
    values = ",".join(f"({row},{t.ra:.7f},{t.dec:.7f})" for row, t in enumerate(targets))
    return (
        f"SELECT t.target_row,n.distance,{columns} FROM (VALUES {values}) AS t(target_row,ra,dec) "  # noqa: S608, numbers only
        f"CROSS APPLY dbo.{function}(t.ra,t.dec,{radius / 60:.7f}) AS n {joins}"
    )


def ask(survey: Archive, sql: str, release: str) -> tuple[bytes, str, str]:
    """One query; body, media type and address.

    Raises
    ------
    ArchiveError
        With SkyServer's own words, also where it sends an error document with status 200.
    """
    content, media_type, address = transport.ask(survey, f"/dr{release_number(release)}/SkyServerWS/SearchTools/SqlSearch", params={"cmd": sql, "format": "csv"})
    if content.lstrip()[:1] in (b"{", b"["):
        raise ArchiveError(survey.name, transport.words(content, "application/json"))
    return content, media_type, address


def rows(survey: str, content: bytes, needed: tuple[str, ...], target: str | None = None) -> Rows:
    """The rows of an answer; ArchiveError if it is none, or was cut at the row limit."""
    if not content.strip():
        raise ArchiveError(survey, "the answer is empty", target)
    if b"error_message" in content[:2000]:
        raise ArchiveError(survey, transport.words(content), target)
    made = formats.csv_table(content, survey, needed, target)
    if len(made) >= LIMIT:
        raise ArchiveError(survey, f"the archive cut the answer at {LIMIT} rows. Give a smaller radius.", target)
    return made
