"""practice/light_curve: forced photometry in g and r at the target's position, at irregular epochs, as one CSV file."""

import csv
import io
from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from astrofuse_lab.modalities import LightCurve
from astrofuse_lab.surveys.practice.observing import WEATHER, Instrument, Seen, Settings
from astrofuse_lab.surveys.practice.sed import microjansky
from astrofuse_lab.surveys.practice.shapes import share_within
from astrofuse_lab.surveys.practice.sources import SEASON, Source, random
from astrofuse_lab.surveys.practice.variability import fluxes
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of

Floats = NDArray[np.float64]

COLUMNS = ("row", "mjd", "band", "flux", "flux_err", "limit", "flags")
APERTURE = 3.0
"""Diameter that forced photometry effectively weighs, arcsec."""
SEEING = 2.0
DEPTH = {"g": 21.1, "r": 20.9}
"""Five-sigma magnitude of one epoch."""
FLOOR = 0.012
"""Smallest relative error."""
DETECTION = 3.0
"""Epochs below so many sigma are upper limits."""


class PracticeLightCurve(Instrument):
    """Light curves of the practice sky: total flux at the position in microjansky; epochs below 3 sigma are limits, flagged ones are bad."""

    name = "practice/light_curve"
    gives: type = LightCurve
    bands: tuple[str, ...] = ("g", "r")
    media_type = "text/csv"

    def render(self, seen: list[Seen], ask: Ask, settings: Settings, bands: tuple[str, ...]) -> bytes:
        """All epochs of all targets as CSV; the first line tells how many rows follow."""
        rows: list[str] = []
        for one in seen:
            if not one.missing:
                rows += self._rows(one, ask, settings, bands)
        head = f"# AstroFuse Lab practice sky, simulated; mjd in UTC; flux in uJy; rows={len(rows)}"
        return ("\n".join([head, ",".join(COLUMNS), *rows]) + "\n").encode()

    def _rows(self, one: Seen, ask: Ask, settings: Settings, bands: tuple[str, ...]) -> list[str]:
        rng = self.rng(one.source)
        time, band = epochs(one.source, rng)
        flux, error, flags = _photometry(one.source, time, band, settings, rng)
        keep = np.isin(band, bands)
        if ask.time is not None:
            keep &= (time >= ask.time[0]) & (time <= ask.time[1])
        chosen = np.flatnonzero(keep)[: ask.limit]
        return [f"{one.row},{time[i]:.6f},{band[i]},{flux[i]:.4f},{error[i]:.4f},{int(flux[i] < DETECTION * error[i])},{flags[i]}" for i in chosen]

    def parse(self, raw: Raw) -> Iterator[tuple[int, LightCurve]]:
        """One `LightCurve` a target."""
        text = raw.content.decode("utf-8")
        head, _, body = text.partition("\n")
        expected = int(head.partition("rows=")[2])
        table = list(csv.DictReader(io.StringIO(body)))
        if len(table) != expected or not text.endswith("\n"):
            raise ValueError(f"{len(table)} of {expected} rows")
        origin = provenance_of(self, raw)
        column = np.array([int(row["row"]) for row in table], dtype=np.int64)
        number = {name: np.array([float(row[name]) for row in table]) for name in ("mjd", "flux", "flux_err", "limit", "flags")}
        if not np.isfinite(number["mjd"]).all():
            raise ValueError("a time is no number")
        band = np.array([row["band"] for row in table], dtype=str)
        for row in dict.fromkeys(column.tolist()):
            here = column == row
            values = {name: array[here] for name, array in number.items()}
            good = (values["flags"] == 0) & np.isfinite(values["flux"]) & (values["flux_err"] > 0) & np.isfinite(values["flux_err"])
            yield row, LightCurve(values["mjd"], values["flux"], values["flux_err"], band[here], good, values["limit"] == 1, "UTC", "uJy", origin)


def epochs(source: Source, rng: Generator) -> tuple[Floats, NDArray[np.str_]]:
    """When the survey looked: clear nights of the pointing, g and r within an hour, some lost; a moving object's night in more detail."""
    nights_rng = random(source.seed, int(source.pointing.removeprefix("field-")), WEATHER + 1)
    nights = np.arange(np.ceil(SEASON[0]), SEASON[1])
    # weather comes in spells, the moon takes a part of every month
    spell = np.repeat(nights_rng.uniform(size=len(nights) // 4 + 1) < 0.72, 4)[: len(nights)]
    visit = spell & (np.cos(2 * np.pi * nights / 29.53) < 0.8) & (nights_rng.uniform(size=len(nights)) < 0.24)
    hours = nights_rng.uniform(0.15, 0.4, len(nights))
    time, band = [], []
    for night, hour in zip(nights[visit], hours[visit], strict=True):
        for name, delay in (("g", 0.0), ("r", 0.03)):
            if rng.uniform() < 0.85:
                time.append(night + hour + delay + rng.uniform(0, 0.005))
                band.append(name)
    special = source.numbers.get("peak") if source.behaviour in ("passing", "flare") else None
    if special is not None:  # these are in the sample because a night caught them
        for k in range(int(rng.integers(3, 7))):
            time.append(special + rng.uniform(-0.06, 0.1))
            band.append("gr"[k % 2])
    order = np.argsort(time, kind="stable")
    return np.array(time, dtype=np.float64)[order], np.array(band, dtype="U1")[order]


def _photometry(source: Source, time: Floats, band: NDArray[np.str_], settings: Settings, rng: Generator) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Flux, its error and the flags of each epoch."""
    full = share_within(source.components[0].shape.__class__(), 0.0, APERTURE, SEEING)
    total = np.zeros_like(time)
    for c in source.components:
        # points are corrected to total flux; of a galaxy only what lies in the aperture counts
        point = c.shape.radius <= 0
        share = 1.0 if point and np.hypot(c.east, c.north) < 0.3 else share_within(c.shape, float(np.hypot(c.east, c.north)), APERTURE, SEEING) / full
        total += fluxes(source, c, time, band.tolist()) * min(share, 1.0)
    depth = np.array([microjansky(DEPTH[b]) / 5 for b in band]) * np.exp(rng.normal(0, 0.25, len(time)))
    error = np.hypot(depth, FLOOR * total) * settings.noise
    flux = total + rng.normal(0, 1, len(time)) * error
    wild = rng.uniform(size=len(time)) < 0.015
    flux = flux + np.where(wild, rng.normal(0, 1, len(time)) * (8 * error + 0.2 * total), 0)
    flagged = (wild & (rng.uniform(size=len(time)) < 0.6)) | (rng.uniform(size=len(time)) < 0.01)
    return flux, error, flagged.astype(np.int64)
