"""Plots of what was measured: spectrum, light curve, image."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Image, LightCurve, Spectrum
from astrofuse_lab.samples.sample_set import Sample
from astrofuse_lab.widgets.colours import MODALITY_COLOURS, band_colour
from astrofuse_lab.widgets.plot_theme import FAINT, INK
from astrofuse_lab.widgets.plot_twin import Told, number
from astrofuse_lab.widgets.plotting import PLAIN, STYLE, backend, hatch, hook, labelled, pick, pretty_unit, stretches, titled
from astrofuse_lab.widgets.wire import LINES

if TYPE_CHECKING:
    from bokeh.plotting import figure

AB_ZERO = 23.9
"""AB magnitude of one microjansky (Oke & Gunn 1983)."""
LEGEND = {"padding": 0, "margin": 2, "label_height": 14, "glyph_height": 14, "label_text_font_size": "9pt", "border_line_alpha": 0, "background_fill_alpha": 0}
DETECTION = 3.0
"""Signal to noise below which a magnitude is drawn as a limit of so many sigma."""


# ---- spectrum ------------------------------------------------------------------------------------------------------


def spectrum(sample: Any, redshift: float | None = None, *, modality: str | None = None, lines: bool = True, width: int = 580, height: int = 300) -> Any:
    """Flux against wavelength with its one-sigma band; masked pixels are hatched gaps, lines are marked at the redshift.

    Parameters
    ----------
    sample : Sample or Spectrum
    redshift : float, optional
        Where lines are marked, with rest wavelengths on the upper axis; None: the sample's column ``redshift``, if it has one.
    modality : str, optional
        Name of the spectrum, where a sample has several.
    lines : bool
        Mark common emission and absorption lines.

    Returns
    -------
    holoviews.Overlay
    """
    one, name = pick(sample, Spectrum, modality)
    hv = backend()
    if redshift is None and isinstance(sample, Sample):
        redshift = sample.columns.get("redshift")
    if redshift is not None and not redshift > -1:
        raise InputError(f"redshift={redshift} is no redshift: it must be a number above -1.")
    good = np.asarray(one.mask, dtype=bool) & np.isfinite(one.flux)
    flux = np.where(good, one.flux, np.nan)
    error = np.where(good & (one.ivar > 0), 1 / np.sqrt(np.where(one.ivar > 0, one.ivar, 1)), np.nan)
    x, y = hv.Dimension("wavelength", label="observed vacuum wavelength", unit="Å"), hv.Dimension("flux", label=labelled("flux density", one.unit))
    low, high = _view(flux, error)
    band = hv.Area((one.wavelength, flux - error, flux + error), x, [y, "upper"]).opts(color=MODALITY_COLOURS["spectrum"], alpha=0.25, line_alpha=0)
    curve = hv.Curve((one.wavelength, flux), x, y).opts(color=MODALITY_COLOURS["spectrum"], line_width=1.2)
    layers, hooks = [band, curve], [PLAIN, hatch(_gaps(one.wavelength, good))]
    if redshift is not None:
        hooks.append(_rest_axis(float(redshift)))
        if lines:
            layers += _marks(hv, one.wavelength, float(redshift), low, high, x, y)
    title = titled(name, f"z = {redshift:.4g}" if redshift is not None else "", simulated=one.provenance.simulated)
    return hv.Overlay(layers).opts(title=title, width=width, height=height, ylim=(low, high), hooks=hooks, show_legend=False, **STYLE)


def _view(flux: NDArray[Any], error: NDArray[Any]) -> tuple[float, float]:
    """Range of the y axis: all but the wildest pixels, with room for line names."""
    if not np.isfinite(flux).any():
        return 0.0, 1.0
    low, high = np.nanpercentile(flux - np.nan_to_num(error), 0.5), np.nanpercentile(flux + np.nan_to_num(error), 99.7)
    room = (high - low) or 1.0
    return float(low - 0.05 * room), float(high + 0.22 * room)


def _gaps(wavelength: NDArray[Any], good: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Wavelengths of masked stretches, half a pixel wider on both sides."""
    half = np.gradient(np.asarray(wavelength, dtype=float)) / 2 if len(wavelength) > 1 else np.ones(len(wavelength))
    return [(float(wavelength[a] - half[a]), float(wavelength[b] + half[b])) for a, b in stretches(~good)]


