"""Header fields: find the few that are wanted, unfold them (RFC 5322 §2.2).

A header is read as it lies in the message, with CRLF or bare LF, with lines that are no fields.
Everything here takes any octets and time linear in their number.
"""

from __future__ import annotations

from collections.abc import Collection

CONTENT_FIELDS = frozenset(
    {
        b"content-type",
        b"content-transfer-encoding",
        b"content-id",
        b"content-description",
        b"content-disposition",
        b"content-language",
        b"content-location",
        b"content-md5",
    }
)
ENVELOPE_FIELDS = frozenset(
    {
        b"date",
        b"subject",
        b"from",
        b"sender",
        b"reply-to",
        b"to",
        b"cc",
        b"bcc",
        b"in-reply-to",
        b"message-id",
    }
)
MESSAGE_FIELDS = CONTENT_FIELDS | ENVELOPE_FIELDS

Fields = dict[bytes, list[bytes]]


def pick(header: bytes, wanted: Collection[bytes]) -> Fields:
    """Return the unfolded values of the ``wanted`` fields (names in lower case) in their order.

    White space around a value is removed. A line without a colon belongs to no field.
    """
    found: Fields = {}
    for line in unfold(header).split(b"\n"):
        name, colon, value = line.partition(b":")
        key = name.lower()
        if key not in wanted:
            key = key.rstrip(b" \t")  # obs-fields: white space before the colon, RFC 5322 §4.5
        if colon and key in wanted:
            found.setdefault(key, []).append(value.strip(b" \t"))
    return found


def unfold(header: bytes) -> bytes:
    """Return ``header`` with one field a line and bare LF between them (RFC 5322 §2.2.3).

    Unfolding removes the line ends before white space, and nothing else.
    """
    return header.replace(b"\r\n", b"\n").replace(b"\n ", b" ").replace(b"\n\t", b"\t")
