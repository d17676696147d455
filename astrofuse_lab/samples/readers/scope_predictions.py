"""What SCoPe says of 100 ZTF sources: scores of 44 binary classifiers, by a network and by boosted trees (Healy et al. 2024, ApJS 272, 14, arXiv:2312.00143)."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

TABLE = "field_296_100rows.csv"
FILES = (TABLE,)
VERSION = files.version(__file__)
WAYS = ("dnn", "xgb")
ROWS = 100

CITATION = "Healy et al. 2024, ApJS 272, 14 (arXiv:2312.00143); van Roestel et al. 2021, AJ 161, 267; github.com/bfhealy/scope @ f32feb5"
LICENCE = "MIT (repository bfhealy/scope)"
NOTES = (
    "Scores are predictions of two classifiers, not labels: agreement with them is agreement with another machine. They are targets here, never inputs.",
    "Classes are a taxonomy, not exclusive: a source has a score for variable, periodic, eclipsing, eclipsing of type EA and so on.",
    "period is the only input: features and light curves of these sources are not in the mirror.",
)


def read(folder: Path) -> SampleSet:
    """Read 88 scores of 100 sources.

    Raises
    ------
    SampleSetError
        If the file is missing, unreadable, or has no scores.
    """
    file = folder / TABLE
    table = files.csv(file, ("_id", "ra", "dec", "period"))
    scores = tuple(name for name in table.column_names if name.endswith(tuple(f"_{way}" for way in WAYS)))
    if not scores:
        raise SampleSetError(f"{file} has no column of scores, named ..._dnn or ..._xgb. {files.AGAIN}")
    ids = files.number(file, table, "_id")
    if len(table) != ROWS or not np.isfinite(ids).all():
        raise SampleSetError(f"{file} has {int(np.isfinite(ids).sum())} rows with an id; {ROWS} are expected. {files.AGAIN}")
    columns = {"object_id": pa.array(ids.astype(np.int64).astype(str))}
    for name in table.column_names:
        if name.endswith("___id"):  # of another catalogue; 0 where it has none
            columns[name] = pa.array([str(i) if i else None for i in table.column(name).to_pylist()], pa.string())
        elif name != "_id":
            columns[name] = pa.array(files.number(file, table, name), from_pandas=True)
    made = pa.table(columns)
    provenance = Provenance("scope-predictions", release="field 296", query=TABLE, citation=CITATION, licence=LICENCE)
    card = Card("scope-predictions", "SCoPe's scores of 100 ZTF sources", False, CITATION, LICENCE, NOTES)
    roles = files.roles_of(made, ("period",), target=scores, id=tuple(n for n in made.column_names if n.endswith("___id")))
    return SampleSet(made, {}, roles, {"ra": "deg", "dec": "deg", "period": "d"}, card, ModalitySpec("table", "table", provenance=provenance))
