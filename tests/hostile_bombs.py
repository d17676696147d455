"""Small answers that claim or unpack to much, or lead a parser where it does not come back from; each is to be refused."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable

import h5py
import numpy as np
import packets
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from hostile_seeds import PLACE, TARGET, Seed, alerts, parquet_of, seed, tiled
from image_server import fits_file, tan
from test_curves import STARS, ZTF
from test_sun import disk

from astrofuse_lab.modalities import LightCurve
from astrofuse_lab.surveys.asassn import NEEDED

MUCH = 64 * 1024**2
TEXT = packets.record("r", a="bytes")


def many(packed: Callable[[bytes], bytes], begin: bytes = b"") -> bytes:
    """Two thirds of a gigabyte, in some members that follow each other."""
    return packed(begin.ljust(MUCH, b" ")) + packed(bytes(MUCH)) * 10


def zipped(name: str, parts: int) -> bytes:
    """One file of so many times 64 MB."""
    file, info = io.BytesIO(), zipfile.ZipInfo(name)
    info.compress_type, info._compresslevel = zipfile.ZIP_DEFLATED, 1
    with zipfile.ZipFile(file, "w") as pack, pack.open(info, "w", force_zip64=True) as one:
        for _ in range(parts):
            one.write(bytes(MUCH))
    return file.getvalue()


def tile(kind: str, packed: bytes, column: str = "COMPRESSED_DATA") -> bytes:
    """A FITS image of one tile that unpacks to what it likes."""
    header = fits.Header({"ZIMAGE": True, "ZCMPTYPE": kind, "ZBITPIX": 16, "ZNAXIS": 2, "ZNAXIS1": 32, "ZNAXIS2": 32, "ZTILE1": 32, "ZTILE2": 32})
    empty, cells = np.zeros(0, np.uint8), np.empty(1, object)
    cells[0] = np.frombuffer(packed, np.uint8)
    columns = [fits.Column(column, "1PB()", array=cells)]
    if column != "COMPRESSED_DATA":
        none = np.empty(1, object)
        none[0] = empty
        columns.append(fits.Column("COMPRESSED_DATA", "1PB()", array=none))
    table = fits.BinTableHDU.from_columns(columns, header)
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(file)
    return file.getvalue()


def sun(content: bytes) -> Seed:
    return seed("sdo/aia", content, bands=["171"])


def avro(block: bytes, codec: str) -> Seed:
    head = b"Obj\x01" + packets.long(2) + packets.binary("avro.schema") + packets.binary(json.dumps(TEXT)) + packets.binary("avro.codec") + packets.binary(codec) + packets.long(0)
    return alerts(LightCurve, head + packets.SYNC + packets.long(1) + packets.binary(block) + packets.SYNC)


def strain() -> Seed:
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made.create_dataset("strain/Strain", shape=(2**33,), dtype="f8", chunks=(2**16,), compression="gzip")
        made["quality/simple/DQmask"] = np.ones(32)
    return seed("gwosc/strain", file.getvalue(), detectors=["H1"], window=32.0, gps=None)


def chunk() -> Seed:
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        data = made.create_dataset("strain/Strain", shape=(2**25,), dtype="f8", chunks=(2**25,), compression="gzip")
        data.id.write_direct_chunk((0,), zlib.compress(bytes(1000)))
        made["quality/simple/DQmask"] = np.ones(32)
    return seed("gwosc/strain", file.getvalue(), detectors=["H1"], window=32.0, gps=None)


def dictionary(nested: bool) -> Seed:
    """A megabyte a row for half a million rows, written once; and inside a record."""
    n, file = 500_000, io.BytesIO()
    rows = pa.array(np.zeros(n, np.int32))
    if nested:
        stamps = pa.StructArray.from_arrays([pa.DictionaryArray.from_arrays(rows, pa.array([bytes(2**20)]))], ["stampData"])
        pq.write_table(pa.table({"objectId": ["Z"] * n, "cutoutScience": stamps}), file, compression="zstd")
        return alerts(LightCurve, file.getvalue())
    columns: dict[str, object] = {name: np.zeros(n) for name in NEEDED}
    columns |= {"asas_sn_id": np.full(n, 70), "phot_filter": pa.DictionaryArray.from_arrays(rows, pa.array(["x" * 2**20]))}
    pq.write_table(pa.table(columns), file, compression="zstd")
    return seed("asassn/light_curve", STARS, file.getvalue(), **PLACE)


def rice(**values: object) -> bytes:
    content = tiled("RICE_1")
    for name, value in values.items():
        at = content.index(name.ljust(8).encode() + b"= ")
        content = content[: at + 10] + str(value).rjust(20).encode().ljust(70) + content[at + 80 :]
    return content


BOMBS: dict[str, Callable[[], Seed]] = {
    "gzip": lambda: seed("neowise/light_curve", many(gzip.compress), lengths=False, **PLACE),
    "bz2": lambda: seed("sdss/spectrum", many(bz2.compress, b"SIMPLE  =                    T")),
    "xz": lambda: seed("ztf/light_curve", many(lzma.compress, ZTF.encode()), lengths=False, **PLACE),
    "zip of VOTables": lambda: seed("gaia/xp", zipped("XP_SAMPLED-Gaia DR3 7.xml", 5), lengths=False, sources={TARGET: "7"}),
    "zip of FITS": lambda: seed("hst/deep_field_image", zipped("hst_f606w.fits", 9)),
    "gzip tile": lambda: sun(tile("GZIP_1", many(gzip.compress))),
    "gzip tile of another column": lambda: sun(tile("RICE_1", many(gzip.compress), "GZIP_COMPRESSED_DATA")),
    "tiles of a huge image": lambda: sun(rice(ZNAXIS1=200_000, ZNAXIS2=200_000)),
    "RICE blocks of no pixels": lambda: sun(rice(ZVAL1=0)),
    "RICE blocks of less": lambda: sun(rice(ZVAL1=-64)),
    "RICE numbers of no size": lambda: sun(rice(ZVAL2=0)),
    "HCOMPRESS": lambda: sun(tiled("HCOMPRESS_1")),
    "PLIO": lambda: sun(tiled("PLIO_1")),
    "unit of negative length": lambda: sun(disk().replace(b"NAXIS2  =                    8", b"NAXIS2  =                 -800")),
    "distortion of high order": lambda: seed("hips/sdss", *(fits_file((np.ones((8, 8)), {**tan(10.0 + i, 5.0, 8, 0.5), "A_ORDER": 99_999, "B_ORDER": 99_999})) for i in range(2)), bands=["g", "r"]),
    "Avro deflate": lambda: avro(zlib.compress(packets.long(5 * MUCH) + bytes(5 * MUCH))[2:-4], "deflate"),
    "Avro snappy": lambda: avro(b"\xff\xff\xff\xff\x0f" + bytes(400), "snappy"),
    "Avro bzip2": lambda: avro(bz2.compress(packets.long(5 * MUCH) + bytes(5 * MUCH)), "bzip2"),
    "Parquet dictionary": lambda: dictionary(False),
    "Parquet dictionary inside a record": lambda: dictionary(True),
    "Parquet of many rows": lambda: alerts(LightCurve, parquet_of(*[{"objectId": None}] * 6_000_000)),
    "HDF5 without chunks": strain,
    "HDF5 chunk": chunk,
    "JSON, very deep": lambda: seed("gracedb/table", b'{"a": ' + b"[" * 2_000_000, lengths=False),
    "CSV of many columns": lambda: seed("ztf/light_curve", (ZTF.split("\n")[0] + "," * 3_000_000).encode() + b"\n" + b"," * 3_000_050, lengths=False, **PLACE),
    "VOTable cell": lambda: seed(
        "neowise/light_curve", b'<VOTABLE version="1.4"><RESOURCE><TABLE><FIELD name="ra" datatype="double" arraysize="99999999999"/><DATA><TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>', lengths=False, **PLACE,
    ),
}  # fmt: skip
