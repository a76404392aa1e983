"""Exchanges step by step: PLAIN, LOGIN, CRAM-MD5, EXTERNAL; who judges, and what is offered."""

from __future__ import annotations

import hmac
from base64 import b64encode
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.credentials.authenticator import Authenticator
from posthouse.credentials.exchange import (
    MAX_RESPONSE_OCTETS,
    Accepted,
    Attempt,
    Challenge,
    Channel,
    Claim,
    Digest,
    Failed,
    Identity,
    Mechanism,
    Password,
    Question,
    Refused,
    Shown,
    Step,
    Verdict,
    answer,
    start,
)
from posthouse.credentials.mechanisms import LOGIN, PLAIN, cram_md5, external
from posthouse.mail.encryption import Peer, Tls
from posthouse.mail.errors import Unavailable
from support.logins import MECHANISMS, everybody

TLS = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")
CHANNEL = Channel(service="smtp", client="192.0.2.1", tls=TLS)
CRAM = cram_md5("mx.example.test", nonce=lambda: "1896.697170952")


def b64(text: str) -> bytes:
    return b64encode(text.encode())


def says(user: str, word: str) -> Question:
    return Question(Password(user=user, password=word))


def asked(step: Step) -> Challenge:
    assert isinstance(step, Challenge)
    return step


def shown(*emails: str, name: str = "") -> Channel:
    peer = Peer(subject="CN=x", common_name=name, emails=emails, fingerprint="00")
    return Channel(service="imap", client="::1", tls=Tls("TLSv1.3", "x", peer))


# ---- PLAIN and LOGIN


def test_plain_with_initial_response_is_an_attempt_at_once() -> None:
    step = start(PLAIN, b64("\0anna@example.test\0pässword"), CHANNEL)

    assert step == says("anna@example.test", "pässword")


def test_plain_without_initial_response_is_asked_with_an_empty_challenge() -> None:
    step = asked(start(PLAIN, None, CHANNEL))

    assert step.wire == b""
    assert answer(step, b64("anna\0anna\0x")) == says("anna", "x")


def test_login_asks_for_name_and_password() -> None:
    step = asked(start(LOGIN, None, CHANNEL))
    assert step.wire == b"VXNlcm5hbWU6"

    step = asked(answer(step, b64("anna")))
    assert step.wire == b"UGFzc3dvcmQ6"

    assert answer(step, b64("secret")) == says("anna", "secret")


def test_login_takes_the_name_as_initial_response() -> None:
    step = asked(start(LOGIN, b64("anna"), CHANNEL))

    assert answer(step, b64("secret")) == says("anna", "secret")


def test_nobody_acts_for_somebody_else() -> None:
    assert start(PLAIN, b64("bert\0anna\0x"), CHANNEL) == Failed("not authorized")


@pytest.mark.parametrize(
    "line", [b"!", b"=", b64("anna\0x"), b64("\0\0x"), b64("\0anna\0"), b64("a\0b\0c\0d"), b"/w=="]
)
def test_what_is_no_plain_response_is_malformed(line: bytes) -> None:
    assert answer(asked(start(PLAIN, None, CHANNEL)), line) == Failed("malformed")


@pytest.mark.parametrize("line", [b"", b64("a\0b"), b"/w=="])
def test_what_is_no_name_and_no_password_is_malformed(line: bytes) -> None:
    step = asked(start(LOGIN, None, CHANNEL))

    assert answer(step, line) == Failed("malformed")
    assert answer(asked(answer(step, b64("anna"))), line) == Failed("malformed")


def test_a_star_cancels() -> None:
    assert answer(asked(start(LOGIN, None, CHANNEL)), b"*") == Failed("cancelled")
    assert start(PLAIN, b"*", CHANNEL) == Failed("malformed")


def test_an_over_long_response_is_malformed() -> None:
    assert start(PLAIN, b"A" * (MAX_RESPONSE_OCTETS + 4), CHANNEL) == Failed("malformed")


def test_a_password_is_never_printed() -> None:
    assert "secret" not in repr(says("anna", "secret"))


# ---- CRAM-MD5


def test_cram_md5_takes_name_and_digest() -> None:
    # RFC 2195 §2
    step = asked(start(CRAM, None, CHANNEL))
    assert step.octets == b"<1896.697170952@mx.example.test>"
    digest = hmac.new(b"tanstaaftanstaaf", step.octets, "md5").hexdigest()

    assert answer(step, b64(f"tim in space {digest.upper()}")) == Question(
        Digest(user="tim in space", challenge=step.octets, digest=digest)
    )


@pytest.mark.parametrize("text", ["", "tim", "tim 1234", " " + "0" * 32, "t\0m " + "0" * 32])
def test_what_is_no_digest_is_malformed(text: str) -> None:
    assert answer(asked(start(CRAM, None, CHANNEL)), b64(text)) == Failed("malformed")


def test_the_server_speaks_first_in_cram_md5() -> None:
    assert start(CRAM, b64("tim " + "0" * 32), CHANNEL) == Failed("malformed")


def test_challenges_are_never_the_same() -> None:
    fresh = cram_md5("mx.example.test")

    assert fresh.begin(CHANNEL).octets != fresh.begin(CHANNEL).octets


# ---- EXTERNAL


