"""Radio continuum images of ASKAP from CASDA: found by SIA2, cut by SODA.

Sources: https://research.csiro.au/casda/virtual-observatory-services/; SIA 2.0 (``POS=CIRCLE ra dec radius``; columns of
ObsCore with ``dataproduct_subtype`` and ``obs_release_date``), DataLink 1.0 (``authenticated_id_token`` of the row with
``service_def = cutout_service``), SODA 1.0 async with UWS (``ID``, ``POS``; phases; results by ``xlink:href``). Answers of each
step ship with astroquery (astroquery/casda/tests/data), whose client does the same.

Anyone may search; pixels are handed to registered users, also of public data. An OPAL account is free
(https://opal.atnf.csiro.au/register). Its name and password are read from the environment, OPAL_USERNAME and OPAL_PASSWORD,
sent to CASDA alone and written nowhere.
"""

import io
import math
import os
import time as clock
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.modalities import Image, Modality
from astrofuse_lab.surveys import formats, pixels, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

KIND = "cont.restored.t0"  # restored total-intensity continuum
SERVICE = "cutout_service"
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
HREF = "{http://www.w3.org/1999/xlink}href"
WORKING = ("PENDING", "QUEUED", "EXECUTING", "SUSPENDED")
COLUMNS = ("dataproduct_subtype", "access_url", "s_ra", "s_dec", "t_min", "t_max", "obs_release_date", "quality_level", "pol_states")
LARGEST_SIDE = 3600
HOSTS = ("casda.csiro.au", "data.csiro.au")
ACCOUNT = (
    "CASDA hands out pixels to registered users only, also of public data. An account is free (https://opal.atnf.csiro.au/register): "
    "set its name and password as OPAL_USERNAME and OPAL_PASSWORD in the environment. hips/racs needs none"
)


