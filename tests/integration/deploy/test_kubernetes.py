"""The Kubernetes manifests: valid against the real schemas, consistent, true to the code."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from posthouse.runtime.dkim_keys import DkimSettings
from posthouse.runtime.settings import read
from support.manifests import (
    BASE,
    OVERLAY,
    SECRET,
    TOOLS,
    built_overlay,
    commands,
    compose_services,
    manifests,
    names_of,
    settings_class,
)

DEPLOYMENTS = {
    one["metadata"]["name"]: one for one in manifests(BASE) if one["kind"] == "Deployment"
}
SERVICES = sorted(set(commands()) - {"posthouse"})


def _pod(deployment: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def _container(deployment: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = _pod(deployment)["containers"][0]
    return container


def _of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in manifests(BASE) if one["kind"] == kind]


def _selected(labels: dict[str, str]) -> list[dict[str, Any]]:
    return [
        one
        for one in DEPLOYMENTS.values()
        if labels.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    ]


def _ports(deployment: dict[str, Any]) -> set[str]:
    return {port["name"] for port in _container(deployment)["ports"]}


def _environment(objects: list[dict[str, Any]], deployment: dict[str, Any]) -> dict[str, str]:
    values = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    found: dict[str, str] = {}
    for source in _container(deployment)["envFrom"]:
        if "configMapRef" in source:
            found |= values["ConfigMap", source["configMapRef"]["name"]]["data"]
        else:
            found |= values["Secret", source["secretRef"]["name"]]["stringData"]
    found |= {pair["name"]: pair["value"] for pair in _container(deployment).get("env", [])}
    return {name: value.replace("CHANGE-ME-CHANGE-ME", SECRET) for name, value in found.items()}


@pytest.mark.integration  # some seconds: it reads all of the schemas
def test_every_manifest_is_valid_against_the_schemas_of_kubernetes(tmp_path: Path) -> None:
    rendered = tmp_path / "overlay.yaml"
    rendered.write_text(yaml.safe_dump_all(built_overlay()))

    told = subprocess.run(
        [TOOLS / "kubernetes-validate", "--strict", "--quiet", rendered],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.integration
def test_a_misspelt_field_would_be_noticed(tmp_path: Path) -> None:
    broken = manifests(BASE)[0] | {"dataa": {}}
    rendered = tmp_path / "broken.yaml"
    rendered.write_text(yaml.safe_dump(broken))

    told = subprocess.run(
        [TOOLS / "kubernetes-validate", "--strict", "--quiet", rendered],
        capture_output=True,
        check=False,
    )

    assert told.returncode != 0


@pytest.mark.parametrize("folder", [BASE, OVERLAY])
def test_no_file_lies_beside_the_kustomization_unlisted(folder: Path) -> None:
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    named = set(listed["resources"]) | {patch["path"] for patch in listed.get("patches", [])}

    assert {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"} <= named


def test_every_service_has_a_deployment_that_runs_its_command() -> None:
    assert sorted(DEPLOYMENTS) == SERVICES
    assert all(_container(one)["command"] == [name] for name, one in DEPLOYMENTS.items())


@pytest.mark.parametrize("name", SERVICES)
def test_a_deployment_gives_its_service_settings_that_it_accepts(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cls, env = settings_class(commands()[name]), _environment(built_overlay(), DEPLOYMENTS[name])
    for setting, value in env.items():
        if setting.startswith("POSTHOUSE_TLS_"):
            (tmp_path / setting).touch()
            monkeypatch.setenv(setting, str(tmp_path / setting))
        else:
            monkeypatch.setenv(setting, value)

    faults = read(cls)

    assert not isinstance(faults, list), faults
    own = {pair["name"] for pair in _container(DEPLOYMENTS[name]).get("env", [])}
    assert own <= names_of(cls)


@pytest.mark.parametrize("name", SERVICES)
def test_a_pod_has_probes_limits_and_no_rights(name: str) -> None:
    container, pod = _container(DEPLOYMENTS[name]), _pod(DEPLOYMENTS[name])

    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["terminationGracePeriodSeconds"] > 30


def test_a_service_selects_one_deployment_and_its_real_ports() -> None:
    for one in _of_kind("Service"):
        (meant,) = _selected(one["spec"]["selector"])
        assert {port["targetPort"] for port in one["spec"]["ports"]} <= _ports(meant)


def test_budgets_and_scalers_mean_deployments_there_are() -> None:
    for budget in _of_kind("PodDisruptionBudget"):
        assert len(_selected(budget["spec"]["selector"]["matchLabels"])) == 1
    for scaler in _of_kind("HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"]["name"] in DEPLOYMENTS


def test_a_network_policy_opens_ports_that_its_pods_have() -> None:
    for policy in _of_kind("NetworkPolicy"):
        pods = _selected(policy["spec"]["podSelector"]["matchLabels"])
        opened = [rule["ports"] for rule in policy["spec"].get("ingress", [])]
        named = {port["port"] for ports in opened for port in ports}
        assert pods
        assert all(named <= _ports(pod) for pod in pods)


def test_ingress_finds_every_pod_of_policy_by_a_headless_service() -> None:
    (policy,) = [one for one in _of_kind("Service") if one["metadata"]["name"] == "policy"]
    env = _environment(built_overlay(), DEPLOYMENTS["ingress-smtp"])

    assert policy["spec"]["clusterIP"] == "None"
    assert env["POSTHOUSE_POLICY_ENDPOINTS"] == f"policy:{policy['spec']['ports'][0]['port']}"


def _holders(secret: str) -> set[str]:
    reference = {"secretRef": {"name": secret}}
    return {name for name, one in DEPLOYMENTS.items() if reference in _container(one)["envFrom"]}


def test_the_token_of_the_api_goes_to_the_postmaster_alone() -> None:
    assert _holders("posthouse-api") == {"postmaster"}


def test_what_opens_dkim_keys_goes_to_all_who_sign_and_nobody_else() -> None:
    signing = {
        name
        for name, package in commands().items()
        if name != "posthouse" and issubclass(settings_class(package), DkimSettings)
    }

    assert _holders("posthouse-dkim") == signing
    assert {
        name
        for name, service in compose_services().items()
        if "POSTHOUSE_DKIM_SECRET" in service.get("environment", {})
    } == signing
