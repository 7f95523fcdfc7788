"""Does the check read all data, and keep what is measured apart from what is trained on?"""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_case import SPEC, jsonl, pair, write

from alignwright.experiment.check import check
from alignwright.experiment.load import SpecError


def problems(path: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        check(path)
    return [line.replace(f"{path.parent}/", "") for line in caught.value.problems]


def test_a_right_experiment_is_summed_up(tmp_path: Path) -> None:
    path = write(tmp_path)
    jsonl(
        tmp_path / "prompts.jsonl",
        {"prompt": "What is rain?"},
        {"prompt": "What is rain?"},
        {"prompt": "What is snow?"},
    )
    report = check(path)
    lines = "\n".join(report.lines).replace(f"{tmp_path}/", "")
    assert "model: owner/name (hub)" in lines
    assert "intent.constitution: c.md: 2 principles, 1 example pairs" in lines
    assert "intent.prompts.0: prompts.jsonl: 3 rows, 1 duplicate" in lines
    assert "measure.0.value.pairs.0: held.jsonl: 2 rows" in lines
    assert report.rejected == ()


def test_bad_rows_stop_the_check_unless_allowed(tmp_path: Path) -> None:
    path = write(tmp_path)
    jsonl(tmp_path / "pairs.jsonl", pair("Is water wet?"), {"prompt": "x", "chosen": "a", "rejected": "a"})
    assert problems(path)[0] == "spec.yaml:6: intent.pairs.0: pairs.jsonl:2: chosen and rejected are the same"
    report = check(path, ["intent.bad_rows=0.5"])
    assert [(bad.row, bad.reason) for bad in report.rejected] == [(2, "chosen and rejected are the same")]


def test_every_broken_file_is_told(tmp_path: Path) -> None:
    path = write(tmp_path)
    jsonl(tmp_path / "pairs.jsonl", {"x": 1})
    jsonl(tmp_path / "refusal.jsonl", {"prompt": "Do harm.", "kind": "evil"})
    places = {line.split(": ")[1] for line in problems(path)}
    assert places == {"intent.pairs.0", "attack.0.suite.prompts.0", "measure.0.value.prompts.0"}


@pytest.mark.parametrize("same", ["IS  water wet?", "What is rain?", "Is the moon made of cheese?"])
def test_contamination_names_both_rows(tmp_path: Path, same: str) -> None:
    """A measured prompt that is a training pair's, a training prompt or a constitution's
    example, whatever its case and spacing."""
    path = write(tmp_path)
    jsonl(tmp_path / "held.jsonl", pair("Is fire hot?"), pair(same))
    (line,) = problems(path)
    assert line.startswith(
        "spec.yaml:19: measure.0.value.pairs.0: held.jsonl:2 is measured, but the same prompt is trained on: "
    )
    assert line.endswith(("pairs.jsonl:1", "prompts.jsonl:1", "an example of 'do_not_lie' in c.md"))


HIDDEN = [
    "Is water\u200b wet?",
    "Is water wet",
    "  is WATER\u00a0wet ? ",
    "\uff29\uff53 water wet\uff1f",
    "Is wa\u00adter wet?!",
]
HIDDEN += ["\u201cIs water wet?\u201d"]
"""The same question to a model and to a reader: what cannot be seen, other widths, another end."""


@pytest.mark.parametrize("same", HIDDEN)
def test_contamination_and_duplicates_compare_what_is_asked(tmp_path: Path, same: str) -> None:
    path = write(tmp_path)
    jsonl(tmp_path / "held.jsonl", pair("Is fire hot?"), pair(same))
    (line,) = problems(path)
    assert "held.jsonl:2 is measured, but the same prompt is trained on: pairs.jsonl:1" in line
    jsonl(tmp_path / "held.jsonl", pair("Is fire hot?"))
    jsonl(
        tmp_path / "pairs.jsonl",
        pair("Is water wet?"),
        pair(same),
        pair("Is water wet?", "be_kind"),
        pair("Is water dry?"),
    )
    (line,) = [line for line in check(path).lines if "pairs.jsonl" in line]
    assert line.endswith("pairs.jsonl: 4 rows, 1 duplicate")


@pytest.mark.parametrize(
    "other", ["Is water wot?", "Is wat\u00e9r wet?", "Iswater wet?", "?", "\u6c34\u306f\u6fe1\u308c"]
)
def test_what_reads_otherwise_is_another_prompt(tmp_path: Path, other: str) -> None:
    path = write(tmp_path)
    jsonl(tmp_path / "pairs.jsonl", pair("Is water wet?"), pair("!"))
    jsonl(tmp_path / "held.jsonl", pair(other))
    check(path, ["promises=[]"])


def test_the_same_prompt_as_harmful_and_harmless_is_told(tmp_path: Path) -> None:
    path = write(tmp_path)
    rows = [("Do harm.", "harmful"), ("Do good.", "harmless"), ("do\u200b HARM", "harmless"), ("Do good.", "harmless")]
    jsonl(tmp_path / "refusal.jsonl", *({"prompt": prompt, "kind": kind} for prompt, kind in rows))
    told = [line.partition(": ")[2] for line in problems(path)]
    said = "refusal.jsonl:3: this prompt is harmless, but the same prompt is harmful: refusal.jsonl:1; keep one of them"
    assert told[0] == f"attack.0.suite.prompts.0: {said}"
    assert f"measure.0.value.prompts.0: {said}" in told
    jsonl(tmp_path / "refusal.jsonl", *({"prompt": prompt, "kind": kind} for prompt, kind in rows[:2]))
    check(path)


def test_a_prompt_of_one_kind_in_one_file_and_of_the_other_in_another(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(SPEC.replace("{by: value, prompts: refusal.jsonl", "{by: value, prompts: [other.jsonl]"))
    jsonl(
        tmp_path / "other.jsonl", {"prompt": "Do harm!", "kind": "harmless"}, {"prompt": "Do ill.", "kind": "harmful"}
    )
    (line,) = problems(path)
    assert "other.jsonl:1: this prompt is harmless, but the same prompt is harmful: refusal.jsonl:1" in line


def test_two_files_that_overlap_are_one_line_with_a_count_and_an_example(tmp_path: Path) -> None:
    path = write(tmp_path)
    rows = [pair(f"Is number {place} prime?") for place in range(40)]
    jsonl(tmp_path / "pairs.jsonl", *rows, {"prompt": "Do harm.", "chosen": "a", "rejected": "b"})
    jsonl(tmp_path / "held.jsonl", pair("Is fire hot?"), *rows[10:], pair("What is rain?"))
    told = [line.partition(": ")[2] for line in problems(path)]
    assert told == [
        (
            "attack.0.suite.prompts.0: refusal.jsonl:1 is measured, but the same prompt is trained on: pairs.jsonl:41"
            " (measured under measure.0.value.prompts.0 too)"
        ),
        (
            "measure.0.value.pairs.0: held.jsonl: 30 of 32 rows are measured, but the same prompts are trained on in"
            " pairs.jsonl; the first is held.jsonl:2, pairs.jsonl:11"
        ),
        "measure.0.value.pairs.0: held.jsonl:32 is measured, but the same prompt is trained on: prompts.jsonl:1",
    ]


def test_the_same_question_in_another_conversation_is_another_prompt(tmp_path: Path) -> None:
    path = write(tmp_path)
    talk = [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Is water wet?"},
    ]
    jsonl(tmp_path / "held.jsonl", {"messages": talk, "chosen": "a", "rejected": "b", "principle": "do_not_lie"})
    check(path)


def test_rows_that_cannot_do_their_work(tmp_path: Path) -> None:
    path = write(tmp_path, SPEC.replace("promises:", "- {by: instruction, data: plain.jsonl}\npromises:"))
    jsonl(tmp_path / "plain.jsonl", {"prompt": "No checks here."})
    jsonl(tmp_path / "refusal.jsonl", {"prompt": "Do good.", "kind": "harmless"})
    jsonl(tmp_path / "held.jsonl", pair("Is fire hot?", "do_not_lye"))
    text = "\n".join(problems(path))
    assert "measure.2.instruction.data.0: plain.jsonl:1: has no checks" in text
    assert "attack.0.suite.prompts.0: refusal.jsonl: has no harmful prompts" in text
    assert "held.jsonl:1: no principle 'do_not_lye' in c.md; did you mean 'do_not_lie'?" in text


def test_a_promise_on_data_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path)
    jsonl(tmp_path / "held.jsonl", pair("Is fire hot?", "be_kind"))
    assert problems(path) == ["spec.yaml:24: promises.2: value.pairs has no principle 'do_not_lie'; it has be_kind"]


def test_examples_alone_must_hold_a_pair(tmp_path: Path) -> None:
    path = write(tmp_path, SPEC.replace("  pairs: [pairs.jsonl]\n", ""))
    check(path)
    (tmp_path / "c.md").write_text("# C\n\n## Do not lie\n\nSay what is true.\n")
    assert "feedback.0.written: has nothing to vote on" in "\n".join(problems(path))
