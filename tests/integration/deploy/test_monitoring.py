"""Alerts and dashboard: valid, and about metrics that the code really has."""

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from support.manifests import ROOT, commands

PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/posthouse.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"][0]["rules"]

# counter("posthouse_x_total", "Help.", "label", ...), over as many lines as the formatter likes.
_DECLARED = re.compile(
    r'\b(?P<kind>counter|gauge|histogram)\(\s*"(?P<name>posthouse_\w+)"(?P<rest>[^)]*)\)'
)
_USED = re.compile(r"(posthouse_\w+?)(?:_bucket|_sum|_count)?(?=[^\w])")


def _declared() -> set[str]:
    return {
        found["name"]
        for folder in ("shared", "services")
        for path in (ROOT / folder).rglob("*.py")
        for found in _DECLARED.finditer(path.read_text())
    }


def _expressions() -> list[str]:
    shown = [target["expr"] for panel in PANELS for target in panel["targets"]]
    return shown + [rule["expr"] for rule in RULES]


@pytest.mark.integration  # promtool comes with the tools of `make test`
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "rules.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
        ["test", "rules", "rules_test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_is_content(arguments: list[str]) -> None:
    told = subprocess.run(
        ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )

    assert told.returncode == 0, told.stdout + told.stderr


def test_every_metric_that_is_shown_or_watched_is_counted_somewhere() -> None:
    used = {name for expression in _expressions() for name in _USED.findall(expression)}

    assert len(used) > 20
    assert used <= _declared()


def test_every_service_is_scraped() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (job,) = [one for one in config["scrape_configs"] if one["job_name"] == "posthouse"]

    assert set(job["dns_sd_configs"][0]["names"]) == set(commands()) - {"posthouse"}


def test_the_dashboard_is_one_grafana_takes() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    provisioning = ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml"
    (source,) = yaml.safe_load(provisioning.read_text())["datasources"]

    assert len(set(ids)) == len(ids)
    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}


def test_every_alert_says_what_to_do() -> None:
    assert all(
        rule["annotations"]["summary"] and rule["annotations"]["description"] for rule in RULES
    )
