"""A tiny Llama with a chat template, made on the spot: two layers, hidden size 32, a byte-level
tokenizer. Random, but a real model."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'"
    " }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_WORDS = (
    "the model says that this is what it was asked: yes, no, I cannot help with that. What is the capital of France?"
)


def make_tokenizer(
    template: str | None = TEMPLATE, specials: list[str] = SPECIALS, **special: str
) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of about 300 tokens that can write any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([_WORDS], trainer)
    names = {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
    } | special
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, chat_template=template, clean_up_tokenization_spaces=False, **names
    )


def make_base_tokenizer(*reserved: str) -> PreTrainedTokenizerFast:
    """That of a base model: no chat template, and no token of one but those that are `reserved`. It
    begins each text with its first token, as Llama's and Gemma's do."""
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    tokenizer = make_tokenizer(None, ["<s>", "</s>", "<unk>", *reserved], **names)
    first = ("<s>", int(tokenizer.convert_tokens_to_ids("<s>")))
    tokenizer.backend_tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[first]),
        ]
    )
    return tokenizer


def make_base(folder: Path, *reserved: str, seed: int = 0, **config: object) -> Path:
    """Write a tiny random base model into `folder`."""
    return make_tiny(folder, seed, tokenizer=make_base_tokenizer(*reserved), **config)


def make_tiny(
    folder: Path,
    seed: int = 0,
    template: str | None = TEMPLATE,
    tokenizer: PreTrainedTokenizerFast | None = None,
    **config: object,
) -> Path:
    """Write the model and its tokenizer into `folder`, as transformers opens them. Returns the
    folder."""
    tokenizer = tokenizer or make_tokenizer(template)
    end = tokenizer.eos_token_id
    settings = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 2048, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": end,
        "pad_token_id": end,
        "tie_word_embeddings": True, "initializer_range": 0.2,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(LlamaConfig(**(settings | config))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)
