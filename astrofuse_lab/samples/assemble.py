"""What was fetched, brought to common grids: one SampleSet out of the products of many surveys."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab import surveys as _surveys
from astrofuse_lab.alignment import match, tables
from astrofuse_lab.alignment import steps as _steps
from astrofuse_lab.alignment.grids import LinearGrid, LogGrid, PixelGrid, TimeGrid, WavelengthGrid
from astrofuse_lab.errors import AlignmentError, AstroFuseError, InputError, UnknownNameError
from astrofuse_lab.modalities import KIND_OF, Image, LightCurve, Modality, Spectrum, TableRow
from astrofuse_lab.provenance import Provenance, citations
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.collect import Collector, ImageCollector, LightCurveCollector, SpectrumCollector, TextCollector, merged, slug
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec, shortened
from astrofuse_lab.targets import Targets

UNREADABLE = (AstroFuseError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError)
"""What a product that is not as it should be can raise; anything else is a fault of this program."""
ALIGNED = ("image", "spectrum", "light_curve", "table", "text")
"""Kinds that `align` knows how to put onto a common grid."""


class Products(Protocol):
    """What is needed of `fetching.Found`."""

    @property
    def targets(self) -> Targets:
        """Who was asked for."""
        ...

    @property
    def surveys(self) -> Sequence[str]:
        """Who was asked."""
        ...

    def get(self, survey: str, object_id: str) -> Modality | None:
        """One product, or None."""
        ...


def align(
    found: Products | SampleSet,
    image: PixelGrid | None = None,
    spectrum: WavelengthGrid | None = None,
    light_curve: TimeGrid | None = None,
    *,
    steps: Mapping[str, Sequence[Any]] | None = None,
    progress: bool = True,
) -> SampleSet:
    """Bring everything that was fetched to common grids.

    Images of all surveys become the bands of one modality ``image``; a band that several surveys have is named
    ``survey:band``. A survey whose unit cannot be converted to that of the first (counts beside microjansky) makes a
    modality of its own, ``image_<survey>``. Light curves are merged in the same way. Spectra of several surveys are modalities of their own
    (``spectrum_<survey>``). Columns of several tables stand side by side; a name that is taken gets the survey in front.
    What a target lacks is masked.

    Parameters
    ----------
    found : Found or SampleSet
        From `fetch`; or a set that is to be aligned again: modalities whose kind has neither a grid nor steps are left as they are.
    image : PixelGrid, optional
        None: size and scale of the first image.
    spectrum : LogGrid or LinearGrid, optional
        None: range and sampling of the first spectrum.
    light_curve : TimeGrid, optional
        None: all epochs and bands are kept as observed.
    steps : mapping of kind to sequence, optional
        Treatments of each product before it goes onto the grid, in order: names, or pairs of a name and its options,
        e.g. ``{"spectrum": ["air_to_vacuum", ("rest_frame", {"redshift": "z"})]}``; see `astrofuse_lab.alignment.steps`.
    progress : bool
        Show a line of text.

    Returns
    -------
    SampleSet
        In the order of the targets. Targets of which nothing was found are left out; ``samples.card.notes`` names them,
        and every product that could not be used, with its field.

    Raises
    ------
    AlignmentError
        If nothing is left.
    InputError
        If a grid is none, or a step does not exist.
    """
    for name, grid, fits in (("image", image, (PixelGrid,)), ("spectrum", spectrum, (LogGrid, LinearGrid)), ("light_curve", light_curve, (TimeGrid,))):
        if grid is not None and not isinstance(grid, fits):
            raise InputError(f"align({name}={grid!r}): a {' or '.join(kind.__name__ for kind in fits)} is expected, e.g. af.PixelGrid(64, 0.262 * u.arcsec), or None.")
    plans = {kind: _steps.planned(kind, chosen) for kind, chosen in (steps or {}).items()}
    if isinstance(found, SampleSet):
        from astrofuse_lab.samples.again import Again

        again = Again(found, [k for k, g in (("image", image), ("spectrum", spectrum), ("light_curve", light_curve)) if g is not None] + list(plans))
        assembly = _Assembly(again, image, spectrum, light_curve, progress, plans, again.about)
        return again.replaced(assembly.gather(), assembly.notes, assembly.measured)
    samples = _Assembly(found, image, spectrum, light_curve, progress, plans).run()
    samples.raw = found  # what archives sent stays in the cache; it can be looked at beside what was made of it
    return samples


class _Assembly:
    """One call of `align`: collectors, notes, and what is known of each survey."""

    def __init__(
        self, found: Products, image: PixelGrid | None, spectrum: WavelengthGrid | None, curve: TimeGrid | None, progress: bool,
        plans: Mapping[str, Sequence[_steps.Planned]], about: Callable[[int], Mapping[str, Any]] | None = None,
    ) -> None:  # fmt: skip
        self.found, self.ids = found, found.targets.ids
        n, ra, dec = len(self.ids), found.targets.ra, found.targets.dec
        self.collectors: dict[str, Collector] = {
            "image": ImageCollector(n, ra, dec, self.note, image or getattr(found, "grid", None), unplaced=image is None and getattr(found, "unplaced", False)),
            "spectrum": SpectrumCollector(n, self.note, spectrum),
            "light_curve": LightCurveCollector(n, ra, dec, self.note, curve or TimeGrid()),
            "text": TextCollector(n, self.note),
        }
        self.rows: dict[str, list[TableRow | None]] = {}
        self.time = np.full(n, np.nan)
        self.notes: list[str] = []
        self.plans, self.about = plans, about or self._about
        self.measured: dict[str, tuple[NDArray[np.float64], str]] = {}
        self.progress = _Progress(progress, n * len(found.surveys))

    def note(self, survey: str, position: int, message: str) -> None:
        """Write down what could not be used."""
        self.notes.append(f"{survey}, {self.ids[position]}: {message}")

    def run(self) -> SampleSet:
        """Take every product, then build the set."""
        samples = self._build(self.gather())
        self.progress.end(repr(samples))
        return samples

    def gather(self) -> dict[str, ModalityData]:
        """Take every product, and give the arrays."""
        surveys = list(self.found.surveys)
        if self.plans:  # what steps are told of an object stands in the tables
            surveys.sort(key=lambda survey: not self._is_table(survey))
        for survey in surveys:
            for position, product in self._products(survey):
                try:
                    self._take(survey, position, product)
                except UNREADABLE as error:
                    self.note(survey, position, f"{KIND_OF.get(type(product), type(product).__name__)} left out: {error}")
        known = {survey: _declared(survey) for survey in self.found.surveys}
        return {name: one for c in self.collectors.values() for name, one in c.finish(known).items()}

    def _is_table(self, survey: str) -> bool:
        """By the first product that there is."""
        for object_id in self.ids:
            try:
                product = self.found.get(survey, object_id)
            except UNREADABLE:
                continue
            if product is not None:
                return isinstance(product, TableRow)
        return False

    def _about(self, position: int) -> dict[str, Any]:
        """What is known of an object: its position, and the columns of all tables, the first survey's where several have a name."""
        known: dict[str, Any] = {"object_id": self.ids[position], "ra": self.found.targets.ra[position], "dec": self.found.targets.dec[position]}
        for rows in self.rows.values():
            row = rows[position]
            for name, value in (row.values if row is not None else {}).items():
                known.setdefault(name, value)
        if np.isfinite(self.time[position]):
            known["time"] = float(self.time[position])
        return known

    def _products(self, survey: str) -> Iterator[tuple[int, Modality]]:
        for position, object_id in enumerate(self.ids):
            self.progress.step(survey)
            try:
                product = self.found.get(survey, object_id)
            except UNREADABLE as error:
                self.note(survey, position, f"cannot be read: {error}")
                continue
            if product is not None:
                yield position, product

    def _take(self, survey: str, position: int, product: Modality) -> None:
        if isinstance(product, TableRow):
            tables.check(product)
            self.rows.setdefault(survey, [None] * len(self.ids))[position] = product
            return
        if KIND_OF.get(type(product)) not in ALIGNED:
            raise AlignmentError(f"a {type(product).__name__} is nothing that can be aligned ({', '.join(ALIGNED)}). Leave its survey out of the fetch that is aligned.")
        plan = self.plans.get(KIND_OF[type(product)])
        if plan:
            known = dict(self.about(position))
            product = _steps.treated(product, plan, known)
            for name, (value, unit) in known.get(_steps.MEASURED, {}).items():
                self._measure(name, position, value, unit)
        self._collector(survey, product).add(survey, position, product)
        if isinstance(product, Image) and product.time is not None:
            self.time[position] = product.time
        elif isinstance(product, LightCurve) and np.isnan(self.time[position]):
            self.time[position] = np.min(product.time[product.mask])
        elif isinstance(product, Spectrum) and product.time is not None:
            self._measure(f"{slug(survey, self.found.surveys)}_time", position, product.time, "d")

    def _measure(self, name: str, position: int, value: float, unit: str) -> None:
        """Keep a number for a column of its own."""
        self.measured.setdefault(name, (np.full(len(self.ids), np.nan), unit))[0][position] = value

    def _collector(self, survey: str, product: Modality) -> Collector:
        """The one for this product; images in a unit of their own, such as counts beside microjansky, get another."""
        kind = KIND_OF[type(product)]
        if not isinstance(product, Image):
            return self.collectors[kind]
        there = [c for c in self.collectors.values() if isinstance(c, ImageCollector)]
        fitting = next((c for c in there if survey in c.sources), None) or next((c for c in there if c.takes(survey, product)), None)
        if fitting is None:
            first = there[0]
            fitting = ImageCollector(first.n, first.ra, first.dec, self.note, first.grid, name=f"image_{slug(survey, self.found.surveys)}")
            self.collectors[fitting.name] = fitting
        return fitting

    def _build(self, data: Mapping[str, ModalityData]) -> SampleSet:
        columns, roles, units, notes = _columns(self.found.targets, self.rows, self.time)
        self.notes += notes
        sources = {s: p for c in self.collectors.values() for s, p in c.sources.items()}
        by_table = {s: next(r.provenance for r in rows if r is not None) for s, rows in self.rows.items()}
        sources |= by_table
        table = ModalitySpec("table", "table", provenance=merged(by_table)) if by_table else None
        whole = SampleSet(columns, data, roles, units, Card(), table).with_data(data, columns=self.measured)
        seen = np.any([whole.present(name) for name in whole.modalities], axis=0) if whole.modalities else np.zeros(len(self.ids), dtype=bool)
        if not seen.any():
            raise AlignmentError(f"nothing is left to align of {len(self.ids)} targets in {', '.join(self.found.surveys) or 'no survey'}. {_short(self.notes, 5)} found.status says what was found.")
        whole.card = _card(sources, self._all_notes(seen))
        return whole if seen.all() else whole.take(np.flatnonzero(seen))

    def _all_notes(self, seen: NDArray[np.bool_]) -> tuple[str, ...]:
        shown = list(shortened(self.notes))
        lost = [self.ids[i] for i in np.flatnonzero(~seen)]
        if lost:
            shown.insert(0, f"{len(lost)} of {len(self.ids)} targets are left out, since nothing usable was found: {', '.join(lost[:10])}{', ...' if len(lost) > 10 else ''}")
        return tuple(shown)


