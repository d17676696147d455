"""Files of any SIA2, SSA or ObsCore service, by its address: find, choose, download, read.

Sources: SIA 2.0 (https://www.ivoa.net/documents/SIA/20151223/), section 2.1 (POS, BAND, TIME, MAXREC); SSA 1.1 (https://www.ivoa.net/documents/SSA/20120210/),
sections 4.1 (POS, SIZE, TIME) and 4.2.5 (utypes of the answer); ObsCore 1.1 (https://www.ivoa.net/documents/ObsCore/20170509/), table 1.
"""

import math
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Image, LightCurve, Modality, Spectrum
from astrofuse_lab.positions import separation_arcsec
from astrofuse_lab.surveys import datalink, formats, pixels, transport
from astrofuse_lab.surveys.archive import Archive
from astrofuse_lab.surveys.photometry import AB_ZERO
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.surveys.vo_files import read_image, read_light_curve
from astrofuse_lab.targets import Target, Targets

if TYPE_CHECKING:
    from astropy.table import Table

MOST_BANDS = 24
BAND_COLUMNS = ("bandpass_name", "band_name", "filter", "filter_name", "band", "em_band", "ssa_bandpass", "bandpassid", "bandpass")


class Product(NamedTuple):
    """A file that a service offers: where it is, what it is, where and when it looked (deg, MJD, Å)."""

    address: str
    media_type: str
    ra: float
    dec: float
    band: str
    wavelengths: tuple[float, float]
    time: float


