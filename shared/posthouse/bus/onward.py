"""What is published before a delivery is acknowledged: its envelopes go on, wait, or are buried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from posthouse.bus.inbox import Delivery
from posthouse.bus.moves import Ack, Bury, Move, Wait, patience_after
from posthouse.bus.obituary import History, compose, history_in
from posthouse.bus.publisher import Parcel
from posthouse.bus.wire import encode
from posthouse.mail.errors import PermanentFailure
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

AFTER_LONGEST_HOLD = timedelta(minutes=1)

log = get_logger()
_settled = counter("posthouse_bus_settled_total", "Envelopes settled, by the move.", "road", "move")


@dataclass(frozen=True, slots=True)
class Letter:
    """One envelope of a delivery, not yet read."""

    delivery: Delivery
    body: bytes

    @property
    def history(self) -> History:
        """What travelled beside it: envelopes that have failed travel alone."""
        return history_in(self.delivery.headers)


def letters(delivery: Delivery) -> list[Letter]:
    """Return the envelopes of ``delivery``."""
    return [Letter(delivery, line) for line in delivery.lines]


class Onward:
    """Makes the parcels of one road."""

    def __init__(self, service: str, road: str) -> None:
        self._service = service
        self._road = road

    def apart(self, letter: Letter) -> Parcel:
        """Return what lets one of several envelopes go on alone."""
        self._count("apart")
        return Parcel.on_road(self._road, letter.body)

    def postpone(self, letter: Letter) -> Parcel:
        """Return what brings ``letter`` back later, as if it had not been here."""
        self._count("postpone")
        history = letter.history
        return Parcel.waiting(AFTER_LONGEST_HOLD, self._road, letter.body, history)

    def carry(self, letter: Letter, move: Move) -> Parcel | None:
        """Return what ``move`` publishes."""
        if isinstance(move, Bury):
            return self.bury(letter, PermanentFailure(move.reason))
        self._count(type(move).__name__.lower())
        match move:
            case Ack():
                return None
            case Wait(delay=delay, envelope=envelope):
                body = letter.body if envelope is None else encode(envelope)
                return Parcel.waiting(delay, self._road, body)

    def blame(self, letter: Letter, error: Exception) -> Parcel:
        """Return what becomes of an envelope whose handling has failed: wait, or be buried."""
        history = letter.history.once_more(datetime.now(UTC))
        delay = patience_after(history.failures)
        if isinstance(error, PermanentFailure) or delay is None:
            return self.bury(letter, error)
        log.warning(
            "envelope waits", road=self._road, message=letter.delivery.message_id,
            failures=history.failures, again_in=delay.total_seconds(),
        )  # fmt: skip
        self._count("retry")
        return Parcel.waiting(delay, self._road, letter.body, history)

    def bury(self, letter: Letter, error: Exception) -> Parcel:
        """Return the dead letter that ``letter`` becomes."""
        self._count("bury")
        history, now = letter.history, datetime.now(UTC)
        obituary = compose(self._service, self._road, error, history, now)
        log.error(
            "envelope buried",
            road=self._road, message=letter.delivery.message_id, reason=obituary.reason,
            fingerprint=obituary.fingerprint,
        )  # fmt: skip
        return Parcel.dead(self._road, letter.body, obituary)

    def _count(self, move: str) -> None:
        _settled.labels(self._road, move).inc()