@pytest.mark.parametrize(
    ("channel", "wanted", "end"),
    [
        (shown("anna@example.test"), "", Question(Claim(user="anna@example.test"))),
        (shown("a@b.test", "c@d.test"), "C@d.test", Question(Claim(user="C@d.test"))),
        (shown("a@b.test", "c@d.test"), "", Failed("not authorized")),
        (shown("a@b.test"), "c@d.test", Failed("not authorized")),
        (shown("a@b.test"), "a@b.test\0", Failed("malformed")),
        (shown(name="a@b.test"), "a@b.test", Failed("not authorized")),
    ],
)
def test_external_believes_the_addresses_in_the_certificate(
    channel: Channel, wanted: str, end: Step
) -> None:
    assert start(external("email"), b64(wanted) or b"=", channel) == end


def test_external_can_believe_the_common_name_instead() -> None:
    by_name = external("common-name")

    found = start(by_name, b"=", shown("x@y.test", name="anna@example.test"))
    assert found == Question(Claim(user="anna@example.test"))
    assert not by_name.is_possible(shown("x@y.test"))


def test_external_needs_a_certificate_and_a_mapping() -> None:
    assert external("email").is_possible(shown("a@b.test"))
    assert not external("email").is_possible(CHANNEL)
    assert not external("email").is_possible(Channel(service="smtp", client="::1"))
    assert not external("off").is_possible(shown("a@b.test", name="a@b.test"))


def test_external_by_fingerprint_asks_whose_the_certificate_is() -> None:
    by_print, channel = external("fingerprint"), shown("x@y.test")
    assert channel.tls is not None
    assert channel.tls.peer is not None
    its = channel.tls.peer.fingerprint

    assert start(by_print, b"=", channel) == Question(Shown(user="", fingerprint=its))
    named = start(by_print, b64("anna@example.test"), channel)
    assert named == Question(Shown(user="anna@example.test", fingerprint=its))
    assert start(by_print, b64("a\0"), channel) == Failed("malformed")
    assert not by_print.is_possible(CHANNEL)


# ---- Who judges


@dataclass
class Judge:
    """A link that always says the same."""

    verdict: Verdict | None = None
    outage: Unavailable | None = None
    asked: list[Attempt] = field(default_factory=list)

    async def judge(self, attempt: Attempt, channel: Channel) -> Verdict | None:
        assert channel.client
        self.asked.append(attempt)
        if self.outage:
            raise self.outage
        return self.verdict


ANNA = Accepted(Identity(account_id=1, address="anna@example.test"))
AWAY = Unavailable("away")


@pytest.mark.parametrize(
    ("links", "verdict"),
    [
        ((Judge(), Judge(ANNA)), ANNA),
        ((Judge(Refused()), Judge(ANNA)), ANNA),
        ((Judge(outage=AWAY), Judge(ANNA)), ANNA),
        ((Judge(Refused()), Judge()), Refused()),
        ((Judge(),), Refused()),
        ((), Refused()),
    ],
)
async def test_the_first_link_that_accepts_has_the_word(
    links: tuple[Judge, ...], verdict: Verdict
) -> None:
    attempt = Password(user="anna", password="x")  # noqa: S106 - none
    assert await Authenticator((), links).judge(attempt, CHANNEL) == verdict


@pytest.mark.parametrize("others", [(), (Judge(Refused()),), (Judge(),)])
async def test_an_outage_is_no_refusal(others: tuple[Judge, ...]) -> None:
    who = Authenticator((), (Judge(outage=AWAY), *others))
    with pytest.raises(Unavailable):
        await who.log_in("anna", "x", CHANNEL)


async def test_who_entered_and_under_which_name_somebody_failed_is_heard_of() -> None:
    heard: list[tuple[str, bool]] = []

    def witness(user: str, channel: Channel, *, is_right: bool) -> None:
        assert channel is CHANNEL
        heard.append((user, is_right))

    who = replace(everybody(), witness=witness)
    await who.converse("PLAIN", b64("\0a@b.test\0secret"), CHANNEL, never)
    await who.converse("PLAIN", b64("\0c@b.test\0guess"), CHANNEL, never)
    await who.log_in("d@b.test", "guess", CHANNEL)
    await who.converse("PLAIN", b"*", CHANNEL, never)

    assert heard == [("a@b.test", True), ("c@b.test", False), ("d@b.test", False)]


async def test_nothing_is_offered_in_the_clear() -> None:
    clear = Channel(service="pop", client="192.0.2.1")
    who = everybody()

    assert who.offered(clear) == ()
    assert not who.takes_passwords(clear)
    end = await who.converse("PLAIN", b64("\0a@b.test\0secret"), clear, never)
    assert end == Failed("unknown mechanism")


async def never(_: bytes) -> bytes:
    raise AssertionError


async def test_passwords_are_taken_only_where_a_mechanism_takes_them() -> None:
    who = Authenticator((CRAM,), ())

    assert who.offered(CHANNEL) == ("CRAM-MD5",)
    assert not who.takes_passwords(CHANNEL)
    assert everybody().takes_passwords(CHANNEL)


@given(st.sampled_from(MECHANISMS), st.lists(st.binary(max_size=200), max_size=4))
def test_any_octets_are_a_challenge_a_question_or_an_end(
    mechanism: Mechanism, said: list[bytes]
) -> None:
    step: Step = mechanism.begin(shown("a@b.test"))
    for octets in said:
        if isinstance(step, Challenge):
            step = answer(step, b64encode(octets))
        elif isinstance(step, Question):
            step = step.then(Refused())
    assert isinstance(step, Challenge | Question | Accepted | Failed)
