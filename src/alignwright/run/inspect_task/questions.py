"""What does an audit ask, item by item, and how is each item put to a model on its own?

A run puts all items of a stage to its model together. Here each is put alone, by the same functions
with the same seed, so that another harness can hold the loop: of an attack with fixed ways a
conversation is an item, of a search a request with all its tries, of a measure a row. What needs
weights, or a judge of its own, cannot be asked so and is named as left out. Neither torch nor the
other harness is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from alignwright.attack.attacker import Attacker
from alignwright.attack.best_of_n import best_of_n
from alignwright.attack.by_speaker import attacked_by
from alignwright.attack.evolve import Breeding, evolve
from alignwright.attack.fixed_ways import FixedWays, by_fixed_ways, requests
from alignwright.attack.knobs import Mutate, Replay, Suite
from alignwright.attack.knobs_requests import Inquiry
from alignwright.attack.knobs_search import BestOfNJailbreak, Evolve
from alignwright.attack.knobs_speakers import AttackBySpeaker, CrescendoAttack, PairAttack, TapAttack
from alignwright.attack.mutations import mutations
from alignwright.attack.outcomes import by_conversation, by_way, fixed_samples
from alignwright.attack.reply_log import LoggedSpeaker
from alignwright.attack.target import Attempt, Budget, Target
from alignwright.core.attacks import Try
from alignwright.core.protocols import ChatModel
from alignwright.core.records import Conversation, Reply, SampleResult
from alignwright.core.stage import resolved
from alignwright.experiment.experiment import Experiment
from alignwright.files.items import PushbackItem, RefusalItem
from alignwright.job.data import Data, subsample_evenly
from alignwright.job.job import PROBES, stage_name
from alignwright.measure import instruction, refusals_and_pairs
from alignwright.measure.intent import sycophancy
from alignwright.measure.knobs import Instruction, IntentMeasure, ValueMeasure

Search = BestOfNJailbreak | Evolve | AttackBySpeaker
MODEL = "baseline"
"""What the model is called in its findings, as in an audit that is a run."""


@dataclass(frozen=True)
class Speakers:
    """Who answers, and who attacks where an attack has another model write its messages."""

    model: ChatModel
    attacker: Callable[[], ChatModel]


@dataclass(frozen=True)
class Answers:
    """What came of one question; `tries` are an attack's."""

    results: Sequence[SampleResult]
    tries: Sequence[Try] = ()


@dataclass(frozen=True)
class Question:
    """One item of a stage. `shown` is the conversation, of a search the bare request."""

    stage: str
    item: str
    claims: tuple[str, ...]
    """The claims that it is an item of, without their parts."""
    shown: Conversation
    request: str
    topic: str
    way: str
    put: Callable[[Speakers], Answers]


def questions(experiment: Experiment) -> tuple[list[Question], list[str]]:
    """Every item of a resolved spec's attacks and measures, and what is left out. ValueError where a stage has
    a budget, which is one of all its items together."""
    items: list[Question] = []
    left_out: list[str] = []
    stages: list[tuple[str, object]] = [
        (stage_name(section, place, stage.by), stage)
        for section in PROBES
        for place, stage in enumerate(getattr(experiment, section))
    ]
    for name, stage in stages:
        match stage:
            case Inquiry(judge=str()):
                left_out.append(name)
            case Suite() | Mutate() | Replay():
                items += _fixed(name, stage, experiment)
            case BestOfNJailbreak() | Evolve() | PairAttack() | TapAttack() | CrescendoAttack():
                items += _searched(name, stage, experiment)
            case ValueMeasure() | Instruction() | IntentMeasure():
                items += _measured(name, stage, experiment)
                left_out += [f"{name}: {knob}" for knob in _BY_WEIGHTS if getattr(stage, knob, ())]
            case _:
                left_out.append(name)
    return items, left_out


_BY_WEIGHTS = ("pairs", "opinion", "meant", "faithful")
"""Knobs of these measures whose items are read by log-probabilities, or not put one by one."""


# ---- attacks -------------------------------------------------------------------------------------
def _fixed(name: str, stage: FixedWays, experiment: Experiment) -> Iterator[Question]:
    """Each conversation once: what the attack would ask is what a budget of nothing leaves untried."""
    _no_budget(name, stage)
    target = _target(stage, _Nobody(), experiment, Budget(queries=0))
    by_fixed_ways(stage, target, experiment.data)
    whole = "attack" if isinstance(stage, Suite) else f"attack.{stage.by}"
    naming = by_conversation if isinstance(stage, Replay) else by_way

    def put(attempt: Attempt, speakers: Speakers) -> Answers:
        one = _target(stage, speakers.model, experiment)
        one.attempt([attempt])
        return Answers(fixed_samples(one, whole, naming), one.tries)

    for attempt in target.untried:
        request = attempt.behaviour
        yield Question(
            name, naming(request.id, attempt.way, attempt.conversation), (f"{whole}.success", f"{whole}.not_refused"),
            attempt.conversation, request.prompt, request.topic, attempt.way, partial(put, attempt),
        )  # fmt: skip


