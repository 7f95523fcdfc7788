"""How good is a reply by AI feedback or by verifiable rules alone (RLAIF, RLVR), with no reward
model between?

`VoterScorer` puts the replies to a prompt to the spec's voters, two by two, and scores each by how
often it wins: the mean, over its siblings, of the probability that it is preferred, less 1/2. All
votes on a pair count alike, as they do when they are pooled. So the constitution itself can be what
a policy is trained to raise (RL-CAI without its preference model; Bai et al. 2022, arXiv
2212.08073).

Why win rates and not Bradley-Terry utilities: a win rate is finite however certain the votes are,
needs no prior and no fit, is bounded by 1/2 either way, so no prompt outweighs another, and is the
payoff that self-play methods ask for. Where all pairs get equally many votes both rank the replies
alike, as Borda does. Scores of one prompt sum to 0 and mean nothing across prompts.

Two replies without a vote between them are a tie, if both got votes elsewhere; a reply that no
voter had a word on has no score. Replies of the same text tie, and are asked about once. A single
reply has nobody to be compared with, and so no score.

`RuleScorer` scores a reply by itself: the share of its checks passed, or what a Python function
returns.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alignwright.core.protocols import Voter
from alignwright.core.records import Comparison, Prompt, Reply, Score, Vote
from alignwright.feedback.rules import FunctionVoter, RuleVoter, rules

MAX_PRINCIPLES = 4  # principles named in a reason


class VoterScorer:
    """Voters as a `core` Scorer. K different replies cost each voter K(K-1)/2 pairs."""

    def __init__(self, voters: Sequence[Voter], name: str = "feedback") -> None:
        if not voters:
            raise ValueError(
                "feedback as a reward: there is no voter that could judge a new reply; add feedback by rules, judge or"
                " contrast"
            )
        # a rule's tie is a verdict here, not silence
        self.voters = tuple(
            replace(voter, ties=True) if isinstance(voter, RuleVoter | FunctionVoter) else voter for voter in voters
        )
        self.name = name

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        texts = [list(dict.fromkeys(group)) for group in replies]
        contests = [place for place, distinct in enumerate(texts) if len(distinct) > 1]
        comparisons = [_comparison(prompts[place], texts[place]) for place in contests]
        cast: dict[int, list[Vote]] = {place: [] for place in contests}
        for voter in self.voters:
            for place, votes in zip(contests, voter(comparisons), strict=True):
                cast[place] += votes
        return [
            _scores(group, texts[place], cast.get(place, []))
            for place, (_, group) in enumerate(zip(prompts, replies, strict=True))
        ]


@dataclass
class RuleScorer:
    """Rules as a `core` Scorer: the share of checks passed (0 to 1), or a function's own scale."""

    rules: RuleVoter | FunctionVoter
    name: str = "rules"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        return self.rules.scores(prompts, replies)


def rule_scorer(source: str, folder: Path) -> RuleScorer:
    """The scorer that a spec names: a YAML file of checks, or `module_or_file.py:function`;
    paths are sought from `folder`."""
    return RuleScorer(rules(source, folder), name=source)


def _comparison(prompt: Prompt, texts: Sequence[str]) -> Comparison:
    return Comparison(prompt=prompt, replies=tuple(Reply(text=text, parent=prompt.id) for text in texts))


def _scores(group: Sequence[str], texts: Sequence[str], votes: Sequence[Vote]) -> list[Score | None]:
    """The scores of the replies as given, some of them perhaps of the same text; `votes` are on
    the different `texts`."""
    if len(group) < 2:
        return [None] * len(group)
    if len(texts) == 1:
        return [Score(value=0.0, reason="all replies are the same") for _ in group]
    # 1. Every vote says two things: how often its winner beats its loser, and how often the other way.
    chances: dict[tuple[int, int], list[float]] = defaultdict(list)
    for vote in votes:
        chances[vote.prefers, vote.over].append(vote.strength)
        chances[vote.over, vote.prefers].append(1.0 - vote.strength)
    # 2. A reply that no vote speaks of has no score; a text that was sampled twice counts twice as a sibling.
    compared_replies = {i for pair in chances for i in pair}
    times = {i: count for text, count in Counter(group).items() if (i := texts.index(text)) in compared_replies}
    score_of = {texts[i]: Score(value=_win_rate(i, chances, times), reason=_reason(i, votes)) for i in compared_replies}
    return [score_of.get(text) for text in group]


def _win_rate(i: int, chances: dict[tuple[int, int], list[float]], times: dict[int, int]) -> float:
    """How much more often than not reply i is preferred to a sibling, each counted as often as
    it was said; itself said again is a tie."""
    gaps = [times[j] * (math.fsum(chances[i, j]) / len(chances[i, j]) - 0.5) for j in times if (i, j) in chances]
    return math.fsum(gaps) / (sum(times.values()) - 1)


def _reason(i: int, votes: Sequence[Vote]) -> str:
    """What each principle, check or voter thought of the reply: its mean chance to win, the most
    telling first."""
    chances_of: dict[str, list[float]] = defaultdict(list)
    for vote in votes:
        if i in (vote.prefers, vote.over):
            chances_of[vote.reason or vote.voter].append(vote.strength if vote.prefers == i else 1.0 - vote.strength)
    means = sorted(
        ((name, math.fsum(chances) / len(chances)) for name, chances in chances_of.items()),
        key=lambda pair: -abs(pair[1] - 0.5),
    )
    return ", ".join(f"{name} {mean:.2f}" for name, mean in means[:MAX_PRINCIPLES])
