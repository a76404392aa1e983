"""Admission: may this client send as this sender, and to this recipient? Pure.

Unknown recipients are refused while the client waits, so that nobody is ever told of them later
(no backscatter); relaying is for accounts and listed networks (no open relay, promise 7). However
an address is dressed up, only its last domain counts, and a literal is never a way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from ipaddress import ip_address

from msgspec import structs

from policy_engine.places import Known, Place, find, is_postmaster, keys_of
from policy_engine.posting import NO_POSTER, NO_POSTER_TEXT, may_post
from policy_engine.rights import Grants, Ownership, Right, allows, read, right_to
from policy_engine.srs import Rewriter, looks_rewritten
from posthouse.mail.address import Address
from posthouse.mail.admission import (
    AuthorQuestion,
    ListQuestion,
    MailQuestion,
    Question,
    RcptQuestion,
    Verdict,
    accept,
    refuse,
)
from posthouse.mail.status import (
    DISABLED,
    MAILBOX_FULL,
    NO_SUCH_USER,
    NOT_YOURS,
    RELAY_DENIED,
    Status,
)
from posthouse.storage.directory import Network

BAD_SENDER = Status(550, (5, 1, 7))  # RFC 3463 §3.2
BAD_RECIPIENT = Status(550, (5, 1, 3))  # RFC 3463 §3.2
NO_BOUNCE = Status(550, (5, 7, 1))  # RFC 3463 §3.8
NO_RELAY = Status(551, (5, 7, 1))  # RFC 5321 §3.4
RELAYED = frozenset({"account relays", "network relays"})  # the rules that let mail out
_STRANGER = refuse(NO_SUCH_USER, "No such user here", "unknown recipient")
_CLOSED = refuse(DISABLED, "Account is disabled", "disabled account")
_UNSIGNED = refuse(NO_BOUNCE, "No mail was sent from here with this return path", "unsigned bounce")
_DETOURS = frozenset("@%!")  # in a local part they ask to be sent on


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a judgement rests on.

    Attributes:
        known: The directory's answers for `wanted`.
        networks: On which terms clients relay.
        rewriter: Knows our rewritten senders.
        today: For the age of those.
        hostname: Our name; of its addresses only postmaster is known.
        has_postmaster: Somebody takes the mail to postmaster of every domain of ours.
        ownership: Whose addresses an account may send as.
        grants: Those that are lent to the account that asks.
        refuses_bounces: The recipient takes mail without a sender at its return paths only, and
            this is none of them.
    """

    known: Known
    networks: Sequence[Network]
    rewriter: Rewriter
    today: date
    hostname: str = ""
    has_postmaster: bool = False
    ownership: Ownership = "strict"
    grants: Grants = field(default_factory=dict)
    refuses_bounces: bool = False


def wanted(question: Question) -> tuple[str, ...]:
    """Return the keys that must be known to judge ``question``."""
    match question:
        case MailQuestion(sender=sender, auth=auth):
            return tuple(key for text in (sender, auth) for key in _keys(text))
        case RcptQuestion(recipient=address) | ListQuestion(address=address):
            return _keys(address)
        case AuthorQuestion(authors=authors, sender=sender, auth=auth):
            return tuple(key for text in (*authors, sender, auth) for key in _keys(text))


def judge(question: Question, grounds: Grounds) -> Verdict:
    """Answer ``question``."""
    match question:
        case MailQuestion():
            return judge_sender(question, grounds)
        case RcptQuestion():
            return judge_recipient(question, grounds)
        case AuthorQuestion():
            return judge_authors(question, grounds)
        case ListQuestion():
            return name_members(question, grounds)


def judge_sender(question: MailQuestion, grounds: Grounds) -> Verdict:
    """An account that may still log in sends as whom it has a right to, or as nobody."""
    if not question.auth:
        return accept("stranger")
    if not _is_enabled(question.auth, grounds.known):
        return _CLOSED
    if question.sender and read(question.sender) is None:
        return refuse(BAD_SENDER, "Bad sender address", "sender syntax")
    if not question.sender or allows(
        grounds.ownership, _right(question.sender, question.auth, grounds)
    ):
        return accept("sender rights")
    return refuse(NOT_YOURS, "Sender address is not yours", "sender rights")


