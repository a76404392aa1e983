"""The command line's way to the API: finds the stack, asks, and turns problems into sentences."""

from __future__ import annotations

import getpass
import json
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from postmaster.cli.failure import Failure

DEMO_FILE = Path("var/demo.json")  # written by `make run`
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
PAGE = 500  # rows asked for at once


class CliSettings(BaseSettings):
    """Where the API is, if not where `make run` says.

    Attributes:
        api_url: Address of the postmaster's API, for example ``http://postmaster:2080``.
        api_token: Its bearer token.
    """

    model_config = SettingsConfigDict(env_prefix="POSTHOUSE_", frozen=True)

    api_url: str = ""
    api_token: SecretStr = SecretStr("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running stack.

    Attributes:
        url: Address of its API.
        token: The bearer token.
    """

    url: str
    token: SecretStr


def find_stack(demo_file: Path = DEMO_FILE) -> Stack:
    """Return the stack the environment names, else the one `make run` started here.

    Raises:
        Failure: If neither names one.
    """
    settings = CliSettings()
    if settings.api_url and settings.api_token.get_secret_value():
        return Stack(url=settings.api_url, token=settings.api_token)
    if settings.api_url or settings.api_token.get_secret_value():
        raise Failure("Set both POSTHOUSE_API_URL and POSTHOUSE_API_TOKEN, or neither.")
    try:
        api = json.loads(demo_file.read_text())["api"]
        return Stack(url=str(api["url"]), token=SecretStr(str(api["token"])))
    except FileNotFoundError as missing:
        raise Failure(
            f"No running stack: there is no {demo_file}. Start one with `make run`, or set "
            "POSTHOUSE_API_URL and POSTHOUSE_API_TOKEN."
        ) from missing
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise Failure(f"{demo_file} does not name the API ({fault!r}).") from fault


def path(*parts: object) -> str:
    """Return the path of a thing below ``/api/v1``; each part is quoted whole."""
    return "/api/v1/" + "/".join(quote(str(part), safe="@") for part in parts)


def forced(*, force: bool) -> dict[str, str] | None:
    """Return the query of a change that is, or is not, to be made whoever loses mail by it."""
    return {"force": "true"} if force else None


def _trust(url: str) -> ssl.SSLContext | bool:
    """Trust the usual authorities; nobody where there is no TLS: to read them takes a command's time."""
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Client:
    """One conversation with the API."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.url
        self._http = httpx.Client(
            base_url=stack.url,
            headers={
                "Authorization": f"Bearer {stack.token.get_secret_value()}",
                "Posthouse-Operator": _operator(),
            },
            timeout=TIMEOUT,
            verify=_trust(stack.url),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(
        self,
        method: str,
        where: str,
        *,
        body: object = None,
        octets: bytes | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the answer's JSON object, an empty one if it has none.

        The request's body is JSON, or ``octets`` as they are.

        Raises:
            Failure: If nobody answers, or the answer is a problem.
        """
        try:
            answer = self._http.request(
                method, where, json=body, content=octets, params=_given(query)
            )
        except httpx.HTTPError as failure:
            raise self._silence(failure) from failure
        _refuse_problem(answer)
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def rows(self, where: str, query: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Yield every row of a listing, page by page."""
        after: object = None
        while True:
            page = self.ask("GET", where, query={**(query or {}), "after": after, "limit": PAGE})
            yield from page["items"]
            after = page["next"]
            if after is None:
                return

    def stream(self, method: str, where: str, *, body: object = None) -> Iterator[dict[str, Any]]:
        """Yield the lines of an answer that comes bit by bit."""
        try:
            with self._http.stream(
                method, where, json=body, timeout=httpx.Timeout(None, connect=5.0)
            ) as answer:
                if answer.status_code >= HTTPStatus.BAD_REQUEST:
                    answer.read()
                    _refuse_problem(answer)
                for line in answer.iter_lines():
                    yield json.loads(line)
        except httpx.HTTPError as failure:
            raise self._silence(failure) from failure

    def _silence(self, failure: httpx.HTTPError) -> Failure:
        return Failure(
            f"The postmaster does not answer at {self._url} ({str(failure) or type(failure).__name__}). "
            "Is the stack running?"
        )


def connect() -> Client:
    """Return a client of the running stack; raise `Failure` if none is named."""
    return Client(find_stack())


def _operator() -> str:
    """Return who runs this command, for the audit; as plain ASCII, because it is a header."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # nobody has this user number
        name = f"user {os.getuid()}"
    return name.encode("ascii", "replace").decode()


def _given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value is not None}


class Problem(Failure):
    """The API understood, and said no.

    Attributes:
        code: The status of its answer.
    """

    def __init__(self, sentence: str, code: HTTPStatus) -> None:
        super().__init__(sentence)
        self.code = code


def _refuse_problem(answer: httpx.Response) -> None:
    if answer.status_code < HTTPStatus.BAD_REQUEST:
        return
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        raise Failure("The API refuses the token; set POSTHOUSE_API_TOKEN to the postmaster's.")
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = f"The API answered {answer.status_code} {answer.reason_phrase}."
    raise Problem(str(detail), HTTPStatus(answer.status_code))
