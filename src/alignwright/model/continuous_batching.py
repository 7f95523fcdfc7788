"""How are replies that are asked for at different times decoded together?

By continuous batching (Yu et al. 2022, Orca): a row leaves the batch when its reply has ended, and
rows whose prompts have been read meanwhile join at the next token. Where the decoder can lay rows
end to end (`joined_rows`) there is one batch; elsewhere those that arrived together are one, and
the batches take turns. One thread owns the model: `run`; any thread may `submit`.

A token is drawn at a uniform number that belongs to (seed, prompt, sample, step) alone, as in
`sampling`: a reply is the same whatever shares its batch, up to the rounding of matrix products,
and the same as `LocalModel.generate` gives for that seed. Log-probabilities are the model's own, at
temperature 1.

Left out on purpose: reading a long prompt in pieces between tokens, and sharing the cache between
prompts with the same beginning.

Shapes: R rows, V vocabulary, T likeliest tokens.
"""

from __future__ import annotations

import copy
import math
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from alignwright.model.decoder import Decoder, decoding
from alignwright.model.generation import Drawn, Generation, PromptRead
from alignwright.model.joined_rows import AlignedRows, join
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.nucleus import nucleus
from alignwright.model.prompt_logprobs import TokenChoice, likeliest, prompt_logprobs
from alignwright.model.sampling import draw

_DROP_AT = 0.125  # rows that have ended leave when they are this share of the batch: leaving copies the cache


class ServerFull(Exception):
    """More replies wait than the server keeps a place for."""


@dataclass
class _Row:
    generation: Generation
    choice: int
    uniform: np.random.Generator
    count: int = 0
    tokens: list[TokenChoice] = field(default_factory=list[TokenChoice])
    done: bool = False

    @property
    def remaining(self) -> int:
        return self.generation.max_new_tokens - self.count

    @property
    def length(self) -> int:
        return len(self.generation.prompt) + self.count


@dataclass
class _Batch:
    """Rows that are decoded together, and the logits of what comes next."""

    decoder: Decoder
    rows: list[_Row]
    logits_RV: Tensor


