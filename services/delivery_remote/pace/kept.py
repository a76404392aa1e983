"""Sessions of one site that are open and unused, for the next mail of any of its domains."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from delivery_remote.routes import Target
from delivery_remote.session import Session


@dataclass(slots=True)
class Kept:
    """What is kept open, the longest unused first."""

    _sessions: deque[tuple[float, Session]] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._sessions)

    def take(self, target: Target) -> Session | None:
        """Return an open session with ``target``, the one used last, if there is a good one."""
        for at in range(len(self._sessions) - 1, -1, -1):
            _, session = self._sessions[at]
            if session.is_usable and _is_same(session.target, target):
                del self._sessions[at]
                return session
        return None

    def keep(self, session: Session, now: float) -> None:
        """Keep an open session."""
        self._sessions.append((now, session))

    def oldest(self) -> Session:
        """Take out the one that was unused for longest."""
        return self._sessions.popleft()[1]

    def outdated(self, before: float) -> list[Session]:
        """Take out those that are unused since ``before``, or of no use any more."""
        old = [each for since, each in self._sessions if since < before or not each.is_usable]
        if old:
            self._sessions = deque(one for one in self._sessions if one[1] not in old)
        return old


def _is_same(one: Target, other: Target) -> bool:
    """True if a session with ``one`` does for ``other``: whose MX records name it is the same to it."""
    return one == other or (
        one.address == other.address and replace(one, domain="") == replace(other, domain="")
    )
