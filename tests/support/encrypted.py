"""A RabbitMQ and a PostgreSQL that speak TLS, and their addresses for those who trust this or that."""

from dataclasses import dataclass
from pathlib import Path

from onemachine.certificates import Certificates
from onemachine.ports import LOOPBACK
from onemachine.postgres import Postgres
from onemachine.rabbitmq import RabbitMQ
from posthouse.runtime.settings import CommonSettings
from postmaster.examination import Finding, examine_connections

NAME = "localhost"
MISNAMED = "127.0.0.2"  # where they listen too, and what their certificate does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """Whom one may trust.

    Attributes:
        own: Signed what the servers show, which says `NAME` and 127.0.0.1.
        other: Signed nothing that is shown.
    """

    own: Certificates
    other: Certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedBroker:
    """A broker with a port for TLS beside the plain one."""

    server: RabbitMQ
    port: int

    def url(self, authority: Path | None, host: str = NAME) -> str:
        """Return its address for one who trusts ``authority``; None for the system's."""
        option = f"?cafile={authority}" if authority else ""
        login = f"{self.server.user}:{self.server.password}"
        return f"amqps://{login}@{host}:{self.port}/{option}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedDatabase:
    """A PostgreSQL whose port speaks TLS to whom asks for it."""

    server: Postgres

    def url(self, authority: Path, host: str = NAME, mode: str = "verify-full") -> str:
        """Return its address for one who trusts ``authority``."""
        plain = self.server.url().replace(LOOPBACK, host)
        return f"{plain}?sslmode={mode}&sslrootcert={authority}"


async def config_check(part: str, folder: Path, **addresses: str) -> Finding:
    """Return what ``posthouse config check`` finds of ``part``; other parts are not there."""
    nowhere = {
        "database_url": "postgresql://nobody@127.0.0.1:1/none",
        "broker_url": "amqp://127.0.0.1:1/",
    }
    settings = CommonSettings.model_validate(
        nowhere | addresses | {"store": f"disk:{folder}", "hostname": "mx.example.test"}
    )
    findings = await examine_connections(settings)
    return next(finding for finding in findings if finding.part == part)
