"""The configuration as the postmaster sees it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from postmaster.api.parts import Means
from postmaster.examination import examine_connections, examine_settings, examine_sources

router = APIRouter(tags=["config"])


@router.get("/config/check")
async def check_config(means: Means) -> dict[str, Any]:
    """Read all services' settings from this environment, and try every connection."""
    findings = [
        *examine_settings(),
        *await examine_connections(means.settings),
        *await examine_sources(),
    ]
    return {"findings": [finding.as_json() for finding in findings]}
