"""Where a survey looked, exactly: the MOC that is published for it, asked for once and kept with the other answers.

Sources: MOC server of the CDS (https://alasky.cds.unistra.fr/MocServer/query, its form and documentation: ``ID``, ``get=moc``, ``order``; its
mirror as in astroquery.mocserver); MOC 2.0 (https://www.ivoa.net/documents/MOC/20220727/). MOCs are read by `regions`.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.cache import Answers
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Modality, SkyMap
from astrofuse_lab.regions import DEEPEST, SKY, Cells, merged, region_of
from astrofuse_lab.surveys import formats, sessions, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, Survey, provenance_of
from astrofuse_lab.targets import Target, Targets

ORDER = 10
"""Asked for: cells of 3.4 arcmin, fine enough to tell on which side of a border a field lies."""
FINEST = 11
"""Of what a view gets: cell numbers of this order fit into 32 bits."""
RANGES = 30_000
"""Of what a view gets at most, 240 kB; a border with more is drawn in larger cells."""
LARGEST = 4 * 1024**2
"""Bytes of a MOC, unpacked too. Those of this order have at most about one."""
PATIENCE = 60.0  # s for one MOC, mirrors included


@dataclass
class MocServer(Archive):
    """The MOC server of the CDS as an archive like the others: a target's identifier is that of a MOC, or its address."""

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target."""
        self.chosen(ask)
        for target in targets:
            moc = target.identifier
            whole = moc.startswith(("https://", "http://"))
            given: dict[str, Any] = {} if whole else {"params": {"ID": moc, "get": "moc", "order": ORDER}}
            content, media_type, address = transport.ask(self, moc if whole else "", target=target.object_id, **given)
            yield Raw(self.name, (target.object_id,), content, address, media_type)

    def cells(self, raw: Raw) -> Cells:
        """The cells of an answer.

        Raises
        ------
        ArchiveError
            If it is no MOC, one of another frame than ICRS, cut short, empty, or larger than any needs to be.
        """
        moc = raw.target_ids[0]
        content = formats.unpacked(raw.content, self.name, moc, largest=LARGEST)
        if len(content) > LARGEST:
            raise ArchiveError(self.name, f"the MOC has {len(content) / 1024**2:.0f} MB, more than any needs at order {ORDER}", moc)
        with formats.reading(self.name, "MOC", moc):
            return region_of(content)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The region as a sky map: the same density wherever it lies."""
        cells = self.cells(raw)
        by_order = cells_by_order(DEEPEST, cells.ranges)
        uniq = np.array([4 * 4 ** int(order) + cell for order, some in by_order.items() for cell in some], dtype=np.int64)
        density = np.full(len(uniq), SKY / cells.area / (4 * np.pi))
        yield raw.target_ids[0], SkyMap(uniq, density, provenance=provenance_of(self, raw))


SERVER = MocServer(
    name="cds/moc", gives=SkyMap, url="https://alasky.cds.unistra.fr/MocServer/query", mirrors=("https://alaskybis.cds.unistra.fr/MocServer/query",),
    release="as published", licence="free to use with the acknowledgement", needs=("identifier",), largest=LARGEST, timeout=20.0, threads=1,
    citation="This research has made use of the MOCServer, a tool developed at CDS, Strasbourg, France.",
)  # fmt: skip


def moc_of(survey: Survey) -> str:
    """The MOC that says more than the survey's own words; empty where it saw all sky or no MOC is known."""
    coverage = getattr(survey, "coverage", Coverage())
    return "" if coverage.words.startswith("all sky") else str(coverage.moc)


def outline(moc: str, *, mode: str = "prefer-cache", stop: threading.Event | None = None, server: MocServer = SERVER) -> Cells:
    """A part of the sky by the MOC published for it.

    Parameters
    ----------
    moc : str
        Identifier in the CDS MOC server, ``"CDS/P/SDSS9/g"``, or an address.
    mode : {"prefer-cache", "online", "offline"}
        As in `fetch`.
    stop : threading.Event, optional
        Setting it ends the request.

    Returns
    -------
    Cells

    Raises
    ------
    InputError
        If `moc` is empty.
    ArchiveError
        If it cannot be got, or is no MOC; in mode offline also where the cache lacks it.
    StorageError
        If the cache cannot be written.
    """
    if not moc:
        raise InputError("moc is empty. Give an identifier of the CDS MOC server, e.g. 'CDS/P/SDSS9/g', or an address.")
    answers, target = Answers(), Target(moc, identifier=moc)
    if mode != "online":
        hit = answers.lookup(server, Ask(), Targets([target])).get(moc)
        if hit is not None:
            return server.cells(answers.load(hit.path))
    if mode == "offline":
        raise ArchiveError(server.name, "not in the cache, and mode='offline' asks nobody", moc)
    with sessions.patience(stop or threading.Event(), time.monotonic() + PATIENCE):
        raw = next(server.query(Targets([target]), Ask()))
    cells = server.cells(raw)  # what cannot be read is not kept
    answers.keep(server, Ask(), Targets([target]), raw, [moc])
    answers.flush()
    return cells


def coarser(cells: Cells, most: int = RANGES, finest: int = FINEST) -> tuple[int, NDArray[np.int32]]:
    """Ranges of cells that hold all of a region, at the finest order at which they are few enough.

    Returns
    -------
    order : int
    ranges : int array, (range, 2)
        First nested cell and the one after the last.
    """
    for order in range(finest, -1, -1):
        shift = 2 * (DEEPEST - order)
        first, last = cells.ranges[:, 0] >> shift, (cells.ranges[:, 1] - 1) >> shift
        ranges = merged(np.stack([first, last + 1], axis=-1)).ranges
        if len(ranges) <= most:
            break
    return order, ranges.astype(np.int32)


def cells_by_order(order: int, ranges: NDArray[np.int32] | NDArray[np.int64]) -> dict[str, list[int]]:
    """Ranges as a MOC in JSON has them: order to cells, each cell as large as fits."""
    made: dict[str, list[int]] = {}
    for start, stop in ranges.tolist():
        while start < stop:
            up = 0
            while up < order and start % 4 ** (up + 1) == 0 and start + 4 ** (up + 1) <= stop:
                up += 1
            made.setdefault(str(order - up), []).append(start >> 2 * up)
            start += 4**up
    return made
