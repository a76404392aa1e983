"""Lists of senders and recipients in SpamAssassin's files (Mail::SpamAssassin::Conf).

There they are points, and so they are here; who is proved by SPF or DKIM is let in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from posthouse.mail.access_keys import Kind, key_of
from postmaster.taking_over.access import take_entries, wild_key
from postmaster.taking_over.changes import Findings, NewAccess
from postmaster.taking_over.lines import Line, plain_lines

_SENT: tuple[Kind, ...] = ("author", "sender")  # it looks at From and at the reverse path
# What they are worth there.
_POINTS: dict[str, tuple[tuple[Kind, ...], float]] = {
    "whitelist_from": (_SENT, -100.0),
    "blacklist_from": (_SENT, 100.0),
    "whitelist_to": (("recipient",), -6.0),
    "more_spam_to": (("recipient",), -20.0),
    "all_spam_to": (("recipient",), -100.0),
    "blacklist_to": (("recipient",), 10.0),
}
_PROVED: dict[str, Kind] = {
    "whitelist_auth": "author",
    "whitelist_from_dkim": "author",
    "whitelist_from_spf": "sender",
    "whitelist_from_rcvd": "author",
}
_TAKEN_OFF = {"unwhitelist_from": "whitelist_from", "unblacklist_from": "blacklist_from"}
_NOT_HERE = {
    "whitelist_uri_host": "what links lead to is asked of lists: posthouse policy zone --asks link",
    "blacklist_uri_host": "write a uri rule: posthouse policy rules",
    "whitelist_allows_relays": "which relay it came by is not looked at",
    "whitelist_subject": "write an entry for the header: posthouse policy access score header",
    "blacklist_subject": "write an entry for the header: posthouse policy access score header",
}
_TODAY = (("welcomelist", "whitelist"), ("blocklist", "blacklist"))  # its names since 4.0


def lists(file: Path, found: Findings) -> None:
    """Read the lists of one file; its rules are another import's."""
    others = 0
    for line in plain_lines(file):
        name, _, rest = line.text.partition("#")[0].strip().partition(" ")
        name = _of_old(name.lower())
        words = rest.split()
        if name in _POINTS or name in _PROVED:
            _take(line, name, words, found)
        elif name in _TAKEN_OFF:
            for word in words:
                _take_off(line, _TAKEN_OFF[name], word, found)
        elif name in _NOT_HERE or name.startswith("def_whitelist"):
            reason = _NOT_HERE.get(name, "a default of SpamAssassin; whitelist_auth lets in")
            found.leave(line.where, line.text, reason)
        else:
            others += 1
    if others:
        reason = "are no lists; rules: posthouse policy rules import"
        found.leave(file.name, f"{others} lines", reason)


def _of_old(name: str) -> str:
    for new, old in _TODAY:
        name = name.replace(new, old)
    return name


def _take(line: Line, name: str, words: Sequence[str], found: Findings) -> None:
    if name in {"whitelist_from_rcvd", "whitelist_from_dkim"} and len(words) > 1:
        found.leave(line.where, " ".join(words[1:]), _SECOND[name])
        words = words[:1]
    for word in words:
        take_entries(found, line.where, word, _entries(name, word))


_SECOND = {
    "whitelist_from_rcvd": "the relay is not looked at: the author is let in if DMARC passes",
    "whitelist_from_dkim": "whose signature it is does not matter: DMARC must pass",
}


def _entries(name: str, word: str) -> Callable[[], list[NewAccess]]:
    """Return what makes the entries, and raises `ValueError` if there are none."""
    if name in _PROVED:
        kind = _PROVED[name]
        return lambda: [NewAccess(kind, key_of(kind, wild_key(word)), "allow")]
    kinds, points = _POINTS[name]
    return lambda: [
        NewAccess(each, key_of(each, wild_key(word)), "score", score=points) for each in kinds
    ]


def _take_off(line: Line, name: str, word: str, found: Findings) -> None:
    """Take back what a line before has listed, as there: the same pattern."""
    try:
        gone = _entries(name, word)()
    except ValueError as wrong:
        found.leave(line.where, word, str(wrong))
        return
    if not any(each in found.changes for each in gone):
        found.leave(line.where, word, "is not listed before in this file")
    found.changes[:] = [each for each in found.changes if each not in gone]
