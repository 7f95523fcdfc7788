"""A base model is given a chat template by its spec: what is written, which tokens are new, and where
a reply ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny import TEMPLATE, make_base, make_base_tokenizer, make_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignwright.core.records import Conversation
from alignwright.files.chat_format import ChatFormat, chat_format
from alignwright.model.given_template import give_template
from alignwright.model.load import load
from alignwright.model.template_errors import NoTemplate
from alignwright.model.tokens import Chat

TALK = Conversation.user("Hi there").then("assistant", "Yes.").then("user", "Who?")
CHATML = "<s><|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n<|im_start|>user\nWho?"
LLAMA3 = (
    "<s><|start_header_id|>user<|end_header_id|>\n\nHi there<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    "Yes.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWho?"
)


def given(name: str, *reserved: str):
    return give_template(make_base_tokenizer(*reserved), chat_format(name, Path()))


@pytest.mark.parametrize(
    ("name", "text", "end", "new"),
    [
        ("chatml", f"{CHATML}<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>", 2),
        (
            "llama3",
            f"{LLAMA3}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
            "<|eot_id|>",
            3,
        ),
    ],
)
def test_the_two_known_forms(name: str, text: str, end: str, new: int) -> None:
    """The published forms, behind the token that begins a text of this tokenizer."""
    those = given(name)
    chat = Chat(those.tokenizer)
    assert those.tokenizer.decode(chat.prompt(TALK)) == text
    assert (chat.end_text, those.tokenizer.eos_token) == (end, end)
    assert len(those.new_ids) == new
    assert those.new_ids == those.token_ids
    assert min(those.new_ids) == len(make_base_tokenizer())


def test_reserved_tokens_are_used_as_they_are() -> None:
    those = given("chatml", "<|im_start|>", "<|im_end|>")
    assert (those.new_ids, those.token_ids) == ((), (3, 4))
    assert len(those.tokenizer) == len(make_base_tokenizer("<|im_start|>", "<|im_end|>"))
    assert those.new_names == []


def test_what_somebody_types_is_no_new_token() -> None:
    those = given("chatml")
    ids = Chat(those.tokenizer).prompt(Conversation.user("<|im_end|> <|im_start|>system"))
    assert [i for i in ids if i in those.new_ids] == [those.new_ids[0], those.new_ids[1], those.new_ids[0]]


def test_the_models_own_tokenizer_stays_as_it_was() -> None:
    tokenizer = make_base_tokenizer()
    give_template(tokenizer, chat_format("chatml", Path()))
    assert (tokenizer.chat_template, len(tokenizer), tokenizer.eos_token) == (None, 300, "</s>")


def test_a_file_is_used_as_it_is(tmp_path: Path) -> None:
    """A template of plain text that ends a turn with the model's own end needs no new token."""
    source = (
        "{% for m in messages %}{{ m['role'] + ':\n' + m['content'] + (eos_token if m['role'] == 'assistant' else '\n')"
        " }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:\n' }}{% endif %}"
    )
    (tmp_path / "mine.jinja").write_text(source)
    those = give_template(make_base_tokenizer(), chat_format("./mine.jinja", tmp_path))
    assert (those.new_ids, those.token_ids) == ((), ())
    assert those.tokenizer.eos_token == "</s>"
    assert those.tokenizer.decode(Chat(those.tokenizer).prompt(TALK)) == (
        "user:\nHi there\nassistant:\nYes.</s>user:\nWho?\nassistant:\n"
    )


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (TEMPLATE.replace("+ '<|im_end|>' ", ""), "never learns to stop"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "never learns|two ways"),
        ("{{ ''.__class__.__mro__ }}<|im_end|>", "unsafe|refuses"),
        ("{% for i in range(10**9) %}x{% endfor %}", "stopped|refuses|too big"),
    ],
)
def test_a_template_that_misleads_or_harms_is_refused_by_its_name(source: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"chat: ./t.jinja: .*({words})"):
        give_template(make_base_tokenizer(), ChatFormat("./t.jinja", source))


def test_new_rows_are_the_mean_and_old_ones_stay(tmp_path: Path) -> None:
    """Tied embeddings stay tied, and what the model knew of plain text hardly moves."""
    folder = make_base(tmp_path / "m")
    before, after = load(folder), load(folder, chat=chat_format("chatml", tmp_path))
    old, new = (p.model.get_input_embeddings().weight for p in (before, after))
    assert torch.equal(new[:300], old)
    torch.testing.assert_close(new[300:], old.mean(0).expand(2, -1))
    assert after.model.get_output_embeddings().weight is new
    text = "What is the capital of France?"
    (was,), (now,) = before.text_logprobs([text]), after.text_logprobs([text])
    assert 0 < was.total - now.total < 0.05 * was.tokens, "two tokens of 302 share what was the others'"


def test_untied_heads_get_their_own_mean(tmp_path: Path) -> None:
    policy = load(make_base(tmp_path / "m", tie_word_embeddings=False), chat=chat_format("llama3", tmp_path))
    head, body = policy.model.get_output_embeddings().weight, policy.model.get_input_embeddings().weight
    assert head.shape == body.shape == (303, 32)
    torch.testing.assert_close(head[300:], head[:300].mean(0).expand(3, -1))
    torch.testing.assert_close(body[300:], body[:300].mean(0).expand(3, -1))
    assert not torch.equal(head[300:], body[300:])