@dataclass
class VoProducts(Archive):
    """What the services of files have in common.

    Attributes
    ----------
    parameters : mapping of str to str
        Sent with every request beside position and time, e.g. ``{"COLLECTION": "HST"}``.
    band_wavelengths : mapping of str to float
        Band to a wavelength in it, Å: for services that say what an image was taken in by its wavelengths only.
    semantics : str
        Which of a row's links is the file (DataLink).
    columns, zero_point, time_zero
        For light curves, as in `photometry.light_curve`.
    """

    _: KW_ONLY
    batch: int = 8
    maxrec: int = 2000
    parameters: Mapping[str, str] = field(default_factory=dict)
    band_wavelengths: Mapping[str, float] = field(default_factory=dict)
    semantics: str = "#this"
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    zero_point: float | Mapping[str, float] = AB_ZERO
    time_zero: float | None = None
    fingerprint: str = ""

    @abstractmethod
    def found(self, target: Target, ask: Ask) -> tuple[bytes, str]:
        """The service's list of what it has there, and the request."""

    @abstractmethod
    def products(self, table: "Table") -> list[Product]:
        """The rows of that list."""

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """The list, then the files chosen from it, for each target; the answer holds all of them as sent."""
        self.chosen(ask)
        for target in targets:
            listed, query = self.found(target, ask)
            if formats.votable_status(listed) == "OVERFLOW":
                raise ArchiveError(self.name, f"the service has more than it lists at once (OVERFLOW, {self.maxrec} rows). Give a smaller radius or time, or parameters={{...}}.", target.object_id)
            offered = self.products(formats.votable(listed, self.name, target=target.object_id))
            taken = self.choose(offered, target, ask)
            files, media_types = [], []
            for product in taken:
                content, media_type = self.download(product, target, ask)
                files.append(content)
                media_types.append(media_type)
            span = target.time or ask.time
            yield pixels.pack(
                self, target.object_id, [listed, *files], query, "multipart/mixed", media_types=media_types, bands=[p.band for p in taken],
                ra=target.ra, dec=target.dec, size=ask.size, span=None if span is None else list(span), wanted=None if ask.bands is None else list(ask.bands),
            )  # fmt: skip

    def choose(self, offered: Sequence[Product], target: Target, ask: Ask) -> list[Product]:
        """Of images the one centred nearest in each band, of everything else the nearest within the radius; the most telling format."""
        def distance(product: Product) -> float:
            if not (math.isfinite(product.ra) and math.isfinite(product.dec)):
                return 0.0  # the service searched by position and says no more
            return float(separation_arcsec(target.ra, target.dec, np.array([product.ra]), np.array([product.dec]))[0])

        offered = [p for p in offered if not re.search(r"image/(jpeg|png|gif)|text/html|/pdf", p.media_type)]
        ordered = sorted(offered, key=lambda p: (round(distance(p), 3), datalink.rank(p.media_type), p.address))
        if self.gives is not Image:
            return [p for p in ordered if distance(p) <= ask.radius * (1 + 1e-6) + 1e-3][:1]
        best: dict[str, Product] = {}
        for product in ordered:
            named = product._replace(band=self.band_of(product))
            if named.band and (ask.bands is None or not self.band_wavelengths or named.band in ask.bands):
                best.setdefault(named.band, named)
        if len(best) > MOST_BANDS:
            raise ArchiveError(
                self.name, f"images in {len(best)} bands lie there: {', '.join(sorted(best)[:8])} ... Say which with bands= of the survey or of options.", target.object_id
            )
        return sorted(best.values(), key=lambda p: (p.wavelengths[0] if math.isfinite(p.wavelengths[0]) else math.inf, p.band))

    def band_of(self, product: Product) -> str:
        """The band's name: as the survey was told, as the service says, or its middle in nm; empty for one that is not wanted."""
        low, high = product.wavelengths
        if self.band_wavelengths:
            return next((name for name, wave in self.band_wavelengths.items() if product.band == name or low <= wave <= high), "")
        if product.band:
            return product.band
        return f"{(low + high) / 20:.0f}nm" if math.isfinite(low + high) else "unknown"

    def download(self, product: Product, target: Target, ask: Ask) -> tuple[bytes, str]:
        """The file, through a document of links or as a cutout where that is what the service offers."""
        name, own = self.name, target.object_id
        content, media_type, address = transport.ask(self, product.address, target=own)
        if not datalink.is_datalink(content, product.media_type if b"<VOTABLE" in content[:2000] else media_type):
            return content, media_type
        cut = datalink.cutter(content, name, own) if self.gives is Image else None
        if cut is not None:
            circle = f"{target.ra:.8f} {target.dec:.8f} {ask.size / 3600 * math.sqrt(0.5):.8f}"
            content, media_type, _ = transport.ask(self, cut.address, target=own, params={"ID": cut.identifier, "CIRCLE": circle})
            return content, media_type
        link = datalink.link(content, name, own, self.semantics)
        if not link:
            raise ArchiveError(name, f"the document of links {address} has none to {self.semantics}", own)
        content, media_type, _ = transport.ask(self, link, target=own)
        return content, media_type

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The image, spectrum or light curve in the files; nothing where the list was empty."""
        from astrofuse_lab.surveys.spectrum_files import read_spectrum

        target = raw.target_ids[0]
        listed, *files = pixels.unpack(self.name, raw)
        if not files:
            formats.votable(listed, self.name, target=target)
            return
        kinds: Any = raw.extra["media_types"]
        product: Modality | None
        if self.gives is Image:
            product = read_image(self, raw, files)
        elif self.gives is Spectrum:
            product = read_spectrum(files[0], self.name, target, provenance_of(self, raw), kinds[0])
        else:
            product = read_light_curve(self, raw, files[0])
        if product is not None:
            yield target, product


@dataclass
class VoImages(VoProducts):
    """Images of any SIA2 service."""

    _: KW_ONLY
    gives: type = Image

    def found(self, target: Target, ask: Ask) -> tuple[bytes, str]:
        """POS, and BAND (m) and TIME (MJD) where they are wanted."""
        given: dict[str, Any] = {"POS": f"CIRCLE {target.ra:.8f} {target.dec:.8f} {ask.size / 7200:.8f}", "MAXREC": str(self.maxrec), **self.parameters}
        waves = [self.band_wavelengths[b] for b in ask.bands or () if b in self.band_wavelengths]
        if waves:
            given["BAND"] = [f"{wave * 1e-10:.6g}" for wave in waves]
        if span := target.time or ask.time:
            given["TIME"] = f"{span[0]} {span[1]}"
        content, _, address = transport.ask(self, target=target.object_id, params=given)
        return content, address

    def products(self, table: "Table") -> list[Product]:
        """Columns of ObsCore, which SIA2 answers with."""
        return obscore_products(table, self.gives)


@dataclass
class VoSpectra(VoProducts):
    """Spectra, or light curves, of any SSA service."""

    _: KW_ONLY
    gives: type = Spectrum

    def found(self, target: Target, ask: Ask) -> tuple[bytes, str]:
        """POS and SIZE, its diameter (deg), and TIME as ISO dates."""
        given = {"REQUEST": "queryData", "POS": f"{target.ra:.8f},{target.dec:.8f}", "SIZE": f"{2 * ask.radius / 3600:.8f}", "MAXREC": str(self.maxrec), **self.parameters}
        if span := target.time or ask.time:
            from astropy.time import Time

            given["TIME"] = "/".join(Time(t, format="mjd", scale="utc").isot for t in span)
        content, _, address = transport.ask(self, target=target.object_id, params=given)
        return content, address

    def products(self, table: "Table") -> list[Product]:
        """Columns by utype, else by the names that services give them."""
        names = {what: _column(table, *words) for what, words in SSA.items()}
        made = []
        for row in table:
            said = {what: (formats.plain(row[name]) if name and np.ndim(row[name]) == 0 else (row[name] if name else None)) for what, name in names.items()}
            if not said["address"]:
                continue
            ra, dec = _number(said["ra"]), _number(said["dec"])
            if said["position"] is not None:
                place = re.findall(r"[-+\d.eE]+", str(said["position"]))
                ra, dec = (float(place[0]), float(place[1])) if len(place) > 1 else (ra, dec)
            made.append(Product(str(said["address"]), str(said["format"] or ""), ra, dec, "", (math.nan, math.nan), _number(said["time"])))
        return made


@dataclass
class VoObsCore(VoProducts):
    """Images, spectra or light curves of any TAP service that has ``ivoa.obscore``.

    Attributes
    ----------
    table : str
    where : str
        A further ADQL condition, e.g. ``"obs_collection = 'HST'"``.
    footprint : bool
        Images: look for those whose footprint (``s_region``) covers the target; without, for those centred within half the size.
    """

    _: KW_ONLY
    table: str = "ivoa.obscore"
    where: str = ""
    footprint: bool = True

    def found(self, target: Target, ask: Ask) -> tuple[bytes, str]:
        """One query of ADQL."""
        kind = {Image: "'image'", Spectrum: "'spectrum'", LightCurve: "'timeseries', 'time series', 'time-series'"}[self.gives]
        radius = ask.size / 7200 if self.gives is Image else ask.radius / 3600
        circle = f"CIRCLE('ICRS', {target.ra!r}, {target.dec!r}, {radius!r})"
        inside = f"1 = CONTAINS(POINT('ICRS', s_ra, s_dec), {circle})"
        if self.gives is Image and self.footprint:
            inside = f"1 = INTERSECTS({circle}, s_region)"
        span = target.time or ask.time
        also = [f"dataproduct_type IN ({kind})", inside, *([f"t_max >= {span[0]!r} AND t_min <= {span[1]!r}"] if span else []), *([f"({self.where})"] if self.where else [])]
        adql = f"SELECT {', '.join(OBSCORE)} FROM {self.table} WHERE {' AND '.join(also)}"  # noqa: S608, numbers and the user's own condition
        service = TapTable(
            name=self.name, url=self.url, mirrors=self.mirrors, citation=self.citation, licence=self.licence, release=self.release, timeout=self.timeout,
            table=self.table, columns={}, uploads=False, maxrec=self.maxrec,
        )  # fmt: skip
        return service.run(adql, target=target.object_id), f"{self.url} {adql}"

    def products(self, table: "Table") -> list[Product]:
        """Columns of ObsCore."""
        return obscore_products(table, self.gives)


OBSCORE = ("dataproduct_type", "obs_collection", "obs_id", "access_url", "access_format", "s_ra", "s_dec", "em_min", "em_max", "t_min", "t_max")
SSA: dict[str, tuple[str, ...]] = {
    # utypes of SSA 1.1, table 2, without their prefix, then names
    "address": ("access.reference", "accref", "access_url", "acref", "url"),
    "format": ("access.format", "mime", "access_format", "format"),
    "position": ("char.spatialaxis.coverage.location.value", "target.pos", "ssa_location", "location"),
    "ra": ("ra", "s_ra", "ssa_ra"),
    "dec": ("dec", "s_dec", "ssa_dec"),
    "time": ("char.timeaxis.coverage.location.value", "ssa_dateobs", "date_obs"),
}


def obscore_products(table: "Table", gives: type) -> list[Product]:
    """Rows of ObsCore columns, whatever their case."""
    names = {name.lower(): name for name in table.colnames}
    filters = next((names[n] for n in BAND_COLUMNS if n in names), None)
    kinds = {Image: ("image",), Spectrum: ("spectrum",), LightCurve: ("timeseries", "time series", "time-series")}[gives]
    made = []
    for row in table:
        said = {key: formats.plain(row[names[key]]) if key in names else None for key in OBSCORE}
        if not said["access_url"] or (said["dataproduct_type"] and str(said["dataproduct_type"]).lower() not in kinds):
            continue
        band = str(formats.plain(row[filters]) or "") if filters else ""
        waves = _number(said["em_min"]) * 1e10, _number(said["em_max"]) * 1e10
        made.append(Product(str(said["access_url"]), str(said["access_format"] or ""), _number(said["s_ra"]), _number(said["s_dec"]), band, waves, _number(said["t_min"])))
    return made


def _column(table: "Table", *words: str) -> str | None:
    """The column with one of these utypes, or names."""
    utypes = {str(table[name].meta.get("utype") or "").lower().rpartition(":")[2].removeprefix("ssa."): name for name in reversed(table.colnames)}
    lower = {name.lower(): name for name in table.colnames}
    return next((found[word] for word in words for found in (utypes, lower) if word in found), None)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
