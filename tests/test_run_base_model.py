"""A base model goes the whole way: as plain text alone, or with the template that its spec gives it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import every_stage
import pytest
import torch
import yaml
from run_case import SPEC, make_project
from safetensors.torch import load_file
from tiny import TEMPLATE, make_base
from tiny_gguf import write_gguf
from transformers import AutoModelForSequenceClassification
from typer.testing import CliRunner

from alignwright.cli import app
from alignwright.core.records import Conversation, Finding
from alignwright.experiment.cache_key import cache_keys
from alignwright.experiment.check import check
from alignwright.experiment.experiment import resolve_effort
from alignwright.experiment.plan import plan
from alignwright.files.errors import SpecError
from alignwright.files.fingerprint import model_fingerprint
from alignwright.files.models import resolve
from alignwright.model.template_errors import NoTemplate
from alignwright.run.align import Request, align, estimate
from alignwright.run.console import screen
from alignwright.run.model_check import check_fit
from alignwright.run.progress import View
from alignwright.run.rates import rates_of

PLAIN = """\
name: plain
chat: none
model: ./model
train:
- {by: pretrain, text: [train.jsonl], epochs: 1, rank: 2, batch_tokens: 200}
measure:
- {by: tax, text: [text.jsonl], choice: [choice.jsonl]}
"""


def project(folder: Path, text: str = SPEC) -> Path:
    """The small project, with a base model in the place of its own."""
    spec = make_project(folder)
    for file in (folder / "model").iterdir():
        file.unlink()
    make_base(folder / "model")
    rows = [{"text": f"A stone lies by the road {i}."} for i in range(12)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = [{"question": f"What is it, {i}?", "choices": ["a stone", "rain"], "answer": i % 2} for i in range(8)]
    (folder / "choice.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    spec.write_text(text)
    return spec


def run(spec: Path, **options: str) -> Path:
    return align(Request(spec, runs=spec.parent / "runs", **options), View(screen()))


@pytest.mark.parametrize("chat", ["chat: none\n", ""])
def test_the_machine_is_timed_with_a_model_that_has_no_template(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chat: str
) -> None:
    monkeypatch.setenv("ALIGNWRIGHT_CACHE", str(tmp_path / "cache"))
    spec = project(tmp_path, PLAIN.replace("chat: none\n", chat).replace(", choice: [choice.jsonl]", ""))
    estimate(Request(spec, runs=tmp_path / "runs"), probed=True)
    timed = rates_of(model_fingerprint(resolve("./model", tmp_path))).probe
    assert timed is not None
    assert min(timed.read, timed.write, timed.train) > 0


def findings(folder: Path) -> list[Finding]:
    return [Finding.model_validate_json(line) for line in (folder / "findings.jsonl").read_text().splitlines()]


def told(spec: Path, *overrides: str) -> str:
    checked = check(spec, overrides)
    return check_fit(checked.experiment, checked.files)


def test_without_a_word_on_chat_the_error_says_what_to_write(tmp_path: Path) -> None:
    spec = project(tmp_path)
    with pytest.raises(SpecError) as caught:
        told(spec)
    (problem,) = caught.value.problems
    assert problem.startswith("collect, feedback.0.written, ")
    assert "train.0.sft" in problem
    assert "measure.2.tax" not in problem, "its text needs no template"
    assert "this is a base model: it has no chat template" in problem
    assert "write 'chat: chatml', 'chat: llama3' or 'chat: ./template.jinja'" in problem


def test_with_none_what_converses_is_an_error_stage_by_stage_with_its_line(tmp_path: Path) -> None:
    spec = project(tmp_path, PLAIN + "- by: tax\n  choice: [choice.jsonl]\n  prompts: [prompts.jsonl]\n"
                   "- {by: value, prompts: [refusal.jsonl], pairs: [held.jsonl]}\n")  # fmt: skip
    with pytest.raises(SpecError) as caught:
        check(spec)
    lines = [line.removeprefix(f"{tmp_path}/") for line in caught.value.problems]
    assert [re.match(r"spec.yaml:(\d+): ([\w.]+): ", line).groups() for line in lines] == [
        ("8", "measure.1.tax"),
        ("11", "measure.2.value"),
    ]
    assert "'prompts' put conversations to the model ('text' and 'choice' need none)" in lines[0]


def test_plain_text_is_learnt_and_measured(tmp_path: Path) -> None:
    """And the choices are scored as the continuations that they are."""
    from alignwright.model.load import load

    folder = run(project(tmp_path, PLAIN))
    claims = {(f.claim, f.stage): f.value for f in findings(folder) if f.against is None}
    assert {"tax.bits_per_byte", "tax.choice", "tax.choice_sum"} == {claim for claim, _ in claims}
    policy = load(tmp_path / "model")
    rows = [json.loads(line) for line in (tmp_path / "choice.jsonl").read_text().splitlines()]
    right = 0
    for row in rows:
        texts = [f"Question: {row['question']}\nAnswer: {choice}" for choice in row["choices"]]
        totals = [logprob.total for logprob in policy.text_logprobs(texts)]  # one prefix: totals differ by the choices
        right += totals.index(max(totals)) == row["answer"]
    assert claims["tax.choice_sum", "baseline"] == pytest.approx(right / len(rows))
    talk = CliRunner().invoke(app, ["chat", str(folder)], input="Hi\n")
    assert isinstance(talk.exception, NoTemplate)


def test_with_a_template_everything_works_and_what_is_saved_has_it_inside(tmp_path: Path) -> None:
    spec = project(tmp_path)
    assert "new tokens, whose embeddings begin as the mean and are trained: <|im_start|>, <|im_end|>" in told(
        spec, "chat=chatml"
    )
    folder = run(spec, overrides=("chat=chatml",))
    assert {f.stage for f in findings(folder)} >= {"baseline", "train.0.sft", "train.1.dpo"}
    assert "<|im_start|>" in (folder / "model" / "chat_template.jinja").read_text()
    talk = CliRunner().invoke(app, ["chat", str(folder)], input="Hi\n")
    assert talk.exit_code == 0, talk.output
    audited = run(spec, audit=str(folder / "model"))
    measures = 'measure=[{"by": "value", "prompts": ["refusal.jsonl"]}]'
    nothing = ("chat=chatml", "train=[]", "feedback=[]", "collect=null", "intent={}", "promises=[]", measures)
    assert "begin as the mean and are trained by nothing here: <|im_start|>" in told(spec, *nothing)
    assert {f.stage for f in findings(audited)} == {"baseline"}


STAGES = """\
train:
- {by: sft, data: chosen, epochs: 2, rank: 2, batch_tokens: 200, lr: 0.005}
- {by: reward, epochs: 1, rank: 2, batch_tokens: 200, ensemble: 2, combine: weights, no_signal: use}
- {by: dpo, epochs: 1, rank: 2, batch_tokens: 200, lr: 0.005}
- {by: average, share: 0.5}
measure:
- {by: tax, text: [text.jsonl]}
- {by: reward, reward: reward, prompts: [held_prompts.jsonl], max_new_tokens: 4}
"""


def test_new_tokens_go_through_every_kind_of_stage(tmp_path: Path) -> None:
    """Trained, judged by a reward model over the trained trunk, averaged, saved: at each place the
    rows are those that the stage before left."""
    from alignwright.model.load import load

    head, _, _ = SPEC.partition("train:")
    spec = project(tmp_path, head.replace("model: ./model", "model: ./model\nchat: chatml") + STAGES)
    (tmp_path / "held_prompts.jsonl").write_text('{"prompt": "sing of rain"}\n{"prompt": "sing of bread"}\n')
    folder = run(spec)
    saved = load(folder / "model")
    rows = saved.model.get_input_embeddings().weight.detach()
    mean = rows[:300].mean(0)
    assert rows.shape == (302, 32)
    assert (rows[300:] - mean).abs().max() > 1e-3
    change = [load_file(file) for file in sorted(folder.glob("stages/*/adapter/token_embeddings.safetensors"))]
    assert len(change) == 3, "of sft, dpo and their average"
    name = "base_model.model.model.embed_tokens.weight"
    torch.testing.assert_close(rows[300:], mean + change[2][name].float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(change[2][name].float(), change[1][name].float() / 2)
    assert not torch.equal(change[0][name], change[1][name])
    reward = AutoModelForSequenceClassification.from_pretrained(folder / "reward")
    assert reward.get_input_embeddings().weight.shape == (302, 32)
    sft_rows = mean + change[0][name].float()
    torch.testing.assert_close(reward.get_input_embeddings().weight.detach()[300:], sft_rows, rtol=1e-2, atol=1e-2)


def test_all_weights_are_trained_with_the_new_rows_among_them(tmp_path: Path) -> None:
    from alignwright.model.load import load

    stages = "train:\n- {by: sft, data: chosen, epochs: 2, rank: 0, batch_tokens: 200, lr: 0.001}\n"
    head, _, _ = SPEC.partition("train:")
    spec = project(tmp_path, head + stages + "measure:\n- {by: tax, text: [text.jsonl]}\n")
    folder = run(spec, overrides=("chat=chatml",))
    rows = load(folder / "model").model.get_input_embeddings().weight.detach()
    start = load(tmp_path / "model").model.get_input_embeddings().weight.detach()
    assert rows.shape == (302, 32)
    assert (rows[300] - start.mean(0)).abs().max() > 1e-4
    assert not torch.equal(rows[300], rows[301]), "two tokens that began as one mean are two"


def test_an_audit_gives_a_base_model_the_specs_template(tmp_path: Path) -> None:
    spec = project(tmp_path)
    other = make_base(tmp_path / "other", seed=3)
    with pytest.raises(SpecError, match="chat: chatml"):
        run(spec, audit=str(other), overrides=("measure.0.limit=2",))
    folder = run(spec, audit=str(other), overrides=("chat=llama3",))
    assert {"value.refusal", "tax.bits_per_byte"} <= {f.claim for f in findings(folder)}


def test_a_template_of_its_own_is_overridden_and_that_is_told(tmp_path: Path) -> None:
    spec = make_project(tmp_path)
    assert told(spec) == ""
    assert told(spec, "chat=llama3").startswith(
        "chat: llama3 is given in place of the model's own chat template; new tokens"
    )
    assert told(spec, "chat=chatml") == "chat: chatml is given in place of the model's own chat template"


def keys(spec: Path, *overrides: str) -> dict[str, str]:
    experiment = resolve_effort(check(spec, overrides).experiment)
    return cache_keys(experiment, plan(experiment))


def test_the_words_of_the_template_are_in_every_key(tmp_path: Path) -> None:
    spec = make_project(tmp_path)
    (tmp_path / "t.jinja").write_text(TEMPLATE)
    plain, given = keys(spec), keys(spec, "chat=./t.jinja")
    assert not set(plain.values()) & set(given.values())
    (tmp_path / "t.jinja").write_text(TEMPLATE + "{# edited #}")
    assert not set(keys(spec, "chat=./t.jinja").values()) & set(given.values())
    (tmp_path / "t.jinja").write_text(TEMPLATE)
    assert keys(spec, "chat=./t.jinja") == given


def test_a_wrong_name_has_its_line(tmp_path: Path) -> None:
    spec = make_project(tmp_path)
    spec.write_text(spec.read_text().replace("effort: demo\n", "effort: demo\nchat: chatlm\n"))
    with pytest.raises(SpecError, match=r"spec.yaml:5: chat: no chat template 'chatlm'; did you mean 'chatml'"):
        check(spec)


def test_the_name_of_a_run_is_that_of_before_where_no_template_is_given(tmp_path: Path) -> None:
    spec = make_project(tmp_path)
    experiment = check(spec).experiment
    assert experiment.id != check(spec, ["chat=chatml"]).experiment.id
    assert "chat" not in experiment.model_fields_set


def test_a_base_model_in_a_gguf_file_goes_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the folder that it was made of, to the number; and the card has the terms of its header."""
    from alignwright.files.chat_format import chat_format
    from alignwright.model.load import load

    monkeypatch.setenv("ALIGNWRIGHT_CACHE", str(tmp_path / "cache"))
    spec = project(tmp_path)
    make_base(tmp_path / "model", "<|endoftext|>")  # which the reader of GGUF files adds where it is not
    facts = {"name": "Small Base", "license": "llama3.2", "license__link": "https://example.org/terms"}
    gguf = write_gguf(tmp_path / "model", tmp_path / "base.gguf", **facts)
    spec.write_text(SPEC.replace("model: ./model", "model: ./base.gguf"))
    with pytest.raises(SpecError, match="this is a base model"):
        told(spec)
    assert told(spec, "chat=chatml").endswith("<|im_start|>, <|im_end|>")
    folder = run(spec, overrides=("chat=chatml",))
    front = yaml.safe_load((folder / "model" / "README.md").read_text().split("---")[1])
    assert (front["license"], front["license_link"]) == ("llama3.2", "https://example.org/terms")
    packed, plain = (load(path, chat=chat_format("chatml", tmp_path)) for path in (gguf, tmp_path / "model"))
    texts = ["What is the capital of France?", "No, I cannot help with that."]
    ours, theirs = ([text.total for text in policy.text_logprobs(texts)] for policy in (packed, plain))
    assert ours == pytest.approx(theirs, abs=1e-3)
    assert packed.chat.prompt(Conversation.user("Hi")) == plain.chat.prompt(Conversation.user("Hi"))


