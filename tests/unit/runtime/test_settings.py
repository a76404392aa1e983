"""Settings: all faults at once, in an operator's words.

tests/golden/bad_settings/<name>.env is an environment, <name>.expected what the operator reads.
"""

from pathlib import Path

import pytest

from posthouse.runtime.settings import EX_CONFIG, MASK, CommonSettings, effective, load, read

GOLDEN = Path(__file__).parents[2] / "golden" / "bad_settings"
GOOD = {
    "POSTHOUSE_DATABASE_URL": "postgresql://post:hunter2@127.0.0.1/post",
    "POSTHOUSE_BROKER_URL": "amqp://post:hunter2@127.0.0.1/",
    "POSTHOUSE_STORE": "disk:/var/lib/posthouse",
    "POSTHOUSE_HOSTNAME": "mx.example.test",
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os  # noqa: PLC0415

    for name in os.environ:
        if name.startswith("POSTHOUSE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def set_all(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def environment(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("case", sorted(GOLDEN.glob("*.env")), ids=lambda path: path.stem)
def test_bad_settings_are_refused_in_these_words(
    case: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_all(monkeypatch, environment(case.read_text()))

    with pytest.raises(SystemExit) as stopped:
        load(CommonSettings)

    assert stopped.value.code == EX_CONFIG
    assert capsys.readouterr().err == case.with_suffix(".expected").read_text()


def test_there_are_golden_cases() -> None:
    assert len(list(GOLDEN.glob("*.env"))) >= 6


def test_good_settings_are_read_with_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, GOOD)

    settings = load(CommonSettings)

    assert settings.hostname == "mx.example.test"
    assert settings.health_port == 0
    assert settings.tls_certificate is None


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, GOOD | {"POSTHOUSE_HEALTH_PORT": "", "POSTHOUSE_TLS_KEY": ""})

    assert load(CommonSettings).tls_key is None


def test_settings_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, GOOD)

    settings = load(CommonSettings)

    with pytest.raises(ValueError, match="frozen"):
        settings.hostname = "other"


def test_secrets_are_masked_wherever_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"POSTHOUSE_STORE_ACCESS_KEY": "hunter2", "POSTHOUSE_STORE_SECRET_KEY": "hunter2"}
    set_all(monkeypatch, GOOD | keys)

    settings = load(CommonSettings)

    assert effective(settings)["POSTHOUSE_BROKER_URL"] == MASK
    assert "hunter2" not in f"{settings!r} {settings} {effective(settings)}"


def test_refused_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, GOOD | {"POSTHOUSE_BROKER_URL": "http://post:hunter2@127.0.0.1/"})

    faults = read(CommonSettings)

    assert isinstance(faults, list)
    assert "hunter2" not in "".join(faults)
