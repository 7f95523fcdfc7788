"""Would every option of this experiment do something?

An option without effect is an error: it means that the experiment is not the one its author has in
mind. These are the checks that need only the record itself; files and principles are looked up in
`load`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from alignwright.core import promises
from alignwright.core.claims import claim_named
from alignwright.core.records import Axis
from alignwright.core.stage import Setting
from alignwright.core.train_stage import TrainStage
from alignwright.experiment.answerable import contradictions, unanswerable
from alignwright.experiment.experiment import Experiment, fully, promised_claims, setting_of, stages
from alignwright.experiment.mirrors import mirror_problems
from alignwright.experiment.sweep import sweep_problems
from alignwright.experiment.unions import AnyStage
from alignwright.files.errors import Loc, did_you_mean, dotted
from alignwright.files.quantization import NO_WHOLE, why_not_quantized
from alignwright.files.server import FORM, hide_secrets, is_server, why_no_server
from alignwright.train.knobs_loop import Training

Problem = tuple[Loc, str]
_ONE_NUMBER = ("judge", "judge_labels", "anytime")
"""Knobs that say how the tries of an attack come to its number."""


def problems(experiment: Experiment, audited: str | None = None) -> list[Problem]:
    """All options without effect and all promises without an answer; `audited`: another model that
    is measured instead."""
    return [
        *_intent(experiment),
        *_servers(experiment, audited or experiment.model),
        *([] if audited else _untrainable(experiment)),
        *(fault for loc, stage in stages(experiment) for fault in _faults(experiment, loc, stage)),
        *_opponents(experiment, audited or experiment.model),
        *_told_apart(experiment),
        *_one_look(experiment),
        *_promises(experiment),
        *_twice(experiment),
        *_filled(experiment),
        *_votes(experiment),
        *_quantization(experiment),
        *_sweep(experiment, audited),
        *mirror_problems(experiment.mirrors, trains=bool(experiment.train or audited)),
    ]


def _faults(experiment: Experiment, loc: Loc, stage: AnyStage) -> Iterator[Problem]:
    """What a stage says of itself in this experiment, and of the servers and judges that it names."""
    setting = setting_of(experiment, loc)
    for knob, message in stage.faults(setting):
        yield (*loc, *knob), message
    for knob, name, mark in stage.models():
        if is_server(name) and (why := mark.no_server or why_no_server(name)):
            yield (*loc, *knob), why
    if loc[0] != "feedback":  # a voter is no voter's judge
        for knob, name in stage.judges():
            yield from _missing_judge(experiment, (*loc, *knob), name, setting)


def _opponents(experiment: Experiment, model: str) -> Iterator[Problem]:
    """Attackers that are the model which they attack, and do not say so."""

    def place(name: str) -> object:
        return name if is_server(name) else experiment.path(name).resolve()

    for loc, stage in stages(experiment):
        for knob, name, mark in stage.models():
            if mark.opponent and name != "self" and place(name) == place(model):
                yield (
                    (*loc, *knob),
                    f"{hide_secrets(name)!r} is the model that is attacked; name another one, or write 'self' where"
                    " that is what you mean",
                )


def _told_apart(experiment: Experiment) -> Iterator[Problem]:
    """Attacks of one kind, whose tries come to one number, that tell a success or its interval in two ways."""
    first: dict[str, tuple[Loc, AnyStage]] = {}
    for loc, stage in stages(experiment):
        if loc[0] != "attack":
            continue
        other_loc, other = first.setdefault(str(loc[2]), (loc, stage))
        for knob in _ONE_NUMBER:
            if getattr(stage, knob, None) != getattr(other, knob, None):
                claim = next((claim.name for claim in stage.claims()), "")
                yield (
                    (*loc, knob),
                    f"differs from that of {dotted(other_loc)}, and the tries of both come to one number, {claim}; give"
                    " both the same, or make a spec of each",
                )


def _one_look(experiment: Experiment) -> Iterator[Problem]:
    """Looks inside a model, and protocols of oversight, that come to the same claim: a promise could not say which of
    them it is about."""
    first: dict[str, Loc] = {}
    for loc, stage in stages(experiment):
        claim = next((claim.name for claim in stage.claims()), "") if loc[0] in ("lens", "oversee") else ""
        if claim and (other := first.setdefault(claim, loc)) != loc:
            knob = ("concept",) if hasattr(stage, "concept") else ()
            yield (
                (*loc, *knob),
                f"comes to the same claim as {dotted(other)}, {claim}, and a promise could not say which is meant; "
                + ("name the concept otherwise" if knob else "make a spec of each"),
            )


def _sweep(experiment: Experiment, audited: str | None) -> Iterator[Problem]:
    """Seeds and grids that are none, and seeds that nothing depends on."""
    yield from sweep_problems(experiment.seed, experiment.seeds, experiment.grid)
    if experiment.seeds is not None and audited is None and not any(stage.seeded for _, stage in stages(experiment)):
        yield ("seeds",), "has no effect: nothing is trained or sampled, so every seed comes to the same"


def _quantization(experiment: Experiment) -> Iterator[Problem]:
    """Why the start model cannot be kept in 4 bits, or not be trained so."""
    if experiment.quantization is None:
        return
    if is_server(experiment.model):
        yield ("quantization",), "has no effect: the model is a server, whose weights are its own"
    elif why := why_not_quantized():
        yield ("quantization",), why
    for loc, stage in stages(experiment):
        if isinstance(stage, Training) and stage.rank == 0:
            yield (*loc, "rank"), f"0, with 'quantization: {experiment.quantization}': {NO_WHOLE}"


def _votes(experiment: Experiment) -> Iterator[Problem]:
    """Votes on replies that no measure makes."""
    if experiment.votes and not any(stage.rated_by_people for stage in experiment.measure):
        yield (
            ("votes",),
            "has no effect without a measure {by: preferred}; votes to learn from stand in 'intent.people'",
        )


def _filled(experiment: Experiment) -> Iterator[Problem]:
    """Knobs that do not go with what effort gives to those that were left open."""
    for loc, stage in stages(experiment):
        try:
            fully(stage, experiment.effort)
        except ValidationError as error:
            from_effort = ", ".join(f"{knob} {value}" for knob, value in stage.fill(experiment.effort).items())
            for fault in error.errors(include_url=False):
                why = fault["msg"].removeprefix("Value error, ")
                yield (
                    (*loc, *fault["loc"]),
                    f"{why} (effort {experiment.effort} gives {from_effort}: write the knob itself)",
                )


def _intent(experiment: Experiment) -> Iterator[Problem]:
    """Parts of the experiment that no stage uses."""
    intent, feedback = experiment.intent, experiment.feedback
    if intent.prompts and not any("prompts" in stage.intent for _, stage in stages(experiment)):
        nobody = (
            "prompts are answered by 'collect', by {by: critique} or by a train stage that samples, and none is here"
        )
        yield ("intent", "prompts"), f"has no effect: {nobody}"
    if intent.pairs and not feedback and not any("pairs" in stage.intent for stage in experiment.train):
        yield ("intent", "pairs"), "has no effect: nothing votes on the pairs; add feedback {by: written}"
    if intent.people and not any(stage.learns_from_votes for stage in experiment.train):
        yield ("intent", "people"), "has no effect: no train stage learns from preferences"
    if "aggregate" in experiment.model_fields_set and not feedback and not intent.people:
        yield ("aggregate",), "has no effect: there are no votes; add feedback or intent.people"


def _servers(experiment: Experiment, model: str) -> Iterator[Problem]:
    """Settings of servers that nobody asks."""
    names = [model, *(name for _, stage in stages(experiment) for _, name, _ in stage.models())]
    called = {name.partition("#")[2] for name in names if is_server(name)}
    if experiment.server is not None and not called:
        yield ("server",), f"has no effect: neither the model nor a judge is a server, named as {FORM}"
    for name in experiment.server.prices if experiment.server is not None and called else ():
        if name not in called:
            yield (
                ("server", "prices", name),
                f"has no effect: no server is asked for {name!r}; {did_you_mean(name, called)}",
            )


def _untrainable(experiment: Experiment) -> Iterator[Problem]:
    """Stages that need the weights of a model that is behind a server."""
    if is_server(experiment.model):
        for section in ("collect", "feedback", "train"):
            if getattr(experiment, section):
                why = "the model is behind a server, where it can be measured and attacked, and nothing be trained"
                yield (section,), f"{why}; leave this out, or name a model whose weights are here"
        if experiment.chat is not None:
            yield ("chat",), "has no effect: the model is behind a server, which has its own template"


def _missing_judge(experiment: Experiment, loc: Loc, name: str, setting: Setting) -> Iterator[Problem]:
    """Is there a judge of that name?"""
    judges = (stage for _, stage in setting.before if isinstance(stage, TrainStage) and stage.makes_reward)
    if name == "reward" and not any(True for _ in judges):
        yield (
            loc,
            (
                "'reward' is the reward stage before, and there is none: add {by: reward}, or name rules.yaml,"
                " file.py:function or feedback"
            ),
        )
    if name == "feedback" and not any(voter.scores for voter in experiment.feedback):
        yield (
            loc,
            (
                "'feedback' are the spec's voters, but none of them can judge a new reply: add feedback by rules, judge"
                " or contrast"
            ),
        )


def _promises(experiment: Experiment) -> Iterator[Problem]:
    parsed: dict[int, promises.Promise] = {}
    claims = promised_claims(experiment)
    trained = any(stage.changes_model for stage in experiment.train)
    for place, text in enumerate(experiment.promises):
        loc = ("promises", place)
        try:
            promise = promises.parse(text)
        except ValueError as error:
            yield loc, str(error)
            continue
        if not any(claim.covers(promise.claim) for claim in claims):
            names = [claim.name for claim in claims if not claim.name.endswith("*")]
            hint = did_you_mean(promise.claim, names) if names else "there are no measure or attack stages"
            yield loc, f"nothing here measures {promise.claim!r}; {hint}"
        elif why := unanswerable(promise, claim_named(promise.claim, claims), trained):
            yield loc, why
        else:
            parsed[place] = promise
    places = list(parsed)
    axes: dict[str, Axis] = {promise.claim: claim_named(promise.claim, claims).axis for promise in parsed.values()}
    for at, why in contradictions(list(parsed.values()), axes):
        yield ("promises", places[at]), why


def _twice(experiment: Experiment) -> Iterator[Problem]:
    lists: list[tuple[Loc, tuple[str, ...]]] = [(("promises",), experiment.promises)]
    for part in ("prompts", "pairs", "people"):
        lists.append((("intent", part), getattr(experiment.intent, part)))
    for section in ("attack", "measure", "lens", "oversee", "feedback"):
        for place, stage in enumerate(getattr(experiment, section)):
            lists += [((section, place, stage.by, name), value) for name, value in stage if isinstance(value, tuple)]
    for loc, names in lists:
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield loc, f"{name!r} is given twice"
