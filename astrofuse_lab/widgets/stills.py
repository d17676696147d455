"""A still picture of a map: what a saved page shows before its script has run, and where it cannot run."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.widgets.base import Base
from astrofuse_lab.widgets.colours import CLASS_COLOURS

WIDTH, HEIGHT, MARGIN = 880, 520, 14
GREY = (127, 127, 127)
VIRIDIS = ((68, 1, 84), (49, 104, 142), (53, 183, 121), (253, 231, 37))
SHARE = 0.02
"""Of the values at each end, beyond the scale of colours."""


def still_of(widget: Base) -> tuple[bytes, str] | None:
    """PNG of the map that a widget shows, and what it shows in words; None of a view that has no map."""
    state = {name: getattr(widget, name, None) for name in ("maps", "method", "space", "columns", "colour")}
    state |= widget.page_state()
    planes = (state["maps"] or {}).get(state["method"]) if isinstance(state["maps"], dict) else None
    plane = next((p for p in planes or () if p.get("space") == state["space"]), None)
    if plane is None:
        return None
    xy = values_of(plane["xy"]).reshape(-1, 2)
    column = next((c for c in state["columns"] or () if c.get("name") == state["colour"]), None)
    by = f", coloured by {state['colour']}" if column is not None else ""
    return drawn(xy, inks(column, len(xy))), f"Map of {int(np.isfinite(xy).all(1).sum())} samples in the space {state['space']} by {state['method']}{by}"


def values_of(packed: dict[str, Any]) -> NDArray[Any]:
    """An array of the wire as numbers; coordinates in steps as what they stand for."""
    values = np.frombuffer(packed["data"], dtype=np.dtype(packed["dtype"]).newbyteorder("<")).reshape(packed["shape"])
    if "step" not in packed:
        return values
    low, step = (np.asarray(packed[name])[: values.shape[-1] if values.ndim > 1 else 1] for name in ("low", "step"))
    return np.where(values == np.iinfo(np.uint16).max, np.nan, low + values * step)


def inks(column: dict[str, Any] | None, n: int) -> NDArray[np.uint8]:
    """A colour for each sample, (n, 3): of classes by their number, of numbers by viridis."""
    out = np.full((n, 3), GREY, dtype=np.uint8)
    if column is None or column.get("kind") == "text":
        return out
    values = values_of(column["values"])
    if column["kind"] == "category":
        table = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in CLASS_COLOURS], dtype=np.uint8)
        known = values >= 0
        out[known] = table[np.minimum(values[known].astype(int), len(table) - 1)]
        return out
    known = np.isfinite(values)
    if known.any():
        low, high = np.quantile(values[known], [SHARE, 1 - SHARE])
        place = np.clip((values[known] - low) / ((high - low) or 1.0), 0, 1) * (len(VIRIDIS) - 1)
        out[known] = np.stack([np.interp(place, np.arange(len(VIRIDIS)), [c[k] for c in VIRIDIS]) for k in range(3)], axis=1)
    return out


def drawn(xy: NDArray[Any], colours: NDArray[np.uint8]) -> bytes:
    """Points on white, smaller where there are many, as PNG of few colours."""
    from PIL import Image

    canvas = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
    known = np.isfinite(xy).all(1)
    if known.any():
        low, high = xy[known].min(0), xy[known].max(0)
        span = np.where(high > low, high - low, 1.0)
        place = (xy[known] - low) / span * (np.array([WIDTH, HEIGHT]) - 2 * MARGIN) + MARGIN
        column, row = place[:, 0].round().astype(int), (HEIGHT - 1 - place[:, 1]).round().astype(int)
        reach = 3 if known.sum() < 500 else 2 if known.sum() < 5_000 else 1 if known.sum() < 50_000 else 0
        for dx in range(-reach, reach + 1):
            for dy in range(-reach, reach + 1):
                if dx * dx + dy * dy <= reach * reach + 1:
                    canvas[row + dy, column + dx] = colours[known]
    out = io.BytesIO()
    Image.fromarray(canvas).quantize(64).save(out, "PNG", optimize=True)
    return out.getvalue()
