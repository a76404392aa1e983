"""Admission: may this client send as this sender, and to this recipient? Pure.

Unknown recipients are refused while the client waits, so that nobody is ever told of them later
(no backscatter); relaying is for accounts and listed networks (no open relay, promise 7). However
an address is dressed up, only its last domain counts, and a literal is never a way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TypeAlias

from policy_engine.places import Known, Place, find, is_postmaster, keys_of
from policy_engine.rights import may_send, read
from policy_engine.srs import Rewriter, looks_rewritten
from posthouse.mail.address import Address
from posthouse.mail.admission import MailQuestion, Question, RcptQuestion, Verdict, accept, refuse
from posthouse.mail.status import (
    DISABLED,
    MAILBOX_FULL,
    NO_SUCH_USER,
    NOT_YOURS,
    RELAY_DENIED,
    Status,
)

BAD_SENDER = Status(550, (5, 1, 7))  # RFC 3463 §3.2
BAD_RECIPIENT = Status(550, (5, 1, 3))  # RFC 3463 §3.2
_STRANGER = refuse(NO_SUCH_USER, "No such user here", "unknown recipient")
_DETOURS = frozenset("@%!")  # in a local part they ask to be sent on

Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a judgement rests on.

    Attributes:
        known: The directory's answers for `wanted`.
        networks: Clients that may relay.
        rewriter: Knows our rewritten senders.
        today: For the age of those.
        hostname: Our name; of its addresses only postmaster is known.
        has_postmaster: Somebody takes the mail to postmaster of every domain of ours.
    """

    known: Known
    networks: Sequence[Network]
    rewriter: Rewriter
    today: date
    hostname: str = ""
    has_postmaster: bool = False


def wanted(question: Question) -> tuple[str, ...]:
    """Return the keys that must be known to judge ``question``."""
    match question:
        case MailQuestion(sender=sender, auth=auth):
            return tuple(key for text in (sender, auth) for key in _keys(text))
        case RcptQuestion(recipient=recipient):
            return _keys(recipient)


def judge(question: Question, grounds: Grounds) -> Verdict:
    """Answer ``question``."""
    match question:
        case MailQuestion():
            return judge_sender(question, grounds)
        case RcptQuestion():
            return judge_recipient(question, grounds)


def judge_sender(question: MailQuestion, grounds: Grounds) -> Verdict:
    """An account that may still log in sends as itself or an alias of its own, or as nobody."""
    if not question.auth:
        return accept("stranger")
    owner = read(question.auth)
    mine = find(owner, grounds.known) if owner else None
    if mine is None or mine.account is None or not mine.account.enabled:
        return refuse(DISABLED, "Account is disabled", "disabled account")
    if question.sender and read(question.sender) is None:
        return refuse(BAD_SENDER, "Bad sender address", "sender syntax")
    if may_send(question.sender, question.auth, grounds.known):
        return accept("sender rights")
    return refuse(NOT_YOURS, "Sender address is not yours", "sender rights")


def judge_recipient(question: RcptQuestion, grounds: Grounds) -> Verdict:
    """Accept who is known here; the way out is for accounts and listed networks."""
    recipient = read(question.recipient)
    if recipient is None:
        return refuse(BAD_RECIPIENT, "Bad recipient address", "recipient syntax")
    place = find(recipient, grounds.known)
    is_ours = place is not None or recipient.domain == grounds.hostname.lower()
    if grounds.has_postmaster and is_ours and is_postmaster(recipient):
        return accept("postmaster")
    if not is_ours:
        return _relay(question, recipient, grounds.networks)
    if place is None:
        return _STRANGER
    return _mailbox(place) if place.is_known else _nobody(question, recipient, place, grounds)


def _nobody(question: RcptQuestion, recipient: Address, place: Place, grounds: Grounds) -> Verdict:
    """Judge an address of ours that nobody has."""
    if _is_way_back(question, recipient, grounds):
        return accept("bounce of a forward")
    if place.domain.catch_all:
        return accept("catch-all")
    return _STRANGER


def _is_way_back(question: RcptQuestion, recipient: Address, grounds: Grounds) -> bool:
    """True for a bounce to a sender that we rewrote; nothing but bounces goes that way."""
    return (
        not question.sender
        and looks_rewritten(recipient)
        and grounds.rewriter.reverse(recipient, grounds.today) is not None
    )


def _mailbox(place: Place) -> Verdict:
    account = place.account
    if place.alias is not None or account is None:
        return accept("alias")
    if not account.enabled:
        return refuse(DISABLED, "Mailbox is disabled", "disabled account")
    keeps = place.forward is None or place.forward.keep_copy
    quota = account.quota_octets
    if keeps and quota is not None and account.used_octets >= quota:
        return refuse(MAILBOX_FULL, "Mailbox is full", "quota")
    return accept("account")


def _relay(question: RcptQuestion, recipient: Address, networks: Sequence[Network]) -> Verdict:
    """Judge an address of another house."""
    if recipient.domain.startswith("["):
        return refuse(RELAY_DENIED, "Relaying to address literals denied", "address literal")
    if question.auth:
        return accept("account relays")
    if not _is_inside(question.client, networks):
        return refuse(RELAY_DENIED, "Relaying denied", "relay")
    if _DETOURS & set(recipient.local):
        return refuse(RELAY_DENIED, "Relaying by detour denied", "detour")
    return accept("network relays")


def _is_inside(client: str, networks: Sequence[Network]) -> bool:
    try:
        address = ip_address(client)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:192.0.2.1 on a dual-stack socket
    return any((mapped or address) in network for network in networks)


def _keys(text: str) -> tuple[str, ...]:
    address = read(text)
    return keys_of(address) if address else ()
