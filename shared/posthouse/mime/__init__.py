"""MIME, pure: one scan of a message gives all that IMAP, POP3 and search will ever ask of it."""

from __future__ import annotations

from posthouse.mail.envelope import Summary
from posthouse.mime.pages import Octets, Pages
from posthouse.mime.parts import Part, Parts, pack_parts, unpack_parts
from posthouse.mime.structure import read_tree
from posthouse.mime.wire import bodystructure, envelope

__all__ = ["Pages", "Part", "Parts", "scan", "unpack_parts"]


def scan(octets: Octets) -> Summary:
    """Read a message: any octets, never an exception, time linear in their number."""
    root = read_tree(octets)
    return Summary(
        envelope=envelope(root.fields),
        bodystructure=bodystructure(root),
        header=octets[: root.body],
        parts=pack_parts(root),
    )
