"""Who may send to whom: known recipients, no open relay, senders that are one's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from ipaddress import ip_network

import pytest
from msgspec import structs

from policy_engine.admission import Grounds, is_of_house, judge, wanted
from policy_engine.srs import Rewriter
from posthouse.mail.address import parse_address
from posthouse.mail.admission import MailQuestion, Question, RcptQuestion
from posthouse.storage.directory import Network
from support.directory import PaperDirectory

TODAY = date(2026, 11, 22)
REWRITER = Rewriter(b"0123456789abcdef")
NETWORKS = (
    Network(network=ip_network("192.0.2.0/24")),
    Network(network=ip_network("192.0.2.128/25"), relay=False),
    Network(network=ip_network("192.0.2.192/28"), senders=frozenset({"example.test"})),
    Network(network=ip_network("2001:db8::/32")),
)
STRANGER, FRIEND = "203.0.113.9", "192.0.2.7"


@pytest.fixture
def paper() -> PaperDirectory:
    made = PaperDirectory("example.test", "catch.test")
    made.account("anna@example.test")
    made.account("full@example.test", quota=100, used=100)
    made.account("away@example.test", quota=100, used=100)
    made.forward("away@example.test", "x@far.test", keep_copy=False)
    made.account("off@example.test", enabled=False)
    made.alias("team@example.test", "Anna@example.test", "x@far.test")
    made.catch_all("catch.test", "anna@example.test")
    return made


def verdict(paper: PaperDirectory, question: Question) -> str:
    grounds = Grounds(
        known=paper.known(wanted(question)),
        networks=NETWORKS,
        rewriter=REWRITER,
        today=TODAY,
    )
    answer = judge(question, grounds)
    return "accepted" if answer.accepts else str(answer.status)


def rcpt(
    recipient: str, *, auth: str = "", client: str = STRANGER, sender: str = "e@far.test"
) -> RcptQuestion:
    return RcptQuestion(recipient=recipient, sender=sender, auth=auth, client=client)


@pytest.mark.parametrize(
    ("recipient", "answer"),
    [
        ("anna@example.test", "accepted"),
        ("ANNA@Example.Test", "accepted"),
        ('"anna"@example.test', "accepted"),
        ("anna+lists@example.test", "accepted"),
        ("team@example.test", "accepted"),
        ("anybody@catch.test", "accepted"),
        ("away@example.test", "accepted"),
        ("nobody@example.test", "550 5.1.1"),
        ("full@example.test", "452 4.2.2"),
        ("off@example.test", "550 5.2.1"),
        ("x@far.test", "550 5.7.1"),
        ("x@sub.example.test", "550 5.7.1"),
        ("not an address", "550 5.1.3"),
    ],
)
def test_a_stranger_reaches_whom_we_know_and_nobody_else(
    paper: PaperDirectory, recipient: str, answer: str
) -> None:
    assert verdict(paper, rcpt(recipient)) == answer


@pytest.mark.parametrize(
    ("recipient", "answer"),
    [
        ("x%far.test@example.test", "550 5.1.1"),
        ('"x@far.test"@example.test', "550 5.1.1"),
        ("far.test!x@example.test", "550 5.1.1"),
        ("x@[198.51.100.1]", "550 5.7.1"),
        ("x%far.test@other.test", "550 5.7.1"),
    ],
)
@pytest.mark.parametrize("client", [STRANGER, FRIEND])
def test_no_disguise_opens_the_relay(
    paper: PaperDirectory, recipient: str, answer: str, client: str
) -> None:
    assert verdict(paper, rcpt(recipient, client=client)) == answer


def test_accounts_and_listed_networks_relay(paper: PaperDirectory) -> None:
    assert verdict(paper, rcpt("x@far.test", auth="anna@example.test")) == "accepted"
    for client in (FRIEND, f"::ffff:{FRIEND}", "2001:db8::1"):
        assert verdict(paper, rcpt("x@far.test", client=client)) == "accepted"
    for client in ("192.0.3.1", "2001:db9::1", "unknown", ""):
        assert verdict(paper, rcpt("x@far.test", client=client)) == "550 5.7.1"
    assert verdict(paper, rcpt("x@[198.51.100.1]", auth="anna@example.test")) == "550 5.7.1"


@pytest.mark.parametrize(
    ("client", "sender", "answer"),
    [
        ("192.0.2.127", "e@far.test", "accepted"),
        ("192.0.2.128", "anna@example.test", "550 5.7.1"),
        ("192.0.2.192", "anna@Example.test", "accepted"),
        ("192.0.2.192", "e@far.test", "550 5.7.1"),
        ("192.0.2.192", "", "550 5.7.1"),
        ("192.0.2.208", "anna@example.test", "550 5.7.1"),
    ],
)
def test_of_several_networks_the_most_specific_says_on_which_terms(
    paper: PaperDirectory, client: str, sender: str, answer: str
) -> None:
    assert verdict(paper, rcpt("x@other.test", client=client, sender=sender)) == answer


def test_only_a_bounce_goes_back_to_a_rewritten_sender(paper: PaperDirectory) -> None:
    way_back = REWRITER.forward(parse_address("eve@far.test"), "example.test", TODAY)
    assert way_back is not None

    assert verdict(paper, rcpt(way_back, sender="")) == "accepted"
    assert verdict(paper, rcpt(way_back)) == "550 5.1.1"
    assert verdict(paper, rcpt(way_back.replace("eve", "bob"), sender="")) == "550 5.1.1"


@pytest.mark.parametrize(
    ("sender", "answer"),
    [
        ("", "accepted"),
        ("anna@example.test", "accepted"),
        ("Anna+x@Example.test", "accepted"),
        ("team@example.test", "accepted"),
        ("full@example.test", "550 5.7.1"),
        ("nobody@example.test", "550 5.7.1"),
        ("x@far.test", "550 5.7.1"),
        ("nonsense", "550 5.1.7"),
    ],
)
def test_an_account_sends_as_itself_or_as_its_alias(
    paper: PaperDirectory, sender: str, answer: str
) -> None:
    assert verdict(paper, MailQuestion(sender=sender, auth="anna@example.test")) == answer


def test_a_strangers_sender_is_not_judged_here(paper: PaperDirectory) -> None:
    assert verdict(paper, MailQuestion(sender="anna@example.test")) == "accepted"


@pytest.mark.parametrize(
    ("recipient", "is_ours"),
    [
        ("PostMaster@example.test", True),
        ("postmaster@mx.example.test", True),
        ("postmaster@far.test", False),
    ],
)
def test_postmaster_of_every_domain_is_taken_if_somebody_takes_it(
    paper: PaperDirectory, recipient: str, *, is_ours: bool
) -> None:
    question = rcpt(recipient)
    nobody = Grounds(
        known=paper.known(wanted(question)),
        networks=(),
        rewriter=REWRITER,
        today=TODAY,
        hostname="MX.example.test",
    )

    assert not judge(question, nobody).accepts
    assert judge(question, replace(nobody, has_postmaster=True)).accepts is is_ours


@pytest.mark.parametrize("sender", ["anna@example.test", ""])
def test_a_session_of_an_account_that_was_disabled_meanwhile_sends_nothing(
    paper: PaperDirectory, sender: str
) -> None:
    paper.account("anna@example.test", enabled=False)

    assert verdict(paper, MailQuestion(sender=sender, auth="anna@example.test")) == "550 5.2.1"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (rcpt("all@example.test"), "550 5.7.2"),
        (rcpt("all+x@example.test"), "550 5.7.2"),
        (rcpt("all@example.test", sender="boss@example.test"), "550 5.7.2"),  # anybody can say so
        (rcpt("all@example.test", sender=""), "550 5.7.2"),
        (rcpt("all@example.test", client=FRIEND, sender="boss@example.test"), "accepted"),
        (rcpt("all@example.test", client=FRIEND), "550 5.7.2"),
        (rcpt("all@example.test", auth="Boss@example.test"), "accepted"),
        (rcpt("all@example.test", auth="any@catch.test"), "accepted"),
        (rcpt("all@example.test", auth="anna@example.test"), "550 5.7.2"),
        (rcpt("staff@example.test", auth="anna@example.test"), "accepted"),
        (rcpt("staff@example.test", auth="boss@example.test"), "550 5.7.2"),
    ],
)
def test_only_posters_reach_a_group_that_names_some(
    paper: PaperDirectory, question: RcptQuestion, answer: str
) -> None:
    paper.alias(
        "all@example.test", "anna@example.test", posters=("boss@example.test", "@catch.test")
    )
    paper.alias("staff@example.test", "Anna@example.test", "x@far.test", posters=("members",))

    assert verdict(paper, question) == answer


def test_who_passes_others_mail_on_by_lmtp_has_not_written_it(paper: PaperDirectory) -> None:
    paper.alias("all@example.test", "anna@example.test", posters=("boss@example.test",))
    asked = rcpt("all@example.test", client=FRIEND, sender="boss@example.test")

    assert verdict(paper, structs.replace(asked, is_relay=True)) == "550 5.7.2"
    assert not is_of_house(structs.replace(asked, is_relay=True), NETWORKS)
    assert is_of_house(structs.replace(asked, is_relay=True, auth="anna@example.test"), NETWORKS)
