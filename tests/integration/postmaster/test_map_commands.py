"""Maps from the command line, and tables of Postfix and qmail taken over: once, and told what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

ALIASES = """\
# local people
postmaster: root
root: anna, \\bert
staff:  anna@example.test,
        "|/usr/bin/vacation bert", x@far.test
owner-staff: anna
archive: /var/spool/archive
list: :include:{include}
"""
VIRTUAL = """\
old.test             anything
info@old.test        anna@example.test
@old.test            @example.test
/^(.+)-x@old\\.test$/ $1@example.test
bad address
"""
TRANSPORT = """\
far.test        smtp:[relay.far.test]:587
.far.test       smtp:
mx.test         smtp:mail.mx.test
here.test       local:
anna@far.test   lmtp:unix:/run/box.sock
lost.test       error:gone for good
*               relay:[::1]:26
"""
ACCESS = """\
spam.test       REJECT no spam
ok@good.test    OK
slow.test       450 later
odd.test        HOLD look at it
boss@far.test   BCC bert@example.test
"""


async def done(clerk: LivePostmaster, *arguments: str) -> str:
    result = await clerk.cli(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


async def rows(clerk: LivePostmaster, *arguments: str) -> list[dict[str, Any]]:
    found = json.loads(await done(clerk, *arguments, "--json"))
    assert isinstance(found, list)
    return found


async def report(clerk: LivePostmaster, *arguments: str) -> dict[str, Any]:
    found = json.loads(await done(clerk, "policy", "import", *arguments, "--json"))
    assert isinstance(found, dict)
    return found


async def imported(clerk: LivePostmaster, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Import, for show, in earnest, and again; return what changed and what was left, why."""
    show = await report(clerk, *arguments, "--dry-run")
    first = await report(clerk, *arguments)
    assert {**show, "dry_run": False} == first
    again = await report(clerk, *arguments)
    assert again["changed"] == []
    assert again["same"] == first["same"] + len(first["changed"])
    assert again["left"] == first["left"]
    return first["changed"], {each["text"]: each["reason"] for each in first["left"]}


async def test_maps_are_written_asked_and_removed(clerk: LivePostmaster) -> None:
    await done(clerk, "domain", "add", "example.test")
    await done(clerk, "policy", "map", "set", "canonical", "Old@Example.test", "anna@example.test")
    await done(clerk, "policy", "map", "set", "virtual", "@example.test", "@other.test")
    await done(clerk, "policy", "map", "set", "masquerade", "@.example.test", "root")
    await done(clerk, "policy", "map", "set", "hold-sender", "<>", "reports")

    assert await rows(clerk, "policy", "map", "query", "old+x@example.test") == [
        {
            "map": "canonical", "key": "old@example.test", "targets": ["anna@example.test"],
            "becomes": ["anna+x@example.test"],
        },
        {
            "map": "virtual", "key": "@example.test", "targets": ["@other.test"],
            "becomes": ["old+x@other.test"],
        },
    ]  # fmt: skip
    assert await rows(clerk, "policy", "map", "query", "a@host.example.test") == [
        {
            "map": "masquerade", "key": "@.example.test", "targets": ["root"],
            "becomes": ["a@example.test"],
        }
    ]  # fmt: skip
    assert len(await rows(clerk, "policy", "map", "list")) == 4
    await done(clerk, "policy", "map", "remove", "canonical", "old@example.test")
    assert [row["map"] for row in await rows(clerk, "policy", "map", "list")] == [
        "hold-sender", "masquerade", "virtual",
    ]  # fmt: skip
    assert [row["action"] for row in await rows(clerk, "audit", "list")] == [
        "map remove", "map set", "map set", "map set", "map set", "domain add",
    ]  # fmt: skip
    for wrong in (["nonsense", "a@b.test", "c@d.test"], ["virtual", "/(?=x)/", "c@d.test"]):
        result = await clerk.cli("policy", "map", "set", *wrong)
        assert result.exit_code == 1, result.output


