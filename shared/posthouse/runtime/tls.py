"""TLS: our certificate, reloaded when its files change, and the context for outgoing sessions."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from posthouse.telemetry.logs import get_logger

CHECK_SECONDS = 5.0  # how often the files are looked at

log = get_logger()


class ServerCertificate:
    """A certificate and its key, as they lie in their files at the moment.

    The context stays the same object; what is loaded into it serves the handshakes that begin
    afterwards, running sessions keep theirs.

    Attributes:
        context: For `loop.create_server` and STARTTLS; TLS 1.2 or newer (RFC 8996).
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._stamp = self._look()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(certificate, key)

    def refresh(self) -> bool:
        """Load the files again if they changed; True if they did and could be loaded.

        Files that do not fit together (half of a renewal) are logged and tried again later; until
        then the old certificate serves.
        """
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return False
            # A trial context first: a failed load would leave half of it in the one in use.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
            self.context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            log.warning("certificate refused", file=str(self._certificate), error=str(error))
            return False
        self._stamp = stamp
        log.info("certificate reloaded", file=str(self._certificate))
        return True

    async def keep_fresh(self) -> None:
        """Look at the files every few seconds, for ever: a background duty of the service."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.refresh()

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        found = (path.stat() for path in (self._certificate, self._key))
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found)


def client_context(*, verify: bool = True, authorities: Path | None = None) -> ssl.SSLContext:
    """Return a context for outgoing sessions, TLS 1.2 or newer.

    Args:
        verify: False for opportunistic TLS, where any certificate is better than none
            (RFC 7435).
        authorities: Trusted roots in PEM instead of the system's.
    """
    context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
