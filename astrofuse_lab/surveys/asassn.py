"""Light curves of the All-Sky Automated Survey for Supernovae, from the database of Sky Patrol 2.0.

Sources: what the service is asked and answers, https://github.com/asas-sn/skypatrol (the project's own client; GPL, so that it is neither imported nor copied
here; ``lookup_cone``, ``get_block_servers`` and ``get_block``, Parquet tables) and http://asas-sn.ifa.hawaii.edu/documentation/ (columns asas_sn_id, jd, flux
and flux_err in mJy, mag and mag_err, limit: the magnitude of 5 sigma, phot_filter V or g, quality G good or B bad; a mag_err above 99 is no detection); Hart et al.
2023, arXiv:2304.03791. The service has no HTTPS.

Magnitudes and fluxes agree with 3631 Jy at magnitude zero in both bands (the documentation's own examples); V is calibrated to Vega within APASS, so that its
flux is on the catalogue's scale and no AB flux.
"""

import base64
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import LightCurve, Modality
from astrofuse_lab.surveys import curves, formats, parquet_files, pixels, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of
from astrofuse_lab.targets import Target, Targets

if TYPE_CHECKING:
    import pyarrow as pa

URL = "http://asassn-lb01.ifa.hawaii.edu:9006"
PORT = 9006
EPOCH = 2019.0
CATALOGUE = "master_list"
COLUMNS = ("asas_sn_id", "ra_deg", "dec_deg")
NEEDED = ("asas_sn_id", "jd", "flux", "flux_err", "mag", "mag_err", "limit", "phot_filter", "quality")
UNSEEN = 99.0
"""A mag_err above this stands for no detection."""


@dataclass
class AsassnCurve(Archive):
    """All photometry of the catalogued star nearest to each target.

    What was not detected is an upper limit: ``flux_err`` is a fifth of the 5-sigma limit. Images of poor quality are masked.
    """

    _: KW_ONLY
    gives: type = LightCurve

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """For each target the catalogue and, where it has a star there, the photometry of what was found."""
        self.chosen(ask)
        bands = self.chosen_bands(ask.bands)
        for target in targets.at(EPOCH):
            listed, address = self._listed(target, ask.radius)
            files = [listed]
            stars = parquet_files.table(listed, self.name, COLUMNS, target.object_id)
            if stars.num_rows:
                files.append(self._block(target, ask.radius))
            extra = curves.wanted(ask, target, bands, at=[target.ra, target.dec], radius=ask.radius)
            yield pixels.pack(self, target.object_id, files, address, "application/vnd.apache.parquet", **extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The light curve, in microjansky; nothing where no star is catalogued within the radius."""
        target = raw.target_ids[0]
        files = pixels.unpack(self.name, raw)
        stars = parquet_files.table(files[0] if files else b"", self.name, COLUMNS, target)
        star = self._nearest(stars, raw, target)
        if star is None:
            return
        if len(files) != 2:
            raise ArchiveError(self.name, f"a star is listed and its photometry is lacking ({len(files)} files)", target)
        table = parquet_files.table(files[1], self.name, NEEDED, target)
        with formats.reading(self.name, "table of photometry", target):
            ids = [str(v) for v in table.column("asas_sn_id").to_pylist()]
            value = {name: curves.numbers(table.column(name).to_pylist()) for name in ("jd", "flux", "flux_err", "mag_err", "limit")}
            limit = ~(value["mag_err"] <= UNSEEN)
            depth = curves.flux_of(value["limit"], np.zeros(len(ids)))[0] / 5
            band = np.array(curves.words(table.column("phot_filter").to_pylist()), dtype=np.str_)
            good = np.array([q == "G" for q in curves.words(table.column("quality").to_pylist())], dtype=bool)
            time = np.where(np.array([i == star for i in ids], dtype=bool), value["jd"] - curves.JD_TO_MJD, np.nan)
            flux, error = np.where(limit, 0.0, value["flux"] * 1000), np.where(limit, depth, value["flux_err"] * 1000)
            curve = curves.made(curves.Epochs(time, flux, error, band, good, limit), raw.extra, provenance_of(self, raw))
        if curve is not None:
            yield target, curve

    def _listed(self, target: Target, radius: float) -> tuple[bytes, str]:
        """The catalogue's stars within the radius; this also makes their photometry ready."""
        place = f"/lookup_cone/radius{radius / 3600:.7f}_ra{target.ra:.7f}_dec{target.dec:.7f}"
        wanted = {"catalog": CATALOGUE, "cols": list(COLUMNS), "format": "arrow", "download": True}
        content, _, address = transport.ask(self, place, target=target.object_id, method="POST", json=wanted)
        return content, address

    def _block(self, target: Target, radius: float) -> bytes:
        """The photometry, from the first of the machines that keep it which answers; a block is a thousand stars, more than a cone of arcseconds holds."""
        given = f"conectr-{radius / 3600:.7f}_conera-{target.ra:.7f}_conedec-{target.dec:.7f}|catalog-{CATALOGUE}|cols-{'/'.join(COLUMNS)}"
        key = base64.encodebytes(given.encode()).decode()
        content, _, _ = transport.ask(self, "/get_block_servers", target=target.object_id)
        machines = formats.json_value(content, self.name, target.object_id, list)
        last: ArchiveError | None = None
        for machine in machines[:4]:
            place = f"http://{_machine(machine, self.name, self.url)}/get_block/query_hash-{quote(key, safe='')}-block_idx-0-catalog-{CATALOGUE}"
            try:
                return transport.ask(self, place, target=target.object_id)[0]
            except ArchiveError as error:
                last = error
        raise last or ArchiveError(self.name, "the service names no machine that has the photometry", target.object_id)

    def _nearest(self, stars: "pa.Table", raw: Raw, target: str) -> str | None:
        with formats.reading(self.name, "list of stars", target):
            at: Any = raw.extra.get("at")
            if not stars.num_rows:
                return None
            ra, dec = (curves.numbers(stars.column(name).to_pylist()) for name in ("ra_deg", "dec_deg"))
            far = curves.distance(ra, dec, at)
            best = int(np.nanargmin(far))
            return str(stars.column("asas_sn_id")[best].as_py()) if far[best] <= float(raw.extra["radius"]) * 1.001 else None  # type: ignore[arg-type]


def _machine(name: Any, survey: str, url: str) -> str:
    """Host and port of one of the service's own machines: those of Hawaii, or of the address that was set in place of it."""
    host, mine = str(name), urlsplit(url).hostname or ""
    if host == mine or (host.endswith(".ifa.hawaii.edu") and host.replace(".", "").replace("-", "").isalnum()):
        return f"{host}:{urlsplit(url).port or PORT}"
    raise ArchiveError(survey, f"the service names the machine {host[:80]!r}, which is not one of the survey's")


CURVE = AsassnCurve(
    name="asassn/light_curve", url=URL, release="Sky Patrol 2.0, live", bands=("V", "g"), threads=2, timeout=120.0,
    licence="public; credit ASAS-SN", coverage=Coverage("all sky, 11 to 18 mag"),
    citation="Based on data of the All-Sky Automated Survey for Supernovae (ASAS-SN). Cite Shappee et al. 2014, ApJ 788, 48 and Hart et al. 2023, arXiv:2304.03791.",
)  # fmt: skip
