"""One modality seen in several ways at once, and sets of any size measured so: features and DMDT images of the same light curves.

::

    both = with_views(samples, {"features": ("light_curve", Part.of("features")), "dmdt": ("light_curve", Part.of("dmdt", edges="scope"))})
    kept = measure(samples, "measured", VIEWS)          # the same on disk, chunk by chunk; goes on after a crash
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.alignment.representations import options_of, representation
from astrofuse_lab.errors import InputError
from astrofuse_lab.recipes.schema import Part
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.building import Map, build_samples
from astrofuse_lab.samples.represented import Shown, ShownData, numbers
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.samples.split import group_column

Views = Mapping[str, tuple[str, Part]]
"""Name of a view: the modality it is made of, and its representation."""
AT_A_TIME = 500
"""Objects of a chunk."""
ANY_BAND = "any"
"""The one channel of light curves of which each has its own band."""


def with_views(samples: SampleSet, views: Views, keep: bool = True) -> SampleSet:
    """The same objects with further modalities, each made of one that is there, whenever it is read.

    Parameters
    ----------
    samples : SampleSet
    views : mapping of name to (modality, Part)
        Parts name representations (`astrofuse_lab.alignment.representations.REPRESENTATIONS`) with their options.
    keep : bool
        Keep the modalities there are; False: only the views.

    Raises
    ------
    InputError
        For a name that is taken, a modality that is not there, or one that cannot be shown so.
    """
    if not views:
        raise InputError("views={}: name at least one, e.g. {'dmdt': ('light_curve', Part.of('dmdt', edges='scope'))}.")

    def column(name: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return numbers(samples._view(rows), name)

    made: dict[str, ModalityData] = dict(samples._data) if keep else {}
    for name, (modality, part) in views.items():
        if name in samples.modalities:
            raise InputError(f"this set has a modality {name!r} already; give the view another name.")
        if modality not in samples._data:
            raise InputError(f"view {name!r} is made of {modality!r}; this set has {', '.join(samples._data) or 'no such modality'}.")
        representation(part.name)
        one = ShownData(samples._data[modality], Shown(part.name, options_of(part.name, dict(part.options))), column)
        one.spec = replace(one.spec, name=name)
        made[name] = one
    return samples.seen_as(made)


def measure(
    samples: SampleSet, path: str | Path, views: Views, *, chunk: int = AT_A_TIME, overwrite: bool = False, map: Map | None = None
) -> SampleSet:
    """Views of all objects, made once and kept in a folder: never more than a chunk is held in memory.

    Parameters
    ----------
    samples : SampleSet
    path : path
    views : mapping
        As `with_views`; only these, and all columns, are kept. Rows of numbers become columns of the table, so that they and what it held
        before (e.g. a cross-match) are one modality, ``table``; they are called ``<view>_<number>`` where it held anything.
    chunk : int
        Objects made at a time.
    overwrite, map
        As ``af.build_samples``: after a crash the same line goes on where it stopped, and `map` may be that of a pool of processes.

    Returns
    -------
    SampleSet
        Memory-mapped.
    """
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise InputError(f"chunk={chunk!r}: a whole number from 1, e.g. {AT_A_TIME}.")
    if not len(samples):
        raise InputError("there is no object to measure.")
    ids = hashlib.sha256("\n".join(samples.object_ids).encode()).hexdigest()
    key = hashlib.sha256(json.dumps([_said(views), chunk, ids], sort_keys=True).encode()).hexdigest()[:16]
    return build_samples(path, -(-len(samples) // chunk), partial(measured_chunk, samples, views, chunk), key=key, overwrite=overwrite, map=map)


def measure_curves(
    sets: Mapping[str, SampleSet], path: str | Path, views: Views, *, fewest: int = 5, chunk: int = 100, overwrite: bool = False, map: Map | None = None
) -> SampleSet:
    """Views of the light curves of several sets as one set, each band of each object by itself, as a survey's whole release is measured.

    Neither the curves nor the views are held in memory beyond a chunk, whatever their number.

    Parameters
    ----------
    sets : mapping of name to SampleSet
        Each with a modality ``light_curve``, memory-mapped as ``af.load_samples`` opens it.
    path : path
    views : mapping
        As `with_views`.
    fewest : int
        Curves of fewer usable epochs are passed over.
    chunk : int
        Objects of a set at a time.
    overwrite, map
        As ``af.build_samples``.

    Returns
    -------
    SampleSet
        One object a curve, ``<set>:<id>:<band>``, with the columns of `one_band_each` and ``survey``, the name of its set.
    """
    plan = [(name, begin) for name, one in sets.items() for begin in range(0, len(one), chunk)]
    if not plan:
        raise InputError("there is no object to measure.")
    key = hashlib.sha256(json.dumps([_said(views), fewest, chunk, [[name, len(one)] for name, one in sets.items()]], sort_keys=True).encode()).hexdigest()[:16]

    def make(number: int) -> SampleSet | None:
        name, begin = plan[number]
        some = sets[name].take(np.arange(begin, min(begin + chunk, len(sets[name]))))
        each = one_band_each(some, fewest=fewest)
        return measured_chunk(_of_survey(each, name), views, len(each), 0) if len(each) else None

    return build_samples(path, len(plan), make, key=key, overwrite=overwrite, map=map)


def _of_survey(samples: SampleSet, name: str) -> SampleSet:
    """The set with the survey's name in a column and in its ids and groups, so that those of several surveys stay apart."""
    card = Card("measured-curves", "Light curves of several surveys, measured band by band", samples.simulated, samples.card.citation, samples.card.licence)
    table = samples._columns.take(samples.rows())
    for column in ("object_id", "group"):
        table = table.set_column(table.column_names.index(column), column, pa.array([f"{name}:{one}" for one in table.column(column).to_pylist()]))
    table = table.append_column("survey", pa.array([name] * len(samples)))
    return SampleSet(table, {one: samples.data_of(one) for one in samples._data}, samples.roles, samples.units, card)


