"""Does the tax measure read the public sets as they are, and find in scripted models exactly
what was planted?"""

from __future__ import annotations

import json
import math
import zipfile
from collections import Counter
from decimal import Decimal

import pytest
from claims_case import CLAIMS
from measure_doubles import Likes, Says
from real_data import real

from alignwright.core.records import Conversation, LogProb, Prompt, SampleResult
from alignwright.files.choices import read_choices
from alignwright.files.errors import SpecError
from alignwright.files.items import ChoiceItem, MathItem
from alignwright.files.sources import read_items
from alignwright.measure import tax
from alignwright.measure.findings import differences, levels
from alignwright.text.numbers import final_number


class PerByte(Likes):
    """The given log-probability per byte of each choice."""

    def _score(self, prompt, reply):
        return LogProb(total=self.rate(prompt, reply) * len(reply.encode()), tokens=1, bytes=len(reply.encode()))


def test_the_two_ways_of_choosing_differ_by_length_alone():
    items = [ChoiceItem(question="Q", choices=("no", "a much longer choice"), answer=1)]
    outcomes = tax.choice(PerByte(lambda p, r: -1.0 if r == "no" else -0.5), items)
    assert {o.claim: o.status for o in outcomes} == {"tax.choice": "pass", "tax.choice_sum": "fail"}
    same_length = [ChoiceItem(question="Q", choices=("yes", "nay"), answer=0)]
    assert {o.status for o in tax.choice(PerByte(lambda p, r: -1.0 if r == "yes" else -2.0), same_length)} == {"pass"}


def test_every_file_has_its_own_claim_and_all_together_one():
    items = [ChoiceItem(question=f"Q{i}", choices=("aa", "bb"), answer=i % 2) for i in range(4)]
    policy = PerByte(lambda p, r: -1.0 if r == "aa" else -2.0)
    found = {
        f.claim: (f.value, f.n)
        for f in levels(tax.choice(policy, items, ["arc", "piqa", "arc", "piqa"]), stage="s", claims=CLAIMS)
    }
    assert found == {
        "tax.choice": (0.5, 4),
        "tax.choice.arc": (1.0, 2),
        "tax.choice.piqa": (0.0, 2),
        "tax.choice_sum": (0.5, 4),
    }
    assert {o.claim for o in tax.choice(policy, items, ["arc"] * 4)} == {"tax.choice", "tax.choice_sum"}


def test_rules_without_knowledge_score_what_the_note_says():
    items = [
        ChoiceItem(question=f"Q{i}", choices=("a", "bb", "ccc", "dddd"), answer=place)
        for i, place in enumerate([3, 3, 0, 1])
    ]
    note = tax.choice_note(items)
    assert "guessing 25.0%, the longest choice 50.0%, the shortest 25.0%, one place always 50.0%" in note
    tied = [ChoiceItem(question="Q", choices=("aa", "bb"), answer=0)]
    assert "the longest choice 50.0%, the shortest 50.0%" in tax.choice_note(tied)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2 + 2\n#### 4", 4), ("#### -3.50", Decimal("-3.5")), ("so\n#### $1,250\n\n", 1250), ("#### 18.", 18),
        ("####18", 18),
        ("The answer is 4", None), ("#### 4\nI think", None), ("#### 4\n#### 5", None), ("#### 4 or 5", None),
        ("#### 1,25", None),
        ("#### four", None), ("", None), ("#### 12 apples", None), ("as #### 4", None),
    ],
)  # fmt: skip
def test_a_final_number_is_read_strictly(text, number):
    assert final_number(text) == number


def test_format_and_rightness_are_told_apart():
    items = [MathItem(question=f"Q{i}", answer="so\n#### 1,250") for i in range(5)]
    outcomes = tax.problems(
        Says(["#### 1250.0", "#### 1251", "it is 1250", "#### 1250\n#### 7", None]), items, seed=0, max_new_tokens=9
    )
    statuses = {claim: [o.status for o in outcomes if o.claim == claim] for claim in ("tax.math", "tax.math_format")}
    assert statuses["tax.math"] == ["pass", "fail", "fail", "fail", "error"]
    assert statuses["tax.math_format"] == ["pass", "pass", "fail", "fail", "error"]
    with pytest.raises(ValueError, match="should be a number"):
        MathItem(question="Q", answer="four")


