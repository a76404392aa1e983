"""Which scanners are asked, and what their answers are worth: what policy is told."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, FilePath, SecretStr, model_validator

from policy_engine.content.finding import Action
from policy_engine.content.settings import ContentSettings
from policy_engine.scanners.addresses import parse_addresses
from policy_engine.scanners.scanner import Manners
from policy_engine.scanners.stations import Terms

# What is done of a message that was not scanned.
Otherwise: TypeAlias = Literal["pass", "tag", "quarantine", "tempfail"]
TooLarge: TypeAlias = Literal["pass", "tag", "quarantine", "reject", "tempfail"]
Virus: TypeAlias = Literal["reject", "quarantine", "discard", "tag"]

MAX_OCTETS = 4 * 1024**3 - 1  # clamd counts in 32 bits


def _addresses(text: str) -> str:
    parse_addresses(text)
    return text


def _urls(text: str) -> str:
    parse_addresses(text, by_http=True)
    return text


def _user(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be printable ASCII")
    return text


Addresses: TypeAlias = Annotated[str, AfterValidator(_addresses)]
Urls: TypeAlias = Annotated[str, AfterValidator(_urls)]
Octets: TypeAlias = Annotated[int, Field(ge=1, le=MAX_OCTETS)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=60)]
AtOnce: TypeAlias = Annotated[int, Field(ge=1, le=1000)]
Weight: TypeAlias = Annotated[float, Field(ge=0, le=100)]


class ScannerSettings(ContentSettings):
    """The scanners beside our own checks.

    Attributes:
        clamd: Its addresses (``host:port``, ``/path/of/socket``; commas between them); empty for none.
        clamd_virus: What is done with a message that carries a virus.
        clamd_away: What is done while no address answers.
        clamd_octets: A larger message is not scanned; at most clamd's own StreamMaxLength.
        clamd_too_large: What is done with that.
        clamd_seconds: How long one address may take for one message.
        clamd_concurrency: Messages scanned at once by one policy process; others wait.
        clamd_ours: Mail of this house is scanned, too.
        spamd: As ``clamd``; likewise what has the same end.
        spamd_user: Whom spamd is asked as; ``recipient``: who alone gets the message.
        spamd_weight: Times this, its scores count.
        rspamd: As ``clamd``, with ``https://`` before an address by TLS; likewise what has the same end.
        rspamd_ca: PEM file of who may have signed its certificates; without, the system's.
        rspamd_password: What rspamd wants to hear.
        rspamd_weight: Times this, its scores count.
    """

    clamd: Addresses = ""
    clamd_virus: Virus = "reject"
    clamd_away: Otherwise = "tempfail"
    clamd_octets: Octets = 25 * 1024 * 1024
    clamd_too_large: TooLarge = "pass"
    clamd_seconds: Seconds = 8.0
    clamd_concurrency: AtOnce = 10
    clamd_ours: bool = True
    spamd: Addresses = ""
    spamd_user: Annotated[str, AfterValidator(_user)] = ""
    spamd_weight: Weight = 1.0
    spamd_away: Otherwise = "pass"
    spamd_octets: Octets = 512_000
    spamd_too_large: TooLarge = "pass"
    spamd_seconds: Seconds = 8.0
    spamd_concurrency: AtOnce = 5
    spamd_ours: bool = False
    rspamd: Urls = ""
    rspamd_ca: FilePath | None = None
    rspamd_password: SecretStr | None = None
    rspamd_weight: Weight = 1.0
    rspamd_away: Otherwise = "pass"
    rspamd_octets: Octets = 25 * 1024 * 1024
    rspamd_too_large: TooLarge = "pass"
    rspamd_seconds: Seconds = 8.0
    rspamd_concurrency: AtOnce = 20
    rspamd_ours: bool = False

    @model_validator(mode="after")
    def _one_address_leaves_time(self) -> Self:
        for name, addresses, seconds in (
            ("CLAMD", self.clamd, self.clamd_seconds),
            ("SPAMD", self.spamd, self.spamd_seconds),
            ("RSPAMD", self.rspamd, self.rspamd_seconds),
        ):
            if addresses and seconds >= self.check_seconds:
                raise ValueError(
                    f"POSTHOUSE_{name}_SECONDS: must be less than POSTHOUSE_CHECK_SECONDS"
                )
        return self

    @property
    def clamd_terms(self) -> Terms:
        """How much is asked of clamd."""
        return Terms(seconds=self.clamd_seconds, at_once=self.clamd_concurrency)

    @property
    def clamd_manners(self) -> Manners:
        """What clamd is asked about."""
        return Manners(
            if_away=_action(self.clamd_away),
            largest=self.clamd_octets,
            if_too_large=_action(self.clamd_too_large),
            of_ours=self.clamd_ours,
        )

    @property
    def spamd_terms(self) -> Terms:
        """How much is asked of spamd."""
        return Terms(seconds=self.spamd_seconds, at_once=self.spamd_concurrency)

    @property
    def spamd_manners(self) -> Manners:
        """What spamd is asked about."""
        return Manners(
            if_away=_action(self.spamd_away),
            largest=self.spamd_octets,
            if_too_large=_action(self.spamd_too_large),
            of_ours=self.spamd_ours,
        )

    @property
    def rspamd_terms(self) -> Terms:
        """How much is asked of rspamd."""
        return Terms(seconds=self.rspamd_seconds, at_once=self.rspamd_concurrency)

    @property
    def rspamd_manners(self) -> Manners:
        """What rspamd is asked about."""
        return Manners(
            if_away=_action(self.rspamd_away),
            largest=self.rspamd_octets,
            if_too_large=_action(self.rspamd_too_large),
            of_ours=self.rspamd_ours,
        )


def _action(word: Literal["pass"] | Action) -> Action | None:
    return None if word == "pass" else word
