"""What would it cost?

An estimate before anything is loaded: tokens per job from the data's size, minutes from a cost per token and parameter, memory from
the weights. Rates are those of a two-core machine with bfloat16 matrix units; read them as an order of magnitude.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alignwright.run.ledger import Ledger
from alignwright.run.plan import Job
from alignwright.spec.emergent import EmergentMeasure
from alignwright.spec.experiment import Experiment
from alignwright.spec.goodhart import GoodhartMeasure
from alignwright.spec.hacking import HackingMeasure
from alignwright.spec.models import resolve
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
    files_of_sft,
    learns_from_votes,
)
from alignwright.spec.worlds import WorldMeasure

READ_FLOPS, WRITE_FLOPS, TRAIN_FLOPS = 3.6e11, 1.4e11, 4.5e11
"""Useful floating-point operations per second when scoring (float32), sampling (float32) and training (bfloat16), such that the
quickstart's estimate is its measured time; replies are counted at their longest, which most are not."""
MEASURE_BYTES, TRAIN_BYTES = 1.7e9, 3.2e9
"""Working memory beside the float32 weights, as the quickstart's peaks were measured."""
PROMPT, REPLY = 60, 45
"""Tokens of a typical prompt with its template, and of a written reply."""
UNKNOWN_PARAMETERS = 1_000_000_000


@dataclass(frozen=True)
class Line:
    name: str
    cached: bool
    tokens: int
    minutes: float


@dataclass(frozen=True)
class Bill:
    """The jobs with their estimated cost; minutes and memory are of what is still to be done."""

    folder: Path
    lines: tuple[Line, ...]
    memory_gb: float
    parameters: int | None

    @property
    def minutes(self) -> float:
        return sum(line.minutes for line in self.lines if not line.cached)


def bill(experiment: Experiment, jobs: Sequence[Job], keys: Mapping[str, str], ledger: Ledger) -> Bill:
    """Estimate every job. Reads the data files' lengths, no model."""
    parameters = resolve(experiment.model, experiment.folder).parameters
    size = parameters or UNKNOWN_PARAMETERS
    lines = []
    for job in jobs:
        read, write, train = _tokens(job, experiment)
        seconds = 2 * size * (read / READ_FLOPS + write / WRITE_FLOPS + 2 * train / TRAIN_FLOPS)
        lines.append(Line(job.name, ledger.knows(job.name, keys[job.name]), read + write + train, seconds / 60))
    return Bill(ledger.run, tuple(lines), (4 * size + (TRAIN_BYTES if experiment.train else MEASURE_BYTES)) / 1e9, parameters)


