"""The loaded library: found, checked against this package's version, its calls declared."""
from __future__ import annotations

import ctypes
import os
import pathlib
from typing import Any, Callable, Dict, Optional, Tuple, Type, TypeVar, Union

import numpy as np
import numpy.typing as npt

from . import _header as c
from . import errors

NAME = "libtransformer.so.0"
Struct = TypeVar("Struct", bound=ctypes.Structure)
Text = Union[str, bytes]
Int32Array = npt.NDArray[np.int32]


def _path() -> str:
    """LIBTRANSFORMER_LIBRARY, else what the wheel brought, else what the system's loader finds."""
    named = os.environ.get("LIBTRANSFORMER_LIBRARY")
    if named:
        return named
    ours = pathlib.Path(__file__).with_name(NAME)
    return str(ours) if ours.exists() else NAME


def _load() -> ctypes.CDLL:
    path = _path()
    try:
        loaded = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"libtransformer's shared library can't be loaded: {error}; "
                          "LIBTRANSFORMER_LIBRARY may name it") from error
    try:
        for name, (result, arguments) in c.FUNCTIONS.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as error:
        raise ImportError(f"{path} is another libtransformer than this package ({c.VERSION}) is for: {error}") from None
    version = loaded.transformer_version_string().decode()
    if version != c.VERSION:
        raise ImportError(f"{path} is libtransformer {version}, this package is for {c.VERSION}")
    return loaded


LIBRARY: Any = _load()


def check(status: int) -> None:
    """Raises what a status other than OK stands for, in the thread that made the call."""
    if status != c.OK:
        raise errors.of_status(status, LIBRARY.transformer_last_error().decode("utf-8", "replace"))


def call(name: str, *arguments: Any) -> None:
    """Calls transformer_NAME, which returns a status. Other threads run meanwhile."""
    check(getattr(LIBRARY, "transformer_" + name)(*arguments))


def create(name: str, *arguments: Any) -> int:
    """The handle that transformer_NAME makes."""
    handle = ctypes.c_void_p()
    call(name, *arguments, ctypes.byref(handle))
    assert handle.value is not None
    return handle.value


def struct(kind: Type[Struct], **values: Any) -> Struct:
    """A struct of these values. A number that its member can't hold is an error: ctypes would cut it."""
    for name in values:
        if not hasattr(kind, name):  # ctypes would take it for an attribute of the object
            raise TypeError(f"{name} is no option of {kind.__name__}")
    made = kind(**values)
    for name, value in values.items():
        if isinstance(value, int) and isinstance(getattr(made, name), int) and getattr(made, name) != value:
            raise errors.InvalidArgumentError(f"{name} {value} is out of range")
    return made


def integer(name: str, value: int, bits: int = 32) -> int:
    """A signed argument of a call, likewise."""
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise errors.InvalidArgumentError(f"{name} {value} is out of range")
    return value


def mode(value: Optional[bool]) -> int:
    """None is the library's default."""
    return c.DEFAULT if value is None else c.ON if value else c.OFF


def utf8(text: Text) -> bytes:
    """Bytes are taken to be UTF-8."""
    return text.encode() if isinstance(text, str) else bytes(text)


def c_string(name: str, text: Optional[Text]) -> Optional[bytes]:
    """What C reads up to a NUL, which must therefore not be in it."""
    if text is None:
        return None
    data = utf8(text)
    if b"\0" in data:
        raise errors.InvalidArgumentError(f"{name} has a NUL in it")
    return data


def file_name(path: Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]) -> bytes:
    """A path as the system has it."""
    return c_string("path", os.fsencode(path)) or b""


def token_array(tokens: Any) -> Int32Array:
    """Token ids as int32 in one piece, whole numbers that fit; a single one too."""
    if isinstance(tokens, np.ndarray) and tokens.dtype == np.int32 and tokens.ndim == 1:
        return np.ascontiguousarray(tokens)
    array = np.atleast_1d(np.asarray(tokens))
    if array.size == 0:
        return np.empty(0, np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise errors.InvalidArgumentError("tokens are no list of whole numbers")
    if int(array.min()) < -(1 << 31) or int(array.max()) >= 1 << 31:
        raise errors.InvalidArgumentError("a token is out of range")
    return array.astype(np.int32)


def int32_pointer(array: Int32Array) -> Any:
    """For the call's time: whoever has the array keeps it."""
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(ctypes.c_int32))


def read_text(ask: Callable[[Any, int, Any], int]) -> bytes:
    """Bytes of a call that is given (buffer, capacity, length): 256 at first, as many as it needs then."""
    capacity = 256
    while True:
        buffer, length = ctypes.create_string_buffer(max(1, capacity)), ctypes.c_int64()
        status = ask(buffer, capacity, ctypes.byref(length))
        if status != c.BUFFER_TOO_SMALL:
            check(status)
            return buffer.raw[:length.value]
        capacity = length.value


def fields(made: ctypes.Structure, *left_out: str) -> Dict[str, Any]:
    """The numbers and texts of an output struct by their names."""
    out = {}
    for name, *_ in made._fields_:
        if name in ("struct_size", "reserved") or name in left_out:
            continue
        value = getattr(made, name)
        out[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return out


def address_and_count(function: Any, *arguments: Any) -> Tuple[int, int]:
    """What a call writes into its last two arguments."""
    address, count = ctypes.c_void_p(), ctypes.c_int64()
    check(function(*arguments, ctypes.byref(address), ctypes.byref(count)))
    return address.value or 0, count.value
