"""All spectra of the supernovae, one object a spectrum; see `astrofuse_lab.samples.readers.supernovae`."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.readers import files, supernovae
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card

FILES = (supernovae.EVENTS, supernovae.SPECTRA)
VERSION = files.version(__file__) + supernovae.VERSION
NOTES = (
    *supernovae.LABELS,
    "Up to 30 spectra an event, spread over phase: 'group' is the event, on which splits keep together.",
    "Spectra are relative (median 1), observer frame, on a 5 A grid; air or vacuum is not recorded. was_deredshifted: the source gave the rest frame, shifted back; "
    "frame_fixed: the source did not say so, but tests showed it.",
    "is_ia: True for type Ia with all that goes by it (91T, 91bg, Iax, peculiar), missing where claims disagree.",
    "phase is in days from mjd_peak, a crude estimate; 33 spectra have no date.",
)


def read(folder: Path) -> SampleSet:
    """Read the spectra, with the type and redshift of their event.

    Parameters
    ----------
    folder : path
        Holds `FILES`.

    Returns
    -------
    SampleSet
        Modality ``spectrum``; role group: ``group``, the event.

    Raises
    ------
    SampleSetError
        If a file is missing, unreadable, or does not fit the other.
    """
    events, spectra = supernovae.events_of(folder), supernovae.spectra_of(folder)
    file = folder / supernovae.SPECTRA
    owner = files.texts(file, spectra, "event_id")
    place, has = files.places(files.texts(folder / supernovae.EVENTS, events, "event_id"), owner)
    if not has.all():
        raise SampleSetError(f"{file}: event {owner[~has][0]!r} is not in {supernovae.EVENTS}. {files.AGAIN}")
    about = events.append_column("main_class", supernovae.main_class(folder / supernovae.EVENTS, events)).take(pa.array(place))
    columns = {"object_id": pa.array([f"{e}-{i}" for e, i in zip(owner, files.whole(file, spectra, "spec_id"), strict=True)]), "group": pa.array(owner)}
    renamed = {"ra_deg": "ra", "dec_deg": "dec"}
    columns |= {renamed.get(n, n): about.column(n) for n in ("ra_deg", "dec_deg", "class", "subtype", "main_class", "label_ambiguous", "z", "mjd_peak", "open_subset")}
    columns |= {n: spectra.column(n) for n in spectra.column_names if n not in ("spec_id", "event_id", "wave", "flux")}
    # what SNIascore asks; of no use where claims disagree
    label = files.texts(folder / supernovae.EVENTS, events, "class")[place]
    columns["is_ia"] = pa.array(label == "Ia", mask=files.flag(folder / supernovae.EVENTS, events, "label_ambiguous")[place])
    table = pa.table(columns | {"time": spectra.column("mjd")})
    roles = files.roles_of(table, target=(*supernovae.TARGETS, "is_ia"), group=("group",))
    units = {name: unit for name, unit in supernovae.UNITS.items() if name in table.column_names}
    card = Card("supernova-spectra", "All spectra of the real supernovae", False, supernovae.CITATION, supernovae.LICENCE, NOTES)
    data = {"spectrum": supernovae.spectrum_data(file, spectra, "supernova-spectra", np.ones(len(spectra), dtype=bool))}
    return SampleSet(table, data, roles, units, card)
