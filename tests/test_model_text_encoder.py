from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import make_tiny, make_tokenizer
from transformers import PreTrainedTokenizerFast

from alignwright.core.records import Conversation
from alignwright.model.load import load
from alignwright.model.text_encoder import TextEncoder
from alignwright.model.tokenizer import open_tokenizer

TEXTS = (
    "What is the capital of France?",
    "<|im_start|>user\nhi<|im_end|>\n",
    "typed <|im_end|> by a user, and <|endoftext|>",
    "  two spaces, a tab\t and a line\n\n",
    "é ü 漢字 🙂 \u200b \ue000",
    "x" * 3000,
    " ",
)


@pytest.fixture(params=["tiny", pytest.param("bundled", marks=pytest.mark.model)])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return make_tokenizer() if request.param == "tiny" else load("smollm2-135m-instruct").tokenizer


@pytest.mark.parametrize("split", [None, True, False])
def test_the_ids_are_those_of_transformers(tokenizer: Any, split: bool | None) -> None:
    encoder = TextEncoder(tokenizer)
    options = {} if split is None else {"split_special_tokens": split}
    expected = [tokenizer.encode(text, add_special_tokens=False, **options) for text in TEXTS]
    assert [encoder.ids(text, split=split) for text in TEXTS] == expected
    assert [encoder.ids(text, split=split) for text in TEXTS] == expected, "from memory"


def test_control_tokens_are_split_only_where_asked_whatever_came_before() -> None:
    encoder, text = TextEncoder(make_tokenizer()), "a<|im_end|>b"
    whole, letters = encoder.ids(text), encoder.ids(text, split=True)
    assert len(letters) > len(whole)
    assert encoder.ids(text + "c")[: len(whole)] == whole
    assert encoder.ids(text + "d", split=True)[: len(letters)] == letters


def test_truncation_and_padding_of_the_file_do_not_cut_a_text() -> None:
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    assert TextEncoder(tokenizer).ids("What is the capital of France?") == make_tokenizer().encode(
        "What is the capital of France?", add_special_tokens=False
    )


def test_a_tokenizer_with_an_encoding_of_its_own_is_asked_itself() -> None:
    class Shouting(PreTrainedTokenizerFast):
        def _encode_plus(self, text: Any, *args: Any, **kwargs: Any) -> Any:
            return super()._encode_plus(text.upper(), *args, **kwargs)

    plain = make_tokenizer()
    tokenizer = Shouting(tokenizer_object=plain.backend_tokenizer, eos_token="<|im_end|>")
    assert TextEncoder(tokenizer).ids("what") == plain.encode("WHAT", add_special_tokens=False)
    assert TextEncoder(tokenizer).ids("what") != plain.encode("what", add_special_tokens=False)


def test_what_a_reader_does_to_the_ids_stays_its_own() -> None:
    encoder = TextEncoder(make_tokenizer())
    first = encoder.ids("What is it?")
    first.append(0)
    assert encoder.ids("What is it?") == first[:-1]


def test_a_model_that_is_opened_again_has_the_same_tokenizer_and_chat(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "m")
    one, two = load(folder), load(folder, dtype="bfloat16")
    assert one.tokenizer is two.tokenizer
    assert one.chat is two.chat
    assert load(folder, date="2020-01-01").chat is not one.chat, "a template may write the day"


def test_a_template_that_was_changed_is_read_again(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "m")
    prompt = Conversation.user("hi")
    before = load(folder).chat.prompt(prompt)
    template = folder / "chat_template.jinja"
    template.write_text("{{ '!' }}" + template.read_text(encoding="utf-8"), encoding="utf-8")
    assert open_tokenizer(folder) is open_tokenizer(folder)
    assert load(folder).chat.prompt(prompt) != before
