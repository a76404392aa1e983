"""What senders ask for, and xtext."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.handling import CONDITIONS, DEFAULT, Notify, decoded, xtext


@pytest.mark.parametrize(
    ("on", "wishes"),
    [
        ("", (False, True, True)),
        ("NEVER", (False, False, False)),
        ("SUCCESS", (True, False, False)),
        ("FAILURE", (False, True, False)),
        ("DELAY", (False, False, True)),
        ("SUCCESS,FAILURE,DELAY", (True, True, True)),
    ],
)
def test_the_sender_is_told_what_it_asked_for(on: str, wishes: tuple[bool, bool, bool]) -> None:
    notify = Notify(on=on)

    assert (notify.success, notify.failure, notify.delay) == wishes


def test_success_can_be_taken_out_and_never_becomes_the_usual() -> None:
    assert Notify(on="SUCCESS,DELAY", orcpt="rfc822;a").without_success() == Notify(
        on="DELAY", orcpt="rfc822;a"
    )
    assert Notify(on="SUCCESS").without_success() == Notify(on="NEVER")
    assert DEFAULT.without_success() is DEFAULT
    assert len(CONDITIONS) == 3


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_xtext_is_read_as_it_was_written(text: str) -> None:
    assert decoded(xtext(text)) == text


@given(st.text(alphabet="+0123456789ABCDEFa-", max_size=40))
def test_nothing_that_is_decoded_can_end_a_line(text: str) -> None:
    assert decoded(text).isprintable()


def test_what_cannot_be_shown_stays_encoded() -> None:
    assert decoded("a+0D+0ASubject:+20x+C3+A9") == "a+0D+0ASubject: x+C3+A9"
