"""What we say to clients: replies as they go on the wire (RFC 5321 §4.2, RFC 2034).

Every reply carries an enhanced status code, except those that RFC 2034 §4 leaves without one: the
greeting, the answers to HELO and EHLO, and intermediate 3yz replies.
"""

from __future__ import annotations

import msgspec

_CODE_DIGITS = 3


class Reply(msgspec.Struct, frozen=True):
    """One reply.

    Attributes:
        wire: The octets, line ends included.
        closes: The connection ends after it.
    """

    wire: bytes
    closes: bool = False

    @property
    def code(self) -> int:
        """The reply code (RFC 5321 §4.2)."""
        return int(self.wire[:_CODE_DIGITS])

    @property
    def accepts(self) -> bool:
        """True for 2yz."""
        return self.wire.startswith(b"2")

    def __str__(self) -> str:
        return self.wire.decode("ascii", "replace").rstrip()


def say(text: str, *, closes: bool = False) -> Reply:
    """Build a reply of one line from ``text``, which begins with its codes."""
    line = " ".join(text.split()).encode("ascii", "replace")
    return Reply(line + b"\r\n", closes)


def lines(code: int, *texts: str) -> Reply:
    """Build a reply of several lines (RFC 5321 §4.2.1)."""
    last = len(texts) - 1
    wire = "".join(f"{code}{' ' if n == last else '-'}{text}\r\n" for n, text in enumerate(texts))
    return Reply(wire.encode())


GO_AHEAD = say("354 End data with <CR><LF>.<CR><LF>")
OK_RESET = say("250 2.0.0 Ok")
OK_CHUNK = say("250 2.0.0 Ok, go on")
OK_NOTHING = say("250 2.0.0 Ok, that was nothing")  # and is no progress
OK_SENDER = say("250 2.1.0 Ok")
OK_RECIPIENT = say("250 2.1.5 Ok")
OK_TLS = say("220 2.0.0 Ready to start TLS")
OK_AUTHENTICATED = say("235 2.7.0 Authentication successful")
CANNOT_VERIFY = say("252 2.1.5 Cannot verify, but will take a message and try")  # RFC 5321 §3.5.3
BYE = say("221 2.0.0 Bye", closes=True)

NEEDS_UTF8_REPLY = say("252 2.6.8 Cannot name the address without SMTPUTF8")  # RFC 6531 §3.7.4.2
TOO_MANY_MEMBERS = say("252 2.1.5 The list is too long to tell")
NO_EXPN = say("502 5.5.1 EXPN is not available")
NO_ETRN = say("502 5.5.1 ETRN is not available")
NO_HELP = say("504 5.5.4 No such command")

# The client's grammar
UNKNOWN_COMMAND = say("500 5.5.2 Command not recognized")
LINE_TOO_LONG = say("500 5.5.2 Line too long")
LINE_TOO_LONG_BY_FAR = say("500 5.5.2 Line too long", closes=True)
BARE_LINE_END = say("500 5.5.2 Lines end with <CR><LF>, not with one of them", closes=True)
NOT_SMTP = say("521 5.5.1 This is a mail server", closes=True)  # RFC 7504
NO_ARGUMENT = say("501 5.5.4 No argument allowed")
ARGUMENT_MISSING = say("501 5.5.4 Argument missing or malformed")
BAD_SENDER = say("501 5.1.7 Bad sender address syntax")
BAD_RECIPIENT = say("501 5.1.3 Bad recipient address syntax")
BAD_PARAMETER = say("501 5.5.4 Bad parameter")
BAD_CHUNK = say("501 5.5.4 BDAT needs a number of octets", closes=True)
UNKNOWN_PARAMETER = say("555 5.5.4 Parameter not recognized")  # RFC 5321 §4.1.1.11
NEEDS_SMTPUTF8 = say("553 5.6.7 Address needs SMTPUTF8")  # RFC 6531 §3.5

