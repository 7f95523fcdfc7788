"""How good does a trained reward model find a reply, and how do the members of an ensemble become
one score?

Several members share one trunk in memory: their adapters (or whole weights) are put into it in
turn. Their scores are standardised by the mean and deviation that each gave to the same replies,
combined, and put back on their mean scale, so that one member by itself keeps its own score and a
difference of scores stays what Bradley-Terry makes of it, the log-odds of one reply over another:
mean | worst member | mean - penalty x variance (Coste et al. 2023, arXiv 2310.02743).

Left out on purpose: `Judge` (a conversation's last turn is a reply to the rest; the one call is
`RewardFn`'s). Shapes: M members, R replies.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from alignwright.core.records import Conversation, Prompt, Score
from alignwright.files.contents import json_object
from alignwright.files.reward_folder import NoClassifier
from alignwright.model.adapters import merge
from alignwright.model.legacy_config import write_legacy_config
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.logprob import trunk
from alignwright.model.peft_types import is_peft_model
from alignwright.model.plain_weights import plain_config, plain_weights
from alignwright.model.progress_bars import without_progress_bars
from alignwright.model.quantization import has_quantized
from alignwright.model.reward_head import load_head, load_member, score_rows
from alignwright.model.sequence_classifier import ending_with_the_turn
from alignwright.model.token_embeddings import delta_merged
from alignwright.model.tokens import TokenRow

META = "reward.json"
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
        fields = json_object(
            folder / META, model=str, members=list, combine=str, penalty=(int, float), means=list, sds=list
        )
        members, means, sds = (tuple(fields[name]) for name in ("members", "means", "sds"))
        return cls(fields["model"], members, fields["combine"], fields["penalty"], means, sds)

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
    """A trained reward model as a `core` RewardFn: load it with `RewardScorer.load`."""

    def __init__(self, policy: LoadedModel, folder: Path, meta: RewardMeta) -> None:
        self.name = "reward"
        self.policy, self.folder, self.meta = policy, folder, meta
        self._heads = [load_head(folder / member, policy) for member in meta.members]
        self.last_scores: tuple[list[tuple[int, int]], Tensor] | None = (
            None  # what `by_member` found last: who asks why need not ask again
        )
        self._member_loaded = 0  # the member whose weights the trunk has
        load_member(policy, folder / meta.members[0])
        if len(meta.members) == 1 and is_peft_model(policy.model):
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
        """A score for each reply to each prompt; None for a reply too long to be read to its
        end."""
        places, score_MR = self.by_member(prompts, replies)
        scores: list[list[Score | None]] = [[None] * len(texts) for texts in replies]
        for r, ((p, k), value) in enumerate(zip(places, self.meta.combined(score_MR).tolist(), strict=True)):
            reason = "members " + ", ".join(f"{float(s):.2f}" for s in score_MR[:, r]) if len(score_MR) > 1 else ""
            scores[p][k] = Score(value=value, reason=reason)
        return scores

    def by_member(
        self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]
    ) -> tuple[list[tuple[int, int]], Tensor]:
        """The (prompt, reply) of each reply that can be read to its end, and each member's score
        of it. Shape [M, R]."""
        if len(prompts) != len(replies):
            raise ValueError(f"{len(prompts)} prompts but replies to {len(replies)}")
        rows = [
            self.policy.chat.row(prompt.conversation, texts) for prompt, texts in zip(prompts, replies, strict=True)
        ]
        places = [
            (p, k)
            for p, row in enumerate(rows)
            for k, reply in enumerate(row.replies)
            if len(row.prompt) + len(reply) <= self.policy.longest
        ]
        short = [TokenRow(row.prompt, tuple(row.replies[k] for q, k in places if q == p)) for p, row in enumerate(rows)]
        self.last_scores = places, self.members([row for row in short if row.replies])
        return self.last_scores

    def members(self, rows: Sequence[TokenRow]) -> Tensor:
        """Each member's own score of each reply, rows in order. Shape [M, R]."""
        scores: list[Tensor] = []
        for m, head in enumerate(self._heads):
            if m != self._member_loaded:
                load_member(self.policy, self.folder / self.meta.members[m])
                self._member_loaded = m
            scores.append(score_rows(self.policy, head, rows))
        return torch.stack(scores)

    def export(self, folder: Path) -> None:
        """Write it for transformers' AutoModelForSequenceClassification, with a padding token that
        is not the end of a turn.

        What is scored there must end with the end-of-turn token, as `Chat.row` does. Some templates
        write a line break after it; the one that is written here does not (`sequence_classifier`).
        Raises ValueError where the documented call would still read another row, NoClassifier
        where the model's family has none.
        """
        if len(self._heads) != 1:
            raise ValueError(
                f"{len(self._heads)} members cannot be one transformers model; train with 'combine: weights' for a"
                " single one"
            )
        config = plain_config(self.policy.model.config)
        config.num_labels, config.pad_token_id, config._attn_implementation = 1, _padding(self.policy), None
        config.id2label, config.label2id = {0: "SCORE"}, {"SCORE": 0}
        try:
            plain: Any = AutoModelForSequenceClassification.from_config(config, dtype=self.policy.dtype)
        except ValueError as error:
            if "Unrecognized configuration class" not in str(error):
                raise
            raise NoClassifier(f"transformers has no sequence classifier of the kind {config.model_type!r}") from error
        getattr(plain, plain.base_model_prefix).load_state_dict(_plain_trunk(self.policy))
        with torch.no_grad():
            plain.score.weight.copy_(self._heads[0].weight)
        with without_progress_bars():
            plain.save_pretrained(folder)
        tokenizer = copy.deepcopy(self.policy.tokenizer)
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(config.pad_token_id)
        tokenizer.chat_template = ending_with_the_turn(tokenizer.chat_template, self.policy.chat.end_text)
        question, answer = Conversation.user("What is red?"), "A poppy is red."
        (reply,) = (row := self.policy.chat.row(question, [answer])).replies
        encoding = tokenizer.apply_chat_template(
            [m.model_dump() for m in question.then("assistant", answer).messages], tokenize=True, return_dict=True
        )
        if encoding["input_ids"] != [*row.prompt, *reply]:
            text = self.policy.chat.decode(encoding["input_ids"])
            raise ValueError(
                f"{self.policy.name}: its chat template would not end where the assistant's turn does, but with"
                f" {text[-60:]!r}"
            )
        tokenizer.save_pretrained(folder)
        write_legacy_config(folder)


def _plain_trunk(policy: LoadedModel) -> dict[str, Tensor]:
    """The weights of the trunk; of one in 4 bits dequantised, its adapter in them."""
    body = trunk(policy.model)
    if not has_quantized(body):
        return body.state_dict()
    with delta_merged(policy.model):
        return {name: make().detach().clone() for name, make in plain_weights(body)}


def _padding(policy: LoadedModel) -> int:
    """A control token with which no turn ends: transformers reads the score at the last id that
    is not this one."""
    turn_ids = {*policy.chat.end_ids, *policy.chat.stop_ids}
    special = sorted(
        i for i, token in policy.tokenizer.added_tokens_decoder.items() if token.special and i not in turn_ids
    )
    candidates = (
        policy.tokenizer.pad_token_id,
        policy.tokenizer.unk_token_id,
        policy.tokenizer.get_vocab().get("<|endoftext|>"),
    )
    preferred = [i for i in candidates if i in special]
    if not special:
        raise ValueError(
            f"every control token of {policy.name} ends a turn, so none can be padding; add a padding token to its"
            " tokenizer"
        )
    return int((preferred or special)[0])
