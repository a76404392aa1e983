"""The parts that see to TLS, put together."""

from __future__ import annotations

from contextlib import AsyncExitStack

from delivery_remote.guard import Guard
from delivery_remote.routes import Target
from delivery_remote.security.contexts import Trust
from delivery_remote.security.discovery import StsPolicies
from delivery_remote.security.records import TlsaRecords
from delivery_remote.security.witness import Witness
from delivery_remote.session import Manners
from delivery_remote.settings import RemoteSettings
from posthouse.mail.tls_words import Fault
from posthouse.resolver import Resolver
from posthouse.runtime.web import Web
from posthouse.storage.pool import Pool


async def security(
    settings: RemoteSettings, pool: Pool, resolver: Resolver, stack: AsyncExitStack
) -> tuple[Guard, Manners]:
    """Return who says what sessions must be like, and how we open them; ``stack`` closes both.

    Raises:
        OSError: The authorities, or our certificate, cannot be read.
    """
    contexts = settings.contexts
    contexts.prepare()
    witness = await stack.enter_async_context(Witness(pool))

    def tell(target: Target, fault: Fault | None) -> None:
        witness.saw(target.host, target.address, target.demand, fault, source=target.source)

    guard = Guard(pool)
    if settings.mta_sts:
        web = await stack.enter_async_context(Web(resolver, contexts.get(Trust.PUBLIC)))
        guard.sts = StsPolicies(pool, resolver, web, witness.complain)
    if settings.nameservers_validate:
        guard.dane = TlsaRecords(resolver)
    manners = Manners(
        hostname=settings.hostname,
        patience=settings.patience,
        rules=settings.rules,
        contexts=contexts,
        tell=tell,
    )
    return guard, manners
