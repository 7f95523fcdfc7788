"""How good does a reward model find a reply?

A reward model is a trunk and one linear head without a bias: the score of a reply is the head's
product with the hidden state at the reply's own end-of-turn token, found by its place in the row.
"The last token that is not padding", as it is commonly read, is one token early where padding and
end of turn are the same id. The trunk runs in the model's dtype, the head in float32.

Several members share one trunk in memory: their adapters (or whole weights) are put into it in
turn. Their scores are standardised by the mean and deviation that each gave to the same replies,
combined, and put back on their mean scale, so that one member by itself keeps its own score and a
difference of scores stays what Bradley-Terry makes of it, the log-odds of one reply over another:
mean | worst member | mean - penalty x variance (Coste et al. 2023, arXiv 2310.02743).

Left out on purpose: `Judge` (a conversation's last turn is a reply to the rest; the one call is
`RewardFn`'s). Shapes: M members, R replies, H hidden.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from alignwright.core.records import Conversation, Prompt, Score
from alignwright.model.adapters import load_adapter, merge
from alignwright.model.legacy_config import write_legacy_config
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import scored_hidden, trunk
from alignwright.model.packing import PackedBatch, pack, plan_batches
from alignwright.model.progress_bars import without_progress_bars
from alignwright.model.sequence_classifier import ending_with_the_turn
from alignwright.model.tokens import TokenRow
from alignwright.model.weights import FILE, load_weights, write_tensors

HEAD, META = "head.safetensors", "reward.json"
Combine = Literal["mean", "worst", "uncertainty", "weights"]


@dataclass(frozen=True)
class RewardMeta:
    """`reward.json`: the base model's name, the folders of the members and how their scores
    become one. `weights` is a single member."""

    model: str
    members: tuple[str, ...]
    combine: Combine
    penalty: float
    means: tuple[float, ...]
    sds: tuple[float, ...]

    def write(self, folder: Path) -> None:
        (folder / META).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> RewardMeta:
        if not (folder / META).is_file():
            raise FileNotFoundError(
                f"{folder} holds no {META}, so it is not a reward model that was trained to its end"
            )
        known: dict[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
        members, means, sds = (tuple(known[name]) for name in ("members", "means", "sds"))
        return cls(known["model"], members, known["combine"], known["penalty"], means, sds)

    def combined(self, score_MR: Tensor) -> Tensor:
        """One score a reply, on the members' mean scale. Shape [R]."""
        if len(score_MR) == 1:
            return score_MR[0]
        mean_M1, sd_M1 = torch.tensor(self.means)[:, None], torch.tensor(self.sds)[:, None]
        z_MR = (score_MR - mean_M1) / torch.where(
            sd_M1 > 0, sd_M1, 1.0
        )  # a member that says one thing of all replies adds nothing
        match self.combine:
            case "worst":
                z_R = z_MR.amin(0)
            case "uncertainty":
                z_R = z_MR.mean(0) - self.penalty * z_MR.var(0, correction=0)
            case _:
                z_R = z_MR.mean(0)
        return z_R * sd_M1.mean() + mean_M1.mean()


