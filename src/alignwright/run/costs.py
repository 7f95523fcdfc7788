"""How many tokens does a job read, write and learn from?

Counted from the data files' lengths and the stage's knobs, one function for each family of stages; no model is loaded. A reply is taken to be
as long as it may be. Who judges replies makes a difference: a reward model reads them, a rule does not. A stage that may be stopped early
by its watch is counted as if it were not, so its count is an upper bound, and says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.run.plan import Job
from alignwright.spec.emergent import EmergentMeasure
from alignwright.spec.experiment import Experiment
from alignwright.spec.goodhart import GoodhartMeasure, GoodhartStop
from alignwright.spec.hacking import HackingMeasure
from alignwright.spec.stages import (
    Collect,
    Contrast,
    Critique,
    Deliberate,
    Instruction,
    IntentMeasure,
    JudgeVote,
    Pooled,
    RewardMeasure,
    Rules,
    Suite,
    TaxMeasure,
    ValueMeasure,
    Written,
    known,
)
from alignwright.spec.training import (
    AnyTrain,
    Average,
    BestOfN,
    FromPreferences,
    Grpo,
    Ppo,
    Pretrain,
    RewardModel,
    Rloo,
    Rollout,
    Sampling,
    Sft,
    Sppo,
    files_of_sft,
    judges,
    learns_from_votes,
    stop_of,
)
from alignwright.spec.worlds import WorldMeasure

PROMPT, REPLY, DOCUMENT = 60, 45, 170
"""Tokens of a typical prompt with its template, of a written reply, and of a document of plain text."""
EDITS, MARK = 25, 16
"""About so many edits are made of a reply to test a reward; tokens that a judge of free answers writes."""
SPPO_PASSES = 4  # as `train.online` takes, which the estimate does not import: it would load torch
UNCOUNTED = 1000
"""Rows that a file is taken to have which would have to be fetched or unpacked to be counted."""

Feedback = Collect | Written | Rules | Contrast | JudgeVote | Critique | Deliberate | Pooled
Scored = RewardMeasure | GoodhartMeasure | HackingMeasure
Asked = Suite | Instruction | IntentMeasure | ValueMeasure | TaxMeasure


@dataclass(frozen=True)
class Cost:
    """Tokens read, written and trained on; `at_most`: the job may end before it has come to so many."""

    read: int = 0
    write: int = 0
    train: int = 0
    at_most: bool = False

    @property
    def tokens(self) -> int:
        return self.read + self.write + self.train


def cost(job: Job, experiment: Experiment) -> Cost:
    """What a job comes to."""
    match job.stage:
        case (Collect() | Written() | Rules() | Contrast() | JudgeVote() | Critique() | Deliberate() | Pooled()) as stage:
            return _feedback(stage, experiment)
        case (RewardMeasure() | GoodhartMeasure() | HackingMeasure()) as stage:
            return _scored(stage, experiment, begins=job.model == "baseline")
        case (Suite() | Instruction() | IntentMeasure() | ValueMeasure() | TaxMeasure()) as stage:
            return _asked(stage, experiment)
        case EmergentMeasure() as stage:
            return _emergent(stage, experiment)
        case WorldMeasure() as stage:
            replies, longest = known(stage.episodes) * stage.turns, known(stage.max_new_tokens)
            return Cost(replies * (8 * PROMPT + longest * stage.turns // 2), replies * longest)
        case stage:
            return _watched(stage, experiment, _training(stage, experiment))


def _feedback(stage: Feedback, experiment: Experiment) -> Cost:
    """Replies, revisions and votes of the start model."""
    match stage:
        case Collect():
            count = _items(experiment, experiment.intent.prompts, stage.limit)
            return Cost(count * PROMPT, count * known(stage.samples) * known(stage.max_new_tokens))
        case Critique():
            count = _items(experiment, experiment.intent.prompts, stage.limit) * stage.rounds
            return Cost(count * PROMPT * 6, count * 2 * known(stage.max_new_tokens))
        case Deliberate():
            count = _items(experiment, experiment.intent.prompts, stage.limit)
            return Cost(count * PROMPT * 3, count * 2 * known(stage.max_new_tokens))
        case Contrast():
            return Cost((_rows(experiment, experiment.intent.pairs) + known(stage.check_pairs)) * 2 * (2 * PROMPT + 2 * REPLY))
        case JudgeVote():
            return Cost(known(stage.check_pairs) * 2 * (3 * PROMPT + 2 * REPLY))
        case Written() | Rules() | Pooled():
            return Cost()


# ---- training --------------------------------------------------------------------------------------------------------------------
def _training(stage: AnyTrain, experiment: Experiment) -> Cost:
    """A stage that goes on to its end."""
    pairs = _rows(experiment, experiment.intent.pairs)
    match stage:
        case Pretrain():
            return Cost(train=int(_rows(experiment, stage.text) * DOCUMENT * known(stage.epochs)))
        case Sft():
            rows = _rows(experiment, files_of_sft(stage)) + pairs * learns_from_votes(stage)
            return Cost(train=int(rows * (PROMPT + REPLY) * known(stage.epochs)))
        case RewardModel():
            return Cost(train=int(pairs * (PROMPT + 2 * REPLY) * known(stage.epochs) * stage.ensemble))
        case FromPreferences():
            return Cost(train=int(pairs * (PROMPT + 2 * REPLY) * (known(stage.epochs) + 0.4)))
        case Sampling():
            return _sampled(stage, experiment)
        case Average():
            return Cost()


def _sampled(stage: Sampling, experiment: Experiment) -> Cost:
    """A rollout's replies are written once, read by judges that are models and by the reference, and trained on once a pass."""
    prompts, longest = _rows(experiment, experiment.intent.prompts) * known(stage.epochs), known(stage.max_new_tokens)
    replies = prompts * known(stage.samples)
    tokens = replies * longest + prompts * PROMPT
    judged = _readings(experiment, stage.reward) + (_readings(experiment, stage.cost) if isinstance(stage, Rollout) and stage.cost else 0)
    learnt = tokens // known(stage.samples) if isinstance(stage, BestOfN) else tokens * _passes(stage)
    return Cost(tokens * (judged + (isinstance(stage, Rollout) and stage.kl > 0)), replies * longest, learnt)


