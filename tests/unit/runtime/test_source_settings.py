"""Settings of an issuer and of an LDAP directory: what is taken, and in which words it is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from onemachine.certificates import certificates
from posthouse.credentials.ldap.connection import Server
from posthouse.credentials.ldap.directory import Search
from posthouse.runtime.logins import LoginSettings, mechanisms
from posthouse.runtime.settings import MASK, effective, read

GOOD = {
    "DATABASE_URL": "postgresql://post:x@127.0.0.1/post",
    "BROKER_URL": "amqp://post:x@127.0.0.1/",
    "STORE": "disk:/var/lib/posthouse",
    "HOSTNAME": "mx.example.test",
    "SASL_MECHANISMS": "OAUTHBEARER XOAUTH2 PLAIN",
}
ISSUER = {"OIDC_ISSUER": "https://id.example.test/realm", "OIDC_AUDIENCE": "mail posthouse"}
BIND = {"LDAP_URLS": "ldaps://a.test", "LDAP_BIND_NAME": "uid={local},ou=people,dc=example"}
SEARCH = {"LDAP_URLS": "ldap://a.test ldaps://b.test:1636/", "LDAP_SEARCH_BASE": "dc=example"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os  # noqa: PLC0415

    for name in os.environ:
        if name.startswith("POSTHOUSE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def told(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> LoginSettings | list[str]:
    for name, value in values.items():
        monkeypatch.setenv(f"POSTHOUSE_{name}", value)
    return read(LoginSettings)


def good(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> LoginSettings:
    settings = told(monkeypatch, GOOD | values)
    assert isinstance(settings, LoginSettings), settings
    return settings


def test_without_them_nobody_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = good(monkeypatch, {})

    assert settings.oidc_issuers == ()
    assert settings.ldap_plans == ()
    assert [each.name for each in mechanisms(settings)] == ["PLAIN"]


def test_with_an_issuer_tokens_are_offered_in_the_wanted_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = good(monkeypatch, ISSUER | {"OIDC_SCOPE": "mail.read mail.send"})

    [issuer] = settings.oidc_issuers
    terms = settings.oidc_terms(issuer)
    assert (terms.issuer, terms.audiences) == (ISSUER["OIDC_ISSUER"], ("mail", "posthouse"))
    assert terms.scope == {"mail.read", "mail.send"}
    assert terms.leeway == timedelta(minutes=1)
    assert [each.name for each in mechanisms(settings)] == ["OAUTHBEARER", "XOAUTH2", "PLAIN"]


def test_tokens_are_not_offered_unless_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = good(monkeypatch, ISSUER | {"SASL_MECHANISMS": "plain login"})

    assert [each.name for each in mechanisms(settings)] == ["PLAIN", "LOGIN"]


def test_a_directory_by_names(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = good(monkeypatch, BIND | {"LDAP_DOMAINS": "Example.test b.test"}).ldap_plans[0]

    assert plan.servers == (Server(host="a.test", port=636, protection="tls"),)
    assert plan.way == "uid={local},ou=people,dc=example"
    assert plan.domains == {"example.test", "b.test"}


def test_a_directory_by_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = good(
        monkeypatch,
        SEARCH | {"LDAP_SEARCH_NAME": "cn=mail", "LDAP_SEARCH_PASSWORD": "hunter2",
                  "LDAP_SEARCH_ATTRIBUTE": "mail"},
    )  # fmt: skip
    [plan] = settings.ldap_plans

    assert plan.servers == (
        Server(host="a.test", port=389, protection="starttls"),
        Server(host="b.test", port=1636, protection="tls"),
    )
    assert isinstance(plan.way, Search)
    assert (plan.way.name, plan.way.password, plan.way.attribute) == ("cn=mail", "hunter2", "mail")
    assert effective(settings)["POSTHOUSE_LDAP_SEARCH_PASSWORD"] == MASK
    assert "hunter2" not in repr(plan)


def test_without_tls_only_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = good(monkeypatch, SEARCH | {"LDAP_PLAINTEXT": "true"}).ldap_plans[0]

    assert [server.protection for server in plan.servers] == ["none", "tls"]


def test_authorities_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = str(certificates(tmp_path, ["localhost"]).authority)
    settings = good(
        monkeypatch, ISSUER | BIND | {"OIDC_AUTHORITIES": authority, "LDAP_AUTHORITIES": authority}
    )

    [plan] = settings.ldap_plans
    assert len(plan.trust.get_ca_certs()) == len(settings.oidc_trust.get_ca_certs()) == 1


STUDENTS = """
[students]
urls = "ldap://s.test ldaps://t.test"
domains = "Students.test"
search_base = "dc=students"
search_name = "cn=mail"
search_password = "hunter2"

