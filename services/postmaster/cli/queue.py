"""Commands on the queue: what waits for servers outside, and what is done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from postmaster.cli.choosing import Which, choosing
from postmaster.cli.client import Client, connect, path
from postmaster.cli.failure import Failure, confirm
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, moment, plain, print_json, recipients, say

queue = Commands(
    "Mail that waits for servers outside, and the roads it travels."
    "\n\n"
    "Mail is chosen by ids and conditions, all of which must hold; without any a command that "
    "changes something wants --all. Such a command says first how many recipients it concerns, and "
    "asks. It leaves alone what is being delivered at that moment, and tells how many that were; it "
    "may be repeated, and is noted in `posthouse audit list`."
)

_LOOKING = "Looking"
_CHANGING = "Changing"
_ROADS = "The roads"

# What was done, and how it reads before it is done.
_DONE = {
    "flush": "made due",
    "retry": "made due",
    "hold": "held",
    "release": "released",
    "reroute": "rerouted",
    "bounce": "sent back",
    "delete": "deleted",
}

_NOTHING = (
    "Nothing waits that fits. Mail that was never tried is found by its id only; "
    "posthouse trace --recipient ADDRESS tells it."
)

Everything = Annotated[bool, typer.Option("--all", help="Everything that waits.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many.")]


@queue.add("list", _LOOKING)
@choosing
def queue_list(
    which: Which,
    *,
    limit: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, max=1000, help="How many; 1000 at most.")
    ] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="KEY", help="Go on behind the page that named this key.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List recipients that wait, the oldest mail first.

    Mail that was never tried is not among them: it is found by its id only, which
    `posthouse trace --recipient ADDRESS` tells. How much of it there is: `posthouse queue roads`.
    """
    with connect() as api:
        answer = api.ask("GET", path("queue"), query={**which, "limit": limit, "after": after})
        count = api.ask("GET", path("queue", "count"), query=which)["count"]
    if as_json:
        print_json({**answer, "count": count})
        return
    for row in answer["items"]:
        _tell(row)
    shown = len(answer["items"])
    if not count:
        say("Nothing waits that fits." if "id" in which else _NOTHING)
    elif answer["next"] is not None:
        say(f"{shown} of {count}; the next page: --after {answer['next']}")


def _tell(row: Mapping[str, Any]) -> None:
    """Show one recipient: a table would break every word of what servers say."""
    say(f"{row['id']}  {row['recipient']}")
    state = f"{row['state']} after {row['attempts']} tries"
    if row["held_at"]:
        state += f", since {moment(row['held_at'])}"
    elif row["next_attempt_at"]:
        state += f", next {moment(row['next_attempt_at'])}"
    by = f", by {row['via']}" if row["via"] else ""
    say(f"    from {row['sender'] or '<>'}, {state}{by}")
    words = (row["status"], row["reply"], row["host"] and f"({row['host']})")
    if said := " ".join(word for word in words if word):
        say(f"    {said}")


