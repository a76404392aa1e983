"""What a consumer was given and has not begun: in the order it came, or fairly in turns.

A fair inbox looks far ahead: thousands for one next hop are no obstacle to the one behind them that
is for another. Its turns go alternately over next hops and over senders; a next hop that has its
share of the work in hand is passed over. What gathers all the same is surplus: of the next hop that
has most when there is too much, and what has waited for too long, because the broker takes back
what nobody acknowledges in half an hour.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from posthouse.bus.session import Session
from posthouse.bus.wire import heading
from posthouse.mail.turns import Line, Party

NOBODY = Party("", "")
MAX_GATHERED = 6000  # messages; above it there is surplus
MAX_SECONDS = 60.0  # what has waited for longer is surplus
PORTION = 100  # of surplus at once


@dataclass(slots=True, eq=False, kw_only=True)
class Delivery:
    """One message that was delivered to us, perhaps several times.

    Attributes:
        session: The channel's life in which it can be acknowledged.
        tag: Its number there.
        lines: Its envelopes, not yet read.
        headers: What travelled beside them.
        message_id: Stays the same when it is delivered again.
        is_again: It was delivered before, perhaps to somebody whom it killed.
        taken: When the work on it began, by the clock of the pulse.
        twins: Later deliveries of the same message.
        hop: For which next hop it is, where that matters.
        party: Whose it is, where that matters.
    """

    session: Session
    tag: int
    lines: tuple[bytes, ...]
    headers: Mapping[str, object]
    message_id: str
    is_again: bool
    taken: float = 0.0
    twins: list[Delivery] = field(default_factory=list)
    hop: str = ""
    party: Party = NOBODY

    @property
    def is_ours(self) -> bool:
        """True if it can still be acknowledged: nobody else will get it meanwhile."""
        return self.session.is_open or any(twin.session.is_open for twin in self.twins)


class Inbox(Protocol):
    """What waits to be begun."""

    def __len__(self) -> int:
        """Return how many envelopes wait."""

    @property
    def is_open(self) -> bool:
        """True if one of them may be begun."""

    @property
    def is_full(self) -> bool:
        """True if there is surplus."""

    def add(self, delivery: Delivery) -> None:
        """Let ``delivery`` wait."""

    def next(self, most: int) -> list[Delivery]:
        """Take out what is begun next, with up to ``most`` envelopes; the first may have more."""

    def ended(self, delivery: Delivery) -> None:
        """The work on ``delivery`` is over."""

    def surplus(self) -> list[Delivery]:
        """Take out some of what is too much; nearly always none."""

    def drop(self, session: Session) -> None:
        """Forget what came in ``session``."""


class PlainInbox:
    """First come, first served."""

    def __init__(self) -> None:
        self._line: deque[Delivery] = deque()
        self._count = 0

    def __len__(self) -> int:
        """Return how many envelopes wait."""
        return self._count

    @property
    def is_open(self) -> bool:
        """True if any waits."""
        return bool(self._line)

    @property
    def is_full(self) -> bool:
        """Never: the broker gives us no more than we asked for."""
        return False

    def add(self, delivery: Delivery) -> None:
        """Let ``delivery`` wait."""
        self._line.append(delivery)
        self._count += len(delivery.lines)

    def next(self, most: int) -> list[Delivery]:
        """Take out the oldest."""
        taken: list[Delivery] = []
        while self._line and (not taken or len(self._line[0].lines) <= most):
            taken.append(self._line.popleft())
            most -= len(taken[-1].lines)
            self._count -= len(taken[-1].lines)
        return taken

    def ended(self, delivery: Delivery) -> None:
        """It matters to nobody."""

    def surplus(self) -> list[Delivery]:
        """There is none."""
        return []

    def drop(self, session: Session) -> None:
        """Forget what came in ``session``."""
        self._line = deque(one for one in self._line if one.session is not session)
        self._count = sum(len(one.lines) for one in self._line)


@dataclass(slots=True)
class _Hop:
    """What waits for one next hop, and how much is in hand."""

    line: Line[Delivery] = field(default_factory=Line)
    in_hand: int = 0


class FairInbox:
    """Next hops and senders in turn."""

    def __init__(self, share: int, clock: Callable[[], float]) -> None:
        """Let a next hop have ``share`` messages in hand at most."""
        self._share = share
        self._clock = clock
        self._hops: dict[str, _Hop] = {}
        self._open: OrderedDict[str, _Hop] = OrderedDict()  # those whose turn may come
        self._senders: Line[Delivery] = Line()  # less what met a hop that had its share
        self._since: OrderedDict[Delivery, float] = OrderedDict()
        self._in_hand: dict[Delivery, _Hop] = {}
        self._is_senders_turn = False

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._since)

    @property
    def is_open(self) -> bool:
        """True if one of them may be begun."""
        return bool(self._open)

    @property
    def is_full(self) -> bool:
        """True if more waits than is good."""
        return len(self) > MAX_GATHERED

    def add(self, delivery: Delivery) -> None:
        """Let ``delivery`` wait for the turn of its next hop, or its sender."""
        delivery.hop, sender = heading(delivery.lines[0])
        delivery.party = Party.of(sender)
        hop = self._hops.setdefault(delivery.hop, _Hop())
        hop.line.join(delivery.party, delivery)
        self._senders.join(delivery.party, delivery)
        self._since[delivery] = self._clock()
        self._judge(delivery.hop)

    def next(self, most: int) -> list[Delivery]:
        """Take out whose turn it is, one at most."""
        if not self._open or most < 1:
            return []
        self._is_senders_turn = not self._is_senders_turn
        delivery = self._of_a_sender() if self._is_senders_turn else None
        delivery = delivery or self._of_a_hop()
        hop = self._hops[delivery.hop]
        hop.in_hand += 1
        self._in_hand[delivery] = hop
        return [self._left(delivery)]

    def ended(self, delivery: Delivery) -> None:
        """Its next hop has one less in hand."""
        hop = self._in_hand.pop(delivery, None)
        if hop is not None:
            hop.in_hand -= 1
            self._judge(delivery.hop)

    def surplus(self) -> list[Delivery]:
        """Take out the newest of whom there is most, or the oldest if they are too old."""
        if not self.is_full:
            late = self._clock() - MAX_SECONDS
            oldest = list(islice(self._since.items(), PORTION))
            return [self._left(one) for one, since in oldest if since < late]
        line = max((hop.line for hop in self._hops.values()), key=len)
        count = min(PORTION, len(line), len(self) - MAX_GATHERED)
        return [self._left(line.newest_of(who)) for _ in range(count) if (who := line.largest())]

    def drop(self, session: Session) -> None:
        """Forget what came in ``session``."""
        for one in [each for each in self._since if each.session is session]:
            self._left(one)

    def _of_a_sender(self) -> Delivery | None:
        """Return the next one by senders; what it passes over has its hop's turn left."""
        while (found := self._senders.next()) is not None:
            if found.hop in self._open:
                return found
        return None

    def _of_a_hop(self) -> Delivery:
        name, hop = next(iter(self._open.items()))
        self._open.move_to_end(name)
        found = hop.line.next()
        if found is None:
            raise RuntimeError(f"nothing waits for {name}, whose turn it is")
        return found

    def _left(self, delivery: Delivery) -> Delivery:
        """Return ``delivery``, which waits no longer."""
        del self._since[delivery]
        self._senders.leave(delivery.party, delivery)
        self._hops[delivery.hop].line.leave(delivery.party, delivery)
        self._judge(delivery.hop)
        return delivery

    def _judge(self, name: str) -> None:
        """Say whether the turn of ``name`` may come; forget it if nothing is left."""
        hop = self._hops[name]
        if hop.line and hop.in_hand < self._share:
            self._open.setdefault(name, hop)
            return
        self._open.pop(name, None)
        if not hop.line and not hop.in_hand:
            del self._hops[name]
