"""When does reward over-optimisation begin, and which checkpoint is kept? Early stopping on a gold
reward model, where more of the proxy becomes less of gold.

A monitor of the one loop, from outside any method: it is called after each optimiser step, and at
every few of them it looks. A look draws fresh replies to held-out prompts and scores them by a gold
judge that training does not see, and by the proxy that training raises. Where there is no proxy
(training from pairs) ln pi / pi_start of the reply takes its place: by Price's equation gold rises
along the way gone so far, continued, by its covariance with that.

Training stops when any of three tests says so, each with a third of `alpha`:
- a bettor refutes that gold has risen with the proxy at every look so far
  (`stats.covariance.decline_alarms`: valid at any time);
- the covariance's upper bound at this look is below 0, at a level that is spent over the looks
  (`stats.sequential.alpha_spending`);
- gold is lower than at an earlier look, paired by prompt, at the same level shared among the
  earlier looks. Choosing the best of them by its own noise, without that, would stop good runs.
The model is then put back to the look with the highest gold. A run that never turns keeps its last
step.

Looks and the best weights are kept in the stage's folder. A look is a pure function of weights and
step, so a run that was killed and resumed makes the same ones, or reads them, and stops at the same
step with the same weights.

For best-of-n `tune_best_of_n` finds n beforehand: the one at which gold is highest among the start
model's own replies (HedgeTune).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Prompt, Score
from alignwright.files.contents import DamagedFile, records
from alignwright.job.gold_evals import GoldEval, Scores
from alignwright.model.adapters import trainable_parameters
from alignwright.model.weights import load_tensors
from alignwright.stats.best_of_n import Hedge, hedge_best_of_n
from alignwright.stats.covariance import by_prompt, covariance, decline_alarms, within_sd
from alignwright.stats.intervals import mean_interval
from alignwright.stats.prediction_powered import critical
from alignwright.stats.sequential import alpha_spending
from alignwright.train.knobs_loop import GoodhartStop
from alignwright.train.loop import StepReport
from alignwright.train.reference import swapped_parameters

if TYPE_CHECKING:
    from alignwright.model.local_model import LocalModel

BOUND = 4.0  # a prompt's covariance, in the look before's SDs, is winsorised here for the bettor
LEAST_PROMPTS = 4


@dataclass(frozen=True)
class StopDecision:
    """The decision to stop: after which step, why, and which step's weights are kept."""

    step: int
    best_step: int
    why: str


class EarlyStop(Exception):
    """Gold has turned: raised through the loop, which has nothing more to do."""

    def __init__(self, decision: StopDecision) -> None:
        super().__init__(
            f"stopped after step {decision.step}: {decision.why}; the weights after step {decision.best_step} are kept"
        )
        self.decision = decision


def verdict(gold_evals: Sequence[GoldEval], alpha: float) -> StopDecision | None:
    """Whether to stop after the last of these looks; the first is of the start model, and no
    reason to stop."""
    if len(gold_evals) < 2:
        return None
    share, last = alpha / 3, gold_evals[-1]
    why = (
        _refuted(gold_evals, share)
        or _falls(last, alpha_spending(share, len(gold_evals) - 1))
        or _lower(gold_evals, alpha_spending(share, len(gold_evals) - 1))
    )
    return StopDecision(last.step, _best(gold_evals), why) if why else None


def tune_best_of_n(
    policy: LocalModel,
    prompts: Sequence[Prompt],
    judges: tuple[RewardFn, RewardFn],
    stop: GoodhartStop,
    *,
    most: int,
    longest: int,
    seed: int,
) -> Hedge:
    """How many replies best-of-n should choose from, by gold (the first judge) on the policy's
    own replies; at most `most`."""
    texts = _sample_replies(policy, prompts, max(most, stop.samples), longest, seed)
    gold, proxy = (_scored(judge(prompts, texts)) for judge in judges)
    samples = [(p, g) for p, g in zip(proxy, gold, strict=True) if p and g]
    if not samples:
        raise ValueError(
            "stop by goodhart: no prompt had all its replies scored by both judges, so n cannot be chosen; use another"
            " gold"
        )
    return hedge_best_of_n(samples, most)