def judge_authors(question: AuthorQuestion, grounds: Grounds) -> Verdict:
    """Every author is somebody the account has a right to; Sender tells who it was, if not (RFC 6409 §8.1)."""
    if not _is_enabled(question.auth, grounds.known):
        return _CLOSED
    rights = [_right(author, question.auth, grounds) for author in question.authors]
    is_strict = grounds.ownership == "strict"
    if not all(allows(grounds.ownership, right) for right in rights) or (is_strict and not rights):
        return refuse(NOT_YOURS, "From address is not yours", "author rights")
    if question.sender:
        must_tell = _right(question.sender, question.auth, grounds) is not Right.OWN
    else:
        must_tell = rights != [Right.OWN]  # several authors need a Sender (RFC 5322 §3.6.2)
    return structs.replace(accept("author rights"), must_tell=must_tell)


def name_members(question: ListQuestion, grounds: Grounds) -> Verdict:
    """Tell whom an address of ours stands for; of others' nothing is known (RFC 5321 §3.5.3)."""
    address = read(question.address)
    if address is None:
        return refuse(BAD_RECIPIENT, "Bad address", "recipient syntax")
    place = find(address, grounds.known)
    if place is None and address.domain != grounds.hostname.lower():
        return refuse(NO_RELAY, "Address is not of this house", "relay")
    asked = RcptQuestion(recipient=question.address, auth=question.auth, client=question.client)
    verdict = judge_recipient(asked, grounds)
    members: tuple[str, ...] = (str(address),)
    if question.expand and place is not None and place.alias is not None:
        members = place.alias.targets
    return structs.replace(verdict, members=members if verdict.accepts else ())


def _right(claimed: str, auth: str, grounds: Grounds) -> Right:
    return right_to(claimed, auth, grounds.known, grounds.grants)


def _is_enabled(auth: str, known: Known) -> bool:
    owner = read(auth)
    mine = find(owner, known) if owner else None
    return mine is not None and mine.account is not None and mine.account.enabled


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
    return _here(question, recipient, place, grounds)


def _here(question: RcptQuestion, recipient: Address, place: Place, grounds: Grounds) -> Verdict:
    """Judge an address of ours."""
    if not place.is_known:
        return _nobody(question, recipient, place, grounds)
    if place.alias is not None and not may_post(place.alias, _poster(question, grounds)):
        return refuse(NO_POSTER, NO_POSTER_TEXT, "no poster")
    is_forged = grounds.refuses_bounces and not is_postmaster(recipient)
    return _UNSIGNED if is_forged else _mailbox(place)


def _poster(question: RcptQuestion, grounds: Grounds) -> str:
    """Return who is known to send; empty for a stranger."""
    if question.auth:
        return question.auth
    return question.sender if is_of_house(question, grounds.networks) else ""


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
    terms = _terms(question.client, networks)
    if terms is None or not terms.relay:
        return refuse(RELAY_DENIED, "Relaying denied", "relay")
    return _by_network(question, recipient, terms)


def _by_network(question: RcptQuestion, recipient: Address, terms: Network) -> Verdict:
    """Judge the way out for a client of a network that may relay."""
    if not _may_send(question.sender, terms):
        return refuse(RELAY_DENIED, "Relaying denied for this sender", "network's senders")
    if _DETOURS & set(recipient.local):
        return refuse(RELAY_DENIED, "Relaying by detour denied", "detour")
    return accept("network relays")


def is_of_house(question: RcptQuestion, networks: Sequence[Network]) -> bool:
    """True for mail of an account, or of a network that may relay; not for what LMTP passes on."""
    if question.auth:
        return True
    return not question.is_relay and is_ours(question.client, question.sender, networks)


def is_ours(client: str, sender: str, networks: Sequence[Network]) -> bool:
    """True if ``client`` may relay as ``sender`` by its network."""
    terms = _terms(client, networks)
    if terms is None or not terms.relay:
        return False
    return _may_send(sender, terms)


def _may_send(sender: str, terms: Network) -> bool:
    return not terms.senders or sender.rpartition("@")[2].lower() in terms.senders


def _terms(client: str, networks: Sequence[Network]) -> Network | None:
    """Return the most specific network that ``client`` is in."""
    try:
        address = ip_address(client)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:192.0.2.1 on a dual-stack socket
    found = [each for each in networks if (mapped or address) in each.network]
    return max(found, key=lambda each: each.network.prefixlen, default=None)


def _keys(text: str) -> tuple[str, ...]:
    address = read(text)
    return keys_of(address) if address else ()
