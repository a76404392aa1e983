"""Charsets: octets become text, whatever is said of them (RFC 2045 §5.2, RFC 2978).

Only charsets that mail is written in. Python knows codecs that are none (rot13, punycode, zlib),
some of them with a price that grows by the square of the input, and it remembers every name it
was ever asked for.
"""

from __future__ import annotations

import codecs
from encodings.aliases import aliases

_CODECS = frozenset(
    [
        "ascii",
        "utf_7",
        "utf_8",
        "utf_16",
        "utf_16_be",
        "utf_16_le",
        "utf_32",
        "utf_32_be",
        "utf_32_le",
        "latin_1",
        "iso8859_2",
        "iso8859_3",
        "iso8859_4",
        "iso8859_5",
        "iso8859_6",
        "iso8859_7",
        "iso8859_8",
        "iso8859_9",
        "iso8859_10",
        "iso8859_11",
        "iso8859_13",
        "iso8859_14",
        "iso8859_15",
        "iso8859_16",
        "cp437",
        "cp737",
        "cp775",
        "cp850",
        "cp852",
        "cp855",
        "cp857",
        "cp858",
        "cp860",
        "cp861",
        "cp862",
        "cp863",
        "cp864",
        "cp865",
        "cp866",
        "cp869",
        "cp874",
        "cp932",
        "cp949",
        "cp950",
        "cp1125",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp1258",
        "koi8_r",
        "koi8_t",
        "koi8_u",
        "mac_roman",
        "mac_cyrillic",
        "mac_greek",
        "mac_latin2",
        "mac_turkish",
        "gb2312",
        "gbk",
        "gb18030",
        "hz",
        "big5",
        "big5hkscs",
        "shift_jis",
        "shift_jis_2004",
        "euc_jp",
        "euc_kr",
        "johab",
        "iso2022_jp",
        "iso2022_jp_1",
        "iso2022_jp_2",
        "iso2022_kr",
        "tis_620",
        "ptcp154",
        "kz1048",
    ]
)
_KNOWN = {name: name for name in _CODECS} | {
    alias: name for alias, name in aliases.items() if name in _CODECS
}
_KNOWN |= {  # what mailers write and Python does not know
    "x_gbk": "gbk",
    "x_sjis": "shift_jis",
    "x_euc_jp": "euc_jp",
    "x_mac_roman": "mac_roman",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "ks_c_5601_1987": "cp949",
    "ks_c_5601": "cp949",
    "windows_874": "cp874",
    "windows_31j": "cp932",
    "cp_850": "cp850",
    "ansi_x3.4_1968": "ascii",
    "unicode_1_1_utf_7": "utf_7",
}


def codec_of(charset: bytes) -> str | None:
    """Return Python's name for a MIME charset, None if it is not one of ours."""
    name = charset.decode("latin-1").strip().lower().replace("-", "_").replace(" ", "_")
    return _KNOWN.get(name) or _KNOWN.get(name.replace("iso_8859", "iso8859"))


# What is written under these names: they have fewer characters than the mailers use that write them.
_MEANT = {
    "latin_1": ("cp1252", "latin_1"),
    "iso8859_9": ("cp1254", "iso8859_9"),
    "iso8859_11": ("cp874", "iso8859_11"),
    "tis_620": ("cp874", "tis_620"),
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "shift_jis": ("shift_jis", "cp932"),
    "iso2022_jp": ("iso2022_jp", "iso2022_jp_ext"),
    "euc_kr": ("euc_kr", "cp949"),
    "big5": ("big5", "big5hkscs", "cp950"),
}
_ASCII_COMPATIBLE = frozenset({None, "ascii", "utf_8", "latin_1", "cp1252", "iso8859_15"})
_BAD = "\ufffd"
_LEAST_SOUND = 4  # characters to a bad one


def decode(octets: bytes, charset: bytes = b"") -> str:
    """Return the text of ``octets``; never fails.

    What is not in its charset, or in an unknown one, is taken as UTF-8, then as the one with some
    octets wrong, then as Windows-1252 or Latin-1.
    """
    codec = codec_of(charset)
    if octets.isascii() and codec in _ASCII_COMPATIBLE:
        return octets.decode("ascii")
    text = _exactly(octets, charset)
    if text is None:
        text = _exactly(octets, b"utf-8")
    return _roughly(octets, codec) if text is None else text


def decode_run(run: list[bytes], charset: bytes) -> str:
    """Return the text of pieces in one charset, of which one may end in the midst of a character."""
    texts = [_exactly(octets, charset) for octets in run]
    sound = [text for text in texts if text is not None]
    return "".join(sound) if len(sound) == len(run) else decode(b"".join(run), charset)


def _exactly(octets: bytes, charset: bytes) -> str | None:
    """Return the text if every octet is in the charset."""
    codec = codec_of(charset)
    for each in _MEANT.get(codec, (codec,)) if codec else ():
        try:
            return codecs.decode(octets, each)
        except ValueError:
            continue
    return None


def _roughly(octets: bytes, codec: str | None) -> str:
    for each in (_MEANT.get(codec, (codec,))[-1] if codec else "utf_8", "utf_8"):
        text = codecs.decode(octets, each, "replace")
        marks = len(text) - len(text.encode("ascii", "ignore"))
        if text.count(_BAD) * _LEAST_SOUND < marks:
            return text
    return _exactly(octets, b"latin-1") or ""
