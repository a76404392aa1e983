"""What policy is told."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from policy_engine.bayes.settings import BayesSettings
from policy_engine.lists.settings import ListSettings
from policy_engine.outbound.settings import OutboundSettings
from policy_engine.rights import Ownership
from policy_engine.scanners.settings import ScannerSettings
from posthouse.runtime.dmarc_settings import DmarcSettings
from posthouse.runtime.report_settings import ReturnPathSettings, address
from posthouse.runtime.retrying import RetryingSettings
from posthouse.runtime.settings import Port
from posthouse.storage.directory import Network

MIN_SECRET_CHARACTERS = 16
EXCEPTION = "!"  # before a network within a larger one that may not relay


def _networks(text: str) -> str:
    for part in filter(None, text.split(",")):
        try:
            ip_network(part.strip().removeprefix(EXCEPTION))
        except ValueError as wrong:
            raise ValueError("must look like 192.0.2.0/24,!192.0.2.7,2001:db8::/32") from wrong
    return text


def _long(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < MIN_SECRET_CHARACTERS:
        raise ValueError(f"must have at least {MIN_SECRET_CHARACTERS} characters")
    return secret


class PolicySettings(
    ScannerSettings,
    ListSettings,
    BayesSettings,
    DmarcSettings,
    OutboundSettings,
    RetryingSettings,
    ReturnPathSettings,
):
    """The settings of this service beside the common ones.

    Attributes:
        policy_host: Where questions are answered.
        policy_port: Where questions are answered; 0 answers none.
        relay_networks: Clients that may relay, besides those in the directory; ``!`` before one
            that may not.
        sender_ownership: Whose addresses an account may send as; see `policy_engine.rights`.
        srs_secret: Signs rewritten senders, the same for all pods; without it, a random key is
            made once and kept in PostgreSQL.
        postmaster_address: Who takes the mail to postmaster of every domain of ours that has none
            of its own (RFC 5321 §4.5.1); empty for nobody.
        feedback_address: Where complaints come to (RFC 5965), an address of ours; empty for none.
        suppress_at_rcpt: Who submits mail to a recipient on the suppression list is refused at once;
            else a report tells them.
        routing_batch: The most messages routed in one transaction.
        routing_concurrency: Transactions at once.
    """

    policy_host: str = "127.0.0.1"
    policy_port: Port = 2091
    relay_networks: Annotated[str, AfterValidator(_networks)] = ""
    sender_ownership: Ownership = "strict"
    srs_secret: Annotated[SecretStr, AfterValidator(_long)] | None = None
    postmaster_address: Annotated[str, AfterValidator(address)] = ""
    feedback_address: Annotated[str, AfterValidator(address)] = ""
    suppress_at_rcpt: bool = True
    routing_batch: Annotated[int, Field(ge=1, le=1000)] = 100
    routing_concurrency: Annotated[int, Field(ge=1, le=32)] = 2

    @property
    def told_of_alarms(self) -> str:
        """Who is told of accounts that look wrong; empty for nobody but their tenant's contact."""
        return self.outbound_alert_address or self.postmaster_address

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks one by one."""
        parts = [part.strip() for part in self.relay_networks.split(",") if part]
        return tuple(
            Network(
                network=ip_network(part.removeprefix(EXCEPTION)),
                relay=not part.startswith(EXCEPTION),
            )
            for part in parts
        )
