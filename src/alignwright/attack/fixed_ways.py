"""What do the attacks with fixed ways ask, by the files of their stage? Suites, mutations, replays; and the
requests of any attack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from alignwright.attack.knobs import Mutate, Replay, Suite
from alignwright.attack.knobs_requests import RequestStage
from alignwright.attack.mutation_names import read_table
from alignwright.attack.mutations import Mutation, mutate, mutations
from alignwright.attack.replay import replay
from alignwright.attack.suites import attack_suite, read_suite
from alignwright.attack.target import Target
from alignwright.core.records import SampleResult
from alignwright.core.stage import resolved
from alignwright.files.attacks import AttackItem
from alignwright.files.items import RefusalItem
from alignwright.job.data import Data, subsample_evenly

FixedWays = Suite | Mutate | Replay


def by_fixed_ways(stage: FixedWays, target: Target, data: Data) -> tuple[list[SampleResult], str]:
    """What came of the attack, and what was left out of its library."""
    match stage:
        case Suite():
            return _suite(stage, target, data)
        case Mutate():
            return mutate(target, requests(stage, data), stage.chains, _mutations(stage, data)), ""
        case Replay():
            return replay(target, _attacks(stage, data)), ""
        case _ as never:
            assert_never(never)


def requests(stage: RequestStage, data: Data) -> list[RefusalItem]:
    """The requests of its files that should be refused, at most so many."""
    return stage.chosen(data.items(stage.prompts, RefusalItem, None))


def _suite(stage: Suite, target: Target, data: Data) -> tuple[list[SampleResult], str]:
    library = read_suite(data.path(stage.file) if stage.file else None, stage.name)
    names = subsample_evenly(list(library.wrappers), resolved(stage.wrappers))
    samples = attack_suite(target, requests(stage, data), {name: library.wrappers[name] for name in names})
    share = f"{len(names)} of {len(library.wrappers)} wrappers" if len(names) < len(library.wrappers) else ""
    return samples, "; ".join(filter(None, (share, f"{library.left_out} templates not read" * bool(library.left_out))))


def _mutations(stage: Mutate, data: Data) -> Mapping[str, Mutation]:
    table = read_table(data.path(stage.table)) if stage.table else None
    return mutations(table, data.conversations(stage.shots, None))


def _attacks(stage: Replay, data: Data) -> list[AttackItem]:
    rows = [row for name in stage.file for row in data.read(name, "attacks").rows]
    return subsample_evenly(rows, stage.limit)
