"""Mail transactions on an open connection (RFC 5321 §3.3), pipelined where the server can.

    MAIL FROM, RCPT TO ..., DATA   written together (RFC 2920 §3.1), else one after the other
    the octets, the dot            only after 354, and only if a recipient was accepted

A large message goes to a server that offers CHUNKING by BDAT instead (RFC 3030), after the replies
to RCPT: so it takes no turn more, and nobody is sent octets that are not wanted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from aiosmtplib.errors import SMTPException

from delivery_remote.routes import Target
from delivery_remote.security.proofs import MAY
from delivery_remote.session.content import by_chunks, by_data
from delivery_remote.session.fitting import fitted
from delivery_remote.session.line import Line
from delivery_remote.session.mail import Mail
from delivery_remote.session.manners import EightBit, Manners
from delivery_remote.session.narrowing import has_eight_bits
from delivery_remote.session.talk import Sent, Talk
from delivery_remote.session.words import mail_command, rcpt_command
from delivery_remote.transcript import Answer, Lost, Reply, Transcript, is_yes
from delivery_remote.transparency import FINAL_DOT
from posthouse.mime.transport import Unconvertible
from posthouse.telemetry.logs import get_logger

GO_AHEAD = 354  # RFC 5321 §4.1.1.4

log = get_logger()


class Session:
    """An open session; one transaction at a time.

    Attributes:
        target: Whom we are talking to.
        tls: The version of TLS in use; empty for none.
        security: The same, by which policy, and from which address if that was chosen; in words.
        source: The address of ours that the connection is from; empty for a socket.
        served: Transactions so far.
        opened: When it was opened (monotonic seconds).
        has_failed_tls: TLS was offered and failed; this is the second attempt, in plain text.
        is_usable: False when no further transaction may be begun.
    """

    def __init__(
        self, line: Line, target: Target, offers: Mapping[str, str], manners: Manners
    ) -> None:
        self.target = target
        self.served = 0
        self.opened = time.monotonic()
        self.has_failed_tls = False
        self._talk = Talk(line, manners.patience, str(target))
        self.source = line.own_address
        self._offers = offers
        self._rules = manners.rules
        self._workshop = manners.workshop
        self._is_clean = True
        secured = line.get_extra_info("ssl_object")
        self.tls: str = secured.version() if secured else ""
        self.security = self.tls or "no TLS"
        if target.demand != MAY:
            self.security += f", {target.demand.name}"
        if target.source:
            self.security += f", from {target.source}"

    @property
    def is_usable(self) -> bool:
        """False when no further transaction may be begun."""
        line = self._talk.line
        return not self._talk.is_over and line.is_connected and not line.has_unread

    @property
    def keeps_tls(self) -> bool:
        """True if the server promises to go on over TLS with what must not go without (RFC 8689)."""
        return bool(self.tls) and "requiretls" in self._offers

    @property
    def offers_dsn(self) -> bool:
        """True if the server takes what the sender wants to be told, and will do so itself."""
        return "dsn" in self._offers

    @property
    def offers_by(self) -> bool:
        """True if the server takes until when a mail must have arrived (RFC 2852 §3)."""
        return "deliverby" in self._offers

    async def transact(self, mail: Mail) -> Transcript:
        """Hand ``mail`` over and return what the server said.

        Whatever ``mail.pieces`` raises goes through; the connection is then cut before the final
        dot, so that nothing was handed over.
        """
        mail = fitted(mail, self._offers)
        if self._rules.wants_seven_bits(self._offers) and await has_eight_bits(mail):
            return await self._narrowed(mail)
        return await self._hand_over(mail)

    async def _narrowed(self, mail: Mail) -> Transcript:
        """Hand 8-bit ``mail`` over in 7 bits, or tell why it cannot be (RFC 6152 §3)."""
        if self._rules.eight_bit is not EightBit.CONVERT:
            return Transcript(mail=_not_converted("the server does not take 8-bit mail (8BITMIME)"))
        try:
            async with self._workshop.narrowed(mail) as narrow:
                log.info("message converted to 7 bits", host=self._talk.host)
                return replace(await self._hand_over(narrow), converted=True)
        except Unconvertible as why:
            return Transcript(mail=_not_converted(f"the server takes 7-bit mail only: {why}"))

    async def _hand_over(self, mail: Mail) -> Transcript:
        objection = mail.objection_of(self._offers, is_final=self.target.lmtp)
        if objection is not None:
            return Transcript(mail=objection)
        self.served += 1
        try:
            if not self._is_clean:
                await self._reset()
            transcript = await self._converse(mail)
        except SMTPException as broken:  # the write itself failed
            self._talk.is_over = True
            return Transcript(mail=Lost(str(broken)))
        except BaseException:
            self.abort()
            raise
        return transcript

    async def quit(self) -> None:
        """Say goodbye and close (RFC 5321 §4.1.1.10)."""
        try:
            if self.is_usable:
                await self._talk.line.execute_command(b"QUIT", timeout=self._talk.patience.quit)
        except SMTPException as broken:
            log.debug("goodbye unheard", host=self._talk.host, why=str(broken))
        finally:
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        self._talk.abort()

    async def _converse(self, mail: Mail) -> Transcript:
        self._is_clean = False
        chunked = self._rules.wants_chunks(mail.size, self._offers)
        pipelined = "pipelining" in self._offers
        asked = pipelined and not chunked
        opening = await self._open(mail, pipelined=pipelined, data=asked)
        yes = sum(map(is_yes, opening.recipients)) if is_yes(opening.mail) else 0
        if self._talk.is_over or not (yes or asked):
            return opening
        if not chunked:
            return await self._data(mail, opening, yes, asked=asked)
        replies = yes if self.target.lmtp else 0
        sent = await by_chunks(self._talk, mail, pipelined=pipelined, replies=replies)
        self._is_clean = bool(sent.ends) or (sent.end is not None and is_yes(sent.end))
        return _whole(opening, None, sent)

    async def _open(self, mail: Mail, *, pipelined: bool, data: bool) -> Transcript:
        """MAIL and RCPT, together with DATA if ``data``, whose reply is left to be read."""
        talk = self._talk
        now = datetime.now(UTC)
        lines = [mail_command(mail, self._offers, now, secret=self.keeps_tls)]
        lines += [rcpt_command(mail, each, self._offers) for each in mail.recipients]
        if pipelined:
            talk.line.write(b"".join([*lines, b"DATA\r\n" if data else b""]))
        said: list[Answer] = []
        for line in lines:
            if not pipelined:
                talk.line.write(line)
            said.append(await talk.answer(talk.patience.rcpt if said else talk.patience.mail))
            if isinstance(said[-1], Lost) or not (pipelined or is_yes(said[0])):
                break
        return Transcript(mail=said[0], recipients=tuple(said[1:]))

    async def _data(self, mail: Mail, opening: Transcript, yes: int, *, asked: bool) -> Transcript:
        """DATA for ``yes`` recipients; unless it was ``asked`` before, it is now."""
        talk = self._talk
        if not asked:
            talk.line.write(b"DATA\r\n")
        data = await talk.answer(talk.patience.data)
        goes = isinstance(data, Reply) and data.code == GO_AHEAD
        sent = Sent()
        if goes and yes:
            sent = await by_data(talk, mail, replies=yes if self.target.lmtp else 0)
        elif goes and self.target.lmtp:  # RFC 2033 §4.2 forbids it; no reply would follow the dot
            self.abort()
        elif goes:  # RFC 2920 §3.1: nobody was accepted and the server waits all the same
            talk.line.write(FINAL_DOT)
            sent = Sent(end=await talk.answer(talk.patience.dot))
        self._is_clean = sent.end is not None
        return _whole(opening, data, sent)

    async def _reset(self) -> None:
        """End what an unfinished transaction left behind (RFC 5321 §4.1.1.5)."""
        self._talk.line.write(b"RSET\r\n")
        answer = await self._talk.answer(self._talk.patience.mail)
        if not is_yes(answer):
            self._talk.is_over = True
            raise SMTPException(str(answer))


def _not_converted(why: str) -> Reply:
    """Return the reply for what would have to be converted (RFC 3463 §3.7, X.6.3)."""
    return Reply(554, f"5.6.3 {why}")


def _whole(opening: Transcript, data: Answer | None, sent: Sent) -> Transcript:
    return Transcript(
        mail=opening.mail,
        recipients=opening.recipients,
        data=data,
        content=sent.content,
        end=sent.end,
        ends=sent.ends,
    )
