"""What delivery-remote is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from delivery_remote.classes import Classes
from delivery_remote.next_hop import FIRST_REST, LONGEST_REST, Limits
from delivery_remote.pace import Shape, Shaping, open_shaping
from delivery_remote.security.settings import SecuritySettings
from delivery_remote.session.settings import TalkingSettings
from delivery_remote.ways import Customs, Families, Ours, parse_ours
from posthouse.runtime.durations import Duration
from posthouse.runtime.name_settings import NameSettings
from posthouse.runtime.report_settings import ReturnPathSettings
from posthouse.runtime.retrying import RetryingSettings
from posthouse.runtime.suppression_settings import SuppressionSettings

LOOPBACK = "127.0.0.0/8, ::1, 0.0.0.0/8, ::"
WAITING_SHARE = 0.75  # of a shard's places: the others are for sites that can begin at once
HOP_SHARE = 0.25  # of a shard's places, for one domain
REST_SHARE = 0.8  # of the shortest retry delay: a rest is over when a mail that failed comes back


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must begin with /")
    return path


def _ours(text: str) -> str:
    parse_ours(text)
    return text


def _rules(path: Path | None) -> Path | None:
    open_shaping(path)
    return path


class RemoteSettings(
    ReturnPathSettings,
    SuppressionSettings,
    RetryingSettings,
    TalkingSettings,
    SecuritySettings,
    NameSettings,
):
    """The settings of this service beside those it shares.

    Attributes:
        nameservers_validate: The name servers, and the way to them, can be trusted with saying what
            DNSSEC proves: TLSA records are asked for (DANE). Without it mail with REQUIRETLS only
            goes where a route, an MTA-STS policy or no MX record leads.
        remote_port: The port of servers found by MX.
        remote_families: Which addresses of a server are tried, and in which order.
        remote_literals: Mail to ``user@[192.0.2.1]`` goes there.
        remote_folders: The folder below which routes to ``maildir:`` and ``mbox:`` file; None for
            nowhere.
        remote_ours: Names, addresses and networks at which this house takes mail in, beside its
            hostname: where MX records lead there, mail would come back.
        remote_concurrency: Mails in hand at once on each shard.
        remote_sessions: Sessions at once with one destination.
        remote_transactions: Mails over one session.
        retry_jitter: Percent by which chance makes a pause between attempts longer.
        remote_return_rate: Recipients a second that follow for one domain when its site is back.
        remote_idle: How long a session is kept open unused.
        remote_shaping: A file of shaping rules above those of `pace/providers.toml`.
    """

    nameservers_validate: bool = False
    remote_port: Annotated[int, Field(ge=1, le=65_535)] = 25
    remote_families: Families = Families.BOTH
    remote_literals: bool = True
    remote_folders: Annotated[Path, AfterValidator(_absolute)] | None = None
    remote_ours: Annotated[str, AfterValidator(_ours)] = LOOPBACK
    remote_concurrency: Annotated[int, Field(ge=1, le=5000)] = 1000
    remote_sessions: Annotated[int, Field(ge=1, le=1000)] = 20
    remote_transactions: Annotated[int, Field(ge=1, le=10_000)] = 100
    retry_jitter: Annotated[float, Field(ge=0, le=100)] = 10.0
    remote_return_rate: Annotated[float, Field(gt=0, le=10_000)] = 200.0
    remote_idle: Duration = timedelta(seconds=10)
    remote_shaping: Annotated[Path | None, AfterValidator(_rules)] = None

    @property
    def customs(self) -> Customs:
        """How servers are found."""
        ours = parse_ours(self.remote_ours)
        return Customs(
            ours=Ours(names=ours.names | {self.hostname.lower()}, networks=ours.networks),
            port=self.remote_port,
            families=self.remote_families,
            literals=self.remote_literals,
        )

    @property
    def classes(self) -> Classes:
        """When mail is tried again, as long as no operator has set something else."""
        jitter = self.retry_jitter / 100
        return Classes(
            usual=replace(self.timetable, jitter=jitter),
            bounces=replace(self.bounce_timetable, jitter=jitter),
        )

    @property
    def shaping(self) -> Shaping:
        """What each site gets."""
        usual = Shape(sessions=self.remote_sessions, transactions=self.remote_transactions)
        return open_shaping(self.remote_shaping, usual)

    @property
    def share(self) -> int:
        """How many mails for one domain are in hand at once on a shard: twice what its site takes."""
        wanted = max(round(self.remote_concurrency * HOP_SHARE), 2 * self.shaping.most_sessions)
        return min(wanted, self.remote_concurrency)

    @property
    def limits(self) -> Limits:
        """What destinations get, whatever their sites."""
        longest = min(self.timetable.delays) * REST_SHARE
        return Limits(
            waiting=round(self.remote_concurrency * WAITING_SHARE),
            idle=self.remote_idle,
            rest=min(FIRST_REST, longest),
            rest_max=min(LONGEST_REST, longest),
        )
