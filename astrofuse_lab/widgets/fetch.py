"""Choose targets and surveys, fetch with live progress, stop, continue, align."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.base import Base, Selection
from astrofuse_lab.widgets.target_lines import parse_targets
from astrofuse_lab.widgets.wire import array

if TYPE_CHECKING:
    from astrofuse_lab.found import Found
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.targets import Targets

PRACTICE = "practice/"
PROBLEMS = 200
"""Failures listed at most; ``found.status`` has them all."""
OFTEN = 0.15  # s between two reports of progress


def _survey_rows() -> list[dict[str, Any]]:
    from astrofuse_lab.surveys import list_surveys

    names = ("name", "modality", "bands", "release", "citation", "licence")
    return [{**{n: str(r[n]) for n in names}, "simulated": bool(r["simulated"])} for r in list_surveys()]


class FetchWidget(Base):
    """From targets to samples by hand.

    Parameters
    ----------
    targets : Targets, optional
        None: typed in the view, or found in a region.
    surveys : sequence of str, optional
        Ticked at the start; None: the practice sky.
    selection : Selection, optional

    Attributes
    ----------
    targets : Targets or None
    found : Found or None
    samples : SampleSet or None
        After Align.
    """

    view = "fetch"
    verbs = {"look": "look", "fetch": "fetch", "continue": "go_on", "align": "align"}
    mode = t.Enum(("given", "region", "lines"), "region").tag(sync=True)
    lines = t.Unicode("").tag(sync=True)
    center = t.Unicode("150.1 +2.2").tag(sync=True)
    circle = t.Float(1.0).tag(sync=True)
    count = t.Int(100, min=1).tag(sync=True)
    finder = t.Enum(("practice/table", "gaia/table"), "practice/table").tag(sync=True)
    catalogue: Any = t.List().tag(sync=True)
    surveys: Any = t.List().tag(sync=True)
    radius = t.Float(3.0).tag(sync=True)
    size = t.Float(20.0).tag(sync=True)
    missing = t.Float(0.1).tag(sync=True)
    noise = t.Float(1.0).tag(sync=True)
    pixels = t.Int(64, min=8, max=1024).tag(sync=True)
    scale = t.Float(0.262).tag(sync=True)
    sky = t.Dict().tag(sync=True)
    counts: Any = t.List().tag(sync=True)
    problems: Any = t.List().tag(sync=True)
    notes: Any = t.List().tag(sync=True)
    complete = t.Bool(False).tag(sync=True)
    aligned: Any = t.List().tag(sync=True)

    def __init__(self, targets: "Targets | None" = None, surveys: Sequence[str] | None = None, selection: Selection | None = None, **traits: Any) -> None:
        from astrofuse_lab.surveys import SURVEYS, get

        chosen = [get(name).name for name in surveys] if surveys is not None else [n for n in SURVEYS if n.startswith(PRACTICE)]
        self.targets = targets
        self.found: Found | None = None
        self.samples: SampleSet | None = None
        self._made_of: tuple[Any, ...] | None = None
        self._last = 0.0
        given = {"catalogue": _survey_rows(), "surveys": chosen, "mode": "given" if targets is not None else "region"}
        super().__init__(targets.ids if targets is not None else (), selection, **{**given, **traits})
        self.observe(self._settings_changed, ["mode", "lines", "center", "circle", "count", "finder", "surveys", "radius", "size", "missing", "noise", "pixels", "scale"])
        self._settings_changed()
        if targets is not None:
            self._show_targets()

    # ---- settings ------------------------------------------------------------------------------------------------

    def _settings_changed(self, _change: Any = None) -> None:
        practice = bool(self.surveys) and all(name.startswith(PRACTICE) for name in self.surveys)
        self._update(code=self._code(), simulated=practice)

    def _code(self) -> str:
        if self.mode == "region":
            first = f"targets = af.Targets.from_region({self.center!r}, radius={self.circle:g} * u.deg, n={self.count}, survey={self.finder!r})\n"
        elif self.mode == "lines":
            first = f"targets = {_lines_code(self.lines)}\n"
        else:
            first = ""
        options = f", options={self._options()!r}" if self._options() else ""
        fetch = f"found = af.fetch(targets, surveys={list(self.surveys)!r}, radius={self.radius:g} * u.arcsec, size={self.size:g} * u.arcsec{options})\n"
        return first + fetch + f"samples = af.align(found, image=af.PixelGrid({self.pixels}, {self.scale:g} * u.arcsec), spectrum=af.LogGrid(3800, 9200, 1e-3))"

    def _options(self) -> dict[str, Any]:
        """Settings of the practice sky that differ from its own, per survey, since archives would refuse them."""
        changed = {name: getattr(self, name) for name, own in (("missing", 0.1), ("noise", 1.0)) if getattr(self, name) != own}
        return {name: dict(changed) for name in self.surveys if name.startswith(PRACTICE)} if changed else {}

    # ---- targets -------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Find the targets that the settings describe, and show them on the sky."""
        from astrofuse_lab.fetching import Targets

        wanted = {"region": (self.center, self.circle, self.count, self.finder), "lines": (self.lines,), "given": ()}[self.mode]
        if self.targets is not None and (self.mode == "given" or self._made_of == (self.mode, *wanted)):
            return
        self._update(status="Looking for targets")
        if self.mode == "region":
            self.targets = Targets.from_region(self.center, self.circle * 3600, n=self.count, survey=self.finder)  # type: ignore[attr-defined]
        elif self.mode == "lines":
            self.targets = parse_targets(self.lines)
        else:
            raise InputError("no targets were given. Choose a region, or type names or positions.")
        self._made_of = (self.mode, *wanted)
        self.found = self.samples = None
        self._set_ids(self.targets.ids)
        self._update(counts=[], problems=[], aligned=[], complete=False)
        self._show_targets()

    def _show_targets(self) -> None:
        assert self.targets is not None
        seen = np.zeros(len(self.targets), dtype=np.int32)
        if self.found is not None:
            status = self.found.status
            states = np.asarray(status["state"]).reshape(len(self.targets), -1) if len(status) else np.empty((len(self.targets), 0))
            seen = (states == "found").sum(1)
        sky = {"n": len(self.targets), "ids": "\n".join(self.targets.ids[:5000]).encode(), "ra": array(self.targets.ra, "float64"), "dec": array(self.targets.dec, "float64"), "found": array(seen, "int32")}
        self._update(sky=sky, notes=list(self.targets.notes[:20]), status="")

    # ---- fetching ------------------------------------------------------------------------------------------------

    def fetch(self) -> None:
        """Find the targets and fetch what is ticked; blocks (the view's button runs it on the worker thread)."""
        from astrofuse_lab.fetching import fetch

        if not self.surveys:
            raise InputError("no survey is ticked. Tick at least one.")
        self.look()
        assert self.targets is not None
        self._update(counts=self._pending_counts(), problems=[], aligned=[], complete=False, status=f"Fetching {len(self.targets)} targets from {len(self.surveys)} surveys")
        self.samples = None
        self._gather(lambda **more: fetch(self.targets, list(self.surveys), self.radius, self.size, options=self._options() or None, **more))  # type: ignore[arg-type]

    def go_on(self) -> None:
        """Ask again for what failed or is pending."""
        if self.found is None:
            self.fetch()
            return
        self._update(status="Asking again for what failed or is pending", aligned=[])
        self._gather(self.found.retry)

    def _gather(self, call: Any) -> None:
        try:
            self.found = call(progress=False, stop=self._halt, on_progress=self._told)
        except Exception as error:
            self.found = getattr(error, "found", self.found)  # what was fetched before the disk was full
            raise
        finally:
            self._show_found()
        assert self.found is not None
        stopped = self._halt.is_set() and not self.found.complete
        self._update(status="Stopped; Continue goes on where it stopped" if stopped else "", progress=1.0)

    def _pending_counts(self) -> list[dict[str, Any]]:
        kinds = {row["name"]: row["modality"] for row in self.catalogue}
        total = len(self.targets or ())
        return [{"survey": n, "modality": kinds[n], "found": 0, "empty": 0, "failed": 0, "pending": total, "done": 0, "total": total, "state": "waiting"} for n in self.surveys]

    def _told(self, now: dict[str, Any]) -> None:
        """One survey's progress, passed on a few times a second at most; the last word always."""
        rows = [{**row, "done": now["done"], "failed": now["failed"], "pending": now["total"] - now["done"], "state": now["state"]} if row["survey"] == now["survey"] else row for row in self.counts]
        if time.monotonic() - self._last > OFTEN or now["state"] != "fetching":
            self._last = time.monotonic()
            total = sum(r["total"] for r in rows)
            self._update(counts=rows, progress=sum(r["done"] for r in rows) / max(total, 1))
        else:
            self.counts[:] = rows  # kept for the next report, not sent

    def _show_found(self) -> None:
        if self.found is None:
            return
        rows = []
        for r in self.found.counts:
            row = {n: int(r[n]) for n in ("found", "empty", "failed", "pending")}
            total = sum(row.values())
            rows.append({"survey": str(r["survey"]), "modality": str(r["modality"]), **row, "done": total - row["pending"], "total": total, "state": "stopped" if row["pending"] else "done"})
        status = self.found.status
        bad = status[np.asarray(status["state"]) == "failed"][:PROBLEMS] if len(status) else []
        problems = [[str(r[n]) for n in ("object_id", "survey", "message")] for r in bad]
        self._update(counts=rows, problems=problems, complete=bool(self.found.complete))
        self._show_targets()

    # ---- aligning ------------------------------------------------------------------------------------------------

    def align(self) -> None:
        """Bring what was found to common grids, as `samples`."""
        from astrofuse_lab.alignment.grids import LogGrid, PixelGrid
        from astrofuse_lab.samples.assemble import align

        if self.found is None:
            raise InputError("nothing was fetched yet. Fetch first.")
        self._update(status="Aligning: common pixels, wavelengths and clock", progress=-1.0)
        self.samples = align(self.found, image=PixelGrid(self.pixels, self.scale), spectrum=LogGrid(3800, 9200, 1e-3), progress=False)
        rows = [{"name": name, "kind": spec.kind, "count": int(self.samples.present(name).sum()), "total": len(self.samples)} for name, spec in self.samples.modalities.items()]
        self._update(aligned=rows, status="", progress=1.0)

    def __repr__(self) -> str:
        what = "no targets yet" if self.targets is None else f"{len(self.targets)} targets"
        return f"FetchWidget({what}, {len(self.surveys)} surveys{', aligned' if self.samples is not None else ', fetched' if self.found is not None else ''})"


def _lines_code(text: str) -> str:
    """The line of Python for typed targets: names, or a table of positions."""
    from astrofuse_lab.targets import Target
    from astrofuse_lab.widgets.target_lines import parse_line

    entries = [e for i, line in enumerate(text.splitlines()) if (e := parse_line(line, i)) is not None]
    positions = [e for e in entries if isinstance(e, Target)]
    names = [e for e in entries if isinstance(e, str)]
    if positions and not names:
        return f"af.Targets.from_table({{'object_id': {[p.object_id for p in positions]!r}, 'ra': {[p.ra for p in positions]!r}, 'dec': {[p.dec for p in positions]!r}}})"
    if positions:
        return f"af.Targets([*af.Targets.from_names({names!r}), *af.Targets.from_table({{'object_id': {[p.object_id for p in positions]!r}, 'ra': {[p.ra for p in positions]!r}, 'dec': {[p.dec for p in positions]!r}}})])"
    return f"af.Targets.from_names({names!r})"
