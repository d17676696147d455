"""Payloads as bytes of a page: packed end to end, rounded to what a screen shows, and what is left out where the page would grow too large."""

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.widgets.shelf import STEPS, stepped
from astrofuse_lab.widgets.wire import array

MANTISSA = 9
"""Bits kept of the mantissa of stored float32 arrays: 0.1 %, finer than a screen shows, and half the size."""
MANY = 5_000
"""Values from which on a column is stored in steps between its ends."""


# ---- bytes ---------------------------------------------------------------------------------------------------------


class Buffers:
    """Bytes end to end, each kept once however often it is used."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self._places: dict[bytes, tuple[int, int]] = {}

    def put(self, content: bytes) -> dict[str, list[int]]:
        """Keep bytes; gives what stands for them in the header."""
        if content not in self._places:
            self._places[content] = (self.size, len(content))
            self.parts.append(content)
            self.size += len(content)
        return {"$buffer": list(self._places[content])}

    def empty(self, value: Any) -> Any:
        """The same value with all bytes in it put here."""
        if isinstance(value, bytes | bytearray | memoryview):
            return self.put(bytes(value))
        if isinstance(value, Mapping):
            return {str(k): self.empty(v) for k, v in value.items()}
        return [self.empty(v) for v in value] if isinstance(value, list | tuple) else value


def packed(header: Mapping[str, Any]) -> str:
    """A structure with bytes anywhere in it, as text."""
    buffers = Buffers()
    text = json.dumps(buffers.empty(header), allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(b"".join([struct.pack("<I", len(text)), text, *buffers.parts]), 9, mtime=0)).decode("ascii")


def coarse(value: Any) -> Any:
    """The same payload with float32 arrays shortened to `MANTISSA` bits of mantissa, rounded."""
    if isinstance(value, Mapping):
        if value.get("dtype") == "float32" and isinstance(value.get("data"), bytes):
            return {**value, "data": _shortened(np.frombuffer(value["data"], dtype="<u4"))}
        return {k: coarse(v) for k, v in value.items()}
    return [coarse(v) for v in value] if isinstance(value, list | tuple) else value


def _shortened(bits: NDArray[np.uint32]) -> bytes:
    drop = 23 - MANTISSA
    finite = (bits & 0x7F800000) != 0x7F800000
    rounded = (bits + np.uint32(1 << (drop - 1))) & np.uint32(0xFFFFFFFF ^ ((1 << drop) - 1))
    return np.where(finite & ((rounded & 0x7F800000) != 0x7F800000), rounded, bits).astype("<u4").tobytes()


def lean(value: Any) -> Any:
    """The same payload with long columns of float64 in two bytes a value where that is fine enough, in float32 of `MANTISSA` bits where it is not.

    Whole numbers stay exact. Steps are fine enough where one is at most a thousandth of the middle half's width.
    """
    if isinstance(value, Mapping):
        if value.get("dtype") == "float64" and isinstance(value.get("data"), bytes) and len(value.get("shape", ())) == 1 and value["shape"][0] >= MANY:
            return _lean(np.frombuffer(value["data"], dtype="<f8"), dict(value))
        return {k: lean(v) for k, v in value.items()}
    return [lean(v) for v in value] if isinstance(value, list | tuple) else value


def _lean(values: NDArray[np.float64], whole: dict[str, Any]) -> dict[str, Any]:
    known = np.isfinite(values)
    some = values[known]
    if not len(some):
        return whole
    low, high = float(some.min()), float(some.max())
    exact = bool((some == np.round(some)).all())
    step = 1.0 if exact else (high - low) / STEPS or 1.0
    quarter, three = np.quantile(some, [0.25, 0.75])
    if exact and high - low > STEPS:
        return whole
    if not exact and step > 1e-3 * (three - quarter):
        return {**array(values), "data": _shortened(values.astype("<f4").view("<u4"))}
    return stepped(values, low, step)


# ---- what is left out ------------------------------------------------------------------------------------------------


def weight(value: Any, counted: set[int]) -> int:
    """Compressed bytes of a payload, without the buffers in `counted`, to which its own are added."""
    buffers = Buffers()
    text = json.dumps(buffers.empty(value)).encode()
    new = [part for part in buffers.parts if hash(part) not in counted]
    counted.update(map(hash, new))
    return len(zlib.compress(text, 6)) + sum(len(zlib.compress(part, 1)) for part in new)


def _least(states: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Any, dict[str, Any], str]]:
    """What a page can do without, the least first: words for it, what is dropped, and the state and trait that it is dropped from."""
    for state in states:
        for frame in reversed(state["epochs"] if "maps" in state and isinstance(state.get("epochs"), list) else []):
            yield f"epoch {frame.get('epoch')}", frame, state, "epochs"
    for state in states:
        maps = state.get("maps", {})
        for method in [m for m in maps if m != state.get("method")]:
            yield f"the map by {method}", method, state, "maps"
    for state in states:
        planes = state.get("maps", {}).get(state.get("method"), [])
        for plane in reversed([p for p in planes if p.get("space") != state.get("space")]):
            yield f"the space {plane.get('space')}", plane, state, "planes"
    for state in states:
        columns = state.get("columns", [])
        for column in reversed([c for c in columns if c.get("role") not in ("id", "target", "prediction") and c.get("name") != state.get("colour")]):
            yield f"the column {column.get('name')}", column, state, "columns"


def fit(states: Sequence[dict[str, Any]], room: int) -> tuple[int, list[str]]:
    """Drop from the states of a page's views what it can do without, until they have room.

    Parameters
    ----------
    states : sequence of dict
        Changed in place.
    room : int
        Bytes, compressed.

    Returns
    -------
    int
        What they weigh now.
    list of str
        What was left out.
    """
    total = weight(states, set())
    left: list[str] = []
    for words, what, state, trait in list(_least(states)):
        if total <= room:
            break
        if trait == "maps":
            total -= weight(state["maps"][what], set())
            state["maps"] = {m: p for m, p in state["maps"].items() if m != what}
        elif trait == "planes":
            total -= weight(what, set())
            state["maps"] = {m: [p for p in planes if p is not what] for m, planes in state["maps"].items()}
        else:
            total -= weight(what, set())
            state[trait] = [one for one in state[trait] if one is not what]
        left.append(words)
    return total, list(dict.fromkeys(left))
