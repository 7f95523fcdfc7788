"""How does a model learn to tell the better reply? A scalar head over the trunk, trained by
Bradley-Terry on preferences.

P(chosen beats rejected) = sigmoid(r_chosen - r_rejected), with the vote's strength as a soft label,
and optionally a margin for surer votes (Touvron et al. 2023) and a pull of both scores towards zero
(Eisenstein et al. 2023). Pairs that came from one comparison are one row, its prompt and each reply
computed once, and weigh together as one (Ouyang et al. 2022: the mean over their K(K-1)/2 pairs),
so a prompt with many replies does not count for more than one with two.

A single model starts from a head of zeros: every score is 0, the loss is that of a coin, and no
random direction has to be unlearnt in a short training. Members of an ensemble start from small
random heads (`ensemble`). The policy lends its trunk and has it back unchanged. Trained is what the
policy has trainable: its adapter, or all weights.

Left out on purpose: an epoch's choice by held-out accuracy (that would spend the held-out prompts),
and a bias, which no difference sees. Shapes: B rows, R replies, P pairs.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from alignwright.core.records import Finding, Preference
from alignwright.core.stage import resolved
from alignwright.files.contents import seal, sealed
from alignwright.files.lines import read_lines
from alignwright.model.adapters import save_adapter, trainable_parameters
from alignwright.model.peft_types import is_peft_model
from alignwright.model.reward_head import apply_head, end_hidden, in_float32, new_head, save_head
from alignwright.model.reward_model import RewardMeta
from alignwright.model.tokens import TokenRow
from alignwright.model.weights import save_weights
from alignwright.train.batches import MicroBatch, TrainPlan, plan_training
from alignwright.train.checkpoint import drop_checkpoints
from alignwright.train.confidence import Confidence, ConfidenceRamp
from alignwright.train.ensemble import AVERAGE, average_members, drop_members, first_heads, member_scores, spread
from alignwright.train.knobs import RewardModel
from alignwright.train.loop import LoopSettings, StepReport, run_loop
from alignwright.train.pairs import PreferenceRow, comparisons, usable
from alignwright.train.reward_eval import ScoredPair, heldout_findings, longer_chosen
from alignwright.train.reward_objective import RewardObjective, pair_losses
from alignwright.train.reward_verdict import (
    HeldoutSplit,
    mark_findings,
    signal_verdict,
    split,
    unseen_source_findings,
)
from alignwright.train.step0 import Invariant, check_start

if TYPE_CHECKING:
    from torch import Tensor, nn

    from alignwright.model.local_model import LocalModel


def reward(
    policy: LocalModel,
    preferences: Sequence[Preference],
    stage: RewardModel,
    *,
    seed: int,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
    name: str = "reward",
    files: Mapping[str, str] | None = None,
) -> tuple[list[StepReport], tuple[Finding, ...]]:
    """Train reward models over the policy's trunk into `folder` and say, as findings of the stage
    `name`, how far they agree with votes.

    `stage` must be resolved; `files` says which file a prompt (by its conversation) is from.
    `folder` gets `reward.json`, a folder for each member and `metrics.jsonl` of all of them. Raises
    ValueError when no pair can teach or the start is not what it must be, TrainingDiverged on a
    loss that is not finite.
    """
    limit = min(resolved(stage.max_tokens), policy.longest)
    pairs = split(usable(preferences, policy.chat, limit, folder), stage.heldout, seed, files or {})
    fitted = fit_reward(policy, pairs, stage, seed=seed, folder=folder, on_step=on_step)
    each = [_accuracy(scored) for scored in fitted.by_member] if pairs.heldout and len(fitted.by_member) > 1 else []
    note = "members by themselves " + ", ".join(f"{share:.1%}" for share in each) if each else ""
    findings = heldout_findings(fitted.heldout, stage=name, labels=stage.labels, note=note)
    marks = mark_findings(
        findings, signal_verdict(fitted.heldout, pairs.train), stage=name, use_anyway=stage.no_signal == "use"
    )
    return fitted.reports, (*marks, *unseen_source_findings(fitted.unseen, fitted.heldout, pairs, stage=name))


@dataclass(frozen=True)
class FittedReward:
    """The steps of a reward model's training, and what it says of the pairs that it did not see:
    together, and each member by itself of those held out."""

    reports: list[StepReport]
    heldout: list[ScoredPair]
    unseen: list[ScoredPair]
    by_member: list[list[ScoredPair]]


def fit_reward(
    policy: LocalModel,
    split_pairs: HeldoutSplit,
    stage: RewardModel,
    *,
    seed: int,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
    confidence: Confidence | None = None,
) -> FittedReward:
    """Train on the pairs to train on, all of which must fit the policy, and score the others. With
    `confidence` the labels are a weak teacher's, and partly the model's own."""
    # 1. rows of the pairs to train on, of prompts held out, of sources held out whole
    limit = min(resolved(stage.max_tokens), policy.longest)
    groups, heldout, unseen_rows = (
        comparisons(part, policy.chat, limit)
        for part in (split_pairs.train, split_pairs.heldout, split_pairs.unseen_pairs)
    )
    seeds = [seed + 1_000_003 * member for member in range(stage.ensemble)]
    rows = [group.row for group in groups]
    plans = [
        plan_training(rows, epochs=resolved(stage.epochs), batch_tokens=resolved(stage.batch_tokens), seed=s)
        for s in seeds
    ]
    heads = first_heads(policy, stage, seed)
    _check(policy, heads, groups, plans[0].micro_batches[0], stage, split_pairs.train, folder)
    # 2. each member from the policy's own weights, in its own order of the data
    members = [folder / f"member-{m}" for m in range(stage.ensemble)]
    with _borrowed_weights(policy) as start:
        reports = []
        for m, member in enumerate(members):
            start()
            reports += _train_member(policy, heads[m], groups, plans, m, stage, member, on_step, confidence)
        _join_metrics(folder, members, plans)
        meta, heldout_scores, unseen_scores = _combine(policy, members, stage, groups, heldout, unseen_rows, folder)
    # 3. what the members say together of the pairs that were held out
    meta.write(folder)
    if stage.combine == "weights":
        drop_members(members)
    return FittedReward(
        reports,
        _score_pairs(meta.combined(heldout_scores), heldout),
        _score_pairs(meta.combined(unseen_scores), unseen_rows) if unseen_rows else [],
        [_score_pairs(row_R, heldout) for row_R in heldout_scores],
    )


def _train_member(
    policy: LocalModel,
    head: nn.Linear,
    groups: Sequence[PreferenceRow],
    plans: Sequence[TrainPlan],
    number: int,
    stage: RewardModel,
    member: Path,
    on_step: Callable[[StepReport], None] | None,
    confidence: Confidence | None,
) -> list[StepReport]:
    """Train one member to its end and keep it; nothing is done where that was done before."""
    if sealed(member):
        return []
    member.mkdir(exist_ok=True)
    show = None if on_step is None else lambda report: on_step(_as_stage_step(report, number, plans))
    policy.model.add_module(_ATTACHED, head)  # so that the loop finds it among what it trains
    ramp = ConfidenceRamp(plans[number], confidence)
    try:
        reports = run_loop(
            policy,
            RewardObjective(policy, head, groups, stage, ramp),
            ramp,
            LoopSettings(stage.lr, stage.checkpoint_every),
            member,
            show,
        )
    finally:
        del policy.model._modules[_ATTACHED]
    if is_peft_model(policy.model):
        save_adapter(policy, member / "adapter")
    else:
        save_weights(policy, member / "weights")
    save_head(head, member)
    drop_checkpoints(member)
    seal(member)
    return [_as_stage_step(report, number, plans) for report in reports]


def _combine(
    policy: LocalModel,
    members: Sequence[Path],
    stage: RewardModel,
    groups: Sequence[PreferenceRow],
    heldout: Sequence[PreferenceRow],
    unseen_rows: Sequence[PreferenceRow],
    folder: Path,
) -> tuple[RewardMeta, Tensor, Tensor]:
    """The members' common scale, found on held-out replies (on those of training where none are
    held out), and what they say of the held-out ones and of those of sources kept out whole."""
    if stage.combine == "weights":
        if not sealed(folder / AVERAGE):
            average_members(members, folder / AVERAGE)
        members = [folder / AVERAGE]
    scored_rows = [group.row for group in heldout or groups]
    count = sum(len(row.replies) for row in scored_rows)
    with in_float32(policy):
        every_MR = torch.stack(
            [member_scores(policy, member, [*scored_rows, *(group.row for group in unseen_rows)]) for member in members]
        )
    score_MR, away_MR = every_MR[:, :count], every_MR[:, count:]
    means, sds = zip(*map(spread, score_MR), strict=True)
    return (
        RewardMeta(policy.name, tuple(m.name for m in members), stage.combine, stage.penalty, means, sds),
        score_MR,
        away_MR,
    )


@contextlib.contextmanager
def _borrowed_weights(policy: LocalModel) -> Iterator[Callable[[], None]]:
    """The policy's trainable weights are put back at the end, and whenever what is yielded is
    called."""
    parameters = trainable_parameters(policy)
    start_values = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def restore() -> None:
        for p, before in zip(parameters, start_values, strict=True):
            p.copy_(before)

    try:
        yield restore
    finally:
        restore()


@torch.no_grad()
def _check(
    policy: LocalModel,
    heads: Sequence[nn.Linear],
    groups: Sequence[PreferenceRow],
    batch: MicroBatch,
    stage: RewardModel,
    train: Sequence[Preference],
    folder: Path,
) -> None:
    """Refuse a start that is not what it must be; show what a judge of length alone would score."""
    there = [groups[i] for i in batch]
    hidden_RH = end_hidden(policy, [group.row for group in there])

    def start_loss(score_R: Tensor) -> float:
        loss_P, _, _, weight_P = pair_losses(score_R, there, stage)
        return float((weight_P * loss_P).sum() / weight_P.sum())

    coin = start_loss(torch.zeros(len(hidden_RH), device=hidden_RH.device))
    zero = not bool(heads[0].weight.any())
    means = (
        "the head is zero, so every score is 0 and the loss is a coin's; otherwise the trunk gives no finite numbers"
        if zero
        else "members begin with small random heads, so they begin as about a coin"
    )
    alone = apply_head(
        new_head(policy, 0), end_hidden(policy, [TokenRow(there[0].row.prompt, there[0].row.replies[-1:])])
    )
    among = apply_head(new_head(policy, 0), hidden_RH)[len(there[0].row.replies) - 1]
    loose = 1e-2 if policy.dtype == torch.float32 else 0.5
    shared = (
        "a reply's score must not depend on the replies beside it, nor on padding: shared rows or positions are wrong"
    )
    length = (
        "how often the vote is for the longer reply: what a judge of length alone gets right, and a reward model must"
        " exceed"
    )
    check_start(
        [
            *(
                Invariant(
                    f"loss of member {m}", start_loss(apply_head(h, hidden_RH)), coin, 1e-5 if zero else None, means
                )
                for m, h in enumerate(heads)
            ),
            Invariant("score beside others less score alone", float(among - alone[0]), 0.0, loose, shared),
            Invariant("accuracy of picking the longer reply", longer_chosen(train), 0.5, None, length),
        ],
        folder,
    )


def _score_pairs(score_R: Tensor, groups: Sequence[PreferenceRow]) -> list[ScoredPair]:
    scored_pairs: list[ScoredPair] = []
    scores = score_R.tolist()
    for group in groups:
        own, scores = scores[: len(group.row.replies)], scores[len(group.row.replies) :]
        scored_pairs += [ScoredPair(pair.preference, own[pair.chosen] - own[pair.rejected]) for pair in group.pairs]
    return scored_pairs


def _accuracy(scored_pairs: Sequence[ScoredPair]) -> float:
    credits = [h.credit for h in scored_pairs if h.preference.strength != 0.5]
    return math.fsum(credits) / max(1, len(credits))


def _as_stage_step(report: StepReport, member: int, plans: Sequence[TrainPlan]) -> StepReport:
    """A member's step as a step of the whole stage."""
    lengths = [len(plan.steps) for plan in plans]
    return replace(report, step=report.step + sum(lengths[:member]), steps=sum(lengths))


def _join_metrics(folder: Path, members: Sequence[Path], plans: Sequence[TrainPlan]) -> None:
    """One `metrics.jsonl` of the stage, member after member."""
    lines: list[str] = []
    for m, member in enumerate(members):
        shift = partial(_as_stage_step, member=m, plans=plans)
        for line in read_lines(member / "metrics.jsonl"):
            report = shift(StepReport(**json.loads(line)))
            lines.append(json.dumps(vars(report) | {"member": m}) + "\n")
    (folder / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")


_ATTACHED = "alignwright_head"
