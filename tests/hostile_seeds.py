"""Valid answers of archives, by format, for `hostile_changes` to spoil and `hostile_reading` to read: small, in the documented layouts that each archive's own tests write."""

import gzip
import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import packets
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.io.votable import parse
from image_server import fits_file, tan
from loopback import Archive
from test_alert_packets import HISTORY
from test_brokers import DETECTIONS, FINK, LASAIR, LIMITS
from test_calibrated_images import legacy_file
from test_catalogues_of_events import BURSTS, HEADER
from test_curves import BLOCK, STARS, ZTF, exposures
from test_gaia_spectra import light_curve, spectrum, zipped
from test_gravitational_waves import EVENTS, SUPEREVENT, hdf5
from test_lamost import FLUX, lamost_file
from test_mast_cutouts import packed
from test_sdss import apstar, photo_rows, spec_file
from test_sdss_frames import frame
from test_sky_maps import flat, multi_order
from test_space_curves import curve_file
from test_sun import disk

from astrofuse_lab import surveys
from astrofuse_lab.modalities import Image, LightCurve, TableRow
from astrofuse_lab.surveys.alert_packets import AlertPackets
from astrofuse_lab.surveys.gaia import gaia_table
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

TARGET = "the target"
PLACE = {"at": [298.0025, 29.87147], "radius": 5.0}


@dataclass
class Seed:
    """One valid answer: the bodies that it is made of, and what `query` would tell `read` about them (``lengths`` are added where it tells them)."""

    survey: Any
    bodies: list[bytes]
    extra: dict[str, object] = field(default_factory=dict)
    targets: tuple[str, ...] = (TARGET,)
    lengths: bool = True

    def raw(self, bodies: list[bytes]) -> Raw:
        """The answer with other bodies."""
        extra = {**self.extra, **({"lengths": [len(body) for body in bodies]} if self.lengths else {})}
        return Raw(self.survey.name, self.targets, b"".join(bodies), "https://example.org/query", extra=extra)


def seed(name: str, *bodies: bytes, lengths: bool = True, targets: tuple[str, ...] = (TARGET,), **extra: object) -> Seed:
    """An answer of a survey in the table."""
    return Seed(surveys.get(name), list(bodies), extra, targets, lengths)


def alerts(gives: type, content: bytes) -> Seed:
    """An answer of `alerts`, the survey of files of packets."""
    return Seed(AlertPackets(name="alerts/any", gives=gives, url="", citation="", licence="", release="", files=()), [content])


def in_form(content: bytes, form: str) -> bytes:
    """A VOTable in another serialisation."""
    file = io.BytesIO()
    parse(io.BytesIO(content)).to_xml(file, tabledata_format=form)
    return file.getvalue()


def gaia() -> Seed:
    """What the archive of the tests answers about two targets."""
    server = Archive()
    try:
        survey = gaia_table(url=f"{server.url}/tap", timeout=20.0)
        (raw,) = survey.query(Targets([Target("one", 10.0, 5.0), Target("two", 12.0002, 5.0)]), Ask())
    finally:
        server.close()
    return Seed(survey, [raw.content], dict(raw.extra), raw.target_ids, lengths=False)


def parquet_of(*records: dict) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(records)), file)
    return file.getvalue()


def tiled(kind: str, number: type = np.int16) -> bytes:
    """An image of the Sun, compressed by tiles."""
    with fits.open(io.BytesIO(disk())) as units:
        picture = fits.CompImageHDU(np.arange(1024, dtype=number).reshape(32, 32) % 7, units[0].header, compression_type=kind)
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), picture]).writeto(file)
    return file.getvalue()


def images() -> list[Seed]:
    sip = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-6, "B_0_2": 1e-6, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    two = [fits_file((np.full((8, 8), 1.0 + i, np.float32), {**tan(10.0, 5.0, 8, 0.5), **(sip if i else {})})) for i in range(2)]
    place = {"noise": {"r": [4.7, 1.2], "i": [4.8, 6.0]}, "ra": 150.0, "dec": 2.2, "side": 20}
    return [
        seed("legacy/image", legacy_file()), seed("hips/sdss", *two, bands=["g", "r"]), seed("sdss/image", frame(), frame(shift=2), bands=["r", "i"], **place),
        *(seed("sdo/aia", tiled(kind), disk(32), bands=["171", "94"]) for kind in ("RICE_1", "GZIP_1", "GZIP_2")),
        seed("sdo/aia", tiled("RICE_1", np.float32), bands=["171"]),
    ]  # fmt: skip