def test_a_base_model_of_the_hub_is_told_from_what_the_cache_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = project(tmp_path)
    spec.write_text(SPEC.replace("model: ./model", "model: owner/name"))
    monkeypatch.setattr("alignwright.model.tokenizer._hub_folder", lambda name: tmp_path / "model")
    with pytest.raises(SpecError, match="this is a base model"):
        told(spec)
    assert told(spec, "chat=llama3").endswith("<|start_header_id|>, <|end_header_id|>, <|eot_id|>")


@pytest.mark.parametrize("chat", [None, "none"])
@pytest.mark.parametrize("is_audit", [False, True])
def test_every_kind_that_needs_no_chat_is_reckoned_and_goes_to_its_end(
    tmp_path: Path, chat: str | None, is_audit: bool
) -> None:
    """Also what is done after the last stage: the run remembers how long its stages took beside what was reckoned."""
    every_stage.write_data(tmp_path)
    make_base(tmp_path / "model")
    spec: dict[str, Any] = {"name": "plain", "model": "./model", "effort": "demo"} | ({"chat": chat} if chat else {})
    for section, name, record in every_stage.kinds():
        stage = every_stage.smallest(section, name)
        if (
            section in ("measure", "attack", "lens", "oversee")
            and not record.model_validate_json(json.dumps(stage)).converses
        ):
            spec.setdefault(section, []).append(stage)
    assert {"probe", "patch", "diff", "sae", "crosscoder"} <= {stage["by"] for stage in spec["lens"]}
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    assert estimate(Request(path, runs=tmp_path / "runs")).lines
    folder = run(path, **({"audit": str(tmp_path / "model")} if is_audit else {}))
    assert (folder / "promises.json").is_file()
    assert {f.claim.split(".")[0] for f in findings(folder)} >= {"probe", "patch", "sae", "tax"}


def test_a_dry_run_of_what_converses_says_that_there_is_no_template(tmp_path: Path) -> None:
    with pytest.raises(NoTemplate):
        estimate(Request(project(tmp_path), runs=tmp_path / "runs"))
