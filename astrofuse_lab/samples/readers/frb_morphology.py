"""Morphology of CHIME bursts: the scores of a voting ensemble of networks and the types that people gave (Kumar et al. 2025, arXiv:2507.14854)."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

SCORES, VOTES = "all_scores.csv", "predictions_for_chime_bursts.csv"
FILES = (SCORES, VOTES)
VERSION = files.version(__file__)
TYPES = {"A": "I", "B": "II", "C": "III", "C1": "IV", "C2": "V"}
"""The two names of each type: of the simulations, and of the catalogue."""
INPUTS = tuple(f"type{name}_score" for name in TYPES.values())

CITATION = "Kumar et al. 2025 (Frabjous), arXiv:2507.14854; code and scores: github.com/ajay2609/frabjous @ 2e35c44; CHIME/FRB Catalog 1: CHIME/FRB Collaboration 2021, ApJS 257, 59"
LICENCE = "MIT (repository ajay2609/frabjous); CHIME/FRB Catalog 1 is public"
NOTES = (
    "Rows carry no burst name and cannot be joined to the catalogue (set 'chime-frbs'): bursts of one repeater may lie on both sides of a split.",
    "voted_type is the type of the largest score; it equals the published prediction in all 535 rows and the human type in 265 (49.5%), not the 55% that is often quoted: "
    "that is another network, of several classes, partly trained on CHIME bursts.",
    "Classes are unequal: II 270, I 163, III 62, IV 20, V 20. Always answering II is right in 50.5%.",
    "Scores are sums of pairwise evidence after thresholds; they are no probabilities.",
    "No waterfalls and no weights are in the mirror: the scores can be explained, not recomputed.",
)


def read(folder: Path) -> SampleSet:
    """Read scores and types of 535 bursts.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        Modality ``table`` (five scores); target ``actual_type``; ``voted_type`` and the votes without some types as columns.

    Raises
    ------
    SampleSetError
        If a file is missing, unreadable, or does not fit the other.
    """
    scores = files.csv(folder / SCORES, (*INPUTS, "actual_type"))
    votes = files.csv(folder / VOTES, ("correct_type", "predict_type"))
    actual = files.texts(folder / SCORES, scores, "actual_type")
    said = [TYPES.get(str(t), "") for t in files.texts(folder / VOTES, votes, "correct_type")]
    if len(votes) != len(scores) or said != actual.tolist():
        raise SampleSetError(f"{folder / VOTES} and {SCORES} do not list the same bursts in one order. {files.AGAIN}")
    values = np.stack([files.number(folder / SCORES, scores, name) for name in INPUTS], axis=1)
    columns = {"object_id": [f"burst-{i:03d}" for i in range(len(scores))], "actual_type": actual}
    columns["voted_type"] = np.array(list(TYPES.values()))[values.argmax(axis=1)]
    columns |= {name: scores.column(name) for name in INPUTS}
    for name in ("predict_type", "pred_type_w_A", "pred_type_w_B", "pred_type_w_AB"):
        if name in votes.column_names:
            columns[name] = [TYPES.get(str(t)) for t in files.texts(folder / VOTES, votes, name)]
    table = pa.table(columns)
    provenance = Provenance("frb-morphology", release="Frabjous", query=SCORES, citation=CITATION, licence=LICENCE)
    card = Card("frb-morphology", "CHIME bursts: scores of a voting ensemble and human types", False, CITATION, LICENCE, NOTES)
    return SampleSet(table, {}, files.roles_of(table, INPUTS, target=("actual_type",)), {}, card, ModalitySpec("table", "table", provenance=provenance))
