"""Which tokens of a clean and a corrupt prompt belong together, and how is what is said after them told apart?

Both have the same number of tokens, or nothing can be put from one into the other; a pair that has not is not scored,
and says so. The **difference** of a pair under any run is the logit of the answer's first token less that of the
wrong one's, after the last token.

Shapes: B pairs, T tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from alignwright.core.records import Conversation
from alignwright.files.contrast_pairs import PromptPair
from alignwright.model.activations.layout import Layout
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.packing import plan_batches
from alignwright.model.tokens import TokenRow


@dataclass(frozen=True)
class TokenPair:
    """The tokens of both prompts, and the two tokens that may come next; `place` is that of its row."""

    place: int
    clean: tuple[int, ...]
    corrupt: tuple[int, ...]
    answer: int
    wrong: int


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Pairs side by side, padded on the right, which no earlier token of a causal model sees. `changed`: where the two
    prompts have other tokens; `last`: the last token of each."""

    places: tuple[int, ...]
    clean_BT: Tensor
    corrupt_BT: Tensor
    last_B: Tensor
    answer_B: Tensor
    wrong_B: Tensor

    @property
    def changed_BT(self) -> Tensor:
        return self.clean_BT != self.corrupt_BT

    @property
    def width(self) -> int:
        return self.clean_BT.shape[1]


def token_pair(policy: LoadedModel, place: int, pair: PromptPair, chat: bool) -> TokenPair | str:
    """The pair in the model's tokens, or why it is none."""
    (clean, after_clean), (corrupt, after_corrupt) = (
        _continued(policy, text, (pair.answer, pair.wrong), chat) for text in (pair.clean, pair.corrupt)
    )
    if len(clean) != len(corrupt):
        return f"the clean prompt has {len(clean)} tokens and the corrupt one {len(corrupt)}; word them alike long"
    if not all(after_clean):
        return f"{pair.answer!r} and {pair.wrong!r} begin alike to the end of one of them, so no token tells them apart"
    if [ids[:1] for ids in after_clean] != [ids[:1] for ids in after_corrupt]:
        return "the answers begin with other tokens after the corrupt prompt; part them from the prompts by a space"
    return TokenPair(place, tuple(clean), tuple(corrupt), after_clean[0][0], after_clean[1][0])


def _continued(
    policy: LoadedModel, text: str, answers: tuple[str, str], chat: bool
) -> tuple[list[int], list[tuple[int, ...]]]:
    """The tokens up to where the two answers part, and those of each from there on."""
    if chat:
        prompt = policy.chat.prompt(Conversation.user(text))
        wholes = [policy.chat.reply(answer, end=False) for answer in answers]
        shared = [one for one, _ in takewhile(lambda both: both[0] == both[1], zip(*wholes, strict=False))]
        return [*prompt, *shared], [tuple(whole[len(shared) :]) for whole in wholes]
    row = policy.chat.continuation(text, answers)
    return list(row.prompt), list(row.replies)


def batches(policy: LoadedModel, pairs: Sequence[TokenPair]) -> list[PairBatch]:
    """Pairs of like length together. Raises ValueError for prompts longer than the model reads."""
    policy.check_lengths([len(pair.clean) for pair in pairs])
    plans = plan_batches([TokenRow(pair.clean, ()) for pair in pairs], policy.token_budget, shuffle_seed=None)
    results: list[PairBatch] = []
    for plan in plans:
        own = [pairs[i] for i in plan]
        width = max(len(pair.clean) for pair in own)

        def rows(name: str, own: Sequence[TokenPair] = own, width: int = width) -> Tensor:
            ids = [list(getattr(pair, name)) for pair in own]
            padded = [row + [policy.chat.pad_id] * (width - len(row)) for row in ids]
            return torch.tensor(padded, device=policy.device)

        def numbers(values: list[int]) -> Tensor:
            return torch.tensor(values, device=policy.device)

        results.append(
            PairBatch(
                places=tuple(pair.place for pair in own), clean_BT=rows("clean"), corrupt_BT=rows("corrupt"),
                last_B=numbers([len(pair.clean) - 1 for pair in own]),
                answer_B=numbers([pair.answer for pair in own]), wrong_B=numbers([pair.wrong for pair in own]),
            )
        )  # fmt: skip
    return results


def differences(layout: Layout, head: Any, batch: PairBatch, ids_BT: Tensor) -> Tensor:
    """Of each pair the answer's logit less the wrong one's, [B], under whatever hooks are on. Before any cap that a
    family puts on its logits."""
    states_BTH = layout.body(input_ids=ids_BT, use_cache=False).last_hidden_state
    logits_BV = head(states_BTH[torch.arange(len(ids_BT), device=ids_BT.device), batch.last_B]).float()
    return (logits_BV.gather(1, batch.answer_B[:, None]) - logits_BV.gather(1, batch.wrong_B[:, None]))[:, 0]
