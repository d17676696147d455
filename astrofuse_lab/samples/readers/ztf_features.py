"""Features of ZTF sources as SCoPe computed them: 22 statistics, and period and Fourier features by three methods (Coughlin et al. 2021, MNRAS 505, 2954)."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

FEATURES = "ztf_source_features_331_2_3_7.h5"
FILES = (FEATURES,)
VERSION = files.version(__file__)
STATISTICS = (
    "n", "median", "wmean", "chi2red", "roms", "wstd", "norm_peak_to_peak_amp", "norm_excess_var", "median_abs_dev", "iqr", "i60r", "i70r", "i80r", "i90r", "skew",
    "smallkurt", "inv_vonneumannratio", "welch_i", "stetson_j", "stetson_k", "ad", "sw",
)  # fmt: skip
"""Columns of ``stats`` after id, ra and dec, in the order of Kowalski's ingestion (skyportal/kowalski @ 0da967c, tools/ingest_ztf_source_features.py)."""
PERIODIC = (
    "period", "significance", "pdot", "f1_power", "f1_BIC", "f1_a", "f1_b", "f1_amp", "f1_phi0", "f1_relamp1", "f1_relphi1", "f1_relamp2", "f1_relphi2", "f1_relamp3",
    "f1_relphi3", "f1_relamp4", "f1_relphi4",
)  # fmt: skip
METHODS = ("ELS", "ECE", "EAOV")
"""Lomb-Scargle, conditional entropy, analysis of variance."""
MOST = 1_000_000

CITATION = "Coughlin et al. 2021, MNRAS 505, 2954 (ztfperiodic); van Roestel et al. 2021, AJ 161, 267 (SCoPe); ZTF: Bellm et al. 2019, PASP 131, 018002"
LICENCE = "MIT (repositories skyportal/kowalski, ZwickyTransientFacility/scope-ml)"
NOTES = (
    "No labels. Names of the columns are those of Kowalski's ingestion; the file itself has none.",
    "The three methods rarely agree on a period: most of these sources are not periodic. significance is each method's own scale.",
    "Where no harmonic was kept, Fourier features are zero and relative amplitudes missing.",
    "The light curves behind these features are not in the mirror: they can be explored, not recomputed.",
)


def read(folder: Path) -> SampleSet:
    """Read the features of 123 sources.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or holds another layout.
    """
    import h5py

    file = folder / FEATURES
    files.exists(file)
    with files.reading(file, "HDF5"), h5py.File(file, "r") as h5:
        stats = _matrix(file, h5, "stats", 3 + len(STATISTICS))
        periodic = {method: _matrix(file, h5, f"stats_{method}", 1 + len(PERIODIC)) for method in METHODS}
    ids = stats[:, 0].astype(np.int64)
    columns = {"object_id": pa.array(ids.astype(str)), "ra": pa.array(stats[:, 1]), "dec": pa.array(stats[:, 2])}
    columns |= {name: pa.array(stats[:, 3 + i], from_pandas=True) for i, name in enumerate(STATISTICS)}
    for method, values in periodic.items():
        if not np.array_equal(values[:, 0].astype(np.int64), ids):
            raise SampleSetError(f"{file}: 'stats_{method}' lists other sources than 'stats'. {files.AGAIN}")
        columns |= {f"{name}_{method}": pa.array(values[:, 1 + i], from_pandas=True) for i, name in enumerate(PERIODIC)}
    table = pa.table(columns)
    inputs = tuple(name for name in table.column_names if name not in ("object_id", "ra", "dec"))
    provenance = Provenance("ztf-features", release="field 331, CCD 2, quadrant 3", query=FEATURES, citation=CITATION, licence=LICENCE)
    card = Card("ztf-features", "Statistics and periods of 123 ZTF sources", False, CITATION, LICENCE, NOTES)
    units = {"ra": "deg", "dec": "deg"} | {f"period_{method}": "d" for method in METHODS}
    return SampleSet(table, {}, files.roles_of(table, inputs), units, card, ModalitySpec("table", "table", provenance=provenance))


def _matrix(file: Path, h5: Any, name: str, width: int) -> NDArray[np.float64]:
    dataset = files.plain_dataset(file, h5, name)
    if dataset.ndim != 2 or dataset.shape[1] != width or dataset.shape[0] > MOST or dataset.dtype.kind != "f":
        raise SampleSetError(f"{file}: {name!r} is {dataset.dtype} {dataset.shape}; float (n, {width}) is expected. {files.AGAIN}")
    values = np.asarray(dataset[:], dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)
