"""Which principles do people who disagree share? A draft of a constitution from statements and votes on
them, ready to be edited.

A statement becomes a principle where most of every group surely agree with it (`stats.opinion_groups`), the highest
group-aware consensus first; its text says how many of each group agree, so that whoever edits the draft sees
whose principle it is (after Huang et al. 2024, "Collective Constitutional AI"). Statements stand as people wrote
them: making principles of opinions is left to the editor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alignwright.core.constitution import Constitution, Principle
from alignwright.stats.opinion_groups import StatementCounts, opinion_groups, statement_counts

if TYPE_CHECKING:
    from alignwright.stats.arrays import Floats


def draft_constitution(title: str, statements: Sequence[str], vote_VS: Floats, most: int = 20) -> Constitution:
    """The draft: votes are 1 for agree, -1 for disagree, 0 for pass, NaN for not seen. Raises ValueError where votes
    are too few to group by, and where the groups share nothing."""
    if vote_VS.shape[1] != len(statements):
        raise ValueError(
            f"{len(statements)} statements, but votes on {vote_VS.shape[1]}; give a column of votes for each"
        )
    counts = statement_counts(vote_VS, opinion_groups(vote_VS).group_V)
    bridges = counts.bridging()[:most]
    if not bridges:
        raise ValueError(
            f"no group surely agrees with any of {len(statements)} statements that all others agree with too; give more"
            " votes, or write principles for each group"
        )
    principles = tuple(
        Principle(
            slug=f"statement_{statement + 1}",
            title=f"Statement {statement + 1}",
            text=f"{' '.join(statements[statement].split())}\n\n{_support(counts, statement)}",
        )
        for statement in bridges
    )
    return Constitution(title=title, principles=principles)


def _support(counts: StatementCounts, statement: int) -> str:
    groups = [
        f"{int(agree)} of {int(voters)} in group {group + 1}"
        for group, (agree, voters) in enumerate(
            zip(counts.agree_GS[:, statement], counts.seen_GS[:, statement], strict=True)
        )
    ]
    return f"Agreed to by {', '.join(groups)}."
