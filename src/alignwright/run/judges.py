"""Who scores the model's replies, when a spec says `reward: NAME`?

`reward` is the reward model that a stage before this one trained; `feedback` are the spec's own
voters, without those whose check found no signal; a folder is a reward model or a probe that another run left;
anything else is a rule of a file. So a constitution, a rule and a reward model are all one thing to
a policy gradient.
"""

from __future__ import annotations

from collections.abc import Iterable

from alignwright.core.protocols import RewardFn, Voter
from alignwright.core.records import Finding
from alignwright.feedback.knobs import VotingStage
from alignwright.feedback.run import voter
from alignwright.feedback.scoring import VoterScorer, rule_scorer
from alignwright.files.contents import records
from alignwright.files.reward_folder import is_probe, names_folder, reward_folder
from alignwright.job.context import JobContext
from alignwright.job.job import Job
from alignwright.job.records import FINDINGS
from alignwright.lens.probe.judge import ProbeScorer
from alignwright.model.reward_model import RewardScorer
from alignwright.model.sequence_classifier import ClassifierScorer


def judge(name: str, job: JobContext) -> RewardFn:
    """What `name` stands for in this job. A reward model that was loaded for the job before is
    taken again."""
    key = judge_model(name, job.job)
    if key is None:
        return VoterScorer(tuple(voters(job))) if name == "feedback" else rule_scorer(name, job.data.folder)
    if names_folder(name):
        folder = reward_folder(job.data.path(name))
        if is_probe(folder):
            return job.models.keep_judge(key, lambda: ProbeScorer.load(lambda: job.models.start("float32"), folder))
        return job.models.keep_judge(key, lambda: ClassifierScorer.load(folder, date=job.models.date))
    return job.models.keep_judge(key, lambda: RewardScorer.load(job.models.start, job.folder_of(key)))


def judge_model(name: str, job: Job) -> str | None:
    """The reward model that `name` stands for in a job: the job that trained it, or the folder that
    another run left; None where it stands for no model."""
    if name == "reward":
        return next(iter(job.needed("reward")), None)  # an audit trains none: `execute` does not ask it
    return name if names_folder(name) else None


def judge_models(jobs: Iterable[Job]) -> set[str]:
    """The reward models that these jobs ask."""
    keys = (judge_model(name, job) for job in jobs for _, name in job.stage.judges())
    return {key for key in keys if key is not None}


def voters(job: JobContext) -> list[Voter]:
    """The voters that can judge a new reply. Raises ValueError when each of them was refused."""
    stages = {name: job.stage_of(name) for name in job.needed("votes")}
    able = {name: stage for name, stage in stages.items() if isinstance(stage, VotingStage) and stage.scores}
    refused = [name for name in able if _refused(job, name)]
    accepted = [voter(stage, job) for name, stage in able.items() if name not in refused]
    if not accepted:
        raise ValueError(
            f"{job.name}: 'feedback' is the reward, but every voter that could judge a reply was refused by its"
            f" check ({', '.join(refused)}): there is nothing to raise. Use a stronger judge, rules, or a reward model"
            " of written pairs"
        )
    return accepted


def _refused(job: JobContext, name: str) -> bool:
    path = job.folder_of(name) / FINDINGS
    findings = records(path, Finding) if path.exists() else []
    return any(finding.detail.get("refused") for finding in findings)
