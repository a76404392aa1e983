"""The tables that the families of commands fill together."""

from __future__ import annotations

from imap_gateway.handlers import _FAMILIES as HANDLERS_OF_FAMILIES
from imap_gateway.handlers import HANDLERS
from imap_gateway.protocol.grammar import _FAMILIES as RULES_OF_FAMILIES
from imap_gateway.protocol.grammar import RULES
from imap_gateway.state import ALLOWED


def test_no_family_takes_the_name_or_the_value_of_another() -> None:
    assert sum(map(len, RULES_OF_FAMILIES)) == len(RULES)
    assert sum(map(len, HANDLERS_OF_FAMILIES)) == len(HANDLERS)


def test_every_command_of_the_grammar_is_allowed_in_some_state_and_no_other_is() -> None:
    assert frozenset[str]().union(*ALLOWED.values()) == frozenset(RULES)
