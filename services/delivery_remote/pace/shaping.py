"""What each site gets: rules as data, found by the names of its servers. Pure but for reading files.

`providers.toml` beside this file knows the large providers; an operator's file of the same form
changes these, key by key, and adds others:

    [google]                        # a name of your own; with its sites all share one
    mx = ["google.com", "smtp.goog"]   # these names, and all below
    sessions = 20                   # at once
    transactions = 50               # over one session
    recipients = 100                # in one transaction
    rate = "600/1m"                 # messages
    connections = "100/1m"          # new sessions
    pause = "1m"                    # after it says "not now": 421, or 4yz to MAIL

A key that is missing is that of ``[default]``, and there of the settings.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from posthouse.mail.address import is_domain
from posthouse.mail.rates import UNLIMITED, Rate
from posthouse.runtime.durations import parse_duration
from posthouse.runtime.rate_settings import parse_rate

PROVIDERS = Path(__file__).with_name("providers.toml")
DEFAULT = "default"
MX = "mx"
LONGEST_PAUSE = timedelta(hours=1)
MAX_OCTETS = 1_000_000  # of a file of rules


class BadShaping(ValueError):
    """A file of rules that cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one site gets.

    Attributes:
        name: Of its rule; empty for none.
        sessions: At once, of all pods together.
        transactions: Over one session.
        recipients: In one transaction (RFC 5321 §4.5.3.1.8: every server takes 100).
        rate: Messages.
        connections: New sessions.
        pause: First pause after it says "not now".
    """

    name: str = ""
    sessions: int = 20
    transactions: int = 100
    recipients: int = 100
    rate: Rate = UNLIMITED
    connections: Rate = UNLIMITED
    pause: timedelta = timedelta(seconds=5)


USUAL = Shape()


@dataclass(frozen=True, slots=True)
class Shaping:
    """All rules.

    Attributes:
        default: For who has none.
        rules: By suffixes of servers' names.
    """

    default: Shape = USUAL
    rules: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def most_sessions(self) -> int:
        """The most sessions at once that any site gets."""
        return max(shape.sessions for shape in (self.default, *self.rules.values()))

    def of(self, hosts: Iterable[str]) -> Shape:
        """Return the rule that fits the first of ``hosts`` that has one; the nearest name counts."""
        for host in hosts if self.rules else ():
            name = host.lower().rstrip(".")
            while name:
                if name in self.rules:
                    return self.rules[name]
                name = name.partition(".")[2]
        return self.default


def open_shaping(path: Path | None = None, default: Shape = USUAL) -> Shaping:
    """Return the rules of the providers with those of the file at ``path`` above them.

    Raises:
        BadShaping: A file cannot be read, or says what it cannot mean.
    """
    tables = _read(PROVIDERS)
    for name, table in (_read(path) if path else {}).items():
        tables[name] = tables.get(name, {}) | table
    default = _shape("", tables.pop(DEFAULT, {}), default)
    rules: dict[str, Shape] = {}
    for name, table in tables.items():
        shape = _shape(name, table, default)
        suffixes = _suffixes(name, table)
        taken = next((each for each in suffixes if each in rules), None)
        if taken is not None:
            raise BadShaping(f"[{name}] mx: {taken} is also in [{rules[taken].name}]")
        rules.update(dict.fromkeys(suffixes, shape))
    return Shaping(default, rules)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_OCTETS + 1)
        tables = tomllib.loads(text.decode())
    except OSError as error:
        raise BadShaping(f"{path}: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, not TOML
        raise BadShaping(f"{path}: {error}") from error
    if len(text) > MAX_OCTETS:
        raise BadShaping(f"{path}: longer than {MAX_OCTETS} octets")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise BadShaping(f"{path}: {name} stands outside of a [section]")
    return tables


def _shape(name: str, table: Mapping[str, Any], default: Shape) -> Shape:
    """Return what ``table`` says, and for the rest what ``default`` does."""
    said: dict[str, Any] = {}
    for key, value in table.items():
        if key == MX and name:
            continue
        read = _KEYS.get(key)
        if read is None:
            raise BadShaping(f"[{name or DEFAULT}] {key}: there is no such key")
        try:
            said[key] = read(value)
        except (TypeError, ValueError) as error:
            raise BadShaping(f"[{name or DEFAULT}] {key}: {error}") from error
    return replace(default, name=name, **said)


def _suffixes(name: str, table: Mapping[str, Any]) -> list[str]:
    names = table.get(MX)
    if not (isinstance(names, list) and names and all(isinstance(each, str) for each in names)):
        raise BadShaping(f'[{name}] mx: must be a list of names of servers, like ["example.net"]')
    suffixes = [each.lower().strip(".") for each in names]
    wrong = next((each for each in suffixes if not is_domain(each)), None)
    if wrong is not None:
        raise BadShaping(f"[{name}] mx: {wrong!r} is no name")
    return list(dict.fromkeys(suffixes))


def _number(most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"must be a number from 1 to {most}")
        return value

    return read


def _rate(value: object) -> Rate:
    return parse_rate(value if isinstance(value, str) else str(value))


def _pause(value: object) -> timedelta:
    pause = parse_duration(str(value))
    if not timedelta(seconds=1) <= pause <= LONGEST_PAUSE:
        raise ValueError("must be from 1s to 1h")
    return pause


_KEYS: Mapping[str, Callable[[object], object]] = {
    "sessions": _number(1000),
    "transactions": _number(10_000),
    "recipients": _number(100),
    "rate": _rate,
    "connections": _rate,
    "pause": _pause,
}
