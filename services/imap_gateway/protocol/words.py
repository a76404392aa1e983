"""Rules that several commands share: mailboxes, flags, dates (RFC 3501 §9)."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone

from imap_gateway.protocol import mutf7
from imap_gateway.protocol.cursor import BadSyntax, Cursor

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SYSTEM_FLAGS = frozenset({"\\SEEN", "\\ANSWERED", "\\FLAGGED", "\\DELETED", "\\DRAFT"})
MAX_KEYWORD_OCTETS = 128
BEGINNING = datetime.min.replace(tzinfo=UTC)  # to PostgreSQL it is no moment, but minus infinity

_NUMBER_OF_MONTH = {name.upper().encode(): n for n, name in enumerate(MONTHS, 1)}
_DATE_TIME = re.compile(
    rb'"([ \d]\d)-(%b)-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)([0-5]\d)"'
    % "|".join(MONTHS).encode(),
    re.IGNORECASE,
)
_DATE = re.compile(rb"(\d\d?)-(%b)-(\d{4})" % "|".join(MONTHS).encode(), re.IGNORECASE)
_FLAG = re.compile(rb"\\?[\x21\x23\x24\x26\x27\x2b-\x5b\x5e-\x7a\x7c-\x7e]+")


def mailbox(cursor: Cursor) -> str:
    """``mailbox = "INBOX" / astring``: its name; INBOX, also above others, in any case."""
    return with_inbox(name_in(cursor, cursor.astring()))


def new_mailbox(cursor: Cursor) -> str:
    """The name of a mailbox to be made: in UTF-8 it is composed (RFC 9051 §5.1 Net-Unicode)."""
    name = mailbox(cursor)
    if cursor.is_utf8 and not unicodedata.is_normalized("NFC", name):
        raise BadSyntax("mailbox name is not Net-Unicode")
    return name


def with_inbox(name: str) -> str:
    """Return ``name`` with INBOX in capitals where that is its first level: it is made so."""
    first, separator, below = name.partition("/")
    return "INBOX" + separator + below if first.upper() == "INBOX" else name


def name_in(cursor: Cursor, wire: bytes) -> str:
    """Return the name, or the pattern of names, that ``wire`` stands for in this session.

    Modified UTF-7 or, where that was enabled, UTF-8 (RFC 6855 §3): also what modified UTF-7 has
    made of a name that is not composed, for it must be found.
    """
    if not cursor.is_utf8:
        return mutf7.decode(wire)
    name = text(wire)
    if not name.isprintable():
        raise BadSyntax("mailbox name is not Net-Unicode")
    return name


def text(octets: bytes) -> str:
    """A string that is a name for people: UTF-8 (RFC 3501 §9: or its subset US-ASCII)."""
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise BadSyntax("not UTF-8") from error


def flag_list(cursor: Cursor) -> tuple[str, ...]:
    r"""``flag-list = "(" [flag *(SP flag)] ")"``; the server's own ``\Recent`` is refused."""
    cursor.expect(b"(")
    flags: list[str] = []
    while not cursor.skip(b")"):
        if flags:
            cursor.space()
        flags.append(flag(cursor))
    return tuple(flags)


def flag(cursor: Cursor) -> str:
    r"""``flag``: a system flag or a keyword."""
    name = cursor.take(_FLAG, "a flag")[0].decode("ascii")
    if name.startswith("\\") and name.upper() not in SYSTEM_FLAGS:
        raise BadSyntax("no such system flag")
    if len(name) > MAX_KEYWORD_OCTETS:
        raise BadSyntax("keyword too long")
    return name


def date_time(cursor: Cursor) -> datetime:
    """``date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE``."""
    found = cursor.take(_DATE_TIME, "a date with time")
    month = _NUMBER_OF_MONTH[found[2].upper()]
    zone = timedelta(hours=int(found[8]), minutes=int(found[9]))
    try:
        moment = datetime(
            int(found[3]), month, int(found[1]), int(found[4]), int(found[5]),
            min(int(found[6]), 59) if int(found[6]) <= 60 else 61,
            tzinfo=timezone(zone if found[7] == b"+" else -zone),
        ).astimezone(UTC)  # fmt: skip
    except (ValueError, OverflowError) as error:
        raise BadSyntax("no such date") from error
    if moment <= BEGINNING:
        raise BadSyntax("no such date")
    return moment


def day(cursor: Cursor) -> date:
    """``date = date-text / DQUOTE date-text DQUOTE``."""
    is_quoted = cursor.skip(b'"')
    found = cursor.take(_DATE, "a date")
    if is_quoted:
        cursor.expect(b'"')
    try:
        return date(int(found[3]), _NUMBER_OF_MONTH[found[2].upper()], int(found[1]))
    except ValueError as error:
        raise BadSyntax("no such date") from error
