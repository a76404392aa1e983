"""IMAP URLs of messages and their parts, as CATENATE has them (RFC 5092, RFC 4469 §3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from imap_gateway.protocol.cursor import MAX_NUMBER, BadSyntax, Cursor
from imap_gateway.protocol.fetch_grammar import section
from imap_gateway.protocol.items import Section

# Relative to imap://user@server/ or, in the selected state, to that mailbox: RFC 5092 §7.
_URL = re.compile(
    rb"(?P<mailbox>/?[^;?]*?)(?:;UIDVALIDITY=(?P<validity>\d{1,10}))?"
    rb"/?;UID=(?P<uid>[1-9]\d{0,9})(?:/;SECTION=(?P<section>[^;]+?))?"
    rb"(?:/;PARTIAL=(?P<first>\d{1,10})(?:\.(?P<count>[1-9]\d{0,9}))?)?",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(rb"//|[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageUrl:
    """A message, or what of it.

    Attributes:
        mailbox: Its name; None for the selected mailbox.
        uidvalidity: What the mailbox's must be; None if it was not said.
        uid: The message's.
        section: What of it, with the part of that.
    """

    mailbox: str | None
    uidvalidity: int | None
    uid: int
    section: Section


def message_url(text: bytes) -> MessageUrl:
    """Return what ``text`` means; raise `BadSyntax` if that is no message of this server's user."""
    found = _URL.fullmatch(text)
    if found is None or _ELSEWHERE.match(text):
        raise BadSyntax("no URL of a message here")
    mailbox = unquote_to_bytes(found["mailbox"].removeprefix(b"/").removesuffix(b"/"))
    cursor = Cursor(unquote_to_bytes(found["section"] or b"") + b"]" + _partial(found))
    what = section(cursor, is_peek=True)
    cursor.end()
    uid, validity = int(found["uid"]), found["validity"]
    if uid > MAX_NUMBER:
        raise BadSyntax("number too large")
    return MessageUrl(
        mailbox=_name(mailbox) if mailbox else None,
        uidvalidity=None if validity is None else int(validity),
        uid=uid,
        section=what,
    )


def _partial(found: re.Match[bytes]) -> bytes:
    if found["first"] is None:
        return b""
    return b"<%b.%b>" % (found["first"], found["count"] or b"%d" % MAX_NUMBER)


def _name(octets: bytes) -> str:
    try:
        name = octets.decode()
    except UnicodeDecodeError as error:
        raise BadSyntax("not UTF-8") from error
    return "INBOX" if name.upper() == "INBOX" else name