async def test_tables_of_postfix_are_taken_over(clerk: LivePostmaster, tmp_path: Path) -> None:
    await done(clerk, "domain", "add", "example.test")
    include = tmp_path / "members"
    include.write_text("one@far.test\nbert # here\n")
    table = tmp_path / "table"

    table.write_text(ALIASES.format(include=include))
    changed, left = await imported(clerk, "postfix-aliases", str(table), "--domain", "example.test")
    assert changed == [
        "alias postmaster@example.test: root@example.test",
        "alias root@example.test: anna@example.test, bert@example.test",
        "alias staff@example.test: anna@example.test, x@far.test",
        "alias owner-staff@example.test: anna@example.test",
        "alias list@example.test: one@far.test, bert@example.test",
    ]
    assert set(left) == {
        "|/usr/bin/vacation bert", "/var/spool/archive", "archive: /var/spool/archive",
    }  # fmt: skip
    owners = {row["address"]: row["owner"] for row in await rows(clerk, "alias", "list")}
    assert owners["staff@example.test"] == "anna@example.test"

    table.write_text(VIRTUAL)
    changed, left = await imported(clerk, "postfix-virtual", str(table))
    assert changed == [
        "domain old.test",
        "virtual info@old.test: anna@example.test",
        "virtual @old.test: @example.test",
        "virtual /(?i)^(.+)-x@old\\.test$/: \\1@example.test",
    ]
    assert list(left) == ["bad@ address"]

    table.write_text(TRANSPORT)
    changed, left = await imported(clerk, "postfix-transport", str(table))
    assert changed == [
        "route far.test: smtp:relay.far.test:587",
        "route .far.test: direct",
        "route mx.test: mx:mail.mx.test:25",
        "route *: smtp:[::1]:26",
        "transport anna@far.test: lmtp:/run/box.sock",
    ]
    assert set(left) == {"here.test local:", "lost.test error:gone for good"}

    table.write_text("anna anna.berg@example.test\n@inner.test @example.test\n")
    changed, left = await imported(clerk, "postfix-recipient-canonical", str(table))
    assert changed == [
        "recipient-canonical anna@: anna.berg@example.test",
        "recipient-canonical @inner.test: @example.test",
    ]
    assert left == {}


async def test_tables_of_access_are_taken_over_and_replaced(
    clerk: LivePostmaster, tmp_path: Path
) -> None:
    table = tmp_path / "sender_access"
    table.write_text(ACCESS)
    changed, left = await imported(clerk, "postfix-sender-access", str(table))
    assert changed == [
        "deny sender spam.test", "allow sender ok@good.test", "defer sender slow.test",
        "hold-sender @odd.test: look at it", "sender-bcc boss@far.test: bert@example.test",
    ]  # fmt: skip
    assert left == {}
    kept = await rows(clerk, "policy", "access", "list")
    assert {each["key"]: (each["action"], each["text"]) for each in kept} == {
        "spam.test": ("deny", "no spam"), "ok@good.test": ("allow", ""), "slow.test": ("defer", "later"),
    }  # fmt: skip

    await done(clerk, "policy", "access", "deny", "sender", "by.hand.test")
    table.write_text("spam.test REJECT no spam\nnew.test REJECT\n")
    replaced = ("postfix-sender-access", str(table), "--replace")
    for more in (["--dry-run"], []):
        assert (await report(clerk, *replaced, *more))["changed"] == [
            "deny sender new.test", "no more: allow sender ok@good.test",
            "no more: defer sender slow.test",
        ]  # fmt: skip
    assert (await report(clerk, *replaced))["changed"] == []
    kept = await rows(clerk, "policy", "access", "list")
    assert [each["key"] for each in kept] == ["by.hand.test", "new.test", "spam.test"]


MAIN_CF = """\
# of a house with everything
mydomain = example.test
myorigin = $mydomain
mydestination = $mydomain, localhost.$mydomain, localhost, other.test
mynetworks = 127.0.0.0/8 [::1]/128 192.0.2.0/24 !192.0.2.7
relayhost = [relay.test]:587
recipient_delimiter = +
virtual_alias_maps = hash:/etc/postfix/virtual, ldap:/etc/postfix/people.cf
sender_dependent_relayhost_maps = texthash:{folder}/relays
always_bcc = archive
smtpd_recipient_restrictions = permit_mynetworks,
    check_sender_access hash:/etc/postfix/senders
    reject_rbl_client zen.example.test=127.0.0.2
    reject_unverified_sender
smtpd_milters = inet:localhost:8891
maximal_queue_lifetime = 3d
header_checks = regexp:/etc/postfix/header_checks
"""


