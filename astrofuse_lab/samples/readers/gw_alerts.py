"""Alerts of compact binary mergers by LIGO, Virgo and KAGRA: scalars, sky maps of 23 events and what astronomers wrote (O3 and O4)."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.readers.texts import text_data
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

ALERTS, MAPS = "alerts.parquet", "o3_bayestar_skymaps.parquet"
FILES = (ALERTS, MAPS)
VERSION = files.version(__file__)
NSIDE, CELLS = 32, 12288
ROWS, COLUMNS = 90, 180
"""Of the map as an image, 2 degrees a pixel, as GWSkyNet takes it (Cabero et al. 2020, ApJL 904, L9)."""
DETECTORS = ("H1", "L1", "V1")
INPUTS = (
    "distance_mpc", "area90_deg2", "vol90_mpc3", "sugwg_snr", "log_bci", "log_bsn", "distmean_mpc", "diststd_mpc", "map_area90_deg2", "map_vol90_mpc3", *DETECTORS,
)  # fmt: skip
TARGETS = ("classification", "p_bns", "p_nsbh", "p_bbh", "p_massgap", "p_terrestrial", "has_ns", "has_remnant", "gwskynet2_class")
UNITS = {
    "distance_mpc": "Mpc", "area90_deg2": "deg2", "vol90_mpc3": "Mpc3", "distmean_mpc": "Mpc", "diststd_mpc": "Mpc", "map_area90_deg2": "deg2", "map_vol90_mpc3": "Mpc3",
    "sugwg_mchirp": "M_sun", "far_hz": "Hz",
}  # fmt: skip

CITATION = (
    "GraceDB public alerts (LIGO, Virgo, KAGRA); BAYESTAR: Singer & Price 2016, PRD 93, 024013; GWSkyNet-Multi II: Raza et al. 2025, arXiv:2502.00297; "
    "alerts: github.com/lpsinger/observing-scenarios-simulations; SNR and chirp mass: arXiv:2507.08778; GCN Circulars (nasa-gcn/circulars-nlp-paper)"
)
LICENCE = "GWSkyNet-Multi: MIT; the other repositories have no licence file; GraceDB alerts are LVK open data, GCN Circulars are text of their authors"
NOTES = (
    "BBH 283, NSBH 12, BNS 9. classification is the pipelines' own p_astro (the largest but for Terrestrial), not the truth of a final catalogue; p_..., has_ns and has_remnant are what it is made of: "
    "targets, never inputs. The chirp mass decides it too, so sugwg_mchirp and sugwg_z are no inputs.",
    "Distance, area and volume alone separate BBH from the rest with ROC-AUC 0.98: mergers of light stars are only seen nearby (selection). Show that control.",
    "The text is the subjects of GCN Circulars, written after the classification was public: BNS have a median of 51 circulars, NSBH 28, BBH 2. Its length tells the class.",
    "23 events of O3a have a map, log Bayes factors and detectors; none of them was retracted, so real against glitch cannot be trained here, only shown with the published weights.",
    "gwskynet2_... are our re-run of the published 20 networks (mean and standard deviation, per cent): 18 of 22 in the alert's class. S190718y has an infinite vol90, masked here: no answer.",
    "The map of S190814bv is the early one of two detectors (772 against 38 deg2). vol90_mpc3 (alert table) and map_vol90_mpc3 (from the map) are computed differently.",
    "The image is the probability per steradian on a plate carree grid: bilinear from HEALPix nside 32 at 1 degree, the largest of each 2 x 2; right ascension decreases with x from 360, "
    "declination grows with y from -90. It carries no WCS here.",
)


def read(folder: Path) -> SampleSet:
    """Read the alerts.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        Modalities ``image`` (the sky map of 23 events, 90 x 180), ``table`` and ``text``; target ``classification``.

    Raises
    ------
    SampleSetError
        If a file is missing, unreadable, or does not fit the other.
    """
    file, maps_file = folder / ALERTS, folder / MAPS
    alerts = files.parquet(file, ("superevent_id", "classification", "distance_mpc", "area90_deg2", "vol90_mpc3", "gcn_subjects"))
    maps = files.parquet(maps_file, ("superevent_id", "instruments", "log_bci", "log_bsn", "distmean_mpc", "diststd_mpc", "area90_deg2", "vol90_mpc3", "prob_nside32_nested"))
    names = files.texts(file, alerts, "superevent_id")
    place, has = files.places(files.texts(maps_file, maps, "superevent_id"), names)
    if has.sum() != len(maps):
        raise SampleSetError(f"{maps_file} has {len(maps)} maps, of which {int(has.sum())} belong to an alert of {ALERTS}. {files.AGAIN}")
    columns = _columns(file, alerts) | _of_maps(maps_file, maps, place, has)
    table = pa.table(columns)
    data = {"image": _images(maps_file, maps, place, has), "text": text_data(files.texts(file, alerts, "gcn_subjects"), _provenance(ALERTS))}
    roles = files.roles_of(table, INPUTS, target=(*TARGETS, *(n for n in table.column_names if n.startswith("gwskynet2_"))))
    card = Card("gw-alerts", "Gravitational-wave alerts: scalars, sky maps and circulars", False, CITATION, LICENCE, NOTES)
    return SampleSet(table, data, roles, {n: u for n, u in UNITS.items() if n in table.column_names}, card, ModalitySpec("table", "table", provenance=_provenance(ALERTS)))


def _provenance(file: str) -> Provenance:
    return Provenance("gw-alerts", release="O3 and O4", query=file, citation=CITATION, licence=LICENCE)


def _finite(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Infinities are missing."""
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type)) if pa.types.is_floating(column.type) else column


