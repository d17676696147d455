"""The leakage audit: what would let a model be right for the wrong reason.

Judged on one object a group, since objects of a group share their label: columns that give the label away, whether it is known
at all giving it away, sources that predict it, and inputs that tell the source.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.dependence import Told, codes_of, told
from astrofuse_lab.samples.split import group_codes

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet

GIVES_AWAY, STRONG, SOURCE = 0.75, 0.5, 0.05
"""Adjusted share of the label's entropy that one column tells: from here it gives the label away; is very strong; a source predicts."""
ALARM, SOURCE_ALARM, SOURCE_PERMUTATIONS = 0.01, 0.0025, 399
"""Probability that chance does so, above which nothing is said; of sources, where a small share counts already, a stricter one."""
SOURCE_WORDS = ("src", "source", "survey", "origin", "repo", "path", "file", "stream", "release", "catalog", "provider", "archive", "instrument", "telescope", "night", "run")
"""Words in the name of a column that says where a row comes from."""
MOST_SOURCES, OF_A_SOURCE, BINS_OF_TARGET, FINE = 200, 5, 6, 64
FEWEST = 20
"""Objects, one a group, below which nothing can be said."""
KINDS = ("label column", "label missing pattern", "source", "input tells source")


def audit(samples: "SampleSet", target: str | None = None, sources: Sequence[str] | None = None, seed: int = 0) -> "Table":
    """What each column tells of the target, and what of that is a leak.

    Parameters
    ----------
    samples : SampleSet
    target : str, optional
        None: the first column of role ``target`` with two classes or more.
    sources : sequence of str, optional
        Columns that say where a row comes from. None: text columns, no inputs, whose names say so (``src_...``, ``survey`` ...) and whose values have five objects or
        more each, and the column of role ``split``.
    seed : int

    Returns
    -------
    Table
        A row a column and what was asked of it, the worst first: ``column``, ``role``, ``asked`` (one of `KINDS`), ``of`` (what it tells of), ``share`` (of the
        entropy of that, beyond chance), ``auc``, ``p``, ``level`` (serious, warning, note or empty) and ``says``.
        A column that is no input can mislead no model: what it gives away is a note, a reason to leave it as it is.

    Raises
    ------
    InputError
        If there is no such column, or no target at all.
    """
    from astropy.table import Table

    target = target or default_target(samples)
    one = _one_a_group(samples, target, seed)
    rows: list[dict[str, Any]] = []
    if len(one) >= FEWEST:
        codes = codes_of(_values(one, target), BINS_OF_TARGET) if is_number(one, target) else codes_of(_values(one, target))
        rows += _of_label(one, target, codes, seed)
        rows += _of_source(one, target, codes, list(source_columns(one) if sources is None else sources), seed)
    names = ("column", "role", "asked", "of", "share", "auc", "p", "level", "says")
    order = {"serious": 0, "warning": 1, "note": 2, "": 3}
    rows.sort(key=lambda row: (order[row["level"]], -np.nan_to_num(row["share"])))
    table = Table(rows=rows, names=names) if rows else Table(names=names, dtype=("U8", "U8", "U8", "U8", float, float, float, "U8", "U8"))
    for name in ("share", "auc", "p"):
        table[name].format = ".3f"
    table.meta.update({"target": target, "objects": len(one), "enough": len(one) >= FEWEST})
    return table


def default_target(samples: "SampleSet") -> str:
    """The first target with two values or more; InputError where there is none."""
    names = [name for name, role in samples.roles.items() if role == "target"]
    for name in names:
        if len(np.unique(samples.column(name).compressed())) > 1:
            return name
    raise InputError(f"no column of role 'target' has two values or more ({', '.join(names) or 'there is none'}). Name one: target='...'.")


def is_number(samples: "SampleSet", target: str) -> bool:
    """True where the target is a number with more values than classes usually have."""
    values = samples.column(target).compressed()
    return values.dtype.kind == "f" or (values.dtype.kind in "iu" and len(np.unique(values)) > 20)


