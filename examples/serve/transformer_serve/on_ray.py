"""What a Ray Serve application is made of: the ingress, its choice of replicas, and the replica."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import ray
from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from transformer_serve.errors import ApiError
from transformer_serve.http import encode, error_response

log = logging.getLogger("ray.serve")

ATTEMPTS = 4  # replicas that are asked before an answer has begun
DROPPED_HEADERS = {b"host", b"connection", b"transfer-encoding", b"content-length"}


class Arguments(BaseModel):
    """What `serve run` and the configuration file may say."""

    model_config = ConfigDict(extra="forbid")

    model: str  # path on each node, NAME=PATH for a name of its own
    min_replicas: int = 1
    max_replicas: int = 4
    target_ongoing: float = 16  # requests for each replica that autoscaling aims at
    max_ongoing: int = 64  # of a replica; more go to another one
    max_queued: int = 512  # at the ingress; one more is answered 429
    replicas_per_node: int = 1
    cpus: float = 1  # of a node, for Ray's books; the engine takes `threads`
    gpus: float = 0
    threads: int = 0
    max_running: int = 64
    max_sequence_tokens: int = 0
    kv_tokens: int = 0
    overcommit: int = 4
    max_body_bytes: int = 4 << 20
    chat_template: str | None = None  # text
    api_keys: list[str] = []
    upscale_delay: float = 5
    downscale_delay: float = 120
    look_back: float = 15  # seconds whose load is averaged
    drain_timeout: float = 600


def conversation(path: str, body: bytes) -> str | None:
    """What all requests of one conversation have in common, and few others: its beginning."""
    try:
        given = json.loads(body)
        if given.get("prompt_cache_key"):
            text = str(given["prompt_cache_key"])
        elif path.endswith("/chat/completions"):
            messages = given["messages"]
            first = next(i for i, message in enumerate(messages) if message["role"] == "user")
            text = json.dumps(messages[:first + 1], sort_keys=True)
        elif path.endswith("/completions"):
            text = json.dumps(given["prompt"])[:256]
        else:
            return None
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError):
        return None  # the replica tells what is wrong with it
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


class ConversationRouter(RequestRouter):
    """Replicas for a request in the order in which its conversation prefers them."""

    async def choose_replicas(self, candidate_replicas: list[RunningReplica],
                              pending_request: PendingRequest | None = None
                              ) -> list[list[RunningReplica]]:
        key = pending_request.kwargs.get("key") if pending_request else None
        if key is None:
            two = random.sample(candidate_replicas, min(2, len(candidate_replicas)))
            return [two, candidate_replicas]

        def weight(replica: RunningReplica) -> bytes:
            return hashlib.sha256(f"{key} {replica.replica_id.unique_id}".encode()).digest()

        return [[replica] for replica in sorted(candidate_replicas, key=weight, reverse=True)]


class Replica:
    """The whole server, asked by calls instead of sockets."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        from transformer_serve.api import Service, create_app
        from transformer_serve.settings import ModelSettings, Settings

        given = Arguments(**arguments)
        name, _, path = given.model.rpartition("=")
        model = ModelSettings(
            name=name or path.rsplit("/", 1)[-1].removesuffix(".gguf"), path=path,
            threads=given.threads, max_running=given.max_running,
            max_sequence_tokens=given.max_sequence_tokens, kv_tokens=given.kv_tokens,
            overcommit=given.overcommit,
            chat_template=given.chat_template)
        self._service = Service(Settings(models=(model,), api_keys=tuple(given.api_keys),
                                         max_body_bytes=given.max_body_bytes,
                                         max_waiting=given.max_ongoing))
        self._app = create_app(self._service)
        name = serve.get_replica_context().replica_id.unique_id
        node = ray.get_runtime_context().get_node_id()
        self._mark = (b"x-replica", f"{name} {os.getpid()} {node}".encode())

    async def ask(self, method: str, path: str, query: bytes,
                  headers: list[tuple[bytes, bytes]], body: bytes,
                  key: str | None = None) -> AsyncIterator[Any]:
        """The response's status and headers, then its bytes as they come. Closing it is the client
        going away."""
        out: asyncio.Queue[Any] = asyncio.Queue(maxsize=16)
        gone, begun = asyncio.Event(), False

        async def receive() -> dict[str, Any]:
            nonlocal begun
            if not begun:
                begun = True
                return {"type": "http.request", "body": body, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def run() -> None:
            scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1",
                     "method": method, "scheme": "http", "path": path, "raw_path": path.encode(),
                     "query_string": query, "root_path": "", "headers": headers, "client": None,
                     "server": None}
            try:
                await self._app(scope, receive, out.put)
            finally:
                await out.put(None)

        task = asyncio.create_task(run())
        try:
            while (message := await out.get()) is not None:
                if message["type"] == "http.response.start":
                    headers = [tuple(header) for header in message["headers"]]
                    yield message["status"], [*headers, self._mark]
                elif message.get("body"):
                    yield message["body"]
        finally:
            gone.set()
            if not task.done():  # the application sees the disconnect, and gives back what it has
                while not task.done():
                    with contextlib.suppress(asyncio.QueueEmpty):
                        while True:
                            out.get_nowait()
                    await asyncio.sleep(0)
                    await asyncio.wait({task}, timeout=0.01)

    def check_health(self) -> None:
        for scheduler in self._service.schedulers.values():
            if not scheduler.is_alive:
                raise RuntimeError("the scheduler's thread ended")

    def __del__(self) -> None:
        service = getattr(self, "_service", None)
        if service is not None:
            service.close()


