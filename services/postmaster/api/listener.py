"""The HTTP listener: uvicorn under our lifecycle, which alone handles signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from posthouse.telemetry.logs import get_logger

BACKLOG = 128
KEEP_ALIVE_SECONDS = 30
MAX_REQUESTS_AT_ONCE = 100  # more are answered 503: an operator's API is not a public one


log = get_logger()


class _LastResort:
    """Logs what escapes from ``app``, which has answered 500: a bug of ours, told once.

    Let through to uvicorn it would be logged there again, without method and path.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (the ASGI interface)."""
        try:
            await self._app(scope, receive, send)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM and SIGINT to `posthouse.runtime.service`."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. `OSError` if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    # Connections inherit it; asyncio sets it only on sockets it has made itself, and without it an
    # answer's header and content are 40 ms apart.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.settimeout(0)  # non-blocking
    return listening


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, listening: socket.socket, grace: timedelta) -> AsyncIterator[None]:
    """Answer requests on ``listening`` while the block runs; at its end finish those that run."""
    server = _Server(
        uvicorn.Config(
            _LastResort(app),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            limit_concurrency=MAX_REQUESTS_AT_ONCE,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, int(grace.total_seconds())),
        )
    )
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets=[listening]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving
