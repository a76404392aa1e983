"""What we say by POP3 can be said in every language (RFC 6856 §3)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pop3_gateway
from pop3_gateway import languages

ROOM = Path(pop3_gateway.__file__).parent
SPEAKERS = {"say", "refuse", "send", "Failed", "BadSyntax", "Refusal"}


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _said() -> set[str]:
    found: set[str] = set()
    for file in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and _name(node) in SPEAKERS:
                words = ast.walk(ast.Tuple(elts=node.args[:2], ctx=ast.Load()))
                found |= {str(each.value) for each in words if isinstance(each, ast.Constant)}
    return {text for text in found if " " in text.strip() or text == "Bye"}


@pytest.mark.parametrize("tag", languages.WORDS)
def test_everything_we_say_has_words(tag: str) -> None:
    assert _said() <= languages.WORDS[tag].keys()


@pytest.mark.parametrize("tag", languages.WORDS)
def test_words_take_the_same_values(tag: str) -> None:
    for english, words in languages.WORDS[tag].items():
        assert english.count("%d") == words.count("%d")
        assert not words.startswith("[")  # that would be a response code, RFC 2449 §8


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [("*", "en"), ("DE", "de"), ("de-AT", "de"), ("en-GB-oed", "en"), ("mul", None), ("-", None)],
)
def test_the_language_is_looked_up(wanted: str, tag: str | None) -> None:
    assert languages.chosen(wanted) == tag
