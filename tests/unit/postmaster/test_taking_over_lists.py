"""Tables of Postfix, files of qmail and lists of SpamAssassin as allow and deny lists: taken or told."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.mail.access_keys import networks_of
from postmaster.taking_over.changes import Findings, NewAccess
from postmaster.taking_over.postfix import TABLES, House
from postmaster.taking_over.qmail import control

SENDERS = """\
spam.test       REJECT
evil@far.test   550 5.7.1 Go away
slow.test       450 4.7.1 later
wait.test       DEFER_IF_PERMIT come back
good.test       OK
stamp.test      1234567890
but.spam.test   DUNNO
trap.test       DISCARD into the bin
<>              REJECT no bounces
info@           REJECT
/^x.*@far/      REJECT
far.test        PREPEND X-Far: yes
far.test        reject_unverified_sender
far.test        FILTER smtp:[127.0.0.1]:10025
b\u00fccher.test     REJECT n\u00f6
held.test       HOLD
"""
SENDERS_TAKEN = [
    "deny sender spam.test",
    "deny sender evil@far.test 'Go away'",
    "defer sender slow.test 'later'",
    "defer sender wait.test 'come back'",
    "allow sender good.test",
    "allow sender stamp.test",
    "except sender but.spam.test",
    "discard sender trap.test",
    "deny sender <> 'no bounces'",
    "deny sender xn--bcher-kva.test",
]
CLIENTS = """\
192.0.2.7         OK
192.0.2.0/24      REJECT
192.0.2.8         OK
192.0.2.16/29     REJECT
10                521 net ten
172.16            REJECT
2001:db8::/29     REJECT
2001:db8:7:8::/96 REJECT
0.0.0.0/0         REJECT
.dial.test        REJECT
mail.far.test     OK
192.0.2.1/24      REJECT
!192.0.2.0/24     REJECT
if /x/
"""
CLIENTS_TAKEN = [
    "allow client 192.0.2.7/32",
    "deny client 192.0.2.0/24",
    "deny client 192.0.2.16/29",
    "deny client 10.0.0.0/8 'net ten'",
    "deny client 172.16.0.0/16",
    *[f"deny client 2001:db{n:x}::/32" for n in range(8, 16)],
    "deny reverse dial.test",
    "allow reverse mail.far.test",
]
TCP_RULES = """\
127.:allow,RELAYCLIENT=""
192.0.2.1:deny
198.51.100.0-6:deny
10.0-1.:allow
203.0.113.:allow,RBLSMTPD=""
203.0.113.9:allow,RBLSMTPD="-Blocked, ask us"
203.0.113.10:allow,RBLSMTPD="Come back",QMAILQUEUE="/bin/x"
=.dial.test:deny
2001:db8::deny
eve@192.0.2.2:deny
:allow
nonsense
"""
TCP_TAKEN = [
    "deny client 192.0.2.1/32",
    "deny client 198.51.100.0/30",
    "deny client 198.51.100.4/31",
    "deny client 198.51.100.6/32",
    "except client 10.0.0.0/15",
    "allow client 203.0.113.0/24",
    "deny client 203.0.113.9/32 'Blocked, ask us'",
    "defer client 203.0.113.10/32 'Come back'",
    "deny reverse dial.test",
    "deny client 2001:db8::/32",
]
LOCAL_CF = """\
# our lists
required_score 5
whitelist_from  *@friend.test  boss@far.test
welcomelist_auth *@bank.test
whitelist_from_rcvd *@list.test mx.list.test
whitelist_from_spf news@spf.test
blocklist_from  *.spam.test
blacklist_from  ev?l@far.test
unblacklist_from *.spam.test
unblacklist_from never@far.test
whitelist_to    anna@example.test
all_spam_to     abuse@example.test
blacklist_to    trap@example.test
def_whitelist_auth *@big.test
blacklist_uri_host evil.test
score FOO 2
"""
LOCAL_TAKEN = [
    "score author friend.test -100",
    "score sender friend.test -100",
    "score author boss@far.test -100",
    "score sender boss@far.test -100",
    "allow author bank.test",
    "allow author list.test",
    "allow sender news@spf.test",
    "score recipient anna@example.test -6",
    "score recipient abuse@example.test -100",
    "score recipient trap@example.test 10",
]


def told(found: Findings) -> tuple[list[str], set[str]]:
    taken = [
        f"{each.action} {each.kind} {each.key}"
        + (f" {each.text!r}" if each.text else "")
        + (f" {each.score:g}" if each.score else "")
        for each in found.changes
        if isinstance(each, NewAccess)
    ]
    return taken, {each.text for each in found.left}


@pytest.mark.parametrize(
    ("form", "text", "taken", "left"),
    [
        (
            "postfix-sender-access", SENDERS, SENDERS_TAKEN,
            {"info@", "/^x.*@far/ REJECT", "far.test PREPEND X-Far: yes", "n\u00f6",
             "far.test reject_unverified_sender", "far.test FILTER smtp:[127.0.0.1]:10025"},
        ),
        (
            "postfix-client-access", CLIENTS, CLIENTS_TAKEN,
            {"192.0.2.8", "2001:db8:7:8::/96", "0.0.0.0/0", "192.0.2.1/24",
             "!192.0.2.0/24     REJECT", "if /x/"},
        ),
        (
            "postfix-helo-access", "friend.test REJECT\nmx.friend.test OK\n[192.0.2.1] REJECT\n",
            ["deny hello friend.test", "except hello mx.friend.test"], {"[192.0.2.1]"},
        ),
        (
            "postfix-recipient-access", "trap@example.test REJECT Nobody\nabuse@example.test OK\n",
            ["deny recipient trap@example.test 'Nobody'", "allow recipient abuse@example.test"], set(),
        ),
        (
            "qmail-tcprules", TCP_RULES, TCP_TAKEN,
            {'127.:allow,RELAYCLIENT=""', "QMAILQUEUE", "eve@192.0.2.2:deny", ":allow", "nonsense"},
        ),
        (
            "spamassassin", LOCAL_CF, LOCAL_TAKEN,
            {"mx.list.test", "ev?l@far.test", "never@far.test", "def_whitelist_auth *@big.test",
             "blacklist_uri_host evil.test", "2 lines"},
        ),
    ],
)  # fmt: skip
def test_each_line_is_taken_or_told(
    form: str, text: str, taken: list[str], left: set[str], tmp_path: Path
) -> None:
    table = tmp_path / "table.cf"
    table.write_text(text)

    assert told(TABLES[form](table, House())) == (taken, left)


def test_all_files_of_spamassassin_are_read_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.cf").write_text("whitelist_to a@example.test\n")
    (tmp_path / "b.cf").write_text("whitelist_to b@example.test\n")
    (tmp_path / "c.pre").write_text("whitelist_to c@example.test\n")

    taken, _ = told(TABLES["spamassassin"](tmp_path, House()))

    assert taken == ["score recipient a@example.test -6", "score recipient b@example.test -6"]


def test_the_bad_lists_of_qmail_and_its_patches_are_taken_over(tmp_path: Path) -> None:
    for name, text in {
        "badmailfrom": "spam@far.test\n@bad.test\n!good@bad.test\n",
        "badmailfromwc": "*@*.wild.test\nev*l@far.test\n",
        "badhelo": "localhost.localdomain\n!mx.localdomain\n",
        "badrcptto": "trap@example.test\n@old.test\n",
        "badmailpatterns": "*@x*\n",
    }.items():
        (tmp_path / name).write_text(text)

    assert told(control(tmp_path, House())) == (
        [
            "deny sender spam@far.test", "deny sender bad.test", "except sender good@bad.test",
            "deny sender wild.test", "deny hello localhost.localdomain", "except hello mx.localdomain",
            "deny recipient trap@example.test", "deny recipient old.test",
        ],
        {"ev*l@far.test", "*@x*"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("network", "parts"),
    [("192.0.2.0/24", 1), ("16.0.0.0/5", 8), ("2001:db8::/33", 8), ("2001:db8::/32", 1)],
)
def test_networks_of_any_length_are_kept_as_parts(network: str, parts: int) -> None:
    assert len(networks_of(network)) == parts


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "2001:db8::/65", "2001:db8::1/127", "x"])
def test_what_is_nearly_everybody_is_no_network(network: str) -> None:
    with pytest.raises(ValueError, match=network):
        networks_of(network)
