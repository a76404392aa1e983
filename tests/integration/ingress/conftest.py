"""Ingress and policy as processes, on a database, a virtual host and a store of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from onemachine.ports import free_ports
from onemachine.services import inherited_environment
from posthouse.credentials.passwords import hash_password
from posthouse.storage import directory
from posthouse.storage.pool import Pool
from support.place import Place


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def place(pool: Pool, postgres_url: str, broker_url: str, tmp_path: Path) -> Place:
    await directory.add_domain(pool, "example.test")
    await directory.add_account(pool, "anna@example.test", hash_password("secret"), None)
    smtp, policy = free_ports(2)
    told = {
        "DATABASE_URL": postgres_url, "BROKER_URL": broker_url, "STORE": f"disk:{tmp_path}/store",
        "HOSTNAME": "mx.example.test", "SMTP_PORT": str(smtp), "SUBMISSION_PORT": "0",
        "SMTPS_PORT": "0", "POLICY_PORT": str(policy), "POLICY_ENDPOINTS": f"127.0.0.1:{policy}",
        "LOG_LEVEL": "WARNING", "DATABASE_CONNECTIONS": "4", "AUTHENTICATION": "off",
    }  # fmt: skip
    env = inherited_environment() | {f"POSTHOUSE_{name}": text for name, text in told.items()}
    return Place(port=smtp, store=tmp_path / "store", env=env)