class ContinuousBatching:
    """`rows`: replies under way at once; `cache_tokens`: tokens that the cache may hold for all of
    them; `waiting`: replies that may wait."""

    def __init__(self, policy: LoadedModel, *, rows: int = 64, cache_tokens: int = 65_536, waiting: int = 1024) -> None:
        self.policy, self.rows, self.cache_tokens, self.most_waiting = policy, rows, cache_tokens, waiting
        self._waiting: deque[Generation] = deque()
        self._change = threading.Condition()
        self._is_over = False
        self.ready = threading.Event()
        """Set when the weights are packed and the first prompt can be read."""
        self._batches: list[_Batch] = []

    def submit(self, generations: Sequence[Generation]) -> None:
        """Ask for replies. Raises ServerFull, and ValueError for what the cache could never hold."""
        for generation in generations:
            cells = generation.n * (len(generation.prompt) + generation.max_new_tokens)
            if cells > self.cache_tokens:
                each = f"of up to {generation.max_new_tokens} tokens to a prompt of {len(generation.prompt)}"
                raise ValueError(
                    f"{generation.n} replies {each} are {cells} tokens, and the server's cache holds"
                    f" {self.cache_tokens}; ask for fewer or shorter ones"
                )
            if generation.n > self.rows:
                raise ValueError(f"{generation.n} replies at once are more than the server's batch of {self.rows} rows")
        with self._change:
            if self._is_over:
                raise ServerFull("the server is ending")
            self._waiting = deque(each for each in self._waiting if not each.is_left)  # they take nobody's place
            count = sum(generation.n for generation in generations)
            if self._waiting and sum(generation.n for generation in self._waiting) + count > self.most_waiting:
                raise ServerFull(f"{self.most_waiting} replies are waiting already")
            self._waiting.extend(generations)
            self._change.notify()

    def end(self) -> None:
        """Stop at the next token; whoever waits is told."""
        with self._change:
            self._is_over = True
            self._change.notify()

    def run(self) -> None:
        """Decode until `end`."""
        with torch.inference_mode(), decoding(self.policy, self.rows, longest=self.policy.longest) as decoder:
            self.ready.set()
            while self._wait():
                try:
                    self._turn(decoder)
                except Exception as error:  # what one batch meets must not end the server
                    self._fail(f"{type(error).__name__}: {error}")
        self._fail("the server is ending")

    # ---- one token more --------------------------------------------------------------------------
    def _wait(self) -> bool:
        """Until there is something to do; False once it is over."""
        with self._change:
            while not (self._waiting or self._batches or self._is_over):
                self._change.wait()
            return not self._is_over

    def _turn(self, decoder: Decoder) -> None:
        # 1. Prompts that there is room for are read, and their rows join.
        self._begin(decoder)
        for batch in self._batches:
            # 2. One token a row, told at once or kept.
            token_R = self._draw(batch)
            # 3. Rows that have ended leave when they are a share of the batch that is worth copying the cache for.
            if sum(row.done for row in batch.rows) >= _DROP_AT * len(batch.rows):
                token_R = _leave(batch, token_R)
            if batch.rows:
                batch.logits_RV = batch.decoder.step(token_R)
        self._batches = [batch for batch in self._batches if batch.rows]

    def _begin(self, decoder: Decoder) -> None:
        admitted = list(self._admitted())  # the line is free again before anything is read
        new = [each for each in admitted if not each.scores_prompt or self._read(each)]
        rows = [
            _row(generation, sample)
            for generation in new
            for sample in range(generation.n)
            if generation.max_new_tokens
        ]
        if not rows:
            return
        # in the list before anything can fail, so that a failure is told to whoever waits for them
        batch = _Batch(copy.copy(decoder), rows, torch.empty(0))
        self._batches.append(batch)
        prompts = list(dict.fromkeys(row.generation.prompt for row in rows))
        place = {prompt: p for p, prompt in enumerate(prompts)}
        batch.logits_RV = batch.decoder.begin(
            prompts, [place[row.generation.prompt] for row in rows], max(row.remaining for row in rows)
        )
        running = self._batches[0]
        if running is not batch and isinstance(running.decoder, AlignedRows) and isinstance(batch.decoder, AlignedRows):
            running.logits_RV = _leave(running, running.logits_RV)
            join(running.decoder, batch.decoder, max(row.remaining for row in (*running.rows, *rows)))
            running.logits_RV = torch.cat([running.logits_RV, batch.logits_RV])
            running.rows += rows
            self._batches.remove(batch)

    def _read(self, generation: Generation) -> bool:
        """Tell the prompt's own log-probabilities; False where that failed, which is told too, and
        where nobody waits any more: the prompts before it took their time."""
        if generation.is_left:
            return False
        try:
            generation.tell(
                PromptRead(generation.place, tuple(prompt_logprobs(self.policy, generation.prompt, generation.top)))
            )
        except Exception as error:  # of this prompt alone: others were admitted with it
            _tell_failure(generation, f"{type(error).__name__}: {error}")
            return False
        return True

    def _admitted(self) -> Iterator[Generation]:
        """Those at the head of the line that there is room for: in the batch, in the cache, and in
        what is read at one go."""
        sizes = [(row.length, row.remaining) for batch in self._batches for row in batch.rows if not row.done]
        tokens = 0
        with self._change:
            while self._waiting:
                generation = self._waiting[0]
                if not generation.is_left:
                    wider = sizes + [(len(generation.prompt), generation.max_new_tokens)] * generation.n
                    if sizes and (len(wider) > self.rows or _cells(wider) > self.cache_tokens):
                        return
                    if tokens and tokens + len(generation.prompt) > self.policy.token_budget:
                        return
                    sizes, tokens = wider, tokens + len(generation.prompt)
                    yield generation
                self._waiting.popleft()

    def _draw(self, batch: _Batch) -> Tensor:
        token_R, logp_R = _tokens(batch)
        top_of = _likeliest(batch)
        for i, (row, token, logp) in enumerate(zip(batch.rows, token_R.tolist(), logp_R.tolist(), strict=True)):
            if row.done:
                continue
            if math.isnan(logp):
                _tell_end(row, None, "the model's logits are no numbers (NaN)")
                continue
            row.tokens.append(TokenChoice(token, logp, top_of.get(i, ())[: row.generation.top]))
            row.count += 1
            finish = "stop" if token in row.generation.stop_ids else None if row.remaining else "length"
            if finish is not None or row.choice in row.generation.leavers:
                _tell_end(row, finish or "stop")
            elif row.generation.each:
                row.generation.tell(Drawn(row.choice, tuple(row.tokens)))
                row.tokens.clear()
        return token_R

    def _fail(self, error: str) -> None:
        """Tell everybody whose rows are under way, and where it is over those who wait."""
        for batch in self._batches:
            for row in batch.rows:
                if not row.done:
                    _tell_end(row, None, error)
        self._batches = []
        with self._change:
            if self._is_over:
                for generation in self._waiting:
                    _tell_failure(generation, error)
                self._waiting.clear()


