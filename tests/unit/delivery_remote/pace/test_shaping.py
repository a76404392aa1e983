"""Rules of shaping: which fits which servers, and what is wrong with one that cannot be used."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from delivery_remote.pace import BadShaping, Shape, open_shaping
from posthouse.mail.rates import UNLIMITED, Rate

MINE = """
[default]
sessions = 12

[google]
sessions = 40
rate = "600/1m"

[partner]
mx = ["MX.Partner.test."]
transactions = 5
recipients = 10
connections = "30/1m"
pause = "90"
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "shaping.toml"
    file.write_text(MINE)
    return file


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("aspmx.l.google.com", "google"),
        ("ASPMX3.GOOGLEMAIL.COM.", "google"),
        ("example-org.mail.protection.outlook.com", "microsoft"),
        ("hotmail-com.olc.protection.outlook.com", "outlook"),
        ("mta5.am0.yahoodns.net", "yahoo"),
        ("mx00.t-online.de", "telekom"),
        ("mx00.emig.gmx.net", "united-internet"),
        ("mx-ha02.web.de", "united-internet"),
        ("notgoogle.com", ""),
        ("mx.example.test", ""),
    ],
)
def test_a_site_is_known_by_the_names_of_its_servers(host: str, name: str) -> None:
    assert open_shaping().of([host]).name == name


def test_the_first_server_that_is_known_says_whose_site_it_is() -> None:
    assert open_shaping().of(["mx.example.test", "aspmx.l.google.com"]).name == "google"


def test_all_rules_are_within_what_servers_must_bear() -> None:
    shapes = set(open_shaping().rules.values())

    assert len(shapes) > 20
    assert all(1 <= each.recipients <= 100 for each in shapes)
    assert all(each.pause >= timedelta(minutes=1) for each in shapes)


def test_an_operators_file_changes_rules_by_the_key_and_adds_some(mine: Path) -> None:
    shaping = open_shaping(mine, Shape(sessions=20, transactions=7))

    google = shaping.of(["aspmx.l.google.com"])
    assert (google.sessions, google.rate) == (40, Rate(600, timedelta(minutes=1)))
    assert (google.transactions, google.pause) == (100, timedelta(minutes=1))  # as before
    assert shaping.of(["a.mx.partner.test"]) == Shape(
        name="partner",
        sessions=12,
        transactions=5,
        recipients=10,
        connections=Rate(30, timedelta(minutes=1)),
        pause=timedelta(seconds=90),
    )
    assert shaping.of(["mx.example.test"]) == Shape(sessions=12, transactions=7)
    assert shaping.default.rate == UNLIMITED


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[partner]\nsessions = 1", "[partner] mx: must be a list of names of servers"),
        ('[partner]\nmx = "a.test"', "[partner] mx: must be a list of names of servers"),
        ('[partner]\nmx = ["no name"]', "[partner] mx: 'no name' is no name"),
        ('[partner]\nmx = ["google.com"]', "[partner] mx: google.com is also in [google]"),
        ('[partner]\nmx = ["a.test"]\nsession = 1', "[partner] session: there is no such key"),
        ("[google]\nsessions = 0", "[google] sessions: must be a number from 1 to 1000"),
        ("[google]\nsessions = true", "[google] sessions: must be a number from 1 to 1000"),
        ("[google]\nrecipients = 101", "[google] recipients: must be a number from 1 to 100"),
        ('[google]\nrate = "many"', "[google] rate: must look like 300/1m"),
        ('[google]\npause = "2h"', "[google] pause: must be from 1s to 1h"),
        ('[default]\nmx = ["a.test"]', "[default] mx: there is no such key"),
        ("sessions = 1", "sessions stands outside of a [section]"),
        ("[google", "Expected ']'"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_place(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "shaping.toml"
    file.write_text(text)

    with pytest.raises(BadShaping) as told:
        open_shaping(file)

    assert why in str(told.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    missing, strange = tmp_path / "none.toml", tmp_path / "strange.toml"
    strange.write_bytes(b"\xff")

    for file in (missing, strange):
        with pytest.raises(BadShaping, match=str(file)):
            open_shaping(file)
