"""Reply codes and failures."""

import pytest

from posthouse.mail import status
from posthouse.mail.errors import PermanentFailure, TemporaryFailure, Unavailable
from posthouse.mail.status import Status


def test_a_status_is_written_as_on_the_wire() -> None:
    assert str(status.NO_SUCH_USER) == "550 5.1.1"


@pytest.mark.parametrize("code", [0, 199, 600])
def test_what_is_no_reply_code_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match="reply code"):
        Status(code, (5, 0, 0))


def test_a_failure_without_a_status_takes_its_class() -> None:
    assert TemporaryFailure("later").status.is_temporary
    assert PermanentFailure("never").status.is_permanent


def test_an_outage_of_ours_is_temporary() -> None:
    assert isinstance(Unavailable("the store does not answer"), TemporaryFailure)


def test_what_is_public_is_not_the_detail() -> None:
    failure = TemporaryFailure("try later", detail="host db-1 refused")

    assert failure.public == "try later"
    assert str(failure) == "host db-1 refused"
