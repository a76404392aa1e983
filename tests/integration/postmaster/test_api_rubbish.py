"""Rubbish in every place of every route that the API's own document names: never a 5xx.

A second thing is looked at with it: an error of ours that is left is logged once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from structlog.testing import capture_logs

from postmaster.api.application import build
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

MANY = 100_000  # characters; a path or a query of that length never gets past the server
WORDS = ("\0", "1" * 31, "x" * 3_000)
OCTETS = ("%ED%A0%80", "1%00", "*", "%2F", *map(quote, WORDS))
VALUES: tuple[object, ...] = ("\0", "\ud800", "x" * MANY, 10**30, -(10**30), None, {}, ["\0"])
NOT_OBJECTS = (
    b"", b"\0", b"{", b"\xff", b"[" * MANY, b"1" * MANY, b"NaN", b'"\\ud800"', b"null",
    b'{"\\ud800": 1}', b'{"\\u0000": 1}',
)  # fmt: skip
UNDOUBTED = (
    "/trace?recipient=%00", "/trace?sender=%00", "/trace?message_id=%00", "/accounts?after=%00",
    "/domains?after=%00", "/aliases?after=%00", "/forwards?after=%00", "/accounts/%00",
    "/dead-letters?fingerprint=%00", "/dead-letters?road=%00",
    "/dead-letters?after=999999999999999999999", "/dead-letters/999999999999999999999",
)  # fmt: skip

Request = tuple[str, str, dict[str, Any]]


def resolved(node: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Follow a schema's reference."""
    name = node.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else node


def requests(document: dict[str, Any]) -> Iterator[Request]:
    """Yield a request per route, place and piece of rubbish; the other places stay as they may."""
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            plain = path.replace("{", "").replace("}", "")
            for parameter in route.get("parameters", ()):
                yield from in_url(method, path, plain, parameter)
            if "requestBody" in route:
                (content,) = route["requestBody"]["content"].values()
                schema = resolved(content["schema"], document)
                yield from in_body(method, plain, schema.get("properties", {}))


def in_url(method: str, path: str, plain: str, parameter: dict[str, Any]) -> Iterator[Request]:
    name = parameter["name"]
    for octets in OCTETS:
        if parameter["in"] == "path":
            yield method, path.replace(f"{{{name}}}", octets), {"json": {}}
        else:
            yield method, f"{plain}?{name}={octets}", {}


def in_body(method: str, plain: str, properties: dict[str, Any]) -> Iterator[Request]:
    for octets in NOT_OBJECTS:
        yield method, plain, {"content": octets, "headers": {"Content-Type": "application/json"}}
    for name in properties:
        for value in VALUES:
            known = {key: one for key, one in GOOD.items() if key in properties}
            yield method, plain, {"json": {**known, name: value}}
    for value in VALUES:
        entry = {"address": value, "password": value}
        yield method, plain, {"json": {"accounts": [entry], "targets": [value], "ids": [value]}}


GOOD: dict[str, Any] = {
    "address": "anna@example.test",
    "password": "long enough",
    "domain": "example.test",
    "targets": ["anna@example.test"],
    "host": "relay.test",
    "username": "us",
    "ids": [1],
}


@pytest.mark.timeout(600)  # thousands of requests
async def test_rubbish_is_refused_in_every_place_of_every_route(clerk: LivePostmaster) -> None:
    await clerk.http.post("/domains", json={"domain": "example.test"})
    document = (await clerk.http.get("/openapi.json")).json()
    faults, sent = list[tuple[object, ...]](), 0
    # Without a socket, and without lines of the log, it takes half the time.
    straight = httpx.ASGITransport(build(clerk.parts), raise_app_exceptions=False)
    with capture_logs():
        async with httpx.AsyncClient(
            base_url=clerk.url, headers=clerk.http.headers, transport=straight
        ) as http:
            for method, url, rest in requests(document):
                if "/broker/" in url or "/config/" in url:  # 503: this postmaster has no broker
                    continue
                answer = await http.request(method, url, **encoded(rest))
                sent += 1
                if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    faults.append((method, url[:80], str(rest)[:80], answer.status_code))

    assert sent > 300
    assert faults == []


def encoded(rest: dict[str, Any]) -> dict[str, Any]:
    """Write JSON as Python's own library does: a lone surrogate becomes its escape."""
    if "json" not in rest:
        return rest
    return {
        "content": json.dumps(rest["json"]).encode(),
        "headers": {"Content-Type": "application/json"},
    }


async def test_what_cannot_be_kept_is_a_problem_of_the_client(clerk: LivePostmaster) -> None:
    for url in UNDOUBTED:
        answer = await clerk.http.get(url)

        assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, url
        assert answer.headers["content-type"] == "application/problem+json"

    password = await clerk.http.post(
        "/accounts", json={"address": "anna@example.test", "password": "long\0enough"}
    )
    assert password.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "enough" not in password.text


async def test_a_fault_of_ours_is_logged_once(
    clerk: LivePostmaster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("posthouse.storage.directory.domains", broken)
    with capture_logs() as lines:
        answer = await clerk.http.get("/domains")

    assert answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert answer.headers["content-type"] == "application/problem+json"
    assert [line["path"] for line in lines if line["log_level"] == "error"] == ["/api/v1/domains"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
