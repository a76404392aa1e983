"""What came of a password a moment ago."""

from __future__ import annotations

from datetime import timedelta

from posthouse.credentials.memory import MAX_REMEMBERED, Memory


def test_only_the_same_person_with_the_same_password_is_known() -> None:
    memory: Memory[str] = Memory(timedelta(minutes=1), lambda: 0.0)
    memory.keep(memory.key("anna", "secret"), "anna@example.test")

    assert memory.recall(memory.key("anna", "secret")) == "anna@example.test"
    assert memory.recall(memory.key("anna", "other")) is None
    assert memory.recall(memory.key("bert", "secret")) is None


def test_it_is_forgotten_in_time() -> None:
    now = 0.0
    memory: Memory[str] = Memory(timedelta(minutes=1), lambda: now)
    memory.keep(memory.key("anna", "secret"), "anna@example.test")
    now = 60.0

    assert memory.recall(memory.key("anna", "secret")) is None
    assert not memory._known


def test_nothing_is_remembered_for_no_time() -> None:
    memory: Memory[str] = Memory(timedelta(), lambda: 0.0)
    memory.keep(memory.key("anna", "secret"), "anna@example.test")

    assert memory.recall(memory.key("anna", "secret")) is None


def test_it_holds_so_many_and_no_more() -> None:
    memory: Memory[str] = Memory(timedelta(minutes=1), lambda: 0.0)
    for number in range(MAX_REMEMBERED):
        memory.keep(memory.key(f"{number}", "x"), "a")
    memory.keep(memory.key("0", "x"), "a")  # again: now the youngest
    memory.keep(memory.key("one more", "x"), "a")

    assert memory.recall(memory.key("0", "x")) == "a"
    assert memory.recall(memory.key("1", "x")) is None


def test_a_password_does_not_lie_in_memory() -> None:
    memory: Memory[str] = Memory(timedelta(minutes=1), lambda: 0.0)
    memory.keep(memory.key("anna", "hunter2"), "anna@example.test")

    assert "hunter2" not in repr(vars(memory))
