"""Is a broken axiom seen, with an example that cannot be made smaller, and none where none is broken?"""

from __future__ import annotations

import numpy as np
import pytest
from test_aggregate_rules import PROMPT, profile, rule

from alignwright.aggregate.axioms import axiom_findings, smallest
from alignwright.aggregate.preferred import decisions, preferred
from alignwright.aggregate.section import section
from alignwright.core.records import Comparison, Reply, Vote
from alignwright.core.section import FindingTable, Transcript

CONDORCET = profile((3, "ABC", ""), (2, "BCA", ""))


def broken(by: str, *comparisons: Comparison, **knobs: object) -> dict[str, float]:
    findings = axiom_findings(rule(by, **knobs), comparisons, "aggregate")
    return {f.claim.removeprefix("aggregate.axiom."): f.value or 0.0 for f in findings}


def test_borda_breaks_condorcet_and_majority_on_the_known_profile_and_copeland_does_not():
    assert broken("borda", CONDORCET, min_strength=0.5) == {"pareto": 0, "majority": 1, "condorcet": 1, "clones": 1}
    assert broken("pooled", CONDORCET, min_strength=0.5) == {"pareto": 0, "majority": 1, "condorcet": 1, "clones": 1}
    for by in ("copeland", "ranked_pairs", "maximal_lottery"):
        assert not any(broken(by, CONDORCET).values()), by


def test_the_example_cannot_lose_a_reply_or_a_voter():
    wide = profile((6, "ABCD", ""), (4, "BCDA", ""), (1, "DABC", ""))
    stage = rule("borda", min_strength=0.5)

    def of_rule(comparison: Comparison) -> set[tuple[int, int]]:
        return decisions(stage, comparison)

    small = smallest("condorcet", of_rule, wide)
    assert len(small.replies) == 3
    assert len({vote.voter for vote in small.votes}) == 5  # three against two, the known one
    (finding,) = [f for f in axiom_findings(stage, [wide], "aggregate") if f.claim.endswith("condorcet")]
    assert "3 replies and 5 voters are enough" in finding.note
    assert finding.exhibits[0].before == "A"
    assert finding.exhibits[0].reply != "A"


def test_a_clone_turns_borda_round_and_not_ranked_pairs():
    """Two of three voters put A first; the third, who puts it last, and a double of B make Borda prefer B."""
    doubled = profile((3, "ABC", ""), (2, "BCA", ""))  # B and C are doubles: no voter puts A between them
    assert broken("borda", doubled, min_strength=0.5)["clones"] == 1
    assert broken("ranked_pairs", doubled)["clones"] == 0
    assert decisions(rule("borda", min_strength=0.5), profile((3, "AB", ""), (2, "BA", ""))) == {(0, 1)}


def test_pareto_is_broken_where_votes_are_few_and_leximax_copeland_keeps_it():
    """Both voters want the longer reply, c, rather than the shorter, d; a reward that is linear in what is seen of
    them is made to say the reverse by votes on others."""
    texts = ("a!", "b", "c c c", "d 4")
    replies = tuple(Reply(text=text, parent=PROMPT.id) for text in texts)
    votes = [Vote(voter=v, prefers=2, over=3) for v in ("x", "y")]
    votes += [
        Vote(voter="x", prefers=1, over=2),
        Vote(voter="x", prefers=3, over=1),
        Vote(voter="x", prefers=3, over=0),
    ]
    votes += [
        Vote(voter="y", prefers=3, over=0),
        Vote(voter="y", prefers=3, over=1),
        Vote(voter="y", prefers=0, over=2),
    ]
    ballot = Comparison(prompt=PROMPT, replies=replies, votes=tuple(votes))
    assert broken("copeland", ballot)["pareto"] == 1  # Copeland is free of it where everybody votes on everything
    kept = preferred(rule("leximax_copeland", features=("words", "exclamation", "numbers")), [ballot])
    assert ("c c c", "d 4") in {(p.chosen, p.rejected) for p in kept}
    with pytest.raises(ValueError, match=r"the features tell no order.*of 'Q'; give more features"):
        preferred(rule("leximax_copeland", features=("code",)), [ballot])


def test_random_complete_votes_break_no_pareto_and_no_condorcet_of_rules_that_keep_them():
    draw = np.random.default_rng(0)
    ballots = [profile(*((1, "".join(draw.permutation(list("ABCD"))), "") for _ in range(5))) for _ in range(25)]
    for by in ("copeland", "ranked_pairs", "maximal_lottery"):
        shares = broken(by, *ballots)
        assert (shares["pareto"], shares["majority"], shares["condorcet"]) == (0, 0, 0)
    assert broken("borda", *ballots, min_strength=0.5)["condorcet"] > 0  # the control
    assert broken("borda", *ballots, min_strength=0.5)["pareto"] == 0


def test_two_replies_leave_nothing_to_break_and_the_section_shows_the_example():
    assert axiom_findings(rule("borda"), [profile((3, "AB", ""), (2, "BA", ""))], "aggregate") == []
    findings = axiom_findings(rule("borda", min_strength=0.5), [CONDORCET], "aggregate")
    shown = section(FindingTable(findings, ()))
    assert shown is not None
    transcripts = [block for block in shown.blocks if isinstance(block, Transcript)]
    assert [t.claim.rpartition(".")[2] for t in transcripts] == ["majority", "condorcet", "clones"]
    assert section(FindingTable([], ())) is None
