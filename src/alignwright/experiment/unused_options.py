"""Would every option of this experiment do something?

An option without effect is an error: it means that the experiment is not the one its author has in
mind. These are the checks that need only the record itself; files and principles are looked up in
`load`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from alignwright.core import promises
from alignwright.experiment.answerable import contradictions, unanswerable
from alignwright.experiment.experiment import Experiment, first_rank, fully, is_measured, measured_claims, stages
from alignwright.feedback.knobs import Contrast, Critique, Deliberate, Feedback, JudgeVote, Rules, Written
from alignwright.files.errors import Loc, did_you_mean
from alignwright.files.server import FORM, is_server, why_no_server
from alignwright.measure.emergent.knobs import EmergentMeasure
from alignwright.train.knobs import AnyTrain, Average, Pretrain, RewardModel, Sft, stop_of
from alignwright.train.knobs_loop import Training
from alignwright.train.knobs_pairs import FromPreferences
from alignwright.train.knobs_rollouts import BestOfN, Grpo, OnlineDpo, Rloo, Rollout, Sampling, Sppo
from alignwright.worlds.knobs import WorldMeasure, missing

Problem = tuple[Loc, str]


def problems(experiment: Experiment) -> list[Problem]:
    """All options without effect and all promises without an answer."""
    return [
        *_intent(experiment),
        *(problem for place, stage in enumerate(experiment.feedback) for problem in _voter(experiment, place, stage)),
        *_training(experiment),
        *_promises(experiment),
        *_twice(experiment),
        *_filled(experiment),
    ]


def _filled(experiment: Experiment) -> Iterator[Problem]:
    """Knobs that do not go with what effort gives to those that were left open."""
    for loc, stage in stages(experiment):
        try:
            fully(stage, experiment.effort)
        except ValidationError as error:
            given = ", ".join(f"{knob} {value}" for knob, value in stage.fill(experiment.effort).items())
            for found in error.errors(include_url=False):
                why = found["msg"].removeprefix("Value error, ")
                yield (*loc, *found["loc"]), f"{why} (effort {experiment.effort} gives {given}: write the knob itself)"


def _intent(experiment: Experiment) -> Iterator[Problem]:
    intent, feedback = experiment.intent, experiment.feedback
    answered = experiment.collect is not None or any(isinstance(stage, Critique | Deliberate) for stage in feedback)
    if intent.prompts and not answered and not any(isinstance(stage, Sampling) for stage in experiment.train):
        nobody = (
            "prompts are answered by 'collect', by {by: critique} or by a train stage that samples, and none is here"
        )
        yield ("intent", "prompts"), f"has no effect: {nobody}"
    if intent.pairs and not feedback:
        yield ("intent", "pairs"), "has no effect: nothing votes on the pairs; add feedback {by: written}"
    if intent.people and not _uses_preferences(experiment):
        yield ("intent", "people"), "has no effect: no train stage learns from preferences"
    if experiment.collect is not None and not intent.prompts:
        yield ("collect",), "has no effect: there are no intent.prompts to reply to"
    if experiment.collect is not None and not feedback:
        yield ("collect",), "has no effect: nothing votes on the collected replies; add feedback"
    if experiment.server is not None and not any(
        is_server(getattr(stage, "judge", None)) for stage in (*feedback, *experiment.measure)
    ):
        yield ("server",), f"has no effect: no judge is a server, named as {FORM}"
    if "aggregate" in experiment.model_fields_set and not feedback and not intent.people:
        yield ("aggregate",), "has no effect: there are no votes; add feedback or intent.people"


def _uses_preferences(experiment: Experiment) -> bool:
    return any(stage.learns_from_votes for stage in experiment.train)


def _has_comparisons(experiment: Experiment) -> bool:
    intent = experiment.intent
    makes = any(isinstance(stage, Critique | Deliberate) for stage in experiment.feedback)
    return bool(intent.pairs or intent.people or intent.constitution or experiment.collect is not None or makes)


def _voter(experiment: Experiment, place: int, stage: Feedback) -> Iterator[Problem]:
    intent, loc = experiment.intent, ("feedback", place, stage.by)
    if isinstance(stage, Contrast | JudgeVote | Critique | Deliberate):
        if intent.constitution is None:
            yield loc, "has no principle to read: give intent.constitution"
        if stage.principles == ():
            yield (*loc, "principles"), "an empty list: name principles, or write all"
    if isinstance(stage, Written) and not intent.pairs and intent.constitution is None:
        yield loc, "has nothing to vote on: give intent.pairs, or a constitution with examples"
    if isinstance(stage, Critique | Deliberate) and not intent.prompts:
        yield loc, "has nothing to answer: give intent.prompts"
    if not isinstance(stage, Written | Critique | Deliberate) and not _has_comparisons(experiment):
        yield loc, "has nothing to vote on: give intent.pairs or intent.people, or 'collect' replies to intent.prompts"
    if isinstance(stage, JudgeVote) and (stage.clamp or stage.reasoning):
        surest, least = 0.5 + (stage.clamp or 0.1), experiment.aggregate.min_strength
        if surest < least + 1e-9:  # 0.5 + 0.1 is not quite 0.6
            advice = (
                f"pairs that are no surer than aggregate.min_strength {least:g} are left out; lower it, to 0.52 perhaps"
            )
            yield (
                (
                    *loc,
                    "clamp" if stage.clamp else "reasoning",
                ),
                f"its votes are at most {surest:g} sure, and {advice}",
            )
    if isinstance(stage, JudgeVote) and is_server(stage.judge) and (why := why_no_server(stage.judge)):
        yield (*loc, "judge"), why
    if isinstance(stage, Contrast) and is_server(stage.judge):
        yield (
            (
                *loc,
                "judge",
            ),
            "reads probabilities, which a server does not give: name self or a model, or use {by: judge}",
        )


def _training(experiment: Experiment) -> Iterator[Problem]:
    preferences = experiment.feedback or experiment.intent.people
    makes = any(isinstance(stage, Critique | Deliberate) for stage in experiment.feedback)
    rank = first_rank(experiment)
    first = next(
        (place for place, stage in enumerate(experiment.train) if isinstance(stage, Training) and stage.changes_model),
        0,
    )
    for place, stage in enumerate(experiment.train):
        loc = ("train", place, stage.by)
        if isinstance(stage, FromPreferences | RewardModel) and not preferences:
            yield loc, "has no preferences to learn from: add feedback (pairs need {by: written}), or intent.people"
        if isinstance(stage, Sft) and "chosen" in stage.data and not preferences:
            yield (
                (
                    *loc,
                    "data",
                ),
                "'chosen' has no preferences to choose by: add feedback or intent.people, or name a file",
            )
        if isinstance(stage, Sft) and "revisions" in stage.data and not makes:
            yield (*loc, "data"), "'revisions' come from feedback {by: critique} or {by: deliberate}, which is not here"
        if isinstance(stage, Sft) and "turns" in stage.model_fields_set and not stage.conversations:
            yield (
                (*loc, "turns"),
                (
                    "has no effect: of 'chosen' and 'revisions' the last turn alone is what was voted on; name a file"
                    " of conversations"
                ),
            )
        if isinstance(stage, Sft) and stage.limit is not None and not stage.conversations:
            yield (
                (
                    *loc,
                    "limit",
                ),
                "has no effect: it counts rows of files, and this stage reads none; name a file of conversations",
            )
        if isinstance(stage, Training) and stage.changes_model and stage.rank not in (None, rank):
            yield (
                (*loc, "rank"),
                (
                    f"{stage.rank}, but this stage continues the adapter of train.{first}, whose rank is {rank}; leave"
                    " it out here"
                ),
            )
        if isinstance(stage, Pretrain) and stage.scratch and rank != 0:
            yield (
                (*loc, "scratch"),
                (
                    f"random weights cannot be learnt by an adapter of rank {rank}: write 'rank: 0', which trains all"
                    " weights"
                ),
            )
        if (
            isinstance(stage, Pretrain)
            and stage.scratch
            and any(before.changes_model for before in experiment.train[:place])
        ):
            yield (*loc, "scratch"), "throws away what the stages before it have learnt; put it first"
        if isinstance(stage, Sampling):
            yield from _sampled(experiment, loc, stage)
        if isinstance(stage, Average):
            yield from _averaged(experiment, place, stage)
        stop = stop_of(stage)
        if stop and isinstance(stage, Sampling) and stop.gold == stage.reward:
            yield (
                (*loc, "stop"),
                f"gold is {stop.gold!r}, which this stage raises: it cannot show that it was gamed; name another judge",
            )
        for knob, name in stage.judges():
            yield from _judged(experiment, (*loc, *knob), name, experiment.train[:place])
    for place, stage in enumerate(experiment.measure):
        if isinstance(stage, EmergentMeasure) and is_server(stage.judge) and (why := why_no_server(stage.judge or "")):
            yield ("measure", place, stage.by, "judge"), why
        if isinstance(stage, WorldMeasure) and (package := missing(stage)):
            yield (
                (
                    "measure",
                    place,
                    stage.by,
                    "world",
                ),
                f"{stage.world} needs {package}, which is not installed: pip install {package}",
            )
        for knob, name in stage.judges():
            yield from _judged(experiment, ("measure", place, stage.by, *knob), name, experiment.train)


def _sampled(experiment: Experiment, loc: Loc, stage: Sampling) -> Iterator[Problem]:
    if not experiment.intent.prompts:
        yield loc, "has no prompts to sample replies to: give intent.prompts"
    if stage.samples == 1 and isinstance(stage, Grpo | Rloo | BestOfN | OnlineDpo | Sppo):
        yield (
            (
                *loc,
                "samples",
            ),
            "1, but this method compares the replies to one prompt with each other: take at least 2",
        )
    if stage.samples == 1 and stage.reward == "feedback":
        yield (
            (
                *loc,
                "samples",
            ),
            "1, but votes compare the replies to one prompt with each other: take at least 2, or use another reward",
        )
    if isinstance(stage, BestOfN) and stage.quantile is not None and stage.samples is None:
        samples = stage.fill(experiment.effort)["samples"]
        if stage.quantile * samples < 1 - 1e-9:
            yield (
                (*loc, "quantile"),
                (
                    f"{stage.quantile:g} of the {samples} replies of effort {experiment.effort} is less than one: give"
                    " samples, too"
                ),
            )
    if isinstance(stage, Rollout):
        if stage.kl_form == "loss:k1":
            yield (
                (*loc, "kl_form"),
                (
                    "loss:k1 has no effect: its gradient is zero in expectation; use reward:k1 or loss:k2 (both"
                    " KL(policy || start))"
                ),
            )
        if "kl_form" in stage.model_fields_set and stage.kl == 0.0 and stage.kl_target is None:
            yield (*loc, "kl_form"), "has no effect: kl is 0, so the divergence is only measured"
        if stage.kl_target is not None and stage.kl == 0.0:
            yield (*loc, "kl_target"), "has no effect: kl is 0, and an adaptive weight is a multiple of it"
        if stage.cost is None and "cost_limit" in stage.model_fields_set:
            yield (*loc, "cost_limit"), "has no effect without 'cost', the judge whose score it limits"
        if (stage.mix > 0) != bool(stage.mix_text):
            yield (*loc, "mix"), "the weight of plain text ('mix') and the text itself ('mix_text') need each other"


def _averaged(experiment: Experiment, place: int, stage: Average) -> Iterator[Problem]:
    loc = ("train", place, stage.by)
    before = [
        f"train.{at}.{earlier.by}" for at, earlier in enumerate(experiment.train[:place]) if earlier.changes_model
    ]
    if not before:
        yield loc, "has no trained model to average: put it after a stage that trains"
    elif stage.start not in ("baseline", *before[:-1]):
        yield (
            (
                *loc,
                "start",
            ),
            f"{stage.start!r} is no model before {before[-1]}; there are {', '.join(('baseline', *before[:-1]))}",
        )


def _judged(experiment: Experiment, loc: Loc, name: str, before: Sequence[AnyTrain]) -> Iterator[Problem]:
    """Is there a judge of that name?"""
    if name == "reward" and not any(isinstance(stage, RewardModel) for stage in before):
        yield (
            loc,
            (
                "'reward' is the reward stage before, and there is none: add {by: reward}, or name rules.yaml,"
                " file.py:function or feedback"
            ),
        )
    if name == "feedback" and not any(isinstance(stage, Rules | JudgeVote | Contrast) for stage in experiment.feedback):
        yield (
            loc,
            (
                "'feedback' are the spec's voters, but none of them can judge a new reply: add feedback by rules, judge"
                " or contrast"
            ),
        )


def _promises(experiment: Experiment) -> Iterator[Problem]:
    read: dict[int, promises.Promise] = {}
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
        elif why := unanswerable(promise, any(stage.changes_model for stage in experiment.train)):
            yield loc, why
        else:
            read[place] = promise
    places = list(read)
    for at, why in contradictions(list(read.values())):
        yield ("promises", places[at]), why


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
