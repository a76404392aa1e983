"""The API as one ASGI application: its rooms, its errors, its door."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from postmaster.api import (
    accounts,
    app_passwords,
    auditing,
    bayes,
    broker,
    certificates,
    config,
    dead_letters,
    dead_orders,
    delegates,
    departures,
    dkim,
    dmarc,
    domains,
    explaining,
    greylisting,
    held,
    limits,
    lists,
    mailboxes,
    maps,
    outbound,
    queue,
    queues,
    quotas,
    redirection,
    rule_trials,
    rules,
    sealers,
    senders,
    sharing,
    sources,
    store,
    suppressions,
    timetables,
    tls,
    trace,
    ways,
)
from postmaster.api.border import watch_border
from postmaster.api.guard import Guard
from postmaster.api.parts import Parts
from postmaster.api.problems import speak_of_problems

PREFIX = "/api/v1"
ROOMS = (
    domains,
    accounts,
    mailboxes,
    departures,
    app_passwords,
    certificates,
    delegates,
    sharing,
    quotas,
    senders,
    redirection,
    ways,
    sources,
    queue,
    queues,
    timetables,
    held,
    dead_letters,
    dead_orders,
    suppressions,
    trace,
    maps,
    lists,
    greylisting,
    explaining,
    bayes,
    auditing,
    tls,
    dkim,
    dmarc,
    sealers,
    limits,
    outbound,
    rule_trials,
    rules,
    broker,
    store,
    config,
)


def build(parts: Parts) -> ASGIApp:
    """Return the application; nobody gets in without the token."""
    app = FastAPI(
        title="Posthouse",
        version="1",
        openapi_url=f"{PREFIX}/openapi.json",
        dependencies=[Depends(watch_border)],
    )
    app.state.parts = parts
    speak_of_problems(app)
    for room in ROOMS:
        app.include_router(room.router, prefix=PREFIX)
    return Guard(app, parts.settings.api_token)
