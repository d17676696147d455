"""Avro object container files, read in plain Python within fixed limits; nothing is installed for it and nothing a packet says is trusted.

Source: Apache Avro 1.11.1 specification (https://avro.apache.org/docs/1.11.1/specification/: schemas, binary encoding, object container files, codecs null,
deflate, bzip2, snappy, xz); Snappy's raw format (https://github.com/google/snappy/blob/main/format_description.txt).

A file's schema says how its bytes are to be read; it is compiled to functions once and kept, since all packets of a stream share it. Every length is compared
with what is left, every value counts towards a limit, and types that hold themselves may go only so deep.
"""

import bz2
import json
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from astrofuse_lab.errors import ArchiveError

MAGIC = b"Obj\x01"
LARGEST = 256 * 1024**2
"""Bytes that one block may unpack to."""
LARGEST_SCHEMA = 4 * 1024**2
MOST_VALUES = 20_000_000
"""Values in one file; a value of no bytes (null in an array) counts as well."""
MOST_PACKETS = 1_000_000
DEEPEST = 48
_PRIMITIVE = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")


class AvroError(ValueError):
    """Bytes that are no Avro, or more of it than is read."""


class _Cursor:
    """Where reading has come to in a block."""

    __slots__ = ("at", "data", "depth", "end", "left")

    def __init__(self, data: bytes, left: int = MOST_VALUES) -> None:
        self.data, self.at, self.end, self.left, self.depth = data, 0, len(data), left, 0

    def take(self, size: int) -> bytes:
        if size < 0 or size > self.end - self.at:
            raise AvroError(f"{size} bytes are announced and {self.end - self.at} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def long(self) -> int:
        """Zigzag, seven bits a byte, at most ten bytes."""
        value = shift = 0
        while True:
            if self.at >= self.end or shift > 63:
                raise AvroError("it ends within a number" if self.at >= self.end else "a number is longer than 64 bits")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7

    def count(self, many: int = 1) -> None:
        self.left -= many
        if self.left < 0:
            raise AvroError(f"it holds more than {MOST_VALUES} values")


Reader = Callable[[_Cursor], Any]


class File(NamedTuple):
    """A container file.

    Attributes
    ----------
    header : mapping of str to bytes
        ``avro.schema``, ``avro.codec`` and what else the writer noted.
    sync : bytes
        16 bytes after each block.
    start : int
        Where the first block begins.
    """

    header: Mapping[str, bytes]
    sync: bytes
    start: int


class Packet(NamedTuple):
    """One record, and its bytes as they were in its block."""

    value: dict[str, Any]
    content: bytes


def packets(content: bytes) -> Iterator[Packet]:
    """The records of a container file, one after another.

    Raises
    ------
    AvroError
        If the bytes are no Avro, are cut short, or hold more than the limits of this module.
    """
    file = opened(content)
    reader = _compiled(bytes(file.header["avro.schema"]))
    codec = file.header.get("avro.codec", b"null").decode("ascii", "replace")
    cursor, done, left = _Cursor(content), 0, MOST_VALUES
    cursor.at = file.start
    while cursor.at < cursor.end:
        count, size = cursor.long(), cursor.long()
        block = _unpacked(cursor.take(size), codec)
        if cursor.take(16) != file.sync:
            raise AvroError("a block does not end where it says")
        if count < 0 or done + count > MOST_PACKETS:
            raise AvroError(f"a block claims {count} records")
        inside = _Cursor(block, left)
        for _ in range(count):
            begin = inside.at
            inside.count()
            value = reader(inside)
            if not isinstance(value, dict):
                raise AvroError("its records are no records but single values")
            yield Packet(value, block[begin : inside.at])
        if inside.at != inside.end:
            raise AvroError(f"{inside.end - inside.at} bytes of a block belong to no record")
        done, left = done + count, inside.left


def opened(content: bytes) -> File:
    """The header of a container file."""
    if content[:1] == b"\x00" and content[:4] != MAGIC:
        raise AvroError("it begins with a zero byte: a message of a stream, whose schema lies in the stream's registry. Write packets to files with their schema")
    if content[:4] != MAGIC:
        raise AvroError("it does not begin with Obj")
    cursor = _Cursor(content)
    cursor.at = 4
    header: dict[str, bytes] = {}
    while count := cursor.long():
        if count < 0:
            cursor.long()
        for _ in range(min(abs(count), 1001)):
            key = cursor.take(cursor.long()).decode("utf-8", "replace")
            header[key] = cursor.take(cursor.long())
            cursor.count()
        if len(header) > 1000:
            raise AvroError("its header does not end")
    if "avro.schema" not in header:
        raise AvroError("its header has no schema")
    return File(header, cursor.take(16), cursor.at)


def one_packet(file: File, packet: Packet) -> bytes:
    """A container file of one packet, cut out of a larger one: same schema, the packet's bytes unchanged."""
    schema = bytes(file.header["avro.schema"])
    head = _number(1) + _text(b"avro.schema") + _text(schema) + b"\x00"
    return MAGIC + head + file.sync + _number(1) + _text(packet.content) + file.sync


def _number(value: int) -> bytes:
    value, made = value << 1, bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def _text(value: bytes) -> bytes:
    return _number(len(value)) + value


# ---- schemas ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _compiled(schema: bytes) -> Reader:
    if len(schema) > LARGEST_SCHEMA:
        raise AvroError(f"its schema has {len(schema)} bytes")
    try:
        return _reader(json.loads(schema), {}, "", 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise error if isinstance(error, AvroError) else AvroError(f"its schema cannot be read ({type(error).__name__}: {error})") from error


def _reader(schema: Any, known: dict[str, Reader], space: str, depth: int) -> Reader:
    """What reads values of this schema; `known` are the types with a name so far, `space` the namespace around."""
    if depth > DEEPEST:
        raise AvroError("its schema is too deep")
    if isinstance(schema, list):
        return _union([_reader(s, known, space, depth + 1) for s in schema])
    if isinstance(schema, str):
        if schema in _PRIMITIVE:
            return _SIMPLE[schema]
        for name in (schema, f"{space}.{schema}"):
            if name in known:
                return known[name]
        raise AvroError(f"its schema uses the type {schema[:80]!r} and does not say what that is")
    kind = schema["type"]
    if isinstance(kind, list | dict):
        return _reader(kind, known, space, depth + 1)
    if kind == "array":
        return _array(_reader(schema["items"], known, space, depth + 1))
    if kind == "map":
        return _map(_reader(schema["values"], known, space, depth + 1))
    if kind not in ("record", "error", "enum", "fixed"):
        return _reader(kind, known, space, depth + 1)
    name = str(schema["name"])
    space = name.rpartition(".")[0] if "." in name else str(schema.get("namespace", space))
    full = name if "." in name else f"{space}.{name}".lstrip(".")
    if kind == "fixed":
        size = int(schema["size"])
        made: Reader = lambda cursor: cursor.take(size)  # noqa: E731
    elif kind == "enum":
        made = _enum([str(s) for s in schema["symbols"]])
    else:
        fields: list[tuple[str, Reader]] = []
        made = known[full] = _record(fields)  # before its fields: one of them may be of this type
        fields += [(str(f["name"]), _reader(f["type"], known, space, depth + 1)) for f in schema["fields"]]
    known[full] = made
    return made


def _record(fields: list[tuple[str, Reader]]) -> Reader:
    def read(cursor: _Cursor) -> dict[str, Any]:
        cursor.depth += 1
        if cursor.depth > DEEPEST:
            raise AvroError("its records lie too deep in each other")
        cursor.count(len(fields))
        made = {name: reader(cursor) for name, reader in fields}
        cursor.depth -= 1
        return made

    return read


def _union(branches: list[Reader]) -> Reader:
    def read(cursor: _Cursor) -> Any:
        which = cursor.long()
        if not 0 <= which < len(branches):
            raise AvroError(f"a value is of type {which} of {len(branches)}")
        return branches[which](cursor)

    return read


def _items(cursor: _Cursor) -> Iterator[None]:
    """Once for each item of an array or a map, which come in blocks."""
    while count := cursor.long():
        if count < 0:
            cursor.long()  # the block's size in bytes
        cursor.count(abs(count))
        for _ in range(abs(count)):
            yield


def _array(item: Reader) -> Reader:
    return lambda cursor: [item(cursor) for _ in _items(cursor)]


def _map(value: Reader) -> Reader:
    return lambda cursor: {_string(cursor): value(cursor) for _ in _items(cursor)}


def _enum(symbols: list[str]) -> Reader:
    def read(cursor: _Cursor) -> str:
        which = cursor.long()
        if not 0 <= which < len(symbols):
            raise AvroError(f"symbol {which} of {len(symbols)}")
        return symbols[which]

    return read


def _bytes(cursor: _Cursor) -> bytes:
    return cursor.take(cursor.long())


def _string(cursor: _Cursor) -> str:
    return cursor.take(cursor.long()).decode("utf-8", "replace")


_SIMPLE: dict[str, Reader] = {
    "null": lambda cursor: None,
    "boolean": lambda cursor: cursor.take(1) != b"\x00",
    "int": _Cursor.long,
    "long": _Cursor.long,
    "float": lambda cursor: _FLOAT.unpack(cursor.take(4))[0],
    "double": lambda cursor: _DOUBLE.unpack(cursor.take(8))[0],
    "bytes": _bytes,
    "string": _string,
}


# ---- codecs -------------------------------------------------------------------------------------------------------


def _unpacked(block: bytes, codec: str) -> bytes:
    if codec == "null":
        return block
    try:
        if codec == "snappy":
            return _snappy(block[:-4], block[-4:])
        makers: dict[str, Callable[[], Any]] = {"deflate": lambda: zlib.decompressobj(-15), "bzip2": bz2.BZ2Decompressor, "xz": lzma.LZMADecompressor}
        if codec not in makers:
            raise AvroError(f"its codec is {codec[:40]!r}; null, deflate, snappy, bzip2 and xz are read. Write the packets anew with one of these")
        made = makers[codec]().decompress(block, LARGEST + 1)
    except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
        raise AvroError(f"a block is damaged ({error})") from error
    if len(made) > LARGEST:
        raise AvroError(f"a block unpacks to more than {LARGEST // 1024**2} MB")
    return bytes(made)


def _snappy(packed: bytes, check: bytes) -> bytes:
    """Raw Snappy, whose first bytes say how long it is unpacked, and four bytes of checksum."""
    import pyarrow as pa

    length = 0
    for place, byte in enumerate(packed[:5]):
        length |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    if length > LARGEST:
        raise AvroError(f"a block unpacks to more than {LARGEST // 1024**2} MB")
    try:
        made = bytes(pa.decompress(packed, decompressed_size=length, codec="snappy", asbytes=True)) if packed else b""
    except (pa.ArrowException, OSError) as error:
        raise AvroError(f"a block is damaged ({error})") from error
    if int.from_bytes(check, "big") != zlib.crc32(made):
        raise AvroError("a block is damaged (its checksum does not fit)")
    return made


def refused(survey: str, error: AvroError, target: str | None = None) -> ArchiveError:
    """The same in a survey's name."""
    return ArchiveError(survey, f"the answer is no complete Avro file ({error})", target, unreadable=True)
