"""Commands on dead letters: look at them, send them on, or end them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from postmaster.cli.choosing import Which, chosen_by
from postmaster.cli.client import Client, connect, path
from postmaster.cli.failure import EXIT_STOPPED, Failure, confirm
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, moment, plain, print_json, say

dead = Commands(
    "Letters that nobody could deliver, because of a fault of ours."
    "\n\n"
    "They are chosen by numbers and conditions, all of which must hold, or --all. Those that are "
    "sent on go at a pace; if letters of the same fingerprint come back meanwhile, it stops, with "
    "status 3. Each command may be repeated, and is noted in `posthouse audit list`."
)

_LOOKING = "Looking"
_SENDING = "Sending on"
_ENDING = "Ending"

# What was done to letters, and how it reads before.
_DONE = {
    "replay": "put back on the road",
    "reroute": "sent another way",
    "bounce": "returned to their senders",
    "discard": "discarded",
}


def _option(kind: Any, *names: str, metavar: str, help: str) -> Any:  # noqa: A002, ANN401 - as typer has it
    return Annotated[kind | None, typer.Option(*names, metavar=metavar, help=help)]


_CONDITIONS: dict[str, Any] = {
    "fingerprint": _option(str, "--fingerprint", metavar="TEXT", help="All of this fingerprint."),
    "road": _option(str, "--road", metavar="NAME", help="All that died on this road."),
    "envelope": _option(str, "--envelope", metavar="ID", help="All of this message."),
    "reason": _option(str, "--reason", metavar="TEXT", help="The reason has this text."),
}
_WHICH: dict[str, Any] = {
    "ids": Annotated[list[int] | None, typer.Argument(metavar="ID", help="Their numbers.")],
    **_CONDITIONS,
    "all": Annotated[bool | None, typer.Option("--all", help="Every letter that waits.")],
    "limit": _option(int, "--limit", metavar="NUMBER", help="At most so many; 1 is a canary."),
}
_SEND: dict[str, Any] = {
    **_WHICH,
    "rate": _option(
        float, "--rate", metavar="NUMBER", help="So many a second; else POSTHOUSE_REPLAY_RATE."
    ),
    "watch": _option(
        float,
        "--watch",
        metavar="SECONDS",
        help="Wait so long at the end whether some come back. Default: 5.",
    ),
}
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many.")]


@dead.add("list", _LOOKING)
@chosen_by(_CONDITIONS)
def dead_list(
    which: Which,
    *,
    state: Annotated[
        str,
        typer.Option(
            metavar="STATE",
            help="waiting, replayed, rerouted, bounced, discarded, outlived or all.",
        ),
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
    with connect() as api:
        rows = api.rows(path("dead-letters"), {**which, "state": state})
        listing(rows, columns, as_json=as_json, empty="There are no dead letters.")


def _together(names: object) -> str:
    return ", ".join(names) if isinstance(names, list) else plain(names)


@dead.add("groups", _LOOKING)
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


@dead.add("show", _LOOKING)
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


@dead.add("replay", _SENDING)
@chosen_by(_SEND)
def dead_replay(which: Which, *, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Put them back on their road, as the ledger says; nothing is delivered twice."""
    _send("replay", _some(which), yes=True, dry_run=dry_run, as_json=as_json)


@dead.add("reroute", _SENDING)
@chosen_by(_SEND)
def dead_reroute(
    which: Which,
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="HOP", help="relay.test:587, mx:relay.test, lmtp:box.test:24, direct or usual."
        ),
    ],
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send them by another next hop; only letters of the road mail.remote have one."""
    _send("reroute", {**_some(which), "to": to}, yes=yes, dry_run=dry_run, as_json=as_json)


@dead.add("bounce", _SENDING)
@chosen_by(_SEND)
def dead_bounce(
    which: Which,
    *,
    text: Annotated[str, typer.Option(metavar="TEXT", help="The reason their senders are told.")],
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Return them to their senders with your reason, on whatever road they died."""
    _send("bounce", {**_some(which), "text": text}, yes=yes, dry_run=dry_run, as_json=as_json)


@dead.add("discard", _ENDING)
@chosen_by(_WHICH)
def dead_discard(
    which: Which,
    *,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the letter.")] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """End them without delivery; what lies dead of them is marked discarded."""
    _send("discard", {**_some(which), "note": note}, yes=yes, dry_run=dry_run, as_json=as_json)


def _some(which: Which) -> Which:
    if not which.keys() - {"limit", "rate", "watch"}:
        raise Failure("Say which: ids, conditions, or --all.")
    return which


def _letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count} dead letters"


def _send(verb: str, which: Which, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Say how many it concerns, ask, do it, and say what became of them."""
    with connect() as api:
        preview = {**which, "dry_run": True}
        (found,) = [each["found"] for each in api.stream("POST", _place(verb), body=preview)]
        if dry_run:
            _tell_preview(verb, found, as_json=as_json)
            return
        if found and not yes:
            confirm(f"{_letters(found)} to be {_DONE[verb]}?", "Nothing was changed.")
        last, kept = _sent(api, verb, which)
    if as_json:
        print_json({**last, "kept": kept})
    else:
        _tell(verb, last, kept)
    _judge(last, kept)


def _place(verb: str) -> str:
    return path("dead-letters", verb)


def _tell_preview(verb: str, found: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"found": found, "dry_run": True})
    else:
        say(f"{_letters(found)} would be {_DONE[verb]}.")


def _sent(api: Client, verb: str, which: Which) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Do it, with a bar that moves; return the last line, and which letters stay."""
    last: dict[str, Any] = {}
    kept: list[dict[str, Any]] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Dead letters", total=None)
        for line in api.stream("POST", _place(verb), body=dict(which)):
            last = line
            kept += line.get("kept", ())
            progress.update(task, total=line.get("found"), completed=line.get("seen", 0))
    return last, kept


def _tell(verb: str, last: Mapping[str, Any], kept: list[dict[str, Any]]) -> None:
    if "audit" not in last:
        return  # it broke off before it began
    say(f"{_letters(last['changed'])} {_DONE[verb]} (audit {last['audit']}).")
    if last["outlived"]:
        say(f"{_letters(last['outlived'])} ended: their recipients had, or go on by another copy.")
    if last["busy"]:
        say(f"{_letters(last['busy'])} left: a copy is being delivered. Run it again.")
    for letter in kept:
        say(f"{letter['id']} stays: {letter['reason']}.")


def _judge(last: Mapping[str, Any], kept: list[dict[str, Any]]) -> None:
    """Raise `Failure` unless all was done."""
    if last.get("stopped"):
        raise Failure(
            f"Stopped after {last['seen']} of {_letters(last['found'])}: {last['stopped']}.",
            EXIT_STOPPED,
        )
    if not last.get("done"):
        raise Failure(
            f"Broken off after {last.get('seen', 0)} of {_letters(last.get('found', 0))}: "
            f"{last.get('error', 'the postmaster broke off')}. Run it again; nothing is done twice."
        )
    if kept:
        raise Failure(f"{_letters(len(kept))} stay.")
