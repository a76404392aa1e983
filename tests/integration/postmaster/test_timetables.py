"""``posthouse timetable``: set, listed, removed, and seen by a station that delivers."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from delivery_remote.classes import Classes, Followed
from posthouse.mail.envelope import InboundRecipient, Remote
from posthouse.mail.ids import new_id
from posthouse.mail.timetable import Timetable
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
USUAL = Timetable(delays=(timedelta(minutes=5),), warn_after=None, give_up=5 * DAY)


async def test_a_timetable_is_set_listed_followed_and_removed(clerk: LivePostmaster) -> None:
    to = (InboundRecipient(n=0, address="bert@far.test"),)
    mail = Remote(id=new_id(), sender="a@b.test", size=1, domain="far.test", recipients=to)
    empty = await clerk.cli("timetable", "list")
    times = ("--delays", "15m,1h", "--warn-after", "2h", "--give-up", "2d")

    done = await clerk.cli("timetable", "set", "to:FAR.test", *times)
    table = await clerk.cli("timetable", "list")
    (row,) = json.loads((await clerk.cli("timetable", "list", "--json")).stdout)
    async with Followed(clerk.pool, Classes(usual=USUAL, bounces=USUAL)) as classes:
        followed = classes.of(mail)
    removed = await clerk.cli("timetable", "remove", "to:far.test")
    async with Followed(clerk.pool, Classes(usual=USUAL, bounces=USUAL)) as classes:
        assert classes.of(mail) is USUAL

    assert "All mail follows the settings." in empty.stdout
    assert done.exit_code == removed.exit_code == 0, done.output
    assert "to:far.test" in table.stdout
    assert row == {
        "class": "to:far.test", "delays": ["15m", "1h"], "warn_after": "2h", "give_up": "2d",
    }  # fmt: skip
    assert followed.delays == (timedelta(minutes=15), timedelta(hours=1))
    assert (followed.warn_after, followed.give_up) == (timedelta(hours=2), 2 * DAY)


@pytest.mark.parametrize(
    ("of", "delays", "give_up"),
    [
        ("far.test", "5m", "5d"),
        ("to:not a domain", "5m", "5d"),
        ("from:nobody", "5m", "5d"),
        ("to:far.test", "soon", "5d"),
        ("to:far.test", "0s", "5d"),
        ("to:far.test", "5m", "0"),
    ],
)
async def test_what_is_no_timetable_is_refused(
    clerk: LivePostmaster, of: str, delays: str, give_up: str
) -> None:
    result = await clerk.cli("timetable", "set", of, "--delays", delays, "--give-up", give_up)

    assert result.exit_code != 0
    assert "Traceback" not in result.output
    listed = await clerk.cli("timetable", "list")
    assert "All mail follows" in listed.stdout
    gone = await clerk.cli("timetable", "remove", "to:far.test")
    assert "no timetable" in gone.stderr.lower()
