"""Texts of a set: label words stripped, objects and positions that they name linked to objects of the set."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab import positions
from astrofuse_lab.alignment import text_labels, text_objects
from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.sample_set import SampleSet

if TYPE_CHECKING:
    from astropy.table import Table

STRIPPED = "label_words_stripped"
NAMED = ("name", "objectid", "object", "designation", "main_id", "source", "source_id", "event", "alias", "aliases")
"""Columns, beside those of role ``id``, that may hold what others call an object."""
SHOWN = 8


def texts_of(samples: SampleSet, modality: str) -> list[str]:
    """The text of each object, in order; empty where it has none.

    Raises
    ------
    InputError
        If there is no such modality, or it is no text.
    """
    if samples.spec(modality).kind != "text":
        raise InputError(f"{modality!r} is {samples.spec(modality).kind}, not text.")
    got = samples.arrays(modality)
    content = got["utf8"].tobytes()
    return [content[a:b].decode("utf-8", "replace") for a, b in pairwise(got["offsets"].tolist())]


def with_texts(samples: SampleSet, new: dict[str, list[str]], notes: Sequence[str] = (), columns: "dict[str, tuple[NDArray[np.float64], str]] | None" = None) -> SampleSet:
    """The same objects with these texts, one an object; an empty one is missing."""
    data = {name: samples.data_of(name) for name, spec in samples.modalities.items() if spec.kind != "table"}
    for name, texts in new.items():
        raw = [text.encode() for text in texts]
        offsets = np.concatenate([[0], np.cumsum([len(r) for r in raw])]).astype(np.int64)
        data[name] = ModalityData(samples.spec(name), {"offsets": offsets, "utf8": np.frombuffer(b"".join(raw), dtype=np.uint8)}, np.diff(offsets) > 0)
    return samples.with_data(data, replace(samples.card, notes=(*samples.card.notes, *notes)), columns)


def _text_modalities(samples: SampleSet) -> list[str]:
    names = [name for name, spec in samples.modalities.items() if spec.kind == "text"]
    if not names:
        raise InputError(f"this set has no text; it has {', '.join(samples.modalities) or 'no modality'}.")
    return names


def without_label_words(samples: SampleSet, target: str, synonyms: Iterable[str] = ()) -> SampleSet:
    """Texts without the words that name a class of the target, so that they do not give the answer.

    The words of *all* classes are taken from every text: were only an object's own taken, what is missing would tell.

    Parameters
    ----------
    samples : SampleSet
    target : str
        A column of classes; their names, what else the field calls them (`alignment.text_labels.FAMILIES`), and plurals go.
    synonyms : iterable of str
        More words or phrases to strip.

    Returns
    -------
    SampleSet
        With the column ``label_words_stripped``, which is no input (how many there were may tell the label by itself), and a note in its card.

    Raises
    ------
    InputError
        If the set has no text, or the target is no column of classes.
    """
    column = samples.column(target)
    if column.dtype.kind not in "US":
        raise InputError(f"target={target!r} holds {column.dtype.kind!r}, not classes in words. Give the words: af.align(samples, steps={{'text': [('strip_labels', {{'classes': [...]}})]}}).")
    words = text_labels.label_words(np.unique(column.compressed()).tolist(), synonyms)
    counts, each, new = Counter[str](), np.zeros(len(samples)), {}
    for name in _text_modalities(samples):
        changed = []
        for i, text in enumerate(texts_of(samples, name)):
            plain, found = text_labels.strip_labels(text, words) if text else (text, Counter[str]())
            counts.update(found)
            each[i] += found.total()
            changed.append(plain)
        new[name] = changed
    most = ", ".join(f"{word} {n}" for word, n in counts.most_common(SHOWN))
    note = f"{counts.total()} words that name a class of {target} were stripped from {int((each > 0).sum())} texts ({most or 'none'}); what else in them tells it is for samples.quality() and a model of text alone."
    return with_texts(samples, new, [note], {STRIPPED: (each, "")})


def mentions(samples: SampleSet, radius: float = 5.0) -> "Table":
    """Objects and positions that the texts name, linked to objects of the set.

    Parameters
    ----------
    samples : SampleSet
    radius : float
        arcsec. A position so near an object is linked to it.

    Returns
    -------
    Table
        One row a mention: ``object_id`` (whose text), ``modality``, ``mention`` (as written), ``kind``, ``name``, ``ra``, ``dec`` (deg, masked where
        it has none), ``linked`` (id of an object of the set, or empty), ``by`` (``name``, ``position`` or empty), ``separation`` (arcsec), ``itself`` (linked to the object whose text it is).
        A mention linked to *another* object ties the two together: give them one group before you split.

    Raises
    ------
    InputError
        If the set has no text, or the radius is none.
    """
    from astropy.table import Table

    if not radius > 0:
        raise InputError(f"radius={radius}: arcsec, above 0; 5 is usual.")
    known, near = _names(samples), _Near(samples, radius)
    rows = []
    for modality in _text_modalities(samples):
        for own, text in zip(samples.object_ids.tolist(), texts_of(samples, modality), strict=True):
            for one in text_objects.find(text):
                linked, by, away = known.get(text_objects.key(one.name), "") if one.name else "", "name", np.nan
                if not linked and one.ra is not None and one.dec is not None:
                    linked, away = near.of(one.ra, one.dec)
                    by = "position"
                place = (np.nan, np.nan) if one.ra is None or one.dec is None else (one.ra, one.dec)
                rows.append((own, modality, one.text, one.kind, one.name, *place, linked, by if linked else "", away, linked == own))
    names = ("object_id", "modality", "mention", "kind", "name", "ra", "dec", "linked", "by", "separation", "itself")
    dtypes = (str, str, str, str, str, float, float, str, str, float, bool)
    table = Table(rows=rows, names=names, masked=True) if rows else Table(names=names, dtype=["U8" if d is str else d for d in dtypes], masked=True)
    for name, unit in (("ra", "deg"), ("dec", "deg"), ("separation", "arcsec")):
        table[name].mask = ~np.isfinite(np.asarray(table[name], dtype=float))
        table[name].unit = unit
    return table


def _names(samples: SampleSet) -> dict[str, str]:
    """What the set's objects are called, in the one way of writing; a name of two objects links to neither."""
    known: dict[str, str] = {}
    for column, role in samples.roles.items():
        values = samples.column(column)
        if role == "id" or (values.dtype.kind in "US" and column.lower() in NAMED):
            for own, value in zip(samples.object_ids.tolist(), values.tolist(), strict=True):
                key = text_objects.key(str(value)) if value is not None else ""
                if len(key) > 2 and known.setdefault(key, own) != own:
                    known[key] = ""
    return known


class _Near:
    """The nearest object within a radius."""

    def __init__(self, samples: SampleSet, radius: float) -> None:
        from scipy.spatial import cKDTree

        self.ids, self.radius = samples.object_ids, radius
        there = {"ra", "dec"} <= set(samples.roles) and all(samples.column(n).dtype.kind in "fi" for n in ("ra", "dec"))
        lon, lat = (np.ma.filled(samples.column(n).astype(float), np.nan) if there else np.full(len(samples), np.nan) for n in ("ra", "dec"))
        self.rows = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
        self.tree = cKDTree(positions.vectors(lon[self.rows], lat[self.rows])) if len(self.rows) else None

    def of(self, ra: float, dec: float) -> tuple[str, float]:
        """Its id and separation in arcsec; empty and NaN where there is none."""
        if self.tree is None:
            return "", np.nan
        chord, row = self.tree.query(positions.vectors(np.array([ra]), np.array([dec])))
        away = float(np.degrees(2 * np.arcsin(min(1.0, chord[0] / 2))) * 3600)
        return (str(self.ids[self.rows[row[0]]]), away) if away <= self.radius else ("", np.nan)
