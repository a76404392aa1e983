"""Which migrations to apply, and when to refuse."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.storage.ledger.entries import storable
from posthouse.storage.migrate import Migration, SchemaConflict, migrations, pending
from posthouse.storage.partitions import day_of_partition, partition_name

ONE = Migration(name="0001_one.sql", sql="", checksum="1")
TWO = Migration(name="0002_two.sql", sql="", checksum="2")


def test_an_empty_database_gets_everything_in_order() -> None:
    assert pending([ONE, TWO], {}) == (ONE, TWO)


def test_what_is_applied_is_not_applied_again() -> None:
    assert pending([ONE, TWO], {"0001_one.sql": "1"}) == (TWO,)


def test_a_changed_file_is_refused_even_if_others_are_pending() -> None:
    with pytest.raises(SchemaConflict, match="0001_one"):
        pending([ONE, TWO], {"0001_one.sql": "other"})


def test_what_a_newer_version_applied_is_left_alone() -> None:
    assert pending([ONE], {"0001_one.sql": "1", "0009_new.sql": "9"}) == ()


def test_the_files_are_numbered_without_gaps() -> None:
    numbers = [int(migration.name[:4]) for migration in migrations()]

    assert numbers == list(range(1, len(numbers) + 1))


@given(st.dates(min_value=date(1970, 1, 1)), st.sampled_from(["envelopes", "recipients", "events"]))
def test_a_partition_s_name_tells_its_day(day: date, table: str) -> None:
    assert day_of_partition(table, partition_name(table, day)) == day


def test_the_default_partition_has_no_day() -> None:
    assert day_of_partition("events", "events_default") is None


@given(st.text(st.characters(exclude_categories=[]), max_size=50))
def test_whatever_a_client_says_can_be_stored_and_most_of_it_unchanged(text: str) -> None:
    kept = storable(text)

    assert "\0" not in kept
    assert len(kept) == len(text)
    assert kept.encode("utf-8").decode("utf-8") == kept
    assert all(new == old for new, old in zip(kept, text, strict=True) if new not in "\ufffd?")
    assert storable(kept) == kept
