"""Numpy arrays that are the library's own memory."""
from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Callable, Optional, Tuple, cast

import numpy as np
import numpy.typing as npt

from . import errors
from ._handle import Pointer

if TYPE_CHECKING:
    _Base = np.ndarray[Any, np.dtype[np.float32]]
else:
    _Base = np.ndarray


class _Lease:
    """One use of a context for as long as its memory is looked at: closing it meanwhile frees nothing."""

    __slots__ = ("_pointer",)

    def __init__(self, pointer: Pointer) -> None:
        pointer.__enter__()
        self._pointer = pointer

    def __del__(self) -> None:
        pointer = getattr(self, "_pointer", None)
        if pointer is not None:
            pointer.__exit__()


class View(_Base):
    """float32 numbers in the context's memory, not copied and read-only.

    They belong to one decode step: once the context decodes again, or the sequence is truncated or closed, the memory
    holds something else, and using the view raises `StaleViewError` (`stale` tells). `copy()` is an array of your own.
    The memory itself stays as long as a view of it: what was hidden from numpy's checks in a plain array
    (`np.asarray(view)`), a memoryview or a C extension may read other numbers later, never freed memory.
    """

    _fresh: Optional[Callable[[], bool]]

    def __array_finalize__(self, source: Optional[npt.NDArray[Any]]) -> None:
        # Slices and reshapes of a view come through here; they are as fresh as it is.
        self._fresh = source.__dict__.get("_fresh") if isinstance(source, View) else None

    @property
    def stale(self) -> bool:
        """Whether the step that the view belongs to is gone."""
        fresh = self.__dict__.get("_fresh")
        return fresh is not None and not fresh()

    def _check(self) -> None:
        if self.stale:
            raise errors.StaleViewError("the view's step is gone: the context has decoded since, or the sequence was "
                                        "truncated or closed; copy() what must last")

    def __getattribute__(self, name: str) -> Any:
        # Methods, shape, ...: all that has a name. Operators and numpy's functions have their own way in, below.
        if not name.startswith("_") and name != "stale":
            _Base.__getattribute__(self, "_check")()
        return super().__getattribute__(name)

    def __getitem__(self, key: Any) -> Any:
        self._check()
        return super().__getitem__(key)

    def __iter__(self) -> Any:
        self._check()
        return iter(_plain(self))

    def __repr__(self) -> str:
        return "View(stale)" if self.stale else super().__repr__()

    def __str__(self) -> str:
        return "View(stale)" if self.stale else super().__str__()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        return getattr(ufunc, method)(*(_checked(value) for value in inputs),
                                      **{name: _checked(value) for name, value in keywords.items()})

    def __array_function__(self, function: Any, types: Any, arguments: Any, keywords: Any) -> Any:
        return function(*_checked(arguments), **{name: _checked(value) for name, value in keywords.items()})

    def copy(self, order: Any = "C") -> Any:
        """The numbers in an array of your own, an ordinary one."""
        return _plain(self).copy(order)

    def tobytes(self, order: Any = "C") -> bytes:
        """The numbers' bytes."""
        self._check()
        return _plain(self).tobytes(order)


def _plain(view: View) -> npt.NDArray[np.float32]:
    return cast("npt.NDArray[np.float32]", np.ndarray.view(view, np.ndarray))


def _checked(value: Any) -> Any:
    """Views in it as ordinary arrays, if they are good."""
    if isinstance(value, View):
        value._check()
        return _plain(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_checked(part) for part in value) if type(value) in (list, tuple) else value
    return value


def view_of(pointer: Pointer, fresh: Callable[[], bool], found: Tuple[int, int]) -> View:
    """count floats at an address in the memory of a context."""
    address, count = found
    memory = (ctypes.c_float * count).from_address(address)
    memory.lease = _Lease(pointer)  # type: ignore[attr-defined]  # lives as long as any array of this memory
    view = cast(View, np.frombuffer(memoryview(memory).toreadonly(), np.float32).view(View))
    view._fresh = fresh
    return view
