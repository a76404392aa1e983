"""Accounts and accepted mail, ready to be filed."""

from __future__ import annotations

from posthouse.mail.envelope import Inbound, InboundRecipient, Summary
from posthouse.mail.ids import new_id
from posthouse.mime import scan
from posthouse.storage import directory, ledger
from posthouse.storage.filing import Filing
from posthouse.storage.pool import Pool

DOMAIN = "example.test"
LETTER = b"From: bert@example.test\r\nSubject: hello\r\n\r\nHello, Anna.\r\n"
SUMMARY: Summary = scan(LETTER)
PREFIX = b"Return-Path: <bert@example.test>\r\nDelivered-To: anna@example.test\r\n"


async def add_accounts(pool: Pool, *names: str, quota: int | None = None) -> dict[str, int]:
    """Make the domain and an account for each name; return their ids by name."""
    if not await directory.domains(pool):
        await directory.add_domain(pool, DOMAIN)
    return {
        name: await directory.add_account(pool, f"{name}@{DOMAIN}", "no hash", quota)
        for name in names
    }


async def accepted(pool: Pool, *accounts: int, folder: str = "") -> list[Filing]:
    """Enter one message with a recipient for each account; return what is to be filed."""
    envelope = Inbound(
        id=new_id(),
        sender="bert@example.test",
        size=len(LETTER),
        recipients=tuple(
            InboundRecipient(n=n, address="anna@example.test") for n in range(len(accounts))
        ),
    )
    recipients = tuple(ledger.NewRecipient(r.n, r.address) for r in envelope.recipients)
    mail = ledger.NewMail(
        id=envelope.id,
        origin="smtp",
        sender=envelope.sender,
        size=envelope.size,
        recipients=recipients,
        envelope=envelope,
    )
    await ledger.enter(pool, [mail])
    return [
        Filing(
            id=envelope.id,
            n=n,
            account=account,
            folder=folder,
            prefix=PREFIX,
            size=len(LETTER),
            summary=SUMMARY,
        )
        for n, account in enumerate(accounts)
    ]
