"""The pure rooms of POP3: commands, states, numbers, and the dots of multi-line replies."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pop3_gateway import commands as c
from pop3_gateway import replies
from pop3_gateway.drop import NoSuchMessage, View
from pop3_gateway.handlers import HANDLERS
from pop3_gateway.state import ALLOWED, State, capabilities
from posthouse.storage.maildrop import Drop


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"QUIT", c.Quit()),
        (b"quit ", c.Quit()),
        (b"User anna@example.test", c.User("anna@example.test")),
        (b"PASS  two  spaces ", c.Pass(" two  spaces ")),
        (b"PASS ", c.Pass("")),
        ("PASS grün".encode(), c.Pass("grün")),
        (b"AUTH", c.Auth("", None)),
        (b"AUTH plain AGE=", c.Auth("plain", b"AGE=")),
        (b"LIST", c.List(None)),
        (b"LIST 7", c.List(7)),
        (b"UIDL 007", c.Uidl(7)),
        (b"RETR 1", c.Retr(1)),
        (b"TOP 1 0", c.Top(1, 0)),
        (b"DELE  2", c.Dele(2)),
    ],
)
def test_commands(line: bytes, command: c.Command) -> None:
    assert c.parse(line) == command


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" QUIT",
        b"FROB",
        b"QUIT now",
        b"USER",
        b"USER ",
        b"USER \xff",
        b"PASS",
        b"PASS a\0b",
        b"AUTH a b c",
        b"RETR",
        b"RETR x",
        b"RETR -1",
        b"RETR +1",
        "RETR ²".encode(),
        b"RETR 1 2",
        b"RETR 12345678901",
        b"TOP 1",
        b"DELE",
        b"APOP anna c4c9334bac560ecc979e58001b3e22fb",
    ],
)
def test_what_is_no_command(line: bytes) -> None:
    with pytest.raises(c.BadSyntax):
        c.parse(line)


@given(st.binary(max_size=100))
def test_any_line_is_a_command_or_refused_and_nothing_else(line: bytes) -> None:
    try:
        command = c.parse(line)
    except c.BadSyntax:
        return
    assert type(command) in HANDLERS


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(c.parse(b"PASS secret"))
    assert "secret" not in repr(c.parse(b"AUTH PLAIN secret"))


def test_every_command_has_a_state_and_a_handler() -> None:
    assert frozenset(HANDLERS) == ALLOWED[State.AUTHORIZATION] | ALLOWED[State.TRANSACTION]


@pytest.mark.parametrize("can_log_in", [True, False])
@pytest.mark.parametrize("can_start_tls", [True, False])
def test_capabilities_promise_only_what_holds_now(can_log_in: bool, can_start_tls: bool) -> None:  # noqa: FBT001 - parameters of the case
    before, after = (
        capabilities(
            state,
            can_start_tls=can_start_tls,
            mechanisms=("PLAIN", "LOGIN") if can_log_in else (),
            can_log_in=can_log_in,
        )
        for state in State
    )

    assert (b"USER" in before) == (b"SASL PLAIN LOGIN" in before) == can_log_in
    assert (b"STLS" in before) == can_start_tls
    assert not {b"USER", b"STLS", b"SASL PLAIN LOGIN"} & set(after)


def test_replies() -> None:
    assert replies.ok() == b"+OK\r\n"
    assert replies.ok("2 320") == b"+OK 2 320\r\n"
    assert replies.err("No", "AUTH") == b"-ERR [AUTH] No\r\n"


@pytest.mark.parametrize(
    ("chunks", "sent"),
    [
        ([], b".\r\n"),
        ([b""], b".\r\n"),
        ([b"a\r\n"], b"a\r\n.\r\n"),
        ([b"a"], b"a\r\n.\r\n"),
        ([b".\r\n"], b"..\r\n.\r\n"),
        ([b".a\r\n..b\r\n"], b"..a\r\n...b\r\n.\r\n"),
        ([b"a\r\n", b".b\r\n"], b"a\r\n..b\r\n.\r\n"),
        ([b"a\r", b"\n.", b"\r\n"], b"a\r\n..\r\n.\r\n"),
        ([b"a.b\r\n"], b"a.b\r\n.\r\n"),
        ([b"a\n.\n"], b"a\n..\n.\r\n"),
    ],
)
def test_dots_are_stuffed(chunks: list[bytes], sent: bytes) -> None:
    stuffing = replies.Stuffing()

    assert b"".join(map(stuffing.feed, chunks)) + stuffing.finish() == sent


@given(
    st.lists(st.sampled_from([b".", b"\r\n", b"a", b"\n", b"..", b"\r"]).map(bytes), max_size=30)
)
def test_what_is_sent_is_what_a_client_reads_however_it_is_cut(chunks: list[bytes]) -> None:
    stuffing = replies.Stuffing()
    sent = b"".join(map(stuffing.feed, chunks)) + stuffing.finish()

    # As clients do it: lines up to LF, the end at a lone dot, a leading dot of two removed.
    lines = [line + b"\n" for line in sent.split(b"\n")[:-1]]
    assert lines[-1] == b".\r\n"
    assert b".\r\n" not in lines[:-1]
    assert b".\n" not in lines
    read = b"".join(line[line.startswith(b".") :] for line in lines[:-1])
    whole = b"".join(chunks)
    assert read == (whole if whole.endswith(b"\n") or not whole else whole + b"\r\n")


def _view() -> View:
    uids = array("q", [3, 5, 9])
    return View(
        Drop(
            mailbox=1,
            uidvalidity=17,
            uids=uids,
            contents=array("q", [30, 50, 90]),
            sizes=array("i", [100, 200, 400]),
            octets=700,
        )
    )


def test_numbers_stay_when_messages_are_marked() -> None:
    view = _view()
    view.mark(2)

    assert list(view.positions()) == [0, 2]
    assert view.stat() == (2, 500)
    assert view.listing(view.at(3)) == b"3 400"
    assert view.unique_id(view.at(3), {}) == b"3 17.9"
    assert view.unique_id(view.at(3), {9: "from-elsewhere"}) == b"3 from-elsewhere"
    assert view.marked_uids() == [5]

    view.unmark_all()

    assert view.stat() == (3, 700)


@pytest.mark.parametrize("number", [0, -1, 4, 2])
def test_what_is_not_there_or_marked_has_no_number(number: int) -> None:
    view = _view()
    view.mark(2)

    with pytest.raises(NoSuchMessage):
        view.at(number)
