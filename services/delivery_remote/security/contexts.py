"""The contexts of our handshakes with servers outside, with our certificate or without."""

from __future__ import annotations

import asyncio
import ssl
from enum import Enum
from pathlib import Path

from posthouse.runtime.tls import CHECK_SECONDS, client_context
from posthouse.runtime.tls_context import Pair
from posthouse.telemetry.logs import get_logger

log = get_logger()


class Trust(Enum):
    """Whose certificates are good."""

    ANYBODY = "anybody"  # the handshake asks for none
    OURS = "ours"  # of authorities that were set, else of the system's: where a password follows
    PUBLIC = "public"  # of the system's authorities and those that were set


class Contexts:
    """Contexts, made when they are first needed; those with our certificate anew when it changes."""

    def __init__(self, authorities: Path | None = None, pair: Pair | None = None) -> None:
        """Trust ``authorities`` (PEM), show ``pair`` where that is wanted."""
        self._authorities = authorities
        self._pair = pair
        self._plain: dict[Trust, ssl.SSLContext] = {}
        self._shown: dict[Trust, ssl.SSLContext] = {}
        self._stamp = _stamp(pair)

    def get(self, trust: Trust, *, certificate: bool = False) -> ssl.SSLContext:
        """Return the context for a session; with our ``certificate``, if there is one.

        Raises:
            OSError: A file cannot be read, or (ssl.SSLError) is not what it should be.
        """
        pair = self._pair if certificate else None
        kept = self._plain if pair is None else self._shown
        context = kept.get(trust)
        if context is None:
            context = kept[trust] = self._made(trust, pair)
        return context

    def prepare(self) -> None:
        """Make all contexts; raises what `get` does."""
        for trust in Trust:
            self.get(trust)
            self.get(trust, certificate=True)

    def refresh(self) -> None:
        """Load our certificate again if its files changed; half of a renewal changes nothing."""
        stamp = _stamp(self._pair)
        if stamp is None or stamp == self._stamp:
            return
        try:
            shown = {trust: self._made(trust, self._pair) for trust in Trust}
        except OSError as error:  # ssl.SSLError is an OSError
            log.warning("certificate refused", error=str(error))
        else:
            self._shown, self._stamp = shown, stamp
            log.info("certificate loaded")

    async def keep_fresh(self) -> None:
        """Look at the files every few seconds, for ever: a background duty of the service."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await asyncio.to_thread(self.refresh)

    def _made(self, trust: Trust, pair: Pair | None) -> ssl.SSLContext:
        authorities = self._authorities if trust is Trust.OURS else None
        context = client_context(verify=trust is not Trust.ANYBODY, authorities=authorities)
        if trust is Trust.PUBLIC and self._authorities is not None:
            context.load_verify_locations(self._authorities)
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
        return context


def _stamp(pair: Pair | None) -> tuple[tuple[int, int, int], ...] | None:
    """Return what changes when a file does; None if there is nothing to look at."""
    if pair is None:
        return None
    try:
        found = [path.stat() for path in (pair.certificate, pair.key)]
    except OSError:
        return None
    return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found)
