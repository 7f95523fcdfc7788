"""What does each attack do in which another model writes the messages? One match over these stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alignwright.attack.attacker import Attacker
from alignwright.attack.crescendo import crescendo
from alignwright.attack.knobs_speakers import AttackBySpeaker, CrescendoAttack, PairAttack, TapAttack
from alignwright.attack.pair import pair
from alignwright.attack.reply_log import LoggedSpeaker
from alignwright.attack.tap import tap
from alignwright.attack.target import Target
from alignwright.core.records import SampleResult
from alignwright.core.stage import resolved
from alignwright.files.items import RefusalItem

if TYPE_CHECKING:
    from alignwright.job.context import JobContext

ATTACKER = "attacker.jsonl"
"""What an attacking model has written for a stage that is at work."""


def by_speaker(
    stage: AttackBySpeaker, target: Target, behaviours: Sequence[RefusalItem], job: JobContext
) -> tuple[list[SampleResult], str]:
    """What came of the attack, and what its attacker was asked."""
    speaker = LoggedSpeaker(job.attacker(stage.attacker), job.at_work / ATTACKER)
    attacker = Attacker(speaker, stage.attacker_tokens, stage.temperature, job.seed)
    return attacked_by(stage, target, attacker, behaviours), attacker.note()


def attacked_by(
    stage: AttackBySpeaker, target: Target, attacker: Attacker, behaviours: Sequence[RefusalItem]
) -> list[SampleResult]:
    """What came of the attack by this attacker."""
    match stage:
        case PairAttack():
            streams, rounds = resolved(stage.streams), resolved(stage.rounds)
            return pair(target, attacker, behaviours, streams=streams, rounds=rounds)
        case TapAttack():
            depth, branching, width = map(resolved, (stage.depth, stage.branching, stage.width))
            return tap(target, attacker, behaviours, depth=depth, branching=branching, width=width)
        case CrescendoAttack():
            turns, backtracks = resolved(stage.turns), resolved(stage.backtracks)
            return crescendo(target, attacker, behaviours, turns=turns, backtracks=backtracks)
