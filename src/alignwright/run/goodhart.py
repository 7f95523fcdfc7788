"""How is over-optimisation measured inside a run: which judges, against which replies of the start
model?

What is known of the start model's replies is kept with its own measurement (`sheets.jsonl`, and
`seen.safetensors`: its states and the scores of an ensemble's members), and read there for each
trained model.
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
from alignwright.measure.goodhart import early_warning
from alignwright.measure.goodhart import measure as goodhart
from alignwright.measure.goodhart.early_warning import Rows
from alignwright.measure.goodhart.knobs import GoodhartMeasure
from alignwright.measure.goodhart.scaling_law import Trajectory, law
from alignwright.measure.goodhart.scored_replies import ProxyAndGold, ScoredReplies
from alignwright.measure.reward import divergence, speak
from alignwright.model.hidden_states import reply_states
from alignwright.model.reward_model import RewardScorer
from alignwright.run import inputs
from alignwright.run.rewards import scorer
from alignwright.run.work import JobContext
from alignwright.stats.arrays import Floats
from alignwright.stats.covariance import within_sd
from alignwright.train.early_stopping import GoldEval


def measure(stage: GoodhartMeasure, work: JobContext) -> list[SampleResult]:
    """Score this model's replies by both judges, beside the start model's. Writes sheets.jsonl,
    curve.jsonl, findings.jsonl, seen.safetensors."""
    experiment, model = work.experiment, work.job.model
    prompts, shifted = (
        inputs.spread(inputs.prompts(experiment, files), stage.limit) for files in (stage.prompts, stage.shifted)
    )
    asked = [*prompts, *shifted]
    policy = work.watched(work.shelf.measured(model))
    said = speak(
        policy,
        asked,
        samples=resolved(stage.samples),
        max_new_tokens=resolved(stage.max_new_tokens),
        seed=experiment.seed,
    )
    earlier = [
        inputs.stored(work.ledger, need) for need in work.job.needs if ".goodhart@" in need
    ]  # the start model's, then each trained one's
    start, moved = None, list[SampleResult]()
    begun = work.watched(work.shelf.measured("baseline"))
    if earlier:
        start = records(earlier[0] / "sheets.jsonl", ScoredReplies)
        moved = divergence(begun, prompts, said[: len(prompts)], claim="goodhart.kl")
    states = reply_states(begun, asked, [[reply.text for reply in replies] for replies in said])
    judges = ProxyAndGold(
        scorer(stage.proxy, work), scorer(stage.gold, work), stage.proxy == "feedback", stage.gold == "feedback"
    )
    found = goodhart.examine(
        model, prompts, shifted, said, judges, labels=stage.best_of[-1], sizes=stage.best_of, start=start, moved=moved
    )
    inputs.write_records(work.folder / "sheets.jsonl", found.sheets)
    inputs.write_records(work.folder / "curve.jsonl", found.curve)
    members = _members(judges.proxy, found.sheets)
    strange = list[Finding]()
    if start is None:
        _keep(work.folder / "seen.safetensors", states=states, members=members)
    else:
        strange = _strange(
            model, start, found.sheets, earlier[0] / "seen.safetensors", states, members, experiment.seed
        )
        way = _looks(inputs.stored(work.ledger, model), model) or _models(earlier, found.outcomes)
        strange += [law(model, way), *early_warning.accelerating(model, way, seed=experiment.seed)] if way else []
    inputs.write_records(work.folder / "findings.jsonl", [*found.findings, *strange])
    return list(found.outcomes)


# ---- signs ---------------------------------------------------------------------------------------
def _strange(
    model: str,
    start: Sequence[ScoredReplies],
    now: Sequence[ScoredReplies],
    kept: Path,
    states: Sequence[NDArray[np.float32]],
    members: Rows,
    seed: int,
) -> list[Finding]:
    seen = load_file(kept)
    before = {
        of: [seen[f"{of}.{i}"].astype(np.float64) for i in range(len(start))]
        for of in ("states", "members")
        if f"{of}.0" in seen
    }
    parted = (before["members"], members) if "members" in before and members else None
    return early_warning.signs(
        model, start, now, members=parted, states=(before["states"], [s.astype(np.float64) for s in states]), seed=seed
    )


def _members(proxy: RewardFn, sheets: Sequence[ScoredReplies]) -> list[Floats]:
    """The ensemble's scores of each sheet's replies, [replies, members], as the proxy has just
    found them; empty where it is no ensemble."""
    if not isinstance(proxy, RewardScorer) or proxy.last_scores is None or len(proxy.last_scores[1]) < 2:
        return []
    places, score_MR = proxy.last_scores
    found = [np.full((len(sheet.replies), len(score_MR)), np.nan) for sheet in sheets]
    for (i, k), score_M in zip(places, score_MR.T.tolist(), strict=True):
        found[i][k] = score_M
    return found


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
def _looks(trained: Path, model: str) -> Trajectory | None:
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
    of_models = [*map(inputs.outcomes, earlier), now]
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
