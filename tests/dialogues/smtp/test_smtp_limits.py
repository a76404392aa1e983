"""What a client or an account that asks for too much is told; all of it is temporary."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from ingress_smtp.limits import FREE, Allowance, Limits
from ingress_smtp.ports import Limits as SessionLimits
from ingress_smtp.terms import Terms
from posthouse.mail.networks import parse_networks
from posthouse.mail.rates import Buckets, Rate
from posthouse.runtime.proxy_protocol import Proxies
from posthouse.runtime.rate_settings import Clients
from support.dialogue import play
from support.ingress import LIMITS, MANNERS, TERMS, Ingress, running_ingress

THREE = Rate(3, timedelta(hours=1))
ANNA = "AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA=="
HELLO = "S: 220 …\nC: HELO b.test\nS: 250 …\n"
MAIL = "C: MAIL FROM:<e@far.test>\nS: 250 …\nC: RSET\nS: 250 …\n"
BYE = "C: QUIT\nS: 221 …\nS: [closes]"


@asynccontextmanager
async def limited(
    certificate: ssl.SSLContext | None = None,
    *,
    client: Allowance = FREE,
    account: Allowance = FREE,
    exempt: str = "",
    terms: Terms = TERMS,
    sessions: SessionLimits = LIMITS,
) -> AsyncIterator[Ingress]:
    limits = Limits(
        Buckets(), Clients(exempt=parse_networks(exempt)), client=client, account=account
    )
    async with running_ingress(certificate, terms=terms, limits=sessions) as ingress:
        ingress.listeners.house = replace(ingress.listeners.house, limits=limits)
        yield ingress


async def talk(ingress: Ingress, script: str, *, client: str = "127.0.0.1") -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", ingress.ports["mx"], local_addr=(client, 0)
    )
    await play(script, reader, writer)
    writer.close()


async def talk_as_anna(
    ingress: Ingress, tls: ssl.SSLContext, script: str, *, answer: str = "235"
) -> None:
    reader, writer = await ingress.connect("smtps", tls)
    login = f"S: 220 …\nC: EHLO b.test\nS* 250 …\nC: AUTH PLAIN {ANNA}\nS: {answer} …\n"
    await play(login + script, reader, writer)
    writer.close()


async def test_connections_come_at_their_rate() -> None:
    async with limited(client=Allowance(connections=THREE)) as ingress:
        for _ in range(3):
            await talk(ingress, HELLO + BYE)
        await talk(ingress, "S: 421 4.7.0 Too many connections in a short time…\nS: [closes]")
        await talk(ingress, HELLO + BYE, client="127.0.0.2")


async def test_messages_come_at_their_rate_and_the_session_goes_on() -> None:
    async with limited(client=Allowance(messages=THREE)) as ingress:
        await talk(
            ingress,
            HELLO + MAIL * 3 + "C: MAIL FROM:<e@far.test>\nS: 450 4.7.1 Too many messages …\n"
            "C: RCPT TO:<anna@example.test>\nS: 503 …\nC: NOOP\nS: 250 …\n" + BYE,
        )
        await talk(ingress, HELLO + MAIL + BYE, client="127.0.0.2")


async def test_recipients_come_at_their_rate_and_those_taken_get_the_mail() -> None:
    to = "C: RCPT TO:<{}@example.test>\nS: {}\n"
    async with limited(client=Allowance(recipients=THREE)) as ingress:
        await talk(
            ingress,
            HELLO + "C: MAIL FROM:<e@far.test>\nS: 250 …\n" + to.format("anna", "250 …")
            + to.format("nobody", "550 5.1.1 …") + to.format("bert", "250 …")
            + to.format("anna", "450 4.7.1 Too many recipients …")
            + "C: DATA\nS: 354 …\nC: hi\nC: .\nS: 250 …\n" + BYE,
        )  # fmt: skip
        assert len(ingress.policy.asked) == 3
        (mail,) = ingress.cellar.mails
        assert len(mail.recipients) == 2


async def test_who_only_fails_is_sent_away_and_not_let_in_again() -> None:
    async with limited(client=Allowance(failures=THREE)) as ingress:
        await talk(
            ingress,
            HELLO + "C: MAIL FROM:<e@far.test>\nS: 250 …\n"
            "C: RCPT TO:<x@example.test>\nS: 550 …\nC: RCPT TO:<anna@example.test>\nS: 250 …\n"
            "C: RCPT TO:<x@far.test>\nS: 550 …\nC: NONSENSE\nS: 500 …\n"
            "S: 421 4.7.0 Too many failures…\nS: [closes]",
        )
        await talk(ingress, "S: 421 4.7.0 Too many failures…\nS: [closes]")
        await talk(ingress, HELLO + BYE, client="127.0.0.2")


async def test_demands_for_a_login_are_no_failures() -> None:
    async with limited(client=Allowance(failures=THREE)) as ingress:
        reader, writer = await ingress.connect("submission")
        refused = "C: MAIL FROM:<e@far.test>\nS: 530 …\n"
        await play(HELLO + refused * 5 + BYE, reader, writer)
        writer.close()


async def test_an_account_is_counted_and_not_its_network(
    certificate: ssl.SSLContext, tls: ssl.SSLContext
) -> None:
    mail = MAIL.replace("e@far.test", "anna@example.test")
    one = Rate(1, timedelta(hours=1))
    async with limited(
        certificate,
        client=Allowance(messages=one),
        account=Allowance(messages=THREE, recipients=one),
    ) as ingress:
        await talk(ingress, HELLO + MAIL + BYE)
        await talk_as_anna(ingress, tls, mail * 2 + BYE)
        await talk_as_anna(
            ingress,
            tls,
            "C: MAIL FROM:<anna@example.test>\nS: 250 …\nC: RCPT TO:<x@far.test>\nS: 250 …\n"
            "C: RCPT TO:<y@far.test>\nS: 450 4.7.1 Too many recipients …\nC: RSET\nS: 250 …\n"
            "C: MAIL FROM:<anna@example.test>\nS: 450 4.7.1 Too many messages …\n" + BYE,
        )


async def test_an_account_that_fails_too_often_waits(
    certificate: ssl.SSLContext, tls: ssl.SSLContext
) -> None:
    async with limited(certificate, account=Allowance(failures=THREE)) as ingress:
        await talk_as_anna(
            ingress, tls, "C: X\nS: 500 …\n" * 3 + "S: 421 4.7.0 Too many failures…\nS: [closes]"
        )
        await talk_as_anna(
            ingress,
            tls,
            "C: MAIL FROM:<anna@example.test>\nS: 450 4.7.1 Too many failures…\n" + BYE,
        )


async def test_logins_of_an_account_come_at_their_rate(
    certificate: ssl.SSLContext, tls: ssl.SSLContext
) -> None:
    async with limited(certificate, account=Allowance(connections=THREE)) as ingress:
        for _ in range(3):
            await talk_as_anna(ingress, tls, BYE)
        await talk_as_anna(
            ingress,
            tls,
            "C: MAIL FROM:<anna@example.test>\nS: 530 …\n" + BYE,
            answer="454 4.7.0 Too many logins",
        )


async def test_exempt_networks_have_no_rates() -> None:
    strict = Allowance(connections=THREE, messages=THREE, recipients=THREE, failures=THREE)
    async with limited(client=strict, exempt="127.0.0.0/30") as ingress:
        for _ in range(5):
            await talk(ingress, HELLO + MAIL + "C: X\nS: 500 …\n" + BYE)
        for _ in range(3):
            await talk(ingress, HELLO + BYE, client="127.0.0.5")
        await talk(ingress, "S: 421 …\nS: [closes]", client="127.0.0.5")


TOO_MANY_CONNECTIONS = "421 4.7.0 Too many connections in a short time…\nS: [closes]"


async def talk_for(ingress: Ingress, client: str, script: str) -> None:
    """Speak for ``client`` as a listed filter does."""
    reader, writer = await ingress.connect("trusted")
    await play(f"S: 220 …\nC: EHLO f.test\nS* 250 …\nC: XCLIENT ADDR={client}\n", reader, writer)
    await play(script, reader, writer)
    writer.close()


async def test_whom_a_filter_speaks_for_comes_at_a_rate_and_the_filter_as_it_likes() -> None:
    async with limited(client=Allowance(connections=THREE)) as ingress:
        for _ in range(3):
            await talk_for(ingress, "192.0.2.7", "S: 220 …\n" + BYE)
        for _ in range(3):
            await talk_for(ingress, "192.0.2.8", "S: 220 …\n" + BYE)
            await talk_for(ingress, "[UNAVAILABLE]", "S: 220 …\n" + BYE)
        await talk_for(ingress, "192.0.2.7", "S: " + TOO_MANY_CONNECTIONS)


async def test_whom_a_filter_speaks_for_is_sent_away_for_its_failures() -> None:
    async with limited(client=Allowance(failures=THREE)) as ingress:
        ends = "C: X\nS: 500 …\n" * 3 + "S: 421 4.7.0 Too many failures…\nS: [closes]"
        await talk_for(ingress, "192.0.2.7", "S: 220 …\n" + ends)
        await talk_for(ingress, "192.0.2.7", "S: 421 4.7.0 Too many failures…\nS: [closes]")
        await talk_for(ingress, "192.0.2.8", "S: 220 …\n" + BYE)


async def test_sessions_of_a_filter_are_those_of_whom_it_speaks_for() -> None:
    async with limited(sessions=replace(LIMITS, sessions_per_client=2)) as ingress:
        streams = [await ingress.connect("trusted") for _ in range(2)]
        for reader, writer in streams:
            hello = "S: 220 …\nC: EHLO f.test\nS* 250 …\nC: XCLIENT ADDR=192.0.2.7\nS: 220 …\n"
            await play(hello, reader, writer)
        await talk_for(ingress, "192.0.2.7", "S: 421 4.3.2 …\nS: [closes]")
        await talk_for(ingress, "192.0.2.8", "S: 220 …\n" + BYE)

        first, writer = streams.pop()
        await play(BYE, first, writer)
        writer.close()
        await talk_for(ingress, "192.0.2.7", "S: 220 …\n" + BYE)
        streams.pop()[1].close()


async def test_who_comes_by_a_proxy_comes_at_its_own_rate() -> None:
    here = Proxies(networks=parse_networks("127.0.0.0/8"))
    behind = replace(LIMITS, manners=replace(MANNERS, proxies=here))
    async with limited(client=Allowance(connections=THREE), sessions=behind) as ingress:
        for client, ends in (
            *[("192.0.2.7", "220 …\n" + BYE)] * 3,
            ("192.0.2.7", TOO_MANY_CONNECTIONS),
            ("192.0.2.8", "220 …\n" + BYE),
        ):
            reader, writer = await ingress.connect()
            writer.write(f"PROXY TCP4 {client} 198.51.100.1 40000 25\r\n".encode())
            await play("S: " + ends, reader, writer)
            writer.close()


async def test_a_robot_that_does_not_wait_has_failed() -> None:
    terms = replace(TERMS, greet_delay=timedelta(seconds=20))
    async with limited(client=Allowance(failures=THREE), terms=terms) as ingress:
        for answer in ("554 5.5.1 …", "554 5.5.1 …", "554 5.5.1 …", "421 4.7.0 …"):
            reader, writer = await ingress.connect()
            writer.write(b"EHLO bot.test\r\n")
            await play(f"S: {answer}\nS: [closes]", reader, writer)
            writer.close()
