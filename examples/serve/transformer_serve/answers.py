"""Answers in OpenAI's form: whole ones, and the chunks of streams."""

from __future__ import annotations

import base64
import secrets
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

from . import tool_calls
from .errors import ApiError
from .http import DONE
from .tool_forms import CallReader, Plan
from .work import Chosen, End, Event, Failure, Piece, Vector

LOWEST = -9999.0  # JSON has no infinity


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _log_probability(value: float) -> float:
    return max(value, LOWEST)


def chat_logprobs(chosen: list[Chosen]) -> dict[str, Any]:
    def entry(token: Any) -> dict[str, Any]:
        return {"token": _text(token.text), "logprob": _log_probability(token.log_probability),
                "bytes": list(token.text)}

    return {"content": [{**entry(token), "top_logprobs": [entry(t) for t in token.top]}
                        for token in chosen], "refusal": None}


def completion_logprobs(chosen: list[Chosen], offset: int) -> dict[str, Any]:
    out: dict[str, Any] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for token in chosen:
        text = _text(token.text)
        out["tokens"].append(text)
        out["token_logprobs"].append(_log_probability(token.log_probability))
        out["top_logprobs"].append({_text(t.text): _log_probability(t.log_probability)
                                    for t in token.top})
        out["text_offset"].append(offset)
        offset += len(text)
    return out


class _Call:
    """A call of an answer, and how much of its arguments a stream has sent."""

    def __init__(self, name: str, arguments: str) -> None:
        self.id = "call_" + secrets.token_hex(12)
        self.name, self.arguments = name, arguments
        self.n_sent: int | None = None

    def whole(self) -> dict[str, Any]:
        return {"id": self.id, "type": "function",
                "function": {"name": self.name, "arguments": self.arguments}}

    def more(self, index: int) -> dict[str, Any] | None:
        """What a stream has yet to send of it."""
        if self.n_sent is None:
            self.n_sent = len(self.arguments)
            return {"index": index, **self.whole()}
        if self.n_sent == len(self.arguments):
            return None
        more, self.n_sent = self.arguments[self.n_sent:], len(self.arguments)
        return {"index": index, "function": {"arguments": more}}


class _Answer:
    """What has come of one answer."""

    def __init__(self, plan: Plan | None) -> None:
        self._plan = plan
        self.text, self.raw, self.reason = "", "", ""
        self.chosen: list[Chosen] = []
        self.n_tokens = 0
        self.n_sent = 0  # characters of the text that a stream has sent, and of the log-probabilities
        self.n_chosen_sent = 0
        self.begun = False
        self.certain = 0  # characters of the text that are no part of a call, whatever comes
        self.calls: list[_Call] = []
        self._reader: CallReader | None = None

    def take(self, event: Event) -> None:
        if isinstance(event, Piece):
            self.text += event.text
            self.raw += event.raw
            self.chosen += event.chosen
            self._look(event.raw)
        elif isinstance(event, End):
            self.reason, self.n_tokens = event.reason, event.n_tokens
            self._end()

    def _look(self, more: str) -> None:
        """Calls that are certain, and what is certainly none."""
        plan = self._plan
        if plan is None:
            self.certain = len(self.text)
            return
        if self._reader is not None:
            self._read(more)
            return
        begin = plan.begin(self.raw)
        if begin is not None:
            if len(self.raw) >= begin:
                self._reader = CallReader(plan.calls or plan.trigger.calls)  # type: ignore[union-attr]
                self._read(self.raw[begin:])
        elif plan.kind == "either":
            if plan.is_text(self.raw):
                self.certain = len(self.text)
        elif self.raw and tool_calls.may_begin(self.raw, plan.marks) == len(self.raw):
            self.certain = len(self.text)

    def _read(self, more: str) -> None:
        assert self._reader is not None
        self._reader.feed(more)
        self._set(self._reader.calls)

    def _set(self, found: list[list[str]]) -> None:
        for index, (name, arguments) in enumerate(found):
            if index == len(self.calls):
                self.calls.append(_Call(name, arguments))
            self.calls[index].arguments = arguments

    def _end(self) -> None:
        plan = self._plan
        if plan is None or self.calls:
            return
        if plan.kind == "free":
            found = tool_calls.parse(self.raw, plan.names)
            if found:
                before, calls = found
                self._set([[call.name, call.arguments] for call in calls[:1 if plan.one_call else None]])
                self.certain = len(before) if self.text.startswith(before) else self.certain
                return
        elif plan.kind == "either" and not plan.is_text(self.raw):
            self._set(plan.whole(self.raw) or [])
        if not self.calls and plan.kind != "forced":
            self.certain = len(self.text)

    def finish_reason(self) -> str:
        cut = self._reader is not None and not self._reader.is_whole and self.reason == "length"
        return "tool_calls" if self.calls and not cut else self.reason


def check(events: list[Event]) -> list[Event]:
    """Raises the failure among them."""
    for event in events:
        if isinstance(event, Failure):
            raise ApiError(event.status, event.message)
    return events