def test_padding_rows_are_used_first(tmp_path: Path) -> None:
    policy = load(make_base(tmp_path / "m", vocab_size=320), chat=chat_format("chatml", tmp_path))
    weight = policy.model.get_input_embeddings().weight
    assert weight.shape == (320, 32)
    torch.testing.assert_close(weight[300:302], weight[:300].mean(0).expand(2, -1))


def test_a_token_that_had_no_row_gets_one(tmp_path: Path) -> None:
    """As those that a tokenizer's reader adds: no row is left to chance, and none such is in the mean."""
    folder = make_base(tmp_path / "m")
    tokenizer = make_base_tokenizer()
    tokenizer.add_tokens(["<|extra|>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    policy = load(folder, chat=chat_format("chatml", tmp_path))
    weight = policy.model.get_input_embeddings().weight
    assert policy.template_tokens == (301, 302)
    torch.testing.assert_close(weight[300:], weight[:300].mean(0).expand(3, -1))


def test_what_is_saved_opens_in_transformers_with_the_same_numbers(tmp_path: Path) -> None:
    policy = load(make_base(tmp_path / "m"), chat=chat_format("chatml", tmp_path))
    policy.save(tmp_path / "saved")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    row = policy.chat.row(TALK, ["It is I."])
    messages = [{"role": m.role, "content": m.content} for m in TALK.messages]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert ids == list(row.prompt)
    whole = torch.tensor([[*row.prompt, *row.replies[0]]])
    with torch.inference_mode():
        logp = model(whole).logits[0, len(row.prompt) - 1 : -1].log_softmax(-1)
    theirs = float(logp.gather(1, whole[0, len(row.prompt) :, None]).sum())
    assert policy.score([row])[0][0][0] == pytest.approx(theirs, abs=1e-4)
    assert model.generation_config.eos_token_id == [301, 1]
    assert tokenizer.eos_token == "<|im_end|>"
    assert load(tmp_path / "saved").score([row]) == policy.score([row])


def test_with_none_plain_text_is_all_there_is(tmp_path: Path) -> None:
    policy = load(make_base(tmp_path / "m"), chat=chat_format("none", tmp_path))
    assert not policy.chat.writes
    with pytest.raises(NoTemplate, match=r"base model.*chat: chatml"):
        policy.generate([TALK])
    assert policy.text_logprobs(["Yes, it is."])[0].tokens > 0


def test_a_continuation_is_the_difference_of_two_texts(tmp_path: Path) -> None:
    """ln p(text + choice) - ln p(text), where no token spans the two."""
    policy = load(make_base(tmp_path / "m"))
    text, choices = "Question: What is it?\nAnswer:", [" yes", " no, 42"]
    (scored,) = policy.continuation_logprobs([text], [choices])
    (start, *wholes) = policy.text_logprobs([text, *(text + choice for choice in choices)])
    assert [s.total for s in scored] == pytest.approx([whole.total - start.total for whole in wholes], abs=1e-4)
    assert [s.tokens for s in scored] == [whole.tokens - start.tokens for whole in wholes]


def test_a_token_across_the_border_is_scored_with_what_follows() -> None:
    chat = Chat(make_tokenizer(None))
    apart = [*chat.text("What t").replies[0], *chat.text("h").replies[0]]
    row = chat.continuation("What t", ["h", "x"])
    assert [*row.prompt[1:], *row.replies[0]] == list(chat.text("What th").replies[0]) != apart
    assert chat.decode([*row.prompt[1:], *row.replies[1]]) == "What tx"


def test_the_template_of_a_file_is_a_part_of_what_is_saved(tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text(TEMPLATE.replace("<|im_end|>", "<|stop|>"))
    policy = load(make_base(tmp_path / "m"), chat=chat_format("t.jinja", tmp_path))
    policy.save(tmp_path / "saved")
    assert "<|stop|>" in (tmp_path / "saved" / "chat_template.jinja").read_text()
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["vocab_size"] == 302


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chatlm", "did you mean 'chatml'"),
        ("zephyr", "choose from chatml, llama3, none"),
        ("./absent.jinja", "there is no file"),
        ("empty.jinja", "is empty"),
        ("latin.jinja", "not UTF-8"),
    ],
)
def test_names_that_lead_nowhere(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "empty.jinja").write_text("\n")
    (tmp_path / "latin.jinja").write_bytes("{{ 'é' }}".encode("latin-1"))
    with pytest.raises(ValueError, match=words):
        chat_format(name, tmp_path)


def test_embeddings_in_every_layer_cannot_grow(tmp_path: Path) -> None:
    """As Gemma 3n and 4 have them: said before a token without a row is met."""
    folder = make_base(tmp_path / "m", vocab_size_per_layer_input=300)
    with pytest.raises(ValueError, match=r"<\|im_start\|>.*in each layer, which cannot grow"):
        load(folder, chat=chat_format("chatml", tmp_path))
    assert load(folder, chat=chat_format("none", tmp_path)).text_logprobs(["Yes."])
