"""What the sender asked to be told, where one recipient becomes others (RFC 3461 §5.2.7). Pure.

one other address           takes over what was asked for; nothing is told now
several                     take it over without SUCCESS; the address itself is "expanded"
a group that answers for    nothing goes on; the address itself is "delivered"
  its members (an owner)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.handling import Notify
from posthouse.mail.report import Action
from posthouse.storage.ledger import Branch, Decision, Expanded


def handed_on(
    notify: Notify, branches: Sequence[Branch], named: Collection[str]
) -> tuple[Branch, ...]:
    """Return ``branches`` with what their sender wants to be told of each.

    Args:
        notify: What it wants to be told of the recipient that they replace.
        branches: They; a group's members know nothing of it.
        named: The message's own recipients, in lower case.
    """
    if not _is_one(branches, named):
        notify = notify.without_success()
    return tuple(each if each.redistributed else replace(each, notify=notify) for each in branches)


def receipt_of(
    recipient: InboundRecipient, decision: Decision, named: Collection[str]
) -> Action | None:
    """Return what the sender is to hear of ``recipient`` now; None for nothing."""
    if not (recipient.notify.success and isinstance(decision, Expanded)):
        return None
    children = decision.children
    if children and all(child.redistributed for child in children):
        return "delivered"
    return None if _is_one(children, named) else "expanded"


def _is_one(branches: Sequence[Branch], named: Collection[str]) -> bool:
    """True if a single other address takes the place: not one that the message names itself."""
    return len(branches) == 1 and branches[0].address.lower() not in named
