"""Commands on mailboxes: taking them over from another server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from postmaster.cli.client import connect
from postmaster.cli.help import Commands
from postmaster.cli.maildirs import DOVECOT_UIDL, mailboxes, subscriptions
from postmaster.cli.moving import move, tell
from postmaster.cli.old_server import Login, Server, unique_ids
from postmaster.cli.output import AsJson

mailbox = Commands("Mailboxes of people.")

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose, as name@domain.")]


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
    as_json: AsJson = False,
) -> None:
    """Take over all folders of a Maildir: messages, dates, flags, keywords, UIDs, POP3's unique ids.

    Clients notice no move: UIDVALIDITY and UIDs stay what dovecot-uidlist or courierimapuiddb say.
    So import before the account gets mail here. What was imported is passed over when the command
    is run again, but for flags that changed; a message whose UID new mail has taken gets the next
    one, and is told. Subscriptions and rights come along.
    """
    with connect() as api:
        told = move(api, address, mailboxes(maildir, address, uidl), subscriptions(maildir))
    tell(told, as_json=as_json)


@mailbox.add("import-imap")
def mailbox_import_imap(
    address: Address,
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="imaps://HOST[:PORT], or imap:// for STARTTLS."),
    ],
    *,
    password_file: Annotated[
        Path, typer.Option("--password-file", exists=True, dir_okay=False, help="One line.")
    ],
    user: Annotated[
        str, typer.Option(metavar="NAME", help="At the old server; ADDRESS if left out.")
    ] = "",
    pop3: Annotated[
        str, typer.Option(metavar="URL", help="pop3s:// or pop3://, for the unique ids.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Take over all mailboxes of a person from a running server, whatever keeps them there.

    As 'import' does, and special uses too; POP3's unique ids if its URL is given.
    """
    login = Login(user=user or address, password=password_file.read_text().rstrip("\r\n"))
    uidls = unique_ids(login, pop3) if pop3 else ()
    with connect() as api, Server(login, url, owner=address, uidls=uidls) as old:
        told = move(api, address, old.mailboxes(), old.subscriptions())
    tell(told, as_json=as_json)
