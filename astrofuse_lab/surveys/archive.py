"""What every archive client states about itself, and the options it has."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from astrofuse_lab.errors import InputError, MissingExtraError
from astrofuse_lab.surveys import transport
from astrofuse_lab.surveys.survey import Ask


class Coverage(NamedTuple):
    """Which part of the sky a survey saw, roughly; exactly where the archive publishes a MOC.

    Attributes
    ----------
    words : str
        For a person, e.g. ``"north of -30 deg"``.
    dec : tuple of float
        Southern and northern limit, deg.
    latitude : float
        Smallest distance from the galactic plane, deg.
    moc : str
        Identifier in the CDS MOC server (``"CDS/P/SDSS9/g"``) or an address; empty where none is published.
    """

    words: str = "all sky"
    dec: tuple[float, float] = (-90.0, 90.0)
    latitude: float = 0.0
    moc: str = ""


@dataclass
class Archive:
    """Base of the archive clients: one product of one archive. A subclass adds `query` and `read`.

    Attributes
    ----------
    name : str
        Lower-case ``provider/product``.
    gives : type
        The modality class that `read` yields.
    bands : tuple of str
    release, citation, licence : str
    url : str
        Address of the service.
    mirrors : tuple of str
        Other addresses of the same service, tried in turn when the first cannot be reached.
    coverage : Coverage
    scale : float, optional
        Images: arcsec per pixel.
    wavelengths : tuple of float, optional
        Spectra: first and last wavelength, ångström in vacuum.
    extra : str
        An optional package that `query` or `read` needs; empty where none.
    needs : tuple of str
        What a target must have: ``position``, ``time`` or ``identifier``.
    batch : int
        How many targets one request may hold.
    threads : int
        Requests at a time that the service may be asked, all surveys of one host together.
    timeout : float
        Seconds without a byte after which an answer is given up.
    largest : int
        Bytes of one answer above which it is given up.
    settings : mapping
        Options of this survey alone and their defaults: ``options={"name/product": {...}}``.
    releases : tuple of str
        Other releases that may be asked for.
    """

    _: KW_ONLY
    name: str
    gives: type
    url: str
    citation: str
    licence: str
    release: str
    bands: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    coverage: Coverage = Coverage()
    scale: float | None = None
    wavelengths: tuple[float, float] | None = None
    extra: str = ""
    needs: tuple[str, ...] = ("position",)
    simulated: bool = False
    batch: int = 1
    threads: int = 4
    timeout: float = transport.SILENCE
    largest: int = transport.LARGEST
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    releases: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The machine that is asked: surveys of one host share its limit of requests at a time."""
        return urlsplit(self.url).netloc

    def chosen(self, ask: Ask) -> dict[str, float | int | str | bool]:
        """The settings with what was asked for.

        Raises
        ------
        InputError
            For an option, release or band that does not exist, or an option of another type.
        """
        given = dict(self.settings)
        for option, value in ask.options.items():
            if option not in self.settings:
                has = f"It has {', '.join(self.settings)}." if self.settings else "Give options to the survey that has them: options={'practice/image': {...}}."
                raise InputError(f"{self.name} has no option {option!r}. {has}")
            default = self.settings[option]
            number = isinstance(default, float | int) and not isinstance(default, bool)
            if isinstance(value, bool) != isinstance(default, bool) or (number != (isinstance(value, float | int) and not isinstance(value, bool))):
                raise InputError(f"{self.name}: option {option}={value!r} is a {type(value).__name__}; the default is {default!r}.")
            given[option] = value
        if ask.release not in (None, self.release, *self.releases):
            raise InputError(f"{self.name} has no release {ask.release!r}, only {', '.join(map(repr, (self.release, *self.releases)))}.")
        self.chosen_bands(ask.bands)
        return given

    def chosen_bands(self, bands: Iterable[str] | None) -> tuple[str, ...]:
        """The bands asked for, all where none were named; InputError for one that does not exist."""
        if bands is None:
            return self.bands
        wanted = tuple(bands)
        unknown = [band for band in wanted if band not in self.bands]
        if self.bands and (unknown or not wanted):
            raise InputError(f"{self.name} has no band {', '.join(map(repr, unknown)) or '(none given)'}. It has {', '.join(self.bands)}.")
        return wanted

    def needs_extra(self) -> None:
        """MissingExtraError where the optional package is not installed."""
        from importlib.util import find_spec

        if self.extra and find_spec(self.extra.replace("-", "_")) is None:
            raise MissingExtraError(self.extra, f"survey {self.name!r}")
