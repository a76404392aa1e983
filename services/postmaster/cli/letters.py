"""Commands on mail under way: dead letters, the trace."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from postmaster.cli.client import Client, connect, path
from postmaster.cli.failure import Failure, confirm
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, moment, octets, plain, print_json, say
from postmaster.cli.timeline import lines

dead = Commands("Letters that nobody could deliver.")

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

Fingerprint = Annotated[str | None, typer.Option(metavar="TEXT", help="All of this fingerprint.")]
Road = Annotated[str | None, typer.Option(metavar="NAME", help="All of this road.")]
AtMost = Annotated[
    int, typer.Option(metavar="NUMBER", min=1, max=1000, help="At most so many; 1 is a canary.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which.")]
Ids = Annotated[list[int] | None, typer.Argument(metavar="ID", help="Their numbers.")]


@dead.add("list")
def dead_list(
    *,
    fingerprint: Fingerprint = None,
    road: Road = None,
    state: Annotated[
        str, typer.Option(metavar="STATE", help="waiting, replayed, discarded or all.")
    ] = "waiting",
    as_json: AsJson = False,
) -> None:
    """List the dead letters, oldest first."""
    columns = [
        ("Id", "id", plain),
        ("Road", "road", plain),
        ("Last failed", "last_failed", moment),
        ("Fingerprint", "fingerprint", plain),
        ("Reason", "reason", plain),
        ("Envelope", "envelope", plain),
        ("State", "state", plain),
    ]
    query = {"fingerprint": fingerprint, "road": road, "state": state}
    with connect() as api:
        rows = api.rows(path("dead-letters"), query)
        listing(rows, columns, as_json=as_json, empty="There are no dead letters.")


def _together(names: object) -> str:
    return ", ".join(names) if isinstance(names, list) else plain(names)


@dead.add("groups")
def dead_groups(*, as_json: AsJson = False) -> None:
    """Tell of what they died: one line for each fingerprint, the largest group first."""
    columns = [
        ("Letters", "count", plain),
        ("Fingerprint", "fingerprint", plain),
        ("Roads", "roads", _together),
        ("First failed", "first_failed", moment),
        ("Last failed", "last_failed", moment),
        ("Oldest", "oldest", plain),
        ("Reason", "reason", plain),
    ]
    with connect() as api:
        rows = api.ask("GET", path("dead-letters", "groups"))["items"]
    listing(rows, columns, as_json=as_json, empty="There are no dead letters.")


@dead.add("show")
def dead_show(
    ident: Annotated[int, typer.Argument(metavar="ID", help="Its number.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with the envelope that lies in it."""
    with connect() as api:
        letter = api.ask("GET", path("dead-letters", ident))
    if as_json:
        print_json(letter)
        return
    for name, value in letter.items():
        if name != "body":
            say(f"{name.replace('_', ' '):>13}  {plain(value)}")
    say(f"{'body':>13}  {base64.b64decode(letter['body']).decode(errors='replace')}")


def _choice(ids: list[int] | None, fingerprint: str | None, road: str | None) -> dict[str, Any]:
    if not ids and fingerprint is None and road is None:
        raise Failure("Say which: ids, --fingerprint or --road.")
    return {"ids": ids or None, "fingerprint": fingerprint, "road": road}


@dead.add("replay")
def dead_replay(
    ids: Ids = None,
    *,
    fingerprint: Fingerprint = None,
    road: Road = None,
    limit: AtMost = 1000,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put dead letters back on their road; safe to repeat, nothing is delivered twice."""
    body = _choice(ids, fingerprint, road) | {"limit": limit, "dry_run": dry_run}
    with connect() as api:
        answer = api.ask("POST", path("dead-letters", "replay"), body=body)
    _tell_replay(answer, as_json=as_json, verb="would go" if dry_run else "went")


def _tell_replay(answer: Mapping[str, Any], *, as_json: bool, verb: str) -> None:
    if as_json:
        print_json(answer)
    else:
        say(f"{len(answer['replayed'])} dead letters {verb} back on their road.")
        for kept in answer["kept"]:
            say(f"{kept['id']} stays: {kept['reason']}")
        _tell_of_more(answer)
    if answer["kept"]:
        raise Failure(f"{len(answer['kept'])} dead letters stay.")


@dead.add("discard")
def dead_discard(
    ids: Ids = None,
    *,
    fingerprint: Fingerprint = None,
    road: Road = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the letter.")] = "",
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End dead letters without delivery; their recipients are marked discarded."""
    body = _choice(ids, fingerprint, road) | {"note": note, "dry_run": dry_run}
    if not (yes or dry_run):
        confirm("End these letters without delivery?", "Nothing was discarded.")
    with connect() as api:
        answer = api.ask("POST", path("dead-letters", "discard"), body=body)
    verb = "would be discarded" if dry_run else "discarded"
    say(f"{len(answer['discarded'])} dead letters {verb}.")
    _tell_of_more(answer)


def _tell_of_more(answer: Mapping[str, Any]) -> None:
    if answer["more"]:
        say("There may be more of them: run it again.")


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
