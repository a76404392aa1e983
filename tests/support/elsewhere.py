"""SMTP, IMAP and POP3 as processes, with an LDAP directory and an issuer of tokens behind them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from onemachine.certificates import certificates
from onemachine.ports import free_ports
from posthouse.credentials.passwords import hash_password
from posthouse.storage import directory
from posthouse.storage.pool import Pool
from support.dialogue import play
from support.issuer import AUDIENCE, Issuer, running_issuer
from support.processes import running
from support.slapd import BASE, OUR_NAME, OUR_PASSWORD, Slapd

PEOPLE = (("anna", "anna@example.test", "annas secret"),)
SERVICES = ("policy_engine", "ingress_smtp", "imap_gateway", "pop3_gateway")


@dataclass(kw_only=True)
class House:
    """The running services.

    Attributes:
        ports: By protocol; TLS from the first octet.
        settings: What they were told.
        authority: Signed their certificates.
        trust: The same as a context.
    """

    issuer: Issuer
    slapd: Slapd
    ports: dict[str, int]
    settings: Mapping[str, str]
    authority: Path
    trust: ssl.SSLContext

    async def plays(self, protocol: str, script: str, **words: str) -> None:
        """Play a conversation with the server of ``protocol``."""
        reader, writer = await asyncio.open_connection(
            "localhost", self.ports[protocol], ssl=self.trust
        )
        try:
            await play(script, reader, writer, tls=None, **words)
        finally:
            writer.close()


@asynccontextmanager
async def running_house(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path
) -> AsyncIterator[House]:
    """Run them; anna and bert have accounts, and LDAP knows anna."""
    await directory.add_domain(pool, "example.test")
    for user in ("anna", "bert"):
        made = await asyncio.to_thread(hash_password, f"{user}s own")
        await directory.add_account(pool, f"{user}@example.test", made)
    files = certificates(tmp_path / "tls", ["localhost"])
    plain, tls, policy, smtps, imaps, pop3s = free_ports(6)
    slapd = Slapd(
        home=tmp_path / "ldap", plain_port=plain, tls_port=tls, certificates=files, people=PEOPLE
    )
    async with AsyncExitStack() as stack:
        await slapd.start()
        stack.push_async_callback(slapd.stop)
        issuer = await stack.enter_async_context(running_issuer())
        told = {
            "DATABASE_URL": postgres_url, "BROKER_URL": broker_url,
            "STORE": f"disk:{tmp_path}/store", "HOSTNAME": "mx.example.test",
            "DATABASE_CONNECTIONS": "2", "LOG_LEVEL": "WARNING",
            "POLICY_PORT": str(policy), "POLICY_ENDPOINTS": f"127.0.0.1:{policy}",
            "TLS_CERTIFICATE": str(files.chain), "TLS_KEY": str(files.key),
            "SMTP_PORT": "0", "SUBMISSION_PORT": "0", "SMTPS_PORT": str(smtps),
            "IMAP_PORT": "0", "IMAPS_PORT": str(imaps),
            "POP3_PORT": "0", "POP3S_PORT": str(pop3s),
            "SASL_MECHANISMS": "OAUTHBEARER XOAUTH2 PLAIN",
            "OIDC_ISSUER": issuer.url, "OIDC_AUDIENCE": AUDIENCE, "OIDC_SCOPE": "mail",
            "LDAP_URLS": f"ldap://localhost:{plain}", "LDAP_AUTHORITIES": str(files.authority),
            "LDAP_SEARCH_BASE": BASE, "LDAP_SEARCH_NAME": OUR_NAME,
            "LDAP_SEARCH_PASSWORD": OUR_PASSWORD, "LDAP_REMEMBER_SECONDS": "0",
        }  # fmt: skip
        settings = {f"POSTHOUSE_{name}": text for name, text in told.items()}
        for name in SERVICES:
            await stack.enter_async_context(running(name, settings, tmp_path))
        yield House(
            issuer=issuer,
            slapd=slapd,
            settings=settings,
            ports={"smtp": smtps, "imap": imaps, "pop3": pop3s},
            authority=files.authority,
            trust=ssl.create_default_context(cafile=str(files.authority)),
        )
