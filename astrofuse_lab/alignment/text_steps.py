"""Named treatments of one text; see `steps`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from astrofuse_lab.alignment import text_cleaning, text_labels, text_objects
from astrofuse_lab.alignment.steps import Step, measured
from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Text


def _clean(text: Text, about: Mapping[str, Any], **options: bool) -> Text:
    return replace(text, text=text_cleaning.clean(text.text, **options))


def _strip_labels(text: Text, about: Mapping[str, Any], classes: Sequence[str], synonyms: Sequence[str]) -> Text:
    if isinstance(classes, str) or isinstance(synonyms, str):
        raise InputError(f"strip_labels: classes={classes!r}, synonyms={synonyms!r}; each is a list, e.g. classes=['SN', 'AGN'].")
    words, counts = text_labels.strip_labels(text.text, text_labels.label_words(classes, synonyms))
    measured(about, "label_words_stripped", float(counts.total()))
    return replace(text, text=words)


def _strip_objects(text: Text, about: Mapping[str, Any]) -> Text:
    words, count = text_objects.strip(text.text)
    measured(about, "objects_stripped", float(count))
    return replace(text, text=words)


def _find_objects(text: Text, about: Mapping[str, Any]) -> Text:
    found = text_objects.find(text.text)
    measured(about, "objects_named", float(sum(one.kind != "position" for one in found)))
    place = next((one for one in found if one.ra is not None and one.dec is not None), None)
    if place is not None and place.ra is not None and place.dec is not None:
        measured(about, "text_ra", place.ra, "deg")
        measured(about, "text_dec", place.dec, "deg")
    return text


STEPS: dict[str, Step] = {
    "clean": Step(
        _clean, {"markup": True, "boilerplate": True, "addresses": True, "unicode": True}, "plain words: no markup, boilerplate of reports, addresses, odd characters or blanks"
    ),
    "strip_labels": Step(
        _strip_labels, {"classes": [], "synonyms": []},
        "no word that names a class, its synonyms and plurals; the column label_words_stripped counts them (astrofuse_lab.samples.texts.without_label_words knows the classes of a target)",
    ),
    "strip_objects": Step(_strip_objects, {}, "no designation and no position: names tell the year, the survey and often the class; the column objects_stripped counts them"),
    "find_objects": Step(_find_objects, {}, "the text as it is; objects_named counts designations, text_ra and text_dec are the first position named, ICRS"),
}  # fmt: skip
"""Named treatments of single products before they go onto the common grid: `af.align(found, steps={"text": ["clean", ...]})`."""
