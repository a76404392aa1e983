"""Lists as checks of the whole message: our own, which see its header now, and those in DNS.

A message has one verdict for all its recipients: what the lists of a domain or an account say counts
as far as those of all recipients agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.lists.access import AccessLists, addresses_of, keys_of, lists_of
from policy_engine.lists.decision import Decision, decide, reachable
from policy_engine.lists.door import needs_proof, text_of
from policy_engine.lists.zones import Zones
from posthouse.mail.access_keys import KINDS, MAX_KEY_CHARACTERS, Kind, field_key
from posthouse.mail.header import unfold
from posthouse.storage.access import Action as Listed
from posthouse.storage.access import Entry, Key

MAX_FIELDS = 1000  # as many as ingress takes by itself: nobody hides one behind others
MAX_RECIPIENTS = 1000
# What is asked for, with points as those of SpamAssassin's lists.
ACTIONS: dict[Listed, tuple[Action, float]] = {
    "allow": ("accept", -100.0),
    "deny": ("reject", 100.0),
    "defer": ("tempfail", 0.0),
    "discard": ("discard", 0.0),
}


class AccessCheck:
    """Our allow and deny lists."""

    def __init__(self, lists: AccessLists) -> None:
        self.name = "access"
        self.if_away: Action | None = None
        self.wants_all = self.of_ours = False
        self._lists = lists

    @property
    def of_strangers(self) -> bool:
        """True if there may be entries."""
        return self._lists.may_be_some

    async def __call__(self, case: Case) -> Sequence[Finding]:
        """Return what the lists say; raise `Unavailable`."""
        kinds = await self._lists.kinds()
        if not kinds:
            return ()
        keys = keys_of([kind for kind in KINDS if kind in kinds], given_of(case, kinds))
        recipients = list(case.recipients[:MAX_RECIPIENTS]) or [""]
        whose = {one for each in recipients for one in lists_of(each)}
        own = {each: keys_of(kinds & {"recipient"}, _given_to(each)) for each in recipients}
        wanted = dict.fromkeys((*keys, *(key for some in own.values() for key in some)))
        found = await self._lists.find(list(wanted), whose)
        entries = [each for each in found if not needs_proof(each) or _is_proved(each, case)]
        if not entries:
            return ()
        hit = {(each.kind, each.key) for each in entries}
        keys = [key for key in keys if key in hit]  # else all of them once more for each recipient
        return tuple(
            _findings([_decided(entries, [*keys, *own[each]], each) for each in recipients])
        )


class ZonesCheck:
    """Lists in DNS."""

    def __init__(self, zones: Zones) -> None:
        self.name = "lists"
        self.if_away: Action | None = None
        self.wants_all = self.of_ours = False
        self._zones = zones

    @property
    def of_strangers(self) -> bool:
        """True if there may be zones."""
        return self._zones.may_be_some

    async def __call__(self, case: Case) -> Sequence[Finding]:
        """Return what stands on lists; raise `Unavailable`."""
        client, hello = (case.client, case.hello) if case.knows_client else ("", "")
        standing = await self._zones.standing(client, case.sender.rpartition("@")[2], hello)
        return tuple(each.finding("LIST") for each in standing.listings)


def given_of(case: Case, kinds: frozenset[Kind]) -> dict[Kind, Sequence[str]]:
    """Return what lists of these kinds look at in ``case``."""
    given: dict[Kind, Sequence[str]] = {"sender": (case.sender,), "author": case.authors}
    if case.knows_client:
        given |= {"client": (case.client,), "hello": (case.hello,)}
        if case.senders.reverse is not None:
            given["reverse"] = (case.senders.reverse.name,)
    if "header" in kinds:
        given["header"] = list(_fields(case))
    return given


def _fields(case: Case) -> Iterator[str]:
    for name, field in case.header.fields[:MAX_FIELDS]:
        value = unfold(field.partition(b":")[2][: 4 * MAX_KEY_CHARACTERS])
        yield field_key(name.decode("latin-1"), value.decode("utf-8", "replace"))


def _is_proved(entry: Entry, case: Case) -> bool:
    """True if the one who is let in is who it says."""
    senders = case.senders
    if entry.kind == "author":
        return senders.dmarc is not None and senders.dmarc.result == "pass"
    if entry.kind != "sender":
        return False
    domain = case.sender.rpartition("@")[2].lower()
    return any(domain == one or domain.endswith(f".{one}") for one in senders.domains if "." in one)


def _given_to(recipient: str) -> dict[Kind, Sequence[str]]:
    return {"recipient": addresses_of(recipient)}


def _decided(entries: Sequence[Entry], keys: Sequence[Key], recipient: str) -> Decision:
    whose = lists_of(recipient)
    here = [each for each in entries if each.whose in whose]
    return decide(reachable(here, recipient), keys, whose)


def _findings(decisions: Sequence[Decision]) -> Iterator[Finding]:
    first = decisions[0].entry
    if first is not None and all(each.action == first.action for each in decisions):
        action, score = ACTIONS[first.action]
        yield Finding(
            rule=f"{first.action.upper()}_LIST",
            score=score,
            seen=f"{first.kind} {first.key}",
            action=action,
            text=text_of(first) if first.action in {"deny", "defer"} else "",
        )
    mildest = min(decisions, key=lambda each: abs(each.points))
    if mildest.points and all(each.points * mildest.points > 0 for each in decisions):
        seen = ", ".join(f"{each.kind} {each.key}" for each in mildest.scores)
        yield Finding(rule="ACCESS_LIST", score=mildest.points, seen=seen)
