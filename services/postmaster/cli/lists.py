"""Commands on lists: zones in DNS, and our own allow and deny lists."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, moment, plain, say

zone = Commands("Zones in DNS that list bad or good senders (DNSBL, DNSWL).")
access = Commands("Who is refused, let in, or given points: allow and deny lists.")


class Subject(StrEnum):
    """What a zone is asked for."""

    CLIENT = "client"
    SENDER = "sender"
    HELLO = "hello"
    REVERSE = "reverse"
    AUTHOR = "author"
    LINK = "link"


class Kind(StrEnum):
    """What is looked at."""

    SENDER = "sender"
    AUTHOR = "author"
    RECIPIENT = "recipient"
    CLIENT = "client"
    HELLO = "hello"
    REVERSE = "reverse"
    HEADER = "header"
    RULE = "rule"


ZoneName = Annotated[str, typer.Argument(metavar="ZONE", help="Its domain: zen.spamhaus.org.")]
ZONES: list[Column] = [
    ("Zone", "zone", plain),
    ("Asked for", "asks", plain),
    ("Points", "weight", plain),
    ("Codes", "codes", plain),
    ("Title", "title", plain),
    ("Comment", "comment", plain),
]
KindOf = Annotated[
    Kind,
    typer.Argument(
        metavar="KIND",
        help="sender, author (From), recipient, client, hello, reverse (its name), header; to hold, "
        "also rule.",
    ),
]
Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="An address, a domain (and all below it), a network, a field: 'X-Mailer: Name', or the "
        "name of a rule.",
    ),
]
Whose = Annotated[
    str, typer.Option(metavar="WHOSE", help="Whose mail: a domain's, an account's, '*' for all.")
]
Comment = Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with it.")]
Text = Annotated[str, typer.Option(metavar="TEXT", help="What a sender is told.")]
Days = Annotated[
    int | None, typer.Option(metavar="NUMBER", min=1, help="For how long; without: for ever.")
]
ENTRIES: list[Column] = [
    ("Whose mail", "whose", plain),
    ("Kind", "kind", plain),
    ("Key", "key", plain),
    ("Action", "action", plain),
    ("Points", "score", lambda value: f"{value:g}" if value else ""),
    ("Says", "text", plain),
    ("Until", "expires_at", moment),
    ("By", "added_by", plain),
    ("Comment", "comment", plain),
]


@zone.add("set")
def zone_set(
    name: ZoneName,
    *,
    asks: Annotated[
        list[Subject],
        typer.Option(
            metavar="WHAT",
            help="client, sender, hello, reverse (at the door); author, link (domains in messages).",
        ),
    ] = [Subject.CLIENT],  # noqa: B006 - typer copies it
    weight: Annotated[
        float, typer.Option(metavar="POINTS", help="Negative for a list of good senders.")
    ] = 1.0,
    codes: Annotated[
        str,
        typer.Option(metavar="CODES", help="Which answers count: '2=3 4-7=2 1.2-99=3 &16=1.5'."),
    ] = "",
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="What people know it by, where it holds a key.")
    ] = "",
    text: Text = "",
) -> None:
    """Ask a zone from now on, or change how; within seconds at every pod."""
    body: dict[str, Any] = {
        "asks": [each.value for each in asks],
        "weight": weight,
        "codes": codes,
        "title": title,
        "text": text,
    }
    with connect() as api:
        api.ask("PUT", path("policy", "zones", name), body=body)
    say(f"{name} is asked; what it lists gets {weight:g} points.")


@zone.add("remove")
def zone_remove(name: ZoneName) -> None:
    """Ask a zone no more."""
    with connect() as api:
        api.ask("DELETE", path("policy", "zones", name))
    say(f"{name} is asked no more.")


@zone.add("list")
def zone_list(*, as_json: AsJson = False) -> None:
    """List the zones that are asked."""
    with connect() as api:
        listing(api.rows(path("policy", "zones")), ZONES, as_json=as_json, empty="None is asked.")


@access.add("deny")
def access_deny(
    kind: KindOf,
    key: Key,
    *,
    whose: Whose = "*",
    text: Text = "",
    comment: Comment = "",
    days: Days = None,
) -> None:
    """Refuse mail: at RCPT, or behind its last octet where its header decides."""
    _put(kind, key, whose, {"action": "deny", "text": text, "comment": comment, "days": days})
    say(f"Mail of {kind.value} {key} is refused.")


@access.add("defer")
def access_defer(
    kind: KindOf,
    key: Key,
    *,
    whose: Whose = "*",
    text: Text = "",
    comment: Comment = "",
    days: Days = None,
) -> None:
    """Refuse mail for now: its sender is asked to try again."""
    _put(kind, key, whose, {"action": "defer", "text": text, "comment": comment, "days": days})
    say(f"Mail of {kind.value} {key} is refused for now.")


@access.add("discard")
def access_discard(kind: KindOf, key: Key, *, comment: Comment = "", days: Days = None) -> None:
    """Take mail and throw it away; it stands in the trace as discarded."""
    _put(kind, key, "*", {"action": "discard", "comment": comment, "days": days})
    say(f"Mail of {kind.value} {key} is thrown away.")


@access.add("except")
def access_except(
    kind: KindOf, key: Key, *, whose: Whose = "*", comment: Comment = "", days: Days = None
) -> None:
    """Take somebody out of what the same list says of a wider domain or network."""
    _put(kind, key, whose, {"action": "except", "comment": comment, "days": days})
    say(f"{kind.value} {key} is an exception.")


@access.add("allow")
def access_allow(
    kind: KindOf,
    key: Key,
    *,
    whose: Whose = "*",
    forced: Annotated[
        bool, typer.Option("--force", help="Also if SPF and DKIM do not prove who it is.")
    ] = False,
    comment: Comment = "",
    days: Days = None,
) -> None:
    """Let mail in past lists, greylisting and scores, if it is proved whose it is."""
    said = {"action": "allow", "forced": forced, "comment": comment, "days": days}
    _put(kind, key, whose, said)
    say(f"Mail of {kind.value} {key} is let in.")


@access.add("score")
def access_score(
    kind: KindOf,
    key: Key,
    points: Annotated[float, typer.Argument(metavar="POINTS", help="Negative: for good.")],
    *,
    whose: Whose = "*",
    comment: Comment = "",
    days: Days = None,
) -> None:
    """Give mail points."""
    if not points:
        raise Failure("No points: use `remove`.")
    said = {"action": "score", "score": points, "comment": comment, "days": days}
    _put(kind, key, whose, said)
    say(f"Mail of {kind.value} {key} gets {points:g} points.")


@access.add("hold")
def access_hold(
    kind: KindOf, key: Key, *, whose: Whose = "*", comment: Comment = "", days: Days = None
) -> None:
    """Take mail and let it wait for an operator; also that of accounts and networks of ours.

    It waits for all its recipients, with the comment as its reason: `posthouse queue list --state
    held`, then `posthouse queue release`, or `delete`.
    """
    _put(kind, key, whose, {"action": "hold", "comment": comment, "days": days})
    say(f"Mail of {kind.value} {key} waits for an operator.")


@access.add("remove")
def access_remove(kind: KindOf, key: Key, *, whose: Whose = "*") -> None:
    """Take an entry off the list."""
    with connect() as api:
        api.ask("DELETE", path("policy", "access", whose, kind.value, key))
    say(f"Nothing is said of {kind.value} {key} any more.")


@access.add("list")
def access_list(
    *,
    whose: Annotated[str | None, typer.Option(metavar="WHOSE", help="Only of this list.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the entries that hold."""
    with connect() as api:
        rows = api.rows(path("policy", "access"), {"whose": whose})
        listing(rows, ENTRIES, as_json=as_json, empty="The lists are empty.")


def _put(kind: Kind, key: str, whose: str, body: dict[str, Any]) -> None:
    with connect() as api:
        api.ask("PUT", path("policy", "access", whose, kind.value, key), body=body)
