"""TLS: our certificates, reloaded when their files change, and the context for outgoing sessions.

A client that names the host it wants (SNI, RFC 6066 §3) is shown the certificate for that name;
whoever names none, or one that we have no certificate for, is shown the first.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from posthouse.runtime.tls_context import CertificateContext, Pair, TlsTerms, own_context
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import gauge

CHECK_SECONDS = 5.0  # how often the files are looked at
Stamp: TypeAlias = tuple[tuple[int, int, int], ...]

_loaded = gauge("posthouse_tls_certificates", "Certificates that are shown to clients.")
_expiry = gauge(
    "posthouse_tls_certificate_expiry_timestamp_seconds",
    "When the first of our certificates expires.",
)
log = get_logger()


class ServerCertificate:
    """Our certificates, as they lie in their files at the moment.

    The context stays the same object; each handshake is given the newest of what it is to show,
    running sessions keep theirs.

    Attributes:
        context: For `loop.create_server` and STARTTLS.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        *,
        folder: Path | None = None,
        terms: TlsTerms | None = None,
    ) -> None:
        """Load the certificates; raises what `own_context` does if the first cannot be.

        Args:
            certificate: The first: for everybody who names no other.
            key: Its key.
            folder: More of them, each for the names that it says: folders with ``tls.crt`` and
                ``tls.key``, as Kubernetes mounts a secret, or pairs of ``any.crt`` and
                ``any.key``.
            terms: See `TlsTerms`.
        """
        self._first = Pair(certificate, key)
        self._folder = folder
        self._terms = terms or TlsTerms()
        self._stamps: dict[Pair, Stamp] = {}
        self._contexts: dict[Pair, CertificateContext] = {}
        self._by_name: Mapping[str, CertificateContext] = {}
        self.context = self._load(self._first)
        self.context.sni_callback = self._choose
        self.refresh()

    def refresh(self) -> bool:
        """Load again what changed; True if anything did and could be loaded.

        Files that do not fit together (half of a renewal) are logged and tried again later; until
        then the old certificate serves.
        """
        pairs = (self._first, *self._in_folder())
        is_changed = False
        for gone in self._stamps.keys() - set(pairs):
            self._stamps.pop(gone)
            is_changed = self._contexts.pop(gone, None) is not None or is_changed
        for pair in pairs:
            is_changed = self._reload(pair) or is_changed
        if is_changed or not self._by_name:
            self._publish()
        return is_changed

    async def keep_fresh(self) -> None:
        """Look at the files every few seconds, for ever: a background duty of the service."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await asyncio.to_thread(self.refresh)

    def _load(self, pair: Pair) -> CertificateContext:
        stamp = _stamp(pair, self._terms.authorities)
        context = own_context(pair, self._terms)
        self._stamps[pair], self._contexts[pair] = stamp, context
        return context

    def _reload(self, pair: Pair) -> bool:
        try:
            stamp = _stamp(pair, self._terms.authorities)
            if self._stamps.get(pair) == stamp:
                return False
            self._load(pair)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            log.warning("certificate refused", file=str(pair.certificate), error=str(error))
            return False
        log.info("certificate loaded", file=str(pair.certificate))
        return True

    def _in_folder(self) -> Iterator[Pair]:
        """Yield the pairs of the folder; a name that begins with a dot is Kubernetes' own."""
        if self._folder is None:
            return
        try:
            entries = sorted(self._folder.iterdir())
        except OSError as error:
            log.warning("certificates not read", folder=str(self._folder), error=str(error))
            yield from (pair for pair in self._stamps if pair != self._first)
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir() and (entry / "tls.crt").exists():
                yield Pair(entry / "tls.crt", entry / "tls.key")
            elif entry.suffix == ".crt":
                yield Pair(entry, entry.with_suffix(".key"))

    def _publish(self) -> None:
        contexts = list(self._contexts.values())
        named: dict[str, CertificateContext] = {}
        for context in reversed(contexts):  # of two with one name, the one found first serves
            named |= dict.fromkeys(context.names, context)
        self._by_name = named
        _loaded.set(len(contexts))
        _expiry.set(min(context.expires for context in contexts))

    def _choose(self, handshake: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Show ``handshake`` the certificate for the ``name`` that its client asks for."""
        wanted = (name or "").lower()
        by_name = self._by_name
        found = by_name.get(wanted) or by_name.get("*." + wanted.partition(".")[2])
        handshake.context = found or self._contexts[self._first]


def _stamp(pair: Pair, authorities: Path | None) -> Stamp:
    """Return what changes when a file does; raise OSError if one is not there."""
    paths = (pair.certificate, pair.key, *((authorities,) if authorities else ()))
    found = (path.stat() for path in paths)
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
