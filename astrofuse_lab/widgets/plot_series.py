"""Plots of a series: its channels along their axis."""

from typing import Any

import numpy as np

from astrofuse_lab.modalities import Series
from astrofuse_lab.widgets.colours import class_colour
from astrofuse_lab.widgets.plotting import PLAIN, STYLE, backend, hatch, labelled, pick, stretches, titled


def series(sample: Any, *, modality: str | None = None, width: int = 640, height: int = 260) -> Any:
    """The channels of a series against its axis; where no channel has a good sample, hatched.

    Parameters
    ----------
    sample : Sample or Series
    modality : str, optional
        Name of the series, where a sample has several.

    Returns
    -------
    holoviews.Overlay
    """
    one, name = pick(sample, Series, modality)
    hv = backend()
    good = np.asarray(one.mask, dtype=bool) & np.isfinite(one.values)
    x, y = hv.Dimension("axis", label=one.axis_name, unit=one.axis_unit or None), hv.Dimension("value", label=labelled("value", one.unit))
    lines = [
        hv.Curve((one.axis, np.where(fine, values, np.nan)), x, y, label=channel).opts(color=class_colour(i), line_width=1.2)
        for i, (channel, values, fine) in enumerate(zip(one.channels, one.values, good, strict=True))
    ]
    half = np.gradient(np.asarray(one.axis, dtype=float)) / 2 if len(one.axis) > 1 else np.ones(len(one.axis))
    gaps = [(float(one.axis[a] - half[a]), float(one.axis[b] + half[b])) for a, b in stretches(~np.asarray(good.any(axis=0)))]
    title = titled(name, modality or "", simulated=one.provenance.simulated)
    return hv.Overlay(lines).opts(title=title, width=width, height=height, hooks=[PLAIN, hatch(gaps)], show_legend=len(lines) > 1, **STYLE)
