"""What we say to people, in their language (RFC 6856 §3). Pure.

The English text is the key: code speaks English, and `spoken` finds the words of the session's
language. What clients read, as sizes and response codes, is the same in all of them.
"""

from __future__ import annotations

ENGLISH = "en"

NAMES = {ENGLISH: "English", "de": "Deutsch"}

_GERMAN = {
    "%d messages, %d octets": "%d Nachrichten, %d Oktette",
    "%d octets": "%d Oktette",
    "AUTH, please": "Bitte mit AUTH anmelden",
    "Another session has this maildrop": "Eine andere Sitzung hat dieses Postfach",
    "Authentication failed": "Anmeldung fehlgeschlagen",
    "A name is missing": "Es fehlt ein Name",
    "An argument is missing": "Es fehlt ein Argument",
    "Begin TLS": "TLS kann beginnen",
    "Bye": "Auf Wiedersehen",
    "Cancelled": "Abgebrochen",
    "Capability list follows": "Es folgt, was wir können",
    "Internal error": "Interner Fehler",
    "Language changed": "Sprache gewechselt",
    "Languages follow": "Es folgen die Sprachen",
    "Line too long": "Zeile zu lang",
    "Log in first": "Bitte zuerst anmelden",
    "Mechanisms follow": "Es folgen die Verfahren",
    "NUL is not allowed": "NUL ist nicht erlaubt",
    "No argument expected": "Kein Argument erwartet",
    "No such language": "Diese Sprache sprechen wir nicht",
    "No such message": "Keine solche Nachricht",
    "Not UTF-8": "Kein UTF-8",
    "Not a number": "Keine Zahl",
    "Not allowed after the login": "Nach der Anmeldung nicht erlaubt",
    "Not allowed after UTF8": "Nach UTF8 nicht erlaubt",
    "Nothing may follow STLS": "Auf STLS darf nichts folgen",
    "One number expected": "Eine Zahl erwartet",
    "Please try again later": "Bitte später noch einmal versuchen",
    "Posthouse POP3 ready": "Posthouse POP3 ist bereit",
    "TLS first, please": "Bitte zuerst TLS",
    "TLS is not available": "TLS ist nicht möglich",
    "TLS is on already": "TLS ist schon an",
    "The lock was lost": "Die Sperre ging verloren",
    "The lock was lost; nothing was removed": "Die Sperre ging verloren; nichts wurde entfernt",
    "The message is missing": "Die Nachricht fehlt",
    "Too many arguments": "Zu viele Argumente",
    "Too many failed logins, try again later": (
        "Zu viele falsche Anmeldungen, bitte später noch einmal versuchen"
    ),
    "Two numbers expected": "Zwei Zahlen erwartet",
    "USER first, please": "Bitte zuerst USER",
    "UTF-8 it is": "Nun also UTF-8",
    "Unknown command": "Unbekannter Befehl",
    "Unknown mechanism": "Unbekanntes Verfahren",
}
WORDS = {"de": _GERMAN}


def chosen(wanted: str) -> str | None:
    """Return the language that a range asks for, None if nobody speaks it.

    ``*`` is the operator's choice, English; ``de-AT`` is looked up as ``de`` (RFC 4647 §3.4).
    """
    if wanted == "*":
        return ENGLISH
    tag = wanted.lower()
    while tag and tag not in NAMES:
        tag = tag.rpartition("-")[0]
    return tag or None


def spoken(text: str, language: str) -> str:
    """Return ``text`` in ``language``."""
    return WORDS.get(language, {}).get(text, text)
