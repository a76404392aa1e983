"""What an operator says of LDAP directories: one in the environment, others in a file of tables.

    [students]
    urls = "ldaps://ldap.students.example.org"
    domains = "students.example.org"
    bind_name = "uid={local},ou=people,dc=students,dc=example,dc=org"

No password of one directory's people is shown to another: each has domains of its own.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from posthouse.credentials.ldap import names
from posthouse.credentials.ldap.connection import Protection, Server
from posthouse.credentials.ldap.directory import GAPS, Plan, Search
from posthouse.credentials.ldap.filters import read
from posthouse.runtime.settings import PREFIX, CommonSettings
from posthouse.runtime.tls import client_context

_LDAP_PORTS = {"ldap": 389, "ldaps": 636}
_IN_ENVIRONMENT = f"{PREFIX}LDAP_"
DEFAULT = "default"  # what the directory of the environment is called


def authorities(path: Path) -> Path:
    """Return ``path`` if it holds certificates; raise `ValueError`."""
    try:
        client_context(authorities=path)
    except OSError as error:  # ssl.SSLError is an OSError
        raise ValueError(f"the file {path} cannot be read as certificates") from error
    return path


def _server(url: str, *, plaintext: bool = False) -> Server:
    wrong = "must look like ldaps://ldap.example.org or ldap://ldap.example.org:389"
    try:
        parts = urlsplit(url)
        port = parts.port or _LDAP_PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise ValueError(wrong) from None
    if parts.scheme not in _LDAP_PORTS or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError(wrong)
    protection: Protection = "none" if plaintext else "starttls"
    if parts.scheme == "ldaps":
        protection = "tls"
    return Server(host=parts.hostname, port=port, protection=protection)


def _urls(text: str) -> str:
    for url in text.split():
        _server(url)
    return text


def _name(text: str) -> str:
    return names.check(text, GAPS)


def _filter(text: str) -> str:
    read(text, GAPS)
    return text


Authorities = Annotated[Path, AfterValidator(authorities)]
Urls = Annotated[str, AfterValidator(_urls)]
BindName = Annotated[str, AfterValidator(_name)]
FilterText = Annotated[str, AfterValidator(_filter)]
Connections = Annotated[int, Field(ge=1, le=100)]
Patience = Annotated[float, Field(ge=0.1, le=60)]
Remember = Annotated[float, Field(ge=0, le=3600)]


class DirectoryTable(BaseModel):
    """One directory. Its fields mean what those of `LdapSettings` mean, and have their defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    urls: Urls
    plaintext: bool = False
    authorities: Authorities | None = None
    bind_name: BindName | None = None
    search_base: str | None = None
    search_filter: FilterText = "(mail={address})"
    search_name: str = ""
    search_password: SecretStr | None = None
    search_attribute: str = ""
    domains: str = ""
    connections: Connections = 4
    seconds: Patience = 5.0
    remember_seconds: Remember = 60.0

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.urls.split():
            raise ValueError("urls: is empty")
        if not self.domains.split():
            raise ValueError("domains: is missing: its people's, and nobody else's")
        if fault := self.fault():
            raise ValueError(fault)
        return self

    def fault(self, prefix: str = "") -> str:
        """Return why nobody can be found so, in names that begin with ``prefix``; empty if fine."""
        urls, bind, base = (_called(prefix, name) for name in ("urls", "bind_name", "search_base"))
        if (self.bind_name is None) == (self.search_base is None):
            return (
                f"{urls}: needs one of {bind}, how people are called there, and {base}, where they "
                "are searched for"
            )
        return self.fault_in_proof(prefix)

    def fault_in_proof(self, prefix: str = "") -> str:
        """Return why we cannot say who we are; empty if fine."""
        if bool(self.search_name) == (self.search_password is not None):
            return ""
        name, password = (_called(prefix, name) for name in ("search_name", "search_password"))
        return f"{name}: goes with {password}, both or none"

    def plan(self, name: str) -> Plan:
        """Return whom to ask and how."""
        return Plan(
            name=name,
            servers=tuple(_server(url, plaintext=self.plaintext) for url in self.urls.split()),
            trust=client_context(authorities=self.authorities),
            way=self.bind_name or self._search,
            domains=frozenset(self.domains.lower().split()),
            connections=self.connections,
            patience=timedelta(seconds=self.seconds),
            remember=timedelta(seconds=self.remember_seconds),
        )

    @property
    def _search(self) -> Search:
        password = self.search_password
        return Search(
            base=self.search_base or "",
            filter=read(self.search_filter, GAPS),
            name=self.search_name,
            password=password.get_secret_value() if password else "",
            attribute=self.search_attribute,
        )


