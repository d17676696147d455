"""One collector a kind of product: takes products of many surveys one by one, gives the arrays of a SampleSet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment import clocks, images, light_curves, spectra
from astrofuse_lab.alignment.grids import PixelGrid, TimeGrid, WavelengthGrid
from astrofuse_lab.errors import AlignmentError
from astrofuse_lab.modalities import Image, LightCurve, Spectrum, Text
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.specification import ModalitySpec

CHUNK = 64
"""Products held before they are brought to the grid."""
Note = Callable[[str, int, str], None]
"""Called with survey, position of the target, and what was wrong."""


def merged(sources: Mapping[str, Provenance]) -> Provenance:
    """The provenance of a modality that comes from one survey or several."""
    if len(sources) == 1:
        return next(iter(sources.values()))
    join = {n: "; ".join(dict.fromkeys(getattr(p, n) for p in sources.values() if getattr(p, n))) for n in ("release", "retrieved", "citation", "licence")}
    return Provenance(", ".join(sources), simulated=any(p.simulated for p in sources.values()), **join)


def channel_names(keys: Sequence[tuple[str, str]]) -> list[str]:
    """Band names; those that several surveys share get the survey in front."""
    bands = [band for _, band in keys]
    return [band if bands.count(band) == 1 else f"{survey}:{band}" for survey, band in keys]


def factor(unit: str, wanted: str) -> float:
    """What to multiply a flux with to change its unit; AlignmentError if that cannot be."""
    if unit == wanted:
        return 1.0
    from astropy.units import Unit

    try:
        return float(Unit(unit).to(Unit(wanted)))
    except (ValueError, TypeError) as error:  # UnitConversionError is one
        raise AlignmentError(f"unit {unit!r} cannot be converted to {wanted!r} of the first product.") from error


class Collector(Protocol):
    """What all collectors of this module do."""

    sources: dict[str, Provenance]

    def add(self, survey: str, position: int, product: Any, /) -> None:
        """Take one product; AlignmentError names the field that cannot be used."""
        ...

    def finish(self, known: Mapping[str, Sequence[str]]) -> dict[str, ModalityData]:
        """The modalities, of as many objects as there are targets; `known` gives each survey's bands in its own order."""
        ...


@dataclass
class Plane:
    """One band of all objects."""

    flux: NDArray[np.float32]
    mask: NDArray[np.bool_]
    ivar: NDArray[np.float32]
    psf: NDArray[np.float32]

    @classmethod
    def empty(cls, n: int, size: int) -> "Plane":
        """All missing."""
        shape = (n, size, size)
        return cls(np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, np.float32), np.full(n, np.nan, np.float32))