def _short(notes: Sequence[str], most: int) -> str:
    return " ".join(notes[:most]) + (f" ({len(notes) - most} notes more.)" if len(notes) > most else "")


def _declared(survey: str) -> tuple[str, ...]:
    """The bands of a survey in its own order: the same layout whichever target comes first."""
    try:
        return tuple(_surveys.get(survey).bands)
    except UnknownNameError:
        return ()


def _card(sources: Mapping[str, Provenance], notes: tuple[str, ...]) -> Card:
    simulated = any(p.simulated for p in sources.values())
    licence = "; ".join(dict.fromkeys(p.licence for p in sources.values() if p.licence))
    return Card("aligned", f"Aligned products of {', '.join(sources)}", simulated, citations(sources.values()), licence, notes)


def _columns(targets: Targets, rows: Mapping[str, list[TableRow | None]], when: NDArray[np.float64]) -> tuple[pa.Table, dict[str, str], dict[str, str], list[str]]:
    """Positions of the targets and the columns of all tables, with roles, units and notes."""
    columns: dict[str, Any] = {"object_id": list(targets.ids), "ra": targets.ra, "dec": targets.dec}
    roles, units, notes = {"ra": "other", "dec": "other"}, {"ra": "deg", "dec": "deg"}, []
    if np.isfinite(when).any():
        columns["time"], roles["time"], units["time"] = pa.array(when, mask=~np.isfinite(when)), "other", "d"
    for survey, products in rows.items():
        got = tables.stack(products)
        notes += [f"{survey}: {note}" for note in got.notes]
        prefix = slug(survey, list(rows))
        place = tables.position_columns(got)
        if place is not None:
            lon, lat = (np.array([np.nan if v is None else float(v) for v in got.values[name]]) for name in place)
            away = match.separation(targets.ra, targets.dec, lon, lat)
            got.values[f"{prefix}_separation"] = [None if np.isnan(v) else float(v) for v in away]
            got.roles[f"{prefix}_separation"], got.units[f"{prefix}_separation"] = "other", "arcsec"
        for name, values in got.values.items():
            free = name if name not in columns else f"{prefix}_{name}"
            while free in columns:
                free += "_"
            columns[free], roles[free] = pa.array(values), got.roles[name]
            if name in got.units:
                units[free] = got.units[name]
    return pa.table(columns), roles, units, notes


class _Progress:
    """A line of text on a terminal or in a notebook, redrawn a few times a second."""

    def __init__(self, shown: bool, total: int) -> None:
        self.shown, self.total, self.done, self.last = shown, total, 0, time.monotonic()
        self.live = shown and (sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel"))

    def step(self, survey: str) -> None:
        self.done += 1
        if self.live and time.monotonic() - self.last > 0.2:
            self.last = time.monotonic()
            sys.stderr.write(f"\raligning {survey}: {self.done} of {self.total}\x1b[K")
            sys.stderr.flush()

    def end(self, text: str) -> None:
        if self.shown:
            sys.stderr.write(("\r" if self.live else "") + text + ("\x1b[K\n" if self.live else "\n"))
            sys.stderr.flush()
