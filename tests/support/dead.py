"""Dead letters as the undertaker files them: for tests of what operators do with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from posthouse.bus.obituary import History, compose
from posthouse.bus.topology import road_of
from posthouse.bus.undertaking import Burial
from posthouse.bus.wire import encode
from posthouse.mail.envelope import Envelope, Local, LocalRecipient, Remote
from posthouse.storage import ledger
from posthouse.storage.dead_letters import Choice, DeadLetter, dead_letters
from posthouse.storage.ledger import Branch, Kept, NewMail
from posthouse.storage.pool import Pool
from postmaster.duties.undertaker import Undertaker

ALL = Choice(state=None)


def burial(envelope: Envelope, why: str = "a bug of ours") -> Burial:
    """Return ``envelope`` as a consumer buries it."""
    road = road_of(envelope)
    death = compose("test", road, ValueError(why), History(), datetime.now(UTC))
    return Burial(road=road, body=encode(envelope), envelope=envelope, obituary=death)


async def die(pool: Pool, *envelopes: Envelope, why: str = "a bug of ours") -> list[DeadLetter]:
    """File dead letters of ``envelopes``; return those that are new."""
    before = {letter.id for letter in await dead_letters(pool, ALL)}
    await Undertaker(pool).file([burial(envelope, why) for envelope in envelopes])
    return [letter for letter in await dead_letters(pool, ALL) if letter.id not in before]


async def routed_outside(pool: Pool, mails: Sequence[NewMail]) -> list[Remote]:
    """Enter and route ``mails``, each to the domain of its recipients; return what travels."""
    await ledger.enter(pool, mails)
    kept = [
        (mail.id, Kept(each.n, Branch(road="remote", address=each.address, domain=_domain(mail))))
        for mail in mails
        for each in mail.recipients
    ]
    await ledger.routed(pool, kept)
    await ledger.published(pool, [mail.id for mail in mails])
    places = [(mail.id, each.n) for mail in mails for each in mail.recipients]
    return await ledger.envelopes_at(pool, places)


async def routed_home(pool: Pool, mail: NewMail, account: int) -> Local:
    """Enter and route ``mail`` into the mailbox of ``account``; return what travels."""
    await ledger.enter(pool, [mail])
    branch = Branch(road="local", address=mail.recipients[0].address, account=account)
    await ledger.routed(pool, [(mail.id, Kept(0, branch))])
    await ledger.published(pool, [mail.id])
    to = LocalRecipient(n=0, address=mail.recipients[0].address, account=account)
    return Local(id=mail.id, sender=mail.sender, size=mail.size, recipients=(to,))


def _domain(mail: NewMail) -> str:
    return mail.recipients[0].address.rpartition("@")[2]
