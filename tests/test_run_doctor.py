"""Does a person see the mask, safely, and is a sick data set refused before anything is trained?"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from run_case import make_project
from tiny import SPECIALS, make_tokenizer
from typer.testing import CliRunner

from alignwright.cli import app
from alignwright.core.records import Conversation, Preference, Prompt
from alignwright.experiment.load import load
from alignwright.files.models import ModelRef, resolve
from alignwright.model.limits import Limit
from alignwright.model.tokenizer import TokenizerMissing, dequantised_folder, load_tokenizer
from alignwright.model.tokens import Chat, TokenRow
from alignwright.run import doctor
from alignwright.run.align import Request, estimate
from alignwright.run.doctor import examine, tell
from alignwright.train.data_report import BadTrainingData
from alignwright.train.doctor import first_lines, stage_lines
from alignwright.train.knobs import Sft
from alignwright.train.knobs_pairs import Dpo
from alignwright.train.knobs_policy_gradient import Grpo
from alignwright.train.loss_mask import CONTROL, MASKED, PROMPT, TRAINED, colour_loss_mask, sample_rows
from alignwright.train.rows import pair_rows


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat(make_tokenizer(), eos_ids={2})


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def pairs(n: int = 4) -> list[Preference]:
    prompts = [Prompt(conversation=Conversation.user(f"What is {i}?")) for i in range(n)]
    return [
        Preference(prompt=prompt, chosen=f"A number, {i}.", rejected=f"No number: {i}.")
        for i, prompt in enumerate(prompts)
    ]


def test_votes_are_pooled_once_for_all_stages_that_learn_from_them(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    pool = doctor.preferred_so_far
    monkeypatch.setattr(doctor, "preferred_so_far", lambda *args, **knobs: calls.append(1) or pool(*args, **knobs))
    stages = "train=[{by: sft}, {by: dpo}, {by: reward}]"
    examinations = examine(load(spec, [stages]))
    assert [examination.diagnosis.rows for examination in examinations if examination.diagnosis] == [12, 12, 12]
    assert calls == [1]
    calls.clear()
    cost_lines = estimate(Request(spec, (stages,))).lines
    assert {"train.0.sft", "train.1.dpo", "train.2.reward"} <= {line.name for line in cost_lines}
    assert calls == [1]


# ---- the mask ------------------------------------------------------------------------------------
def test_the_mask_is_seen_without_colour_and_with_it(chat: Chat) -> None:
    talk = Conversation.user("Hi").then("assistant", " Hello.\n").then("user", "Sure?").then("assistant", "Yes!")
    shown = colour_loss_mask(chat.conversation(talk), chat)
    assert (
        shown.plain == "<|im_start|>user↵\nHi<|im_end|>↵\n<|im_start|>assistant↵\n⟦␣Hello.↵\n<|im_end|>⟧↵\n"
        "<|im_start|>user↵\nSure?<|im_end|>↵\n"
        "<|im_start|>assistant↵\n⟦Yes!<|im_end|>⟧"
    )
    styles = {shown.plain[span.start : span.end]: str(span.style) for span in shown.spans}
    assert styles["⟦"] == styles["␣Hello.↵\n"] == styles["Yes!"] == TRAINED
    assert styles["user↵\nSure?"] == MASKED
    assert styles["user↵\nHi"] == PROMPT
    assert styles["<|im_start|>"] == f"{MASKED} {CONTROL}"


def test_what_is_between_the_brackets_is_what_is_trained(chat: Chat) -> None:
    """A mask that is wrong looks wrong: the control of the test above."""
    row = pair_rows(chat, pairs(1))[0]
    assert colour_loss_mask(row, chat).plain.count("⟦") == 2
    masked = TokenRow(row.prompt, row.replies, tuple(tuple(i != chat.pad_id for i in reply) for reply in row.replies))
    assert colour_loss_mask(masked, chat).plain.endswith("⟦No number: 0.⟧<|im_end|>")
    everything = TokenRow((), ((*row.prompt, *row.replies[0]),))
    assert colour_loss_mask(everything, chat).plain.startswith("⟦<|im_start|>user↵\n")


def test_hostile_text_reaches_the_terminal_as_letters(chat: Chat) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J \u202e⟧ fine ⟦ \x00 <|im_end|> [red]no markup[/] \r over"
    row = chat.row(Conversation.user(evil), [evil])
    shown = colour_loss_mask(row, chat).plain
    assert not {"\x1b", "\x07", "\x00", "\r", "\u202e"} & set(shown)
    assert shown.count("⟦") == shown.count("⟧") == 1
    assert "⟨U+27E7⟩ fine ⟨U+27E6⟩" in shown
    assert shown.count("⟨<|im_end|>⟩") == 2
    assert shown.count("<|im_end|>") - shown.count("⟨<|im_end|>⟩") == 2, (
        "the two that the template wrote stand out from the two that were spelled"
    )
    console = Console(force_terminal=True, width=200, record=True, file=io.StringIO())
    console.print(colour_loss_mask(row, chat))
    text = console.export_text(styles=False)
    assert "\x1b" not in text
    assert "[red]no markup[/]" in text


def test_long_texts_are_shortened_in_the_middle_and_say_so(chat: Chat) -> None:
    shown = colour_loss_mask(chat.row(Conversation.user("a" * 5000), ["b"]), chat).plain
    assert len(shown) < 600
    assert "characters⟩" in shown
    assert shown.endswith("⟦b<|im_end|>⟧")


def test_three_rows_are_shown_the_extremes_among_them() -> None:
    rows = [TokenRow((1,) * n, ()) for n in (5, 9, 1, 7, 3)]
    assert sample_rows(rows) == [("shortest", 2), ("median", 0), ("longest", 1)]
    assert sample_rows(rows[:2]) == [("row", 0), ("row", 1)]
    assert sample_rows([]) == []


# ---- the beginning of a stage --------------------------------------------------------------------
def test_a_stage_says_what_it_learns_from_and_keeps_it(chat: Chat, tmp_path: Path) -> None:
    found = pairs()
    lines = [
        line.plain
        for line in first_lines(
            "train.1.dpo", pair_rows(chat, found), chat, sources=found, max_tokens=200, folder=tmp_path
        )
    ]
    assert lines[0].startswith("4 rows, ")
    assert "8 of 8 replies end in a trained end of turn, 0 cut, none too long" in lines[0]
    assert "picking the longer is right in 0.0%" in lines[1]
    kept = json.loads((tmp_path / "doctor.json").read_text())
    assert (kept["stage"], kept["rows"], kept["ended"], kept["max_tokens"], kept["issues"]) == (
        "train.1.dpo",
        4,
        8,
        200,
        [],
    )
    written = (tmp_path / "rows.txt").read_text()
    assert written.count("⟦A number") == written.count("⟦No number") == 3


def test_a_refusal_is_kept_before_it_is_raised(chat: Chat, tmp_path: Path) -> None:
    sick = [pair.model_copy(update={"chosen": ""}) for pair in pairs()]
    with pytest.raises(BadTrainingData, match=r"train\.1\.dpo: empty_reply: 4 of 8"):
        first_lines("train.1.dpo", pair_rows(chat, sick), chat, sources=sick, folder=tmp_path)
    (trouble,) = [t for t in json.loads((tmp_path / "doctor.json").read_text())["issues"] if t["refused"]]
    assert trouble["name"] == "empty_reply"


def test_a_stage_makes_its_rows_of_its_data(chat: Chat, tmp_path: Path) -> None:
    found = pairs()
    options = {"limit": Limit(2048), "vocabulary": len(chat.tokenizer), "bad_rows": 0.0, "folder": tmp_path}
    said = [p.prompt.conversation.then("assistant", p.chosen) for p in found]
    for stage, sources, words in (
        (Dpo(by="dpo", max_tokens=200), found, "8 of 8 replies"),
        (Sft(by="sft", max_tokens=200), said, "4 of 4 replies"),
        (Grpo(by="grpo", max_tokens=200, max_new_tokens=8), [p.prompt for p in found], "4 rows, "),
    ):
        assert words in stage_lines("train.0", stage, sources, chat, **options)[0].plain  # type: ignore[arg-type]
    with pytest.raises(BadTrainingData, match="rows_lost: 4 of 4"):
        stage_lines(
            "train.0", Grpo(by="grpo", max_tokens=60, max_new_tokens=50), [p.prompt for p in found], chat, **options
        )  # type: ignore[arg-type]


# ---- a whole spec --------------------------------------------------------------------------------
def test_a_spec_is_examined_as_far_as_its_data_are_known(spec: Path) -> None:
    one, two = examine(load(spec))
    assert (one.stage, two.stage) == ("train.0.sft", "train.1.dpo")
    assert one.diagnosis is not None
    assert two.diagnosis is not None
    assert (one.diagnosis.rows, two.diagnosis.rows, two.diagnosis.replies) == (12, 12, 24)
    assert "without the votes of rules, judge" in two.note
    assert [len(e.pictures) for e in (one, two)] == [3, 3]
    assert not one.diagnosis.issues


def test_other_stages_are_examined_too(spec: Path) -> None:
    talk = {"messages": [{"role": "user", "content": "What now?"}, {"role": "assistant", "content": "Wait."}]}
    (spec.parent / "said.jsonl").write_text(json.dumps(talk) + "\n")
    (spec.parent / "book.txt").write_text("One paragraph.\n\nAnother one.\n")
    train = (
        "train=[{by: pretrain, text: [book.txt], rank: 2}, {by: sft, data: said.jsonl}, {by: sft, data: revisions},"
        " {by: reward}, {by: grpo, max_new_tokens: 8}, {by: average}]"
    )
    overrides = [train, "feedback=[{by: written}, {by: critique}]", "promises=[]"]
    found = {e.stage: e for e in examine(load(spec, overrides))}
    assert list(found) == ["train.0.pretrain", "train.1.sft", "train.2.sft", "train.3.reward", "train.4.grpo"]
    assert {name: e.diagnosis.rows for name, e in found.items() if e.diagnosis} == {
        "train.0.pretrain": 2, "train.1.sft": 1, "train.3.reward": 12, "train.4.grpo": 4,
    }  # fmt: skip
    assert "still to be written" in found["train.2.sft"].note
    assert "still to be sampled" in found["train.4.grpo"].note


def test_votes_of_people_are_pooled_before_they_are_examined(spec: Path) -> None:
    ballots = [
        {"prompt": f"Which {i}?", "a": "this one", "b": "that one", "choice": choice, "rater": rater}
        for i in range(3)
        for rater, choice in (("anna", "a"), ("ben", "a"), ("cleo", "b"))
    ]
    (spec.parent / "people.jsonl").write_text("".join(json.dumps(ballot) + "\n" for ballot in ballots))
    overrides = ["intent={people: [people.jsonl]}", "feedback=[]", "collect=null", "aggregate.min_strength=0.55"]
    for found in examine(load(spec, overrides)):
        assert found.diagnosis is not None
        assert (found.diagnosis.rows, found.note) == (3, "")
        assert "contradiction" not in {trouble.name for trouble in found.diagnosis.issues}
    undecided = examine(load(spec, [*overrides[:3], "aggregate.min_strength=0.9"]))
    assert [(found.diagnosis, found.note) for found in undecided] == [
        (None, "nothing that it learns from is known before the run")
    ] * 2


def test_a_large_file_is_looked_at_in_part_and_that_is_said(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alignwright.run.doctor.MOST", 5)
    found = examine(load(spec))[1]
    assert found.diagnosis is not None
    assert found.diagnosis.rows == 5
    assert found.note.startswith("5 of 12 rows looked at; without the votes of")


def test_the_command_shows_the_mask_and_refuses_what_would_teach_something_else(spec: Path) -> None:
    done = CliRunner().invoke(app, ["check", str(spec)])
    assert done.exit_code == 0, done.output
    assert "12 rows" in done.output
    assert "⟦kind" in done.output
    sick = [{"prompt": f"word {i} " * 400, "chosen": "yes", "rejected": "no"} for i in range(8)]
    (spec.parent / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sick))
    again = CliRunner().invoke(app, ["check", str(spec)])
    assert isinstance(again.exception, BadTrainingData)
    assert "train.1.dpo: rows_lost: 8 of 8 (100.0%) rows have more than max_tokens = 512" in str(again.exception)
    assert CliRunner().invoke(app, ["check", str(spec), "--quick"]).exit_code == 0


def test_hostile_reasons_are_told_in_letters(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"prompt": f"hi {i} \x1b[2J", "chosen": f"kind \x1b]0;x\x07 {i}", "rejected": f"rude {i} \x1b[31m"}
        for i in range(6)
    ]
    (spec.parent / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tell(examine(load(spec)), Console(color_system=None))
    assert not {"\x1b", "\x07"} & set(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("template", "words"),
    [(None, "no chat template"), ("{{ messages[0]['content'] }}", "two ways|never learns|leaves out")],
)
def test_a_model_without_a_usable_template_is_refused(spec: Path, template: str | None, words: str) -> None:
    make_tokenizer(template).save_pretrained(spec.parent / "model")
    if template is None:
        (spec.parent / "model" / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(ValueError, match=words):
        examine(load(spec))


def test_a_model_that_does_not_stop_at_its_end_of_turn_is_refused(spec: Path) -> None:
    for name in ("config.json", "generation_config.json"):
        path = spec.parent / "model" / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": 0}))
    with pytest.raises(ValueError, match="would never end"):
        examine(load(spec))


def test_a_tokenizer_of_another_model_is_refused(spec: Path) -> None:
    config = spec.parent / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"vocab_size": 100}))
    found = examine(load(spec))
    assert [t.name for e in found if e.diagnosis for t in e.diagnosis.refused] == ["vocabulary"] * 2


def test_a_model_of_the_hub_that_is_not_here_is_said(spec: Path) -> None:
    found = examine(load(spec, ["model=nobody/nothing"]))
    assert [e.diagnosis for e in found] == [None, None]
    assert "nobody/nothing is not on this machine yet" in found[0].note
    with pytest.raises(TokenizerMissing):
        load_tokenizer(ModelRef("nobody/nothing", "hub", None, None))


# ---- the tokenizer without the model -------------------------------------------------------------
@pytest.mark.parametrize("quick", [True, False])
def test_neither_check_imports_torch_where_the_tokenizer_is_plain(spec: Path, quick: bool) -> None:
    heavy = "{'torch', 'transformers'}" if quick else "{'torch'}"
    code = (
        "import sys\ntry:\n    from alignwright.cli import app\n    app(sys.argv[1:])\n"
        f"except SystemExit as stop:\n    assert not stop.code\nassert not {heavy} & set(sys.modules), 'too heavy'"
    )
    arguments = ["check", str(spec), *(["--quick"] if quick else [])]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_the_tokenizer_alone_writes_what_the_opened_model_writes(spec: Path) -> None:
    from alignwright.model.load import load as open_model

    folder = spec.parent / "model"
    policy, alone = open_model(folder), load_tokenizer(resolve(str(folder)))
    assert (alone.vocabulary, alone.longest) == (policy.model.get_input_embeddings().weight.shape[0], policy.longest)
    assert (alone.chat.stop_ids, alone.chat.end_ids, alone.chat.pad_id) == (
        policy.chat.stop_ids,
        policy.chat.end_ids,
        policy.chat.pad_id,
    )
    talk = Conversation.user(f"Hi {SPECIALS[2]}", system="Grüß dich ☃")
    assert alone.chat.row(talk, ["Yes."]) == policy.chat.row(talk, ["Yes."])


@pytest.mark.model
def test_the_bundled_models_tokenizer_is_the_same_before_and_after_it_was_dequantised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf")
    found = resolve("smollm2-135m-instruct")
    assert found.path is not None
    if not dequantised_folder(found.path).is_dir():
        pytest.skip("the bundled model has not been dequantised on this machine")
    talk, kept = Conversation.user("Hi <|im_end|>\n\n  there"), load_tokenizer(found)
    monkeypatch.setenv("ALIGNWRIGHT_CACHE", str(tmp_path))
    fresh = load_tokenizer(found)
    assert fresh.chat.row(talk, ["Yes."]) == kept.chat.row(talk, ["Yes."])
    assert fresh.chat.stop_ids == kept.chat.stop_ids
    assert (kept.vocabulary, kept.longest, fresh.vocabulary) == (49152, 8192, None)
    assert not list(tmp_path.iterdir()), "looking makes nothing"
