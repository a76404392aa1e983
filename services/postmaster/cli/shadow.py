"""Commands on shadows: what rules, sets and levels that are tried out would have changed."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, plain, print_json, say

shadow = Commands(
    "What is tried out on real mail beside the live rules, and what it would have changed."
    "\n\n"
    "A set of rules (policy rules activate SET --shadow), a rule (policy rules enable RULE --shadow), "
    "a score (policy rules score RULE POINTS --trial) or the levels (policy shadow levels)."
)

TRIALS = [
    ("Trial", "name", plain),
    ("Now tried", "tried", plain),
    ("Judged", "judged", plain),
    ("Would differ", "differ", plain),
]
DIFFERENCES = [
    ("Day", "day", plain),
    ("Trial", "name", plain),
    ("Was", "was", plain),
    ("Would be", "would_be", plain),
    ("Messages", "messages", plain),
    ("Examples", "examples", plain),
]


@shadow.add("report")
def report(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Of a set, a rule, or levels.")
    ] = None,
    *,
    days: Annotated[int, typer.Option(metavar="DAYS", help="How many.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Show how verdicts would have differed: beside how many messages, and by day with examples.

    posthouse trace ID tells what became of an example.
    """
    with connect() as api:
        found = api.ask("GET", path("policy", "shadow"), query={"days": days, "name": name})
    if as_json:
        print_json({key: found[key] for key in ("trials", "items")})
        return
    listing(found["trials"], TRIALS, as_json=False, empty="Nothing is or was tried out.")
    if found["trials"]:
        listing(found["items"], DIFFERENCES, as_json=False, empty="No verdict would differ.")


@shadow.add("promote")
def promote(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a set, a rule, or levels.")],
) -> None:
    """Make what is tried out live."""
    with connect() as api:
        api.ask("POST", path("policy", "shadow", name, "promote"))
    say(f"{name} is live. Every pod follows within seconds.")


@shadow.add("levels")
def levels(
    tag: Annotated[float, typer.Argument(metavar="TAG", help="Mail is marked from here on.")],
    quarantine: Annotated[float, typer.Argument(metavar="JUNK", help="It goes to Junk.")],
    reject: Annotated[float, typer.Argument(metavar="REJECT", help="It is refused.")],
) -> None:
    """Try out other levels of scores than those in force."""
    body = {"tag": tag, "quarantine": quarantine, "reject": reject}
    with connect() as api:
        api.ask("PUT", path("policy", "shadow", "levels"), body=body)
    say("The levels are tried out: policy shadow report levels, then policy shadow promote levels.")


@shadow.add("usual-levels")
def usual_levels(
    *, tried: Annotated[bool, typer.Option("--tried", help="Only those that are tried.")] = False
) -> None:
    """Let the settings of policy say the levels again."""
    with connect() as api:
        for state in ["shadow"] if tried else ["shadow", "live"]:
            api.ask("DELETE", path("policy", "shadow", "levels", state))
    say("No other levels are tried out." if tried else "The levels are those of the settings.")
