"""What can a model on this machine be asked?

To generate replies, to give the log-probability of replies and of plain text (perplexity), and to
be saved. Rows are batched by length within a fixed budget of tokens, so the same call has the same
layout and, on one machine, the same numbers. An adapter is merged while the model generates or is
scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from alignwright.core.records import TODAY, Conversation, LogProb, Reply
from alignwright.model.adapters import merged
from alignwright.model.drafts import greedy_from_drafts
from alignwright.model.engine_check import fit_rows
from alignwright.model.legacy_config import write_legacy_config
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import head_of, packed_logprobs, reply_logprobs, token_logprobs, trunk
from alignwright.model.packing import pack, plan_batches
from alignwright.model.plain_weights import save_plain
from alignwright.model.prefix_tree import can_read, reply_states
from alignwright.model.progress_bars import without_progress_bars
from alignwright.model.quantization import has_quantized
from alignwright.model.sampling import Sample, sample
from alignwright.model.token_embeddings import DELTA, delta_merged
from alignwright.model.tokens import TokenRow

_TEXT = 8192  # tokens of a text read at once: a mask is a square of them


class LocalModel(LoadedModel):
    """A `core` Policy over a transformers model."""

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        *,
        token_budget: int = 4096,
        batch_rows: int = 64,
        date: str = TODAY,
    ) -> None:
        super().__init__(name, model, tokenizer, token_budget=token_budget, batch_rows=batch_rows, date=date)
        fit_rows(self)
        self.drafts: Mapping[str, str] = {}
        """To a conversation, by its id, the greedy reply that is likely: it makes that reply cheaper to
        find, and changes none."""
        self.as_trees = False
        """Whether given texts that begin alike are read together, what they share once (`prefix_tree`):
        fewer tokens, rounded otherwise than in the fixed layout by which findings are computed."""

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        n: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[Reply]]:
        """`n` sampled replies to each prompt, with the policy's log-probability of what it said. A
        prompt that ends with a message of the assistant is a reply begun: it is gone on with."""
        ids = [self._prompt_ids(prompt) for prompt in prompts]
        if self.drafts and n == 1 and temperature == 0 and self.dtype == torch.float32:
            drafts = [self.chat.reply(self.drafts[p.id]) if self.drafts.get(p.id) else [] for p in prompts]
            samples = greedy_from_drafts(self, ids, drafts, max_new_tokens=max_new_tokens)
            return [[self._record(s, prompt)] for prompt, s in zip(prompts, samples, strict=True)]
        samples_P = sample(
            self,
            ids,
            n=n,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            batch_rows=self.batch_rows,
        )
        return [
            [self._record(s, prompt) for s in samples_K] for prompt, samples_K in zip(prompts, samples_P, strict=True)
        ]

    def _prompt_ids(self, prompt: Conversation) -> list[int]:
        if prompt.last.role != "assistant" or len(prompt.messages) == 1:
            return self.chat.prompt(prompt)
        return self.chat.prompt(Conversation(messages=prompt.messages[:-1]), prompt.last.content)

    def logprobs(
        self, prompts: Sequence[Conversation], replies: Sequence[Sequence[str]], *, prefix: str = "", end: bool = True
    ) -> list[list[LogProb]]:
        """Log-probability of given replies: `prefix` starts the assistant's turn unscored, `end`
        scores the end-of-turn token too."""
        if len(prompts) != len(replies):
            raise ValueError(f"{len(prompts)} prompts but replies to {len(replies)}")
        rows = [
            self.chat.row(prompt, texts, prefix=prefix, end=end) for prompt, texts in zip(prompts, replies, strict=True)
        ]
        return self._logprobs(rows, replies)

    def continuation_logprobs(
        self, texts: Sequence[str], continuations: Sequence[Sequence[str]]
    ) -> list[list[LogProb]]:
        """Log-probability of each continuation of each plain text, without a chat template."""
        rows = [self.chat.continuation(text, those) for text, those in zip(texts, continuations, strict=True)]
        return self._logprobs(rows, continuations)

    @contextmanager
    def beginnings_shared(self) -> Iterator[None]:
        """Meanwhile given texts are read as trees, where the model can be: what many questions begin with is read
        once. Rounded otherwise than in batches of whole rows, and the same in each run of the same call."""
        before = self.as_trees
        self.as_trees = before or can_read(trunk(self.model), 0)
        try:
            yield
        finally:
            self.as_trees = before

    def _logprobs(self, rows: Sequence[TokenRow], texts: Sequence[Sequence[str]]) -> list[list[LogProb]]:
        """What `score` makes of the texts that lie in these rows."""
        return [
            [
                LogProb(total=total, tokens=tokens, bytes=len(text.encode()))
                for (total, tokens), text in zip(scored, of_row, strict=True)
            ]
            for scored, of_row in zip(self.score(rows), texts, strict=True)
        ]

    def text_logprobs(self, texts: Sequence[str]) -> list[LogProb]:
        """Log-probability of plain texts, without a chat template. Bytes are those of the text,
        whatever the tokens.

        A text longer than a row may be, or than 8,192 tokens, is read in windows, each of which
        scores half a row of tokens, with the half before them in view.
        """
        rows = [windows(self.chat.text(text), min(self.longest, _TEXT)) for text in texts]
        scored = iter(self.score([window for row in rows for window in row]))
        parts = [[part for _ in row for part in next(scored)] for row in rows]
        return [
            LogProb(
                total=sum(total for total, _ in part),
                tokens=sum(tokens for _, tokens in part),
                bytes=len(text.encode()),
            )
            for part, text in zip(parts, texts, strict=True)
        ]

    @torch.inference_mode()
    def score(self, rows: Sequence[TokenRow]) -> list[list[tuple[float, int]]]:
        """Of each reply of each row: the sum of its scored tokens' log-probabilities, and how
        many they are."""
        self.check_lengths(
            [len(row.prompt) + max(map(len, row.replies), default=0) for row in rows]
        )  # no reply sees another
        results: list[list[tuple[float, int]]] = [[] for _ in rows]
        count_scored = 0
        if self.as_trees and all(row.masks is None and all(row.replies) for row in rows):
            return self._score_trees(rows)
        with merged(self):
            for batch in plan_batches(rows, self.token_budget, shuffle_seed=None):
                packed = pack([rows[i] for i in batch], self.chat.pad_id, dtype=self.dtype)
                sum_R, count_R = reply_logprobs(token_logprobs(self.model, packed), packed)
                for total, count, b in zip(sum_R.tolist(), count_R.tolist(), packed.row_of_R.tolist(), strict=True):
                    results[batch[b]].append((total, count))
                count_scored += len(batch)
                if self.progress:
                    self.progress(count_scored, len(rows))
        return results

    def _score_trees(self, rows: Sequence[TokenRow]) -> list[list[tuple[float, int]]]:
        """The same, each reply a sequence of its own whose beginning is read with those of others."""
        singles = [TokenRow(row.prompt, (reply,)) for row in rows for reply in row.replies]
        sums, head, count_read = [0.0] * len(singles), head_of(self.model), 0
        with merged(self):
            for batch, hidden_NH, *_ in reply_states(self, singles):
                lengths = [len(singles[i].replies[0]) for i in batch]
                labels = torch.tensor([token for i in batch for token in singles[i].replies[0]])
                for i, part in zip(batch, packed_logprobs(hidden_NH, head, labels).split(lengths), strict=True):
                    sums[i] = float(part.sum())
                count_read += len(batch)
                if self.progress:
                    self.progress(count_read * len(rows) // len(singles), len(rows))
        total = iter(sums)
        return [[(next(total), len(reply)) for reply in row.replies] for row in rows]

    def _record(self, sampled: Sample, prompt: Conversation) -> Reply:
        text, logprob = self.chat.decode(sampled.ids), sum(sampled.logprobs)
        return Reply(
            text=text,
            parent=prompt.id,
            speaker=self.name,
            logprob=logprob,
            tokens=len(sampled.ids),
            finished=sampled.finished,
        )

    def save(self, folder: Path) -> None:
        """Write a plain transformers folder, an adapter merged into the weights, and weights in 4
        bits dequantised: AutoModelForCausalLM and AutoTokenizer open it. Of a steered model its
        edits lie beside the weights; these alone are another model."""
        self._save_weights(folder)
        if self.steering:
            from alignwright.model.activations.steering import save_steering  # which opens models

            save_steering(self, self.steering, folder, model=".", meta=self.steering_meta)

    def _save_weights(self, folder: Path) -> None:
        plain = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        if has_quantized(plain):
            with delta_merged(plain):
                save_plain(plain, folder)
            self._save_tokenizer(folder)
            return
        with merged(self):
            # an adapted layer's weight is called `...base_layer.weight`; the adapters themselves are left behind
            weights = {
                name.replace(".base_layer.", "."): tensor
                for name, tensor in plain.state_dict().items()
                if ".lora_" not in name and not name.endswith(DELTA)
            }
            with without_progress_bars():
                plain.save_pretrained(folder, state_dict=weights)
        self._save_tokenizer(folder)

    def _save_tokenizer(self, folder: Path) -> None:
        self.tokenizer.save_pretrained(folder)
        write_legacy_config(folder)


def windows(row: TokenRow, longest: int) -> list[TokenRow]:
    """A text in rows of at most `longest` tokens, each beginning with the token that starts a
    document, then what was scored before it and is still in view, then the tokens that it
    scores: strided perplexity, at a stride of half a row."""
    (start,), (ids,) = row.prompt, row.replies
    if len(row) <= longest:
        return [row]
    if longest < 4:
        raise ValueError(f"a text cannot be read in windows of {longest} tokens")
    stride, room = longest // 2, longest - 1
    rows = [TokenRow((start,), (ids[:room],))]
    for at in range(room, len(ids), stride):
        context_length = room - stride
        rows.append(TokenRow((start, *ids[at - context_length : at]), (ids[at : at + stride],)))
    return rows