def _columns(file: Path, alerts: pa.Table) -> dict[str, Any]:
    for name in ("distance_mpc", "area90_deg2", "vol90_mpc3"):
        files.number(file, alerts, name)
    return {"object_id": alerts.column("superevent_id")} | {
        name: _finite(alerts.column(name)) for name in alerts.column_names if name not in ("superevent_id", "gcn_subjects", "retracted_in_gcn")
    }


def _of_maps(file: Path, maps: pa.Table, place: NDArray[np.int64], has: NDArray[np.bool_]) -> dict[str, Any]:
    """Columns of the maps beside the alerts, missing where there is no map."""
    index = pa.array(place, mask=~has)
    seen = files.texts(file, maps, "instruments")
    made: dict[str, Any] = {d: pa.array(np.array([d in str(s).split(",") for s in seen])).take(index) for d in DETECTORS}
    renamed = {"area90_deg2": "map_area90_deg2", "vol90_mpc3": "map_vol90_mpc3", "p_terrestrial": "map_p_terrestrial", "file": "map_file"}
    for name in maps.column_names:
        if name not in ("superevent_id", "prob_nside32_nested", "instruments"):
            made[renamed.get(name, name)] = _finite(maps.column(name)).take(index)
    if "gwskynet2_Glitch" in made and "gwskynet2_class" in made:  # no class where the networks gave no number
        made["gwskynet2_class"] = pc.if_else(pc.is_null(made["gwskynet2_Glitch"], nan_is_null=True), pa.scalar(None, made["gwskynet2_class"].type), made["gwskynet2_class"])
    return made


def _images(file: Path, maps: pa.Table, place: NDArray[np.int64], has: NDArray[np.bool_]) -> ModalityData:
    from astropy import units as u
    from astropy_healpix import HEALPix

    probability = files.rectangle(file, maps, "prob_nside32_nested", CELLS)
    if not np.allclose(probability.sum(axis=1), 1, atol=1e-3) or (probability < 0).any():
        raise SampleSetError(f"{file}: a map is no probability that sums to one. {files.AGAIN}")
    lon, lat = np.meshgrid(359.5 - np.arange(2 * COLUMNS), np.arange(2 * ROWS) - 89.5)
    cells, weights = HEALPix(nside=NSIDE, order="nested").bilinear_interpolation_weights(lon.ravel() * u.deg, lat.ravel() * u.deg)
    fine = (probability[:, cells] * weights).sum(axis=1) * CELLS / (4 * np.pi)
    density = fine.reshape(-1, ROWS, 2, COLUMNS, 2).max(axis=(2, 4))
    flux = np.where(has[:, None, None], density[place], 0.0).astype(np.float32)[:, None]
    spec = ModalitySpec("image", "image", ("probability",), (1, ROWS, COLUMNS), "1 / sr", oriented=False, provenance=_provenance(MAPS))
    mask = np.broadcast_to(has[:, None, None, None], flux.shape).copy()
    return ModalityData(spec, {"flux": flux, "mask": mask}, has.copy())
