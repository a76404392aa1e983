"""amqps:// to a real broker: whom we trust, and what is said when we do not."""

from pathlib import Path

import pytest

from posthouse.bus.check import check
from posthouse.bus.connection import connect
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import LOCAL
from posthouse.mail.errors import Unavailable
from posthouse.telemetry.probes import Probes
from support.encrypted import MISNAMED, Authorities, EncryptedBroker, config_check
from support.roads import Desk, consuming, local, until

# One loop and one broker for all: the tests leave its roads empty.
pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

UNTRUSTED = "its certificate is refused: self-signed certificate in certificate chain"
MAILS = 500


async def test_mail_travels_to_a_broker_we_trust(
    encrypted_broker: EncryptedBroker, authorities: Authorities
) -> None:
    desk, probes = Desk(), Probes()
    url = encrypted_broker.url(authorities.own.authority)

    async with connect(url, probes, "test") as broker, consuming(broker, desk):
        await broker.wait_until_up()
        await Publisher(broker).send(LOCAL, [local(n) for n in range(MAILS)])
        await until(lambda: len(desk.seen) == MAILS, "all came")

        assert list(probes.troubles()) == []
    assert await check(url) == []


@pytest.mark.parametrize("trusted", ["another", "the system's"])
async def test_a_broker_of_another_authority_is_refused_in_clear_words(
    encrypted_broker: EncryptedBroker, authorities: Authorities, trusted: str
) -> None:
    authority = authorities.other.authority if trusted == "another" else None
    url, probes = encrypted_broker.url(authority), Probes()

    with pytest.raises(Unavailable, match=UNTRUSTED):
        await check(url)
    async with connect(url, probes, "test"):
        await until(lambda: any(UNTRUSTED in each for each in probes.troubles()), "it is told")


async def test_a_broker_of_another_name_is_refused_in_clear_words(
    encrypted_broker: EncryptedBroker, authorities: Authorities
) -> None:
    with pytest.raises(Unavailable, match="its certificate is refused: IP address mismatch"):
        await check(encrypted_broker.url(authorities.own.authority, host=MISNAMED))


async def test_a_port_without_tls_is_never_told_the_password(
    encrypted_broker: EncryptedBroker,
) -> None:
    plain = encrypted_broker.server.url.replace("amqp://", "amqps://")

    with pytest.raises(Unavailable, match="no TLS with it: WRONG_VERSION_NUMBER"):
        await check(plain)


async def test_the_check_of_the_configuration_says_so(
    encrypted_broker: EncryptedBroker, authorities: Authorities, tmp_path: Path
) -> None:
    right = encrypted_broker.url(authorities.own.authority)
    wrong = encrypted_broker.url(authorities.other.authority)

    refused = await config_check("broker", tmp_path, broker_url=wrong)
    taken = await config_check("broker", tmp_path, broker_url=right)

    assert not refused.fine
    assert UNTRUSTED in refused.text
    assert encrypted_broker.server.password not in refused.text
    assert "certificate" not in taken.text
