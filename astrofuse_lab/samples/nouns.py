"""One object's arrays as its noun of layer 0."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.modalities import Image, LightCurve, Modality, Series, Spectrum, TableRow, Text
from astrofuse_lab.samples.specification import ModalitySpec


def noun(spec: ModalitySpec, got: Mapping[str, NDArray[Any]], columns: Mapping[str, Any]) -> Modality:
    """The modality of an object that has it.

    Parameters
    ----------
    spec : ModalitySpec
    got : mapping
        What `SampleSet.arrays` gives for this object alone.
    columns : mapping
        Its scalar columns; images take their place on the sky from ``ra`` and ``dec``.
    """
    if spec.kind == "image":
        placed = spec.oriented and spec.scale and columns.get("ra") is not None
        wcs = PixelGrid(spec.shape[-1], spec.scale, spec.angle).wcs(columns["ra"], columns["dec"]) if placed else {}
        return Image(
            got["flux"][0], got["mask"][0], spec.channels, wcs, spec.scale, got["ivar"][0] if "ivar" in got else None,
            tuple(map(float, got["psf_fwhm"][0])) if "psf_fwhm" in got else None, unit=spec.unit, provenance=spec.provenance,
        )  # fmt: skip
    if spec.kind == "table":  # one that a representation gives
        return TableRow({n: float(v) if m else None for n, v, m in zip(spec.channels, got["values"][0], got["mask"][0], strict=True)}, {}, provenance=spec.provenance)
    if spec.kind == "spectrum":
        width = got["lsf_sigma"][0] if "lsf_sigma" in got and np.isfinite(got["lsf_sigma"][0]).any() else None
        return Spectrum(got["lambda"], got["flux"][0], got["ivar"][0], got["mask"][0], width, unit=spec.unit, provenance=spec.provenance)
    if spec.kind == "series":
        return Series(got["axis"], got["values"][0], got["mask"][0], spec.channels, spec.axis, spec.axis_unit, spec.unit, spec.provenance)
    if spec.kind == "text":
        return Text(got["utf8"].tobytes().decode("utf-8", "replace"), provenance=spec.provenance)
    return LightCurve(
        got["time"], got["flux"], got["flux_err"], np.asarray(spec.channels, dtype=str)[got["band"]], got["mask"],
        got.get("limit"), clock=spec.clock, unit=spec.unit, provenance=spec.provenance,
    )  # fmt: skip
