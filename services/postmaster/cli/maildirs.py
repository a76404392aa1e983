"""Maildirs as Dovecot and Courier leave them: which messages, with which UIDs, flags, unique ids.

    dovecot-uidlist        3 V<uidvalidity> N<uidnext> ..., then: <uid> [P<uidl>] [G<guid>] ... :<file>
    dovecot-keywords       <number> <name>; number 0 is the letter a behind the file's ":2,"
    courierimapuiddb       1 <uidvalidity> <uidnext>, then: <uid> <file>
    courierpop3dsizelist   /2 <next> <uidvalidity>, then: <file> <size> <n>:<uidvalidity>
    courierimapkeywords/:list   names, an empty line, then: <file>:<numbers>
    subscriptions          folders, or "V<tab>2", an empty line, then levels divided by tabs
    courierimapsubscribed  folders below "INBOX."
    dovecot-acl            <identifier> <rights>; "user=", "group=", "owner", "anyone", "authenticated"

Files are known by their base name, before the ``:``, for flags rename them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from postmaster.cli.failure import Failure
from postmaster.cli.old_mailboxes import OldMailbox, from_utf7, identifier_here

DOVECOT_UIDL = "%08Xu%08Xv"  # pop3_uidl_format as Dovecot comes
_FLAGS = {"P": "$Forwarded", "R": r"\Answered", "S": r"\Seen", "T": r"\Deleted", "D": r"\Draft",
          "F": r"\Flagged"}  # fmt: skip
_FORMAT = re.compile(r"%(0?)(\d*)(X?)([uvfg])")
_ODD = re.compile(r"[^!-~]|['\"+]")  # what Courier writes as +XX in a unique id
_LONE_LF = re.compile(rb"(?<!\r)\n")
_ACL_LINE = re.compile(r'(?:"([^"]+)"|([^\s"#]\S*)) ([a-z]+)')
_COURIER_SIZE = re.compile(r"(\S+) \d+(?: (\d+)(?::(\d+)(?::\d)?)?)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaildirMessage:
    """One message of a Maildir.

    Attributes:
        file: Where it lies.
        uid: Its UID; one beyond all others if nobody had given it one.
        is_listed: Somebody had.
        flags: System flags and keywords, as IMAP names them.
        uidl: Its unique id by POP3; empty if it had none.
    """

    file: Path
    uid: int
    is_listed: bool
    flags: tuple[str, ...]
    uidl: str

    @property
    def date(self) -> datetime:
        """When it came: the file's time of modification, which both servers take for it."""
        return datetime.fromtimestamp(self.file.stat().st_mtime, UTC)

    def octets(self) -> bytes:
        """Return the message as it goes on the wire: every line ends in CRLF."""
        return _LONE_LF.sub(b"\r\n", self.file.read_bytes())


