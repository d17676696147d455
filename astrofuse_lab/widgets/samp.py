"""SAMP: samples and selections to TOPCAT, Aladin, DS9 and other tools on this machine, and theirs back.

The hub (TOPCAT and Aladin start one) is found by its file in the home folder, so it must run where Python runs. Nothing is contacted before a
`SampLink` is made, and all of it stays on this machine: tables by address are read from its own files and its own web servers alone.
"""

import tempfile
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.widgets.jobs import names, open_desk
from astrofuse_lab.widgets.selection import Selection

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet

LARGEST = 64 * 1024**2
"""Bytes of a table that is taken."""
MOST = 20
"""Tables that are kept; the oldest goes first."""
WAIT = 10.0  # s
NEAR = 1 / 60
"""Degrees within which a position that another tool points at is a sample's."""
OWN = ("127.0.0.1", "localhost", "::1")


class Received(NamedTuple):
    """A table that another tool sent."""

    name: str
    sender: str
    table: "Table"


class SampLink:
    """A connection to the SAMP hub on this machine.

    Rows that another tool selects of the table sent are selected here, and the other way round; a row or position that it points at comes into focus.

    Parameters
    ----------
    samples : SampleSet, optional
        What `send` sends, and what selections and positions are of.
    selection : Selection, optional
        That of the views: ``view.selection`` or ``bench.selection``. None: one of its own.
    name : str
        What other tools call this one.

    Attributes
    ----------
    received : list of Received
        name, sender, table; the last of them are kept. ``af.Targets.from_table(link.received[-1].table)`` makes targets of one.
    problem : str
        Why the last message was not taken; empty where it was.

    Raises
    ------
    InputError
        If no hub answers on this machine.
    """

    def __init__(self, samples: "SampleSet | None" = None, selection: Selection | None = None, name: str = "AstroFuse Lab") -> None:
        self.samples = samples
        self.selection = selection if selection is not None else Selection()
        self.received: list[Received] = []
        self.problem = ""
        self._folder = tempfile.TemporaryDirectory(prefix="astrofuse-samp-")
        self._table_id = ""
        self._hearing = threading.local()
        self._client = _connected(name)
        takes = {
            "table.load.votable": self._take_table, "table.select.rowList": self._take_rows, "table.highlight.row": self._take_row, "coord.pointAt.sky": self._take_position,
        }  # fmt: skip
        for kind, take in takes.items():
            self._bind(kind, take)
        self.selection.observe(self._selected, "ids")
        self.selection.observe(self._focused, "focus")

    # ---- send ------------------------------------------------------------------------------------------------------------

    def tools(self) -> list[str]:
        """Names of the other tools that are connected."""
        own = self._client.get_public_id()
        return [self._name_of(client) for client in self._client.get_registered_clients() if client != own]

    def send(self, table: "Table | None" = None, name: str = "") -> list[str]:
        """Send a table to every tool that takes tables.

        Parameters
        ----------
        table : Table, optional
            None: the columns of the samples, to which selections then belong.
        name : str, optional
            What the table is called there.

        Returns
        -------
        list of str
            The tools it went to.

        Raises
        ------
        InputError
            If there is nothing to send or no tool that takes tables.
        """
        if table is None and self.samples is None:
            raise InputError("there is nothing to send: give a table, link.send(table), or samples, af.SampLink(samples).")
        to = self._client.get_subscribed_clients("table.load.votable")
        if not to:
            raise InputError("no tool on this hub takes tables. Start TOPCAT or Aladin and send again.")
        named = name or (self.samples.card.title or self.samples.card.name if self.samples is not None else "table")
        place = Path(self._folder.name) / f"table-{len(list(Path(self._folder.name).iterdir()))}.vot"
        _writable(self.samples.table if table is None and self.samples is not None else table).write(place, format="votable")
        identifier = place.as_uri()
        if table is None:
            self._table_id = identifier
        self._tell("table.load.votable", {"url": identifier, "table-id": identifier, "name": named})
        return [self._name_of(client) for client in to]

    def _tell(self, kind: str, values: Mapping[str, Any]) -> None:
        self._client.notify_all({"samp.mtype": kind, "samp.params": dict(values)})

    def _selected(self, _change: Any) -> None:
        if self.samples is not None and self._table_id and not getattr(self._hearing, "now", False):
            known = np.isin(self.samples.object_ids, self.selection.ids)
            self._tell("table.select.rowList", {"table-id": self._table_id, "url": self._table_id, "row-list": [str(i) for i in np.flatnonzero(known)]})

    def _focused(self, change: Any) -> None:
        if self.samples is not None and self._table_id and change["new"] and not getattr(self._hearing, "now", False):
            row = np.flatnonzero(self.samples.object_ids == change["new"])
            if len(row):
                self._tell("table.highlight.row", {"table-id": self._table_id, "url": self._table_id, "row": str(row[0])})

    # ---- receive ---------------------------------------------------------------------------------------------------------

    def _bind(self, kind: str, take: Callable[[str, Mapping[str, Any]], None]) -> None:
        def heard(sender: str, params: Mapping[str, Any]) -> None:
            self._hearing.now = True  # what came from another tool is not told to it again
            try:
                take(self._name_of(sender), params)
                self.problem = ""
            except Exception as error:  # of another program's message; said in `problem` and in the reply
                self.problem = f"{kind}: {error}"
            finally:
                self._hearing.now = False

        def notified(_key: Any, sender: Any, _kind: Any, params: Any, _extra: Any) -> None:
            heard(sender, params)

        def called(_key: Any, sender: Any, message: Any, _kind: Any, params: Any, _extra: Any) -> None:
            heard(sender, params)
            status = {"samp.status": "samp.error", "samp.error": {"samp.errortxt": self.problem}} if self.problem else {"samp.status": "samp.ok"}
            self._client.reply(message, {**status, "samp.result": {}})

        self._client.bind_receive_notification(kind, notified)
        self._client.bind_receive_call(kind, called)

    def _take_table(self, sender: str, params: Mapping[str, Any]) -> None:
        from astrofuse_lab.surveys.formats import votable

        table = votable(read_own(str(params.get("url", ""))), f"SAMP, {sender}")
        self.received = [*self.received, Received(str(params.get("name") or params.get("table-id") or "table")[:200], sender, table)][-MOST:]
        desk = open_desk()
        if desk is not None:
            link = next((name for name, value in names().items() if value is self), "link")
            code = "targets = af.Targets.from_table({}.received[{}].table)\ntargets"
            desk.received = [
                {"name": one.name, "sender": one.sender, "rows": len(one.table), "code": code.format(link, i)} for i, one in enumerate(self.received)
            ]  # fmt: skip
            desk.later()

    def _ours(self, params: Mapping[str, Any]) -> bool:
        return self.samples is not None and bool(self._table_id) and self._table_id in (params.get("table-id"), params.get("url"))

    def _take_rows(self, _sender: str, params: Mapping[str, Any]) -> None:
        if self._ours(params):
            assert self.samples is not None
            mask = np.zeros(len(self.samples), dtype=bool)
            rows = np.asarray(params.get("row-list", []), dtype=str).astype(np.int64)
            mask[rows[(rows >= 0) & (rows < len(mask))]] = True
            self.selection.choose(self.samples.object_ids, mask)

    def _take_row(self, _sender: str, params: Mapping[str, Any]) -> None:
        row = int(params.get("row", -1))
        if self._ours(params) and self.samples is not None and 0 <= row < len(self.samples):
            self.selection.focus = str(self.samples.object_ids[row])

    def _take_position(self, _sender: str, params: Mapping[str, Any]) -> None:
        if self.samples is None:
            return
        ra, dec = np.radians([float(params["ra"]), float(params["dec"])])
        lon, lat = (np.radians(np.ma.filled(self.samples.column(name).astype(float), np.nan)) for name in ("ra", "dec"))
        apart = np.degrees(2 * np.arcsin(np.sqrt(np.sin((lat - dec) / 2) ** 2 + np.cos(lat) * np.cos(dec) * np.sin((lon - ra) / 2) ** 2)))
        if np.isfinite(apart).any() and np.nanmin(apart) < NEAR:
            self.selection.focus = str(self.samples.object_ids[int(np.nanargmin(apart))])

    def _name_of(self, client: str) -> str:
        return str(self._client.get_metadata(client).get("samp.name", client))[:100]

    # ---- end -------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave the hub and remove what was written for it."""
        self.selection.unobserve(self._selected, "ids")
        self.selection.unobserve(self._focused, "focus")
        if self._client.is_connected:
            self._client.disconnect()
        self._folder.cleanup()

    def __repr__(self) -> str:
        if not self._client.is_connected:
            return "SampLink(closed)"
        tools = self.tools()
        return f"SampLink(connected with {', '.join(tools) or 'no other tool yet'}; {len(self.received)} tables received{f'; {self.problem}' if self.problem else ''})"


