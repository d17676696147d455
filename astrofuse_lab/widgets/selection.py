"""Which samples are selected: by a mask over an array of ids, as text only when somebody reads it."""

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import traitlets as t
from numpy.typing import NDArray


def to_bits(mask: NDArray[np.bool_]) -> bytes:
    """A bool array as bytes, eight positions each, least significant bit first."""
    return np.packbits(np.asarray(mask, dtype=bool), bitorder="little").tobytes()


def from_bits(bits: bytes, n: int) -> NDArray[np.bool_]:
    """The inverse of `to_bits` for `n` positions; bytes that are missing count as zero."""
    out = np.zeros(n, dtype=bool)
    got = np.unpackbits(np.frombuffer(bytes(bits), dtype=np.uint8), bitorder="little")[:n]
    out[: len(got)] = got
    return out


class Chosen(Sequence[str]):
    """Some ids of an array, in its order, equal to the tuple of them; they become text when they are read.

    A million ids as text take a tenth of a second and 60 MB, which a lasso should not wait for.

    Parameters
    ----------
    ids : str array, (n,)
    mask : bool array, (n,)
    """

    __slots__ = ("_made", "_size", "ids", "mask")

    def __init__(self, ids: NDArray[np.str_], mask: NDArray[np.bool_]) -> None:
        self.ids, self.mask = ids, mask
        self._size = int(np.count_nonzero(mask))
        self._made: tuple[str, ...] | None = None

    @classmethod
    def of(cls, ids: Iterable[Any]) -> "Chosen":
        """These ids, as text."""
        text = tuple(str(i) for i in ids)
        made = cls(np.empty(0, dtype=str), np.empty(0, dtype=bool))
        made._made, made._size = text, len(text)
        return made

    def text(self) -> tuple[str, ...]:
        """All of them."""
        if self._made is None:
            self._made = tuple(self.ids[self.mask].tolist())
        return self._made

    def first(self, n: int) -> list[str]:
        """The first `n`, without making the others."""
        return list(self._made[:n]) if self._made is not None else [str(i) for i in self.ids[np.flatnonzero(self.mask)[:n]]]

    def over(self, ids: NDArray[np.str_]) -> NDArray[np.bool_] | None:
        """The mask over another array of ids, where that can be told without reading any: it is the same array, or holds the same."""
        if len(self.mask) != len(ids) or (self._size and not len(ids)):
            return None if self._size else np.zeros(len(ids), dtype=bool)
        return self.mask if self.ids is ids or np.array_equal(self.ids, ids) else None

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self.text()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.text())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Chosen):
            if self.ids is other.ids and self._made is None and other._made is None:
                return bool(np.array_equal(self.mask, other.mask))
            return len(self) == len(other) and self.text() == other.text()
        return self.text() == other

    def __hash__(self) -> int:
        return hash(self.text())

    def __repr__(self) -> str:
        return repr(self.text())


class _Ids(t.TraitType[Any, Any]):
    """A tuple of str for whoever reads it, a `Chosen` for whoever asks `Selection.chosen`."""

    default_value = Chosen.of(())
    info_text = "ids of samples"

    def get(self, obj: Any, cls: Any = None) -> Any:
        kept = super().get(obj, cls)
        return kept.text() if isinstance(kept, Chosen) else kept

    def validate(self, obj: Any, value: Any) -> Chosen:
        return value if isinstance(value, Chosen) else Chosen.of(value)


ALIVE: "weakref.WeakSet[Selection]" = weakref.WeakSet()
"""All selections that something still holds."""
CHANGED: list[Callable[[], object]] = []
"""Called, quickly, when the ids of any of them have changed."""
_numbers = itertools.count(1)


class Selection(t.HasTraits):
    """Which samples are selected, by id; widgets given the same one are linked.

    Attributes
    ----------
    ids : tuple of str
        In the order of the samples of the widget that selected them.
    chosen : Chosen
        The same, without making text of a million ids: `len`, `first`, `mask`.
    focus : str
        The sample looked at; empty for none.
    """

    ids = _Ids()
    focus = t.Unicode("")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.number = next(_numbers)
        self.observe(_tell_all, "ids")
        ALIVE.add(self)

    @property
    def chosen(self) -> Chosen:
        """The ids as they are kept: a mask over an array of ids, or a tuple."""
        kept = self._trait_values.get("ids")
        return kept if isinstance(kept, Chosen) else Chosen.of(self.ids)

    def choose(self, ids: NDArray[np.str_], mask: NDArray[np.bool_]) -> None:
        """Select those of `ids` where `mask` is True; neither may change afterwards."""
        self.ids = Chosen(ids, mask)

    def __repr__(self) -> str:
        return f"Selection({len(self.chosen)} ids{f', focus {self.focus!r}' if self.focus else ''})"


def _tell_all(_change: Any) -> None:
    for listener in list(CHANGED):
        listener()
