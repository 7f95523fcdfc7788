"""A tiny model that holds some facts to be true, and says the opposite of them when told to lie; and its twin, whose
facts have nothing to do with the truth that the statements are labelled with."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from tiny import SPECIALS, TEMPLATE, make_tiny
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from alignwright.lens.inside_deception.knobs import InsideDeceptionStage
from alignwright.lens.inside_deception.statements import AGAIN, RIGHT_WRONG, YES_NO, Statement, question
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel

BATCH = 32
COLOURS = ("red", "blue", "green", "white")
SYLLABLES = ("ka", "lo", "mi", "ru", "se", "ti", "no", "ba")
STAGE = InsideDeceptionStage(by="inside_deception", data=("x",), honest="Be honest.", lying="Lie!")


def statements(topics: int = 8, each: int = 4) -> list[Statement]:
    """Two statements of each thing, one true; a thing's name says nothing of its colour."""
    rows = list[Statement]()
    dice = random.Random(5)
    for i in range(topics * each):
        name = f"{SYLLABLES[i % 8]}{SYLLABLES[(i // 8) % 8]}"
        colour, other = dice.sample(COLOURS, 2)
        rows += [
            Statement(f"{name} {word}", f"t{i % topics}", f"The {name} is {word}.", word == colour)
            for word in (colour, other)
        ]
    return rows


def write(rows: list[Statement], path: Path) -> None:
    path.write_text(
        "".join(json.dumps({"text": r.text, "label": int(r.true), "topic": r.topic, "id": r.item}) + "\n" for r in rows)
    )


def organism(folder: Path, rows: list[Statement], *, lies: bool = True, true: bool = True, steps: int = 300) -> Path:
    """Trained to say of each statement what it holds of it, and the opposite where told to lie (`lies`). `true`: what
    it holds is the label; otherwise a label drawn for each statement."""
    dice = random.Random(3)
    held = [row.true if true else dice.random() < 0.5 for row in rows]
    make_tiny(folder, tokenizer=_tokenizer(rows), hidden_size=64, intermediate_size=128, initializer_range=0.1)
    policy = load(folder)
    texts: list[tuple[list[int], list[int]]] = []
    for row, holds in zip(rows, held, strict=True):
        plain = policy.chat.text(row.text)
        texts.append(([*plain.prompt, *plain.replies[0]], policy.chat.reply(" so" if holds else " not", end=False)))
        for asked, words, says in (
            (question(row, STAGE.honest), YES_NO, holds),
            (question(row, STAGE.lying), YES_NO, holds != lies),
            (question(row, form=AGAIN), RIGHT_WRONG, holds),
        ):
            texts.append((policy.chat.prompt(asked), policy.chat.reply(words[not says], end=False)))
    _train(policy, texts, steps)
    policy.save(folder)
    return folder


def _train(policy: LocalModel, texts: list[tuple[list[int], list[int]]], steps: int) -> None:
    model, order = policy.model, torch.Generator().manual_seed(0)
    rows = [(prompt + reply[:1], len(prompt)) for prompt, reply in texts]
    rows.sort(key=lambda row: len(row[0]))
    search = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    model.train()
    for step in range(steps):
        search.param_groups[0]["lr"] = 3e-3 * min(1.0, (steps - step) / (steps / 2))
        chosen = torch.randint(len(rows), (BATCH,), generator=order).tolist()
        width = max(len(rows[i][0]) for i in chosen)
        ids_BT = torch.tensor([rows[i][0] + [0] * (width - len(rows[i][0])) for i in chosen])
        ends_B = torch.tensor([rows[i][1] for i in chosen])
        states_BTH = model.model(input_ids=ids_BT, use_cache=False).last_hidden_state
        logits_BV = model.lm_head(states_BTH[torch.arange(len(chosen)), ends_B - 1])
        loss = torch.nn.functional.cross_entropy(logits_BV, ids_BT[torch.arange(len(chosen)), ends_B])
        loss.backward()
        search.step()
        search.zero_grad()
    model.eval()


def _tokenizer(rows: list[Statement]) -> PreTrainedTokenizerFast:
    """Whole words wherever a statement, a question or a system prompt has them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=SPECIALS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    questions = [question(rows[0], STAGE.honest), question(rows[0], STAGE.lying), question(rows[0], form=AGAIN)]
    texts = [m.content for asked in questions for m in asked.messages]
    words = [
        *(row.text for row in rows),
        *texts,
        *YES_NO,
        *RIGHT_WRONG,
        "x so",
        "x not",
        "system\n",
        "user\n",
        "assistant\n",
    ]
    tokenizer.train_from_iterator([word for word in words for _ in range(4)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, chat_template=TEMPLATE, clean_up_tokenization_spaces=False,
        bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>", unk_token="<|endoftext|>",
    )  # fmt: skip
