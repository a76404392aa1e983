"""TLSA records against chains: which count, which match (RFC 6698, RFC 7671, RFC 7672)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from delivery_remote.security.dane import objection, usable
from posthouse.mail.tls_words import Failure, Tlsa
from support.chains import Issued, authority

NOW = datetime.now(UTC)
NAME = "mx.b.test"


@pytest.fixture(scope="module")
def root() -> Issued:
    return authority()


@pytest.fixture(scope="module")
def between(root: Issued) -> Issued:
    return root.issue(ca=True)


@pytest.fixture(scope="module")
def leaf(between: Issued) -> Issued:
    return between.issue(NAME)


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (Tlsa(3, 1, 1, b"x" * 32), True),
        (Tlsa(3, 0, 2, b"x" * 64), True),
        (Tlsa(2, 0, 0, b"x"), True),
        (Tlsa(0, 0, 1, b"x" * 32), False),  # PKIX-TA (RFC 7672 §3.1.3)
        (Tlsa(1, 0, 1, b"x" * 32), False),  # PKIX-EE
        (Tlsa(3, 2, 1, b"x" * 32), False),  # no such selector
        (Tlsa(3, 1, 3, b"x" * 32), False),  # no such digest
        (Tlsa(3, 1, 1, b"x" * 31), False),  # not as long as SHA-256 is
        (Tlsa(3, 1, 2, b"x" * 32), False),
        (Tlsa(3, 0, 0, b""), False),
    ],
)
def test_records_that_smtp_knows_count(record: Tlsa, *, counts: bool) -> None:
    assert usable([record]) == ((record,) if counts else ())


def test_a_weaker_digest_does_not_count_beside_a_stronger() -> None:
    weak, strong = Tlsa(3, 1, 1, b"x" * 32), Tlsa(3, 1, 2, b"x" * 64)
    other, whole = Tlsa(3, 0, 1, b"x" * 32), Tlsa(3, 1, 0, b"x")

    assert usable([weak, strong, other, whole]) == (strong, other, whole)


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_the_servers_own_certificate_matches(leaf: Issued, selector: int, matching: int) -> None:
    assert objection([leaf.tlsa(3, selector, matching)], [NAME], leaf.chain, NOW) is None


def test_name_and_date_do_not_matter_for_the_servers_own(root: Issued) -> None:
    old = root.issue("other.test", ends=timedelta(days=-1))

    assert objection([old.tlsa(3)], [NAME], old.chain[:1], NOW) is None


def test_another_certificate_does_not_match(root: Issued, leaf: Issued) -> None:
    fault = objection([root.issue(NAME).tlsa(3)], [NAME], leaf.chain, NOW)

    assert fault is not None
    assert fault.failure is Failure.VALIDATION


@pytest.mark.parametrize("which", ["root", "between"])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_an_authority_in_the_chain_vouches(
    root: Issued, between: Issued, leaf: Issued, which: str, matching: int
) -> None:
    anchor = {"root": root, "between": between}[which]

    assert objection([anchor.tlsa(2, 0, matching)], [NAME], leaf.chain, NOW) is None
    assert objection([anchor.tlsa(2, 1, matching)], [NAME], leaf.chain, NOW) is None


def test_an_authority_that_is_whole_in_the_record_need_not_be_shown(
    root: Issued, leaf: Issued
) -> None:
    shown = leaf.chain[:2]  # without the root

    assert objection([root.tlsa(2, 0, 0)], [NAME], shown, NOW) is None
    assert objection([root.tlsa(2, 0, 1)], [NAME], shown, NOW) is not None
    assert objection([Tlsa(2, 0, 0, b"rubbish")], [NAME], shown, NOW) is not None


def test_an_authority_vouches_for_the_names_only(between: Issued, root: Issued) -> None:
    other = between.issue("other.test", "b.test")

    assert objection([root.tlsa(2)], [NAME, "b.test"], other.chain, NOW) is None
    fault = objection([root.tlsa(2)], [NAME], other.chain, NOW)
    assert fault is not None
    assert fault.failure is Failure.HOST_MISMATCH


def test_a_wildcard_is_for_one_label(between: Issued, root: Issued) -> None:
    wild = between.issue("*.b.test")

    assert objection([root.tlsa(2)], [NAME], wild.chain, NOW) is None
    assert objection([root.tlsa(2)], ["a.mx.b.test"], wild.chain, NOW) is not None


def test_an_authority_does_not_vouch_for_what_ran_out(between: Issued, root: Issued) -> None:
    old = between.issue(NAME, ends=timedelta(days=-1))

    fault = objection([root.tlsa(2)], [NAME], old.chain, NOW)

    assert fault is not None
    assert fault.failure is Failure.EXPIRED


def test_what_an_authority_has_not_signed_is_not_its_own(root: Issued) -> None:
    stranger = replace(authority().issue(NAME), above=(root.certificate,))

    fault = objection([root.tlsa(2)], [NAME], stranger.chain, NOW)

    assert fault is not None
    assert fault.failure is Failure.NOT_TRUSTED


def test_a_servers_certificate_is_no_authority(root: Issued) -> None:
    server = root.issue("server.test")
    forged = server.issue(NAME)

    fault = objection([server.tlsa(2)], [NAME], forged.chain, NOW)

    assert fault is not None
    assert fault.failure is Failure.NOT_TRUSTED


@pytest.mark.parametrize("chain", [[], [b"no certificate"]])
def test_what_cannot_be_read_does_not_match(chain: list[bytes], leaf: Issued) -> None:
    assert objection([leaf.tlsa(3)], [NAME], chain, NOW) is not None