class GoldMonitor:
    """The looks of one training stage. Call it after every step; it raises `EarlyStop`, after which
    `restore_best` restores the kept weights."""

    def __init__(
        self,
        policy: LocalModel,
        prompts: Sequence[Prompt],
        gold: RewardFn,
        proxy: RewardFn | None,
        stop: GoodhartStop,
        *,
        longest: int,
        seed: int,
        folder: Path,
        on_step: Callable[[StepReport], None] | None = None,
    ) -> None:
        if len(prompts) < LEAST_PROMPTS:
            few = f"{len(prompts)} held-out prompts cannot tell anything"
            raise ValueError(f"stop by goodhart: {few}; give {LEAST_PROMPTS} at the very least, better 16")
        self.policy, self.prompts, self.gold, self.proxy, self.stop = policy, prompts, gold, proxy, stop
        self.longest, self.seed, self.folder, self.on_step = longest, seed, folder, on_step
        self.start = [p.detach().clone() for p in trainable_parameters(policy)]
        self.path = folder / "gold_evals.jsonl"
        self.gold_evals: list[GoldEval] = []
        if self.path.exists():
            self.gold_evals = records(self.path, GoldEval)
        if self.gold_evals and not self._weights(_best(self.gold_evals)).exists():
            # killed when all was cleared away, checkpoints first: the stage begins again, and so do its evaluations
            self.gold_evals = []
        self._evaluate_gold(0)

    def __call__(self, report: StepReport) -> None:
        if self.on_step:
            self.on_step(report)
        step = report.step + 1
        if step % self.stop.every == 0 and step < report.steps:
            self._evaluate_gold(step)
            decision = verdict([gold_eval for gold_eval in self.gold_evals if gold_eval.step <= step], self.stop.alpha)
            if decision is not None:
                raise EarlyStop(decision)

    def restore_best(self, decision: StopDecision) -> None:
        """Give the policy the kept weights, and write down what was decided."""
        path, own = self._weights(decision.best_step), trainable_parameters(self.policy)
        weights = load_tensors(path)
        if any(
            f"parameter.{i}" not in weights or weights[f"parameter.{i}"].shape != p.shape for i, p in enumerate(own)
        ):
            raise DamagedFile(path, "it does not hold the weights of this model")
        with torch.no_grad():
            for i, parameter in enumerate(own):
                parameter.copy_(weights[f"parameter.{i}"])
        record = {"step": decision.step, "kept": decision.best_step, "why": decision.why, "alpha": self.stop.alpha}
        (self.folder / "stopped.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def _evaluate_gold(self, step: int) -> None:
        if any(gold_eval.step == step for gold_eval in self.gold_evals):
            return  # seen before the run was killed
        # 1. fresh replies, from a seed of this step alone: a resumed run evaluates the same ones
        texts = _sample_replies(
            self.policy, self.prompts, self.stop.samples, self.longest, self.seed + 1_000_003 * (step + 1)
        )
        # 2. both scores of each reply; a prompt counts only where both judges could score all its replies
        gold = _scored(self.gold(self.prompts, texts))
        ratios = self._ratios(texts)
        proxy = _scored(self.proxy(self.prompts, texts)) if self.proxy else ratios
        both = [(g, p) if g and p else ((), ()) for g, p in zip(gold, proxy, strict=True)]
        if not any(g for g, _ in both):
            raise ValueError(
                f"stop by goodhart: after step {step} no prompt had all its replies scored, so nothing can be told; use"
                " another gold"
            )
        nats = tuple(math.fsum(part) / len(part) for part in ratios)
        gold_eval = GoldEval(step=step, gold=tuple(g for g, _ in both), proxy=tuple(p for _, p in both), nats=nats)
        # 3. weights before the record of them: a kill in between leaves weights that nothing names
        if all(gold_eval.mean > other.mean for other in self.gold_evals):
            self._save_weights(step)
        self.gold_evals.append(gold_eval)
        partial = self.path.with_suffix(".partial")
        partial.write_text(
            "".join(gold_eval.model_dump_json() + "\n" for gold_eval in self.gold_evals), encoding="utf-8"
        )
        partial.replace(self.path)
        # 4. only the best weights stay on disk
        best = _best(self.gold_evals)
        for path in self.folder.glob("gold-peak-*.safetensors"):
            if path != self._weights(best):
                path.unlink()

    def _save_weights(self, step: int) -> None:
        partial = self.folder / "gold-peak.partial"
        save_file(
            {f"parameter.{i}": p.detach().contiguous() for i, p in enumerate(trainable_parameters(self.policy))},
            partial,
        )
        partial.replace(self._weights(step))

    def _weights(self, step: int) -> Path:
        return self.folder / f"gold-peak-{step:06d}.safetensors"

    def _ratios(self, texts: Sequence[Sequence[str]]) -> Scores:
        """ln pi / pi_start of each reply."""
        conversations = [prompt.conversation for prompt in self.prompts]
        logps = self.policy.logprobs(conversations, texts)
        with swapped_parameters(self.policy, self.start):
            start_logps = self.policy.logprobs(conversations, texts)
        return tuple(
            tuple(a.total - b.total for a, b in zip(one, other, strict=True))
            for one, other in zip(logps, start_logps, strict=True)
        )


def drop_best_weights(folder: Path) -> None:
    """Remove the weights that a watch kept, once the stage's result is written and its
    checkpoints are gone."""
    for path in folder.glob("gold-peak*"):
        path.unlink()


def _best(gold_evals: Sequence[GoldEval]) -> int:
    """The step at which gold was highest, the first of several."""
    return max(gold_evals, key=lambda gold_eval: (gold_eval.mean, -gold_eval.step)).step


def _sample_replies(
    policy: LocalModel, prompts: Sequence[Prompt], samples: int, longest: int, seed: int
) -> list[list[str]]:
    groups = policy.generate(
        [p.conversation for p in prompts], n=samples, max_new_tokens=longest, temperature=1.0, seed=seed
    )
    return [[reply.text for reply in replies] for replies in groups]


def _scored(scores_by_prompt: Sequence[Sequence[Score | None]]) -> Scores:
    """The scores by prompt; empty where one reply could not be scored."""
    values = [
        [score.value for score in scores if score is not None and math.isfinite(score.value)]
        for scores in scores_by_prompt
    ]
    return tuple(
        tuple(value) if len(value) == len(scores) else ()
        for value, scores in zip(values, scores_by_prompt, strict=True)
    )


def _refuted(gold_evals: Sequence[GoldEval], alpha: float) -> str:
    """The bettor. A look is put in the spreads of the look before it, which were known when its
    replies were drawn."""
    covariances = list[list[float]]()
    for before, now in pairwise(gold_evals):
        spread = _spread(before.gold), _spread(before.proxy)
        unit = spread[0] * spread[1] if spread[0] and spread[1] else None
        covariances.append([c / unit for c in by_prompt(now.gold, now.proxy)] if unit else [])
    return (
        "a bettor refutes that gold has risen with the proxy so far"
        if decline_alarms(covariances, BOUND, alpha)[-1]
        else ""
    )


def _falls(gold_eval: GoldEval, alpha: float) -> str:
    pairs = [
        (g, p, i)
        for i, (gold, proxy) in enumerate(zip(gold_eval.gold, gold_eval.proxy, strict=True))
        for g, p in zip(gold, proxy, strict=True)
    ]
    if len({i for _, _, i in pairs}) < LEAST_PROMPTS:
        return ""
    estimate = covariance([g for g, _, _ in pairs], [p for _, p, _ in pairs], [i for _, _, i in pairs])
    upper = estimate.upper(1 - alpha)
    return (
        f"the covariance of gold and proxy is below 0 (at most {upper:.3g})" if upper is not None and upper < 0 else ""
    )


def _lower(gold_evals: Sequence[GoldEval], alpha: float) -> str:
    """Is gold surely lower now than at some earlier look?"""
    now = gold_evals[-1]
    for other in gold_evals[:-1]:
        both = [
            (math.fsum(a) / len(a), math.fsum(b) / len(b)) for a, b in zip(now.gold, other.gold, strict=True) if a and b
        ]
        change = mean_interval([a - b for a, b in both])
        if len(both) >= LEAST_PROMPTS and change.value is not None and change.se:
            upper = change.value + critical(1 - alpha / (len(gold_evals) - 1), len(both) - 1) * change.se
            if upper < 0:
                return f"gold is lower than after step {other.step} (by {-upper:.3g} at least)"
    return ""


def _spread(scores: Scores) -> float | None:
    return within_sd([v for part in scores for v in part], [i for i, part in enumerate(scores) for _ in part])