def _marks(hv: Any, wavelength: NDArray[Any], z: float, low: float, high: float, x: Any, y: Any) -> list[Any]:
    inside = [(name, rest * (1 + z)) for name, rest in LINES if wavelength[0] <= rest * (1 + z) <= wavelength[-1]]
    if not inside:
        return []
    names, places = zip(*inside, strict=True)
    top = [high - (0.03 + 0.07 * (i % 2)) * (high - low) for i in range(len(names))]  # two rows, so that neighbours do not overlap
    rules = hv.VLines(list(places)).opts(color=FAINT, line_width=0.8, line_dash="dashed")
    return [rules, hv.Labels((list(places), top, list(names)), [x, y], "line").opts(text_font_size="8pt", text_color=INK, text_align="center")]


def _rest_axis(z: float) -> Any:
    """A second axis above: rest wavelengths, which follow zoom and pan."""

    def add(figure: "figure") -> None:
        from bokeh.models import CustomJS, LinearAxis, Range1d

        if "rest" in figure.extra_x_ranges:
            return
        main, rest = figure.x_range, Range1d()
        for end in ("start", "end"):
            if getattr(main, end, None) is not None:
                setattr(rest, end, getattr(main, end) / (1 + z))
        follow = CustomJS(args={"main": main, "rest": rest, "f": 1 + z}, code="rest.start = main.start / f; rest.end = main.end / f;")
        main.js_on_change("start", follow)
        main.js_on_change("end", follow)
        figure.extra_x_ranges = {**figure.extra_x_ranges, "rest": rest}
        figure.add_layout(LinearAxis(x_range_name="rest", axis_label="rest wavelength (Å)", axis_label_text_font_style="normal"), "above")

    return hook(add)


# ---- light curve ---------------------------------------------------------------------------------------------------


def light_curve(
    sample: Any, *, modality: str | None = None, magnitudes: bool = False, period: float | None = None, width: int = 580, height: int = 300,
) -> Any:  # fmt: skip
    """Brightness against time, a colour a band, with error bars; limits are triangles, masked epochs faint crosses.

    Parameters
    ----------
    sample : Sample or LightCurve
    modality : str, optional
        Name of the light curve, where a sample has several.
    magnitudes : bool
        AB magnitudes, bright on top, from microjansky; epochs below 3 sigma become limits.
    period : float, optional
        Days; the x axis is then the phase, counted from the first epoch.

    Returns
    -------
    holoviews.Overlay
    """
    one, name = pick(sample, LightCurve, modality)
    if period is not None and not period > 0:
        raise InputError(f"period={period} must be a positive number of days.")
    if magnitudes and one.unit != "uJy":
        raise InputError(f"magnitudes=True needs fluxes in uJy, and these are in {one.unit or 'an unknown unit'}. Leave magnitudes out.")
    hv = backend()
    time = np.asarray(one.time, dtype=float)
    place = time if period is None or not len(time) else ((time - time[0]) / period) % 1
    value, error, limit = _brightness(one, magnitudes)
    good = np.asarray(one.mask, dtype=bool) & np.isfinite(value)
    x = hv.Dimension("time", label=labelled("time, MJD", one.clock)) if period is None else hv.Dimension("phase", label=f"phase (period {period:g} d)")
    y = hv.Dimension("brightness", label="AB magnitude" if magnitudes else labelled("flux density", one.unit))
    layers: list[Any] = []
    for i, band in enumerate(sorted(set(np.asarray(one.band).tolist()), key=_blue_first)):
        layers += _one_band(hv, (x, y), (place, value, error), (one.band == band) & good, limit, band, band_colour(band, i))
    bad = ~np.asarray(one.mask, dtype=bool) & np.isfinite(value)
    if bad.any():
        layers.append(hv.Scatter((place[bad], value[bad]), x, y, label="masked").opts(marker="x", color=FAINT, size=6, alpha=0.6))
    title = titled(name, simulated=one.provenance.simulated)
    return hv.Overlay(layers).opts(title=title, width=width, height=height, invert_yaxis=magnitudes, legend_position="top", legend_cols=6, legend_opts=LEGEND, hooks=[PLAIN], **STYLE)


