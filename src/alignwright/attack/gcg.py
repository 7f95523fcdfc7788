"""Which suffix makes a reply that complies likely? Greedy coordinate gradient (GCG).

GCG (Zou et al. 2023, arXiv 2307.15043) lowers the loss of a target ("Sure, here is ...") over the tokens
of a suffix. A step takes the gradient by the one-hot vector of each token, draws candidates that change
one token to one of the `top_k` that the gradient favours at its place, leaves out those that typed words
cannot give, and goes on with the candidate of the lowest loss. Then, as in I-GCG (Jia et al. 2024,
arXiv 2405.21018), the best changes at different places are made together, one after the other, and the
best of these wins if it is better: several tokens move in a step.

Loss and gradient are exact (`model/target_loss`). Success is not the loss: after 1, 2, 4 ... steps the
conversation with the best suffix so far is put to the model as any user could, and its reply is graded.
So the rate is of requests within a number of steps.

A step is a function of the suffix before it and of the seed, the request and the step's number, and each
is written down: a search that was killed goes on after its last step, to the same end. Left out: one
suffix for several requests at once, and losses that aim at no target.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from alignwright.attack.step_outcomes import marks, step_samples
from alignwright.attack.suffix_space import SuffixSpace, plain_tokens
from alignwright.attack.target import Attempt, Target
from alignwright.core.records import SampleResult, content_id
from alignwright.files.items import RefusalItem
from alignwright.files.lines import append_durably, whole_lines
from alignwright.model.local_model import LocalModel
from alignwright.model.matmul import Packs, packed_once
from alignwright.model.target_loss import TargetLoss

MERGED = 7
"""So many of the best changes are made together, as in I-GCG."""
_DRAWS = 4096  # candidates that are drawn where no typed words give any of them


@dataclass(frozen=True)
class SearchWidth:
    """How long a suffix is, how many candidates a step draws, and from how many tokens at each place."""

    length: int = 20
    candidates: int = 512
    top_k: int = 256


def gcg(
    target: Target,
    policy: LocalModel,
    behaviours: Sequence[RefusalItem],
    *,
    steps: int,
    width: SearchWidth,
    begin: str,
    log: Path | None = None,
) -> list[SampleResult]:
    """Search for each request until it falls or `steps` are made. `begin` is what a reply should begin
    with where the request does not say; `log` is where the steps are kept."""

    def search(item: RefusalItem, tokens_U: Tensor) -> SuffixSearch:
        return SuffixSearch(policy, item, width, item.target or begin, tokens_U, target.seed)

    return suffixes_in_step(target, policy, behaviours, search, steps, log)


def suffixes_in_step(
    target: Target,
    policy: LocalModel,
    behaviours: Sequence[RefusalItem],
    search: Callable[[RefusalItem, Tensor], SuffixSearch],
    steps: int,
    log: Path | None,
) -> list[SampleResult]:
    """The searches of all requests in step, each asked with its best suffix after 1, 2, 4 ... steps.
    `search` begins one, with the tokens that a suffix may be made of."""
    tokens_U = plain_tokens(policy.chat, policy.model.get_input_embeddings().weight.shape[0])
    past, packs = _read(log), Packs()
    searches: dict[str, SuffixSearch] = {}
    tries: dict[str, list[Any]] = {item.id: [] for item in behaviours}
    rest = list(behaviours)
    for upto in marks(steps):
        for place, item in enumerate(rest):
            with packed_once(packs):
                if item.id not in searches:
                    searches[item.id] = search(item, tokens_U)
                for step in searches[item.id].steps(upto, past.get(item.id, {})):
                    if log is not None and step.number not in past.get(item.id, {}):
                        append_durably(log, json.dumps({"behaviour": item.id, **vars(step)}).encode())
                    if policy.progress:
                        policy.progress(place * upto + step.number, len(rest) * upto)
        attempts = [Attempt(item, searches[item.id].conversation) for item in rest]
        for item, each in zip(rest, target.attempt(attempts), strict=True):
            tries[item.id].append(each)
        rest = [item for item in rest if tries[item.id][-1] and not tries[item.id][-1].succeeded]
    return step_samples(target, behaviours, marks(steps), tries)


@dataclass(frozen=True)
class SearchStep:
    """Where a search stands after a step: its suffix, and the loss with it."""

    number: int
    suffix: list[int]
    loss: float


class SuffixSearch:
    """The search for a suffix to one request; of its target the `first` tokens count, or all of them."""

    def __init__(
        self,
        policy: LocalModel,
        item: RefusalItem,
        width: SearchWidth,
        begin: str,
        tokens_U: Tensor,
        seed: int,
        first: int | None = None,
    ) -> None:
        self.space = SuffixSpace(policy.chat, item.prompt, width.length)
        self.loss = TargetLoss(policy, self.space.before, self.space.after, policy.chat.reply(begin, end=False)[:first])
        self.width, self.tokens_U, self.seed, self.id = width, tokens_U, seed, item.id
        self.at = self.best = SearchStep(0, self.space.start, float(self.loss.losses([self.space.start])))

    @property
    def conversation(self) -> Any:
        """The request with the best suffix so far."""
        return self.space.conversation(self.best.suffix)

    def steps(self, upto: int, past: dict[int, SearchStep] | None = None) -> Iterator[SearchStep]:
        """Each step up to this number; one that was made before is taken as it was."""
        while self.at.number < upto:
            number = self.at.number + 1
            self.at = (past or {}).get(number) or self._step(number)
            self.best = min(self.best, self.at, key=lambda step: step.loss)
            yield self.at

    def _step(self, number: int) -> SearchStep:
        rng = torch.Generator().manual_seed(int(content_id(self.id, self.seed, number)[:12], 16))
        # 1. The gradient, as it is used: among tokens that words can give, those that promise the most.
        now, grad_SV = self.loss.gradient(self.at.suffix)
        top_SK = self._top(grad_SV)
        # 2. Candidates, each with one token changed.
        candidates = self._candidates(top_SK, rng)
        losses = self.loss.losses(candidates).tolist()
        # 3. The best changes together, of those that lower the loss alone.
        better = [(loss, suffix) for loss, suffix in zip(losses, candidates, strict=True) if loss < now]
        joint = self._merged([suffix for _, suffix in sorted(better)])
        pairs = [*zip(losses, candidates, strict=True), *zip(self.loss.losses(joint).tolist(), joint, strict=True)]
        for loss, suffix in sorted(pairs, key=lambda pair: pair[0]):
            if self.space.keeps(suffix):
                return SearchStep(number, suffix, loss)
        raise self._untypable(len(pairs))

    def _top(self, grad_SV: Tensor) -> Tensor:
        grad_SU = grad_SV.cpu().index_select(1, self.tokens_U)
        best_SK = (-grad_SU).topk(min(self.width.top_k, grad_SU.shape[1]), dim=1).indices
        return self.tokens_U[best_SK]

    def _candidates(self, top_SK: Tensor, rng: torch.Generator) -> list[list[int]]:
        length, count = top_SK.shape
        for _ in range(max(1, _DRAWS // self.width.candidates)):
            places = torch.randint(length, (self.width.candidates,), generator=rng)
            tokens = top_SK[places, torch.randint(count, (self.width.candidates,), generator=rng)]
            changes = dict.fromkeys(zip(places.tolist(), tokens.tolist(), strict=True))
            singles = [self._with({place: token}) for place, token in changes if token != self.at.suffix[place]]
            if usable := [suffix for suffix in singles if self.space.may_keep(suffix)]:
                return usable
        raise self._untypable(_DRAWS)

    def _untypable(self, count: int) -> ValueError:
        return ValueError(
            f"no candidate of {count} for a suffix to {self.space.request[:60]!r} can be"
            " typed: each is read as other tokens; a longer suffix or a greater top_k may help"
        )

    def _merged(self, suffixes: Sequence[list[int]]) -> list[list[int]]:
        """The first change, with the next at another place, and so on; best first."""
        changes: dict[int, int] = {}
        joint: list[list[int]] = []
        for suffix in suffixes:
            place = next(i for i, (old, new) in enumerate(zip(self.at.suffix, suffix, strict=True)) if old != new)
            if place in changes:
                continue
            changes[place] = suffix[place]
            if len(changes) > 1:
                joint.append(self._with(changes))
            if len(changes) == MERGED:
                break
        return [suffix for suffix in joint if self.space.may_keep(suffix)]

    def _with(self, changes: dict[int, int]) -> list[int]:
        return [changes.get(place, token) for place, token in enumerate(self.at.suffix)]


def _read(log: Path | None) -> dict[str, dict[int, SearchStep]]:
    """The steps of a file, by request and number."""
    past: dict[str, dict[int, SearchStep]] = {}
    for line in whole_lines(log) if log is not None and log.is_file() else ():
        row = cast("dict[str, Any]", json.loads(line))
        steps = past.setdefault(row.pop("behaviour"), {})
        steps[row["number"]] = SearchStep(**row)
    return past
