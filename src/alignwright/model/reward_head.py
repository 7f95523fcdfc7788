"""What is the scalar head of a reward model, and how is it read at the end of a reply?

A reward model is a trunk and one linear head without a bias: the score of a reply is the head's
product with the hidden state at the reply's own end-of-turn token, found by its place in the row.
"The last token that is not padding", as it is commonly read, is one token early where padding and
end of turn are the same id. The trunk runs in the model's dtype, the head in float32.

A reward model of several members, and one score of theirs, is `reward_model`. Shapes: R replies, H
hidden.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from alignwright.model.adapters import load_adapter
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import scored_hidden
from alignwright.model.packing import PackedBatch, pack, plan_batches
from alignwright.model.peft_types import is_peft_model
from alignwright.model.quantization import set_compute_dtype
from alignwright.model.tokens import TokenRow
from alignwright.model.weights import FILE, load_tensors, load_weights, write_tensors

HEAD = "head.safetensors"


# ---- the head ------------------------------------------------------------------------------------
def new_head(policy: LoadedModel, seed: int | None) -> nn.Linear:
    """A float32 head: zero without a seed, so that every score is 0; with one normal, of
    deviation 1/sqrt(H + 1) (Stiennon et al. 2020)."""
    hidden = int(policy.model.config.get_text_config().hidden_size)
    weight_1H = torch.zeros(1, hidden)
    if seed is not None:
        weight_1H = torch.randn(1, hidden, generator=torch.Generator().manual_seed(seed)) / math.sqrt(hidden + 1)
    head = nn.Linear(hidden, 1, bias=False, dtype=torch.float32, device=policy.device)
    with torch.no_grad():
        head.weight.copy_(weight_1H)
    return head


def end_scores(policy: LoadedModel, head: nn.Linear, rows: Sequence[TokenRow]) -> Tensor:
    """The score of each reply of a batch of rows. Differentiable, float32, shape [R]."""
    return apply_head(head, end_hidden(policy, rows))


def end_hidden(policy: LoadedModel, rows: Sequence[TokenRow]) -> Tensor:
    """The hidden state at each reply's end-of-turn token. Shape [R, H]."""
    packed = pack(rows, policy.chat.pad_id, dtype=policy.dtype)
    end_R = end_positions(rows, packed)
    assert bool((packed.input_ids_BT.flatten()[end_R] == policy.chat.end_ids[-1]).all()), (
        "a reply's last token is not the end of its turn"
    )
    return scored_hidden(policy.model, replace(packed, target_N=end_R))


def apply_head(head: nn.Linear, hidden_RH: Tensor) -> Tensor:
    """Scores in float32. Shape [R]."""
    return head(hidden_RH.float())[:, 0]


def end_positions(rows: Sequence[TokenRow], packed: PackedBatch) -> Tensor:
    """Flat index into B*T of each reply's last token, by the row's own lengths: the ids at hand,
    padding among them, are not asked."""
    width = packed.input_ids_BT.shape[1]
    ends: list[int] = []
    for b, row in enumerate(rows):
        place = b * width + len(row.prompt) - 1
        for reply in row.replies:
            place += len(reply)
            ends.append(place)
    return torch.tensor(ends, dtype=torch.int64)


@torch.inference_mode()
def score_rows(policy: LoadedModel, head: nn.Linear, rows: Sequence[TokenRow]) -> Tensor:
    """Scores of all replies, rows in order, in batches within the token budget. On the CPU,
    shape [R]. An adapter stays beside its weights: merged ones would be a second copy of the
    model."""
    parts = [(i, part) for i, row in enumerate(rows) for part in _within(row, policy.token_budget)]
    lines = [part for _, part in parts]
    scores_of: list[list[float]] = [[] for _ in lines]
    count = 0
    for batch in plan_batches(lines, policy.token_budget, shuffle_seed=None):
        batch_scores = end_scores(policy, head, [lines[i] for i in batch]).tolist()
        for i in batch:
            scores_of[i], batch_scores = batch_scores[: len(lines[i].replies)], batch_scores[len(lines[i].replies) :]
        count += len(batch)
        if policy.progress:
            policy.progress(count, len(lines))
    return torch.tensor([score for batch_scores in scores_of for score in batch_scores], dtype=torch.float32)


def _within(row: TokenRow, budget: int) -> Iterator[TokenRow]:
    """The row, its replies dealt to several rows where they are too many for one batch."""
    replies: list[tuple[int, ...]] = []
    for reply in row.replies:
        if replies and len(row.prompt) + sum(map(len, replies)) + len(reply) > budget:
            yield TokenRow(row.prompt, tuple(replies))
            replies = []
        replies.append(reply)
    yield TokenRow(row.prompt, tuple(replies))


# ---- a member's weights --------------------------------------------------------------------------
def save_head(head: nn.Linear, folder: Path) -> None:
    """Keep the head in a member's folder. It is written last: a member with a head is a member
    that is whole."""
    write_tensors({"weight": head.weight.detach().cpu().contiguous()}, folder / HEAD)


def load_head(folder: Path, policy: LoadedModel) -> nn.Linear:
    """The head of a member, frozen, on the policy's device."""
    head = new_head(policy, None)
    weight = load_tensors(folder / HEAD).get("weight", torch.empty(0))
    if weight.shape != head.weight.shape:
        shape = f"{folder / HEAD} has a head of {list(weight.shape)}"
        raise ValueError(
            f"{shape}, but {policy.name} has hidden states of {head.weight.shape[1]}: it was trained over another model"
        )
    with torch.no_grad():
        head.weight.copy_(weight)
    return head.requires_grad_(False)


def load_member(policy: LoadedModel, member: Path) -> None:
    """Give the trunk a member's weights, in place: whole ones, or an adapter into the one that
    is there (a new one where there is none)."""
    if (member / "weights" / FILE).is_file():
        load_weights(policy, member / "weights")
    elif not is_peft_model(policy.model):
        load_adapter(policy, member / "adapter")
    else:
        tensors = load_tensors(member / "adapter" / "adapter_model.safetensors")
        own = {name.replace(".default.", "."): p for name, p in policy.model.named_parameters() if ".lora_" in name}
        wrong = [
            name
            for name in own.keys() | tensors.keys()
            if name not in own or name not in tensors or own[name].shape != tensors[name].shape
        ]
        if wrong:
            raise ValueError(
                f"the adapter of {member} does not fit the one in memory, at {min(wrong)}: members have one rank and"
                " one base model"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(tensors[name])


@contextlib.contextmanager
def in_float32(policy: LoadedModel) -> Iterator[None]:
    """The model in float32 while this lasts: what is found out is found in float32. Back in
    bfloat16 not a bit has changed."""
    dtype = policy.dtype
    dtypes = [(p, p.dtype) for p in policy.model.parameters() if p.is_floating_point() and p.dtype != torch.float32]
    set_compute_dtype(policy.model, torch.float32)
    for p, _ in dtypes:
        p.data = p.data.float()
    try:
        yield
    finally:
        set_compute_dtype(policy.model, dtype)
        for p, own in dtypes:
            p.data = p.data.to(own)
