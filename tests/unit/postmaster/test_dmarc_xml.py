"""Our aggregate reports against the schema of RFC 7489 appendix C: order, number and words of all elements."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from datetime import date
from xml.etree import ElementTree as ET

import pytest

from posthouse.storage.dmarc_results import DmarcResult, Facts, Signed
from postmaster.reports.dmarc import compose
from postmaster.reports.letter import Letterhead

HEAD = Letterhead(host="mail.a.test", organization="Us <& Co>\x00", address="d@a.test")
DAY = date(2026, 11, 21)
MANY = 10**6


@dataclass(frozen=True)
class Element:
    """What may stand there: so often, with these words; `children` in their order, or in any."""

    name: str
    least: int = 1
    most: int = 1
    words: str = ""
    children: tuple[Element, ...] = ()
    is_ordered: bool = True


TEXT, INTEGER = r"(?s).*", r"-?[0-9]+"
DISPOSITION, RESULT, MODE = "none|quarantine|reject", "pass|fail", "r|s"
DKIM = "none|pass|fail|policy|neutral|temperror|permerror"
SPF = "none|neutral|pass|fail|softfail|temperror|permerror"
REASON = "forwarded|sampled_out|trusted_forwarder|mailing_list|local_policy|other"
ADDRESS = r"[0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f:]+:[0-9A-Fa-f:]*"


def leaf(name: str, words: str = TEXT, least: int = 1, most: int = 1) -> Element:
    return Element(name, least, most, words)


METADATA = Element("report_metadata", children=(
    leaf("org_name"), leaf("email"), leaf("extra_contact_info", least=0), leaf("report_id"),
    Element("date_range", children=(leaf("begin", INTEGER), leaf("end", INTEGER)), is_ordered=False),
    leaf("error", least=0, most=MANY),
))  # fmt: skip
PUBLISHED = Element("policy_published", is_ordered=False, children=(
    leaf("domain"), leaf("adkim", MODE, least=0), leaf("aspf", MODE, least=0),
    leaf("p", DISPOSITION), leaf("sp", DISPOSITION), leaf("pct", INTEGER), leaf("fo"),
))  # fmt: skip
EVALUATED = Element("policy_evaluated", children=(
    leaf("disposition", DISPOSITION), leaf("dkim", RESULT), leaf("spf", RESULT),
    Element("reason", 0, MANY, is_ordered=False, children=(
        leaf("type", REASON), leaf("comment", least=0),
    )),
))  # fmt: skip
RECORD = Element("record", 1, MANY, children=(
    Element("row", is_ordered=False, children=(
        leaf("source_ip", ADDRESS), leaf("count", INTEGER), EVALUATED,
    )),
    Element("identifiers", is_ordered=False, children=(
        leaf("envelope_to", least=0), leaf("envelope_from"), leaf("header_from"),
    )),
    Element("auth_results", children=(
        Element("dkim", 0, MANY, is_ordered=False, children=(
            leaf("domain"), leaf("selector", least=0), leaf("result", DKIM),
            leaf("human_result", least=0),
        )),
        Element("spf", 1, MANY, is_ordered=False, children=(
            leaf("domain"), leaf("scope", "helo|mfrom"), leaf("result", SPF),
        )),
    )),
))  # fmt: skip
FEEDBACK = Element("feedback", children=(leaf("version", r"[0-9.]+"), METADATA, PUBLISHED, RECORD))


def check(found: ET.Element, wanted: Element, path: str = "") -> None:
    """Fail where ``found`` is not as ``wanted``."""
    path += f"/{wanted.name}"
    assert found.tag == wanted.name
    assert not found.attrib, path
    if not wanted.children:
        assert len(found) == 0, path
        assert re.fullmatch(wanted.words, found.text or ""), (path, found.text)
        return
    assert not (found.text or "").strip(), path
    names = [each.tag for each in found]
    known = [each.name for each in wanted.children]
    assert set(names) <= set(known), path
    if wanted.is_ordered:
        assert names == sorted(names, key=known.index), path
    for child in wanted.children:
        there = found.findall(child.name)
        assert child.least <= len(there) <= child.most, f"{path}/{child.name}: {len(there)}"
        for each in there:
            check(each, child, path)


def report(*results: DmarcResult) -> ET.Element:
    content = compose(HEAD, DAY, "b.test", results).content
    return ET.fromstring(gzip.decompress(content))  # noqa: S314 - our own


def result(messages: int = 1, **facts: object) -> DmarcResult:
    usual = {"published": "p=reject; sp=none; np=none; adkim=s; aspf=r; pct=20; fo=1:d",
             "source": "192.0.2.9", "author": "news.b.test"}  # fmt: skip
    return DmarcResult(day=DAY, domain="b.test", facts=Facts(**usual | facts), messages=messages)  # type: ignore[arg-type]


SIGNATURES = tuple(Signed("c.test", "s<1>\x07", each) for each in DKIM.split("|"))


@pytest.mark.parametrize(
    "one",
    [
        result(),
        result(disposition="reject", spf_domain="far.test", spf_result="softfail"),
        result(signatures=SIGNATURES, dkim=True, spf=True, spf_scope="helo"),
        result(signatures=(Signed("", "", "permerror"),)),
        result(reason="sampled_out", disposition="quarantine"),
        result(reason="local_policy", comment='arc=pass as[1].d="<x>" ]]>'),
        result(source="2001:db8::1", sender="b\ud7ff.test"),
        result(published=""),
        result(published="p=quarantine; adkim=r"),
    ],
)
def test_a_report_is_as_the_schema_has_it(one: DmarcResult) -> None:
    check(report(one, result(7)), FEEDBACK)


def test_what_is_told_of_the_record_is_what_most_met() -> None:
    other = result(3, published="p=none; sp=none; adkim=r; aspf=r; pct=100; fo=0")
    said = report(result(2), other).find("policy_published")
    assert said is not None
    assert [said.findtext(name) for name in ("p", "pct", "adkim", "fo")] == [
        "none",
        "100",
        "r",
        "0",
    ]
    said = report(result(5), other).find("policy_published")
    assert said is not None
    assert [said.findtext(name) for name in ("p", "pct", "adkim", "fo")] == [
        "reject", "20", "s", "1:d",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<disposition>none", b"<disposition>tagged"),
        (b"<fo>1:d</fo>", b""),
        (b"<row>", b"<row><row/>"),
        (b"<version>1.0</version>", b""),
        (b"</record>", b"</record><record/>"),
    ],
)
def test_the_check_finds_what_is_wrong(old: bytes, new: bytes) -> None:
    octets = gzip.decompress(compose(HEAD, DAY, "b.test", [result()]).content)
    assert old in octets
    with pytest.raises(AssertionError):
        check(ET.fromstring(octets.replace(old, new)), FEEDBACK)  # noqa: S314 - our own