def _called(prefix: str, name: str) -> str:
    """Return what an operator calls ``name``: in the environment, or in a table."""
    return prefix + name.upper() if prefix else name


def tables_in(path: Path) -> dict[str, DirectoryTable]:
    """Read directories by name, in their order; raise `ValueError` with every fault and no value."""
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {path} cannot be read") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the file {path} is no TOML: {error}") from error
    if not tables:
        raise ValueError(f"the file {path} has no table of a directory")
    found: dict[str, DirectoryTable] = {}
    faults: list[str] = []
    for name, table in tables.items():
        if name == DEFAULT:
            faults.append(f"[{name}] is the name of the one in the environment")
        try:
            found[name] = DirectoryTable.model_validate(table)
        except ValidationError as wrong:
            faults += (f"[{name}] {fault}" for fault in _told(wrong))
    if faults:
        raise ValueError("; ".join(faults))
    return found


def _told(wrong: ValidationError) -> Iterator[str]:
    for error in wrong.errors(include_input=False, include_url=False):
        where = ".".join(map(str, error["loc"]))
        text = error["msg"].removeprefix("Value error, ")
        yield f"{where}: {text}" if where else text


def _tables(path: Path) -> Path:
    tables_in(path)
    return path


class LdapSettings(CommonSettings):
    """Passwords that LDAP directories keep.

    Attributes:
        ldap_urls: Its servers, separated by spaces; empty: none is asked.
        ldap_plaintext: Without TLS: passwords cross the network readable.
        ldap_authorities: Roots of its certificate in PEM instead of the system's.
        ldap_bind_name: The name of somebody there, made of what was typed.
        ldap_search_base: Or: where entries are searched for,
        ldap_search_filter: which one,
        ldap_search_name: as whom; empty as nobody,
        ldap_search_password: with which password,
        ldap_search_attribute: and what in it is the account's address; empty: what was typed.
        ldap_domains: Only people of these are asked for, separated by spaces; empty for all.
        ldap_connections: At once, of one process: for searches, and as many for binds.
        ldap_seconds: How long one login may wait for it.
        ldap_remember_seconds: How long a right password is right without asking; 0 always asks.
        ldap_file: Further directories: TOML, a table each with the same words in lower case.
    """

    ldap_urls: Urls = ""
    ldap_plaintext: bool = False
    ldap_authorities: Authorities | None = None
    ldap_bind_name: BindName | None = None
    ldap_search_base: str | None = None
    ldap_search_filter: FilterText = "(mail={address})"
    ldap_search_name: str = ""
    ldap_search_password: SecretStr | None = None
    ldap_search_attribute: str = ""
    ldap_domains: str = ""
    ldap_connections: Connections = 4
    ldap_seconds: Patience = 5.0
    ldap_remember_seconds: Remember = 60.0
    ldap_file: Annotated[Path, AfterValidator(_tables)] | None = None

    @model_validator(mode="after")
    def _people_can_be_found(self) -> Self:
        own = self._own
        find = own.fault if self.ldap_urls.split() else own.fault_in_proof
        if fault := find(_IN_ENVIRONMENT):
            raise ValueError(fault)
        return self

    @model_validator(mode="after")
    def _nobody_is_asked_for_anothers_people(self) -> Self:
        if self.ldap_file is None:
            return self
        if self.ldap_urls.split() and not self.ldap_domains.split():
            raise ValueError(
                f"{PREFIX}LDAP_DOMAINS: is missing, but {PREFIX}LDAP_FILE is set: the passwords of "
                "others would be shown to this directory"
            )
        counted = Counter(domain for plan in self.ldap_plans for domain in plan.domains)
        if several := sorted(domain for domain, count in counted.items() if count > 1):
            raise ValueError(
                f"{PREFIX}LDAP_FILE: {', '.join(several)}: of several directories; one is asked"
            )
        return self

    @property
    def _own(self) -> DirectoryTable:
        """The directory of the environment, whose fields were validated as settings."""
        fields = DirectoryTable.model_fields
        return DirectoryTable.model_construct(
            **{name: getattr(self, f"ldap_{name}") for name in fields}
        )

    @property
    def ldap_is_asked(self) -> bool:
        """True if there is any directory."""
        return bool(self.ldap_urls.split()) or self.ldap_file is not None

    @property
    def ldap_plans(self) -> tuple[Plan, ...]:
        """Whom to ask and how: the directory of the environment, then those of the file."""
        own = {DEFAULT: self._own} if self.ldap_urls.split() else {}
        others = tables_in(self.ldap_file) if self.ldap_file else {}
        return tuple(table.plan(name) for name, table in (own | others).items())