# The order of commands
HELLO_FIRST = say("503 5.5.1 Send HELO or EHLO first")
MAIL_FIRST = say("503 5.5.1 Send MAIL first")
RECIPIENT_FIRST = say("503 5.5.1 No valid recipients")
NOT_AFTER_CHUNK = say("503 5.5.1 Not after BDAT")  # RFC 3030 §2
NEEDS_CHUNKS = say("503 5.5.1 BODY=BINARYMIME needs BDAT")  # RFC 3030 §3
MAIL_ALREADY = say("503 5.5.1 Sender already given")
NOT_NOW = say("503 5.5.1 Not during a mail transaction")
TLS_ALREADY = say("503 5.5.1 TLS is already active")
AUTH_ALREADY = say("503 5.5.1 Already authenticated")

# Security
NO_TLS = say("502 5.5.1 TLS is not available")
NO_AUTH = say("502 5.5.1 Authentication is not offered here")
NO_XCLIENT = say("550 5.7.0 Not authorized to speak for others")
TLS_FIRST = say("530 5.7.0 Must issue a STARTTLS command first")  # RFC 3207 §4
TLS_FOR_REQUIRETLS = say("530 5.7.10 REQUIRETLS needs TLS, here too")  # RFC 8689 §2
AUTH_FIRST = say("530 5.7.0 Authentication required")  # RFC 4954 §6
ENCRYPTION_REQUIRED = say("538 5.7.11 Encryption required for authentication")  # RFC 4954 §6
INJECTED = say("554 5.5.0 Commands behind STARTTLS in plain text", closes=True)
AUTH_UNKNOWN = say("504 5.5.4 Unrecognized authentication mechanism")
AUTH_CANCELLED = say("501 5.7.0 Authentication cancelled")
AUTH_MALFORMED = say("501 5.5.2 Cannot decode the response")
AUTH_TOO_LONG = say("500 5.5.6 Authentication exchange line is too long")  # RFC 4954 §6
AUTH_WRONG = say("535 5.7.8 Authentication credentials invalid")
AUTH_UNAVAILABLE = say("454 4.7.0 Temporary authentication failure")
AUTH_TOO_OFTEN = say("421 4.7.0 Too many failed authentications", closes=True)

# Limits
TOO_LARGE = say("552 5.3.4 Message too large")  # RFC 1870 §6.1
TOO_LARGE_BY_FAR = say("552 5.3.4 Message too large", closes=True)
TOO_MANY_RECIPIENTS = say("452 4.5.3 Too many recipients")  # RFC 5321 §4.5.3.1.10
NO_MEMORY = say("452 4.3.1 Too much mail at once, try again later")
NO_MEMORY_BY_FAR = say("452 4.3.1 Too much mail at once, try again later", closes=True)
EARLY_TALKER = say("554 5.5.1 You talked before you were greeted", closes=True)
TOO_MANY_ERRORS = say("421 4.7.0 Too many errors", closes=True)
TOO_MANY_SESSIONS = say("421 4.3.2 Too many connections, try again later", closes=True)
TIMED_OUT = say("421 4.4.2 Waited too long for you", closes=True)
SHUTTING_DOWN = say("421 4.3.2 Going down, try again soon", closes=True)

# The message
BARE_CR_OR_LF = say("550 5.6.11 Message has a bare CR or LF")  # registered for RFC 5321 §2.3.8
NUL_OCTET = say("550 5.6.0 Message has a NUL octet")  # RFC 2045 §2.8
HEADER_TOO_LARGE = say("552 5.3.4 Message header too large")
TOO_MANY_FIELDS = say("552 5.3.4 Message header has too many fields")
LOOPING = say("554 5.4.6 Too many hops")  # RFC 5321 §6.3
HAD_IT = say("554 5.4.6 Mail loop: Delivered-To already names the recipient")
SEVERAL_FROM = say("550 5.6.0 Message has more than one From field")  # RFC 5322 §3.6
EIGHT_BIT_HEADER = say(
    "550 5.6.0 Message header has 8-bit octets, and neither 8BITMIME nor SMTPUTF8"
)


def long_text_line(octets: int) -> Reply:
    """Build the refusal of a line that is longer than ``octets`` (RFC 5321 §4.5.3.1.6)."""
    return say(f"550 5.6.0 Message has a line over {octets} octets")


# Our house
UNAVAILABLE = say("451 4.3.0 Temporarily unavailable, try again later")
