"""People log in by tokens and by the passwords of LDAP, over SMTP, IMAP and POP3."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from base64 import b64encode
from pathlib import Path

import pytest

from onemachine.services import inherited_environment
from posthouse.storage.pool import Pool
from support.elsewhere import House, running_house

pytestmark = pytest.mark.integration

TOKENS_BY_SMTP = """
S: 220 …
C: EHLO client.test
S* 250…AUTH OAUTHBEARER XOAUTH2 PLAIN
C: NOOP
S* 250 2.0.0 …
C: AUTH OAUTHBEARER $refused
S: 334 $told
C: AQ==
S: 535 5.7.8 …
C: AUTH OAUTHBEARER
S: 334…
C: $token
S: 235 2.7.0 …
C: QUIT
S: 221 …
"""
TOKENS_BY_IMAP = """
S: * OK …
C: a CAPABILITY
S: * CAPABILITY …AUTH=OAUTHBEARER AUTH=XOAUTH2 AUTH=PLAIN…
S: a OK …
C: b AUTHENTICATE XOAUTH2 $xrefused
S: + $xtold
C:
S: b NO [AUTHENTICATIONFAILED] …
C: c AUTHENTICATE OAUTHBEARER $token
S: c OK …
C: d LOGOUT
S* d OK …
"""
TOKENS_BY_POP3 = """
S: +OK …
C: CAPA
S* SASL OAUTHBEARER XOAUTH2 PLAIN
S* .
C: AUTH OAUTHBEARER $refused
S: + $told
C: AQ==
S: -ERR [AUTH] …
C: AUTH XOAUTH2
S: +…
C: $xtoken
S: +OK …
C: QUIT
S: +OK …
"""
LOGIN_BY_SMTP = """
S: 220 …
C: EHLO client.test
S* 250 …
C: AUTH PLAIN $login
S: $answer
C: QUIT
S: 221 …
"""
LOGIN_BY_IMAP = """
S: * OK …
C: b LOGIN anna@example.test "annas secret"
S: b OK …
C: d LOGOUT
S* d OK …
"""
LOGIN_BY_POP3 = """
S: +OK …
C: USER anna@example.test
S: +OK…
C: PASS annas secret
S: +OK …
C: QUIT
S: +OK …
"""


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def oauthbearer(token: str, user: str = "") -> str:
    name = f"a={user}" if user else ""
    return b64(f"n,{name},\x01host=localhost\x01port=1\x01auth=Bearer {token}\x01\x01")


def xoauth2(token: str) -> str:
    return b64(f"user=anna@example.test\x01auth=Bearer {token}\x01\x01")


def plain(user: str, password: str) -> str:
    return b64(f"\0{user}\0{password}")


async def tokens_open_all_doors(house: House) -> None:
    good = house.issuer.token(groups="all of them" * 400)  # as large as issuers make them
    late = house.issuer.token(exp=1)
    found = f"{house.issuer.url}/.well-known/openid-configuration"
    told = f'{{"status":"invalid_token","scope":"mail","openid-configuration":"{found}"}}'
    words = {
        "token": oauthbearer(good, "anna@example.test"),
        "refused": oauthbearer(late),
        "told": b64(told),
        "xtoken": xoauth2(good),
        "xrefused": xoauth2(late),
        "xtold": b64('{"status":"401","schemes":"bearer","scope":"mail"}'),
    }

    for protocol, script in (
        ("smtp", TOKENS_BY_SMTP),
        ("imap", TOKENS_BY_IMAP),
        ("pop3", TOKENS_BY_POP3),
    ):
        await house.plays(protocol, script, **words)


async def tokens_serve_a_real_client(house: House) -> None:
    """curl says OAUTHBEARER, or XOAUTH2 if it is told to."""
    token = house.issuer.token()
    for protocol, mechanism in (("imap", "OAUTHBEARER"), ("imap", "XOAUTH2"), ("pop3", "XOAUTH2")):
        address = f"{protocol}s://localhost:{house.ports[protocol]}/"
        curl = await asyncio.create_subprocess_exec(
            "curl", "-sS", "--cacert", str(house.authority), "--user", "anna@example.test",
            "--oauth2-bearer", token, "--login-options", f"AUTH={mechanism}", address,
            stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        said, complaint = await curl.communicate()
        assert curl.returncode == 0, complaint.decode()
        assert b"INBOX" in said or protocol == "pop3"


async def an_operator_sees_that_both_are_there(house: House) -> None:
    """As ``posthouse config check`` says it."""
    posthouse = Path(sys.executable).with_name("posthouse")
    check = await asyncio.create_subprocess_exec(
        posthouse, "config", "check", "--local", "--json", stdout=PIPE,
        env={**inherited_environment(), **house.settings},
    )  # fmt: skip
    findings = json.loads((await check.communicate())[0])

    told = {finding["part"]: finding["text"] for finding in findings}
    assert told["issuer of tokens"] == f"{house.issuer.url} publishes 1 fit for signatures"
    assert told["LDAP"] == "default answers"


async def passwords_of_ldap_open_all_doors(house: House) -> None:
    login = plain("anna@example.test", "annas secret")

    await house.plays("smtp", LOGIN_BY_SMTP, login=login, answer="235 2.7.0 …")
    await house.plays("imap", LOGIN_BY_IMAP)
    await house.plays("pop3", LOGIN_BY_POP3)

    own = plain("bert@example.test", "berts own")  # whom LDAP does not know
    await house.plays("smtp", LOGIN_BY_SMTP, login=own, answer="235 2.7.0 …")
    wrong = plain("anna@example.test", "berts own")
    await house.plays("smtp", LOGIN_BY_SMTP, login=wrong, answer="535 5.7.8 …")

    await house.slapd.stop()
    await house.plays("smtp", LOGIN_BY_SMTP, login=login, answer="454 4.7.0 …")
    await house.plays("smtp", LOGIN_BY_SMTP, login=own, answer="235 2.7.0 …")


async def test_who_is_known_elsewhere_comes_in_by_all_doors(
    pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path
) -> None:
    async with running_house(pool, postgres_url, broker_url, tmp_path) as house:
        await tokens_open_all_doors(house)
        await tokens_serve_a_real_client(house)
        await an_operator_sees_that_both_are_there(house)
        await passwords_of_ldap_open_all_doors(house)
