"""What goes wrong, as exceptions: one class for each status of the library, with the library's message."""
from __future__ import annotations

from typing import Any, Dict, Optional, Type

from . import _header as c


class Error(Exception):
    """Base of all that the library reports. `str()` is its message, `status` the number it returned."""

    status: int = -1

    def __init__(self, message: str = "", status: Optional[int] = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status


class InvalidArgumentError(Error, ValueError):
    """The call is wrong: a bad token id, another context's sequence, a number out of range."""

    status = c.INVALID_ARGUMENT


class OutOfMemoryError(Error, MemoryError):
    """An allocation was refused, or a thread could not be started."""

    status = c.OUT_OF_MEMORY


class ReadError(Error, OSError):
    """A file or reader could not be opened or read (status IO)."""

    status = c.IO


class FormatError(Error, ValueError):
    """A file breaks its format; the message tells file, key or tensor, and offset."""

    status = c.FORMAT


class UnsupportedError(Error, NotImplementedError):
    """Well-formed, but not something this library does; the message names it."""

    status = c.UNSUPPORTED


class LimitError(Error, RuntimeError):
    """A limit of the context or model is reached; nothing is lost.

    Raised by a decode, `result` has its counts (how many sequences were refused, say)."""

    status = c.LIMIT
    result: Any = None


class Cancelled(Error):
    """Stopped by `Context.cancel` or by a callback."""

    status = c.CANCELLED


class DeviceError(Error, RuntimeError):
    """A device failed or was lost."""

    status = c.DEVICE


class NotFoundError(Error, LookupError):
    """No such file, key, token or position."""

    status = c.NOT_FOUND


class BufferTooSmallError(Error):
    """A buffer did not hold the answer. This package sizes its buffers itself, so you shouldn't see it."""

    status = c.BUFFER_TOO_SMALL


class StateError(Error, RuntimeError):
    """Not possible in the object's present state: it is closed, say."""

    status = c.STATE


class StaleViewError(StateError):
    """A view of the context's memory is used after the step that it belongs to."""


class BusyError(Error, RuntimeError):
    """Another call on this context (or sampler, or stream) is running in another thread."""

    status = c.BUSY


class InternalError(Error, RuntimeError):
    """A bug in the library."""

    status = c.INTERNAL


CLASSES: Dict[int, Type[Error]] = {
    kind.status: kind
    for kind in (InvalidArgumentError, OutOfMemoryError, ReadError, FormatError, UnsupportedError, LimitError,
                 Cancelled, DeviceError, NotFoundError, BufferTooSmallError, StateError, BusyError, InternalError)
}


def of_status(status: int, message: str) -> Error:
    """The exception for a status other than OK; `Error` itself for one that this package doesn't know."""
    return CLASSES.get(status, Error)(message, status)