class RewardScorer:
    """A trained reward model as a `core` Scorer: load it with `RewardScorer.load`."""

    def __init__(self, policy: LoadedModel, folder: Path, meta: RewardMeta) -> None:
        self.name = "reward"
        self.policy, self.folder, self.meta = policy, folder, meta
        self._heads = [load_head(folder / member, policy) for member in meta.members]
        self.heard: tuple[list[tuple[int, int]], Tensor] | None = (
            None  # what `by_member` found last: who asks why need not ask again
        )
        self._worn = 0  # the member whose weights the trunk has
        load_member(policy, folder / meta.members[0])
        if len(meta.members) == 1 and isinstance(policy.model, PeftModel):
            merge(policy)

    @classmethod
    def load(cls, policy_loader: Callable[[], LoadedModel], folder: Path) -> RewardScorer:
        """Open what `train.reward` wrote; `policy_loader` gives the base model, without an
        adapter, which this scorer then owns."""
        meta = RewardMeta.read(folder)
        policy = policy_loader()
        if policy.name != meta.model:
            raise ValueError(
                f"the reward model in {folder} was trained over {meta.model}, but was given {policy.name}; load it over"
                " its own base"
            )
        return cls(policy, folder, meta)

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        """A score for each reply to each prompt; None for a reply too long to be read to its end."""
        places, score_MR = self.by_member(prompts, replies)
        found: list[list[Score | None]] = [[None] * len(given) for given in replies]
        for r, ((p, k), value) in enumerate(zip(places, self.meta.combined(score_MR).tolist(), strict=True)):
            reason = "members " + ", ".join(f"{float(s):.2f}" for s in score_MR[:, r]) if len(score_MR) > 1 else ""
            found[p][k] = Score(value=value, reason=reason)
        return found

    def by_member(
        self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]
    ) -> tuple[list[tuple[int, int]], Tensor]:
        """The (prompt, reply) of each reply that can be read to its end, and each member's score
        of it. Shape [M, R]."""
        if len(prompts) != len(replies):
            raise ValueError(f"{len(prompts)} prompts but replies to {len(replies)}")
        rows = [
            self.policy.chat.row(prompt.conversation, given) for prompt, given in zip(prompts, replies, strict=True)
        ]
        places = [
            (p, k)
            for p, row in enumerate(rows)
            for k, reply in enumerate(row.replies)
            if len(row.prompt) + len(reply) <= self.policy.longest
        ]
        short = [TokenRow(row.prompt, tuple(row.replies[k] for q, k in places if q == p)) for p, row in enumerate(rows)]
        self.heard = places, self.members([row for row in short if row.replies])
        return self.heard

    def members(self, rows: Sequence[TokenRow]) -> Tensor:
        """Each member's own score of each reply, rows in order. Shape [M, R]."""
        scores: list[Tensor] = []
        for m, head in enumerate(self._heads):
            if m != self._worn:
                load_member(self.policy, self.folder / self.meta.members[m])
                self._worn = m
            scores.append(score_rows(self.policy, head, rows))
        return torch.stack(scores)

    def export(self, folder: Path) -> None:
        """Write it for transformers' AutoModelForSequenceClassification, with a padding token that
        is not the end of a turn.

        What is scored there must end with the end-of-turn token, as `Chat.row` does. Some templates
        write a line break after it; the one that is written here does not (`sequence_classifier`). Raises
        ValueError where the documented call would still read another row.
        """
        if len(self._heads) != 1:
            raise ValueError(
                f"{len(self._heads)} members cannot be one transformers model; train with 'combine: weights' for a"
                " single one"
            )
        config = copy.deepcopy(self.policy.model.config)
        config.num_labels, config.pad_token_id, config._attn_implementation = 1, _padding(self.policy), None
        config.id2label, config.label2id = {0: "SCORE"}, {"SCORE": 0}
        plain: Any = AutoModelForSequenceClassification.from_config(config, dtype=self.policy.dtype)
        getattr(plain, plain.base_model_prefix).load_state_dict(trunk(self.policy.model).state_dict())
        with torch.no_grad():
            plain.score.weight.copy_(self._heads[0].weight)
        with without_progress_bars():
            plain.save_pretrained(folder)
        tokenizer = copy.deepcopy(self.policy.tokenizer)
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(config.pad_token_id)
        tokenizer.chat_template = ending_with_the_turn(tokenizer.chat_template, self.policy.chat.end_text)
        asked, said = Conversation.user("What is red?"), "A poppy is red."
        (reply,) = (row := self.policy.chat.row(asked, [said])).replies
        read = tokenizer.apply_chat_template(
            [m.model_dump() for m in asked.then("assistant", said).messages], tokenize=True, return_dict=True
        )
        if read["input_ids"] != [*row.prompt, *reply]:
            shown = self.policy.chat.decode(read["input_ids"])
            raise ValueError(
                f"{self.policy.name}: its chat template would not end where the assistant's turn does, but with"
                f" {shown[-60:]!r}"
            )
        tokenizer.save_pretrained(folder)
        write_legacy_config(folder)


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
    found: list[list[float]] = [[] for _ in lines]
    done = 0
    for batch in plan_batches(lines, policy.token_budget, shuffle_seed=None):
        scores = end_scores(policy, head, [lines[i] for i in batch]).tolist()
        for i in batch:
            found[i], scores = scores[: len(lines[i].replies)], scores[len(lines[i].replies) :]
        done += len(batch)
        if policy.progress:
            policy.progress(done, len(lines))
    return torch.tensor([score for scores in found for score in scores], dtype=torch.float32)


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
    weight = load_file(folder / HEAD)["weight"]
    if weight.shape != head.weight.shape:
        seen = f"{folder / HEAD} has a head of {list(weight.shape)}"
        raise ValueError(
            f"{seen}, but {policy.name} has hidden states of {head.weight.shape[1]}: it was trained over another model"
        )
    with torch.no_grad():
        head.weight.copy_(weight)
    return head.requires_grad_(False)


def load_member(policy: LoadedModel, member: Path) -> None:
    """Give the trunk a member's weights, in place: whole ones, or an adapter into the one that
    is there (a new one where there is none)."""
    if (member / "weights" / FILE).is_file():
        load_weights(policy, member / "weights")
    elif not isinstance(policy.model, PeftModel):
        load_adapter(policy, member / "adapter")
    else:
        saved = load_file(member / "adapter" / "adapter_model.safetensors")
        own = {name.replace(".default.", "."): p for name, p in policy.model.named_parameters() if ".lora_" in name}
        wrong = [
            name
            for name in own.keys() | saved.keys()
            if name not in own or name not in saved or own[name].shape != saved[name].shape
        ]
        if wrong:
            raise ValueError(
                f"the adapter of {member} does not fit the one in memory, at {min(wrong)}: members have one rank and"
                " one base model"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(saved[name])


@contextlib.contextmanager
def in_float32(policy: LoadedModel) -> Iterator[None]:
    """The model in float32 while this lasts: what is found out is found in float32. Back in
    bfloat16 not a bit has changed."""
    kept = [(p, p.dtype) for p in policy.model.parameters() if p.dtype != torch.float32]
    for p, _ in kept:
        p.data = p.data.float()
    try:
        yield
    finally:
        for p, dtype in kept:
            p.data = p.data.to(dtype)


def _padding(policy: LoadedModel) -> int:
    """A control token with which no turn ends: transformers reads the score at the last id that
    is not this one."""
    taken = {*policy.chat.end_ids, *policy.chat.stop_ids}
    special = sorted(
        i for i, token in policy.tokenizer.added_tokens_decoder.items() if token.special and i not in taken
    )
    wished = (
        policy.tokenizer.pad_token_id,
        policy.tokenizer.unk_token_id,
        policy.tokenizer.get_vocab().get("<|endoftext|>"),
    )
    preferred = [i for i in wished if i in special]
    if not special:
        raise ValueError(
            f"every control token of {policy.name} ends a turn, so none can be padding; add a padding token to its"
            " tokenizer"
        )
    return int((preferred or special)[0])
