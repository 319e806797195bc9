"""Handles of the library: destroyed once, never while a call uses them, in any order, at exit too."""
from __future__ import annotations

import threading
import weakref
from types import TracebackType
from typing import Any, Callable, Optional, Tuple, Type, TypeVar

from . import errors

Self = TypeVar("Self", bound="Handle")


class Pointer:
    """A handle's address. `with pointer as address:` is a use of it: a close that meets uses waits for their end.

    keep  what must live as long: the parent's Pointer, callbacks, the bytes of a model in memory.
    """

    __slots__ = ("what", "_address", "_destroy", "_keep", "_uses", "_closed", "_lock", "__weakref__")

    def __init__(self, what: str, address: int, destroy: Callable[[int], None], keep: Tuple[Any, ...]) -> None:
        self.what = what
        self._address, self._destroy, self._keep = address, destroy, keep
        self._uses, self._closed = 0, False
        # A finalizer may run inside of a use in the same thread: it must not wait for itself.
        self._lock = threading.RLock()

    def __enter__(self) -> int:
        with self._lock:
            if self._closed:
                raise errors.StateError(f"the {self.what} is closed")
            self._uses += 1
        return self._address

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._uses -= 1
            last = self._closed and self._uses == 0
        if last:
            self._destroy(self._address)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Destroys the handle, or lets the last use do it. A second time does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            now = self._uses == 0
        if now:
            self._destroy(self._address)


class Handle:
    """What every object with a handle of the library has: `close`, `with`, and a finalizer.

    Objects may be closed in any order and from any thread; one that is forgotten is closed when it is collected, or
    when the interpreter ends. What was made from an object keeps what it needs of it.
    """

    _pointer: Pointer

    def _hold(self, what: str, address: int, destroy: Callable[[int], None], *keep: Any) -> None:
        self._pointer = Pointer(what, address, destroy, keep)
        self._finalizer = weakref.finalize(self, self._pointer.close)

    def close(self) -> None:
        """Gives up what the object holds. A call of it that is running in another thread ends first; later ones
        raise `StateError`. A second time does nothing."""
        self._finalizer()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._pointer.closed

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<{type(self).__module__}.{type(self).__name__}{state} at {id(self):#x}>"