@dataclass
class ImageCollector:
    """Images of all surveys whose units can be converted, stacked as bands of one modality."""

    n: int
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    note: Note
    grid: PixelGrid | None = None
    name: str = "image"
    unit: str = ""
    sources: dict[str, Provenance] = field(default_factory=dict)
    planes: dict[tuple[str, str], Plane] = field(default_factory=dict)
    waiting: dict[Any, list[tuple[str, int, Image]]] = field(default_factory=dict)
    has_ivar: bool = True
    unplaced: bool = False
    """Images without a place on the sky, of a set that is aligned again: they keep their pixels."""
    scale: float = 0.0

    def add(self, survey: str, position: int, image: Image) -> None:
        """Take one; AlignmentError names the field that cannot be used."""
        images.check(image, placed=not self.unplaced)
        self.unit = self.unit or image.unit
        image = self._in_unit(image)
        self.grid = self.grid or PixelGrid(min(image.flux.shape[1:]), image.scale)
        self.scale = image.scale if self.unplaced else self.grid.scale
        self.sources.setdefault(survey, image.provenance)
        key = (survey, image.flux.shape, image.bands, image.ivar is None)
        self.waiting.setdefault(key, []).append((survey, position, image))
        if len(self.waiting[key]) >= CHUNK:
            self._flush(self.waiting.pop(key))

    def _in_unit(self, image: Image) -> Image:
        by = factor(image.unit, self.unit)
        if by == 1.0:
            return image if image.unit == self.unit else replace(image, unit=self.unit)
        return replace(image, flux=image.flux * by, ivar=None if image.ivar is None else image.ivar / by**2, unit=self.unit)

    def _flush(self, batch: list[tuple[str, int, Image]]) -> None:
        assert self.grid is not None
        rows = np.array([position for _, position, _ in batch])
        try:
            products = [image for *_, image in batch]
            got = images.as_they_are(products, self.grid) if self.unplaced else images.resample(products, self.grid, self.ra[rows], self.dec[rows])
        except AlignmentError as error:
            if len(batch) == 1:
                self.note(batch[0][0], int(rows[0]), str(error))
            else:  # one bad WCS hinders nobody else
                for one in batch:
                    self._flush([one])
            return
        self.has_ivar &= got.ivar is not None
        survey, _, first = batch[0]
        for b, band in enumerate(first.bands):
            plane = self.planes.setdefault((survey, band), Plane.empty(self.n, self.grid.size))
            plane.flux[rows], plane.mask[rows] = got.flux[:, b], got.mask[:, b]
            if got.ivar is not None:
                plane.ivar[rows] = got.ivar[:, b]
            plane.psf[rows] = [np.nan if image.psf_fwhm is None else image.psf_fwhm[b] for *_, image in batch]

    def takes(self, survey: str, image: Image) -> bool:
        """Whether the images of a survey can stand beside those that are here."""
        if survey in self.sources or not self.unit:
            return True
        try:
            factor(image.unit, self.unit)
        except AlignmentError:
            return False
        return True

    def finish(self, known: Mapping[str, Sequence[str]]) -> dict[str, ModalityData]:
        """The modality `name`; `known` gives each survey's bands in its own order."""
        for batch in self.waiting.values():
            self._flush(batch)
        if not self.planes:
            return {}
        assert self.grid is not None
        surveys = list(self.sources)
        order = sorted(self.planes, key=lambda k: (surveys.index(k[0]), _place(k[1], known.get(k[0], ()))))
        planes = [self.planes.pop(key) for key in order]
        fields: dict[str, NDArray[Any]] = {"flux": np.stack([p.flux for p in planes], 1), "mask": np.stack([p.mask for p in planes], 1)}
        if self.has_ivar:
            fields["ivar"] = np.stack([p.ivar for p in planes], 1)
        psf = np.stack([p.psf for p in planes], 1)
        if np.isfinite(psf).any():
            fields["psf_fwhm"] = psf
        shape = (len(planes), self.grid.size, self.grid.size)
        spec = ModalitySpec(self.name, "image", tuple(channel_names(order)), shape, self.unit, scale=self.scale, angle=self.grid.angle, oriented=not self.unplaced, provenance=merged(self.sources))
        return {self.name: ModalityData(spec, fields, np.asarray(fields["mask"].any(axis=(1, 2, 3))))}


def _place(band: str, known: Sequence[str]) -> int:
    return known.index(band) if band in known else len(known)


@dataclass
class SpectrumCollector:
    """Spectra; each survey makes a modality of its own, since spectra of two instruments are not one vector."""

    n: int
    note: Note
    grid: WavelengthGrid | None = None
    unit: str = ""
    sources: dict[str, Provenance] = field(default_factory=dict)
    arrays: dict[str, spectra.Resampled] = field(default_factory=dict)
    widths: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    waiting: list[tuple[str, int, Spectrum]] = field(default_factory=list)

    def add(self, survey: str, position: int, spectrum: Spectrum) -> None:
        """Take one; AlignmentError names the field that cannot be used."""
        spectra.check(spectrum)
        self.unit = self.unit or spectrum.unit
        by = factor(spectrum.unit, self.unit)
        if by != 1.0:
            spectrum = replace(spectrum, flux=spectrum.flux * by, ivar=spectrum.ivar / by**2, unit=self.unit)
        self.grid = self.grid or spectra.grid_of(spectrum.wavelength)
        self.sources.setdefault(survey, spectrum.provenance)
        if (self.waiting and self.waiting[0][0] != survey) or len(self.waiting) >= CHUNK:
            self._flush()
        self.waiting.append((survey, position, spectrum))

    def _flush(self) -> None:
        if not self.waiting:
            return
        assert self.grid is not None
        survey, rows = self.waiting[0][0], np.array([p for _, p, _ in self.waiting])
        got = spectra.resample([s for *_, s in self.waiting], self.grid)
        shape = (self.n, len(self.grid))
        whole = self.arrays.setdefault(survey, spectra.Resampled(np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, bool)))
        for target, part in zip(whole, got, strict=True):
            target[rows] = part
        for row, (*_, one) in zip(rows, self.waiting, strict=True):
            if one.lsf_sigma is not None:
                self.widths.setdefault(survey, np.full(shape, np.nan, np.float32))[row] = spectra.width_on(one, self.grid)
        for row, mask in zip(rows, got.mask, strict=True):
            if not mask.any():
                self.note(survey, int(row), f"lambda and the grid, {self.grid.start:g} to {self.grid.stop:g} Angstrom, have no good pixel in common.")
        self.waiting.clear()

    def finish(self, known: Mapping[str, Sequence[str]]) -> dict[str, ModalityData]:
        """The modality ``spectrum``, or ``spectrum_<survey>`` for each of several surveys."""
        self._flush()
        out = {}
        for survey, got in self.arrays.items():
            assert self.grid is not None
            name = survey if survey.startswith("spectrum_") else "spectrum" if len(self.arrays) == 1 else f"spectrum_{slug(survey, list(self.arrays))}"
            spec = ModalitySpec(name, "spectrum", (), (len(self.grid),), self.unit, provenance=self.sources[survey])
            fields: dict[str, NDArray[Any]] = {"lambda": self.grid.wavelength, "flux": got.flux, "ivar": got.ivar, "mask": got.mask}
            if survey in self.widths:
                fields["lsf_sigma"] = self.widths[survey]
            out[name] = ModalityData(spec, fields, np.asarray(got.mask.any(axis=1)))
        return out


