"""What delivery-remote is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from delivery_remote.next_hop import FIRST_REST, LONGEST_REST, Limits
from delivery_remote.session import Patience
from posthouse.mail.address import BadAddress, parse_address
from posthouse.mail.timetable import Timetable
from posthouse.resolver import parse_nameservers
from posthouse.runtime.durations import Duration, Durations, timetable
from posthouse.runtime.settings import CommonSettings

REST_SHARE = 0.8  # of the shortest retry delay: a rest is over when a mail that failed comes back


def _nameservers(text: str) -> str:
    parse_nameservers(text)
    return text


def _address(text: str) -> str:
    try:
        return str(parse_address(text)) if text else ""
    except BadAddress as bad:
        raise ValueError("must be a mail address") from bad


class RemoteSettings(CommonSettings):
    """The settings of this service beside the common ones.

    Attributes:
        nameservers: ``address[:port], ...``; empty for those of /etc/resolv.conf.
        remote_port: The port of servers found by MX.
        remote_concurrency: Mails in hand at once on each shard.
        remote_sessions: Sessions at once with one destination.
        remote_transactions: Mails over one session.
        remote_idle: How long a session is kept open unused.
        remote_timeout: The longest wait for a server, at any stage.
        relay_authorities: Roots in PEM that certificates of smarthosts with a login must lead to;
            those of the system if not set.
        retry_delays: The pauses after the first, second ... attempt; the last one repeats.
        warn_after: Age at which the sender is told that the mail is late; 0 for never.
        give_up: Age at which a recipient is bounced.
        bounce_give_up: The same for mail with the null sender.
        double_bounce_address: Who is told when there is no sender; empty for nobody.
    """

    nameservers: Annotated[str, AfterValidator(_nameservers)] = ""
    remote_port: Annotated[int, Field(ge=1, le=65_535)] = 25
    remote_concurrency: Annotated[int, Field(ge=1, le=1000)] = 200
    remote_sessions: Annotated[int, Field(ge=1, le=1000)] = 20
    remote_transactions: Annotated[int, Field(ge=1, le=10_000)] = 100
    remote_idle: Duration = timedelta(seconds=10)
    remote_timeout: Duration = timedelta(minutes=10)
    relay_authorities: Path | None = None
    retry_delays: Durations = tuple(timedelta(minutes=m) for m in (5, 15, 30, 60, 120, 240))
    warn_after: Duration = timedelta(hours=4)
    give_up: Duration = timedelta(days=5)  # RFC 5321 §4.5.4.1: at least 4-5 days
    bounce_give_up: Duration = timedelta(days=1)
    double_bounce_address: Annotated[str, AfterValidator(_address)] = ""

    @property
    def timetable(self) -> Timetable:
        """For mail with a sender."""
        return timetable(self.retry_delays, self.warn_after, self.give_up)

    @property
    def bounce_timetable(self) -> Timetable:
        """For mail with the null sender."""
        return timetable(self.retry_delays, timedelta(), min(self.bounce_give_up, self.give_up))

    @property
    def patience(self) -> Patience:
        """How long servers may take."""
        return Patience().at_most(self.remote_timeout.total_seconds())

    @property
    def limits(self) -> Limits:
        """What one destination gets."""
        longest = min(self.timetable.delays) * REST_SHARE
        return Limits(
            sessions=self.remote_sessions,
            transactions=self.remote_transactions,
            idle=self.remote_idle,
            rest=min(FIRST_REST, longest),
            rest_max=min(LONGEST_REST, longest),
        )
