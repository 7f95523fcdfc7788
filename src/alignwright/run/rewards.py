"""Who scores the model's replies, when a spec says `reward: NAME`?

`reward` is the reward model that a stage before this one trained; `feedback` are the spec's own
voters, without those whose check found no signal; a folder is a reward model that another run left;
anything else is a rule of a file. So a constitution, a rule and a reward model are all one thing to
a policy gradient.
"""

from __future__ import annotations

from alignwright.core.protocols import Policy, RewardFn, Voter
from alignwright.core.records import Finding
from alignwright.feedback.contrast import ContrastVoter
from alignwright.feedback.judge import JudgeVoter
from alignwright.feedback.knobs import Contrast, JudgeVote, Rules
from alignwright.feedback.rules import rules
from alignwright.feedback.scoring import VoterScorer, rule_scorer
from alignwright.files.contents import records
from alignwright.files.reward_folder import names_folder, reward_folder
from alignwright.model.reward_model import RewardScorer
from alignwright.model.sequence_classifier import ClassifierScorer
from alignwright.run import answers, inputs
from alignwright.run.work import JobContext


def scorer(name: str, work: JobContext) -> RewardFn:
    """The scorer that `name` stands for in this job."""
    if name == "reward":
        (trained,) = [need for need in work.job.needs if need.endswith(".reward")]
        return RewardScorer.load(work.shelf.start, inputs.stored(work.ledger, trained))
    if names_folder(name):
        return ClassifierScorer.load(reward_folder(work.experiment.path(name)), date=work.experiment.date)
    if name == "feedback":
        return VoterScorer(tuple(voters(work)))
    return rule_scorer(name, work.experiment.folder)


def voters(work: JobContext) -> list[Voter]:
    """The voters that can judge a new reply. Raises ValueError when each of them was refused."""
    named = {
        need: work.experiment.feedback[int(need.split(".")[1])]
        for need in work.job.needs
        if need.startswith("feedback.")
    }
    able = {need: stage for need, stage in named.items() if isinstance(stage, Rules | JudgeVote | Contrast)}
    refused = [need for need in able if _refused(work, need)]
    found = [voter(stage, work) for need, stage in able.items() if need not in refused]
    if not found:
        raise ValueError(
            f"{work.job.name}: 'feedback' is the reward, but every voter that could judge a reply was refused by its"
            f" check ({', '.join(refused)}): there is nothing to raise. Use a stronger judge, rules, or a reward model"
            " of written pairs"
        )
    return found


def voter(stage: Rules | Contrast | JudgeVote, work: JobContext) -> Voter:
    """A voter that can be asked about any replies."""
    return rules(stage.file, work.experiment.folder) if isinstance(stage, Rules) else asked_voter(stage, work)


def asked_voter(stage: Contrast | JudgeVote, work: JobContext) -> ContrastVoter | JudgeVoter:
    """Principles that vote through a model, which remembers what it was asked before."""
    experiment = work.experiment
    match stage:
        case Contrast():
            policy = work.seen(work.shelf.judge(stage.judge))
            assert isinstance(policy, Policy), "the spec lets only local models vote by contrast"
            return ContrastVoter(
                policy, inputs.chosen_principles(experiment, stage.principles), store=answers.store(stage.judge, work)
            )
        case JudgeVote():
            return JudgeVoter(
                work.seen(work.shelf.judge(stage.judge)),
                inputs.chosen_principles(experiment, stage.principles),
                draw=stage.draw,
                reasoning=stage.reasoning,
                clamp=stage.clamp,
                seed=experiment.seed,
                store=answers.store(stage.judge, work),
            )


def _refused(work: JobContext, name: str) -> bool:
    path = inputs.stored(work.ledger, name) / "findings.jsonl"
    found = records(path, Finding) if path.exists() else []
    return any(finding.detail.get("refused") for finding in found)
