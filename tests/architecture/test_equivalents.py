"""The table of Postfix's, SpamAssassin's and qmail's settings: in the README as it is in the code, of things that exist, whole."""

from __future__ import annotations

import re
import shlex
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from posthouse.mail.maps import KINDS
from postmaster.cli import app
from postmaster.taking_over.equivalents import Row, System, equivalent, rows

ROOT = Path(__file__).parents[2]
README = ROOT / "services/policy_engine/README.md"
BEGINS = "## From Postfix, SpamAssassin, qmail\n"
TITLES: dict[System, str] = {"postfix": "Postfix", "spamassassin": "SpamAssassin", "qmail": "qmail"}
SYSTEMS: tuple[System, ...] = get_args(System)
COMMANDS = get_command(app)
# Of postconf(5), what is about who may send what to whom, and what becomes of addresses.
OF_POLICY = re.compile(
    r"smtpd_\w+_restrictions|\w*_(?:header|body)_checks|(?:header|body)_checks\w*|\w*canonical\w*|"
    r"masquerade_\w+|\w*generic_maps|virtual_alias_\w+|alias_(?:maps|database)|\w*_bcc\w*|"
    r"relocated_maps|transport_maps|recipient_delimiter|sender_dependent_\w+_maps|luser_relay|"
    r"\w*milter\w*|content_filter|postscreen_(?:dnsbl|greet|access)_\w+|\w*rbl_reply\w*|"
    r"smtpd_policy_service_\w+|address_verify_\w+|local_recipient_maps|smtpd_sender_login_maps|"
    r"\w*_reject_code|\w+_tempfail_action|mynetworks\w*|relay(?:host|_domains)"
)


def table() -> str:
    """Return the section of the README as it has to be."""
    text = (
        f"{BEGINS}\nWhat each setting in this field is here, or why it is not. The same words are told "
        "by `posthouse policy import postfix-config`\nand `qmail-control`, which take over what can be "
        "taken. The rest of Postfix's `smtpd_*`: [ingress-smtp](../ingress_smtp/README.md#coming-from-postfix-or-qmail).\n"
    )
    for system in SYSTEMS:
        text += f"\n### {TITLES[system]}\n\n| {TITLES[system]} | here |\n|---|---|\n"
        heading = ""
        for row in rows(system):
            if row.heading != heading:
                heading = row.heading
                text += f"| **{heading}** | |\n"
            text += f"| {', '.join(map(_name, row.names))} | {row.ours} |\n"
    return text


def _name(name: str) -> str:
    return f"`{name}`" if re.fullmatch(r"[\w.$@*/-]+", name) else name  # others are words


def test_the_readme_shows_the_table() -> None:
    readme = README.read_text()

    _, begins, rest = readme.partition(BEGINS)
    shown = begins + re.split(r"(?m)^## ", rest)[0]

    assert shown.rstrip() == table().rstrip(), (
        "write it anew: .venv/bin/python tests/architecture/test_equivalents.py"
    )


def test_no_setting_has_two_rows() -> None:
    for system in SYSTEMS:
        names = [name for row in rows(system) for name in row.names if "*" not in name]
        assert len(names) == len(set(names)), {n for n in names if names.count(n) > 1}


@pytest.mark.parametrize(
    "row", [row for each in SYSTEMS for row in rows(each)], ids=lambda r: r.names[0]
)
def test_each_command_that_it_names_exists(row: Row) -> None:
    for text in re.findall(r"`(posthouse [^`]*)`", row.ours):
        command = COMMANDS
        words = shlex.split(text)[1:]
        while isinstance(command, TyperGroup) and words:
            assert words[0] in command.commands, text
            command = command.commands[words.pop(0)]
        options = {name for each in command.params for name in each.opts}
        assert {word for word in words if word.startswith("--")} <= options, text
        if text.startswith("posthouse policy map set"):
            assert words[0] in KINDS, text


def test_names_are_found_as_files_have_them() -> None:
    assert equivalent("postfix", "milter_connect_timeout").startswith("no milters")
    assert equivalent("qmail", "bouncefrom") == "POSTHOUSE_BOUNCE_FROM"
    assert equivalent("spamassassin", "rewrite_header") == "POSTHOUSE_SPAM_SUBJECT"
    assert equivalent("postfix", "sendmail_path") == ""


@pytest.mark.journey
def test_each_setting_of_postfix_in_this_field_has_its_row() -> None:
    told = subprocess.run(["/usr/sbin/postconf", "-d"], stdout=subprocess.PIPE, check=True)
    names = re.findall(r"^(\w+) =", told.stdout.decode(), re.MULTILINE)
    field = {name for name in names if OF_POLICY.fullmatch(name)}

    assert len(field) > 100
    assert {name for name in field if not _known("postfix", name)} == set()


@pytest.mark.integration
def test_each_setting_of_spamassassin_has_its_row() -> None:
    modules = Path("/usr/share/perl5/Mail/SpamAssassin")
    files = [modules / "Conf.pm", *modules.glob("Plugin/*.pm")]
    text = "".join(file.read_text(errors="replace") for file in files)
    names = set(re.findall(r"^\s+setting => '([a-z0-9_]+)'", text, re.MULTILINE))

    assert len(names) > 200
    assert {name for name in names if not _known("spamassassin", name)} == set()


def _known(system: System, name: str) -> bool:
    return any(fnmatchcase(name, each) for row in rows(system) for each in row.names)


def _write() -> None:
    above, _, rest = README.read_text().partition(BEGINS)
    behind = re.split(r"(?m)^(?=## )", rest, maxsplit=1)[1:]
    README.write_text("\n\n".join(part.strip() for part in (above, table(), *behind)) + "\n")


if __name__ == "__main__":
    _write()
