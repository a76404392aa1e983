"""Commands on the classifier: what it learns, has learned, and how well that works."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from posthouse.bayes.proving import HAM_TO, SPAM_FROM, Proof, prove
from posthouse.bayes.tokens import tokens_of
from postmaster.cli.client import Client, connect, path
from postmaster.cli.failure import Failure
from postmaster.cli.help import Commands
from postmaster.cli.mail_files import beginnings
from postmaster.cli.output import AsJson, Column, listing, plain, print_json, say

MESSAGES_AT_ONCE = 100
OCTETS_AT_ONCE = 1_000_000  # base64 makes 1.4 of it, of the 4 MiB that a request may have
SITE = "site"

bayes = Commands("The Bayes classifier: what mail it learns as spam and as wanted.")

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE", help="An mbox, a Maildir, a folder of .eml files, an .eml file."
    ),
]
User = Annotated[
    str, typer.Option("--user", metavar="ADDRESS", help="Whose own corpus; without: the site's.")
]
Of = Annotated[
    str,
    typer.Option("--of", metavar="ADDRESS", help="FILE is the name of a mailbox of this account."),
]
COLUMNS: list[Column] = [
    ("Whose", "address", lambda value: str(value) or "the site"),
    ("Spam", "spam", plain),
    ("Wanted", "ham", plain),
    ("Tokens", "tokens", plain),
]


@bayes.add("learn")
def bayes_learn(
    files: Files,
    *,
    spam: Annotated[bool, typer.Option("--spam", help="They are spam.")] = False,
    ham: Annotated[bool, typer.Option("--ham", help="They are wanted.")] = False,
    user: User = SITE,
    of: Of = "",
    as_json: AsJson = False,
) -> None:
    """Learn messages as spam or as wanted; each counts once, as what was said last.

    What was learned counts in all pods within ten seconds, as soon as enough was learned of both.
    """
    if spam == ham:
        raise Failure("Say what they are: --spam or --ham.")
    kind: Literal["spam", "ham"] = "spam" if spam else "ham"
    with connect() as api:
        if of:
            _learn_folders(api, files, kind, of, user)
            return
        _tell(_send(api, _all_of(files), kind, user), as_json=as_json)


@bayes.add("forget")
def bayes_forget(files: Files, *, user: User = SITE, as_json: AsJson = False) -> None:
    """Take messages back, as if they had never been learned."""
    with connect() as api:
        _tell(_send(api, _all_of(files), "forget", user), as_json=as_json)


@bayes.add("status")
def bayes_status(*, as_json: AsJson = False) -> None:
    """List who has learned how much; tokens are counted once an hour."""
    with connect() as api:
        rows = list(api.rows(path("policy", "bayes")))
        waiting = api.ask("GET", path("policy", "bayes"), query={"limit": 1})["waiting"]
    listing(rows, COLUMNS, as_json=as_json, empty="Nothing was learned yet.")
    if waiting and not as_json:
        say(f"{waiting} messages of mailboxes wait to be learned.")


@bayes.add("reset")
def bayes_reset(*, user: User = SITE) -> None:
    """Forget all that the site, or one account, has learned."""
    with connect() as api:
        api.ask("DELETE", path("policy", "bayes", user))
    say(f"Forgotten: all that {_whose(user)} had learned.")


@bayes.add("test")
def bayes_test(
    *,
    spam: Annotated[list[Path], typer.Option("--spam", metavar="FILE", help="Spam; as for learn.")],
    ham: Annotated[list[Path], typer.Option("--ham", metavar="FILE", help="Wanted mail.")],
    folds: Annotated[
        int, typer.Option("--folds", metavar="NUMBER", min=2, max=100, help="Parts to hold out.")
    ] = 5,
    as_json: AsJson = False,
) -> None:
    """Tell how well held-out mail is told apart by what is learned of the rest.

    It happens in this process: nobody is asked, and nothing is learned for anybody.
    """
    bad = [tokens_of(each) for each in _all_of(map(str, spam))]
    good = [tokens_of(each) for each in _all_of(map(str, ham))]
    if min(len(bad), len(good)) < folds:
        raise Failure(f"{folds} folds need {folds} messages of each kind at least.")
    proof = prove(bad, good, folds)
    if as_json:
        print_json({
            "folds": proof.folds, "spam": proof.spam, "ham": proof.ham, "caught": proof.caught,
            "missed": proof.missed, "false_positives": proof.accused, "cleared": proof.cleared,
            "precision": proof.precision, "recall": proof.recall, "accuracy": proof.accuracy,
        })  # fmt: skip
        return
    _show(proof)


def _show(proof: Proof) -> None:
    rows = [{"band": name, "spam": proof.spam[name], "ham": proof.ham[name]} for name in proof.spam]
    columns: list[Column] = [
        ("Band", "band", plain),
        ("Spam", "spam", plain),
        ("Wanted", "ham", plain),
    ]
    listing(rows, columns, as_json=False, empty="")
    say(
        f"Precision {proof.precision:.4f}, recall {proof.recall:.4f}, accuracy {proof.accuracy:.4f}; "
        f"{proof.accused} false positives, {proof.missed} of spam said to be wanted "
        f"(spam from {SPAM_FROM} on, wanted below {HAM_TO}; {proof.folds} folds)."
    )


def _all_of(files: Iterable[str]) -> Iterator[bytes]:
    for file in files:
        yield from beginnings(Path(file))


def _learn_folders(api: Client, names: list[str], kind: str, of: str, user: str) -> None:
    for name in names:
        body = {"kind": kind, "whose": user, "address": of, "mailbox": name}
        count = api.ask("POST", path("policy", "bayes", "folders"), body=body)["waiting"]
        say(f"{count} messages of {name} are being learned for {_whose(user)}.")


def _send(api: Client, messages: Iterable[bytes], kind: str, user: str) -> Counter[str]:
    """Send messages in portions; return what became of them."""
    done = Counter[str]()
    for portion in _portions(messages):
        body = {"kind": kind, "whose": user, "messages": [b64encode(m).decode() for m in portion]}
        done.update(api.ask("POST", path("policy", "bayes", "lessons"), body=body))
    return done


def _portions(messages: Iterable[bytes]) -> Iterator[list[bytes]]:
    portion, size = list[bytes](), 0
    for octets in messages:
        if portion and (len(portion) >= MESSAGES_AT_ONCE or size + len(octets) > OCTETS_AT_ONCE):
            yield portion
            portion, size = [], 0
        portion.append(octets)
        size += len(octets)
    if portion:
        yield portion


def _tell(done: Counter[str], *, as_json: bool) -> None:
    if as_json:
        print_json({key: done[key] for key in ("new", "changed", "known", "forgotten")})
        return
    say(
        f"{done['new']} learned, {done['changed']} learned otherwise before, "
        f"{done['known']} known already, {done['forgotten']} forgotten."
    )


def _whose(user: str) -> str:
    return "the site" if user == SITE else user
