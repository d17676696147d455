"""A TAP catalogue that writes a number where it has none, or fluxes in units of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

from astrofuse_lab.modalities import Modality, TableRow
from astrofuse_lab.surveys.survey import Raw
from astrofuse_lab.surveys.tap_table import TapTable


@dataclass
class CatalogueTable(TapTable):
    """A `TapTable` whose values are put right.

    Attributes
    ----------
    missing : tuple of float
        What the catalogue writes where nothing was measured: None in our rows.
    marks : tuple of str
        The columns, by the beginning of their names, in which it does so: elsewhere 99 may be a value.
    factors : mapping of str to float
        Column to what its values are multiplied by; the unit in `columns` is the one after it.
    """

    _: KW_ONLY
    missing: tuple[float, ...] = ()
    marks: tuple[str, ...] = ()
    factors: Mapping[str, float] = field(default_factory=dict)

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """As `TapTable.read`, values put right."""
        for target, row in super().read(raw):
            assert isinstance(row, TableRow)
            yield target, replace(row, values={name: self.right(name, value) for name, value in row.values.items()})

    def right(self, name: str, value: Any) -> Any:
        """One value, None where it stands for none."""
        if not isinstance(value, float | int) or isinstance(value, bool):
            return value
        if name.startswith(self.marks) and any(abs(value - gap) <= 1e-4 * abs(gap) for gap in self.missing):  # single precision: 99.99 is 99.98999
            return None
        return value * self.factors[name] if name in self.factors else value