def _tokens(job: Job, experiment: Experiment) -> tuple[int, int, int]:
    """Tokens read, written and trained on by a job."""
    stage, intent = job.stage, experiment.intent
    pairs = _rows(experiment, intent.pairs)

    def items(files: Sequence[str], limit: int | None) -> int:
        return min(_rows(experiment, files), limit or 10**9)

    match stage:
        case Collect():
            count = items(intent.prompts, stage.limit)
            return count * PROMPT, count * known(stage.samples) * known(stage.max_new_tokens), 0
        case Critique():
            count = items(intent.prompts, stage.limit) * stage.rounds
            return count * PROMPT * 6, count * 2 * known(stage.max_new_tokens), 0
        case Deliberate():
            count = items(intent.prompts, stage.limit)
            return count * PROMPT * 3, count * 2 * known(stage.max_new_tokens), 0
        case Contrast():
            return (pairs + known(stage.check_pairs)) * 2 * (2 * PROMPT + 2 * REPLY), 0, 0
        case JudgeVote():
            return known(stage.check_pairs) * 2 * (3 * PROMPT + 2 * REPLY), 0, 0
        case Pretrain():
            return 0, 0, int(_rows(experiment, stage.text) * 170 * known(stage.epochs))
        case Sft():
            rows = _rows(experiment, files_of_sft(stage)) + pairs * learns_from_votes(stage)
            return 0, 0, int(rows * (PROMPT + REPLY) * known(stage.epochs))
        case RewardModel():
            return 0, 0, int(pairs * (PROMPT + 2 * REPLY) * known(stage.epochs) * stage.ensemble)
        case FromPreferences():
            return _watched(stage, (0, 0, int(pairs * (PROMPT + 2 * REPLY) * (known(stage.epochs) + 0.4))))
        case Sampling():
            return _watched(stage, _sampled(stage, _rows(experiment, intent.prompts)))
        case Average():
            return 0, 0, 0
        case WorldMeasure():
            replies = known(stage.episodes) * stage.turns
            return replies * (8 * PROMPT + known(stage.max_new_tokens) * stage.turns // 2), replies * known(stage.max_new_tokens), 0
        case HackingMeasure():
            count = items(stage.prompts, stage.limit)
            edited = count * 25 if stage.unit_tests and job.model == "baseline" else 0  # a reply, and about so many edits of it
            replies = count * stage.samples
            return (replies + edited) * 2 * (PROMPT + known(stage.max_new_tokens)), replies * known(stage.max_new_tokens), 0
        case GoodhartMeasure():
            count = (items(stage.prompts, stage.limit) + items(stage.shifted, stage.limit)) * known(stage.samples)
            return count * (PROMPT + known(stage.max_new_tokens)) * 4, count * known(stage.max_new_tokens), 0
        case RewardMeasure():
            count = items(stage.prompts, stage.limit) * stage.samples
            return count * (PROMPT + known(stage.max_new_tokens)) * 2, count * known(stage.max_new_tokens), 0
        case Instruction():
            count = items(stage.data, stage.limit)
            return count * PROMPT, count * known(stage.max_new_tokens), 0
        case IntentMeasure():
            pushed, forced = items(stage.pushback, stage.limit), items(stage.opinion, stage.limit) * 2 + items(stage.meant, stage.limit)
            return pushed * 2 * PROMPT + forced * (PROMPT + 2 * REPLY), pushed * known(stage.max_new_tokens), 0
        case ValueMeasure():
            asked, paired = items(stage.prompts, 2 * known(stage.limit)), items(stage.pairs, stage.limit)
            return asked * PROMPT + paired * (PROMPT + 2 * REPLY), asked * known(stage.max_new_tokens), 0
        case EmergentMeasure():
            forced = items(stage.choice, known(stage.limit) * max(len(stage.choice), 1)) * 2 + 120 * stage.abilities
            replies = items(stage.questions, stage.limit) * stage.samples
            return forced * (PROMPT + 20) + replies * 4 * PROMPT, replies * (known(stage.max_new_tokens) + 16), 0
        case TaxMeasure():
            asked = items(stage.problems, stage.limit) + items(stage.prompts, stage.limit)
            read = items(stage.text, stage.limit) * 170 + items(stage.choice, stage.limit) * 50 + asked * PROMPT
            return read, asked * known(stage.max_new_tokens), 0
        case Suite():
            count = items(stage.prompts, stage.limit) * 5
            return count * PROMPT * 2, count * known(stage.max_new_tokens), 0
        case Written() | Rules() | Pooled():
            return 0, 0, 0


def _sampled(stage: Sampling, prompts: int) -> tuple[int, int, int]:
    """A rollout's replies are written once, read by the judge and the reference, and trained on once a pass."""
    replies = prompts * known(stage.epochs) * known(stage.samples)
    tokens = replies * known(stage.max_new_tokens) + prompts * known(stage.epochs) * PROMPT
    passes = stage.passes if isinstance(stage, Ppo | Grpo | Rloo) else 1
    readings = 1 + (isinstance(stage, Rollout) and stage.kl > 0)
    learnt = tokens // known(stage.samples) if isinstance(stage, BestOfN) else tokens * passes
    return tokens * readings, replies * known(stage.max_new_tokens), learnt


def _watched(stage: Sampling | FromPreferences, tokens: tuple[int, int, int]) -> tuple[int, int, int]:
    """With the looks of a stop, where there is one: each writes fresh replies, which the model reads as it is and as it began."""
    read, write, train = tokens
    if stage.stop is None:
        return tokens
    looks = 1 + train // (known(stage.batch_tokens) * stage.stop.every)
    said = looks * stage.stop.limit * stage.stop.samples
    return read + said * (PROMPT + stage.stop.max_new_tokens) * 2, write + said * stage.stop.max_new_tokens, train


def _rows(experiment: Experiment, files: Sequence[str]) -> int:
    """About how many rows: lines of JSONL, entries of a JSON list, paragraphs of plain text."""
    total = 0
    for name in files:
        path = experiment.path(name)
        if not path.is_file() or path.suffix in (".gz", ".parquet", ".zip"):
            total += 1000
        elif path.suffix == ".json":
            total += len(json.loads(path.read_text(encoding="utf-8")))
        else:
            total += sum(1 for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return total
