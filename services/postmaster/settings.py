"""What the postmaster reads from its environment, once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from posthouse.bus.ask import parse_endpoint
from posthouse.mail.address import BadAddress, parse_address
from posthouse.runtime.dmarc_settings import DmarcSettings
from posthouse.runtime.index_settings import IndexSettings
from posthouse.runtime.logins import KeySettings
from posthouse.runtime.name_settings import NameSettings
from posthouse.runtime.report_settings import ReportSettings
from posthouse.runtime.suppression_settings import SuppressionSettings

MIN_TOKEN_CHARACTERS = 16
MAX_REPLAY_RATE = 1000  # letters a second


def _address(text: str) -> str:
    try:
        return str(parse_address(text)) if text else ""
    except BadAddress as wrong:
        raise ValueError(f"is no address ({wrong})") from wrong


def _endpoints(text: str) -> str:
    for endpoint in filter(None, text.split(",")):
        try:
            parse_endpoint(endpoint)
        except ValueError as wrong:
            raise ValueError("must look like host:port,host:port") from wrong
    return text


class PostmasterSettings(
    KeySettings, NameSettings, ReportSettings, DmarcSettings, SuppressionSettings, IndexSettings
):
    """Settings of the postmaster.

    Attributes:
        postmaster_host: Address the API listens on.
        postmaster_port: Port the API listens on; 0 switches the API off (duties only).
        api_token: Bearer token of the API; at least 16 characters.
        policy_endpoints: Policy pods that explain what they would do, ``host:port,host:port``; empty:
            nobody is asked.
        keep_days: Days after which settled mail leaves the ledger and the trace.
        sweep_seconds: Pause between two looks at what was committed and never published.
        sweep_after_seconds: Age from which an unpublished envelope is ours to publish.
        collect_after_days: Quarantine: days from the moment nothing refers to contents, and after
            acceptance, before the collector removes contents and objects.
        collect_hours: Pause between two walks of the collector.
        replay_rate: Dead letters that are replayed, rerouted or bounced in a second, where the order
            says nothing else.
        keep_changes: Steps of a mailbox's history that are kept for clients that come back.
        index_workers: Processes that make messages searchable, each with a database connection; 0:
            this service does not.
        index_accounts: Whose messages are indexed before anybody asks: of accounts whose texts
            (BODY, TEXT) were searched within 90 days, or of all.
        database_connections: Of the pool; each duty that one pod does alone keeps one while it works.
        tls_report_address: Who answers questions on our TLS reports, and sends them; empty: none
            are sent.
        dkim_publish_days: How long the record of a DKIM key that signs no more is still needed: mail
            that it signed is on its way.
        dkim_rotate_days: After so many days a DKIM key gets a successor, which signs once it is
            published; 0: only who says `posthouse dkim rotate` gets one.
        tls_report_organization: What people call us there, and in DMARC reports; empty: our hostname.
    """

    postmaster_host: str = "127.0.0.1"
    postmaster_port: Annotated[int, Field(ge=0, le=65535)] = 2080
    api_token: Annotated[SecretStr, Field(min_length=MIN_TOKEN_CHARACTERS)]
    policy_endpoints: Annotated[str, AfterValidator(_endpoints)] = ""
    keep_days: Annotated[int, Field(ge=7)] = 90
    sweep_seconds: Annotated[float, Field(gt=0)] = 2.0
    sweep_after_seconds: Annotated[float, Field(ge=0)] = 10.0
    collect_after_days: Annotated[float, Field(ge=1)] = 7.0
    collect_hours: Annotated[float, Field(gt=0)] = 24.0
    replay_rate: Annotated[float, Field(gt=0, le=MAX_REPLAY_RATE)] = 10.0
    keep_changes: Annotated[int, Field(ge=100)] = 10_000
    index_workers: Annotated[int, Field(ge=0, le=64)] = 1
    index_accounts: Literal["searching", "all"] = "searching"
    database_connections: Annotated[int, Field(ge=12, le=1000)] = 16
    tls_report_address: Annotated[str, AfterValidator(_address)] = ""
    tls_report_organization: Annotated[str, Field(pattern=r"^[ -~]{0,100}$")] = ""
    dkim_publish_days: Annotated[int, Field(ge=1, le=365)] = 7
    dkim_rotate_days: Annotated[int, Field(ge=0, le=3650)] = 0
