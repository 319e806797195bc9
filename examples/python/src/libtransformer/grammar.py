"""Grammars: what texts a sequence may have."""
from __future__ import annotations

import ctypes
import json
from typing import TYPE_CHECKING, Any, Mapping, Optional, Union

from . import _header as c
from . import errors
from ._handle import Handle
from ._library import LIBRARY, Text, c_string, call, create, mode, struct, utf8
from .options import Match

if TYPE_CHECKING:
    from .model import Model


class Grammar(Handle):
    """A JSON Schema, a regular expression or a grammar in EBNF, compiled for a model's tokens. Immutable: any number of
    threads and sequences may use one at once."""

    def __init__(self, model: Model, *, json_schema: Union[None, str, bool, Mapping[str, Any]] = None,
                 regex: Optional[str] = None, ebnf: Optional[str] = None, whitespace: Optional[bool] = None) -> None:
        """One of the three.

        json_schema  as text, or as json.loads has it
        regex        ECMA-262's, of the whole text
        ebnf         rules `name ::= ...`; the text matches the rule root, or the first
        whitespace   of a JSON text: between its tokens there may be any white space; default: none
        """
        if (json_schema is not None) + (regex is not None) + (ebnf is not None) != 1:
            raise errors.InvalidArgumentError("one of json_schema, regex and ebnf is what a grammar is made of")
        if json_schema is not None and not isinstance(json_schema, str):
            try:
                json_schema = json.dumps(json_schema, allow_nan=False)
            except (ValueError, RecursionError) as error:
                raise errors.InvalidArgumentError(f"json_schema is no JSON: {error}") from None
        options = struct(c.GrammarOptions, json_schema=c_string("json_schema", json_schema), regex=c_string("regex", regex),
                         ebnf=c_string("ebnf", ebnf), whitespace=mode(whitespace))
        with model._pointer as address:
            made = create("grammar_create", address, ctypes.byref(options))
        self._hold("grammar", made, LIBRARY.transformer_grammar_destroy, model._pointer)

    def match(self, text: Text) -> Match:
        """Whether a text is one of the grammar, or the beginning of one."""
        data, found = utf8(text), ctypes.c_int32()
        with self._pointer as address:
            call("grammar_match", address, data, len(data), ctypes.byref(found))
        return Match(found.value)
