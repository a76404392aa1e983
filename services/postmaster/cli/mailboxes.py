"""Commands on mailboxes: taking them over from another server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from postmaster.cli.choosing import Which, chosen_by
from postmaster.cli.client import connect
from postmaster.cli.help import Commands
from postmaster.cli.maildirs import DOVECOT_UIDL, mailboxes, subscriptions
from postmaster.cli.moving import Way, move, tell
from postmaster.cli.old_server import Login, Server, unique_ids
from postmaster.cli.output import AsJson

mailbox = Commands("Mailboxes of people.")

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose, as name@domain.")]

Deletes = Annotated[
    bool,
    typer.Option("--delete", help="Delete here what was imported and is there no more."),
]


@mailbox.add("import")
def mailbox_import(
    address: Address,
    maildir: Annotated[
        Path,
        typer.Argument(exists=True, file_okay=False, help="A Maildir++ of Dovecot or Courier."),
    ],
    uidl: Annotated[
        str,
        typer.Option(metavar="FORMAT", help="Dovecot's pop3_uidl_format, with %u, %v, %g, %f."),
    ] = DOVECOT_UIDL,
    *,
    deletes: Deletes = False,
    as_json: AsJson = False,
) -> None:
    """Take over all folders of a Maildir: messages, dates, flags, keywords, UIDs, POP3's unique ids.

    Clients notice no move: UIDVALIDITY and UIDs stay what dovecot-uidlist or courierimapuiddb say.
    So import before the account gets mail here. What was imported is passed over when the command
    is run again, but for flags that changed, and for deletions with --delete; a message whose UID
    new mail has taken gets the next one, and is told. Subscriptions and rights come along.
    """
    with connect() as api:
        way = Way(api=api, address=address, deletes=deletes)
        told = move(way, mailboxes(maildir, address, uidl), subscriptions(maildir))
    tell(told, as_json=as_json)


_THERE = {
    "user": Annotated[
        str | None,
        typer.Option(metavar="NAME", help="At the old server; ADDRESS if left out."),
    ],
    "pop3": Annotated[
        str | None,
        typer.Option(metavar="URL", help="pop3s:// or pop3://, for the unique ids."),
    ],
}


@mailbox.add("import-imap")
@chosen_by(_THERE)
def mailbox_import_imap(
    there: Which,
    address: Address,
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="imaps://HOST[:PORT], or imap:// for STARTTLS."),
    ],
    *,
    password_file: Annotated[
        Path, typer.Option("--password-file", exists=True, dir_okay=False, help="One line.")
    ],
    deletes: Deletes = False,
    as_json: AsJson = False,
) -> None:
    """Take over all mailboxes of a person from a running server, whatever keeps them there.

    As 'import' does, and special uses too; POP3's unique ids if its URL is given.
    """
    password = password_file.read_text().rstrip("\r\n")
    login = Login(user=there.get("user", address), password=password)
    uidls = unique_ids(login, there["pop3"]) if "pop3" in there else ()
    with connect() as api, Server(login, url, owner=address, uidls=uidls) as old:
        way = Way(api=api, address=address, deletes=deletes)
        told = move(way, old.mailboxes(), old.subscriptions())
    tell(told, as_json=as_json)
