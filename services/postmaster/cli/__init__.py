"""``posthouse``: the one command-line tool for operators and for developers.

It asks the postmaster's API, which it finds in ``var/demo.json`` (written by ``make run``) or by
POSTHOUSE_API_URL and POSTHOUSE_API_TOKEN. Every listing also comes with ``--json``.
"""

from __future__ import annotations

from postmaster.cli import (
    app_passwords,
    auditing,
    bayes,
    certificates,
    dead,
    delegates,
    directory,
    dkim,
    dmarc,
    explaining,
    greylisting,
    letters,
    limits,
    lists,
    mailboxes,
    maps,
    outbound,
    policy,
    queue,
    quotas,
    redirection,
    rules,
    scheduled,
    sealers,
    senders,
    shadow,
    sharing,
    sources,
    suppressions,
    taking_over,
    timetables,
    tls,
    upkeep,
    ways,
)
from postmaster.cli.help import Commands

WHO = "Who is here"
WHERE = "Where mail goes instead"
MAIL = "Mail under way"
MACHINERY = "The machinery"

app = Commands(
    "Posthouse, a mail system for large organizations."
    "\n\n"
    "It asks the postmaster: the one that POSTHOUSE_API_URL and POSTHOUSE_API_TOKEN name, else the "
    "one that `make run` started in this folder. Every listing takes --json. A command that cannot "
    "be carried out says why and ends with status 1; one that stops by itself, with status 3."
)
app.add_typer(directory.domain, name="domain", rich_help_panel=WHO)
app.add_typer(directory.account, name="account", rich_help_panel=WHO)
app.add_typer(mailboxes.mailbox, name="mailbox", rich_help_panel=WHO)
app.add_typer(app_passwords.app_password, name="app-password", rich_help_panel=WHO)
app.add_typer(certificates.certificate, name="certificate", rich_help_panel=WHO)
app.add_typer(delegates.delegate, name="delegate", rich_help_panel=WHO)
app.add_typer(sharing.shared, name="shared", rich_help_panel=WHO)
app.add_typer(sharing.acl, name="acl", rich_help_panel=WHO)
app.add_typer(quotas.quota, name="quota", rich_help_panel=WHO)
app.add_typer(quotas.tenant, name="tenant", rich_help_panel=WHO)
app.add_typer(senders.sender, name="sender", rich_help_panel=WHO)
app.add_typer(redirection.alias, name="alias", rich_help_panel=WHERE)
app.add_typer(redirection.forward, name="forward", rich_help_panel=WHERE)
app.add_typer(ways.route, name="route", rich_help_panel=WHERE)
app.add_typer(ways.relay, name="relay", rich_help_panel=WHERE)
app.add_typer(redirection.network, name="network", rich_help_panel=WHERE)
app.add_typer(sources.source, name="source", rich_help_panel=WHERE)
app.add_typer(dkim.dkim, name="dkim", rich_help_panel=WHERE)
app.add_typer(dmarc.dmarc, name="dmarc", rich_help_panel=WHERE)
app.add_typer(tls.tls, name="tls", rich_help_panel=WHERE)
app.add("trace", MAIL)(letters.trace)
app.add_typer(queue.queue, name="queue", rich_help_panel=MAIL)
app.add_typer(scheduled.scheduled, name="scheduled", rich_help_panel=MAIL)
app.add_typer(timetables.timetable, name="timetable", rich_help_panel=MAIL)
app.add_typer(dead.dead, name="dead", rich_help_panel=MAIL)
policy.policy.add("explain")(explaining.explain)
policy.policy.add_typer(rules.rules, name="rules")
policy.policy.add_typer(shadow.shadow, name="shadow")
policy.policy.add_typer(sealers.sealer, name="sealer")
policy.policy.add_typer(maps.maps, name="map")
policy.policy.add("import")(taking_over.import_tables)
policy.policy.add_typer(lists.zone, name="zone")
policy.policy.add_typer(lists.access, name="access")
policy.policy.add_typer(greylisting.greylist, name="greylist")
policy.policy.add_typer(bayes.bayes, name="bayes")
policy.policy.add_typer(outbound.limits, name="limits")
app.add_typer(policy.policy, name="policy", rich_help_panel=MAIL)
app.add_typer(suppressions.suppression, name="suppression", rich_help_panel=MAIL)
app.add_typer(auditing.audit, name="audit", rich_help_panel=MACHINERY)
app.add_typer(limits.limit, name="limit", rich_help_panel=MACHINERY)
app.add_typer(upkeep.broker, name="broker", rich_help_panel=MACHINERY)
app.add_typer(upkeep.store, name="store", rich_help_panel=MACHINERY)
app.add_typer(upkeep.config, name="config", rich_help_panel=MACHINERY)
app.add("migrate", MACHINERY)(upkeep.migrate)


def main() -> None:
    """Run the command of this process's arguments."""
    app()
