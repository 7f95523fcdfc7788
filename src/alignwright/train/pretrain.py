"""How does a model learn what text is like? Next-token training on plain text, continued or from
random weights.

Documents are laid into rows of `max_tokens` one after another, in an order drawn by the seed, and
cut where a row is full, so nothing is padded, lost or repeated: each token of each document is
trained exactly once an epoch. A row is one start token and several pieces that do not see each
other (the shared-prompt layout of `packing`), so a document never reads its neighbour. A piece that
goes on where a row was full is given the token before it to read, unscored.

Left out on purpose: training the end of a document (most files are cut somewhere, and bits per byte
count the text alone), and mixing of sources.
"""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from alignwright.core.stage import resolved
from alignwright.model.logprob import head_of, token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow
from alignwright.model.weights import named_weights
from alignwright.train.batches import MicroBatch, plan_training
from alignwright.train.knobs import Pretrain
from alignwright.train.loop import LoopSettings, StepReport, run_loop
from alignwright.train.losses import negative_log_likelihood
from alignwright.train.step0 import Invariant, check_start

if TYPE_CHECKING:
    from torch import Tensor

    from alignwright.model.local_model import LocalModel


def pretrain(
    policy: LocalModel,
    texts: Sequence[str],
    stage: Pretrain,
    *,
    seed: int,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[StepReport]:
    """Train `policy` in place on plain text; `stage` must be resolved. What was trained on is
    counted in `text.json`.

    Raises ValueError when there is no text, or when `scratch` meets an adapter; TrainingDiverged
    when a loss is not finite.
    """
    documents = [policy.chat.text(text) for text in texts]
    width = min(resolved(stage.max_tokens), policy.longest)
    rows = cut(
        [row.replies[0] for row in documents if row.replies[0]], documents[0].prompt[0] if documents else 0, width, seed
    )
    if not rows:
        raise ValueError(f"none of {len(texts)} texts has a token to learn; look at the files of 'text'")
    counts = {
        "documents": len(texts),
        "empty": sum(not row.replies[0] for row in documents),
        "rows": len(rows),
        "tokens": sum(map(num_scored, rows)),
    }
    (folder / "text.json").write_text(json.dumps(counts) + "\n", encoding="utf-8")
    objective = _TextObjective(policy, rows)
    plan = plan_training(rows, epochs=resolved(stage.epochs), batch_tokens=resolved(stage.batch_tokens), seed=seed)
    if stage.scratch:
        from_scratch(policy, seed)
        _show_start(policy, objective, plan.micro_batches[0], folder)
    return run_loop(policy, objective, plan, LoopSettings(stage.lr, stage.checkpoint_every), folder, on_step)


def from_scratch(policy: LocalModel, seed: int) -> None:
    """Give the model random weights, as its architecture draws them, in place. Raises ValueError
    where an adapter holds the weights fast."""
    named_weights(policy)  # refuses an adapter
    config = copy.deepcopy(policy.model.config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(policy.model)(config)
    policy.model.load_state_dict(fresh.state_dict())


def cut(documents: Sequence[Sequence[int]], start: int, width: int, seed: int) -> list[TokenRow]:
    """Rows of `width` tokens, the last perhaps shorter: the start token, then pieces of
    documents in an order drawn by `seed`."""
    order = random.Random(f"{seed}/documents").sample(range(len(documents)), len(documents))  # noqa: S311
    rows: list[TokenRow] = []
    pieces: list[tuple[int, ...]] = []
    masks: list[tuple[bool, ...]] = []
    room = width - 1
    for i in order:
        start_at, ids = 0, tuple(documents[i])
        while start_at < len(ids):
            before = ids[start_at - 1 : start_at] if start_at else ()
            # 1. where not one token of it fits, the row is full
            if room <= len(before):
                rows.append(TokenRow((start,), tuple(pieces), tuple(masks)))
                pieces, masks, room = [], [], width - 1
                continue
            # 2. as much of the document as fits, behind the token before it, which is read and not trained
            piece = ids[start_at : start_at + room - len(before)]
            pieces.append(before + piece)
            masks.append((False,) * len(before) + (True,) * len(piece))
            room -= len(pieces[-1])
            start_at += len(piece)
    return [*rows, TokenRow((start,), tuple(pieces), tuple(masks))] if pieces else rows


def num_scored(row: TokenRow) -> int:
    """How many tokens of a row are trained."""
    return sum(map(sum, row.masks or ()))


class _TextObjective:
    def __init__(self, policy: LocalModel, rows: Sequence[TokenRow]) -> None:
        self.policy, self.rows = policy, rows

    def num_units(self, batch: MicroBatch) -> float:
        return sum(num_scored(self.rows[i]) for i in batch)

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        packed = pack([self.rows[i] for i in batch], self.policy.chat.pad_id, dtype=self.policy.dtype)
        return negative_log_likelihood(token_logprobs(self.policy.model, packed)).sum(), {}

    def describe(self, index: int) -> dict[str, object]:
        return {"pieces": [self.policy.chat.decode(piece) for piece in self.rows[index].replies]}


@torch.no_grad()
def _show_start(policy: LocalModel, objective: _TextObjective, batch: MicroBatch, folder: Path) -> None:
    vocabulary = head_of(policy.model).weight.shape[0]
    loss = float(objective.loss(batch)[0]) / objective.num_units(batch)
    meaning = (
        "a model of small random weights holds every token equally likely, so it begins near the logarithm of the"
        " vocabulary's size"
    )
    check_start([Invariant("loss per token of the random model", loss, math.log(vocabulary), None, meaning)], folder)