@dataclass(slots=True)
class _Notes:
    """What a server wrote beside the messages; files by their base names."""

    uidvalidity: int = 0
    uidnext: int = 1
    uids: dict[str, int] = field(default_factory=dict)
    uidls: dict[str, str] = field(default_factory=dict)
    guids: dict[str, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    keywords: dict[str, list[str]] = field(default_factory=dict)


def mailboxes(root: Path, owner: str, uidl_format: str = DOVECOT_UIDL) -> Iterator[OldMailbox]:
    """Yield the mailboxes of a Maildir++: INBOX, then its folders by name; raise `Failure`.

    Only INBOX has unique ids: POP3 shows no other. ``owner`` is the address whose mailboxes they are.
    """
    if not (root / "cur").is_dir():
        raise Failure(f"{root} is no Maildir: it has no folder cur.")
    yield replace(_mailbox(root, "INBOX", uidl_format), acl=_acl(root, owner))
    for folder in sorted(root.glob(".?*")):
        if (folder / "cur").is_dir():
            made = _mailbox(folder, _name(folder.name[1:]), "")
            yield replace(made, acl=_acl(folder, owner))


def subscriptions(root: Path) -> list[str]:
    """Return the names of the mailboxes that were subscribed to; none if nobody wrote them down."""
    if (root / "subscriptions").is_file():
        head, *rest = _lines(root / "subscriptions") or [""]
        if head.startswith("V\t"):
            return ["/".join(map(from_utf7, line.split("\t"))) for line in rest if line]
        return [_name(line) for line in (head, *rest) if line]
    if (root / "courierimapsubscribed").is_file():
        lines = _lines(root / "courierimapsubscribed")
        return [_name(line.removeprefix("INBOX.")) for line in lines if line]
    return []


def _name(folder: str) -> str:
    return from_utf7(folder).replace(".", "/")


def _acl(folder: Path, owner: str) -> dict[str, str]:
    """Return who else may do what; rights that Dovecot calls by whole words it has alone."""
    acl: dict[str, str] = {}
    if not (folder / "dovecot-acl").is_file():
        return acl
    for line in _lines(folder / "dovecot-acl"):
        found = _ACL_LINE.match(line)
        who = identifier_here(found[1] or found[2], owner) if found else ""
        if found and who:
            acl[who] = "".join(dict.fromkeys(acl.get(who, "") + found[3]))
    return acl


def unique_id(form: str, uid: int, uidvalidity: int, *, guid: str, name: str) -> str:
    """Return what Dovecot's pop3_uidl_format makes: %u, %v, %g, %f with width and X for hexadecimal."""

    def one(found: re.Match[str]) -> str:
        zero, width, is_hexadecimal, letter = found.groups()
        if letter in "fg":
            return guid if letter == "g" else name
        number = uid if letter == "u" else uidvalidity
        return f"{number:{zero}{width}{'x' if is_hexadecimal else 'd'}}"

    made = _FORMAT.sub(one, form)
    if "%" in made:
        raise Failure(f"{form} is no format of unique ids: %u, %v, %g and %f are known.")
    return made


def _mailbox(folder: Path, name: str, uidl_format: str) -> OldMailbox:
    notes = _notes(folder)
    # Twice: while somebody renames a file to change its flags, it may not be seen.
    files = {path.name.partition(":")[0]: path for _ in range(2) for path in _files(folder)}
    known = sorted((uid, base) for base, uid in notes.uids.items() if base in files)
    uidnext = max([notes.uidnext, *(uid + 1 for uid, _ in known)])
    strangers = sorted(files.keys() - notes.uids.keys())
    numbered = [*known, *zip(range(uidnext, uidnext + len(strangers)), strangers, strict=True)]
    return OldMailbox(
        name=name,
        uidvalidity=notes.uidvalidity or int(folder.stat().st_mtime),
        uidnext=uidnext + len(strangers),
        messages=tuple(
            MaildirMessage(
                file=files[base],
                uid=uid,
                is_listed=base in notes.uids,
                flags=_flags(files[base].name, base, notes),
                uidl=_uidl(notes, base, uidl_format) if uidl_format else "",
            )
            for uid, base in numbered
        ),
    )


def _files(folder: Path) -> Iterator[Path]:
    for place in ("new", "cur"):
        if (folder / place).is_dir():
            yield from (path for path in (folder / place).iterdir() if path.is_file())


def _uidl(notes: _Notes, base: str, uidl_format: str) -> str:
    if base in notes.uidls or base not in notes.guids:
        return notes.uidls.get(base, "")
    uid, guid = notes.uids[base], notes.guids[base]
    return unique_id(uidl_format, uid, notes.uidvalidity, guid=guid, name=base)


def _flags(file: str, base: str, notes: _Notes) -> tuple[str, ...]:
    letters = file.partition(":2,")[2]
    found = [
        flag for letter in letters if (flag := _FLAGS.get(letter) or notes.letters.get(letter))
    ]
    return tuple(dict.fromkeys([*found, *notes.keywords.get(base, [])]))


def _notes(folder: Path) -> _Notes:
    notes = _Notes()
    if (folder / "dovecot-uidlist").is_file():
        _read_dovecot(folder, notes)
        return notes
    if (folder / "courierpop3dsizelist").is_file():
        _read_courier_uidls(_lines(folder / "courierpop3dsizelist"), notes)
    if (folder / "courierimapuiddb").is_file():
        head, *lines = _lines(folder / "courierimapuiddb")
        _, validity, uidnext = _fields(head, 3, folder)
        notes.uidvalidity, notes.uidnext = int(validity), int(uidnext)
        for line in lines:
            uid, file = _fields(line, 2, folder)
            notes.uids[file.partition(":")[0]] = int(uid)
    if (folder / "courierimapkeywords" / ":list").is_file():
        _read_courier_keywords(_lines(folder / "courierimapkeywords" / ":list"), notes)
    return notes


def _read_dovecot(folder: Path, notes: _Notes) -> None:
    head, *lines = _lines(folder / "dovecot-uidlist")
    words = head.split()
    if words[0] == "1":  # <uidvalidity> <uidnext>, then <uid> <file>
        notes.uidvalidity, notes.uidnext = map(int, _fields(head, 3, folder)[1:])
        lines = [line.replace(" ", " :", 1) for line in lines]
    elif words[0] == "3":
        told = {word[0]: word[1:] for word in words[1:]}
        notes.uidvalidity, notes.uidnext = int(told["V"]), int(told["N"])
    else:
        raise Failure(f"{folder}/dovecot-uidlist is of version {words[0]}, not 1 or 3.")
    for line in lines:
        fields, _, file = line.partition(" :")
        uid, *more = fields.split()
        told, base = {word[0]: word[1:] for word in more}, file.partition(":")[0]
        notes.uids[base] = int(uid)
        notes.guids[base] = told.get("G", base)
        if "P" in told:
            notes.uidls[base] = told["P"]
    if (folder / "dovecot-keywords").is_file():
        for line in _lines(folder / "dovecot-keywords"):
            number, name = _fields(line, 2, folder)
            notes.letters[chr(ord("a") + int(number))] = name


def _read_courier_uidls(lines: list[str], notes: _Notes) -> None:
    for line in lines:
        found = _COURIER_SIZE.match(line)
        if found is None:  # the first line, with a version
            continue
        base, number, validity = found[1].partition(":")[0], found[2] or "0", found[3] or "0"
        if number == "0":
            uidl = _ODD.sub(lambda odd: f"+{ord(odd[0]):02X}", base)
        else:
            uidl = f"UID{number}" + (f"-{validity}" if validity != "0" else "")
        notes.uidls[base] = uidl


def _read_courier_keywords(lines: list[str], notes: _Notes) -> None:
    names = lines[: lines.index("")] if "" in lines else lines
    for line in lines[len(names) + 1 :]:
        file, _, numbers = line.partition(":")
        notes.keywords[file] = [names[int(number)] for number in numbers.split()]


def _lines(file: Path) -> list[str]:
    lines = file.read_text("utf-8", "surrogateescape").split("\n")
    return lines[:-1] if not lines[-1] else lines


def _fields(line: str, count: int, folder: Path) -> list[str]:
    fields = line.split(" ", count - 1)
    if len(fields) != count or not fields[0].isdigit():
        raise Failure(f"{folder} has a list of messages with a line that is none: {line!r}")
    return fields
