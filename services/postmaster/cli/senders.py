"""Commands on how mail of a domain or an account is sent and told of."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, plain, say

sender = Commands("How mail of a domain or an account is sent and told of.")

Whose = Annotated[
    str, typer.Argument(metavar="WHOSE", help="A domain, or an account as name@domain.")
]
COLUMNS: list[Column] = [
    ("Whose", "whose", plain),
    ("Language", "language", plain),
    ("Return path", "return_path", plain),
    ("Signed only", "signed_only", plain),
    ("Suppress after", "suppress_after", plain),
]


class ReturnPath(Enum):
    """What servers outside see as the sender."""

    PLAIN = "plain"
    SIGNED = "signed"
    VERP = "verp"


@sender.add("set")
def sender_set(
    whose: Whose,
    *,
    language: Annotated[
        str | None, typer.Option(metavar="TAG", help="Of reports that are sent to it, as de.")
    ] = None,
    return_path: Annotated[
        ReturnPath | None,
        typer.Option(help="What servers outside see as its sender; verp: one per recipient."),
    ] = None,
    signed_only: Annotated[
        bool | None,
        typer.Option(
            "--signed-only/--any-bounce",
            help="Refuse mail without a sender that does not come to a return path of ours.",
        ),
    ] = None,
    suppress_after: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", min=0, max=1000, help="Hard bounces; 0 for never."),
    ] = None,
) -> None:
    """Say how a domain or an account sends; what is not given stays as it is."""
    named = return_path.value if return_path else None
    given: dict[str, Any] = {
        "language": language,
        "return_path": named,
        "signed_only": signed_only,
        "suppress_after": suppress_after,
    }
    body = {name: value for name, value in given.items() if value is not None}
    if not body:
        raise Failure("Say what: --language, --return-path, --signed-only or --suppress-after.")
    with connect() as api:
        api.ask("PATCH", path("senders", whose), body=body)
    said = ", ".join(f"{name.replace('_', ' ')} {plain(value)}" for name, value in body.items())
    say(f"{whose}: {said}.")


@sender.add("list")
def sender_list(*, as_json: AsJson = False) -> None:
    """List the domains and accounts of which something is said."""
    with connect() as api:
        rows = api.rows(path("senders"))
        listing(rows, COLUMNS, as_json=as_json, empty="All senders go by the settings.")


@sender.add("remove")
def sender_remove(whose: Whose) -> None:
    """Leave all of it to the domain or the settings again."""
    with connect() as api:
        api.ask("DELETE", path("senders", whose))
    say(f"{whose} goes by what holds for all.")
