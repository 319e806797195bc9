"""How a model's template writes calls of functions, and grammars of answers that are such calls.

The form is read off what the template makes of a call in the history of a conversation. A forced
call is an answer of a grammar: the template's text around the name and the arguments, and the
function's JSON Schema for these. Control tokens are no text, and in no grammar: where the text before
a call has some it is put behind the prompt instead.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

NAME, KEY, VALUE = "probe_function", "probe_key", "probe value"
_ARGUMENTS = rf'\{{\s*"{KEY}":\s*"{VALUE}"\s*\}}'
_FRAMES = tuple(re.compile(opening + NAME + middle + _ARGUMENTS + closing) for opening, middle, closing in (
    (r'(\{\s*(?:"type":\s*"function",\s*)?(?:"function":\s*\{\s*)?"name":\s*")',
     r'(",\s*"(?:arguments|parameters)":\s*)', r'(?:,\s*"id":\s*"[^"]*")?(\s*\}(?:\s*\})?)'),
    (r"(<function=)", r"(>\s*)", r"(\s*</function>)"),
    (r"()", r"(\[ARGS\])", r"()"),
    (r"([^\n>]*to=functions\.)", r"([^{]*<\|message\|>)", r"()")))
_TOOL = {"type": "function", "function": {
    "name": NAME, "description": "", "parameters": {
        "type": "object", "properties": {KEY: {"type": "string"}}, "required": [KEY]}}}


@dataclasses.dataclass(frozen=True)
class CallForm:
    before: str  # of the first call
    opening: str  # of each, up to its name
    middle: str  # up to the arguments
    closing: str
    between: str | None  # two calls; None: an answer has one
    after: str  # of the last one
    before_is_text: bool = True  # without control tokens
    middle_is_text: bool = True


PLAIN = CallForm("", '{"name": "', '", "arguments": ', "}", None, "")


def _called(n: int) -> list[dict[str, Any]]:
    calls = [{"type": "function", "id": "abcdefgh" + str(i), "function": {
        "name": NAME, "arguments": {KEY: VALUE}}} for i in range(n)]
    return [{"role": "user", "content": "probe"},
            {"role": "assistant", "content": "", "tool_calls": calls}]


def _matches(text: str, frame: re.Pattern[str]) -> list[re.Match[str]]:
    return list(frame.finditer(text))


def find(render: Callable[[list[dict[str, Any]], list[dict[str, Any]], bool], str | None],
         is_text: Callable[[str], bool], before_control: Callable[[str], str]) -> CallForm | None:
    """The form of a template; None: it writes no calls, or in a form that isn't known.

    render          of messages, tools, and whether an answer's beginning follows; None: it fails
    is_text         whether a text has no control tokens
    before_control  a text up to the first control token
    """
    begun = render(_called(1)[:1], [_TOOL], True)
    one, two = render(_called(1), [_TOOL], False), render(_called(2), [_TOOL], False)
    if begun is None or one is None:
        return None
    start = len(os.path.commonprefix([begun, one]))
    written = one[start:]
    for frame in _FRAMES:
        found = _matches(written, frame)
        if len(found) != 1:
            continue
        call = found[0]
        before, between = written[:call.start()], None
        if len(before) > 100 or "probe" in before:
            continue
        both = _matches(two[start:], frame) if two is not None and two[:start] == one[:start] else []
        if len(both) == 2:
            between = two[start + both[0].end():start + both[1].start()]
            if not is_text(between) or len(between) > 100:
                between = None
        return CallForm(before, call.group(1), call.group(2), call.group(3), between,
                        before_control(written[call.end():]), is_text(before + call.group(1)),
                        is_text(call.group(2)))
    return None


def tells_tools(render: Callable[[list[dict[str, Any]], list[dict[str, Any]], bool], str | None]) -> bool:
    """Whether a prompt has the tools in it."""
    text = render(_called(1)[:1], [_TOOL], True)
    return text is not None and NAME in text


# ---- grammars


def quoted(text: str) -> str:
    """A text of a rule."""
    out = []
    for character in text:
        if character in '"\\':
            out.append("\\" + character)
        elif character < " " or character > "~":
            out.append(f"\\U{ord(character):08x}")
        else:
            out.append(character)
    return '"' + "".join(out) + '"'


@dataclasses.dataclass(frozen=True)
class Calls:
    """Answers that are calls of these functions, in a form that a grammar has all of."""

    form: CallForm
    schemas: Mapping[str, str]  # of each function's arguments, by its name
    many: bool  # an answer may have several
    prompt: str = ""  # what is put behind the prompt
    fixed: str | None = None  # the function whose name is in there: the answer is its arguments

    def body(self) -> str:
        """The rule `calls` and what it needs."""
        form, lines = self.form, []
        for number, (name, schema) in enumerate(self.schemas.items()):
            arguments = f"%json {schema}"
            if self.fixed is None:
                arguments = (f"{quoted(form.opening + name + form.middle)} {arguments} "
                             f"{quoted(form.closing)}")
            lines.append(f"call{number} ::= {arguments}")
        call = " | ".join(f"call{number}" for number in range(len(self.schemas)))
        more = f" ({quoted(form.between)} call)*" if self.many and form.between is not None else ""
        after = f" ({quoted(form.after)})?" if form.after else ""
        return "\n".join([f"calls ::= call{more}{after}", f"call ::= {call}", *lines])

    def grammar(self, before: str = "", other: str | None = None) -> str:
        """Of calls behind `before`; or of `other`, a JSON Schema's text."""
        rest = "" if other is None else f" | %json {other}"
        return f"root ::= {quoted(before)} calls{rest}\n{self.body()}"


