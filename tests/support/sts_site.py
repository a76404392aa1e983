"""The web server of a domain with an MTA-STS policy, or of one that takes TLS reports: real HTTPS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

POLICY_PATH = "/.well-known/mta-sts.txt"


@dataclass
class Site:
    """What the server says; a test may change it.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        text: The policy.
        status: Of every answer.
        media_type: Likewise.
        headers: Likewise.
        asked: Host and path of all requests.
        posted: What was brought, with its media type.
    """

    port: int = 0
    text: str = ""
    status: int = 200
    media_type: str = "text/plain"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    posted: list[tuple[str, bytes]] = field(default_factory=list)

    def publish(self, mode: str, *mx: str, max_age: int = 86_400) -> None:
        """Set the policy."""
        lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {each}" for each in mx)]
        self.text = "\r\n".join([*lines, f"max_age: {max_age}", ""])

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.host.partition(':')[0]}{request.path}")
        if request.method == "POST":
            self.posted.append((request.content_type, await request.read()))
        return web.Response(
            status=self.status,
            text=self.text,
            content_type=self.media_type,
            headers=self.headers,
        )


@asynccontextmanager
async def serve_site(tls: ssl.SSLContext) -> AsyncIterator[Site]:
    """Serve on a free port of 127.0.0.1."""
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    site.port = runner.addresses[0][1]
    try:
        yield site
    finally:
        await runner.cleanup()
