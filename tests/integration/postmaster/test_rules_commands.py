"""Rules by command and by API: taken, tried, made live, followed by a pod; shadows reported and promoted."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from policy_engine.content.case import Case
from policy_engine.content.pipeline import Judged, Pipeline
from policy_engine.content.verdict import Levels
from policy_engine.rules.check import RulesCheck
from policy_engine.rules.shadowing import Shadowing
from policy_engine.rules.table import Table
from posthouse.mail.ids import new_id
from posthouse.storage import audit
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration

RULES = (
    "body WON /you won/i\ndescribe WON A prize\nscore WON 3\n"
    "header __BANK From:name =~ /bank/i\nmeta BANK_WON WON && __BANK\nscore BANK_WON 4\n"
    "body LOOKS /(?<=a)b/\n"
)
LETTER = b"From: Big Bank <a@b.test>\r\nSubject: x\r\n\r\nYou won a million\r\n"


class _Pod:
    """A pod of policy that has nothing but rules."""

    def __init__(self, postmaster: LivePostmaster) -> None:
        self.table = Table(postmaster.pool)
        self.shadowing = Shadowing(self.table, postmaster.pool)
        self.check = RulesCheck(self.table, self.shadowing)
        self.pipeline = Pipeline(None, [], Levels(), timedelta(seconds=30), self.check)

    async def judge(self) -> Judged:
        await self.table.refresh()
        case = Case(id=new_id(), client="192.0.2.1", octets=LETTER, size=len(LETTER))
        judged = await self.pipeline.judge(case)
        await self.shadowing.flush()
        return judged


@pytest.fixture
def pod(postmaster: LivePostmaster) -> _Pod:
    return _Pod(postmaster)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "local.cf"
    path.write_text(RULES)
    return str(path)


async def _done(postmaster: LivePostmaster, *arguments: str) -> str:
    result = await postmaster.cli("policy", *arguments)
    assert result.exit_code == 0, result.output
    return result.output


async def test_a_set_is_taken_as_a_draft_and_made_live(
    postmaster: LivePostmaster, pod: _Pod, file: str
) -> None:
    said = await _done(postmaster, "rules", "import", file)
    before = await pod.judge()
    await _done(postmaster, "rules", "activate", "local")
    after = await pod.judge()

    assert "invalid perl operator" in said
    assert f"{file}:7: body LOOKS" in said
    assert "3 rules were taken into local; 1 lines not." in said
    assert (before.judgement.score, pod.pipeline.is_idle(is_trusted=False)) == (0.0, False)
    assert {each.rule: each.score for each in after.judgement.findings} == {"WON": 3, "BANK_WON": 4}
    assert after.judgement.action == "quarantine"
    entries = await audit.entries(postmaster.pool, 0, 10)
    assert [each.action for each in entries] == ["rules live", "rules import"]


async def test_a_dry_run_keeps_nothing(postmaster: LivePostmaster, file: str) -> None:
    said = await _done(postmaster, "rules", "import", file, "--dry-run")

    assert "3 rules would be taken" in said
    assert json.loads(await _done(postmaster, "rules", "sets", "--json")) == []


async def test_rules_are_tried_with_a_message_before_they_are_live(
    postmaster: LivePostmaster, file: str, tmp_path: Path
) -> None:
    (tmp_path / "x.eml").write_bytes(LETTER)
    await _done(postmaster, "rules", "import", file)

    said = await _done(postmaster, "rules", "test", str(tmp_path / "x.eml"), "--set", "local")
    await _done(postmaster, "rules", "activate", "local", "--shadow")
    tried = await _done(postmaster, "rules", "test", str(tmp_path / "x.eml"))

    assert "7 points, of 3 rules" in said
    assert "You won" in said
    assert "0 points, of 3 rules" in tried
    assert "yes" in tried


async def test_what_operators_say_of_a_rule_outlives_a_new_import(
    postmaster: LivePostmaster, pod: _Pod, file: str
) -> None:
    await _done(postmaster, "rules", "import", file)
    await _done(postmaster, "rules", "activate", "local")
    await _done(postmaster, "rules", "score", "WON", "1.5")
    await _done(postmaster, "rules", "disable", "BANK_WON")
    await _done(postmaster, "rules", "import", file)

    first = await pod.judge()
    await _done(postmaster, "rules", "enable", "BANK_WON")
    await _done(postmaster, "rules", "score", "WON", "usual")
    second = await pod.judge()

    assert first.judgement.score == 1.5
    assert second.judgement.score == 7.0


async def test_a_set_in_the_shadow_counts_for_nothing_is_reported_and_promoted(
    postmaster: LivePostmaster, pod: _Pod, file: str
) -> None:
    await _done(postmaster, "rules", "import", file)
    await _done(postmaster, "rules", "activate", "local", "--shadow")
    shadow = await pod.judge()
    await pod.judge()

    found = json.loads(await _done(postmaster, "shadow", "report", "--json"))["items"]
    await _done(postmaster, "shadow", "promote", "local")
    live = await pod.judge()

    assert (shadow.judgement.action, shadow.judgement.score) == ("accept", 0.0)
    assert [each.is_shadow for each in shadow.judgement.findings] == [True, True]
    assert [(r["name"], r["was"], r["would_be"], r["messages"]) for r in found] == [
        ("local", "accept", "quarantine", 2)
    ]
    assert str(shadow.case.id) in found[0]["examples"]
    assert live.judgement.action == "quarantine"


async def test_levels_are_tried_and_promoted(
    postmaster: LivePostmaster, pod: _Pod, file: str
) -> None:
    await _done(postmaster, "rules", "import", file)
    await _done(postmaster, "rules", "activate", "local")
    await _done(postmaster, "shadow", "levels", "4", "6.5", "7")
    tried = await pod.judge()
    found = json.loads(await _done(postmaster, "shadow", "report", "levels", "--json"))["items"]
    await _done(postmaster, "shadow", "promote", "levels")
    live = await pod.judge()
    await _done(postmaster, "shadow", "usual-levels")
    usual = await pod.judge()

    assert [(r["was"], r["would_be"]) for r in found] == [("quarantine", "reject")]
    actions = [each.judgement.action for each in (tried, live, usual)]
    assert actions == ["quarantine", "reject", "quarantine"]


async def test_a_rule_in_the_shadow_of_its_own_set_is_promoted(
    postmaster: LivePostmaster, pod: _Pod, file: str
) -> None:
    await _done(postmaster, "rules", "import", file)
    await _done(postmaster, "rules", "activate", "local")
    await _done(postmaster, "rules", "enable", "WON", "--shadow")
    shadow = await pod.judge()
    await _done(postmaster, "shadow", "promote", "WON")

    assert shadow.judgement.score == 0.0
    assert (await pod.judge()).judgement.score == 7.0


async def test_a_score_is_tried_reported_and_promoted_and_each_step_is_in_the_audit(
    postmaster: LivePostmaster, pod: _Pod, file: str
) -> None:
    await _done(postmaster, "rules", "import", file)
    early = await postmaster.cli("policy", "rules", "score", "WON", "12", "--trial")
    await _done(postmaster, "rules", "activate", "local")
    await _done(postmaster, "rules", "score", "WON", "12", "--trial")
    tried = await pod.judge()

    said = await _done(postmaster, "shadow", "report")
    found = json.loads(await _done(postmaster, "shadow", "report", "WON", "--json"))
    await _done(postmaster, "shadow", "promote", "WON")
    again = await postmaster.cli("policy", "shadow", "promote", "WON")
    live = await pod.judge()

    assert "does not run" in early.output
    assert found["trials"] == [{"name": "WON", "tried": "score", "judged": 1, "differ": 1}]
    assert "Would differ" in said
    assert (tried.judgement.score, live.judgement.score) == (7.0, 16.0)
    assert again.exit_code == 1
    entries = await audit.entries(postmaster.pool, 0, 10)
    assert [each.action for each in entries][:3] == ["shadow promote", "rule change", "rules live"]


async def test_a_directory_is_taken_at_once_with_what_it_includes(
    postmaster: LivePostmaster, tmp_path: Path
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "10_a.cf").write_text("body A /a/\ninclude ../more.inc\nifplugin X\n")
    (tmp_path / "rules" / "50_scores.cf").write_text("score A 2\nscore B 3\ndescribe NONE x\n")
    (tmp_path / "more.inc").write_text("# more\nbody B /b/\nbody BAD /a.{900}x/\n")
    (tmp_path / "local.cf").write_text("score A 7\n")

    said = await _done(
        postmaster, "rules", "import", str(tmp_path / "rules"), str(tmp_path / "local.cf")
    )

    shown = json.loads(await _done(postmaster, "rules", "list", "--json"))
    assert "2 rules of 3 files were taken into rules; 3 lines not." in said
    assert "10_a.cf:0: endif" in said
    assert "more.inc:3: /a.{900}x/" in said
    assert {each["name"]: each["score"] for each in shown} == {"A": 7, "B": 3}


async def test_the_rules_of_the_house_are_one_command_away(
    postmaster: LivePostmaster, pod: _Pod
) -> None:
    await _done(postmaster, "rules", "import", "--default")
    await _done(postmaster, "rules", "activate", "default")

    await pod.judge()

    assert "PH_NO_DATE" in await _done(postmaster, "rules", "list")
    assert "PH_LOTTERY" in {r.name for r in pod.table.now.compiled.rules.values()}


async def test_what_cannot_be_done_is_said(postmaster: LivePostmaster) -> None:
    wrong = {
        "rules activate nothing": "No set of rules nothing",
        "rules show NOTHING": "No rule NOTHING",
        "rules score NOTHING 1": "No rule NOTHING",
        "shadow promote nothing": "nothing",
        "shadow levels 5 4 3": "must not fall",
        "rules import": "Name files",
    }
    for arguments, said in wrong.items():
        result = await postmaster.cli("policy", *arguments.split())

        assert result.exit_code == 1
        assert said in result.output


async def test_a_shadow_may_not_hide_live_rules(postmaster: LivePostmaster, file: str) -> None:
    for name in ("local", "other"):
        await _done(postmaster, "rules", "import", file, "--set", name)
    await _done(postmaster, "rules", "activate", "local")

    result = await postmaster.cli("policy", "rules", "activate", "other", "--shadow")

    assert result.exit_code == 1
    assert "names of its own" in result.output


async def test_a_rule_that_no_longer_compiles_is_refused_at_activation(
    postmaster: LivePostmaster, file: str
) -> None:
    await _done(postmaster, "rules", "import", file)
    await postmaster.pool.execute("update rules set source = '/(?!x)y/' where name = 'WON'")

    result = await postmaster.cli("policy", "rules", "activate", "local")

    assert result.exit_code == 1
    assert "WON cannot be run" in result.output
