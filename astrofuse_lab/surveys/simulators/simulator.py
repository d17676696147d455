"""What all simulators share: one event a target, drawn from its name and the seed; bytes in between, as of any archive."""

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.lib import format as npy
from numpy.random import Generator
from numpy.typing import NDArray

from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.surveys.practice.observing import CITATION, LICENCE, RELEASE
from astrofuse_lab.surveys.survey import Ask, Raw, provenance_of
from astrofuse_lab.targets import Targets

Fields = dict[str, NDArray[Any]]
LARGEST_ANSWER = 2 * 1024**3


class Simulator:
    """A simulated experiment behind the protocol of surveys.

    Several surveys may look at the same event (pictures, numbers, truth): those of one `stream` draw the same. A subclass gives `draw`, all that
    happens to one target as arrays, and `product`, which of these its own modality is.

    Attributes
    ----------
    name, gives, bands, release, citation, licence, simulated, batch
        As in `astrofuse_lab.surveys.survey.Survey`.
    stream : str
        What is drawn; part of the seed.
    options : mapping
        Settings and their defaults, beside ``seed``: numbers, texts or booleans, as `Ask.options` may set them.
    """

    name: str
    gives: type
    stream: str
    bands: tuple[str, ...] = ()
    options: ClassVar[Mapping[str, float | int | str | bool]] = {}
    media_type = "application/x-npz"
    release = RELEASE
    citation = CITATION
    licence = LICENCE
    simulated = True
    batch = 50

    def draw(self, rng: Generator, options: Mapping[str, Any]) -> Fields:
        """Everything about one event, truth included, as arrays of numbers, booleans or text."""
        raise NotImplementedError

    def product(self, fields: Fields, raw: Raw) -> Modality | None:
        """What this survey saw of it; None: nothing."""
        raise NotImplementedError

    def keeps(self, fields: Fields) -> Fields:
        """Of what was drawn, what `product` needs: only that is written into the answer."""
        return fields

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """Draw an event for each target, in one answer.

        Raises
        ------
        InputError
            For an option or a release that there is not.
        """
        options = self.chosen(ask)
        if ask.release not in (None, self.release):
            raise InputError(f"{self.name} has no release {ask.release!r}, only {self.release!r}.")
        whole: Fields = {}
        for row, object_id in enumerate(targets.ids):
            for field, array in self.keeps(self.draw(self.rng(object_id, int(options["seed"])), options)).items():
                whole[f"{row}.{field}"] = np.asarray(array)
        body = io.BytesIO()
        np.savez(body, allow_pickle=False, **whole)  # type: ignore[arg-type]
        sent = f"{self.name} release={self.release} " + " ".join(f"{k}={v}" for k, v in sorted(options.items()))
        yield Raw(self.name, targets.ids, body.getvalue(), sent, self.media_type)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """Products from the bytes of an answer; ArchiveError, with the target's name, where they are cut short or something else."""
        row = 0
        try:
            with zipfile.ZipFile(io.BytesIO(raw.content)) as archive:
                names = _by_row(archive)
                for row, object_id in enumerate(raw.target_ids):
                    fields = {field: _array(archive, entry) for field, entry in names.get(row, {}).items()}
                    product = self.product(fields, raw) if fields else None
                    if product is not None:
                        yield object_id, product
        except Exception as error:  # answers come from a cache that others may have written to, and parsers raise whatever their readers do
            target = raw.target_ids[row] if raw.target_ids else None
            raise ArchiveError(self.name, f"the answer of {len(raw.content)} bytes cannot be read ({type(error).__name__}: {str(error)[:300]}). Fetch it again.", target) from error

    def rng(self, object_id: str, seed: int) -> Generator:
        """The random numbers of one target: the same in every request, and of all surveys of the stream."""
        return np.random.default_rng(list(hashlib.sha256(f"{self.stream}\0{seed}\0{object_id}".encode()).digest()))

    def chosen(self, ask: Ask) -> dict[str, Any]:
        """All options of a request; InputError for one that there is not, or of another type."""
        known = {"seed": 0, **self.options}
        for name, value in ask.options.items():
            if name not in known:
                raise InputError(f"{self.name} has no option {name!r}. It has {', '.join(known)}.")
            kind = type(known[name])
            if isinstance(value, bool) != (kind is bool) or isinstance(value, str) != (kind is str) or (kind not in (bool, str) and not np.isfinite(value)):
                raise InputError(f"option {name}={value!r} of {self.name} is no {kind.__name__}; the default is {known[name]!r}.")
        options = {**known, **ask.options}
        if options["seed"] != int(options["seed"]) or not 0 <= options["seed"] < 2**63:
            raise InputError(f"option seed={options['seed']!r} of {self.name} is not a whole number from 0.")
        return options

    def row(self, values: Mapping[str, Any], raw: Raw, units: Mapping[str, str] | None = None, roles: Mapping[str, str] | None = None) -> TableRow:
        """A table row of drawn numbers and texts; NaN is None."""
        plain = {name: _plain(value) for name, value in values.items()}
        return TableRow(plain, dict(units or {}), dict(roles or {}), provenance_of(self, raw))


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _by_row(archive: zipfile.ZipFile) -> dict[int, dict[str, zipfile.ZipInfo]]:
    """The arrays of each target, by their names; ValueError where they claim to be larger than any answer."""
    rows: dict[int, dict[str, zipfile.ZipInfo]] = {}
    if sum(entry.file_size for entry in archive.infolist()) > LARGEST_ANSWER:
        raise ValueError("it claims to hold more than any answer does")
    for entry in archive.infolist():
        row, _, field = entry.filename.removesuffix(".npy").partition(".")
        rows.setdefault(int(row), {})[field] = entry
    return rows


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(entry) as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))
