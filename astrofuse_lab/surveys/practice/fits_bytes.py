"""FITS files to and from bytes, refusing files cut short."""

import io
from collections.abc import Sequence
from typing import Any

from astrofuse_lab.surveys import formats


def write(units: Sequence[Any]) -> bytes:
    """Header-data units as the bytes of one file; its primary header says how long the file is."""
    from astropy.io import fits

    primary = fits.PrimaryHDU()
    primary.header["ORIGIN"] = ("AstroFuse Lab practice sky", "simulated, not observed")
    primary.header["LENGTH"] = 0
    buffer = io.BytesIO()
    # no DATE and no checksums, so that equal requests give equal bytes; verifying would take as long as all the rest
    fits.HDUList([primary, *units]).writeto(buffer, checksum=False, output_verify="ignore")
    content = buffer.getvalue()
    return content.replace(_length(0), _length(len(content)), 1)


def _length(count: int) -> bytes:
    return b"LENGTH  = %20d" % count


def read(content: bytes) -> list[Any]:
    """The extensions of a file.

    Raises
    ------
    OSError, ArchiveError
        If the bytes are no such file, claim more than there is, or end early. Told by the length, since astropy only warns of a file cut short
        and warnings cannot be silenced in one thread alone.
    """
    from astropy.io import fits

    expected = int(fits.Header.fromfile(io.BytesIO(content))["LENGTH"])
    if len(content) != expected:
        raise OSError(f"the file has {len(content)} of {expected} bytes")
    return list(formats.fits_hdus(content, "practice sky")[1:])
