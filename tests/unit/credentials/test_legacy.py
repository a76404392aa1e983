"""Hashes that others have made: known vectors, what is refused, and the same against the makers."""

from __future__ import annotations

import hashlib
import hmac
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.credentials import cram, unix_crypt
from posthouse.credentials.legacy import UnknownScheme, cram_md5_keys, normal_form, scram_keys
from posthouse.credentials.passwords import Wanted, matches, take_over
from posthouse.mail.errors import Unavailable

pytestmark = pytest.mark.usefixtures("light_hashes")

WORD = "pässword"
HELLO = "Hello world!"

# Of `doveadm pw -p pässword`, crypt(3) of Debian 12, and the specification of SHA-crypt.
KNOWN = [
    ("{SSHA}XKD3pb7iBK6/HZgDa7CZWUG9kxtSnP29", WORD),
    ("{SSHA256.HEX}82510a11cf1f6a500a03d7313d27be91afe37e226cd3da827bf87284eed764c177f3e5ab", WORD),
    ("{SMD5}I6yp2F5TuiD1zr38WWKqimZy7j0=", WORD),
    ("{PLAIN-MD5}8e1843033a0f6ee52e2f618aa8ebbef4", WORD),
    ("{plain-md5}8e1843033a0f6ee52e2f618aa8ebbef4", WORD),
    ("{LDAP-MD5}jhhDAzoPbuUuL2GKqOu+9A==", WORD),
    ("{PBKDF2}$1$kDZxQMBC1/TAUHiz$5000$b082bf7e12b1240c57bff35f836e51de1759afa7", WORD),
    ("{CRAM-MD5}7dead29c194d4ac3cf5f337b23fa3b9b32c9f4b1d7d7b1fa2539d66ce368e997", WORD),
    ("$1$Cg7WyBXf$X7lL6Bp43Cy7E3noipp9O/", WORD),
    ("{MD5-CRYPT}$1$Cg7WyBXf$X7lL6Bp43Cy7E3noipp9O/", WORD),
    ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", HELLO),
    (
        "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
        HELLO,
    ),
    (
        (
            "{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OT"
            "LiBFdcbYEdFCoEOfaS35inz1"
        ),
        HELLO,
    ),
    ("{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuucZGbUxuMlEqps0qcu2pjhO7vaatQZIC", WORD),
    ("{CRYPT}$y$j9T$abcdefgh$yTxXz3ZVYDIZOpMdJiZWr6dgikUfVGDKBzw07PphSx3", WORD),
    (
        (
            "{SCRAM-SHA-256}4096,HFjVCTPD8zknkfsOgnwvOw==,GtV5lqk8eFEwXE6f0d1QlBpn6Q7sfhmBtiKZV0jopNg="
            ",nidJgm0iyAgXb3bY1St4QfFon000mSZJ0kHewffhIhU="
        ),
        WORD,
    ),
    (
        (
            "{SCRAM-SHA-1}4096,XXdYvlcaHQLv3arPBTiJ3A==,PIRSNKZk+Cheh/hqC1HZ34tsujo="
            ",cMpYo58cnRkNbbt96UDa4Hh12IE="
        ),
        WORD,
    ),
    ("{SHA}I7dElEdfX4dJgLdnbVEeI9iG2mQ=", WORD),
    ("{SHA256}3478267b5612791b40988906b3a7897eb6ab501e04b95ed32f99d0afdf669d9c", WORD),
    (
        (
            "{SHA512.B64}KF3icbSeAO9oGc8Ku/AxXpfCXLo2FhZ8dw78Umxki03hH0sA3HH67TOjEse6g2kNPtFKqq32tiKqSJl"
            "v8H7IpA=="
        ),
        WORD,
    ),
    (
        (
            "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$tiVMx2McYlUuKe2AqauDTA$qBGHVge+QOvnyRVpeU+v0GxWKIf"
            "i62D4yXY8Kqy/dbE"
        ),
        WORD,
    ),
]


@pytest.mark.parametrize(("foreign", "word"), KNOWN)
def test_a_foreign_hash_fits_its_password_and_no_other(foreign: str, word: str) -> None:
    stored = take_over(foreign, Wanted()).password_hash

    assert matches(stored, word)
    assert not matches(stored, word + "x")
    assert not matches(stored, "a\0b")


