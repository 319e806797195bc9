"""Text as it comes: tokens in, whole characters out."""
from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Optional, Sequence

from . import _header as c
from ._handle import Handle
from ._library import LIBRARY, address_and_count, c_string, create, integer

if TYPE_CHECKING:
    from .model import Model


class TextStream(Handle):
    """Turns tokens into text that never splits a character."""

    def __init__(self, model: Model, *, special: bool = False, stop: Sequence[str] = ()) -> None:
        """special  writes control tokens out
        stop     strings that end the text: what comes before the first of them is given, what may be the beginning of
                 one is held back until that is decided
        """
        if isinstance(stop, str):
            raise TypeError("stop is a list of strings")
        options = c.TextStreamOptions(special=c.ON if special else c.OFF)
        if stop:
            strings = (ctypes.c_char_p * len(stop))(*(c_string("a stop string", text) for text in stop))
            options.stop, options.n_stop = ctypes.cast(strings, ctypes.POINTER(ctypes.c_void_p)), len(stop)
        with model._pointer as address:
            made = create("text_stream_create", address, ctypes.byref(options))
        self._hold("text stream", made, LIBRARY.transformer_text_stream_destroy, model._pointer)

    @property
    def stopped(self) -> Optional[int]:
        """Index of the stop string that ended the text; None: none did."""
        with self._pointer as stream:
            index = int(LIBRARY.transformer_text_stream_stopped(stream))
        return None if index < 0 else index

    def _text(self, function: Any, *arguments: int) -> str:
        with self._pointer as stream:
            address, length = address_and_count(function, stream, *arguments)
            return ctypes.string_at(address, length).decode() if length else ""

    def push(self, token: int) -> str:
        """The characters that are complete with this token, maybe none; bytes that can't become one are U+FFFD."""
        return self._text(LIBRARY.transformer_text_stream_push, integer("token", token))

    def finish(self) -> str:
        """What is left: an unfinished character is U+FFFD. The stream starts anew."""
        return self._text(LIBRARY.transformer_text_stream_finish)
