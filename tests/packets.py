"""Alert packets as tests need them: a small Avro writer, and packets in ZTF's and Rubin's schemas (the fields that are read, with the names and types of
https://github.com/ZwickyTransientFacility/ztf-avro-alert 4.02 and https://github.com/lsst/alert_packet 10.0)."""

import bz2
import gzip
import io
import json
import lzma
import struct
import zlib

import numpy as np
import pyarrow as pa
from astropy.io import fits

SYNC = bytes(range(16))


def long(value):
    value, made = (value << 1) ^ (value >> 63), bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def binary(value):
    value = value.encode() if isinstance(value, str) else value
    return long(len(value)) + value


def written(schema, value, known):
    """One value in Avro's binary encoding. A union takes null for None and its other branch else."""
    if isinstance(schema, list):
        which = schema.index("null") if value is None else next(i for i, s in enumerate(schema) if s != "null")
        return long(which) + written(schema[which], value, known)
    if isinstance(schema, dict) and schema["type"] == "record":
        known[schema["name"]] = schema
        return b"".join(written(f["type"], value.get(f["name"]), known) for f in schema["fields"])
    if isinstance(schema, dict) and schema["type"] == "array":
        return (long(len(value)) + b"".join(written(schema["items"], v, known) for v in value) if value else b"") + long(0)
    if isinstance(schema, str) and schema in known:
        return written(known[schema], value, known)
    kinds = {
        "null": lambda v: b"", "int": long, "long": long, "float": lambda v: struct.pack("<f", v), "double": lambda v: struct.pack("<d", v), "string": binary,
        "bytes": binary, "boolean": lambda v: bytes([bool(v)]),
    }  # fmt: skip
    return kinds[schema](value)


def container(schema, records, codec="null", blocks=1):
    """An Avro object container file."""
    packed = {
        "null": lambda b: b, "deflate": lambda b: zlib.compress(b)[2:-4], "bzip2": bz2.compress, "xz": lzma.compress,
        "snappy": lambda b: pa.compress(b, codec="snappy", asbytes=True) + zlib.crc32(b).to_bytes(4, "big"),
    }[codec]  # fmt: skip
    file = io.BytesIO()
    file.write(b"Obj\x01" + long(2) + binary("avro.schema") + binary(json.dumps(schema)) + binary("avro.codec") + binary(codec) + long(0) + SYNC)
    size = -(-len(records) // blocks)
    for part in range(0, len(records), max(1, size)):
        body = packed(b"".join(written(schema, r, {}) for r in records[part : part + size]))
        file.write(long(len(records[part : part + size])) + long(len(body)) + body + SYNC)
    return file.getvalue()


def maybe(kind):
    return ["null", kind]


def record(name, **fields):
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields.items()]}


MEASURED = {
    "jd": "double", "fid": "int", "pid": "long", "diffmaglim": maybe("float"), "isdiffpos": maybe("string"), "candid": maybe("long"), "ra": maybe("double"),
    "dec": maybe("double"), "magpsf": maybe("float"), "sigmapsf": maybe("float"), "rb": maybe("float"), "distnr": maybe("float"), "classtar": maybe("float"),
    "ssdistnr": maybe("float"), "ssnamenr": maybe("string"),
}  # fmt: skip
FORCED = {
    "jd": "double", "fid": "int", "magzpsci": maybe("float"), "forcediffimflux": maybe("float"), "forcediffimfluxunc": maybe("float"), "procstatus": maybe("string"),
}  # fmt: skip
CUTOUT = record("cutout", fileName="string", stampData="bytes")
ZTF = record(
    "alert", schemavsn="string", publisher="string", objectId="string", candid="long", candidate=record("candidate", **MEASURED),
    prv_candidates=maybe({"type": "array", "items": record("prv_candidate", **MEASURED)}), fp_hists=maybe({"type": "array", "items": record("fp_hist", **FORCED)}),
    cutoutScience=maybe(CUTOUT), cutoutTemplate=maybe("cutout"), cutoutDifference=maybe("cutout"),
)  # fmt: skip
SOURCE = {
    "diaSourceId": "long", "visit": "long", "diaObjectId": maybe("long"), "ssObjectId": maybe("long"), "midpointMjdTai": "double", "ra": "double", "dec": "double",
    "psfFlux": maybe("float"), "psfFluxErr": maybe("float"), "psfFlux_flag": maybe("boolean"), "snr": maybe("float"), "reliability": maybe("float"), "band": maybe("string"),
}  # fmt: skip
RUBIN = record(
    "alert", diaSourceId="long", diaSource=record("diaSource", **SOURCE), prvDiaSources=maybe({"type": "array", "items": "diaSource"}),
    prvDiaForcedSources=maybe({"type": "array", "items": record("diaForcedSource", midpointMjdTai="double", psfFlux=maybe("float"), psfFluxErr=maybe("float"), band=maybe("string"))}),
    cutoutDifference=maybe("bytes"), cutoutScience=maybe("bytes"), cutoutTemplate=maybe("bytes"),
)  # fmt: skip


