"""What an operator says of conversations with servers outside."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from delivery_remote.session.manners import EightBit, Patience, Rules
from posthouse.runtime.durations import Duration
from posthouse.runtime.settings import CommonSettings

# A transaction is given up after 15 minutes (`handover.TRANSACTION`): no single wait is longer.
Wait = Annotated[Duration, Field(gt=timedelta(), le=timedelta(minutes=15))]


class TalkingSettings(CommonSettings):
    """How long servers may take, and what we do with what they offer.

    Attributes:
        remote_timeout: The longest wait for a server, at any stage.
        remote_connect_timeout: For the connection; qmail's timeoutconnect.
        remote_greeting_timeout: For 220; this and all that follow are qmail's timeoutremote.
        remote_hello_timeout: For the replies to EHLO, STARTTLS and AUTH, and for the handshake.
        remote_mail_timeout: For the reply to MAIL.
        remote_rcpt_timeout: For each reply to RCPT.
        remote_data_timeout: For 354, and for the reply to a chunk.
        remote_block_timeout: For each piece of the message to be taken.
        remote_dot_timeout: For the reply to the final dot.
        remote_quit_timeout: For the reply to QUIT, which no mail waits for.
        remote_chunking_from: Octets from which a message goes by BDAT where that is offered.
        remote_eight_bit: What becomes of 8-bit mail where 8BITMIME is not offered.
    """

    remote_timeout: Wait = timedelta(minutes=10)
    remote_connect_timeout: Wait = timedelta(seconds=30)
    remote_greeting_timeout: Wait = timedelta(minutes=5)
    remote_hello_timeout: Wait = timedelta(minutes=5)
    remote_mail_timeout: Wait = timedelta(minutes=5)
    remote_rcpt_timeout: Wait = timedelta(minutes=5)
    remote_data_timeout: Wait = timedelta(minutes=2)
    remote_block_timeout: Wait = timedelta(minutes=3)
    remote_dot_timeout: Wait = timedelta(minutes=10)
    remote_quit_timeout: Wait = timedelta(seconds=5)
    remote_chunking_from: Annotated[int, Field(ge=0)] = 65_536
    remote_eight_bit: EightBit = EightBit.CONVERT

    @property
    def patience(self) -> Patience:
        """How long servers may take."""
        each = Patience(
            connect=self.remote_connect_timeout.total_seconds(),
            greeting=self.remote_greeting_timeout.total_seconds(),
            hello=self.remote_hello_timeout.total_seconds(),
            mail=self.remote_mail_timeout.total_seconds(),
            rcpt=self.remote_rcpt_timeout.total_seconds(),
            data=self.remote_data_timeout.total_seconds(),
            block=self.remote_block_timeout.total_seconds(),
            dot=self.remote_dot_timeout.total_seconds(),
            quit=self.remote_quit_timeout.total_seconds(),
        )
        return each.at_most(self.remote_timeout.total_seconds())

    @property
    def rules(self) -> Rules:
        """What we do with what servers offer."""
        return Rules(chunked_from=self.remote_chunking_from, eight_bit=self.remote_eight_bit)
