"""SEARCH (RFC 3501 §6.4.4) with its result options (RFC 4731, 5182, 9394) and MODSEQ (RFC 7162 §3.1.5)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from types import MappingProxyType
from typing import Final

from imap_gateway.aside import aside
from imap_gateway.client import Client, Done, Handlers
from imap_gateway.errors import Misuse, Refusal
from imap_gateway.handlers.fetching import tell_items
from imap_gateway.long_lines import write_line
from imap_gateway.protocol import finding as f
from imap_gateway.protocol.finding_answers import (
    esearch,
    modseq_after,
    numbers_after,
    return_data,
)
from imap_gateway.protocol.search_grammar import CHARSETS
from imap_gateway.searching.contexts import check_tag, keep_updating
from imap_gateway.searching.finding import Found, demand_bounded, find
from imap_gateway.view.hits import AT_ONCE
from imap_gateway.view.matching import asks_modseq
from posthouse.mail.errors import MailFailure

_ALL = f.Returns(has_all=True)


async def search(client: Client, command: f.Search) -> Done:
    """SEARCH and UID SEARCH."""
    program = command.program
    check_option(client, program)
    check_tag(client, program)
    found = await found_by(client, program)
    await answer(client, program, found, found.matched, b"SEARCH")
    await keep_updating(client, program, found, tell_items)
    return Done("SEARCH done")


async def found_by(client: Client, program: f.Program) -> Found:
    """Look for the messages; a failure leaves nothing saved where that was asked for (RFC 5182 §2.1)."""
    position = client.mailbox().position
    try:
        check_charset(program)
        demand_bounded(position, program.key)
        return await find(client, position, program.key)
    except (MailFailure, Refusal):
        if program.returns is not None and program.returns.saves:
            position.saved = array("I")
        raise


async def answer(
    client: Client, program: f.Program, found: Found, matched: Sequence[int], word: bytes
) -> None:
    """Write the results, which are in their order, and save them if that was asked for."""
    if asks_modseq(program.key):
        client.enable(b"CONDSTORE")
    returns = program.returns
    if returns is None and word == b"SEARCH" and client.is_rev2:
        returns = _ALL  # RFC 9051 §6.4.4
    if returns is not None:
        await save(client, returns, found, matched)
    if returns is None or returns.tells or not returns.saves:
        results = matched, word, returns
        text = await aside(len(matched), _text, client.tag, program, found, results)
        await write_line(client, text)


async def save(client: Client, returns: f.Returns, found: Found, matched: Sequence[int]) -> None:
    """Let ``$`` stand for what was found, where that was asked for (RFC 5182)."""
    if returns.saves:
        saved = await aside(len(matched), _saved, found, matched, returns)
        client.mailbox().position.saved = saved


def written(program: f.Program, found: Found, matched: Sequence[int]) -> bytes:
    """Return the results that were asked for, as an ESEARCH response has them."""
    returns = program.returns or _ALL
    numbers = found.numbers(matched, is_uid=program.is_uid)
    modseq = found.modseq(_told(matched, returns)) if asks_modseq(program.key) else None
    return return_data(returns, numbers, modseq)


def _text(
    tag: bytes,
    program: f.Program,
    found: Found,
    results: tuple[Sequence[int], bytes, f.Returns | None],
) -> list[bytes]:
    """Return the response in pieces."""
    matched, word, returns = results
    if returns is not None:
        data = written(replace(program, returns=returns), found, matched)
        return [esearch(tag, data, is_uid=program.is_uid)]
    numbers = found.numbers(matched, is_uid=program.is_uid)
    modseq = found.modseq(matched) if asks_modseq(program.key) else None
    return [*numbers_after(word, numbers), modseq_after(modseq)]


def _told(matched: Sequence[int], returns: f.Returns) -> Sequence[int]:
    """Return of which messages the modseq is told (RFC 4731 §3.2)."""
    if returns.has_all or returns.has_count or returns.partial:
        return matched
    return _ends(matched, returns) or matched


def _ends(matched: Sequence[int], returns: f.Returns) -> list[int]:
    first = [matched[0]] if matched and returns.has_min else []
    return first + ([matched[-1]] if matched and returns.has_max else [])


def _saved(found: Found, matched: Sequence[int], returns: f.Returns) -> array[int]:
    """Return the UIDs that ``$`` shall stand for (RFC 5182 §2.4, RFC 9394 §3.2)."""
    if not returns.saves_all:
        page = matched[returns.partial.cut(len(matched))] if returns.partial else ()
        matched = [*page, *_ends(matched, returns)]
    is_matched = bytearray(len(found.rows))
    for place in matched:
        is_matched[place] = 1
    uids, saved = found.rows.uids, array("I")
    for start in range(0, len(uids), AT_ONCE):
        end = start + AT_ONCE
        saved.extend(compress(uids[start:end], is_matched[start:end]))
    return saved


def check_option(client: Client, program: f.Program) -> None:
    """Refuse to be told a charset where everything is UTF-8 (RFC 6855 §3); SORT has to tell one."""
    if program.charset is not None and b"UTF8=ACCEPT" in client.enabled:
        raise Misuse("No CHARSET with UTF8=ACCEPT")


def check_charset(program: f.Program) -> None:
    """Refuse charsets that we do not know."""
    if program.charset is not None and program.charset not in CHARSETS:
        raise Refusal("Charset not known", b"BADCHARSET (%b)" % " ".join(CHARSETS).encode())


async def cancel_update(client: Client, command: f.CancelUpdate) -> Done:
    """CANCELUPDATE (RFC 5267 §4.3.5)."""
    selected = client.mailbox()
    if not selected.contexts.keys() >= set(command.tags):
        raise Misuse("No such context")
    left = {tag: one for tag, one in selected.contexts.items() if tag not in command.tags}
    selected.contexts = left
    return Done("No further updates")


HANDLERS: Final[Handlers] = MappingProxyType({
    f.Search: search,
    f.CancelUpdate: cancel_update,
})  # fmt: skip
