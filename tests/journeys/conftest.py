"""The journeys' house: started once for all of them, with an outside world of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from onemachine.ports import free_ports
from support.arrivals import Arrivals
from support.clients import Desk
from support.outside_world import OutsideWorld
from support.readers import SENT
from support.stack import House, a_house


@pytest.fixture(scope="session")
def world() -> Iterator[OutsideWorld]:
    """Name server and mail servers that stand for the rest of the Internet."""
    world = OutsideWorld()
    yield world
    world.close()


@pytest.fixture(scope="session")
def arrivals() -> Iterator[Arrivals]:
    """Proxies, certificates and tokens that the house trusts."""
    arrivals = Arrivals()
    yield arrivals
    arrivals.close()


@pytest.fixture(scope="session")
def house(world: OutsideWorld, arrivals: Arrivals) -> Iterator[House]:
    """The whole system, with quick retries."""
    with a_house({**world.settings, **arrivals.settings}) as opened:
        yield opened


@pytest.fixture(scope="session")
def judging(world: OutsideWorld, arrivals: Arrivals) -> Iterator[House]:
    """A house that looks at who sends, and what."""
    world.publish(
        {
            "far.test": ['TXT "v=spf1 ip4:127.0.0.1 ip4:198.51.100.0/24 -all"'],
            "shop.test": ['TXT "v=spf1 -all"'],
            "_dmarc.shop.test": ['TXT "v=DMARC1; p=quarantine"'],
            "bank.test": ['TXT "v=spf1 -all"'],
            "_dmarc.bank.test": ['TXT "v=DMARC1; p=reject"'],
            "2.0.0.127.bl.test": ["A 127.0.0.2"],  # RFC 5782 §5: it lists this always
            "66.100.51.198.bl.test": ["A 127.0.0.2"],
        }
    )
    settings = {
        "POSTHOUSE_AUTHENTICATION": "on",
        "POSTHOUSE_LMTP_PORT": str(free_ports(1)[0]),  # its own: both houses may stand at once
        "POSTHOUSE_CONTENT_SECONDS": "10",  # an account waits so long while nobody judges
        "POSTHOUSE_LISTS_REFUSE_AT": "2",
        "POSTHOUSE_GREYLISTING_DELAY_SECONDS": "1",
        "POSTHOUSE_GREYLISTING_SPARES_SPF": "false",
    }
    with a_house({**world.settings, **arrivals.settings, **settings}) as opened:
        yield opened


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    """A new user with an empty home folder for mail programs."""
    with _home() as home:
        yield Desk(house=house, home=home, user=house.account())


@pytest.fixture
def judged(judging: House) -> Iterator[Desk]:
    """The same in the house that judges."""
    with _home() as home:
        yield Desk(house=judging, home=home, user=judging.account())


@pytest.fixture(scope="session")
def library(house: House) -> tuple[str, str]:
    """An account whose INBOX holds `SENT`; its readers leave everything as it is."""
    user = house.account()
    house.append(user, SENT)
    return user


@pytest.fixture
def reader(house: House, library: tuple[str, str]) -> Iterator[Desk]:
    """The account of `library` with an empty home folder."""
    with _home() as home:
        yield Desk(house=house, home=home, user=library)


@contextmanager
def _home() -> Iterator[Path]:
    """Make an empty home folder."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        home = Path(folder)
        home.chmod(0o755)
        yield home
