"""The alerts of the benchmark: fields, stamps and gold label, from any sample set that has them; and back into a set that a run can train on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

FIELDS = (
    "fid", "isdiffpos", "firstmjd", "magpsf", "sigmapsf", "fwhm", "classtar", "sgscore1", "distpsnr1", "chinr", "sharpnr", "ndethist", "ncovhist", "sgmag1", "srmag1",
    "simag1", "szmag1", "nmtchps", "deltajd",
)  # fmt: skip
"""What a model is told, in this order."""
WHOLE = ("fid", "ndethist", "ncovhist", "nmtchps")
"""Of these, whole numbers."""
INPUTS = tuple(name for name in FIELDS if name != "firstmjd")
"""What a run is trained on: not the date, which in sets made of several sources tells the class."""
CLASSES = ("SN", "AGN", "VS", "asteroid", "bogus")
STAMPS, SIDE = ("science", "reference", "difference"), 63
LABELS = {"SSO": "asteroid", "star": "VS", "CV": "VS", "SN": "SN", "AGN": "AGN"}
"""Labels of `ztf-alerts` as the benchmark's classes: cataclysmic variables are variable stars; tidal disruptions are none of the five. There is no human bogus label."""
MISSING = -999


@dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes
    ----------
    name : str
    fields : mapping of str to number, bool or None
        Of `FIELDS`; None where it is missing.
    gold : str, optional
        Of `CLASSES`.
    stamps : array, (3, y, x), optional
        Science, reference, difference; NaN where there is no pixel.
    group : str
        The object: alerts of one object are not split.
    """

    name: str
    fields: Mapping[str, float | int | bool | None]
    gold: str | None = None
    stamps: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    group: str = ""

    def __post_init__(self) -> None:
        if self.gold is not None and self.gold not in CLASSES:
            raise InputError(f"alert {self.name!r}: the class {self.gold!r} is none of {', '.join(CLASSES)}.")
        unknown = sorted(set(self.fields) - set(FIELDS))
        if unknown:
            raise InputError(f"alert {self.name!r} has a field {unknown[0]!r}; the benchmark's are {', '.join(FIELDS)}.")


def alerts_of(samples: SampleSet, labelled: bool = True) -> list[Alert]:
    """The alerts of a set: ``astroalertbench`` (fields and ALeRCE's class, no stamps) or ``ztf-alerts`` (fields, stamps, labels of its own).

    Parameters
    ----------
    samples : SampleSet
    labelled : bool
        Only those with one of the five classes.

    Raises
    ------
    InputError
        For a set without the fields.
    """
    start = "c_" if "c_magpsf" in samples.roles else ""
    names = {name: start + name for name in FIELDS if start + name in samples.roles}
    lacking = [name for name in ("fid", "isdiffpos", "magpsf", "sigmapsf") if name not in names]
    if lacking:
        raise InputError(f"the set {samples.card.name!r} has no column {start + lacking[0]!r}; give af.load_samples('astroalertbench') or af.load_samples('ztf-alerts').")
    columns: dict[str, Any] = {name: samples.column(column) for name, column in names.items()}
    if start and {"c_jdstarthist", "c_jdendhist"} <= set(samples.roles):
        first, last = (samples.column(f"c_jd{end}hist").astype(float) for end in ("start", "end"))
        columns |= {"firstmjd": first - 2400000.5, "deltajd": last - first}
    gold = _gold(samples)
    groups = samples.column("group") if "group" in samples.roles else np.array(samples.object_ids)
    has = samples.present("image") if "image" in samples.modalities else np.zeros(len(samples), dtype=bool)
    made = []
    for row, name in enumerate(samples.object_ids):
        if labelled and gold[row] is None:
            continue
        stamps = None
        if has[row]:
            arrays = samples.arrays("image", [row])
            stamps = np.where(arrays["mask"][0], arrays["flux"][0], np.nan).astype(np.float32)
        made.append(Alert(name, {key: _plain(key, column[row]) for key, column in columns.items()}, gold[row], stamps, str(groups[row])))
    return made


def _gold(samples: SampleSet) -> list[str | None]:
    if "target_class" in samples.roles:
        return [None if np.ma.is_masked(one) else str(one) for one in samples.column("target_class")]
    if "label" in samples.roles:
        return [LABELS.get(str(one)) if not np.ma.is_masked(one) else None for one in samples.column("label")]
    return [None] * len(samples)


def _plain(name: str, value: Any) -> float | int | bool | None:
    if np.ma.is_masked(value):
        return None
    if name == "isdiffpos":
        return bool(value)
    number = float(value)
    if not np.isfinite(number) or number == MISSING:
        return None
    return int(number) if name in WHOLE else number


def sample_set(alerts: Sequence[Alert], title: str = "Alerts as AstroAlertBench asks them", simulated: bool = False) -> SampleSet:
    """The alerts as a set with modalities ``image`` (where stamps are known) and ``table`` (`INPUTS`), target ``gold``, groups of objects.

    Raises
    ------
    InputError
        For no alert, or stamps that are not 63 x 63.
    """
    if not alerts:
        raise InputError("there is no alert to make a set of.")
    flux = np.zeros((len(alerts), 3, SIDE, SIDE), dtype=np.float32)
    mask = np.zeros(flux.shape, dtype=bool)
    for row, alert in enumerate(alerts):
        if alert.stamps is not None:
            if alert.stamps.shape != flux.shape[1:]:
                raise InputError(f"alert {alert.name!r} has stamps of {alert.stamps.shape}; {flux.shape[1:]} are expected.")
            mask[row] = np.isfinite(alert.stamps)
            flux[row] = np.where(mask[row], alert.stamps, 0)
    columns: dict[str, Any] = {
        "object_id": [alert.name for alert in alerts], "gold": pa.array([alert.gold for alert in alerts], pa.string()), "group": [alert.group or alert.name for alert in alerts],
    }  # fmt: skip
    for name in INPUTS:
        columns[name] = pa.array([None if alert.fields.get(name) is None else float(alert.fields[name]) for alert in alerts], pa.float64())  # type: ignore[arg-type]
    spec = ModalitySpec("image", "image", STAMPS, flux.shape[1:], "DN", scale=1.01, oriented=False)
    roles = {"gold": "target", "group": "group", **dict.fromkeys(INPUTS, "input")}
    return SampleSet(pa.table(columns), {"image": ModalityData(spec, {"flux": flux, "mask": mask}, np.asarray(mask.any(axis=(1, 2, 3))))}, roles, {}, Card("alert-benchmark", title, simulated))