def prompts(n):
    return [Prompt(conversation=Conversation.user(f"p{i}")) for i in range(n)]


def test_the_form_of_replies():
    loop, fine = "I like it very much. " * 6, "One day a grey cat walked over the wall and slept there until noon."
    outcomes = tax.generation(Says([loop, fine, "Yes."]), prompts(3), seed=0, max_new_tokens=9)
    of = {
        claim.rpartition(".")[2]: [o for o in outcomes if o.claim == claim]
        for claim in Counter(o.claim for o in outcomes)
    }
    assert [o.status for o in of["loops"]] == ["fail", "pass", "pass"]
    assert [o.status for o in of["distinct"]] == ["pass", "pass", "unscored"]
    assert of["distinct"][1].value == 1.0
    assert of["distinct"][0].value == pytest.approx(5 / 29)
    assert [o.value for o in of["length"]] == [30.0, 14.0, 1.0]
    assert {o.status for o in of["ended"]} == {"pass"}
    cut = tax.generation(Says([fine], finished=False), prompts(1), seed=0, max_new_tokens=9)
    assert [o.status for o in cut if o.claim == "tax.generation.ended"] == ["fail"]
    found = {f.claim: (f.value, f.better) for f in levels(outcomes, stage="s", claims=CLAIMS)}
    assert found["tax.generation.loops"] == (pytest.approx(1 / 3), "lower")
    assert found["tax.generation.length"][1] is None


def answered(right, n):
    return [
        SampleResult(
            claim="tax.choice",
            item=f"i{i}",
            status="pass" if i < right else "fail",
            value=float(i < right),
            cluster=f"i{i}",
        )
        for i in range(n)
    ]


def test_a_difference_says_whether_a_tax_beyond_the_margin_is_ruled_out():
    def note(after, before, n, margin=0.02):
        (found,) = differences(
            answered(after, n),
            answered(before, n),
            stage="s",
            against="baseline",
            margins=lambda claim: margin,
            claims=CLAIMS,
        )
        return found.note, found.method

    assert note(500, 500, 1000)[0].startswith("no tax beyond 2 points")
    assert note(400, 500, 1000)[0].startswith("tax shown")
    assert note(20, 20, 40)[0].startswith("undecided")
    assert note(600, 500, 1000)[0].startswith("no tax beyond 2 points")  # a gain is no tax
    assert "margin 0.02 by one-sided tests at 5%" in note(500, 500, 1000)[1]
    (plain,) = differences(answered(5, 9), answered(5, 9), stage="s", against="baseline", claims=CLAIMS)
    assert "tax" not in plain.note


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_the_public_forms_of_choices(tmp_path):
    arc = {"id": "x", "question": "Q?", "choices": {"text": ["one", "two"], "label": ["A", "B"]}, "answerKey": "B"}
    piqa, mmlu = (
        {"goal": "Q?", "sol1": "one", "sol2": "two"},
        {
            "question": "Q?",
            "subject": "law",
            "choices": ["one", "two"],
            "answer": 1,
        },
    )
    wanted = ChoiceItem(question="Q?", choices=("one", "two"), answer=1)
    assert read_choices(write(tmp_path / "arc.jsonl", json.dumps(arc))).rows == (wanted,)
    assert read_choices(write(tmp_path / "piqa.jsonl", json.dumps(piqa | {"label": 1}))).rows == (wanted,)
    assert read_choices(write(tmp_path / "mmlu.jsonl", json.dumps(mmlu))).rows == (
        wanted.model_copy(update={"topic": "law"}),
    )
    assert read_choices(write(tmp_path / "bare.csv", '"Q?",one,two,B\n"Q?",one,two,B\n')).rows == (wanted, wanted)
    headed = read_choices(write(tmp_path / "headed.csv", 'question,choices,answer\nQ?,"[""one"", ""two""]",1\n'))
    assert headed.rows == (wanted,)
    with pytest.raises(SpecError, match="no 'label'"):
        read_choices(write(tmp_path / "valid.jsonl", json.dumps(piqa)))
    write(tmp_path / "valid-labels.lst", "1\n")
    assert read_choices(tmp_path / "valid.jsonl").rows == (wanted,)


