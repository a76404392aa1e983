"""What operators do about credentials: devices get passwords, other houses' hashes move in."""

from __future__ import annotations

import hmac
import json
import ssl
import sys
from base64 import b64decode, b64encode
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest

from posthouse.credentials.authenticator import Authenticator
from posthouse.credentials.exchange import Accepted, Channel, Failed
from posthouse.credentials.scram import derive, read_keys
from posthouse.mail.encryption import Tls
from posthouse.runtime.logins import open_authenticator
from posthouse.runtime.tls_facts import peer_of
from posthouse.storage import directory
from support.logins import LOGINS
from support.people import Authority, Person
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

CHANNEL = Channel(service="imap", client="192.0.2.1", is_trusted=True)
ANNA = "anna@example.test"
# By `doveadm pw -p pässword`, and by crypt(3) of Debian 12.
FOREIGN = {
    "ssha": "{SSHA}XKD3pb7iBK6/HZgDa7CZWUG9kxtSnP29",
    "hex": "{SSHA256.HEX}82510a11cf1f6a500a03d7313d27be91afe37e226cd3da827bf87284eed764c177f3e5ab",
    "md5": "$1$Cg7WyBXf$X7lL6Bp43Cy7E3noipp9O/",
    "bcrypt": "{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuucZGbUxuMlEqps0qcu2pjhO7vaatQZIC",
    "scram": "{SCRAM-SHA-256}4096,HFjVCTPD8zknkfsOgnwvOw==,"
    "GtV5lqk8eFEwXE6f0d1QlBpn6Q7sfhmBtiKZV0jopNg=,nidJgm0iyAgXb3bY1St4QfFon000mSZJ0kHewffhIhU=",
}


async def done(clerk: LivePostmaster, *arguments: str, stdin: str = "") -> str:
    """Run a command that must succeed; return what it printed."""
    result = await clerk.cli(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


async def logs_in(who: Authenticator, user: str, word: str) -> bool:
    return isinstance(await who.log_in(user, word, CHANNEL), Accepted)


async def test_a_device_gets_a_password_that_serves_until_it_is_revoked(
    clerk: LivePostmaster,
) -> None:
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "account", "add", ANNA, "--password-stdin", stdin="a secret\n")
    made = (await done(clerk, "app-password", "add", ANNA, "phone")).strip()
    again = await clerk.cli("app-password", "add", ANNA, "phone")

    assert again.exit_code == 1
    assert "has an app password phone already" in again.stderr
    async with open_authenticator(LOGINS, clerk.pool) as who:
        assert await logs_in(who, ANNA, made)
        assert await logs_in(who, ANNA, "a secret")
        [listed] = json.loads(await done(clerk, "app-password", "list", ANNA, "--json"))
        assert (listed["name"], listed["last_service"]) == ("phone", "imap")
        assert listed["last_client"] == "192.0.2.1"
        assert listed["last_used"]
        assert made not in await done(clerk, "app-password", "list", ANNA)

        await done(clerk, "app-password", "revoke", ANNA, "phone")
        assert not await logs_in(who, ANNA, made)
    assert (await clerk.cli("app-password", "revoke", ANNA, "phone")).exit_code == 1
    assert "has no app passwords" in await done(clerk, "app-password", "list", ANNA)


async def test_devices_are_bounded_and_go_with_their_account(
    clerk: LivePostmaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = sys.modules["posthouse.storage.directory.app_passwords"]
    monkeypatch.setattr(room, "MAX_APP_PASSWORDS", 1)
    nobody = await clerk.http.post("/app-passwords", json={"address": ANNA, "name": "x"})
    assert nobody.status_code == HTTPStatus.NOT_FOUND
    assert (await clerk.http.get("/app-passwords", params={"address": ANNA})).status_code == 404
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "account", "add", ANNA, "--password-stdin", stdin="a secret\n")
    await done(clerk, "app-password", "add", ANNA, "one")

    more = await clerk.http.post("/app-passwords", json={"address": ANNA, "name": "two"})
    assert more.status_code == HTTPStatus.CONFLICT
    await done(clerk, "account", "remove", ANNA, "--yes")

    assert await clerk.pool.fetchval("select count(*) from app_passwords") == 0


async def shows(who: Authenticator, somebody: Person, identity: str = "") -> Accepted | Failed:
    """Log in with a certificate."""
    encoded = ssl.PEM_cert_to_DER_cert(somebody.certificate.read_text())
    tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", peer_of(encoded))

    async def nothing(_: bytes) -> bytes:
        raise AssertionError

    initial = b64encode(identity.encode()) or b"="
    return await who.converse("EXTERNAL", initial, replace(CHANNEL, tls=tls), nothing)


async def test_a_certificate_logs_in_until_it_is_removed(
    clerk: LivePostmaster, tmp_path: Path
) -> None:
    people = Authority(tmp_path)
    laptop, other = people.person("x@y.test", file="laptop"), people.person(ANNA, file="other")
    by_fingerprint = LOGINS.model_copy(update={"sasl_external": "fingerprint"})
    await done(clerk, "domain", "add", "example.test")
    for address in (ANNA, "bert@example.test"):
        await done(clerk, "account", "add", address, "--no-password")
    told = await done(clerk, "certificate", "add", ANNA, "laptop", str(laptop.certificate))
    [listed] = json.loads(await done(clerk, "certificate", "list", ANNA, "--json"))
    assert listed["fingerprint"] in told
    spoken = ":".join(listed["fingerprint"][n : n + 2].upper() for n in range(0, 64, 2))

    async with open_authenticator(by_fingerprint, clerk.pool) as who:
        for identity in ("", ANNA):
            end = await shows(who, laptop, identity)
            assert isinstance(end, Accepted)
            assert end.identity.address == ANNA
        assert isinstance(await shows(who, laptop, "bert@example.test"), Failed)
        assert isinstance(await shows(who, other), Failed)  # whatever it says

        taken = await clerk.cli("certificate", "add", "bert@example.test", "mine", spoken)
        assert taken.exit_code == 1
        assert "this one is somebody's" in taken.stderr
        await done(clerk, "certificate", "remove", ANNA, "laptop")
        assert isinstance(await shows(who, laptop), Failed)
        await done(clerk, "certificate", "add", "bert@example.test", "mine", spoken)
        assert isinstance(await shows(who, laptop), Accepted)
    assert (await clerk.cli("certificate", "remove", ANNA, "laptop")).exit_code == 1
    assert "has no certificates" in await done(clerk, "certificate", "list", ANNA)