class Ingress:
    def __init__(self, replicas: Any, arguments: dict[str, Any]) -> None:
        self._replicas = replicas.options(method_name="ask", stream=True)
        self._limit = Arguments(**arguments).max_body_bytes

    async def __call__(self, request: Request) -> Response:
        try:
            body = await self._body(request)
            return await self._pass_on(request, body)
        except ApiError as error:
            return error_response(error)
        except ClientDisconnect:
            return Response(status_code=499)

    async def _body(self, request: Request) -> bytes:
        data = b""
        async for part in request.stream():
            data += part
            if len(data) > self._limit:
                raise ApiError(413, f"the body is larger than {self._limit} bytes",
                               code="body_too_large")
        return data

    async def _pass_on(self, request: Request, body: bytes) -> Response:
        headers = [header for header in request.scope["headers"]
                   if header[0].lower() not in DROPPED_HEADERS]
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "")) or "/"
        key = conversation(path, body) if request.method == "POST" else None
        reason: Exception | None = None
        for attempt in range(ATTEMPTS):
            answer = None
            try:
                answer = self._replicas.remote(request.method, path, request.scope["query_string"],
                                               headers, body, key=key)
                status, made = await answer.__anext__()
                kept = [(name, value) for name, value in made if name != b"content-length"]
                if dict(made).get(b"content-type", b"").startswith(b"text/event-stream"):
                    first = await answer.__anext__()  # until then another one may be asked
                    response: Response = StreamingResponse(_stream(answer, first), status)
                else:
                    whole = b"".join([part async for part in answer])
                    response = Response(whole, status)
                    kept = made
                response.raw_headers = list(kept)
                return response
            except BackPressureError:
                raise ApiError(429, "The server is busy: too many requests wait. Try again later.",
                               code="too_many_requests", retry_after=2) from None
            except (RayActorError, DeploymentUnavailableError) as error:
                reason = error
                log.warning("a replica is gone, attempt %d: %s", attempt + 1, type(error).__name__)
                await asyncio.sleep(0.2 * attempt)
            except (RayTaskError, StopAsyncIteration) as error:
                log.error("a replica failed: %s", error)
                raise ApiError(500, "The server had an error.") from None
            except asyncio.CancelledError:
                if answer is not None:
                    answer.cancel()
                raise
        raise ApiError(503, f"No replica answers ({type(reason).__name__}).", retry_after=5)


async def _stream(answer: Any, first: bytes) -> AsyncIterator[bytes]:
    """What was begun is not begun anew: a replica that dies now is told to the client."""
    try:
        yield first
        async for part in answer:
            yield part
    except (RayActorError, RayTaskError) as error:
        log.warning("a replica is gone in the middle of an answer: %s", type(error).__name__)
        yield encode(ApiError(502, "The replica that was answering is gone.",
                              code="replica_lost").body())
    finally:
        answer.cancel()
