"""The setting POSTHOUSE_STORE, and what a key may be."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.blobs import BadStore, open_blobs
from posthouse.blobs.opening import parse_store
from posthouse.blobs.port import checked_key
from posthouse.mail.ids import new_id, object_key


@pytest.mark.parametrize(
    ("store", "meaning"),
    [
        ("disk:/var/lib/objects", ("disk", "/var/lib/objects", {})),
        ("disk:relative/objects", ("disk", "relative/objects", {})),
        ("disk:/x?timeout=2.5", ("disk", "/x", {"timeout": "2.5"})),
        (
            "s3://mail?endpoint=http://127.0.0.1:9000&region=eu-1",
            ("s3", "mail", {"endpoint": "http://127.0.0.1:9000", "region": "eu-1"}),
        ),
        ("s3://mail", ("s3", "mail", {})),
    ],
)
def test_a_store_has_a_scheme_a_place_and_options(
    store: str, meaning: tuple[str, str, dict[str, str]]
) -> None:
    assert parse_store(store) == meaning


@pytest.mark.parametrize(
    ("store", "why"),
    [
        ("", "disk:/directory or s3"),
        ("/var/lib/objects", "disk:/directory or s3"),
        ("ftp://host/x", "disk:/directory or s3"),
        ("disk:", "needs a directory"),
        ("s3:", "needs a bucket"),
        ("s3://bucket/with/path", "no path"),
        ("disk:/x?region=eu", "no option region"),
        ("s3://b?colour=red", "no option colour"),
        ("disk:/x?timeout=0", "positive number of seconds"),
        ("disk:/x?timeout=soon", "positive number of seconds"),
        ("disk:/x?timeout=nan", "positive number of seconds"),
        ("disk:/x?timeout=inf", "positive number of seconds"),
    ],
)
async def test_a_wrong_store_is_refused_in_words(store: str, why: str) -> None:
    with pytest.raises(BadStore, match=why):
        async with open_blobs(store):
            pass


@given(st.text(max_size=80) | st.from_regex(r"[a-z./]{1,40}", fullmatch=True))
def test_no_key_leaves_the_store(text: str) -> None:
    try:
        key = checked_key(text)
    except ValueError:
        return

    path = PurePosixPath(key)
    assert str(path) == key
    assert not path.is_absolute()
    assert not any(part.startswith(".") for part in path.parts)


def test_every_message_has_a_key() -> None:
    ident = new_id()

    assert checked_key(object_key(ident)) == object_key(ident)
