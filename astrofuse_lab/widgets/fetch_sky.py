"""The sky of the fetch view: where targets lie, what the ticked surveys saw, in an offline plot or in Aladin Lite."""

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from astrofuse_lab.errors import ArchiveError, AstroFuseError
from astrofuse_lab.widgets import fetch_aladin
from astrofuse_lab.widgets.base import Base, Worker, in_words, to_bits
from astrofuse_lab.widgets.wire import array

if TYPE_CHECKING:
    from astrofuse_lab.targets import Targets

AGAIN = 300.0
"""s after which a coverage that could not be got is asked for again."""
LISTED = 5000
"""Ids sent with the sky."""


class SkyOfTargets(Base):
    """What `FetchWidget` has of the sky.

    Exact coverages are got one after the other on a thread of their own, and only for surveys that are ticked; until they are there, and
    where they cannot be got, the view draws the rough limits that a survey states.

    Attributes
    ----------
    sky : dict
        Positions, ids, and in how many surveys each target was found.
    outlines : dict
        By MOC: ``order``, ``ranges``, ``area`` (deg2), or ``note``: why there is none.
    sky_by : {"auto", "plot", "aladin"}
        What the user wants; ``auto`` is Aladin Lite where ipyaladin is installed and the page can load it.
    sky_kind : {"plot", "aladin"}
        What is shown, with `sky_words` below it.
    hindered : str
        Set by the view: why Aladin Lite cannot be shown there.
    aladin : str
        The model of ipyaladin's widget, once there is one. A page that was loaded anew empties it: what an earlier page was told is
        not told again.
    tool : {"", "circle", "rectangle"}
        Set by the view: what to select with in Aladin Lite.
    """

    sky = t.Dict().tag(sync=True)
    outlines = t.Dict().tag(sync=True)
    sky_by = t.Enum(("auto", "plot", "aladin"), "auto").tag(sync=True)
    sky_kind = t.Enum(("plot", "aladin"), "plot").tag(sync=True)
    sky_words = t.Unicode("").tag(sync=True)
    has_aladin = t.Bool(False).tag(sync=True)
    hindered = t.Unicode(fetch_aladin.UNKNOWN).tag(sync=True)
    aladin = t.Unicode("").tag(sync=True)
    tool = t.Enum(("", "circle", "rectangle"), "").tag(sync=True)
    surveys: Any
    catalogue: Any
    targets: "Targets | None"

    def _begin_sky(self) -> None:
        """Called at the end of the constructor."""
        self._leaving = threading.Event()
        self._outliner = Worker(f"{type(self).__name__}-outlines", self._outline_failed)
        self._tried: dict[str, float] = {}
        self._aladin: fetch_aladin.AladinSky | None = None
        self._version = fetch_aladin.installed()
        self.observe(self._want_outlines, "surveys")
        self.observe(self._sky_asked, ["sky_by", "hindered"])
        self.observe(self._asked_anew, "aladin")
        self.observe(self._tool_taken, "tool")
        self._choose_sky()
        self._want_outlines()

    # ---- targets -------------------------------------------------------------------------------------------------

    def _put_on_sky(self, targets: "Targets", found: Any) -> None:
        """Show these targets; `found`: how many surveys have each."""
        sky = {"n": len(targets), "ids": "\n".join(targets.ids[:LISTED]).encode(), "ra": array(targets.ra, "float64"), "dec": array(targets.dec, "float64"), "found": array(found, "int32")}
        self._update(sky=sky)
        if self._aladin is not None:
            self._aladin.show(targets)

    # ---- exact coverages -----------------------------------------------------------------------------------------

    def _ticked_mocs(self) -> dict[str, str]:
        """Survey to MOC, of those ticked that have one."""
        chosen = set(self.surveys)
        return {row["name"]: row["moc"] for row in self.catalogue if row["name"] in chosen and row["moc"] and "position" in row["needs"]}

    def _want_outlines(self, _change: Any = None) -> None:
        now = time.monotonic()
        for moc in dict.fromkeys(self._ticked_mocs().values()):
            if "ranges" not in self.outlines.get(moc, {}) and now - self._tried.get(moc, -AGAIN) >= AGAIN:
                self._tried[moc] = now
                self._outliner.submit(self._get_outline, moc)
        self._cover()

    def _get_outline(self, moc: str) -> None:
        from astrofuse_lab.outlines import SERVER, coarser, outline
        from astrofuse_lab.surveys import health

        if self._leaving.is_set() or moc not in self._ticked_mocs().values():
            self._tried.pop(moc, None)  # unticked meanwhile
            return
        try:
            # where the server does not answer, what is kept will do, and the others need not wait for it
            down = health.light(SERVER.host, AGAIN) == "down" and not moc.startswith("http")
            cells = outline(moc, mode="offline" if down else "prefer-cache", stop=self._leaving)
            order, ranges = coarser(cells)
            got: dict[str, Any] = {"order": order, "ranges": array(ranges, "int32"), "area": round(cells.area, 3)}
        except AstroFuseError as error:
            said = in_words(error).rpartition(f"{moc}: ")[2] if isinstance(error, ArchiveError) else in_words(error)
            got = {"note": said.replace("not in the cache, and mode='offline' asks nobody", "its server does not answer")}
        if not self._leaving.is_set():
            self._update(outlines={**self.outlines, moc: got})
            self._cover()

    def _outline_failed(self, error: Exception) -> None:
        """A coverage is an ornament: what goes wrong with one beyond what was foreseen hinders nothing."""
        self.failure = error

    def _cover(self) -> None:
        """Hand the coverages of ticked surveys to Aladin Lite."""
        if self._aladin is None:
            return
        from astrofuse_lab.outlines import cells_by_order

        shown = {}
        for name, moc in self._ticked_mocs().items():
            got = self.outlines.get(moc, {})
            if "ranges" in got:
                ranges = np.frombuffer(got["ranges"]["data"], dtype="<i4").reshape(-1, 2)
                shown[name] = cells_by_order(got["order"], ranges)
        self._aladin.cover(shown)

    # ---- Aladin Lite ---------------------------------------------------------------------------------------------

    def _sky_asked(self, _change: Any) -> None:
        self._quick.submit(self._choose_sky)

    def _asked_anew(self, change: Any) -> None:
        if not change["new"]:
            self._quick.submit(self._renew)

    def _renew(self) -> None:
        if self._aladin is not None:
            self._aladin.close()
            self._aladin = None
        self._choose_sky()

    def _choose_sky(self) -> None:
        """Show what is wanted and can be shown; ipyaladin is imported when it is first to be seen."""
        kind, words = fetch_aladin.sky_choice(self.sky_by, self._version, self.hindered)
        if kind == "aladin" and self._aladin is None:
            try:
                self._aladin = fetch_aladin.AladinSky(self._select_rows)
            except Exception as error:  # another package's code
                kind, words = "plot", f"Aladin Lite cannot be shown: ipyaladin {self._version} fails ({in_words(error)}). This is the offline plot."
            else:
                self._aladin.show(self.targets)
                self._cover()
                self._update(aladin=self._aladin.model_id)
        self._update(sky_kind=kind, sky_words=words, has_aladin=bool(self._version))

    def _tool_taken(self, change: Any) -> None:
        if change["new"]:
            self._quick.submit(self._use_tool, change["new"])

    def _use_tool(self, shape: str) -> None:
        self._update(tool="")
        if self._aladin is not None:
            self._aladin.pick(shape)

    def _select_rows(self, rows: list[int]) -> None:
        """A selection made in Aladin Lite is one made here."""
        self._quick.submit(self._take_rows, rows)

    def _take_rows(self, rows: list[int]) -> None:
        mask = np.zeros(len(self._ids), dtype=bool)
        mask[[row for row in rows if row < len(mask)]] = True
        self._update(selected=to_bits(mask) if mask.any() else b"")

    # ---- end -----------------------------------------------------------------------------------------------------

    def wait_for_outlines(self, timeout: float = 60.0) -> bool:
        """Block until the coverages asked for are there, or known not to come; False when `timeout` (seconds) passed first."""
        return self._outliner.drain(timeout)

    def close(self) -> None:
        """Stop what is under way, end the threads and remove the view."""
        if not self._ended:
            self._leaving.set()
            self._outliner.close(2.0)  # a look-up of a name cannot be cut short
            if self._aladin is not None:
                self._aladin.close()
        super().close()
