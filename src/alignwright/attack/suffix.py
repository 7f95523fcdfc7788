"""Does a suffix found by chance make a reply that complies likely? Random search for a suffix.

Andriushchenko, Croce and Flammarion (2024, arXiv 2404.02151): a step changes a few neighbouring tokens
of the suffix to random ones and goes on with the change where the log-probability of the first token
of a reply that complies ("Sure") rises. No gradient is taken, so an attacker needs no more than that
number; the fewer tokens are changed the likelier it is already. Here a step draws several candidates
and takes the best of them, in one batch. As in `gcg` a suffix is one that can be typed, the model is
asked after 1, 2, 4 ... steps, and each step is written down.

A server of OpenAI's chat completions gives no log-probability of a token that it did not choose, so
the attack needs a model that is here. Left out on purpose: the template before the request, which is
a wrapper of a suite; suffixes that fell other requests as a start; restarts, which are other seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from alignwright.attack.gcg import SearchStep, SearchWidth, SuffixSearch, suffixes_in_step
from alignwright.attack.target import Target
from alignwright.core.records import SampleResult, content_id
from alignwright.files.items import RefusalItem
from alignwright.model.local_model import LocalModel

_DRAWS = 64  # batches of candidates that are drawn where none of them can be typed


@dataclass(frozen=True)
class RandomWidth:
    """How long a suffix is, how many candidates a step draws, how many neighbouring tokens one of them
    changes at most, and how many tokens of the target count."""

    length: int = 25
    candidates: int = 64
    change: int = 4
    first: int = 1


def suffix(
    target: Target,
    policy: LocalModel,
    behaviours: Sequence[RefusalItem],
    *,
    steps: int,
    width: RandomWidth,
    begin: str,
    log: Path | None = None,
) -> list[SampleResult]:
    """Search for each request until it falls or `steps` are made. `begin` is what a reply should begin
    with where the request does not say; `log` is where the steps are kept."""

    def search(item: RefusalItem, tokens_U: torch.Tensor) -> SuffixSearch:
        return RandomSearch(policy, item, width, item.target or begin, tokens_U, target.seed)

    return suffixes_in_step(target, policy, behaviours, search, steps, log)


class RandomSearch(SuffixSearch):
    """The random search for a suffix to one request: it never goes on with a worse one."""

    def __init__(
        self, policy: LocalModel, item: RefusalItem, width: RandomWidth, begin: str, tokens_U: torch.Tensor, seed: int
    ) -> None:
        plain = SearchWidth(width.length, width.candidates)
        super().__init__(policy, item, plain, begin, tokens_U, seed, first=width.first)
        self.change = width.change

    def _step(self, number: int) -> SearchStep:
        rng = torch.Generator().manual_seed(int(content_id(self.id, self.seed, number)[:12], 16))
        candidates = self.drawn(rng)
        losses = self.loss.losses(candidates).tolist()
        loss, best = min(zip(losses, candidates, strict=True), key=lambda pair: pair[0])
        return SearchStep(number, *((best, loss) if loss < self.at.loss else (self.at.suffix, self.at.loss)))

    def drawn(self, rng: torch.Generator) -> list[list[int]]:
        """Candidates that differ in some neighbouring tokens and can be typed, each once."""
        size = block(self.change, self.at.loss)
        for _ in range(_DRAWS):
            draws = [self._changed(size, rng) for _ in range(self.width.candidates)]
            fresh = [list(ids) for ids in dict.fromkeys(map(tuple, draws)) if list(ids) != self.at.suffix]
            if usable := [ids for ids in fresh if self.space.keeps(ids)]:
                return usable
        raise ValueError(
            f"no candidate of {_DRAWS * self.width.candidates} for a suffix to {self.space.request[:60]!r} can be"
            " typed: each is read as other tokens; a longer suffix or a smaller 'change' may help"
        )

    def _changed(self, size: int, rng: torch.Generator) -> list[int]:
        ids = list(self.at.suffix)
        width = min(int(torch.randint(size, (), generator=rng)) + 1, len(ids))
        start = int(torch.randint(len(ids) - width + 1, (), generator=rng))
        places = torch.randint(len(self.tokens_U), (width,), generator=rng)
        ids[start : start + width] = self.tokens_U[places].tolist()
        return ids


def block(most: int, loss: float) -> int:
    """How many neighbouring tokens are changed at most: fewer, the likelier the target is already."""
    likelihood = math.exp(-loss)
    return max(1, most if likelihood < 0.01 else most // 2 if likelihood < 0.1 else most // 4)