def _blue_first(band: str) -> tuple[int, str]:
    return min(("ugrizy".find(letter) for letter in reversed(band) if letter in "ugrizy"), default=9), band


def _brightness(one: LightCurve, magnitudes: bool) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """What is drawn: value, error, and which epochs are limits."""
    flux, error = np.asarray(one.flux, dtype=float), np.asarray(one.flux_err, dtype=float)
    limit = np.asarray(one.limit, dtype=bool) if one.limit is not None else np.zeros(len(flux), dtype=bool)
    if magnitudes:
        limit = limit | ~(flux >= DETECTION * error)
    depth = np.where(limit, DETECTION * error, flux)
    if not magnitudes:
        return depth, error, limit
    with np.errstate(divide="ignore", invalid="ignore"):
        return AB_ZERO - 2.5 * np.log10(depth), 2.5 / np.log(10) * error / np.where(flux > 0, flux, np.nan), limit


def _one_band(hv: Any, dimensions: tuple[Any, Any], data: tuple[Any, Any, Any], chosen: Any, limit: Any, band: str, colour: str) -> list[Any]:
    x, y = dimensions
    place, value, error = data
    seen, not_seen = chosen & ~limit, chosen & limit
    bars = hv.ErrorBars((place[seen], value[seen], np.nan_to_num(error[seen])), x, [y, "error"]).opts(color=colour, line_width=1, lower_head=None, upper_head=None)
    points = hv.Scatter((place[seen], value[seen]), x, y, label=band).opts(color=colour, size=5)
    limits = hv.Scatter((place[not_seen], value[not_seen]), x, y, label=f"{band} limit (3σ)").opts(marker="inverted_triangle", color=colour, fill_alpha=0, size=8)
    return [bars, points, *([limits] if not_seen.any() else [])]


# ---- image ---------------------------------------------------------------------------------------------------------


