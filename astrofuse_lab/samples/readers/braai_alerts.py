"""Twenty ZTF alerts with the score of the original real/bogus network in the packet (Duev et al. 2019, MNRAS 489, 3582)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

CUTOUTS, META = "ztf_alerts_cutouts.npz", "ztf_alerts_meta.json"
FILES = (CUTOUTS, META)
VERSION = files.version(__file__)
STAMPS, SIDE, SCALE = ("science", "reference", "difference"), 63, 1.01
INPUTS = (
    "fid", "isdiffpos", "magpsf", "sigmapsf", "fwhm", "classtar", "sgscore1", "distpsnr1", "sgmag1", "srmag1", "simag1", "szmag1", "chinr", "sharpnr", "ndethist",
    "ncovhist", "scorr", "nmtchps",
)  # fmt: skip
SENTINEL = -999
OUTSIDE = 1e7
"""Pixel values beyond are no fluxes: -3.4e38 marks what lies outside the reference image."""

CITATION = "Duev et al. 2019, MNRAS 489, 3582 (braai), github.com/dmitryduev/braai @ 9fb2259; alerts: skyportal/kowalski @ 51d0078; ZTF: Bellm et al. 2019, PASP 131, 018002"
LICENCE = "MIT (both repositories); ZTF public alerts"
NOTES = (
    "20 alerts: to reproduce the score drb of the network d6_m7, whose weights lie in the same folder of the mirror; not to train on.",
    "d6_m7 was trained on stamps divided by the L2 norm of each row (tf.keras.utils.normalize, last axis); d6_m9 by that of the whole stamp. "
    "With row-wise norms the weights give drb to 2e-7; with whole norms they are off by up to 0.55. NaN pixels are 0 for the network, masked here.",
    "Two reference stamps hold -3.4e38 where there is no image (column sentinel_pixels); these pixels keep that value and are masked. Its square overflows in float32, so a row with such "
    "a pixel was zero as a whole for the original network; the representation l2 does the same. Without that those two scores are off by up to 0.18.",
    "drb and rb are machine scores, no labels by eye.",
    "Alerts of two nights (2020-02-02, 2023-10-12) and of one field in the second: positions and dates are no inputs. Split on objectId.",
    "Difference stamps are stored as in the packet: the source is always positive; isdiffpos is its sign. The stamps carry no WCS.",
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
        Modalities ``image`` (science, reference, difference; DN) and ``table``; target ``drb``.

    Raises
    ------
    SampleSetError
        If a file is missing, unreadable, or does not fit the other.
    """
    rows = _meta(folder / META)
    flux = files.npz(folder / CUTOUTS, {"cutouts": ("f", 4)})["cutouts"]
    shape = (len(STAMPS), SIDE, SIDE)
    if flux.shape != (len(rows), *shape):
        raise SampleSetError(f"{folder / CUTOUTS}: 'cutouts' has shape {flux.shape}; {(len(rows), *shape)} is expected for the alerts of {META}. {files.AGAIN}")
    outside = np.isfinite(flux) & (np.abs(flux) > OUTSIDE)
    mask = np.isfinite(flux) & ~outside
    spec = ModalitySpec("image", "image", STAMPS, shape, "DN", scale=SCALE, oriented=False, provenance=_provenance(CUTOUTS))
    image = ModalityData(spec, {"flux": np.where(np.isfinite(flux), flux, 0.0).astype(np.float32), "mask": mask}, np.asarray(mask.any(axis=(1, 2, 3))))
    columns: dict[str, Any] = {"object_id": [str(row["candid"]) for row in rows], "time": [row["jd"] - 2400000.5 for row in rows], "sentinel_pixels": outside.sum(axis=(1, 2, 3))}
    for name in rows[0]:
        values = [None if value == SENTINEL else value for value in (row.get(name) for row in rows)]
        columns[name] = [value == "t" for value in values] if name == "isdiffpos" else values
    table = pa.table(columns)
    roles = files.roles_of(table, INPUTS, target=("drb",), group=("objectId",), id=("candid",))
    card = Card("braai-alerts", "Twenty ZTF alerts with the original real/bogus score", False, CITATION, LICENCE, NOTES)
    units = {"ra": "deg", "dec": "deg", "time": "d", "magpsf": "mag", "sigmapsf": "mag", "fwhm": "pix", "distpsnr1": "arcsec"}
    return SampleSet(table, {"image": image}, roles, units, card, ModalitySpec("table", "table", provenance=_provenance(META)))


def _provenance(file: str) -> Provenance:
    return Provenance("braai-alerts", release="kowalski test alerts", query=file, citation=CITATION, licence=LICENCE)


def _meta(file: Path) -> list[dict[str, Any]]:
    files.exists(file)
    if file.stat().st_size > 16 * 1024**2:
        raise SampleSetError(f"{file} has {file.stat().st_size} bytes; at most 16 MiB are read.")
    with files.reading(file, "JSON"):
        rows = json.loads(file.read_text(encoding="utf-8"))
    needed = ("candid", "objectId", "jd", "drb", *INPUTS)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and all(name in row for name in needed) for row in rows):
        raise SampleSetError(f"{file} is no list of alerts with {', '.join(needed[:4])}, ... {files.AGAIN}")
    return rows
