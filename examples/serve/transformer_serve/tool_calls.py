"""Calls of tools in what a model wrote.

Each family writes them its own way; these are the ways that templates in use ask for:

- <tool_call>{"name": ..., "arguments": {...}}</tool_call>, or a list of such objects (Hermes, Qwen
  2.5 and 3, SmolLM); <|tool_call|>[...] (Granite, Phi 4)
- <function=NAME><parameter=KEY>VALUE</parameter></function> in it, or alone (Qwen 3 Coder);
  <function=NAME>{...}</function> (Llama 3's own)
- [TOOL_CALLS][{"name": ..., "arguments": {...}}], and [TOOL_CALLS]NAME[ARGS]{...} (Mistral)
- {"name": ..., "parameters": {...}} as the whole answer, maybe after <|python_tag|> (Llama 3.1)
- <|channel|>commentary to=functions.NAME ... <|message|>{...} (gpt-oss)

A call of a function that the request doesn't have, or with arguments that aren't JSON, is no call:
the text stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, NamedTuple

MARKS = ("<tool_call>", "<|tool_call|>", "<function=", "[TOOL_CALLS]", "<|python_tag|>",
         "<|channel|>commentary to=functions.")


class Call(NamedTuple):
    name: str
    arguments: str  # JSON


_decoder = json.JSONDecoder()
_FUNCTION = re.compile(r"<function=([^>\s]{1,64})>(.*?)</function>", re.S)
_PARAMETER = re.compile(r"<parameter=([^>\s]{1,256})>\n?(.*?)\n?</parameter>", re.S)
_HARMONY = re.compile(r"<\|channel\|>commentary to=functions\.([^\s<]{1,64})[^{]{0,200}<\|message\|>")
_ARGS = re.compile(r"\s*([a-zA-Z0-9_.-]{1,64})(?:\[CALL_ID\][^\[]{0,64})?\[ARGS\]")


def _json(text: str, at: int = 0) -> tuple[Any, int] | None:
    while at < len(text) and text[at].isspace():
        at += 1
    try:
        return _decoder.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None


def _call(value: Any) -> Call | None:
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    if not isinstance(arguments, dict):
        return None
    return Call(value["name"], json.dumps(arguments, ensure_ascii=False))


def _calls(value: Any) -> list[Call] | None:
    """All of a list's, or the one; None where anything is no call."""
    calls = [_call(one) for one in (value if isinstance(value, list) else [value])]
    return None if not calls or None in calls else calls  # type: ignore[return-value]


def _parameter(text: str) -> Any:
    """Values are written as text, objects and numbers as JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _functions(text: str) -> list[Call] | None:
    calls = []
    for name, body in _FUNCTION.findall(text):
        read = _json(body)
        if read and isinstance(read[0], dict):
            arguments = read[0]
        elif body.strip() and not _PARAMETER.search(body):
            return None
        else:
            arguments = {key: _parameter(value) for key, value in _PARAMETER.findall(body)}
        calls.append(Call(name, json.dumps(arguments, ensure_ascii=False)))
    return calls or None


def _after_mark(mark: str, text: str) -> list[Call] | None:
    """text begins behind the mark."""
    if mark == "<function=":
        return _functions(mark + text)
    if mark.startswith("<|channel|>"):
        calls = []
        for found in _HARMONY.finditer(mark + text):
            read = _json(mark + text, found.end())
            if not read or not isinstance(read[0], dict):
                return None
            calls.append(Call(found.group(1), json.dumps(read[0], ensure_ascii=False)))
        return calls or None
    calls = []
    for block in text.split(mark):
        named = _ARGS.match(block) if mark == "[TOOL_CALLS]" else None
        if named:
            read = _json(block, named.end())
            found = [Call(named.group(1), json.dumps(read[0], ensure_ascii=False))] \
                if read and isinstance(read[0], dict) else None
        elif "<function=" in block:
            found = _functions(block)
        else:
            read = _json(block)
            found = _calls(read[0]) if read else None
        if not found:
            return None
        calls += found
    return calls


def parse(raw: str, names: Collection[str]) -> tuple[str, list[Call]] | None:
    """The text before the calls, and the calls; None where there are none."""
    at, mark = min(((raw.find(mark), mark) for mark in MARKS if mark in raw), default=(-1, ""))
    if at >= 0:
        before, calls = raw[:at], _after_mark(mark, raw[at + len(mark):])
    elif raw.lstrip().startswith(("{", "[")):
        read = _json(raw)
        before, calls = "", (_calls(read[0]) if read and not raw[read[1]:].strip(" \n;") else None)
    else:
        return None
    if not calls or any(call.name not in names for call in calls):
        return None
    return before, calls


def may_begin(raw: str, more: Collection[str] = ()) -> int:
    """How much of the text is certainly not part of a call: what comes after is held back until the
    answer is whole, for that is where a call may have begun."""
    if not raw.strip() or raw.lstrip().startswith(("{", "[")):
        return 0
    marks = (*MARKS, *more)
    found = [at for at in (raw.find(mark) for mark in marks) if at >= 0]
    if found:
        return min(found)
    longest = max(map(len, marks))
    for at in range(max(0, len(raw) - longest), len(raw)):
        if any(mark.startswith(raw[at:]) for mark in marks):
            return at
    return len(raw)
