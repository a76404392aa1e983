"""The ``posthouse`` command against a live API: what an operator types and sees."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from posthouse.credentials.passwords import Secrets, hash_for_import, is_outdated, matches
from posthouse.mail.handling import Handling
from posthouse.storage import directory, ledger
from support.commands import posthouse
from support.letters_under_way import new_mail
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

MANY = 1_000
CORES = 2
SECONDS_FOR_TEN_THOUSAND = 60.0


async def done(clerk: LivePostmaster, *arguments: str, stdin: str = "") -> str:
    """Run a command that must succeed; return what it printed."""
    result = await clerk.cli(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


async def refused(clerk: LivePostmaster, *arguments: str, stdin: str = "") -> str:
    """Run a command that must fail; return its sentence."""
    result = await clerk.cli(*arguments, stdin=stdin)
    assert result.exit_code != 0, result.output
    assert "Traceback" not in result.output
    return result.stderr


async def rows(clerk: LivePostmaster, *arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(await done(clerk, *arguments, "--json"))
    return found


async def test_an_account_without_a_password_from_the_command_line(clerk: LivePostmaster) -> None:
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "account", "add", "anna@example.test", "--no-password")
    await done(clerk, "account", "add", "bert@example.test", "--password-stdin", stdin="a secret\n")
    await done(clerk, "account", "set-password", "bert@example.test", "--no-password")

    for address in ("anna@example.test", "bert@example.test"):
        stored = await directory.credentials(clerk.pool, address)
        assert stored is not None
        assert stored.password_hash == ""


async def test_domains_and_accounts_from_the_command_line(clerk: LivePostmaster) -> None:
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "account", "add", "anna@example.test", "--password-stdin", stdin="a secret\n")
    await done(clerk, "account", "set-quota", "anna@example.test", "5000")
    await done(clerk, "account", "disable", "anna@example.test")

    (row,) = await rows(clerk, "account", "list")
    table = await done(clerk, "account", "list")
    stored = await directory.credentials(clerk.pool, "anna@example.test")

    assert (row["address"], row["quota_octets"], row["enabled"]) == (
        "anna@example.test",
        5000,
        False,
    )
    assert "anna@example.test" in table
    assert "4.9 KiB" in table
    assert stored is not None
    assert matches(stored.password_hash, "a secret")

    await done(
        clerk,
        "account",
        "set-password",
        "anna@example.test",
        "--password-stdin",
        stdin="another secret\n",
    )
    changed = await directory.credentials(clerk.pool, "anna@example.test")
    assert changed is not None
    assert matches(changed.password_hash, "another secret")

    await done(clerk, "account", "remove", "anna@example.test", "--yes")
    await done(clerk, "domain", "remove", "example.test")
    assert "no domains" in await done(clerk, "domain", "list")


async def test_a_password_is_never_an_argument_and_never_empty(clerk: LivePostmaster) -> None:
    await done(clerk, "domain", "add", "example.test")

    without = await refused(clerk, "account", "add", "anna@example.test")
    empty = await refused(
        clerk, "account", "add", "anna@example.test", "--password-stdin", stdin="\n"
    )
    as_argument = await refused(clerk, "account", "add", "anna@example.test", "a secret")

    assert "--password-stdin" in without
    assert "empty" in empty
    assert "secret" not in as_argument or "unexpected" in as_argument.lower()
    assert await rows(clerk, "account", "list") == []


async def test_redirections_from_the_command_line(clerk: LivePostmaster) -> None:
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "account", "add", "anna@example.test", "--password-stdin", stdin="a secret\n")
    await done(clerk, "alias", "set", "team@example.test", "anna@example.test", "b@far.test")
    await done(clerk, "forward", "set", "anna@example.test", "a@far.test", "--no-keep")
    await done(clerk, "route", "set", "far.test", "[2001:db8::1]:2525")
    await done(clerk, "network", "add", "192.0.2.0/24", "--note", "[bold]cellar")
    terms = ("--sender-domain", "example.test", "--sender-domain", "far.test")
    assert "mail from example.test, far.test" in await done(
        clerk, "network", "add", "192.0.2.7", *terms
    )
    assert "log in" in await done(clerk, "network", "add", "192.0.2.9", "--no-relay")
    await done(clerk, "delegate", "allow", "*@far.test", "anna@example.test", "--on-behalf")

    assert (await rows(clerk, "alias", "list"))[0]["targets"] == ["anna@example.test", "b@far.test"]
    assert (await rows(clerk, "forward", "list"))[0]["keep_copy"] is False
    assert (await rows(clerk, "route", "list"))[0]["hops"] == ["smtp:[2001:db8::1]:2525"]
    assert "[bold]cellar" in await done(clerk, "network", "list")
    assert [row["relay"] for row in await rows(clerk, "network", "list")] == [True, True, False]
    assert await rows(clerk, "delegate", "list", "--account", "anna@example.test") == [
        {"address": "*@far.test", "account": "anna@example.test", "on_behalf": True}
    ]

    await done(clerk, "alias", "remove", "team@example.test")
    await done(clerk, "forward", "remove", "anna@example.test")
    await done(clerk, "route", "remove", "far.test")
    for network in ("192.0.2.0/24", "192.0.2.7", "192.0.2.9"):
        await done(clerk, "network", "remove", network)
    await done(clerk, "delegate", "revoke", "*@far.test", "anna@example.test")
    for noun in ("alias", "forward", "route", "network", "delegate"):
        assert await rows(clerk, noun, "list") == []


async def test_what_cannot_be_done_is_said_in_a_sentence(clerk: LivePostmaster) -> None:
    assert "No domain nowhere.test" in await refused(clerk, "domain", "remove", "nowhere.test")
    assert "not a host and port" in await refused(clerk, "route", "set", "far.test", "re lay")
    assert "only one" in await refused(clerk, "trace", "--sender", "a@b.test", "--recipient", "c")
    assert "Say which" in await refused(clerk, "dead", "replay")
    assert "add --yes" in await refused(clerk, "account", "remove", "anna@example.test")
    assert "not the id of a message" in await refused(clerk, "trace", "nope")
    assert "no dead letter 7" in await refused(clerk, "dead", "show", "7")


async def test_a_wrong_token_and_a_silent_api_are_said(
    clerk: LivePostmaster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("POSTHOUSE_API_URL", "POSTHOUSE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    nowhere = posthouse("domain", "list")
    (tmp_path / "var").mkdir()
    demo = tmp_path / "var" / "demo.json"
    demo.write_text(json.dumps({"api": {"url": "http://127.0.0.1:1", "token": "t"}}))
    silent = posthouse("domain", "list")
    wrong = await clerk.cli("domain", "list", token="wrong")  # noqa: S106

    assert (nowhere.exit_code, silent.exit_code, wrong.exit_code) == (1, 1, 1)
    assert "make run" in nowhere.stderr
    assert "does not answer" in silent.stderr
    assert "refuses the token" in wrong.stderr


async def test_an_import_adds_what_it_can_and_tells_the_rest(
    clerk: LivePostmaster, tmp_path: Path
) -> None:
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "account", "add", "old@example.test", "--password-stdin", stdin="a secret\n")
    file = tmp_path / "accounts.csv"
    file.write_text(
        "address,password\n"
        'anna@example.test,"with, comma"\n'
        "\n"
        "Anna@Example.test,twice here\n"
        "no address,long enough\n"
        "bert@elsewhere.test,long enough\n"
        "old@example.test,long enough\n"
        "carl@example.test,seven77\n"
        "dora@example.test, spaces stay \n"
    )

    result = await clerk.cli("account", "import", str(file))

    assert result.exit_code == 1
    assert "4 of 7 accounts were not added" in result.stderr
    assert "2 added, 1 left as they were, 4 refused" in result.stdout
    for line, reason in (
        (4, "stands twice"),
        (5, "is not an address"),
        (6, "not in one of our domains"),
        (8, "fewer than 8 characters"),
    ):
        assert f"line {line}: " in result.stdout
        assert reason in result.stdout
    anna = await directory.credentials(clerk.pool, "anna@example.test")
    dora = await directory.credentials(clerk.pool, "dora@example.test")
    assert anna is not None
    assert dora is not None
    assert matches(anna.password_hash, "with, comma")
    assert matches(dora.password_hash, " spaces stay ")
    assert is_outdated(anna.password_hash)


async def test_an_import_can_be_run_again(clerk: LivePostmaster, tmp_path: Path) -> None:
    await done(clerk, "domain", "add", "example.test")
    file = tmp_path / "accounts.csv"
    file.write_text("".join(f"u{n}@example.test,secret of {n}\n" for n in range(3)))
    await done(clerk, "account", "import", str(file))
    before = await directory.credentials(clerk.pool, "u0@example.test")
    file.write_text(file.read_text().replace("secret of 0", "another secret"))

    again = await done(clerk, "account", "import", str(file))

    assert "0 added, 3 left as they were, 0 refused" in again
    assert await directory.credentials(clerk.pool, "u0@example.test") == before


async def test_an_import_under_aliases_adds_nothing_unless_forced(
    clerk: LivePostmaster, tmp_path: Path
) -> None:
    await done(clerk, "domain", "add", "example.test")
    for n in (6, 1099):  # in the first portion and in the last
        await done(clerk, "alias", "set", f"u{n}@example.test", "x@far.test")
    file = tmp_path / "accounts.csv"
    secret = hash_for_import("a secret")  # one for all: to hash takes most of an import's time
    rows_of_file = "".join(f'u{n}@example.test,"{secret}"\n' for n in range(1100))
    file.write_text(f"address,password_hash\n{rows_of_file}")

    result = await clerk.cli("account", "import", str(file))
    as_json = json.loads((await clerk.cli("account", "import", str(file), "--json")).stdout)

    assert result.exit_code == 1
    assert "Nothing was added" in result.stderr
    assert "--force" in result.stderr
    *astray, end = result.stdout.splitlines()
    assert [line.split(" is ")[0] for line in astray] == [
        "line 8: u6@example.test",
        "line 1101: u1099@example.test",
    ]
    assert end.startswith("0 added, 0 refused")
    assert [row["line"] for row in as_json["shadowed"]] == [8, 1101]
    assert await rows(clerk, "account", "list") == []

    single = await refused(
        clerk, "account", "add", "u6@example.test", "--password-stdin", stdin="a secret\n"
    )
    forced = await done(clerk, "account", "import", str(file), "--force")

    assert "u6@example.test is an alias" in single
    assert "1100 added, 0 refused" in forced


async def test_an_alias_that_comes_while_an_import_runs_stops_it(
    clerk: LivePostmaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await done(clerk, "domain", "add", "example.test")
    file = tmp_path / "accounts.csv"
    file.write_text("".join(f"u{n}@example.test,secret of {n}\n" for n in range(501)))
    hash_many = clerk.parts.hasher.many

    async def meanwhile(passwords: Sequence[str]) -> list[Secrets]:
        if len(passwords) == 1:  # the last portion
            await directory.set_alias(clerk.pool, "u500@example.test", ["x@far.test"])
        # how dear each is, is not the question
        return await hash_many(passwords[:1]) * len(passwords)

    monkeypatch.setattr(clerk.parts.hasher, "many", meanwhile)
    result = await clerk.cli("account", "import", str(file))

    assert result.exit_code == 1
    assert "u500@example.test is an alias" in result.stderr
    assert "500 added" in result.stdout  # two portions of 250
    assert await directory.account_by_address(clerk.pool, "u500@example.test") is None


async def test_rows_that_are_no_csv_are_told_and_the_others_added(
    clerk: LivePostmaster, tmp_path: Path
) -> None:
    await done(clerk, "domain", "add", "example.test")
    file = tmp_path / "accounts.csv"
    file.write_text(
        "anna@example.test,long enough\n"
        "too,many,fields\n"
        "bert@example.test\n"
        '"quoted"@example.test,long enough\n'
        "dora@example.test,long\0enough\n"
        "carl@example.test,long enough\n"
    )

    result = await clerk.cli("account", "import", str(file))

    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stdout.splitlines()[:-1]] == [
        f"line {number}" for number in (2, 3, 4, 5)
    ]
    assert "2 added, 4 refused" in result.stdout
    assert [row["address"] for row in await rows(clerk, "account", "list")] == [
        "anna@example.test",
        "carl@example.test",
    ]


@pytest.mark.timeout(600)
async def test_accounts_are_imported_at_ten_thousand_a_minute_on_two_cores(
    clerk: LivePostmaster, tmp_path: Path
) -> None:
    """Measured in processor time, which does not depend on what else the machine does."""
    await done(clerk, "domain", "add", "example.test")
    file = tmp_path / "accounts.csv"
    file.write_text("".join(f"u{n:05}@example.test,secret of {n}\n" for n in range(MANY)))

    began = time.process_time()
    answer = json.loads(await done(clerk, "account", "import", str(file), "--json"))
    per_account = (time.process_time() - began) / MANY

    assert answer["added"] == MANY
    assert per_account * 10_000 / CORES < SECONDS_FOR_TEN_THOUSAND
    assert await clerk.pool.fetchval("select count(distinct password_hash) from accounts") == MANY
    assert len(await rows(clerk, "account", "list")) == MANY


async def test_mail_is_traced_by_whatever_is_known_of_it(clerk: LivePostmaster) -> None:
    mail = new_mail("anna@example.test", "bert@example.test", message_id="<one@far.test>")
    await ledger.enter(clerk.pool, [mail])
    ident = str(mail.id)

    by_message_id = await rows(clerk, "trace", "--message-id", "<one@far.test>")
    by_sender = await rows(clerk, "trace", "--sender", "eve@far.test")
    by_recipient = await rows(clerk, "trace", "--recipient", "bert@example.test")
    timeline = json.loads(await done(clerk, "trace", ident, "--json"))
    shown = await done(clerk, "trace", ident)

    assert [row["id"] for row in (*by_message_id, *by_sender, *by_recipient)] == [ident] * 3
    assert [event["what"] for event in timeline["events"]] == ["accepted"]
    assert "accepted" in shown
    assert "bert@example.test" in shown
    assert await rows(clerk, "trace", "--sender", "nobody@far.test") == []


async def test_a_trace_of_nothing_in_particular_shows_the_newest(clerk: LivePostmaster) -> None:
    assert await rows(clerk, "trace") == []
    mails = [new_mail("bert@example.test", message_id=f"<{n}@far.test>") for n in range(3)]
    await ledger.enter(clerk.pool, mails)
    newest = sorted((str(mail.id) for mail in mails), reverse=True)

    found = await rows(clerk, "trace", "--limit", "2")
    rest = await clerk.http.get("/trace", params={"after": newest[1]})

    assert [row["id"] for row in found] == newest[:2]
    assert [row["id"] for row in rest.json()["items"]] == newest[2:]


async def test_scheduled_mail_from_the_command_line(clerk: LivePostmaster) -> None:
    now, never = (
        structs.replace(new_mail("anna@example.test"), auth=who, handling=Handling(hold="for;60"))
        for who in ("carl@example.test", "dora@example.test")
    )
    assert "Nothing is scheduled." in await done(clerk, "scheduled", "list")
    await ledger.enter(clerk.pool, [now, never])

    listed = await rows(clerk, "scheduled", "list")
    of_dora = await rows(clerk, "scheduled", "list", "--account", "dora@example.test")
    await done(clerk, "scheduled", "start", str(now.id))
    await done(clerk, "scheduled", "cancel", str(never.id), "--yes")

    assert sorted(str(row["id"]) for row in listed) == sorted([str(now.id), str(never.id)])
    assert [row["id"] for row in of_dora] == [str(never.id)]
    assert await rows(clerk, "scheduled", "list") == []
    assert "no held mail" in (await refused(clerk, "scheduled", "start", str(never.id))).lower()
    assert "discarded" in await done(clerk, "trace", str(never.id))
    assert "released by the operator" in await done(clerk, "trace", str(now.id))