[partners]
urls = "ldaps://p.test"
domains = "partners.test friends.test"
bind_name = "{address}"
remember_seconds = 0
"""


def test_several_directories_each_with_its_own_people(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ldap.toml").write_text(STUDENTS)
    settings = good(monkeypatch, BIND | {"LDAP_DOMAINS": "a.test", "LDAP_FILE": "ldap.toml"})

    own, students, partners = settings.ldap_plans
    assert [each.name for each in settings.ldap_plans] == ["default", "students", "partners"]
    assert own.domains == {"a.test"}
    assert [server.host for server in students.servers] == ["s.test", "t.test"]
    assert isinstance(students.way, Search)
    assert students.way.password == "hunter2"  # noqa: S105 - of nobody
    assert (partners.way, partners.remember) == ("{address}", timedelta())
    assert partners.domains == {"partners.test", "friends.test"}
    assert "hunter2" not in repr(settings) + repr(students) + str(effective(settings))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("urls", "is no TOML"),
        ("", "has no table of a directory"),
        (STUDENTS.replace("[students]", "[default]"), "[default] is the name of the one in the"),
        ("urls = 'ldap://s.test'", "[urls] Input should be a valid dictionary"),
        (STUDENTS.replace("urls", "url"), "[students] urls: Field required; [students] url: Extra"),
        (STUDENTS.replace("ldap://s.test", "s.test"), "[students] urls: must look like ldaps://"),
        (STUDENTS.replace("Students.test", " "), "[students] domains: is missing"),
        (STUDENTS.replace("{address}", "{user}"), "[partners] bind_name: must hold at least one"),
        (STUDENTS.replace("search_base", "# "), "[students] urls: needs one of bind_name, how"),
        (STUDENTS.replace("search_name", "# "), "[students] search_name: goes with search_password"),
        (STUDENTS.replace("friends.test", "students.test"), "students.test: of several directories"),
        (STUDENTS.replace("friends.test", "own.test"), "own.test: of several directories"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_of_several_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, fault: str
) -> None:
    (tmp_path / "ldap.toml").write_text(text)

    faults = told(monkeypatch, GOOD | BIND | {"LDAP_DOMAINS": "own.test", "LDAP_FILE": "ldap.toml"})

    assert isinstance(faults, list)
    [only] = faults
    assert only.startswith("POSTHOUSE_LDAP_FILE: ")
    assert fault in only
    assert "hunter2" not in only


def test_whoever_is_asked_for_all_is_asked_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ldap.toml").write_text(STUDENTS)

    alone = told(monkeypatch, GOOD | BIND | {"LDAP_FILE": "ldap.toml"})
    monkeypatch.delenv("POSTHOUSE_LDAP_URLS")
    monkeypatch.delenv("POSTHOUSE_SASL_MECHANISMS")
    unsaid = read(LoginSettings)

    assert isinstance(alone, list)
    assert alone[0].startswith("POSTHOUSE_LDAP_DOMAINS: is missing, but POSTHOUSE_LDAP_FILE is set")
    assert isinstance(unsaid, list)
    assert unsaid[0].startswith("POSTHOUSE_SASL_MECHANISMS: is missing, but POSTHOUSE_LDAP_FILE")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (ISSUER | {"OIDC_ISSUER": "https://a.test http://b.test"}, "OIDC_ISSUER: must look like"),
        (ISSUER | {"OIDC_ISSUER": "http://id.example.test"}, "OIDC_ISSUER: must look like https"),
        ({"OIDC_ISSUER": "https://id.test"}, "OIDC_AUDIENCE: is missing"),
        (ISSUER | {"OIDC_AUTHORITIES": "/nowhere"}, "OIDC_AUTHORITIES: the file /nowhere cannot"),
        (BIND | {"LDAP_URLS": "http://a.test"}, "LDAP_URLS: must look like ldaps://"),
        (BIND | {"LDAP_URLS": "ldap://a.test/dc=x"}, "LDAP_URLS: must look like ldaps://"),
        (BIND | {"LDAP_URLS": "ldap://a.test:x"}, "LDAP_URLS: must look like ldaps://"),
        (BIND | {"LDAP_URLS": "a.test"}, "LDAP_URLS: must look like ldaps://"),
        ({"LDAP_URLS": "ldaps://a.test"}, "LDAP_URLS: needs one of POSTHOUSE_LDAP_BIND_NAME"),
        (BIND | {"LDAP_SEARCH_BASE": "dc=x"}, "LDAP_URLS: needs one of POSTHOUSE_LDAP_BIND_NAME"),
        (BIND | {"LDAP_BIND_NAME": "uid={user}"}, "LDAP_BIND_NAME: must hold at least one of {addr"),
        (SEARCH | {"LDAP_SEARCH_FILTER": "mail={address}"}, "LDAP_SEARCH_FILTER: expected ("),
        (SEARCH | {"LDAP_SEARCH_NAME": "cn=x"}, "LDAP_SEARCH_NAME: goes with POSTHOUSE_LDAP_SEARCH"),
        (BIND | {"SASL_MECHANISMS": ""}, "SASL_MECHANISMS: is missing, but POSTHOUSE_LDAP_URLS"),
        ({"LDAP_SECONDS": "0"}, "LDAP_SECONDS: must be at least 0.1"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], fault: str
) -> None:
    faults = told(monkeypatch, GOOD | values)

    assert isinstance(faults, list)
    assert len(faults) == 1
    assert faults[0].startswith(f"POSTHOUSE_{fault}")
