"""The routes."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import pathlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Union

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from . import answers, prompts, schemas
from .engine import Engine
from .errors import ApiError
from .http import (EventStream, Gone, Keys, error_response, read_body, request_id, unless_gone)
from .metrics import Metrics
from .scheduler import Full, Scheduler, Stopped
from .settings import Settings
from .work import Event, Generation, Inbox, Job, Vectors

log = logging.getLogger("transformer_serve")

PAGE = pathlib.Path(__file__).parent / "page"
PAGE_FILES = {"": "index.html", "page.js": "page.js", "page.css": "page.css"}
CLIENT_CLOSED = 499
SECURITY = {"content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
            "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
Handler = Callable[[Request], Awaitable[Response]]


class Exchange:
    """One request's jobs, and the events that come of them."""

    def __init__(self, scheduler: Scheduler, works: list[Union[Generation, Vectors]]) -> None:
        self._scheduler = scheduler
        self._inbox = Inbox(asyncio.get_running_loop())
        self._jobs, first = [], 0
        for work in works:
            self._jobs.append(Job(work, self._inbox, first))
            first += work.n if isinstance(work, Generation) else 0
        try:
            scheduler.submit(self._jobs)
        except Full as full:
            raise ApiError(429, "The server is busy: too many requests wait. Try again later.",
                           code="too_many_requests", retry_after=full.retry_after) from None
        except Stopped:
            raise draining() from None

    async def take(self) -> list[Event]:
        return await self._inbox.take()

    async def events(self) -> AsyncIterator[list[Event]]:
        while True:
            yield await self._inbox.take()

    def cancel(self) -> None:
        self._scheduler.cancel(self._jobs)


def draining() -> ApiError:
    return ApiError(503, "The server is shutting down.", code="shutting_down", retry_after=5)


