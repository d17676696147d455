"""The one layout of sets of gravitational-wave sky maps, real or simulated, that the GWSkyNet networks read."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.alignment.sky_images import map_inputs
from astrofuse_lab.alignment.sky_volumes import volume_images
from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

DETECTORS = ("H1", "L1", "V1")
NUMBERS = (
    "distmean", "diststd", "distmax", "sky_max", "distmu_max", "distsigma_max", "distnorm_max", "vol0_max", "vol1_max", "vol2_max", "log_bsn", "log_bci", "area90", "vol90",
)  # fmt: skip
COLUMNS = (*DETECTORS, *NUMBERS)
UNITS = {
    "distmean": "Mpc", "diststd": "Mpc", "distmax": "Mpc", "distmu_max": "Mpc", "distsigma_max": "Mpc", "distnorm_max": "1 / Mpc2", "vol0_max": "1 / Mpc2",
    "vol1_max": "1 / Mpc2", "vol2_max": "1 / Mpc2", "area90": "deg2", "vol90": "Mpc3",
}  # fmt: skip
IMAGES: dict[str, tuple[tuple[str, ...], tuple[int, int]]] = {
    "sky_map": (("probability",), (90, 180)), "distance_layers": (("distmu", "distsigma", "distnorm"), (90, 180)), "volume": (("vol0", "vol1", "vol2"), (131, 131)),
}  # fmt: skip
"""Pictures: channels and sides; each channel is divided by its largest value, which is a column."""
WIDER = 2.5
"""The volume's half side, in standard deviations of the distance beyond its mean (GWSkyNet-Multi's notebook, github.com/GWML/GWSkyNet at aa4dff8)."""
LABELS = {"is_glitch": ("Glitch",), "is_ns": ("BNS", "NSBH"), "is_bbh": ("BBH",)}


def inputs_of(prob: NDArray[Any], layers: tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None, distmean: float, diststd: float) -> dict[str, Any]:
    """Pictures and peaks of one map.

    Parameters
    ----------
    prob : array, (cell,)
    layers : tuple of three arrays, (cell,), or None
        distmu, distsigma, distnorm.
    distmean, diststd : float
        Mpc.

    Returns
    -------
    dict
        Of `IMAGES` those that can be made, and the peaks among `NUMBERS`.
    """
    made = map_inputs(prob, *(layers or (None, None, None))) | {"distmean": distmean, "diststd": diststd, "distmax": distmean + WIDER * diststd}
    if layers is not None:
        volumes = volume_images(prob, *layers, reach=made["distmax"], size=IMAGES["volume"][1][0])
        peaks = volumes.max(axis=(1, 2))
        made |= {"volume": volumes / peaks[:, None, None], **{f"vol{i}_max": float(peak) for i, peak in enumerate(peaks)}}
    return made


def gw_map_set(ids: Sequence[str], rows: Sequence[Mapping[str, Any]], card: Card, provenance: Provenance, roles: Mapping[str, str]) -> SampleSet:
    """The set of some maps.

    Parameters
    ----------
    ids : sequence of str
    rows : sequence of mapping
        One an object: pictures of `IMAGES` where there are any; `COLUMNS`, absent or not finite where unknown; ``kind``; further columns.
    card : Card
    provenance : Provenance
    roles : mapping of column to role
        Of the further columns.

    Returns
    -------
    SampleSet
        Modalities ``sky_map``, ``distance_layers``, ``volume`` and ``table``; targets ``origin`` (glitch or real), ``kind`` and `LABELS`.

    Raises
    ------
    SampleSetError
        Where there is no map, or a picture of another shape.
    """
    if not rows:
        raise SampleSetError("there is no sky map to make a set of.")
    kinds = [str(row["kind"]) for row in rows]
    table: dict[str, Any] = {"object_id": list(ids), "kind": kinds, "origin": ["glitch" if kind == "Glitch" else "real" for kind in kinds]}
    table |= {label: [kind in members for kind in kinds] for label, members in LABELS.items()}
    table |= {name: [bool(row[name]) for row in rows] for name in DETECTORS}
    table |= {name: pa.array([_known(row.get(name)) for row in rows], pa.float64()) for name in NUMBERS}
    table |= {name: [_known(row.get(name)) for row in rows] for name in roles}
    known = {**dict.fromkeys(COLUMNS, "input"), **dict.fromkeys(("origin", "kind", *LABELS), "target"), **roles}
    data = {name: _pictures(name, rows, provenance) for name in IMAGES}
    return SampleSet(pa.table(table), data, known, UNITS, card, ModalitySpec("table", "table", provenance=provenance))


def _known(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _pictures(name: str, rows: Sequence[Mapping[str, Any]], provenance: Provenance) -> ModalityData:
    channels, sides = IMAGES[name]
    shape = (len(channels), *sides)
    flux, there = np.zeros((len(rows), *shape), np.float32), np.array([row.get(name) is not None for row in rows])
    for i, row in enumerate(rows):
        if there[i]:
            if np.shape(row[name]) != shape:
                raise SampleSetError(f"{name} of shape {np.shape(row[name])}; {shape} is expected.")
            flux[i] = row[name]
    mask = np.broadcast_to(there[:, None, None, None], flux.shape).copy()
    return ModalityData(ModalitySpec(name, "image", channels, shape, oriented=False, provenance=provenance), {"flux": flux, "mask": mask}, there)
