"""The three servers Posthouse stands on, started and stopped side by side."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onemachine.children import Registry
from onemachine.keys import Keys
from onemachine.ports import free_ports
from onemachine.postgres import Postgres, reachable_home
from onemachine.rabbitmq import RabbitMQ, RabbitPorts
from onemachine.seaweedfs import SeaweedFS, store_ports
from onemachine.supervisor import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """PostgreSQL and RabbitMQ, and SeaweedFS where objects do not lie in a folder."""

    postgres: Postgres
    rabbitmq: RabbitMQ
    seaweedfs: SeaweedFS | None

    @property
    def all(self) -> list[Part]:
        """Those there are."""
        store: list[Part] = [self.seaweedfs] if self.seaweedfs else []
        return [self.postgres, self.rabbitmq, *store]


def servers(
    var: Path,
    keys: Keys,
    registry: Registry,
    *,
    s3: bool,
    management: bool = False,
    postgres_settings: Sequence[str] = (),
) -> Servers:
    """Lay out the servers below ``var`` on free ports; none is started yet.

    Tests ask for ``management``: they look into queues through its API.
    """
    ports = iter(free_ports(5))
    postgres = Postgres(
        home=reachable_home(var / "postgresql"),
        port=next(ports),
        password=keys.postgres,
        registry=registry,
        settings=postgres_settings,
    )
    rabbitmq = RabbitMQ(
        home=var / "rabbitmq",
        ports=RabbitPorts(
            amqp=next(ports),
            management=next(ports),
            distribution=next(ports),
            epmd=next(ports),
        ),
        password=keys.rabbitmq,
        registry=registry,
        management=management,
    )
    seaweedfs = SeaweedFS(
        home=var / "seaweedfs",
        ports=store_ports(),
        access_key=keys.s3_access,
        secret_key=keys.s3_secret,
        registry=registry,
    )
    return Servers(postgres=postgres, rabbitmq=rabbitmq, seaweedfs=seaweedfs if s3 else None)


async def stop_all(parts: Sequence[Part]) -> None:
    """Stop ``parts`` at the same time; one that fails to stop does not keep the others."""
    results = await asyncio.gather(*(part.stop() for part in parts), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise BaseExceptionGroup("not everything stopped", failures)
