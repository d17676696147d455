"""Core-collapse supernovae as CCSNscore takes them: each spectrum with the r and g light curves of its event, day by day and as DMDT images.

Made of the same files as `supernovae` and `supernova_spectra`; the layers of classes are those of Sharma et al. 2024 (arXiv:2412.08601).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.alignment.representations import daily_curves, dmdt, options_of, representation
from astrofuse_lab.alignment.representations.common import Arrays, Layout
from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.readers import files, supernovae
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec
from astrofuse_lab.storage import file_digest

FILES = supernovae.FILES
VERSION = files.version(__file__) + supernovae.VERSION + "".join(file_digest(Path(str(module.__file__))) for module in (daily_curves, dmdt))

LAYERS: dict[str, tuple[str, str | None]] = {
    "II": ("Hrich", "II"), "IIP": ("Hrich", "II"), "IIL": ("Hrich", "II"), "IIb": ("Hrich", "IIb-H"), "IIn": ("Hrich", "IIn"),
    "Ib": ("Hpoor", "Ib"), "Ic": ("Hpoor", "Ic"), "Ic-BL": ("Hpoor", "Ic-BL"), "Ibc": ("Hpoor", None),
}  # fmt: skip
"""First and second layer of each subtype; others (Ibn, Ca-rich) are on none."""
STAND_INS = {"r": ("r", "R"), "g": ("g", "V")}
"""Which bands may be a curve's: the one with more detections, the first where they have as many."""
KEPT = ("ra", "dec", "class", "subtype", "z", "mjd_peak", "open_subset")
PROVENANCE = supernovae.provenance("core-collapse", supernovae.PHOTOMETRY)
NOTES = (
    *supernovae.LABELS,
    "hydrogen: Hrich (II, IIP, IIL; IIb; IIn) or Hpoor (Ib, Ic, Ic-BL, Ibc); layer_2: II, IIb-H, IIn, Ib, Ic, Ic-BL. Ibn, Ca-rich and ambiguous labels are left out. "
    "IIb-H is every IIb here, at any phase.",
    "Up to 30 spectra an event: 'group' is the event, on which splits keep together. Each repeats its event's light curve.",
    "The curve r is r or R, g is g or V, whichever has more detections: the literature's events mostly have no ZTF photometry. From the first detection on, 200 days, whole: "
    "later than the spectrum, too. Which bands there are tells who observed it.",
    "Of Ic-BL and IIb-H there are too few events for firm numbers.",
)


def read(folder: Path) -> SampleSet:
    """Read them.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        Modalities ``spectrum`` (2500 to 10500 A, observed), ``r_curve`` and ``g_curve`` (flux and error, 200 days), ``r_dmdt`` and ``g_dmdt``
        (24 x 24); roles target: hydrogen, layer_2, z; group: the event.

    Raises
    ------
    SampleSetError
        If a file is missing, unreadable, or does not fit the others.
    """
    events, spectra = supernovae.events_of(folder), supernovae.spectra_of(folder)
    subtype, doubtful = files.texts(folder / supernovae.EVENTS, events, "subtype"), files.flag(folder / supernovae.EVENTS, events, "label_ambiguous")
    events = events.filter(pa.array(np.isin(subtype, list(LAYERS)) & ~doubtful))
    names = files.texts(folder / supernovae.EVENTS, events, "event_id")
    place, has = files.places(names, files.texts(folder / supernovae.SPECTRA, spectra, "event_id"))
    spectra, place = spectra.filter(pa.array(has)), place[has]
    if not len(place):
        raise SampleSetError(f"{folder / supernovae.SPECTRA} has no spectrum of a core-collapse supernova. {files.AGAIN}")
    data = {"spectrum": supernovae.spectrum_data(folder / supernovae.SPECTRA, spectra, "core-collapse", np.ones(len(place), dtype=bool))}
    data |= {name: _repeated(one, place) for name, one in _shown(two_bands(supernovae._curves(folder / supernovae.PHOTOMETRY, names))).items()}
    columns = _columns(folder, events, spectra, place)
    roles = files.roles_of(columns, target=("hydrogen", "layer_2", "class", "subtype", "z"), group=("group",))
    units = {name: unit for name, unit in supernovae.UNITS.items() if name in columns.column_names}
    card = Card("core-collapse", "Core-collapse supernovae: every spectrum with its event's r and g light curves", False, supernovae.CITATION, supernovae.LICENCE, NOTES)
    return SampleSet(columns, data, roles, units, card)


