"""Other ways into a house than one's own address and a password.

A load balancer that speaks PROXY and a filter that speaks XCLIENT have addresses of their own on
loopback; certificates come from an authority, tokens from an issuer, and there is a port for LMTP.
"""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from onemachine.ports import free_ports
from support.issuer import AUDIENCE, running_issuer
from support.people import Authority, Person

BALANCER, FILTER = "127.0.1.5", "127.0.1.6"


class Arrivals:
    """What a house trusts, and those who come with it.

    Attributes:
        lmtp_port: Where the house listens for LMTP.
        issuer: Signs tokens.
    """

    def __init__(self) -> None:
        self.lmtp_port = free_ports(1)[0]
        self._folder = Path(tempfile.mkdtemp(prefix="posthouse-arrivals-"))
        self._folder.chmod(0o755)
        self._people = Authority(self._folder)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._serving = running_issuer()
        self.issuer = asyncio.run_coroutine_threadsafe(
            self._serving.__aenter__(), self._loop
        ).result()

    @property
    def settings(self) -> Mapping[str, str]:
        """What a house is told about them."""
        return {
            "POSTHOUSE_PROXY_NETWORKS": BALANCER,
            "POSTHOUSE_PROXY_REQUIRED": "false",
            "POSTHOUSE_XCLIENT_NETWORKS": FILTER,
            "POSTHOUSE_LMTP_PORT": str(self.lmtp_port),
            "POSTHOUSE_TLS_CLIENT_AUTHORITIES": str(self._people.file),
            "POSTHOUSE_SASL_EXTERNAL": "email",
            "POSTHOUSE_OIDC_ISSUER": self.issuer.url,
            "POSTHOUSE_OIDC_AUDIENCE": AUDIENCE,
        }

    def person(self, *emails: str) -> Person:
        """Return somebody with a certificate for ``emails``; the one before loses its files."""
        return self._people.person(*emails)

    def close(self) -> None:
        """End everything."""
        asyncio.run_coroutine_threadsafe(
            self._serving.__aexit__(None, None, None), self._loop
        ).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self._folder)
