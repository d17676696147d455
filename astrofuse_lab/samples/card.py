"""``samples.card()``: the data card of a set, to publish beside it (after Gebru et al. 2021, Commun. ACM 64, 12, 86).

Markdown. Whatever a file or an archive wrote is text in it: no markup, link or image of theirs takes effect.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import InputError, StorageError
from astrofuse_lab.samples.quality import describe
from astrofuse_lab.samples.quality_report import Quality, quality
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.samples.split import Split

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

MOST_CELL, MOST_COLUMNS = 240, 60
SPECIAL = re.compile(r"([\\`*_{}\[\]|~$])")
ADDRESS = re.compile(r"(?i)\b(https?|ftp|javascript|data|vbscript|mailto|file):")


@dataclass(frozen=True)
class DataCard:
    """A data card.

    Attributes
    ----------
    markdown : str
        Shown as such by notebooks and code hosts.
    """

    markdown: str

    def __str__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown

    def save(self, path: str | Path) -> Path:
        """Write it to a file; StorageError where that cannot be."""
        target = Path(path)
        try:
            target.write_text(self.markdown, encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{target} cannot be written ({error.strerror}). Give another path.") from error
        return target


class SetCard(Card):
    """The `Card` of one set: its fields, and called the data card to publish, ``samples.card()``."""

    @classmethod
    def of(cls, card: Card, samples: "SampleSet") -> "SetCard":
        """A card that knows its set."""
        made = cls(**{f.name: getattr(card, f.name) for f in fields(Card)})
        object.__setattr__(made, "samples", samples)
        return made

    def __call__(self, target: str | None = None, split: Split | None = None, *, found: Quality | None = None) -> DataCard:
        """The data card: what there is, where it comes from, how it is divided, what is wrong with it.

        Parameters
        ----------
        target : str, optional
        split : Split, optional
            As of ``samples.quality``.
        found : Quality, optional
            What ``samples.quality()`` gave, where that is known already.

        Raises
        ------
        InputError
            If the set is empty, or the card is of no set.
        """
        samples = self.__dict__.get("samples")
        if samples is None:
            raise InputError("this card belongs to no set. Type samples.card() of the set itself.")
        return write(samples, found or quality(samples, target, split))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Card) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, f.name) for f in fields(Card)))

    def __reduce__(self) -> tuple[Any, ...]:  # without the set
        return Card, tuple(getattr(self, f.name) for f in fields(Card))


def write(samples: "SampleSet", found: Quality) -> DataCard:
    """The data card of a set and what was found in it."""
    card = samples.card
    head = [f"# {text(card.title or card.name)}", ""]
    if card.simulated:
        head += ["**Simulated: these objects do not exist.**", ""]
    named = [("name", card.name), ("objects", f"{len(samples)}"), ("licence", card.licence or "not stated: ask before you pass it on"), ("cite", card.citation or "not stated")]
    lines = [*head, *(f"- **{key}**: {text(value)}" for key, value in named), ""]
    lines += [*_contents(samples), *_provenance(samples), *_splits(samples, found), *_quality(found), *_warnings(card)]
    return DataCard("\n".join(lines).rstrip() + "\n")


def text(value: object, most: int = 4000) -> str:
    """Somebody's words as words: no tag, link, image, table bar or line break of theirs survives."""
    plain = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", " ", str(value)).split())
    plain = plain if len(plain) <= most else plain[: most - 3] + "..."
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    # an address becomes a link by itself in many viewers, unless its colon is no colon to them
    return ADDRESS.sub(lambda m: f"{m[1]}&#58;", SPECIAL.sub(r"\\\1", plain))


def rows(names: Iterable[str], cells: Iterable[Iterable[object]]) -> list[str]:
    """A Markdown table."""
    head = list(names)
    body = ["| " + " | ".join(text(_short(cell), MOST_CELL) for cell in row) + " |" for row in cells]
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *body, ""]


def _short(value: object) -> object:
    return f"{float(value):.4g}" if isinstance(value, float | np.floating) else value


def _contents(samples: "SampleSet") -> list[str]:
    whole = describe(samples)
    modalities, columns = whole[: len(samples.modalities)], whole[len(samples.modalities) :]
    lines = ["## What there is", "", *rows(("modality", "kind", "unit", "shape", "objects", "channels"), ([r["name"], r["kind"], r["unit"], r["shape"], r["has"], r["range"]] for r in modalities))]
    said = [r for r in columns if r["role"] in ("target", "group", "split", "input")] or list(columns)
    lines += rows(("column", "role", "unit", "objects", "5 %, median, 95 %, or classes"), ([r["name"], r["role"], r["unit"], r["has"], r["range"]] for r in said[:MOST_COLUMNS]))
    left = len(columns) - min(len(said), MOST_COLUMNS)
    return lines + ([f"{left} columns more are kept and are no input, target or group, or did not fit here.", ""] if left else [])


def _provenance(samples: "SampleSet") -> list[str]:
    parts = [(name, spec.provenance) for name, spec in samples.modalities.items()]
    cells = [(name, p.survey, p.release, p.query, p.retrieved, p.licence) for name, p in parts]
    cites = list(dict.fromkeys(p.citation for _, p in parts if p.citation and p.citation != samples.card.citation))
    return ["## Where it comes from", "", *rows(("modality", "survey", "release", "query", "retrieved", "licence"), cells), *(f"- {text(one)}" for one in cites), *([""] if cites else [])]


def _splits(samples: "SampleSet", found: Quality) -> list[str]:
    groups = [name for name, role in samples.roles.items() if role == "group"]
    lines = ["## How to divide it", ""]
    lines += [f"- Objects with the same `{text(groups[0])}` belong on one side; `samples.split()` sees to that." if groups else "- Each object is a group of its own: no column has the role `group`."]
    if found.split is not None:
        one = found.split
        way = "published by its authors" if one.by == "published" else f"by {text(one.by)}, seed {one.seed}"
        lines.append(f"- Split {way}: {len(one.train)} train, {len(one.validation)} validation, {len(one.test)} test.{' ' + text(one.note) + '.' if one.note else ''}")
    if found.balance is not None:
        names = found.balance.colnames
        lines += ["", *rows([text(found.target) if n == "class" else n for n in names], ([row[n] for n in names] for row in found.balance[:MOST_COLUMNS]))]
    return [*lines, ""] if lines[-1] else lines


def _quality(found: Quality) -> list[str]:
    lines = ["## What was found in it", ""]
    lines += [f"- **{row['level']}**: {text(row['says'])} {text(row['do'])}".rstrip() for row in found.findings] or ["- Nothing: no leak, no duplicate, no hollow product."]
    lines.append("")
    for title, table in (("Signal to noise", found.signal), ("Separations of matched sources", found.separations)):
        if len(table):
            lines += [f"### {title}", "", *rows(table.colnames, ([row[n] for n in table.colnames] for row in table))]
    return lines


def _warnings(card: Card) -> list[str]:
    return ["## Before you use it", "", *(f"- {text(note)}" for note in card.notes), ""] if card.notes else []
