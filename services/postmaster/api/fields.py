"""What a request may say: addresses, domains, pages; checked at the border, plain values inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from posthouse.credentials.passwords import MAX_PASSWORD_OCTETS
from posthouse.mail.address import BadAddress, is_domain, parse_address
from posthouse.mail.hops import FOLDERS, BadHop, parse_hop
from posthouse.mail.ids import moment_of
from postmaster.api.border import is_storable, refuse_unstorable

MAX_PAGE = 1000  # rows per answer
MAX_TARGETS = 1000  # addresses an alias or a forward may stand for
MIN_PASSWORD = 8  # characters (NIST SP 800-63B §5.1.1.2)
MAX_TEXT = 500  # characters that a sender is told, or that are looked for
USUAL = "usual"  # the way that mail goes by itself
MAX_NUMBER = 2**63 - 1  # a bigint of PostgreSQL

T = TypeVar("T")


def address_key(text: str) -> str:
    """Return the form in which an address of ours is kept; `ValueError` if it is none."""
    try:
        return parse_address(text).key
    except BadAddress as fault:
        raise ValueError(f"{text} is not an address ({fault})") from fault


def address_text(text: str) -> str:
    """Return an address as it was written; `ValueError` if it is none."""
    address_key(text)
    return text


def domain_name(text: str) -> str:
    """Return a domain in lower case; `ValueError` if it is none."""
    if not is_domain(text):
        raise ValueError(f"{text} is not a domain")
    return text.lower()


def message_id(ident: UUID) -> UUID:
    """Return an id that may be one of ours; `ValueError` if it tells no moment."""
    try:
        moment_of(ident)
    except (ValueError, OverflowError) as fault:
        raise ValueError(f"{ident} is no id of a message") from fault
    return ident


def one_line(text: str) -> str:
    """Return ``text`` without blanks around it; `ValueError` if it has several lines."""
    if not text.isprintable():
        raise ValueError("must be one line")
    return text.strip()


def next_hop(text: str) -> str:
    """Return a next hop that mail on its way can be sent by, nothing for `USUAL`."""
    if text == USUAL:
        return ""
    try:
        hop = parse_hop(text)
    except BadHop as wrong:
        raise ValueError(str(wrong)) from wrong
    if hop.kind in FOLDERS:
        raise ValueError("mail that was on its way is not filed into folders")
    return str(hop)


def password_fault(password: str) -> str | None:
    """Return why a password cannot be taken, without repeating it; None if it can."""
    if len(password) < MIN_PASSWORD:
        return f"the password has fewer than {MIN_PASSWORD} characters"
    if not is_storable(password):
        return "the password holds a NUL"  # RFC 4616 §2: no client could send it
    if len(password.encode()) > MAX_PASSWORD_OCTETS:
        return f"the password has more than {MAX_PASSWORD_OCTETS} octets"
    return None


def fit_password(secret: SecretStr) -> SecretStr:
    """Return a password that can be taken; `ValueError` says why not."""
    fault = password_fault(secret.get_secret_value())
    if fault:
        raise ValueError(fault)
    return secret


AddressKey: TypeAlias = Annotated[str, AfterValidator(address_key)]
AddressText: TypeAlias = Annotated[str, AfterValidator(address_text)]
Targets: TypeAlias = Annotated[list[AddressText], Field(min_length=1, max_length=MAX_TARGETS)]
MessageId: TypeAlias = Annotated[UUID, AfterValidator(message_id)]
DomainName: TypeAlias = Annotated[str, AfterValidator(domain_name)]
Number: TypeAlias = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
Octets: TypeAlias = Annotated[int, Field(ge=1, le=2**62)]
Words: TypeAlias = Annotated[str, Field(max_length=MAX_TEXT)]
OneLine: TypeAlias = Annotated[Words, AfterValidator(one_line)]
Hop: TypeAlias = Annotated[str, AfterValidator(next_hop)]
PageSize: TypeAlias = Annotated[int, Field(ge=1, le=MAX_PAGE)]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=MAX_PAGE)]


Password: TypeAlias = Annotated[
    SecretStr,
    AfterValidator(fit_password),
    Field(description=f"{MIN_PASSWORD} characters at least, {MAX_PASSWORD_OCTETS} octets at most."),
]


class Body(BaseModel):
    """A request's body or query: what it does not know, and what cannot be kept, it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, value: object) -> object:
        return refuse_unstorable(value)


def page(
    rows: Sequence[T], limit: int, show: Callable[[T], dict[str, Any]], key: Callable[[T], object]
) -> dict[str, Any]:
    """Return a page of a listing; ``next`` is the key to ask for what follows, None at the end."""
    return {
        "items": [show(row) for row in rows],
        "next": key(rows[-1]) if len(rows) == limit else None,
    }
