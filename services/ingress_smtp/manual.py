"""The manual: what HELP says (RFC 5321 §4.1.1.8). Pure."""

from __future__ import annotations

from collections.abc import Collection

from ingress_smtp import replies
from ingress_smtp.replies import Reply

_PER_LINE = 10
_SYNTAX = {
    "HELO": "HELO name: who you are",
    "EHLO": "EHLO name: who you are; the answer lists what is offered",
    "LHLO": "LHLO name: who you are; the answer lists what is offered (RFC 2033)",
    "MAIL": "MAIL FROM:<address> [parameters]: begins a message",
    "RCPT": "RCPT TO:<address> [parameters]: one recipient of it",
    "DATA": "DATA: the message follows, up to a line with a dot alone",
    "BDAT": "BDAT octets [LAST]: a part of the message follows (RFC 3030)",
    "RSET": "RSET: forgets the message begun",
    "NOOP": "NOOP: does nothing",
    "VRFY": "VRFY address: whether it is known",
    "EXPN": "EXPN address: whom it stands for",
    "ETRN": "ETRN [@]domain: what waits for it is sent (RFC 1985)",
    "AUTH": "AUTH mechanism [response]: logs in (RFC 4954)",
    "STARTTLS": "STARTTLS: encrypts the session (RFC 3207)",
    "XCLIENT": "XCLIENT attribute=value...: speaks for another client",
    "HELP": "HELP [command]: this",
    "QUIT": "QUIT: ends the session",
}
_PARAMETERS = {
    "FUTURERELEASE": "MAIL ... HOLDFOR=seconds or HOLDUNTIL=date-time: it starts then (RFC 4865)",
    "DELIVERBY": "MAIL ... BY=seconds;R or N [T]: returned, or told, when that is over (RFC 2852)",
}
_TOPICS = _SYNTAX | _PARAMETERS


def explain(topic: str, commands: Collection[str]) -> Reply:
    """Return what is to be known of ``topic``, or the list of ``commands`` that can be given.

    An extension that is offered is a topic too, if it is no command.
    """
    if not topic:
        known = [verb for verb in _SYNTAX if verb in commands]
        rows = [known[at : at + _PER_LINE] for at in range(0, len(known), _PER_LINE)]
        texts = ["2.0.0 Commands:", *(f"2.0.0 {' '.join(row)}" for row in rows)]
        return replies.lines(214, *texts, "2.0.0 HELP and a command explains it")
    verb = topic.upper()
    return replies.say(f"214 2.0.0 {_TOPICS[verb]}") if verb in commands else replies.NO_HELP