def test_rows_and_archives_that_cannot_be_read_are_said(tmp_path):
    with pytest.raises(SpecError, match=r"the last .E."):
        read_choices(write(tmp_path / "bad.csv", "Q,one,two,A\nQ,one,two,E\n"))
    unkeyed = {"question": "Q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "C"}
    with pytest.raises(SpecError, match="one of A, B, saw the text 'C'"):
        read_choices(write(tmp_path / "k.jsonl", json.dumps(unkeyed)))
    with pytest.raises(SpecError, match="zip file"):
        read_choices(write(tmp_path / "no.zip", "text"))
    with zipfile.ZipFile(tmp_path / "torn.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a_test.csv", "".join(f"Q{n * n},one,two,A\n" for n in range(500)))
    torn = bytearray((tmp_path / "torn.zip").read_bytes())
    torn[60:200] = bytes(140)
    (tmp_path / "torn.zip").write_bytes(torn)
    with pytest.raises(SpecError, match="cannot be read as a zip file"):
        read_choices(tmp_path / "torn.zip")
    (tmp_path / "x-labels.lst").write_bytes(b"\xff\xfe1")
    with pytest.raises(SpecError, match="not text in UTF-8"):
        read_choices(write(tmp_path / "x.jsonl", json.dumps({"goal": "Q?", "sol1": "one", "sol2": "two"})))
    odd = {"question": "Q", "choices": {"text": ["a", "b"], "label": {"A": 1}}, "answerKey": "A"}
    with pytest.raises(SpecError, match=r"two lists of one length .read as CommonsenseQA"):
        read_choices(write(tmp_path / "odd.jsonl", json.dumps(odd)))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a_test.csv", "Q,one,two,A\n" * 6_000_000)
    with pytest.raises(SpecError, match="unpack"):
        read_choices(tmp_path / "bomb.zip")


@pytest.mark.data
def test_published_sets_have_their_published_sizes():
    easy = read_choices(real("smart_mc/datasets/ai2_arc/test/ARC-Easy_test.csv")).rows
    hard = read_choices(real("smart_mc/datasets/ai2_arc/test/ARC-Challenge_test.csv")).rows
    assert len(easy) + len(hard) == 3530
    assert len(read_choices(real("piqa/valid.jsonl")).rows) == 1838
    mmlu = read_choices(real("mmlu_zip/mmlu.zip"), bad_rows=0.001)
    assert (len(mmlu.rows) + len(mmlu.rejected), len({row.topic for row in mmlu.rows})) == (14042, 57)
    assert all("two choices are the same" in row.reason for row in mmlu.rejected)
    assert "guessing 25.0%" in tax.choice_note(easy)
    assert all(0.2 < math.fsum(row.answer == place for row in easy) / len(easy) < 0.3 for place in range(4))


@pytest.mark.data
def test_the_strict_parser_agrees_with_every_published_label():
    """1,319 problems with four real solutions each, marked right or wrong by their authors."""
    rows = [json.loads(line) for line in real("gsm8k/example_model_solutions.jsonl").read_text().splitlines()]
    right = Counter()
    for row in rows:
        truth = final_number(row["ground_truth"], "A:")
        for solver in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
            found = final_number(row[solver]["solution"], "A:")
            assert (found is not None and found == truth) == row[solver]["is_correct"]
            right[solver] += row[solver]["is_correct"]
    assert [*right.values()] == [286, 515, 458, 742]
    assert len(read_items(real("gsm8k/test.jsonl"), MathItem).rows) == 1319
