"""Commands on mailboxes: taking them over from another server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from postmaster.cli.client import Client, connect, path
from postmaster.cli.help import Commands
from postmaster.cli.maildirs import DOVECOT_UIDL, Maildir, OldMessage, mailboxes
from postmaster.cli.output import AsJson, print_json, say

mailbox = Commands("Mailboxes of people.")


@mailbox.add("import")
def mailbox_import(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose, as name@domain.")],
    maildir: Annotated[
        Path,
        typer.Argument(exists=True, file_okay=False, help="A Maildir++ of Dovecot or Courier."),
    ],
    uidl: Annotated[
        str,
        typer.Option(metavar="FORMAT", help="Dovecot's pop3_uidl_format, with %u, %v, %g, %f."),
    ] = DOVECOT_UIDL,
    *,
    as_json: AsJson = False,
) -> None:
    """Take over all folders of a Maildir: messages, dates, flags, keywords, UIDs, POP3's unique ids.

    Clients notice no move: UIDVALIDITY and UIDs stay what dovecot-uidlist or courierimapuiddb say.
    So import before the account gets mail here. What was imported is passed over when the command
    is run again; a message whose UID new mail has taken gets the next one, and is told.
    """
    with connect() as api, Progress(console=Console(stderr=True), transient=True) as progress:
        told = [
            {"mailbox": folder.name, **_import(api, address, folder, progress)}
            for folder in mailboxes(maildir, uidl)
        ]
    if as_json:
        print_json(told)
        return
    for each in told:
        say(
            f"{each['mailbox']}: {each['imported']} imported, {each['unchanged']} were here, "
            f"{each['renumbered']} with another UID, {each['empty']} without an octet left out."
        )


def _import(api: Client, address: str, folder: Maildir, progress: Progress) -> dict[str, int]:
    """Import one mailbox; return what became of its messages."""
    counts = {"imported": 0, "unchanged": 0, "renumbered": 0, "empty": 0}
    imported = _begin(api, address, folder, uidnext=1)
    for message in progress.track(folder.messages, description=folder.name):
        octets = message.octets() if message.uid > imported else b""
        if message.uid <= imported:
            counts["unchanged"] += 1
        elif not octets:
            counts["empty"] += 1
        else:
            uid = _send(api, address, folder, message, octets)
            counts["unchanged" if uid is None else "imported"] += 1
            counts["renumbered"] += uid not in (None, message.uid)
    _begin(api, address, folder, uidnext=folder.uidnext)
    return counts


def _begin(api: Client, address: str, folder: Maildir, *, uidnext: int) -> int:
    body = {
        "address": address,
        "mailbox": folder.name,
        "uidvalidity": folder.uidvalidity,
        "uidnext": uidnext,
    }
    return int(api.ask("POST", path("imports", "mailboxes"), body=body)["imported_uid"])


def _send(
    api: Client, address: str, folder: Maildir, message: OldMessage, octets: bytes
) -> int | None:
    query = {
        "address": address,
        "mailbox": folder.name,
        "uidvalidity": folder.uidvalidity,
        "uid": message.uid,
        "date": message.date.isoformat(),
        "uidl": message.uidl,
        "flags": list(message.flags),
    }
    answer = api.ask("PUT", path("imports", "messages"), octets=octets, query=query)
    uid: int | None = answer["uid"]
    return uid
