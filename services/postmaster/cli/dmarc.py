"""Commands on DMARC reports: those of others to us, and ours to them."""

from __future__ import annotations

from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, moment, plain
from postmaster.cli.report_days import Day, Days, Of, Sources, show, show_received, show_sent

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
_RECEIVED: list[Column] = [
    ("Until", "ends", moment),
    ("Messages", "messages", plain),
    ("Failed", "failed", plain),
    ("Signed by", "signed_by", plain),
]
_BY_SOURCE: list[Column] = [
    ("Source", "address", plain),
    ("Messages", "messages", plain),
    ("DKIM", "dkim", plain),
    ("SPF", "spf", plain),
    ("Done", "disposition", plain),
    ("Author", "author", plain),
]


@dmarc.add("reports")
def dmarc_reports(
    domain: Of = None, *, days: Days = None, sources: Sources = False, as_json: AsJson = False
) -> None:
    """List what others report on mail that said it was of our domains."""
    query = {"domain": domain, "days": days}
    by_source = _BY_SOURCE if sources else None
    show_received("dmarc", query, _RECEIVED, by_source, as_json=as_json)


@dmarc.add("results")
def dmarc_results(domain: Of = None, *, day: Day = None, as_json: AsJson = False) -> None:
    """List what became of mail from outside: what our reports to others say."""
    query = {"domain": domain, "day": day}
    show(("dmarc", "results"), query, _RESULTS, as_json=as_json, empty="Nothing was counted.")


@dmarc.add("sent")
def dmarc_sent(domain: Of = None, *, as_json: AsJson = False) -> None:
    """List what became of our daily reports to others."""
    show_sent("dmarc", domain, as_json=as_json)