async def test_what_main_cf_says_is_taken_over_or_told(
    clerk: LivePostmaster, tmp_path: Path
) -> None:
    (tmp_path / "main.cf").write_text(MAIN_CF.replace("{folder}", str(tmp_path)))
    (tmp_path / "virtual").write_text("info@example.test anna@example.test\n")
    (tmp_path / "relays").write_text("anna@example.test [smart.test]:25\n<> [null.test]\n")
    (tmp_path / "senders").write_text("spam.test REJECT\n")
    (tmp_path / "header_checks").write_text("/^X-Bulk:/ HOLD look\n")

    changed, left = await imported(clerk, "postfix-config", str(tmp_path))

    assert changed == [
        "domain example.test", "delimiters of example.test: +",
        "domain other.test", "delimiters of other.test: +",
        "network 192.0.2.0/24: may relay", "network 192.0.2.7/32: may not relay",
        "route *: smtp:relay.test:587", "relay anna@example.test: smtp:smart.test:25",
        "relay <>: smtp:null.test:25", "deny sender spam.test",
        "virtual info@example.test: anna@example.test", "sender-bcc *: archive@example.test",
    ]  # fmt: skip
    assert set(left) == {
        "virtual_alias_maps = ldap:/etc/postfix/people.cf",
        "smtpd_recipient_restrictions: permit_mynetworks",
        "smtpd_recipient_restrictions: reject_rbl_client zen.example.test=127.0.0.2",
        "smtpd_recipient_restrictions: reject_unverified_sender",
        "smtpd_milters = inet:localhost:8891",
        "maximal_queue_lifetime = 3d",
        "/^X-Bulk:/ HOLD look",
    }
    assert left["/^X-Bulk:/ HOLD look"] == (
        "write as a rule: header PF_HEADER_CHECKS_1 ALL =~ /^X-Bulk:/im; score PF_HEADER_CHECKS_1 "
        "0.001; then posthouse policy access hold rule PF_HEADER_CHECKS_1"
    )
    assert left["smtpd_milters = inet:localhost:8891"].startswith("no milters: DKIM, SPF")
    zone = left["smtpd_recipient_restrictions: reject_rbl_client zen.example.test=127.0.0.2"]
    assert zone == "posthouse policy zone set zen.example.test --codes ..."


async def test_control_files_of_qmail_are_taken_over(clerk: LivePostmaster, tmp_path: Path) -> None:
    control, alias = tmp_path / "control", tmp_path / "alias"
    control.mkdir()
    alias.mkdir()
    for name, text in {
        "me": "mail.example.test\n",
        "locals": "example.test\nsame.test\n",
        "rcpthosts": "example.test\nvirtual.test\nothers.test\nin.wild.test\nback.test\n",
        "virtualdomains": "virtual.test:joe\n.wild.test:joe\nx@far.test:ann\nno.wild.test:\n",
        "smtproutes": "far.test:relay.test:26\n:smart.test\nmx.test:\nback.test:in.test\n",
        "timeoutremote": "1200\n",
        "servercert.pem": "a secret\n",
        "badmailfrom": "spam@far.test\n@bad.test\n",
        "databytes": "1000000\n",
    }.items():
        (control / name).write_text(text)
    (alias / ".qmail-post:master").write_text("&anna@example.test\nbert\n|program\n")
    (alias / ".qmail-post:master-owner").write_text("&anna@example.test\n")
    (alias / ".qmail-default").write_text("&anna@example.test\n")

    changed, left = await imported(clerk, "qmail-control", str(tmp_path))

    assert changed == [
        "domain example.test",
        "domain same.test",
        "delimiters of example.test: -",
        "domain virtual.test",
        "domain in.wild.test",
        "domain back.test",
        "route far.test: smtp:relay.test:26",
        "route *: smtp:smart.test:25",
        "route mx.test: direct",
        "catch-all of example.test: anna@example.test",
        "alias post.master@example.test: anna@example.test, bert@example.test",
        "alias post.master-owner@example.test: anna@example.test",
        "deny sender spam@far.test",
        "deny sender bad.test",
        "virtual @same.test: @example.test",
        "virtual /^(.*)@virtual\\.test$/: joe-\\1@example.test",
        "virtual /^(.*)@.+[.]wild\\.test$/: joe-\\1@example.test",
        "virtual x@far.test: ann-x@example.test",
        "transport @back.test: smtp:in.test:25",
    ]
    assert set(left) == {
        "mail.example.test", "others.test", "no.wild.test:", "1000000", "1200", "", "|program",
    }  # fmt: skip
    assert left["1200"] == "POSTHOUSE_REMOTE_TIMEOUT and one for each command"
    assert await rows(clerk, "domain", "list") == [
        {"domain": "back.test", "catch_all": None, "delimiters": "+"},
        {"domain": "example.test", "catch_all": "anna@example.test", "delimiters": "-"},
        {"domain": "in.wild.test", "catch_all": None, "delimiters": "+"},
        {"domain": "same.test", "catch_all": None, "delimiters": "+"},
        {"domain": "virtual.test", "catch_all": None, "delimiters": "+"},
    ]
