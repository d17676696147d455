"""What the labelling view shows of a book: this annotator's labels, progress, agreement; and which samples may be labelled at all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.annotations_agreement import agreement_of
from astrofuse_lab.samples.annotations_book import UNSURE, LabelBook, Said, label_of
from astrofuse_lab.widgets.wire import array, plain

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.samples.split import Split
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run

NOT_SURE, OTHER = -1, -2
"""Codes on the wire of "not sure", and of a label that is none of the classes."""
FEWEST = 8
"""Samples below which none are held out for judging."""
SHOWN = 200
"""Disagreements listed at most."""
RESAMPLES = 200
Every = Mapping[str, Mapping[str, Said]]


def checked_classes(classes: Sequence[str]) -> list[str]:
    """Classes as labels are kept.

    Raises
    ------
    InputError
        If there are none, one comes twice, or one is "not sure".
    """
    given = [classes] if isinstance(classes, str) else list(classes)
    out = [label_of(str(one)) for one in given]
    if not out or not all(out) or len(set(out)) < len(out):
        raise InputError(f"classes={given!r}: different labels, at least one, none empty and none {UNSURE!r}, which is always offered; e.g. ['star', 'galaxy'].")
    return [str(one) for one in out]


def held_out(samples: "SampleSet", run: "Run | Ensemble | None", split: "Split | None", seed: int) -> "Split | None":
    """Which samples judge and which can be labelled: as given, as the run has them, else a quarter of the groups; None where there are too few."""
    ids = set(map(str, samples.object_ids))
    if split is not None:
        if unknown := set(split.test) - ids:
            raise InputError(f"split: {len(unknown)} test ids are not in this set, first {min(unknown)!r}.")
        return split
    if run is not None and run.split.test and set(run.split.test) <= ids:
        return run.split
    if len(samples) < FEWEST:
        return None
    try:
        return samples.split(test=0.25, seed=seed)
    except InputError:  # one group
        return None


def known_truth(samples: "SampleSet", column: str | None) -> dict[str, str]:
    """Labels that are known already, as text."""
    if column is None:
        return {}
    values = samples.column(column)
    known = ~np.ma.getmaskarray(values)
    return {str(i): str(v) for i, v, k in zip(samples.object_ids, values.data, known, strict=True) if k and str(v).strip()}


def given_payload(every: Every, place: Mapping[str, int], who: str, classes: Sequence[str], revision: int) -> dict[str, Any]:
    """Positions that an annotator has labelled, and the codes of the labels."""
    code = {name: k for k, name in enumerate(classes)}
    mine = [(place[i], NOT_SURE if votes[who].unsure else code.get(votes[who].label, OTHER)) for i, votes in every.items() if who in votes and i in place]
    return {"revision": revision, "positions": array([p for p, _ in mine], "int32"), "codes": array([c for _, c in mine], "int32")}


def tally_payload(book: LabelBook, every: Every, place: Mapping[str, int], who: str, classes: Sequence[str], pool: set[str], judged: tuple[int, int]) -> dict[str, Any]:
    """Counts of labels, where they are kept, and what can be undone."""
    here = {i: votes for i, votes in every.items() if i in place}
    mine = [votes[who] for votes in here.values() if who in votes]
    count = Counter(said.label for said in mine if not said.unsure)
    undo, redo = book.steps(who)
    apart = [place[i] for i, votes in here.items() if len({said.label for said in votes.values() if not said.unsure}) > 1]
    return {
        "mine": sum(count.values()), "unsure": sum(said.unsure for said in mine), "per": [count.get(name, 0) for name in classes],
        "other": sum(n for name, n in count.items() if name not in classes), "everyone": len(here), "pool": len(pool), "done": sum(i in here and who in here[i] for i in pool),
        "test": judged[0], "judged": judged[1], "where": str(book.path or ""), "unsaved": book.unsaved, "torn": book.torn, "undo": undo, "redo": redo,
        "apart": apart[:SHOWN], "apart_all": len(apart),
    }  # fmt: skip


def agreement_payload(every: Every, place: Mapping[str, int]) -> dict[str, Any]:
    """Agreement of all annotators on the samples here, in figures and words."""
    here = {i: votes for i, votes in every.items() if i in place}
    names = list(dict.fromkeys(who for votes in here.values() for who in votes))
    labels = {name: k for k, name in enumerate(dict.fromkeys(said.label for votes in here.values() for said in votes.values() if not said.unsure))}
    codes = np.array([[labels.get(votes[who].label, -1) if who in votes else -1 for who in names] for votes in here.values()], dtype=np.int64).reshape(len(here), len(names))
    found = agreement_of(codes, RESAMPLES)
    figures = {name: plain(getattr(found, name)) for name in ("value", "low", "high", "same")}
    return {"measure": found.measure, **figures, "objects": found.objects, "annotators": len(names), "says": str(found)}


def votes_payload(votes: Mapping[str, Said], who: str) -> list[dict[str, Any]]:
    """What the other annotators say of one object."""
    return [{"who": name, "label": UNSURE if said.unsure else said.label} for name, said in votes.items() if name != who]
