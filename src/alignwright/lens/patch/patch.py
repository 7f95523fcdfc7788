"""Which parts of a model carry what it says? Activation patching, with attribution patching to propose and exact
patching to decide.

Of each pair of prompts (`files.contrast_pairs`) the **gap** is the difference between the answers' logits after the
clean prompt less that after the corrupt one. Then, in this order:

1. **Where it travels**: the stream of each block is put from the clean run into the corrupt one, at the tokens that
   differ, at those after them, and at the last one. Exact.
2. **What carries it**: attribution ranks every head and MLP on one half of the topics, exact patching there decides
   among the first `2 x top` and every MLP, and the `top` of these are tried on the **other half**: together they bring
   back so much of the gap, and so much is lost without them.
3. **Paths** between the components found, exact, on the half that was tried.
4. **How far attribution is to be believed**: rank correlation and ratio with exact patching, of the components that it
   ranks first and of as many drawn from the rest, on the half that was tried.

**Control**: twenty sets of as many other heads and MLPs. **Verdict** `signal`: the gap's interval is above 0 (the model
tells the prompts apart), that of what the components bring back beyond the random sets is, and no twentieth of the
sets does as well. In a model that does not tell the prompts apart the gap's interval is above 0 in one of forty, which
bounds how often anything is found there.

**Not told**: what a component computes; backups that step in when one is taken away; whatever differs between the
prompts beside what was meant to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import torch
from torch import Tensor

from alignwright.lens.patch.attribution import PatchAttribution, attribute
from alignwright.lens.patch.components import Component, ComponentMap, component_map, random_sets
from alignwright.lens.patch.exact import ROLES, Effects, ExactPatching, Role, of_all
from alignwright.lens.patch.pairs import TokenPair, batches
from alignwright.model.local_model import LocalModel

RANDOM = 20
"""Sets of other components that the found ones stand beside."""
CHECKS = 10
"""Components that attribution ranks first, and as many of the rest, that are compared with exact patching."""


@dataclass(frozen=True, eq=False)
class PatchResult:
    """Everything by the pair's place. `found` carry the answer, most first; `random_recovered` and `random_lost` are of
    each random set; `exact` is of the components that are compared."""

    attribution: PatchAttribution
    chosen_on: tuple[int, ...]
    tried_on: tuple[int, ...]
    stream: Mapping[tuple[Role, int], Effects]
    carriers: tuple[Component, ...]
    recovered: Effects = field(default_factory=dict[int, float])
    loss: Effects = field(default_factory=dict[int, float])
    random_recovered: Sequence[Effects] = ()
    random_loss: Sequence[Effects] = ()
    exact: Mapping[Component, Effects] = field(default_factory=dict[Component, Effects])
    paths: Mapping[tuple[Component, Component], Effects] = field(
        default_factory=dict[tuple[Component, Component], Effects]
    )

    @property
    def gap(self) -> Effects:
        """Of each pair: by how much the clean prompt speaks more for the answer, in logits."""
        return {place: value - self.attribution.corrupt[place] for place, value in self.attribution.clean.items()}


def halves(topics: Sequence[str]) -> tuple[list[int], list[int]]:
    """Places of two halves: by whole topics where there are at least four, else pair by pair."""
    names = list(dict.fromkeys(topics))
    if len(names) < 4:
        return list(range(0, len(topics), 2)), list(range(1, len(topics), 2))
    first = set(names[::2])
    return [i for i, topic in enumerate(topics) if topic in first], [i for i, t in enumerate(topics) if t not in first]


def patch(policy: LocalModel, pairs: Sequence[TokenPair], topics: Sequence[str], *, top: int) -> PatchResult:
    """`topics`: of each pair. Raises ValueError for a family whose components cannot be told apart."""
    parts = component_map(policy)
    choice, trial = ([pairs[i] for i in half] for half in halves(topics))
    attribution = attribute(policy, parts, batches(policy, pairs))
    chosen_on, tried_on = tuple(pair.place for pair in choice), tuple(pair.place for pair in trial)
    blocks = range(len(parts.layout.blocks))
    streams = of_all(
        policy, parts, batches(policy, pairs),
        lambda runs: {f"{role} {layer}": runs.stream(layer, role) for role in ROLES for layer in blocks},
    )  # fmt: skip
    stream: dict[tuple[Role, int], Effects] = {
        (role, layer): streams[f"{role} {layer}"] for role in ROLES for layer in blocks
    }
    ranking = sorted(parts.all, key=lambda each: -fmean(attribution.components[each][place] for place in chosen_on))
    # an early MLP writes what all others read, which no gradient of one token's answer tells of: each is tried
    candidates = list(dict.fromkeys([*ranking[: 2 * top], *(each for each in parts.all if each.part == "mlp")]))
    on_choose = of_all(
        policy, parts, batches(policy, choice), lambda runs: {each.name: runs.recovered([each]) for each in candidates}
    )
    sizes = {each: fmean(on_choose[each.name].values()) for each in candidates}
    carriers = tuple(each for each in sorted(candidates, key=lambda each: -sizes[each])[:top] if sizes[each] > 0)
    if not carriers:
        return PatchResult(attribution, chosen_on, tried_on, stream, ())
    return _on_trial(policy, parts, trial, ranking, PatchResult(attribution, chosen_on, tried_on, stream, carriers))


def _on_trial(
    policy: LocalModel,
    parts: ComponentMap,
    pairs: Sequence[TokenPair],
    ranking: Sequence[Component],
    so_far: PatchResult,
) -> PatchResult:
    """The same with everything that is done on the half that was not chosen on."""
    carriers = so_far.carriers
    sets = random_sets(parts.all, carriers, RANDOM, seed=0)
    order = torch.randperm(max(0, len(ranking) - CHECKS), generator=torch.Generator().manual_seed(0)).tolist()
    checks = [*ranking[:CHECKS], *(ranking[CHECKS + i] for i in order[:CHECKS])]
    paths = [(one, other) for one in carriers for other in carriers if _comes_before(one, other)]

    def effects(runs: ExactPatching) -> dict[str, Tensor]:
        values = {"recovered": runs.recovered(carriers), "lost": runs.loss(carriers)}
        for number, own in enumerate(sets):
            values |= {f"recovered {number}": runs.recovered(own), f"lost {number}": runs.loss(own)}
        values |= {f"exact {each.name}": runs.recovered([each]) for each in checks}
        return values | {f"{one.name} > {other.name}": runs.path(one, other) for one, other in paths}

    results = of_all(policy, parts, batches(policy, pairs), effects)
    return PatchResult(
        so_far.attribution, so_far.chosen_on, so_far.tried_on, so_far.stream, carriers, results["recovered"],
        results["lost"], [results[f"recovered {n}"] for n in range(len(sets))],
        [results[f"lost {n}"] for n in range(len(sets))], {each: results[f"exact {each.name}"] for each in checks},
        {(one, other): results[f"{one.name} > {other.name}"] for one, other in paths},
    )  # fmt: skip


def _comes_before(one: Component, other: Component) -> bool:
    return one.layer < other.layer or (one.layer == other.layer and one.part != "mlp" and other.part == "mlp")
