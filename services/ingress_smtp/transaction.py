"""The SMTP conversation as a table: what each command may do in each state (RFC 5321 §4.1.4).

`decide` looks at state and command and returns what comes next, as a value; whoever drives the
conversation carries it out and gives the result back through `mailed`, `took`, `reset` and the
others. No octet is read or written here.

    HELO/EHLO ─▶ (STARTTLS ─▶ EHLO) ─▶ (AUTH) ─▶ MAIL ─▶ RCPT… ─▶ DATA or BDAT… ───┐
                                               ▲                                  │
                                               └──────────── reset ───────────────┘
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec.structs import replace

from ingress_smtp import extensions, manual, replies
from ingress_smtp.commands import (
    Auth,
    Bad,
    Chat,
    Chunk,
    Command,
    Data,
    Hello,
    Help,
    Mail,
    Rcpt,
    Release,
    Reset,
    StartTls,
    Verify,
)
from ingress_smtp.courtesies import is_open
from ingress_smtp.parameters import MailParameters
from ingress_smtp.replies import Reply
from ingress_smtp.steps import (
    Judge,
    Oblige,
    Say,
    State,
    Step,
    TakeAuth,
    TakeChunk,
    TakeData,
    TakeTls,
    TakeXClient,
)
from ingress_smtp.xclient import XClient
from posthouse.mail.handling import DEFAULT

# Any: each guard and effect takes just the commands that its rows of the table name.
Guard: TypeAlias = Callable[[State, Any], Reply | None]
Effect: TypeAlias = Callable[[State, Any], Step]


def decide(state: State, command: Command) -> Step:
    """Return what ``command`` causes in ``state``: the first guard that objects has the word."""
    guards, effect = _TABLE[type(command)]
    for guard in guards:
        objection = guard(state, command)
        if objection is not None:
            if isinstance(command, Chunk):
                return TakeChunk(command, objection)
            return Say(objection, state)
    return effect(state, command)


def chunked(state: State) -> State:
    """Return the state behind a chunk that was not the last (RFC 3030 §2)."""
    return replace(state, chunked=True)


def reset(state: State) -> State:
    """Return the state without the transaction (RFC 5321 §4.1.1.5)."""
    return replace(state, mail=None, recipients=(), chunked=False)


def encrypted(state: State, mechanisms: tuple[str, ...] = ()) -> State:
    """Return the state behind a TLS handshake: all knowledge is discarded (RFC 3207 §4.2)."""
    return State(
        terms=state.terms, secure=True, mechanisms=mechanisms, may_xclient=state.may_xclient
    )


def authenticated(state: State, account: str) -> State:
    """Return the state in which ``account`` is known (RFC 4954 §4)."""
    return replace(state, auth=account)


def _needs_hello(state: State, _: Command) -> Reply | None:
    return None if state.hello else replies.HELLO_FIRST


def _speaks_our_language(state: State, command: Hello) -> Reply | None:
    """LMTP has LHLO for HELO and EHLO, and those are no commands there (RFC 2033 §4.1)."""
    return None if command.is_lmtp == (state.terms.role == "lmtp") else replies.UNKNOWN_COMMAND


def _may_xclient(state: State, _: Command) -> Reply | None:
    return None if state.may_xclient else replies.NO_XCLIENT


def _needs_ehlo(state: State, _: Command) -> Reply | None:
    return None if state.extended else replies.HELLO_FIRST


def _needs_permission(state: State, _: Command) -> Reply | None:
    if state.terms.role != "submission" or state.auth:
        return None
    return replies.AUTH_FIRST if state.secure else replies.TLS_FIRST


def _needs_no_mail(state: State, _: Command) -> Reply | None:
    return None if state.mail is None else replies.MAIL_ALREADY


def _needs_mail(state: State, _: Command) -> Reply | None:
    return replies.MAIL_FIRST if state.mail is None else None


def _needs_recipients(state: State, _: Command) -> Reply | None:
    return None if state.recipients else replies.RECIPIENT_FIRST


def _needs_no_chunk(state: State, _: Command) -> Reply | None:
    return replies.NOT_AFTER_CHUNK if state.chunked else None


def _needs_lines(state: State, _: Command) -> Reply | None:
    is_binary = state.mail is not None and state.mail.parameters.body == "BINARYMIME"
    return replies.NEEDS_CHUNKS if is_binary else None


def _needs_quiet(state: State, _: Command) -> Reply | None:
    return None if state.mail is None else replies.NOT_NOW


def _parameters_fit(state: State, command: Mail) -> Reply | None:
    if not state.extended and command.parameters != MailParameters():
        return replies.UNKNOWN_PARAMETER
    if command.parameters.size > state.terms.message_octets_max:
        return replies.TOO_LARGE  # RFC 1870 §6.1
    if command.parameters.handling.requiretls and not state.secure:
        return replies.TLS_FOR_REQUIRETLS
    return state.terms.schedules.objection(command.parameters.handling)


def _recipient_fits(state: State, command: Rcpt) -> Reply | None:
    if not state.extended and command.notify != DEFAULT:
        return replies.UNKNOWN_PARAMETER
    if len(state.recipients) >= state.terms.recipients_max:
        return replies.TOO_MANY_RECIPIENTS
    utf8 = state.mail is not None and state.mail.parameters.smtputf8
    is_ascii = command.recipient.isascii() and command.notify.orcpt.isascii()
    return None if utf8 or is_ascii else replies.NEEDS_SMTPUTF8


def _tls_can_begin(state: State, _: Command) -> Reply | None:
    if state.secure:
        return replies.TLS_ALREADY
    return None if state.terms.tls else replies.NO_TLS


def _auth_can_begin(state: State, _: Command) -> Reply | None:
    if state.terms.role != "submission":
        return replies.NO_AUTH
    if not state.secure:
        return replies.ENCRYPTION_REQUIRED
    if not state.mechanisms:
        return replies.NO_AUTH
    return replies.AUTH_ALREADY if state.auth else None


def _greet(state: State, command: Hello) -> Step:
    after = replace(reset(state), hello=command.name, extended=command.extended)
    if not command.extended:
        return Say(replies.lines(250, state.terms.hostname), after)
    offer = extensions.Offer(
        hostname=state.terms.hostname,
        size=state.terms.message_octets_max,
        recipients=state.terms.recipients_max,
        secure=state.secure,
        starttls=state.terms.tls and not state.secure,
        auth=() if state.auth else state.mechanisms,
        xclient=state.may_xclient,
        courtesies=_courtesies(state),
        schedules=state.terms.schedules.offers(),
    )
    return Say(extensions.offer(offer), after)


def _courtesies(state: State) -> tuple[str, ...]:
    """Return the verbs of what this client is obliged with (RFC 5321 §3.5.2: EXPN is listed)."""
    its = state.terms.courtesies
    verbs = {"VRFY": is_open(its.vrfy, state.auth), "EXPN": is_open(its.expn, state.auth)}
    verbs["ETRN"] = its.etrn and state.terms.role == "mx"
    return tuple(verb for verb, is_given in verbs.items() if is_given)


def _judge_mail(state: State, command: Mail) -> Step:
    sender = state.terms.courtesies.whole(command.sender, state.auth)
    if sender is None:
        return Say(replies.BAD_SENDER, state)
    if sender != command.sender:
        command = replace(command, sender=sender)
    return Judge(command, replace(state, mail=command, recipients=()))


def _judge_rcpt(state: State, command: Rcpt) -> Step:
    if command.recipient == extensions.POSTMASTER:
        mailbox: str | None = f"{extensions.POSTMASTER}@{state.terms.hostname}"
    else:
        mailbox = state.terms.courtesies.whole(command.recipient, state.auth)
    if mailbox is None:
        return Say(replies.BAD_RECIPIENT, state)
    if mailbox != command.recipient:
        command = replace(command, recipient=mailbox)
    return Judge(command, replace(state, recipients=(*state.recipients, command)))


def _take_xclient(state: State, command: XClient) -> Step:
    return TakeXClient(
        command.client,
        State(
            terms=state.terms,
            secure=state.secure,
            mechanisms=state.mechanisms,
            may_xclient=True,
            hello=command.hello or "",
            extended=bool(command.hello and command.extended),
            auth=state.auth if command.login is None else command.login,
        ),
    )


def _verify(state: State, command: Verify) -> Step:
    if ("EXPN" if command.expand else "VRFY") not in _courtesies(state):
        return Say(replies.NO_EXPN if command.expand else replies.CANNOT_VERIFY, state)
    address = state.terms.courtesies.whole(command.address, state.auth) if command.address else None
    if address is None:
        return Say(replies.CANNOT_VERIFY, state)  # perhaps somebody's name: RFC 5321 §3.5.1
    return Oblige(replace(command, address=address))


def _release(state: State, command: Release) -> Step:
    return Oblige(command) if "ETRN" in _courtesies(state) else Say(replies.NO_ETRN, state)


def _help(state: State, command: Help) -> Step:
    """Explain what can be said here and now."""
    verbs = {"MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "VRFY", "HELP", "QUIT"}
    verbs.update(("LHLO",) if state.terms.role == "lmtp" else ("HELO", "EHLO"))
    verbs.update(_courtesies(state))
    may = {
        "STARTTLS": state.terms.tls and not state.secure,
        "AUTH": state.mechanisms and not state.auth,
        "XCLIENT": state.may_xclient,
    }
    verbs.update(verb for verb, is_possible in may.items() if is_possible)
    verbs.update(offer.partition(" ")[0] for offer in state.terms.schedules.offers())
    return Say(manual.explain(command.topic, verbs), state)


def _take_auth(_: State, command: Auth) -> Step:
    return TakeAuth(command)


def _answer(state: State, command: Chat | Bad) -> Step:
    return Say(command.reply, state)


_FOR_CONTENT = (_needs_hello, _needs_permission, _needs_mail, _needs_recipients)
_TABLE: dict[type[Command], tuple[tuple[Guard, ...], Effect]] = {
    Hello: ((_speaks_our_language,), _greet),
    Mail: ((_needs_hello, _needs_permission, _needs_no_mail, _parameters_fit), _judge_mail),
    Rcpt: (
        (_needs_hello, _needs_permission, _needs_mail, _needs_no_chunk, _recipient_fits),
        _judge_rcpt,
    ),
    Data: (
        (*_FOR_CONTENT, _needs_no_chunk, _needs_lines),
        lambda *_: TakeData(),
    ),
    Chunk: ((_needs_ehlo, *_FOR_CONTENT), lambda _, command: TakeChunk(command)),
    Reset: ((), lambda state, _: Say(replies.OK_RESET, reset(state))),
    StartTls: ((_tls_can_begin, _needs_quiet), lambda *_: TakeTls()),
    Auth: ((_needs_ehlo, _auth_can_begin, _needs_quiet), _take_auth),
    XClient: ((_may_xclient, _needs_quiet), _take_xclient),
    Verify: ((_needs_hello,), _verify),
    Release: ((_needs_ehlo, _needs_quiet), _release),
    Help: ((), _help),
    Chat: ((), _answer),
    Bad: ((), _answer),
}
