"""Mail transactions on an open connection (RFC 5321 §3.3), pipelined where the server can.

    MAIL FROM, RCPT TO ..., DATA   written together (RFC 2920 §3.1), else one after the other
    the octets, the dot            only after 354, and only if a recipient was accepted

8-bit octets go as they are also to a server that does not offer 8BITMIME, without ``BODY=``: all
servers in use take them, and a conversion would break signatures (RFC 6152 §3 asks for a
conversion or a bounce: not done).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from aiosmtplib.errors import SMTPException

from delivery_remote.routes import Target
from delivery_remote.session.line import Line
from delivery_remote.session.mail import Mail
from delivery_remote.session.manners import Patience
from delivery_remote.transcript import Answer, Lost, Reply, Transcript, is_farewell, is_yes
from delivery_remote.transparency import FINAL_DOT, DotStuffer
from posthouse.mail.envelope import InboundRecipient
from posthouse.mail.handling import in_ascii
from posthouse.telemetry.logs import get_logger

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
GO_AHEAD = 354  # RFC 5321 §4.1.1.4

log = get_logger()


class Session:
    """An open session; one transaction at a time.

    Attributes:
        target: Whom we are talking to.
        tls: The version of TLS in use; empty for none.
        security: The same, and by which policy, in words.
        served: Transactions so far.
        opened: When it was opened (monotonic seconds).
        has_failed_tls: TLS was offered and failed; this is the second attempt, in plain text.
        is_usable: False when no further transaction may be begun.
    """

    def __init__(
        self, line: Line, target: Target, extensions: Mapping[str, str], patience: Patience
    ) -> None:
        self.target = target
        self.served = 0
        self.opened = time.monotonic()
        self.has_failed_tls = False
        self._line = line
        self._extensions = extensions
        self._patience = patience
        self._is_clean = True
        self._is_over = False
        secured = line.get_extra_info("ssl_object")
        self.tls: str = secured.version() if secured else ""
        self.security = f"{self.tls or 'no TLS'}, policy {target.demand.name}"

    @property
    def is_usable(self) -> bool:
        """False when no further transaction may be begun."""
        return not self._is_over and self._line.is_connected and not self._line.has_unread

    @property
    def keeps_tls(self) -> bool:
        """True if the server promises to go on over TLS with what must not go without (RFC 8689)."""
        return bool(self.tls) and "requiretls" in self._extensions

    @property
    def offers_dsn(self) -> bool:
        """True if the server takes what the sender wants to be told, and will do so itself."""
        return "dsn" in self._extensions

    @property
    def offers_by(self) -> bool:
        """True if the server takes until when a mail must have arrived (RFC 2852 §3)."""
        return "deliverby" in self._extensions

    async def transact(self, mail: Mail) -> Transcript:
        """Hand ``mail`` over and return what the server said.

        Whatever ``mail.pieces`` raises goes through; the connection is then cut before the final
        dot, so that nothing was handed over.
        """
        objection = mail.objection_of(self._extensions)
        if objection is not None:
            return Transcript(mail=objection)
        self.served += 1
        try:
            if not self._is_clean:
                await self._reset()
            transcript = await self._converse(mail)
        except SMTPException as broken:  # the write itself failed
            self._is_over = True
            return Transcript(mail=Lost(str(broken)))
        except BaseException:
            self.abort()
            raise
        self._is_clean = transcript.end is not None
        return transcript

    async def quit(self) -> None:
        """Say goodbye and close (RFC 5321 §4.1.1.10)."""
        try:
            if self.is_usable:
                await self._line.execute_command(b"QUIT", timeout=self._patience.goodbye)
        except SMTPException as broken:
            log.debug("goodbye unheard", host=str(self.target), why=str(broken))
        finally:
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        self._is_over = True
        self._line.abort()

    async def _converse(self, mail: Mail) -> Transcript:
        lines = [self._mail_command(mail)]
        lines += [self._rcpt_command(mail, recipient) for recipient in mail.recipients]
        pipelined = "pipelining" in self._extensions
        if pipelined:
            self._line.write("".join([*lines, "DATA\r\n"]).encode())
        said: list[Answer] = []
        for line in lines:
            if not pipelined:
                self._line.write(line.encode())
            said.append(await self._answer(self._patience.command))
            if isinstance(said[-1], Lost) or not (pipelined or is_yes(said[0])):
                break
        opening = Transcript(mail=said[0], recipients=tuple(said[1:]))
        if isinstance(said[-1], Lost) or self._is_over:
            return opening
        wanted = any(map(is_yes, said[1:])) and is_yes(said[0])
        if not wanted and not pipelined:
            return opening
        return await self._data(mail, opening, wanted=wanted, asked=pipelined)

    async def _data(
        self, mail: Mail, opening: Transcript, *, wanted: bool, asked: bool
    ) -> Transcript:
        if not asked:
            self._line.write(b"DATA\r\n")
        data = await self._answer(self._patience.data)
        goes = isinstance(data, Reply) and data.code == GO_AHEAD
        content: Lost | None = None
        end: Answer | None = None
        if goes and wanted:
            content, end = await self._content(mail)
        elif goes:  # RFC 2920 §3.1: nobody was accepted and the server waits all the same
            self._line.write(FINAL_DOT)
            end = await self._answer(self._patience.end)
        return Transcript(
            mail=opening.mail, recipients=opening.recipients, data=data, content=content, end=end
        )

    async def _content(self, mail: Mail) -> tuple[Lost | None, Answer | None]:
        """Send the octets: where it broke off before the dot, or the answer to the dot."""
        stuffer, waiting = DotStuffer(), b""
        try:
            async for piece in mail.pieces():
                if waiting:
                    self._line.write(waiting)
                    await self._line.drained(self._patience.block)
                waiting = stuffer.feed(piece)
            if not self._line.has_unread:
                self._line.write(waiting + stuffer.finish())
        except SMTPException as broken:
            log.debug("message broke off", host=str(self.target), why=str(broken))
        if not stuffer.is_finished:
            return await self._interrupted()
        if stuffer.mended:
            log.warning("bare line ends mended", count=stuffer.mended, host=str(self.target))
        return None, await self._end()

    async def _interrupted(self) -> tuple[Lost | None, Answer | None]:
        """The server spoke, or went, before the dot: what it said, which can be no yes."""
        answer = await self._answer(self._patience.goodbye)
        self.abort()
        if isinstance(answer, Lost):
            return answer, None
        return None, answer if answer.code >= 400 else Reply(451, str(answer))  # noqa: PLR2004 - 4yz and 5yz

    async def _end(self) -> Answer:
        try:
            await self._line.drained(self._patience.block)
        except SMTPException as broken:
            self._is_over = True
            if not self._line.has_unread:
                return Lost(str(broken))
        return await self._answer(self._patience.end)

    async def _reset(self) -> None:
        """End what an unfinished transaction left behind (RFC 5321 §4.1.1.5)."""
        self._line.write(b"RSET\r\n")
        answer = await self._answer(self._patience.command)
        if not is_yes(answer):
            self._is_over = True
            raise SMTPException(str(answer))

    def _mail_command(self, mail: Mail) -> str:
        words = [f"MAIL FROM:<{_safe(mail.sender)}>"]
        if "size" in self._extensions:
            words.append(f"SIZE={mail.size}")
        if mail.body == "8BITMIME" and "8bitmime" in self._extensions:
            words.append("BODY=8BITMIME")
        if mail.smtputf8:
            words.append("SMTPUTF8")
        if self.offers_dsn and mail.handling.ret:
            words.append(f"RET={mail.handling.ret}")
        if self.offers_dsn and mail.handling.envid:
            words.append(f"ENVID={_safe(mail.handling.envid)}")
        if mail.handling.requiretls and self.keeps_tls:
            words.append("REQUIRETLS")
        if mail.deadline is not None and self.offers_by:
            words.append(f"BY={mail.deadline.by_value(datetime.now(UTC))}")
        return " ".join(words) + "\r\n"

    def _rcpt_command(self, mail: Mail, recipient: InboundRecipient) -> str:
        """RFC 3461 §5.2.1: what came goes on, octet for octet, and nothing that did not come."""
        command = f"RCPT TO:<{_safe(recipient.address)}>"
        notify = recipient.notify
        if self.offers_dsn and notify.on:
            command += f" NOTIFY={notify.on}"
        if self.offers_dsn and notify.orcpt:
            orcpt = notify.orcpt if mail.smtputf8 else in_ascii(notify.orcpt)
            command += f" ORCPT={_safe(orcpt)}"
        return command + "\r\n"

    async def _answer(self, seconds: float) -> Answer:
        try:
            answer: Answer = self._line.reply_of(await self._line.read_response(seconds))
        except SMTPException as broken:
            answer = Lost(str(broken))
        if is_farewell(answer):
            self._is_over = True
        return answer


def _safe(path: str) -> str:
    """Return ``path``; `ValueError` if it would end its command line (an injection)."""
    if _CONTROLS.search(path):
        raise ValueError("a control character in an address")
    return path
