"""What `SampleSet.quality` finds, as a view gets it: findings in words, and the tables behind them."""

from typing import TYPE_CHECKING, Any

from astrofuse_lab.widgets.wire import plain

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

ROWS = 200
"""Rows of a table that are sent; ``rows`` says how many there are."""
TABLES = ("balance", "masks", "signal", "separations", "duplicates", "leakage")


def table_payload(table: Any) -> dict[str, Any]:
    """An astropy Table as names, units and its first rows."""
    units = [str(table[name].unit or "") for name in table.colnames]
    rows = [[_cell(row[name]) for name in table.colnames] for row in table[:ROWS]]
    return {"names": list(table.colnames), "units": units, "rows": rows, "count": len(table)}


def _cell(value: Any) -> Any:
    got = plain(value)
    return got if got is None or isinstance(got, bool | int | float | str) else str(got)


def quality_payload(samples: "SampleSet") -> dict[str, Any]:
    """The answer to ``quality/all``; slow for a large set, since near-duplicates and leaks are looked for."""
    found = samples.quality()
    tables = {name: getattr(found, name) for name in TABLES}
    return {
        "findings": [[str(row[name]) for name in ("level", "about", "says", "do")] for row in found.findings], "target": found.target, "split": found.split is not None,
        **{name: table_payload(table) for name, table in tables.items() if table is not None},
    }  # fmt: skip
