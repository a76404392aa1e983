"""Which folder is an address's, and what is written before its mail. Pure.

A path is expanded part by part; what comes from an address never makes a part end, begin with a
dot, or be more than a name. So nothing leaves the root, whatever stands in an address.
"""

from __future__ import annotations

import re
from datetime import datetime
from time import asctime

from posthouse.mail.address import Address, unquote

MAX_NAME_OCTETS = 255  # of one part, on all file systems in use
_EXPANSION = re.compile(r"%(.)")
_FORBIDDEN = re.compile(r"[/\x00-\x1f\x7f]")
_BLANK = re.compile(rb"\s")


class NoFolder(Exception):
    """The address can have no folder."""


def parts_of(path: str, address: Address, beside: int = 0) -> tuple[str, ...]:
    """Return the names from the root to the folder or file of ``address``; raise `NoFolder`.

    The last one leaves room for the names beside it, which are up to ``beside`` octets longer. A
    name that has nothing of the address may be too long: that is our mistake, no fault of it.
    """
    values = {"%": "%", "u": unquote(address.local).lower(), "d": address.domain.lower()}
    for value in (values["u"], values["d"]):
        if not value or value.startswith(".") or _FORBIDDEN.search(value):
            raise NoFolder("the address cannot be the name of a folder")
    texts = path.split("/")
    parts = tuple(_EXPANSION.sub(lambda found: values[found[1]], text) for text in texts)
    octets = [len(part.encode()) for part in parts]
    octets[-1] += beside
    if any(
        "%" in text and size > MAX_NAME_OCTETS for text, size in zip(texts, octets, strict=True)
    ):
        raise NoFolder("the address is too long for the name of a folder")
    return parts


def prefix_of(sender: str, address: str) -> bytes:
    """Return the fields that final delivery adds (RFC 5321 §4.4)."""
    return f"Return-Path: <{sender}>\nDelivered-To: {address}\n".encode()


def from_line(sender: str, arrived: datetime) -> bytes:
    """Return the line that begins a message in an mbox (RFC 4155); UTC."""
    path = _BLANK.sub(b"_", sender.encode()) or b"MAILER-DAEMON"
    return b"From " + path + b" " + asctime(arrived.utctimetuple()).encode() + b"\n"
