"""Python functions that the library calls: an exception in one ends the call and is raised where it was made."""
from __future__ import annotations

import ctypes
import sys
from typing import Any, Callable, List, Optional

from . import _header as c
from .options import Log, LogLevel, Progress, Reader


class Callbacks:
    """The functions of one call or handle. Whoever may still call them keeps this."""

    def __init__(self) -> None:
        self.error: Optional[BaseException] = None
        self._kept: List[Any] = []

    def raise_error(self) -> None:
        """What a function raised, once."""
        error, self.error = self.error, None
        if error is not None:
            raise error

    def _guard(self, function: Callable[..., int], failed: int) -> Callable[..., int]:
        def guarded(*arguments: Any) -> int:
            try:
                return function(*arguments)
            except BaseException as error:  # KeyboardInterrupt too: it must not be lost in the library
                self.error = self.error or error
                return failed
        return guarded

    def _keep(self, kept: Any) -> Any:
        self._kept.append(kept)
        return kept

    def log(self, log: Optional[Log]) -> Any:
        """A log's function. What it raises is shown as Python shows what a finalizer raises, and goes no further."""
        if log is None:
            return c.LogFunction()

        def line(_: Any, level: int, text: bytes) -> None:
            try:
                log(LogLevel(level), text.decode("utf-8", "replace"))
            except Exception as error:
                sys.unraisablehook(_Unraisable(error, log))  # type: ignore[arg-type]
        return self._keep(c.LogFunction(line))

    def progress(self, progress: Optional[Progress]) -> Any:
        """A progress function."""
        if progress is None:
            return c.ProgressFunction()
        return self._keep(c.ProgressFunction(
            self._guard(lambda _, done, total: int(bool(progress(done, total))), 1)))

    def write(self, write: Callable[[bytes], Any], kind: Any = c.ConvertOptionsWriteFunction) -> Any:
        """A function that gets a file's bytes."""
        def some(_: Any, address: int, n: int) -> int:
            write(ctypes.string_at(address, n))
            return 0
        return self._keep(kind(self._guard(some, 1)))

    def read(self, read: Callable[[int], bytes]) -> Any:
        """A function that gives up to n more bytes of a snapshot."""
        def some(_: Any, buffer: int, n: int) -> int:
            data = bytes(read(n))
            if len(data) > n:
                raise ValueError(f"the reader gave {len(data)} bytes where {n} were asked for")
            ctypes.memmove(buffer, data, len(data))
            return len(data)
        return self._keep(c.RestoreOptionsReadFunction(self._guard(some, -1)))

    def reader(self, reader: Reader) -> Any:
        """A pointer to a reader's functions."""
        def size(_: Any, name: bytes) -> int:
            found = reader.size(name.decode("utf-8", "surrogateescape"))
            return -1 if found is None else found

        def read(_: Any, name: bytes, offset: int, buffer: int, n: int) -> int:
            data = bytes(reader.read(name.decode("utf-8", "surrogateescape"), offset, n))
            ctypes.memmove(buffer, data, min(n, len(data)))
            return min(n, len(data))
        made = c.Reader(size=c.ReaderSizeFunction(self._guard(size, -1)),
                        read=c.ReaderReadFunction(self._guard(read, -1)))
        return ctypes.pointer(self._keep(made))


class _Unraisable:
    """What sys.unraisablehook takes."""

    err_msg = "Exception ignored in a log function"

    def __init__(self, error: BaseException, function: object) -> None:
        self.exc_type, self.exc_value, self.exc_traceback = type(error), error, error.__traceback__
        self.object = function
