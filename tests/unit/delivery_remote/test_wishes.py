"""What a sender asks for goes on with the mail: DSN (RFC 3461 §5.2), REQUIRETLS (RFC 8689 §4.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from delivery_remote.destinations import Destinations
from delivery_remote.handover import Handover, Said
from delivery_remote.next_hop import Limits
from delivery_remote.routes import Plan, Tls
from delivery_remote.session import Mail, open_session
from delivery_remote.transcript import is_yes
from delivery_remote.trouble import Later, Never, Taken
from posthouse.mail.handling import Handling, Notify
from posthouse.mail.schedule import Deadline
from posthouse.mail.status import Status
from support.outside import Secured, mail, manners, secured, target
from support.scripted_smtp import DROP, Peer, scripted
from support.scripted_smtp import Said as Script

HANDLING = Handling(envid="QQ+3D314", ret="HDRS")
NOTIFY = Notify(on="SUCCESS,DELAY", orcpt="rfc822;Bert+2Bx@B.Test")
SECRET = Handling(requiretls=True)
BEFORE = "250-peer.test\n250 STARTTLS"
AFTER = "250-peer.test\n250-DSN\n250 REQUIRETLS"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Secured:
    return secured(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def destinations(tls: Secured) -> AsyncIterator[Destinations]:
    async with Destinations(tls.manners, Limits()) as known:
        yield known


async def hand_over(
    destinations: Destinations, tls: Secured, message: Mail, *scripts: Mapping[str, Script]
) -> tuple[Said, list[Peer]]:
    """Let servers that behave by ``scripts`` be asked for one recipient."""
    async with AsyncExitStack() as stack:
        peers: list[Peer] = []
        for script in scripts:
            peer = await stack.enter_async_context(scripted(tls=tls.server))
            peer.say(**script)
            peers.append(peer)
        wanted = Tls.REQUIRED if message.must_stay_secret else Tls.OPPORTUNISTIC
        plan = Plan("b.test", tuple(target(peer, tls=wanted) for peer in peers))
        destination = destinations.get("b.test")
        async with destination.slot():
            handover = Handover(destinations, plan, message, message.recipients)
            results = await handover.run(destination)
        return results[message.recipients[0].n], peers


@pytest.mark.parametrize(
    "offer", ["250-peer.test\n250 DSN", "250-peer.test\n250-DSN\n250 PIPELINING"]
)
async def test_a_server_that_can_gets_it_octet_for_octet(offer: str) -> None:
    async with scripted(EHLO=offer) as peer:
        session = await open_session(target(peer), manners())
        await session.transact(mail(handling=HANDLING, notify=NOTIFY))
        session.abort()

    assert "MAIL FROM:<anna@a.test> RET=HDRS ENVID=QQ+3D314" in peer.commands
    assert (
        "RCPT TO:<bert@b.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bert+2Bx@B.Test" in peer.commands
    )


async def test_what_was_not_asked_for_is_not_invented() -> None:
    async with scripted(EHLO="250-peer.test\n250 DSN") as peer:
        session = await open_session(target(peer), manners())
        await session.transact(mail())
        session.abort()

    assert peer.commands[1:3] == ["MAIL FROM:<anna@a.test>", "RCPT TO:<bert@b.test>"]


async def test_a_server_that_cannot_hears_nothing_of_it_and_is_known_for_that(
    destinations: Destinations, tls: Secured
) -> None:
    said, (peer,) = await hand_over(
        destinations, tls, mail(handling=HANDLING, notify=NOTIFY), {"EHLO": "250 peer.test"}
    )

    assert (said.verdict, said.tells) == (Taken("250 2.0.0 taken"), False)
    assert peer.commands[1:3] == ["MAIL FROM:<anna@a.test>", "RCPT TO:<bert@b.test>"]


async def test_a_server_that_can_will_tell(destinations: Destinations, tls: Secured) -> None:
    said, _ = await hand_over(
        destinations, tls, mail(notify=NOTIFY), {"EHLO": "250-peer.test\n250 DSN"}
    )

    assert said.tells


async def test_an_original_address_in_unicode_goes_as_such_only_with_smtputf8() -> None:
    unicode = Notify(orcpt="utf-8;ärger@b.test")
    async with scripted(EHLO="250-peer.test\n250-SMTPUTF8\n250 DSN") as peer:
        session = await open_session(target(peer), manners())
        await session.transact(mail(notify=unicode))
        await session.transact(mail(notify=unicode, smtputf8=True))
        session.abort()

    sent = [command for command in peer.commands if command.startswith("RCPT")]
    assert sent == [
        r"RCPT TO:<bert@b.test> ORCPT=utf-8;\x{00E4}rger@b.test",
        "RCPT TO:<bert@b.test> ORCPT=utf-8;ärger@b.test",
    ]


async def test_secret_mail_goes_over_tls_to_a_server_that_promises_the_same(
    destinations: Destinations, tls: Secured
) -> None:
    said, (peer,) = await hand_over(
        destinations, tls, mail(handling=SECRET), {"EHLO": [BEFORE, AFTER]}
    )

    assert isinstance(said.verdict, Taken)
    assert peer.encrypted == 1
    assert "MAIL FROM:<anna@a.test> REQUIRETLS" in peer.commands


@pytest.mark.parametrize(
    ("script", "enhanced"),
    [
        ({"EHLO": [BEFORE, "250 peer.test"]}, (5, 7, 30)),
        ({"EHLO": AFTER}, (5, 7, 10)),  # promised without TLS, which is not offered
        ({"EHLO": [BEFORE, AFTER], "STARTTLS": "454 4.7.0 not now"}, (5, 7, 10)),
        ({"EHLO": [BEFORE, AFTER], "STARTTLS": DROP}, (5, 7, 10)),
    ],
)
async def test_otherwise_it_does_not_go_and_nobody_hears_of_it(
    destinations: Destinations,
    tls: Secured,
    script: dict[str, Script],
    enhanced: tuple[int, int, int],
) -> None:
    said, (peer,) = await hand_over(destinations, tls, mail(handling=SECRET), script)

    assert isinstance(said.verdict, Never)
    assert said.verdict.status == Status(550, enhanced)
    assert not [command for command in peer.commands if command.startswith(("MAIL", "RCPT"))]
    assert destinations.get("b.test").resting() is None  # other mail may go there


async def test_a_certificate_that_nobody_trusted_signed_is_no_tls(
    tls: Secured, tmp_path: Path
) -> None:
    strange = secured(tmp_path)
    async with Destinations(strange.manners, Limits()) as known:
        said, (peer,) = await hand_over(
            known, tls, mail(handling=SECRET), {"EHLO": [BEFORE, AFTER]}
        )

    assert isinstance(said.verdict, Never)
    assert said.verdict.status == Status(550, (5, 7, 10))
    assert not [command for command in peer.commands if command.startswith("MAIL")]


async def test_the_next_server_may_do_better(destinations: Destinations, tls: Secured) -> None:
    said, (first, second) = await hand_over(
        destinations,
        tls,
        mail(handling=SECRET),
        {"EHLO": [BEFORE, "250 peer.test"]},
        {"EHLO": [BEFORE, AFTER]},
    )

    assert isinstance(said.verdict, Taken)
    assert (first.messages, len(second.accepted)) == ([], 1)


async def test_who_is_not_there_may_still_promise_it(
    destinations: Destinations, tls: Secured
) -> None:
    said, _ = await hand_over(
        destinations, tls, mail(handling=SECRET), {"connect": "421 4.3.2 too busy"}
    )

    assert isinstance(said.verdict, Later)


async def test_a_report_on_secret_mail_goes_as_well_as_it_can(
    destinations: Destinations, tls: Secured
) -> None:
    report = mail(sender="", handling=SECRET)

    plain, (bare,) = await hand_over(destinations, tls, report, {"EHLO": "250 peer.test"})
    safe, (peer,) = await hand_over(destinations, tls, report, {"EHLO": [BEFORE, AFTER]})

    assert isinstance(plain.verdict, Taken)
    assert isinstance(safe.verdict, Taken)
    assert "MAIL FROM:<>" in bare.commands
    assert "MAIL FROM:<> REQUIRETLS" in peer.commands


def in_time() -> Deadline:
    return Deadline(at=datetime.now(UTC) + timedelta(hours=1), returns=True, traced=True)


async def test_a_server_that_keeps_time_is_told_what_is_left() -> None:
    async with scripted(EHLO="250-peer.test\n250 DELIVERBY 60") as peer:
        session = await open_session(target(peer), manners())
        await session.transact(replace(mail(), deadline=in_time()))
        session.abort()

    (told,) = [word for word in peer.commands[1].split() if word.startswith("BY=")]
    seconds, _, mode = told.removeprefix("BY=").partition(";")
    assert 3500 < int(seconds) < 3600
    assert mode == "RT"


@pytest.mark.parametrize(
    "offer",
    ["250 peer.test", "250-peer.test\n250 DELIVERBY 3601", "250-peer.test\n250 DELIVERBY 3601,X=1"],
)
async def test_mail_that_may_not_be_late_goes_to_nobody_who_may_be(
    destinations: Destinations, tls: Secured, offer: str
) -> None:
    said, (peer,) = await hand_over(
        destinations, tls, replace(mail(), deadline=in_time()), {"EHLO": offer}
    )

    assert isinstance(said.verdict, Never)
    assert said.verdict.status == Status(554, (5, 4, 7))
    assert not any(command.startswith("MAIL") for command in peer.commands)


@pytest.mark.parametrize(
    ("offer", "keeps"), [("250 peer.test", False), ("250-p\n250 DELIVERBY", True)]
)
async def test_mail_of_which_a_delay_is_told_goes_to_anybody(
    destinations: Destinations, tls: Secured, offer: str, *, keeps: bool
) -> None:
    told = Deadline(at=datetime.now(UTC) - timedelta(seconds=90), returns=False, is_told=True)

    said, (peer,) = await hand_over(
        destinations, tls, replace(mail(), deadline=told), {"EHLO": offer}
    )

    assert (isinstance(said.verdict, Taken), said.keeps_time) == (True, keeps)
    assert any(" BY=-9" in command for command in peer.commands) is keeps


@pytest.mark.parametrize(
    ("offer", "on", "told"),
    [
        ("250-p\n250 DSN", "", " NOTIFY=FAILURE,DELAY"),
        ("250-p\n250 DSN", "SUCCESS", " NOTIFY=SUCCESS,DELAY"),
        ("250-p\n250 DSN", "NEVER", " NOTIFY=NEVER"),
        ("250-p\n250-DSN\n250 DELIVERBY", "", ""),
        ("250 p", "", ""),
    ],
)
async def test_who_keeps_no_time_is_asked_to_tell_of_delays(offer: str, on: str, told: str) -> None:
    deadline = replace(in_time(), returns=False)  # RFC 2852 §4.1.4.2
    async with scripted(EHLO=offer) as peer:
        session = await open_session(target(peer), manners())
        await session.transact(replace(mail(notify=Notify(on=on)), deadline=deadline))
        session.abort()

    assert f"RCPT TO:<bert@b.test>{told}" in peer.commands


async def test_who_files_the_mail_need_not_keep_time() -> None:
    async with scripted(EHLO="250 p", LHLO="250 p") as peer:  # RFC 2852 §1: that is delivery
        session = await open_session(target(peer, lmtp=True), manners())
        transcript = await session.transact(replace(mail(), deadline=in_time()))
        session.abort()

    assert is_yes(transcript.mail)
