"""Which axiom of social choice does the rule of a run break on the votes that it was given, and by which
smallest example of them?

Of every comparison of three or more replies (of two there is nothing to break) the rule's own pairs are
held against four axioms:

- **Pareto**: a reply that every voter puts above another does not stand below it.
- **majority**: the reply that more than half of the voters put first stands below none.
- **Condorcet**: the reply that beats each other one by a majority of voices stands below none.
- **clones** (Tideman 1987): of two replies between which no voter puts another, and which every voter
  compares alike with every other, one can go without turning a pair of the others round.

A pair that the rule leaves open breaks nothing. The smallest example is found among the comparisons that
break an axiom, from the one with the fewest replies and voters, by leaving out replies, then voters, one or
two at a time (of more than thirty one), as long as the axiom stays broken: what is left cannot lose
another (a minimum by inclusion; Zeller and Hildebrandt 2002). Comparisons of more than forty replies are
passed over, and clones are looked for among up to twelve.

Left out on purpose: strategyproofness and participation, which are about votes that nobody cast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from alignwright.aggregate.knobs import AXIOM_NAMES, AnyAggregate
from alignwright.aggregate.preferred import decisions
from alignwright.core.records import Comparison, Example, Finding
from alignwright.stats.intervals import share_interval
from alignwright.stats.social_order import condorcet_winner
from alignwright.stats.voices import by_voter, pair_sides, voices

Rule = Callable[[Comparison], set[tuple[int, int]]]
_MOST, _MOST_CLONES, _FEW_VOTERS = 40, 12, 30


@dataclass(frozen=True)
class Break:
    """Replies of a comparison that an axiom is broken about: `above` should not stand below `below`, and does."""

    above: int
    below: int
    why: str


@dataclass(frozen=True)
class _Voter:
    """Whom one voter prefers to whom."""

    over: frozenset[tuple[int, int]]


def axiom_findings(stage: AnyAggregate, comparisons: Sequence[Comparison], name: str) -> list[Finding]:
    """One finding for each axiom that has something to say of the comparisons: on which share of them the rule
    breaks it, with the smallest example."""
    several = [c for c in comparisons if c.votes and 2 < len(c.replies) <= _MOST]

    def rule(comparison: Comparison) -> set[tuple[int, int]]:
        return decisions(stage, comparison)

    return [finding for axiom in AXIOM_NAMES if (finding := _finding(axiom, rule, several, name)) is not None]


def _finding(axiom: str, rule: Rule, comparisons: Sequence[Comparison], stage: str) -> Finding | None:
    cases: list[tuple[Comparison, bool]] = []
    for comparison in comparisons:
        premises = list(_premises(axiom, comparison))
        if premises:
            cases.append((comparison, _breach(axiom, rule, comparison) is not None))
    if not cases:
        return None
    values = [float(breaks) for _, breaks in cases]
    clusters = [comparison.prompt.topic or comparison.prompt.id for comparison, _ in cases]
    estimate = share_interval(values, clusters if len(set(clusters)) < len(clusters) else None)
    worst = min((c for c, breaks in cases if breaks), key=lambda c: (len(c.replies), len(_voters(c))), default=None)
    note, exhibits = "", ()
    if worst is not None:
        small = smallest(axiom, rule, worst)
        breach = _breach(axiom, rule, small)
        assert breach is not None
        count = len(_voters(small))
        note = f"{breach.why}: {len(small.replies)} replies and {count} voter{'s' * (count != 1)} are enough"
        exhibits = (
            Example(item=small.key, prompt=small.prompt.conversation, reply=small.replies[breach.below].text,
                    before=small.replies[breach.above].text, status="fail", reason=breach.why),
        )  # fmt: skip
    return Finding(
        claim=f"aggregate.axiom.{axiom}", stage=stage, axis="feedback", value=estimate.value, low=estimate.interval.low,
        high=estimate.interval.high, n=len(cases), clusters=len(set(clusters)), method=estimate.interval.method,
        better="lower", note=note, exhibits=exhibits,
    )  # fmt: skip


def smallest(axiom: str, rule: Rule, comparison: Comparison) -> Comparison:
    """A part of the comparison that still breaks the axiom, and breaks it no more without any of its replies or
    voters."""
    shrunk = True
    while shrunk:
        shrunk = False
        for part in _parts(comparison):
            if _breach(axiom, rule, part) is not None:
                comparison, shrunk = part, True
                break
    return comparison


def _parts(comparison: Comparison) -> Iterator[Comparison]:
    if len(comparison.replies) > 2:
        yield from (without(comparison, place) for place in range(len(comparison.replies)))
    voters = list(_voters(comparison))
    pairs = combinations(voters, 2) if len(voters) <= _FEW_VOTERS else ()
    for leaving in (*((voter,) for voter in voters), *pairs):
        votes = tuple(vote for vote in comparison.votes if vote.voter not in leaving)
        if votes:
            yield comparison.model_copy(update={"votes": votes})


def without(comparison: Comparison, place: int) -> Comparison:
    """The comparison without one reply."""

    def new_place(at: int) -> int:
        return at - (at > place)

    votes = tuple(
        vote.model_copy(update={"prefers": new_place(vote.prefers), "over": new_place(vote.over)})
        for vote in comparison.votes
        if place not in (vote.prefers, vote.over)
    )
    replies = tuple(reply for at, reply in enumerate(comparison.replies) if at != place)
    return Comparison(prompt=comparison.prompt, replies=replies, votes=votes)


def _breach(axiom: str, rule: Rule, comparison: Comparison) -> Break | None:
    if not comparison.votes:
        return None
    try:
        pairs = rule(comparison)
        if axiom == "clones":
            return _clone_breach(rule, comparison, pairs)
    except ValueError:
        return None  # a part on which the rule cannot decide shows nothing
    return next((b for b in _premises(axiom, comparison) if (b.below, b.above) in pairs), None)


def _clone_breach(rule: Rule, comparison: Comparison, pairs: set[tuple[int, int]]) -> Break | None:
    for clone in _premises("clones", comparison):
        places = [place for place in range(len(comparison.replies)) if place != clone.below]
        rest = {(places[i], places[j]) for i, j in rule(without(comparison, clone.below))}
        pair = next(((i, j) for i, j in pairs if (j, i) in rest), None)
        if pair is not None:
            return Break(pair[1], pair[0], f"{clone.why}, and without one of them the order of two others turns round")
    return None


def _premises(axiom: str, comparison: Comparison) -> Iterator[Break]:
    """What the axiom asks of this comparison: that one reply does not stand below another. Of clones: which two are."""
    voters = _voters(comparison)
    count, size = len(voters), len(comparison.replies)
    if axiom == "pareto":
        for i in range(size):
            for j in range(size):
                if i != j and all((i, j) in voter.over for voter in voters.values()):
                    yield Break(i, j, f"all {count} voters prefer the one to the other")
    elif axiom == "majority":
        for i in range(size):
            firsts = sum(all((i, j) in voter.over for j in range(size) if j != i) for voter in voters.values())
            if 2 * firsts > count:
                yield from (Break(i, j, f"{firsts} of {count} voters put it first") for j in range(size) if j != i)
    elif axiom == "condorcet":
        winner = condorcet_winner(voices(comparison))
        if winner is not None:
            why = "it beats every other reply by a majority"
            yield from (Break(winner, j, why) for j in range(size) if j != winner)
    elif size <= _MOST_CLONES:
        for i, j in combinations(range(size), 2):
            if size > 2 and all(_alike(voter, i, j, size) for voter in voters.values()):
                yield Break(i, j, "no voter puts a reply between two")


def _alike(voter: _Voter, i: int, j: int, size: int) -> bool:
    return all(
        ((i, k) in voter.over) == ((j, k) in voter.over) and ((k, i) in voter.over) == ((k, j) in voter.over)
        for k in range(size)
        if k not in (i, j)
    )


def _voters(comparison: Comparison) -> dict[str, _Voter]:
    over: dict[str, set[tuple[int, int]]] = {vote.voter: set() for vote in comparison.votes}
    for (i, j), sides in pair_sides(comparison.votes, by_voter).items():
        for voter, side in sides.items():
            if side != 0.5:
                over[voter].add((i, j) if side > 0.5 else (j, i))
    return {voter: _Voter(frozenset(pairs)) for voter, pairs in over.items()}