def _watched(stage: AnyTrain, experiment: Experiment, whole: Cost) -> Cost:
    """With the looks of a stop, where there is one: each writes fresh replies, which the model reads as it is and as it began, and the judges."""
    stop = stop_of(stage)
    if stop is None or not isinstance(stage, Sampling | FromPreferences):
        return whole
    judged = sum(_readings(experiment, name) for knob, name in judges(stage) if knob != "cost")
    looks = 1 + _steps(stage, experiment, whole.train) // stop.every
    said = looks * _items(experiment, stop.prompts, stop.limit) * stop.samples
    found = Cost(said * (PROMPT + stop.max_new_tokens) * (2 + judged), said * stop.max_new_tokens)
    hedge = _hedge(stage, stop, experiment, judged)
    return Cost(whole.read + found.read + hedge.read, whole.write + found.write + hedge.write, whole.train, at_most=True)


def _hedge(stage: Sampling | FromPreferences, stop: GoodhartStop, experiment: Experiment, judged: int) -> Cost:
    """Replies of the start model, by which best-of-n finds how many to choose from."""
    if not isinstance(stage, BestOfN) or stage.quantile is not None:
        return Cost()
    said, longest = _items(experiment, stop.prompts, stop.limit) * max(known(stage.samples), stop.samples), known(stage.max_new_tokens)
    return Cost(said * (PROMPT + longest) * judged, said * longest)


def _steps(stage: Sampling | FromPreferences, experiment: Experiment, train: int) -> int:
    """Optimiser steps: policy gradients take one for each part of a rollout, all others one for so many tokens of it, or of the pairs."""
    if isinstance(stage, FromPreferences):
        return math.ceil(train / known(stage.batch_tokens))
    rollouts = math.ceil(_rows(experiment, experiment.intent.prompts) * known(stage.epochs) / known(stage.prompts))
    if isinstance(stage, Rollout):
        return rollouts * _passes(stage) * (stage.minibatches if isinstance(stage, Ppo | Grpo | Rloo) else 1)
    return rollouts * math.ceil(train / max(rollouts, 1) / known(stage.batch_tokens))


