"""Ways to spoil a valid answer, seeded. Some only alter bytes; others alter what is inside and make checksums, lengths and packing right again, so that the parser goes on."""

import base64
import bz2
import gzip
import html
import io
import json
import re
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import packets
import pyarrow as pa
import pyarrow.parquet as pq

Random = np.random.Generator
WORDS: list[Any] = [
    None, True, "", "nan", "inf", "-inf", 1e308, -1e308, 1e39, -1.0, 0, -1, 2**31, 2**63, -(2**63), 2**64, 10**40, "../../outside", "/etc/passwd", "\x00", "a\x00b",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "x" * 5000, "9" * 5000, [], {}, [[]], {"a": {"b": []}}, "2021-13-45T99:00:00", "1e999", "0x10", "١٢", "null", "-9999",
]  # fmt: skip
CARDS = ["0", "-1", "1", "2", "999", "1000000", "99999999999", "-99999", "1E38", "1E309", "-1E-320", "NaN", "T", "F", "''", "'nan'", "'../../outside'", "'<script>x</script>'", "8", "-64", "(1, 2)", ""]
CARD = re.compile(rb"[A-Z][A-Z0-9_\-]{0,7} *= ")
NUMBER = re.compile(rb"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])")


def one(rng: Random, things: Any) -> Any:
    return things[int(rng.integers(len(things)))]


def octets(rng: Random, content: bytes) -> bytes:
    """Bytes altered, cut out, doubled, overwritten, or the end cut off."""
    data = bytearray(content)
    if not data:
        return b"\x00"
    at = int(rng.integers(len(data)))
    length = min(len(data) - at, int(2 ** rng.uniform(0, 10)))
    way = int(rng.integers(7))
    if way == 0:
        return bytes(data[:at])
    if way == 1:
        del data[at : at + length]
    elif way == 2:
        data[at:at] = data[at : at + length]
    elif way == 3:
        data[at : at + length] = one(rng, [b"\x00", b"\xff", b"\x7f", b"A", b"9"]) * length
    elif way == 4:
        data[at : at + length] = rng.bytes(length)
    else:
        for place in rng.integers(len(data), size=int(rng.integers(1, 6))):
            data[place] = int(rng.integers(256)) if way == 5 else data[place] ^ (1 << int(rng.integers(8)))
    return bytes(data)


def cards(rng: Random, content: bytes) -> bytes:
    """One or two values of FITS headers, or numbers among the pixels and cells; the size of the file stays."""
    data = bytearray(content)
    lines = [m.start() for m in CARD.finditer(content) if m.start() % 80 == 0]
    for _ in range(int(rng.integers(1, 3))):
        if lines and rng.random() < 0.6:
            at = one(rng, lines) + 10
            data[at : at + 70] = one(rng, CARDS).rjust(20).ljust(70)[:70].encode()
        else:
            # beyond the first header
            at = int(rng.integers(min(2880, len(data) - 1), len(data)))
            value = one(rng, [">f8", ">f4", ">i4", ">i2"])
            made = np.array([one(rng, [np.nan, np.inf, -np.inf, 1e30, -1.0, 0.0])]).astype(">f8" if value == ">f8" else ">f4") if "f" in value else np.array([one(rng, [-1, 0, 32767, -32768])], value)
            at -= at % made.dtype.itemsize
            data[at : at + made.nbytes] = made.tobytes()
    return bytes(data[: len(content)])


