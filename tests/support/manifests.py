"""What the deployment files say, read the way their tools read them."""

import importlib
import inspect
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from posthouse.runtime.settings import CommonSettings

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "deploy/k8s/base"
OVERLAY = ROOT / "deploy/k8s/overlays/example"
TOOLS = Path(sys.executable).parent

_COMPOSE_NEEDS = (
    "POSTGRES_PASSWORD",
    "RABBITMQ_PASSWORD",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "API_TOKEN",
    "DKIM_SECRET",
    "GRAFANA_PASSWORD",
)
# A value that fits wherever the example secrets say CHANGE-ME.
SECRET = "x" * 40


def commands() -> dict[str, str]:
    """Return the console scripts of the project and the package behind each."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {name: target.partition(".")[0] for name, target in project["scripts"].items()}


def settings_class(package: str) -> type[CommonSettings]:
    """Return the settings class that a service defines in its ``settings.py``."""
    module = importlib.import_module(f"{package}.settings")
    found = [
        thing
        for _, thing in inspect.getmembers(module, inspect.isclass)
        if issubclass(thing, CommonSettings) and thing.__module__ == module.__name__
    ]
    assert len(found) == 1, f"{package}.settings defines {found}"
    return found[0]


def names_of(cls: type[CommonSettings]) -> set[str]:
    """Return the names of a settings class in the environment."""
    return {f"POSTHOUSE_{name.upper()}" for name in cls.model_fields}


def compose(*arguments: str, without: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``docker-compose config`` on our file; it needs no container engine."""
    secrets = {name: SECRET for name in _COMPOSE_NEEDS if name != without}
    return subprocess.run(
        [TOOLS / "docker-compose", "-f", ROOT / "docker-compose.yml", "config", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | secrets,
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def compose_services() -> dict[str, dict[str, Any]]:
    """Return the services of the compose file, variables filled in."""
    told = compose("--format", "json")
    assert told.returncode == 0, told.stderr
    services: dict[str, dict[str, Any]] = json.loads(told.stdout)["services"]
    return services


def manifests(folder: Path) -> list[dict[str, Any]]:
    """Return the objects that a kustomization lists, patches left out, deeper ones included."""
    (kustomization,) = documents(folder / "kustomization.yaml")
    found: list[dict[str, Any]] = []
    for name in kustomization["resources"]:
        path = folder / name
        found += manifests(path) if path.is_dir() else documents(path)
    return found


@cache
def documents(path: Path) -> tuple[dict[str, Any], ...]:
    """Return what a file of YAML holds; it is read once and belongs to all who ask."""
    return tuple(document for document in yaml.safe_load_all(path.read_text()) if document)


def merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``patch`` over ``target``, mapping by mapping, as a strategic merge does without lists."""
    result = dict(target)
    for key, value in patch.items():
        assert not isinstance(value, list), "this check knows no patches of lists"
        inner = result.get(key)
        result[key] = (
            merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
        )
    return result


def built_overlay() -> list[dict[str, Any]]:
    """Return the objects of the example overlay with its patches laid over them."""
    objects = manifests(OVERLAY)
    (kustomization,) = documents(OVERLAY / "kustomization.yaml")
    for patch in kustomization["patches"]:
        (change,) = documents(OVERLAY / patch["path"])
        meant = [one for one in objects if _key(one) == _key(change)]
        assert len(meant) == 1, f"{patch['path']} patches {len(meant)} objects"
        objects[objects.index(meant[0])] = merged(meant[0], change)
    return objects


def _key(one: Mapping[str, Any]) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]