class Service:
    """Models with their schedulers, and what the routes need besides."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.metrics, self.keys = settings, Metrics(), Keys(settings.api_keys)
        self.draining, self.created = False, int(time.time())
        self.n_open = 0  # requests whose last byte is not sent
        self.schedulers: dict[str, Scheduler] = {}
        for model in settings.models:
            step = self.metrics.step.labels(model.name)
            scheduler = Scheduler(Engine(model), settings.max_waiting, step.observe)
            self.schedulers[model.name] = scheduler
            self.metrics.add(scheduler)

    def drain(self) -> None:
        """New requests are refused, those that were accepted go on."""
        self.draining = True
        for scheduler in self.schedulers.values():
            scheduler.refuse()

    @property
    def idle(self) -> bool:
        return self.n_open == 0 and all(s.idle for s in self.schedulers.values())

    def close(self) -> None:
        for scheduler in self.schedulers.values():
            scheduler.close()

    def scheduler(self, name: str) -> Scheduler:
        found = self.schedulers.get(name)
        if found is None:
            raise ApiError(404, f"The model '{name[:100]}' does not exist.", param="model",
                           code="model_not_found")
        return found

    async def body(self, request: Request, kind: type[Any]) -> Any:
        try:
            data = await asyncio.wait_for(read_body(request, self.settings.max_body_bytes),
                                          self.settings.send_timeout)
        except asyncio.TimeoutError:
            raise ApiError(408, "the body did not come in time") from None
        return schemas.parse(kind, data)


class Routes:
    def __init__(self, service: Service) -> None:
        self.service = service

    # ---- what generates

    async def completions(self, request: Request) -> Response:
        service, begun = self.service, time.perf_counter()
        body: schemas.CompletionBody = await service.body(request, schemas.CompletionBody)
        scheduler = service.scheduler(body.model)
        works = await asyncio.to_thread(prompts.completions, scheduler.engine, service.settings, body)
        form = answers.Form(
            "text_completion", body.model, scheduler.engine.fingerprint,
            sum(work.n for work in works), sum(len(work.prompt) for work in works),
            logprobs=body.logprobs is not None, usage=body.wants_usage())
        return await self._generate(request, scheduler, works, form, body.stream, begun)

    async def chat(self, request: Request) -> Response:
        service, begun = self.service, time.perf_counter()
        body: schemas.ChatBody = await service.body(request, schemas.ChatBody)
        scheduler = service.scheduler(body.model)
        work, plan = await asyncio.to_thread(prompts.chat, scheduler.engine, service.settings, body)
        form = answers.Form("chat.completion", body.model, scheduler.engine.fingerprint, work.n,
                            len(work.prompt), plan=plan,
                            logprobs=bool(body.logprobs), usage=body.wants_usage())
        return await self._generate(request, scheduler, [work], form, body.stream, begun)

    async def _generate(self, request: Request, scheduler: Scheduler, works: list[Any],
                        form: answers.Form, stream: bool, begun: float) -> Response:
        exchange = Exchange(scheduler, [dataclasses.replace(work, domain=request.state.domain)
                                        for work in works])
        streaming = False
        try:
            # A stream begins with its first events: what fails before is a failure with its status.
            first = answers.check(await unless_gone(request, exchange.take()))
            self.service.metrics.first_token_seconds.labels(scheduler.engine.name).observe(
                time.perf_counter() - begun)
            if stream:
                streaming = True
                return EventStream(form.stream(first, exchange.events()),
                                   self.service.settings.send_timeout, exchange.cancel)
            form.take(first)
            while not form.done:
                form.take(await unless_gone(request, exchange.take()))
            return JSONResponse(form.whole())
        finally:
            if not streaming:
                exchange.cancel()

    # ---- vectors

    async def _vectors(self, request: Request, scheduler: Scheduler,
                       work: Vectors) -> list[list[float]]:
        work = dataclasses.replace(work, domain=request.state.domain)
        exchange = Exchange(scheduler, [work])
        found: dict[int, list[float]] = {}
        try:
            while len(found) < len(work.inputs):
                answers.vectors_of(await unless_gone(request, exchange.take()), found)
        finally:
            exchange.cancel()
        return [found[index] for index in range(len(found))]

    async def embeddings(self, request: Request) -> Response:
        body: schemas.EmbeddingsBody = await self.service.body(request, schemas.EmbeddingsBody)
        scheduler = self.service.scheduler(body.model)
        if body.dimensions not in (None, scheduler.engine.n_embd):
            raise ApiError(400, f"unsupported: dimensions other than {scheduler.engine.n_embd}",
                           param="dimensions", code="unsupported")
        work = await asyncio.to_thread(prompts.embeddings, scheduler.engine, self.service.settings,
                                       body.input)
        vectors = await self._vectors(request, scheduler, work)
        return JSONResponse(answers.embeddings(body.model, vectors,
                                               body.encoding_format == "base64", _n_tokens(work)))

    async def rerank(self, request: Request) -> Response:
        """Scores between 0 and 1, best first: the model's own through a sigmoid."""
        body: schemas.RerankBody = await self.service.body(request, schemas.RerankBody)
        scheduler = self.service.scheduler(body.model)
        texts = body.texts()
        work = await asyncio.to_thread(prompts.rerank, scheduler.engine, self.service.settings,
                                       body.query, texts)
        scores = [vector[0] for vector in await self._vectors(request, scheduler, work)]
        results = []
        for index in sorted(range(len(scores)), key=lambda i: -scores[i])[:body.top_n]:
            result: dict[str, Any] = {"index": index, "relevance_score": _sigmoid(scores[index])}
            if body.return_documents:
                result["document"] = {"text": texts[index]}
            results.append(result)
        n_tokens = _n_tokens(work)
        return JSONResponse({"object": "list", "model": body.model, "results": results,
                             "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens}})

    # ---- what tells about the server

    async def models(self, request: Request) -> Response:
        return JSONResponse({"object": "list",
                             "data": [self._model(name) for name in self.service.schedulers]})

    async def model(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.service.scheduler(name)
        return JSONResponse(self._model(name))

    def _model(self, name: str) -> dict[str, Any]:
        engine = self.service.schedulers[name].engine
        can = {"completions": engine.has_logits,
               "chat": engine.has_logits and engine.has_chat_template,
               "embeddings": engine.pools, "rerank": engine.n_labels == 1}
        return {"id": name, "object": "model", "created": self.service.created,
                "owned_by": "libtransformer", "max_model_len": engine.max_sequence_tokens,
                "capabilities": [what for what, is_so in can.items() if is_so]}

    async def metrics(self, request: Request) -> Response:
        return Response(generate_latest(self.service.metrics.registry),
                        media_type=CONTENT_TYPE_LATEST)

    async def health(self, request: Request) -> Response:
        state = "draining" if self.service.draining else "ok"
        if not all(scheduler.is_alive for scheduler in self.service.schedulers.values()):
            state = "failed"
        return JSONResponse({"status": state}, 200 if state == "ok" else 503)

    async def page(self, request: Request) -> Response:
        name = PAGE_FILES.get(request.path_params.get("file", ""))
        if name is None:
            raise ApiError(404, "there is no such page")
        return FileResponse(PAGE / name, headers=SECURITY)


def _n_tokens(work: Vectors) -> int:
    return sum(len(tokens) for runs in work.inputs for tokens, _ in runs)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _endpoint(service: Service, route: str, handler: Handler, *, is_open: bool = False,
              while_draining: bool = True) -> Handler:
    """The handler with what every route has: keys, errors as JSON, counts."""

    async def endpoint(request: Request) -> Response:
        begun, name = time.perf_counter(), request_id(request)
        service.n_open += 1

        def finished(status: int) -> None:
            service.n_open -= 1
            if service.settings.log_requests:
                log.info("request %s %s %d %.3f s", name, route, status, time.perf_counter() - begun)
            service.metrics.requests.labels(route, status).inc()
            service.metrics.request_seconds.labels(route).observe(time.perf_counter() - begun)

        try:
            if not is_open:
                request.state.domain = service.keys.check(request)
            if service.draining and not while_draining:
                raise draining()
            response = await handler(request)
        except ApiError as error:
            response = error_response(error)
        except Gone:
            response = Response(status_code=CLIENT_CLOSED)
        except BaseException:
            finished(500)
            raise
        response.headers["x-request-id"] = name
        if isinstance(response, EventStream):
            close = response.closed
            response.closed = lambda: (close(), finished(200))[0]
        else:
            finished(response.status_code)
        return response

    endpoint.__name__ = route.strip("/").replace("/", "_") or "page"
    return endpoint


def create_app(service: Service) -> FastAPI:
    app = FastAPI(title="libtransformer", docs_url=None, redoc_url=None, openapi_url=None)
    routes = Routes(service)
    for path, handler in (("/v1/completions", routes.completions),
                          ("/v1/chat/completions", routes.chat),
                          ("/v1/embeddings", routes.embeddings), ("/v1/rerank", routes.rerank)):
        app.add_api_route(path, _endpoint(service, path, handler, while_draining=False),
                          methods=["POST"], response_model=None)
    for path, handler, is_open in (
            ("/v1/models", routes.models, False), ("/v1/models/{name:path}", routes.model, False),
            ("/metrics", routes.metrics, False), ("/healthz", routes.health, True),
            ("/", routes.page, True), ("/{file}", routes.page, True)):
        app.add_api_route(path, _endpoint(service, path, handler, is_open=is_open),
                          methods=["GET", "HEAD"], response_model=None)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return error_response(ApiError(error.status_code, str(error.detail)))

    @app.exception_handler(Exception)
    async def failure(request: Request, error: Exception) -> Response:
        return error_response(ApiError(500, "The server had an error."))

    app.state.service = service
    return app
