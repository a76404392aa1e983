"""The parts that all sessions of a process share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from imap_gateway.memory.bodies import Bodies
from imap_gateway.memory.budget import Budget
from imap_gateway.memory.contents import Contents
from imap_gateway.memory.decodings import Decodings
from imap_gateway.memory.folding import Folding
from imap_gateway.memory.guests import Guests
from imap_gateway.memory.reads import Reads
from imap_gateway.memory.updates import Updates
from imap_gateway.memory.views import Views
from imap_gateway.training import Training
from posthouse.blobs import Blobs
from posthouse.credentials.authenticator import Authenticator
from posthouse.credentials.failures import Failures
from posthouse.extraction.workshop import Workshop
from posthouse.runtime.rate_settings import Turnstile
from posthouse.runtime.spool import Spool
from posthouse.storage.appending import Appender
from posthouse.storage.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may cost us.

    Attributes:
        message_octets: The largest message that APPEND takes.
        connections: Of the process.
        connections_per_client: Of these, from one client network.
        connections_per_account: Logged in at once.
        connections_per_account_and_client: Of these, from one client network.
        login_failures: In one connection, before it is ended.
        login_delay: Before the answer to the first failure of a client's network; doubled with each.
        before_login: How long a client may stay without logging in.
        silence: How long it may say nothing (RFC 3501 §5.4: at least 30 minutes).
        progress: How long until a client is told that we are still at work, and told again.
        literal_silence: How long in the midst of a message, for which others may be waiting.
    """

    message_octets: int = 50 * 1024 * 1024
    connections: int = 10_000
    connections_per_client: int = 5000
    connections_per_account: int = 100
    connections_per_account_and_client: int = 30
    login_failures: int = 3
    login_delay: timedelta = timedelta(seconds=1)
    before_login: timedelta = timedelta(minutes=1)
    silence: timedelta = timedelta(minutes=30)
    progress: timedelta = timedelta(seconds=10)
    literal_silence: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Opened once by `imap_gateway.service`.

    Attributes:
        authenticator: Tells who somebody is.
        reads: Notes in the trace what was read.
        appender: Files appended messages.
        spool: Where large messages lie while they come in.
        is_plaintext_allowed: Passwords may be sent without TLS.
        training: Notes what people say of their mail.
        guests: Who is logged in now.
        failures: Of logins, over all connections.
        turnstile: Counts connections, and says which clients are one.
        budget: For large messages in the spool.
        decodings: What is remembered of decoded parts.
        workshop: Reads the documents of messages that are searched before they are indexed.
        folding: The turns of those who make bodies searchable, or threads.
    """

    pool: Pool
    blobs: Blobs
    views: Views
    updates: Updates
    bodies: Bodies
    contents: Contents
    authenticator: Authenticator
    reads: Reads
    appender: Appender
    spool: Spool
    workshop: Workshop
    training: Training
    limits: Limits
    is_plaintext_allowed: bool
    guests: Guests = field(default_factory=Guests)
    failures: Failures = field(default_factory=Failures)
    turnstile: Turnstile = field(default_factory=Turnstile)
    budget: Budget = field(default_factory=Budget)
    decodings: Decodings = field(default_factory=Decodings)
    folding: Folding = field(default_factory=Folding)
