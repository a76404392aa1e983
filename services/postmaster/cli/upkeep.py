"""Commands on the machinery: broker, configuration, migrations."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from postmaster.cli.client import connect, path
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, octets, plain, print_json, say

broker = Commands("The roads on RabbitMQ.")
store = Commands("The object store.")
config = Commands("Settings and connections.")


@broker.add("check")
def broker_check(*, as_json: AsJson = False) -> None:
    """Compare the broker's queues with the plan."""
    with connect() as api:
        findings = api.ask("GET", path("broker", "check"))["findings"]
    columns = [("Name", "name", plain), ("Finding", "problem", plain)]
    listing(findings, columns, as_json=as_json, empty="The broker has every road as planned.")
    if findings:
        raise Failure(f"{len(findings)} findings; `posthouse broker rebuild` puts them right.")


@broker.add("rebuild")
def broker_rebuild(*, as_json: AsJson = False) -> None:
    """Declare the roads and publish everything that is under way again, from the ledger."""
    last: dict[str, Any] = {}
    with connect() as api, Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Envelopes", total=None)
        for line in api.stream("POST", path("broker", "rebuild")):
            last = line
            progress.update(task, completed=line.get("published", 0))
    if "error" in last or not last.get("done"):
        reason = last.get("error", "the postmaster broke off")
        raise Failure(
            f"The rebuild stopped after {last.get('published', 0)} envelopes: {reason}. "
            "Run it again; nothing is delivered twice."
        )
    if as_json:
        print_json(last)
        return
    rate = last["published"] / max(last["seconds"], 0.001)
    say(f"{last['published']} envelopes published in {last['seconds']:.1f} s ({rate:.0f}/s).")


@store.add("collect")
def store_collect(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would go; remove nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove the objects that no mailbox shows and no recipient waits for."""
    last: dict[str, Any] = {}
    with connect() as api, Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Objects", total=None)
        for line in api.stream("POST", path("store", "collect"), body={"dry_run": dry_run}):
            last = line
            progress.update(task, completed=line.get("seen", 0))
    if "error" in last or not last.get("done"):
        reason = last.get("error", "the postmaster broke off")
        raise Failure(f"Stopped after {last.get('seen', 0)} objects: {reason}. Run it again.")
    if as_json:
        print_json(last)
        return
    what = "would go" if dry_run else "removed"
    say(f"{last['seen']} objects seen, {last['gone']} {what} ({octets(last['octets'])}).")


@config.add("check")
def config_check(
    *,
    local: Annotated[
        bool, typer.Option("--local", help="Check this environment, not the postmaster's.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read every service's settings and try every connection."""
    columns = [("Part", "part", plain), ("Fine", "fine", plain), ("Finding", "text", plain)]
    if local:
        # Only here: this command alone needs the services' libraries in the client.
        from postmaster.examination import examine_environment  # noqa: PLC0415

        findings = [finding.as_json() for finding in asyncio.run(examine_environment())]
    else:
        with connect() as api:
            findings = api.ask("GET", path("config", "check"))["findings"]
    listing(findings, columns, as_json=as_json, empty="Nothing was checked.")
    bad = [finding for finding in findings if not finding["fine"]]
    if bad:
        raise Failure(f"{len(bad)} of {len(findings)} checks failed.")


def migrate() -> None:
    """Bring the database of POSTHOUSE_DATABASE_URL to this version's tables."""
    # Only here: this command alone needs the database's library.
    from postmaster.cli.schema import migrate_database  # noqa: PLC0415

    applied = migrate_database()
    say(f"Applied: {', '.join(applied)}." if applied else "The database is up to date.")
