"""From a complete command to its value (RFC 3501 §9 command): what the families' `RULES` say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from imap_gateway.protocol import (
    appending_grammar,
    finding_grammar,
    folders_grammar,
    listing_grammar,
    messages_grammar,
    metadata_grammar,
    modes_grammar,
    notify_grammar,
    session_grammar,
    sharing_grammar,
)
from imap_gateway.protocol import commands as c
from imap_gateway.protocol.cursor import BadSyntax, Cursor
from imap_gateway.protocol.octets import Aside

# A name has one rule: a family that comes later overrides none.
_FAMILIES: Final = (
    session_grammar.RULES,
    modes_grammar.RULES,
    folders_grammar.RULES,
    listing_grammar.RULES,
    metadata_grammar.RULES,
    sharing_grammar.RULES,
    appending_grammar.RULES,
    messages_grammar.RULES,
    finding_grammar.RULES,
    notify_grammar.RULES,
)

RULES: Final = MappingProxyType(
    {name: rule for family in _FAMILIES for name, rule in family.items()}
)


# How nearly all commands begin; what is unusual is read rule by rule, and its errors are named.
_USUAL = re.compile(rb"([A-Za-z0-9.]{1,256}) ((?:UID )?[A-Z]+)(?![A-Za-z0-9.-])")


class BadCommand(BadSyntax):
    """A command that could not be read, with the tag to answer to.

    Attributes:
        tag: Its tag; ``*`` if even that was not readable.
    """

    def __init__(self, tag: bytes, reason: str) -> None:
        super().__init__(reason)
        self.tag = tag


def parse(octets: bytes, aside: Sequence[Aside] = (), *, is_utf8: bool = False) -> c.Tagged:
    """Return the command in ``octets`` and ``aside``; raise `BadCommand` if it is none.

    ``is_utf8`` is how this session names mailboxes (RFC 6855 §3).
    """
    cursor, tag = Cursor(octets, aside={one.at: one for one in aside}), b"*"
    cursor.is_utf8 = is_utf8
    usual = _USUAL.match(octets)
    try:
        if usual is not None and (name := usual[2].decode()) in RULES:
            tag, cursor.at = usual[1], usual.end()
        else:
            tag = cursor.tag()
            name = _name(cursor)
        rule = RULES.get(name)
        if rule is None:
            raise BadSyntax("unknown command")
        command = rule(cursor)
        cursor.end()
    except BadSyntax as error:
        raise BadCommand(tag, str(error)) from error
    return c.Tagged(tag=tag, name=name, command=command)


def _name(cursor: Cursor) -> str:
    """``SP command-name``: one word, or two of which the first is ``UID``."""
    cursor.space()
    name = cursor.word().decode()
    if name == "UID":
        cursor.space()
        name = f"UID {cursor.word().decode()}"
    return name
