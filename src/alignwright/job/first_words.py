"""With which of a few words would a policy begin its reply? By the log-probability of each.

Questions of conduct are asked in many forms that begin alike: under the same role, about two people, with the same
options in either order. Where the policy can, it reads what they share once (`model.prefix_tree`), which is two to
four times fewer tokens; the numbers are those of whole rows up to rounding, and the same in each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from alignwright.core.protocols import Policy, SharesBeginnings
from alignwright.core.records import Conversation, LogProb


def first_words(
    policy: Policy, questions: Sequence[Conversation], words: Sequence[Sequence[str]]
) -> list[list[LogProb]]:
    """The log-probability of each word as the beginning of the reply to its question."""
    with policy.beginnings_shared() if isinstance(policy, SharesBeginnings) else nullcontext():
        return policy.logprobs(questions, words, end=False)
