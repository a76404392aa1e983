"""Commands on DMARC reports: those of others to us, and ours to them."""

from __future__ import annotations

from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, moment, plain
from postmaster.cli.report_days import Day, Of, show, show_sent

dmarc = Commands("DMARC: who sends as our domains, and what we tell others.")

_RESULTS: list[Column] = [
    ("Day", "day", plain),
    ("Domain", "domain", plain),
    ("Author", "author", plain),
    ("Source", "source", plain),
    ("Messages", "messages", plain),
    ("DKIM", "dkim", plain),
    ("SPF", "spf", plain),
    ("Done", "disposition", plain),
    ("Because", "reason", plain),
]
_ROWS: list[Column] = [
    ("Domain", "domain", plain),
    ("By", "organization", plain),
    ("Since", "begins", moment),
    ("Source", "address", plain),
    ("Messages", "messages", plain),
    ("DKIM", "dkim", plain),
    ("SPF", "spf", plain),
    ("Done", "disposition", plain),
    ("Author", "author", plain),
]


@dmarc.add("reports")
def dmarc_reports(
    domain: Of = None,
    *,
    days: Annotated[
        int | None, typer.Option("--days", metavar="NUMBER", min=1, help="Of the last days only.")
    ] = None,
    sources: Annotated[bool, typer.Option("--sources", help="A line for each source.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what others report on mail that said it was of our domains."""
    columns = [
        ("Domain", "domain", plain),
        ("By", "organization", plain),
        ("Since", "begins", moment),
        ("Until", "ends", moment),
        ("Messages", "messages", plain),
        ("Failed", "failed", plain),
        ("Signed by", "signed_by", plain),
    ]
    query = {"domain": domain, "days": days, "rows": "true" if sources else None}
    with connect() as api:
        found = list(api.rows(path("dmarc", "reports"), query))
    if sources:
        lines = [{**report, **row} for report in found for row in report["rows"]]
        listing(lines, _ROWS, as_json=as_json, empty="No report came.")
        return
    listing(found, columns, as_json=as_json, empty="No report came.")


@dmarc.add("results")
def dmarc_results(domain: Of = None, *, day: Day = None, as_json: AsJson = False) -> None:
    """List what became of mail from outside: what our reports to others say."""
    query = {"domain": domain, "day": day}
    show(("dmarc", "results"), query, _RESULTS, as_json=as_json, empty="Nothing was counted.")


@dmarc.add("sent")
def dmarc_sent(domain: Of = None, *, as_json: AsJson = False) -> None:
    """List what became of our daily reports to others."""
    show_sent("dmarc", domain, as_json=as_json)
