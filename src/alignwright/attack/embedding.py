"""What would the model say to what no words can say? Embedding attacks and latent perturbations.

An embedding attack (Schwinn et al. 2024, arXiv 2402.09063) adds vectors to the embeddings of a suffix
and lowers the loss of a reply that complies by steps along the sign of the gradient; a latent
perturbation (Casper et al. 2024, arXiv 2403.05030) does so after a block. Each vector is held within a
radius, a multiple of the mean length of what stands there, so that a number of the attack says at what
strength. After 1, 2, 4 ... steps the reply is decoded with the vectors in place and graded.

It is a test of a model whose weights a user has, and of whether a refusal is more than a surface: no
text can do it, so nothing of it can be replayed, and a success is no jailbreak of a served model. It is
determined by the weights: there is no seed in it. Left out: one perturbation for all requests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from alignwright.attack.step_outcomes import marks, step_samples
from alignwright.attack.suffix_space import SuffixSpace
from alignwright.attack.target import Attempt, Target
from alignwright.core.attacks import Try
from alignwright.core.records import SampleResult
from alignwright.files.items import RefusalItem
from alignwright.model.local_model import LocalModel
from alignwright.model.perturbation import Perturbation, PerturbedModel, perturbed_loss, state_norm

_SHARE = 0.1  # of the radius: how far a step goes


def embedding(
    target: Target,
    speaker: PerturbedModel,
    policy: LocalModel,
    behaviours: Sequence[RefusalItem],
    *,
    steps: int,
    layer: int,
    length: int,
    radius: float,
    begin: str,
) -> list[SampleResult]:
    """Perturb the states of each request until it falls or `steps` are made. `target` asks `speaker`."""
    searches = {
        item.id: PerturbationSearch(policy, item, layer, length, radius, item.target or begin) for item in behaviours
    }
    tries: dict[str, list[Try | None]] = {item.id: [] for item in behaviours}
    rest = list(behaviours)
    for draw, upto in enumerate(marks(steps)):
        for place, item in enumerate(rest):
            searches[item.id].go_on(upto)
            if policy.progress:
                policy.progress(place + 1, len(rest))
        speaker.of = {searches[item.id].conversation.id: searches[item.id].perturbation for item in rest}
        # the words are the same each time, and the vectors are not: another draw is another try
        attempts = [Attempt(item, searches[item.id].conversation, draw=draw) for item in rest]
        for item, each in zip(rest, target.attempt(attempts), strict=True):
            tries[item.id].append(each)
        rest = [item for item in rest if (each := tries[item.id][-1]) and not each.succeeded]
    return step_samples(target, behaviours, marks(steps), tries)


class PerturbationSearch:
    """The search for a perturbation of one request."""

    def __init__(
        self, policy: LocalModel, item: RefusalItem, layer: int, length: int, radius: float, begin: str
    ) -> None:
        space = SuffixSpace(policy.chat, item.prompt, length)
        self.policy, self.layer, self.begin = policy, layer, len(space.before)
        self.ids = [*space.before, *space.start, *space.after]
        self.target = policy.chat.reply(begin, end=False)
        self.conversation = space.conversation(space.start)
        columns = slice(self.begin, self.begin + len(space.start))
        self.radius = radius * state_norm(policy, self.ids, layer, columns)
        width = int(policy.model.config.get_text_config().hidden_size)
        self.added_SH = torch.zeros(len(space.start), width, device=policy.device)
        self.losses: list[float] = []

    @property
    def perturbation(self) -> Perturbation:
        """What is added now."""
        return self._of(self.added_SH)

    def go_on(self, upto: int) -> None:
        """Make the steps up to this number."""
        while len(self.losses) < upto:
            added_SH = self.added_SH.clone().requires_grad_()
            with torch.enable_grad():
                loss = perturbed_loss(self.policy, self.ids, self.target, self._of(added_SH))
            (grad_SH,) = torch.autograd.grad(loss, added_SH)
            self.losses.append(loss.item())
            step = _SHARE * self.radius / math.sqrt(self.added_SH.shape[1])
            next_SH = self.added_SH - step * grad_SH.sign()
            over_S1 = next_SH.norm(dim=1, keepdim=True) / self.radius
            self.added_SH = next_SH / over_S1.clamp(min=1.0)

    def _of(self, added_SH: Tensor) -> Perturbation:
        return Perturbation(self.layer, self.begin, added_SH)
