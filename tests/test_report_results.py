"""Are findings grouped as they were found, and are the worst replies first?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import report_case as material

from alignwright.core.claims import Claim, corrected
from alignwright.core.promises import PromiseReport
from alignwright.core.records import Conversation, Example, Finding
from alignwright.report import exit_code, read, render
from alignwright.report import results as cases


def finding(stage="baseline", exhibits=(), claim="value.refusal", against=None) -> Finding:
    return Finding(
        claim=claim,
        stage=stage,
        axis="value",
        value=0.5,
        low=0.4,
        high=0.6,
        n=10,
        method="m",
        against=against,
        exhibits=tuple(exhibits),
    )


def test_what_is_written_is_read_back(tmp_path):
    answers, findings = material.case()
    case = read(material.write(tmp_path, answers, findings))
    assert case.findings == tuple(findings)
    assert case.header == answers.header
    assert tuple(case.stages) == material.STAGES
    assert case.count("kept") == sum(v.answer == "kept" for v in answers.verdicts)
    assert sum(len(claim.findings) for claim in case.claims) == len(findings)


def test_parts_belong_to_their_claim(tmp_path):
    case = read(material.write(tmp_path, *material.case()))
    pairs = case.find("value.pairs")
    assert [part.name for part in case.parts(pairs)] == [
        "value.pairs.do_not_lie",
        "value.pairs.avoid_sycophancy",
        "value.pairs.be_kind",
    ]
    assert pairs in case.broad("value")
    assert case.parts(pairs)[0] not in case.broad("value")


def test_a_part_stands_after_its_claim_wherever_it_was_first_found():
    """Lies by a reason first found after another claim are shown as lies, not as parts of that claim."""
    names = ("d.lie", "d.lie.orders", "d.wrong", "d.lie.threat", "d.lie.threat.late", "d.wrong.x", "d.lie.corrected")
    rows = tuple(finding(claim=name) for name in names)
    case = cases.RunResults(header=material.case()[0].header, verdicts=(), findings=rows)
    lies = ["d.lie", "d.lie.orders", "d.lie.threat", "d.lie.threat.late", "d.lie.corrected"]
    assert [claim.name for claim in case.of("value")] == [*lies, "d.wrong", "d.wrong.x"]
    assert case.of("attack") == []


def test_worst_first():
    prompt = Conversation.user("?")
    tally = {
        "held": ("pass", "pass"),
        "better": ("fail", "pass"),
        "failing": ("fail", "fail"),
        "unclear": ("pass", "error"),
        "worse": ("pass", "fail"),
    }
    before = finding(exhibits=[Example(item=k, prompt=prompt, reply="old", status=a) for k, (a, _) in tally.items()])
    after = finding("train.0.dpo", [Example(item=k, reply="new", status=b) for k, (_, b) in tally.items()])
    claim = cases.RunResults(header=material.case()[0].header, verdicts=(), findings=(before, after)).claims[0]
    assert (
        [history.item for history in claim.histories]
        == [history.change for history in claim.histories]
        == list(cases.CHANGES)
    )
    assert claim.tally == dict.fromkeys(cases.CHANGES, 1)
    assert all(
        [step.reply for step in history.steps] == ["old", "new"] and history.prompt == prompt
        for history in claim.histories
    )


def test_a_reply_told_only_as_before_is_the_baseline():
    shown = Example(item="a", reply="new", status="fail", before="old", before_status="pass")
    claim = cases.RunResults(
        header=material.case()[0].header, verdicts=(), findings=(finding("train.0.dpo", [shown], against="baseline"),)
    ).claims[0]
    assert [(step.stage, step.reply) for step in claim.histories[0].steps] == [
        ("baseline", "old"),
        ("train.0.dpo", "new"),
    ]
    assert claim.histories[0].change == "worse"
    alone = cases.RunResults(
        header=material.case()[0].header, verdicts=(), findings=(finding(exhibits=[Example(item="a", status="fail")]),)
    ).claims[0]
    assert alone.histories[0].change == "failing"


def test_only_the_items_shown_last_are_shown_with_every_stage_known():
    old = finding(exhibits=[Example(item="a", reply="1"), Example(item="gone", reply="0")])
    middle = finding("train.0.sft", [Example(item="a", reply="2")])
    change = finding(
        "train.1.dpo",
        [Example(item="a", reply="3", before="2"), Example(item="b", reply="9", before="8")],
        against="train.0.sft",
    )
    claim = cases.RunResults(header=material.case()[0].header, verdicts=(), findings=(change, middle, old)).claims[0]
    seen = {history.item: [(step.stage, step.reply) for step in history.steps] for history in claim.histories}
    assert seen == {
        "a": [("baseline", "1"), ("train.0.sft", "2"), ("train.1.dpo", "3")],
        "b": [("train.0.sft", "8"), ("train.1.dpo", "9")],
    }


def test_unreadable_files_are_pointed_at(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"findings\.jsonl: no such file; a report is made of"):
        read(tmp_path)
    answers, findings = material.case()
    material.write(tmp_path, answers, findings[:2])
    lines = (tmp_path / "findings.jsonl").read_text().splitlines()
    broken = json.loads(lines[1]) | {"n": -1}
    (tmp_path / "findings.jsonl").write_text(lines[0] + "\n\n" + json.dumps(broken))
    with pytest.raises(ValueError, match=r"findings\.jsonl:3: n: .*not a Finding record"):
        read(tmp_path)
    (tmp_path / "findings.jsonl").write_text(lines[0] + "\n{")
    with pytest.raises(ValueError, match=r"findings\.jsonl:2: the whole: "):
        read(tmp_path)
    (tmp_path / "findings.jsonl").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="not UTF-8"):
        read(tmp_path)


def test_exit_code_is_that_of_the_promises(tmp_path):
    answers, findings = material.case()
    assert exit_code(read(material.write(tmp_path, answers, findings))) == 1
    for seen, code in ((("kept",), 0), (("kept", "untested"), 3), (("broken", "kept"), 1)):
        some = answers.model_copy(update={"verdicts": tuple(v for v in answers.verdicts if v.answer in seen)})
        assert exit_code(read(material.write(tmp_path, some, findings))) == code


def test_rendering_writes_two_files_the_same_every_time_and_without_torch(tmp_path):
    material.write(tmp_path, *material.case())
    render(tmp_path)
    first = [(tmp_path / name).read_bytes() for name in ("report.html", "README.md")]
    code = (
        "import sys, pathlib, alignwright.report as r; r.render(pathlib.Path(sys.argv[1])); "
        "sys.exit(bool({'torch', 'transformers', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0
    assert [(tmp_path / name).read_bytes() for name in ("report.html", "README.md")] == first


def test_a_claim_and_a_stage_are_called_what_the_run_stored_of_them(tmp_path: Path) -> None:
    """The report has no list: a claim and a method that nobody has heard of get their own titles, and a run that
    stored none shows code names."""
    claims = (
        Claim(name="taste.tea", title="Tea preferred", axis="value", part="leaf"),
        Claim(name="taste.tea.*", title="Tea preferred", axis="value"),
        corrected(Claim(name="taste.tea", title="Tea preferred", axis="value")),
    )
    header = material.case()[0].header.model_copy(update={"titles": {"train.0.brewing": "steeping"}})
    for stored in (claims, ()):
        report = PromiseReport(header=header if stored else material.case()[0].header, verdicts=(), claims=stored)
        case = cases.read(material.write(tmp_path / str(len(stored)), report, [finding(claim="taste.tea")]))
        names = ("taste.tea", "taste.tea.earl_grey", "taste.tea.be_kind", "taste.tea.corrected", "taste.coffee")
        titles = [case.title(name) for name in names]
        if stored:
            fair = "Tea preferred, corrected for the grader's errors"
            assert titles == ["Tea preferred", "earl grey", "Be kind", fair, "taste.coffee"]
            assert (case.part("taste.tea"), case.stage("train.0.brewing")) == ("leaf", "After steeping")
        else:
            assert titles == list(names)
            assert (case.part("taste.tea"), case.stage("train.0.brewing")) == ("part", "train.0.brewing")


def test_replies_that_may_be_harmful_are_known_by_the_claim_and_unknown_is_taken_for_yes(tmp_path: Path) -> None:
    case = cases.read(material.write(tmp_path, *material.case()))
    names = ("attack.success.roleplay", "value.refusal", "value.over_refusal", "intent.pushback", "taste.tea")
    assert [case.harmful(name) for name in names] == [True, True, False, False, True]
