"""What does a model say when vectors are added to its inner states? Soft prompts and latent
perturbations.

A perturbation is added to what the embedding gives (layer 0), or what block k gives (layer k), at some
columns of a row. There it may be what no words can make it: it bounds what words could do from above,
and shows knowledge that a refusal covers. The loss of a target under it is differentiable by it; replies
are decoded greedily with it in place, the prompt read once.

It runs transformers' own forward, for any family whose blocks stand in `layers`. Shapes: S columns, H
hidden size, T tokens of the target.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.core.records import Conversation, Reply
from alignwright.model.llama_blocks import trunk
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import head_of, label_logprobs


@dataclass(frozen=True)
class Perturbation:
    """What is added, and where: at the columns from `start` on, after block `layer` (0: the embedding)."""

    layer: int
    start: int
    added_SH: Tensor


class PerturbedModel:
    """A model that replies greedily, with the perturbation that belongs to a conversation."""

    def __init__(self, policy: LoadedModel) -> None:
        self.policy, self.name = policy, policy.name
        self.of: Mapping[str, Perturbation] = {}

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        n: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        seed: int = 0,  # noqa: ARG002 - a greedy reply has no draw
    ) -> list[list[Reply]]:
        """`n` times the greedy reply to each prompt."""
        if temperature:
            raise ValueError("a perturbed model replies greedily, at temperature 0")
        return [[self._reply(prompt, max_new_tokens)] * n for prompt in prompts]

    @torch.no_grad()
    def _reply(self, prompt: Conversation, most: int) -> Reply:
        policy, reply = self.policy, list[int]()
        body, head = trunk(policy.model), head_of(policy.model)
        ids = policy.chat.prompt(prompt)
        policy.check_lengths([len(ids) + most])
        change = self.of.get(prompt.id)
        with _in_place(policy, change) if change else contextlib.nullcontext():
            out = body(input_ids=torch.tensor([ids], device=policy.device), use_cache=True)
        while len(reply) < most:
            reply.append(int(head(out.last_hidden_state[:, -1]).argmax()))
            if reply[-1] in policy.chat.stop_ids:
                break
            token = torch.tensor([reply[-1:]], device=policy.device)
            out = body(input_ids=token, past_key_values=out.past_key_values, use_cache=True)
        finished = bool(reply) and reply[-1] in policy.chat.stop_ids
        return Reply(
            text=policy.chat.decode(reply), parent=prompt.id, speaker=self.name, tokens=len(reply), finished=finished
        )


def perturbed_loss(policy: LoadedModel, ids: Sequence[int], target: Sequence[int], change: Perturbation) -> Tensor:
    """The mean negative log-probability of the target behind these ids, under the perturbation: a
    number that is differentiable by what is added."""
    policy.check_lengths([len(ids) + len(target)])
    row = torch.tensor([[*ids, *target[:-1]]], device=policy.device)
    with _in_place(policy, change):
        hidden_TH = trunk(policy.model)(input_ids=row, use_cache=False).last_hidden_state[0, len(ids) - 1 :]
    label_T = torch.tensor(target, device=policy.device)
    return -label_logprobs(hidden_TH, head_of(policy.model), label_T).mean()


@torch.no_grad()
def state_norm(policy: LoadedModel, ids: Sequence[int], layer: int, columns: slice) -> float:
    """The mean length of what stands in these columns after this block."""
    norms = list[float]()
    hook = _place(policy, layer).register_forward_hook(
        lambda _, __, out: norms.append(float(_states(out)[0, columns].float().norm(dim=-1).mean()))
    )
    try:
        trunk(policy.model)(input_ids=torch.tensor([list(ids)], device=policy.device), use_cache=False)
    finally:
        hook.remove()
    return norms[0]


@contextlib.contextmanager
def _in_place(policy: LoadedModel, change: Perturbation) -> Iterator[None]:
    """The perturbation in the model while this lasts."""

    def add(_: nn.Module, __: Any, out: Any) -> Any:
        states_BTH = _states(out)
        behind = states_BTH.shape[1] - change.start - len(change.added_SH)
        added_TH = nn.functional.pad(change.added_SH, (0, 0, change.start, behind)).to(states_BTH.dtype)
        return states_BTH + added_TH if isinstance(out, Tensor) else (states_BTH + added_TH, *out[1:])

    hook = _place(policy, change.layer).register_forward_hook(add)
    try:
        yield
    finally:
        hook.remove()


def _states(out: Any) -> Tensor:
    """What a block gives may be its states alone or the first of several."""
    return out if isinstance(out, Tensor) else out[0]


def _place(policy: LoadedModel, layer: int) -> nn.Module:
    if layer == 0:
        return policy.model.get_input_embeddings()
    blocks = getattr(trunk(policy.model), "layers", None)
    if blocks is None:
        raise ValueError(
            f"{policy.name} cannot be changed after block {layer}: its blocks are not in 'layers'; layer 0"
            " is the embedding"
        )
    if layer >= len(blocks):  # a safe model for want of a reader would be no finding
        raise ValueError(
            f"{policy.name} cannot be changed after block {layer}: it has {len(blocks)}, and no block is"
            f" left to read what stands before the reply; 'layer' is 0 (the embedding) to {len(blocks) - 1}"
        )
    return blocks[layer - 1]
