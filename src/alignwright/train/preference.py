"""How does a model learn to prefer one reply to another? Direct preference optimisation, first of its family.

The margin of a pair is ln pi/ref(chosen) - ln pi/ref(rejected); the loss is a function of that margin (`losses.dpo`). Plain DPO
lowers both likelihoods, so that a model may prefer a refusal and never utter it; the likelihood term `nll` (RPO, Liu et al. 2024,
arXiv 2405.16436; Pang et al. 2024, arXiv 2404.19733) holds the chosen reply up: it adds nll * (-ln pi(chosen) / tokens) to each pair.

Reference log-probabilities are computed once, before the first step, with the weights that training starts from and in the very
micro-batches it will use. The margin at the start is therefore exactly 0 and the DPO term exactly ln 2; anything else means that
the policy and its reference are not the same model, and training refuses to begin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from alignwright.core.records import Preference
from alignwright.model.logprob import reply_logprobs, token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow
from alignwright.spec.stages import known
from alignwright.spec.training import Dpo
from alignwright.train import losses
from alignwright.train.batches import MicroBatch, plan_training
from alignwright.train.loop import LoopSettings, StepReport, run_loop
from alignwright.train.rows import fit_rows

if TYPE_CHECKING:
    from torch import Tensor

    from alignwright.model.local import LocalPolicy


def dpo(
    policy: LocalPolicy,
    preferences: Sequence[Preference],
    stage: Dpo,
    *,
    seed: int,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
) -> list[StepReport]:
    """Train `policy` (whose adapter is attached) in place against itself as it is now. `stage` must be resolved.

    Raises ValueError when no pair fits in `max_tokens` or the start is not at margin 0, TrainingDiverged on a loss that is not finite.
    """
    rows = [policy.chat.row(p.prompt.conversation, [p.chosen, p.rejected]) for p in preferences]
    keep = fit_rows(rows, min(known(stage.max_tokens), policy.longest), folder, [p.row() for p in preferences])
    objective = _DpoObjective(policy, [rows[i] for i in keep], [preferences[i] for i in keep], stage)
    plan = plan_training(objective.rows, epochs=known(stage.epochs), batch_tokens=known(stage.batch_tokens), seed=seed)
    objective.reference(plan.micro_batches, folder / "reference.safetensors")
    return run_loop(policy, objective, plan, LoopSettings(stage.lr, stage.checkpoint_every), folder, on_step)


class _DpoObjective:
    def __init__(self, policy: LocalPolicy, rows: Sequence[TokenRow], preferences: Sequence[Preference], stage: Dpo) -> None:
        self.policy, self.rows, self.preferences = policy, rows, preferences
        self.beta, self.nll = stage.beta, stage.nll
        self.reference_P2 = torch.zeros(len(rows), 2, device=policy.device)

    def reference(self, batches: Sequence[MicroBatch], path: Path) -> None:
        """Fill `reference_P2` with the start model's log-probabilities, from `path` where an earlier try kept them."""
        if path.exists():
            self.reference_P2 = load_file(path)["reference_P2"].to(self.policy.device)
            return
        with torch.no_grad():
            for batch in batches:
                self.reference_P2[list(batch)] = self._logprobs(batch)[0]
            self._check_start(batches[0])
        partial = path.with_suffix(".partial")
        save_file({"reference_P2": self.reference_P2}, partial)
        partial.rename(path)

    def units(self, batch: MicroBatch) -> float:
        return sum(self.preferences[i].weight for i in batch)

    def loss(self, batch: MicroBatch) -> tuple[Tensor, dict[str, float]]:
        logp_P2, count_P2 = self._logprobs(batch)
        weight_P = torch.tensor([self.preferences[i].weight for i in batch], device=logp_P2.device)
        strength_P = torch.tensor([self.preferences[i].strength for i in batch], device=logp_P2.device)
        ratio_P2 = logp_P2 - self.reference_P2[list(batch)]
        margin_P = ratio_P2[:, 0] - ratio_P2[:, 1]
        likelihood_P = losses.negative_log_likelihood(logp_P2[:, 0] / count_P2[:, 0])
        loss_P = losses.dpo(margin_P, beta=self.beta, strength_P=strength_P) + self.nll * likelihood_P
        logged = {
            "margin": margin_P,
            "accuracy": (margin_P > 0).float(),
            "chosen_logratio": ratio_P2[:, 0],
            "rejected_logratio": ratio_P2[:, 1],
            "chosen_nll_per_token": likelihood_P,
        }
        return (weight_P * loss_P).sum(), {name: float((weight_P * value.detach()).sum()) for name, value in logged.items()}

    def describe(self, index: int) -> dict[str, object]:
        return self.preferences[index].row()

    def _logprobs(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """Log-probabilities and token counts of the chosen and the rejected replies: [P, 2] each."""
        packed = pack([self.rows[i] for i in batch], self.policy.chat.pad_id, dtype=self.policy.dtype)
        sum_R, count_R = reply_logprobs(token_logprobs(self.policy.model, packed), packed)
        return sum_R.reshape(-1, 2), count_R.reshape(-1, 2)

    def _check_start(self, batch: MicroBatch) -> None:
        margin = float((self._logprobs(batch)[0] - self.reference_P2[list(batch)]).abs().max())
        if margin > 1e-4:
            raise ValueError(
                f"before the first step the policy differs from its reference by {margin:.3g} nats where it should by 0: "
                "they are not the same weights, or the forward pass is not repeatable. Check the adapter and the thread count."
            )
