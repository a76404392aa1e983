"""The command that tells what policy would do with a message, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.failure import Failure
from postmaster.cli.output import AsJson, Column, listing, plain, print_json, say
from postmaster.cli.policy import policy

ADMISSION: list[Column] = [
    ("Command", "command", plain),
    ("Reply", "reply", plain),
    ("Rule", "rule", plain),
    ("ms", "ms", plain),
]
CHECKS: list[Column] = [
    ("Check", "check", plain),
    ("ms", "ms", plain),
    ("Rule", "rule", plain),
    ("Score", "score", plain),
    ("Asks for", "action", plain),
    ("What it saw", "seen", plain),
]


Message = Annotated[
    str,
    typer.Argument(
        metavar="FILE.eml|ID", help="The message, as it would come; or the id of one that came."
    ),
]
Sender = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="MAIL FROM; empty for the null path.")
]
Recipients = Annotated[
    list[str] | None,
    typer.Option("--recipient", metavar="ADDRESS", help="RCPT TO; several times."),
]
BroughtBy = Annotated[
    str | None, typer.Option(metavar="IP", help="Who brings it; or the account that submits it.")
]
Hello = Annotated[str | None, typer.Option(metavar="NAME", help="What that one calls itself.")]


@policy.add("explain")
def explain(
    message: Message,
    *,
    sender: Sender = None,
    recipients: Recipients = None,
    client: BroughtBy = None,
    helo: Hello = None,
    as_json: AsJson = False,
) -> None:
    """Tell what would become of a message, by which checks and why; nothing of it is done.

    A policy pod is asked what it would do: MAIL and RCPT, each check with what it saw, its
    score and its time, the verdict, the header as it would be stored, and where it would lead. Of
    a message that came and is still stored, sender, recipients and client are as they were, unless
    they are given.
    """
    query: dict[str, Any] = {"sender": sender, "recipient": recipients, "hello": helo}
    if client is not None:
        is_account = "@" in client
        query |= {"client": "127.0.0.1" if is_account else client}
        query |= {"auth": client if is_account else ""}
    given = {name: value for name, value in query.items() if value is not None}
    found = _of_id(message, given) if _is_id(message) else _of_file(Path(message), given)
    if as_json:
        print_json(found)
        return
    _tell(found)


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return not Path(text).exists()


def _of_id(ident: str, query: Mapping[str, Any]) -> Mapping[str, Any]:
    with connect() as api:
        return api.ask("GET", path("policy", "explain", ident), query=query)


def _of_file(file: Path, query: Mapping[str, Any]) -> Mapping[str, Any]:
    if missing := [name for name in ("sender", "recipient", "client") if name not in query]:
        raise Failure(f"Say how it would come: --{', --'.join(missing)}.")
    try:
        octets = _lines(file.read_bytes())
    except OSError as fault:
        raise Failure(f"{file} cannot be read: {fault.strerror}.") from fault
    with connect() as api:
        return api.ask("POST", path("policy", "explain"), octets=octets, query=query)


def _lines(octets: bytes) -> bytes:
    """Return a file's lines as they go over the wire."""
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _tell(found: Mapping[str, Any]) -> None:
    admission = [{**each, "ms": _milliseconds(each)} for each in found["admission"]]
    listing(admission, ADMISSION, as_json=False, empty="")
    say("")
    listing(list(_rows(found["checks"])), CHECKS, as_json=False, empty="Nothing is checked.")
    say("")
    by = f" by {', '.join(found['decided_by'])}" if found["decided_by"] else ""
    say(f"{found['action']}{by}, {found['score']:g} points: {found['reply']}")
    if found.get("hold"):
        say(f"held: {found['hold']}")
    for way in found["ways"]:
        say(way)
    if found["header"]:
        say("")
        say(found["header"].replace("\r\n", "\n").rstrip())


def _rows(checks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a line per finding, and one for a check that found nothing."""
    for check in checks:
        first = {"check": check["check"], "ms": _milliseconds(check)}
        evidence = check["evidence"] or [{"rule": "", "score": 0.0, "seen": "nothing"}]
        for each in evidence:
            shadow = " (only tried out)" if each.get("is_shadow") else ""
            score = f"{each['score']:g}" if each["score"] else ""
            rule = f"{each['rule']}{shadow}"
            yield {**first, **each, "rule": rule, "score": score}
            first = {"check": "", "ms": ""}


def _milliseconds(took: Mapping[str, Any]) -> str:
    return f"{took['seconds'] * 1000:.1f}"
