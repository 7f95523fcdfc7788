"""Would every option of this experiment do something?

An option without effect is an error: it means that the experiment is not the one its author has in mind. These are the checks that
need only the record itself; files and principles are looked up in `load`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from alignwright.core import promises
from alignwright.spec.errors import Loc, did_you_mean
from alignwright.spec.experiment import Experiment, first_rank, is_measured, measured_claims
from alignwright.spec.stages import Contrast, Critique, Feedback, JudgeVote, Written
from alignwright.spec.training import Dpo, Sft

Problem = tuple[Loc, str]
_SERVER = re.compile(r"https?://[^#@\s]+#\S+")


def problems(experiment: Experiment) -> list[Problem]:
    """All options without effect and all promises without an answer."""
    return [
        *_intent(experiment),
        *(problem for place, stage in enumerate(experiment.feedback) for problem in _voter(experiment, place, stage)),
        *_training(experiment),
        *_promises(experiment),
        *_twice(experiment),
    ]


def _intent(experiment: Experiment) -> Iterator[Problem]:
    intent, feedback = experiment.intent, experiment.feedback
    critique = any(isinstance(stage, Critique) for stage in feedback)
    if intent.prompts and experiment.collect is None and not critique:
        yield ("intent", "prompts"), "has no effect: prompts are answered by 'collect' or by feedback {by: critique}, and neither is here"
    if intent.pairs and not feedback:
        yield ("intent", "pairs"), "has no effect: nothing votes on the pairs; add feedback {by: written}"
    if intent.people and not _uses_preferences(experiment):
        yield ("intent", "people"), "has no effect: no train stage learns from preferences"
    if experiment.collect is not None and not intent.prompts:
        yield ("collect",), "has no effect: there are no intent.prompts to reply to"
    if experiment.collect is not None and not feedback:
        yield ("collect",), "has no effect: nothing votes on the collected replies; add feedback"
    if "aggregate" in experiment.model_fields_set and not feedback and not intent.people:
        yield ("aggregate",), "has no effect: there are no votes; add feedback or intent.people"


def _uses_preferences(experiment: Experiment) -> bool:
    return any(isinstance(stage, Dpo) or stage.data == "chosen" for stage in experiment.train)


def _has_comparisons(experiment: Experiment) -> bool:
    intent = experiment.intent
    critique = any(isinstance(stage, Critique) for stage in experiment.feedback)
    return bool(intent.pairs or intent.people or intent.constitution or experiment.collect is not None or critique)


def _voter(experiment: Experiment, place: int, stage: Feedback) -> Iterator[Problem]:
    intent, loc = experiment.intent, ("feedback", place, stage.by)
    if isinstance(stage, Contrast | JudgeVote | Critique):
        if intent.constitution is None:
            yield loc, "has no principle to read: give intent.constitution"
        if stage.principles == ():
            yield (*loc, "principles"), "an empty list: name principles, or write all"
    if isinstance(stage, Written) and not intent.pairs and intent.constitution is None:
        yield loc, "has nothing to vote on: give intent.pairs, or a constitution with examples"
    if isinstance(stage, Critique) and not intent.prompts:
        yield loc, "has nothing to revise: give intent.prompts"
    if not isinstance(stage, Written | Critique) and not _has_comparisons(experiment):
        yield loc, "has nothing to vote on: give intent.pairs or intent.people, or 'collect' replies to intent.prompts"
    if isinstance(stage, JudgeVote) and "://" in stage.judge and not _SERVER.fullmatch(stage.judge):
        yield (*loc, "judge"), f"{stage.judge!r} is no server: give its address and the model's name as http://host:port/v1#model"
    if isinstance(stage, Contrast) and "://" in stage.judge:
        yield (*loc, "judge"), "reads probabilities, which a server does not give: name self or a model, or use {by: judge}"


def _training(experiment: Experiment) -> Iterator[Problem]:
    preferences = experiment.feedback or experiment.intent.people
    critique = any(isinstance(stage, Critique) for stage in experiment.feedback)
    for place, stage in enumerate(experiment.train):
        loc = ("train", place, stage.by)
        if isinstance(stage, Dpo) and not preferences:
            yield loc, "has no preferences to learn from: add feedback (pairs need {by: written}), or intent.people"
        if isinstance(stage, Sft) and stage.data == "chosen" and not preferences:
            yield (*loc, "data"), "'chosen' has no preferences to choose by: add feedback or intent.people, or name a file"
        if isinstance(stage, Sft) and stage.data == "revisions" and not critique:
            yield (*loc, "data"), "'revisions' come from feedback {by: critique}, which is not here"
        if stage.rank not in (None, rank := first_rank(experiment)):
            yield (*loc, "rank"), f"{stage.rank}, but this stage continues the adapter of train.0, whose rank is {rank}; leave it out here"


def _promises(experiment: Experiment) -> Iterator[Problem]:
    for place, text in enumerate(experiment.promises):
        loc = ("promises", place)
        try:
            promise = promises.parse(text)
        except ValueError as error:
            yield loc, str(error)
            continue
        if not is_measured(promise.claim, experiment):
            names = [name for name in measured_claims(experiment) if not name.endswith("*")]
            hint = did_you_mean(promise.claim, names) if names else "there are no measure or attack stages"
            yield loc, f"nothing here measures {promise.claim!r}; {hint}"
        elif promise.gain and promise.claim.startswith("feedback."):
            yield loc, "a voter is checked once, so it has no gain: promise its level"
        elif (promise.gain or promise.claim.startswith("tax.")) and not experiment.train:
            yield loc, "compares the trained model with the start model, but there is no train stage"


def _twice(experiment: Experiment) -> Iterator[Problem]:
    lists: list[tuple[Loc, tuple[str, ...]]] = [(("promises",), experiment.promises)]
    for part in ("prompts", "pairs", "people"):
        lists.append((("intent", part), getattr(experiment.intent, part)))
    for section in ("attack", "measure", "feedback"):
        for place, stage in enumerate(getattr(experiment, section)):
            lists += [((section, place, stage.by, name), value) for name, value in stage if isinstance(value, tuple)]
    for loc, names in lists:
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield loc, f"{name!r} is given twice"
