"""What must a GGUF file say of a tokenizer, so that llama.cpp reads texts as the model that was
measured did?

The tokens with their types, the merges, the name of the pre-tokenizer, the special ids and whether
a text begins with one. llama.cpp knows pre-tokenizers by name alone and takes a wrong name without
a word, so a tokenizer is told by how it splits text, and one whose split has no name here is
refused. Left out on purpose: SentencePiece's and WordPiece's tokenizers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import gguf

from alignwright.core.records import Message
from alignwright.model.given_template import begins_texts
from alignwright.model.tokens import Chat

_GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def _split(pattern: str) -> dict[str, object]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


_KNOWN: tuple[tuple[str, list[dict[str, object]]], ...] = (
    ("gpt-2", [_GPT2]),
    ("smollm", [{"type": "Digits", "individual_digits": True}, _GPT2]),
    ("llama-bpe", [_split(_LLAMA3), _BYTES]),
    ("qwen2", [_split(_QWEN2), _BYTES]),
)
"""How each pre-tokenizer that llama.cpp knows by this name splits a text."""


def add_tokenizer(writer: gguf.GGUFWriter, chat: Chat, size: int) -> None:
    """Write the tokenizer of a model whose embedding has `size` rows. Raises ValueError, naming
    what it is, for one that the file could not describe."""
    tokenizer: Any = chat.tokenizer
    parts = cast("dict[str, Any]", json.loads(tokenizer.backend_tokenizer.to_str()))
    name = _pre_tokenizer(parts)
    added = {int(token["id"]): token for token in parts["added_tokens"]}
    texts = {int(i): str(text) for text, i in parts["model"]["vocab"].items()}
    texts |= {i: str(token["content"]) for i, token in added.items()}
    if texts and max(texts) >= size:
        raise ValueError(f"the tokenizer has {max(texts) + 1} tokens and the model's embedding {size} rows")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name)
    writer.add_token_list([texts.get(i, f"[PAD{i}]") for i in range(size)])
    writer.add_token_types([_type(i, texts, added) for i in range(size)])
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in parts["model"]["merges"]])
    _add_special_ids(writer, chat)
    writer.add_add_bos_token(begins_prompts(chat))
    if chat.writes:
        writer.add_chat_template(str(tokenizer.chat_template))


def begins_prompts(chat: Chat) -> bool:
    """Whether llama.cpp is to put the token that begins a text before what it is asked: where the
    tokenizer does, and the chat template does not leave it out. Of two it takes one away."""
    if not begins_texts(chat.tokenizer):
        return False
    return not chat.writes or chat.words([Message(role="user", content="a")]).startswith(str(chat.tokenizer.bos_token))


def _add_special_ids(writer: gguf.GGUFWriter, chat: Chat) -> None:
    """llama.cpp ends a reply at the ends of a text and of a turn."""
    tokenizer = chat.tokenizer
    ids = [
        (tokenizer.bos_token_id, writer.add_bos_token_id),
        (tokenizer.eos_token_id, writer.add_eos_token_id),
        (tokenizer.unk_token_id, writer.add_unk_token_id),
        (tokenizer.pad_token_id, writer.add_pad_token_id),
    ]
    for number, add in ids:
        if number is not None:
            add(int(number))
    if chat.end_ids:
        writer.add_eot_token_id(chat.end_ids[0])
    more = sorted(chat.stop_ids - {tokenizer.eos_token_id, *chat.end_ids[:1]})
    if len(more) == 1:
        writer.add_eom_token_id(more[0])
    elif more:
        names = ", ".join(map(str, tokenizer.convert_ids_to_tokens(more)))
        raise ValueError(
            f"the model stops at {names} besides the ends of its texts and turns, and a GGUF file has room for one;"
            " leave fewer in eos_token_id of its generation_config.json"
        )


def _type(i: int, texts: Mapping[int, str], added: Mapping[int, Mapping[str, Any]]) -> gguf.TokenType:
    if i in added:
        return gguf.TokenType.CONTROL if added[i]["special"] else gguf.TokenType.USER_DEFINED
    return gguf.TokenType.NORMAL if i in texts else gguf.TokenType.UNUSED


def _pre_tokenizer(parts: Mapping[str, Any]) -> str:
    """The name that llama.cpp has for the way in which the tokenizer splits a text."""
    kind, normalizer, split = parts["model"]["type"], parts["normalizer"], parts["pre_tokenizer"] or {}
    if kind != "BPE" or parts["model"].get("byte_fallback"):
        raise ValueError(
            f"a tokenizer of the kind {kind}{' with byte fallback' * (kind == 'BPE')} is not written to GGUF, only BPE"
            " over bytes; llama.cpp's convert_hf_to_gguf.py opens the run's model/ folder"
        )
    steps = cast("list[dict[str, Any]]", split.get("pretokenizers", [split]))
    plain = [{key: value for key, value in step.items() if key != "trim_offsets"} for step in steps]
    name = next((name for name, known in _KNOWN if known == plain), None)
    is_nfc = normalizer is not None and normalizer.get("type") == "NFC"
    if name is None or not (normalizer is None or (is_nfc and name == "qwen2")):
        shown = json.dumps({"normalizer": normalizer, "pre_tokenizer": split}, ensure_ascii=False)[:300]
        raise ValueError(
            f"the tokenizer splits text in a way that has no name here for llama.cpp ({shown}); known are"
            f" {', '.join(known for known, _ in _KNOWN)}. llama.cpp's convert_hf_to_gguf.py opens the run's model/"
            " folder"
        )
    return name
