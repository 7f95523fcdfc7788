"""After how many steps of a harmful fine-tune is the alignment gone? Tamper resistance.

Who has the weights can train them (Qi et al. 2023, arXiv 2310.03693): a few steps on demonstrations of
what the model should refuse undo much of what alignment did. The attack does so, with a new adapter over
the aligned model (LoRA, AdamW on the demonstrations' replies), and puts the requests to it after 1, 2, 4
... steps. The number is a curve: requests that had fallen within so many steps (Tamirisa et al. 2024,
arXiv 2408.00761, measure tamper resistance so).

It is an attack of a few steps at one setting, so what holds against it holds against no more; and a
success shows no flaw that words could use. The demonstrations are the user's, and other requests than
those that are asked. Afterwards the model is what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from alignwright.attack.step_outcomes import marks, step_samples
from alignwright.attack.target import Attempt, Target
from alignwright.core.attacks import Try
from alignwright.core.records import Conversation, SampleResult
from alignwright.files.items import RefusalItem
from alignwright.model.adapters import over_for_a_while, trainable_parameters
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow


@dataclass(frozen=True)
class FineTune:
    """How the model is trained: for so many steps of so many demonstrations, at which rate and rank."""

    steps: int
    rows: int
    lr: float
    rank: int


def tamper(
    target: Target,
    policy: LocalModel,
    behaviours: Sequence[RefusalItem],
    demonstrations: Sequence[Conversation],
    by: FineTune,
) -> list[SampleResult]:
    """Fine-tune, and ask what has not fallen yet after 1, 2, 4 ... steps."""
    rows = [policy.chat.conversation(each) for each in demonstrations]
    policy.check_lengths([len(row) for row in rows])
    tries: dict[str, list[Try | None]] = {item.id: [] for item in behaviours}
    rest, ats = list(behaviours), marks(by.steps)
    with over_for_a_while(policy, rank=by.rank, seed=target.seed):
        training = _steps(policy, rows, by, target.seed)
        for draw, (before, upto) in enumerate(zip([0, *ats], ats, strict=False)):
            for _ in range(upto - before):
                next(training)
            # the words are the same each time, and the weights are not: another draw is another try
            attempts = [Attempt(item, Conversation.user(item.prompt), draw=draw) for item in rest]
            for item, each in zip(rest, target.attempt(attempts), strict=True):
                tries[item.id].append(each)
            rest = [item for item in rest if (each := tries[item.id][-1]) and not each.succeeded]
    return step_samples(target, behaviours, ats, tries)


def _steps(policy: LocalModel, rows: Sequence[TokenRow], by: FineTune, seed: int) -> Iterator[float]:
    """The loss of each step, made when it is asked for; the demonstrations in a new order each time round."""
    optimizer = torch.optim.AdamW(trainable_parameters(policy), lr=by.lr, weight_decay=0.0)
    dice, order = np.random.default_rng(seed), list[int]()
    while True:
        while len(order) < by.rows:
            order += dice.permutation(len(rows)).tolist()
        batch, order = [rows[i] for i in order[: by.rows]], order[by.rows :]
        with torch.enable_grad():
            packed = pack(batch, policy.chat.pad_id, dtype=policy.dtype)
            loss = -token_logprobs(policy.model, packed).mean()
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
        yield loss.item()
