"""Images that a FITS file holds compressed by tiles: what must be right before they are unpacked.

The C code that astropy unpacks tiles with trusts them: HCOMPRESS and PLIO read and write beyond their buffers where a tile is damaged (seen: astropy 8.0.2
ends the process), so both are refused; a RICE block of no pixels never ends; and a gzip tile may unpack to more than a machine has.

Source: FITS 4.0 (https://fits.gsfc.nasa.gov/fits_standard.html), section 10.
"""

import math
import zlib
from typing import Any

SAFE = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "NOCOMPRESS")
RICE = {"BLOCKSIZE": (16, 32), "BYTEPIX": (1, 2, 4)}
"""What the standard allows (table 37), as far as astropy unpacks it."""
WIDEST = 8  # bytes of a pixel
GZIP = 31  # zlib's word for a gzip header


def check(unit: Any, largest: int) -> None:
    """Look at a compressed image, given as the table that holds its tiles.

    Parameters
    ----------
    unit : astropy BinTableHDU
        With ``ZIMAGE`` in its header.
    largest : int
        Bytes that the image may unpack to.

    Raises
    ------
    ValueError
        If it unpacks to more, or could be unpacked only by trusting it; be inside `formats.reading`.
    """
    header = unit.header
    sides = [int(header[f"ZNAXIS{axis}"]) for axis in range(1, int(header["ZNAXIS"]) + 1)]
    tile = [int(header.get(f"ZTILE{axis}", sides[0] if axis == 1 else 1)) for axis in range(1, len(sides) + 1)]
    kind = str(header.get("ZCMPTYPE", "")).strip()
    if kind not in SAFE:
        raise ValueError(f"its image is compressed by {kind[:40]!r}; only {', '.join(SAFE)} are read")
    if not sides or min(sides) < 0 or min(tile) < 1 or math.prod(sides) * abs(int(header["ZBITPIX"])) // 8 > largest:
        raise ValueError(f"it unpacks to {' x '.join(map(str, sides))} pixels in tiles of {' x '.join(map(str, tile))}")
    if kind.startswith("RICE"):
        for number in range(1, 1000):
            name = header.get(f"ZNAME{number}")
            if name is None:
                break
            value = header.get(f"ZVAL{number}")
            if str(name).strip().upper() in RICE and value not in RICE[str(name).strip().upper()]:
                raise ValueError(f"its RICE tiles have {name} {value}")
    most = min(math.prod(min(a, b) for a, b in zip(tile, sides, strict=True)) * WIDEST, largest)
    for column in ("GZIP_COMPRESSED_DATA", *(("COMPRESSED_DATA",) if kind.startswith("GZIP") else ())):
        if column in unit.columns.names:
            for cell in unit.data[column]:
                _bounded(bytes(cell), most)


def _bounded(packed: bytes, most: int) -> None:
    """ValueError for a gzip tile that unpacks to more than `most` bytes, or has something behind it."""
    if not packed:
        return
    stream = zlib.decompressobj(GZIP)
    size = len(stream.decompress(packed, most + 1))
    if size > most or stream.unused_data.strip(b"\0"):
        raise ValueError(f"a tile unpacks to more than {most} bytes")