def spectra() -> list[Seed]:
    bad = np.arange(60) == 7
    return [
        seed("sdss/spectrum", spec_file(), mjd=55181), seed("apogee/spectrum", apstar()), seed("lamost/spectrum", gzip.compress(lamost_file(FLUX, np.full(60, 4.0), bad))),
        seed("lamost/spectrum", lamost_file(FLUX, np.full(60, 4.0), bad, True)),
    ]  # fmt: skip


def votables() -> list[Seed]:
    shown = exposures()
    return [gaia(), *(seed("neowise/light_curve", in_form(shown, form), lengths=False, **PLACE) for form in ("binary2", "binary", "tabledata")), seed("neowise/light_curve", shown, **PLACE)]


def avro() -> list[Seed]:
    ztf, rubin = packets.container(packets.ZTF, [packets.ztf(history=HISTORY)]), packets.container(packets.RUBIN, [packets.rubin()], "deflate")
    return [alerts(kind, content) for content in (ztf, rubin) for kind in (LightCurve, Image, TableRow)]


def parquet() -> list[Seed]:
    return [seed("asassn/light_curve", STARS, BLOCK, **PLACE), *(alerts(kind, parquet_of(packets.ztf(history=HISTORY))) for kind in (LightCurve, Image, TableRow))]


def csv() -> list[Seed]:
    bursts = "\n".join([HEADER, *BURSTS]).encode()
    return [
        seed("ztf/light_curve", ZTF.encode(), lengths=False, **PLACE), seed("sdss/table", photo_rows().encode(), lengths=False, targets=("one", "two"), radius=3.0),
        seed("chime/table", bursts, lengths=False, radius=3600.0, places={TARGET: [93.42, 67.07]}, names={TARGET: "FRB20180725A"}),
    ]  # fmt: skip


def documents() -> list[Seed]:
    def of(name: str, value: object, **more: Any) -> Seed:
        return seed(name, json.dumps(value).encode(), **more)

    record = {"sparcl_id": "i", "wavelength": [3600.0, 3600.8, 3601.6], "flux": [1.0, None, 3.0], "ivar": [4.0, 4.0, 0.0], "mask": [0, 0, 0], "dateobs_center": "2021-05-14T00:00:00Z"}
    return [
        of("fink/light_curve", FINK), of("lasair/light_curve", {"objectId": "Z", "candidates": LASAIR}), of("alerce/light_curve", {"detections": DETECTIONS, "non_detections": LIMITS}),
        of("gwosc/table", {"next": None, "results": EVENTS}, names={TARGET: "GW150914"}), of("gracedb/table", SUPEREVENT, lengths=False),
        of("desi/spectrum", [{"status": {"success": True}}, record], lengths=False, ids={TARGET: "i"}, fields={}),
    ]  # fmt: skip


def zips() -> list[Seed]:
    curve, xp = zipped(EPOCH_PHOTOMETRY__7=light_curve()), zipped(XP_SAMPLED__7=spectrum(n=60))
    with fits.open(io.BytesIO(fits_file((np.ones((8, 8)), tan(189.0, 62.0, 8, 0.03)), empty_first=True))) as units:
        units[1].header.update({"FILTER": "F606W", "PHOTFLAM": 8e-20, "PHOTPLAM": 5921.0, "BUNIT": "ELECTRONS/S"})
        units[0].header["FILTER"] = "F606W"
        file = io.BytesIO()
        units.writeto(file)
    return [
        seed("gaia/xp", xp, lengths=False, sources={TARGET: "7"}), seed("gaia/light_curve", curve, lengths=False, sources={TARGET: "7"}),
        seed("hst/deep_field_image", packed(hst_f606w__fits=file.getvalue())),
    ]  # fmt: skip


def sky_maps() -> list[Seed]:
    whole = [multi_order(), gzip.compress(multi_order()), flat(2, np.full(48, 1 / 48), "RING")]
    return [seed("gracedb/sky_map", content, lengths=False) for content in whole]


def strain() -> list[Seed]:
    plain = [hdf5(seconds=4, dq=np.full(4, 127, np.uint32)), hdf5(seconds=4, dq=np.full(4, 127, np.uint32), compression="gzip", chunks=(64,), shuffle=True)]
    return [seed("gwosc/strain", content, detectors=["H1"], window=32.0, gps=None) for content in plain]


MAKERS = {
    "FITS image": images, "FITS spectrum": spectra, "FITS light curve": lambda: [seed(f"{m}/light_curve", curve_file(1325.0, mission=n)) for m, n in (("tess", "TESS"), ("kepler", "Kepler"))],
    "VOTable": votables, "Avro": avro, "Parquet": parquet, "CSV": csv, "JSON": documents, "ZIP": zips, "sky map": sky_maps, "HDF5": strain,
}  # fmt: skip
