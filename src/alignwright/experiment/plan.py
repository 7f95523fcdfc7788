"""What has to be done, in which order, and what does each part build on?

A job is one stage applied to one model (`job.job`). What is measured of a model follows as soon as
it is there; measures that need a judge which training makes come after the training, one after the
other, so that the judge is loaded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from alignwright.experiment.experiment import Experiment, model_stages
from alignwright.job.job import BASELINE, Job, Role, stage_name

Needs = dict[Role, tuple[str, ...]]


def plan(experiment: Experiment) -> tuple[Job, ...]:
    """All jobs of an experiment in the order in which they run. The experiment must be resolved."""
    return tuple(_jobs(experiment))


def jobs_until(jobs: Sequence[Job], stage: str) -> tuple[Job, ...]:
    """What has to be done for `stage` (such as train.0.sft, train.0, aggregate or baseline): all jobs
    up to the last that it builds on, and its own; of a training stage also what is measured of its
    model, where that needs no judge that a later stage makes."""
    by_name = {job.name: job for job in jobs}
    names = {job.name: {job.section, stage_name(job.section, job.place, ""), job.stage_name, job.name} for job in jobs}
    own = {job.name for job in jobs if stage in names[job.name]}
    if not own and stage != BASELINE:
        stages = dict.fromkeys(job.stage_name for job in jobs)
        raise ValueError(f"--until {stage}: no such stage; there are baseline, {', '.join(stages)}")
    # 1. what the stage builds on, and what that builds on
    requirements, open_names = set[str](), [*own]
    while open_names:
        name = open_names.pop()
        if name not in requirements:
            requirements.add(name)
            open_names += [other for other in _builds_on(by_name[name]) if other in by_name]
    # 2. what comes before the last of these that makes something, and is no step of another way
    makes = [place for place, job in enumerate(jobs) if job.name in requirements and not job.probes]
    last = max(makes, default=-1)
    jobs_done: dict[str, Job] = {}
    for place, job in enumerate(jobs):
        of_model = job.probes and stage in names.get(job.model, {job.model})
        in_reach = job.name in requirements or place < last or of_model
        if in_reach and all(name in jobs_done for name in _builds_on(job)):
            jobs_done[job.name] = job
    return tuple(jobs_done.values())


def _builds_on(job: Job) -> tuple[str, ...]:
    return job.builds_on if job.model == BASELINE else (*job.builds_on, job.model)


def _jobs(experiment: Experiment) -> Iterator[Job]:
    yield from _unjudged(experiment, BASELINE)
    votes: tuple[str, ...] = ()
    comparisons: tuple[str, ...] = ()
    if experiment.collect:
        job = Job("collect", None, experiment.collect)
        comparisons = (job.name,)
        yield job
    for place, stage in enumerate(experiment.feedback):
        job = Job("feedback", place, stage, needs={"comparisons": comparisons})
        votes = (*votes, job.name)
        comparisons = (*comparisons, job.name) if stage.makes_comparisons else comparisons
        yield job
    preferences: tuple[str, ...] = ()
    if votes or experiment.intent.people:
        job = Job("aggregate", None, experiment.aggregate, needs={"comparisons": comparisons, "votes": votes})
        preferences = (job.name,)
        yield job
    yield from _trainings(experiment, votes, preferences)


def _trainings(experiment: Experiment, votes: tuple[str, ...], preferences: tuple[str, ...]) -> Iterator[Job]:
    """The training stages, each model measured as soon as it is there; then what needs a judge
    that training made."""
    model = BASELINE
    judges: Needs = {"reward": (), "votes": votes}
    tried: set[int] = set()
    for place, stage in enumerate(experiment.train):
        for at in _tries_reward(experiment, place, tried) if stage.changes_model else ():
            tried.add(at)
            yield _judged(experiment, at, BASELINE, judges)
        needs: Needs = {"preferences": preferences} if stage.learns_from_votes and preferences else {}
        needs |= _judges_of([name for _, name in stage.judges()], judges)
        if stage.other_model is not None:
            needs["start"] = (stage.other_model,)
        job = Job("train", place, stage, model, needs | _of_model(model))
        yield job
        if stage.changes_model:
            model = job.name
            yield from _unjudged(experiment, model)
        elif stage.makes_reward:
            judges["reward"] = (job.name,)
        else:
            preferences = (job.name,)
    for model in model_stages(experiment):
        for place, measure in enumerate(experiment.measure):
            if measure.judged and not (model == BASELINE and place in tried):
                yield _judged(experiment, place, model, judges)


def _tries_reward(experiment: Experiment, place: int, tried: set[int]) -> list[int]:
    """The measures that can try a reward before stage `place` trains on it: those whose judges
    no later stage makes anew."""
    remade = any(stage.makes_reward for stage in experiment.train[place:])
    return [
        at
        for at, measure in enumerate(experiment.measure)
        if measure.tries_reward
        and at not in tried
        and not (remade and "reward" in [name for _, name in measure.judges()])
    ]


def _judged(experiment: Experiment, place: int, model: str, judges: Needs) -> Job:
    """A measure by judges of replies."""
    measure = experiment.measure[place]
    needs = _judges_of([name for _, name in measure.judges()], judges) | _of_model(model)
    return _compared(experiment, Job("measure", place, measure, model, needs))


def _compared(experiment: Experiment, job: Job) -> Job:
    """The job with the same stage's results on the earlier models that it compares with."""
    models = model_stages(experiment)
    before = models[: models.index(job.model)]
    earlier = {"nothing": (), "start": before[:1], "before": before[-1:], "all": before}[job.stage.compares]
    needs: Needs = {"earlier": tuple(replace(job, model=of).name for of in earlier)} if earlier else {}
    return replace(job, needs={**job.needs, **needs})


def _unjudged(experiment: Experiment, model: str) -> Iterator[Job]:
    """The measures and attacks of a model that need no judge of replies."""
    for place, measure in enumerate(experiment.measure):
        if not measure.judged and (measure.of_model or model == BASELINE):
            yield Job("measure", place, measure, model, _of_model(model))
    for place, attack in enumerate(experiment.attack):
        yield Job("attack", place, attack, model, _of_model(model))
    for place, lens in enumerate(experiment.lens):
        yield _compared(experiment, Job("lens", place, lens, model, _of_model(model)))
    for place, protocol in enumerate(experiment.oversee):
        yield Job("oversee", place, protocol, model, _of_model(model))


def _judges_of(names: list[str], judges: Needs) -> Needs:
    """The jobs behind the built-in judges among these names."""
    roles: dict[str, Role] = {"reward": "reward", "feedback": "votes"}
    return {roles[name]: judges[roles[name]] for name in names if name in roles}


def _of_model(model: str) -> Needs:
    return {} if model == BASELINE else {"model": (model,)}
