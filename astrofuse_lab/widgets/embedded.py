"""Views inside other pages: a course site, a book, a learning platform.

`Embedded` is a whole page in one frame, without a kernel; `Frame` shows an address, such as a workbench that ``panel serve`` runs.
Both are HTML that any notebook front end and any site generator passes on as it is.

A self-contained frame is sandboxed: it has an origin of its own, so that nothing in it can read or change the page around it,
and its Content-Security-Policy lets it ask nothing of the network.
"""

import html
import os
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from astrofuse_lab.errors import InputError
from astrofuse_lab.storage import write_bytes

SIZE = 1_200_000
"""Bytes of one embedded view at most (for each 100,000 samples): four of them make a lesson below 5 MB."""
STORED = 12
"""Samples of which an embedded view keeps data and answers, unless told otherwise."""
HEIGHT = 640
"""Screen pixels of a frame until the view has said how tall it is."""
MODE = "ASTROFUSE_EMBED"
"""Environment variable: where it is set, widgets show themselves as embedded pages; a number says how many samples are stored."""
ALONE = 'sandbox="allow-scripts allow-downloads" '
SCHEMES = ("", "http", "https")


def stored_by_mode() -> int:
    """How many samples an embedded view stores where a notebook is run to become a page; 0 where it is not.

    Raises
    ------
    InputError
        If the variable holds something else than a number.
    """
    said = os.environ.get(MODE, "").strip()
    if said and not said.isdigit():
        raise InputError(f"{MODE}={said!r} is no number of samples. Set it to how many each page stores, such as {MODE}={STORED}, or to 0.")
    return int(said or 0)


def page_name(where: Path) -> Path:
    """The same path, where it can be that of a page.

    Raises
    ------
    InputError
        If it does not end in ``.html``.
    """
    if where.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{where} is no name of a page: let it end in .html.")
    return where


def framed(where: str, title: str, height: int) -> str:
    """The frame as HTML; `where` is an attribute and already escaped."""
    from astrofuse_lab.widgets.base import STATIC, view_source  # which imports this

    view_source("host")  # a clear error where the front end is not built
    before, after = (STATIC / "frame.html").read_text(encoding="utf-8").split("@@WHERE@@")
    return f"{before.replace('@@TITLE@@', html.escape(title))}{where}{after.replace('@@HEIGHT@@', str(int(height)))}"


@dataclass(frozen=True)
class Frame:
    """Another page in a frame: a saved view, or a workbench that is served.

    Parameters
    ----------
    address : str
        Relative to the page around it, or ``http://`` or ``https://``.
    title : str
        What a screen reader says of it.
    height : int
        Screen pixels; a saved view corrects it where scripts are allowed.
    alone : bool
        Sandboxed, as a saved page may be. A served app needs its own origin: False.

    Raises
    ------
    InputError
        For an address of another scheme.
    """

    address: str
    title: str = "AstroFuse Lab"
    height: int = HEIGHT
    alone: bool = False

    def __post_init__(self) -> None:
        scheme = urllib.parse.urlsplit(self.address.strip()).scheme
        if scheme not in SCHEMES or not self.address.strip():
            raise InputError(f"{self.address!r} is no address that a frame can show. Give a file beside the page, such as 'lesson.html', or one that begins with http:// or https://.")

    @property
    def html(self) -> str:
        """To paste into a page."""
        return framed(f'{ALONE if self.alone else ""}src="{html.escape(self.address.strip())}"', self.title, self.height)

    def _repr_html_(self) -> str:
        return self.html


@dataclass(frozen=True, repr=False)
class Embedded:
    """A view, or several linked ones, as a page inside another page; made by ``widget.embed()``.

    As the last line of a notebook's cell it shows itself; what is stored in the notebook then is this page, so that sites made from it need no kernel.
    """

    page: bytes
    title: str = "AstroFuse Lab"
    height: int = HEIGHT

    @property
    def html(self) -> str:
        """The frame with the page in it, to paste into another page."""
        return framed(f'{ALONE}srcdoc="{html.escape(self.page.decode())}"', self.title, self.height)

    def save(self, path: str | Path) -> Frame:
        """Write the page as a file of its own.

        Parameters
        ----------
        path : path
            Ends in ``.html``.

        Returns
        -------
        Frame
            ``frame.html`` shows that file where it lies beside the page around it.

        Raises
        ------
        InputError
            If the name does not end in ``.html``.
        StorageError
            If the file cannot be written.
        """
        where = page_name(Path(path).expanduser())
        write_bytes(where.resolve(), self.page)
        return Frame(urllib.parse.quote(where.name), self.title, self.height, alone=True)

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"Embedded({self.title!r}, {len(self.page) / 1e6:.2f} MB)"
