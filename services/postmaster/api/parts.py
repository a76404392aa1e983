"""What the API's endpoints work with; handed to each by FastAPI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from posthouse.blobs import Blobs
from posthouse.bus.connection import Broker
from posthouse.bus.publisher import Publisher
from posthouse.runtime.bounces import Reporter
from posthouse.storage.pool import Pool
from postmaster.api.hashing import Hasher
from postmaster.settings import PostmasterSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The postmaster's means.

    Attributes:
        settings: What the environment said.
        pool: PostgreSQL.
        blobs: The object store.
        broker: RabbitMQ.
        publisher: Puts envelopes on roads.
        hasher: Hashes passwords off the loop.
        reporter: Tells senders.
    """

    settings: PostmasterSettings
    pool: Pool
    blobs: Blobs
    broker: Broker
    publisher: Publisher
    hasher: Hasher
    reporter: Reporter


def _parts(request: Request) -> Parts:
    parts = request.app.state.parts
    if not isinstance(parts, Parts):
        raise TypeError("the application was built without its parts")
    return parts


Means: TypeAlias = Annotated[Parts, Depends(_parts)]
