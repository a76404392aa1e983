"""Conversations with the POP3 gateway, as they are written in the files beside this one."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from posthouse.credentials.failures import MAX_FAILURES
from posthouse.storage.pool import Pool
from support.dialogue import play
from support.filings import PREFIX
from support.pop3 import PASSWORD, add_reader, gateway

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
FIRST = b"Subject: one\r\n\r\nHello\r\n.dot\r\n..two dots\r\n.\r\nend\r\n"
SECOND = b"Subject: two\r\nX-Folded: a\r\n b\r\n\r\nfirst line\r\nsecond line\r\nthird line\r\n"


@pytest.mark.parametrize("script", sorted(path.name for path in HERE.glob("*.txt")))
async def test_the_conversation_goes_as_written(script: str, pool: Pool, tmp_path: Path) -> None:
    text = (HERE / script).read_text()
    account = await add_reader(pool)
    plain = f"\0anna@example.test\0{PASSWORD}".encode()
    sizes = [len(PREFIX) + len(letter) for letter in (FIRST, SECOND)]
    async with gateway(
        pool, tmp_path, is_plaintext_allowed="plaintext is refused" not in text
    ) as pop3:
        await pop3.deliver(account, FIRST, SECOND)
        reader, writer = await pop3.connect(tls=script.startswith("tls"))
        try:
            await play(
                text,
                reader,
                writer,
                tls=pop3.trust,
                password=PASSWORD,
                plain=b64encode(plain).decode(),
                user64=b64encode(b"anna@example.test").decode(),
                password64=b64encode(PASSWORD.encode()).decode(),
                size1=str(sizes[0]),
                size2=str(sizes[1]),
                total=str(sum(sizes)),
            )
        finally:
            writer.close()


async def test_a_client_that_guessed_too_often_elsewhere_is_not_listened_to(
    pool: Pool, tmp_path: Path
) -> None:
    await add_reader(pool)
    async with gateway(pool, tmp_path) as pop3:
        for _ in range(MAX_FAILURES):
            pop3.listener.house.failures.add("127.0.0.1")
        reader, writer = await pop3.connect()
        login = f"C: USER anna@example.test\nS: +OK\nC: PASS {PASSWORD}\n"
        await play("S: +OK …\n" + login + "S: -ERR [SYS/TEMP] …\nS: [closes]", reader, writer)
        writer.close()
