"""How a session begins, and who may speak for others."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from posthouse.mail.address import is_domain
from posthouse.mail.networks import Networks, parse_networks
from posthouse.runtime.client_settings import NetworkList
from posthouse.runtime.settings import CommonSettings, Port

_TEXT = re.compile(r"[ -~]{1,500}")  # RFC 5321 §4.5.3.1.5: 512 octets with the code and the end


def _greeting(text: str) -> str:
    if text and not (_TEXT.fullmatch(text) and is_domain(text.split(" ", maxsplit=1)[0])):
        raise ValueError("must be one line of ASCII that begins with a host name")
    return text


class GreetingSettings(CommonSettings):
    """How a session begins.

    Attributes:
        lmtp_host: Where LMTP listens: whoever reaches it is believed.
        lmtp_port: LMTP for a system in front of us (RFC 2033); 0 is off.
        smtp_greeting: What stands behind 220 in SMTP, a host name first; empty for the usual.
        greet_delay_seconds: How long a stranger waits for it in silence; 0 lets nobody wait.
        greet_at_once_networks: Those who need not wait.
        xclient_networks: Those who may say for whom they speak.
    """

    lmtp_host: str = "127.0.0.1"
    lmtp_port: Port = 0
    smtp_greeting: Annotated[str, AfterValidator(_greeting)] = ""
    greet_delay_seconds: Annotated[float, Field(ge=0, le=60)] = 0.0
    greet_at_once_networks: NetworkList = "127.0.0.0/8,::1/128"
    xclient_networks: NetworkList = ""

    @property
    def greet_delay(self) -> timedelta:
        """How long a stranger waits."""
        return timedelta(seconds=self.greet_delay_seconds)

    @property
    def greet_at_once(self) -> Networks:
        """Those who need not wait."""
        return parse_networks(self.greet_at_once_networks)

    @property
    def xclients(self) -> Networks:
        """Those who may say for whom they speak."""
        return parse_networks(self.xclient_networks)
