"""Which of many directions decides about refusing: from which token after the request, at which block? (Arditi et al.
2024.)

A candidate is the mean state of harmful requests less that of harmless ones at one of the tokens that the template
writes after a request, at one block of the first four fifths. A quarter of the requests, of which no direction is
made, judges them by the odds of refusing, log P / (1 - P) of the first token being one that a refusal begins with:

- **bypass**: the odds after harmful requests when the direction is ablated everywhere; the lower the better
- **induce**: the odds after harmless ones when it is added after its block; above 0
- **divergence**: the KL of the next token after harmless ones, from the model as it is to the ablated one; below 0.1

The candidate with the least bypass that meets both is selected. **Control**: where random directions ablated come as
low, no candidate is any better than they are; so a model without such a direction ends with none, which is said. The
candidates are tried in the order of their bypass, so those after the selected one have no other score.

Left out: the search over which words a refusal begins with. Where a model declines in other words than `OPENINGS`
these odds do not see it.

Shapes: N requests, P tokens after a request, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alignwright.core.records import Conversation
from alignwright.files.items import RefusalItem
from alignwright.lens.steer.knobs import RANDOM
from alignwright.model.activations.capture import row_states
from alignwright.model.activations.edits import Add, ablate_everywhere, edited, random_direction
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.next_token import next_logprobs
from alignwright.model.activations.sites import Site
from alignwright.model.activations.token_scope import template_tokens
from alignwright.model.loaded_model import LoadedModel

DEPTH, INDUCE, DIVERGENCE = 0.8, 0.0, 0.1
JUDGING, MOST = 4, 32
"""Every fourth request judges, and at most so many of each kind."""
OPENINGS = ("I cannot help with that.", "I'm sorry, but I can't.", "Sorry, I can't.", "Unfortunately, I can't.")


@dataclass(frozen=True)
class Candidate:
    """A direction of one token (from the end of the prompt: -1 is the last) and one block, with its scores; None:
    another had been selected before it was asked for."""

    token: int
    layer: int
    bypass: float
    induce: float | None = None
    divergence: float | None = None

    @property
    def passes(self) -> bool:
        return (
            self.induce is not None
            and self.divergence is not None
            and self.induce > INDUCE
            and self.divergence < DIVERGENCE
        )


@dataclass(frozen=True, eq=False)
class Selection:
    """All candidates, the best bypass first, and the one that is selected, with its direction. `harmful`, `harmless`:
    the odds of refusing as the model is; `random`: the least bypass of the random directions; `judged`: how many
    requests of both kinds judge."""

    candidates: Sequence[Candidate]
    selected: Candidate | None
    vector: Tensor | None
    harmful: float
    harmless: float
    random: float
    judged: int

    @property
    def why_none(self) -> str:
        """Why nothing was selected."""
        tried = [each for each in self.candidates if each.induce is not None]
        if not tried:
            return (
                f"no candidate of {len(self.candidates)} lowers the odds of refusing more than random directions do"
                f" ({self.candidates[0].bypass:.2f} and {self.random:.2f}; {self.harmful:.2f} as the model is)"
            )
        bringing = [each for each in tried if each.divergence is not None]
        if not bringing:
            most = max(each.induce for each in tried if each.induce is not None)
            return (
                f"none of the {len(tried)} candidates that take refusals away brings refusals about when it is added"
                f" (odds {most:.2f} at most, where above 0 is asked)"
            )
        least = min(each.divergence for each in bringing if each.divergence is not None)
        return (
            f"each of the {len(bringing)} candidates that take refusals away and bring them about changes harmless"
            f" replies too (KL {least:.2f} at least, where below {DIVERGENCE} is asked)"
        )


def opening_tokens(policy: LoadedModel) -> tuple[int, ...]:
    """The tokens with which a refusal begins."""
    return tuple(sorted({policy.chat.reply(text, end=False)[0] for text in OPENINGS}))


def select(
    policy: LoadedModel, items: Sequence[RefusalItem], *, scale: float = 1.0, openings: Sequence[int] | None = None
) -> Selection:
    """Try every token after a request and every block of the first four fifths."""
    openings = opening_tokens(policy) if openings is None else openings
    layout = layout_of(policy)
    fitted, judging = halves(items)
    vectors = _vectors(policy, fitted, max(1, int(DEPTH * len(layout.blocks))))
    harmful, harmless = (
        [policy.chat.prompt(Conversation.user(item.prompt)) for item in judging if item.kind == kind]
        for kind in ("harmful", "harmless")
    )
    plain = next_logprobs(policy, harmless)

    def odds(rows: Sequence[Sequence[int]]) -> float:
        return float(refusal_odds(next_logprobs(policy, rows), openings).mean())

    def bypass(vector_H: Tensor) -> float:
        with edited(policy, ablate_everywhere(layout, vector_H)):
            return odds(harmful)

    least = min(bypass(random_direction(layout.hidden, seed)) for seed in range(RANDOM))
    scored = [Candidate(token, layer, bypass(vector_H)) for (token, layer), vector_H in vectors.items()]
    candidates = sorted(scored, key=lambda each: (each.bypass, each.layer, each.token))
    selected = None
    for place, candidate in enumerate(candidates):
        if candidate.bypass >= least:
            break
        vector_H = vectors[candidate.token, candidate.layer]
        with edited(policy, [Add(Site(candidate.layer), vector_H, scale)]):
            induce, divergence = odds(harmless), None
        if induce > INDUCE:
            with edited(policy, ablate_everywhere(layout, vector_H)):
                divergence = kl(plain, next_logprobs(policy, harmless))
        tried = Candidate(candidate.token, candidate.layer, candidate.bypass, induce, divergence)
        candidates[place] = tried
        if tried.passes:
            selected = tried
            break
    return Selection(
        candidates, selected, None if selected is None else vectors[selected.token, selected.layer],
        odds(harmful), float(refusal_odds(plain, openings).mean()), least, len(judging),
    )  # fmt: skip


def halves(items: Sequence[RefusalItem]) -> tuple[list[RefusalItem], list[RefusalItem]]:
    """The requests that directions are made of, and those that judge."""
    kinds = [[item for item in items if item.kind == kind] for kind in ("harmful", "harmless")]
    judging = [item for own in kinds for item in own[JUDGING - 1 :: JUDGING][:MOST]]
    chosen = {id(item) for item in judging}
    return [item for own in kinds for item in own if id(item) not in chosen], judging


def refusal_odds(logp_NV: Tensor, openings: Sequence[int]) -> Tensor:
    """log P / (1 - P) of each row's next token being one of these: [N]."""
    own_N = logp_NV[:, list(openings)].double().logsumexp(dim=1)
    others = torch.ones(logp_NV.shape[1], dtype=torch.bool)
    others[list(openings)] = False
    return own_N - logp_NV[:, others].double().logsumexp(dim=1)


