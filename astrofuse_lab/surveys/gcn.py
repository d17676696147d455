"""GCN Circulars on an event, from NASA's General Coordinates Network.

Source: https://gcn.nasa.gov/docs/circulars/archive (``/circulars/<number>.json``: circularId, subject, eventId, createdOn in ms, submitter, body) and the
site's source, https://github.com/nasa-gcn/gcn.nasa.gov: app/routes/circulars.$circularId[.]json.ts, app/routes/api.synonym.circulars.ts
(``/api/synonym/circulars?eventIds=...`` gives the circulars of an event as a JSON list, newest first), circulars.lib.ts (how events are spelled:
``GRB 170817A``, ``LIGO/Virgo/KAGRA S190425z``, ``IceCube-200916A``). The list of an event is no documented interface of the site, circulars by number are.
"""

import re
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from typing import Any

from astrofuse_lab.modalities import Modality, Text
from astrofuse_lab.surveys import formats, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://gcn.nasa.gov"
NUMBER = re.compile(r"\s*(?:GCN)?\s*(?:circular)?\s*#?\s*(\d{1,6})\s*\Z", re.IGNORECASE)
FORMS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern + r"\Z", re.IGNORECASE), forms)  # {0} as given, {1} upper, {2} lower case: subjectMatchers of circulars.lib.ts
    for pattern, forms in (
        (r"GRB[.\s_-]*(\d{6}(?:[a-z]|\.\d+)?)", ("GRB {1}",)),
        (r"EP[.\s_-]*(\d{6}[a-z])", ("EP{2}",)),
        (r"AT[.\s_-]*(\d{4}[a-z]+)", ("AT{2}",)),
        (r"SN[.\s_-]*(\d{4}[a-z]*)", ("SN {2}", "SN {1}")),
        (r"FRB[.\s_-]*(\d{6,8}[a-z]?)", ("FRB {1}",)),
        (r"(?:IceCube|IC)[.\s_-]*(\d{6}[a-z])", ("IceCube-{1}",)),
        (r"S(\d{6}[a-z]*)", ("LIGO/Virgo/KAGRA S{2}", "LIGO/Virgo S{2}")),
        (r"GW[.\s_-]*(\d{6})", ("GW{0}",)),
    )
)
ACCEPT = {"Accept": "application/json"}


@dataclass
class GcnText(Archive):
    """The circulars of each target's event, oldest first; or one circular, where the identifier is its number.

    ``limit`` says how many of an event (50 where not given): the first ones, with a line that says how many there are.
    """

    _: KW_ONLY
    gives: type = Text

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target; one more for each circular whose body the list lacks."""
        self.chosen(ask)
        most = 50 if ask.limit is None else max(1, ask.limit)
        for target in targets:
            name = messages.name_of(self.name, target)
            number = NUMBER.match(name)
            if number:
                answer = messages.unless_missing(self, f"/circulars/{number[1]}.json", target=target.object_id, headers=ACCEPT)
                content, media_type, address = answer or (b"", "", f"{self.url}/circulars/{number[1]}.json")
                yield Raw(self.name, (target.object_id,), content, address, media_type, now(), {"missing": answer is None, "most": most})
                continue
            content, media_type, address = transport.ask(
                self, "/api/synonym/circulars", target=target.object_id, params=[("eventIds", one) for one in spellings(name)], headers=ACCEPT
            )
            parts = [content]
            with formats.reading(self.name, "list of circulars", target.object_id):
                lacking = [int(row["circularId"]) for row in _first(formats.json_value(content, self.name, target.object_id, list), most) if not row.get("body")]
            for one in lacking:
                parts.append(transport.ask(self, f"/circulars/{one}.json", target=target.object_id, headers=ACCEPT)[0])
            extra = {"lengths": [len(part) for part in parts], "most": most}
            yield Raw(self.name, (target.object_id,), b"".join(parts), address, media_type, now(), extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """One text a target, unless there is no circular."""
        if raw.extra.get("missing") is True and not raw.content:
            return
        target = raw.target_ids[0]
        most = raw.extra.get("most", 50)
        first, *others = (formats.json_value(part, self.name, target) for part in messages.pieces(raw))
        with formats.reading(self.name, "list of circulars", target):
            listed = first if isinstance(first, list) else [first]
            bodies = {int(one["circularId"]): one for one in [*listed, *others] if one.get("body")}
            chosen = _first(listed, int(most))  # type: ignore[call-overload]
            texts = [circular(bodies.get(int(one["circularId"]), one)) for one in chosen]
            total = len({int(one["circularId"]) for one in listed})
        if not texts:
            return
        if total > len(texts):
            texts.append(f"[{len(texts)} of {total} circulars; give a larger limit for more]")
        yield target, Text(messages.bounded("\n\n".join(texts)), provenance_of(self, raw))


def circular(one: dict[str, Any]) -> str:
    """One circular as it is archived: number, date, subject, sender, body."""
    when = datetime.fromtimestamp(int(one["createdOn"]) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UT")
    return f"GCN Circular {int(one['circularId'])} ({when}): {str(one['subject']).strip()}\nFrom: {_nameless(str(one.get('submitter') or ''))}\n{str(one['body']).strip()}"


def spellings(name: str) -> list[str]:
    """How GCN may spell an event: as given, and in its own normal forms."""
    made = [name]
    for pattern, forms in FORMS:
        found = pattern.match(name)
        if found:
            made += [form.format(found[1], found[1].upper(), found[1].lower()) for form in forms]
    return list(dict.fromkeys(made))


def _first(rows: list[Any], most: int) -> list[Any]:
    """The oldest `most`: event names of two spellings can give one circular twice."""
    unique = {int(row["circularId"]): row for row in rows}
    return [unique[number] for number in sorted(unique)][:most]


def _nameless(sender: str) -> str:
    """The sender without the address of their mail."""
    return re.sub(r"\s*<[^>]*>", "", sender).strip()


TEXT = GcnText(
    name="gcn/text", url=URL, release=f"GCN Circulars, live; {messages.RAW_TEXT}", needs=(), threads=2, licence="public, with credit to the authors of the circulars",
    citation="This research has made use of the General Coordinates Network (GCN, https://gcn.nasa.gov), a service of NASA. Cite each circular used.",
    coverage=Coverage("events on which circulars were sent, 1997 and later"),
)  # fmt: skip
