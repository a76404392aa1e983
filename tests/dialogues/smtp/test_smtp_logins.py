"""AUTH with mechanisms whose words are never twice the same: SCRAM, CRAM-MD5, certificates."""

from __future__ import annotations

import asyncio
import hmac
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from onemachine.certificates import Certificates, certificates
from posthouse.runtime.tls import ServerCertificate
from posthouse.runtime.tls_exporter import exported
from support.ingress import running_ingress
from support.logins import SECRET, ScramClient
from support.people import Person, person

ANNA = "anna@example.test"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("server"), ("localhost",))


class Client:
    """A client that says AUTH."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @property
    def binding(self) -> bytes:
        """What its TLS session exports."""
        return exported(self.writer.get_extra_info("ssl_object")) or b""

    async def offered(self) -> list[str]:
        """Say EHLO; return the mechanisms."""
        found: list[str] = []
        await self.hear()
        self.say("EHLO client.test")
        while (line := await self.hear())[3:4] == "-":
            found = line[9:].split() if line.startswith("250-AUTH ") else found
        return line[9:].split() if line.startswith("250 AUTH ") else found

    def say(self, line: str) -> None:
        self.writer.write(line.encode() + b"\r\n")

    async def hear(self) -> str:
        async with asyncio.timeout(10):
            return (await self.reader.readline()).decode().rstrip("\r\n")

    async def auth(
        self, mechanism: str, initial: bytes | None, *answers: Callable[[bytes], bytes]
    ) -> str:
        """Answer each challenge; return the reply at the end."""
        words = ["AUTH", mechanism]
        if initial is not None:
            words.append(b64encode(initial).decode() or "=")
        self.say(" ".join(words))
        reply = await self.hear()
        for answer in answers:
            assert reply.startswith("334 "), reply
            self.say(b64encode(answer(b64decode(reply[4:]))).decode())
            reply = await self.hear()
        return reply


@asynccontextmanager
async def client(certificate: ssl.SSLContext, tls: ssl.SSLContext) -> AsyncIterator[Client]:
    async with running_ingress(certificate) as ingress:
        reader, writer = await ingress.connect("smtps", tls)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()


async def test_scram_bound_to_the_channel_is_offered_first_and_lets_in(
    certificate: ssl.SSLContext, tls: ssl.SSLContext
) -> None:
    async with client(certificate, tls) as smtp:
        assert (await smtp.offered())[:2] == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
        theirs = ScramClient(ANNA, header="p=tls-exporter,,", binding=smtp.binding)

        reply = await smtp.auth(
            "SCRAM-SHA-256-PLUS",
            theirs.first(),
            theirs.final,
            lambda proof: b"" if proof == theirs.signature else b"not you",
        )
        assert reply.startswith("235 2.7.0 ")
        smtp.say(f"MAIL FROM:<{ANNA}>")
        assert (await smtp.hear()).startswith("250 ")


async def test_a_proof_for_another_channel_is_a_failed_login(
    certificate: ssl.SSLContext, tls: ssl.SSLContext
) -> None:
    async with client(certificate, tls) as smtp:
        await smtp.offered()
        theirs = ScramClient(ANNA, header="p=tls-exporter,,", binding=bytes(32))

        reply = await smtp.auth("SCRAM-SHA-256-PLUS", theirs.first(), theirs.final)
        assert reply.startswith("535 5.7.8 ")


@pytest.mark.parametrize(("word", "code"), [(SECRET, "235 2.7.0 "), ("guess", "535 5.7.8 ")])
async def test_scram_without_initial_response(
    certificate: ssl.SSLContext, tls: ssl.SSLContext, word: str, code: str
) -> None:
    async with client(certificate, tls) as smtp:
        await smtp.offered()
        theirs = ScramClient(ANNA, password=word)
        answers = [lambda _: theirs.first(), theirs.final]
        if word == SECRET:
            answers.append(lambda _: b"")

        assert (await smtp.auth("SCRAM-SHA-256", None, *answers)).startswith(code)


@pytest.mark.parametrize(("word", "code"), [(SECRET, "235 2.7.0 "), ("guess", "535 5.7.8 ")])
async def test_cram_md5(
    certificate: ssl.SSLContext, tls: ssl.SSLContext, word: str, code: str
) -> None:
    def answer(challenge: bytes) -> bytes:
        return f"{ANNA} {hmac.new(word.encode(), challenge, 'md5').hexdigest()}".encode()

    async with client(certificate, tls) as smtp:
        await smtp.offered()
        assert (await smtp.auth("CRAM-MD5", None, answer)).startswith(code)


# ---- A client that others wrote


@pytest.mark.integration
@pytest.mark.parametrize(
    ("mechanism", "more", "spoken"),
    [
        (None, (), "SCRAM-SHA-256-PLUS"),  # what it takes by itself
        ("SCRAM-SHA-256-PLUS", ("--priority=NORMAL:-VERS-TLS1.3",), "SCRAM-SHA-256-PLUS"),
        ("SCRAM-SHA-256", ("--no-cb",), "SCRAM-SHA-256"),
        ("CRAM-MD5", (), "CRAM-MD5"),
    ],
)
async def test_gnu_sasl_comes_in_and_believes_us(
    files: Certificates, mechanism: str | None, more: tuple[str, ...], spoken: str
) -> None:
    words = ["--smtp", "--starttls", "--verbose", f"--authentication-id={ANNA}", *more]
    words.append(f"--x509-ca-file={files.authority}")
    words += [f"--mechanism={mechanism}"] if mechanism else []
    async with running_ingress(ServerCertificate(files.chain, files.key).context) as ingress:
        port = str(ingress.ports["submission"])
        process = await asyncio.create_subprocess_exec(
            *("gsasl", *words, f"--password={SECRET}", "localhost", port),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(20):
            told, _ = await process.communicate()

    assert process.returncode == 0, told
    assert f"AUTH {spoken}".encode() in told.splitlines()
    assert b"235 2.7.0 Authentication successful" in told
    assert b"server trusted" in told


# ---- Certificates


@pytest.fixture
def anna(tmp_path: Path) -> Person:
    return person(tmp_path, ANNA)


@pytest.fixture
def certificate_of_people(files: Certificates, anna: Person) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.chain, files.key)
    context.load_verify_locations(anna.authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@pytest.mark.parametrize("initial", [b"", ANNA.encode()])
async def test_a_certificate_lets_in_without_a_password(
    certificate_of_people: ssl.SSLContext, anna: Person, initial: bytes
) -> None:
    async with client(certificate_of_people, anna.client_context()) as smtp:
        assert "EXTERNAL" in await smtp.offered()
        assert (await smtp.auth("EXTERNAL", initial)).startswith("235 ")


async def test_a_certificate_speaks_for_nobody_else(
    certificate_of_people: ssl.SSLContext, anna: Person
) -> None:
    async with client(certificate_of_people, anna.client_context()) as smtp:
        await smtp.offered()
        assert (await smtp.auth("EXTERNAL", b"bert@example.test")).startswith("535 ")


async def test_without_a_certificate_external_is_not_there(
    certificate_of_people: ssl.SSLContext, anna: Person
) -> None:
    async with client(certificate_of_people, anna.client_context(shows=False)) as smtp:
        assert "EXTERNAL" not in await smtp.offered()
        assert (await smtp.auth("EXTERNAL", b"")).startswith("504 5.5.4 ")
