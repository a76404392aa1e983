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
from policy_engine.srs import Rewriter, looks_rewritten
from posthouse.mail.address import Address, BadAddress, parse_address
from posthouse.mail.admission import MailQuestion, Question, RcptQuestion, Verdict, accept, refuse
from posthouse.mail.status import MAILBOX_FULL, NO_SUCH_USER, RELAY_DENIED, Status

DISABLED = Status(550, (5, 2, 1))  # RFC 3463 §3.3
NOT_YOURS = Status(550, (5, 7, 1))  # RFC 3463 §3.8
BAD_SENDER = Status(550, (5, 1, 7))  # RFC 3463 §3.2
BAD_RECIPIENT = Status(550, (5, 1, 3))  # RFC 3463 §3.2
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
    """An account sends as itself, with any detail, or as an alias that stands for it."""
    if not question.sender or not question.auth:
        return accept("null sender" if not question.sender else "stranger")
    sender, owner = _read(question.sender), _read(question.auth)
    if sender is None or owner is None:
        return refuse(BAD_SENDER, "Bad sender address", "sender syntax")
    place, mine = find(sender, grounds.known), find(owner, grounds.known)
    if place is not None and mine is not None and _may_use(place, mine):
        return accept("sender rights")
    return refuse(NOT_YOURS, "Sender address is not yours", "sender rights")


def _may_use(place: Place, mine: Place) -> bool:
    if mine.account is None:
        return False
    if place.account is not None and place.account.id == mine.account.id:
        return True
    targets = place.alias.targets if place.alias else ()
    return mine.account.address in {address.key for t in targets if (address := _read(t))}


def judge_recipient(question: RcptQuestion, grounds: Grounds) -> Verdict:
    """Accept who is known here; the way out is for accounts and listed networks."""
    recipient = _read(question.recipient)
    if recipient is None:
        return refuse(BAD_RECIPIENT, "Bad recipient address", "recipient syntax")
    place = find(recipient, grounds.known)
    is_ours = place is not None or recipient.domain == grounds.hostname.lower()
    if grounds.has_postmaster and is_ours and is_postmaster(recipient):
        return accept("postmaster")
    if place is None:
        return _relay(question, recipient, grounds.networks)
    return _mailbox(place) if place.is_known else _nobody(question, recipient, place, grounds)


def _nobody(question: RcptQuestion, recipient: Address, place: Place, grounds: Grounds) -> Verdict:
    """Judge an address of ours that nobody has."""
    if _is_way_back(question, recipient, grounds):
        return accept("bounce of a forward")
    if place.domain.catch_all:
        return accept("catch-all")
    return refuse(NO_SUCH_USER, "No such user here", "unknown recipient")


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


def _read(text: str) -> Address | None:
    try:
        return parse_address(text)
    except BadAddress:
        return None


def _keys(text: str) -> tuple[str, ...]:
    address = _read(text)
    return keys_of(address) if address else ()
