"""Commands on certificates that log in: one for each device."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Annotated

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, moment, plain, print_json, say

certificate = Commands("Certificates that log in without a password, known by their fingerprint.")

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose, as name@domain.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The device, as 'laptop'.")]
Shown = Annotated[
    str,
    typer.Argument(metavar="CERTIFICATE", help="A file in PEM, or its SHA-256 fingerprint."),
]


@certificate.add("add")
def certificate_add(address: Address, name: Name, shown: Shown, *, as_json: AsJson = False) -> None:
    """Let a certificate log in as an account (EXTERNAL).

    Services need POSTHOUSE_SASL_EXTERNAL=fingerprint, and an authority that they trust for it.
    """
    file = Path(shown)
    fingerprint = _fingerprint_of(file) if file.is_file() else shown
    order = {"address": address, "name": name, "fingerprint": fingerprint}
    with connect() as api:
        made = api.ask("POST", path("certificates"), body=order)
    if as_json:
        print_json(made)
    else:
        say(f"{made['fingerprint']} logs in as {address}.")


@certificate.add("list")
def certificate_list(address: Address, *, as_json: AsJson = False) -> None:
    """List the certificates of an account."""
    columns = [
        ("Name", "name", plain),
        ("Fingerprint (SHA-256)", "fingerprint", plain),
        ("Added", "created", moment),
    ]
    with connect() as api:
        rows = api.rows(path("certificates"), {"address": address})
        listing(rows, columns, as_json=as_json, empty=f"{address} has no certificates.")


@certificate.add("remove")
def certificate_remove(address: Address, name: Name) -> None:
    """Let a certificate log in no more; sessions that it has open go on."""
    with connect() as api:
        api.ask("DELETE", path("certificates"), query={"address": address, "name": name})
    say(f"{name} of {address} is let in no more.")


def _fingerprint_of(file: Path) -> str:
    """Return the SHA-256 of the first certificate in ``file``."""
    try:
        found = ssl.PEM_cert_to_DER_cert(_first_in(file.read_text()))
    except (OSError, ValueError) as error:
        raise Failure(f"{file} is no certificate in PEM: {error}") from error
    return hashlib.sha256(found).hexdigest()


def _first_in(text: str) -> str:
    begin = text.find(ssl.PEM_HEADER)
    end = text.find(ssl.PEM_FOOTER, begin)
    return text[begin : end + len(ssl.PEM_FOOTER)] if begin >= 0 <= end else ""
