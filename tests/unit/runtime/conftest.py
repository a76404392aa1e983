"""On uvloop, as in the services; and what these are told at least."""

import asyncio
import os
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def house_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what every service must be told, and nothing else."""
    for name in os.environ:
        if name.startswith("POSTHOUSE_"):
            monkeypatch.delenv(name)
    for name, value in (
        ("DATABASE_URL", "postgresql://u:p@localhost/x"),
        ("BROKER_URL", "amqp://u:p@localhost/x"),
        ("STORE", "disk:/nowhere"),
        ("HOSTNAME", "mx.example.test"),
    ):
        monkeypatch.setenv(f"POSTHOUSE_{name}", value)
