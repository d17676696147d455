"""Aladin Lite as the sky of the fetch view, by ipyaladin, where the user has installed it.

ipyaladin (BSD-3) is no dependency: its page loads Aladin Lite (LGPL-3 in 3.9.2, GPL-3 before) from the network. It is imported here alone, once a page has
said that it can show it. API: ipyaladin 0.8.1, https://cds-astro.github.io/ipyaladin/.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import MissingExtraError

if TYPE_CHECKING:
    from astrofuse_lab.targets import Targets

PACKAGE = "ipyaladin"
OLDEST = (0, 7)
"""First version that says when its page is loaded and hands over what was selected."""
MOST = 20_000
"""Targets shown; each is a line of a VOTable and an object of the page."""
HEIGHT = 400  # px
LAYER = "targets"
COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00")
"""Of outlines (Okabe & Ito 2008)."""
UNKNOWN = "not asked yet"
"""What hinders a page that has not said what it can."""


def installed() -> str:
    """The version of ipyaladin; empty where it is not installed. Imports nothing."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return ""


def sky_choice(wanted: str, version: str, hindered: str) -> tuple[str, str]:
    """Which sky is shown, and the line below it.

    Parameters
    ----------
    wanted : {"auto", "plot", "aladin"}
    version : str
        Of ipyaladin; empty where it is not installed.
    hindered : str
        Why the page cannot show it; empty where it can.

    Returns
    -------
    kind : {"plot", "aladin"}
    words : str
        How to get the other one, or why it is not shown; empty where a button says so.
    """
    if not version:
        return "plot", "Aladin Lite instead: pip install ipyaladin, restart the kernel (needs the network)."
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        return "plot", f"ipyaladin {version} is too old to show Aladin Lite here: pip install -U ipyaladin, then restart the kernel."
    if wanted == "plot":
        return "plot", ""
    if hindered == UNKNOWN:
        return "plot", ""
    if hindered:
        return "plot", f"Aladin Lite cannot be shown: {hindered}. This is the offline plot."
    return "aladin", "Pictures come from the CDS, over the network."


class AladinSky:
    """One ipyaladin widget that shows targets and coverages, and says which targets are selected.

    Parameters
    ----------
    selected : callable
        Called with row numbers of targets, on the thread of the message; it only enqueues.

    Raises
    ------
    MissingExtraError
        If ipyaladin is not installed.
    """

    def __init__(self, selected: Callable[[list[int]], None]) -> None:
        try:
            from ipyaladin import Aladin
        except ImportError:
            raise MissingExtraError(PACKAGE, "Aladin Lite in FetchWidget") from None
        self._selected = selected
        self._waiting: dict[str, Callable[[], None]] = {}
        self._shown: set[str] = set()
        self._count = 0
        self.widget = Aladin(height=HEIGHT, show_fullscreen_control=False, show_share_control=False)
        self.widget.on_msg(self._heard)
        self.widget.observe(self._loaded, "_is_loaded")

    @property
    def model_id(self) -> str:
        """By which a page finds it."""
        return str(self.widget.model_id)

    # what ipyaladin itself queues for a page that is not loaded is shared by all its widgets, and sent again with each
    def _when_loaded(self, name: str, call: Callable[[], None]) -> None:
        if self.widget._is_loaded:
            call()
        else:
            self._waiting[name] = call

    def _loaded(self, change: Mapping[str, Any]) -> None:
        if change["new"]:
            waiting, self._waiting = self._waiting, {}
            for call in waiting.values():
                call()

    def show(self, targets: "Targets | None") -> None:
        """Mark these targets in place of those before, and turn to them."""
        from astropy.coordinates import SkyCoord
        from astropy.table import Table

        from astrofuse_lab.positions import separation

        self._count = 0
        self._when_loaded(LAYER, lambda: self._remove(LAYER))
        if targets is None or not len(targets):
            return
        placed = np.flatnonzero(np.isfinite(targets.ra))[:MOST]
        if not len(placed):
            return
        self._count = len(targets)
        ra, dec = np.asarray(targets.ra)[placed], np.asarray(targets.dec)[placed]
        table = Table({"row": placed, "name": [targets.ids[int(i)] for i in placed], "ra": ra, "dec": dec}, units={"ra": "deg", "dec": "deg"})
        middle = np.array([np.cos(np.radians(dec)) * np.cos(np.radians(ra)), np.cos(np.radians(dec)) * np.sin(np.radians(ra)), np.sin(np.radians(dec))]).mean(axis=1)
        at = (float(np.degrees(np.arctan2(middle[1], middle[0])) % 360), float(np.degrees(np.arcsin(np.clip(middle[2] / (np.linalg.norm(middle) or 1), -1, 1)))))
        reach = float(np.max(separation(*at, ra, dec)))

        def call() -> None:
            self._remove(LAYER)
            self.widget.add_table(table, name=LAYER, shape="circle", color=COLOURS[1], source_size=12, limit=MOST)
            self._shown.add(LAYER)

        self.widget.target, self.widget.fov = SkyCoord(*at, unit="deg"), min(180.0, max(2.4 * reach, 0.02))
        self._when_loaded(LAYER, call)

    def cover(self, outlines: Mapping[str, Mapping[str, list[int]]]) -> None:
        """Draw these coverages (name to order to cells) and no others."""

        def call() -> None:
            for name in self._shown - {LAYER} - set(outlines):
                self._remove(name)
            for i, (name, cells) in enumerate(outlines.items()):
                if name not in self._shown:
                    self.widget.add_moc(dict(cells), name=name, color=COLOURS[i % len(COLOURS)], opacity=0.25)
                    self._shown.add(name)

        self._when_loaded("outlines", call)

    def _remove(self, name: str) -> None:
        if name in self._shown:
            self._shown.discard(name)
            self.widget.remove_overlay(name)

    def pick(self, shape: str) -> None:
        """Let the user draw a ``circle`` or a ``rectangle`` around targets."""
        self._when_loaded("tool", lambda: self.widget.selection(shape))

    def _heard(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A selection made in the page: objects with the cells of their rows in the table, as text or numbers."""
        if not isinstance(content, dict) or content.get("event_type") != "select" or not isinstance(content.get("content"), list):
            return
        rows = [one["data"].get("row") for one in content["content"] if isinstance(one, dict) and isinstance(one.get("data"), dict)]
        numbers = {int(row) for row in rows if isinstance(row, int | str) and str(row).isdecimal()}
        self._selected(sorted(row for row in numbers if row < self._count))

    def close(self) -> None:
        """Take it off the page."""
        self.widget.close()
