"""The 15 alerts of AstroAlertBench's human baseline, and its leaderboard of 13 runs (Chen et al. 2026, arXiv:2605.05573)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

if TYPE_CHECKING:
    from astropy.table import Table

ALERTS, LEADERBOARD = "fixture15.csv", "leaderboard.csv"
FILES = (ALERTS, LEADERBOARD)
VERSION = files.version(__file__)
INPUTS = (
    "fid", "isdiffpos", "deltajd", "magpsf", "sigmapsf", "fwhm", "classtar", "sgscore1", "distpsnr1", "chinr", "sharpnr", "ndethist", "ncovhist", "sgmag1", "srmag1",
    "simag1", "szmag1", "nmtchps",
)  # fmt: skip
SENTINEL = -999
ROWS, RUNS = 15, 13

CITATION = "Chen et al. 2026, arXiv:2605.05573; github.com/LLM-for-Astronomy/AstroAlertBench; ALeRCE stamp classifier: Carrasco-Davis et al. 2021, AJ 162, 231"
LICENCE = "MIT (repository); ZTF public alerts"
NOTES = (
    "target_class is the top class of ALeRCE's stamp classifier, with its probability in stamp_probability: the benchmark measures agreement with another network, not with the sky. "
    "stamp_probability is no input.",
    "15 of the benchmark's 1,500 alerts, metadata only: the montages of stamps are not in the mirror. For the scorer's arithmetic, not for training.",
    "-999 is missing in the file and masked here. firstmjd is in the benchmark's prompt; here, as a date, it tells the class (bogus and asteroids are all of 2025-26), so it is no input.",
)


def read(folder: Path) -> SampleSet:
    """Read the 15 alerts; the leaderboard's best and worst run are named on the card, `leaderboard` gives all.

    Raises
    ------
    SampleSetError
        If a file is missing, unreadable, or not complete.
    """
    file = folder / ALERTS
    rows = files.csv(file, ("oid", "target_class", "stamp_probability", "firstmjd", *INPUTS))
    if len(rows) != ROWS:
        raise SampleSetError(f"{file} has {len(rows)} rows; {ROWS} are expected. {files.AGAIN}")
    columns: dict[str, Any] = {"object_id": files.texts(file, rows, "oid"), "target_class": files.texts(file, rows, "target_class")}
    for name in ("stamp_probability", "firstmjd", *INPUTS):
        if name == "isdiffpos":
            columns[name] = files.texts(file, rows, name) == "t"
        else:
            values = files.number(file, rows, name)
            columns[name] = pa.array(np.where(values == SENTINEL, np.nan, values), from_pandas=True)
    table, runs = pa.table(columns), leaderboard(folder)
    first, last = (f"{run['model']}, {run['reasoning']}: {run['acc_5class_pct']:.2f}%" for run in (runs[0], runs[-1]))
    notes = (*NOTES, f"Accuracy over 1,500 alerts and five classes in {len(runs)} runs of 8 models: best {first}; worst {last}. Chance is 20%.")
    provenance = Provenance("astroalertbench", release="human baselines", query=ALERTS, citation=CITATION, licence=LICENCE)
    card = Card("astroalertbench", "Fifteen alerts of AstroAlertBench, metadata", False, CITATION, LICENCE, notes)
    roles = files.roles_of(table, INPUTS, target=("target_class",))
    return SampleSet(table, {}, roles, {"firstmjd": "d", "deltajd": "d", "magpsf": "mag", "distpsnr1": "arcsec"}, card, ModalitySpec("table", "table", provenance=provenance))


def leaderboard(folder: Path) -> "Table":
    """The 13 published runs, best first: model, reasoning, accuracy and its error (per cent), parse rate, macro F1, calibration."""
    from astropy.table import Table

    file = folder / LEADERBOARD
    rows = files.csv(file, ("rank", "model", "reasoning", "acc_5class_pct", "se_pct", "parse_rate_pct", "stage3_macro_f1"))
    if len(rows) != RUNS:
        raise SampleSetError(f"{file} has {len(rows)} runs; {RUNS} are expected. {files.AGAIN}")
    accuracy = files.number(file, rows, "acc_5class_pct")
    if not np.isfinite(accuracy).all():
        raise SampleSetError(f"{file}: a run has no accuracy. {files.AGAIN}")
    return Table({name: rows.column(name).to_pylist() for name in rows.column_names})
