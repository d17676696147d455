"""Light curves of the Zwicky Transient Facility's public releases, from IRSA's light-curve service, as CSV.

Sources: https://irsa.ipac.caltech.edu/docs/program_interface/ztf_lightcurve_api.html (``nph_light_curves``: POS=CIRCLE ra dec radius in degrees, BANDNAME,
COLLECTION, FORMAT); columns oid, mjd, mag, magerr, catflags, filtercode (zg, zr, zi), ra, dec ... and what they mean,
https://irsa.ipac.caltech.edu/data/ZTF/docs/releases/ztf_release_notes_latest; ZTF Science Data System explanatory supplement
(https://irsa.ipac.caltech.edu/data/ZTF/docs/ztf_explanatory_supplement.pdf): PSF magnitudes, AB, calibrated to Pan-STARRS1; an epoch with bit 15 (32768)
of ``catflags`` is not to be used, and only epochs with ``catflags`` zero are clean in every respect.

These are detections only: what was too faint in an exposure is not in the releases, so there are no upper limits here (the alerts have some). ``mjd`` is
kept as the archive gives it. The magnitudes are not colour-corrected.
"""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from astrofuse_lab.modalities import LightCurve, Modality
from astrofuse_lab.surveys import curves, formats, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.surveys.ztf_images import CITATION
from astrofuse_lab.targets import Targets

URL = "https://irsa.ipac.caltech.edu/cgi-bin/ZTF/nph_light_curves"
EPOCH = 2021.0
"""Julian year in the middle of the survey: where proper motions take the targets."""
BAD = 32768
SAME = 1.5
"""arcsec within which objects of different fields and filters are one star: half of the seeing's width, as in ZTF's own matching of detections."""
NEEDED = ("oid", "mjd", "mag", "magerr", "catflags", "filtercode", "ra", "dec")


@dataclass
class ZtfCurve(Archive):
    """All detections of the object nearest to each target.

    The releases hold an object (``oid``) for each field, quadrant and filter; those within 1.5 arcsec of the nearest are taken to be one star.

    ``options={"clean": True}`` masks every epoch with any flag, not only the spoilt ones; ``{"collection": "ztf_dr20"}`` asks another release.
    """

    _: KW_ONLY
    gives: type = LightCurve
    settings: Mapping[str, float | int | str | bool] = field(default_factory=lambda: {"clean": False, "collection": ""})

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One request a target."""
        given, bands = self.chosen(ask), self.chosen_bands(ask.bands)
        for target in targets.at(EPOCH):
            params = {
                "POS": f"CIRCLE {target.ra:.7f} {target.dec:.7f} {ask.radius / 3600:.7f}", "BANDNAME": ",".join(bands), "FORMAT": "CSV",
            }  # fmt: skip
            if given["collection"]:
                params["COLLECTION"] = str(given["collection"])
            content, media_type, address = transport.ask(self, target=target.object_id, params=params)
            extra = curves.wanted(ask, target, bands, at=[target.ra, target.dec], radius=ask.radius, clean=bool(given["clean"]))
            yield Raw(self.name, (target.object_id,), content, address, media_type, now(), extra)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The light curve, in microjansky, unless there is no object within the radius."""
        target = raw.target_ids[0]
        # an answer that is a VOTable tells of an error
        if raw.content.lstrip()[:5] == b"<?xml" or b"<VOTABLE" in raw.content[:1000]:
            formats.votable(raw.content, self.name, NEEDED, target)
        rows = formats.csv_table(raw.content, self.name, NEEDED, target, comment="\\")
        with formats.reading(self.name, "ZTF light curve", target):
            columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in NEEDED}
            keep = nearest(columns["oid"], curves.numbers(columns["ra"]), curves.numbers(columns["dec"]), raw.extra)
            flags = np.array([int(float(v or BAD)) for v in columns["catflags"]], dtype=np.int64)
            flux, error = curves.flux_of(curves.numbers(columns["mag"]), curves.numbers(columns["magerr"]))
            band = np.array([code.removeprefix("z") for code in curves.words(columns["filtercode"])], dtype=np.str_)
            good = (flags == 0) if raw.extra.get("clean") else (flags & BAD) == 0
            time = np.where(keep, curves.numbers(columns["mjd"]), np.nan)
            curve = curves.made(curves.Epochs(time, flux, error, band, good), raw.extra, provenance_of(self, raw))
        if curve is not None:
            yield target, curve


def nearest(ids: list[Any], ra: curves.Array, dec: curves.Array, extra: Mapping[str, object]) -> curves.Bools:
    """Which rows are of the object nearest to the target, its twins in other fields and filters with it."""
    at, radius = extra.get("at"), float(extra.get("radius", np.inf))  # type: ignore[arg-type]
    if not isinstance(at, list | tuple) or not len(ids):
        return np.ones(len(ids), dtype=bool)
    _, which = np.unique(np.array([str(v) for v in ids]), return_inverse=True)
    count = np.bincount(which)
    mean_dec = np.bincount(which, dec) / count
    # about the target, so that 0 and 360 deg are neighbours
    mean_ra = at[0] + np.bincount(which, (ra - at[0] + 180) % 360 - 180) / count
    far = curves.distance(mean_ra, mean_dec, at)
    best = int(np.nanargmin(np.where(np.isfinite(far), far, np.inf)))
    if not far[best] <= radius * 1.001:
        return np.zeros(len(ids), dtype=bool)
    return np.asarray((curves.distance(mean_ra, mean_dec, (mean_ra[best], mean_dec[best])) <= SAME)[which])


CURVE = ZtfCurve(
    name="ztf/light_curve", url=URL, release="newest public release", bands=("g", "r", "i"), threads=3, citation=CITATION,
    licence="public data, free to use with the ZTF acknowledgement", coverage=Coverage("north of -31 deg", (-31.0, 90.0), moc="CDS/P/ZTF/DR7/color"),
)  # fmt: skip