def _connected(name: str) -> Any:
    """A client on the hub of this machine."""
    from pyvo import samp

    samp.conf.use_internet = False  # it would ask a search engine whether there is an internet, and then listen on the machine's public name
    client = samp.SAMPIntegratedClient(name=name, description="Many kinds of data on the same objects", addr="127.0.0.1")
    try:
        client.connect()
    except (samp.SAMPHubError, samp.SAMPClientError, OSError) as error:
        raise InputError(
            f"no SAMP hub answers on the machine where Python runs ({error}). Start TOPCAT or Aladin there, then make the link again; on a remote hub, export a file: samples.export('table.vot')."
        ) from error
    return client


def _writable(table: Any) -> Any:
    """The table as VOTable can hold it: columns of any objects as text."""
    made = table.copy(copy_data=False)
    for name in made.colnames:
        if made[name].dtype.kind == "O":
            made[name] = np.asarray([str(value) for value in made[name]])
    return made


def read_own(url: str) -> bytes:
    """The bytes at an address of this machine: a file, or a web server on loopback.

    Raises
    ------
    ArchiveError
        For any other address, and for more than 64 MiB.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path = Path(urllib.request.url2pathname(parts.path))
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise ArchiveError("SAMP", f"{path} is no file of at most {LARGEST >> 20} MiB.")
        return path.read_bytes()
    if parts.scheme != "http" or parts.hostname not in OWN:
        raise ArchiveError("SAMP", f"{url[:200]!r} is not on this machine, so it is not asked for. Read it yourself and use the table.")
    import requests

    with requests.get(url, timeout=WAIT, stream=True, allow_redirects=False) as answer:
        content = answer.raw.read(LARGEST + 1, decode_content=True) if answer.ok and not answer.is_redirect else None
    if content is None or len(content) > LARGEST:
        raise ArchiveError("SAMP", f"{url[:200]!r} answered with status {answer.status_code} or more than {LARGEST >> 20} MiB.")
    return bytes(content)
