"""Answers in OpenAI's form: whole ones, and the chunks of streams."""

from __future__ import annotations

import base64
import secrets
import struct
import time
from collections.abc import AsyncIterator, Collection
from typing import Any

from . import tool_calls
from .errors import ApiError
from .http import DONE
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


class _Answer:
    """What has come of one answer."""

    def __init__(self) -> None:
        self.text, self.raw, self.reason = "", "", ""
        self.chosen: list[Chosen] = []
        self.n_tokens = 0
        self.n_sent = 0  # characters of the text that a stream has sent, and of the log-probabilities
        self.n_chosen_sent = 0
        self.begun = False
        self.certain = 0  # characters of the text that are no part of a call, whatever comes

    def take(self, event: Event) -> None:
        if isinstance(event, Piece):
            self.text += event.text
            self.raw += event.raw
            self.chosen += event.chosen
            if self.raw and tool_calls.may_begin(self.raw) == len(self.raw):
                self.certain = len(self.text)
        elif isinstance(event, End):
            self.reason, self.n_tokens = event.reason, event.n_tokens


def check(events: list[Event]) -> list[Event]:
    """Raises the failure among them."""
    for event in events:
        if isinstance(event, Failure):
            raise ApiError(event.status, event.message)
    return events


class Form:
    """The shape of one request's answers. kind: "chat.completion" or "text_completion"."""

    def __init__(self, kind: str, model: str, fingerprint: str, n_answers: int, n_prompt: int, *,
                 tools: Collection[str] = (), one_call: bool = False, logprobs: bool = False,
                 usage: bool = False) -> None:
        self.is_chat = kind == "chat.completion"
        self.tools, self.one_call, self.logprobs, self.usage = tools, one_call, logprobs, usage
        self.n_prompt = n_prompt
        self.answers = [_Answer() for _ in range(n_answers)]
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

    def _calls(self, answer: _Answer) -> tuple[int, list[dict[str, Any]]] | None:
        """How many characters of the text come before the calls, and the calls."""
        found = tool_calls.parse(answer.raw, self.tools) if self.tools else None
        if found is None:
            return None
        before, calls = found
        calls = calls[:1] if self.one_call else calls
        n_before = len(before) if answer.text.startswith(before) else answer.certain
        return n_before, [
            {"id": "call_" + secrets.token_hex(12), "type": "function",
             "function": {"name": call.name, "arguments": call.arguments}} for call in calls]

    # ---- whole

    def whole(self) -> dict[str, Any]:
        choices = [self._choice(index, answer) for index, answer in enumerate(self.answers)]
        return {**self.head, "choices": choices, "usage": self._usage()}

    def _choice(self, index: int, answer: _Answer) -> dict[str, Any]:
        choice = {"index": index, "finish_reason": answer.reason, "logprobs": None}
        if not self.is_chat:
            if self.logprobs:
                choice["logprobs"] = completion_logprobs(answer.chosen, 0)
            return {**choice, "text": answer.text}
        if self.logprobs:
            choice["logprobs"] = chat_logprobs(answer.chosen)
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        found = self._calls(answer)
        if found:
            message["content"] = answer.text[:found[0]].strip() or None
            message["tool_calls"] = found[1]
            choice["finish_reason"] = "tool_calls"
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
        calls = self._calls(answer) if answer.reason else None
        if calls:
            ready = calls[0]
        else:
            ready = answer.certain if self.tools and not answer.reason else len(answer.text)
        text, offset = answer.text[answer.n_sent:ready], answer.n_sent
        answer.n_sent = max(ready, answer.n_sent)
        chosen = answer.chosen[answer.n_chosen_sent:]
        if not (text or answer.reason or calls):
            return []
        answer.n_chosen_sent = len(answer.chosen)
        if not self.is_chat:
            logprobs = completion_logprobs(chosen, offset) if self.logprobs else None
            return [{"index": index, "text": text, "logprobs": logprobs,
                     "finish_reason": answer.reason or None}]
        choices = []
        base = {"index": index, "finish_reason": None, "logprobs": None}
        if not answer.begun:
            answer.begun = True
            choices.append({**base, "delta": {"role": "assistant", "content": "", "refusal": None}})
        if text or (self.logprobs and chosen):
            choices.append({**base, "delta": {"content": text},
                            "logprobs": chat_logprobs(chosen) if self.logprobs else None})
        if calls:
            numbered = [{"index": i, **call} for i, call in enumerate(calls[1])]
            choices.append({**base, "delta": {"tool_calls": numbered}})
        if answer.reason:
            reason = "tool_calls" if calls else answer.reason
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
