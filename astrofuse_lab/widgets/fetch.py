"""Choose targets and surveys, fetch with live progress, stop, continue, align."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets as t

from astrofuse_lab.errors import AstroFuseError, InputError
from astrofuse_lab.widgets import fetch_facts
from astrofuse_lab.widgets.base import Selection, from_bits
from astrofuse_lab.widgets.fetch_code import Settings, code_of
from astrofuse_lab.widgets.fetch_sky import SkyOfTargets

if TYPE_CHECKING:
    from astrofuse_lab.found import Found
    from astrofuse_lab.modalities import Modality
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.targets import Targets

PRACTICE = "practice/"
PROBLEMS = 200
"""Failures listed at most; ``found.status`` has them all."""
OFTEN = 0.15  # s between two reports of progress
SELDOM = 0.5  # s between two looks for first products
UPLOAD = 8 * 1024**2
"""Bytes of a file that the view may send: what Jupyter's server lets through in one message is 10 MB."""
PREVIEWED = 8
"""Surveys of which a first product is shown."""
LOOKED = 500
"""Targets, evenly spread, among which a first product is looked for while a fetch runs: they come in any order."""


class FetchWidget(SkyOfTargets):
    """From targets to samples by hand.

    Parameters
    ----------
    targets : Targets, optional
        None: typed or uploaded in the view, or found in a region.
    surveys : sequence of str, optional
        Ticked at the start; None: the practice sky.
    selection : Selection, optional
        A lasso on the sky selects in it.

    Attributes
    ----------
    targets : Targets or None
    found : Found or None
    samples : SampleSet or None
        After Align.
    asked : dict
        `Settings` of the fetch and the alignment that `samples` come from, whatever was set since.
    """

    view = "fetch"
    verbs = {"look": "look", "fetch": "ask", "estimate": "reckon", "continue": "go_on", "align": "align", "keep": "keep_selected", "drop": "drop_selected"}
    mode = t.Enum(("given", "region", "lines", "file"), "region").tag(sync=True)
    given = t.Int(0).tag(sync=True)
    lines = t.Unicode("").tag(sync=True)
    file = t.Unicode("").tag(sync=True)
    upload = t.Dict().tag(sync=True)
    skip = t.Bool(False).tag(sync=True)
    center = t.Unicode("150.1 +2.2").tag(sync=True)
    circle = t.Float(1.0).tag(sync=True)
    count = t.Int(100, min=1).tag(sync=True)
    finder = t.Enum(("practice/table", "gaia/table"), "practice/table").tag(sync=True)
    catalogue: Any = t.List().tag(sync=True)
    lights: Any = t.List().tag(sync=True)
    surveys: Any = t.List().tag(sync=True)
    radius = t.Float(3.0).tag(sync=True)
    size = t.Float(20.0).tag(sync=True)
    missing = t.Float(0.1).tag(sync=True)
    noise = t.Float(1.0).tag(sync=True)
    pixels = t.Int(64, min=8, max=1024).tag(sync=True)
    scale = t.Float(0.262).tag(sync=True)
    kept = t.Int(0).tag(sync=True)
    plan = t.Dict().tag(sync=True)
    counts: Any = t.List().tag(sync=True)
    problems: Any = t.List().tag(sync=True)
    preview: Any = t.List().tag(sync=True)
    notes: Any = t.List().tag(sync=True)
    complete = t.Bool(False).tag(sync=True)
    aligned: Any = t.List().tag(sync=True)

    def __init__(self, targets: "Targets | None" = None, surveys: Sequence[str] | None = None, selection: Selection | None = None, **traits: Any) -> None:
        from astrofuse_lab.surveys import SURVEYS, get

        chosen = [get(name).name for name in surveys] if surveys is not None else [n for n in SURVEYS if n.startswith(PRACTICE)]
        self.targets = self._given = targets
        self.found: Found | None = None
        self.samples: SampleSet | None = None
        self._made_of: tuple[Any, ...] | None = ("given",) if targets is not None else None
        self._kept: list[str] | None = None
        self._content = b""
        self._first: dict[str, tuple[str, str, Modality]] = {}
        self.asked: dict[str, Any] = {}
        self._serial = 0
        self._last = self._peeked = 0.0
        own = {"catalogue": fetch_facts.survey_rows(), "lights": fetch_facts.light_rows(), "surveys": chosen, "mode": "given" if targets is not None else "region", "given": len(targets or ())}
        super().__init__(targets.ids if targets is not None else (), selection, **{**own, **traits})
        shapes = ["surveys", "radius", "size", "missing", "noise"]
        self.observe(self._settings_changed, [*self._of_targets, *shapes, "pixels", "scale"])
        self.observe(self._plan_outdated, [*self._of_targets, *shapes])
        self.observe(self._uploaded, "upload")
        self._begin_sky()
        self._settings_changed()
        if targets is not None:
            self._show_targets()

    # ---- settings ------------------------------------------------------------------------------------------------

    _of_targets = ("mode", "lines", "file", "skip", "center", "circle", "count", "finder")

    def _settings_changed(self, _change: Any = None) -> None:
        practice = bool(self.surveys) and all(name.startswith(PRACTICE) for name in self.surveys)
        self._update(code=self._code(), simulated=practice, kept=len(self._kept_now() or ()))

    def _plan_outdated(self, _change: Any = None) -> None:
        self._update(plan={})

    def _code(self) -> str:
        return code_of(self._settings())

    def _settings(self) -> Settings:
        """What the view is set to."""
        return Settings(
            self.mode, self.center, self.circle, self.count, self.finder, self.lines, self.file, self.skip, self._kept_now(),
            self.surveys, self.radius, self.size, self._options(), self.pixels, self.scale,
        )  # fmt: skip

    def _kept_now(self) -> list[str] | None:
        """Ids chosen on the sky, while the settings are those of the targets they were chosen from."""
        return self._kept if self._made_of == self._wanted() else None

    def _options(self) -> dict[str, Any]:
        """Settings of the practice sky that differ from its own, per survey, since archives would refuse them."""
        changed = {name: getattr(self, name) for name, own in (("missing", 0.1), ("noise", 1.0)) if getattr(self, name) != own}
        return {name: dict(changed) for name in self.surveys if name.startswith(PRACTICE)} if changed else {}

    # ---- targets -------------------------------------------------------------------------------------------------

    def _wanted(self) -> tuple[Any, ...]:
        """What the targets depend on, as the view is set."""
        more = {"region": (self.center, self.circle, self.count, self.finder), "lines": (self.lines, self.skip), "file": (self._content, self.skip), "given": ()}
        return (self.mode, *more[self.mode])

    def look(self) -> None:
        """Find the targets that the settings describe, and show them on the sky."""
        wanted = self._wanted()
        if self.targets is not None and self._made_of == wanted:
            return
        self._update(status="Looking for targets")
        self._take_targets(self._targets_of(), wanted, None)

    def _targets_of(self) -> "Targets":
        from astrofuse_lab.fetching import Targets

        if self.mode == "region":
            return Targets.from_region(self.center, self.circle * 3600, n=self.count, survey=self.finder)
        if self.mode == "lines":
            return Targets.from_text(self.lines, errors="skip" if self.skip else "raise")
        if self.mode == "file":
            if not self._content:
                raise InputError("no file was chosen. Choose a CSV, VOTable, FITS, ECSV or Parquet file.")
            return Targets.from_file(self._content, errors="skip" if self.skip else "raise")
        if self._given is None:
            raise InputError("no targets were given. Choose a region, or type names or positions.")
        return self._given

    def _take_targets(self, targets: "Targets", made_of: tuple[Any, ...], kept: list[str] | None) -> None:
        """These targets from now on; what was fetched for others is no longer shown."""
        self.targets, self._made_of, self._kept = targets, made_of, kept
        self.found = self.samples = None
        self._set_ids(targets.ids)
        self._first.clear()
        self._update(counts=[], problems=[], aligned=[], preview=[], plan={}, complete=False)
        self._take("selected")
        self._take("focus")
        self._settings_changed()
        self._show_targets()

    def _uploaded(self, change: Any) -> None:
        """A file came from the view: keep its bytes, and none of them in the state that a notebook saves."""
        sent = change["new"]
        if "data" in sent:
            self._jobs.submit(self._job, self._take_file, {"name": str(sent.get("name", ""))[:200], "content": bytes(sent["data"])})

    def _take_file(self, name: str, content: bytes) -> None:
        self._update(upload={})
        if len(content) > UPLOAD:
            raise InputError(f"{name} has {len(content) / 1024**2:.0f} MB; a view takes {UPLOAD // 1024**2}. Type targets = af.Targets.from_file(path) and af.FetchWidget(targets).")
        self._content = content
        self._update(file=name, mode="file")
        self._settings_changed()
        self.look()

    def keep_selected(self) -> None:
        """Go on with the targets selected on the sky only."""
        self._narrow(True)

    def drop_selected(self) -> None:
        """Go on without the targets selected on the sky."""
        self._narrow(False)

    def _narrow(self, keep: bool) -> None:
        if self.targets is None or self._made_of != self._wanted():
            raise InputError("the settings describe other targets than those shown. Press Show on the sky first.")
        mask = from_bits(self.selected, len(self.targets)) == keep
        if not mask.any() or mask.all():
            raise InputError("select some of the targets first, not none and not all: draw around them on the sky.")
        kept = [str(i) for i in np.asarray(self.targets.ids)[mask]]
        self.selection.ids = ()
        self._take_targets(self.targets.select(kept), self._wanted(), kept)

    def _show_targets(self) -> None:
        assert self.targets is not None
        seen = np.zeros(len(self.targets), dtype=np.int32)
        if self.found is not None:
            status = self.found.status
            states = np.asarray(status["state"]).reshape(len(self.targets), -1) if len(status) else np.empty((len(self.targets), 0))
            seen = (states == "found").sum(1)
        self._put_on_sky(self.targets, seen)
        self._update(notes=list(self.targets.notes[:20]), status="")

    # ---- fetching ------------------------------------------------------------------------------------------------

    def _begin_with(self) -> "Targets":
        if not self.surveys:
            raise InputError("no survey is ticked. Tick at least one.")
        self.look()
        assert self.targets is not None
        return self.targets

    def reckon(self) -> None:
        """Estimate what the fetch would cost, and show it."""
        targets = self._begin_with()
        self._update(status="Estimating", progress=-1.0)
        self._update(plan=fetch_facts.plan_of(targets, self.surveys, self.radius, self.size, self._options() or None), status="")

    def ask(self, sure: bool = False) -> None:
        """Fetch; a large fetch is estimated first, and begun once the view says that it is wanted."""
        if not sure:
            self.reckon()
            if self.plan["large"]:
                self._update(plan={**self.plan, "asked": True}, status="A large fetch: look at the estimate, then fetch or choose less")
                return
        self.fetch()

    def fetch(self) -> None:
        """Find the targets and fetch what is ticked; blocks (the view's button runs it on the worker thread)."""
        from astrofuse_lab.fetching import fetch

        targets = self._begin_with()
        self._first.clear()
        self.asked = asdict(self._settings())
        self._update(counts=self._pending_counts(), problems=[], aligned=[], preview=[], plan={}, complete=False, status=f"Fetching {len(targets)} targets from {len(self.surveys)} surveys")
        self.found = self.samples = None
        self._gather(lambda **more: fetch(targets, list(self.surveys), self.radius, self.size, options=self._options() or None, **more))

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
            self._update(counts=rows, lights=fetch_facts.light_rows(), progress=sum(r["done"] for r in rows) / max(total, 1))
            self._peek()
        else:
            self.counts[:] = rows  # kept for the next report, not sent

    def _show_found(self) -> None:
        self._update(lights=fetch_facts.light_rows())
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
        self._show_first(self.found)
        self._show_targets()

    # ---- first products ------------------------------------------------------------------------------------------

    def _peek(self) -> None:
        """Show first products while the fetch runs: what the cache has by now of the first targets."""
        from astrofuse_lab.fetching import fetch

        waiting = [r["survey"] for r in self.counts if r["done"] > r["failed"] and r["survey"] not in self._first]
        if not waiting or self.targets is None or len(self._first) >= PREVIEWED or time.monotonic() - self._peeked < SELDOM:
            return
        options = {name: value for name, value in self._options().items() if name in waiting}
        self._show_first(fetch(self.targets[:: -(-len(self.targets) // LOOKED)], waiting, self.radius, self.size, options=options or None, mode="offline", progress=False))
        self._peeked = time.monotonic()

    def _show_first(self, found: "Found") -> None:
        for name in found.surveys:
            if name in self._first or len(self._first) >= PREVIEWED:
                continue
            try:
                first = fetch_facts.first_products(found, [name])
            except AstroFuseError:  # an answer that cannot be read is told as a failure of its survey
                continue
            for object_id, product in first.values():
                self._serial += 1
                self._first[name] = (str(self._serial), object_id, product)
        rows = [{"key": key, "survey": name, "object_id": object_id} for name, (key, object_id, _) in sorted(self._first.items(), key=lambda one: self.surveys.index(one[0]) if one[0] in self.surveys else len(self.surveys))]
        if rows != self.preview:
            self._update(preview=rows)

    def answer(self, key: str) -> dict[str, Any]:
        """``product/<key of a row of preview>``: one of the first products."""
        kind, _, serial = key.partition("/")
        for name, (own, object_id, product) in list(self._first.items()):
            if kind == "product" and own == serial:
                return fetch_facts.preview_payload(name, object_id, product)
        raise InputError(f"no product for {key!r}: the fetch that it came from is over.")

    # ---- aligning ------------------------------------------------------------------------------------------------

    def align(self) -> None:
        """Bring what was found to common grids, as `samples`."""
        from astrofuse_lab.alignment.grids import LogGrid, PixelGrid
        from astrofuse_lab.samples.assemble import align

        if self.found is None:
            raise InputError("nothing was fetched yet. Fetch first.")
        self._update(status="Aligning: common pixels, wavelengths and clock", progress=-1.0)
        self.asked = {**self.asked, "pixels": self.pixels, "scale": self.scale}
        self.samples = align(self.found, image=PixelGrid(self.pixels, self.scale), spectrum=LogGrid(3800, 9200, 1e-3), progress=False)
        rows = [{"name": name, "kind": spec.kind, "count": int(self.samples.present(name).sum()), "total": len(self.samples)} for name, spec in self.samples.modalities.items()]
        self._update(aligned=rows, status="", progress=1.0)

    def __repr__(self) -> str:
        what = "no targets yet" if self.targets is None else f"{len(self.targets)} targets"
        return f"FetchWidget({what}, {len(self.surveys)} surveys{', aligned' if self.samples is not None else ', fetched' if self.found is not None else ''})"
