"""SCRAM-SHA-256: the example of the RFC, a client of our own, and everything that must not fit."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.credentials.exchange import (
    Accepted,
    Challenge,
    Channel,
    Failed,
    Identity,
    Keys,
    Known,
    Question,
    Refused,
    Step,
    start,
)
from posthouse.credentials.saslprep import prepared
from posthouse.credentials.scram import decoy, derive, read_keys, scram
from posthouse.mail.encryption import Tls
from support.logins import SECRET, ScramClient, everybody, keys

EXPORTER = b"\x01" * 32
TLS = Tls("TLSv1.3", "x", None, {"tls-exporter": EXPORTER, "tls-server-end-point": b"cert"})
CHANNEL = Channel(service="imap", client="::1", tls=TLS)
UNBOUND = Channel(service="imap", client="::1", tls=Tls("TLSv1.3", "x"))
ANNA = Identity(account_id=1, address="anna@example.test")
PLAINLY = scram(plus=False, plus_is_wanted=True)
PLUS = scram(plus=True, plus_is_wanted=True)


def test_the_example_of_the_rfc_goes_as_written() -> None:
    # RFC 7677 §3
    salt = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    theirs = scram(plus=False, plus_is_wanted=True, nonce=lambda: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    step = start(theirs, b64encode(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), UNBOUND)
    assert isinstance(step, Question)
    assert step.attempt == Keys(user="user")

    step = step.then(Known(ANNA, str(derive("pencil", salt, 4096))))
    assert isinstance(step, Challenge)
    assert step.octets == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    step = step.then(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert isinstance(step, Challenge)
    assert step.octets == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert step.then(b"") == Accepted(ANNA)


def proven(
    client: ScramClient,
    *,
    plus: bool = False,
    channel: Channel = CHANNEL,
    change: Callable[[bytes], bytes] = lambda final: final,
) -> Step:
    """Hold the whole conversation; return its end."""
    step = (PLUS if plus else PLAINLY).begin(channel).then(client.first())
    if not isinstance(step, Question):
        return step
    step = step.then(Known(ANNA, str(keys())))
    assert isinstance(step, Challenge)
    step = step.then(change(client.final(step.octets)))
    if not isinstance(step, Challenge):
        return step
    assert step.octets == client.signature
    return step.then(b"")


def test_the_right_password_is_in() -> None:
    assert proven(ScramClient("anna@example.test"), channel=UNBOUND) == Accepted(ANNA)
    assert proven(ScramClient("anna@example.test")) == Accepted(ANNA)


@pytest.mark.parametrize("kind", ["tls-exporter", "tls-server-end-point"])
def test_the_right_password_on_the_right_channel_is_in(kind: str) -> None:
    client = ScramClient("a@b.test", header=f"p={kind},,", binding=TLS.channel_bindings[kind])

    assert proven(client, plus=True) == Accepted(ANNA)


@pytest.mark.parametrize(
    "client",
    [
        ScramClient("a@b.test", password="wrong"),  # noqa: S106 - none
        ScramClient("a@b.test", header="n,,", binding=b"x"),
    ],
)
def test_a_wrong_proof_is_wrong(client: ScramClient) -> None:
    assert proven(client) == Failed("wrong")


def test_another_channel_is_wrong() -> None:
    """Somebody in between has a TLS session of their own with us."""
    client = ScramClient("a@b.test", header="p=tls-exporter,,", binding=b"\x02" * 32)

    assert proven(client, plus=True) == Failed("wrong")


def test_a_client_to_whom_plus_was_hidden_is_told_no() -> None:
    assert proven(ScramClient("a@b.test", header="y,,")) == Failed("wrong")
    assert proven(ScramClient("a@b.test", header="y,,"), channel=UNBOUND) == Accepted(ANNA)
    never_offered = scram(plus=False, plus_is_wanted=False)
    step = never_offered.begin(CHANNEL).then(ScramClient("a@b.test", header="y,,").first())
    assert isinstance(step, Question)


@pytest.mark.parametrize(
    ("header", "plus"),
    [("n,,", True), ("y,,", True), ("p=tls-exporter,,", False), ("p=tls-unique,,", True)],
)
def test_mechanism_and_binding_must_fit_together(header: str, *, plus: bool) -> None:
    assert proven(ScramClient("a@b.test", header=header), plus=plus) == Failed("malformed")


def test_names_are_written_without_comma_and_equals_sign() -> None:
    step = PLAINLY.begin(UNBOUND).then(b"n,a=a=2Cb=3Dc,n=a=2Cb=3Dc,r=x")
    assert isinstance(step, Question)
    assert step.attempt == Keys(user="a,b=c")


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"", "malformed"),
        (b"n,,m=ext,n=anna,r=x", "malformed"),
        (b"n,,n=an=2Xna,r=x", "malformed"),
        (b"n,,n=anna", "malformed"),
        (b"n,,n=,r=x", "malformed"),
        (b"n,,n=anna,r=", "malformed"),
        (b"n,,n=\xff,r=x", "malformed"),
        (b"q,,n=anna,r=x", "malformed"),
        (b"n,a=bert,n=anna,r=x", "not authorized"),
    ],
)
def test_what_cannot_begin_is_said_so(first: bytes, reason: str) -> None:
    assert PLAINLY.begin(UNBOUND).then(first) == Failed(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: b"", "malformed"),
        (lambda final: final.replace(b",p=", b",q="), "malformed"),
        (lambda final: final[:-4] + b"!!!!", "malformed"),
        (lambda final: final[: final.index(b",p=")] + b",p=AAA", "malformed"),
        (lambda final: final[: final.index(b",p=")] + b",p=AAAA", "wrong"),
        (lambda final: final.replace(b",r=", b",r=x"), "wrong"),
        (lambda final: final.replace(b"c=biws", b"c=eSws"), "wrong"),
    ],
)
def test_a_final_message_that_was_changed_fails(
    change: Callable[[bytes], bytes], reason: str
) -> None:
    end = proven(ScramClient("a@b.test"), channel=UNBOUND, change=change)

    assert end == Failed(reason)  # type: ignore[arg-type]


def test_the_last_answer_is_empty() -> None:
    client = ScramClient("a@b.test")
    step = PLAINLY.begin(UNBOUND).then(client.first())
    assert isinstance(step, Question)
    step = step.then(Known(ANNA, str(keys())))
    assert isinstance(step, Challenge)
    step = step.then(client.final(step.octets))
    assert isinstance(step, Challenge)
    assert step.then(b"x") == Failed("malformed")


def test_nobody_is_asked_like_everybody_and_never_in() -> None:
    """Even a proof that fits the decoy is of no use."""
    client = ScramClient("nobody@example.test")
    step = PLAINLY.begin(UNBOUND).then(client.first())
    assert isinstance(step, Question)
    step = step.then(Known(None, str(keys())))
    assert isinstance(step, Challenge)
    assert step.then(client.final(step.octets)) == Failed("wrong")


def test_without_anybody_who_knows_keys_it_is_wrong() -> None:
    step = PLAINLY.begin(UNBOUND).then(ScramClient("a@b.test").first())
    assert isinstance(step, Question)
    assert step.then(Refused()) == Failed("wrong")


async def test_the_whole_way_through_an_authenticator() -> None:
    client = ScramClient("Anna@example.test", header="p=tls-exporter,,", binding=EXPORTER)
    said: list[bytes] = []

    async def ask(challenge: bytes) -> bytes:
        said.append(b64decode(challenge))
        return b64encode(client.final(said[0])) if len(said) == 1 else b""

    who = everybody()
    assert who.offered(CHANNEL)[:2] == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
    assert who.offered(UNBOUND)[0] == "SCRAM-SHA-256"
    end = await who.converse("scram-sha-256-plus", b64encode(client.first()), CHANNEL, ask)

    assert end == Accepted(ANNA)
    assert said[1] == client.signature


# ---- Keys


def test_keys_are_written_as_they_are_read() -> None:
    assert read_keys(str(keys())) == keys()
    assert SECRET not in str(keys())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA",
        "SCRAM-SHA-256$4096:!$AAAA:AAAA",
        "SCRAM-SHA-1$4096:c2FsdA==$AAAA:AAAA",
        "SCRAM-SHA-256$99:c2FsdA==$AAAA:AAAA",
    ],
)
def test_what_are_no_keys_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_keys(text)


def test_decoys_stay_the_same_and_differ_by_name_and_house() -> None:
    one = decoy("a@b.test", b"x" * 32)

    assert one == decoy("a@b.test", b"x" * 32)
    assert one.salt != decoy("c@b.test", b"x" * 32).salt
    assert one.salt != decoy("a@b.test", b"y" * 32).salt
    assert read_keys(str(one)) == one


# ---- SASLprep


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("I\u00adX", "IX"),  # RFC 4013 §3
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("\u0007", "\u0007"),  # prohibited: left as it is
        ("a\u0007ä", "a\u0007ä"),
        ("\u0627\u0031", "\u0627\u0031"),
        ("\u0627a", "\u0627a"),
        ("\u0627b\u0627", "\u0627b\u0627"),
        ("\u00ad", "\u00ad"),
        ("a\u00a0b", "a b"),
        ("pa\u0308ssword", "pässword"),
    ],
)
def test_passwords_are_prepared(typed: str, meant: str) -> None:
    assert prepared(typed) == meant


@given(st.text())
def test_preparing_never_fails_and_leaves_ascii_alone(text: str) -> None:
    prepared(text)
    ascii_only = text.encode("ascii", "ignore").decode()
    assert prepared(ascii_only) == ascii_only
