"""Who watches a training stage, and what is left when it was stopped?

Wires `train.early_stopping` to a spec: the held-out prompts, the gold judge, the proxy. For best-of-n the
number of replies to choose from is hedged on gold before the first step, where no `quantile` says
how hard to choose. What was decided stands in the stage's `stopped.json` and in a finding.
"""

from __future__ import annotations

from collections.abc import Callable

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Finding
from alignwright.core.stage import resolved, written_knobs
from alignwright.files.contents import DamagedFile, json_object
from alignwright.files.lines import read_lines
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.ledger import write_json
from alignwright.model.local_model import LocalModel
from alignwright.train.early_stopping import EarlyStop, GoldMonitor, StopDecision, tune_best_of_n
from alignwright.train.knobs import AnyTrain, stop_of
from alignwright.train.knobs_loop import GoodhartStop, Training
from alignwright.train.knobs_rollouts import BestOfN, Sampling
from alignwright.train.loop import StepReport

OnStep = Callable[[StepReport], None]
Learn = Callable[[Training, RewardFn | None, OnStep], None]


def train_until_stopped(
    stage: AnyTrain, policy: LocalModel, job: JobContext, show: OnStep, learn: Learn
) -> tuple[str, list[Finding] | None]:
    """Let the stage learn, under a monitor where it names one; returns what that came to, and the
    finding of a stop."""
    assert isinstance(stage, Training)
    proxy = job.scorer(stage.reward) if isinstance(stage, Sampling) else None
    stop = stop_of(stage)
    if stop is None:
        learn(stage, proxy, show)
        return "", None
    prompts = subsample_evenly(job.data.prompts(stop.prompts), stop.limit)
    gold = job.scorer(stop.gold)
    monitor = GoldMonitor(
        policy, prompts, gold, proxy, stop, longest=stop.max_new_tokens, seed=job.seed, folder=job.folder, on_step=show
    )
    note, decision, settled = "", None, stage
    if isinstance(stage, BestOfN) and stage.quantile is None and proxy is not None:
        n = _best_of_n_size(stage, stop, policy, (gold, proxy), job)
        note = f"the best of {n}, hedged on gold (at most {stage.samples})"
        settled = BestOfN.model_validate(written_knobs(stage) | {"samples": max(2, n)})
        decision = (
            StopDecision(0, 0, "gold does not rise when replies are chosen by the proxy, so nothing was learnt")
            if n < 2
            else None
        )
    try:
        if decision is None:
            learn(settled, proxy, monitor)
    except EarlyStop as stopped:
        decision = stopped.decision
    if decision is None:
        return note, None
    monitor.restore_best(decision)
    why = f"stopped after step {decision.step}, kept step {decision.best_step}: {decision.why}"
    return "; ".join(part for part in (note, why) if part), [_finding(decision, job)]


def _best_of_n_size(
    stage: BestOfN, stop: GoodhartStop, policy: LocalModel, judges: tuple[RewardFn, RewardFn], job: JobContext
) -> int:
    """The number of replies at which gold is highest. Kept, for a run that is resumed."""
    most, path = resolved(stage.samples), job.folder / "hedge.json"
    if not path.exists():
        prompts = subsample_evenly(job.data.prompts(stop.prompts), stop.limit)
        found = tune_best_of_n(
            policy, prompts, judges, stop, most=most, longest=resolved(stage.max_new_tokens), seed=job.seed
        )
        write_json(
            path, {"n": round(found.at), "at": found.at, "turns": found.turns, "slope": found.slope, "most": most}
        )
    n: int = json_object(path, n=int, at=(int, float), most=int)["n"]
    if not 1 <= n <= most:
        raise DamagedFile(path, f"'n' is {n}, and at most {most} replies are drawn")
    return n


def _finding(decision: StopDecision, job: JobContext) -> Finding:
    gold_evals = len(read_lines(job.folder / "gold_evals.jsonl"))
    method = (
        f"stopped after step {decision.step}: {decision.why}; the highest mean of gold among {gold_evals} looks is kept"
    )
    made = {
        "claim": "training.stopped",
        "stage": job.name,
        "axis": "training",
        "value": float(decision.best_step),
        "n": gold_evals,
    }
    return Finding.model_validate(made | {"method": method, "unit": "step", "better": None})
