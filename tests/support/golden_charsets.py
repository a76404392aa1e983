"""A word in each charset that mail is written in, in octets that no codec of ours has made."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote_from_bytes

WORDS: dict[str, tuple[bytes, str]] = {
    "utf-8": (b"Stra\xc3\x9fenbahn", "Straßenbahn"),
    "utf-7": (b"+TxqLcA-", "会議"),
    "iso-8859-1": (b"Gr\xf6\xdfe", "Größe"),
    "iso-8859-2": (b"\xa3\xf3d\xbc", "Łódź"),
    "iso-8859-5": (b"\xd2\xe1\xe2\xe0\xd5\xe7\xd0", "встреча"),
    "iso-8859-15": (b"20 \xa4", "20 €"),
    "windows-1250": (b"\xa3\xf3d\x9f", "Łódź"),
    "windows-1251": (b"\xe2\xf1\xf2\xf0\xe5\xf7\xe0", "встреча"),
    "windows-1252": (b"\x8auma \x80 9", "Šuma € 9"),
    "windows-1253": (b"\xc5\xeb\xeb\xdc\xe4\xe1", "Ελλάδα"),
    "windows-1254": (b"\xfeehir", "şehir"),
    "windows-1255": (b"\xf9\xec\xe5\xed", "שלום"),
    "windows-1256": (b"\xe3\xd1\xcd\xc8\xc7", "مرحبا"),
    "windows-1257": (b"\xe0\xfeuolas", "ąžuolas"),
    "koi8-r": (b"\xd7\xd3\xd4\xd2\xc5\xde\xc1", "встреча"),
    "koi8-u": (b"\xda\xd5\xd3\xd4\xd2\xa6\xde", "зустріч"),
    "ibm866": (b"\xa2\xe1\xe2\xe0\xa5\xe7\xa0", "встреча"),
    "tis-620": (b"\xbb\xc3\xd0\xaa\xd8\xc1", "ประชุม"),
    "gb2312": (b"\xbb\xe1\xd2\xe9\x81\x40", "会议丂"),  # the last of GBK only, as is common
    "gb18030": (b"\xbb\xe1\xd2\xe9", "会议"),
    "hz-gb-2312": (b"~{;aRi~}", "会议"),
    "big5": (b"\xb7|\xc4\xb3", "會議"),
    "shift_jis": (b"\x89\xef\x8bc", "会議"),
    "euc-jp": (b"\xb2\xf1\xb5\xc4", "会議"),
    "iso-2022-jp": (b"\x1b$B2q5D\x1b(B", "会議"),
    "iso-2022-kr": (b"\x1b$)C\x0eH8@G\x0f", "회의"),
    "euc-kr": (b"\xc8\xb8\xc0\xc7", "회의"),
    "ks_c_5601-1987": (b"\xc8\xb8\xc0\xc7", "회의"),
}
_UNKNOWN = {  # said to be in one, and is in another or in none
    "x-nobody-knows": (b"Gr\xc3\xbc\xc3\x9fe", "Grüße"),
    "us-ascii": (b"Gr\xfc\xdfe", "Grüße"),
    "iso-8859-1": (b"\x84Zitat\x93", "„Zitat“"),
}
CASES = [(charset, *word) for words in (WORDS, _UNKNOWN) for charset, word in words.items()]
FORMS = ("body", "base64", "quoted", "subject-b", "subject-q", "name", "page")


def letter(form: str, charset: str, octets: bytes) -> bytes:
    """Return a letter with ``octets`` in its text, subject or file name."""
    head = f"From: a@b.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\n"
    quoted = "".join(f"={octet:02X}" for octet in octets)
    based = b64encode(octets).decode()
    made = {
        "body": f"{head}Content-Transfer-Encoding: 8bit\r\n\r\n\0\r\n",
        "base64": f"{head}Content-Transfer-Encoding: base64\r\n\r\n{based}\r\n",
        "quoted": f"{head}Content-Transfer-Encoding: quoted-printable\r\n\r\n{quoted}\r\n",
        "subject-b": f"{head}Subject: =?{charset}?B?{based}?=\r\n\r\n-\r\n",
        "subject-q": f"{head}Subject: =?{charset}?q?{quoted}?=\r\n\r\n-\r\n",
        "name": f"{head}Content-Disposition: attachment;\r\n filename*={charset}''"
        f"{quote_from_bytes(octets)}\r\n\r\n-\r\n",
        "page": "Content-Type: text/html\r\n\r\n<html><head><meta http-equiv=Content-Type "
        f"content='text/html; charset={charset}'></head><body>\0</body>\r\n",
    }[form]
    return made.encode().replace(b"\0", octets)