@queue.add("count", _LOOKING)
@choosing
def queue_count(
    which: Which,
    *,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="WHAT", help="Also by domain, tenant, sender, recipient, status or state."
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, max=1000, help="How many of those.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Count recipients that wait, and say what most of them have in common."""
    with connect() as api:
        answer = api.ask("GET", path("queue", "count"), query={**which, "by": by, "top": top})
    if as_json:
        print_json(answer)
        return
    say(f"Waiting: {recipients(answer['count'])}.")
    if answer.get("by"):
        columns = [(str(by).capitalize(), "key", plain), ("Recipients", "count", plain)]
        rows = [{**row, "key": row["key"] or "<>"} for row in answer["by"]]
        listing(rows, columns, as_json=False, empty="")


@queue.add("flush", _CHANGING)
def queue_flush(
    *,
    domain: Annotated[
        str | None, typer.Option(metavar="DOMAIN", help="Only for it; .far.test for all below.")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Try now what is deferred, for one domain or all; also by routes that wait to be asked."""
    which = {"domain": domain} if domain else {"all": True}
    _decide("flush", which, yes=yes, dry_run=dry_run, as_json=as_json)


def _plain(verb: str, meaning: str) -> None:
    """Add the command ``verb``, which wants to know of which and no more."""

    def command(
        which: Which,
        *,
        everything: Everything = False,
        yes: Yes = False,
        dry_run: DryRun = False,
        as_json: AsJson = False,
    ) -> None:
        _decide(verb, _all(which, everything), yes=yes, dry_run=dry_run, as_json=as_json)

    command.__doc__ = meaning
    queue.add(verb, _CHANGING)(choosing(command))


_plain("retry", "Try now what is deferred; a site that does not answer is asked once.")
_plain("hold", "Hold it until it is released; the time it is held does not count as its age.")
_plain("release", "Let go what is held; it is tried now.")


@queue.add("reroute", _CHANGING)
@choosing
def queue_reroute(
    which: Which,
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="HOP", help="relay.test:587, mx:relay.test, lmtp:box.test:24, direct or usual."
        ),
    ],
    everything: Everything = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send it by another next hop, now and at each further try; what is held stays held."""
    choice = {**_all(which, everything), "to": to}
    _decide("reroute", choice, yes=yes, dry_run=dry_run, as_json=as_json)


@queue.add("bounce", _CHANGING)
@choosing
def queue_bounce(
    which: Which,
    *,
    text: Annotated[str, typer.Option(metavar="TEXT", help="The reason its senders are told.")],
    everything: Everything = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Return it to its senders now, held or not, with your reason."""
    choice = {**_all(which, everything), "text": text}
    _decide("bounce", choice, yes=yes, dry_run=dry_run, as_json=as_json)


_plain("delete", "End it without delivery, held or not; nobody is told.")


def _all(which: Which, everything: bool) -> dict[str, Any]:  # noqa: FBT001 - an option
    if not which and not everything:
        raise Failure("Say which: ids or conditions, or --all.")
    return {**which, "all": everything}


def _decide(verb: str, which: Which, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Say how many it concerns, ask, do it, and say how many it was."""
    with connect() as api:
        (found,) = [line["found"] for line in _ask(api, verb, {**which, "dry_run": True})]
        if dry_run:
            _tell_preview(verb, found, as_json=as_json)
            return
        if found and not yes:
            confirm(f"{recipients(found)} to be {_DONE[verb]}?", "Nothing was changed.")
        last = _carried_out(api, verb, which)
    if "error" in last or not last.get("done"):
        reason = last.get("error", "the postmaster broke off")
        raise Failure(
            f"Stopped after {last.get('changed', 0)} of {recipients(found)}: {reason}. "
            "Run it again; nothing is done twice."
        )
    if as_json:
        print_json(last)
        return
    say(f"{recipients(last['changed'])} {_DONE[verb]} (audit {last['audit']}).")
    if last["busy"]:
        say(f"{last['busy']} were being delivered and are as they were: run it again.")


def _tell_preview(verb: str, found: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"found": found, "dry_run": True})
    else:
        say(f"{recipients(found)} would be {_DONE[verb]}.")


def _ask(api: Client, verb: str, body: Which) -> list[dict[str, Any]]:
    return list(api.stream("POST", path("queue", verb), body=dict(body)))


def _carried_out(api: Client, verb: str, which: Which) -> dict[str, Any]:
    """Do it, with a bar that moves; return the last line."""
    last: dict[str, Any] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Recipients", total=None)
        for line in api.stream("POST", path("queue", verb), body=dict(which)):
            last = line
            progress.update(task, total=line.get("found"), completed=line.get("seen", 0))
    return last


@queue.add("roads", _ROADS)
def queue_roads(*, as_json: AsJson = False) -> None:
    """List the queues of the broker, and what the ledger says is under way on all roads."""
    with connect() as api:
        answer = api.ask("GET", path("queues"))
    if as_json:
        print_json(answer)
        return
    columns = [(name.capitalize(), name, plain) for name in ("queue", "ready", "consumers")]
    silence = f"The broker does not answer: {answer['trouble']}."
    listing(answer["queues"], columns, as_json=False, empty=silence)
    say("")
    ledger = [("Road", "road", plain), ("State", "state", plain), ("Recipients", "count", plain)]
    ledger.append(("Oldest", "oldest", moment))
    listing(answer["ledger"], ledger, as_json=False, empty="Nothing is under way.")
