"""The command on mail under way: its trace."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import Client, connect, path
from postmaster.cli.failure import Failure
from postmaster.cli.output import AsJson, Column, listing, moment, octets, plain, print_json, say
from postmaster.cli.timeline import lines

FOUND_COLUMNS = [
    ("Id", "id", plain),
    ("Accepted", "accepted_at", moment),
    ("Sender", "sender", lambda sender: str(sender or "<>")),
    ("Recipients", "recipients", plain),
    ("Message-ID", "message_id", plain),
]
STEP_COLUMNS: list[Column] = [
    ("Time (UTC)", "time", plain),
    ("After", "after", plain),
    ("Service", "service", plain),
    ("What", "what", plain),
    ("Recipient", "recipient", plain),
    ("Detail", "detail", plain),
]


def trace(
    ident: Annotated[
        str | None, typer.Argument(metavar="ID", help="The id in the log or the listing.")
    ] = None,
    *,
    message_id: Annotated[
        str | None, typer.Option(metavar="FIELD", help="The Message-ID field.")
    ] = None,
    sender: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The envelope sender.")
    ] = None,
    recipient: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A recipient, also before aliases.")
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            metavar="NUMBER", min=1, max=1000, help="How many, newest first; 1000 at most."
        ),
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """Tell what became of a message, by its id or by what is known of it; without: the newest."""
    query = {"message_id": message_id, "sender": sender, "recipient": recipient}
    given = [value for value in (ident, *query.values()) if value is not None]
    if len(given) > 1:
        raise Failure("Give only one: an id, --message-id, --sender or --recipient.")
    with connect() as api:
        if ident is not None:
            _tell_timeline(api, ident, as_json=as_json)
            return
        found = api.ask("GET", path("trace"), query={**query, "limit": limit})["items"]
    listing(found, FOUND_COLUMNS, as_json=as_json, empty="No such message.")


def _tell_timeline(api: Client, ident: str, *, as_json: bool) -> None:
    timeline = api.ask("GET", path("trace", ident))
    if as_json:
        print_json(timeline)
        return
    envelope = timeline["envelope"]
    sender = envelope["sender"] or "<>"
    say(f"{envelope['id']} from {sender}, {octets(envelope['size'])}, {envelope['message_id']}")
    who = {row["n"]: row["address"] for row in timeline["recipients"]}
    steps = list(lines(timeline["events"], who))
    listing(steps, STEP_COLUMNS, as_json=False, empty="Nothing was noted.")
    say("")
    states = [("Recipient", "address", plain), ("State", "state", plain)]
    states += [("Attempts", "attempts", plain), ("Reply", "reply", plain)]
    listing(timeline["recipients"], states, as_json=False, empty="No recipients.")
