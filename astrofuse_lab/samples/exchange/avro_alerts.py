"""Alert packets of ZTF and Rubin (Avro, or Parquet of packets) as a set: one object each, its newest stamps, its light curve, its candidate's row.

`astrofuse_lab.surveys.alerts` says what the fields are and reads them; this goes through every object of the files.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from astrofuse_lab.alignment.grids import PixelGrid
from astrofuse_lab.errors import ArchiveError, SampleSetError
from astrofuse_lab.samples.assemble import align
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.surveys import alert_packets
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Target, Targets

GIVES = ("light_curve", "image", "table")


class _Packets:
    """What `align` needs of fetched products."""

    def __init__(self, targets: Targets, found: dict[str, dict[str, object]]) -> None:
        self.targets = targets
        self.found = found
        self.surveys = tuple(found)

    def get(self, survey: str, object_id: str) -> object:
        """One product, or None."""
        return self.found[survey].get(object_id)


def read(path: Path, modalities: Sequence[str] = GIVES, image: PixelGrid | None = None) -> SampleSet:
    """All objects of a file or a folder of packets.

    Parameters
    ----------
    path : path
    modalities : sequence of str
        Of ``light_curve``, ``image``, ``table``.
    image : PixelGrid, optional
        None: that of the first stamp.

    Raises
    ------
    SampleSetError
        If a file is damaged, or holds no packet.
    """
    if unknown := set(modalities) - set(GIVES):
        raise SampleSetError(f"packets have no {min(unknown)!r}; modalities are {', '.join(GIVES)}.")
    found: dict[str, dict[str, object]] = {}
    targets: Targets | None = None
    try:
        for gives in modalities:
            survey = alert_packets.alerts(path, gives=gives, name=f"alerts/{gives}")
            targets = targets if targets is not None else _targets(survey, path)
            found[survey.name] = {target: product for raw in survey.query(targets, Ask()) for target, product in survey.read(raw)}
    except ArchiveError as error:
        raise SampleSetError(f"{path} cannot be read as alert packets ({error}).") from error
    assert targets is not None
    return align(_Packets(targets, found), image=image, progress=False)  # type: ignore[arg-type]


def _targets(survey: alert_packets.AlertPackets, path: Path) -> Targets:
    """Every object of the packets, where its newest alert was."""
    index = survey.indexed()
    if not index.alerts:
        raise SampleSetError(f"{path} holds no alert packet.")
    named = []
    for (_, name), rows in index.objects.items():
        newest = index.alerts[max(rows, key=lambda i: index.alerts[i].time)]
        placed = np.isfinite(newest.ra) and np.isfinite(newest.dec)
        named.append(Target(str(name), ra=newest.ra if placed else np.nan, dec=newest.dec if placed else np.nan, identifier=str(name)))
    return Targets(named)
