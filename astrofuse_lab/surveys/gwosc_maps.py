"""Sky maps of published gravitational-wave events by the event's name.

Sources
- O1 and O2 (GWTC-1): the maps published with the catalogue, LIGO-P1800381 (https://dcc.ligo.org/LIGO-P1800381/public), one file an event,
  ``https://dcc.ligo.org/public/0157/P1800381/007/<event>_skymap.fits.gz``. GraceDB has no public maps of these runs.
- later: the catalogues' maps are published as one archive for all events of a catalogue (Zenodo: https://zenodo.org/records/6513631 for GWTC-2.1, 8177023 for GWTC-3,
  17014085 for GWTC-4.0), hundreds of megabytes each, which are not taken apart here. The map of the event's public alert is taken from GraceDB (`gracedb`), whose superevent
  GWOSC's list of events names (``grace_id``, https://gwosc.org/api); what was published may be narrower.
"""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, replace
from urllib.parse import quote

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, SkyMap
from astrofuse_lab.surveys import formats, gracedb, gwosc, messages, sky_maps, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Target, Targets

FIRST = ("GW150914", "GW151012", "GW151226", "GW170104", "GW170608", "GW170729", "GW170809", "GW170814", "GW170817", "GW170818", "GW170823")
"""Events of GWTC-1."""
ZENODO = {"GWTC-2.1": "https://zenodo.org/records/6513631", "GWTC-3": "https://zenodo.org/records/8177023", "GWTC-4": "https://zenodo.org/records/17014085"}


@dataclass
class GwoscSkyMap(Archive):
    """The sky map of one event a target; the target's identifier is the event's name, e.g. ``GW170817``.

    Attributes
    ----------
    events : str
        GWOSC's list of events.
    alerts : str
        GraceDB.
    """

    _: KW_ONLY
    events: str = gwosc.URL
    alerts: str = gracedb.URL

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """A file an event; for later events the list of events once, and the list of the superevent's files."""
        self.chosen(ask)
        names = {t.object_id: messages.name_of(self.name, t) for t in targets}
        first = {name.casefold(): name for name in FIRST}
        later = [t for t in targets if self.plain(names[t.object_id]) not in first]
        for target in targets:
            known = first.get(self.plain(names[target.object_id]))
            if known:
                content, media_type, address = transport.ask(self, f"/{known}_skymap.fits.gz", target=target.object_id)
                yield Raw(self.name, (target.object_id,), content, address, media_type, now(), {"release": f"GWTC-1, {known}"})
        if later:
            given = {"lastver": "true", "pagesize": "500", "format": "json"}
            listed = replace(self, url=self.events, mirrors=())
            events = gwosc.results(list(gwosc.pages(listed, "/event-versions", **given)), self.name)
            for target in later:
                yield self.alert(target, gwosc.named(events, names[target.object_id]))

    def plain(self, name: str) -> str:
        """A name without version: ``GW150914-v3`` is ``gw150914``."""
        return name.casefold().partition("-v")[0]

    def alert(self, target: Target, event: "dict[str, object] | None") -> Raw:
        """The map of the event's alert; empty where GWOSC knows no such event."""
        if event is None:
            return Raw(self.name, (target.object_id,), b"", f"{self.events}/event-versions", "", now(), {"missing": True})
        number, title = str(event.get("grace_id") or ""), str(event.get("shortName") or event.get("name"))
        base = f"{self.alerts}/superevents/{quote(number, safe='')}/files/"
        listed = messages.unless_missing(self, base, target=target.object_id, headers={"Accept": "application/json"}) if number.startswith("S") else None
        name = None if listed is None else gracedb.best(formats.json_value(listed[0], self.name, target.object_id, dict))
        if name is None:
            catalogue = str(event.get("catalog") or "")
            where = next((address for start, address in ZENODO.items() if catalogue.startswith(start)), "https://gwosc.org")
            raise ArchiveError(self.name, f"no public alert has a sky map of {title}. Its published map is in the archive of the whole catalogue {catalogue}: {where}", target.object_id)
        content, media_type, address = transport.ask(self, base + quote(name, safe=","), target=target.object_id)
        return Raw(self.name, (target.object_id,), content, address, media_type, now(), {"release": f"GraceDB {number}, {name}"})

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The map, unless there is no such event."""
        if raw.extra.get("missing") is True and not raw.content:
            return
        yield raw.target_ids[0], sky_maps.read(raw.content, self.name, provenance_of(self, raw), raw.target_ids[0])


SKY_MAP = GwoscSkyMap(
    name="gwosc/sky_map", gives=SkyMap, url="https://dcc.ligo.org/public/0157/P1800381/007", release="GWTC-1, later GraceDB", citation=gwosc.CITATION,
    licence="CC-BY-4.0; alerts free to use with credit to LIGO/Virgo/KAGRA", needs=("identifier",), batch=50, threads=2, coverage=Coverage("published events, O1 and later"),
)  # fmt: skip