async def test_what_is_no_certificate_is_refused(clerk: LivePostmaster, tmp_path: Path) -> None:
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "account", "add", ANNA, "--no-password")
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear anna")

    for wrong, why in ((str(letter), "is no certificate in PEM"), ("abc", "64 hexadecimal")):
        result = await clerk.cli("certificate", "add", ANNA, "x", wrong)
        assert result.exit_code == 1
        assert why in result.stderr
    nobody = await clerk.cli("certificate", "add", "nobody@example.test", "x", "0" * 64)
    assert "No account nobody@example.test" in nobody.stderr
    assert (
        await clerk.http.get("/certificates", params={"address": "x@y.test"})
    ).status_code == 404


async def test_certificates_are_bounded_and_go_with_their_account(
    clerk: LivePostmaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = sys.modules["posthouse.storage.directory.certificates"]
    monkeypatch.setattr(room, "MAX_CERTIFICATES", 1)
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "account", "add", ANNA, "--no-password")
    await done(clerk, "certificate", "add", ANNA, "one", "1" * 64)

    more = await clerk.cli("certificate", "add", ANNA, "two", "2" * 64)
    assert "has 1 certificates already" in more.stderr
    await done(clerk, "account", "remove", ANNA, "--yes")
    assert await clerk.pool.fetchval("select count(*) from certificates") == 0


async def test_hashes_of_other_houses_move_in_and_are_made_ours_at_the_first_login(
    clerk: LivePostmaster, tmp_path: Path
) -> None:
    await done(clerk, "domain", "add", "example.test")
    file = tmp_path / "hashes.csv"
    rows = "".join(f'{name}@example.test,"{stored}"\n' for name, stored in FOREIGN.items())
    file.write_text(f"address,password_hash\n{rows}des@example.test,abRy4/6THFs9U\n")

    result = await clerk.cli("account", "import", str(file))

    assert "5 added, 1 refused" in result.stdout
    assert "line 7: des@example.test its hash is of a scheme that is not known" in result.stdout
    assert "abRy4" not in result.stdout
    async with open_authenticator(LOGINS, clerk.pool) as who:
        for name in FOREIGN:
            user = f"{name}@example.test"
            assert not await logs_in(who, user, "wrong")
            assert await logs_in(who, user, "pässword")
            stored = await directory.credentials(clerk.pool, user)
            assert stored is not None
            assert stored.password_hash.startswith("$argon2id$")
            keys = read_keys(stored.keys.scram_sha_256 or "")
            assert keys == derive("pässword", keys.salt)
            assert await logs_in(who, user, "pässword")


async def test_a_row_has_a_password_or_a_hash(clerk: LivePostmaster) -> None:
    await done(clerk, "domain", "add", "example.test")
    both = {"address": ANNA, "password": "a secret", "password_hash": FOREIGN["ssha"]}
    none = {"address": "bert@example.test"}

    told = (await clerk.http.post("/imports/accounts", json={"accounts": [both, none]})).json()

    assert told["added"] == 0
    assert {row["reason"] for row in told["refused"]} == {"needs a password or the hash of one"}


async def test_keys_go_with_the_password_that_they_were_made_of(clerk: LivePostmaster) -> None:
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "account", "add", ANNA, "--password-stdin", stdin="a secret\n")
    first = await directory.credentials(clerk.pool, ANNA)
    await done(clerk, "account", "set-password", ANNA, "--password-stdin", stdin="another one\n")
    second = await directory.credentials(clerk.pool, ANNA)

    assert first is not None
    assert second is not None
    for stored, word in ((first, "a secret"), (second, "another one")):
        keys = read_keys(stored.keys.scram_sha_256 or "")
        assert keys == derive(word, keys.salt)
        assert stored.keys.cram_md5 is None


async def test_cram_md5_serves_where_its_keys_are_kept_and_only_there(
    clerk: LivePostmaster,
) -> None:
    wanted = LOGINS.model_copy(update={"sasl_mechanisms": "CRAM-MD5 PLAIN"})
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "account", "add", ANNA, "--password-stdin", stdin="a secret\n")

    async with open_authenticator(wanted, clerk.pool) as who:

        async def digest(challenge: bytes) -> bytes:
            text = b64decode(challenge)
            answer = f"{ANNA} {hmac.new(b'a secret', text, 'md5').hexdigest()}"
            return b64encode(answer.encode())

        assert who.offered(CHANNEL) == ("CRAM-MD5", "PLAIN")
        assert await who.converse("CRAM-MD5", None, CHANNEL, digest) == Failed("wrong")
        assert await logs_in(who, ANNA, "a secret")  # and now they are kept
        end = await who.converse("cram-md5", None, CHANNEL, digest)
        assert isinstance(end, Accepted)
        assert end.identity.address == ANNA
    stored = await directory.credentials(clerk.pool, ANNA)
    assert stored is not None
    assert stored.keys.scram_sha_256 is None
