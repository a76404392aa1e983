"""``posthouse policy import``: tables of Postfix and qmail's control files become what we have for them.

What is there already is left as it is, so the second run changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from posthouse.mail.maps import Entry
from postmaster.cli.client import Client, Problem, connect, path
from postmaster.cli.failure import Failure
from postmaster.cli.output import AsJson, print_json, say
from postmaster.cli.taking_over_lists import Lists, Report
from postmaster.cli.taking_over_requests import Asked, Standing
from postmaster.taking_over.changes import Change, Findings, Left, NewAccess
from postmaster.taking_over.lines import TooLarge
from postmaster.taking_over.postfix import House
from postmaster.taking_over.postfix_config import ALL_TABLES, config
from postmaster.taking_over.qmail import control

READERS: dict[str, Callable[[Path, House], Findings]] = {
    "postfix-config": config,
    **ALL_TABLES,
    "qmail-control": control,
}
PORTION = 500  # entries of maps a request


def import_tables(
    form: Annotated[str, typer.Argument(metavar="FORM", help=f"What it is: {', '.join(READERS)}.")],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, help="The table; main.cf or qmail's control folder."
        ),
    ],
    *,
    domain: Annotated[
        str, typer.Option(metavar="DOMAIN", help="Of addresses that have none (myorigin, me).")
    ] = "",
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Entries of allow and deny lists that a file of this name brought before, and "
            "does not any more, are removed.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would change.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take over a table of Postfix, files of qmail, lists of SpamAssassin; tell what is not taken."""
    reader = READERS.get(form)
    if reader is None:
        raise Failure(f"There is no form {form}; there are {', '.join(READERS)}.")
    try:
        found = reader(source, House(domain=domain.lower()))
    except (OSError, TooLarge) as fault:
        raise Failure(f"{source} cannot be read: {fault}.") from fault
    report = Report(left=found.left)
    with connect() as api:
        lists = Lists(api=api, source=source.name, replaces=replace, is_dry=dry_run)
        _Importer(api, report, lists, is_dry=dry_run).run(found.changes)
    _show(report, is_dry=dry_run, as_json=as_json)


class _Importer:
    """Compares what was found with what is there, and writes the difference."""

    def __init__(self, api: Client, report: Report, lists: Lists, *, is_dry: bool) -> None:
        self._api = api
        self._lists = lists
        self._report = report
        self._is_dry = is_dry

    def run(self, changes: Sequence[Change]) -> None:
        standing = Standing(self._api, {type(each) for each in changes})
        for each in dict.fromkeys(changes):
            if not isinstance(each, Entry | NewAccess):
                self._one(standing.asked(each))
        self._lists.write([each for each in changes if isinstance(each, NewAccess)], self._report)
        self._entries([each for each in changes if isinstance(each, Entry)])

    def _one(self, asked: Asked) -> None:
        if asked.is_there:
            self._report.same += 1
            return
        if not self._is_dry:
            try:
                self._api.ask(asked.method, asked.where, body=asked.body)
            except Problem as refused:
                self._report.left.append(Left("", asked.words, str(refused)))
                return
        self._report.changed.append(asked.words)

    def _entries(self, entries: Sequence[Entry]) -> None:
        rows = self._api.rows(path("policy", "maps")) if entries else ()
        there = {(row["map"], row["key"]): row["targets"] for row in rows}
        new = []
        for each in {(one.kind, one.key): one for one in entries}.values():
            if there.get((each.kind, each.key)) == list(each.targets):
                self._report.same += 1
            else:
                new.append(each)
        for some in _portions(new):
            lines = [
                {"map": each.kind, "key": each.key, "targets": list(each.targets)} for each in some
            ]
            if not self._is_dry:
                self._api.ask("POST", path("policy", "maps"), body={"entries": lines})
            self._report.changed += [
                f"{each.kind} {each.key}: {', '.join(each.targets)}" for each in some
            ]


def _portions(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), PORTION):
        yield entries[start : start + PORTION]


def _show(report: Report, *, is_dry: bool, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(report), "dry_run": is_dry})
        return
    for words in report.changed:
        say(f"{'would take' if is_dry else 'taken'}: {words}")
    for left in report.left:
        say(f"not taken: {f'{left.where}: ' if left.where else ''}{left.text}: {left.reason}")
    say(
        f"{len(report.changed)} {'would change' if is_dry else 'changed'}, {report.same} were so "
        f"already, {len(report.left)} not taken."
    )
