"""Arrays too large for one message: the view is told where they lie and asks for them in parts, when it needs them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.wire import array

PART = 4_000_000
"""Bytes of a part: below the 10 MB that a message through a websocket may have, and several a second on a slow line."""
INLINE = 400_000
"""Bytes up to which an array goes with the state of the widget."""
STEPS = 65534
"""Steps of a coordinate that is kept in two bytes; one more number stands for what is missing."""

Make = Callable[[], NDArray[Any]]


class Shelf:
    """Large arrays by number. What is on the wire is ``{"dtype", "shape", "part": number, "parts": how many}``."""

    def __init__(self) -> None:
        self._makes: dict[int, tuple[Make, str]] = {}
        self._numbers: dict[str, int] = {}
        self._next = 0
        self._last: tuple[int, bytes] = (-1, b"")

    def put(self, name: str, make: Make, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
        """An array for the wire: itself where it is small, else where it lies; one of the same name before it is forgotten.

        Parameters
        ----------
        name : str
        make : callable
            Gives the array, when a part of it is asked for.
        dtype : str
        shape : tuple of int
        """
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size <= INLINE:
            return array(make(), dtype)
        self._makes.pop(self._numbers.get(name, -1), None)
        self._numbers[name] = number = self._next
        self._next += 1
        self._makes[number] = (make, dtype)
        return {"dtype": dtype, "shape": list(shape), "part": number, "parts": -(-size // PART)}

    def part(self, key: str) -> dict[str, Any]:
        """The answer to ``part/<array>/<number>``: those bytes of it.

        Raises
        ------
        InputError
            For an array that is not here, or a part that it does not have.
        """
        _, _, rest = key.partition("/")
        which, _, number = rest.partition("/")
        if not (which.isdigit() and number.isdigit() and int(which) in self._makes):
            raise InputError(f"no array for {key!r}: it was replaced. Show the view again.")
        content = self._bytes(int(which))
        start = int(number) * PART
        if start >= len(content):
            raise InputError(f"no part for {key!r}: that array has {-(-len(content) // PART)}.")
        return {"data": content[start : start + PART]}

    def _bytes(self, number: int) -> bytes:
        """All bytes of an array; those of the one asked for last are kept, since its parts are asked for in turn."""
        if self._last[0] != number:
            make, dtype = self._makes[number]
            self._last = (number, array(make(), dtype)["data"])
        return self._last[1]

    def whole(self, value: Any) -> Any:
        """A value of the wire with every array in it, for a page without a kernel; planes of coordinates in two bytes each number."""
        if isinstance(value, Mapping):
            if value.get("part") in self._makes and "parts" in value:
                make, dtype = self._makes[value["part"]]
                made = make()
                return short(made) if dtype == "float32" and made.ndim == 2 and made.shape[1] == 2 else array(made, dtype)
            return {k: self.whole(v) for k, v in value.items()}
        return [self.whole(v) for v in value] if isinstance(value, list | tuple) else value


def short(plane: NDArray[Any]) -> dict[str, Any]:
    """Coordinates, (n, 2), as 65,535 steps between the ends of each axis: finer than a screen, half the bytes."""
    known = np.isfinite(plane)
    low = np.where(known, plane, np.inf).min(0, initial=np.inf)
    high = np.where(known, plane, -np.inf).max(0, initial=-np.inf)
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 1.0)
    step = np.where(high > low, (high - low) / STEPS, 1.0)
    return stepped(plane, low, step)


def stepped(values: NDArray[Any], low: Any, step: Any) -> dict[str, Any]:
    """Numbers as how many steps they lie above `low`, in two bytes each; `low` and `step` are two numbers, one an axis, or one for all."""
    known = np.isfinite(values)
    codes = np.where(known, np.round((np.where(known, values, low) - low) / step), STEPS + 1)
    return {**array(codes, "uint16"), "low": np.broadcast_to(low, 2).astype(float).tolist(), "step": np.broadcast_to(step, 2).astype(float).tolist()}