@dataclass
class CasdaImage(Archive):
    """The public continuum image whose centre is nearest to each target, as surface brightness.

    Attributes
    ----------
    poll : float
        Seconds between looks at a cutout in the making.
    patience : float
        Seconds after which it is given up, to be asked for again.
    """

    _: KW_ONLY
    name: str = "casda/image"
    gives: type = Image
    url: str = "https://casda.csiro.au/casda_vo_tools/sia2/query"
    citation: str = (
        "This paper includes archived data obtained through the CSIRO ASKAP Science Data Archive, CASDA (http://data.csiro.au). The ASKAP radio telescope is "
        "part of the Australia Telescope National Facility, which is managed by CSIRO. Cite Hotan et al. 2021, PASA 38, e009."
    )
    licence: str = "CC-BY-4.0"
    release: str = "public data"
    bands: tuple[str, ...] = ("I",)
    coverage: Coverage = Coverage("south of +50 deg", (-90.0, 50.0))
    scale: float | None = 2.5
    threads: int = 2
    poll: float = 5.0
    patience: float = 240.0

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """A search a target; then a datalink, a job and a file of the image chosen."""
        self.chosen(ask)
        self.chosen_bands(ask.bands)
        pixels.side_of(self, ask, LARGEST_SIDE)
        for target in targets:
            # the corner of the square is to be in the circle
            circle = f"CIRCLE {target.ra:.7f} {target.dec:.7f} {ask.size / 3600 / math.sqrt(2):.7f}"
            content, _, address = transport.ask(self, target=target.object_id, params={"POS": circle})
            row = self._nearest(content, target, target.time or ask.time)
            files = [self._cutout(str(row["access_url"]), circle, target)] if row else []
            when = [row["t_min"], row["t_max"]] if row else []
            yield pixels.pack(self, target.object_id, files, address, times=[t for t in when if t is not None])

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """The image, in MJy / sr; nothing where ASKAP has no public one."""
        target = raw.target_ids[0]
        files = pixels.unpack(self.name, raw)
        if not files:
            return
        unit = pixels.opened(files[0], self.name, "I", target)[0]
        with formats.reading(self.name, "ASKAP image", target):
            said, area = str(unit.header["BUNIT"]), pixels.beam_area(unit.header)
            if pixels.beamless(said) != "Jy" or area is None:
                raise ValueError(f"unit {said}, beam {unit.header.get('BMAJ')} x {unit.header.get('BMIN')} deg")
            beam = area * math.radians(1) ** 2  # sr
            times: Any = raw.extra.get("times")
            got = pixels.image(
                self, raw, [pixels.plane(unit, 1e-6 / beam)], self.bands, unit="MJy / sr",
                time=sum(times) / len(times) if times else None, psf=[3600 * math.sqrt(unit.header["BMAJ"] * unit.header["BMIN"])],
            )  # fmt: skip
        if got is not None:
            yield target, got

    def _nearest(self, content: bytes, target: Target, when: tuple[float, float] | None) -> dict[str, Any] | None:
        """The released image whose centre is nearest, those of good quality first; None where there is none."""
        table = formats.votable(content, self.name, COLUMNS, target.object_id)
        if formats.votable_status(content) == "OVERFLOW":
            raise ArchiveError(self.name, "CASDA cut its list of images short. Give a smaller size.", target.object_id)
        now, found = datetime.now(UTC).isoformat(), []
        for row in table:
            one = {name: formats.plain(row[name]) for name in COLUMNS}
            public = bool(one["obs_release_date"]) and str(one["obs_release_date"]) < now
            if one["dataproduct_subtype"] != KIND or not public or not one["access_url"] or None in (one["s_ra"], one["s_dec"]):
                continue
            if when is not None and None not in (one["t_min"], one["t_max"]) and (one["t_max"] < when[0] or one["t_min"] > when[1]):
                continue
            away = math.hypot(((one["s_ra"] - target.ra + 180) % 360 - 180) * math.cos(math.radians(target.dec)), one["s_dec"] - target.dec)
            found.append((one["quality_level"] != "GOOD", away, one))
        return min(found, key=lambda item: item[:2])[2] if found else None

    def _cutout(self, link: str, circle: str, target: Target) -> bytes:
        """One FITS file, made by a job of the archive."""
        name, word = os.environ.get("OPAL_USERNAME"), os.environ.get("OPAL_PASSWORD")
        there, here = urlsplit(link), urlsplit(self.url)
        if there.scheme != "https" and there.netloc != here.netloc:
            raise ArchiveError(self.name, f"the archive names an address that is not HTTPS: {link[:200]}", target.object_id)
        own = there.netloc == here.netloc or there.hostname in HOSTS  # the password goes to nobody else
        secret: dict[str, Any] = {"auth": (name, word)} if name and word and own else {}
        try:
            content, _, _ = transport.ask(self, link, target=target.object_id, **secret)
        except ArchiveError as error:
            raise ArchiveError(self.name, f"{ACCOUNT}. {error}", target.object_id) if "login" in str(error) and not secret else error from None
        service, token = self._service(content, target.object_id)
        if not token:
            raise ArchiveError(self.name, ACCOUNT if not secret else "this OPAL account has no access to the image", target.object_id)
        _, _, job = transport.ask(self, service, target=target.object_id, method="POST", params={"ID": token})
        transport.ask(self, f"{job}/parameters", target=target.object_id, method="POST", data={"POS": circle})
        transport.ask(self, f"{job}/phase", target=target.object_id, method="POST", data={"phase": "RUN"})
        return transport.ask(self, self._wait(job, target.object_id), target=target.object_id)[0]

    def _service(self, content: bytes, target: str) -> tuple[str, str | None]:
        """Address of the cutout service, and the token that stands for the image there."""
        from astropy.io.votable import parse

        rows = formats.votable(content, self.name, ("service_def", "authenticated_id_token"), target)
        tokens = [formats.plain(row["authenticated_id_token"]) for row in rows if formats.plain(row["service_def"]) == SERVICE]
        with formats.reading(self.name, "datalink document", target):
            resources = parse(io.BytesIO(content), verify="ignore").resources
            addresses = [str(p.value) for r in resources if r.ID == SERVICE for p in r.params if p.name == "accessURL"]
        if tokens and tokens[0] and not addresses:
            raise ArchiveError(self.name, "the datalink document does not say where cutouts are made", target)
        return (addresses or [""])[0], tokens[0] if tokens else None

    def _wait(self, job: str, target: str) -> str:
        """Address of the file that a job has made."""
        end = clock.monotonic() + self.patience
        while True:
            content, _, _ = transport.ask(self, job, target=target)
            phase, files = job_of(content, self.name, target)
            if phase == "COMPLETED" and files:
                return files[0]
            if phase not in WORKING:
                raise ArchiveError(self.name, f"the cutout was not made: the job ended as {phase}. {transport.words(content)}", target)
            if clock.monotonic() > end:
                raise ArchiveError(self.name, f"the cutout was not ready after {self.patience:.0f} s", target, transient=True)
            clock.sleep(self.poll)


def job_of(content: bytes, survey: str, target: str) -> tuple[str, list[str]]:
    """Phase of a UWS job and the addresses of its files, checksums left out."""
    with formats.reading(survey, "job description", target):
        if b"<!DOCTYPE" in content[:2000] or b"<!ENTITY" in content:
            raise ValueError("it declares entities")
        root = ElementTree.fromstring(content)  # noqa: S314  entities are refused above
        phase = (root.findtext(f"{UWS}phase") or "unknown").strip()
        hrefs = [unquote(str(one.get(HREF))) for one in root.iterfind(f"{UWS}results/{UWS}result")]
        return phase, [href for href in hrefs if not href.endswith(".checksum")]


IMAGE = CasdaImage()
