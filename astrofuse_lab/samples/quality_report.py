"""``samples.quality()``: everything that could be wrong with a set, in words that say what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.duplicates import duplicates
from astrofuse_lab.samples.leakage import FEWEST, audit, default_target, is_number
from astrofuse_lab.samples.measures import balance, masks, separations, signal
from astrofuse_lab.samples.split import Split, group_codes, make_split

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet

LEVELS = ("serious", "warning", "note")
MOSTLY, RARE, UNEVEN = 0.5, 10, 20
"""Share from which something is mostly missing; objects below which a class is rare; ratio of the commonest to the rarest class."""
OUTLYING = 0.02
Finding = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Quality:
    """What was found in a set.

    Attributes
    ----------
    findings : Table
        The worst first: ``level`` (serious: do not quote a score before this is settled; warning; note), ``about``, ``what``, ``says``, ``do``.
    separations, signal, masks : Table
        See `astrofuse_lab.samples.measures`.
    balance : Table or None
        None without a target.
    duplicates : Table
        See `astrofuse_lab.samples.duplicates`.
    leakage : Table or None
        See `astrofuse_lab.samples.leakage.audit`.
    target : str
    split : Split or None
        What crossings were looked for in.
    """

    findings: "Table"
    separations: "Table"
    signal: "Table"
    masks: "Table"
    balance: "Table | None"
    duplicates: "Table"
    leakage: "Table | None"
    target: str
    split: Split | None

    def __repr__(self) -> str:
        counts = [f"{n} {level}" for level in LEVELS if (n := int((np.asarray(self.findings["level"]) == level).sum()))]
        lines = [f"{row['level']}: {row['says']} {row['do']}".rstrip() for row in self.findings]
        return "\n".join([f"Quality({', '.join(counts) or 'nothing found'})", *lines])


def quality(samples: "SampleSet", target: str | None = None, split: Split | None = None, sources: Sequence[str] | None = None, seed: int = 0) -> Quality:
    """Look for what is wrong with a set.

    Parameters
    ----------
    samples : SampleSet
    target : str, optional
        What would be predicted; None: the first target, if there is one.
    split : Split, optional
        None: the published one, where there is one.
    sources : sequence of str, optional
        Columns that say where a row comes from; see `leakage.audit`.
    seed : int

    Returns
    -------
    Quality

    Raises
    ------
    InputError
        If the set is empty, or there is no such column.
    """
    from astropy.table import Table

    if not len(samples):
        raise InputError("there are no samples to judge: the set is empty.")
    if target is None:
        try:
            target = default_target(samples)
        except InputError:
            target = ""
    if split is None and "split" in samples.roles.values():
        try:
            split = make_split(samples, by="published")
        except InputError:
            split = None
    parts = (separations(samples), signal(samples), masks(samples), balance(samples, target, split) if target else None, duplicates(samples, split))
    leakage = audit(samples, target, sources, seed) if target else None
    found = [*_of_measures(parts[0], parts[1], parts[2]), *_of_balance(samples, target, parts[3], split), *_of_duplicates(samples, parts[4], split)]
    found += [*_of_split(samples, split), *_of_leakage(leakage)]
    found.sort(key=lambda one: LEVELS.index(one[0]))
    names = ("level", "about", "what", "says", "do")
    findings = Table(rows=found, names=names) if found else Table(names=names, dtype=["U8"] * 5)
    return Quality(findings, *parts, leakage, target, split)


def _of_measures(separation: "Table", strength: "Table", missing: "Table") -> Iterator[Finding]:
    for row in separation:
        if row["outlying"] > OUTLYING:
            says = f"{100 * row['outlying']:.0f} % of {row['column']} lie beyond five times its median ({row['median']:.3g} {row['unit']})."
            yield "warning", "separations", str(row["column"]), says, "Some may be other sources: look at them, or match by af.match, which estimates the false-match rate."
    for row in strength:
        if row["faint"] > MOSTLY:
            says = f"{100 * row['faint']:.0f} % of {row['modality']} have a signal to noise below 3 ({row['of']})."
            yield "note", "signal", str(row["modality"]), says, "Compare with a model that lacks it: samples of noise add none."
    for row in missing:
        name = str(row["name"])
        if row["kind"] == "column":
            if row["role"] == "input" and row["missing"] == 1:
                yield "warning", "masks", name, f"{name} is missing for every object.", "Give it the role 'other'."
            elif row["role"] == "input" and row["constant"]:
                yield "note", "masks", name, f"{name} has one value only.", "It can teach nothing; give it the role 'other'."
        elif row["missing"] > MOSTLY:
            says = f"{100 * row['missing']:.0f} % of the objects have no {name}."
            yield "note", "masks", name, says, "Scores rest on the others; quote them for those that have it, too."
        if row["hollow"] > 0.1:
            says = f"{name} is more than half masked for {100 * row['hollow']:.0f} % of the objects that have it."
            yield "warning", "masks", name, says, "Check grid and bands against what was observed."


def _of_balance(samples: "SampleSet", target: str, table: "Table | None", split: Split | None) -> Iterator[Finding]:
    if table is None:
        yield "note", "balance", "", "There is no target.", "Give a column the role 'target' to have labels judged."
        return
    labelled = table[np.asarray(table["class"]) != "(none)"]
    if len(labelled) < len(table):
        unknown = int(table["objects"][-1])
        yield "note", "balance", target, f"{unknown} of {len(samples)} objects have no {target}.", "Unlabelled is not negative: leave them out of scores."
    if is_number(samples, target):
        return
    rare = [str(row["class"]) for row in labelled if row["objects"] < RARE]
    if rare:
        yield "warning", "balance", target, f"Fewer than {RARE} objects of {', '.join(rare[:5])}{', ...' if len(rare) > 5 else ''}.", "Join or leave out such classes, and quote scores with their errors."
    few = [str(row["class"]) for row in labelled if row["objects"] >= RARE > row["groups"]]
    if few:
        yield "warning", "balance", target, f"Fewer than {RARE} groups of {', '.join(few[:5])}.", "Objects of one group are one: count groups."
    if len(labelled) > 1 and labelled["objects"][0] > UNEVEN * max(1, int(labelled["objects"][-1])):
        says = f"{labelled['class'][0]} is {labelled['objects'][0] / max(1, int(labelled['objects'][-1])):.0f} times as common as {labelled['class'][-1]}."
        yield "note", "balance", target, says, "Quote balanced scores, not accuracy."
    for side in ("train", "test"):
        gone = [str(row["class"]) for row in labelled if side in table.colnames and row[side] == 0]
        if gone and split is not None:
            yield "warning", "balance", target, f"The {side} side has no {', '.join(gone[:5])}.", "Split anew, or leave the class out."


def _of_duplicates(samples: "SampleSet", table: "Table", split: Split | None) -> Iterator[Finding]:
    if crowd := table.meta["stand_ins"]:
        says = f"{crowd} objects share their exact position with objects of four other groups or more: these are no positions."
        yield "warning", "duplicates", "position", says, "Leave these objects out of matches and of splits by sky."
    for by in dict.fromkeys(table["by"].tolist()):
        mine = table[np.asarray(table["by"]) == by]
        crossing, apart = int((np.asarray(mine["across"]) != "").sum()), int((~np.asarray(mine["same_group"], dtype=bool)).sum())
        what = "within 1 arcsec of one another" if by == "position" else f"(nearly) the same in {by}"
        if crossing:
            says = f"Pairs of objects on two sides of the split are {what}: {crossing}, e.g. {_example(mine, np.asarray(mine['across']) != '')}."
            yield "serious", "duplicates", str(by), says, "Give them one group (role 'group') and split again."
        elif apart:
            says = f"Pairs of objects in different groups are {what}: {apart}, e.g. {_example(mine, ~np.asarray(mine['same_group'], dtype=bool))}."
            yield "warning", "duplicates", str(by), says, "Give them one group (role 'group'), or a split may part them."
    if table.meta["looked"] < len(samples):
        yield "note", "duplicates", "", f"Duplicates were looked for among {table.meta['looked']} of {len(samples)} objects.", ""


def _example(table: "Table", which: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> str:
    row = table[int(np.flatnonzero(which)[0])]
    return f"{row['one']} and {row['other']}"


def _of_split(samples: "SampleSet", split: Split | None) -> Iterator[Finding]:
    if split is None:
        return
    codes, ids = group_codes(samples), samples.object_ids
    for side in ("test", "validation"):
        shared = int(np.isin(codes[np.isin(ids, getattr(split, side))], codes[np.isin(ids, split.train)]).sum())
        if shared:
            yield "serious", "split", side, f"{shared} {side} objects share their group with a training object.", "samples.split() keeps groups together."


def _of_leakage(table: "Table | None") -> Iterator[Finding]:
    if table is None:
        return
    if not table.meta["enough"]:
        yield "note", "leakage", "", f"Only {table.meta['objects']} independent labelled objects, {FEWEST} at least are needed: leaks were not looked for.", ""
    for row in table:
        if row["level"] and row["level"] != "note":
            says, _, do = str(row["says"]).partition(". ") if row["asked"] != "source" else str(row["says"]).partition(": scores")
            yield str(row["level"]), "leakage", str(row["column"]), f"{says}.", do if row["asked"] != "source" else f"Scores{do}"
    kept = [str(row["column"]) for row in table if row["level"] == "note"]
    if kept:
        names = list(dict.fromkeys(kept))
        says = f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''} would tell {table.meta['target']}."
        yield "note", "leakage", "", says, "They are no inputs; leave them so."
