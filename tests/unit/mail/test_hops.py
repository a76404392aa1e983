"""Next hops as an operator writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.hops import BadHop, Hop, Kind, parse_hop, parse_hops


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("relay.test:587", Hop(kind=Kind.SMTP, host="relay.test", port=587)),
        ("Relay.Test", Hop(kind=Kind.SMTP, host="relay.test", port=25)),
        ("smtp:127.0.0.1:2525", Hop(kind=Kind.SMTP, host="127.0.0.1", port=2525)),
        ("[2001:db8::1]:25", Hop(kind=Kind.SMTP, host="2001:db8::1", port=25)),
        ("smtp:[2001:db8::1]", Hop(kind=Kind.SMTP, host="2001:db8::1", port=25)),
        ("mx:relay.test", Hop(kind=Kind.MX, host="relay.test", port=25)),
        ("mx:relay.test:26", Hop(kind=Kind.MX, host="relay.test", port=26)),
        ("lmtp:box.test:24", Hop(kind=Kind.LMTP, host="box.test", port=24)),
        ("lmtp:/run/lmtp", Hop(kind=Kind.LMTP, path="/run/lmtp")),
        ("maildir:%d/%u", Hop(kind=Kind.MAILDIR, path="%d/%u")),
        ("maildir:home/%u/Maildir,create", Hop(kind=Kind.MAILDIR, path="home/%u/Maildir", create=True)),
        ("mbox:spool/%u", Hop(kind=Kind.MBOX, path="spool/%u")),
        ("direct", Hop(kind=Kind.DIRECT)),
        ("a.test:25,preference=20,weight=3",
         Hop(kind=Kind.SMTP, host="a.test", port=25, preference=20, weight=3)),
        ("smtp", Hop(kind=Kind.SMTP, host="smtp", port=25)),
        ("mbox", Hop(kind=Kind.SMTP, host="mbox", port=25)),
    ],
)  # fmt: skip
def test_a_hop_is_read(text: str, hop: Hop) -> None:
    assert parse_hop(text) == hop
    assert parse_hop(str(hop)) == hop


@pytest.mark.parametrize(
    "text",
    [
        "", ":25", "a.test:0", "a.test:65536", "a.test:x", "a b:25", "2001:db8::1", "[a.test", "mx:",
        "mx:192.0.2.1", "lmtp:box.test:25", "lmtp:box.test", "lmtp:", "direct:x", "direct,weight=2",
        "a.test,weight=0", "a.test,weight=0655351", "a.test,weight=x", "a.test,preference=-1", "a.test,weight=65536",
        "a.test,create", "a.test,weight=1,weight=2", "a.test,other=1", "maildir:%u,weight=2",
        "maildir:", "maildir:/etc/%u", "maildir:../%u", "maildir:a/../%u", "maildir:a//%u",
        "maildir:./%u", "maildir:%u/", "maildir:%x", "maildir:a%", "mbox:%d/..", "mbox:%u,create=1",
        "a.test\n:25", "x" * 501, "a.test:٢٥", "a.test,weight=²",
    ],
)  # fmt: skip
def test_what_is_no_hop_is_refused(text: str) -> None:
    with pytest.raises(BadHop, match=r"."):
        parse_hop(text)


@given(st.text(max_size=60))
def test_any_text_is_a_hop_or_refused_and_is_read_again_as_the_same(text: str) -> None:
    try:
        hop = parse_hop(text)
    except BadHop:
        return
    assert parse_hop(str(hop)) == hop


@pytest.mark.parametrize(
    "texts", [(), ("a.test",) * 11, ("a.test", "direct"), ("maildir:%u", "mbox:%u")]
)
def test_several_hops_are_servers(texts: tuple[str, ...]) -> None:
    with pytest.raises(BadHop):
        parse_hops(texts)


def test_servers_of_all_kinds_go_together() -> None:
    kinds = [hop.kind for hop in parse_hops(("a.test", "mx:b.test", "lmtp:/run/lmtp"))]

    assert kinds == [Kind.SMTP, Kind.MX, Kind.LMTP]
