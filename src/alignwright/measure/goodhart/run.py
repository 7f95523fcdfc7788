"""How is over-optimisation measured inside a run: which judges, against which replies of the start
model?

What is known of the start model's replies is kept with its own measurement
(`scored_replies.jsonl`, and `states.safetensors`: its states and the scores of an ensemble's
members), and read there for each trained model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Finding, SampleResult
from alignwright.core.stage import resolved
from alignwright.files.contents import records
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.gold_evals import GoldEval
from alignwright.job.job import Result, count_statuses
from alignwright.job.records import read_samples
from alignwright.measure.goodhart import early_warning
from alignwright.measure.goodhart import measure as goodhart
from alignwright.measure.goodhart.early_warning import Rows
from alignwright.measure.goodhart.knobs import GoodhartMeasure
from alignwright.measure.goodhart.scaling_law import Trajectory, law
from alignwright.measure.goodhart.scored_replies import ProxyAndGold, ScoredReplies
from alignwright.measure.judge_score import divergence, sample_replies
from alignwright.model.hidden_states import reply_states
from alignwright.model.reward_model import RewardScorer
from alignwright.stats.arrays import Floats
from alignwright.stats.covariance import within_sd

SCORED_REPLIES, STATES = "scored_replies.jsonl", "states.safetensors"


def measure_goodhart(stage: GoodhartMeasure, job: JobContext) -> Result:
    """Score this model's replies by both judges, beside the start model's. Leaves scored_replies.jsonl,
    curve.jsonl and, of the start model, states.safetensors."""
    prompts, shifted_prompts = (
        subsample_evenly(job.data.prompts(files), stage.limit) for files in (stage.prompts, stage.shifted)
    )
    questions = [*prompts, *shifted_prompts]
    # 1. what the model replies, and where the start model's replies lie
    replies = sample_replies(
        job.target(),
        questions,
        samples=resolved(stage.samples),
        max_new_tokens=resolved(stage.max_new_tokens),
        seed=job.seed,
    )
    earlier = [job.folder_of(name) for name in job.needed("earlier")]  # the start model's, then each trained one's
    before, distance = None, list[SampleResult]()
    states = list[NDArray[np.float32]]()
    if job.has_weights:  # behind a server nothing is trained, so that no later model is held against its states
        start = job.start()
        if earlier:
            before = records(earlier[0] / SCORED_REPLIES, ScoredReplies)
            distance = divergence(start, prompts, replies[: len(prompts)], claim="goodhart.kl")
        states = reply_states(start, questions, [[reply.text for reply in group] for group in replies])
    # 2. what both judges make of them
    judges = ProxyAndGold(
        job.scorer(stage.proxy), job.scorer(stage.gold), stage.proxy == "feedback", stage.gold == "feedback"
    )
    scored = goodhart.examine(
        job.model,
        prompts,
        shifted_prompts,
        replies,
        judges,
        labels=stage.best_of[-1],
        sizes=stage.best_of,
        start=before,
        kl_outcomes=distance,
    )
    # 3. warning signals: replies unlike the start's, and how the way went
    members = _members(judges.proxy, scored.sheets)
    signals = list[Finding]()
    if before is None:
        _keep(job.folder / STATES, states=states, members=members)
    else:
        signals = _signals(job.model, before, scored.sheets, earlier[0] / STATES, states, members, job.seed)
        way = _gold_evals(job.folder_of(job.model), job.model) or _models(earlier, scored.outcomes)
        signals += [law(job.model, way), *early_warning.accelerating(job.model, way, seed=job.seed)] if way else []
    return Result(
        count_statuses(scored.outcomes),
        list(scored.outcomes),
        [*scored.findings, *signals],
        {SCORED_REPLIES: scored.sheets, "curve.jsonl": scored.curve},
    )


# ---- signs ---------------------------------------------------------------------------------------
def _signals(
    model: str,
    start: Sequence[ScoredReplies],
    now: Sequence[ScoredReplies],
    path: Path,
    states: Sequence[NDArray[np.float32]],
    members: Rows,
    seed: int,
) -> list[Finding]:
    arrays = load_file(path)
    before = {
        of: [arrays[f"{of}.{i}"].astype(np.float64) for i in range(len(start))]
        for of in ("states", "members")
        if f"{of}.0" in arrays
    }
    disagreement = (before["members"], members) if "members" in before and members else None
    return early_warning.signs(
        model,
        start,
        now,
        members=disagreement,
        states=(before["states"], [s.astype(np.float64) for s in states]),
        seed=seed,
    )


def _members(proxy: RewardFn, sheets: Sequence[ScoredReplies]) -> list[Floats]:
    """The ensemble's scores of each sheet's replies, [replies, members], as the proxy has just
    found them; empty where it is no ensemble."""
    if not isinstance(proxy, RewardScorer) or proxy.last_scores is None or len(proxy.last_scores[1]) < 2:
        return []
    places, score_MR = proxy.last_scores
    scores = [np.full((len(sheet.replies), len(score_MR)), np.nan) for sheet in sheets]
    for (i, k), score_M in zip(places, score_MR.T.tolist(), strict=True):
        scores[i][k] = score_M
    return scores


def _keep(path: Path, **rows: Sequence[NDArray[Any]]) -> None:
    save_file(
        {
            f"{of}.{i}": np.ascontiguousarray(row, dtype=np.float32)
            for of, part in rows.items()
            for i, row in enumerate(part)
        },
        path,
    )


# ---- the way of training -------------------------------------------------------------------------
def _gold_evals(trained: Path, model: str) -> Trajectory | None:
    """The looks of the stage that made this model, from where that stage began; None where it
    was not watched, or only seen to begin."""
    path = trained / "gold_evals.jsonl"
    looks = [look for look in records(path, GoldEval) if look.nats] if path.exists() else []
    whole = [i for i in range(len(looks[0].gold)) if all(look.gold[i] for look in looks)] if looks else []
    spread = (
        within_sd([v for i in whole for v in looks[0].gold[i]], [i for i in whole for _ in looks[0].gold[i]])
        if len(looks) > 1
        else None
    )
    if not spread:
        return None
    gold_TP = np.array([[float(np.mean(look.gold[i])) / spread for i in whole] for look in looks])
    return Trajectory(
        np.array([[look.nats[i] for i in whole] for look in looks]),
        gold_TP,
        f"looks of {model}, from the model that it began from",
    )


def _models(earlier: Sequence[Path], now: Sequence[SampleResult]) -> Trajectory | None:
    """The models that were trained up to this one, from the start model; None where no prompt
    was scored for all of them."""
    of_models = [*map(read_samples, earlier), now]
    gold, nats = (
        [{o.item: o.value for o in of if o.claim == claim and o.value is not None} for of in of_models]
        for claim in ("goodhart.gold", "goodhart.kl")
    )
    nats[0] = dict.fromkeys(gold[0], 0.0)  # the start model has not moved
    whole = [item for item in gold[0] if all(item in of for of in (*gold, *nats))]
    if not whole:
        return None
    kl_TP, gold_TP = (np.array([[of[item] for item in whole] for of in part]) for part in (nats, gold))
    return Trajectory(kl_TP, gold_TP, "trained models, from the start model")
