"""How good does a reward model that was saved as a sequence classifier find a reply?

What `RewardScorer.export` writes is opened by transformers' AutoModelForSequenceClassification, and
the score of a reply is

    inputs = tokenizer.apply_chat_template(messages, return_dict=True, return_tensors="pt")
    score = model(**inputs).logits[0, 0]

transformers reads the score at the last token that is not padding. That must be the end of the
assistant's turn: a template that writes a line break behind it would move the score to a token the
model was never trained at, so the exported template ends where the turn ends. Here rows are made by
`Chat`, so that what a reply spells never becomes a control token, and must be those of the
documented call.

Left out on purpose: classifiers of other makers whose score belongs at another token; nothing in
their files tells which.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from alignwright.core.records import TODAY, Prompt, Score
from alignwright.model.limits import limit
from alignwright.model.progress_bars import without_progress_bars
from alignwright.model.tokens import Chat

_TOKENS = 4096


class ClassifierScorer:
    """A saved reward model as a `core` RewardFn."""

    def __init__(self, name: str, model: Any, tokenizer: Any, *, date: str = TODAY) -> None:
        self.name, self.model, self.tokenizer = name, model.eval(), tokenizer
        self.chat = Chat(tokenizer, date=date)
        scores = limit(model.config.get_text_config().to_dict())
        self.longest = scores.tokens if scores else tokenizer.model_max_length

    @classmethod
    def load(cls, folder: Path, *, date: str = TODAY) -> ClassifierScorer:
        """Open the folder, in float32, on the processor or the first GPU."""
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        with without_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            model: Any = cast("Any", AutoModelForSequenceClassification).from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, **options
            )
        if torch.cuda.is_available():
            model = model.to("cuda")
        return cls(
            folder.parent.name if folder.name in ("model", "reward") else folder.name, model, tokenizer, date=date
        )

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        """A score for each reply to each prompt; None for a reply too long to be read to its
        end."""
        if len(prompts) != len(replies):
            raise ValueError(f"{len(prompts)} prompts but replies to {len(replies)}")
        rows = [self.chat.row(prompt.conversation, texts) for prompt, texts in zip(prompts, replies, strict=True)]
        lines = {(p, k): [*row.prompt, *reply] for p, row in enumerate(rows) for k, reply in enumerate(row.replies)}
        scores: list[list[Score | None]] = [[None] * len(texts) for texts in replies]
        for batch in _batches({place: line for place, line in lines.items() if len(line) <= self.longest}):
            for (p, k), value in zip(batch, self._scores([lines[place] for place in batch]), strict=True):
                scores[p][k] = Score(value=value)
        return scores

    @torch.inference_mode()
    def _scores(self, lines: Sequence[Sequence[int]]) -> list[float]:
        """Padded behind their ends with the token that the configuration calls padding."""
        width = max(map(len, lines))
        pad = int(self.model.config.pad_token_id)
        ids_BT = torch.tensor([[*line, *[pad] * (width - len(line))] for line in lines], device=self.model.device)
        seen_BT = torch.tensor(
            [[1] * len(line) + [0] * (width - len(line)) for line in lines], device=self.model.device
        )
        return self.model(input_ids=ids_BT, attention_mask=seen_BT).logits[:, 0].float().tolist()


def ending_with_the_turn(template: str, end: str) -> str:
    """A chat template that writes nothing behind the last end of a turn, unless the header of
    another is asked for."""
    mark = "".join(f"\\x{ord(c):02x}" if ord(c) < 128 else c for c in end)
    clipped = "{{ alignwright_written.rpartition(alignwright_end)[0] + alignwright_end }}"
    whole = "{{ alignwright_written }}"
    closed = (
        f"{{% if not add_generation_prompt and alignwright_end in alignwright_written %}}{clipped}{{% else %}}{whole}"
        "{% endif %}"
    )
    return f'{{% set alignwright_end = "{mark}" %}}{{% set alignwright_written %}}{template}{{% endset %}}{closed}'


def _batches(lines: dict[tuple[int, int], list[int]]) -> list[list[tuple[int, int]]]:
    """Places of rows, alike in length, of at most so many tokens with their padding."""
    batches: list[list[tuple[int, int]]] = []
    for place in sorted(lines, key=lambda place: len(lines[place])):
        if batches and (len(batches[-1]) + 1) * len(lines[place]) <= _TOKENS:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