def image(sample: Any, band: str | None = None, *, modality: str | None = None, stretch: float = 3.0, size: int = 260) -> Any:
    """One band, or a colour composite of three, north up and east left, asinh stretched; masked pixels are hatched.

    Parameters
    ----------
    sample : Sample or Image
    band : str, optional
        None: a composite of the three reddest bands where there are three (Lupton et al. 2004, doi:10.1086/382245), else the middle band.
    modality : str, optional
        Name of the image, where a sample has several.
    stretch : float
        Where asinh turns from linear to logarithmic, in units of the sky noise; larger shows more of the bright parts.
    size : int
        Screen pixels on a side.

    Returns
    -------
    holoviews.Overlay
    """
    one, name = pick(sample, Image, modality)
    if band is not None and band not in one.bands:
        raise InputError(f"this image has no band {band!r}; it has {', '.join(one.bands)}.")
    if not stretch > 0:
        raise InputError(f"stretch={stretch} must be a positive number; 3 is usual.")
    hv = backend()
    colour = band is None and len(one.bands) >= 3
    shown = [*reversed(range(len(one.bands)))][:3] if colour else [one.bands.index(band) if band else len(one.bands) // 2]
    planes = np.stack([_stretched(one.flux[i], one.mask[i], stretch) for i in shown])
    good: NDArray[np.bool_] = np.all(np.asarray(one.mask, dtype=bool)[shown], axis=0)
    half = [size * (one.scale or 1.0) / 2 for size in planes.shape[:0:-1]]
    unit = "arcsec" if one.scale else "pixel"
    x, y = hv.Dimension("x", label=labelled("Δα cos δ", unit)), hv.Dimension("y", label=labelled("Δδ", unit))
    # row 0 is south and column 0 east: HoloViews wants north first, and x runs from east, positive, to west
    bounds = (-half[0], -half[1], half[0], half[1])
    planes, good = planes[:, ::-1, ::-1], np.flip(good)
    if colour:
        drawn: Any = hv.RGB(np.dstack([*planes, good.astype(float)]), [x, y], bounds=bounds)
    else:
        value = hv.Dimension("stretched", label="asinh flux")
        drawn = hv.Image(np.where(good, planes[0], np.nan), [x, y], value, bounds=bounds).opts(cmap="viridis", clipping_colors={"NaN": (0, 0, 0, 0)})
    title = titled(name, " ".join(one.bands[i] for i in shown), simulated=one.provenance.simulated)
    extras = [PLAIN, _told(one), hook(lambda figure: _frame(figure, *half))]
    return hv.Overlay([drawn]).opts(title=title, invert_xaxis=True, hooks=extras, width=size + 70, height=size + 90, **{**STYLE, "show_grid": False})


def _told(one: Image) -> Told:
    """Each band of an image: where it is brightest, how bright the sky is, how much is masked."""
    ny, nx = one.flux.shape[1:]
    rows = []
    for band, plane, mask in zip(one.bands, one.flux, one.mask, strict=True):
        good = np.asarray(mask, dtype=bool) & np.isfinite(plane)
        top = np.unravel_index(np.argmax(np.where(good, plane, -np.inf)), plane.shape) if good.any() else (0, 0)
        north, west = ((top[0] - (ny - 1) / 2) * (one.scale or 1), (top[1] - (nx - 1) / 2) * (one.scale or 1))
        rows.append((band, float(plane[top]) if good.any() else np.nan, float(north), float(-west), float(np.median(plane[good])) if good.any() else np.nan, float(1 - good.mean())))
    unit = "arcsec" if one.scale else "pixels"
    words = "; ".join(f"{b} brightest {number(v)} at {number(abs(n), 3)} {unit} {'north' if n >= 0 else 'south'} and {number(abs(e), 3)} {'east' if e >= 0 else 'west'} of the middle, median {number(m)}, {number(100 * gone, 2)} % masked" for b, v, n, e, m, gone in rows)
    heads = ("band", labelled("brightest", one.unit), f"north of the middle ({unit})", f"east ({unit})", "median", "share masked")
    return Told(f"{nx} by {ny} pixels, in {pretty_unit(one.unit)} per pixel: {words}.", {head: [row[k] for row in rows] for k, head in enumerate(heads)})


def _stretched(plane: NDArray[Any], mask: NDArray[Any], stretch: float) -> NDArray[Any]:
    """asinh of the flux above the sky in units of the noise, scaled to 0 ... 1; zero where masked."""
    from astrofuse_lab.widgets.wire import _levels

    good = np.asarray(mask, dtype=bool) & np.isfinite(plane)
    sky, noise, bright = _levels(plane, good)
    top = np.arcsinh((bright - sky) / (noise * stretch))
    return np.where(good, np.clip((np.arcsinh((np.where(good, plane, sky) - sky) / (noise * stretch)) / top + 0.12) / 1.12, 0, 1), 0.0)


SQUARE = """
const width = figure.inner_width, height = figure.inner_height;
if (!(width > 0 && height > 0)) return;
const scale = Math.max(2 * half_x / width, 2 * half_y / height);
figure.x_range.setv({start: scale * width / 2, end: -scale * width / 2});
figure.y_range.setv({start: -scale * height / 2, end: scale * height / 2});
"""
"""Square pixels, whatever room the axes leave: Bokeh's own frame sizes overflow their cells in a layout."""


def _frame(figure: "figure", half_x: float, half_y: float) -> None:
    """Hatching below masked pixels, north and east in a corner, square pixels."""
    from bokeh.models import BoxAnnotation, CustomJS, Label

    hatched = {"hatch_pattern": "/", "hatch_color": FAINT, "hatch_weight": 1.0, "hatch_scale": 5.0, "level": "underlay", "name": "masked"}
    figure.add_layout(BoxAnnotation(left=-half_x, right=half_x, bottom=-half_y, top=half_y, fill_alpha=0, line_alpha=0, **hatched))
    style = {"text_color": "#ffffff", "text_font_size": "9pt", "background_fill_color": "#000000", "background_fill_alpha": 0.35, "text_align": "center", "text_baseline": "middle"}
    for height, text in ((0.90, "N ↑"), (0.76, "← E")):
        figure.add_layout(Label(x=-0.82 * half_x, y=height * half_y, text=text, **style))
    square = CustomJS(args={"figure": figure, "half_x": half_x, "half_y": half_y}, code=SQUARE)
    figure.js_on_change("inner_width", square)
    figure.js_on_change("inner_height", square)
