"""What does an aggregation do? Votes become preferences, by the rule of its kind (`aggregate.preferred`)."""

from __future__ import annotations

from collections import Counter

from alignwright.aggregate.axioms import axiom_findings
from alignwright.aggregate.kappa import agreement
from alignwright.aggregate.knobs import AnyAggregate
from alignwright.aggregate.preferred import of_known_groups
from alignwright.aggregate.voter_groups import regrouped
from alignwright.core.records import Vote
from alignwright.files.contents import records
from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.job.preferences import StoredVotes, comparisons
from alignwright.job.records import PREFERENCES


def run(stage: AnyAggregate, job: JobContext) -> Result:
    """Do an aggregation job."""
    votes: dict[str, list[Vote]] = {}
    for name in job.needed("votes"):
        path = job.folder_of(name) / "votes.jsonl"
        for ballot in records(path, StoredVotes) if path.exists() else ():
            votes.setdefault(ballot.key, []).extend(ballot.votes)
    ballots = [comparison.with_votes(tuple(votes.get(comparison.key, ()))) for comparison in comparisons(job)]
    voters_by_group = regrouped(stage, ballots)
    preferences = of_known_groups(stage, voters_by_group)
    voters = Counter(voter for preference in preferences for voter in preference.voters).most_common()
    names = [f"{voter} {count}" for voter, count in voters[:4]] + (
        [f"{len(voters) - 4} more voters"] if len(voters) > 4 else []
    )
    return Result(
        f"{len(preferences)} preferences from {sum(bool(c.votes) for c in ballots)} comparisons"
        f" ({', '.join(names) or 'no votes'})",
        findings=[*agreement(ballots, stage=job.name), *axiom_findings(stage, voters_by_group, job.name)],
        records={"comparisons.jsonl": ballots, PREFERENCES: preferences},
    )
