"""What operators may set, and what they are told when it is wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from delivery_remote.session.manners import Patience, Rules
from delivery_remote.settings import RemoteSettings
from posthouse.runtime.settings import read

NEEDED = {
    "POSTHOUSE_DATABASE_URL": "postgresql://x@127.0.0.1/x",
    "POSTHOUSE_BROKER_URL": "amqp://127.0.0.1/",
    "POSTHOUSE_STORE": "disk:/var/lib/posthouse",
    "POSTHOUSE_HOSTNAME": "mail.example.test",
}


def _read(monkeypatch: pytest.MonkeyPatch, **names: str) -> RemoteSettings | list[str]:
    for name, value in {**NEEDED, **names}.items():
        monkeypatch.setenv(name, value)
    return read(RemoteSettings)


def test_without_settings_of_its_own_the_timetable_is_that_of_the_rfc(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = _read(monkeypatch)

    assert isinstance(settings, RemoteSettings)
    assert settings.timetable.give_up == timedelta(days=5)
    assert settings.timetable.warn_after == timedelta(hours=4)
    assert settings.timetable.delays[0] == timedelta(minutes=5)
    assert settings.patience.dot == 600
    assert settings.patience.data == 120


def test_mail_without_a_sender_is_given_up_sooner_and_never_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = _read(monkeypatch, POSTHOUSE_GIVE_UP="1h")

    assert isinstance(settings, RemoteSettings)
    assert settings.bounce_timetable.give_up == timedelta(hours=1)
    assert settings.bounce_timetable.warn_after is None


def test_a_rest_is_over_when_the_first_mail_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _read(monkeypatch, POSTHOUSE_RETRY_DELAYS="30s,5s")

    assert isinstance(settings, RemoteSettings)
    assert settings.limits.rest <= settings.limits.rest_max < timedelta(seconds=5)


def test_rests_are_brief_however_long_the_pauses_of_a_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _read(monkeypatch, POSTHOUSE_RETRY_DELAYS="1h,4h")

    assert isinstance(settings, RemoteSettings)
    assert settings.limits.rest == timedelta(seconds=30)
    assert settings.limits.rest_max == timedelta(minutes=5)


def test_every_fault_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = _read(
        monkeypatch,
        POSTHOUSE_NAMESERVERS="dns.example.test",
        POSTHOUSE_RETRY_DELAYS="soon",
        POSTHOUSE_DOUBLE_BOUNCE_ADDRESS="postmaster",
        POSTHOUSE_REMOTE_PORT="0",
    )

    assert isinstance(faults, list)
    assert {fault.partition(":")[0] for fault in faults} == {
        "POSTHOUSE_NAMESERVERS",
        "POSTHOUSE_RETRY_DELAYS",
        "POSTHOUSE_DOUBLE_BOUNCE_ADDRESS",
        "POSTHOUSE_REMOTE_PORT",
    }
    assert "must be a duration" in "".join(faults)


def test_how_much_goes_back_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    some = _read(monkeypatch, POSTHOUSE_RETURN_OCTETS_MAX="0")
    too_much = _read(monkeypatch, POSTHOUSE_RETURN_OCTETS_MAX="10000001")

    assert isinstance(some, RemoteSettings)
    assert some.return_octets_max == 0
    assert too_much == ["POSTHOUSE_RETURN_OCTETS_MAX: must be at most 10000000"]


def test_each_wait_for_a_server_has_its_time_and_none_is_longer_than_the_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = _read(
        monkeypatch,
        POSTHOUSE_REMOTE_TIMEOUT="4m",
        POSTHOUSE_REMOTE_CONNECT_TIMEOUT="7s",
        POSTHOUSE_REMOTE_RCPT_TIMEOUT="2m",
    )

    assert isinstance(settings, RemoteSettings)
    assert settings.patience == Patience(
        connect=7, greeting=240, hello=240, mail=240, rcpt=120, data=120, block=180, dot=240, quit=5
    )


def test_no_wait_is_longer_than_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = _read(monkeypatch, POSTHOUSE_REMOTE_DOT_TIMEOUT="16m", POSTHOUSE_REMOTE_EIGHT_BIT="qp")

    assert isinstance(faults, list)
    assert [fault.partition(":")[0] for fault in faults] == [
        "POSTHOUSE_REMOTE_DOT_TIMEOUT",
        "POSTHOUSE_REMOTE_EIGHT_BIT",
    ]


def test_without_settings_waits_are_those_of_the_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _read(monkeypatch)

    assert isinstance(settings, RemoteSettings)
    assert settings.patience == Patience()
    assert settings.rules == Rules()


def test_a_house_knows_itself_by_its_hostname_and_on_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = _read(monkeypatch)

    assert isinstance(settings, RemoteSettings)
    assert settings.customs.ours.names == {"mail.example.test"}
    assert settings.customs.ours.is_at(["127.0.0.1"])
    assert settings.customs.ours.is_at(["::1"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTHOUSE_REMOTE_OURS", "192.0.2.1/24"),
        ("POSTHOUSE_REMOTE_FAMILIES", "ipv5"),
        ("POSTHOUSE_REMOTE_FOLDERS", "var/mail"),
    ],
)
def test_a_wrong_word_on_ways_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    faults = _read(monkeypatch, **{name: value})

    assert isinstance(faults, list)
    assert [fault.partition(":")[0] for fault in faults] == [name]


def test_shaping_rules_that_cannot_be_used_are_told_with_their_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "shaping.toml"
    file.write_text("[google]\nsessions = 0\n")

    (told,) = cast(list[str], _read(monkeypatch, POSTHOUSE_REMOTE_SHAPING=str(file)))

    assert told.startswith("POSTHOUSE_REMOTE_SHAPING: ")
    assert "[google] sessions: must be a number from 1 to 1000" in told


def test_shaping_rules_stand_above_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "shaping.toml"
    file.write_text("[google]\nsessions = 33\n")
    names = {"POSTHOUSE_REMOTE_SHAPING": str(file), "POSTHOUSE_REMOTE_SESSIONS": "7"}

    settings = _read(monkeypatch, **names)

    assert isinstance(settings, RemoteSettings)
    assert settings.shaping.of(["aspmx.l.google.com"]).sessions == 33
    assert settings.shaping.of(["mx.example.test"]).sessions == 7