@pytest.mark.parametrize(
    ("foreign", "reason"),
    [
        ("", "is of a scheme"),
        ("secret", "is of a scheme"),
        ("abRy4/6THFs9U", "is of a scheme"),  # DES: eight characters of a password count
        ("{PLAIN}secret", "PLAIN"),
        ("{DIGEST-MD5}77e0bd2b0f7c8a0a5c4d4b9e7f7a0f6c", "DIGEST-MD5"),
        ("{SSHA}!!!", "damaged"),
        ("{SSHA}I7dElEdfX4dJgLdnbVEeI9iG2mQ=", "damaged"),  # no salt
        ("{SHA}XKD3pb7iBK6/HZgDa7CZWUG9kxtSnP29", "damaged"),  # salt
        ("{SHA256.HEX}xyz", "damaged"),
        ("{PBKDF2}$1$salt$2000000$b082bf7e12b1240c57bff35f836e51de1759afa7", "too long"),
        ("{SCRAM-SHA-256}99999999,AAAA,AAAA,AAAA", "too long"),
        ("{SCRAM-SHA-256}nonsense", "damaged"),
        ("{SCRAM-SHA-256}4096,A,AAAA,AAAA", "damaged"),
        ("{SCRAM-SHA-1}4096,AAAA,=AAA,AAAA", "damaged"),
        ("{CRAM-MD5}7dead29c", "damaged"),
        ("$5$rounds=99999999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "too long"),
        ("$2y$31$abcdefghijklmnopqrstuucZGbUxuMlEqps0qcu2pjhO7vaatQZIC", "is of a scheme"),
        ("$argon2id$v=19$m=999999,t=3,p=1$tiVMx2McYlUuKe2AqauDTA$qBGHVge", "too long"),
        ("$argon2id$nonsense", "damaged"),
        ("$6$\n", "no hash"),
        ("x" * 1000, "no hash"),
    ],
)
def test_what_could_never_be_checked_is_refused(foreign: str, reason: str) -> None:
    with pytest.raises(UnknownScheme, match=reason):
        normal_form(foreign)


def test_a_damaged_hash_in_the_directory_matches_nothing() -> None:
    assert not matches("{SSHA}!!!", "secret")
    assert not matches("{PLAIN}right", "right")
    assert not matches("nothing", "nothing")


@given(st.text(max_size=60))
def test_any_text_is_a_hash_or_is_refused(text: str) -> None:
    for prefix in ("", "{SSHA}", "{SCRAM-SHA-256}", "$6$", "{CRAM-MD5}", "$argon2id$"):
        try:
            normal_form(prefix + text)
        except UnknownScheme:
            continue


def test_hashes_that_are_keys_serve_as_those() -> None:
    scram, cram_md5 = KNOWN[15][0], KNOWN[7][0]
    assert scram_keys(scram) == (
        "SCRAM-SHA-256$4096:HFjVCTPD8zknkfsOgnwvOw==$GtV5lqk8eFEwXE6f0d1QlBpn6Q7sfhmBtiKZV0jopNg="
        ":nidJgm0iyAgXb3bY1St4QfFon000mSZJ0kHewffhIhU="
    )
    assert cram_md5_keys(cram_md5) == cram.cram_keys(WORD)
    assert scram_keys(scram.replace("4096", "1000")) is None
    assert scram_keys("{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA") is None
    assert scram_keys(cram_md5) is None
    assert cram_md5_keys(scram) is None
    assert take_over(cram_md5, Wanted(cram_md5=False)).cram_md5 is None


# ---- Against the makers


@pytest.mark.integration
@pytest.mark.parametrize(
    "scheme",
    [
        "SSHA",
        "SSHA256",
        "SSHA512.HEX",
        "SMD5",
        "PLAIN-MD5",
        "SHA512-CRYPT",
        "BLF-CRYPT",
        "CRAM-MD5",
    ],
)
def test_what_dovecot_makes_of_a_password_is_understood(scheme: str) -> None:
    made = subprocess.run(
        ["doveadm", "pw", "-s", scheme, "-p", WORD], check=True, capture_output=True, text=True
    ).stdout.strip()

    assert matches(normal_form(made), WORD)
    assert not matches(normal_form(made), "wrong")


@given(st.text(max_size=100), st.binary(max_size=200))
def test_keys_of_cram_md5_check_what_any_hmac_makes(word: str, challenge: bytes) -> None:
    digest = hmac.new(word.encode(), challenge, hashlib.md5).hexdigest()

    assert cram.fits(cram.cram_keys(word), challenge, digest)
    assert not cram.fits(cram.cram_keys(word), challenge + b"x", digest)


def test_what_are_no_keys_of_cram_md5_is_a_fault() -> None:
    with pytest.raises(ValueError, match="not keys"):
        cram.fits("00", b"", "")


def test_a_system_without_crypt_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix_crypt, "_NAMES", ("libnone.so",))
    unix_crypt._crypt_r.cache_clear()
    with pytest.raises(Unavailable):
        matches(KNOWN[8][0], WORD)
    monkeypatch.undo()
    unix_crypt._crypt_r.cache_clear()
    assert matches(KNOWN[8][0], WORD)
