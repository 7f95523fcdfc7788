"""Who watches a training stage, and what is left when it was stopped?

Wires `train.early_stopping` to a spec: the held-out prompts, the gold judge, the proxy. For best-of-n the
number of replies to choose from is hedged on gold before the first step, where no `quantile` says
how hard to choose. What was decided stands in the stage's `stopped.json` and in a finding.
"""

from __future__ import annotations

from collections.abc import Callable

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Finding
from alignwright.core.stage import resolved
from alignwright.experiment.experiment import written_knobs
from alignwright.files.contents import DamagedFile, json_object
from alignwright.files.lines import read_lines
from alignwright.model.local_model import LocalModel
from alignwright.run import inputs
from alignwright.run.ledger import write_json
from alignwright.run.rewards import scorer
from alignwright.run.work import JobContext
from alignwright.train.early_stopping import EarlyStop, GoldMonitor, StopDecision, tune_best_of_n
from alignwright.train.knobs import AnyTrain, stop_of
from alignwright.train.knobs_loop import GoodhartStop, Training
from alignwright.train.knobs_rollouts import BestOfN, Sampling
from alignwright.train.loop import StepReport

OnStep = Callable[[StepReport], None]
Learn = Callable[[Training, RewardFn | None, OnStep], None]


def watched(stage: AnyTrain, policy: LocalModel, work: JobContext, show: OnStep, learn: Learn) -> str:
    """Let the stage learn, under a watch where it names one; returns what the watch came to."""
    assert isinstance(stage, Training)
    judge = scorer(stage.reward, work) if isinstance(stage, Sampling) else None
    stop = stop_of(stage)
    if stop is None:
        learn(stage, judge, show)
        return ""
    experiment, folder = work.experiment, work.folder
    prompts = inputs.spread(inputs.prompts(experiment, stop.prompts), stop.limit)
    gold = scorer(stop.gold, work)
    watch = GoldMonitor(
        policy,
        prompts,
        gold,
        judge,
        stop,
        longest=stop.max_new_tokens,
        seed=experiment.seed,
        folder=folder,
        on_step=show,
    )
    told, decision, chosen = "", None, stage
    if isinstance(stage, BestOfN) and stage.quantile is None and judge is not None:
        n = _best_of_n_size(stage, stop, policy, (gold, judge), work)
        told = f"the best of {n}, hedged on gold (at most {stage.samples})"
        chosen = BestOfN.model_validate(written_knobs(stage) | {"samples": max(2, n)})
        decision = (
            StopDecision(0, 0, "gold does not rise when replies are chosen by the proxy, so nothing was learnt")
            if n < 2
            else None
        )
    try:
        if decision is None:
            learn(chosen, judge, watch)
    except EarlyStop as found:
        decision = found.decision
    if decision is not None:
        watch.restore_best(decision)
        inputs.write_records(folder / "findings.jsonl", [_finding(decision, work)])
        told = "; ".join(
            part
            for part in (told, f"stopped after step {decision.step}, kept step {decision.best_step}: {decision.why}")
            if part
        )
    return told


def _best_of_n_size(
    stage: BestOfN, stop: GoodhartStop, policy: LocalModel, judges: tuple[RewardFn, RewardFn], work: JobContext
) -> int:
    """The number of replies at which gold is highest. Kept, for a run that is resumed."""
    most, path = resolved(stage.samples), work.folder / "hedge.json"
    if not path.exists():
        prompts = inputs.spread(inputs.prompts(work.experiment, stop.prompts), stop.limit)
        found = tune_best_of_n(
            policy, prompts, judges, stop, most=most, longest=resolved(stage.max_new_tokens), seed=work.experiment.seed
        )
        write_json(
            path, {"n": round(found.at), "at": found.at, "turns": found.turns, "slope": found.slope, "most": most}
        )
    n: int = json_object(path, n=int, at=(int, float), most=int)["n"]
    if not 1 <= n <= most:
        raise DamagedFile(path, f"'n' is {n}, and at most {most} replies are drawn")
    return n


def _finding(decision: StopDecision, work: JobContext) -> Finding:
    gold_evals = len(read_lines(work.folder / "gold_evals.jsonl"))
    method = (
        f"stopped after step {decision.step}: {decision.why}; the highest mean of gold among {gold_evals} looks is kept"
    )
    made = {
        "claim": "training.stopped",
        "stage": work.job.name,
        "axis": "training",
        "value": float(decision.best_step),
        "n": gold_evals,
    }
    return Finding.model_validate(made | {"method": method, "unit": "step", "better": None})
