"""Keck HIRES: the spectra that the Keck Observatory Archive extracts from public exposures, orders joined.

Sources: PyKOA (https://github.com/KeckObservatoryArchive/PyKOA, core.py, ``download`` with lev1file): frames in TAP's ``koa_hires`` (koaid, filehand, mjd, elaptime);
``cgi-bin/KoaAPI/nph-getL1list`` with instrument, koaid and filehand answers in JSON, result.lev1subdir_prefix and result.data of {subdir, lev1files};
``cgi-bin/KoaAPI/nph-dnloadL1data`` gives the file prefix/subdir/name. Files, https://koa.ipac.caltech.edu/UserGuide/HIRES/extracted_products.html: in
``binaryfits/ccdN/flux`` one FITS table for each order, columns wave (Å, vacuum, heliocentric, perhaps shifted to the night-sky lines), Flux (relative, in
counts, divided by the flat field) and Error (one sigma, negative where a pixel is bad); the grade of the extraction (Pass, Fail, Unknown) is the keyword EXQUAL,
https://koa.ipac.caltech.edu/UserGuide/HIRES/extracted_grades.html.

KOA calls them a browse product: made by a pipeline without a person (MAKEE), not flux-calibrated, and the zero point of wavelength may differ from order to order by
an amount that is not recorded. They are of use to see what a star looks like, not for velocities. The archive's pipelines for other instruments each have a layout of
their own that is documented less; of those only the frames are listed (``koa/nirspec`` ...).
"""

import re
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Modality, Spectrum
from astrofuse_lab.surveys import formats, koa, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.spectrum_units import Pixels, spectrum_of
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import Target, Targets

URL = "https://koa.ipac.caltech.edu"
COLUMNS = ("koaid", "filehand", "ra", "dec", "mjd", "elaptime")
PATH = re.compile(r"/?[A-Za-z0-9][A-Za-z0-9_.+-]*(?:/[A-Za-z0-9][A-Za-z0-9_.+-]*)*/?")
FLUX = re.compile(r"binaryfits(?:/.*)?/flux/?")
MOST_ORDERS = 200
Floats = NDArray[np.float64]


class Order(NamedTuple):
    """One spectral order: wavelengths (Å), flux and its error (counts), which pixels are good."""

    wave: Floats
    flux: Floats
    sigma: Floats
    good: NDArray[np.bool_]


