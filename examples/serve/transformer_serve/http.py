"""What all routes share: keys, limits of bodies, errors, clients that go away, streams of events."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from .errors import ApiError

T = TypeVar("T")
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Gone(Exception):
    """The client went away: nobody reads an answer."""


class Keys:
    """The keys that may ask, as digests of one length: comparing takes the same time for all."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def check(self, request: Request) -> int:
        """A number for the key: nobody learns from the server's speed what another key has asked."""
        if not self._digests:
            return 0
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(given.strip().encode("latin-1", "replace")).digest()
        known = False
        for other in self._digests:  # all of them, whichever it is
            known |= hmac.compare_digest(digest, other)
        if not known or scheme.lower() != "bearer":
            raise ApiError(401, "Incorrect API key provided." if given else
                           "You didn't provide an API key: send it as Authorization: Bearer KEY.",
                           code="invalid_api_key")
        return int.from_bytes(digest[:8], "little")


def request_id(request: Request) -> str:
    """The client's own name for it, if it is a plain one; in the answer and in the log."""
    given = request.headers.get("x-request-id", "")
    return given if _PLAIN.fullmatch(given) else "req_" + secrets.token_hex(12)


async def read_body(request: Request, limit: int) -> bytes:
    too_large = ApiError(413, f"the body is larger than {limit} bytes", code="body_too_large")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > limit):
        raise too_large
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise too_large
            parts.append(part)
    except ClientDisconnect:
        raise Gone from None
    return b"".join(parts)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """What `work` gives; it is cancelled when the client goes away."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return await task
    finally:
        for other in (task, gone):
            other.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


def error_response(error: ApiError) -> Response:
    return JSONResponse(error.body(), error.status, error.headers())


class EventStream(Response):
    """Server-sent events. A client that goes away, or that takes nothing for `timeout` seconds,
    ends the stream, and closing it tells the scheduler."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[Any], timeout: float,
                 closed: Callable[[], None] = lambda: None) -> None:
        self.events, self.timeout, self.closed = events, timeout, closed
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-store", "x-accel-buffering": "no"})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_until_gone(Request(scope, receive)))
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for other in (task, gone):
                other.cancel()
            done = await asyncio.gather(task, gone, return_exceptions=True)
            await self.events.aclose()  # type: ignore[attr-defined]
            self.closed()
        if isinstance(done[0], Exception) and not isinstance(done[0], (TimeoutError, OSError)):
            raise done[0]

    async def _send(self, send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for event in self.events:
            body = event if isinstance(event, bytes) else encode(event)
            await asyncio.wait_for(
                send({"type": "http.response.body", "body": body, "more_body": True}),
                self.timeout)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


DONE = b"data: [DONE]\n\n"


def encode(event: Any) -> bytes:
    return b"data: " + json.dumps(event, ensure_ascii=False,
                                  separators=(",", ":")).encode() + b"\n\n"
