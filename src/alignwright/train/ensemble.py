"""How do several reward models become one? Ensembles (mean, worst case, uncertainty penalty, WARM).
They disagree most where none of them knows, which is where a policy would exploit one alone.

Members start from the same weights and see the data in other orders. Those whose scores are
combined also start from heads of their own, because their disagreement is what is wanted; those
whose weights are averaged (WARM, Rame et al. 2024, arXiv 2401.12187) start from one head of zeros,
because weights can be averaged only where training stayed in one basin. An average of adapters is
their stacked adapter (`averaging`), so it is the mean of the changes and not a change by the mean
of factors.

A head of the usual deviation, 1/sqrt(H + 1), moves scores by more than a short training does, and
has to be unlearnt first: over six steps at a rate of 1e-4 an easy preference was told right on 49%
of held-out pairs, and on 99% from a head of zeros. So members start from a hundredth of it. On the
tiny test model members then disagree as much as from large heads, by the order of their data.

Left out on purpose: members on other data or over other base models; memory and time grow with
their number, one trunk is all there is.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from alignwright.files.contents import seal
from alignwright.model.reward_head import HEAD, load_head, load_member, new_head, score_rows
from alignwright.model.weights import FILE, write_tensors
from alignwright.train.averaging import blend_adapters, blend_tensors
from alignwright.train.knobs import RewardModel

if TYPE_CHECKING:
    from torch import Tensor, nn

    from alignwright.model.local_model import LocalModel
    from alignwright.model.tokens import TokenRow

AVERAGE = "average"
SMALL = 0.01
"""By how much the heads that members start from are smaller than is usual."""


def first_heads(policy: LocalModel, stage: RewardModel, seed: int) -> list[nn.Linear]:
    """The head that each member starts from: zero for one model or one average of models, else a
    small one drawn for each member."""
    if stage.ensemble == 1 or stage.combine == "weights":
        return [new_head(policy, None) for _ in range(stage.ensemble)]
    heads = [new_head(policy, seed + 1 + member) for member in range(stage.ensemble)]
    with torch.no_grad():
        for head in heads:
            head.weight.mul_(SMALL)
    return heads


def average_members(members: Sequence[Path], target: Path) -> None:
    """Write to `target` the member whose weights are the mean of the members' weights; it is
    whole when its head is there."""
    share = 1.0 / len(members)
    if (members[0] / "weights" / FILE).is_file():
        (target / "weights").mkdir(parents=True, exist_ok=True)
        parts = [(load_file(member / "weights" / FILE), lambda _: share) for member in members]
        write_tensors(blend_tensors(parts), target / "weights" / FILE)
    else:
        blend_adapters([(member / "adapter", lambda _: share) for member in members], target / "adapter")
    heads = [load_file(member / HEAD) for member in members]
    write_tensors(blend_tensors([(head, lambda _: share) for head in heads]), target / HEAD)
    seal(target)


def drop_members(members: Sequence[Path]) -> None:
    """Remove the weights of members that live on in their average; their metrics stay."""
    for member in members:
        seal(member, without=("adapter", "weights"))
        for part in ("adapter", "weights"):
            shutil.rmtree(member / part, ignore_errors=True)


def member_scores(policy: LocalModel, member: Path, rows: Sequence[TokenRow]) -> Tensor:
    """What a saved member says of each reply. Shape [R]. The policy wears the member's weights
    afterwards, an average's excepted."""
    head = load_head(member, policy)
    adapter = member / "adapter"
    if member.name != AVERAGE or not adapter.is_dir():
        load_member(policy, member)
        return score_rows(policy, head, rows)
    policy.model.load_adapter(
        str(adapter), AVERAGE, is_trainable=False, autocast_adapter_dtype=False
    )  # of a rank of its own: worn beside
    policy.model.set_adapter(AVERAGE)
    try:
        return score_rows(policy, head, rows)
    finally:
        policy.model.set_adapter("default")
        policy.model.delete_adapter(AVERAGE)


def spread(score_R: Tensor) -> tuple[float, float]:
    """Mean and deviation of a member's scores: what it is standardised by."""
    return float(score_R.mean()), float(score_R.std(correction=0)) if len(score_R) > 1 else 0.0