def _said(views: Views) -> dict[str, list[Any]]:
    return {name: [modality, part.name, dict(part.options)] for name, (modality, part) in views.items()}


def measured_chunk(samples: SampleSet, views: Views, chunk: int, number: int) -> SampleSet:
    """The views of one chunk, made: what `measure` keeps of it."""
    some = samples.take(np.arange(number * chunk, min((number + 1) * chunk, len(samples))))
    shown = with_views(some, views, keep=False)
    table, roles = some._columns.take(some._rows), some.roles
    rows = {name for name in views if shown.spec(name).kind == "table"}
    plain = len(rows) == 1 and not some.inputs
    for name in rows:
        got = shown.arrays(name)
        for channel, values, known in zip(shown.spec(name).channels, got["values"].T, got["mask"].T, strict=True):
            column = channel if plain and channel not in roles else f"{name}_{channel}"
            if column in roles:
                raise InputError(f"view {name!r} gives a column {column!r}, which is there already; give the view another name.")
            table, roles[column] = table.append_column(column, pa.array(values, mask=~known)), "input"
    data = {name: shown.data_of(name) for name in views if name not in rows}
    return SampleSet(table, data, roles, some.units, some.card, some._table_spec)


def one_band_each(samples: SampleSet, modality: str = "light_curve", fewest: int = 1) -> SampleSet:
    """Each band of each object as an object of its own, as surveys that measure filter by filter keep them.

    Parameters
    ----------
    samples : SampleSet
    modality : str
        Of kind light_curve.
    fewest : int
        Curves of fewer usable epochs are left out.

    Returns
    -------
    SampleSet
        Its one modality has the one channel ``"any"``; columns object_id (``<id>:<band>``), ra and dec where there are any, ``band``, ``epochs``
        and ``group`` (the object, or its group).

    Raises
    ------
    InputError
        For another kind of modality.
    """
    spec = samples.spec(modality)
    if spec.kind != "light_curve":
        raise InputError(f"{modality!r} is {spec.kind}; light curves have bands to take apart.")
    got = samples.arrays(modality)
    bands = len(spec.channels)
    owner = np.repeat(np.arange(len(samples)), np.diff(got["offsets"]))
    curve = owner * bands + got["band"].astype(np.int64)
    usable = got["mask"] & ~got["limit"] if "limit" in got else got["mask"]
    counts = np.bincount(curve[usable], minlength=len(samples) * bands)
    kept = np.flatnonzero(counts >= max(1, fewest))
    order = np.argsort(curve, kind="stable")
    order = order[np.isin(curve[order], kept)]
    sizes = np.bincount(curve, minlength=len(samples) * bands)[kept]
    fields = {name: got[name][order] for name in got if name not in ("offsets", "present")}
    fields |= {"offsets": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), "band": np.zeros_like(fields["band"])}
    who, band = kept // bands, np.array(spec.channels)[kept % bands]
    named: dict[str, pa.Array] = {name: pa.array(np.ma.filled(samples.column(name).astype(float), np.nan)[who]) for name in ("ra", "dec") if name in samples.roles}
    group = group_column(samples) or "object_id"
    columns = pa.table({
        "object_id": [f"{one}:{name}" for one, name in zip(samples.object_ids[who], band, strict=True)], **named, "band": band, "epochs": counts[kept],
        "group": np.asarray(np.ma.filled(samples.column(group).astype(str), ""))[who],
    })  # fmt: skip
    data = {modality: ModalityData(replace(spec, channels=(ANY_BAND,)), fields, np.ones(len(kept), dtype=bool))}
    units: dict[str, str] = {name: unit for name, unit in samples.units.items() if name in named}
    return SampleSet(columns, data, {"group": "group"}, units, samples.card)
