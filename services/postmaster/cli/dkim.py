"""Commands on DKIM keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from postmaster.cli.client import Client, connect, forced, path
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, Column, listing, moment, plain, print_json, say

dkim = Commands("Keys that mail of our domains is signed with (DKIM).")

MAX_FILE_OCTETS = 1_000_000
_TABLE_FIELDS = 3  # of OpenDKIM's key table: domain:selector:file
Domain = Annotated[str, typer.Argument(metavar="DOMAIN", help="Whose mail is signed.")]
Selector = Annotated[str, typer.Argument(metavar="SELECTOR", help="The key's name.")]
COLUMNS: list[Column] = [
    ("Domain", "domain", plain),
    ("Selector", "selector", plain),
    ("Algorithm", "algorithm", plain),
    ("State", "state", plain),
    ("Made", "made", moment),
    ("Signs since", "active", moment),
    ("Checked", "checked", moment),
    ("Trouble", "fault", plain),
]
CHECKED: list[Column] = [
    ("Record", "name", plain),
    ("State", "state", plain),
    ("Trouble", "fault", plain),
]


@dkim.add("create")
def dkim_create(
    domain: Domain,
    *,
    algorithm: Annotated[
        str, typer.Option("--algorithm", metavar="NAME", help="rsa2048, ed25519, or both.")
    ] = "rsa2048",
    selector: Annotated[
        str | None, typer.Option("--selector", metavar="NAME", help="Without: one of today.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, and print what is to be published; it does not sign before it is activated."""
    body = {"domain": domain, "algorithm": algorithm, "selector": selector}
    with connect() as api:
        made = api.ask("POST", path("dkim", "keys"), body=body)["items"]
    _print_records(made, as_json=as_json)


@dkim.add("list")
def dkim_list(
    domain: Annotated[
        str | None, typer.Argument(metavar="DOMAIN", help="Of this domain only.")
    ] = None,
    *,
    records: Annotated[bool, typer.Option("--records", help="What is to be published.")] = False,
    as_json: AsJson = False,
) -> None:
    """List keys and how far they are."""
    with connect() as api:
        rows = list(api.rows(path("dkim", "keys"), {"domain": domain}))
    if records and not as_json:
        _print_records(rows, as_json=False)
        return
    listing(rows, COLUMNS, as_json=as_json, empty="There are no keys: mail goes unsigned.")


@dkim.add("check")
def dkim_check(
    domain: Domain,
    selector: Annotated[
        str | None, typer.Argument(metavar="SELECTOR", help="Without: all keys of the domain.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Ask DNS whether keys are published as they should be; status 1 if one is not."""
    with connect() as api:
        names = [selector] if selector else _selectors(api, domain)
        rows = [api.ask("POST", path("dkim", "keys", domain, one, "check")) for one in names]
    listing(rows, CHECKED, as_json=as_json, empty=f"{domain} has no keys.")
    if any(row["fault"] for row in rows):
        raise Failure("DNS does not show what it should.")


@dkim.add("activate")
def dkim_activate(
    domain: Domain,
    selector: Selector,
    *,
    force: Annotated[bool, typer.Option("--force", help="Whatever DNS shows.")] = False,
) -> None:
    """Let a key sign, once DNS shows it; the one before it stays published for some days."""
    where = path("dkim", "keys", domain, selector, "activate")
    with connect() as api:
        api.ask("POST", where, query=forced(force=force))
    say(f"{selector} signs for {domain}.")


@dkim.add("rotate")
def dkim_rotate(domain: Domain, *, as_json: AsJson = False) -> None:
    """Make successors of the keys that sign: publish them, and they take over by themselves."""
    with connect() as api:
        made = api.ask("POST", path("dkim", "domains", domain, "rotate"))["items"]
    if not made and not as_json:
        say(f"{domain} has no key that signs and has no successor yet.")
        return
    _print_records(made, as_json=as_json)


@dkim.add("delete")
def dkim_delete(
    domain: Domain,
    selector: Selector,
    *,
    force: Annotated[bool, typer.Option("--force", help="Even if it signs.")] = False,
) -> None:
    """Remove a key for good; take its record out of DNS, too."""
    with connect() as api:
        api.ask("DELETE", path("dkim", "keys", domain, selector), query=forced(force=force))
    say(f"{selector} of {domain} is gone.")


@dkim.add("import")
def dkim_import(
    domain: Domain,
    selector: Selector,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The private key, PEM.")],
) -> None:
    """Take over a key of another program; check and activate it then."""
    with connect() as api:
        _import(api, domain, selector, file)


@dkim.add("import-table")
def dkim_import_table(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="OpenDKIM's KeyTable.")],
) -> None:
    """Take over the keys that OpenDKIM signs with; those that are here already stay."""
    with connect() as api:
        for domain, selector, key in _table(_text(file).splitlines(), file.parent):
            _import(api, domain, selector, key)


def _import(api: Client, domain: str, selector: str, file: Path) -> None:
    body = {"domain": domain, "selector": selector, "pem": _text(file)}
    try:
        api.ask("POST", path("dkim", "keys", "import"), body=body)
    except Failure as failure:
        raise Failure(f"{selector} of {domain} ({file}): {failure}") from failure
    say(
        f"{selector} of {domain} is here; `posthouse dkim activate {domain} {selector}` lets it sign."
    )


def _table(lines: Iterable[str], folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield what a key table names: ``name domain:selector:file`` (opendkim.conf(5))."""
    for line in lines:
        words = line.partition("#")[0].split()
        if not words:
            continue
        parts = words[-1].split(":", _TABLE_FIELDS - 1)
        if len(parts) != _TABLE_FIELDS or "%" in parts[0]:
            raise Failure(f"Not a line for one domain: {line.strip()[:80]}")
        yield parts[0], parts[1], folder / parts[2]


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            octets = opened.read(MAX_FILE_OCTETS + 1)
        if len(octets) > MAX_FILE_OCTETS:
            raise Failure(f"{file} is too large.")
        return octets.decode("ascii")
    except (OSError, UnicodeDecodeError) as fault:
        raise Failure(f"{file} cannot be read ({fault}).") from fault


def _selectors(api: Client, domain: str) -> list[str]:
    return [row["selector"] for row in api.rows(path("dkim", "keys"), {"domain": domain})]


def _print_records(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    for row in rows:
        say(_line(row))


def _line(row: Mapping[str, Any]) -> str:
    return (
        f"; {row['selector']} of {row['domain']}: {row['algorithm']}, {row['state']}\n{row['zone']}"
    )