class Form:
    """The shape of one request's answers. kind: "chat.completion" or "text_completion"."""

    def __init__(self, kind: str, model: str, fingerprint: str, n_answers: int, n_prompt: int, *,
                 plan: Plan | None = None, logprobs: bool = False, usage: bool = False) -> None:
        self.is_chat = kind == "chat.completion"
        self.logprobs, self.usage = logprobs, usage
        self.n_prompt = n_prompt
        self.answers = [_Answer(plan) for _ in range(n_answers)]
        prefix = "chatcmpl-" if self.is_chat else "cmpl-"
        self.head = {"id": prefix + secrets.token_hex(12), "object": kind,
                     "created": int(time.time()), "model": model,
                     "system_fingerprint": fingerprint}

    def take(self, events: list[Event]) -> list[int]:
        """The numbers of answers that changed, in their order."""
        changed = {event.answer for event in check(events)}  # type: ignore[union-attr]
        for event in events:
            self.answers[event.answer].take(event)  # type: ignore[union-attr]
        return sorted(changed)

    @property
    def done(self) -> bool:
        return all(answer.reason for answer in self.answers)

    def _usage(self) -> dict[str, Any]:
        generated = sum(answer.n_tokens for answer in self.answers)
        return {"prompt_tokens": self.n_prompt, "completion_tokens": generated,
                "total_tokens": self.n_prompt + generated}

    # ---- whole

    def whole(self) -> dict[str, Any]:
        choices = [self._choice(index, answer) for index, answer in enumerate(self.answers)]
        return {**self.head, "choices": choices, "usage": self._usage()}

    def _choice(self, index: int, answer: _Answer) -> dict[str, Any]:
        choice = {"index": index, "finish_reason": answer.finish_reason(), "logprobs": None}
        if not self.is_chat:
            if self.logprobs:
                choice["logprobs"] = completion_logprobs(answer.chosen, 0)
            return {**choice, "text": answer.text}
        if self.logprobs:
            choice["logprobs"] = chat_logprobs(answer.chosen)
        content: str | None = answer.text[:answer.certain]
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if answer.calls:
            message["content"] = content.strip() or None  # type: ignore[union-attr]
            message["tool_calls"] = [call.whole() for call in answer.calls]
        return {**choice, "message": message}

    # ---- streams

    async def stream(self, first: list[Event],
                     events: AsyncIterator[list[Event]]) -> AsyncIterator[Any]:
        """Chunks: one for each answer that changed in a step."""
        try:
            for chunk in self._chunks(first):
                yield chunk
            if not self.done:
                async for more in events:
                    for chunk in self._chunks(more):
                        yield chunk
                    if self.done:
                        break
        except ApiError as error:
            yield error.body()
            return
        if self.usage:
            yield {**self._chunk_head(), "choices": [], "usage": self._usage()}
        yield DONE

    def _chunk_head(self) -> dict[str, Any]:
        if not self.is_chat:
            return self.head
        return {**self.head, "object": "chat.completion.chunk"}

    def _chunks(self, events: list[Event]) -> list[dict[str, Any]]:
        chunks = []
        for index in self.take(events):
            for choice in self._changes(index, self.answers[index]):
                chunk = {**self._chunk_head(), "choices": [choice]}
                if self.usage:
                    chunk["usage"] = None
                chunks.append(chunk)
        return chunks

    def _changes(self, index: int, answer: _Answer) -> list[dict[str, Any]]:
        text, offset = answer.text[answer.n_sent:answer.certain], answer.n_sent
        answer.n_sent = max(answer.certain, answer.n_sent)
        numbered = [call.more(i) for i, call in enumerate(answer.calls)]
        calls = [call for call in numbered if call is not None]
        if not (text or answer.reason or calls):
            return []
        chosen = answer.chosen[answer.n_chosen_sent:]
        answer.n_chosen_sent = len(answer.chosen)
        reason = answer.finish_reason() if answer.reason else None
        if not self.is_chat:
            logprobs = completion_logprobs(chosen, offset) if self.logprobs else None
            return [{"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}]
        choices = []
        base = {"index": index, "finish_reason": None, "logprobs": None}
        if not answer.begun:
            answer.begun = True
            choices.append({**base, "delta": {"role": "assistant", "content": None if calls else "",
                                              "refusal": None}})
        if text or (self.logprobs and chosen):
            choices.append({**base, "delta": {"content": text},
                            "logprobs": chat_logprobs(chosen) if self.logprobs else None})
        if calls:
            choices.append({**base, "delta": {"tool_calls": calls}})
        if reason:
            choices.append({**base, "delta": {}, "finish_reason": reason})
        return choices


def embeddings(model: str, vectors: list[list[float]], as_base64: bool,
               n_tokens: int) -> dict[str, Any]:
    def value(vector: list[float]) -> Any:
        if not as_base64:
            return vector
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()

    data = [{"object": "embedding", "index": index, "embedding": value(vector)}
            for index, vector in enumerate(vectors)]
    return {"object": "list", "data": data, "model": model,
            "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens}}


def vectors_of(events: list[Event], out: dict[int, list[float]]) -> None:
    for event in check(events):
        if isinstance(event, Vector):
            out[event.index] = event.values
