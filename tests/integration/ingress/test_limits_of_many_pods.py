"""Two pods of a service, and two services, count together."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from onemachine.ports import free_ports
from posthouse.storage import rates
from posthouse.storage.pool import Pool
from posthouse.storage.rates import Standing
from support.dialogue import play
from support.place import Place

pytestmark = pytest.mark.integration

SECONDS = 30.0
HELLO = "S: 220 …\nC: HELO b.test\nS: 250 …\n"
MAIL = "C: MAIL FROM:<e@far.test>\nS: 250 …\nC: RSET\nS: 250 …\n"


async def asked(port: int, *lines: str) -> list[str]:
    """Say ``lines``, each behind the answer to the one before; return the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for line in (None, *lines):
        if line is not None:
            writer.write(f"{line}\r\n".encode())
        answers.append((await reader.readline()).decode())
    writer.close()
    return answers


async def until(port: int, answer: str, *lines: str) -> int:
    """Ask ten times a second, until the last answer begins with ``answer``; return how often."""
    async with asyncio.timeout(SECONDS):
        for times in itertools.count(1):  # pragma: no branch
            if (await asked(port, *lines))[-1].startswith(answer):
                return times
            await asyncio.sleep(0.1)
    raise AssertionError("a count has no end")


async def until_full(pool: Pool, who: str, what: str) -> Standing:
    """Return the bucket as soon as all that was taken has been told."""
    async with asyncio.timeout(SECONDS):
        while True:
            for each in await rates.standings(pool, ("", ""), 10, who=who):
                if (each.what, each.is_full) == (what, True):
                    return each
            await asyncio.sleep(0.05)


async def test_two_pods_share_a_limit_and_what_an_operator_resets(place: Place, pool: Pool) -> None:
    [second] = free_ports(1)
    env = place.env | {
        "POSTHOUSE_RATE_CLIENT_MESSAGES": "20/1h",
        "POSTHOUSE_RATE_EXEMPT": "10.0.0.0/8",
    }
    one = replace(place, env=env)
    other = replace(place, port=second, env=env | {"POSTHOUSE_SMTP_PORT": str(second)})
    async with (
        one.running("policy_engine"),
        one.running("ingress_smtp"),
        other.running("ingress_smtp"),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        await play(HELLO + MAIL * 20, reader, writer)
        await play("C: MAIL FROM:<e@far.test>\nS: 450 4.7.1 …\n", reader, writer)

        assert 19.5 < (await until_full(pool, "127.0.0.1", "messages")).count <= 20

        # The other lets some through until it has heard of it, and far from twenty.
        tried = await until(other.port, "450 4.7.1 ", "HELO b.test", "MAIL FROM:<e@far.test>")
        assert tried < 20

        await rates.reset(pool, "127.0.0.1")
        for pod in (one, other):
            await until(pod.port, "250 ", "HELO b.test", "MAIL FROM:<e@far.test>")
        writer.close()


async def test_connections_to_readers_come_at_their_rate(place: Place, pool: Pool) -> None:
    imap, other, pop3 = free_ports(3)
    env = place.env | {
        "POSTHOUSE_IMAP_PORT": str(imap), "POSTHOUSE_IMAPS_PORT": "0",
        "POSTHOUSE_POP3_PORT": str(pop3), "POSTHOUSE_POP3S_PORT": "0",
        "POSTHOUSE_RATE_IMAP_CONNECTIONS": "20/1h", "POSTHOUSE_RATE_POP3_CONNECTIONS": "3/1h",
        "POSTHOUSE_RATE_EXEMPT": "10.0.0.0/8",
    }  # fmt: skip
    one = replace(place, env=env)
    second = replace(place, env=env | {"POSTHOUSE_IMAP_PORT": str(other)})
    too_many = "Too many connections in a short time, try again later"
    async with (
        one.running("imap_gateway"),
        second.running("imap_gateway"),
        one.running("pop3_gateway"),
    ):
        for _ in range(20):
            assert (await asked(imap))[0].startswith("* OK ")
        assert await asked(imap) == [f"* BYE {too_many}\r\n"]
        await until_full(pool, "127.0.0.1", "imap-connections")
        assert await until(other, f"* BYE {too_many}") < 20

        for _ in range(3):
            assert (await asked(pop3))[0].startswith("+OK ")
        assert await asked(pop3) == [f"-ERR [SYS/TEMP] {too_many}\r\n"]
        await until_full(pool, "127.0.0.1", "pop3-connections")

        await rates.reset(pool, "127.0.0.1")
        await until(imap, "* OK ")
        await until(pop3, "+OK ")


async def test_who_guesses_by_imap_is_locked_out_of_pop3_and_others_are_not(
    place: Place, pool: Pool
) -> None:
    imap, pop3 = free_ports(2)
    home = replace(
        place,
        env=place.env | {
            "POSTHOUSE_IMAP_PORT": str(imap), "POSTHOUSE_IMAPS_PORT": "0",
            "POSTHOUSE_POP3_PORT": str(pop3), "POSTHOUSE_POP3S_PORT": "0",
            "POSTHOUSE_IMAP_PLAINTEXT_LOGIN": "true", "POSTHOUSE_PLAINTEXT_AUTH": "true",
            "POSTHOUSE_IMAP_FAILURE_SECONDS": "0", "POSTHOUSE_AUTH_FAILURE_SECONDS": "0",
            "POSTHOUSE_RATE_LOGIN_FAILURES": "4/1h", "POSTHOUSE_RATE_EXEMPT": "127.0.0.2",
        },
    )  # fmt: skip
    async with home.running("imap_gateway"), home.running("pop3_gateway"):
        for _ in range(2):
            guess = "x login anna@example.test guess"
            answers = await asked(imap, guess, guess)
            assert all("AUTHENTICATIONFAILED" in each for each in answers[1:])

        await until_full(pool, "127.0.0.1", "login-failures")
        # Even with the right password, and the first time: the other pods are asked.
        right = ("USER anna@example.test", "PASS secret")
        assert (await asked(pop3, *right))[-1].startswith("-ERR [SYS/TEMP] Too many failed logins")

        reader, writer = await asyncio.open_connection(
            "127.0.0.1", pop3, local_addr=("127.0.0.2", 0)
        )
        writer.write(b"USER anna@example.test\r\nPASS secret\r\nQUIT\r\n")
        answers = (await reader.read()).decode().splitlines()
        writer.close()
        assert answers[2].startswith("+OK")

        await rates.reset(pool, "127.0.0.1")
        await until(pop3, "+OK", *right)
