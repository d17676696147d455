"""What archives sent for one object, as a view gets it beside what was made of it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import AstroFuseError
from astrofuse_lab.modalities import KIND_OF, Image, LightCurve, Modality, Spectrum, TableRow, Text
from astrofuse_lab.widgets.wire import pack

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

PIXELS = 512
"""An image is cut to so many pixels on a side, about its middle."""
POINTS = 20_000
"""Of a longer spectrum or light curve every second, third ... point is sent."""


def raw_payload(samples: "SampleSet", position: int) -> dict[str, Any]:
    """Images, spectra and light curves as sent; tables and texts are the same in the set.

    Returns
    -------
    dict
        ``kept``: whether the set knows what it was aligned from. ``products``: one entry a product, packed as in `wire.pack`, with ``name`` (the survey), ``kind`` and
        ``shown`` (what was left out of the drawing, in words); one that cannot be read has ``problem`` instead.
    """
    if samples.raw is None:
        return {"kept": False, "products": []}
    object_id, products = str(samples.object_ids[position]), []
    for survey in samples.raw.surveys:
        try:
            one = samples.raw.get(survey, object_id)
        except (AstroFuseError, ValueError, TypeError, KeyError) as error:  # told in its place
            products.append({"name": survey, "kind": "", "present": False, "problem": str(error)})
            continue
        if one is not None and not isinstance(one, TableRow | Text):
            shown, words = thinned(one)
            products.append({"name": survey, "kind": KIND_OF.get(type(one), type(one).__name__), "present": True, "shown": words, **pack(shown)})
    return {"kept": True, "products": products}


def thinned(one: Modality) -> tuple[Modality, str]:
    """A product small enough to send, and in words what was left out."""
    if isinstance(one, Image):
        ny, nx = one.flux.shape[1:]
        if max(ny, nx) <= PIXELS:
            return one, ""
        y, x = max(0, (ny - PIXELS) // 2), max(0, (nx - PIXELS) // 2)
        part = np.s_[:, y : y + PIXELS, x : x + PIXELS]
        return replace(one, flux=one.flux[part], mask=np.asarray(one.mask)[part], ivar=None), f"the middle of {nx} × {ny} pixels"
    if isinstance(one, Spectrum) and len(one.wavelength) > POINTS:
        every = np.s_[:: -(-len(one.wavelength) // POINTS)]
        cut = replace(one, wavelength=one.wavelength[every], flux=one.flux[every], ivar=one.ivar[every], mask=one.mask[every], lsf_sigma=None)
        return cut, f"every {every.step}th of {len(one.wavelength)} pixels"
    if isinstance(one, LightCurve) and len(one.time) > POINTS:
        every = np.s_[:: -(-len(one.time) // POINTS)]
        limit = None if one.limit is None else one.limit[every]
        return replace(one, time=one.time[every], flux=one.flux[every], flux_err=one.flux_err[every], band=one.band[every], mask=one.mask[every], limit=limit), f"every {every.step}th of {len(one.time)} epochs"
    return one, ""
