"""The demo domain: example.test with anna and bert, and a first mail from one to the other.

Made through the postmaster's HTTP API and sent and fetched with Python's own mail clients, so
whatever works here works for everybody.
"""

import imaplib
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid
from http import HTTPStatus
from typing import Any

import httpx

from onemachine.keys import write_private
from onemachine.options import DOMAIN
from onemachine.ports import LOOPBACK
from onemachine.ready import NO_TLS
from onemachine.stack import Stack

ANNA = f"anna@{DOMAIN}"
BERT = f"bert@{DOMAIN}"
TIMELINE = ("accepted", "routed", "filed", "read")
_WITHIN_SECONDS = 30.0
_ASK_EVERY_SECONDS = 0.1


class DemoFailed(Exception):
    """The first mail did not arrive, or its timeline has gaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What scripts and people need to know about a running stack; also var/demo.json."""

    api_url: str
    api_token: str
    hostname: str
    ports: Mapping[str, int]
    authority: str
    users: Mapping[str, str]

    def as_json(self) -> dict[str, object]:
        """Return the content of var/demo.json."""
        names = {name.removesuffix("_PORT").lower(): port for name, port in self.ports.items()}
        return {
            "host": LOOPBACK,
            "hostname": self.hostname,
            "domain": DOMAIN,
            "ports": names,
            "ca": self.authority,
            "users": [{"address": who, "password": word} for who, word in self.users.items()],
            "api": {"url": self.api_url, "token": self.api_token},
        }


def demo_of(stack: Stack, hostname: str) -> Demo:
    """Return what is to be known about ``stack``."""
    ports = stack.options.ports
    return Demo(
        api_url=f"http://{LOOPBACK}:{ports['POSTMASTER_PORT']}",
        api_token=stack.keys.api_token,
        hostname=hostname,
        ports=ports,
        authority=str(stack.certificates.authority),
        users={ANNA: stack.keys.anna, BERT: stack.keys.bert},
    )


def write_demo(demo: Demo, stack: Stack) -> None:
    """Write var/demo.json for scripts and for the ``posthouse`` command; its owner's alone."""
    write_private(stack.options.var / "demo.json", demo.as_json())


def api(demo: Demo) -> httpx.Client:
    """Return a client of the postmaster's API."""
    headers = {"Authorization": f"Bearer {demo.api_token}"}
    return httpx.Client(
        base_url=f"{demo.api_url}/api/v1", headers=headers, timeout=_WITHIN_SECONDS, verify=NO_TLS
    )


def populate(demo: Demo) -> None:
    """Make the domain and its accounts; those that are there already stay as they are."""
    with api(demo) as client:
        _make(client, "/domains", {"domain": DOMAIN})
        for address, password in demo.users.items():
            _make(client, "/accounts", {"address": address, "password": password})


def send_first_mail(demo: Demo) -> str:
    """Submit a mail from anna to bert as a mail program does; return its Message-ID."""
    letter = EmailMessage()
    letter["From"] = f"Anna <{ANNA}>"
    letter["To"] = f"Bert <{BERT}>"
    letter["Subject"] = "The first mail through this post-house"
    letter["Message-ID"] = make_msgid(domain=DOMAIN)
    letter.set_content("Dear Bert,\n\nthe horses are fresh and the road is open.\n\nAnna\n")
    port = demo.ports["SUBMISSION_PORT"]
    with smtplib.SMTP(LOOPBACK, port, timeout=_WITHIN_SECONDS) as client:
        client.starttls(context=_trusting(demo))
        client.login(ANNA, demo.users[ANNA])
        client.send_message(letter)
    return str(letter["Message-ID"])


def fetch_mail(demo: Demo, message_id: str) -> bytes:
    """Fetch the mail from bert's INBOX as a mail program does, waiting for it to arrive."""
    until = time.monotonic() + _WITHIN_SECONDS
    with imaplib.IMAP4_SSL(
        LOOPBACK, demo.ports["IMAPS_PORT"], ssl_context=_trusting(demo), timeout=_WITHIN_SECONDS
    ) as client:
        client.login(BERT, demo.users[BERT])
        client.select("INBOX")
        while time.monotonic() < until:
            found = _ok(client.search(None, "HEADER", "Message-ID", f'"{message_id}"'))[0]
            if found:
                parts = _ok(client.fetch(found.decode().split()[-1], "(RFC822)"))
                return b"".join(part[1] for part in parts if isinstance(part, tuple))
            time.sleep(_ASK_EVERY_SECONDS)
            client.noop()
    raise DemoFailed(f"the mail did not reach {BERT} within {_WITHIN_SECONDS:.0f} s")


def timeline(demo: Demo, message_id: str) -> dict[str, Any]:
    """Ask the API what became of the mail, until every station of `TIMELINE` is in the trace."""
    until = time.monotonic() + _WITHIN_SECONDS
    whole: dict[str, Any] = {"events": []}
    with api(demo) as client:
        while time.monotonic() < until:
            found = _asked(client, "/trace", {"message_id": message_id})["items"]
            whole = _asked(client, f"/trace/{found[0]['id']}") if found else whole
            seen = {event["what"] for event in whole["events"]}
            if all(any(station in what for what in seen) for station in TIMELINE):
                return whole
            time.sleep(_ASK_EVERY_SECONDS)
    raise DemoFailed(f"the timeline has only {[event['what'] for event in whole['events']]}")


def introduce(demo: Demo, say: Callable[[str], None]) -> None:
    """Make the domain and its users, send the first mail, fetch it, tell its timeline."""
    try:
        populate(demo)
        _first_mail(demo, say)
    except (OSError, httpx.HTTPError, smtplib.SMTPException, imaplib.IMAP4.error) as error:
        raise DemoFailed(f"the first mail failed: {type(error).__name__}: {error}") from error


def _first_mail(demo: Demo, say: Callable[[str], None]) -> None:
    message_id = send_first_mail(demo)
    say(f"sent {message_id} from {ANNA} to {BERT} by submission")
    octets = len(fetch_mail(demo, message_id))
    say(f"fetched it by IMAP: {octets} octets")
    for event in timeline(demo, message_id)["events"]:
        at = event["at"][11:23]
        say(f"  {at}  {event['service']:<16} {event['what']:<12} {event['detail']}".rstrip())


def _ok(answer: tuple[str, list[Any]]) -> list[Any]:
    """Return the data of an IMAP answer; NO is for the caller of imaplib to notice."""
    status, data = answer
    if status != "OK":
        raise DemoFailed(f"IMAP answered {status} {data}")
    return data


def _trusting(demo: Demo) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=demo.authority)


def _make(client: httpx.Client, path: str, body: Mapping[str, str]) -> None:
    reply = client.post(path, json=body)
    if reply.status_code != HTTPStatus.CONFLICT:
        reply.raise_for_status()


def _asked(
    client: httpx.Client, path: str, query: Mapping[str, str] | None = None
) -> dict[str, Any]:
    reply = client.get(path, params=query)
    reply.raise_for_status()
    answer: dict[str, Any] = reply.json()
    return answer
