"""Commands on TLS with servers outside: policies of ours and of others, results, reports."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, moment, plain, say
from postmaster.cli.report_days import Day, Days, Of, Sources, show, show_received, show_sent

tls = Commands("TLS with servers outside: what we demand, what others publish, how it went.")

Whose = Annotated[
    str, typer.Argument(metavar="DOMAIN", help="Recipients' domain or next hop, .domain or '*'.")
]
_RESULTS: list[Column] = [
    ("Day", "day", plain),
    ("Domain", "domain", plain),
    ("Policy", "policy", plain),
    ("Sessions", "sessions", plain),
    ("Failure", "failure", plain),
    ("Server", "host", plain),
    ("From", "source", plain),
    ("Why", "why", plain),
]
_RECEIVED: list[Column] = [
    ("Until", "ends", moment),
    ("Sessions", "sessions", plain),
    ("Failed", "failed", plain),
    ("Signed by", "signed_by", plain),
]
_BY_SOURCE: list[Column] = [
    ("Policy", "policy", plain),
    ("Sessions", "sessions", plain),
    ("Failure", "failure", plain),
    ("From", "source", plain),
    ("Server", "host", plain),
    ("Why", "why", plain),
]


@tls.add("set")
def tls_set(
    domain: Whose,
    level: Annotated[
        str,
        typer.Argument(
            metavar="POLICY", help="none, may, encrypt, verify, fingerprint or dane-only."
        ),
    ],
    *,
    servers: Annotated[
        list[str] | None,
        typer.Option("--server", metavar="NAME", help="Only these, as mx.a.test, *.a.test."),
    ] = None,
    pins: Annotated[
        list[str] | None,
        typer.Option("--pin", metavar="SHA256", help="Of a certificate or its key, in hex."),
    ] = None,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Show ours to who asks for it.")
    ] = False,
) -> None:
    """Demand something of the servers of a domain, whatever it publishes itself."""
    body = {
        "level": level,
        "names": servers or [],
        "pins": pins or [],
        "certificate": certificate,
    }
    with connect() as api:
        api.ask("PUT", path("tls", "policies", domain), body=body)
    say(f"TLS for {domain}: {level}.")


@tls.add("list")
def tls_list(*, as_json: AsJson = False) -> None:
    """List what we demand."""
    columns = [
        ("Domain", "domain", plain),
        ("Policy", "level", plain),
        ("Servers", "names", plain),
        ("Fingerprints", "pins", plain),
        ("Certificate", "certificate", plain),
    ]
    with connect() as api:
        rows = api.rows(path("tls", "policies"))
        empty = "Nothing is set: DANE and MTA-STS count, else TLS with whom it works."
        listing(rows, columns, as_json=as_json, empty=empty)


@tls.add("remove")
def tls_remove(domain: Whose) -> None:
    """Leave it to the domain again."""
    with connect() as api:
        api.ask("DELETE", path("tls", "policies", domain))
    say(f"TLS for {domain} is as the domain publishes it.")


@tls.add("known")
def tls_known(domain: Of = None, *, as_json: AsJson = False) -> None:
    """List the MTA-STS policies of others that we know."""
    columns = [
        ("Domain", "domain", plain),
        ("Mode", "mode", plain),
        ("Servers", "mx", plain),
        ("Until", "until", moment),
        ("Tried", "tried", moment),
        ("Trouble", "fault", plain),
    ]
    with connect() as api:
        rows = api.rows(path("tls", "known"), {"domain": domain})
        listing(rows, columns, as_json=as_json, empty="No MTA-STS policy is known.")


@tls.add("results")
def tls_results(
    domain: Of = None,
    *,
    day: Day = None,
    failures: Annotated[bool, typer.Option("--failures", help="Only what failed.")] = False,
    as_json: AsJson = False,
) -> None:
    """List how sessions went, by day and domain: what our reports to others say."""
    query = {"domain": domain, "day": day, "failures": "true" if failures else None}
    show(("tls", "results"), query, _RESULTS, as_json=as_json, empty="No session was counted.")


@tls.add("reports")
def tls_reports(
    domain: Of = None, *, days: Days = None, sources: Sources = False, as_json: AsJson = False
) -> None:
    """List what others report on their sessions with our servers (RFC 8460)."""
    query = {"domain": domain, "days": days}
    show_received("tls", query, _RECEIVED, _BY_SOURCE if sources else None, as_json=as_json)


@tls.add("sent")
def tls_sent(domain: Of = None, *, as_json: AsJson = False) -> None:
    """List what became of our daily reports to others (RFC 8460)."""
    show_sent("tls", domain, as_json=as_json)
