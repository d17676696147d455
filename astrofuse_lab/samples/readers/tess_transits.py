"""Transit candidates of TESS as the network Nigraha saw them: folded views and stellar scalars (Rao et al. 2021, MNRAS 502, 2845, arXiv:2101.09227)."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

VIEWS = "nigraha_labelled_views.npz"
FILES = (VIEWS,)
VERSION = files.version(__file__)
PLANETS = ("KP", "PC", "CP")
HALF = 81
"""Samples of each half-phase view: around phase 0.5, then around the transit."""

CITATION = "Rao et al. 2021, MNRAS 502, 2845 (Nigraha), github.com/ExoplanetML/Nigraha @ c4365b4; TESS: Ricker et al. 2015, JATIS 1, 014003"
LICENCE = "MIT (repository ExoplanetML/Nigraha); NASA TESS data are public domain"
NOTES = (
    "Split by tic_id, which samples.split() does: rows of one star are foldings of the same candidate in several sectors, with identical period, epoch and scalars "
    "(2,703 stars in 5,171 rows).",
    "The published split (samples.split(by='published')) leaks: 352 of its 522 test rows and 362 of its 516 validation rows are of stars it trains on.",
    "is_planet is disposition KP, PC or CP; all else (J, EB, V, IS, FP, FA, O) is not. No star carries both.",
    "source tells the label: 346 of 436 rows of 'toi' are planets, 115 of 4,735 rows of 'dl3'. It is no input; show it as a control.",
    "Scalars were median/std-normalised by the authors over all their rows, test included, except Depth, Duration, rp_rs, DepthEven and DepthOdd.",
    "The seven further columns (Period, T0, TMag, snr, sde, NumTransits, distance) were no inputs of the network; they are 'other' here. T0 is a date and tells the sector.",
    "Views are (flux - 1) / |minimum| x 2 + 1: the deepest point is -1, the baseline 1; outliers reach hundreds, so stretch or clip them.",
    "Nigraha's ROC-AUC of 0.908 is on the published split; a forest on the same views reaches about 0.91, grouped by star.",
)
NEEDED = {
    "split": ("U", 1), "source": ("U", 1), "tic_id": ("iu", 1), "disposition": ("U", 1), "scalar_names": ("U", 1), "extra_names": ("U", 1),
    "global_view": ("f", 2), "shifted_global_view": ("f", 2), "local_view": ("f", 2), "half_phase_view": ("f", 2), "scalars": ("f", 2), "extra": ("f", 2),
}  # fmt: skip
WIDTHS = {"global_view": 201, "shifted_global_view": 201, "local_view": HALF, "half_phase_view": 2 * HALF}


def read(folder: Path) -> SampleSet:
    """Read the candidates.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        Series ``global_view`` (channels: folded at the epoch, and a quarter of a period later; 201 phases), ``local_view`` (81, two durations
        around the transit) and ``half_phase`` (channels secondary and primary, 81 each), and ``table`` (11 scalars). Target ``is_planet``.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or does not fit itself.
    """
    file = folder / VIEWS
    got = files.npz(file, NEEDED)
    _check(file, got)
    phase, near = np.linspace(-0.5, 0.5, 201), np.linspace(-2.0, 2.0, HALF)
    half = got["half_phase_view"].reshape(-1, 2, HALF)
    data = {
        "global_view": _series("global_view", ("centred", "shifted"), phase, "phase", np.stack([got["global_view"], got["shifted_global_view"]], axis=1)),
        "half_phase": _series("half_phase", ("secondary", "primary"), near, "time from the middle (durations)", half),
        "local_view": _series("local_view", ("transit",), near, "time from the transit (durations)", got["local_view"][:, None]),
    }
    columns = _columns(got)
    scalars, extra = (tuple(map(str, got[name])) for name in ("scalar_names", "extra_names"))
    roles = files.roles_of(columns, scalars, target=("is_planet", "disposition"), group=("tic_id",), split=("split",), other=extra)
    units = {"Period": "d", "T0": "d", "TMag": "mag"}
    card = Card("tess-transits", "TESS transit candidates: folded views and stellar scalars", False, CITATION, LICENCE, NOTES)
    return SampleSet(columns, data, roles, {n: u for n, u in units.items() if n in columns.column_names}, card, ModalitySpec("table", "table", provenance=_provenance()))


def _provenance() -> Provenance:
    return Provenance("tess-transits", release="Nigraha, data/TFRecords/Large", query=VIEWS, citation=CITATION, licence=LICENCE)


def _check(file: Path, got: dict[str, NDArray[Any]]) -> None:
    rows = len(got["tic_id"])
    widths = WIDTHS | {"scalars": len(got["scalar_names"]), "extra": len(got["extra_names"])}
    for name, array in got.items():
        if name.endswith("_names"):
            continue
        if len(array) != rows or (name in widths and array.shape[1] != widths[name]):
            raise SampleSetError(f"{file}: {name!r} has shape {array.shape}; {(rows, widths[name]) if name in widths else (rows,)} is expected. {files.AGAIN}")


def _series(name: str, channels: tuple[str, ...], axis: NDArray[np.float64], said: str, values: NDArray[Any]) -> ModalityData:
    mask = np.isfinite(values)
    words, _, unit = said.partition(" (")
    spec = ModalitySpec(name, "series", channels, values.shape[1:], "scaled flux", axis=words, axis_unit=unit.rstrip(")"), provenance=_provenance())
    return ModalityData(spec, {"axis": axis, "values": np.where(mask, values, 0.0).astype(np.float32), "mask": mask}, np.asarray(mask.any(axis=(1, 2))))


def _columns(got: dict[str, NDArray[Any]]) -> pa.Table:
    tic, disposition = got["tic_id"].astype(np.int64), got["disposition"].astype(str)
    # rows of one star in the order of the file, numbered
    order = np.argsort(tic, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(tic[order]) != 0])
    nth = np.empty(len(tic), dtype=np.int64)
    nth[order] = np.arange(len(tic)) - np.repeat(starts, np.diff(np.r_[starts, len(tic)]))
    columns: dict[str, Any] = {"object_id": [f"TIC{t}-{i}" for t, i in zip(tic, nth, strict=True)], "tic_id": tic}
    columns |= {"is_planet": np.isin(disposition, PLANETS), "disposition": disposition, "split": got["split"].astype(str), "source": got["source"].astype(str)}
    for names, values in (("scalar_names", "scalars"), ("extra_names", "extra")):
        columns |= {str(n): pa.array(got[values][:, i].astype(np.float64), from_pandas=True) for i, n in enumerate(got[names])}
    return pa.table(columns)