def _passes(stage: Sampling) -> int:
    return SPPO_PASSES if isinstance(stage, Sppo) else stage.passes if isinstance(stage, Ppo | Grpo | Rloo) else 1


# ---- measuring -------------------------------------------------------------------------------------------------------------------
def _scored(stage: Scored, experiment: Experiment, *, begins: bool) -> Cost:
    """Replies that judges score; those of a trained model are read by the start model as well, to find how far it has gone."""
    longest = known(stage.max_new_tokens)
    match stage:
        case RewardMeasure():
            count = _items(experiment, stage.prompts, stage.limit) * stage.samples
            read = count * (_readings(experiment, stage.reward) + (not begins))
        case GoodhartMeasure():
            count = (_items(experiment, stage.prompts, stage.limit) + _items(experiment, stage.shifted, stage.limit)) * known(stage.samples)
            read = count * (_readings(experiment, stage.proxy) + _readings(experiment, stage.gold) + 1 + (not begins))  # 1: states
        case HackingMeasure():
            prompts = _items(experiment, stage.prompts, stage.limit)
            count = prompts * stage.samples
            edited = prompts * EDITS if stage.unit_tests and begins else 0
            read = (count + edited) * (_readings(experiment, stage.proxy) + _readings(experiment, stage.gold))
    return Cost(read * (PROMPT + longest), count * longest)


def _asked(stage: Asked, experiment: Experiment) -> Cost:
    """Questions that are answered, or whose answers are read, and graded without a model."""
    longest = known(stage.max_new_tokens)

    def items(files: Sequence[str]) -> int:
        return _items(experiment, files, stage.limit)

    match stage:
        case Instruction():
            count = items(stage.data)
            return Cost(count * PROMPT, count * longest)
        case IntentMeasure():
            pushed, forced = items(stage.pushback), items(stage.opinion) * 2 + items(stage.meant)
            return Cost(pushed * 2 * PROMPT + forced * (PROMPT + 2 * REPLY), pushed * longest)
        case ValueMeasure():
            asked = _items(experiment, stage.prompts, 2 * known(stage.limit))
            return Cost(asked * PROMPT + items(stage.pairs) * (PROMPT + 2 * REPLY), asked * longest)
        case TaxMeasure():
            asked = items(stage.problems) + items(stage.prompts)
            return Cost(items(stage.text) * DOCUMENT + items(stage.choice) * 50 + asked * PROMPT, asked * longest)
        case Suite():
            count = items(stage.prompts) * 5
            return Cost(count * PROMPT * 2, count * longest)


def _emergent(stage: EmergentMeasure, experiment: Experiment) -> Cost:
    forced = _items(experiment, stage.choice, known(stage.limit) * max(len(stage.choice), 1)) * 2 + 120 * stage.abilities
    replies = _items(experiment, stage.questions, stage.limit) * stage.samples
    marked = replies * (stage.judge is not None and not stage.judge.endswith(".py"))
    return Cost(forced * (PROMPT + 20) + marked * 4 * PROMPT, replies * known(stage.max_new_tokens) + marked * MARK)


# ---- counting --------------------------------------------------------------------------------------------------------------------
def _readings(experiment: Experiment, judge: str) -> int:
    """How often a reply is read to be judged: once by a reward model and by each voter that is a model; by a rule never."""
    if judge == "feedback":
        return sum(isinstance(voter, Contrast | JudgeVote) for voter in experiment.feedback)
    return int(judge == "reward")


def _items(experiment: Experiment, files: Sequence[str], limit: int | None) -> int:
    count = _rows(experiment, files)
    return count if limit is None else min(count, limit)


def _rows(experiment: Experiment, files: Sequence[str]) -> int:
    """About how many rows: lines, or entries of a JSON list."""
    total = 0
    for name in files:
        path = experiment.path(name)
        if not path.is_file() or path.suffix in (".gz", ".parquet", ".zip"):
            total += UNCOUNTED
        elif path.suffix == ".json":
            total += len(json.loads(path.read_text(encoding="utf-8")))
        else:
            with path.open("rb") as lines:
                total += sum(1 for line in lines if line.strip())
    return total