def words(rng: Random, content: bytes) -> bytes:
    """Numbers of a text replaced, or lines left out, doubled, exchanged."""
    if rng.random() < 0.7 and (found := list(NUMBER.finditer(content))):
        for hit in sorted({int(i) for i in rng.integers(len(found), size=int(rng.integers(1, 4)))}, reverse=True):
            word = one(rng, WORDS)
            content = content[: found[hit].start()] + ("" if word is None else str(word)).encode() + content[found[hit].end() :]
        return content
    lines = content.split(b"\n")
    at, other = (int(i) for i in rng.integers(len(lines), size=2))
    lines[at] = one(rng, [lines[other], b"", lines[at] + b"," + lines[at], lines[at][: len(lines[at]) // 2]])
    return b"\n".join(lines)


def votable(rng: Random, content: bytes) -> bytes:
    """A VOTable with other cells: of the packed rows, whose base64 is made right again, or of TD; or with another attribute of a FIELD. It stays well-formed."""
    if b"<VOTABLE" not in content[:2000]:  # another part of an answer of several
        return words(rng, content)
    if rng.random() < 0.3:
        found = list(re.finditer(rb'(?:datatype|arraysize|unit|ucd|name|value|width|precision|null)="[^"]*"', content))
        hit = one(rng, found)
        said = one(rng, ["char", "unicodeChar", "floatComplex", "bit", "short", "double", "*", "2", "3x*", "999999999", "-1", "0", "furlong", "mag", "nan", "../../x", "&lt;script&gt;", "ra", ""])
        return content[: hit.start()] + hit[0].partition(b"=")[0] + b'="' + said.encode() + b'"' + content[hit.end() :]
    stream = re.search(rb'(<STREAM encoding="base64">)([^<]*)(?=</STREAM>)', content)
    if stream:
        body = base64.b64encode(octets(rng, base64.b64decode(stream[2])))
        return content[: stream.start(2)] + body + content[stream.end(2) :]
    cells = list(re.finditer(rb"(?<=<TD>)[^<]*(?=</TD>)", content))
    if not cells:
        return words(rng, content)
    hit = one(rng, cells)
    word = one(rng, [*WORDS, 57000.1, 1e-300, 10.0])
    said = "" if word is None else "".join(c for c in html.escape(str(word)) if c.isprintable())
    return content[: hit.start()] + said.encode() + content[hit.end() :]


def document(rng: Random, content: bytes) -> bytes:
    """A JSON document with another value, a key less, or something very deep at one place."""
    value = json.loads(content)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(value)
    for _ in range(int(rng.integers(1, 3))):
        node, key = one(rng, places)
        if rng.random() < 0.15 and isinstance(node, dict):
            node.pop(key, None)
        elif isinstance(node, dict) or key < len(node):
            node[key] = one(rng, WORDS)
    said = json.dumps(value)
    if rng.random() < 0.03:
        said = said.replace("null", "[" * 100_000, 1)
    return said.replace('"nan"', one(rng, ["NaN", '"nan"'])).replace('"inf"', one(rng, ["Infinity", "1e999", '"inf"'])).encode()


def within(change: Callable[[Random, bytes], bytes]) -> Callable[[Random, bytes], bytes]:
    """The change made to what is packed in gzip or bzip2, packed again."""

    def made(rng: Random, content: bytes) -> bytes:
        for magic, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2)):
            if content.startswith(magic):
                return module.compress(change(rng, module.decompress(content)))
        return change(rng, content)

    return made


def repacked(rng: Random, content: bytes) -> bytes:
    """A ZIP with one file spoilt, doubled or renamed; its checksums are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as pack:
        files = [(info.filename, pack.read(info)) for info in pack.infolist()]
    at = int(rng.integers(len(files)))
    name, body = files[at]
    way = rng.random()
    if way < 0.1:
        files[at] = (one(rng, ["../../outside", "/tmp/outside", "x" * 3000, "a\x00b", ""]) + one(rng, ["", name]), body)
    elif way < 0.15:
        files.append(files[at])
    else:
        files[at] = (name, one(rng, [octets, cards if body.startswith(b"SIMPLE") else words])(rng, body))
    file = io.BytesIO()
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", one(rng, [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])) as pack:
        warnings.simplefilter("ignore")  # two files of one name
        for name, body in files:
            pack.writestr(zipfile.ZipInfo(name or "x"), body)
    return file.getvalue()


def repacketed(rng: Random, content: bytes) -> bytes:
    """An Avro file whose packet holds other values, or whose block is spoilt and announced with its right length."""
    which = packets.ZTF if b"schemavsn" in content else packets.RUBIN
    packet: dict[str, Any] = packets.ztf(history=[packets.seen(2458990.5, 19.0)]) if which is packets.ZTF else packets.rubin(history=[packets.source(60990.0, 4000.0)])
    if rng.random() < 0.4:
        whole = packets.container(which, [packet])
        start = whole.index(packets.SYNC) + len(packets.SYNC)
        body = octets(rng, packets.written(which, packet, {}))
        return whole[:start] + packets.long(1) + packets.binary(body) + packets.SYNC
    known: dict[str, Any] = {}

    def spoilt(schema: Any, value: Any) -> Any:
        """Another value of the same type."""
        if isinstance(schema, list):
            return None if rng.random() < 0.3 else spoilt(next(s for s in schema if s != "null"), value)
        schema = known.get(schema, schema) if isinstance(schema, str) else schema
        if isinstance(schema, dict) and schema["type"] == "record":
            known[schema["name"]] = schema
            if not isinstance(value, dict):
                value = {}
            at = one(rng, schema["fields"])
            return {**value, at["name"]: spoilt(at["type"], value.get(at["name"]))} if value else None
        if isinstance(schema, dict):
            return [spoilt(schema["items"], row) for row in value or [] if row] * int(rng.integers(3))
        if schema == "bytes" and value:
            inner = gzip.decompress(value) if value[:2] == b"\x1f\x8b" else value
            return gzip.compress(one(rng, [cards, octets])(rng, inner))
        return {
            "int": one(rng, [0, -1, 7, 2**31 - 1]), "long": one(rng, [0, -(2**63), 2**63 - 1]), "float": one(rng, [np.nan, np.inf, -np.inf, 3e38, 0.0]),
            "double": one(rng, [np.nan, np.inf, -1e308, 1e308, 0.0]), "string": one(rng, ["", "x" * 5000, "<script>", "a\x00b", "../../x"]), "boolean": True, "bytes": b"",
        }[schema]  # fmt: skip

    for field in which["fields"]:  # names of records that are used again further on
        for part in field["type"] if isinstance(field["type"], list) else [field["type"]]:
            inner = part["items"] if isinstance(part, dict) and part["type"] == "array" else part
            if isinstance(inner, dict):
                known[inner["name"]] = inner
    for _ in range(int(rng.integers(1, 4))):
        made = spoilt(which, packet)
        packet = made if made["diaSource" if which is packets.RUBIN else "candidate"] else packet
    packet = {k: [row for row in v if row] if isinstance(v, list) else v for k, v in packet.items()}
    for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        if which is packets.ZTF and (packet.get(name) is None or None in packet[name].values()):
            packet[name] = {"fileName": "", "stampData": b""}
    return packets.container(which, [packet], one(rng, ["null", "deflate", "bzip2", "xz", "snappy"]))


def rewritten(rng: Random, content: bytes) -> bytes:
    """A Parquet file with a column of other values, another type, or none, in one of its codecs."""
    table = pq.read_table(io.BytesIO(content))
    at = int(rng.integers(table.num_columns))
    name, n = table.column_names[at], table.num_rows
    others = [
        pa.array([None] * n, pa.float64()), pa.array([np.nan] * n), pa.array([np.inf] * n), pa.array([1e308] * n), pa.array([2**62] * n), pa.array(["<script>x</script>"] * n),
        pa.array(["x" * 3000] * n), pa.array([b"\x00\xff"] * n), pa.array([[1.0, 2.0]] * n), pa.array([{"a": 1}] * n), pa.array([True] * n), pa.array([-1] * n, pa.int8()),
        pa.array([0] * n, pa.timestamp("ns")), pa.array(["g"] * n).dictionary_encode(),
    ]  # fmt: skip
    way = rng.random()
    table = table.drop_columns([name]) if way < 0.1 else table.slice(0, 0) if way < 0.15 else table.set_column(at, name, one(rng, others))
    file = io.BytesIO()
    pq.write_table(table, file, compression=one(rng, ["none", "snappy", "gzip", "zstd"]), use_dictionary=bool(rng.integers(2)))
    return file.getvalue()


def strain(rng: Random, content: bytes) -> bytes:
    """An HDF5 file with other attributes, values, shapes or types."""
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as made:
        data = made["strain/Strain"]
        for _ in range(int(rng.integers(1, 3))):
            way = int(rng.integers(4))
            if way == 0:
                data.attrs[one(rng, ["Xstart", "Xspacing", "Npoints"])] = one(rng, ["soon", np.nan, np.inf, -1.0, 0, 1e300, 2**62, np.arange(3.0), 0.5, 1 / 64])
            elif way == 1:
                data[int(rng.integers(len(data)))] = one(rng, [np.nan, np.inf, -np.inf, 1e300])
            elif "quality/simple/DQmask" in made:
                del made["quality/simple/DQmask"]
                new = [np.zeros(0), np.ones((2, 2)), np.full(4, np.nan), np.array(["a"], "S1"), np.full(4, -1), np.full(400, 1), 7, np.full(4, 2**63, np.uint64)]
                if way == 2:
                    made["quality/simple/DQmask"] = one(rng, new)
    return file.getvalue()


def netcdf(rng: Random, content: bytes) -> bytes:
    """A netCDF-4 file (HDF5) with another attribute, value, shape or type in one of its variables."""
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as made:
        name = one(rng, sorted(made))
        data, way = made[name], int(rng.integers(4))
        if way == 0 and len(data.attrs):
            data.attrs[one(rng, sorted(data.attrs))] = one(rng, ["soon", "seconds since 9999-99-99 99:99:99", np.nan, np.inf, -1.0, 2**62, np.arange(3), "", b"\xff", "good_data"])
        elif way == 1 and len(data):
            data[int(rng.integers(len(data)))] = one(rng, [np.nan, np.inf, -np.inf, 1e300]) if data.dtype.kind == "f" else 255
        else:
            kept = dict(data.attrs)
            del made[name]
            new = [np.zeros(0), np.ones((2, 2)), np.full(len(data), np.nan), np.full(len(data), 1e18), np.array(["a"], "S1"), np.full(len(data), -1), 7, np.full(4000, 1.0)]
            if way == 2:
                made[name] = one(rng, new)
                made[name].attrs.update(kept)
    return file.getvalue()


def markup(rng: Random, content: bytes) -> bytes:
    """A page or feed with a tag left out, doubled, unclosed or very deep, or with other words between the tags."""
    tags = list(re.finditer(rb"<[^<>]*>", content))
    hit = one(rng, tags)
    new = one(rng, [b"", hit[0] * 2, hit[0][:-1], hit[0] * 3000, b"<!--" + hit[0], b"<script>alert(1)</script>", b"&#x110000;", b"&bogus;", b"<![CDATA[", b"\x00", b"<td>" * 50, hit[0] + b"x" * 5000])
    return content[: hit.start()] + new + content[hit.end() :]


def fitting(rng: Random, content: bytes) -> bytes:
    """A change in the way of whatever format these bytes are."""
    head = content[:2000].lstrip()
    form = (
        "FITS image" if head.startswith(b"SIMPLE") else "VOTable" if b"<VOTABLE" in head else "JSON" if head[:1] in (b"{", b"[") and b"}\n{" not in content else "page" if head[:1] == b"<"
        else "ZIP" if head.startswith(b"PK") else "Parquet" if head.startswith(b"PAR1") else "CSV"
    )  # fmt: skip
    return one(rng, CHANGES[form])(rng, content)


CHANGES: dict[str, tuple[Callable[[Random, bytes], bytes], ...]] = {
    **dict.fromkeys(("FITS image", "FITS spectrum", "FITS light curve", "sky map"), (octets, within(octets), within(cards), within(cards))),
    "VOTable": (octets, words, votable, votable), "CSV": (octets, words, words), "JSON": (octets, words, document, document), "Avro": (octets, repacketed, repacketed),
    "Parquet": (octets, rewritten), "ZIP": (octets, repacked, repacked), "HDF5": (octets, strain, strain),
    "netCDF": (octets, netcdf, netcdf), "page": (octets, words, markup, markup), "VO services": (fitting,), "own": (fitting,),
}  # fmt: skip


def changed(form: str, rng: Random, bodies: list[bytes]) -> list[bytes]:
    """The bodies with one of them spoilt in a way of its format; never the same as before."""
    while True:
        at = int(rng.integers(len(bodies)))
        body = one(rng, CHANGES[form])(rng, bodies[at])
        if body != bodies[at]:
            return [*bodies[:at], body, *bodies[at + 1 :]]