def forced(form: CallForm | None, schemas: Mapping[str, str], many: bool) -> Calls:
    """Answers that are calls: what comes before the first one is put behind the prompt."""
    form = form or PLAIN
    if form.middle_is_text:
        return Calls(form, schemas, many, form.before)
    if len(schemas) == 1:
        (name,) = schemas
        opened = form.before + form.opening + name + form.middle
        return Calls(form, schemas, False, opened, fixed=name)
    if form.before.strip() == "[TOOL_CALLS]":  # these models know a list of objects too
        listed = dataclasses.replace(PLAIN, before=form.before + "[", between=", ", after="]")
        return Calls(listed, schemas, many, listed.before)
    return Calls(PLAIN, schemas, False)


def either(form: CallForm | None, schemas: Mapping[str, str], many: bool) -> Calls:
    """Calls whose text a grammar has from the answer's beginning."""
    if form is None or not (form.before_is_text and form.middle_is_text):
        form = PLAIN
    return Calls(form, schemas, many)


@dataclasses.dataclass(frozen=True)
class Trigger:
    """From where a model has written `mark`, what follows is `calls`."""

    mark: bytes
    calls: Calls
    at_start: bool  # only where an answer begins with it

    def grammar(self, tail: str) -> str:
        """Of what follows, with the end of the mark before it."""
        form = self.calls.form
        marked = self.mark.decode()
        rest = (form.before + form.opening if self.at_start else form.before)
        rest = rest[rest.index(marked) + len(marked):]
        if self.at_start:  # the mark is the first call's opening
            first = " | ".join(
                f"{quoted(tail + name + form.middle)} %json {schema} {quoted(form.closing)}"
                for name, schema in self.calls.schemas.items())
            more = ""
            if self.calls.many and form.between is not None:
                more = f" ({quoted(form.between)} call)*"
            return f"root ::= ({first}){more}\n{self.calls.body()}"
        return f"root ::= {quoted(tail + rest)} calls\n{self.calls.body()}"


def trigger(form: CallForm | None, schemas: Mapping[str, str], many: bool) -> Trigger | None:
    """None: the form has control tokens in a call, or the model's form isn't known."""
    form = form or PLAIN
    if not form.middle_is_text:
        return None
    mark = form.before.strip() or form.opening
    return Trigger(mark.encode(), Calls(form, schemas, many), not form.before.strip())


# ---- reading what such a grammar let through


