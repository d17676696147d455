"""Alerts of the Rubin Observatory: stamps, detections and forced photometry of the object, and packet fields (schema lsst.v10_0, through Fink)."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.readers.curves import has_epoch
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

ALERTS, CUTOUTS, LIGHT_CURVES = "rubin_alerts.parquet", "rubin_cutouts.h5", "rubin_lightcurves.parquet"
FILES = (ALERTS, CUTOUTS, LIGHT_CURVES)
VERSION = files.version(__file__)
STAMPS, SIDE, SCALE = ("science", "reference", "difference"), 30, 0.2
BANDS = ("u", "g", "r", "i", "z", "y")
MOST = 200_000
NANOJANSKY = 1e-3
"""Microjansky in one."""

INPUTS = tuple(
    f"d_{name}" for name in (
        "apFlux", "apFluxErr", "isNegative", "snr", "psfFlux", "psfFluxErr", "psfChi2", "psfNdata", "trailFlux", "trailFluxErr", "trailLength", "trailNdata", "dipoleNdata",
        "scienceFlux", "scienceFluxErr", "templateFlux", "templateFluxErr", "ixx", "iyy", "ixy", "ixxPSF", "iyyPSF", "ixyPSF", "extendedness", "reliability", "isDipole",
        "dipoleFitAttempted", "bboxSize",
    )
)  # fmt: skip
"""Measurements of the difference source that a model may see. Left out: positions, times, visit and detector (they tell the source of the file), identifiers,
every ``d_ss...`` and ``o_...`` (see the card), and pixel flags."""

CITATION = "Rubin Observatory alerts: Ivezic et al. 2019, ApJ 873, 111; Fink: Moller et al. 2021, MNRAS 501, 3272; files of github.com/astrolabsoftware"
LICENCE = "Apache-2.0 (repositories, column src_licence); Rubin alerts are world-public (statement not checked)"
NOTES = (
    "174 alerts, 99 with a label: for transfer from ZTF, not for training.",
    "SSO is Rubin's own association with known orbits. ssDesignation and d_ssObjectId are that label. An associated alert has no object: diaObjectId is 0 and every o_ column "
    "is missing for exactly these, so o_nDiaSources and the length of the history tell the label too. The former are never inputs; of the light curve, show a control.",
    "Split on 'group': the object, or the asteroid. 50 alerts are of a pre-public sample file (stream): 43 unlabelled and 7 SSO.",
    "AGN and star labels are positional matches (SIMBAD, VSX, GCVS), so the gaiadr3_ and legacydr8_ columns, also matches, are no inputs.",
    "d_reliability is a machine score, not a human label.",
    "Stamps are cropped to 30 x 30 pixels of 0.2 arcsec; their orientation is not in the packet, so they carry no WCS. Fluxes are microjansky (nanojansky in the packet).",
    "light_curve holds detections on difference images, forced_photometry measurements at the object's place in all visits; times are TAI.",
)


def read(folder: Path) -> SampleSet:
    """Read the alerts, their stamps and histories.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        Modalities ``image`` (science, reference, difference; microjansky), ``light_curve``, ``forced_photometry`` (both difference flux,
        microjansky, MJD in TAI) and ``table``; targets ``is_sso`` and ``label``.

    Raises
    ------
    SampleSetError
        If a file is missing, unreadable, or does not fit the others.
    """
    file = folder / ALERTS
    alerts = files.parquet(file, ("diaSourceId", "diaObjectId", "ssDesignation", "label", "d_midpointMjdTai", "d_ra", "d_dec"), MOST)
    source = files.whole(file, alerts, "diaSourceId")
    if len(np.unique(source)) != len(source):
        raise SampleSetError(f"{file}: a diaSourceId occurs more than once; the file is damaged.")
    columns = _columns(file, alerts, source)
    data = {"image": _stamps(folder / CUTOUTS, source), **_curves(folder / LIGHT_CURVES, source)}
    roles = files.roles_of(columns, INPUTS, target=("label", "is_sso"), group=("group",), id=("diaSourceId", "diaObjectId", "ssDesignation", "d_ssObjectId"))
    units = {"ra": "deg", "dec": "deg", "time": "d"} | {name: "nJy" for name in columns.column_names if name.endswith(("Flux", "FluxErr"))}
    card = Card("rubin-alerts", "Rubin alerts: stamps, difference light curves and packet fields", False, CITATION, LICENCE, NOTES)
    return SampleSet(columns, data, roles, units, card, ModalitySpec("table", "table", provenance=_provenance(ALERTS)))


def _provenance(file: str) -> Provenance:
    return Provenance("rubin-alerts", release="alerts 2025-12 to 2026-07, schema lsst.v10_0", query=file, citation=CITATION, licence=LICENCE)


def _columns(file: Path, alerts: pa.Table, source: NDArray[np.int64]) -> pa.Table:
    label, asteroid = (files.texts(file, alerts, name) for name in ("label", "ssDesignation"))
    dia = files.whole(file, alerts, "diaObjectId")
    group = np.where(dia != 0, dia.astype(str), np.where(asteroid != "", asteroid, source.astype(str)))
    columns: dict[str, Any] = {
        "object_id": source.astype(str), "group": group, "is_sso": label == "SSO", "ra": files.number(file, alerts, "d_ra"), "dec": files.number(file, alerts, "d_dec"),
        "time": files.number(file, alerts, "d_midpointMjdTai"),
    }  # fmt: skip
    for name in alerts.column_names:
        column = alerts.column(name)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
        if not pa.types.is_null(column.type):
            columns[name] = column
    return pa.table(columns)


def _stamps(file: Path, source: NDArray[np.int64]) -> ModalityData:
    import h5py

    shape = (len(STAMPS), SIDE, SIDE)
    files.exists(file)
    with files.reading(file, "HDF5"), h5py.File(file, "r") as h5:
        pixels, ids = (files.plain_dataset(file, h5, name) for name in ("cutouts", "diaSourceId"))
        if pixels.ndim != 4 or pixels.shape[1:] != shape or pixels.shape[0] > MOST or pixels.dtype.kind != "f" or ids.shape != pixels.shape[:1] or ids.dtype.kind not in "iu":
            raise SampleSetError(f"{file}: 'cutouts' is {pixels.dtype} {pixels.shape} with {ids.dtype} ids {ids.shape}; float (n, 3, 30, 30) is expected.")
        where, has = files.places(np.asarray(ids[:], dtype=np.int64), source)
        flux = NANOJANSKY * np.asarray(pixels[:], dtype=np.float32)[where]
    mask = np.isfinite(flux) & has[:, None, None, None]
    spec = ModalitySpec("image", "image", STAMPS, shape, "uJy", scale=SCALE, oriented=False, provenance=_provenance(CUTOUTS))
    return ModalityData(spec, {"flux": np.where(mask, flux, 0.0).astype(np.float32), "mask": mask}, np.asarray(mask.any(axis=(1, 2, 3))))


def _curves(file: Path, source: NDArray[np.int64]) -> dict[str, ModalityData]:
    rows = files.parquet(file, ("diaSourceId", "kind", "mjd_tai", "band", "psfFlux_nJy", "psfFluxErr_nJy"))
    owner, has = files.places(source, files.whole(file, rows, "diaSourceId"))
    kind, band = (files.texts(file, rows, name) for name in ("kind", "band"))
    time, flux, error = (files.number(file, rows, name) for name in ("mjd_tai", "psfFlux_nJy", "psfFluxErr_nJy"))
    made = {}
    for name, said in (("light_curve", "dia"), ("forced_photometry", "forced")):
        order = np.lexsort((time, owner))
        order = order[(has & (kind == said))[order]]
        good = np.isfinite(time) & np.isfinite(flux) & (error > 0) & np.isfinite(error) & np.isin(band, BANDS)
        index = np.array([BANDS.index(str(b)) if b in BANDS else 0 for b in band], dtype=np.int8)
        fields: dict[str, NDArray[Any]] = {
            "offsets": np.concatenate([[0], np.cumsum(np.bincount(owner[order], minlength=len(source)))]).astype(np.int64), "time": time[order], "band": index[order],
            "mask": good[order], **{n: np.where(good, NANOJANSKY * v, 0.0).astype(np.float32)[order] for n, v in (("flux", flux), ("flux_err", error))},
        }  # fmt: skip
        spec = ModalitySpec(name, "light_curve", BANDS, (), "uJy", clock="TAI", provenance=_provenance(LIGHT_CURVES))
        made[name] = ModalityData(spec, fields, has_epoch(fields))
    return made
