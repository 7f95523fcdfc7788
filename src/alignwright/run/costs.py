"""How many tokens does a job read, write and learn from?

Counted from the rows of the data files (`run.lengths`) and the stage's knobs, one function for each
family of stages; no model is loaded. A reply is taken to be as long as it may be. Who judges
replies makes a difference: a reward model reads them, a rule does not. A stage that may be stopped
early by its watch is counted as if it were not, so its count is an upper bound, and says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from alignwright.aggregate.knobs import Pooled
from alignwright.attack.knobs import Suite
from alignwright.attack.suites import read_wrappers
from alignwright.core.stage import resolved
from alignwright.experiment.load import principles
from alignwright.experiment.plan import Job
from alignwright.feedback.knobs import Collect, Contrast, Critique, Deliberate, JudgeVote, Rules, Written
from alignwright.files.items import FaithfulItem, MathItem, MeantItem, OpinionItem, PushbackItem, RefusalItem
from alignwright.files.public_questions import PersonaItem
from alignwright.files.reward_folder import names_folder
from alignwright.measure.emergent.knobs import EmergentMeasure
from alignwright.measure.goodhart.knobs import GoodhartMeasure
from alignwright.measure.hacking.knobs import HackingMeasure
from alignwright.measure.knobs import Instruction, IntentMeasure, RewardMeasure, TaxMeasure, ValueMeasure
from alignwright.run.lengths import PROMPT, REPLY, Lengths, Size
from alignwright.train.knobs import AnyTrain, Average, Pretrain, RewardModel, Sft, stop_of
from alignwright.train.knobs_loop import GoodhartStop, Training
from alignwright.train.knobs_pairs import FromPreferences
from alignwright.train.knobs_rollouts import BestOfN, Grpo, Ppo, Rloo, Rollout, Sampling, Sppo
from alignwright.worlds.knobs import WorldMeasure

EDITS, MARK, ABILITIES = 25, 16, 120
"""About so many edits are made of a reply to test a reward; tokens that a judge of free answers
writes; small questions of ability."""
SPPO_PASSES = 4  # as `train.online` takes, which the estimate does not import: it would load torch

Feedback = Collect | Written | Rules | Contrast | JudgeVote | Critique | Deliberate | Pooled
Scored = RewardMeasure | GoodhartMeasure | HackingMeasure
Asked = Suite | Instruction | IntentMeasure | ValueMeasure | TaxMeasure


@dataclass(frozen=True)
class Cost:
    """Tokens read, written and trained on; `at_most`: the job may end before it has come to so many.

    `voting` is what a judge reads beside that if it passes the check that comes before its votes.
    """

    read: int = 0
    write: int = 0
    train: int = 0
    at_most: bool = False
    voting: int = 0

    @property
    def tokens(self) -> int:
        return self.read + self.write + self.train


def cost(job: Job, lengths: Lengths) -> Cost:
    """What a job comes to."""
    match job.stage:
        case (
            Collect() | Written() | Rules() | Contrast() | JudgeVote() | Critique() | Deliberate() | Pooled()
        ) as stage:
            return _feedback(stage, lengths)
        case (RewardMeasure() | GoodhartMeasure() | HackingMeasure()) as stage:
            return _scored(stage, lengths, begins=job.model == "baseline")
        case (Suite() | Instruction() | IntentMeasure() | ValueMeasure() | TaxMeasure()) as stage:
            return _asked(stage, lengths)
        case EmergentMeasure() as stage:
            return _emergent(stage, lengths)
        case WorldMeasure() as stage:
            replies, longest = resolved(stage.episodes) * stage.turns, resolved(stage.max_new_tokens)
            return Cost(replies * (8 * PROMPT + longest * stage.turns // 2), replies * longest)
        case stage:
            return _watched(stage, lengths, _training(stage, lengths))


def _feedback(stage: Feedback, lengths: Lengths) -> Cost:
    """Replies, revisions and votes of the start model."""
    intent = lengths.experiment.intent
    match stage:
        case Collect():
            asked = lengths.prompts(intent.prompts).at_most(stage.limit)
            return _cost(asked.tokens, asked.rows * resolved(stage.samples) * resolved(stage.max_new_tokens))
        case Critique():
            asked = lengths.prompts(intent.prompts).at_most(stage.limit)
            written = asked.rows * stage.rounds * 2 * resolved(stage.max_new_tokens)
            return _cost(stage.rounds * (2 * asked.tokens + asked.rows * 4 * PROMPT) + written, written)
        case Deliberate():
            asked = lengths.prompts(intent.prompts).at_most(stage.limit)
            return _cost(asked.tokens + asked.rows * 2 * PROMPT, asked.rows * 2 * resolved(stage.max_new_tokens))
        case Contrast() | JudgeVote():
            return _judged(stage, lengths)
        case Written() | Rules() | Pooled():
            return Cost()


def _judged(stage: Contrast | JudgeVote, lengths: Lengths) -> Cost:
    """The check of a judge on written pairs; and its votes, those on the pairs of the check among them.

    A written pair concerns one principle, a collected one all; a judge reads each question in both
    orders, a contrast a reply under two texts.
    """
    experiment = lengths.experiment
    pairs, collect = lengths.pairs(experiment.intent.pairs), experiment.collect
    checked = min(resolved(stage.check_pairs), pairs.rows)
    each = 2 * (pairs.prompt + pairs.replies + 2 * PROMPT)
    collected = 0.0
    if collect is not None:
        asked = lengths.prompts(experiment.intent.prompts).at_most(collect.limit)
        held = principles(experiment)
        named = len(held.principles) if held and stage.principles == "all" else len(stage.principles)
        concerned = min(named, stage.draw or named) if isinstance(stage, JudgeVote) else named
        both = math.comb(resolved(collect.samples), 2)
        collected = (
            asked.rows * both * concerned * 2 * (asked.prompt + 2 * resolved(collect.max_new_tokens) + 2 * PROMPT)
        )
    return Cost(round(checked * each), voting=round((pairs.rows - checked) * each + collected))


def _cost(read: float = 0.0, write: float = 0.0, train: float = 0.0) -> Cost:
    return Cost(round(read), round(write), round(train))


# ---- training ------------------------------------------------------------------------------------
def _training(stage: AnyTrain, lengths: Lengths) -> Cost:
    """A stage that goes on to its end."""
    match stage:
        case Pretrain():
            return _cost(train=_learnt(stage, lengths) * resolved(stage.epochs))
        case Sft():
            return _cost(train=_learnt(stage, lengths) * resolved(stage.epochs))
        case RewardModel():
            return _cost(train=_learnt(stage, lengths) * resolved(stage.epochs) * stage.ensemble)
        case FromPreferences():
            tokens = _learnt(stage, lengths)
            return _cost(read=tokens, train=tokens * resolved(stage.epochs))
        case Sampling():
            return _sampled(stage, lengths)
        case Average():
            return Cost()


def _learnt(stage: Training, lengths: Lengths) -> float:
    """Tokens of one pass over what a stage keeps; of preferences that are still to be voted on,
    those of the written pairs stand for them."""
    found = lengths.learnt(stage)
    if found is not None:
        return found.tokens
    pairs = lengths.pairs(lengths.experiment.intent.pairs)
    asked = lengths.prompts(lengths.experiment.intent.prompts)
    voted = pairs if pairs.rows else Size(asked.rows, asked.prompt, 2 * REPLY)
    return voted.rows * (voted.prompt + voted.replies / 2) if isinstance(stage, Sft) else voted.tokens


def _sampled(stage: Sampling, lengths: Lengths) -> Cost:
    """A rollout's replies are written once, read by judges that are models and by the reference,
    and trained on once a pass."""
    asked, longest = lengths.prompts(lengths.experiment.intent.prompts), resolved(stage.max_new_tokens)
    prompts = asked.rows * resolved(stage.epochs)
    replies = prompts * resolved(stage.samples)
    tokens = replies * longest + prompts * asked.prompt
    judged = _readings(lengths, stage.reward) + (
        _readings(lengths, stage.cost) if isinstance(stage, Rollout) and stage.cost else 0
    )
    learnt = tokens / resolved(stage.samples) if isinstance(stage, BestOfN) else tokens * _passes(stage)
    return _cost(tokens * (judged + (isinstance(stage, Rollout) and stage.kl > 0)), replies * longest, learnt)


def _watched(stage: AnyTrain, lengths: Lengths, whole: Cost) -> Cost:
    """With the looks of a stop, where there is one: each writes fresh replies, which the model
    reads as it is and as it began, and the judges."""
    stop = stop_of(stage)
    if stop is None or not isinstance(stage, Sampling | FromPreferences):
        return whole
    judged = sum(_readings(lengths, name) for knob, name in stage.judges() if knob != ("cost",))
    looks = 1 + _steps(stage, lengths, whole.train) // stop.every
    asked = lengths.prompts(stop.prompts).at_most(stop.limit)
    said = looks * asked.rows * stop.samples
    hedge = _hedge(stage, stop, lengths, judged)
    read, write = said * (asked.prompt + stop.max_new_tokens) * (2 + judged), said * stop.max_new_tokens
    return Cost(whole.read + round(read) + hedge.read, whole.write + write + hedge.write, whole.train, at_most=True)


def _hedge(stage: Sampling | FromPreferences, stop: GoodhartStop, lengths: Lengths, judged: int) -> Cost:
    """Replies of the start model, by which best-of-n finds how many to choose from."""
    if not isinstance(stage, BestOfN) or stage.quantile is not None:
        return Cost()
    asked, longest = lengths.prompts(stop.prompts).at_most(stop.limit), resolved(stage.max_new_tokens)
    said = asked.rows * max(resolved(stage.samples), stop.samples)
    return _cost(said * (asked.prompt + longest) * judged, said * longest)


def _steps(stage: Sampling | FromPreferences, lengths: Lengths, train: int) -> int:
    """Optimiser steps: policy gradients take one for each part of a rollout, all others one for
    so many tokens of it, or of the pairs."""
    if isinstance(stage, FromPreferences):
        return math.ceil(train / resolved(stage.batch_tokens))
    rollouts = math.ceil(
        lengths.prompts(lengths.experiment.intent.prompts).rows * resolved(stage.epochs) / resolved(stage.prompts)
    )
    if isinstance(stage, Rollout):
        return rollouts * _passes(stage) * (stage.minibatches if isinstance(stage, Ppo | Grpo | Rloo) else 1)
    return rollouts * math.ceil(train / max(rollouts, 1) / resolved(stage.batch_tokens))


def _passes(stage: Sampling) -> int:
    return SPPO_PASSES if isinstance(stage, Sppo) else stage.passes if isinstance(stage, Ppo | Grpo | Rloo) else 1


# ---- measuring -----------------------------------------------------------------------------------
def _scored(stage: Scored, lengths: Lengths, *, begins: bool) -> Cost:
    """Replies that judges score; those of a trained model are read by the start model as well,
    to find how far it has gone."""
    longest = resolved(stage.max_new_tokens)
    asked = lengths.prompts(stage.prompts).at_most(stage.limit)
    match stage:
        case RewardMeasure():
            count = asked.rows * stage.samples
            read = count * (_readings(lengths, stage.reward) + (not begins))
        case GoodhartMeasure():
            count = (asked.rows + lengths.prompts(stage.shifted).at_most(stage.limit).rows) * resolved(stage.samples)
            read = count * (
                _readings(lengths, stage.proxy) + _readings(lengths, stage.gold) + 1 + (not begins)
            )  # 1: states
        case HackingMeasure():
            count = asked.rows * stage.samples
            edited = asked.rows * EDITS if stage.unit_tests and begins else 0
            read = (count + edited) * (_readings(lengths, stage.proxy) + _readings(lengths, stage.gold))
    return _cost(read * (asked.prompt + longest), count * longest)


def _asked(stage: Asked, lengths: Lengths) -> Cost:
    """Questions that are answered, or whose answers are read, and graded without a model."""
    longest, limit = resolved(stage.max_new_tokens), stage.limit
    match stage:
        case Instruction():
            asked, told = (
                lengths.prompts(stage.data).at_most(limit),
                lengths.items(stage.faithful, FaithfulItem).at_most(limit),
            )
            return _cost(asked.tokens + told.tokens, (asked.rows + told.rows) * longest)
        case IntentMeasure():
            pushed = lengths.items(stage.pushback, PushbackItem).at_most(limit)
            forced = (
                2 * lengths.items(stage.opinion, OpinionItem).at_most(limit).tokens
                + lengths.items(stage.meant, MeantItem).at_most(limit).tokens
            )
            return _cost(pushed.tokens + forced, pushed.rows * longest)
        case ValueMeasure():
            asked = lengths.items(stage.prompts, RefusalItem).at_most(2 * resolved(limit))
            return _cost(asked.tokens + lengths.pairs(stage.pairs).at_most(limit).tokens, asked.rows * longest)
        case TaxMeasure():
            solved, free = (
                lengths.items(stage.problems, MathItem).at_most(limit),
                lengths.prompts(stage.prompts).at_most(limit),
            )
            read = (
                lengths.documents(stage.text).at_most(limit).tokens
                + lengths.choices(stage.choice).at_most(limit).tokens
            )
            return _cost(read + solved.tokens + free.tokens, (solved.rows + free.rows) * longest)
        case Suite():
            asked = lengths.items(stage.prompts, RefusalItem).at_most(limit)
            wrapped = asked.rows * len(read_wrappers(lengths.experiment.path(stage.file) if stage.file else None))
            return _cost(wrapped * (asked.prompt + PROMPT), wrapped * longest)


def _emergent(stage: EmergentMeasure, lengths: Lengths) -> Cost:
    forced = sum(lengths.items((name,), PersonaItem).at_most(stage.limit).tokens for name in stage.choice)
    forced += stage.abilities * ABILITIES * 2 * (PROMPT + 20)
    asked = lengths.questions(stage.questions).at_most(stage.limit)
    replies = asked.rows * stage.samples
    marked = replies * (stage.judge is not None and not stage.judge.endswith(".py"))
    return _cost(forced + asked.tokens + marked * 4 * PROMPT, replies * resolved(stage.max_new_tokens) + marked * MARK)


# ---- counting ------------------------------------------------------------------------------------
def _readings(lengths: Lengths, judge: str) -> int:
    """How often a reply is read to be judged: once by a reward model and by each voter that is a
    model; by a rule never."""
    if judge == "feedback":
        return sum(isinstance(voter, Contrast | JudgeVote) for voter in lengths.experiment.feedback)
    return int(judge == "reward" or names_folder(judge))