def source_columns(samples: "SampleSet") -> list[str]:
    """Columns that say where a row comes from: text, no input, and named so; and the side of a published split."""
    out = []
    for name, role in samples.roles.items():
        values = samples.column(name)
        named = any(word == part or (word in part and len(word) > 5) for word in SOURCE_WORDS for part in name.lower().split("_"))
        if role == "split" or (named and role == "other" and values.dtype.kind in "US"):
            known = values.compressed()
            # a file a row is a name, not a source
            if 1 < len(np.unique(known)) <= min(MOST_SOURCES, len(known) // OF_A_SOURCE):
                out.append(name)
    return out


def _one_a_group(samples: "SampleSet", target: str, seed: int) -> "SampleSet":
    """A random object of each group, of those whose target is known."""
    known = ~np.ma.getmaskarray(samples.column(target))
    order = np.random.default_rng(seed).permutation(np.flatnonzero(known))
    first = np.unique(group_codes(samples)[order], return_index=True)[1]
    return samples.take(np.sort(order[first]))


def _values(samples: "SampleSet", name: str) -> Any:
    return samples.column(name)


def _of_label(one: "SampleSet", target: str, codes: NDArray[np.int64], seed: int) -> list[dict[str, Any]]:
    skipped = ("target", "id", "group", "split")
    names = [name for name, role in one.roles.items() if role not in skipped and name != target]
    columns = {name: codes_of(_values(one, name)) for name in names}
    columns = {name: c for name, c in columns.items() if len(np.unique(c)) > 1}
    known = {name: (c > 0).astype(np.int64) for name, c in columns.items() if (c == 0).any()}
    both = told({**columns, **{f"{n}\0": c for n, c in known.items()}}, codes, seed)
    rows = []
    for name in columns:
        role, whole = one.roles[name], both[name]
        gap = both.get(f"{name}\0")
        if gap is not None and gap.share >= STRONG and gap.p <= ALARM:
            rows.append(_row(name, role, KINDS[1], target, gap, GIVES_AWAY, STRONG, f"whether {name} is known at all"))
        rows.append(_row(name, role, KINDS[0], target, whole, GIVES_AWAY, STRONG, name))
    return rows


def _row(name: str, role: str, asked: str, target: str, what: Told, away: float, strong: float, subject: str) -> dict[str, Any]:
    sure = what.p <= ALARM and what.share >= strong
    level, says = "", ""
    if sure:
        tells = f"{subject} alone tells {100 * what.share:.0f} % of {target} (AUC {what.auc:.3f})"
        if role != "input":
            level, says = "note", f"{tells}. It is no input; leave it so."
        elif what.share >= away:
            level, says = "serious", f"{tells}: it gives the label away. Give {name} the role 'other', unless it was measured without knowing the label."
        else:
            level, says = "warning", f"{tells}. Ask whether it was known before the label; compare with a model that lacks it."
    return {"column": name, "role": role, "asked": asked, "of": target, "share": what.share, "auc": what.auc, "p": what.p, "level": level, "says": says}


def _of_source(one: "SampleSet", target: str, codes: NDArray[np.int64], sources: list[str], seed: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    every = told({name: codes_of(_values(one, name)) for name in sources}, codes, seed, SOURCE_PERMUTATIONS)
    for name, of_label in every.items():
        row = _row(name, one.roles[name], KINDS[2], target, of_label, GIVES_AWAY, STRONG, name)
        telling = of_label.p <= SOURCE_ALARM and of_label.share >= SOURCE
        row["level"], row["says"] = ("warning", _source_words(name, target, of_label)) if telling else ("", "")
        rows.append(row)
        if not telling:
            continue
        inputs = {column: codes_of(_values(one, column), FINE) for column in one.inputs}  # nights and fields are many
        found = told({column: c for column, c in inputs.items() if len(np.unique(c)) > 1}, codes_of(_values(one, name)), seed)
        for column, what in found.items():
            if what.p <= ALARM and what.share >= STRONG:
                one_row = _row(column, "input", KINDS[3], name, what, GIVES_AWAY, STRONG, column)
                level = "serious" if what.share >= GIVES_AWAY else "warning"
                says = f"{column} tells {100 * what.share:.0f} % of {name}, and {name} predicts {target}: a model can learn where rows come from. Give it the role 'other'."
                rows.append({**one_row, "level": level, "says": says})
    return rows


def _source_words(name: str, target: str, what: Told) -> str:
    return (
        f"{name} alone tells {100 * what.share:.0f} % of {target} (AUC {what.auc:.3f}): scores over all sources partly measure the source. "
        f"Quote them within one, or trained on one and tested on another: samples.split(group={name!r})."
    )
