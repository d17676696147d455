"""practice/table: one catalogue row per object, as measured on the pictures, with astrometry where there is any; and the truth, which is no input."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.random import Generator

from astrofuse_lab.modalities import TableRow
from astrofuse_lab.surveys import formats
from astrofuse_lab.surveys.practice import catalogue
from astrofuse_lab.surveys.practice.observing import Instrument, Seen, Settings, weather
from astrofuse_lab.surveys.practice.sed import magnitude, microjansky
from astrofuse_lab.surveys.practice.shapes import share_within
from astrofuse_lab.surveys.practice.sources import Component, Source
from astrofuse_lab.surveys.practice.variability import fluxes, moment
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of
from astrofuse_lab.targets import Targets

BANDS = ("g", "r", "i", "z")
DEPTH = {"g": 23.2, "r": 22.8, "i": 22.3, "z": 21.5}
"""Five-sigma magnitude."""
UNITS = {
    **{f"mag_{b}": "mag" for b in BANDS}, **{f"mag_{b}_err": "mag" for b in ("g", "r")}, "concentration": "mag", "half_light_radius": "arcsec",
    "ellipticity": "", "separation": "arcsec", "parallax": "mas", "parallax_err": "mas", "proper_motion": "mas / yr", "proper_motion_err": "mas / yr",
    "redshift": "",
}  # fmt: skip
ROLES = {"label": "target", "redshift": "target", "group": "group", "kind": "other", "practice_id": "other"}
"""Columns that are no input. ``kind`` and ``practice_id`` tell the truth and must never become one."""
MEASURED = tuple(name for name in UNITS if name not in ROLES)
ASTROMETRY_LIMIT = 20.4


class PracticeTable(Instrument):
    """Catalogue rows of the practice sky, as JSON (metadata and data, null where nothing was measured).

    The truth is not observed: its columns come for every object, also where ``missing`` takes all that was measured.
    """

    name = "practice/table"
    gives: type = TableRow
    media_type = "application/json"

    def objects_in(self, ra: float, dec: float, radius: float, n: int) -> Targets:
        """At most `n` objects within `radius` (deg) of a position: `catalogue.objects_in`."""
        return catalogue.objects_in(ra, dec, radius, n)

    def render(self, seen: list[Seen], ask: Ask, settings: Settings, bands: tuple[str, ...]) -> bytes:
        """The rows of all targets as JSON."""
        names = ("row", *MEASURED, *ROLES)
        metadata = [{"name": n, "unit": UNITS.get(n, ""), "role": ROLES.get(n, "input")} for n in names if n != "row"]
        data = []
        for one in seen:
            values = dict.fromkeys(MEASURED) if one.missing else measure(one, settings, self.rng(one.source))
            truth = {"label": one.source.label, "redshift": one.source.redshift, "group": one.source.pointing, "kind": one.source.kind, "practice_id": one.source.name}
            data.append([one.row, *({**values, **truth}[n] for n in names[1:])])
        return json.dumps({"origin": "AstroFuse Lab practice sky, simulated", "metadata": metadata, "data": data}, allow_nan=False).encode()

    def parse(self, raw: Raw) -> Iterator[tuple[int, TableRow]]:
        """One `TableRow` an object."""
        answer = json.loads(raw.content, parse_constant=lambda _: None)
        columns = answer["metadata"]
        names = [str(c["name"]) for c in columns]
        units = {str(c["name"]): str(c["unit"]) for c in columns if c["unit"]}
        roles = {str(c["name"]): str(c["role"]) for c in columns if c["role"] != "input"}
        origin = provenance_of(self, raw)
        for row, *cells in answer["data"]:
            values = [formats.plain(cell) for cell in cells]
            if any(isinstance(value, list | dict) for value in values):
                raise ValueError(f"row {row} has more than one value in a cell")
            yield int(row), TableRow(dict(zip(names, values, strict=True)), units, roles, origin)


def measure(one: Seen, settings: Settings, rng: Generator) -> dict[str, float | None]:
    """What the catalogue says of an object: rounded numbers, None where it says nothing."""
    source = one.source
    light = _light(source)
    values = _magnitudes(light, settings.noise, rng)
    total = np.array([by_band["r"] for _, by_band in light])
    signal = float(total.sum()) / (microjansky(DEPTH["r"]) / 5 * settings.noise)
    values |= _form([c for c, _ in light], total, weather(source).seeing, signal, rng)
    values |= {"separation": _separation(one, [c for c, _ in light], total, settings, rng)}
    values |= _astrometry(source, values, settings, rng)
    return {name: None if values.get(name) is None else round(float(values[name]), 4) for name in MEASURED}  # type: ignore[arg-type]


def _light(source: Source) -> list[tuple[Component, dict[str, float]]]:
    """Flux of each component by band, on the night of the picture."""
    when = np.array([moment(source, "image_time")])
    return [(c, {b: float(fluxes(source, c, when, [b])[0]) for b in BANDS}) for c in source.components]


def _magnitudes(light: list[tuple[Component, dict[str, float]]], noise: float, rng: Generator) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for band in BANDS:
        error = microjansky(DEPTH[band]) / 5 * noise
        true = sum(by_band[band] for _, by_band in light)
        error = float(np.hypot(error, 0.02 * true))
        flux = true + error * rng.normal()
        lost = flux < 2 * error or rng.uniform() < 0.03
        values[f"mag_{band}"] = None if lost else magnitude(flux)
        if band in ("g", "r"):
            values[f"mag_{band}_err"] = None if lost else 1.0857 * error / flux
    return values


def _form(components: list[Component], flux: Any, seeing: float, signal: float, rng: Generator) -> dict[str, float | None]:
    """Concentration (PSF minus total magnitude), half-light radius and ellipticity, with errors that grow for faint objects."""
    if flux.sum() <= 0 or signal < 5:
        return {}
    share = flux / flux.sum()
    fwhm = 1.2 * seeing
    caught = [share_within(c.shape, float(np.hypot(c.east, c.north)), 1.6, fwhm) for c in components]
    point = share_within(components[0].shape.__class__(), 0.0, 1.6, fwhm)
    softness = 1.0 / signal + 0.015
    concentration = -2.5 * np.log10(max(float((share * caught).sum()) / point, 0.02)) + rng.normal(0, 2 * softness)
    size = float((share * [np.hypot(c.shape.radius, 0.3 * c.shape.length) for c in components]).sum())
    radius = np.hypot(size, 0.5 * fwhm) * np.exp(rng.normal(0, 0.06 + 2 * softness))
    stretch = float((share * [_flattening(c, fwhm) for c in components]).sum())
    return {"concentration": concentration, "half_light_radius": float(radius), "ellipticity": float(np.clip(abs(stretch + rng.normal(0, 0.03 + softness)), 0, 0.95))}


def _flattening(component: Component, fwhm: float) -> float:
    long = np.hypot(component.shape.radius + 0.4 * component.shape.length, 0.5 * fwhm)
    return float(1 - np.hypot(component.shape.radius * component.shape.axis_ratio, 0.5 * fwhm) / long)


def _separation(one: Seen, components: list[Component], flux: Any, settings: Settings, rng: Generator) -> float:
    """From the position asked for to the centroid of the catalogue's source, arcsec."""
    share = flux / max(float(flux.sum()), 1e-12)
    away = ((one.source.ra - one.ra + 180) % 360 - 180) * np.cos(np.radians(one.dec)) * 3600
    east = float((share * [c.east for c in components]).sum()) + away
    north = float((share * [c.north for c in components]).sum()) + (one.source.dec - one.dec) * 3600
    error = np.hypot(settings.misalignment, 0.08)
    if one.source.behaviour == "passing":  # the catalogue's exposure and the prediction are minutes apart
        error = np.hypot(error, 0.3)
    return float(np.hypot(east + error * rng.normal(), north + error * rng.normal()))


def _astrometry(source: Source, values: Mapping[str, float | None], settings: Settings, rng: Generator) -> dict[str, float | None]:
    """Parallax and proper motion, for what is point-like, stays in place and is bright enough; errors as in Gaia's releases, times three."""
    mag, concentration = values.get("mag_r"), values.get("concentration")
    fixed = "parallax" in source.numbers or source.label in ("galaxy", "quasar")
    if mag is None or concentration is None or mag > ASTROMETRY_LIMIT or concentration > 0.3 or not fixed or rng.uniform() < 0.3:
        return {}
    error = settings.noise * 0.12 * 10 ** (0.26 * (max(mag, 15.0) - 17.0)) * float(np.exp(rng.normal(0, 0.2)))
    east, north = (source.numbers.get(n, 0.0) + 1.1 * error * rng.normal() for n in ("pmra", "pmdec"))
    return {
        "parallax": source.numbers.get("parallax", 0.0) + error * rng.normal(), "parallax_err": error,
        "proper_motion": float(np.hypot(east, north)), "proper_motion_err": 1.1 * error,
    }  # fmt: skip
