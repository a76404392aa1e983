"""Mailboxes of another server, taken over one after the other; what could not be is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import Any

from rich.console import Console
from rich.progress import Progress

from postmaster.cli.client import Client, Problem, path
from postmaster.cli.failure import Failure
from postmaster.cli.old_mailboxes import OldMailbox, OldMessage
from postmaster.cli.output import print_json, say

MERGED_AT_ONCE = 500  # messages whose flags are sent in one request
_KNOWN_RIGHTS = "lrswipkxtea"
_UIDL = re.compile(r"[!-~]{0,70}")  # RFC 1939 §7


@dataclass(slots=True, kw_only=True)
class Moved:
    """What became of a mailbox.

    Attributes:
        mailbox: As it is called here.
        was: As it was called there.
        imported: Messages.
        unchanged: Messages that were here from an import before.
        flags: Of those, with flags that had changed since.
        renumbered: Of the imported, those with another UID.
        renamed: Of the imported, those without their unique id by POP3, which another message has.
        empty: Messages without an octet, left out.
        deleted: Messages from an import before that are there no more, and now not here.
        left_out: What else could not be taken over, in words.
    """

    mailbox: str
    was: str
    imported: int = 0
    unchanged: int = 0
    flags: int = 0
    renumbered: int = 0
    renamed: int = 0
    empty: int = 0
    deleted: int = 0
    left_out: list[str] = field(default_factory=list)

    def leave_out(self, what: Iterable[str]) -> None:
        """Note, once, what could not be taken over."""
        self.left_out += [each for each in dict.fromkeys(what) if each not in self.left_out]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How mailboxes are taken over.

    Attributes:
        api: By whom.
        address: Whose they become.
        deletes: What was imported and is there no more, is deleted here.
    """

    api: Client
    address: str
    deletes: bool = False


def move(way: Way, mailboxes: Iterable[OldMailbox], subscribed: Sequence[str]) -> list[Moved]:
    """Take over ``mailboxes``; one that cannot be is told, the others are taken over.

    Raises `Failure` if the API breaks off.
    """
    api, address = way.api, way.address
    with Progress(console=Console(stderr=True), transient=True) as progress:
        told = [_mailbox(way, box, progress) for box in mailboxes]
    if subscribed:
        body = {"address": address, "names": list(subscribed)}
        api.ask("PUT", path("imports", "subscriptions"), body=body)
    return told


def tell(told: Sequence[Moved], *, as_json: bool) -> None:
    """Say what became of each; raise `Failure` if something could not be taken over."""
    if as_json:
        print_json([asdict(each) for each in told])
    for each in told if not as_json else ():
        was = f" (was {each.was})" if each.was != each.mailbox else ""
        say(
            f"{each.mailbox}{was}: {each.imported} imported, {each.unchanged} were here, "
            f"{each.flags} with new flags, {each.renumbered} with another UID, "
            f"{each.renamed} with another unique id, {each.empty} without an octet left out, "
            f"{each.deleted} deleted."
        )
        for line in each.left_out:
            say(f"  left out: {line}")
    if any(each.left_out for each in told):
        raise Failure("Not all could be taken over, see above.")


def _mailbox(way: Way, box: OldMailbox, progress: Progress) -> Moved:
    moved = Moved(mailbox=box.name, was=box.name)
    try:
        _messages(way, box, moved, progress)
    except Problem as problem:
        if problem.code is not HTTPStatus.CONFLICT:
            raise
        moved.leave_out([f"the rest of {box.name}: {problem}"])
        return moved
    _share(way, box, moved)
    return moved


def _messages(way: Way, box: OldMailbox, moved: Moved, progress: Progress) -> None:
    api = way.api
    body = {"address": way.address, "mailbox": box.name, "uidvalidity": box.uidvalidity}
    begun = api.ask("POST", path("imports", "mailboxes"), body={**body, "uses": box.uses})
    moved.mailbox, last = begun["mailbox"], begun["imported_uid"]
    here = {**body, "mailbox": moved.mailbox}
    if way.deletes and last:
        _delete(api, here, box, moved, last)
    for message in progress.track(box.messages, description=box.name):
        if message.uid <= last:
            moved.unchanged += 1
        else:
            _message(api, here, message, moved)
    known = (each for each in box.messages if each.uid <= last and each.is_listed)
    for portion in _portions(known):
        rows = [{"uid": each.uid, "flags": each.flags} for each in portion]
        answer = api.ask("PUT", path("imports", "flags"), body={**here, "messages": rows})
        moved.flags += answer["changed"]
        moved.leave_out(f"keyword {name}" for name in answer["left_out"])
    api.ask("POST", path("imports", "mailboxes"), body={**body, "uidnext": box.uidnext})


def _delete(api: Client, here: dict[str, Any], box: OldMailbox, moved: Moved, last: int) -> None:
    """Delete what was imported, up to UID ``last``, and is there no more."""
    if not box.is_whole or box.uidnext <= last:
        moved.leave_out(["deletions: what is there is not all, or older than the last import"])
        return
    first = 1
    known = (each for each in box.messages if each.uid <= last)
    for portion in [*_portions(known), []]:
        until = portion[-1].uid if portion else last
        uids = [each.uid for each in portion]
        if until >= first:
            body = {**here, "first": first, "last": until, "uids": uids}
            moved.deleted += api.ask("PUT", path("imports", "expunged"), body=body)["expunged"]
        first = until + 1


def _portions(messages: Iterator[OldMessage]) -> Iterator[list[OldMessage]]:
    return iter(lambda: list(islice(messages, MERGED_AT_ONCE)), [])


def _message(api: Client, here: dict[str, Any], message: OldMessage, moved: Moved) -> None:
    octets = message.octets()
    if not octets:
        moved.empty += 1
        return
    uidl = message.uidl if _UIDL.fullmatch(message.uidl) else ""
    moved.renamed += uidl != message.uidl
    query = {**here, "uid": message.uid, "date": message.date.isoformat(), "flags": message.flags}
    try:
        answer = _sent(api, {**query, "uidl": uidl}, octets, moved)
    except Problem as problem:
        if problem.code is not HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise
        moved.leave_out([f"UID {message.uid}: {problem}"])
        return
    moved.leave_out(f"keyword {name}" for name in answer["left_out"])
    moved.imported += answer["uid"] is not None
    moved.unchanged += answer["uid"] is None
    moved.renumbered += answer["uid"] not in (None, message.uid)


def _sent(api: Client, query: dict[str, Any], octets: bytes, moved: Moved) -> dict[str, Any]:
    """File a message, if need be without its unique id: two messages may have had the same."""
    try:
        return api.ask("PUT", path("imports", "messages"), octets=octets, query=query)
    except Problem as problem:
        if problem.code is not HTTPStatus.CONFLICT or not query["uidl"]:
            raise
        query = {**query, "uidl": ""}
        answer = api.ask("PUT", path("imports", "messages"), octets=octets, query=query)
    moved.renamed += 1
    return answer


def _share(way: Way, box: OldMailbox, moved: Moved) -> None:
    for who, given in box.acl.items():
        rights = "".join(right for right in given if right in _KNOWN_RIGHTS)
        body = {"mailbox": moved.mailbox, "identifier": who, "rights": rights}
        try:
            way.api.ask("PUT", path("acls", way.address), body=body)
        except Problem as problem:
            moved.leave_out([f"rights {given} of {who}: {problem}"])
