"""What the fetch view shows of surveys, costs and first products, as JSON values."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astrofuse_lab.modalities import KIND_OF, Image, LightCurve, Modality, Spectrum, TableRow, Text
from astrofuse_lab.widgets.wire import pack

if TYPE_CHECKING:
    from astrofuse_lab.targets import Targets

LARGE = {"requests": 500, "seconds": 120.0, "bytes": 300e6}
"""Above any of these a fetch is asked about before it begins."""
SIDE = 128
"""Pixels of a preview's side, about."""
POINTS = 3000
"""Points of a preview's spectrum or light curve, about."""
LETTERS = 2000


def survey_rows() -> list[dict[str, Any]]:
    """One row a survey for the picker: what it gives, which sky it saw, whom it asks, what a target must have."""
    from importlib.util import find_spec

    from astrofuse_lab.outlines import moc_of
    from astrofuse_lab.surveys import get, names
    from astrofuse_lab.surveys.archive import Coverage

    rows = []
    for survey in map(get, names()):
        seen, extra = getattr(survey, "coverage", Coverage()), str(getattr(survey, "extra", ""))
        rows.append({
            "name": survey.name, "modality": KIND_OF[survey.gives], "bands": " ".join(survey.bands), "release": survey.release, "citation": survey.citation,
            "licence": survey.licence, "simulated": bool(survey.simulated), "host": str(getattr(survey, "host", "")), "coverage": seen.words,
            "dec": [float(v) for v in seen.dec], "latitude": float(seen.latitude), "moc": moc_of(survey), "needs": list(getattr(survey, "needs", ("position",))),
            "extra": extra if extra and find_spec(extra.replace("-", "_")) is None else "",
        })  # fmt: skip
    return rows


def light_rows() -> list[list[str]]:
    """Host, light and the last failure in its own words, of every host asked in this process."""
    from astrofuse_lab.surveys import health

    return [[str(r["host"]), str(r["light"]), str(r["said"])] for r in health.table()]


def plan_of(targets: "Targets", surveys: Sequence[str], radius: float, size: float, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a fetch would cost, by survey and in all, and whether that is a lot."""
    from astrofuse_lab.estimates import estimate

    table = estimate(targets, list(surveys), radius, size, options=options)
    rows: list[dict[str, Any]] = [{"survey": str(r["survey"]), **{n: int(r[n]) for n in ("targets", "cached", "requests")}, "seconds": float(r["seconds"]), "bytes": float(r["bytes"]), "basis": str(r["basis"])} for r in table]
    # surveys of one host bear its seconds each, and hosts are asked side by side
    total = {"requests": sum(r["requests"] for r in rows), "seconds": max(r["seconds"] for r in rows), "bytes": sum(r["bytes"] for r in rows)}
    return {"rows": rows, **total, "large": any(total[name] > most for name, most in LARGE.items()), "asked": False}


def _thinned(one: Modality) -> Modality:
    """Every k-th pixel or point, so that a preview is small on the wire."""
    if isinstance(one, Image):
        k = -(-max(one.flux.shape[1:]) // SIDE)
        return one if k == 1 else dataclasses.replace(one, flux=one.flux[:, ::k, ::k], mask=one.mask[:, ::k, ::k], ivar=None, scale=one.scale * k)
    if isinstance(one, Spectrum):
        k = -(-len(one.flux) // POINTS)
        return one if k == 1 else dataclasses.replace(one, wavelength=one.wavelength[::k], flux=one.flux[::k], ivar=one.ivar[::k], mask=one.mask[::k], lsf_sigma=None)
    if isinstance(one, LightCurve):
        k = -(-len(one.time) // POINTS)
        cut = {name: getattr(one, name)[::k] for name in ("time", "flux", "flux_err", "band", "mask")}
        return one if k == 1 else dataclasses.replace(one, **cut, limit=None if one.limit is None else one.limit[::k])
    return dataclasses.replace(one, text=one.text[:LETTERS] + " ...") if isinstance(one, Text) and len(one.text) > LETTERS else one


def preview_payload(survey: str, object_id: str, one: Modality) -> dict[str, Any]:
    """One product, thinned, as a slot of a sample shows it."""
    head = {"name": survey, "kind": KIND_OF[type(one)], "present": True, "object_id": object_id}
    return {**head, **pack(_thinned(one)), "source": ""} if isinstance(one, Image | Spectrum | LightCurve | TableRow | Text) else head


def first_products(found: Any, surveys: Iterable[str], most: int = 1) -> dict[str, tuple[str, Modality]]:
    """The first product of each survey that has one."""
    from itertools import islice

    return {name: one for name in surveys for one in islice(found.products(name), most)}
