"""The one command that does not ask the API: it makes the tables the API needs."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from posthouse.mail.errors import Unavailable
from posthouse.storage.migrate import SchemaConflict, migrate
from postmaster.cli.failure import Failure


class DatabaseSettings(BaseSettings):
    """Where the database is.

    Attributes:
        database_url: PostgreSQL, ``postgresql://user:password@host:port/name``.
    """

    model_config = SettingsConfigDict(env_prefix="POSTHOUSE_", frozen=True)

    database_url: SecretStr = SecretStr("")


def migrate_database() -> tuple[str, ...]:
    """Apply what is missing; return the names of the migrations.

    Raises:
        Failure: If no database is named, it does not answer, or it was made by other files.
    """
    url = DatabaseSettings().database_url.get_secret_value()
    if not url:
        raise Failure("Set POSTHOUSE_DATABASE_URL to the database that is to be migrated.")
    try:
        return asyncio.run(migrate(url))
    except Unavailable as outage:
        raise Failure(f"The database does not answer: {outage}.") from outage
    except SchemaConflict as conflict:
        raise Failure(f"The database was made by another version: {conflict}.") from conflict
