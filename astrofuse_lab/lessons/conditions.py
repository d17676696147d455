"""Which samples a lesson means: conditions on columns and on what is present, as data.

``{"missing": "spectrum"}``, ``{"present": "image"}``, or ``{"column": "redshift", "above": 1}`` with ``above``, ``below``, ``is``, ``is_not``, ``in`` or ``unknown``; a list of them: all hold; ``{}``: every sample.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, UnknownNameError


def where(samples: Any, condition: Any) -> NDArray[np.bool_]:
    """Which samples are so.

    Raises
    ------
    InputError
        If the condition is none, or names a column or modality that the set lacks.
    """
    if isinstance(condition, list | tuple):
        return np.logical_and.reduce([np.ones(len(samples), dtype=bool), *(where(samples, one) for one in condition)])
    if not isinstance(condition, Mapping):
        raise InputError(f"the condition {str(condition)[:60]!r} is none. Type e.g. {{'missing': 'spectrum'}} or {{'column': 'redshift', 'above': 1}}.")
    if not condition:
        return np.ones(len(samples), dtype=bool)
    if "missing" in condition:
        return ~samples.present(condition["missing"])
    if "present" in condition:
        return np.asarray(samples.present(condition["present"]))
    if "column" not in condition:
        raise InputError(f"the condition {str(condition)[:60]!r} names no column and no modality. Type e.g. {{'column': 'redshift', 'above': 1}}.")
    column = samples.column(condition["column"])
    known = ~np.ma.getmaskarray(column)
    if condition.get("unknown"):
        return ~known
    out = known.copy()
    for name, value in condition.items():
        if name != "column":
            out &= _compared(np.ma.getdata(column), name, value)
    return out


def _compared(values: NDArray[Any], name: str, value: Any) -> NDArray[np.bool_]:
    if name in ("above", "below"):
        plain = float(value)
        return np.asarray(values > plain if name == "above" else values < plain)
    if name in ("is", "is_not"):
        same = values.astype(str) == str(value)
        return np.asarray(same if name == "is" else ~same)
    if name == "in":
        return np.isin(values.astype(str), [str(v) for v in value])
    raise UnknownNameError("comparison", name, ("above", "below", "is", "is_not", "in", "unknown"))
