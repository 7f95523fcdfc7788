"""What would stop a run halfway is told by `check`, with file and row: a template that refuses
or leaves out, a prompt that is too long, an adapter that does not fit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from run_case import make_project
from tiny import TEMPLATE, make_tiny, make_tokenizer
from typer.testing import CliRunner

from alignwright.cli import app
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
from alignwright.files.quantization import why_not_quantized
from alignwright.run import model_check as fitting
from alignwright.run.align import Request, align
from alignwright.run.console import screen
from alignwright.run.progress import View

STRICT = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
)
SILENT = TEMPLATE.replace("{{ '<|im_start|>'", "{% if message['role'] != 'system' %}{{ '<|im_start|>'")
SILENT = SILENT.replace("'\n' }}{% endfor %}", "'\n' }}{% endif %}{% endfor %}")
THOUGHTFUL = (
    "(message['content'] if loop.last or message['role'] != 'assistant' else message['content'].split('</think>')[-1])"
)
PLACES = [("pairs", "intent.pairs"), ("instruction", "measure.0.instruction.data"), ("held", "measure.1.value.pairs")]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def rows(spec: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (spec.parent / f"{name}.jsonl").read_text().splitlines()]


def write(spec: Path, name: str, found: list[dict[str, Any]]) -> None:
    (spec.parent / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))


def problems(spec: Path) -> list[str]:
    checked = check(spec)
    try:
        fitting.check_fit(checked.experiment, checked.files)
    except SpecError as error:
        return [problem.replace(str(spec.parent), "") for problem in error.problems]
    return []


def test_a_sound_project_fits(spec: Path) -> None:
    assert problems(spec) == []


@pytest.mark.parametrize(
    ("template", "words"), [(STRICT, "refuses a conversation of system, user: System role"), (SILENT, "leaves out")]
)
@pytest.mark.parametrize(("name", "place"), PLACES)
def test_a_role_without_a_place_is_told_with_file_row_count_and_cure(
    spec: Path, template: str, words: str, name: str, place: str
) -> None:
    make_tokenizer(template).save_pretrained(spec.parent / "model")
    found = rows(spec, name)
    for row in found[4:7]:
        row["system"] = "Be brief."
    write(spec, name, found)
    (problem,) = problems(spec)
    assert problem.startswith(f"{place}: /{name}.jsonl:5: the model's chat template {words}")
    assert problem.endswith("(3 of 12 rows)")
    assert "write the system's text at the head of the first user message" in problem


def test_conversations_to_learn_from_are_looked_at_with_all_their_turns(spec: Path) -> None:
    said = [("user", "a"), ("assistant", "<think>hm</think>b"), ("user", "c"), ("assistant", "d")]
    talk = [{"role": role, "content": content} for role, content in said]
    write(spec, "talks", [{"messages": talk[:2]}, {"messages": talk}])
    spec.write_text(spec.read_text().replace("data: chosen", "data: [chosen, talks.jsonl]"))
    assert problems(spec) == []
    make_tokenizer(TEMPLATE.replace("message['content']", THOUGHTFUL)).save_pretrained(spec.parent / "model")
    (problem,) = problems(spec)
    assert "/talks.jsonl:2: the chat template rewrites earlier turns" in problem
    assert "turns: last" in problem
    spec.write_text(spec.read_text().replace("talks.jsonl]", "talks.jsonl], turns: last"))
    assert problems(spec) == []


@pytest.mark.parametrize(
    ("name", "change", "place"),
    [
        ("refusal", {"prompt": "x " * 600}, "measure.1.value.prompts"),
        ("instruction", {"prompt": "x " * 600}, "measure.0.instruction.data"),
        ("held", {"chosen": "x " * 600}, "measure.1.value.pairs"),
    ],
)
def test_a_prompt_that_leaves_no_room_is_told_with_file_and_row(
    spec: Path, name: str, change: dict[str, str], place: str
) -> None:
    make_tiny(spec.parent / "model", max_position_embeddings=600)
    assert problems(spec) == []
    found = rows(spec, name)
    found[3] |= change
    write(spec, name, found)
    told = [problem for problem in problems(spec) if problem.startswith(place)]
    assert len(told) == 1
    assert re.search(
        rf"/{name}.jsonl:4: .* more than the model's context of 600 tokens \(1 of {len(found)} rows\); shorten or"
        r" split",
        told[0],
    )


def test_a_prompt_that_just_fits_with_its_reply_is_let_through(spec: Path) -> None:
    make_tiny(spec.parent / "model", max_position_embeddings=600)
    found = rows(spec, "instruction")
    for count, fits in ((500, True), (700, False)):
        found[0]["prompt"] = "x" * count
        write(spec, "instruction", found)
        assert (problems(spec) == []) is fits


def test_long_texts_of_the_tax_are_no_trouble(spec: Path) -> None:
    make_tiny(spec.parent / "model", max_position_embeddings=600)
    write(spec, "text", [{"text": "The sun. " * 500, "topic": f"t{i}"} for i in range(4)])
    assert problems(spec) == []


def test_of_many_rows_every_order_of_roles_is_looked_at(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MOST", 2)
    make_tokenizer(STRICT).save_pretrained(spec.parent / "model")
    found = rows(spec, "instruction")
    found[7]["system"] = found[8]["system"] = "Be brief."
    write(spec, "instruction", found)
    (problem,) = problems(spec)
    assert "instruction.jsonl:8: " in problem
    assert problem.endswith("(2 of 12 rows)")


@pytest.mark.skipif(why_not_quantized() is not None, reason=f"{why_not_quantized()}")
def test_over_4_bits_the_advice_is_not_what_would_be_refused_too(spec: Path) -> None:
    path = spec.parent / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_local_experts": 4}))
    spec.write_text(spec.read_text().replace("model: ./model", "model: ./model\nquantization: nf4"))
    (problem,) = problems(spec)
    assert "train all weights" not in problem
    assert problem.endswith("only an adapter over them: use another model")


def test_an_adapter_over_fused_experts_is_refused_by_check(spec: Path) -> None:
    path = spec.parent / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_local_experts": 4}))
    (problem,) = problems(spec)
    assert problem.startswith("train: an adapter of rank 2 cannot be put over this model: it is a mixture of 4 experts")
    assert "train all weights with 'rank: 0'" in problem
    spec.write_text(spec.read_text().replace("rank: 2", "rank: 0"))
    assert problems(spec) == []


def test_a_contrast_needs_a_place_for_its_principle(spec: Path) -> None:
    spec.write_text(
        spec.read_text().replace(
            "- {by: judge, no_signal: skip, check_pairs: 8}", "- {by: contrast, no_signal: skip, check_pairs: 8}"
        )
    )
    assert problems(spec) == []
    make_tokenizer(STRICT).save_pretrained(spec.parent / "model")
    (problem,) = problems(spec)
    assert problem.startswith(
        "feedback.2.contrast: it puts the principle into a system message, and the model's chat template refuses"
    )


def test_check_and_align_stop_before_anything_is_done(spec: Path, tmp_path: Path) -> None:
    make_tokenizer(STRICT).save_pretrained(spec.parent / "model")
    found = rows(spec, "held")
    found[0]["system"] = "Be brief."
    write(spec, "held", found)
    again = CliRunner().invoke(app, ["check", str(spec)])
    assert isinstance(again.exception, SpecError)
    assert "held.jsonl:1: " in str(again.exception)
    assert CliRunner().invoke(app, ["check", str(spec), "--quick"]).exit_code == 0
    with pytest.raises(SpecError, match=r"held\.jsonl:1: "):
        align(Request(spec, runs=tmp_path / "runs"), View(screen()))
    assert not list((tmp_path / "runs").glob("*/stages/*"))


PLAIN = """
name: plain
effort: demo
model: ./model
train:
- {by: pretrain, text: [text.jsonl], epochs: 1, rank: 2, batch_tokens: 200}
measure:
- {by: tax, text: [held.jsonl]}
"""


@pytest.mark.parametrize(
    "needs", ["", "- {by: tax, prompts: [prompts.jsonl]}\n", "- {by: world, world: edited_tests}\n"]
)
def test_a_model_without_a_template_learns_and_reads_plain_text_alone(tmp_path: Path, needs: str) -> None:
    spec = make_project(tmp_path / "project")
    (spec.parent / "model" / "chat_template.jinja").unlink()
    make_tokenizer(None).save_pretrained(spec.parent / "model")
    write(spec, "held", [{"text": f"The evening is {i}.", "topic": f"t{i}"} for i in range(4)])
    spec.write_text(PLAIN + needs)
    if needs:
        (problem,) = problems(spec)
        assert re.match(
            r"measure.1.(tax|world): this is a base model: it has no chat template.*write 'chat: chatml'", problem
        )
        return
    assert CliRunner().invoke(app, ["check", str(spec)]).exit_code == 0
    run = align(Request(spec, runs=tmp_path / "runs"), View(screen()))
    assert any('"tax.bits_per_byte"' in line for line in (run / "findings.jsonl").read_text().splitlines())
    assert (run / "model" / "config.json").is_file()
