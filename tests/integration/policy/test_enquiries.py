"""Questions answered from a real directory, through real streams."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from typing import cast

import pytest

from policy_engine.enquiries import Enquiries, Memory, Networks
from policy_engine.held_back import SuppressionList
from policy_engine.srs import Rewriter
from posthouse.bus.ask import Asker, serve_questions
from posthouse.mail.address import parse_address
from posthouse.mail.admission import (
    AuthorQuestion,
    MailQuestion,
    Question,
    RcptQuestion,
    Verdict,
)
from posthouse.mail.ids import new_id
from posthouse.mail.return_path import ReturnPaths
from posthouse.storage import directory
from posthouse.storage.directory import Delegate, Network
from posthouse.storage.directory.senders import Sender, resolve_senders, set_sender
from posthouse.storage.suppressing import suppress
from support.routing import RETURNS, Post

pytestmark = pytest.mark.integration


async def test_questions_are_answered_and_changes_count_within_seconds(post: Post) -> None:
    now = 0.0
    memory = Memory(partial(directory.resolve, post.pool), clock=lambda: now)
    networks = Networks(post.pool, [Network(network=ip_network("192.0.2.0/24"))])
    enquiries = Enquiries(
        memory=memory,
        lent=Memory(partial(directory.lent, post.pool), clock=lambda: now),
        networks=networks,
        rewriter=Rewriter(b"0123456789abcdef"),
        returns=RETURNS,
        senders=Memory(partial(resolve_senders, post.pool), clock=lambda: now),
    )
    await directory.add_network(post.pool, "198.51.100.0/24")
    kind = cast("type[Question]", Question)
    async with serve_questions("127.0.0.1", 0, kind, enquiries.answer) as server:
        port = server.sockets[0].getsockname()[1]
        async with Asker([f"127.0.0.1:{port}"], timedelta(seconds=5), Verdict) as asker:
            new = RcptQuestion(recipient="carl@example.test", client="203.0.113.1")
            assert (await asker.ask(new)).code == 550
            await directory.add_account(post.pool, "carl@example.test", "x", None)
            assert (await asker.ask(new)).code == 550  # remembered
            now += 3.0
            assert (await asker.ask(new)).accepts

            for client, code in (("192.0.2.1", 250), ("198.51.100.1", 250), ("203.0.113.1", 550)):
                out = RcptQuestion(recipient="x@far.test", client=client)
                assert (await asker.ask(out)).code == code

            mine = MailQuestion(sender="anna@example.test", auth="anna@example.test")
            assert (await asker.ask(mine)).accepts
            theirs = MailQuestion(sender="bert@example.test", auth="anna@example.test")
            assert (await asker.ask(theirs)).code == 550
            lent = Delegate(
                address="bert@example.test", account="anna@example.test", on_behalf=True
            )
            await directory.allow_delegate(post.pool, lent)
            now += 3.0
            assert (await asker.ask(theirs)).accepts
            author = AuthorQuestion(
                authors=("bert@example.test",), sender="", auth="anna@example.test"
            )
            assert (await asker.ask(author)).must_tell


async def test_who_submits_to_a_suppressed_recipient_is_refused_at_once(post: Post) -> None:
    enquiries = Enquiries(
        memory=Memory(partial(directory.resolve, post.pool)),
        lent=Memory(partial(directory.lent, post.pool)),
        networks=Networks(post.pool, [Network(network=ip_network("192.0.2.0/24"))]),
        rewriter=Rewriter(b"0123456789abcdef"),
        returns=RETURNS,
        senders=Memory(partial(resolve_senders, post.pool)),
        steps=(SuppressionList(post.pool),),
    )
    await suppress(post.pool, "carl@far.test", "example.test")
    await suppress(post.pool, "bert@example.test", "*")

    async def answer(recipient: str, sender: str, auth: str = "", client: str = "") -> str:
        asked = RcptQuestion(recipient=recipient, sender=sender, auth=auth, client=client)
        verdict = await enquiries.answer(asked)
        return f"{verdict.code} {verdict.rule}"

    anna = "anna@example.test"
    assert await answer("Carl@Far.Test", anna, anna) == "550 suppression list"
    assert await answer("carl@far.test", anna, client="192.0.2.1") == "550 suppression list"
    assert await answer("dora@far.test", anna, anna) == "250 account relays"
    assert await answer("carl@far.test", "x@other.test", client="192.0.2.1") == "250 network relays"
    assert await answer("carl@far.test", "", anna) == "250 account relays", "a report"
    assert await answer("carl@far.test", anna, client="203.0.113.1") == "550 relay"
    assert await answer("bert@example.test", anna, anna) == "250 account", "it does not go out"


async def test_who_takes_signed_bounces_only_refuses_those_that_are_made_up(post: Post) -> None:
    enquiries = Enquiries(
        memory=Memory(partial(directory.resolve, post.pool)),
        lent=Memory(partial(directory.lent, post.pool)),
        networks=Networks(post.pool, []),
        rewriter=Rewriter(b"0123456789abcdef"),
        returns=RETURNS,
        senders=Memory(partial(resolve_senders, post.pool)),
    )
    await set_sender(post.pool, "example.test", Sender(return_path="verp", signed_only=True))
    await set_sender(post.pool, "bert@example.test", Sender(return_path="plain"))
    anna = parse_address("anna@example.test")
    signed = RETURNS.signed(anna, new_id())
    other = ReturnPaths(RETURNS.secret, "-=").verp(anna, new_id(), 0, "x@far.test")
    assert signed is not None
    assert other is not None

    async def answer(recipient: str, sender: str = "") -> tuple[int, str]:
        asked = RcptQuestion(recipient=recipient, sender=sender, client="203.0.113.1")
        verdict = await enquiries.answer(asked)
        return verdict.code, verdict.rule

    assert await answer("anna@example.test") == (550, "unsigned bounce")
    assert await answer("anna+news@example.test") == (550, "unsigned bounce")
    assert await answer(signed.replace("@", "2@")) == (550, "unsigned bounce")
    assert await answer("anna@example.test", "eve@far.test") == (250, "account")
    assert await answer(signed) == (250, "account")
    assert await answer(other) == (250, "account")
    assert await answer("bert@example.test") == (250, "account")  # sends no signed return paths
    assert (await answer("nobody@example.test"))[1] == "unknown recipient"