def stamp(level, side=63, unit="DN", wcs=False):
    header = fits.Header()
    header["BUNIT"] = unit
    if wcs:
        for key, value in {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 53.0, "CRVAL2": -28.0, "CRPIX1": 1.0, "CRPIX2": 1.0, "CDELT1": -2e-4, "CDELT2": 2e-4}.items():
            header[key] = value
    file = io.BytesIO()
    fits.PrimaryHDU(np.full((side, side), level, dtype=np.float32), header).writeto(file)
    return file.getvalue()


def cutouts(level=1.0, side=63):
    names = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
    return {name: {"fileName": f"{name}.fits.gz", "stampData": gzip.compress(stamp(level + i, side))} for i, name in enumerate(names)}


def seen(jd, mag, sigma=0.1, fid=1, sign="t", **more):
    return {"jd": jd, "fid": fid, "pid": 1, "diffmaglim": 20.5, "isdiffpos": sign, "candid": int(jd * 1000), "ra": 150.0, "dec": 20.0, "magpsf": mag,
            "sigmapsf": sigma, "rb": 0.9, "distnr": 0.3, "classtar": 0.98, "ssdistnr": -999.0, "ssnamenr": "null", **more}  # fmt: skip


def unseen(jd, limit, fid=1):
    return {"jd": jd, "fid": fid, "pid": 1, "diffmaglim": limit}


def ztf(name="ZTF19abguqsi", candid=1001, jd=2459000.5, history=(), mag=18.0, **more):
    return {"schemavsn": "4.02", "publisher": "ZTF (www.ztf.caltech.edu)", "objectId": name, "candid": candid, "candidate": seen(jd, mag, candid=candid, **more),
            "prv_candidates": list(history) or None, "fp_hists": None, **cutouts()}  # fmt: skip


def source(mjd, flux, number=1, band="r", flag=False, name=77):
    return {"diaSourceId": number, "visit": 5, "diaObjectId": name, "ssObjectId": None, "midpointMjdTai": mjd, "ra": 53.0, "dec": -28.0, "psfFlux": flux,
            "psfFluxErr": 100.0, "psfFlux_flag": flag, "snr": 12.0, "reliability": 0.8, "band": band}  # fmt: skip


def rubin(number=9001, mjd=61000.0, history=()):
    return {"diaSourceId": number, "diaSource": source(mjd, -5000.0, number), "prvDiaSources": list(history) or None,
            "prvDiaForcedSources": [{"midpointMjdTai": mjd - 1, "psfFlux": 10.0, "psfFluxErr": 90.0, "band": "g"}],
            "cutoutScience": stamp(1000.0, 30, "nJy", True), "cutoutTemplate": stamp(900.0, 30, "nJy", True), "cutoutDifference": stamp(100.0, 30, "nJy", True)}  # fmt: skip
