"""The pure parts of the one-machine stack: ports, options, keys, certificates."""

import json
import socket
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from onemachine import ports, seaweedfs
from onemachine.certificates import certificates
from onemachine.children import Registry, last_words
from onemachine.keys import kept
from onemachine.options import BadOption, options, settle_store
from onemachine.ports import (
    COPY_STRIDE,
    LOOPBACK,
    Port,
    PortTaken,
    check_free,
    free_ports,
    public_ports,
)
from onemachine.ready import loopback_client
from onemachine.seaweedfs import store_ports
from onemachine.services import listeners


def test_ports_have_defaults_and_are_settings() -> None:
    chosen = public_ports({"POSTHOUSE_SMTP_PORT": "2626"})

    assert chosen["SMTP_PORT"] == 2626
    assert chosen["IMAPS_PORT"] == 2993


@pytest.mark.parametrize("wrong", ["x", "-1", "70000", "65436"])
def test_a_senseless_port_is_refused_by_its_name(wrong: str) -> None:
    with pytest.raises(PortTaken, match=f"SMTP_PORT={wrong}"):
        public_ports({"POSTHOUSE_SMTP_PORT": wrong})


def test_a_taken_port_is_told_with_the_setting_that_moves_it() -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        number = other.getsockname()[1]

        with pytest.raises(PortTaken, match=rf"port {number} .* in use") as refusal:
            check_free([Port("IMAP_PORT", number), Port("IMAP_PORT", number)])

    told = str(refusal.value).splitlines()[-1]
    other_port = int(told.rpartition("make run IMAP_PORT=")[2])
    assert other_port != number


def test_a_store_gets_no_port_with_a_socket_of_somebody_else_and_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seaweedfs, "SOCKETS", tmp_path)
    offered = iter(range(21_000, 22_000))
    monkeypatch.setattr(
        seaweedfs, "free_ports", lambda count: [next(offered) for _ in range(count)]
    )
    others = [tmp_path / f"seaweedfs-{part}-21003.sock" for part in ("s3", "volume-grpc")]
    for path in others:
        path.touch()

    chosen = store_ports()

    assert chosen == [*range(21_000, 21_003), *range(21_004, 21_009)]
    (tmp_path / "seaweedfs-filer-grpc-21008.sock").touch()
    seaweedfs._remove_sockets(chosen)
    assert sorted(tmp_path.iterdir()) == others


def test_free_ports_are_different_and_free() -> None:
    found = free_ports(20)

    assert len(set(found)) == 20
    check_free([Port("ANY", number) for number in found])


def test_a_port_is_given_away_once_though_nobody_listens_there_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = free_ports(1)
    monkeypatch.setattr(ports, "_FREE_FIRST", first[0])
    monkeypatch.setattr(ports, "_FREE_LAST", first[0] + 1)

    with pytest.raises(PortTaken):
        free_ports(1)


def test_the_ports_of_copies_are_given_away_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = free_ports(1, copies=2)
    monkeypatch.setattr(ports, "_FREE_FIRST", first + COPY_STRIDE)
    monkeypatch.setattr(ports, "_FREE_LAST", first + COPY_STRIDE + 1)

    with pytest.raises(PortTaken):
        free_ports(1)


@pytest.mark.parametrize(("number", "copies"), [(2587, 1), (2687, 2), (2487, 2)])
def test_our_own_ports_may_not_meet(number: int, copies: int) -> None:
    public = {"SUBMISSION_PORT": 2587, "POSTMASTER_PORT": number}

    with pytest.raises(PortTaken, match="wanted by SUBMISSION_PORT and by POSTMASTER_PORT"):
        check_free(listeners(public, copies))


def test_a_dead_service_is_told_in_one_line(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.logs.mkdir()
    trace = "  + Exception Group Traceback:\n  | ExceptionGroup: unhandled (1 sub-exception)\n"
    trace += "    | OSError: [Errno 98] address in use\n    +------"
    record = {"event": "service failed", "level": "critical", "exception": trace * 9}
    (registry.logs / "pop3.log").write_text(json.dumps({"event": "x"}) + "\n" + json.dumps(record))

    told = last_words(registry, "pop3").splitlines()

    assert told[0] == "service failed: OSError: [Errno 98] address in use"
    assert told[1:] == [f"(all of it: {registry.logs / 'pop3.log'})"]


def test_what_is_no_log_of_ours_is_told_as_it_stands(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.logs.mkdir()
    (registry.logs / "rabbitmq.log").write_text("first\nno such cookie\n")

    assert last_words(registry, "rabbitmq") == "first\nno such cookie"


def test_copies_listen_a_hundred_higher() -> None:
    assert listeners({"SMTP_PORT": 2525}, 2) == [Port("SMTP_PORT", 2525), Port("SMTP_PORT", 2625)]


@pytest.mark.parametrize("env", [{"COPIES": "0"}, {"COPIES": "two"}, {"STORE": "tape"}])
def test_a_senseless_option_is_refused(env: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=next(iter(env.values()))):
        options(env, tmp_path)


def test_options_left_empty_have_their_defaults(tmp_path: Path) -> None:
    chosen = options({"COPIES": "", "STORE": ""}, tmp_path)

    assert (chosen.copies, chosen.store) == (1, "disk")


def test_a_folder_stays_with_the_store_of_its_first_run(tmp_path: Path) -> None:
    disk, s3 = options({}, tmp_path), options({"STORE": "s3"}, tmp_path)
    settle_store(disk)

    settle_store(disk)
    with pytest.raises(BadOption, match="STORE=disk and would be missing from STORE=s3"):
        settle_store(s3)


@pytest.mark.parametrize(
    ("folder", "kept", "other"), [("objects", "disk", "s3"), ("seaweedfs", "s3", "disk")]
)
def test_a_folder_of_an_older_version_is_known_by_what_lies_in_it(
    folder: str, kept: str, other: str, tmp_path: Path
) -> None:
    (tmp_path / folder).mkdir()

    with pytest.raises(BadOption, match=f"STORE={kept}"):
        settle_store(options({"STORE": other}, tmp_path))
    settle_store(options({"STORE": kept}, tmp_path))


def test_keys_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"

    first, second = kept(file), kept(file)

    assert first == second
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(set(json.loads(file.read_text()).values())) == 9


def test_keys_of_an_older_version_are_kept_and_completed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text('{"anna": "remembered"}')

    first = kept(file)

    assert first.anna == "remembered"
    assert kept(file) == first


def test_the_certificate_is_signed_for_the_names_and_made_once(tmp_path: Path) -> None:
    files = certificates(tmp_path, ("mail.example.test", "localhost"))
    chain = files.chain.read_bytes()

    leaf, authority = x509.load_pem_x509_certificates(chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    leaf.verify_directly_issued_by(authority)

    assert names.get_values_for_type(x509.DNSName) == ["mail.example.test", "localhost"]
    assert leaf.not_valid_before_utc < datetime.now(UTC) < leaf.not_valid_after_utc
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert certificates(tmp_path, ("mail.example.test",)).chain.read_bytes() == chain


def test_asking_a_neighbour_loads_no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(**_: object) -> ssl.SSLContext:
        raise AssertionError("every poll would load the certificates of the world")

    monkeypatch.setattr(ssl, "create_default_context", forbidden)

    loopback_client(timeout=1)
