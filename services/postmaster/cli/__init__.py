"""``posthouse``: the one command-line tool for operators and for developers.

It asks the postmaster's API, which it finds in ``var/demo.json`` (written by ``make run``) or by
POSTHOUSE_API_URL and POSTHOUSE_API_TOKEN. Every listing also comes with ``--json``.
"""

from __future__ import annotations

import typer

from postmaster.cli import directory, letters, redirection, upkeep
from postmaster.cli.failure import Group

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # locals may hold passwords
    help="Posthouse, a mail system for large organizations.",
)
app.add_typer(directory.domain, name="domain")
app.add_typer(directory.account, name="account")
app.add_typer(redirection.alias, name="alias")
app.add_typer(redirection.forward, name="forward")
app.add_typer(redirection.route, name="route")
app.add_typer(redirection.network, name="network")
app.add_typer(letters.queue, name="queue")
app.add_typer(letters.dead, name="dead")
app.command("trace")(letters.trace)
app.add_typer(upkeep.broker, name="broker")
app.add_typer(upkeep.store, name="store")
app.add_typer(upkeep.config, name="config")
app.command("migrate")(upkeep.migrate)


def main() -> None:
    """Run the command of this process's arguments."""
    app()
