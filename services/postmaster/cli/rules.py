"""Commands on rules that messages are scored by, and on what is tried out in their shadow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from postmaster.cli.client import connect, path
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.output import AsJson, listing, moment, plain, say
from postmaster.cli.rule_files import octets_of, rule_files

rules = Commands(
    "The rules that messages are scored by, in SpamAssassin's language."
    "\n\n"
    "Rules belong to sets. A set begins as a draft; `activate` makes it live, or lets it run in the "
    "shadow of the live ones first. docs/policy-rules.md tells what of the language is understood."
)
SHOWN_LINES = 3  # of each reason

SetName = Annotated[str, typer.Argument(metavar="SET", help="Lower case, such as local.")]
RuleName = Annotated[str, typer.Argument(metavar="RULE", help="Its name.")]
OfSet = Annotated[str | None, typer.Option("--set", metavar="SET", help="Only of this set.")]


@rules.add("import")
def import_rules(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE|DIR", help="Files of rules; of a directory all *.cf."),
    ] = None,
    *,
    name: Annotated[
        str | None, typer.Option("--set", metavar="SET", help="Its set. Default: the first's name.")
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="The rules of the house.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be taken.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show each line that is not taken.")] = False,
) -> None:
    """Take the rules of files, read one behind the other, as a set; say of each line not taken why.

    What they include is read from where they are: /usr/share/spamassassin /etc/spamassassin.
    """
    if bool(files) is default:
        raise Failure("Name files, or say --default.")
    read = rule_files(files or [])
    chosen = name or ("default" if not files else files[0].resolve().stem.lower())
    query = {"dry_run": dry_run or None, "default": default or None}
    with connect() as api:
        where = path("policy", "rule-sets", chosen)
        done = api.ask("PUT", where, body=None if default else read, query=query)
        rows = [] if dry_run else api.ask("GET", path("policy", "rule-sets"))["items"]
    _tell_faults(done["items"], every=every)
    state = next((row["state"] for row in rows if row["name"] == chosen), "")
    verb = "would be" if dry_run else "were"
    of = f" of {len(read['files'])} files" if len(read["files"]) > 1 else ""
    say(f"{done['rules']} rules{of} {verb} taken into {chosen}; {done['faults']} lines not.")
    if state == "draft":
        say(f"The set is a draft: posthouse policy rules activate {chosen} [--shadow]")


def _tell_faults(faults: Sequence[dict[str, Any]], *, every: bool) -> None:
    """Show lines that were not taken, those of one reason together."""
    counts = Counter(fault["why"] for fault in faults)
    for why, count in counts.most_common():
        lines = [fault for fault in faults if fault["why"] == why]
        say(f"{why}: {count} line{'s' if count > 1 else ''}")
        for fault in lines if every else lines[:SHOWN_LINES]:
            of = f"{fault['file']}:" if fault["file"] else ""
            say(f"  {of}{fault['line']}: {fault['text']}")
        if count > SHOWN_LINES and not every:
            say(f"  ... (--all shows all {count})")


@rules.add("sets")
def list_sets(*, as_json: AsJson = False) -> None:
    """List the sets."""
    columns = [
        ("Set", "name", plain),
        ("State", "state", plain),
        ("Rules", "rules", plain),
        ("Changed", "changed_at", moment),
        ("By", "changed_by", plain),
    ]
    with connect() as api:
        found = api.ask("GET", path("policy", "rule-sets"))["items"]
    listing(found, columns, as_json=as_json, empty="There are no rules: policy rules import")


@rules.add("list")
def list_rules(*, of: OfSet = None, as_json: AsJson = False) -> None:
    """List the rules, by name."""
    columns = [
        ("Rule", "name", plain),
        ("Set", "set", plain),
        ("Kind", "kind", plain),
        ("State", "state", plain),
        ("Score", "score", plain),
        ("Trial", "tried_score", plain),
        ("About", "about", plain),
    ]
    with connect() as api:
        found = api.rows(path("policy", "rules"), {"set": of})
        listing(found, columns, as_json=as_json, empty="No rules.")


@rules.add("show")
def show_rule(name: RuleName, *, as_json: AsJson = False) -> None:
    """Show a rule as each set has it."""
    columns = [
        ("Set", "set", plain),
        ("State", "state", plain),
        ("Kind", "kind", plain),
        ("Test", "source", plain),
        ("Scores", "scores", plain),
        ("Flags", "flags", plain),
        ("About", "about", plain),
    ]
    with connect() as api:
        found = api.ask("GET", path("policy", "rules", name))["items"]
    listing(found, columns, as_json=as_json, empty="")


@rules.add("score")
def set_score(
    name: RuleName,
    score: Annotated[
        str, typer.Argument(metavar="SCORE", help="Points; or usual, for those of its set.")
    ],
    *,
    trial: Annotated[
        bool, typer.Option("--trial", help="Only try it out: policy shadow report RULE.")
    ] = False,
) -> None:
    """Give a rule a score of its own, which outlives a new import; or try one out on real mail."""
    try:
        value = None if score == "usual" else float(score)
    except ValueError as fault:
        raise Failure(f"{score} is no score.") from fault
    with connect() as api:
        key = "tried_score" if trial else "score"
        api.ask("PATCH", path("policy", "rules", name), body={key: value})
    told = "the score of its set" if value is None else f"{value:g} points"
    if trial:
        told = (
            "no score on trial" if value is None else f"{told} on trial; they count for nothing yet"
        )
    say(f"{name} has {told}.")


@rules.add("disable")
def disable(name: RuleName) -> None:
    """Turn a rule off."""
    _rule_state(name, "disabled")


@rules.add("enable")
def enable(
    name: RuleName,
    *,
    shadow: Annotated[bool, typer.Option("--shadow", help="Only try it out.")] = False,
) -> None:
    """Let a rule run as its set does, or in the shadow of it."""
    _rule_state(name, "shadow" if shadow else "live")


def _rule_state(name: str, state: str) -> None:
    with connect() as api:
        api.ask("PATCH", path("policy", "rules", name), body={"state": state})
    say(f"{name}: {state}.")


@rules.add("activate")
def activate(
    name: SetName,
    *,
    shadow: Annotated[bool, typer.Option("--shadow", help="Only try it out.")] = False,
) -> None:
    """Make a set live; refused if a rule of it cannot be run."""
    _set_state(name, "shadow" if shadow else "live")


@rules.add("deactivate")
def deactivate(name: SetName) -> None:
    """Make a set a draft again: none of its rules runs."""
    _set_state(name, "draft")


def _set_state(name: str, state: str) -> None:
    with connect() as api:
        api.ask("PUT", path("policy", "rule-sets", name, "state"), body={"state": state})
    say(f"{name}: {state}. Every pod follows within seconds.")


@rules.add("remove")
def remove(name: SetName) -> None:
    """Forget a set with its rules."""
    with connect() as api:
        api.ask("DELETE", path("policy", "rule-sets", name))
    say(f"{name} is gone.")


@rules.add("test")
def try_rules(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.eml", help="Messages.")],
    *,
    of: OfSet = None,
    sender: Annotated[str, typer.Option(metavar="ADDRESS", help="The envelope's sender.")] = "",
    found: Annotated[
        str, typer.Option(metavar="NAMES", help="What other checks found: SPF_FAIL,BAYES_99.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Run the rules in force, or those of a set, over messages; nothing is kept."""
    columns = [
        ("Points", "score", plain),
        ("Rule", "rule", plain),
        ("Trial", "is_trial", plain),
        ("Seen", "seen", plain),
        ("About", "about", plain),
    ]
    query = {"set": of, "sender": sender or None, "found": found or None}
    with connect() as api:
        for file in files:
            where = path("policy", "rules", "test")
            done = api.ask("POST", where, octets=octets_of(file), query=query)
            if not as_json:
                took = f"{1000 * done['seconds']:.1f} ms"
                say(f"{file}: {done['score']:g} points, of {done['rules']} rules in {took}")
                for slow in done["slow"]:
                    say(f"  {slow['rule']} is slow: {1000 * slow['seconds']:.0f} ms")
            listing(done["items"], columns, as_json=as_json, empty="  No rule holds.")
