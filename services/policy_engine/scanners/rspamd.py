"""rspamd: its HTTP protocol, POST /checkv2. Its action is obeyed, and its symbols count by their scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from pydantic import SecretStr

from policy_engine.content.case import Case
from policy_engine.content.finding import Action, Finding
from policy_engine.content.verdict import SPAM_TEXT
from policy_engine.scanners.addresses import Address
from policy_engine.scanners.scanner import Answer, Pieces
from policy_engine.scanners.scores import findings_of
from policy_engine.scanners.trouble import Broken, TooLarge
from posthouse.mail.errors import Unavailable
from posthouse.runtime.tls import client_context

MAX_ANSWER_OCTETS = 1024 * 1024
MAX_SAID_CHARACTERS = 200
MAX_RECIPIENTS = 100  # rspamd looks for settings of theirs; it need not know all
_OK = 200
_TOO_LARGE = 413
# What it says, and what that is here. Greylisting it does itself, and says "soft reject" then.
_ACTIONS: Mapping[str, tuple[str, Action | None]] = {
    "no action": ("ham", None),
    "greylist": ("greylist", None),
    "add header": ("spam", "tag"),
    "rewrite subject": ("spam", "tag"),
    "quarantine": ("spam", "quarantine"),
    "soft reject": ("later", "tempfail"),
    "reject": ("reject", "reject"),
    "discard": ("discard", "discard"),
}


class _Symbol(msgspec.Struct):
    score: float = 0.0


class _Reply(msgspec.Struct):
    action: str
    score: float
    is_skipped: bool = False
    symbols: dict[str, _Symbol] = {}
    messages: dict[str, Any] = {}


_DECODER = msgspec.json.Decoder(_Reply)


class Rspamd:
    """Speaks to rspamd's normal worker, or to its controller."""

    name = "rspamd"

    def __init__(
        self, password: SecretStr | None, weight: float, authorities: Path | None = None
    ) -> None:
        """Its scores count ``weight`` times; by TLS ``authorities`` vouch for it, or the system's."""
        self._tls = client_context(authorities=authorities)
        self._password = password
        self._weight = weight

    async def scan(self, address: Address, case: Case, octets: Pieces) -> Answer:
        """Return what rspamd says; see `Dialect`."""
        headers = [*self._headers(case), ("Content-Length", str(case.size))]
        status, body = await self._ask(address, "POST", "/checkv2", headers, octets)
        if status == _TOO_LARGE:
            raise TooLarge
        if status != _OK:
            raise Broken(f"it says HTTP {status}")
        try:
            reply = _DECODER.decode(body)
        except msgspec.MsgspecError as wrong:
            raise Broken("this is not rspamd") from wrong
        if not math.isfinite(reply.score):
            raise Broken("its answer has no score")
        return self._read(reply)

    async def probe(self, address: Address) -> None:
        """Ask whether it is there; see `Dialect`."""
        status, body = await self._ask(address, "GET", "/ping", [], None)
        if status != _OK or body.strip() != b"pong":
            raise Broken("this is not rspamd")

    async def _ask(
        self,
        address: Address,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        octets: Pieces | None,
    ) -> tuple[int, bytes]:
        try:
            async with (
                aiohttp.ClientSession(connector=self._connector(address)) as session,
                session.request(
                    method, _url(address) + path, headers=headers, data=octets() if octets else None
                ) as response,
            ):
                return response.status, await _body(response)
        except aiohttp.ServerDisconnectedError as gone:
            raise EOFError("it closed the connection") from gone
        except aiohttp.ClientError as wrong:
            if isinstance(wrong.__cause__, Unavailable):  # the message could not be read
                raise wrong.__cause__ from wrong
            if isinstance(wrong, OSError) and wrong.errno is not None:
                raise
            if isinstance(wrong.__cause__, OSError) and wrong.__cause__.errno is not None:
                raise wrong.__cause__ from wrong  # it took no more of the message
            if isinstance(wrong, OSError):  # aiohttp's own words for that, without a number
                raise EOFError(str(wrong)) from wrong  # noqa: TRY004 - it is what happened
            raise Broken(str(wrong) or type(wrong).__name__) from wrong

    def _connector(self, address: Address) -> aiohttp.BaseConnector:
        if address.path:
            return aiohttp.UnixConnector(address.path)
        return aiohttp.TCPConnector(ssl=self._tls)

    def _read(self, reply: _Reply) -> Answer:
        verdict, action = _ACTIONS.get(reply.action, ("other", None))
        if reply.is_skipped and action is None:  # it also skips what it knows at once (GTUBE)
            return Answer(verdict="skipped")
        symbols = [(name, symbol.score) for name, symbol in reply.symbols.items() if symbol.score]
        findings = findings_of(self.name, reply.score, symbols, self._weight)
        if action is not None:
            said = reply.messages.get("smtp_message", "")
            found = Finding(
                rule=f"RSPAMD_SAYS_{reply.action.upper().replace(' ', '_')}",
                seen=said[:MAX_SAID_CHARACTERS] if isinstance(said, str) else "",
                action=action,
                text=SPAM_TEXT if action == "reject" else "",
            )
            findings = (found, *findings)
        return Answer(verdict=verdict, findings=findings)

    def _headers(self, case: Case) -> Iterator[tuple[str, str]]:
        if self._password is not None:
            yield "Password", self._password.get_secret_value()
        yield "Queue-Id", case.id.hex
        yield "From", _clean(case.sender)
        for recipient in case.recipients[:MAX_RECIPIENTS]:
            yield "Rcpt", _clean(recipient)
        if case.auth:
            yield "User", _clean(case.auth)
        if case.knows_client and case.client:
            yield "IP", _clean(case.client)
            yield "Helo", _clean(case.hello)
            reverse = case.senders.reverse
            if reverse is not None and reverse.result == "pass":
                yield "Hostname", _clean(reverse.name)


def _url(address: Address) -> str:
    if address.path:
        return "http://localhost"
    return str(address) if address.is_tls else f"http://{address}"


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_ANSWER_OCTETS:
            raise Broken("its answer is too long")
    return body


def _clean(text: str) -> str:
    """Return ``text`` as it may stand in a header."""
    return "".join(char for char in text if char.isprintable())
