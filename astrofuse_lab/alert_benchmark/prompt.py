"""The question: instructions, the alert's fields in words, the montage of its stamps, and the form of the answer as a JSON schema.

In our own words: what is asked, shown and wanted back is as published (Chen et al. 2026, arXiv:2605.05573; fields, scales and rules of the three parts), the wording is not.
"""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.alert_benchmark.alerts import FIELDS, MISSING, WHOLE, Alert

BANDS = {1: "g", 2: "r", 3: "i"}
SIGNS = ("positive", "negative")
STAGES = {
    "stage1": ("artifact", "real_object"), "stage2": ("solar_system", "astrophysical", "N/A"), "stage3": ("supernova", "variable_star", "AGN", "N/A"),
}  # fmt: skip
PATHS = {
    "bogus": ("artifact", "N/A", "N/A"), "asteroid": ("real_object", "solar_system", "N/A"), "SN": ("real_object", "astrophysical", "supernova"),
    "AGN": ("real_object", "astrophysical", "AGN"), "VS": ("real_object", "astrophysical", "variable_star"),
}  # fmt: skip
"""Each class as its three stages."""
READ = ("filter_band", "subtraction_sign", "magpsf", "sigmapsf", "ndethist", "ncovhist")
TEXTS = ("key_evidence", "leading_interpretation_and_support", "alternative_analysis")
SELF = tuple(f"self_score_{name}" for name in TEXTS)
MEANING = {
    "fid": "filter: 1 is g, 2 is r, 3 is i", "isdiffpos": "t: brighter than in the reference; f: fainter", "firstmjd": "modified Julian date of the object's first detection",
    "magpsf": "magnitude of the difference by PSF fitting", "sigmapsf": "its error", "fwhm": "full width at half maximum, pixels", "classtar": "star-likeness by shape, 0 to 1",
    "sgscore1": "star-likeness of the nearest PS1 source, 0 to 1", "distpsnr1": "distance to that source, arcsec", "chinr": "chi of the nearest source in the reference",
    "sharpnr": "sharpness of that source, about 0 for points", "ndethist": "earlier detections at this place", "ncovhist": "times that this place was observed",
    "sgmag1": "g magnitude of the nearest PS1 source", "srmag1": "its r magnitude", "simag1": "its i magnitude", "szmag1": "its z magnitude",
    "nmtchps": "PS1 sources within 30 arcsec", "deltajd": "days from the first to the last detection",
}  # fmt: skip

SCHEMA: dict[str, Any] = {
    "type": "object", "additionalProperties": False, "required": ["Part A", "Part B", "Part C"],
    "properties": {
        "Part A": {
            "type": "object", "additionalProperties": False, "required": list(READ),
            "properties": {
                "filter_band": {"enum": list(BANDS.values())}, "subtraction_sign": {"enum": list(SIGNS)}, "magpsf": {"type": "number"}, "sigmapsf": {"type": "number"},
                "ndethist": {"type": "integer"}, "ncovhist": {"type": "integer"},
            },
        },
        "Part B": {
            "type": "object", "additionalProperties": False, "required": [*TEXTS, *SELF],
            "properties": {**{key: {"type": "string"} for key in TEXTS}, **{key: {"type": "integer", "minimum": 0, "maximum": 5} for key in SELF}},
        },
        "Part C": {
            "type": "object", "additionalProperties": False, "required": list(STAGES),
            "properties": {name: {"enum": list(values)} for name, values in STAGES.items()},
        },
    },
}  # fmt: skip
"""Of the answer; services that take a schema are given it."""

INSTRUCTIONS = f"""You classify alerts of a sky survey. One alert is given: a picture of three panels side by side (science, reference, difference; 63 x 63 pixels each, the
candidate in the middle of every panel) and fields of its record. It is one of five: a supernova, a variable star, an active galactic nucleus, a solar-system object (asteroid), or
bogus (an artefact). Use only what is given; do not look anything up.

The science panel is the new exposure, the reference panel an older, deeper one, the difference panel what changed. Real sources are round and of one sign in the difference;
dipoles, stripes, streaks and ragged residuals are artefacts. Compare science and reference: is the source new, brighter, fainter, on a galaxy, or alone?

Fields:
{chr(10).join(f"- {name}: {MEANING[name]}" for name in FIELDS)}
The value {MISSING} means that there is no measurement: do not reason with it.

Answer with one JSON object and nothing else, with three parts.
"Part A", what you read: filter_band (g, r or i), subtraction_sign (positive or negative), magpsf, sigmapsf (numbers), ndethist, ncovhist (whole numbers).
"Part B", why, briefly: key_evidence, leading_interpretation_and_support, alternative_analysis; and for each of them how good your own text is, as a whole number from 0 (wrong or made up)
over 3 (plausible, but vague) to 5 (coherent, specific and grounded in what is given): {", ".join(SELF)}.
"Part C", what it is, in three stages: stage1 is artifact or real_object; stage2 is solar_system or astrophysical, and N/A for an artifact; stage3 is supernova,
variable_star or AGN for what is astrophysical, else N/A."""


def question(alert: Alert) -> str:
    """The fields of an alert, one a line, in the benchmark's order."""
    return "\n".join([f"Alert {alert.name}", *(f"- {name}: {_value(name, alert.fields.get(name))}" for name in FIELDS), "Give the JSON object."])


def _value(name: str, value: Any) -> str:
    if value is None:
        return str(MISSING)
    if name == "isdiffpos":
        return "t" if value else "f"
    return str(int(value)) if name in WHOLE else f"{value:.6g}"


def montage(stamps: NDArray[Any], zoom: int = 4) -> bytes:
    """The three stamps side by side as a PNG, each from its 1st to its 99.5th percentile; pixels that are missing are dark blue.

    Parameters
    ----------
    stamps : array, (3, y, x)
    zoom : int
        Pixels of the picture a pixel of a stamp.
    """
    from PIL import Image as Picture

    panels = []
    for stamp in np.asarray(stamps, dtype=np.float64):
        good = np.isfinite(stamp)
        low, high = np.percentile(stamp[good], [1, 99.5]) if good.any() else (0.0, 1.0)
        grey = np.clip((np.where(good, stamp, low) - low) / max(high - low, 1e-12), 0, 1) * 255
        panel = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
        panel[~good] = (0, 0, 96)
        panels += [np.kron(panel, np.ones((zoom, zoom, 1), np.uint8)), np.full((zoom * stamp.shape[0], zoom, 3), 255, np.uint8)]
    file = io.BytesIO()
    Picture.fromarray(np.concatenate(panels[:-1], axis=1)).save(file, "PNG", optimize=True)
    return file.getvalue()


def messages(alert: Alert) -> list[dict[str, Any]]:
    """What a service of OpenAI's protocol (``/chat/completions``) is sent: instructions, then fields and, where there are stamps, the montage as a data URI."""
    content: list[dict[str, Any]] = [{"type": "text", "text": question(alert)}]
    if alert.stamps is not None:
        address = "data:image/png;base64," + base64.b64encode(montage(alert.stamps)).decode()
        content.insert(0, {"type": "image_url", "image_url": {"url": address}})
    return [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": content}]
