"""Envelopes: what travels on the roads (RFC 5321 §2.3.1), never the octets.

An envelope names a message by its id and says what the next station needs. Its truth is the
ledger: a lost envelope is published again from there, a doubled one finds its work done.

They are msgspec structs, tagged, so that an old station reads a new envelope and a new station an
old one; an unknown tag is no envelope and goes to the dead letters.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from posthouse.mail.handling import DEFAULT, PLAIN, Handling, Notify
from posthouse.mail.ids import moment_of, object_key, unjudged_key
from posthouse.mail.schedule import Deadline, deadline_of, release_of

Body: TypeAlias = Literal["7BIT", "8BITMIME"]  # RFC 6152 §2
MAX_SUMMARY_OCTETS = 65_536  # a larger summary stays behind and is made again at delivery


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What one scan of a message found; made once, stored with the mailbox's contents.

    Attributes:
        envelope: The ENVELOPE as it goes on the wire (RFC 3501 §7.4.2).
        bodystructure: The BODYSTRUCTURE as it goes on the wire (RFC 3501 §7.4.2).
        header: The header octets of the stored object, with the empty line at its end.
        parts: Where each part lies in the object, packed by `posthouse.mime`.
    """

    envelope: bytes
    bodystructure: bytes
    header: bytes
    parts: bytes

    @property
    def octets(self) -> int:
        """The size that counts against `MAX_SUMMARY_OCTETS`."""
        return len(self.envelope) + len(self.bodystructure) + len(self.header) + len(self.parts)


class InboundRecipient(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A recipient as it was accepted.

    Attributes:
        n: Its number in the ledger; with the envelope's id the key of idempotent work.
        address: The forward path of RCPT, without brackets.
        notify: What its sender wants to be told of.
    """

    n: int
    address: str
    notify: Notify = DEFAULT


class LocalRecipient(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A recipient with a mailbox here.

    Attributes:
        n: Its number in the ledger.
        address: The final address, after aliases; goes into ``Delivered-To``.
        account: Whose mailbox.
        folder: The detail of plus addressing; the mailbox of that name is used when it exists.
        notify: What its sender wants to be told of.
    """

    n: int
    address: str
    account: int
    folder: str = ""
    notify: Notify = DEFAULT


class _Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every envelope says of its message.

    Attributes:
        id: Stays the same through all retries and tells the object and the ledger's partition.
        sender: The reverse path; empty for the null path ``<>`` of a bounce, which is never
            answered by another bounce (RFC 5321 §4.5.5).
        size: Octets of the stored object.
        body: What the client declared (RFC 6152 §2).
        smtputf8: The message needs SMTPUTF8 (RFC 6531 §3.4).
        handling: What its sender asks for.
        junk: It looks like spam: who has a mailbox here finds it in Junk.
    """

    id: UUID
    sender: str
    size: int
    body: Body = "7BIT"
    smtputf8: bool = False
    handling: Handling = PLAIN
    junk: bool = False

    @property
    def blob(self) -> str:
        """Key of the message in object storage."""
        return object_key(self.id)

    @property
    def arrived(self) -> datetime:
        """When we took responsibility (UTC)."""
        return moment_of(self.id)

    @property
    def released(self) -> datetime:
        """When it may start on its way (UTC); delays and give-up times count from here."""
        return release_of(self.handling.hold, self.arrived)

    @property
    def deadline(self) -> Deadline | None:
        """Until when it must have arrived; None if nobody asked for that."""
        by = self.handling.by
        return deadline_of(by, self.arrived) if by else None


class Inbound(_Message, frozen=True, kw_only=True, tag="inbound", omit_defaults=True):
    """Accepted, not yet routed: the road ``mail.inbound``.

    Attributes:
        recipients: As accepted; never empty.
        auth: The account that submitted it, empty for a stranger.
        summary: The scan made at acceptance, if it was small enough to travel.
        unjudged: Nobody has judged its content; routing does, before it goes on.
        wait: Why it waits for an operator, once it is routed; empty if it does not.
        attempts: How often it was tried to judge it, and put off.
        warned: The sender was told of the delay.
    """

    recipients: tuple[InboundRecipient, ...]
    auth: str = ""
    summary: Summary | None = None
    unjudged: bool = False
    wait: str = ""
    attempts: int = 0
    warned: bool = False

    @property
    def blob(self) -> str:
        """Key of the message in object storage; of one that nobody has judged, as it came."""
        return unjudged_key(self.id) if self.unjudged else object_key(self.id)


class Local(_Message, frozen=True, kw_only=True, tag="local", omit_defaults=True):
    """For mailboxes of this house: the road ``mail.local``.

    Attributes:
        recipients: Those still to be served; never empty.
        auth: The account that submitted it, empty for a stranger: it may post where others may not.
        summary: See `Inbound`.
        attempts: How often delivery was tried and deferred.
        warned: The sender was told of the delay.
    """

    recipients: tuple[LocalRecipient, ...]
    auth: str = ""
    summary: Summary | None = None
    attempts: int = 0
    warned: bool = False


class Remote(_Message, frozen=True, kw_only=True, tag="remote", omit_defaults=True):
    """For one next hop outside: the roads ``mail.remote.<shard>``.

    Attributes:
        domain: The domain of all these recipients, lower case, in A-label or as written.
        recipients: Those still to be served; never empty.
        attempts: How often delivery was tried and deferred.
        warned: The sender was told of the delay.
        on_request: The domain's server has asked for it (RFC 1985), or an operator: it is tried
            whatever we think of the destination.
        via: The next hop that an operator chose for it; empty for the ordinary way.
        verdict: What its sender is told, because an operator ends it; empty otherwise.
        paused: Seconds that an operator has held it; they do not count as age.
    """

    domain: str
    recipients: tuple[InboundRecipient, ...]
    attempts: int = 0
    warned: bool = False
    on_request: bool = False
    via: str = ""
    verdict: str = ""
    paused: int = 0

    @property
    def released(self) -> datetime:
        """When it started on its way (UTC), later by the time that it was held."""
        start = release_of(self.handling.hold, self.arrived)
        return start + timedelta(seconds=self.paused) if self.paused else start


Envelope: TypeAlias = Inbound | Local | Remote


class MailboxChanged(msgspec.Struct, frozen=True, kw_only=True, tag="mailbox-changed"):
    """A notice for IDLE: something was committed in a mailbox.

    A lost notice only delays: every command and a slow timer look at the mailbox itself.

    Attributes:
        account: Whose mailbox.
        mailbox: Which one; 0 if the list of mailboxes itself changed.
        modseq: The mailbox's modification sequence after the commit (RFC 7162 §3.1).
    """

    account: int
    mailbox: int
    modseq: int
