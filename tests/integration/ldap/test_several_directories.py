"""Several directories, each a real one with people of its own: none hears of another's, or speaks for them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import prometheus_client
import pytest
import pytest_asyncio

from onemachine.certificates import certificates
from onemachine.ports import free_ports
from posthouse.credentials.authenticator import Authenticator
from posthouse.credentials.exchange import (
    Accepted,
    Attempt,
    Channel,
    Claim,
    Identity,
    Password,
    Refused,
    Verdict,
)
from posthouse.credentials.ldap.directory import Directory
from posthouse.mail.errors import Unavailable
from posthouse.runtime.ldap_settings import LdapSettings
from posthouse.runtime.settings import read
from support.slapd import BASE, OUR_NAME, OUR_PASSWORD, PEOPLE, Slapd

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

CHANNEL = Channel(service="imap", client="192.0.2.1", is_trusted=True)
LEARNERS = (
    ("cara", "cara@students.test", "caras secret"),
    ("anna", "anna@students.test", "another anna"),
    ("mallory", "anna@example.test", "mallorys secret"),  # says that she is of the staff
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def students() -> AsyncIterator[Slapd]:
    home = Path(tempfile.mkdtemp(prefix="posthouse-ldap-"))
    plain, tls = free_ports(2)
    made = certificates(home / "tls", ["localhost"])
    server = Slapd(home=home, plain_port=plain, tls_port=tls, certificates=made, people=LEARNERS)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        shutil.rmtree(home)


class Accounts:
    """Has everybody that is asked for."""

    async def judge(self, attempt: Attempt, _: Channel) -> Verdict | None:
        if isinstance(attempt, Claim):
            return Accepted(Identity(account_id=1, address=attempt.user))
        return Refused()


@asynccontextmanager
async def both(
    staff: Slapd, students: Slapd, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Authenticator]:
    """Who judges, as an operator's settings put it together."""
    (folder / "ldap.toml").write_text(f"""
        [students]
        urls = "ldaps://localhost:{students.tls_port}"
        authorities = "{students.certificates.authority}"
        domains = "students.test"
        search_base = "{BASE}"
        search_filter = "(uid={{local}})"
        search_name = "{OUR_NAME}"
        search_password = "{OUR_PASSWORD}"
        search_attribute = "mail"
        remember_seconds = 0
        """)
    environment = {
        "DATABASE_URL": "postgresql://post:x@127.0.0.1/post",
        "BROKER_URL": "amqp://post:x@127.0.0.1/",
        "STORE": "disk:/var/lib/posthouse",
        "HOSTNAME": "mx.example.test",
        "LDAP_FILE": str(folder / "ldap.toml"),
        "LDAP_URLS": f"ldap://localhost:{staff.plain_port}",
        "LDAP_AUTHORITIES": str(staff.certificates.authority),
        "LDAP_DOMAINS": "example.test",
        "LDAP_BIND_NAME": f"uid={{local}},{PEOPLE}",
        "LDAP_REMEMBER_SECONDS": "0",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"POSTHOUSE_{name}", value)
    settings = read(LdapSettings)
    assert isinstance(settings, LdapSettings), settings
    async with AsyncExitStack() as stack:
        links = [
            await stack.enter_async_context(Directory(plan, Accounts()))
            for plan in settings.ldap_plans
        ]
        yield Authenticator(mechanisms=(), links=links)


async def judged(who: Authenticator, user: str, password: str) -> str:
    """Return the mailbox that opens; empty if none does."""
    verdict = await who.judge(Password(user=user, password=password), CHANNEL)
    return verdict.identity.address if isinstance(verdict, Accepted) else ""


def unavailable() -> dict[str, float]:
    name = "posthouse_ldap_logins_total"
    return {
        directory: prometheus_client.REGISTRY.get_sample_value(
            name, {"directory": directory, "outcome": "unavailable"}
        )
        or 0.0
        for directory in ("default", "students")
    }


async def test_each_judges_its_own_people(
    slapd: Slapd, students: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both(slapd, students, tmp_path, monkeypatch) as who:
        assert await judged(who, "anna@example.test", "annas secret") == "anna@example.test"
        assert await judged(who, "anna@students.test", "another anna") == "anna@students.test"
        assert await judged(who, "Cara@Students.Test", "caras secret") == "cara@students.test"
        assert await judged(who, "anna@example.test", "another anna") == ""
        assert await judged(who, "anna@students.test", "annas secret") == ""
        assert await judged(who, "stranger@elsewhere.test", "strange") == ""


async def test_none_opens_the_mailboxes_of_another(
    slapd: Slapd, students: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both(slapd, students, tmp_path, monkeypatch) as who:
        assert await judged(who, "mallory@students.test", "mallorys secret") == ""
        assert await judged(who, "mallory", "mallorys secret") == ""
        assert await judged(who, "cara", "caras secret") == "cara@students.test"


async def test_the_outage_of_one_concerns_its_people_only(
    slapd: Slapd, students: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both(slapd, students, tmp_path, monkeypatch) as who:
        await students.stop()
        try:
            assert await judged(who, "anna@example.test", "annas secret") == "anna@example.test"
            assert await judged(who, "anna@example.test", "wrong") == ""
            before = unavailable()
            with pytest.raises(Unavailable):
                await judged(who, "cara@students.test", "caras secret")
            assert unavailable() == {**before, "students": before["students"] + 1}
        finally:
            await students.start()
        assert await judged(who, "cara@students.test", "caras secret") == "cara@students.test"
