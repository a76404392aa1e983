"""Commands on timetables: when mail of a class is tried again."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, plain, say

timetable = Commands(
    "When mail to servers outside is tried again, class by class."
    "\n\n"
    "A class is to:far.test, to:.far.test (all below), to:* or from:@ours.test, from:@.ours.test, "
    "from:anna@ours.test. The most specific to: counts first, then from:, then to:*. What has no "
    "class follows the settings of delivery-remote."
)

Class = Annotated[
    str, typer.Argument(metavar="CLASS", help="to:far.test, to:.far.test, from:@ours.test.")
]


@timetable.add("set")
def timetable_set(
    of: Class,
    *,
    delays: Annotated[
        str,
        typer.Option(metavar="PAUSES", help="After each try: 5m,15m,1h; the last one repeats."),
    ],
    give_up: Annotated[str, typer.Option(metavar="AGE", help="When it is bounced: 5d.")],
    warn_after: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="When its sender is told that it takes longer: 4h."),
    ] = None,
) -> None:
    """Set when mail of a class is tried again; each pause becomes the nearest the house has."""
    body = {"delays": delays.split(","), "give_up": give_up, "warn_after": warn_after}
    with connect() as api:
        api.ask("PUT", path("timetables", of), body=body)
    say(f"{of} is tried again after {delays} and given up after {give_up}.")


@timetable.add("list")
def timetable_list(*, as_json: AsJson = False) -> None:
    """List the classes that have a timetable of their own."""
    columns = [
        ("Class", "class", plain),
        ("Pauses", "delays", plain),
        ("Warn after", "warn_after", plain),
        ("Give up", "give_up", plain),
    ]
    with connect() as api:
        rows = api.ask("GET", path("timetables"))["items"]
        listing(rows, columns, as_json=as_json, empty="All mail follows the settings.")


@timetable.add("remove")
def timetable_remove(of: Class) -> None:
    """Let mail of a class follow the settings again."""
    with connect() as api:
        api.ask("DELETE", path("timetables", of))
    say(f"{of} follows the settings.")
