"""The first CHIME/FRB catalogue of fast radio bursts, as its authors publish it: one CSV file for any number of targets.

Source: https://www.chime-frb.ca/catalog (chimefrbcat1.csv, with its list of columns; the address as in the CHIME/FRB Collaboration's package cfod);
CHIME/FRB Collaboration 2021, ApJS 257, 59, table 2. Missing values are -9999 there; a scattering time, width or flux after a "<" is an upper limit and
goes to a column of its own, ``<name>_limit``. Each sub-burst has a row; the first one stands for the burst, ``sub_bursts`` says how many there are.
"""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.positions import separation_arcsec
from astrofuse_lab.surveys import formats, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://storage.googleapis.com/chimefrb-dev.appspot.com/catalog1/chimefrbcat1.csv"
TEXTS = {"tns_name": "id", "previous_name": "other", "repeater_name": "target"}
# who repeats, where and when a burst came from is no input
COLUMNS: dict[str, tuple[str, str]] = {
    "ra": ("deg", "other"), "ra_err": ("deg", "other"), "dec": ("deg", "other"), "dec_err": ("deg", "other"), "gl": ("deg", "other"), "gb": ("deg", "other"),
    "bonsai_snr": ("", "input"), "bonsai_dm": ("pc / cm3", "input"), "snr_fitb": ("", "input"), "dm_fitb": ("pc / cm3", "input"),
    "dm_fitb_err": ("pc / cm3", "input"), "dm_exc_ne2001": ("pc / cm3", "input"), "dm_exc_ymw16": ("pc / cm3", "input"), "bc_width": ("s", "input"),
    "scat_time": ("s", "input"), "scat_time_err": ("s", "input"), "flux": ("Jy", "input"), "flux_err": ("Jy", "input"), "fluence": ("Jy ms", "input"),
    "fluence_err": ("Jy ms", "input"), "mjd_400": ("d", "other"), "mjd_400_err": ("d", "other"), "width_fitb": ("s", "input"), "width_fitb_err": ("s", "input"),
    "sp_idx": ("", "input"), "sp_idx_err": ("", "input"), "sp_run": ("", "input"), "sp_run_err": ("", "input"), "high_freq": ("MHz", "input"),
    "low_freq": ("MHz", "input"), "peak_freq": ("MHz", "input"), "chi_sq": ("", "other"), "dof": ("", "other"), "flag_frac": ("", "other"),
    "excluded_flag": ("", "other"),
}  # fmt: skip
NEEDED = ("tns_name", "repeater_name", "ra", "ra_err", "dec", "dec_err", "dm_fitb", "fluence", "mjd_400")
LIMITS = ("scat_time", "width_fitb", "bc_width", "flux")
UNITS = {**{name: unit for name, (unit, _) in COLUMNS.items() if unit}, "match_distance": "arcsec", **{f"{n}_limit": COLUMNS[n][0] for n in LIMITS if COLUMNS[n][0]}}
ROLES = {**TEXTS, **{name: role for name, (_, role) in COLUMNS.items() if role != "input"}, "sub_bursts": "input", "repeater": "target",
         "match_distance": "other", "match_count": "other"}  # fmt: skip
MISSING = -9999.0


@dataclass
class ChimeTable(Archive):
    """The burst of each target: by its name (``FRB20180725A``), else the nearest whose own position error, widened by the match radius, holds the position."""

    _: KW_ONLY
    gives: type = TableRow
    batch: int = 10_000

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request for all targets."""
        self.chosen(ask)
        content, media_type, address = transport.ask(self, target=targets.ids[0] if len(targets) == 1 else None)
        places = {t.object_id: [float(t.ra), float(t.dec)] for t in targets.at(2000.0) if t.has("position")}
        extra = {"names": {t.object_id: messages.name_of(self.name, t) for t in targets}, "places": places, "radius": ask.radius}
        yield Raw(self.name, targets.ids, content, address, media_type, now(), extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """A row for each target with a burst."""
        only = raw.target_ids[0] if len(raw.target_ids) == 1 else None
        first = raw.content[:20_000].splitlines()[:1]
        tabs = bool(first) and b"\t" in first[0]  # as VizieR and some copies have it
        table = formats.csv_table(raw.content, self.name, NEEDED, only, delimiter="\t" if tabs else ",")
        with formats.reading(self.name, "catalogue", only):
            rows = bursts(table)
            ra, dec = (np.array([row[name] if row[name] is not None else np.nan for row in rows], dtype=float) for name in ("ra", "dec"))
            error = np.array([np.hypot((row["ra_err"] or 0.0) * np.cos(np.radians(row["dec"] or 0.0)), row["dec_err"] or 0.0) for row in rows], dtype=float)  # type: ignore[operator, arg-type]
            places, radius = raw.extra.get("places", {}), float(raw.extra.get("radius", 0.0))  # type: ignore[arg-type]
            if not isinstance(places, dict):
                raise ArchiveError(self.name, "the positions asked for are lost", only)
        names = {_key(str(row["tns_name"])): row for row in rows}
        origin = provenance_of(self, raw)
        for target in raw.target_ids:
            found = names.get(_key(messages.entry(raw, "names", target, target)))
            far, count = None, 1
            if found is None and target in places:
                place = places[target]
                distance = separation_arcsec(float(place[0]), float(place[1]), ra, dec)
                held = np.flatnonzero(distance <= radius + 3600 * error)
                if len(held):
                    best = held[np.argmin(distance[held])]
                    found, far, count = rows[best], float(distance[best]), len(held)
            if found is not None:
                yield target, TableRow({**found, "match_distance": far, "match_count": count}, UNITS, ROLES, origin)


def bursts(table: list[dict[str, str | None]]) -> list[dict[str, float | int | str | bool | None]]:
    """One row a burst, values as numbers, None where missing."""
    made: dict[str, dict[str, float | int | str | bool | None]] = {}
    for line in table:
        name = line["tns_name"]
        if name is None:
            raise ValueError("a burst has no name")
        if name in made:
            made[name]["sub_bursts"] = int(made[name]["sub_bursts"] or 0) + 1
            continue
        row: dict[str, float | int | str | bool | None] = {text: _text(line.get(text)) for text in TEXTS}
        for column in COLUMNS:
            if column in line:
                row[column], limit = value_of(line[column])
                if column in LIMITS:
                    row[f"{column}_limit"] = limit
        made[name] = {**row, "repeater": row["repeater_name"] is not None, "sub_bursts": 1}
    return list(made.values())


def value_of(cell: str | None) -> tuple[float | None, float | None]:
    """A value, or an upper limit where the cell has ``<``; None for what is missing."""
    limit = cell is not None and cell.startswith("<")
    value = formats.number(cell[1:] if limit and cell is not None else cell)
    if value == MISSING:
        value = None
    return (None, value) if limit else (value, None)


def _text(cell: str | None) -> str | None:
    return None if cell is None or cell == "-9999" else cell


def _key(name: str) -> str:
    return name.replace(" ", "").upper()


TABLE = ChimeTable(
    name="chime/table", url=URL, release="CHIME/FRB Catalog 1", needs=(), threads=1, licence="public, with credit to the CHIME/FRB Collaboration",
    citation="We acknowledge use of the CHIME/FRB Public Database, provided at https://www.chime-frb.ca/ by the CHIME/FRB Collaboration. Cite CHIME/FRB "
    "Collaboration 2021, ApJS 257, 59.",
    coverage=Coverage("north of -11 deg, 2018-07-25 to 2019-07-01", (-11.0, 90.0)), timeout=120.0,
)  # fmt: skip
