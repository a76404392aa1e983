"""A case: one message in its transaction, as the checks see it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from uuid import UUID

from policy_engine.content.authenticated import UNKNOWN, Authenticated
from posthouse.authenticity.dkim.bodies import Canon, Digest
from posthouse.authenticity.dkim.headers import Header
from posthouse.mail.address import is_domain
from posthouse.mail.derived import derived
from posthouse.mail.header import header_end, unfold
from posthouse.mail.idn import a_labels
from posthouse.mime.addresses import MISSING_DOMAIN, MISSING_MAILBOX, parse_addresses
from posthouse.mime.text import decode_words
from posthouse.rules.letter import Letter

MAX_FROM_OCTETS = 4096  # a hundred authors
_NO_HOST, _NO_MAILBOX = MISSING_DOMAIN.decode(), MISSING_MAILBOX.decode()
_AT_SIGNS = "@\N{FULLWIDTH COMMERCIAL AT}\N{SMALL COMMERCIAL AT}"  # as people see them


@dataclass(frozen=True, kw_only=True)  # no slots: what is derived is kept
class Case:
    """What is judged.

    Attributes:
        id: The message's.
        client: The client's IP address.
        hello: What it called itself.
        auth: The account that authenticated; empty for a stranger.
        sender: The reverse path; empty for the null path.
        recipients: The forward paths.
        octets: The message as it would be stored, or the beginning of a large one: all of its
            header, and some of its body.
        size: Octets of the whole message.
        digests: The body's hashes, where ``octets`` are not all of it.
        blob: Where all of a large one can be read in object storage; empty: nowhere.
        knows_client: ``client`` is the server of who sends; not where mail comes by LMTP.
        is_trial: It is only explained: nothing is counted, learned or written for it.
        is_ours: The client may relay by its network: what it sends is mail of this house.
        senders: What is known of whose mail it is.
    """

    id: UUID
    client: str
    hello: str = ""
    auth: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()
    octets: bytes
    size: int
    digests: Mapping[Canon, Digest] = field(default_factory=dict)
    blob: str = ""
    knows_client: bool = True
    is_trial: bool = False
    is_ours: bool = False
    senders: Authenticated = UNKNOWN

    @property
    def is_whole(self) -> bool:
        """True if ``octets`` are all of the message."""
        return len(self.octets) >= self.size

    @property
    def is_trusted(self) -> bool:
        """True for mail of this house: of an account, or of a network that may relay."""
        return self.is_ours or bool(self.auth)

    @derived
    def body_start(self) -> int:
        """Where the body begins."""
        return header_end(self.octets)

    @derived
    def header(self) -> Header:
        """The header's fields."""
        return Header(self.octets[: self.body_start])

    @property
    def body(self) -> bytes:
        """The body, or the beginning of it."""
        return self.octets[self.body_start :]

    @derived
    def letter(self) -> Letter:
        """The message as rules see it, its texts and links: made once for all who look."""
        return Letter(octets=self.octets, sender=self.sender)

    def text_of(self, name: str) -> str:
        """Return the first field called ``name``, decoded, on one line; empty if there is none."""
        fields = self.header.all(name.lower().encode("ascii", "replace"))
        return decode_words(unfold(fields[0].partition(b":")[2])) if fields else ""

    @derived
    def authors(self) -> tuple[str, ...]:
        """The addresses of all From fields, groups included (RFC 5322 §3.6.2); none of too long ones."""
        found: list[str] = []
        for each in self._from_fields:
            for mailbox in parse_addresses(unfold(each.partition(b":")[2])):
                if mailbox.local is not None and mailbox.host:
                    local = mailbox.local.decode("utf-8", "replace")
                    found.append(f"{local}@{mailbox.host.decode('utf-8', 'replace')}")
        return tuple(found)

    @derived
    def author_domains(self) -> tuple[str, ...]:
        """Their domains in lower case and A-labels, those that are some (RFC 5891 §4)."""
        hosts = (author.rpartition("@")[2] for author in self.authors)
        plain = (host.lower().removesuffix(".") for host in hosts if host != _NO_HOST)
        names = (a_labels(host) for host in plain if is_domain(host))
        return tuple(dict.fromkeys(name for name in names if name.isascii()))

    @derived
    def _from_fields(self) -> Sequence[bytes]:
        """The From fields, if they are not too long to be read while all others wait."""
        found = self.header.all(b"from")
        return found if sum(map(len, found)) <= MAX_FROM_OCTETS else ()

    @property
    def hides_author(self) -> bool:
        r"""True if From shows an address to people that cannot be read by its grammar.

        ``=?utf-8?q?ceo=40a.test?=``, ``eve@b.test, ceo@a\u3002test``, kilobytes of commas: no domain could be asked then.
        """
        if self.authors and not any(map(_is_unreadable, self.authors)):
            return False
        shown = [decode_words(unfold(field.partition(b":")[2])) for field in self._from_fields]
        return any(map(_has_at, shown)) or (not shown and bool(self.header.all(b"from")))


def _is_unreadable(author: str) -> bool:
    """True if people may see a domain in ``author`` that DNS does not know by this name."""
    local, _, host = author.rpartition("@")
    if host == _NO_HOST:
        return local == _NO_MAILBOX or _has_at(decode_words(local.encode()))
    name = a_labels(host.lower().removesuffix("."))
    return not (name.isascii() and is_domain(name)) and not _is_literal(host)


def _has_at(text: str) -> bool:
    return any(at in text for at in _AT_SIGNS)


def _is_literal(host: str) -> bool:
    """True for an address literal (RFC 5321 §4.1.3): no domain speaks for it."""
    if not (host.startswith("[") and host.endswith("]")):
        return False
    try:
        ip_address(host[1:-1].lower().removeprefix("ipv6:"))
    except ValueError:
        return False
    return True
