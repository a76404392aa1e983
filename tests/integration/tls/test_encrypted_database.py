"""sslmode=verify-full to a real PostgreSQL: whom we trust, and what is said when we do not."""

from pathlib import Path

import pytest

from posthouse.mail.errors import Unavailable
from posthouse.storage.pool import open_pool
from support.encrypted import MISNAMED, Authorities, EncryptedDatabase, config_check

# One loop and one server for all.
pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

UNTRUSTED = "certificate verify failed: self-signed certificate in certificate chain"


async def _encrypted(url: str) -> object:
    async with open_pool(url, connections=1) as pool:
        return await pool.fetchval("select ssl from pg_stat_ssl where pid = pg_backend_pid()")


async def test_a_server_we_trust_is_spoken_to_in_secret(
    encrypted_database: EncryptedDatabase, authorities: Authorities
) -> None:
    assert await _encrypted(encrypted_database.url(authorities.own.authority)) is True


async def test_a_server_of_another_authority_is_refused_in_clear_words(
    encrypted_database: EncryptedDatabase, authorities: Authorities
) -> None:
    with pytest.raises(Unavailable, match=UNTRUSTED):
        await _encrypted(encrypted_database.url(authorities.other.authority))


async def test_a_server_of_another_name_is_refused_in_clear_words(
    encrypted_database: EncryptedDatabase, authorities: Authorities
) -> None:
    with pytest.raises(Unavailable, match="IP address mismatch"):
        await _encrypted(encrypted_database.url(authorities.own.authority, host=MISNAMED))


async def test_a_server_without_tls_is_refused(postgres_url: str, authorities: Authorities) -> None:
    with pytest.raises(Unavailable, match="rejected SSL upgrade"):
        await _encrypted(
            f"{postgres_url}?sslmode=verify-full&sslrootcert={authorities.own.authority}"
        )


async def test_the_check_of_the_configuration_says_so(
    encrypted_database: EncryptedDatabase, authorities: Authorities, tmp_path: Path
) -> None:
    right = encrypted_database.url(authorities.own.authority)
    wrong = encrypted_database.url(authorities.other.authority)

    refused = await config_check("database", tmp_path, database_url=wrong)
    taken = await config_check("database", tmp_path, database_url=right)

    assert not refused.fine
    assert UNTRUSTED in refused.text
    assert encrypted_database.server.password not in refused.text
    assert taken.fine