def _columns(folder: Path, events: pa.Table, spectra: pa.Table, place: NDArray[np.int64]) -> pa.Table:
    about = events.rename_columns([{"ra_deg": "ra", "dec_deg": "dec"}.get(name, name) for name in events.column_names]).take(pa.array(place))
    owner, number = files.texts(folder / supernovae.SPECTRA, spectra, "event_id"), files.whole(folder / supernovae.SPECTRA, spectra, "spec_id")
    layers = [LAYERS[one] for one in about.column("subtype").to_pylist()]
    columns: dict[str, Any] = {"object_id": pa.array([f"{e}-{i}" for e, i in zip(owner, number, strict=True)]), "group": pa.array(owner)}
    columns |= {"hydrogen": pa.array([first for first, _ in layers]), "layer_2": pa.array([second for _, second in layers], pa.string())}
    columns |= {name: about.column(name) for name in KEPT} | {name: spectra.column(name) for name in ("mjd", "phase", "snr", "instrument")}
    return pa.table(columns | {"time": spectra.column("mjd")})


def two_bands(curves: ModalityData) -> ModalityData:
    """Light curves of r and g alone, each of the band of `STAND_INS` that has most detections of the object."""
    fields, channels = curves.fields, curves.spec.channels
    objects = len(curves.present)
    owner = np.repeat(np.arange(objects), np.diff(fields["offsets"]))
    good = fields["mask"] & ~fields["limit"]
    counts = np.zeros((objects, len(channels)), dtype=np.int64)
    np.add.at(counts, (owner[good], fields["band"][good]), 1)
    band = np.full(len(owner), -1, dtype=np.int8)
    for number, able in enumerate(STAND_INS.values()):
        places = [channels.index(name) for name in able if name in channels]
        if places:
            chosen = np.array(places)[counts[:, places].argmax(axis=1)]
            band[fields["band"] == chosen[owner]] = number
    keep = (band >= 0) & good
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner[keep], minlength=objects))]).astype(np.int64)
    made = {name: fields[name][keep] for name in ("time", "flux", "flux_err", "mask")} | {"offsets": offsets, "band": band[keep]}
    spec = ModalitySpec("light_curve", "light_curve", tuple(STAND_INS), (), curves.spec.unit, clock=curves.spec.clock, provenance=PROVENANCE)
    return ModalityData(spec, made, np.diff(offsets) > 0)


def _shown(curves: ModalityData) -> dict[str, ModalityData]:
    arrays: Arrays = {**curves.fields, "present": curves.present}
    given = Layout("light_curve", curves.spec.channels, (), curves.spec.unit)
    images = representation("dmdt").run(arrays, given, options_of("dmdt", {"edges": "ccsnscore"}), {})
    series_of, made = daily_curves.each_band(arrays, given, options_of("daily_curve", {})), {}
    for number, band in enumerate(curves.spec.channels):
        layout, series = daily_curves.layout(given, options_of("daily_curve", {"band": band})), series_of[band]
        spec = ModalitySpec(f"{band}_curve", "series", layout.channels, layout.shape, "", axis=layout.axis, axis_unit=layout.axis_unit, provenance=curves.spec.provenance)
        made[f"{band}_curve"] = ModalityData(spec, {name: series[name] for name in ("axis", "values", "mask")}, series["present"])
        flux, mask = (images[name][:, number : number + 1] for name in ("flux", "mask"))
        image = ModalitySpec(f"{band}_dmdt", "image", (band,), (1, *flux.shape[2:]), "", oriented=False, provenance=curves.spec.provenance)
        made[f"{band}_dmdt"] = ModalityData(image, {"flux": flux, "mask": mask}, np.asarray(mask.any(axis=(1, 2, 3))))
    return made


def _repeated(data: ModalityData, place: NDArray[np.int64]) -> ModalityData:
    """Each event's arrays once a spectrum."""
    return ModalityData(data.spec, {name: value if name == "axis" else value[place] for name, value in data.fields.items()}, data.present[place])
