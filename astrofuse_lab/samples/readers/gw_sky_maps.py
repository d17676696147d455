"""Real sky maps of O3a in the layout of the GWSkyNet networks: 23 BAYESTAR maps at nside 32, without distance layers."""

from pathlib import Path
from typing import Any

import numpy as np

from astrofuse_lab.alignment import sky_images
from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples import gw_maps
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card

MAPS = "o3_bayestar_skymaps.parquet"
FILES = (MAPS,)
VERSION = files.version(__file__) + files.version(gw_maps.__file__) + files.version(sky_images.__file__)
CELLS = 12288
CITATION = "GraceDB public alerts (LIGO, Virgo); BAYESTAR: Singer & Price 2016, PRD 93, 024013; maps and labels: github.com/d80b2t/LIGO_O3 @ d8d42adb"
LICENCE = "no licence file; GraceDB alerts are LVK open data (CC BY 4.0)"
NOTES = (
    "23 real alerts, none retracted: nothing to train on, only to show what networks say. kind is the pipelines' class at the time (the largest of p_astro but for Terrestrial), no truth.",
    "The maps at hand have nside 32 (1.8 deg) and no distance layers, so distance_layers, volume and their columns are missing: networks that were trained with them are given less than they need.",
    "sky_max is of a cell as wide as the original file's (column nside_original), so far as nside 32 keeps the peak: small maps lose some of theirs.",
    "S190718y (p_terrestrial 0.98) has no vol90. The map of S190814bv is the early one of two detectors (772 against 38 deg2).",
)
FURTHER = {"nside_original": "nside_orig", "p_terrestrial": "p_terrestrial", "gps": "gps"}


def read(folder: Path) -> SampleSet:
    """Read the maps.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        As `astrofuse_lab.samples.gw_maps` lays it out; ``distance_layers`` and ``volume`` are there for no object.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or holds what is no map.
    """
    file = folder / MAPS
    needed = ("superevent_id", "instruments", "alert_class", "prob_nside32_nested", "distmean_mpc", "diststd_mpc", "log_bci", "log_bsn", "area90_deg2", "vol90_mpc3", *FURTHER.values())
    table = files.parquet(file, needed)
    probability = files.rectangle(file, table, "prob_nside32_nested", CELLS)
    if not np.allclose(probability.sum(axis=1), 1, atol=1e-3) or (probability < 0).any():
        raise SampleSetError(f"{file}: a map is no probability that sums to one. {files.AGAIN}")
    numbers = {name: np.asarray(table.column(name).to_numpy(zero_copy_only=False), dtype=float) for name in needed[4:]}
    seen, kinds = files.texts(file, table, "instruments"), files.texts(file, table, "alert_class")
    rows = []
    for i, prob in enumerate(probability):
        row: dict[str, Any] = gw_maps.inputs_of(prob, None, float(numbers["distmean_mpc"][i]), float(numbers["diststd_mpc"][i]))
        row["sky_max"] *= (sky_images.native_nside(prob) / numbers["nside_orig"][i]) ** 2
        row |= {one: one in str(seen[i]).split(",") for one in gw_maps.DETECTORS}
        row |= {"log_bsn": numbers["log_bsn"][i], "log_bci": numbers["log_bci"][i], "area90": numbers["area90_deg2"][i], "vol90": numbers["vol90_mpc3"][i], "kind": str(kinds[i])}
        rows.append(row | {name: numbers[column][i] for name, column in FURTHER.items()})
    card = Card("gw-sky-maps", "Real sky maps of gravitational-wave alerts of O3a", False, CITATION, LICENCE, NOTES)
    provenance = Provenance("gw-sky-maps", release="O3a", query=MAPS, citation=CITATION, licence=LICENCE)
    ids = [str(one) for one in files.texts(file, table, "superevent_id")]
    return gw_maps.gw_map_set(ids, rows, card, provenance, {"nside_original": "other", "p_terrestrial": "other", "gps": "other"})
