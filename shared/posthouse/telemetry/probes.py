"""Probes: is this process alive, is it ready, what does it count.

``/healthz`` fails when work stands still without a known reason: restart the pod. ``/readyz``
fails, saying why, when a dependency is missing, when work is held because of one, or when work
stands still. ``/metrics`` is for Prometheus.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from aiohttp import web

from posthouse.telemetry import metrics

PATIENCE = timedelta(minutes=2)  # work without progress for longer makes a service unready
RESTART_AFTER = 5  # times the patience: then it is also no longer healthy

Clock = Callable[[], float]


class Beat:
    """The pulse of one worker: it says when it has work and when the work moves on.

    Attributes:
        name: What is worked on, for the operator.
        patience: How long work may stand still before it counts as stuck.
    """

    def __init__(self, name: str, patience: timedelta, clock: Clock = time.monotonic) -> None:
        self.name = name
        self.patience = patience
        self._clock = clock
        self._since: float | None = None
        self._held = ""

    def busy(self) -> None:
        """There is work; the clock of patience starts unless it runs already."""
        if self._since is None:
            self._since = self._clock()

    def now(self) -> float:
        """Return the time on the pulse's own clock."""
        return self._clock()

    def beat(self, since: float | None = None) -> None:
        """The work moved on; what is left of it began at ``since``, or now."""
        if self._since is not None:
            self._since = self._clock() if since is None else since

    def idle(self) -> None:
        """There is no work."""
        self._since = None
        self._held = ""

    def hold(self, reason: str) -> None:
        """The work waits for a dependency: not ready, but no restart would help."""
        self._held = reason

    def release(self) -> None:
        """The dependency is back."""
        if self._held:
            self._held = ""
            self.beat()

    @property
    def stuck_for(self) -> timedelta:
        """How long work has stood still without a known reason; zero if it does not."""
        if self._since is None or self._held:
            return timedelta()
        return timedelta(seconds=self._clock() - self._since)

    def trouble(self) -> str | None:
        """Return why this worker is not ready, None if it is."""
        if self._held:
            return f"{self.name}: work is held: {self._held}"
        if self.stuck_for > self.patience:
            return f"{self.name}: no progress for {self.stuck_for.total_seconds():.0f} s"
        return None


class Probes:
    """What the service's parts say of themselves."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], str | None]] = {}
        self._beats: dict[str, Beat] = {}

    def ready(self, name: str, check: Callable[[], str | None]) -> None:
        """Ask ``check`` at every probe; its text says why the part ``name`` is not ready."""
        self._checks[name] = check

    def forget(self, name: str) -> None:
        """Ask the part ``name`` no longer."""
        self._checks.pop(name, None)
        self._beats.pop(name, None)

    def progress(self, name: str, patience: timedelta = PATIENCE) -> Beat:
        """Return the pulse of the worker ``name``, which from now on decides over readiness."""
        beat = self._beats[name] = Beat(name, patience)
        return beat

    def troubles(self) -> list[str]:
        """Return why this service is not ready; empty if it is."""
        found = [beat.trouble() for beat in self._beats.values()]
        for name, check in self._checks.items():
            text = check()
            found.append(f"{name}: {text}" if text else None)
        return [text for text in found if text]

    def stuck(self) -> list[str]:
        """Return the workers that only a restart can help."""
        return [
            beat.name
            for beat in self._beats.values()
            if beat.stuck_for > RESTART_AFTER * beat.patience
        ]


def _application(probes: Probes) -> web.Application:
    async def healthz(_request: web.Request) -> web.Response:
        stuck = probes.stuck()
        text = "".join(f"{name}: stands still\n" for name in stuck)
        return web.Response(text=text or "ok\n", status=503 if stuck else 200)

    async def readyz(_request: web.Request) -> web.Response:
        troubles = probes.troubles()
        text = "".join(f"{trouble}\n" for trouble in troubles)
        return web.Response(text=text or "ok\n", status=503 if troubles else 200)

    async def exposition(_request: web.Request) -> web.Response:
        return web.Response(
            body=metrics.exposition(), headers={"Content-Type": metrics.CONTENT_TYPE}
        )

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", exposition)
    return application


@asynccontextmanager
async def serve_probes(host: str, port: int, probes: Probes) -> AsyncIterator[None]:
    """Serve the probes while inside; port 0 serves nothing.

    Raises:
        OSError: If the port is taken.
    """
    if port == 0:
        yield
        return
    runner = web.AppRunner(_application(probes), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
