"""What is derived once, and holds nobody up."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from posthouse.mail.derived import derived


@dataclass(frozen=True)
class Thing:
    may_go: threading.Event = field(default_factory=threading.Event)
    made: list[str] = field(default_factory=list)

    @derived
    def text(self) -> str:
        """What it says."""
        self.made.append("made")
        assert self.may_go.wait(30)
        return "said"


def test_it_is_made_once_for_each_object() -> None:
    thing = Thing()
    thing.may_go.set()

    assert (thing.text, thing.text) == ("said", "said")
    assert thing.made == ["made"]
    assert Thing.text.__doc__ == "What it says."


def test_who_works_on_one_object_holds_nobody_up_who_has_another() -> None:
    slow, quick = Thing(), Thing()
    quick.may_go.set()
    worker = threading.Thread(target=lambda: slow.text)
    worker.start()

    assert quick.text == "said"  # functools.cached_property would wait for `slow`
    assert slow.__dict__.get("text") is None
    slow.may_go.set()
    worker.join()
    assert slow.__dict__["text"] == "said"
