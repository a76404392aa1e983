"""Of a distribution only what is run is laid out, with all that it needs in turn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from onemachine.trimming import trimmed

APPLICATIONS = {
    "rabbit-3.10.8": "kernel, ra,\n   rabbit_common",
    "rabbit_common-3.10.8": "kernel, stdlib",
    "ra-2.2.0": "kernel, aten",
    "aten-0.5.8": "",
    "rabbitmq_prelaunch-3.10.8": "rabbit_common",
    "rabbitmq_management-3.10.8": "rabbit, cowboy",
    "cowboy-2.8.0": "kernel",
    "rabbitmq_shovel-3.10.8": "rabbit, amqp_client",
    "amqp_client-3.10.8": "rabbit_common",
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A distribution as Debian lays it out: the program is a link."""
    return _distribution(tmp_path / "lib", APPLICATIONS, tmp_path / "bin")


def _distribution(home: Path, applications: Mapping[str, str], links: Path) -> Path:
    for name, needs in applications.items():
        ebin = home / "plugins" / name / "ebin"
        ebin.mkdir(parents=True)
        plain = name.rpartition("-")[0]
        (ebin / f"{plain}.app").write_text(
            f"{{application,'{plain}',[{{registered,[x]}},\n {{applications, [{needs}]}}]}}.\n"
        )
    (home / "plugins" / "README").write_text("not an application")
    (home / "sbin").mkdir()
    for script in ("rabbitmq-server", "rabbitmq-env"):
        (home / "sbin" / script).write_text("#!/bin/sh\n")
    links.mkdir()
    (links / "rabbitmq-server").symlink_to(home / "sbin" / "rabbitmq-server")
    return links / "rabbitmq-server"


def names(home: Path) -> set[str]:
    return {path.name.rpartition("-")[0] for path in (home / "plugins").iterdir()}


def test_only_what_the_broker_needs_is_there(program: Path, tmp_path: Path) -> None:
    home = tmp_path / "ours"

    ours = trimmed(program, home, ())

    assert ours == home / "sbin" / "rabbitmq-server"
    assert not ours.is_symlink()
    assert (home / "sbin" / "rabbitmq-env").exists()
    assert names(home) == {"rabbit", "rabbit_common", "ra", "aten", "rabbitmq_prelaunch"}
    assert (home / "plugins" / "ra-2.2.0" / "ebin" / "ra.app").exists()


def test_a_plugin_brings_what_it_needs_and_goes_again(program: Path, tmp_path: Path) -> None:
    home = tmp_path / "ours"

    trimmed(program, home, ("rabbitmq_management",))
    with_plugin = names(home)
    trimmed(program, home, ())

    assert with_plugin - names(home) == {"rabbitmq_management", "cowboy"}