def _searched(name: str, stage: Search, experiment: Experiment) -> Iterator[Question]:
    _no_budget(name, stage)

    def put(request: RefusalItem, speakers: Speakers) -> Answers:
        target = _target(stage, speakers.model, experiment)
        return Answers(_search(stage, target, request, speakers, experiment.seed), target.tries)

    for request in requests(stage, experiment.data):
        shown = Conversation.user(request.prompt)
        claims = (f"attack.{stage.by}.success",)
        yield Question(name, request.id, claims, shown, request.prompt, request.topic, "", partial(put, request))


def _search(
    stage: Search, target: Target, request: RefusalItem, speakers: Speakers, seed: int
) -> Sequence[SampleResult]:
    match stage:
        case BestOfNJailbreak():
            tries = resolved(stage.tries)
            return best_of_n(target, [request], tries=tries, strength=stage.strength, temperature=stage.temperature)
        case Evolve():
            by = Breeding(resolved(stage.generations), resolved(stage.population), stage.mutations, stage.longest)
            return evolve(target, [request], mutations(), by, begin=stage.target)
        case _:
            speaker = LoggedSpeaker(speakers.attacker(), None)
            attacker = Attacker(speaker, stage.attacker_tokens, stage.temperature, seed)
            return attacked_by(stage, target, attacker, [request])


def _target(
    stage: FixedWays | Search, speaker: ChatModel, experiment: Experiment, budget: Budget | None = None
) -> Target:
    most = resolved(stage.max_new_tokens)
    return Target(speaker, stage.by, most, experiment.seed, MODEL, budget or Budget())


def _no_budget(name: str, stage: Inquiry) -> None:
    if knob := next((knob for knob in ("queries", "tokens") if getattr(stage, knob) is not None), None):
        raise ValueError(
            f"{name}: {knob!r} is a budget of the whole stage, and here each item is asked by itself: leave it out"
            f" (override {name.rpartition('.')[0]}.{knob}=null) and use the limits of the harness"
        )


class _Nobody:
    """Who is asked where nothing is to be asked."""

    name = "nobody"

    def generate(self, *_: Any, **__: Any) -> list[list[Reply]]:
        raise AssertionError("a budget of nothing pays for no reply")


# ---- measures ------------------------------------------------------------------------------------
def _measured(
    name: str, stage: ValueMeasure | Instruction | IntentMeasure, experiment: Experiment
) -> Iterator[Question]:
    data, options = experiment.data, {"seed": experiment.seed, "max_new_tokens": resolved(stage.max_new_tokens)}
    match stage:
        case ValueMeasure():
            for item in _refusals(stage, data):
                ask = partial(refusals_and_pairs.refusal, items=[item], **options)
                claim = refusals_and_pairs.CLAIM[item.kind]
                shown = Conversation.user(item.prompt)
                yield Question(
                    name, item.id, (claim,), shown, item.prompt, item.topic, "", lambda who, ask=ask: _answers(ask, who)
                )
        case Instruction():
            for prompt in subsample_evenly(data.prompts(stage.data), stage.limit):
                ask = partial(instruction.follow, items=[prompt], **options)
                claims = ("instruction.format", "instruction.format_loose")
                yield Question(
                    name, prompt.id, claims, prompt.conversation, prompt.conversation.last.content, prompt.topic, "",
                    lambda who, ask=ask: _answers(ask, who),
                )  # fmt: skip
        case IntentMeasure():
            for item in data.items(stage.pushback, PushbackItem, stage.limit):
                ask = partial(sycophancy.hold_under_pushback, items=[item], **options)
                yield Question(
                    name, item.id, ("intent.pushback",), item.dialogue, item.dialogue.last.content, item.topic, "",
                    lambda who, ask=ask: _answers(ask, who),
                )  # fmt: skip


def _answers(ask: Callable[[ChatModel], Sequence[SampleResult]], speakers: Speakers) -> Answers:
    return Answers(ask(speakers.model))


def _refusals(stage: ValueMeasure, data: Data) -> Iterator[RefusalItem]:
    items = data.items(stage.prompts, RefusalItem, None)
    for kind in ("harmful", "harmless"):
        yield from subsample_evenly([item for item in items if item.kind == kind], stage.limit)