def _cells(sizes: Sequence[tuple[int, int]]) -> int:
    """The most that a cache comes to hold whose rows have so many tokens, and so many to come: all
    are as wide as the widest."""
    return len(sizes) * (max(length for length, _ in sizes) + max(remaining for _, remaining in sizes))


def _row(generation: Generation, sample: int) -> _Row:
    return _Row(
        generation,
        generation.place * generation.n + sample,
        np.random.default_rng((generation.seed, generation.place, sample)),
    )


def _tokens(batch: _Batch) -> tuple[Tensor, Tensor]:
    """A token a row with its log-probability, rows of one temperature and nucleus together."""
    device = batch.logits_RV.device
    uniform_R = torch.tensor([row.uniform.random() for row in batch.rows], dtype=torch.float64, device=device)
    kinds = [(row.generation.temperature, row.generation.top_p) for row in batch.rows]
    if len(set(kinds)) == 1:
        return _drawn(batch.logits_RV, uniform_R, *kinds[0])
    token_R, logp_R = torch.empty(len(kinds), dtype=torch.int64, device=device), torch.empty(len(kinds), device=device)
    for kind in dict.fromkeys(kinds):
        index = torch.tensor([i for i, each in enumerate(kinds) if each == kind], device=device)
        token_R[index], logp_R[index] = _drawn(batch.logits_RV[index], uniform_R[index], *kind)
    return token_R, logp_R


def _drawn(logits_RV: Tensor, uniform_R: Tensor, temperature: float, top_p: float) -> tuple[Tensor, Tensor]:
    if top_p < 1 and temperature > 0:
        return nucleus(logits_RV, uniform_R, temperature, top_p)
    return draw(logits_RV, uniform_R, temperature)


def _likeliest(batch: _Batch) -> dict[int, tuple[tuple[int, float], ...]]:
    """Of the rows that ask for it the likeliest tokens, by the row's place."""
    places = [i for i, row in enumerate(batch.rows) if row.generation.top and not row.done]
    if not places:
        return {}
    top = max(batch.rows[i].generation.top for i in places)
    every = len(places) == len(batch.rows)
    return dict(zip(places, likeliest(batch.logits_RV if every else batch.logits_RV[places], top), strict=True))


def _leave(batch: _Batch, value_R: Tensor) -> Tensor:
    """Let rows that have ended go; what is left of `value_R`."""
    alive = [i for i, row in enumerate(batch.rows) if not row.done]
    if len(alive) == len(batch.rows):
        return value_R
    batch.rows = [batch.rows[i] for i in alive]
    index = torch.tensor(alive, dtype=torch.int64, device=value_R.device)
    if alive:
        batch.decoder.keep(index)
    return value_R[index]


def _tell_failure(generation: Generation, error: str) -> None:
    for sample in range(generation.n):
        generation.tell(Drawn(generation.place * generation.n + sample, error=error))


def _tell_end(row: _Row, finish: str | None, error: str | None = None) -> None:
    row.done = True
    row.generation.tell(Drawn(row.choice, tuple(row.tokens), finish, error))
