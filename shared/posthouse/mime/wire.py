"""ENVELOPE and BODYSTRUCTURE as they go on the wire (RFC 3501 §7.4.2, §9)."""

from __future__ import annotations

import re

from posthouse.mime.addresses import Mailbox, parse_addresses
from posthouse.mime.continuations import join_encoded
from posthouse.mime.fields import Fields
from posthouse.mime.parameters import Parameters, Parametric, parse_disposition, parse_token
from posthouse.mime.structure import MESSAGE, MULTIPART, TEXT, Entity

# TEXT-CHAR, and so all that a quoted string may hold: no 8-bit, no NUL, CR, LF (RFC 3501 §9).
_QUOTABLE = bytes(octet for octet in range(1, 128) if octet not in b"\r\n")
_AS_IT_IS = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-!#-\[\]-\x7f]{0,1000}").fullmatch  # nearly all
_NUL_STAND_IN = b"\x80"  # a literal cannot hold NUL: CHAR8 is %x01-ff
# Of one name's fields: thousands of addresses. An ENVELOPE stays below a million octets, more than
# which in a line makes Python's imaplib, and all that use it, give up the mailbox.
MAX_ADDRESS_OCTETS = 131_072
MAX_AUTHOR_OCTETS = 16_384
MAX_QUOTED_OCTETS = 1000  # longer ones are literals: many clients read lines into small buffers
_AUTHORS = frozenset({b"from", b"sender", b"reply-to"})
_CHARSET = ((b"charset", b"us-ascii"),)  # RFC 2046 §4.1.2: what a text without one has


def string(text: bytes) -> bytes:
    """Write a quoted string, or a literal where none can be."""
    if _AS_IT_IS(text):
        return b'"%s"' % text
    if len(text) > MAX_QUOTED_OCTETS or text.translate(None, _QUOTABLE):
        text = text.replace(b"\0", _NUL_STAND_IN)
        return b"{%d}\r\n%s" % (len(text), text)
    if b'"' in text or b"\\" in text:
        text = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"%s"' % text


def nstring(text: bytes | None) -> bytes:
    """Write a string, or NIL for None."""
    return b"NIL" if text is None else string(text)


def envelope(fields: Fields) -> bytes:
    """Write the ENVELOPE of a message with these fields.

    Of several fields of one name, addresses are joined and of the others the first counts.
    Sender and Reply-To default to From (RFC 3501 §7.4.2).
    """
    sender = _addresses(fields, b"from")
    return b"(%s %s %s %s %s %s %s %s %s %s)" % (
        nstring(_first(fields, b"date")),
        nstring(_first(fields, b"subject")),
        sender or b"NIL",
        _addresses(fields, b"sender") or sender or b"NIL",
        _addresses(fields, b"reply-to") or sender or b"NIL",
        _addresses(fields, b"to") or b"NIL",
        _addresses(fields, b"cc") or b"NIL",
        _addresses(fields, b"bcc") or b"NIL",
        nstring(_first(fields, b"in-reply-to")),
        nstring(_first(fields, b"message-id")),
    )


def bodystructure(entity: Entity) -> bytes:
    """Write the BODYSTRUCTURE of an entity; recursion ends at `structure.MAX_DEPTH`."""
    pieces: list[bytes] = []
    _body(entity, pieces)
    return b"".join(pieces)


def _body(entity: Entity, pieces: list[bytes]) -> None:
    main, _, sub = entity.type.value.partition(b"/")
    pieces.append(b"(")
    if entity.kind == MULTIPART:
        for child in entity.children:
            _body(child, pieces)
        pieces.append(b" %s %s" % (string(sub), _parameters(entity.type.parameters)))
    else:
        pieces.append(b"%s %s %s" % (string(main), string(sub), _single(entity)))
        if entity.kind == MESSAGE:
            inner = entity.children[0]
            pieces.append(b" %s " % envelope(inner.fields))
            _body(inner, pieces)
        if entity.kind in {MESSAGE, TEXT}:
            pieces.append(b" %d" % entity.lines)
        pieces.append(b" " + nstring(_first(entity.fields, b"content-md5")))
    pieces.append(b" %s)" % _extensions(entity.fields))


def _single(entity: Entity) -> bytes:
    """Write body-fields: parameters, id, description, encoding, octets."""
    fields = entity.fields
    return b"%s %s %s %s %d" % (
        _parameters(_with_charset(entity)),
        nstring(_first(fields, b"content-id")),
        nstring(_first(fields, b"content-description")),
        string(parse_token(_first(fields, b"content-transfer-encoding") or b"") or b"7bit"),
        entity.end - entity.body,
    )


def _with_charset(entity: Entity) -> Parameters:
    given = entity.type.parameters
    if entity.kind == TEXT and not any(name.startswith(b"charset") for name, _ in given):
        return given + _CHARSET
    return given


def _extensions(fields: Fields) -> bytes:
    """Write disposition, language and location."""
    disposition: Parametric | None = None
    if field := _first(fields, b"content-disposition"):
        disposition = parse_disposition(field)
    shown = b"NIL"
    if disposition:
        shown = b"(%s %s)" % (string(disposition.value), _parameters(disposition.parameters))
    return b"%s %s %s" % (
        shown,
        _languages(_first(fields, b"content-language") or b""),
        nstring(_first(fields, b"content-location")),
    )


def _languages(field: bytes) -> bytes:
    tags = [tag for part in field.split(b",") if (tag := part.strip())]
    return b"(%s)" % b" ".join(map(string, tags)) if tags else b"NIL"


def _parameters(parameters: Parameters) -> bytes:
    if any(b"*" in name for name, _ in parameters):
        parameters = join_encoded(parameters)
    written = b" ".join(b"%s %s" % (string(name), string(value)) for name, value in parameters)
    return b"(%s)" % written if written else b"NIL"


def _addresses(fields: Fields, name: bytes) -> bytes:
    """Write an address list; empty if the field is absent or holds none."""
    found = fields.get(name)
    if not found:
        return b""
    left = MAX_AUTHOR_OCTETS if name in _AUTHORS else MAX_ADDRESS_OCTETS
    written: list[bytes] = []
    for field in found:
        if left > 0:
            written += map(_mailbox, parse_addresses(field[:left]))
        left -= len(field)
    return b"(%s)" % b"".join(written) if written else b""


def _mailbox(mailbox: Mailbox) -> bytes:
    name, route, local, host = mailbox
    return b"(%s %s %s %s)" % (nstring(name), nstring(route), nstring(local), nstring(host))


def _first(fields: Fields, name: bytes) -> bytes | None:
    found = fields.get(name)
    return found[0] if found else None