class CallReader:
    """Calls as they come, piece by piece: [name, arguments so far]."""

    _BRACKETS, _IN_STRING = re.compile(r'[{}"]'), re.compile(r'["\\]')

    def __init__(self, calls: Calls) -> None:
        self._calls, self._form = calls, calls.form
        self._names = sorted(calls.schemas, key=len, reverse=True)
        self._text, self._at = "", 0
        self._depth, self._in_string, self._in_arguments = 0, False, False
        self._scanned = 0
        self.calls: list[list[str]] = []

    def feed(self, text: str) -> None:
        self._text += text
        while self._next():
            pass

    @property
    def is_whole(self) -> bool:
        """Whether what was read is calls and nothing else."""
        rest = self._text[self._at:]
        return bool(self.calls) and not self._in_arguments and rest in (
            self._form.closing, self._form.closing + self._form.after)

    def _next(self) -> bool:
        return self._arguments() if self._in_arguments else self._head()

    def _head(self) -> bool:
        if self._calls.fixed is not None:
            return not self.calls and self._begin(self._calls.fixed, 0)
        at = self._at
        if self.calls:
            link = self._form.closing + (self._form.between or "")
            if self._form.between is None or not self._text.startswith(link, at):
                return False
            at += len(link)
        for name in self._names:
            head = self._form.opening + name + self._form.middle
            if self._text.startswith(head, at):
                return self._begin(name, at + len(head))
        return False

    def _begin(self, name: str, at: int) -> bool:
        self.calls.append([name, ""])
        self._at = self._scanned = at
        self._in_arguments, self._depth, self._in_string = True, 0, False
        return True

    def _arguments(self) -> bool:
        """Up to the brace that closes the object."""
        while True:
            found = (self._IN_STRING if self._in_string else self._BRACKETS).search(
                self._text, self._scanned)
            if not found:
                self._scanned = max(self._scanned, len(self._text))
                self.calls[-1][1] = self._text[self._at:]
                return False
            self._scanned = found.end()
            character = found.group()
            if character == "\\":
                if self._scanned == len(self._text):  # what it escapes is still to come
                    self._scanned -= 1
                    self.calls[-1][1] = self._text[self._at:]
                    return False
                self._scanned += 1
            elif character == '"':
                self._in_string = not self._in_string
            else:
                self._depth += 1 if character == "{" else -1
                if self._depth == 0:
                    self.calls[-1][1] = self._text[self._at:self._scanned]
                    self._at, self._in_arguments = self._scanned, False
                    return True


def arguments_schema(parameters: Mapping[str, Any] | None) -> str:
    """A function's parameters as the schema of an object. ValueError: they are another type's."""
    if parameters is None:
        return '{"type":"object","additionalProperties":false}'
    if parameters.get("type", "object") != "object":
        raise ValueError("parameters are not of type object")
    return json.dumps({**parameters, "type": "object"})


def told(tools: Sequence[Mapping[str, Any]]) -> str:
    """What a model is told of tools where its template doesn't."""
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return ("You can call functions. These are there:\n" + listed + "\nTo call one, answer with nothing but "
            'a JSON object {"name": the function\'s name, "arguments": {its arguments}}.')


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a request's answers are told apart from its calls.

    kind  "free": calls are found in what the model wrote (tool_calls.py); from a trigger's mark on
          they are what its grammar lets through. "forced": answers are calls. "either": each is
          calls or a text that response_format allows.
    """

    kind: str
    names: tuple[str, ...]
    one_call: bool = False
    calls: Calls | None = None
    trigger: Trigger | None = None

    @property
    def marks(self) -> tuple[str, ...]:
        """What a call begins with, besides what tool_calls.py knows."""
        return () if self.trigger is None else (self.trigger.mark.decode(),)

    def begin(self, raw: str) -> int | None:
        """Where the first call begins in a text that has calls for sure; None: it isn't sure."""
        if self.kind == "forced":
            return 0
        if self.kind == "either":
            assert self.calls is not None
            before = self.calls.form.before
            return len(before) if before and raw.startswith(before) else None
        if self.trigger is None:
            return None
        mark, form = self.trigger.mark.decode(), self.trigger.calls.form
        if self.trigger.at_start:
            return 0 if raw.startswith(mark) else None
        at = raw.find(mark)
        return None if at < 0 else at + len(form.before) - form.before.index(mark)

    def is_text(self, raw: str) -> bool:
        """Of kind either: whether it can't become a call any more."""
        assert self.calls is not None
        form = self.calls.form
        heads = [form.before] if form.before else [
            form.opening + name + form.middle for name in self.names]
        return not any(head.startswith(raw) or raw.startswith(head) for head in heads)

    def whole(self, raw: str) -> list[list[str]] | None:
        """Of kind either, where the text alone tells: the calls that all of it is."""
        assert self.calls is not None
        reader = CallReader(self.calls)
        reader.feed(raw)
        return reader.calls if reader.is_whole else None