@dataclass
class KoaSpectra(Archive):
    """The extracted spectrum of the longest public exposure that points at each target and has one.

    The option ``frames`` is how many exposures are looked at, the longest first: not all have an extraction.
    """

    _: KW_ONLY
    gives: type = Spectrum

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """The list of exposures, the list of files of one or some of them, then a file for each order."""
        most = int(self.chosen(ask)["frames"])
        for target in targets.at(2010.0):
            listed, adql, frames = self.frames(target, ask)
            for frame in frames[: max(1, most)]:
                files = self.files(frame, target.object_id)
                if files:
                    yield self.download(frame, files, target.object_id)
                    break
            else:
                yield Raw(self.name, (target.object_id,), listed, f"{self.url}/TAP {adql}", "application/x-votable+xml", now(), {"nothing": True})

    def frames(self, target: Target, ask: Ask) -> tuple[bytes, str, list[dict[str, Any]]]:
        """The public exposures of a target, as sent and as rows, the longest first."""
        tap = TapTable(name=self.name, url=self.url + "/TAP", table="koa_hires", columns={}, release=self.release, citation=self.citation, licence=self.licence, uploads=False,
                       timeout=self.timeout)  # fmt: skip
        circle = f"CIRCLE('ICRS', {float(target.ra)!r}, {float(target.dec)!r}, {ask.radius / 3600!r})"
        span = target.time or ask.time
        when = f" AND mjd BETWEEN {float(span[0])!r} AND {float(span[1])!r}" if span else ""
        adql = f"SELECT {', '.join(COLUMNS)} FROM koa_hires WHERE CONTAINS(POINT('ICRS', ra, dec), {circle}) = 1 AND koaimtyp = 'object'{when}"  # noqa: S608, numbers
        content = tap.run(adql, target=target.object_id)
        if formats.votable_status(content) == "OVERFLOW":
            raise ArchiveError(self.name, "more exposures lie here than are listed at once. Give a smaller radius.", target.object_id)
        table = formats.votable(content, self.name, COLUMNS, target.object_id)
        with formats.reading(self.name, "list of exposures", target.object_id):
            rows = [{name: formats.plain(row[name]) for name in COLUMNS} for row in table]
            return content, adql, sorted(rows, key=lambda row: (-float(row["elaptime"] or 0.0), str(row["koaid"])))

    def files(self, frame: dict[str, Any], target: str) -> list[str]:
        """Paths of the spectra of an exposure's orders; none where the archive has not extracted it, which it may also call an error."""
        given = {"instrument": "hires", "koaid": str(frame["koaid"]), "filehand": str(frame["filehand"])}
        content, _, _ = transport.ask(self, "/cgi-bin/KoaAPI/nph-getL1list", target=target, params=given)
        said = formats.json_value(content, self.name, target, dict)
        result = said.get("result")
        if str(said.get("status", "")).lower() == "error" or not isinstance(result, dict) or not int(result.get("nlev1file") or 0):
            return []
        with formats.reading(self.name, "list of files", target):
            prefix = str(result["lev1subdir_prefix"]).rstrip("/")
            paths = [
                f"{prefix}/{str(one['subdir']).strip('/')}/{name}"
                for one in result["data"] if FLUX.fullmatch(str(one["subdir"])) for name in one["lev1files"] if str(name).endswith("_flux.fits")
            ]  # fmt: skip
            strange = [path for path in paths if not PATH.fullmatch(path) or ".." in path]
            if strange or len(paths) > MOST_ORDERS:
                raise ValueError(f"{strange[0][:60]!r} is no path of a file" if strange else f"{len(paths)} orders")
        return sorted(paths)

    def download(self, frame: dict[str, Any], files: list[str], target: str) -> Raw:
        """All orders of an exposure."""
        given = {"instrument": "hires", "koaid": str(frame["koaid"])}
        parts = [transport.ask(self, "/cgi-bin/KoaAPI/nph-dnloadL1data", target=target, params={**given, "filehand": path})[0] for path in files]
        extra = {"lengths": [len(part) for part in parts], "koaid": str(frame["koaid"]), "time": frame["mjd"]}
        return Raw(self.name, (target,), b"".join(parts), f"{self.url}/cgi-bin/KoaAPI/nph-dnloadL1data {given['koaid']} ({len(files)} orders)", "application/fits", now(), extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """One spectrum of all orders that have wavelengths."""
        if raw.extra.get("nothing") is True:
            return
        target = raw.target_ids[0]
        orders = [order for part in messages.pieces(raw) if (order := read_order(part, self.name, target)) is not None]
        if not orders:
            raise ArchiveError(self.name, f"none of the orders of {raw.extra.get('koaid')} could be given wavelengths by the archive's pipeline", target)
        time: Any = raw.extra.get("time")
        yield target, spectrum_of(joined(orders)._replace(flux_unit="ct", time=None if time is None else float(time)), self.name, target, provenance_of(self, raw))


def read_order(content: bytes, survey: str, target: str) -> Order | None:
    """One order from its table; None where the pipeline found no wavelengths (all are -1)."""
    units = formats.fits_hdus(content, survey, target)
    with formats.reading(survey, "spectral order", target):
        table = next(unit for unit in units if unit.header.get("XTENSION", "").strip() == "BINTABLE")
        names = {str(name).lower(): str(name) for name in table.columns.names}
        wave, flux, sigma = (np.asarray(table.data[names[name]], dtype=np.float64).ravel() for name in ("wave", "flux", "error"))
        grade = str(table.header.get("EXQUAL", units[0].header.get("EXQUAL", ""))).strip().lower()
        good = np.isfinite(flux) & np.isfinite(sigma) & (sigma > 0) & (grade != "fail")
    keep = np.isfinite(wave) & (wave > 0)
    return Order(wave[keep], flux[keep], sigma[keep], good[keep]) if keep.sum() > 1 else None


def joined(orders: list[Order]) -> Pixels:
    """Orders after each other; where two overlap, each gives its half: the blaze is brightest in the middle of an order."""
    ordered = sorted(orders, key=lambda order: float(order.wave.min() + order.wave.max()))
    edges = [(a.wave.max() + b.wave.min()) / 2 for a, b in pairwise(ordered)]
    kept = []
    for order, low, high in zip(ordered, [-np.inf, *edges], [*edges, np.inf], strict=True):
        inside = (order.wave > low) & (order.wave <= high)
        kept.append(Order(*(values[inside] for values in order)))
    wave, flux, sigma, good = (np.concatenate(values) for values in zip(*kept, strict=True))
    return Pixels(wave, flux, "Angstrom", sigma=sigma, good=good)


HIRES = KoaSpectra(
    name="koa/hires_spectrum", url=URL, release="KOA, HIRES extracted (MAKEE)", wavelengths=(3000.0, 11000.0), batch=1, threads=2, settings={"frames": 3},
    coverage=Coverage("single pointings of Keck I", (-50.0, 90.0)), citation=koa.ROWS["koa/hires"].citation, licence=koa.ROWS["koa/hires"].licence,
)  # fmt: skip
