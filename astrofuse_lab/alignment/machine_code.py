"""Loops compiled at their first call: until then the compiler (numba, half a second and 100 MB) is not imported."""

import threading
from collections.abc import Callable
from typing import Any

_LOCK = threading.RLock()


class _Waiting:
    """A loop that is not compiled yet."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.code = function, None
        self.__doc__, self.__name__ = function.__doc__, function.__name__

    def __call__(self, *given: Any) -> Any:
        if self.code is None:
            _compile(self.function.__globals__)
        assert self.code is not None
        return self.code(*given)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile at the first call, and keep the machine code where there is a place for it. Compiled loops of a module may call each other."""
    return _Waiting(function)


def _compile(names: dict[str, Any]) -> None:
    """All waiting loops of a module at once, since one that calls another must find it compiled."""
    import numba

    how: dict[str, Any] = {"nogil": True, "fastmath": {"contract", "nsz"}, "error_model": "numpy"}
    with _LOCK:
        for name, one in list(names.items()):
            if not isinstance(one, _Waiting):
                continue
            if one.code is None:
                try:
                    one.code = numba.njit(cache=True, **how)(one.function)
                except RuntimeError:  # neither the package's folder nor the user's cache can be written
                    one.code = numba.njit(**how)(one.function)
            names[name] = one.code
