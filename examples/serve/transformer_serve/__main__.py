"""Runs the server. SIGTERM or SIGINT drains: what was accepted is finished, what comes new is refused
with 503, then the process ends. A second signal ends it at once."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from types import FrameType

import libtransformer
import uvicorn

from . import settings as configuration
from .api import Service, create_app

log = logging.getLogger("transformer_serve")


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._drain: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.draining or not self.started:
            self.should_exit = self.force_exit = True
            return
        self._service.drain()
        log.warning("draining")

    async def on_tick(self, counter: int) -> bool:
        if self._service.draining and not self.should_exit and self._drain is None:
            self._drain = asyncio.create_task(self._until_idle())
        return await super().on_tick(counter)

    async def _until_idle(self) -> None:
        """The socket stays open meanwhile: who comes is told 503, and not left without an answer."""
        end = time.monotonic() + self._service.settings.drain_timeout
        while not self._service.idle and time.monotonic() < end:
            await asyncio.sleep(0.05)
        self.should_exit = True


def main(arguments: list[str] | None = None) -> None:
    settings = configuration.read(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        service = Service(settings)
    except (libtransformer.Error, OSError) as error:
        sys.exit(f"transformer-serve: {error}")
    config = uvicorn.Config(create_app(service), host=settings.host, port=settings.port,
                            log_level="warning", access_log=False, lifespan="off",
                            timeout_graceful_shutdown=5,
                            timeout_keep_alive=75,  # longer than load balancers keep theirs: 60 as a rule
                            h11_max_incomplete_event_size=64 << 10)
    server = Server(config, service)
    try:
        asyncio.run(_serve(server, settings.host))
    finally:
        service.close()


async def _serve(server: Server, host: str) -> None:
    task = asyncio.create_task(server.serve())
    while not (server.started or task.done()):
        await asyncio.sleep(0.01)
    if server.started:
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"http://{host}:{port}", flush=True)
    await task


if __name__ == "__main__":
    main()
