"""Sample sets of the simulators: what their surveys give of n events, stacked; no alignment is needed, since all are on one grid."""

import hashlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.modalities import KIND_OF, Image, LightCurve, Modality, Series, Spectrum, TableRow
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec
from astrofuse_lab.surveys.simulators import simulator as base
from astrofuse_lab.surveys.simulators.simulator import Simulator
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Target, Targets


def version(*modules: Any) -> str:
    """Of the code that makes a set: a cached one is opened only by the code that would make the same."""
    return hashlib.sha256(b"".join(Path(inspect.getfile(one)).read_bytes() for one in (base, *modules)) + Path(__file__).read_bytes()).hexdigest()


def simulated(
    prefix: str, n: int, seed: int, surveys: Mapping[str, Simulator], card: Card, *, roles: Mapping[str, str] | None = None,
    options: Mapping[str, float | int | str | bool] | None = None, progress: bool = False,
) -> SampleSet:  # fmt: skip
    """Draw n events and stack what each survey gives of them.

    Parameters
    ----------
    prefix : str
        Of the objects' names, ``<prefix>-<seed>-<number>``; each is its own group.
    n, seed : int
    surveys : mapping of modality name to Simulator
        One that gives `TableRow` makes scalar columns, the others one modality each (Image, Series, Spectrum or LightCurve).
    card : Card
    roles : mapping of column to role, optional
        Beside those that rows bring.
    options : mapping, optional
        Of the surveys, beside the seed.
    progress : bool

    Returns
    -------
    SampleSet
    """
    ids = [f"{prefix}-{seed}-{i:06d}" for i in range(n)]
    columns: dict[str, list[Any]] = {"object_id": list(ids)}
    known: dict[str, str] = dict(roles or {})
    units: dict[str, str] = {}
    data: dict[str, ModalityData] = {}
    for name, survey in surveys.items():
        products = _products(survey, ids, Ask(options={"seed": seed, **(options or {})}), progress)
        if survey.gives is TableRow:
            _into(columns, products, known, units)
        else:
            data[name] = _stacked(name, products, survey)
    return SampleSet(pa.table(columns), data, known, units, card)


def _products(survey: Simulator, ids: Sequence[str], ask: Ask, progress: bool) -> list[Modality | None]:
    products: list[Modality | None] = []
    for begin in range(0, len(ids), survey.batch):
        some = Targets(Target(one, 0.0, 0.0) for one in ids[begin : begin + survey.batch])
        got = {i: product for raw in survey.query(some, ask) for i, product in survey.read(raw)}
        products += [got.get(one) for one in some.ids]
        if progress and sys.stderr.isatty():
            print(f"\r{survey.name} (simulated) {len(products)}/{len(ids)}", end="" if len(products) < len(ids) else "\n", file=sys.stderr, flush=True)
    return products


def _into(columns: dict[str, list[Any]], products: Sequence[Modality | None], roles: dict[str, str], units: dict[str, str]) -> None:
    rows = [one if isinstance(one, TableRow) else None for one in products]
    for name in dict.fromkeys(name for row in rows if row for name in row.values):
        columns[name] = [None if row is None else row.values.get(name) for row in rows]
    for row in rows:
        if row:
            roles.update({name: role for name, role in row.roles.items() if name not in roles})
            units.update(row.units)


def _stacked(name: str, products: Sequence[Any], survey: Simulator) -> ModalityData:
    first = next((one for one in products if one is not None), None)
    if first is None:
        raise SampleSetError(f"{survey.name} gave nothing for {len(products)} events.")
    present = np.array([one is not None for one in products])
    if isinstance(first, LightCurve):
        return _curves(name, products, present, first)
    kind = KIND_OF[type(first)]
    values = {Image: "flux", Spectrum: "flux", Series: "values"}[type(first)]
    fields: dict[str, NDArray[Any]] = {}
    for field in (values, "mask", *(("ivar",) if getattr(first, "ivar", None) is not None else ())):
        blank = np.zeros_like(getattr(first, field))
        fields[field] = np.stack([getattr(one, field) if one is not None else blank for one in products])
        fields[field] = fields[field].astype(bool if field == "mask" else np.float32)
    spec = ModalitySpec(name, kind, provenance=first.provenance, unit=first.unit, shape=np.shape(getattr(first, values)))
    if isinstance(first, Image):
        spec = ModalitySpec(name, kind, first.bands, spec.shape, first.unit, scale=first.scale, oriented=False, provenance=first.provenance)
    elif isinstance(first, Series):
        spec = ModalitySpec(name, kind, first.channels, spec.shape, first.unit, axis=first.axis_name, axis_unit=first.axis_unit, provenance=first.provenance)
        fields["axis"] = np.asarray(first.axis)
    else:
        fields["lambda"] = np.asarray(first.wavelength)
    return ModalityData(spec, fields, present)


def _curves(name: str, products: Sequence[Any], present: NDArray[np.bool_], first: LightCurve) -> ModalityData:
    bands = tuple(sorted({str(b) for one in products if one is not None for b in np.unique(one.band)}))
    there = [one for one in products if one is not None]
    fields = {
        "offsets": np.concatenate([[0], np.cumsum([0 if one is None else len(one.time) for one in products])]).astype(np.int64),
        "time": np.concatenate([one.time for one in there]),
        "flux": np.concatenate([one.flux for one in there]).astype(np.float32),
        "flux_err": np.concatenate([one.flux_err for one in there]).astype(np.float32),
        "band": np.concatenate([np.searchsorted(bands, one.band) for one in there]).astype(np.int16),
        "mask": np.concatenate([one.mask for one in there]).astype(bool),
        "limit": np.concatenate([np.zeros(len(one.time), bool) if one.limit is None else one.limit for one in there]),
    }
    return ModalityData(ModalitySpec(name, "light_curve", bands, unit=first.unit, clock=first.clock, provenance=first.provenance), fields, present)
