"""A list of sources against a sky map or an error region, as a table."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.match_regions import ErrorRegion, Placed, in_map, in_region
from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import SkyMap
from astrofuse_lab.samples.match_sides import DISTANCE_NAMES, TIME_NAMES, Side, numbers

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]
TURNS = 24
SAMPLE = 20_000


def placed(
    side: Side, region: SkyMap | ErrorRegion, level: float = 0.9, window: tuple[float, float] | None = None, time: Any = None, distance: Any = None, distance_error: Any = None
) -> "Table":
    """Place sources in a region of probability.

    Parameters
    ----------
    side : Side
    region : SkyMap or ErrorRegion
        Density per solid angle; a map with distances also per volume.
    level : float
        A source is inside if its credible level is at most this.
    window : pair of float, optional
        Days before (negative) and after the event, e.g. ``(-1, 30)``; the region must have a time.
    time : str, array or Time, optional
        MJD of each source, or the column that holds it; ``time``, ``mjd`` and the like are recognised.
    distance, distance_error : str, array or Quantity, optional
        Mpc, or the columns that hold them; ``distance`` and the like are recognised.

    Returns
    -------
    Table
        A row for each source: ``left_row``, ``left_id``, ``density`` (1 / deg2), ``level``, with distances
        ``volume_density`` (1 / Mpc3), ``volume_level`` and ``distance_offset`` (in units of both errors), with times ``delay``
        (days after the event) and ``in_window``, then ``inside`` (position, and time and volume where known), and ``share``: the part
        of each inside source in the summed density of all of them. A source whose time or distance is not known is
        judged without. ``meta["expected"]`` is the number of sources inside that chance alone would give: of the same list turned
        about the pole (right for lists that cover all right ascensions), times the window's part of the times
        where there is a window.
    """
    from astropy.table import Table

    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level <= 1:
        raise InputError(f"match(level={level!r}): a probability above 0, at most 1.")
    away = numbers(side, distance, DISTANCE_NAMES, "distance", "Mpc") if isinstance(region, SkyMap) and region.distance_mean is not None else None
    spread = None if away is None or distance_error is None else numbers(side, distance_error, (), "distance_error", "Mpc")
    ra, dec = side.positions.ra, side.positions.dec
    found = _place(ra, dec, region, away, spread)
    table = Table({"left_row": np.arange(len(ra))})
    if side.ids is not None:
        table["left_id"] = side.ids
    table["density"], table["level"] = found.density, found.level
    table["density"].unit = "1/deg2"
    inside, weight = _within(found, level)
    if found.volume_density is not None:
        table["volume_density"], table["volume_level"], table["distance_offset"] = found.volume_density, found.volume_level, found.offset
        table["volume_density"].unit = "1/Mpc3"
    part = 1.0
    if window is not None:
        delay, there, part = _window(side, region, window, time)
        table["delay"], table["in_window"] = delay, there
        table["delay"].unit = "d"
        inside &= there | np.isnan(delay)
    table["inside"] = inside
    total = weight[inside].sum()
    table["share"] = np.where(inside, weight / total if total > 0 else 0.0, 0.0)
    table.meta.update({"level": level, "window": window, "inside": int(inside.sum()), "expected": _expected(ra, dec, region, level, away, spread) * part, "notes": list(side.notes)})
    return table


def _place(ra: Floats, dec: Floats, region: SkyMap | ErrorRegion, away: Floats | None, spread: Floats | None) -> Placed:
    return in_region(ra, dec, region) if isinstance(region, ErrorRegion) else in_map(ra, dec, region, away, spread)


def _within(found: Placed, level: float) -> tuple[NDArray[np.bool_], Floats]:
    """Who is inside, and with what weight: in volume where all that are inside on the sky have a distance, else on the sky."""
    inside = np.nan_to_num(found.level, nan=1.0) <= level if level < 1 else np.nan_to_num(found.density) > 0
    weight = np.nan_to_num(found.density)
    if found.volume_level is not None and found.volume_density is not None:
        known = np.isfinite(found.volume_level)
        inside &= ~known | (found.volume_level <= level)
        if np.all(known | ~inside):
            weight = np.nan_to_num(found.volume_density)
    return inside, weight


def _window(side: Side, region: SkyMap | ErrorRegion, window: Any, time: Any) -> tuple[Floats, NDArray[np.bool_], float]:
    """Days after the event, whether they lie in the window, and the window's part of the span of all times."""
    try:
        first, last = (float(v) for v in window)
    except (TypeError, ValueError):
        first, last = 0.0, -1.0
    if not first <= last:
        raise InputError(f"match(window={window!r}): days before and after the event, e.g. (-1, 30).")
    if region.time is None:
        raise InputError("match(window=...): the region has no time. An ErrorRegion takes time=, in MJD.")
    when = numbers(side, time, TIME_NAMES, "time", "mjd")
    if when is None:
        raise InputError(f"match(window=...): {side.name} has no column of times; say which: time='...', in MJD.")
    delay = when - region.time
    span = float(np.ptp(when[np.isfinite(when)])) if np.isfinite(when).any() else 0.0
    with np.errstate(invalid="ignore"):
        return delay, (delay >= first) & (delay <= last), min((last - first) / span, 1.0) if span > 0 else 1.0


def _expected(ra: Floats, dec: Floats, region: SkyMap | ErrorRegion, level: float, away: Floats | None, spread: Floats | None) -> float:
    """How many of the list would lie inside by chance: mean over turns about the pole, the present one left out."""
    part = slice(None, None, max(1, -(-len(ra) // SAMPLE)))
    held = ra[part]
    if not len(held):
        return 0.0
    turned = (held + 360 * np.arange(1, TURNS)[:, None] / TURNS) % 360
    others = [None if v is None else np.tile(v[part], TURNS - 1) for v in (away, spread)]
    inside, _ = _within(_place(turned.ravel(), np.tile(dec[part], TURNS - 1), region, *others), level)
    return float(inside.sum()) / (TURNS - 1) * len(ra) / len(held)
