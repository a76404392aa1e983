"""What ingress-smtp is told of courtesies: VRFY, EXPN, ETRN, and addresses that are made whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ingress_smtp.courtesies import Courtesies, Openness
from ingress_smtp.interfaces import interface_addresses
from ingress_smtp.releases import Measure
from posthouse.mail.address import is_domain
from posthouse.mail.networks import Networks, parse_networks
from posthouse.resolver import parse_nameservers
from posthouse.runtime.client_settings import NetworkList
from posthouse.runtime.settings import CommonSettings

INTERFACES = "interfaces"


def _domain(text: str) -> str:
    if text and not is_domain(text):
        raise ValueError("must be a domain")
    return text.lower()


def _nameservers(text: str) -> str:
    parse_nameservers(text)
    return text


def _own(text: str) -> str:
    try:
        parse_own_addresses(text)
    except OSError as error:
        raise ValueError(f"{INTERFACES}: this system does not tell its addresses") from error
    return text


def parse_own_addresses(text: str) -> Networks:
    """Read addresses divided by commas; `INTERFACES` among them stands for this machine's.

    Raises `BadNetworks`, or `OSError` if the system does not tell.
    """
    words = [word.strip() for word in text.split(",")]
    named = parse_networks(",".join(word for word in words if word != INTERFACES))
    found = interface_addresses().members if INTERFACES in words else ()
    return Networks((*named.members, *found))


class CourtesySettings(CommonSettings):
    """What is done for clients besides taking their mail.

    Attributes:
        vrfy: Who is told by VRFY whether an address is known.
        expn: Who is told by EXPN whom an address stands for.
        etrn: Whether servers may ask for what waits for their domain.
        etrn_networks: Clients that may ask for any domain.
        etrn_seconds: Between two releases for one domain.
        etrn_recipients_max: Released at once.
        nameservers: ``address[:port], ...`` for ETRN; empty for those of /etc/resolv.conf.
        default_domain: For addresses that an account gives without one, in the envelope and in the
            header; ``account`` for its own; empty for none.
        own_addresses: IP addresses whose literals are addresses of this house; ``interfaces`` for
            those of this machine.
        literal_domain: The domain these stand for; empty for the hostname.
    """

    vrfy: Openness = "off"
    expn: Openness = "off"
    etrn: Literal["off", "on"] = "off"
    etrn_networks: NetworkList = ""
    etrn_seconds: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    etrn_recipients_max: Annotated[int, Field(ge=1, le=10_000)] = 1000
    nameservers: Annotated[str, AfterValidator(_nameservers)] = ""
    default_domain: Annotated[str, AfterValidator(_domain)] = ""
    own_addresses: Annotated[str, AfterValidator(_own)] = ""
    literal_domain: Annotated[str, AfterValidator(_domain)] = ""

    @property
    def courtesies(self) -> Courtesies:
        """What the listeners do."""
        return Courtesies(
            vrfy=self.vrfy,
            expn=self.expn,
            etrn=self.etrn == "on",
            default_domain=self.default_domain,
            own_addresses=parse_own_addresses(self.own_addresses),
            literal_domain=self.literal_domain or self.hostname,
        )

    @property
    def release_measure(self) -> Measure:
        """How much ETRN releases."""
        return Measure(
            networks=parse_networks(self.etrn_networks),
            pause=timedelta(seconds=self.etrn_seconds),
            recipients=self.etrn_recipients_max,
        )
