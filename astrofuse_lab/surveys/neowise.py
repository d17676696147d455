"""Light curves in the mid-infrared from the single exposures of NEOWISE, by TAP at IRSA.

Sources: table ``neowiser_p1bs_psd`` (https://wise2.ipac.caltech.edu/docs/release/neowise/expsup/sec2_1a.html), what is reliable in it
(.../sec2_3.html: frames with ``qual_frame`` and ``qi_fact`` above zero, away from the South Atlantic Anomaly, ``saa_sep``, and from the Moon,
``moon_masked``; artefacts in ``cc_flags``), service https://irsa.ipac.caltech.edu/docs/program_interface/TAP.html. Magnitudes are Vega's; zero points
309.540 Jy (W1) and 171.787 Jy (W2): Jarrett et al. 2011, ApJ 735, 112, table 1 (WISE All-Sky explanatory supplement, section IV.4.h). Where
``w1sigmpro`` is null, ``w1mpro`` is the magnitude at 95 % confidence of a limit, taken as two sigma. ``mjd`` is some seconds late at most (.../sec3_1c.html).

The survey looked at each place for a day or so every half year, from December 2013 to August 2024.
"""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import LightCurve, Modality
from astrofuse_lab.surveys import curves, formats, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Targets

URL = "https://irsa.ipac.caltech.edu/TAP"
EPOCH = 2019.0
ZERO_POINTS = {"W1": 309.540, "W2": 171.787}
"""Jy of magnitude zero."""
MOST = 100_000
COLUMNS = (
    "ra", "dec", "mjd", "w1mpro", "w1sigmpro", "w2mpro", "w2sigmpro", "qual_frame", "qi_fact", "saa_sep", "moon_masked", "cc_flags",
)  # fmt: skip
CLEAN = "0"
CITATION = (
    "This publication makes use of data products from the Near-Earth Object Wide-field Infrared Survey Explorer (NEOWISE), which is a joint project of the Jet "
    "Propulsion Laboratory/California Institute of Technology and the University of Arizona. NEOWISE is funded by the National Aeronautics and Space "
    "Administration. Cite Mainzer et al. 2014, ApJ 792, 30 and the data set doi:10.26131/IRSA144."
)


@dataclass
class NeowiseCurve(Archive):
    """W1 and W2 of every exposure within the radius of each target.

    Masked are exposures of low quality, near the South Atlantic Anomaly (``options={"saa": 0.0}`` deg or nearer) or the Moon, and measurements spoilt by an
    artefact. The catalogue does not join its detections to objects: in a crowded field a small ``radius=`` keeps neighbours out.
    """

    _: KW_ONLY
    gives: type = LightCurve
    settings: Mapping[str, float | int | str | bool] = field(default_factory=lambda: {"saa": 0.0})

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """One query a target."""
        given, bands = self.chosen(ask), self.chosen_bands(ask.bands)
        for target in targets.at(EPOCH):
            place = f"CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', {target.ra:.7f}, {target.dec:.7f}, {ask.radius / 3600:.7f})) = 1"
            span = target.time or ask.time
            when = f" AND mjd BETWEEN {span[0]:.6f} AND {span[1]:.6f}" if span else ""
            adql = f"SELECT {', '.join(COLUMNS)} FROM neowiser_p1bs_psd WHERE {place}{when}"  # noqa: S608 numbers only
            fields = {"REQUEST": "doQuery", "LANG": "ADQL", "FORMAT": "votable", "MAXREC": str(MOST), "QUERY": adql}
            content, media_type, address = transport.ask(self, "/sync", target=target.object_id, method="POST", data=fields)
            yield Raw(self.name, (target.object_id,), content, f"{address} {adql}", media_type, now(), curves.wanted(ask, target, bands, saa=given["saa"]))

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The light curve, in microjansky; an exposure gives an epoch in each band."""
        target = raw.target_ids[0]
        table = formats.votable(raw.content, self.name, COLUMNS, target)
        if formats.votable_status(raw.content) == "OVERFLOW":
            raise ArchiveError(self.name, f"there are more than {len(table)} exposures within the radius. Ask for a smaller radius or a shorter time.", target)
        with formats.reading(self.name, "table of exposures", target):
            value = {name: curves.numbers(table[name]) for name in COLUMNS if name not in ("moon_masked", "cc_flags")}
            moon, spoilt = curves.words(table["moon_masked"]), curves.words(table["cc_flags"])
            frame = (value["qual_frame"] > 0) & (value["qi_fact"] > 0) & (value["saa_sep"] > float(raw.extra.get("saa", 0.0)))  # type: ignore[arg-type]
            parts = []
            for place, (band, zero) in enumerate(ZERO_POINTS.items()):
                mag, sigma = value[f"{band.lower()}mpro"], value[f"{band.lower()}sigmpro"]
                flux, error = curves.flux_of(mag, sigma, zero)
                limit = np.isfinite(mag) & ~np.isfinite(sigma)
                good = frame & np.array([m[place : place + 1] == CLEAN and s[place : place + 1] == CLEAN for m, s in zip(moon, spoilt, strict=True)], dtype=bool)
                # an exposure in which the band was not measured is no epoch of it
                time = np.where(np.isfinite(mag), value["mjd"], np.nan)
                parts.append((time, np.where(limit, 0.0, flux), np.where(limit, flux / 2, error), np.full(len(mag), band), good, limit))
            curve = curves.made(curves.Epochs(*(np.concatenate(column) for column in zip(*parts, strict=True))), raw.extra, provenance_of(self, raw))
        if curve is not None:
            yield target, curve


CURVE = NeowiseCurve(
    name="neowise/light_curve", url=URL, release="NEOWISE-R 2024", bands=tuple(ZERO_POINTS), threads=3, citation=CITATION,
    licence="public domain; credit NASA/JPL-Caltech and IRSA", coverage=Coverage("all sky", moc="CDS/P/unWISE/W1"), timeout=180.0,
)  # fmt: skip
