"""Settings: read once from the environment, refuse all faults at once (design.md §6).

Each service has one frozen class below `CommonSettings`; nothing else reads the environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

EX_CONFIG = 78  # sysexits.h: something was found in an unconfigured or misconfigured state
PREFIX = "POSTHOUSE_"
MASK = "********"
_MAX_PORT = 65_535
# Options of the addresses that name files.
_FILES_IN_URLS = {
    "database_url": ("sslrootcert", "sslcert", "sslkey", "sslcrl"),
    "broker_url": ("cafile", "certfile", "keyfile"),
}
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _level(value: str) -> str:
    if value.upper() not in _LEVELS:
        raise ValueError(f"must be one of {', '.join(_LEVELS)}")
    return value.upper()


def _store(value: str) -> str:
    kind, colon, rest = value.partition(":")
    if not colon or not rest.strip("/") or kind not in ("disk", "s3"):
        raise ValueError(
            "must look like disk:/var/lib/posthouse or s3://bucket?endpoint=http://..."
        )
    return value


def _scheme(*schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        # Nothing of the value may stand in the message: it holds a password.
        if value.get_secret_value().partition("://")[0] not in schemes:
            raise ValueError(f"must begin with {' or '.join(f'{name}://' for name in schemes)}")
        try:
            parts = urlsplit(value.get_secret_value())
            # PostgreSQL alone can be reached by a socket in a folder: ?host=/run/postgresql
            whole = bool(parts.hostname or "host=/" in parts.query) and parts.port != 0
        except ValueError:
            whole = False
        if not whole:
            raise ValueError(f"must look like {schemes[0]}://user:password@host:port/name")
        return value

    return AfterValidator(check)


Port = Annotated[int, Field(ge=0, le=_MAX_PORT)]


class CommonSettings(BaseSettings):
    """What every service is told.

    Attributes:
        database_url: PostgreSQL, ``postgresql://user:password@host:port/name``; over TLS with
            ``?sslmode=verify-full&sslrootcert=/path``.
        broker_url: RabbitMQ, ``amqp://user:password@host:port/vhost``; over TLS with ``amqps://``
            and ``?cafile=/path``, if its authority is none of the system's.
        store: Object storage: ``disk:/path`` or ``s3://bucket?endpoint=...&region=...``.
        store_access_key: For S3.
        store_secret_key: For S3.
        hostname: Our fully qualified name, in EHLO, Received and DSNs.
        health_host: Where the probes are served.
        health_port: Where the probes are served; 0 serves none.
        log_level: The lowest level that is logged.
        grace_seconds: How long running work may go on after SIGTERM.
        tls_certificate: Chain in PEM; without it TLS is not offered.
        tls_key: Its private key in PEM.
        database_connections: Size of the pool.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True
    )

    database_url: Annotated[SecretStr, _scheme("postgresql", "postgres")]
    broker_url: Annotated[SecretStr, _scheme("amqp", "amqps")]
    store: Annotated[str, AfterValidator(_store)]
    store_access_key: SecretStr | None = None
    store_secret_key: SecretStr | None = None
    hostname: Annotated[str, Field(min_length=1, max_length=255)]
    health_host: str = "127.0.0.1"
    health_port: Port = 0
    log_level: Annotated[str, AfterValidator(_level)] = "INFO"
    grace_seconds: Annotated[float, Field(ge=0, le=3600)] = 25.0
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    database_connections: Annotated[int, Field(ge=1, le=1000)] = 8

    @property
    def store_keys(self) -> tuple[str | None, str | None]:
        """The access key and the secret key of the object store, readable."""
        access, secret = self.store_access_key, self.store_secret_key
        return (
            access.get_secret_value() if access else None,
            secret.get_secret_value() if secret else None,
        )


S = TypeVar("S", bound=BaseSettings)


def load(cls: type[S]) -> S:
    """Return the settings of ``cls`` from the environment.

    Prints every fault on standard error and exits with 78 (EX_CONFIG) if there are any.
    """
    found = read(cls)
    return _refuse(found) if isinstance(found, list) else found


def read(cls: type[S]) -> S | list[str]:
    """Return the settings of ``cls``, or every fault in an operator's words."""
    faults: list[str] = []
    settings: S | None = None
    try:
        settings = cls()
    except ValidationError as error:
        faults += map(_in_words, error.errors())
    faults += _missing_halves(cls)
    return settings if settings is not None and not faults else faults


def effective(settings: BaseSettings) -> dict[str, str]:
    """Return the settings by their names in the environment, secrets masked."""
    return {
        PREFIX + name.upper(): MASK if isinstance(value, SecretStr) else str(value)
        for name, value in settings
        if value is not None
    }


def _missing_halves(cls: type[BaseSettings]) -> list[str]:
    """Name the halves of pairs that make sense only together, and files that cannot be read.

    Looks at the environment itself, so that these are told beside all other faults.
    """
    faults = []
    told = {
        name: value for name in cls.model_fields if (value := os.environ.get(PREFIX + name.upper()))
    }
    for pair in (("tls_certificate", "tls_key"), ("store_access_key", "store_secret_key")):
        for here, there in (pair, pair[::-1]):
            if here in told and there not in told:
                faults.append(
                    f"{PREFIX}{there.upper()}: is missing, but {PREFIX}{here.upper()} is set"
                )
    faults += [
        f"{PREFIX}{name.upper()}: the file {path} cannot be read"
        for name, path in _files(told)
        if not os.access(path, os.R_OK)
    ]
    return faults


def _files(told: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the files that settings name, each with the setting's name."""
    yield from ((name, told[name]) for name in ("tls_certificate", "tls_key") if name in told)
    for name, options in _FILES_IN_URLS.items():
        named = parse_qsl(told.get(name, "").partition("?")[2])
        yield from ((name, path) for option, path in named if option in options)


def _in_words(detail: ErrorDetails) -> str:
    if not detail["loc"]:  # a rule over several settings names them itself
        return detail["msg"].removeprefix("Value error, ")
    name = PREFIX + "_".join(str(part) for part in detail["loc"][:1]).upper()
    bounds = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            words = "is missing"
        case "int_parsing" | "int_type" | "int_from_float":
            words = "must be a whole number"
        case "float_parsing" | "float_type":
            words = "must be a number"
        case "bool_parsing" | "bool_type":
            words = "must be true or false"
        case "greater_than_equal":
            words = f"must be at least {bounds['ge']}"
        case "less_than_equal":
            words = f"must be at most {bounds['le']}"
        case _:
            words = detail["msg"].removeprefix("Value error, ")
    return f"{name}: {words}"


def _refuse(faults: list[str]) -> NoReturn:
    sys.stderr.write("The settings are wrong:\n")
    sys.stderr.writelines(f"  {fault}\n" for fault in faults)
    sys.stderr.flush()
    sys.exit(EX_CONFIG)
