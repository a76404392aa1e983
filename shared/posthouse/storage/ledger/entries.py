"""New mail enters the ledger: envelope, recipients and "not yet published", in one statement.

Entering the same mail again changes nothing, so whoever does not know whether a commit happened
repeats it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from posthouse.mail.envelope import Body, Inbound
from posthouse.mail.handling import DEFAULT, PLAIN, Handling, Notify
from posthouse.mail.ids import day_of, moment_of
from posthouse.mail.schedule import release_of
from posthouse.storage.pool import Queries

Origin: TypeAlias = Literal["smtp", "submission", "bounce", "report"]

# The inserts are one statement: one round trip, one commit, for as many mails as there are. Mail
# that is held is not to be published yet: it stands in `held` until then (`holding`).
_ENTER = """
    with new_envelopes as (
        insert into envelopes (day, id, accepted_at, origin, sender, size, body, smtputf8,
                               client, auth, message_id, subject_id, envid, ret, requiretls,
                               hold, deliver_by, verdict, junk, unjudged)
        select day, id, at, origin, sender, size, body, smtputf8, client, auth, message_id, subject,
               envid, ret, requiretls, hold, deliver_by, verdict::jsonb, junk, unjudged
          from unnest($1::date[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[],
                      $6::int[], $7::text[], $8::bool[], $9::text[], $10::text[],
                      $11::text[], $12::uuid[], $13::text[], $14::text[], $15::bool[],
                      $16::text[], $17::text[], $25::text[], $26::bool[], $27::bool[])
            as e (day, id, at, origin, sender, size, body, smtputf8, client, auth, message_id,
                  subject, envid, ret, requiretls, hold, deliver_by, verdict, junk, unjudged)
            on conflict do nothing
    ), new_held as (
        insert into held (id, account, release_at)
        select * from unnest($2::uuid[], $10::text[], $18::timestamptz[]) as k (id, account, due)
         where due is not null
            on conflict do nothing
    ), new_recipients as (
        insert into recipients (day, envelope, n, address, notify, orcpt)
        select * from unnest($19::date[], $20::uuid[], $21::int[], $22::text[], $23::text[],
                             $24::text[])
            on conflict do nothing
    )
    insert into unpublished (id)
    select id from unnest($2::uuid[], $18::timestamptz[]) as k (id, due) where due is null
        on conflict do nothing
"""


class NewRecipient(msgspec.Struct, frozen=True):
    """A recipient as it was accepted.

    Attributes:
        n: Its number within the message.
        address: The forward path of RCPT, without brackets.
        notify: What its sender wants to be told of.
    """

    n: int
    address: str
    notify: Notify = DEFAULT


class NewMail(msgspec.Struct, frozen=True, kw_only=True):
    """A message whose octets are stored, about to be taken responsibility for.

    Attributes:
        id: Tells its day and its object.
        origin: How it came to us.
        sender: The reverse path; empty for the null path.
        size: Octets of the stored object.
        body: What the client declared (RFC 6152 §2).
        smtputf8: The message needs SMTPUTF8 (RFC 6531 §3.4).
        client: Address and HELO name of who gave it to us, for the trace.
        auth: The account that submitted it; empty for a stranger.
        message_id: Its Message-ID field, for searching; may be empty.
        recipients: Never empty.
        subject_id: Of a bounce: the message it speaks of.
        handling: What its sender asks for.
        verdict: What was found of its content (`ContentVerdict.record`); empty for nothing.
        envelope: What is published after the commit.
    """

    id: UUID
    origin: Origin
    sender: str
    size: int
    body: Body = "7BIT"
    smtputf8: bool = False
    client: str = ""
    auth: str = ""
    message_id: str = ""
    recipients: tuple[NewRecipient, ...]
    subject_id: UUID | None = None
    handling: Handling = PLAIN
    verdict: str = ""
    envelope: Inbound

    @property
    def release_at(self) -> datetime | None:
        """Until when it is held; None if it starts at once."""
        arrived = moment_of(self.id)
        release = release_of(self.handling.hold, arrived)
        return release if release > arrived else None


async def enter(queries: Queries, mails: Sequence[NewMail]) -> None:
    """Write ``mails``; those that are there already stay as they are."""
    envelopes = [_envelope_row(mail) for mail in mails]
    recipients = [_recipient_row(mail, each) for mail in mails for each in mail.recipients]
    verdicts = [_verdict_row(mail) for mail in mails]
    columns = (
        *zip(*envelopes, strict=True),
        *zip(*recipients, strict=True),
        *zip(*verdicts, strict=True),
    )
    await queries.execute(_ENTER, *columns)


def _envelope_row(mail: NewMail) -> tuple[object, ...]:
    asked = mail.handling
    return (
        day_of(mail.id),
        mail.id,
        moment_of(mail.id),
        mail.origin,
        storable(mail.sender),
        mail.size,
        mail.body,
        mail.smtputf8,
        storable(mail.client),
        storable(mail.auth),
        storable(mail.message_id),
        mail.subject_id,
        asked.envid or None,
        asked.ret or None,
        asked.requiretls or None,
        asked.hold or None,
        asked.by or None,
        mail.release_at,
    )


def _verdict_row(mail: NewMail) -> tuple[object, ...]:
    its = mail.envelope
    return mail.verdict or None, its.junk or None, its.unjudged or None


def _recipient_row(mail: NewMail, recipient: NewRecipient) -> tuple[object, ...]:
    wish, key = recipient.notify, (day_of(mail.id), mail.id, recipient.n)
    address = storable(recipient.address)
    if wish is DEFAULT:
        return (*key, address, None, None)
    return (*key, address, wish.on or None, storable(wish.orcpt) or None)


def storable(text: str) -> str:
    """Return ``text`` as PostgreSQL takes it: no NUL, no lone surrogates (both become U+FFFD)."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