def kl(from_NV: Tensor, to_NV: Tensor) -> float:
    """The mean KL of the first distribution from the second, in nats."""
    one, two = from_NV.double(), to_NV.double()
    return float((one.exp() * (one - two)).sum(1).mean())


def _vectors(policy: LoadedModel, items: Sequence[RefusalItem], layers: int) -> Mapping[tuple[int, int], Tensor]:
    """The mean difference of each token after the request and each of the first blocks, by (token, block); of length
    0 ones (a token that reads nothing) none."""
    count, sites = len(template_tokens(policy)), [Site(layer) for layer in range(layers)]
    rows = [policy.chat.prompt(Conversation.user(item.prompt)) for item in items]
    sums = {kind: torch.zeros(layers, count, layout_of(policy).hidden, dtype=torch.float64) for kind in (True, False)}
    for each in row_states(policy, rows, sites):
        states_LPH = torch.stack([each.states[site][-count:].double().cpu() for site in sites])
        sums[items[each.row].kind == "harmful"] += states_LPH
    number = sum(item.kind == "harmful" for item in items)
    difference_LPH = (sums[True] / number - sums[False] / (len(items) - number)).float()
    return {
        (place - count, layer): difference_LPH[layer, place]
        for layer in range(layers)
        for place in range(count)
        if float(difference_LPH[layer, place].norm()) > 0
    }
