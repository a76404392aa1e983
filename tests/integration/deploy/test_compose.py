"""The compose file and the image: valid, and true to the code."""

import re
from pathlib import Path

import pytest

from posthouse.runtime.settings import read
from support.manifests import (
    ROOT,
    commands,
    compose,
    compose_services,
    names_of,
    settings_class,
)

SERVICES = sorted(set(commands()) - {"posthouse"})
BESIDE = {"postgresql", "rabbitmq", "seaweedfs", "prometheus", "grafana"}


def test_compose_accepts_the_file() -> None:
    told = compose("-q")

    assert told.returncode == 0, told.stderr


def test_compose_refuses_to_start_without_a_password() -> None:
    told = compose("-q", without="API_TOKEN")

    assert told.returncode != 0
    assert "API_TOKEN" in told.stderr


def test_every_service_and_server_is_there() -> None:
    assert set(SERVICES) | BESIDE <= set(compose_services())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_told_settings_that_it_accepts(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service, cls = compose_services()[name], settings_class(commands()[name])
    for setting, value in service["environment"].items():
        if setting.startswith("POSTHOUSE_TLS_"):
            (tmp_path / setting).touch()
            monkeypatch.setenv(setting, str(tmp_path / setting))
        else:
            monkeypatch.setenv(setting, value)

    faults = read(cls)

    assert not isinstance(faults, list), faults
    assert service["command"] == [name]
    assert set(service["environment"]) <= names_of(cls)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_and_has_no_rights(name: str) -> None:
    service = compose_services()[name]

    assert "/readyz" in " ".join(service["healthcheck"]["test"])
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True


def test_the_image_copies_only_what_exists_and_what_the_context_has() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    context = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
        for source in line.split()
    }

    assert copied == context
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert re.search(r"^USER 10001:10001$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