def slug(survey: str, others: Sequence[str]) -> str:
    """A survey's provider where that tells it apart, else its whole name, fit for a column or file name."""
    provider = survey.partition("/")[0]
    alone = sum(o.partition("/")[0] == provider for o in others) == 1
    return "".join(c if c.isalnum() else "_" for c in (provider if alone else survey).lower())


@dataclass
class LightCurveCollector:
    """Light curves of all surveys, merged: each survey's bands are bands of one modality, on the clock of the first."""

    n: int
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    note: Note
    grid: TimeGrid = field(default_factory=TimeGrid)
    unit: str = ""
    clock: str = ""
    sources: dict[str, Provenance] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, LightCurve]]] = field(default_factory=dict)

    def add(self, survey: str, position: int, curve: LightCurve) -> None:
        """Take one; AlignmentError names the field that cannot be used."""
        light_curves.check(curve)
        self.unit, self.clock = self.unit or curve.unit, self.clock or curve.clock
        by = factor(curve.unit, self.unit)
        if by != 1.0:
            curve = replace(curve, flux=curve.flux * by, flux_err=curve.flux_err * by, unit=self.unit)
        if curve.clock != self.clock:
            time = clocks.matched(curve.time, curve.clock, self.clock, self.ra[position], self.dec[position])
            curve = replace(curve, time=time, clock=self.clock)
        self.sources.setdefault(survey, curve.provenance)
        self.curves.setdefault(survey, []).append((position, curve))

    def finish(self, known: Mapping[str, Sequence[str]]) -> dict[str, ModalityData]:
        """The modality ``light_curve``."""
        if not self.curves:
            return {}
        keys = [(s, band) for s, rows in self.curves.items() for band in light_curves.bands_of((c for _, c in rows), known.get(s, ()))]
        names = dict(zip(keys, channel_names(keys), strict=True))
        owners, curves = [], []
        for survey, rows in self.curves.items():
            for position, curve in rows:
                owners.append(position)
                curves.append(replace(curve, band=np.array([names[survey, str(b)] for b in curve.band], dtype=str)))
        bands = self.grid.bands or tuple(names.values())
        got = light_curves.stack(owners, curves, self.n, bands, self.grid)
        present = np.bincount(np.repeat(np.arange(self.n), np.diff(got.offsets)), weights=got.mask, minlength=self.n) > 0
        spec = ModalitySpec("light_curve", "light_curve", tuple(bands), (), self.unit, clock=self.clock, provenance=merged(self.sources))
        return {"light_curve": ModalityData(spec, got.fields(), present)}


@dataclass
class TextCollector:
    """Texts; several of one object are put under each other."""

    n: int
    note: Note
    sources: dict[str, Provenance] = field(default_factory=dict)
    texts: dict[int, list[str]] = field(default_factory=dict)

    def add(self, survey: str, position: int, text: Text) -> None:
        """Take one; AlignmentError if there is nothing in it."""
        if not isinstance(text.text, str) or not text.text.strip():
            raise AlignmentError("text is empty.")
        self.sources.setdefault(survey, text.provenance)
        self.texts.setdefault(position, []).append(text.text)

    def finish(self, known: Mapping[str, Sequence[str]]) -> dict[str, ModalityData]:
        """The modality ``text``."""
        if not self.texts:
            return {}
        raw = ["\n".join(self.texts.get(i, ())).encode() for i in range(self.n)]
        offsets = np.concatenate([[0], np.cumsum([len(r) for r in raw])]).astype(np.int64)
        fields: dict[str, NDArray[Any]] = {"offsets": offsets, "utf8": np.frombuffer(b"".join(raw), dtype=np.uint8)}
        return {"text": ModalityData(ModalitySpec("text", "text", provenance=merged(self.sources)), fields, np.diff(offsets) > 0)}
